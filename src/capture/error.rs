//! What can go wrong with a camera, and at which.

use std::fmt;

/// What kind of failure it was; what to do next depends on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureErrorKind {
    /// The device, file or host is not there.
    Missing,
    /// Somebody else has the device.
    Busy,
    /// We may not open it.
    Denied,
    /// It is there, but no picture can be made of what it holds.
    Unreadable,
    /// Pictures come, but in a layout that [`PixelFormat`](super::PixelFormat) doesn't have.
    Format,
    /// The pipeline can't be built: an element is missing or the text is wrong.
    Pipeline,
    /// It worked and then went away.
    Lost,
}

/// A failure of a camera: its kind, the camera it happened at, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureError {
    /// Decides what happens next.
    pub kind: CaptureErrorKind,
    /// The camera's role or name in the configuration.
    pub camera: String,
    /// For people: what was found and what to do about it.
    pub message: String,
}

impl CaptureError {
    /// A new error of `kind` at `camera`.
    pub fn new(kind: CaptureErrorKind, camera: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, camera: camera.into(), message: message.into() }
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "camera {}: {}", self.camera, self.message)
    }
}

impl std::error::Error for CaptureError {}
