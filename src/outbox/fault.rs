//! The file system's faulty twin: files in memory, with what a power cut would leave of them kept apart.
//! Counts its operations and fails or cuts the power at the one that a test names. Deterministic.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::outbox::fs::{Fs, Look};

/// What the disk does at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO, nothing done.
    Eio,
    /// ENOSPC for what needs room, half of a write done; the rest works, writing over old bytes too.
    NoSpace,
    /// EROFS, nothing done.
    ReadOnly,
    /// A planted bug: a write does nothing and says that it did.
    Swallowed,
    /// The power fails: half of a write is done, everything afterwards fails until [`FaultDisk::reboot`].
    PowerCut,
    /// The same with exactly so many bytes of a write done. Where `zeros` the file has its new length all the
    /// same, and zeros in the place of the rest, as file systems leave it that note a length before its data.
    Torn {
        /// Bytes of the write.
        done: u32,
        /// What stands behind them.
        zeros: bool,
    },
}

/// What a power cut left of what was not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Bytes, and names of files, that are gone.
    pub lost: u64,
    /// Bytes that are there all the same.
    pub kept: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// As programs see it.
    now: Vec<u8>,
    /// As the disk has it.
    synced: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    operations: u64,
    tally: BTreeMap<&'static str, u64>,
    writes: Vec<(u64, usize)>,
    plan: Option<(u64, Fault)>,
    forever: Option<Fault>,
    dead: bool,
    unreadable: Option<String>,
    lie_about_sync: bool,
    lie_about_folder_sync: bool,
    keep_names: bool,
    /// `None`: not asked for; a long simulation would keep all it ever wrote.
    written: Option<Vec<Vec<u8>>>,
}

/// A disk that several handles share, as a file system does.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk(Arc<Mutex<State>>);

impl FaultDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle for a log.
    pub fn fs(&self) -> Box<dyn Fs> {
        Box::new(FaultFs(self.clone()))
    }

    /// How many operations that change something were asked for so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The same by kind.
    pub fn tally(&self) -> BTreeMap<&'static str, u64> {
        self.state().tally.clone()
    }

    /// Of every write the number of its operation, and its length.
    pub fn writes(&self) -> Vec<(u64, usize)> {
        self.state().writes.clone()
    }

    /// Operation number `at` (from 0) meets `fault`, once.
    pub fn plan(&self, at: u64, fault: Fault) {
        self.state().plan = Some((at, fault));
    }

    /// Every operation meets `fault` until this is called with `None`.
    pub fn forever(&self, fault: Option<Fault>) {
        self.state().forever = fault;
    }

    /// Reading this file meets EIO, as from a bad sector.
    pub fn unreadable(&self, name: &str) {
        self.state().unreadable = Some(name.to_owned());
    }

    /// A planted bug: syncs of files, of the folder, do nothing and say they did.
    pub fn lie(&self, about_files: bool, about_folder: bool) {
        let mut state = self.state();
        state.lie_about_sync = about_files;
        state.lie_about_folder_sync = about_folder;
    }

    /// Whether names that were not synced are on the disk after a power cut all the same, as they may be.
    pub fn keep_names(&self, keep: bool) {
        self.state().keep_names = keep;
    }

    /// The raw disk: the bytes of every file, also of those without a name any more, as the blocks hold them until
    /// something else is written there. Where writing over a file goes to the same blocks.
    pub fn image(&self) -> Vec<Vec<u8>> {
        self.state().inodes.iter().flat_map(|inode| [inode.now.clone(), inode.synced.clone()]).collect()
    }

    /// From now on every byte string that is written is remembered: what a disk that never writes in place (a flash's
    /// spare blocks, a journal) may still hold.
    pub fn remember(&self) {
        self.state().written = Some(Vec::new());
    }

    /// What [`FaultDisk::remember`] remembered.
    pub fn written(&self) -> Vec<Vec<u8>> {
        self.state().written.clone().unwrap_or_default()
    }

    /// Whether the power is off.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Power off and on. Of what was not synced a part may be there all the same: `kept_permille` of each
    /// file's unsynced tail survives.
    pub fn reboot(&self, kept_permille: u32) {
        self.cut_power(kept_permille);
    }

    /// The same, and says what became of what was not synced.
    pub fn cut_power(&self, kept_permille: u32) -> Left {
        let mut left = Left::default();
        let mut state = self.state();
        state.dead = false;
        state.plan = None;
        left.lost = state.names.keys().filter(|name| !state.synced_names.contains_key(*name)).count() as u64;
        if state.keep_names {
            state.synced_names = state.names.clone();
        }
        state.names = state.synced_names.clone();
        for inode in &mut state.inodes {
            if inode.now.len() >= inode.synced.len() && !inode.now.starts_with(&inode.synced) {
                // Written over in place: what came to the disk of it stands before what had not yet gone.
                let kept = inode.now.len() * kept_permille.min(1000) as usize / 1000;
                left.kept += kept as u64;
                left.lost += (inode.now.len() - kept) as u64;
                let rest = inode.synced.get(kept..).unwrap_or_default().to_vec();
                inode.synced = inode.now.get(..kept).unwrap_or(&inode.now).to_vec();
                inode.synced.extend(rest);
            }
            let common = inode.now.iter().zip(&inode.synced).take_while(|(a, b)| a == b).count();
            if inode.now.len() > inode.synced.len() && common == inode.synced.len() {
                let tail = inode.now.len() - common;
                let kept = common + tail * kept_permille.min(1000) as usize / 1000;
                left.kept += (kept - common) as u64;
                left.lost += (inode.now.len() - kept) as u64;
                inode.synced = inode.now.get(..kept).unwrap_or(&inode.now).to_vec();
            }
            inode.now = inode.synced.clone();
        }
        left
    }

    /// Overwrites the synced bytes of a file, as a failing disk does.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        if let Some(&inode) = state.names.get(name)
            && let Some(inode) = state.inodes.get_mut(inode)
        {
            change(&mut inode.now);
            inode.synced = inode.now.clone();
        }
    }
}

struct FaultFs(FaultDisk);

impl FaultFs {
    /// Counts an operation and says what it meets.
    fn meet(state: &mut State, kind: &'static str) -> Result<Option<Fault>, io::Error> {
        if state.dead {
            return Err(Errno::IO.into());
        }
        let at = state.operations;
        state.operations += 1;
        *state.tally.entry(kind).or_default() += 1;
        let fault = match state.plan {
            Some((planned, fault)) if planned == at => Some(fault),
            _ => state.forever,
        };
        match fault {
            Some(Fault::Eio) => Err(Errno::IO.into()),
            Some(Fault::ReadOnly) => Err(Errno::ROFS.into()),
            Some(Fault::PowerCut | Fault::Torn { .. }) => {
                state.dead = true;
                Ok(fault)
            }
            _ => Ok(fault),
        }
    }

    /// An operation that is either done or not.
    fn whole(&self, kind: &'static str, act: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.0.state();
        match Self::meet(&mut state, kind)? {
            None | Some(Fault::NoSpace | Fault::Swallowed) => act(&mut state),
            Some(_) => Err(Errno::IO.into()),
        }
    }
}

fn inode<'s>(state: &'s mut State, name: &str) -> io::Result<&'s mut Inode> {
    let index = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
    state.inodes.get_mut(index).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Look for FaultDisk {
    fn place(&self) -> String {
        "faulty disk".into()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        if state.dead { Err(Errno::IO.into()) } else { Ok(state.names.keys().cloned().collect()) }
    }

    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        if state.dead || state.unreadable.as_deref() == Some(name) {
            return Err(Errno::IO.into());
        }
        let file = &inode(&mut state, name)?.now;
        let from = file.get(offset.min(file.len() as u64) as usize..).unwrap_or_default();
        let n = from.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(from) {
            *to = *from;
        }
        Ok(n)
    }
}

impl Look for FaultFs {
    fn place(&self) -> String {
        self.0.place()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(name, offset, bytes)
    }
}

impl Fs for FaultFs {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let length = inode(&mut self.0.state(), name)?.now.len();
        let mut bytes = vec![0; length];
        self.read_at(name, 0, &mut bytes)?;
        Ok(bytes)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.whole("create", |state| {
            if state.forever == Some(Fault::NoSpace) {
                return Err(Errno::NOSPC.into());
            }
            state.inodes.push(Inode::default());
            let index = state.inodes.len() - 1;
            state.names.insert(name.to_owned(), index);
            Ok(())
        })
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        let fault = Self::meet(&mut state, "write")?;
        let at = state.operations - 1;
        state.writes.push((at, bytes.len()));
        if let Some(written) = &mut state.written {
            written.push(bytes.to_vec());
        }
        let file = inode(&mut state, name)?;
        if fault == Some(Fault::Swallowed) {
            return Ok(());
        }
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let in_place = end <= file.now.len();
        let kept = match fault {
            None => bytes.len(),
            Some(Fault::NoSpace) if in_place => bytes.len(),
            Some(Fault::Torn { done, .. }) => (done as usize).min(bytes.len()),
            Some(_) => bytes.len() / 2,
        };
        if file.now.len() < start + kept {
            file.now.resize(start + kept, 0);
        }
        file.now.iter_mut().skip(start).zip(bytes.iter().take(kept)).for_each(|(to, from)| *to = *from);
        if matches!(fault, Some(Fault::Torn { zeros: true, .. })) && file.now.len() < end {
            file.now.resize(end, 0);
        }
        match fault {
            None => Ok(()),
            Some(Fault::NoSpace) if in_place => Ok(()),
            Some(Fault::NoSpace) => Err(Errno::NOSPC.into()),
            Some(_) => Err(Errno::IO.into()),
        }
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.whole("truncate", |state| {
            inode(state, name)?.now.truncate(length as usize);
            Ok(())
        })
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.whole("sync", |state| {
            if !state.lie_about_sync {
                let file = inode(state, name)?;
                file.synced = file.now.clone();
            }
            Ok(())
        })
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.whole("sync_folder", |state| {
            if !state.lie_about_folder_sync {
                state.synced_names = state.names.clone();
            }
            Ok(())
        })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.whole("rename", |state| {
            let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), index);
            Ok(())
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.whole("remove", |state| state.names.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into()))
    }
}
