//! The lock-step driver: footage and its script through every room, frame by frame, with the recording's
//! own time. The same input gives the same bytes. The wire is a real tty, the POS the reference POS, the
//! books are files; only the pace is not the shopper's. Read next: `session`, then `store`.

mod session;
pub mod store;
pub mod verdict;

pub use session::{Played, Player};
pub use verdict::Verdict;

use std::path::{Path, PathBuf};

use crate::runtime::{RuntimeError, RuntimeErrorKind};
use crate::trigger::script::Script;

/// The scripts in `folder`, in the order of their names.
///
/// # Errors
/// When the folder can't be read, holds no script or a script is not sound.
pub fn scripts(folder: &Path) -> Result<Vec<Script>, RuntimeError> {
    let failed = |message: String| RuntimeError::new(RuntimeErrorKind::Footage, folder.display().to_string(), message);
    let entries = std::fs::read_dir(folder).map_err(|error| failed(format!("can't be read: {error}")))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(failed("holds no script; a session is a NAME.toml beside its footage".into()));
    }
    files
        .iter()
        .map(|file| {
            Script::load(file)
                .map_err(|error| RuntimeError::new(RuntimeErrorKind::Footage, "session", error.to_string()))
        })
        .collect()
}
