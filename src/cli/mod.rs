//! One file a command.

pub mod bench;
pub mod engine;
pub mod eval_tray;
pub mod exit;
pub mod picture;
pub mod report_tray;

pub use exit::{CliError, Exit};
