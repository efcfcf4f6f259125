//! The manifest alone, without a backend.

#[path = "../../src/engine/error.rs"]
mod error;
#[path = "../../src/engine/head/mod.rs"]
pub mod head;
#[path = "../../src/engine/input.rs"]
mod input;
#[path = "../../src/engine/manifest.rs"]
mod manifest;
#[path = "../../src/engine/second.rs"]
mod second;
#[path = "../../src/engine/suppression.rs"]
pub mod suppression;

pub use error::{EngineError, EngineErrorKind};
pub use input::{Colour, Fit, InputSpec, Layout};
pub use manifest::Manifest;
