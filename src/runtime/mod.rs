//! The live driver: threads around the rooms, a heartbeat for each, signals, the control socket. Threads
//! meet only in the newest-frame slot and in bounded channels. Read next: `live`, `desk`, then `eye`.

pub mod clock;
pub mod control;
mod desk;
pub mod devices;
pub mod error;
pub mod eye;
pub mod face;
pub mod heart;
pub mod ladder;
pub mod latency;
pub mod live;
pub mod logger;
mod outputs;
pub mod parts;
pub mod plans;
pub mod status;
pub mod supervisor;
pub mod triggers;

pub use error::{RuntimeError, RuntimeErrorKind};
pub use live::Live;
pub use status::Status;
