//! What can go wrong at a serial device.

use std::fmt;

/// Decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtyErrorKind {
    /// No such device: try again later.
    Missing,
    /// Another process has it.
    Busy,
    /// Not permitted: a person must mend it.
    Denied,
    /// It went away, or is no serial port: open it anew.
    Lost,
}

/// A failure at a serial device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TtyError {
    /// Decides what happens next.
    pub kind: TtyErrorKind,
    /// The device.
    pub place: String,
    /// For people.
    pub message: String,
}

impl TtyError {
    /// A failure at `place`.
    pub fn new(kind: TtyErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.into(), message: message.into() }
    }

    /// What opening or using device `place` reported.
    pub fn io(place: impl Into<String>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let (kind, message) = match error.kind() {
            K::NotFound => (TtyErrorKind::Missing, format!("no such device ({error}); is the cable plugged in?")),
            K::WouldBlock | K::ResourceBusy => {
                (TtyErrorKind::Busy, "the port is busy: another program has it open".to_owned())
            }
            K::PermissionDenied => {
                (TtyErrorKind::Denied, format!("not permitted ({error}); add the user to group dialout"))
            }
            _ => (TtyErrorKind::Lost, error.to_string()),
        };
        Self::new(kind, place, message)
    }
}

impl fmt::Display for TtyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}: {}", self.place, self.message)
    }
}

impl std::error::Error for TtyError {}
