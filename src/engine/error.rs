//! What can go wrong with an engine, and where.

use std::fmt;

/// What kind of failure it was; what to do next depends on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// A file of the engine's folder is not there.
    Missing,
    /// The manifest can't be read or contradicts itself or the model.
    Manifest,
    /// The model's bytes are not those the manifest states.
    Hash,
    /// The model can't be loaded by this backend.
    Model,
    /// The backend itself is not on this machine.
    Backend,
    /// An inference failed.
    Run,
}

/// A failure of an engine: its kind, the engine or file it happened at, and what was seen.
#[derive(Clone, Debug)]
pub struct EngineError {
    /// Decides what happens next.
    pub kind: EngineErrorKind,
    /// Engine folder, file or backend.
    pub place: String,
    /// For people: what was found and what to do about it.
    pub message: String,
}

impl EngineError {
    /// A new error of `kind` at `place`.
    pub fn new(kind: EngineErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.into(), message: message.into() }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "engine {}: {}", self.place, self.message)
    }
}

impl std::error::Error for EngineError {}
