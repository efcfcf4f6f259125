//! What can be wrong with a configuration, and where: file, line, key, what was found, what is allowed.

use std::fmt;
use std::path::PathBuf;

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// The file or `conf.d` can't be read, is too large or is not UTF-8.
    Unreadable,
    /// It is not TOML.
    Syntax,
    /// No such key or section.
    UnknownKey,
    /// The value is of another type.
    WrongType,
    /// The type is right, the value is not allowed.
    NotAllowed,
    /// A key that must be written is not.
    Missing,
    /// Two keys contradict each other.
    Conflict,
}

impl ConfigErrorKind {
    /// As printed in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Syntax => "syntax",
            Self::UnknownKey => "unknown_key",
            Self::WrongType => "wrong_type",
            Self::NotAllowed => "not_allowed",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
        }
    }
}

/// A mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What kind of mistake it is.
    pub kind: ConfigErrorKind,
    /// The file it stands in.
    pub file: PathBuf,
    /// The line, from 1; `None` when it concerns the whole file.
    pub line: Option<u32>,
    /// The whole key, as `tray.engine.threads`; empty when it concerns the whole file.
    pub key: String,
    /// What stands there.
    pub found: Box<str>,
    /// What may stand there.
    pub allowed: Box<str>,
    /// The key that was perhaps meant.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.found)?;
        if let Some(nearest) = self.nearest {
            write!(f, "; did you mean {nearest:?}?")?;
        }
        write!(f, "; allowed: {}", self.allowed)
    }
}

impl std::error::Error for ConfigError {}
