//! The vault as the daemon uses it: open for a moment at a time, so that `till people` can have it in between.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::gallery::Precision;

use super::members::Members;
use super::vault::{KeySource, Record, Vault, VaultError, VaultErrorKind};

/// Name, length and time of each file of the vault: what changes when anybody does.
type Stamp = Vec<(std::ffi::OsString, u64, Option<SystemTime>)>;

/// Where the members are, and whether they changed since they were last read.
pub struct Shelf {
    folder: PathBuf,
    key: KeySource,
    network: String,
    dimensions: usize,
    seen: Option<Stamp>,
}

impl Shelf {
    /// Members in `folder`, for the network of this hash, whose vectors have `dimensions` values. Nothing is read yet.
    pub fn new(folder: PathBuf, key: KeySource, network: &str, dimensions: usize) -> Self {
        Self { folder, key, network: network.to_owned(), dimensions, seen: None }
    }

    /// The members, if they changed since the last call; who was deleted is gone at the next one.
    ///
    /// # Errors
    /// What the vault has against it; the next call tries again.
    pub fn reload(&mut self) -> Result<Option<Members>, VaultError> {
        let stamp = self.stamp()?;
        if self.seen.as_ref() == Some(&stamp) {
            return Ok(None);
        }
        self.seen = None;
        let vault = Vault::open_at(&self.folder, &self.key)?;
        let members = Members::load(&vault, &self.network, self.dimensions, Precision::F32);
        drop(vault);
        self.seen = Some(self.stamp()?);
        Ok(Some(members))
    }

    /// Notes that `number` was here on the day of `unix_s`; the vault is opened once a day and person. One that somebody
    /// else has open is asked the next time.
    pub fn note_used(&mut self, members: &mut Members, number: u32, unix_s: Option<u64>) {
        members.note_used(number, unix_s);
        if !members.is_unsaved() {
            return;
        }
        let saved = Vault::open_at(&self.folder, &self.key).and_then(|mut vault| members.save(&mut vault));
        match saved {
            Ok(()) => self.seen = self.stamp().ok(),
            Err(error) => log::warn!("people: the day of a visit could not be kept: {error}"),
        }
    }

    /// The network whose members these are.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Whether there is a vault at all.
    pub fn exists(&self) -> bool {
        self.folder.is_dir()
    }

    /// Makes an empty vault where there is none yet.
    ///
    /// # Errors
    /// What keeps it from being made.
    pub fn make(&self) -> Result<(), VaultError> {
        match Vault::open_at(&self.folder, &self.key) {
            Err(error) if error.kind == VaultErrorKind::Missing => Vault::init_at(&self.folder, &self.key).map(drop),
            _ => Ok(()),
        }
    }

    /// A new member.
    ///
    /// # Errors
    /// What the vault has against it, an id that is somebody's among that: then nothing was kept.
    pub fn put(&self, record: &Record) -> Result<(), VaultError> {
        Vault::open_at(&self.folder, &self.key)?.put(record, false).map(drop)
    }

    fn stamp(&self) -> Result<Stamp, VaultError> {
        let failed = |error: std::io::Error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                let message = "there are no members here: `till people init` makes an empty vault";
                VaultError::new(VaultErrorKind::Missing, self.folder.display().to_string(), message)
            } else {
                VaultError::io(self.folder.display().to_string(), &error)
            }
        };
        let mut stamp = Stamp::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let about = entry.metadata().map_err(failed)?;
            stamp.push((entry.file_name(), about.len(), about.modified().ok()));
        }
        stamp.sort();
        Ok(stamp)
    }
}
