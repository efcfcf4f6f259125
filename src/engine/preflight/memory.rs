//! What a model needs, estimated from its shapes. The figures are upper bounds for float32 without fusion, and lower
//! bounds where a shape is unknown; a board's own measurement is worth more.

use super::Checker;
use super::graph::Graph;
use super::shapes::elements;

const MIB: u64 = 1 << 20;
/// CUDA's context and TensorRT's own libraries once they are loaded; measured values of Jetson boards that were
/// published lie between 250 and 600 MiB.
const RUNTIME: u64 = 600 * MIB;
/// The workspace that `till engine build` allows.
pub const WORKSPACE: u64 = 256 * MIB;
/// Share of the memory, of 100, that the rest of the system leaves.
const SHARE: u64 = 75;

/// An estimate in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Constants as stored in the file.
    pub weights: u64,
    /// Most activations alive at once, float32.
    pub activations: u64,
    /// While it runs: weights, activations, workspace, CUDA.
    pub run: u64,
    /// While it is built: the file, the parser's and the builder's copies, every activation twice, CUDA.
    pub build: u64,
    /// Nodes whose output has no known shape.
    pub unknown: usize,
}

/// Estimates, and holds the estimate against the board; without one, against the smallest that the table knows.
pub(super) fn check(checker: &mut Checker<'_>, g: &Graph<'_>) -> Memory {
    let memory = estimate(g);
    let board = checker.target.board.clone();
    let Some(board) = board.or_else(|| super::table().boards.iter().min_by_key(|b| b.memory_mib).cloned()) else {
        return memory;
    };
    let limit = board.memory_mib * MIB * SHARE / 100;
    for (rule, need, to) in [("memory", memory.run, "run"), ("memory-build", memory.build, "be built")] {
        if need > limit {
            let what = format!(
                "needs about {} MiB to {to} (weights {} MiB, activations {} MiB), {} leaves {} MiB",
                need / MIB,
                memory.weights / MIB,
                memory.activations / MIB,
                board.name,
                limit / MIB
            );
            checker.find(rule, "model", what);
        }
    }
    memory
}

fn estimate(g: &Graph<'_>) -> Memory {
    let stored = |t: &super::onnx::Tensor| {
        let values = t.float_data.len() * 4 + t.int32_data.len() * 4 + t.int64_data.len() * 8 + t.double_data.len() * 8;
        (t.raw.as_ref().map_or(0, Vec::len) + values) as u64
    };
    let weights = g.graph.initializers.iter().map(stored).fold(0u64, u64::saturating_add);
    let size = |name: &str| g.shapes.get(name).map(|s| elements(s).saturating_mul(4));
    let (mut alive, mut peak, mut all, mut unknown) = (0u64, 0u64, 0u64, 0usize);
    for input in g.inputs() {
        alive = alive.saturating_add(size(&input.name).unwrap_or(0));
    }
    for (index, node) in g.graph.nodes.iter().enumerate() {
        if node.op == "Constant" {
            continue;
        }
        match node.outputs.first().and_then(|o| size(o)) {
            Some(bytes) => {
                alive = alive.saturating_add(bytes);
                all = all.saturating_add(bytes);
            }
            None => unknown += 1,
        }
        peak = peak.max(alive);
        // A tensor dies after its last reader; outputs of the graph live on.
        for (i, name) in node.inputs.iter().enumerate() {
            let last = g.readers(name).last() == Some(&index) && !node.inputs[..i].contains(name);
            if last && g.constant(name).is_none() && !g.graph.outputs.iter().any(|o| &o.name == name) {
                alive = alive.saturating_sub(size(name).unwrap_or(0));
            }
        }
    }
    let sum = |parts: &[u64]| parts.iter().fold(0u64, |a, b| a.saturating_add(*b));
    Memory {
        weights,
        activations: peak,
        run: sum(&[weights, peak, WORKSPACE, RUNTIME]),
        build: sum(&[weights.saturating_mul(3), all.saturating_mul(2), WORKSPACE, RUNTIME]),
        unknown,
    }
}
