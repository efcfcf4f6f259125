//! Files of a box below a root: `/` itself or a recorded tree. Everything is read whole and small.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// No file that a check reads is larger; of a larger one the beginning is enough.
const BYTES_MAX: u64 = 1 << 20;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The files below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where `path` of the box lies for this process. A `..` does not lead out of the root.
    pub fn below(&self, path: impl AsRef<Path>) -> PathBuf {
        let mut place = self.root.clone();
        let depth = place.components().count();
        for part in path.as_ref().components() {
            match part {
                Component::Normal(name) => place.push(name),
                Component::ParentDir if place.components().count() > depth => {
                    place.pop();
                }
                _ => {}
            }
        }
        place
    }

    /// The text of a file without the space around it; `None` if it can't be read.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let file = std::fs::File::open(self.below(path)).ok()?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
        // The device tree ends its strings with a zero byte.
        Some(String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ', '\t', '\n', '\r']).to_owned())
    }

    /// A file that holds one number.
    pub fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// Whether there is anything of that name, be it a link to nothing.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.below(path).symlink_metadata().is_ok()
    }

    /// Names in a folder, sorted; none if there is no such folder.
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.below(path)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// Where a link leads, as a path of the box; `None` if it is no link or leads out of the tree.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let path = path.as_ref();
        let target = std::fs::read_link(self.below(path)).ok()?;
        let joined = path.parent().unwrap_or(Path::new("/")).join(target);
        let inside = self.below(joined);
        Some(Path::new("/").join(inside.strip_prefix(&self.root).ok()?))
    }

    /// `path` with all links followed, as a path of the box.
    pub fn canonical(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let real = self.below(path).canonicalize().ok()?;
        let root = self.root.canonicalize().ok()?;
        Some(Path::new("/").join(real.strip_prefix(root).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::new(folder.path());
        assert_eq!(tree.below("/../../etc/passwd"), folder.path().join("etc/passwd"));
        std::fs::create_dir_all(folder.path().join("dev/till")).unwrap();
        std::os::unix::fs::symlink("../ttyUSB0", folder.path().join("dev/till/pos")).unwrap();
        assert_eq!(tree.link("/dev/till/pos"), Some(PathBuf::from("/dev/ttyUSB0")));
        assert!(tree.exists("/dev/till/pos") && !tree.exists("/dev/ttyUSB0"));
        assert_eq!(tree.canonical("/dev/till/pos"), None, "a dangling link");
    }
}
