//! For each rule the smallest model that breaks it, for which target, and the place that must be named.

use super::build::*;
use super::onnx::{data_type as dt, *};

/// Rule, target, place, model.
pub type Case = (&'static str, &'static str, &'static str, Model);

pub fn cases() -> Vec<Case> {
    [file(), names(), tensors(), operators(), shapes_and_constants(), quantised(), memory()].concat()
}

fn model(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = good();
    change(&mut model);
    model
}

fn file() -> Vec<Case> {
    let conv = || node("Conv", &["x", "w"], &["y"]);
    vec![
        ("graph-empty", "nano", "graph", graph(|g| g.nodes.clear())),
        ("ir-version", "nano", "model", model(|m| m.ir_version = 0)),
        ("opset-missing", "nano", "model", model(|m| m.opsets.clear())),
        ("opset-twice", "nano", "model", model(|m| m.opsets.push(Opset { domain: "ai.onnx".into(), version: 9 }))),
        ("opset-high", "tensorrt-8.2", "model", opset(good(), 14)),
        ("opset-low", "tensorrt-10.3", "model", opset(good(), 8)),
        (
            "functions",
            "tensorrt-8.6",
            "f",
            model(|m| m.functions.push(Function { name: "f".into(), ..Function::default() })),
        ),
        ("domain", "nano", "the-Conv (Conv)", graph(|g| g.nodes = vec![Node { domain: "com.x".into(), ..conv() }])),
        ("external-data", "nano", "w", graph(|g| g.initializers[0].location = 1)),
        ("sparse", "nano", "sparse initializer", graph(|g| g.sparse.push(Sparse::default()))),
        ("training", "nano", "model", model(|m| m.training.push(Training::default()))),
        (
            "annotation",
            "nano",
            "y",
            graph(|g| g.annotations.push(Annotation { tensor: "y".into(), ..Annotation::default() })),
        ),
    ]
}

fn names() -> Vec<Case> {
    vec![
        ("undefined", "nano", "the-Conv (Conv)", graph(|g| g.nodes[0].inputs[1] = "nowhere".into())),
        (
            "order",
            "nano",
            "the-Relu (Relu)",
            graph(|g| {
                g.nodes.insert(0, node("Relu", &["y"], &["z"]));
            }),
        ),
        ("twice", "nano", "the-Relu (Relu)", graph(|g| g.nodes.push(node("Relu", &["x"], &["y"])))),
        ("output-undefined", "nano", "q", graph(|g| g.outputs[0].name = "q".into())),
        ("inputs", "nano", "graph", graph(|g| g.inputs.push(value("x2", dt::FLOAT, &[1])))),
        ("input-type", "nano", "x", graph(|g| g.inputs[0] = value("x", dt::UINT8, &[1, 3, 8, 8]))),
        ("input-static", "nano", "x", graph(|g| g.inputs[0] = value("x", dt::FLOAT, &[1, 3, -1, 8]))),
        ("input-batch", "nano", "x", graph(|g| g.inputs[0] = value("x", dt::FLOAT, &[2, 3, 8, 8]))),
        ("output-type", "nano", "y", graph(|g| g.outputs[0] = value("y", dt::INT64, &[1, 4, 8, 8]))),
        (
            "output-static",
            "nano",
            "z",
            graph(|g| {
                g.nodes.push(node("NonZero", &["y"], &["z"]));
                g.outputs[0] = value("z", dt::FLOAT, &[4, -1]);
            }),
        ),
    ]
}

fn tensors() -> Vec<Case> {
    let long = |at: usize, end: i64| {
        let mut inputs = ["y", "starts", "ends", "axes"];
        inputs[at] = "big";
        let constants = vec![longs("starts", &[0]), longs("ends", &[8]), longs("axes", &[2]), longs("big", &[end])];
        then(node("Slice", &inputs, &["z"]), constants)
    };
    vec![
        ("tensor-data", "nano", "w", graph(|g| g.initializers[0].dims = vec![4, 3, 3, 4])),
        (
            "tensor-type",
            "nano",
            "c",
            then(
                node("Add", &["y", "c"], &["z"]),
                vec![Tensor { data_type: dt::STRING, string_data: vec![vec![]], ..bytes("c", &[], 0, 0) }],
            ),
        ),
        (
            "double",
            "nano",
            "c",
            then(
                node("Add", &["y", "c"], &["z"]),
                vec![Tensor { name: "c".into(), data_type: dt::DOUBLE, double_data: vec![1.0], ..Tensor::default() }],
            ),
        ),
        // A bound of a slice beyond the end is harmless from 8.2 on; 8.0 refuses it.
        ("int64-range", "tensorrt-8.0", "big", long(2, i64::MAX)),
        ("int64-range", "nano", "big", long(3, i64::MAX)),
        ("rank", "nano", "z", then(node("Unsqueeze", &["y", "axes"], &["z"]), vec![longs("axes", &[0, 1, 2, 3, 4])])),
        ("shape", "nano", "the-Conv (Conv)", graph(|g| g.initializers[0] = floats("w", &[4, 2, 3, 3], 0.1))),
        (
            "shape",
            "nano",
            "the-Reshape (Reshape)",
            then(node("Reshape", &["y", "to"], &["z"]), vec![longs("to", &[7, -1])]),
        ),
        (
            "shape",
            "nano",
            "the-Concat (Concat)",
            then(node("Concat", &["y", "c"], &["z"]).with(int("axis", 1)), vec![floats("c", &[1, 1, 7, 8], 0.0)]),
        ),
        ("shape", "nano", "the-Add (Add)", then(node("Add", &["y", "c"], &["z"]), vec![floats("c", &[5], 0.0)])),
    ]
}

fn operators() -> Vec<Case> {
    let pool = || node("MaxPool", &["y"], &["z"]).with(ints("kernel_shape", &[2, 2]));
    let resize = |a: [&str; 3]| {
        let node = node("Resize", &["y", "", "scales"], &["z"]).with(text("mode", a[0]));
        node.with(text("coordinate_transformation_mode", a[1])).with(text("nearest_mode", a[2]))
    };
    let scales = || vec![floats("scales", &[4], 2.0)];
    let rnn = node("LSTM", &["y", "w", "w"], &["z"]).with(text("direction", "bidirectional"));
    let mut string = node("Constant", &[], &["s"]);
    string.attributes.push(text("value_string", "a"));
    vec![
        ("operator", "tensorrt-8.2", "the-HardSwish (HardSwish)", then(node("HardSwish", &["y"], &["z"]), vec![])),
        ("operator", "tensorrt-8.0", "the-Sign (Sign)", then(node("Sign", &["y"], &["z"]), vec![])),
        ("operator", "orin-nano", "the-QLinearConv (QLinearConv)", then(node("QLinearConv", &["y"], &["z"]), vec![])),
        (
            "nms",
            "nano",
            "the-NonMaxSuppression (NonMaxSuppression)",
            then(node("NonMaxSuppression", &["y"], &["z"]), vec![]),
        ),
        ("control-flow", "nano", "the-Loop (Loop)", then(node("Loop", &["y"], &["z"]), vec![])),
        (
            "random",
            "nano",
            "the-RandomUniformLike (RandomUniformLike)",
            then(node("RandomUniformLike", &["y"], &["z"]), vec![]),
        ),
        (
            "conv-rank",
            "nano",
            "the-Conv (Conv)",
            then(node("Conv", &["y", "v"], &["z"]), vec![floats("v", &[4, 4, 3], 0.1)]),
        ),
        ("conv-weights", "nano", "the-Conv (Conv)", then(node("Conv", &["y", "y"], &["z"]), vec![])),
        (
            "pool-rank",
            "nano",
            "the-MaxPool (MaxPool)",
            then(node("MaxPool", &["y"], &["z"]).with(ints("kernel_shape", &[2])), vec![]),
        ),
        (
            "pool-indices",
            "nano",
            "the-MaxPool (MaxPool)",
            then(node("MaxPool", &["y"], &["z", "i"]).with(ints("kernel_shape", &[2, 2])), vec![]),
        ),
        ("pool-dilations", "nano", "the-MaxPool (MaxPool)", then(pool().with(ints("dilations", &[2, 2])), vec![])),
        ("resize-mode", "nano", "the-Resize (Resize)", then(resize(["cubic", "half_pixel", "floor"]), scales())),
        (
            "resize-coordinates",
            "nano",
            "the-Resize (Resize)",
            then(resize(["linear", "tf_crop_and_resize", "floor"]), scales()),
        ),
        ("resize-nearest", "nano", "the-Resize (Resize)", then(resize(["nearest", "half_pixel", "floor"]), scales())),
        (
            "resize-new",
            "nano",
            "the-Resize (Resize)",
            then(resize(["nearest", "asymmetric", "floor"]).with(int("antialias", 1)), scales()),
        ),
        (
            "training-mode",
            "nano",
            "the-BatchNormalization (BatchNormalization)",
            then(node("BatchNormalization", &["y"], &["z"]).with(int("training_mode", 1)), vec![]),
        ),
        (
            "training-mode",
            "nano",
            "the-Dropout (Dropout)",
            then(node("Dropout", &["y", "", "t"], &["z"]), vec![bytes("t", &[], dt::BOOL, 1)]),
        ),
        (
            "einsum",
            "nano",
            "the-Einsum (Einsum)",
            then(node("Einsum", &["y"], &["z"]).with(text("equation", "bcii->bci")), vec![]),
        ),
        (
            "einsum",
            "nano",
            "the-Einsum (Einsum)",
            then(node("Einsum", &["y"], &["z"]).with(text("equation", "...i->...")), vec![]),
        ),
        ("rnn-activations", "nano", "the-LSTM (LSTM)", then(rnn.with(texts("activations", &["Tanh", "Relu"])), vec![])),
        (
            "space-to-depth",
            "nano",
            "the-SpaceToDepth (SpaceToDepth)",
            graph(|g| {
                g.nodes.push(node("Flatten", &["y"], &["f"]));
                g.nodes.push(node("SpaceToDepth", &["f"], &["z"]));
            }),
        ),
        ("constant-kind", "nano", "the-Constant (Constant)", graph(|g| g.nodes.push(string))),
    ]
}

/// A model whose second node takes input `at` from a node instead of a constant.
fn variable(op: &str, at: usize) -> Model {
    graph(|g| {
        let shape = node("Shape", &["y"], &["v"]);
        let mut inputs = vec![""; at + 1];
        inputs[0] = "y";
        inputs[at] = "v";
        let mut last = node(op, &inputs, &["z"]);
        if op == "Resize" {
            last = last.with(text("mode", "linear"));
        }
        g.nodes.extend([shape, last]);
        g.outputs = vec![value("z", dt::FLOAT, &[1, 4, 8, 8])];
    })
}

fn shapes_and_constants() -> Vec<Case> {
    let pad = |mode: &str| node("Pad", &["y", "pads"], &["z"]).with(text("mode", mode));
    let pads = || vec![longs("pads", &[0; 8])];
    vec![
        ("resize-constant", "nano", "the-Resize (Resize)", variable("Resize", 3)),
        ("slice-axes", "nano", "the-Slice (Slice)", variable("Slice", 3)),
        ("slice-bounds", "nano", "the-Slice (Slice)", variable("Slice", 2)),
        ("squeeze-axes", "nano", "the-Squeeze (Squeeze)", variable("Squeeze", 1)),
        ("cumsum-axis", "nano", "the-CumSum (CumSum)", variable("CumSum", 1)),
        ("topk-k", "nano", "the-TopK (TopK)", variable("TopK", 1)),
        ("topk-max", "nano", "the-TopK (TopK)", then(node("TopK", &["y", "k"], &["z"]), vec![longs("k", &[3841])])),
        ("reshape-shape", "nano", "the-Reshape (Reshape)", variable("Reshape", 1)),
        (
            "reshape-zero",
            "nano",
            "the-Reshape (Reshape)",
            then(node("Reshape", &["y", "to"], &["z"]).with(int("allowzero", 1)), vec![longs("to", &[0, 4])]),
        ),
        ("pad-mode", "tensorrt-8.0", "the-Pad (Pad)", then(pad("reflect"), pads())),
        ("pad-mode", "nano", "the-Pad (Pad)", then(pad("wrap"), pads())),
        (
            "pad-axes",
            "nano",
            "the-Pad (Pad)",
            then(node("Pad", &["y", "pads", "", "axes"], &["z"]), vec![longs("pads", &[0, 0]), longs("axes", &[2])]),
        ),
        ("pad-constant", "nano", "the-Pad (Pad)", variable("Pad", 1)),
        (
            "instance-norm",
            "nano",
            "the-InstanceNormalization (InstanceNormalization)",
            variable("InstanceNormalization", 1),
        ),
    ]
}

/// x -> Q -> DQ -> Conv with weights -> DQ; `change` breaks it.
pub fn quantised_model(change: impl FnOnce(&mut Graph)) -> Model {
    graph(|g| {
        let node = |op: &str, name: &str, inputs: &[&str], output: &str| Node {
            name: name.into(),
            ..node(op, inputs, &[output])
        };
        g.nodes = vec![
            node("QuantizeLinear", "q", &["x", "s", "zero"], "xq"),
            node("DequantizeLinear", "dq", &["xq", "s", "zero"], "xd"),
            node("DequantizeLinear", "dqw", &["w8", "sw", "zeros"], "wd").with(int("axis", 0)),
            node("Conv", "conv", &["xd", "wd"], "y").with(ints("pads", &[1, 1, 1, 1])),
        ];
        g.initializers = vec![
            floats("s", &[], 0.1),
            bytes("zero", &[], dt::INT8, 0),
            bytes("w8", &[4, 3, 3, 3], dt::INT8, 1),
            floats("sw", &[4], 0.1),
            bytes("zeros", &[4], dt::INT8, 0),
        ];
        change(g);
    })
}

fn quantised() -> Vec<Case> {
    vec![
        (
            "q-scale-constant",
            "xavier-nx",
            "q (QuantizeLinear)",
            quantised_model(|g| {
                g.initializers.remove(0);
                g.nodes.insert(0, node("Exp", &["x"], &["s"]));
            }),
        ),
        (
            "q-scale-positive",
            "xavier-nx",
            "q (QuantizeLinear)",
            quantised_model(|g| g.initializers[0] = floats("s", &[], 0.0)),
        ),
        (
            "q-zero-point",
            "xavier-nx",
            "q (QuantizeLinear)",
            quantised_model(|g| g.initializers[1] = bytes("zero", &[], dt::INT8, 3)),
        ),
        (
            "q-type",
            "xavier-nx",
            "q (QuantizeLinear)",
            quantised_model(|g| g.initializers[1] = bytes("zero", &[], dt::UINT8, 0)),
        ),
        (
            "q-activation",
            "xavier-nx",
            "q (QuantizeLinear)",
            quantised_model(|g| g.initializers[0] = floats("s", &[3], 0.1)),
        ),
        ("q-axis", "xavier-nx", "dqw (DequantizeLinear)", quantised_model(|g| g.nodes[2].attributes[0].i = 1)),
        (
            "q-scale-size",
            "xavier-nx",
            "dqw (DequantizeLinear)",
            quantised_model(|g| g.initializers[3] = floats("sw", &[5], 0.1)),
        ),
        ("q-pair", "xavier-nx", "q (QuantizeLinear)", quantised_model(|g| g.nodes.push(node("Relu", &["xq"], &["z"])))),
        ("q-board", "nano", "q (QuantizeLinear)", quantised_model(|_| {})),
    ]
}

fn memory() -> Vec<Case> {
    let large = |side: i64| {
        graph(|g| {
            g.inputs[0] = value("x", dt::FLOAT, &[1, 3, side, side]);
            g.outputs[0] = value("y", dt::FLOAT, &[1, 4, side, side]);
        })
    };
    vec![("memory", "nano", "model", large(16384)), ("memory-build", "orin-nano", "model", large(16384))]
}
