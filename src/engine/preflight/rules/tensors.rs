//! Rules over constants: their types, their values, and whether the shapes fit each other.

use crate::engine::preflight::Checker;
use crate::engine::preflight::graph::{Graph, label};
use crate::engine::preflight::onnx::{Tensor, data_type as dt};
use crate::engine::preflight::table::{Level, Version};

/// `nvinfer1::Dims::MAX_DIMS`.
const RANK_MAX: usize = 8;

pub fn check(c: &mut Checker<'_>, g: &Graph<'_>) {
    for tensor in &g.graph.initializers {
        check_tensor(c, g, &tensor.name, tensor);
    }
    for node in g.graph.nodes.iter().filter(|n| n.op == "Constant") {
        if let (Some(tensor), Some(output)) = (node.attribute("value").and_then(|a| a.t.as_ref()), node.outputs.first())
        {
            check_tensor(c, g, output, tensor);
        }
    }
    let mut seen: Vec<(&str, usize)> = g.shapes.iter().map(|(name, s)| (*name, s.len())).collect();
    seen.sort_unstable();
    for (name, rank) in seen.into_iter().filter(|(_, rank)| *rank > RANK_MAX) {
        c.find("rank", name, format!("has {rank} dimensions"));
    }
    for (index, misfit) in &g.misfits {
        if let Some(node) = g.graph.nodes.get(*index) {
            c.find("shape", label(*index, node), misfit.as_str());
        }
    }
}

fn check_tensor(c: &mut Checker<'_>, g: &Graph<'_>, name: &str, tensor: &Tensor) {
    data(c, name, tensor);
    let t = tensor.data_type;
    let known = matches!(t, dt::FLOAT | dt::FLOAT16 | dt::DOUBLE | dt::INT8 | dt::INT32 | dt::INT64 | dt::BOOL)
        // The zero point's type: q-type has a better word for it.
        || t == dt::UINT8
        || (t >= dt::BFLOAT16 && c.target.version >= Version(9, 0));
    if !known {
        c.find("tensor-type", name, format!("is {}", dt::name(t)));
    }
    if t == dt::DOUBLE {
        c.find("double", name, "is DOUBLE");
    }
    if t == dt::INT64 {
        int64(c, g, name, tensor);
    }
}

/// As many values as the dimensions say.
fn data(c: &mut Checker<'_>, name: &str, tensor: &Tensor) {
    // What lies in another file has its own rule.
    if tensor.location != 0 || !tensor.external.is_empty() {
        return;
    }
    let Some(elements) = tensor.elements() else {
        c.find("tensor-data", name, format!("has dimensions {:?}", &tensor.dims[..tensor.dims.len().min(8)]));
        return;
    };
    let (found, wanted) = match (&tensor.raw, dt::bytes(tensor.data_type)) {
        (Some(raw), Some(bytes)) => (raw.len() as u64, elements.checked_mul(bytes)),
        // Types of less than a byte; their packing has rules of its own.
        (Some(_), None) => return,
        (None, _) => {
            let values = [
                tensor.float_data.len(),
                tensor.int32_data.len(),
                tensor.int64_data.len(),
                tensor.double_data.len(),
                tensor.uint64_data.len(),
                tensor.string_data.len(),
            ];
            let complex = matches!(tensor.data_type, 14 | 15);
            (
                values.iter().max().copied().unwrap_or(0) as u64,
                if complex { elements.checked_mul(2) } else { Some(elements) },
            )
        }
    };
    if wanted != Some(found) {
        let unit = if tensor.raw.is_some() { "bytes" } else { "values" };
        let wanted = wanted.map_or("more than there can be".to_owned(), |w| w.to_string());
        c.find("tensor-data", name, format!("holds {found} {unit}, its shape asks for {wanted}"));
    }
}

fn int64(c: &mut Checker<'_>, g: &Graph<'_>, name: &str, tensor: &Tensor) {
    let values = tensor.integers().unwrap_or_default();
    let Some(value) = values.into_iter().find(|v| i32::try_from(*v).is_err()) else { return };
    // Exporters write "to the end" as the largest number; clamped, it still is the end.
    let mut readers = g.reading(name).peekable();
    let bound = readers.peek().is_some()
        && readers
            .all(|n| n.op == "Slice" && n.inputs.iter().position(|i| i == name).is_some_and(|i| i == 1 || i == 2));
    let level = (bound && c.target.version >= Version(8, 2)).then_some(Level::Warning);
    c.find_as("int64-range", level, name, format!("holds {value}, outside of 32 bits"), None);
}
