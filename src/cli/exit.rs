//! How a command ends: the exit codes that scripts rely on, and an error with one of them.

use std::fmt;

use crate::engine::{EngineError, EngineErrorKind};
use crate::vision::VisionError;

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration, or an engine's folder, is wrong.
    Config = 3,
    /// A device or library is missing.
    Missing = 4,
    /// It works, but not as it should.
    Degraded = 5,
    /// A check found something.
    Findings = 6,
    /// The daemon doesn't answer.
    Unreachable = 7,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    /// What the process ends with.
    pub exit: Exit,
    /// For people: what was found and what to do about it.
    pub message: String,
}

impl CliError {
    /// A new error that ends the process with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<EngineError> for CliError {
    fn from(e: EngineError) -> Self {
        let exit = match e.kind {
            EngineErrorKind::Missing | EngineErrorKind::Manifest | EngineErrorKind::Hash | EngineErrorKind::Model => {
                Exit::Config
            }
            EngineErrorKind::Backend => Exit::Missing,
            EngineErrorKind::Run => Exit::Failed,
        };
        Self::new(exit, e.to_string())
    }
}

impl From<VisionError> for CliError {
    fn from(e: VisionError) -> Self {
        Self::new(Exit::Failed, e.to_string())
    }
}

impl From<std::io::Error> for CliError {
    fn from(e: std::io::Error) -> Self {
        Self::new(Exit::Failed, e.to_string())
    }
}
