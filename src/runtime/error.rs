//! What can go wrong while the rooms are joined and run.

use std::fmt;

/// Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeErrorKind {
    /// The configuration names something that is not usable.
    Config,
    /// A device (camera, port) is not there.
    Device,
    /// The control socket can't be opened.
    Control,
    /// Another daemon works on the same state.
    SecondDaemon,
    /// The daemon does not answer.
    Unreachable,
    /// An engine can't be loaded or the required one is missing.
    Engine,
    /// The books on disk can't be opened.
    Storage,
    /// A thread could not be started or died.
    Thread,
    /// Footage could not be played.
    Footage,
}

/// A failure of the runtime and where it happened.
#[derive(Clone, Debug)]
pub struct RuntimeError {
    /// Decides what happens next.
    pub kind: RuntimeErrorKind,
    /// File, device or thread.
    pub place: String,
    /// For people.
    pub message: String,
}

impl RuntimeError {
    /// A new error of `kind` at `place`.
    pub fn new(kind: RuntimeErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.into(), message: message.into() }
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for RuntimeError {}
