//! Static shapes through the graph, for the operators that detectors and embedders are made of; what is not known
//! here, or hangs on data, stays unknown. Formulas: ONNX ops.

use super::graph::{Graph, Shape};
use super::onnx::Node;

/// More elements than any board holds; larger products are as good as unknown.
const ELEMENTS_MAX: u64 = 1 << 40;
/// Shapes of more dimensions are not followed: TensorRT takes 8.
const RANK_MAX: usize = 16;

/// Product of the dimensions, saturating.
pub fn elements(shape: &[u64]) -> u64 {
    shape.iter().fold(1u64, |n, &d| n.saturating_mul(d))
}

/// Fills `graph.shapes` and `graph.misfits`.
pub fn infer(graph: &mut Graph<'_>) {
    let source = graph.graph;
    for value in source.inputs.iter().chain(&source.values).chain(&source.outputs) {
        if let Some((_, Some(shape))) = value.tensor()
            && shape.len() <= RANK_MAX
        {
            graph.shapes.insert(&value.name, shape);
        }
    }
    for tensor in &source.initializers {
        if let Some(shape) = dims(&tensor.dims).filter(|s| s.len() <= RANK_MAX) {
            graph.shapes.insert(&tensor.name, shape);
        }
    }
    for (index, node) in source.nodes.iter().enumerate() {
        match node_shape(graph, node) {
            Ok(Some(shape)) if elements(&shape) <= ELEMENTS_MAX && shape.len() <= RANK_MAX => {
                // All outputs of an operator with a rule below, save Split, have one shape.
                let Some(output) = node.outputs.first() else { continue };
                graph.shapes.insert(output, shape);
            }
            Ok(_) => {}
            Err(misfit) => graph.misfits.push((index, misfit)),
        }
    }
}

fn dims(dims: &[i64]) -> Option<Shape> {
    dims.iter().map(|&d| u64::try_from(d).ok()).collect()
}

/// Shape of the node's first output; `Err` for inputs that can't go together.
fn node_shape(g: &Graph<'_>, node: &Node) -> Result<Option<Shape>, String> {
    let input = |i: usize| g.shape(node, i);
    Ok(match node.op.as_str() {
        "Constant" => node.attribute("value").and_then(|a| a.t.as_ref()).and_then(|t| dims(&t.dims)),
        "Conv" => match (input(0), input(1)) {
            (Some(x), Some(w)) => conv(node, x, w)?,
            _ => None,
        },
        "ConvTranspose" => match (input(0), input(1)) {
            (Some(x), Some(w)) => conv_transpose(node, x, w)?,
            _ => None,
        },
        "MaxPool" | "AveragePool" | "LpPool" => input(0).and_then(|x| {
            let kernel = dims(node.ints("kernel_shape"))?;
            let mut shape = window(node, x, &kernel)?;
            *shape.get_mut(1)? = *x.get(1)?;
            Some(shape)
        }),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => input(0).filter(|x| x.len() > 2).map(|x| {
            let mut shape = vec![1; x.len()];
            shape[..2].copy_from_slice(&x[..2]);
            shape
        }),
        "Relu"
        | "LeakyRelu"
        | "PRelu"
        | "Sigmoid"
        | "Tanh"
        | "Exp"
        | "Log"
        | "Sqrt"
        | "Clip"
        | "Elu"
        | "Selu"
        | "HardSigmoid"
        | "HardSwish"
        | "Softplus"
        | "Softsign"
        | "Softmax"
        | "LogSoftmax"
        | "Neg"
        | "Abs"
        | "Floor"
        | "Ceil"
        | "Round"
        | "Erf"
        | "Reciprocal"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "LRN"
        | "Dropout"
        | "Identity"
        | "Cast"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "Not"
        | "LpNormalization"
        | "Sin"
        | "Cos" => input(0).cloned(),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" | "Sum" | "Mean" | "Where" | "Equal" | "Greater"
        | "Less" | "And" | "Or" | "Xor" => {
            let mut shape: Shape = Vec::new();
            for i in 0..node.inputs.len() {
                let Some(next) = input(i) else { return Ok(None) };
                shape = broadcast(&shape, next).ok_or_else(|| format!("{shape:?} and {next:?} don't broadcast"))?;
            }
            Some(shape)
        }
        "Concat" => concat(g, node)?,
        "Reshape" => match (input(0), g.ints(node, 1)) {
            (Some(x), Some(to)) => reshape(x, &to, node.int("allowzero", 0) != 0)?,
            _ => None,
        },
        "Flatten" => input(0).and_then(|x| {
            let at = axis(node.int("axis", 1), x.len() + 1)?;
            Some(vec![elements(&x[..at]), elements(&x[at..])])
        }),
        "Transpose" => input(0).and_then(|x| {
            let perm = node.ints("perm");
            if perm.is_empty() {
                return Some(x.iter().rev().copied().collect());
            }
            perm.iter().map(|&p| x.get(usize::try_from(p).ok()?).copied()).collect()
        }),
        "Squeeze" | "Unsqueeze" => input(0).and_then(|x| squeeze(g, node, x)),
        "Slice" => input(0).and_then(|x| slice(g, node, x)),
        "Resize" | "Upsample" => input(0).and_then(|x| resize(g, node, x)),
        "Pad" => input(0).and_then(|x| {
            let pads = g.ints(node, 1).unwrap_or_else(|| node.ints("pads").to_vec());
            let n = x.len();
            (pads.len() == 2 * n).then_some(())?;
            (0..n).map(|i| add(add(x[i], pads[i])?, pads[i + n])).collect()
        }),
        "Gemm" => match (input(0), input(1)) {
            (Some(a), Some(b)) if a.len() == 2 && b.len() == 2 => {
                let (ta, tb) = (node.int("transA", 0) != 0, node.int("transB", 0) != 0);
                let ((m, k), (l, n)) = (flip(a, ta), flip(b, tb));
                if k != l {
                    return Err(format!("Gemm of {a:?} and {b:?}: inner dimensions {k} and {l}"));
                }
                Some(vec![m, n])
            }
            _ => None,
        },
        "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceSum" | "ReduceProd" | "ReduceL2" | "ReduceL1" | "ArgMax"
        | "ArgMin" => input(0).and_then(|x| reduce(g, node, x)),
        _ => None,
    })
}

fn flip(shape: &[u64], transposed: bool) -> (u64, u64) {
    if transposed { (shape[1], shape[0]) } else { (shape[0], shape[1]) }
}

fn add(a: u64, b: i64) -> Option<u64> {
    a.checked_add_signed(b)
}

/// A possibly negative axis of a tensor with `rank` dimensions.
pub fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank_i = i64::try_from(rank).ok()?;
    let at = if axis < 0 { axis.checked_add(rank_i)? } else { axis };
    usize::try_from(at).ok().filter(|&a| a < rank)
}

fn broadcast(a: &[u64], b: &[u64]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let at = |s: &[u64], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}

/// Spatial dimensions after a window of `kernel` with the node's strides, pads, dilations and rounding; the channel
/// is left 0.
fn window(node: &Node, x: &[u64], kernel: &[u64]) -> Option<Shape> {
    let n = kernel.len();
    (n > 0 && x.len() == n + 2).then_some(())?;
    let or_one =
        |name: &str, i: usize| node.ints(name).get(i).map_or(Some(1), |&v| u64::try_from(v).ok().filter(|v| *v > 0));
    let pads = node.ints("pads");
    let mut shape = vec![x[0], 0];
    for i in 0..n {
        let (stride, dilation) = (or_one("strides", i)?, or_one("dilations", i)?);
        let extent = dilation.checked_mul(kernel[i].checked_sub(1)?)?.checked_add(1)?;
        let size = match node.text("auto_pad", "NOTSET") {
            "SAME_UPPER" | "SAME_LOWER" => x[i + 2].div_ceil(stride),
            _ => {
                let (begin, end) = (pads.get(i).copied().unwrap_or(0), pads.get(i + n).copied().unwrap_or(0));
                let room = add(add(x[i + 2], begin)?, end)?.checked_sub(extent)?;
                let steps = if node.int("ceil_mode", 0) != 0 { room.div_ceil(stride) } else { room / stride };
                steps.checked_add(1)?
            }
        };
        shape.push(size);
    }
    Some(shape)
}

fn conv(node: &Node, x: &[u64], w: &[u64]) -> Result<Option<Shape>, String> {
    if x.len() < 3 || x.len() != w.len() {
        return Err(format!("the input has shape {x:?}, the weights {w:?}"));
    }
    let group = u64::try_from(node.int("group", 1)).unwrap_or(0);
    if Some(x[1]) != w[1].checked_mul(group) {
        return Err(format!(
            "{} channels come in, the weights {w:?} in {group} group(s) take {}",
            x[1],
            w[1].saturating_mul(group)
        ));
    }
    Ok(window(node, x, &w[2..]).map(|mut shape| {
        shape[1] = w[0];
        shape
    }))
}

fn conv_transpose(node: &Node, x: &[u64], w: &[u64]) -> Result<Option<Shape>, String> {
    if x.len() < 3 || x.len() != w.len() || x[1] != w[0] {
        return Err(format!("the input has shape {x:?}, the weights {w:?}"));
    }
    let size = |i: usize| {
        let get = |name: &str, i: usize, or: i64| node.ints(name).get(i).copied().unwrap_or(or);
        let n = x.len() - 2;
        let (stride, dilation) =
            (u64::try_from(get("strides", i, 1)).ok()?, u64::try_from(get("dilations", i, 1)).ok()?);
        let full = stride.checked_mul(x[i + 2].checked_sub(1)?)?;
        let full = full.checked_add(dilation.checked_mul(w[i + 2].checked_sub(1)?)?)?.checked_add(1)?;
        let pads = get("pads", i, 0).checked_add(get("pads", i + n, 0))?;
        add(add(full, get("output_padding", i, 0))?, pads.checked_neg()?)
    };
    let group = u64::try_from(node.int("group", 1)).ok();
    let channels = group.and_then(|g| w[1].checked_mul(g));
    let spatial: Option<Shape> = (0..x.len() - 2).map(size).collect();
    Ok(channels.zip(spatial).map(|(c, spatial)| [vec![x[0], c], spatial].concat()))
}

fn concat(g: &Graph<'_>, node: &Node) -> Result<Option<Shape>, String> {
    let mut shape: Option<Shape> = None;
    for i in 0..node.inputs.len() {
        let Some(next) = g.shape(node, i) else { return Ok(None) };
        let Some(at) = axis(node.int("axis", 0), next.len()) else { return Ok(None) };
        let Some(sum) = &mut shape else {
            shape = Some(next.clone());
            continue;
        };
        let fits = sum.len() == next.len() && sum.iter().zip(next).enumerate().all(|(j, (a, b))| j == at || a == b);
        if !fits {
            return Err(format!("{sum:?} and {next:?} can't be joined along axis {at}"));
        }
        sum[at] = sum[at].saturating_add(next[at]);
    }
    Ok(shape)
}

fn reshape(x: &[u64], to: &[i64], allow_zero: bool) -> Result<Option<Shape>, String> {
    let total = elements(x);
    let mut shape = Vec::new();
    let mut open = None;
    for (i, &d) in to.iter().enumerate() {
        match d {
            -1 if open.is_none() => {
                open = Some(i);
                shape.push(1);
            }
            0 if !allow_zero => match x.get(i) {
                Some(&d) => shape.push(d),
                None => return Err(format!("{to:?} copies dimension {i} of {x:?}")),
            },
            _ => shape.push(u64::try_from(d).map_err(|_| format!("{to:?} is no shape"))?),
        }
    }
    let known = elements(&shape);
    if let Some(i) = open.filter(|_| known > 0 && total.is_multiple_of(known)) {
        shape[i] = total / known;
    }
    if elements(&shape) != total {
        return Err(format!("{x:?} can't become {to:?}"));
    }
    Ok(Some(shape))
}

fn squeeze(g: &Graph<'_>, node: &Node, x: &[u64]) -> Option<Shape> {
    let axes = match node.input(1) {
        Some(_) => g.ints(node, 1)?,
        None => node.ints("axes").to_vec(),
    };
    if node.op == "Squeeze" {
        let axes: Vec<usize> = axes.iter().take(RANK_MAX).map(|&a| axis(a, x.len())).collect::<Option<_>>()?;
        let stays = |(i, d): &(usize, &u64)| if axes.is_empty() { **d != 1 } else { !axes.contains(i) };
        return Some(x.iter().enumerate().filter(stays).map(|(_, d)| *d).collect());
    }
    let rank = x.len().checked_add(axes.len()).filter(|r| *r <= RANK_MAX)?;
    let axes: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Option<_>>()?;
    let mut rest = x.iter();
    (0..rank).map(|i| if axes.contains(&i) { Some(1) } else { rest.next().copied() }).collect()
}

fn slice(g: &Graph<'_>, node: &Node, x: &[u64]) -> Option<Shape> {
    let list = |i: usize, name: &str| match node.input(i) {
        Some(_) => g.ints(node, i),
        None => Some(node.ints(name).to_vec()),
    };
    let (starts, ends) = (list(1, "starts")?, list(2, "ends")?);
    let (axes, steps) = (list(3, "axes")?, list(4, "steps")?);
    let mut shape = x.to_vec();
    for (i, (&start, &end)) in starts.iter().zip(&ends).enumerate() {
        let at = if axes.is_empty() { i } else { axis(*axes.get(i)?, x.len())? };
        let size = i64::try_from(*x.get(at)?).ok()?;
        let step = if steps.is_empty() { 1 } else { *steps.get(i)? };
        let place = |v: i64, low: i64, high: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(low, high);
        let span = if step > 0 {
            place(end, 0, size).saturating_sub(place(start, 0, size))
        } else {
            place(start, 0, (size - 1).max(0)).saturating_sub(place(end, -1, (size - 1).max(-1)))
        };
        let step = step.checked_abs().filter(|s| *s > 0)?;
        shape[at] = u64::try_from(span.max(0)).ok()?.div_ceil(u64::try_from(step).ok()?);
    }
    Some(shape)
}

fn resize(g: &Graph<'_>, node: &Node, x: &[u64]) -> Option<Shape> {
    if let Some(sizes) = g.ints(node, 3) {
        return dims(&sizes).filter(|s| s.len() == x.len());
    }
    // Upsample and Resize 10 have the scales second, Resize from 11 on third.
    let at = if node.op == "Upsample" || g.opset < 11 { 1 } else { 2 };
    let scales = g.constant_input(node, at)?.floats().filter(|s| s.len() == x.len())?;
    let scaled = |(&d, &s): (&u64, &f32)| (d as f64 * f64::from(s)).floor();
    let shape: Vec<f64> = x.iter().zip(&scales).map(scaled).collect();
    shape.iter().all(|d| (0.0..=ELEMENTS_MAX as f64).contains(d)).then(|| shape.iter().map(|&d| d as u64).collect())
}

fn reduce(g: &Graph<'_>, node: &Node, x: &[u64]) -> Option<Shape> {
    let axes = match (node.op.as_str(), node.input(1)) {
        ("ArgMax" | "ArgMin", _) => vec![node.int("axis", 0)],
        (_, Some(_)) => g.ints(node, 1)?,
        _ => node.ints("axes").to_vec(),
    };
    let axes: Vec<usize> = axes.iter().take(RANK_MAX).map(|&a| axis(a, x.len())).collect::<Option<_>>()?;
    let keep = node.int("keepdims", 1) != 0;
    let reduced = |i: usize| axes.is_empty() || axes.contains(&i);
    Some(
        x.iter()
            .enumerate()
            .filter(|(i, _)| keep || !reduced(*i))
            .map(|(i, d)| if reduced(i) { 1 } else { *d })
            .collect(),
    )
}
