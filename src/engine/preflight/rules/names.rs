//! Rules over names, order, inputs and outputs.

use std::collections::HashSet;

use crate::engine::preflight::Checker;
use crate::engine::preflight::graph::{Graph, label};
use crate::engine::preflight::onnx::{ValueInfo, data_type};

pub fn check(c: &mut Checker<'_>, g: &Graph<'_>) {
    order(c, g);
    for output in &g.graph.outputs {
        let known = g.producer(&output.name).is_some()
            || g.constant(&output.name).is_some()
            || g.graph.inputs.iter().any(|i| i.name == output.name);
        if !known {
            c.find("output-undefined", output.name.as_str(), "an output that no node makes");
        }
    }
    inputs(c, g);
    outputs(c, g);
}

fn order(c: &mut Checker<'_>, g: &Graph<'_>) {
    let inputs = g.graph.inputs.iter().map(|i| i.name.as_str());
    let initializers = g.graph.initializers.iter().map(|t| t.name.as_str());
    // From IR 4 on initializers need not be inputs; an input and its initializer are one name.
    let mut made: HashSet<&str> = inputs.chain(initializers).collect();
    for (index, node) in g.graph.nodes.iter().enumerate() {
        for input in node.inputs.iter().filter(|i| !i.is_empty()) {
            if made.contains(input.as_str()) {
                continue;
            }
            match g.producer_index(input) {
                Some(_) => c.find("order", label(index, node), format!("reads {input:?}, which a later node makes")),
                None => c.find("undefined", label(index, node), format!("reads {input:?}, which nothing makes")),
            }
        }
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            if !made.insert(output) {
                c.find("twice", label(index, node), format!("makes {output:?}, which is there already"));
            }
        }
    }
}

fn inputs(c: &mut Checker<'_>, g: &Graph<'_>) {
    let inputs: Vec<&ValueInfo> = g.inputs().collect();
    if inputs.len() != 1 {
        let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).take(8).collect();
        c.find("inputs", "graph", format!("{} inputs: {names:?}", inputs.len()));
    }
    for input in inputs {
        let Some((elem, shape)) = input.tensor() else {
            c.find("input-type", input.name.as_str(), "no tensor, or of no stated type");
            continue;
        };
        if elem != data_type::FLOAT {
            c.find("input-type", input.name.as_str(), format!("is {}", data_type::name(elem)));
        }
        match shape {
            None => c.find("input-static", input.name.as_str(), dimensions(input)),
            Some(shape) if shape.first() != Some(&1) => {
                c.find("input-batch", input.name.as_str(), format!("has shape {shape:?}"));
            }
            Some(_) => {}
        }
    }
}

fn outputs(c: &mut Checker<'_>, g: &Graph<'_>) {
    for output in &g.graph.outputs {
        let (elem, shape) = output.tensor().unwrap_or_default();
        if elem != data_type::FLOAT {
            c.find("output-type", output.name.as_str(), format!("is {}", data_type::name(elem)));
        }
        // A shape that follows from the input's is as good as a stated one.
        if shape.is_none() && !g.shapes.contains_key(output.name.as_str()) {
            c.find("output-static", output.name.as_str(), dimensions(output));
        }
    }
}

/// The dimensions as stated, for a finding.
fn dimensions(value: &ValueInfo) -> String {
    use crate::engine::preflight::onnx::DimValue;
    let Some(shape) = value.type_.as_ref().and_then(|t| t.tensor.as_ref()?.shape.as_ref()) else {
        return "has no shape".into();
    };
    let dims: Vec<String> = shape
        .dims
        .iter()
        .take(8)
        .map(|d| match &d.value {
            Some(DimValue::Number(n)) => n.to_string(),
            Some(DimValue::Name(s)) => s.clone(),
            None => "?".into(),
        })
        .collect();
    format!("has shape [{}]", dims.join(", "))
}
