//! The files of the vault's folder: their names, and how they come and go so that a power cut finds them whole or not
//! at all.

use std::path::Path;

use zeroize::Zeroizing;

use super::seal::Key;
use super::{VaultError, VaultErrorKind, key};
use crate::outbox::fs::{Fs, StdFs};

/// The device key, where it is the vault's own.
pub const KEY_FILE: &str = "device.key";

/// The folder, locked and the owner's alone; its key may not be readable by others.
pub fn real(folder: &Path) -> Result<Box<dyn Fs>, VaultError> {
    let own = folder.join(KEY_FILE);
    if let Ok(about) = own.metadata() {
        key::check_mode(&own, &about)?;
    }
    match StdFs::private(folder) {
        Ok(fs) => Ok(Box::new(fs)),
        Err(e) => Err(VaultError::io(folder.display().to_string(), &e)),
    }
}

/// A file of the folder, for messages.
pub fn place(fs: &dyn Fs, name: &str) -> String {
    format!("{}/{name}", fs.place())
}

/// There is no vault.
pub fn missing(place: String) -> VaultError {
    VaultError::new(VaultErrorKind::Missing, place, "nobody was enrolled here yet; till people init makes the vault")
}

/// A key file's key; none if it is not there, wiped or cut.
pub fn read_key(fs: &dyn Fs, name: &str) -> Option<Key> {
    fs.read(name).ok().map(Zeroizing::new).and_then(|bytes| Key::of(&bytes))
}

/// A file that is on the disk with all its bytes when this returns.
pub fn whole(fs: &mut dyn Fs, name: &str, bytes: &[u8]) -> Result<(), VaultError> {
    fs.create(name)
        .and_then(|()| fs.write_at(name, 0, bytes))
        .and_then(|()| fs.sync(name))
        .and_then(|()| fs.sync_folder())
        .map_err(|e| VaultError::io(place(fs, name), &e))
}

/// A file that is there whole or not at all.
pub fn born(fs: &mut dyn Fs, unborn: &str, name: &str, bytes: &[u8]) -> Result<(), VaultError> {
    whole(fs, unborn, bytes)?;
    fs.rename(unborn, name).and_then(|()| fs.sync_folder()).map_err(|e| VaultError::io(place(fs, name), &e))
}

/// A record's file.
pub fn file_name(number: u32, version: u64) -> String {
    format!("{number:08x}-{version:016x}.rec")
}

/// Number and version of a record's file.
pub fn record_name(name: &str) -> Option<(u32, u64)> {
    let (number, version) = name.strip_suffix(".rec")?.split_once('-')?;
    let parsed = (u32::from_str_radix(number, 16).ok()?, u64::from_str_radix(version, 16).ok()?);
    (file_name(parsed.0, parsed.1) == name).then_some(parsed)
}

/// Writes zeros over a file, waits for the disk and removes it.
pub fn wipe(fs: &mut dyn Fs, name: &str) -> Result<(), VaultError> {
    let length = fs.read(name).map(|file| file.len());
    length
        .and_then(|length| fs.write_at(name, 0, &vec![0; length]))
        .and_then(|()| fs.sync(name))
        .and_then(|()| fs.remove(name))
        .and_then(|()| fs.sync_folder())
        .map_err(|e| VaultError::io(place(fs, name), &e))
}
