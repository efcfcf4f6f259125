//! Serial devices: bytes in and out without waiting, for the POS's port and for scales. Read next: `wire`.

pub mod error;
pub mod pty;
mod wire;

pub use error::{TtyError, TtyErrorKind};
pub use wire::{SerialWire, Wire};
