//! A graph with an index: who makes a tensor, what is constant, which shape a tensor has. Holds only references into
//! the model.

use std::collections::{HashMap, HashSet};

use super::onnx::{self, Node, Tensor};
use super::shapes;

/// A tensor's dimensions, all known.
pub type Shape = Vec<u64>;

/// The model's graph, indexed.
pub struct Graph<'a> {
    /// The messages themselves.
    pub model: &'a onnx::Model,
    /// As in the model.
    pub graph: &'a onnx::Graph,
    /// Opset of the default domain; 0 without one.
    pub opset: i64,
    constants: HashMap<&'a str, &'a Tensor>,
    producers: HashMap<&'a str, usize>,
    readers: HashMap<&'a str, Vec<usize>>,
    /// Known shapes by tensor.
    pub shapes: HashMap<&'a str, Shape>,
    /// What the shapes of some nodes' inputs contradict: index of the node and the contradiction.
    pub misfits: Vec<(usize, String)>,
}

impl<'a> Graph<'a> {
    /// Indexes `graph` of `model`.
    pub fn new(model: &'a onnx::Model, graph: &'a onnx::Graph) -> Self {
        let opset = model.opsets.iter().find(|o| is_default(&o.domain)).map_or(0, |o| o.version);
        let mut constants: HashMap<&str, &Tensor> = graph.initializers.iter().map(|t| (t.name.as_str(), t)).collect();
        let mut producers = HashMap::new();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|o| !o.is_empty()) {
                producers.entry(output.as_str()).or_insert(index);
            }
            for input in node.inputs.iter().filter(|i| !i.is_empty()) {
                readers.entry(input.as_str()).or_default().push(index);
            }
            let value = node.attribute("value").and_then(|a| a.t.as_ref());
            if let ("Constant", Some(value), Some(output)) = (node.op.as_str(), value, node.outputs.first()) {
                constants.insert(output, value);
            }
        }
        let mut this =
            Self { model, graph, opset, constants, producers, readers, shapes: HashMap::new(), misfits: Vec::new() };
        shapes::infer(&mut this);
        this
    }

    /// The inputs that no initializer fills (IR 3 and older list initializers too).
    pub fn inputs(&self) -> impl Iterator<Item = &'a onnx::ValueInfo> + '_ {
        let filled: HashSet<&str> = self.graph.initializers.iter().map(|t| t.name.as_str()).collect();
        self.graph.inputs.iter().filter(move |i| !filled.contains(i.name.as_str()))
    }

    /// The constant tensor `name`: an initializer or a Constant's value, through Identity.
    pub fn constant(&self, name: &str) -> Option<&'a Tensor> {
        let mut name = name;
        // Chains of Identity are short; a ring must not hold us.
        for _ in 0..16 {
            if let Some(tensor) = self.constants.get(name) {
                return Some(tensor);
            }
            let node = self.producer(name).filter(|n| n.op == "Identity")?;
            name = node.input(0)?;
        }
        None
    }

    /// The constant of `node`'s input `index`.
    pub fn constant_input(&self, node: &Node, index: usize) -> Option<&'a Tensor> {
        self.constant(node.input(index)?)
    }

    /// True when input `index` is there and no constant.
    pub fn is_variable(&self, node: &Node, index: usize) -> bool {
        node.input(index).is_some_and(|name| self.constant(name).is_none())
    }

    /// Constant integers at input `index`.
    pub fn ints(&self, node: &Node, index: usize) -> Option<Vec<i64>> {
        self.constant_input(node, index)?.integers()
    }

    /// The node that makes the tensor.
    pub fn producer(&self, name: &str) -> Option<&'a Node> {
        self.producers.get(name).and_then(|&i| self.graph.nodes.get(i))
    }

    /// Index of the node that makes the tensor.
    pub fn producer_index(&self, name: &str) -> Option<usize> {
        self.producers.get(name).copied()
    }

    /// Known shape of `node`'s input `index`.
    pub fn shape(&self, node: &Node, index: usize) -> Option<&Shape> {
        self.shapes.get(node.input(index)?)
    }

    /// Indices of the nodes that read the tensor, in order.
    pub fn readers(&self, name: &str) -> &[usize] {
        self.readers.get(name).map_or(&[], Vec::as_slice)
    }

    /// The nodes that read the tensor.
    pub fn reading<'b>(&'b self, name: &str) -> impl Iterator<Item = &'a Node> + 'b {
        self.readers(name).iter().filter_map(|&i| self.graph.nodes.get(i))
    }
}

/// Both spellings of ONNX's own domain.
pub fn is_default(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// How a node is called in a finding: its name, or its number and operator.
pub fn label(index: usize, node: &Node) -> String {
    if node.name.is_empty() { format!("#{index} {}", node.op) } else { format!("{} ({})", node.name, node.op) }
}
