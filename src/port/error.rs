//! What can go wrong at the port, and where.

use std::fmt;

use crate::outbox::{LogError, LogErrorKind};
use crate::tty::{TtyError, TtyErrorKind};

/// Decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortErrorKind {
    /// No such device: try again later.
    Missing,
    /// Another process has the port.
    Busy,
    /// Not permitted: a person must mend it.
    Denied,
    /// The device went away: open it anew.
    Lost,
    /// The books can't be written.
    Storage(LogErrorKind),
    /// A message does not fit a frame.
    TooLong,
    /// The key of the link can't be used: a person must mend it.
    Key,
}

/// A failure at the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortError {
    /// Decides what happens next.
    pub kind: PortErrorKind,
    /// Device or log.
    pub place: String,
    /// For people.
    pub message: String,
}

impl PortError {
    /// A failure at `place`.
    pub fn new(kind: PortErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.into(), message: message.into() }
    }
}

impl From<TtyError> for PortError {
    fn from(error: TtyError) -> Self {
        let kind = match error.kind {
            TtyErrorKind::Missing => PortErrorKind::Missing,
            TtyErrorKind::Busy => PortErrorKind::Busy,
            TtyErrorKind::Denied => PortErrorKind::Denied,
            TtyErrorKind::Lost => PortErrorKind::Lost,
        };
        Self::new(kind, error.place, error.message)
    }
}

impl From<LogError> for PortError {
    fn from(error: LogError) -> Self {
        Self::new(PortErrorKind::Storage(error.kind), "books", error.to_string())
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}: {}", self.place, self.message)
    }
}

impl std::error::Error for PortError {}
