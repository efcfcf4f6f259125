//! The few things that the books ask of a file system, so that a twin can fail at each of them. Names are
//! relative to the log's own folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What a failure of the file system means to whoever must go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another process has the folder.
    Busy,
    /// No room.
    NoSpace,
    /// Can't be written.
    ReadOnly,
    /// Anything else.
    Other,
}

impl Trouble {
    /// What `error` means.
    pub fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace,
            Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => Self::ReadOnly,
            _ if error.kind() == io::ErrorKind::WouldBlock => Self::Busy,
            _ => Self::Other,
        }
    }
}

/// A folder of files, to look at only.
pub trait Look {
    /// The folder, for messages.
    fn place(&self) -> String;
    /// Names of all files in the folder.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Fills `bytes` from `offset` on and returns how many there were; fewer than asked for only at the end.
    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;
}

/// A folder of files.
pub trait Fs: Look + Send {
    /// All bytes of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Makes an empty file or empties an existing one. Durable only after both syncs.
    fn create(&mut self, name: &str) -> io::Result<()>;
    /// Writes `bytes` at `offset`, which is at most the file's length. What stands behind them stays.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to `length`.
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()>;
    /// The file's bytes and length are on the disk when this returns.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// The folder's entries are on the disk when this returns.
    fn sync_folder(&mut self) -> io::Result<()>;
    /// Puts `from` in the place of `to` in one step.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A real folder, never written to and not locked: beside a daemon that works on it.
#[derive(Debug)]
pub struct StdLook {
    folder: PathBuf,
}

impl StdLook {
    /// Looks at `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

impl Look for StdLook {
    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let file = File::open(self.folder.join(name))?;
        let mut filled = 0;
        while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
            match file.read_at(room, offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// The real one. Holds a lock on the folder for as long as it lives.
#[derive(Debug)]
pub struct StdFs {
    folder: PathBuf,
    handle: File,
    /// Rights of a new file.
    mode: u32,
    /// The file written last stays open: an append is one write and one sync.
    open: Option<(String, File)>,
}

impl StdFs {
    /// Opens `folder`, making it if it is not there. Fails with `WouldBlock` while another process has it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Self::with_modes(folder, 0o777, 0o666)
    }

    /// The same for secrets: a folder that is made, and every file, is the owner's alone.
    pub fn private(folder: &Path) -> io::Result<Self> {
        Self::with_modes(folder, 0o700, 0o600)
    }

    /// The rights are cut by the process's umask.
    fn with_modes(folder: &Path, folder_mode: u32, mode: u32) -> io::Result<Self> {
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(folder_mode).create(folder)?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        let handle = File::open(folder)?;
        rustix::fs::flock(&handle, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { folder: folder.to_owned(), handle, mode, open: None })
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if self.open.as_ref().is_none_or(|(open, _)| open != name) {
            let file = OpenOptions::new().write(true).open(self.folder.join(name))?;
            self.open = Some((name.to_owned(), file));
        }
        self.open.as_ref().map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Look for StdFs {
    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        StdLook::new(&self.folder).list()
    }

    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        StdLook::new(&self.folder).read_at(name, offset, bytes)
    }
}

impl Fs for StdFs {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.folder.join(name))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(self.mode).open(self.folder.join(name))?;
        self.open = Some((name.to_owned(), file));
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.file(name)?.set_len(length)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_all()
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open = None;
        std::fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open = None;
        std::fs::remove_file(self.folder.join(name))
    }
}
