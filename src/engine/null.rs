//! An engine that computes nothing: its outputs are what the caller put there. It measures the path around
//! an engine and lets tests of vision run without a model; the counter never loads it.

use super::{Engine, EngineError, TensorSpec};

/// Input and outputs of stated shapes; a run leaves both alone.
pub struct Null {
    input: TensorSpec,
    outputs: Vec<TensorSpec>,
    buffer: Vec<f32>,
    results: Vec<Vec<f32>>,
}

impl Null {
    /// An engine with one input and the given outputs, all zero.
    pub fn new(input: TensorSpec, outputs: Vec<TensorSpec>) -> Self {
        let zeros = |s: &TensorSpec| vec![0.0; s.shape.iter().product()];
        let (buffer, results) = (zeros(&input), outputs.iter().map(zeros).collect());
        Self { input, outputs, buffer, results }
    }

    /// Output `index`, for the caller to fill; empty for an index out of range.
    pub fn output_mut(&mut self, index: usize) -> &mut [f32] {
        self.results.get_mut(index).map_or(&mut [], Vec::as_mut_slice)
    }
}

impl Engine for Null {
    fn backend(&self) -> &'static str {
        "null"
    }

    fn input(&self) -> &TensorSpec {
        &self.input
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn input_mut(&mut self) -> &mut [f32] {
        &mut self.buffer
    }

    fn run(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn output(&self, index: usize) -> &[f32] {
        self.results.get(index).map_or(&[], Vec::as_slice)
    }
}
