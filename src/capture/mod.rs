//! Cameras to frames. A camera is opened by an [`Opener`], read as a [`Stream`], kept alive by its own
//! state machine and read by vision through the newest-frame slot. Capture never waits for vision and
//! never allocates once its frames exist. Read next: `frame`, then `camera`.

pub mod frame;

pub use frame::{Frame, PixelFormat, Plane};
