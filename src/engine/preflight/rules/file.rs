//! Rules over the file as a whole: versions, opsets, what an engine's single file may hold.

use crate::engine::preflight::graph::{Graph, is_default, label};
use crate::engine::preflight::{Checker, table};

pub fn check(c: &mut Checker<'_>, g: &Graph<'_>) {
    let model = g.model;
    if g.graph.nodes.is_empty() {
        c.find("graph-empty", "graph", "no node");
    }
    if model.ir_version <= 0 {
        c.find("ir-version", "model", format!("IR version {}", model.ir_version));
    }
    opset(c, g);
    if let Some(function) = model.functions.first() {
        c.find("functions", function.name.as_str(), format!("{} local function(s)", model.functions.len()));
    }
    for (index, node) in g.graph.nodes.iter().enumerate() {
        let local = model.functions.iter().any(|f| f.name == node.op && f.domain == node.domain);
        if !is_default(&node.domain) && !local {
            c.find("domain", label(index, node), format!("operator {:?} of domain {:?}", node.op, node.domain));
        }
    }
    // Sub-graphs' tensors are part of the file too; the builder's parser reads them the same way.
    for tensor in &g.graph.initializers {
        if tensor.location != 0 || !tensor.external.is_empty() {
            c.find("external-data", tensor.name.as_str(), "its values lie in another file");
        }
    }
    if let Some(sparse) = g.graph.sparse.first() {
        let name = sparse.values.as_ref().map_or("sparse initializer", |v| v.name.as_str());
        c.find("sparse", name, format!("{} sparse initializer(s)", g.graph.sparse.len()));
    }
    if !model.training.is_empty() {
        c.find("training", "model", "training information");
    }
    if let Some(note) = g.graph.annotations.first() {
        c.find("annotation", note.tensor.as_str(), format!("{} quantization annotation(s)", g.graph.annotations.len()));
    }
}

fn opset(c: &mut Checker<'_>, g: &Graph<'_>) {
    let mut defaults = g.model.opsets.iter().filter(|o| is_default(&o.domain));
    let Some(first) = defaults.next() else {
        c.find("opset-missing", "model", "no opset of the default domain");
        return;
    };
    if let Some(second) = defaults.find(|o| o.version != first.version) {
        c.find("opset-twice", "model", format!("opsets {} and {}", first.version, second.version));
    }
    let Some(row) = table().opsets(c.target.version) else { return };
    let target = c.target.version;
    if g.opset > row.opset_max {
        let what = format!("opset {}, TensorRT {target} reads up to {}", g.opset, row.opset_max);
        c.find_as("opset-high", None, "model", what, Some(&format!("export with opset {} or lower", row.opset_max)));
    } else if g.opset < row.opset_min {
        let what = format!("opset {}, TensorRT {target} reads from {} on", g.opset, row.opset_min);
        c.find_as("opset-low", None, "model", what, Some(&format!("export with opset {} or higher", row.opset_min)));
    }
}
