//! What can go wrong between a frame and an observation, and where.

use std::fmt;

use crate::engine::EngineError;

/// What kind of failure it was; what to do next depends on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisionErrorKind {
    /// The frame contradicts itself: no pixels, planes that reach past its bytes, a stride below a row.
    Frame,
    /// The input buffer is not the size that the input specification states.
    Input,
    /// The model's outputs don't have the shape that the head reads, or the labels don't fit them.
    Head,
    /// The engine failed.
    Engine,
}

/// A failure of vision: its kind, what it happened at, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisionError {
    /// Decides what happens next.
    pub kind: VisionErrorKind,
    /// Frame number, engine or output.
    pub place: String,
    /// For people: what was found and what to do about it.
    pub message: String,
}

impl VisionError {
    /// A new error of `kind` at `place`.
    pub fn new(kind: VisionErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.into(), message: message.into() }
    }
}

impl From<EngineError> for VisionError {
    fn from(e: EngineError) -> Self {
        Self { kind: VisionErrorKind::Engine, place: e.place, message: e.message }
    }
}

impl fmt::Display for VisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vision {}: {}", self.place, self.message)
    }
}

impl std::error::Error for VisionError {}
