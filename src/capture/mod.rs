//! Cameras to frames. A camera is opened by an [`Opener`], read as a [`Stream`], kept alive by its own
//! state machine and read by vision through the newest-frame slot. Capture never waits for vision and
//! never allocates once its frames exist. Read next: `frame`, then `camera`.

#[forbid(unsafe_code)]
pub mod camera;
#[forbid(unsafe_code)]
pub mod clock;
#[forbid(unsafe_code)]
pub mod error;
#[forbid(unsafe_code)]
pub mod frame;
#[forbid(unsafe_code)]
pub mod gst;
#[forbid(unsafe_code)]
pub mod peek;
#[forbid(unsafe_code)]
pub mod run;
#[forbid(unsafe_code)]
pub mod slot;
#[forbid(unsafe_code)]
pub mod source;
#[forbid(unsafe_code)]
pub mod test;
pub mod v4l2;

pub use error::{CaptureError, CaptureErrorKind};
pub use frame::{Frame, Matrix, PixelFormat, Plane};
pub use source::{Opener, Read, Stream};
