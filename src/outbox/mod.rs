//! The books on disk: an append-only log that every durable message enters before its first byte leaves,
//! and every command of the POS before it is acknowledged. [`Log::append`] returns only when the record
//! would survive a power cut. Nothing here panics on what a disk may hold. Read next: `log`,
//! then `fs`; `scan` looks without touching, `repair` skips damage on a person's word.

pub mod error;
pub mod fault;
pub mod fs;
pub mod log;
mod record;
pub mod repair;
pub mod scan;

pub use error::{LogError, LogErrorKind};
pub use fs::{Fs, Look, StdFs, StdLook};
pub use log::{Limits, Log};
