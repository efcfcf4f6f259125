//! What can go wrong with the vault, and where. Never holds a key, a name or a value of a template.

use std::fmt;

use crate::outbox::fs::Trouble;

/// What kind of failure; what to do next depends on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultErrorKind {
    /// Another process has the vault open.
    Busy,
    /// There is no vault yet.
    Missing,
    /// No device key, or one that others may read.
    Key,
    /// The vault was closed with another device key.
    WrongKey,
    /// The index, or a record, is not what the vault wrote: damaged, cut, exchanged or older.
    Tampered,
    /// The disk has no room: nothing was kept.
    NoSpace,
    /// The folder can't be written.
    ReadOnly,
    /// Nobody has this id.
    Unknown,
    /// Somebody has this id already.
    Exists,
    /// What was to be stored is no person's record: an id, a name, a vector that can't be.
    Invalid,
    /// As many people as a vault holds.
    Full,
    /// It is done, but an old copy could not be overwritten yet; opening the vault again finishes it.
    Remains,
    /// An earlier write failed and could not be undone: the vault must be opened anew.
    Poisoned,
    /// The system gave no random numbers.
    Random,
    /// Any other failure of the file system.
    Io,
}

/// A failure of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultError {
    /// Decides what happens next.
    pub kind: VaultErrorKind,
    /// Folder or file.
    pub place: String,
    /// For people.
    pub message: String,
}

impl VaultError {
    /// A failure at `place`.
    pub fn new(kind: VaultErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.into(), message: message.into() }
    }

    /// A failure that the file system reported.
    pub fn io(place: impl Into<String>, error: &std::io::Error) -> Self {
        let (kind, message) = match Trouble::of(error) {
            Trouble::Busy => {
                (VaultErrorKind::Busy, "another till works on the members; try again when it is done".to_owned())
            }
            Trouble::NoSpace => {
                (VaultErrorKind::NoSpace, format!("no room on the disk ({error}); nobody was enrolled"))
            }
            Trouble::ReadOnly => {
                (VaultErrorKind::ReadOnly, format!("can't be used ({error}); check its owner and the mount options"))
            }
            Trouble::Other => (VaultErrorKind::Io, error.to_string()),
        };
        Self::new(kind, place, message)
    }
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "members {}: {}", self.place, self.message)
    }
}

impl std::error::Error for VaultError {}
