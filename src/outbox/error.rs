//! What can go wrong with the books, and where.

use std::fmt;

use super::fs::Trouble;

/// What kind of failure; what to do next depends on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogErrorKind {
    /// Another process has the folder open.
    Busy,
    /// The bound in bytes is reached: nothing was written, selling must stop.
    Full,
    /// The disk has no room: nothing was kept, selling must stop.
    NoSpace,
    /// The folder can't be written.
    ReadOnly,
    /// A record in the middle is damaged. Never skipped silently.
    Corrupt,
    /// A record is longer than a log takes.
    TooLong,
    /// An earlier write failed and could not be undone: the log must be opened anew.
    Poisoned,
    /// Any other failure of the file system.
    Io,
}

/// A failure of the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    /// Decides what happens next.
    pub kind: LogErrorKind,
    /// Folder or file.
    pub place: String,
    /// Byte offset in the file, where one is meant.
    pub offset: Option<u64>,
    /// For people.
    pub message: String,
}

impl LogError {
    /// A failure at `place`.
    pub fn new(kind: LogErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.into(), offset: None, message: message.into() }
    }

    /// Damage that is no torn tail, at byte `offset` of a file, and what a technician can do about it.
    pub(super) fn corrupt(place: impl Into<String>, offset: u64, what: &str) -> Self {
        let message = format!(
            "{what}; nothing is skipped without your word: till outbox verify shows what is affected, \
             till outbox repair --skip-damaged goes on without it"
        );
        Self::new(LogErrorKind::Corrupt, place, message).at(offset)
    }

    /// The same, at byte `offset`.
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// A failure that the file system reported.
    pub fn io(place: impl Into<String>, error: &std::io::Error) -> Self {
        let kind = match Trouble::of(error) {
            Trouble::NoSpace => LogErrorKind::NoSpace,
            Trouble::ReadOnly => LogErrorKind::ReadOnly,
            Trouble::Busy => LogErrorKind::Busy,
            Trouble::Other => LogErrorKind::Io,
        };
        let message = match kind {
            LogErrorKind::Busy => "another till works on this folder; stop it first (systemctl stop till)".into(),
            LogErrorKind::NoSpace => format!("no room on the disk ({error}); selling stops until there is"),
            LogErrorKind::ReadOnly => format!("can't be written ({error}); check its owner and the mount options"),
            _ => error.to_string(),
        };
        Self::new(kind, place, message)
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "books {}", self.place)?;
        if let Some(offset) = self.offset {
            write!(f, " byte {offset}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for LogError {}
