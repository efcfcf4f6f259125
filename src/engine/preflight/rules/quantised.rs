//! Rules over QuantizeLinear and DequantizeLinear.

use super::values;
use crate::engine::preflight::Checker;
use crate::engine::preflight::graph::{Graph, label};
use crate::engine::preflight::onnx::{Node, data_type};
use crate::engine::preflight::table::Version;

pub fn check(c: &mut Checker<'_>, g: &Graph<'_>) {
    let mut first = None;
    for (index, node) in g.graph.nodes.iter().enumerate() {
        if !matches!(node.op.as_str(), "QuantizeLinear" | "DequantizeLinear") {
            continue;
        }
        let place = label(index, node);
        first.get_or_insert_with(|| place.clone());
        scale(c, g, node, &place);
        zero_point(c, g, node, &place);
        if node.op == "QuantizeLinear"
            && let Some(output) = node.outputs.first()
            && !g.reading(output).all(|n| n.op == "DequantizeLinear")
        {
            c.find("q-pair", place, "its output is read by something else than DequantizeLinear");
        }
    }
    if let (Some(place), Some(board)) = (first, c.target.board.as_ref().filter(|b| !b.fast_int8)) {
        let what = format!("the model is quantised, {} has no fast INT8", board.name);
        c.find("q-board", place, what);
    }
}

fn scale(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    let Some(scale) = g.constant_input(node, 1) else {
        c.find("q-scale-constant", place, "its scale is no constant");
        return;
    };
    let scales = values::floats(scale).unwrap_or_default();
    if let Some(bad) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        c.find("q-scale-positive", place, format!("has a scale of {bad}"));
    }
    if scales.len() <= 1 {
        return;
    }
    let rank = node.input(0).and_then(|x| g.shapes.get(x)).map(Vec::len);
    let axis = rank.and_then(|r| values::axis(node.int("axis", 1), r));
    let weights = node.input(0).is_some_and(|x| values::is_weight(g, x));
    if !weights {
        c.find("q-activation", place, format!("{} scales for an activation", scales.len()));
        return;
    }
    let Some(axis) = axis else { return };
    let long = g.shape(node, 0).and_then(|s| s.get(axis)).copied();
    if long.is_some_and(|l| l != scales.len() as u64) {
        c.find("q-scale-size", place, format!("{} scales along an axis of {}", scales.len(), long.unwrap_or(0)));
    }
    // The convolution behind: this node is its DequantizeLinear, or the QuantizeLinear before that.
    let mut reads = node.outputs.first().map(String::as_str).unwrap_or_default();
    if node.op == "QuantizeLinear"
        && let Some(dq) = g.reading(reads).next()
    {
        reads = dq.outputs.first().map(String::as_str).unwrap_or_default();
    }
    for conv in g.reading(reads).filter(|n| n.input(1) == Some(reads)) {
        let wanted = match conv.op.as_str() {
            "Conv" => 0,
            "ConvTranspose" => 1,
            _ => continue,
        };
        if axis != wanted {
            let what =
                format!("scales along axis {axis} of the weights of a {}, its outputs are axis {wanted}", conv.op);
            c.find("q-axis", place, what);
        }
    }
}

fn zero_point(c: &mut Checker<'_>, g: &Graph<'_>, node: &Node, place: &str) {
    // Without a zero point ONNX means UINT8.
    let Some(name) = node.input(2) else {
        if node.op == "QuantizeLinear" && node.int("output_dtype", 0) == 0 {
            c.find("q-type", place, "has no zero point, which means UINT8");
        }
        return;
    };
    let Some(zero) = g.constant(name) else {
        c.find("q-zero-point", place, "its zero point is no constant");
        return;
    };
    if zero.integers().is_some_and(|v| v.iter().any(|z| *z != 0)) {
        c.find("q-zero-point", place, "has a zero point that is not zero");
    }
    let float8 = c.target.version >= Version(9, 0) && zero.data_type > data_type::BFLOAT16;
    if zero.data_type != data_type::INT8 && !float8 {
        c.find("q-type", place, format!("quantises to {}", data_type::name(zero.data_type)));
    }
}
