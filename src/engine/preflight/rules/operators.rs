//! Rules over operators, their attributes, and inputs that must be constants.

use super::values;
use crate::engine::preflight::graph::{Graph, is_default, label};
use crate::engine::preflight::onnx::Node;
use crate::engine::preflight::table::{Level, Version};
use crate::engine::preflight::{Checker, table};

/// `ITopKLayer`'s limit.
const TOPK_MAX: i64 = 3840;

pub fn check(c: &mut Checker<'_>, g: &Graph<'_>) {
    for (index, node) in g.graph.nodes.iter().enumerate().filter(|(_, n)| is_default(&n.domain)) {
        let place = label(index, node);
        let place = place.as_str();
        support(c, node, place);
        match node.op.as_str() {
            "NonMaxSuppression" => c.find("nms", place, "suppression inside of the model"),
            "If" | "Loop" | "Scan" => c.find("control-flow", place, "control flow"),
            op if op.starts_with("Random") || matches!(op, "Multinomial" | "Bernoulli") => {
                c.find("random", place, "a random operator");
            }
            "Conv" | "ConvTranspose" => convolution(c, g, node, place),
            "MaxPool" | "AveragePool" | "LpPool" => pool(c, node, place),
            "Resize" | "Upsample" => resize(c, g, node, place),
            "Slice" => {
                if g.is_variable(node, 3) {
                    c.find("slice-axes", place, "its axes are no constant");
                }
                if [1, 2, 4].iter().any(|&i| g.is_variable(node, i)) {
                    c.find("slice-bounds", place, "its starts, ends or steps are no constants");
                }
            }
            "Squeeze" | "Unsqueeze" if g.is_variable(node, 1) => {
                c.find("squeeze-axes", place, "its axes are no constant");
            }
            "CumSum" if g.is_variable(node, 1) => c.find("cumsum-axis", place, "its axis is no constant"),
            "TopK" => topk(c, g, node, place),
            "Reshape" => reshape(c, g, node, place),
            "Pad" => pad(c, g, node, place),
            "InstanceNormalization" => instance_norm(c, g, node, place),
            "BatchNormalization" | "Dropout" => training_mode(c, g, node, place),
            "Einsum" => einsum(c, node, place),
            "GRU" | "LSTM" | "RNN" => rnn(c, node, place),
            "SpaceToDepth" | "DepthToSpace" => {
                if let Some(shape) = g.shape(node, 0).filter(|s| s.len() != 4) {
                    c.find("space-to-depth", place, format!("its input has shape {shape:?}"));
                }
            }
            "Constant" => {
                let strange = ["sparse_value", "value_string", "value_strings"];
                if let Some(kind) = strange.iter().find(|k| node.attribute(k).is_some()) {
                    c.find("constant-kind", place, format!("holds a {kind}"));
                }
            }
            _ => {}
        }
    }
}

fn support(c: &mut Checker<'_>, node: &Node, place: &str) {
    let target = c.target.version;
    let (level, what) = match table().since(&node.op) {
        Some(since) if target >= since => return,
        Some(since) => (None, format!("{} comes with TensorRT {since}, this is {target}", node.op)),
        // The lists of 9.0 and later were not read as a whole; what they lack may be there.
        None if target >= Version(9, 0) => {
            (Some(Level::Warning), format!("{} is in none of the lists up to 8.5 that were read", node.op))
        }
        None => (None, format!("TensorRT {target} has no {}", node.op)),
    };
    c.find_as("operator", level, place, what, table().hint(&node.op));
}

fn convolution(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    if let Some(rank) = g.shape(node, 1).map(Vec::len).filter(|r| !(4..=5).contains(r)) {
        c.find("conv-rank", place, format!("its weights have {rank} dimensions"));
    }
    if !node.input(1).is_some_and(|w| values::is_weight(g, w)) {
        c.find("conv-weights", place, "its weights are no constant");
    }
}

fn pool(c: &mut Checker<'_>, node: &Node, place: &str) {
    let rank = node.ints("kernel_shape").len();
    if rank != 0 && !(2..=3).contains(&rank) {
        c.find("pool-rank", place, format!("pools in {rank} dimension(s)"));
    }
    if node.outputs.get(1).is_some_and(|o| !o.is_empty()) {
        c.find("pool-indices", place, "has an output of indices");
    }
    if node.ints("dilations").iter().any(|d| *d != 1) {
        c.find("pool-dilations", place, "has dilations");
    }
}

fn resize(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    let mode = node.text("mode", "nearest");
    if !matches!(mode, "nearest" | "linear" | "bilinear") {
        c.find("resize-mode", place, format!("mode {mode:?}"));
    }
    if node.op == "Upsample" || g.opset < 11 {
        if g.is_variable(node, 1) {
            c.find("resize-constant", place, "its scales are no constant");
        }
        return;
    }
    if g.is_variable(node, 2) || g.is_variable(node, 3) {
        c.find("resize-constant", place, "its scales or sizes are no constants");
    }
    let coordinates = node.text("coordinate_transformation_mode", "half_pixel");
    let known = ["half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"];
    if !known.contains(&coordinates) {
        c.find("resize-coordinates", place, format!("coordinate_transformation_mode {coordinates:?}"));
    }
    let nearest = node.text("nearest_mode", "round_prefer_floor");
    if mode == "nearest" && (coordinates, nearest) != ("asymmetric", "floor") {
        c.find("resize-nearest", place, format!("nearest with {coordinates} and {nearest}"));
    }
    let new = ["axes", "antialias", "keep_aspect_ratio_policy"];
    let is_default = |name: &str| match name {
        "antialias" => node.int(name, 0) == 0,
        "keep_aspect_ratio_policy" => node.text(name, "stretch") == "stretch",
        _ => node.ints(name).is_empty(),
    };
    if let Some(name) = new.iter().find(|n| !is_default(n)) {
        c.find("resize-new", place, format!("has the attribute {name}"));
    }
}

fn topk(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    if g.is_variable(node, 1) {
        c.find("topk-k", place, "its K is no constant");
    }
    let k = match node.input(1) {
        Some(_) => g.ints(node, 1).and_then(|k| k.first().copied()),
        None => Some(node.int("k", 0)),
    };
    if let Some(k) = k.filter(|k| *k > TOPK_MAX) {
        c.find("topk-max", place, format!("K is {k}"));
    }
}

fn reshape(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    if g.is_variable(node, 1) {
        c.find("reshape-shape", place, "its shape is no constant");
    }
    let zero = g.ints(node, 1).is_some_and(|s| s.contains(&0));
    if node.int("allowzero", 0) != 0 && zero {
        c.find("reshape-zero", place, "allowzero with a dimension of 0");
    }
}

fn pad(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    let mode = node.text("mode", "constant");
    let since = match mode {
        "constant" => Version(0, 0),
        "edge" | "reflect" => Version(8, 2),
        _ => Version(10, 0),
    };
    if c.target.version < since {
        c.find("pad-mode", place, format!("mode {mode:?} comes with TensorRT {since}"));
    }
    if node.input(3).is_some() {
        c.find("pad-axes", place, "has axes");
    }
    if g.is_variable(node, 1) {
        c.find("pad-constant", place, "its pads are no constant");
    }
}

fn instance_norm(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    if g.is_variable(node, 1) || g.is_variable(node, 2) {
        c.find("instance-norm", place, "its scale or bias is no constant");
    }
    if let Some(shape) = g.shape(node, 0).filter(|s| !(3..=5).contains(&s.len())) {
        c.find("instance-norm", place, format!("its input has shape {shape:?}"));
    }
}

fn training_mode(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    let on = match node.op.as_str() {
        "Dropout" => match g.constant_input(node, 2) {
            Some(t) => t.raw.iter().flatten().any(|b| *b != 0) || t.int32_data.iter().any(|v| *v != 0),
            None => g.is_variable(node, 2),
        },
        _ => node.int("training_mode", 0) != 0 || node.outputs.iter().skip(1).any(|o| !o.is_empty()),
    };
    if on {
        c.find("training-mode", place, format!("{} in training mode", node.op));
    }
}

fn einsum(c: &mut Checker<'_>, node: &Node, place: &str) {
    let equation = node.text("equation", "");
    let terms = equation.split("->").next().unwrap_or_default();
    let diagonal = terms.split(',').any(|term| {
        let letters: Vec<char> = term.chars().filter(|c| c.is_alphabetic()).take(64).collect();
        (1..letters.len()).any(|i| letters[..i].contains(&letters[i]))
    });
    if equation.contains("...") || diagonal {
        c.find("einsum", place, format!("equation {equation:?}"));
    }
}

fn rnn(c: &mut Checker<'_>, node: &Node, place: &str) {
    let names = node.attribute("activations").map_or(&[][..], |a| &a.strings);
    let (forward, backward) = names.split_at(names.len() / 2);
    if node.text("direction", "forward") == "bidirectional" && forward != backward {
        c.find("rnn-activations", place, "different activations forward and backward");
    }
}
