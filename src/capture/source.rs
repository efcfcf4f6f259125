//! The two traits behind which every camera hides, so that faults can be injected where a real one has
//! them: at the opening and at each read.

use std::time::Duration;

use super::{CaptureError, Frame};

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The frame was filled.
    Frame,
    /// Nothing came in time; the frame's contents are unspecified.
    Timeout,
    /// A picture came damaged and was left out; the frame has its number, the rest is unspecified.
    Damaged,
    /// The recording is over. A camera proper never ends; it fails.
    End,
}

/// An open camera. Dropping it closes the device.
pub trait Stream: Send {
    /// Waits at most about `timeout` for the next frame and writes it into `frame`, keeping the
    /// capacity of its bytes. After an error or [`Read::End`] the stream must be dropped.
    fn read(&mut self, frame: &mut Frame, timeout: Duration) -> Result<Read, CaptureError>;
}

/// Opens one camera again and again. A device's stable name is resolved anew at each opening.
pub trait Opener: Send {
    /// Opens the camera and starts it. Need not wait for the first frame.
    fn open(&mut self) -> Result<Box<dyn Stream>, CaptureError>;
}
