//! The backend that is always there: `rten`, pure Rust. Holds the input and copies of the outputs, so that
//! nothing of ours is allocated once the engine is loaded; rten's own buffers come from its pool in each run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rten::{Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueView};
use rten_tensor::AsView;

use super::preflight::onnx;
use super::{Engine, EngineError, EngineErrorKind, TensorSpec};

/// A model loaded by rten.
pub struct Rten {
    place: String,
    model: Model,
    options: RunOptions,
    input_id: NodeId,
    output_ids: Vec<NodeId>,
    input: TensorSpec,
    outputs: Vec<TensorSpec>,
    buffer: Vec<f32>,
    results: Vec<Vec<f32>>,
    ran: bool,
}

impl Rten {
    /// Loads the ONNX model in `bytes` with `threads` threads and runs it once over zeros, which settles
    /// the outputs' shapes. `place` names the engine in errors.
    pub fn load(place: &str, bytes: Vec<u8>, threads: usize) -> Result<Self, EngineError> {
        let model_error = |m: String| EngineError::new(EngineErrorKind::Model, place, format!("rten: {m}"));
        // rten 0.27 reads for ever on a number of more than ten bytes; preflight's reader refuses it at any depth.
        onnx::read(&bytes).map_err(model_error)?;
        // A model is somebody else's file: a panic in the library's loader is its refusal, not our end.
        let model = catch_unwind(|| ModelOptions::with_all_ops().prepack_weights(true).load(bytes))
            .map_err(|_| model_error("panicked while loading the model".into()))?
            .map_err(|e| model_error(format!("can't load the model: {e}")))?;
        let [input_id] = model.input_ids() else {
            return Err(model_error(format!("the model has {} inputs, one is read", model.input_ids().len())));
        };
        let input_id = *input_id;
        let input = spec(&model, input_id).map_err(model_error)?;
        let output_ids = model.output_ids().to_vec();
        let outputs = output_ids
            .iter()
            .map(|&id| TensorSpec { name: node_name(&model, id), shape: Vec::new() })
            .collect::<Vec<_>>();
        let buffer = vec![0.0; input.shape.iter().product()];
        let pool = Arc::new(ThreadPool::with_num_threads(threads.max(1)));
        let options = RunOptions::default().with_thread_pool(Some(pool));
        let results = vec![Vec::new(); outputs.len()];
        let place = place.to_owned();
        let mut this =
            Self { place, model, options, input_id, output_ids, input, outputs, buffer, results, ran: false };
        let values = this.infer()?;
        for ((value, spec), result) in values.iter().zip(&mut this.outputs).zip(&mut this.results) {
            let Value::FloatTensor(t) = value else {
                let message = format!("rten: output {:?} is not f32", spec.name);
                return Err(EngineError::new(EngineErrorKind::Model, this.place, message));
            };
            spec.shape = rten_tensor::Layout::shape(t).as_ref().to_vec();
            result.resize(spec.shape.iter().product(), 0.0);
        }
        Ok(this)
    }

    fn infer(&self) -> Result<Vec<Value>, EngineError> {
        let error = |m: String| EngineError::new(EngineErrorKind::Run, self.place.as_str(), format!("rten: {m}"));
        let view = ValueView::from_shape(&self.input.shape, &self.buffer).map_err(|e| error(e.to_string()))?;
        let inputs = vec![(self.input_id, ValueOrView::View(view))];
        catch_unwind(AssertUnwindSafe(|| self.model.run(inputs, &self.output_ids, Some(self.options.clone()))))
            .map_err(|_| error("panicked during the inference".into()))?
            .map_err(|e| error(e.to_string()))
    }
}

fn node_name(model: &Model, id: NodeId) -> String {
    model.node_info(id).and_then(|n| n.name().map(str::to_owned)).unwrap_or_default()
}

/// Name and shape of a value whose shape the model states in full.
fn spec(model: &Model, id: NodeId) -> Result<TensorSpec, String> {
    let name = node_name(model, id);
    let dims = model.node_info(id).and_then(|n| n.shape()).ok_or_else(|| format!("{name:?} has no shape"))?;
    let shape = dims
        .iter()
        .map(|d| match d {
            Dimension::Fixed(n) => Ok(*n),
            Dimension::Symbolic(s) => {
                Err(format!("{name:?} has a dynamic dimension {s:?}; export it with static shapes"))
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(TensorSpec { name, shape })
}

impl Engine for Rten {
    fn backend(&self) -> &'static str {
        "rten"
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
        let values = self.infer()?;
        for ((value, spec), result) in values.iter().zip(&self.outputs).zip(&mut self.results) {
            let Value::FloatTensor(t) = value else { continue };
            let fits = rten_tensor::Layout::shape(t) == spec.shape.as_slice();
            match t.data() {
                Some(data) if fits && data.len() == result.len() => result.copy_from_slice(data),
                // The last steps of some graphs leave a transposed view.
                None if fits => t.iter().zip(result).for_each(|(from, to)| *to = *from),
                _ => {
                    let message = format!("rten: output {:?} changed its shape", spec.name);
                    return Err(EngineError::new(EngineErrorKind::Run, self.place.as_str(), message));
                }
            }
        }
        self.ran = true;
        Ok(())
    }

    fn output(&self, index: usize) -> &[f32] {
        match self.results.get(index) {
            Some(result) if self.ran => result,
            _ => &[],
        }
    }
}
