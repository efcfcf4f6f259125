//! Cameras to frames. A camera is opened by an [`Opener`], read as a [`Stream`], kept alive by its own
//! state machine and read by vision through the newest-frame slot. Capture never waits for vision and
//! never allocates once its frames exist. Read next: `frame`, then `camera`.

pub mod camera;
pub mod clock;
pub mod error;
pub mod frame;
pub mod gst;
pub mod run;
pub mod slot;
pub mod source;
pub mod test;

pub use error::{CaptureError, CaptureErrorKind};
pub use frame::{Frame, PixelFormat, Plane};
pub use source::{Opener, Read, Stream};
