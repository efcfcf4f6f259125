//! The device key: 32 bytes, either in the vault's own folder, where till makes and exchanges it, or in a file that
//! somebody else provides, such as a credential of systemd, which till only reads.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::seal::{KEY_BYTES, Key};
use super::{VaultError, VaultErrorKind};

/// Where the device key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The vault's folder.
    Own,
    /// This file, never written.
    File(PathBuf),
}

/// Reads a key file of 32 bytes that nobody but its owner can read; below systemd's folder of credentials, whose
/// access list shows as rights of the group, nobody but the owner and the group.
///
/// # Errors
/// [`VaultErrorKind::Key`]
pub fn load(path: &Path) -> Result<Key, VaultError> {
    let error = |m: String| VaultError::new(VaultErrorKind::Key, path.display().to_string(), m);
    let file = std::fs::File::open(path).map_err(|e| error(format!("the device key can't be read: {e}")))?;
    check_mode(path, &file.metadata().map_err(|e| error(e.to_string()))?)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    file.take(KEY_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| error(format!("the device key can't be read: {e}")))?;
    Key::of(&bytes).ok_or_else(|| {
        error(format!("holds no device key: {KEY_BYTES} bytes, such as head -c {KEY_BYTES} /dev/urandom gives"))
    })
}

/// Refuses a key file that others can read.
pub(super) fn check_mode(path: &Path, about: &std::fs::Metadata) -> Result<(), VaultError> {
    let mode = about.permissions().mode() & 0o777;
    let credential = path.starts_with("/run/credentials");
    if mode & if credential { 0o007 } else { 0o077 } != 0 {
        let shown = path.display().to_string();
        let message = format!("others may read the device key (mode {mode:04o}); run: chmod 600 {shown}");
        return Err(VaultError::new(VaultErrorKind::Key, shown, message));
    }
    Ok(())
}
