//! Files that a power cut leaves as they were or as they shall be, and never in part.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Puts `parts`, one behind the other, in the place of `file`; an older one's permissions stay.
///
/// # Errors
/// The disk's; the older file is untouched then.
pub fn replace(file: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    // Of the whole name, so that two endings of one stem don't share it.
    name.push(".new");
    let fresh = folder.join(name);
    let written = write(&fresh, file, parts).and_then(|()| fs::rename(&fresh, file));
    if let Err(error) = written {
        // A full disk must not stay full because of us.
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

fn write(fresh: &Path, file: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let old = fs::metadata(file).map(|old| old.permissions()).ok();
    let mode = old.as_ref().map_or(0o666, |old| old.mode());
    let mut written = File::options().write(true).create(true).truncate(true).mode(mode).open(fresh)?;
    parts.iter().try_for_each(|part| written.write_all(part))?;
    if let Some(old) = old {
        // What the umask took away.
        written.set_permissions(old)?;
    }
    written.sync_all()
}
