//! Small models for the tests: one convolution that passes everywhere, and what is hung behind it.

use super::onnx::*;

/// A node called `name` after its operator.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Node {
    let texts = |t: &[&str]| t.iter().map(|s| (*s).to_owned()).collect();
    Node { name: format!("the-{op}"), op: op.into(), inputs: texts(inputs), outputs: texts(outputs), ..Node::default() }
}

impl Node {
    pub fn with(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }
}

pub fn int(name: &str, i: i64) -> Attribute {
    Attribute { name: name.into(), i, kind: 2, ..Attribute::default() }
}

pub fn ints(name: &str, ints: &[i64]) -> Attribute {
    Attribute { name: name.into(), ints: ints.into(), kind: 7, ..Attribute::default() }
}

pub fn text(name: &str, s: &str) -> Attribute {
    Attribute { name: name.into(), s: s.into(), kind: 3, ..Attribute::default() }
}

pub fn texts(name: &str, strings: &[&str]) -> Attribute {
    let strings = strings.iter().map(|s| s.as_bytes().to_vec()).collect();
    Attribute { name: name.into(), strings, kind: 8, ..Attribute::default() }
}

/// A FLOAT constant, all of one value.
pub fn floats(name: &str, dims: &[i64], value: f32) -> Tensor {
    let n = dims.iter().product::<i64>() as usize;
    let raw = value.to_le_bytes().repeat(n);
    Tensor { name: name.into(), dims: dims.into(), data_type: data_type::FLOAT, raw: Some(raw), ..Tensor::default() }
}

/// An INT64 constant of one dimension.
pub fn longs(name: &str, values: &[i64]) -> Tensor {
    let (dims, data_type) = (vec![values.len() as i64], data_type::INT64);
    Tensor { name: name.into(), dims, data_type, int64_data: values.into(), ..Tensor::default() }
}

/// An INT8 or UINT8 constant of one value.
pub fn bytes(name: &str, dims: &[i64], data_type: i32, value: u8) -> Tensor {
    let raw = Some(vec![value; dims.iter().product::<i64>() as usize]);
    Tensor { name: name.into(), dims: dims.into(), data_type, raw, ..Tensor::default() }
}

/// An input or output; a negative dimension is a name.
pub fn value(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfo {
    let dim = |&d: &i64| Dim { value: Some(if d < 0 { DimValue::Name("n".into()) } else { DimValue::Number(d) }) };
    let shape = Some(Shape { dims: dims.iter().map(dim).collect() });
    let tensor = Some(TensorType { elem_type, shape });
    ValueInfo { name: name.into(), type_: Some(Type { tensor, ..Type::default() }), ..ValueInfo::default() }
}

/// `x` [1, 3, 8, 8] -> the-Conv -> `y` [1, 4, 8, 8].
pub fn good() -> Model {
    let conv = node("Conv", &["x", "w"], &["y"]).with(ints("kernel_shape", &[3, 3])).with(ints("pads", &[1, 1, 1, 1]));
    let graph = Graph {
        name: "good".into(),
        nodes: vec![conv],
        initializers: vec![floats("w", &[4, 3, 3, 3], 0.1)],
        inputs: vec![value("x", data_type::FLOAT, &[1, 3, 8, 8])],
        outputs: vec![value("y", data_type::FLOAT, &[1, 4, 8, 8])],
        ..Graph::default()
    };
    let opsets = vec![Opset { version: 13, ..Opset::default() }];
    Model { ir_version: 7, graph: Some(graph), opsets, ..Model::default() }
}

/// The good model with `change` done to its graph.
pub fn graph(change: impl FnOnce(&mut Graph)) -> Model {
    let mut model = good();
    change(model.graph.get_or_insert_default());
    model
}

/// The good model with a node that reads `y` and makes the output `z`, and its constants.
pub fn then(node: Node, constants: Vec<Tensor>) -> Model {
    graph(|g| {
        g.nodes.push(node);
        g.initializers.extend(constants);
        g.outputs = vec![value("z", data_type::FLOAT, &[1, 4, 8, 8])];
    })
}

/// The same model under another opset.
pub fn opset(mut model: Model, version: i64) -> Model {
    model.opsets[0].version = version;
    model
}
