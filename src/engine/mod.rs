//! Tensors to tensors. An [`Engine`] owns its input and output buffers: the caller writes into
//! [`Engine::input_mut`], calls [`Engine::run`] and reads [`Engine::output`]. Knows nothing of pictures,
//! carts or faces. Read next: `manifest`, then a backend.

#[forbid(unsafe_code)]
pub mod error;
#[forbid(unsafe_code)]
pub mod head;
#[forbid(unsafe_code)]
pub mod input;
#[forbid(unsafe_code)]
pub mod load;
#[forbid(unsafe_code)]
pub mod manifest;
#[forbid(unsafe_code)]
pub mod null;
#[forbid(unsafe_code)]
pub mod onnxruntime;
#[forbid(unsafe_code)]
pub mod preflight;
#[forbid(unsafe_code)]
pub mod rten;
#[forbid(unsafe_code)]
pub mod second;
pub mod tensorrt;
#[forbid(unsafe_code)]
pub mod suppression;

pub use error::{EngineError, EngineErrorKind};
pub use input::{Colour, Fit, InputSpec, Layout};
pub use load::{Backend, Choice, load};
pub use manifest::Manifest;

/// Name and shape of one tensor, static, batch 1, f32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the model.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

/// A loaded model with one input and one or more outputs, all f32.
pub trait Engine: Send {
    /// `"rten"`, `"onnxruntime"` or `"tensorrt"`.
    fn backend(&self) -> &'static str;
    /// How it computes, `"fp16"` and the like, where that isn't what the manifest says.
    fn precision(&self) -> Option<&'static str> {
        None
    }
    /// What it runs on and how values get there, for people, where that isn't the CPU and its memory.
    fn device(&self) -> Option<&str> {
        None
    }
    /// The input's name and shape.
    fn input(&self) -> &TensorSpec;
    /// The outputs in the model's order.
    fn outputs(&self) -> &[TensorSpec];
    /// The input buffer, row-major, `input().shape` elements. Keeps its contents between runs.
    fn input_mut(&mut self) -> &mut [f32];
    /// One inference over the input buffer.
    fn run(&mut self) -> Result<(), EngineError>;
    /// Output `index` of the last run, row-major; empty before the first run or for an index out of range.
    fn output(&self, index: usize) -> &[f32];
}
