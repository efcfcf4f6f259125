//! What can go wrong at a line or a load cell, and where.

use std::fmt;

use crate::tty::{TtyError, TtyErrorKind};

/// Decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerErrorKind {
    /// No such device or line: it may yet be plugged in.
    Missing,
    /// Another program has it.
    Busy,
    /// Not permitted: a person must mend it.
    Denied,
    /// The device went away or answers nothing.
    Lost,
    /// What it sends is not what was configured.
    Format,
    /// More lies on it than it can weigh.
    Overload,
    /// The bridge is open or shorted.
    Disconnected,
    /// There is no calibration, or it can't be used.
    Calibration,
}

/// A failure at a line or a load cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerError {
    /// Decides what happens next.
    pub kind: TriggerErrorKind,
    /// The device, the line or the file.
    pub place: String,
    /// For people, with what to do.
    pub message: String,
}

impl TriggerError {
    /// A failure at `place`.
    pub fn new(kind: TriggerErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.into(), message: message.into() }
    }

    /// What opening or reading `place` reported.
    pub fn io(place: impl Into<String>, error: &std::io::Error) -> Self {
        TtyError::io(place, error).into()
    }
}

impl From<TtyError> for TriggerError {
    fn from(error: TtyError) -> Self {
        let kind = match error.kind {
            TtyErrorKind::Missing => TriggerErrorKind::Missing,
            TtyErrorKind::Busy => TriggerErrorKind::Busy,
            TtyErrorKind::Denied => TriggerErrorKind::Denied,
            TtyErrorKind::Lost => TriggerErrorKind::Lost,
        };
        Self::new(kind, error.place, error.message)
    }
}

impl fmt::Display for TriggerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for TriggerError {}
