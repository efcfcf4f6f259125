//! The vault on a folder: opening with recovery, every change as one commit of the index.

mod projected;

use std::path::Path;

use zeroize::Zeroizing;

use super::files::{self, KEY_FILE, born, file_name, missing, place, read_key, real, record_name, whole};
use super::index::{Entry, Index, Read};
use super::key::{self, KeySource};
use super::record::{RECORD_BYTES_MAX, Record};
use super::seal::{self, KEY_BYTES, Key};
use super::{VaultError, VaultErrorKind};
use crate::outbox::fs::Fs;

/// The two copies of the index.
const SLOTS: [&str; 2] = ["index.a", "index.b"];
/// The device key that is about to take its place.
const NEXT_KEY_FILE: &str = "device.key.next";
/// Files that are not in their place yet.
const UNBORN: [&str; 2] = ["index.new", "device.key.new"];
/// An index file grows by so much at a time.
const GROW_BYTES: usize = 4096;
/// First bytes of a record file.
const RECORD_MAGIC: &[u8; 8] = b"TILLREC1";

/// One person of the vault.
#[derive(Debug)]
pub struct Person {
    /// Number in this vault, the one in galleries.
    pub number: u32,
    /// Days since 1970 of the last recognition.
    pub used_day: Option<u32>,
    /// What is kept, unless it can't be opened.
    pub record: Result<Record, VaultError>,
}

/// The open vault; it has the folder alone.
pub struct Vault {
    fs: Box<dyn Fs>,
    source: KeySource,
    key: Key,
    index: Index,
    /// The bytes of both copies of the index.
    current: Vec<u8>,
    lengths: [usize; 2],
    /// The copy that could not be written yet.
    stale: Option<usize>,
    poisoned: bool,
    notes: Vec<String>,
}

/// Says how many there are, not who.
impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({} people)", self.len())
    }
}

impl Vault {
    /// Makes an empty vault in `folder`, and its own device key if there is none.
    ///
    /// # Errors
    /// [`VaultErrorKind::Exists`] and what the key or the file system has against it.
    pub fn init_at(folder: &Path, source: &KeySource) -> Result<Self, VaultError> {
        Self::init(real(folder)?, source)
    }

    /// Opens the vault in `folder`.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open_at(folder: &Path, source: &KeySource) -> Result<Self, VaultError> {
        if !folder.is_dir() {
            return Err(missing(folder.display().to_string()));
        }
        Self::open(real(folder)?, source)
    }

    /// As [`Vault::init_at`], on a folder that `fs` has.
    ///
    /// # Errors
    /// As [`Vault::init_at`].
    pub fn init(mut fs: Box<dyn Fs>, source: &KeySource) -> Result<Self, VaultError> {
        let names = fs.list().map_err(|e| VaultError::io(fs.place(), &e))?;
        if SLOTS.iter().any(|slot| names.iter().any(|n| n == slot)) {
            let message = "there is a vault already; it is not overwritten";
            return Err(VaultError::new(VaultErrorKind::Exists, fs.place(), message));
        }
        if let Some(name) = names.iter().find(|n| record_name(n).is_some()) {
            let message = "a record without an index: the vault was cut apart; restore it, or remove the record";
            return Err(VaultError::new(VaultErrorKind::Tampered, place(&*fs, name), message));
        }
        let key = match source {
            KeySource::File(path) => key::load(path)?,
            KeySource::Own => match read_key(&*fs, KEY_FILE) {
                Some(key) => key,
                None => {
                    let key = Key::draw()?;
                    born(&mut *fs, UNBORN[1], KEY_FILE, key.bytes())?;
                    key
                }
            },
        };
        let vault = seal::random()?;
        let index = Index { vault, generation: 1, next: 1, entries: Vec::new(), projection: None };
        let mut file = index.encode(&key)?;
        file.resize(file.len().next_multiple_of(GROW_BYTES), 0);
        born(&mut *fs, UNBORN[0], SLOTS[0], &file)?;
        Self::open(fs, source)
    }

    /// Opens the vault in the folder that `fs` has, and finishes what a crash interrupted.
    ///
    /// # Errors
    /// [`VaultErrorKind::Missing`] without a vault, [`VaultErrorKind::Key`] and [`VaultErrorKind::WrongKey`],
    /// [`VaultErrorKind::Tampered`] when no copy of the index is whole.
    pub fn open(fs: Box<dyn Fs>, source: &KeySource) -> Result<Self, VaultError> {
        let names = fs.list().map_err(|e| VaultError::io(fs.place(), &e))?;
        if !SLOTS.iter().any(|slot| names.iter().any(|n| n == slot)) {
            return Err(missing(fs.place()));
        }
        let keys: Vec<Key> = match source {
            KeySource::File(path) => vec![key::load(path)?],
            KeySource::Own => [KEY_FILE, NEXT_KEY_FILE].iter().filter_map(|name| read_key(&*fs, name)).collect(),
        };
        if keys.is_empty() {
            let message = "there is no device key, and without it nobody can be read: restore it, or remove the vault";
            return Err(VaultError::new(VaultErrorKind::Key, place(&*fs, KEY_FILE), message));
        }
        let files = SLOTS.map(|slot| fs.read(slot).unwrap_or_default());
        let keys: Vec<&Key> = keys.iter().collect();
        let reads = [0, 1].map(|i| Index::decode(&files[i], &keys));
        let other_key = reads.iter().any(|read| matches!(read, Read::OtherKey));
        let mut notes = Vec::new();
        let mut best: Option<(usize, Box<Index>)> = None;
        for (i, read) in reads.into_iter().enumerate() {
            match read {
                Read::Index(index) if best.as_ref().is_none_or(|(_, b)| index.generation > b.generation) => {
                    best = Some((i, index));
                }
                Read::Index(_) => {}
                _ if files[i].is_empty() => {}
                _ => notes.push(format!("{} was not whole and was written anew from its twin", SLOTS[i])),
            }
        }
        let Some((at, index)) = best else {
            let (kind, message) = match other_key {
                true => (VaultErrorKind::WrongKey, "was closed with another device key than the one that is here"),
                false => (VaultErrorKind::Tampered, "neither copy of the index is what the vault wrote"),
            };
            return Err(VaultError::new(kind, fs.place(), message));
        };
        let id = files[at].get(8..16).unwrap_or_default();
        let key = keys.iter().find(|key| key.id() == id).map(|key| Key::clone(key));
        let key = key.ok_or_else(|| missing(fs.place()))?;
        let lengths = files.each_ref().map(Vec::len);
        let [a, b] = files;
        let same = a == b;
        let current = if at == 0 { a } else { b };
        let source = source.clone();
        let stale = (!same).then_some(1 - at);
        let mut vault = Self { fs, source, key, index: *index, current, lengths, stale, poisoned: false, notes };
        vault.recover(&names)?;
        Ok(vault)
    }

    /// Finishes what was begun: the twin, a rotation of the key, files that nobody knows.
    fn recover(&mut self, names: &[String]) -> Result<(), VaultError> {
        self.heal()?;
        if self.source == KeySource::Own && names.iter().any(|n| n == NEXT_KEY_FILE) {
            match read_key(&*self.fs, NEXT_KEY_FILE) {
                Some(next) if next.id() == self.key.id() => self.finish_rotation()?,
                _ => self.wipe(NEXT_KEY_FILE)?,
            }
        }
        let known =
            |number: u32, version: u64| self.index.entries.iter().any(|e| e.number == number && e.version == version);
        let orphan = |name: &&String| match record_name(name) {
            Some((number, version)) => !known(number, version),
            None => UNBORN.contains(&name.as_str()),
        };
        let orphans: Vec<&String> = names.iter().filter(orphan).collect();
        orphans.into_iter().try_for_each(|name| self.wipe(name))
    }

    /// People.
    pub fn len(&self) -> usize {
        self.index.entries.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.index.entries.is_empty()
    }

    /// Counts the changes of this vault. Written down elsewhere it tells whether the folder as a whole was put back.
    pub fn generation(&self) -> u64 {
        self.index.generation
    }

    /// The folder, for messages.
    pub fn place(&self) -> String {
        self.fs.place()
    }

    /// What opening mended.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Everybody, by number; a record that can't be opened says so in its place.
    pub fn people(&self) -> impl Iterator<Item = Person> {
        self.index.entries.iter().map(|entry| Person {
            number: entry.number,
            used_day: (entry.used_day > 0).then_some(entry.used_day),
            record: self.record(entry),
        })
    }

    /// The person with this id.
    ///
    /// # Errors
    /// [`VaultErrorKind::Unknown`]
    pub fn find(&self, id: &str) -> Result<Person, VaultError> {
        let mine = |person: &Person| person.record.as_ref().is_ok_and(|record| record.id == id);
        self.people().find(mine).ok_or_else(|| {
            VaultError::new(VaultErrorKind::Unknown, self.place(), "nobody has this id; till people list shows all")
        })
    }

    fn record(&self, entry: &Entry) -> Result<Record, VaultError> {
        let name = file_name(entry.number, entry.version);
        let tampered = |message: &str| VaultError::new(VaultErrorKind::Tampered, place(&*self.fs, &name), message);
        let file = self.fs.read(&name).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => tampered("the record is gone"),
            _ => VaultError::io(place(&*self.fs, &name), &e),
        })?;
        let about = self.about(entry.number, entry.version);
        let opened = || {
            let key = Key::of(&self.key.open(&about, &entry.wrapped)?)?;
            let sealed = file.strip_prefix(RECORD_MAGIC).filter(|s| s.len() <= 2 * RECORD_BYTES_MAX)?;
            Record::decode(&key.open(&about, sealed)?)
        };
        opened().ok_or_else(|| tampered("the record is not what the vault wrote: changed, cut, exchanged or older"))
    }

    /// What a record and its key are bound to.
    fn about(&self, number: u32, version: u64) -> Vec<u8> {
        [b"till people record 1".as_slice(), &self.index.vault, &number.to_le_bytes(), &version.to_le_bytes()].concat()
    }

    /// Keeps a person. Afterwards the person is there even if the power fails; after an error nothing changed.
    /// `replace` puts the record in the place of the one with the same id.
    ///
    /// # Errors
    /// [`VaultErrorKind::Exists`] without `replace`, [`VaultErrorKind::Invalid`], or what the file system said.
    pub fn put(&mut self, record: &Record, replace: bool) -> Result<u32, VaultError> {
        let mut plain = self.turned(record).as_ref().unwrap_or(record).encode()?;
        self.heal()?;
        let old = match self.find(&record.id) {
            Ok(_) if !replace => {
                let message = "somebody has this id already; delete first, or enrol anew with --replace";
                return Err(VaultError::new(VaultErrorKind::Exists, self.place(), message));
            }
            Ok(person) => Some(person.number),
            Err(_) => None,
        };
        let mut index = self.index.clone();
        index.generation += 1;
        let (number, version) = (old.unwrap_or(index.next), index.generation);
        let (wrapped, file) = self.close(number, version, &mut plain)?;
        let replaced = match index.entries.iter_mut().find(|e| e.number == number) {
            Some(entry) => {
                let before = entry.version;
                (entry.version, entry.wrapped) = (version, wrapped);
                Some(before)
            }
            None => {
                index.next = number.checked_add(1).ok_or_else(|| {
                    VaultError::new(VaultErrorKind::Full, self.place(), "all numbers of this vault are used")
                })?;
                index.entries.push(Entry { number, version, used_day: 0, wrapped });
                None
            }
        };
        let name = file_name(number, version);
        let written = whole(&mut *self.fs, &name, &file).and_then(|()| self.commit(index, None));
        if let Err(error) = written {
            // Where it is not known which index the disk has, opening decides about the record, too.
            if !self.poisoned {
                let _ = self.wipe(&name);
            }
            return Err(error);
        }
        if let Some(before) = replaced {
            // Its key is gone; what is left is removed when the vault is opened next.
            let _ = self.wipe(&file_name(number, before));
        }
        Ok(number)
    }

    /// Closes a record under a key of its own: the key, wrapped, and the bytes of the record's file.
    fn close(
        &self,
        number: u32,
        version: u64,
        plain: &mut [u8],
    ) -> Result<([u8; super::index::WRAPPED_BYTES], Vec<u8>), VaultError> {
        let about = self.about(number, version);
        let key = Key::draw()?;
        let sealed = key.seal(&about, plain)?;
        Ok((self.wrap(&self.key, &key, &about)?, [RECORD_MAGIC.as_slice(), &sealed].concat()))
    }

    /// Ends these people: their keys are written over, then their records. Numbers that are not there are ignored.
    ///
    /// # Errors
    /// [`VaultErrorKind::Remains`] when they are gone but an old byte could not be overwritten; any other kind when
    /// they are still there.
    pub fn delete(&mut self, numbers: &[u32]) -> Result<usize, VaultError> {
        let (gone, entries): (Vec<Entry>, Vec<Entry>) =
            self.index.entries.iter().cloned().partition(|e| numbers.contains(&e.number));
        if gone.is_empty() {
            return Ok(0);
        }
        let index = Index { generation: self.index.generation + 1, entries, ..self.index.clone() };
        self.commit(index, None)?;
        let wiped = gone.iter().try_for_each(|e| match self.wipe(&file_name(e.number, e.version)) {
            // Somebody took the file away before.
            Err(_) if !self.exists(&file_name(e.number, e.version)) => Ok(()),
            result => result,
        });
        self.remains(wiped)?;
        Ok(gone.len())
    }

    /// Notes on which day people were recognised last, all in one write; a day before the noted one changes nothing.
    ///
    /// # Errors
    /// What the file system said; nothing changed.
    pub fn note_used(&mut self, days: &[(u32, u32)]) -> Result<(), VaultError> {
        let mut index = self.index.clone();
        let mut changed = false;
        for (number, day) in days {
            if let Some(entry) = index.entries.iter_mut().find(|e| e.number == *number && e.used_day < *day) {
                entry.used_day = *day;
                changed = true;
            }
        }
        index.generation += 1;
        if changed { self.commit(index, None) } else { Ok(()) }
    }

    /// Exchanges the vault's own device key; the old one is written over.
    ///
    /// # Errors
    /// [`VaultErrorKind::Key`] when the key comes from elsewhere; [`VaultErrorKind::Remains`] when the new key holds
    /// but the old one could not be overwritten; any other kind when the old one still holds.
    pub fn rotate(&mut self) -> Result<(), VaultError> {
        if self.source != KeySource::Own {
            let message = "the device key comes from a file of its own; name the new one with --new-key";
            return Err(VaultError::new(VaultErrorKind::Key, self.place(), message));
        }
        let next = Key::draw()?;
        let begun = whole(&mut *self.fs, NEXT_KEY_FILE, next.bytes()).and_then(|()| self.rewrap(next));
        if let Err(error) = begun {
            if !self.poisoned {
                let _ = self.wipe(NEXT_KEY_FILE);
            }
            return Err(error);
        }
        let finished = if self.stale.is_none() { self.finish_rotation() } else { Ok(()) };
        self.remains(finished)
    }

    /// Closes the vault with `key`, for a device key that comes from elsewhere: the caller puts it in its place.
    ///
    /// # Errors
    /// As [`Vault::rotate`].
    pub fn rewrap(&mut self, key: Key) -> Result<(), VaultError> {
        let mut index = self.index.clone();
        index.generation += 1;
        for entry in &mut index.entries {
            let about = self.about(entry.number, entry.version);
            let secret = self.key.open(&about, &entry.wrapped).and_then(|bytes| Key::of(&bytes)).ok_or_else(|| {
                VaultError::new(VaultErrorKind::Tampered, self.place(), "a key of the index can't be opened")
            })?;
            entry.wrapped = self.wrap(&key, &secret, &about)?;
        }
        self.commit(index, Some(key))
    }

    /// The new key is in use; puts it in the place of the old one, which is overwritten.
    fn finish_rotation(&mut self) -> Result<(), VaultError> {
        let error = |fs: &dyn Fs, e: &std::io::Error| VaultError::io(place(fs, KEY_FILE), e);
        if self.exists(KEY_FILE) {
            self.fs
                .write_at(KEY_FILE, 0, &[0; KEY_BYTES])
                .and_then(|()| self.fs.sync(KEY_FILE))
                .map_err(|e| error(&*self.fs, &e))?;
        }
        self.fs.rename(NEXT_KEY_FILE, KEY_FILE).and_then(|()| self.fs.sync_folder()).map_err(|e| error(&*self.fs, &e))
    }

    fn wrap(&self, device: &Key, key: &Key, about: &[u8]) -> Result<[u8; super::index::WRAPPED_BYTES], VaultError> {
        let mut bytes = Zeroizing::new(*key.bytes());
        let sealed = device.seal(about, bytes.as_mut_slice())?;
        sealed.try_into().map_err(|_| VaultError::new(VaultErrorKind::Invalid, self.place(), "a key of another size"))
    }

    /// Makes `index`, closed with `key` or the present one, the vault's: all of it or nothing.
    fn commit(&mut self, index: Index, key: Option<Key>) -> Result<(), VaultError> {
        self.heal()?;
        let mut file = index.encode(key.as_ref().unwrap_or(&self.key))?;
        let length = self.lengths.into_iter().fold(file.len().next_multiple_of(GROW_BYTES), usize::max);
        // Room first, for both copies: from here on a full disk stops nothing.
        for slot in 0..SLOTS.len() {
            self.grow(slot, length)?;
        }
        file.resize(length, 0);
        if let Err(error) = self.write(0, &file) {
            let current = std::mem::take(&mut self.current);
            self.poisoned = self.write(0, &current).is_err();
            self.current = current;
            return Err(error);
        }
        self.index = index;
        self.key = key.unwrap_or_else(|| self.key.clone());
        self.stale = self.write(1, &file).is_err().then_some(1);
        self.current = file;
        Ok(())
    }

    /// Fills a copy of the index up to `length` with zeros, which mean nothing.
    fn grow(&mut self, slot: usize, length: usize) -> Result<(), VaultError> {
        let (name, from) = (SLOTS[slot], self.lengths[slot]);
        if from >= length {
            return Ok(());
        }
        let grown = self
            .fs
            .write_at(name, from as u64, &vec![0; length - from])
            .and_then(|()| self.fs.sync(name))
            .map_err(|e| VaultError::io(place(&*self.fs, name), &e));
        self.lengths[slot] = self.fs.read(name).map_or(from, |file| file.len());
        grown
    }

    /// Writes a copy of the index over the one that is there.
    fn write(&mut self, slot: usize, file: &[u8]) -> Result<(), VaultError> {
        let name = SLOTS[slot];
        self.fs
            .write_at(name, 0, file)
            .and_then(|()| self.fs.sync(name))
            .map_err(|e| VaultError::io(place(&*self.fs, name), &e))
    }

    /// Writes the copy of the index that is not as it should be. Without that nothing is changed: the old copy must
    /// never be the only one that is whole.
    fn heal(&mut self) -> Result<(), VaultError> {
        if self.poisoned {
            let message = "an earlier write failed and could not be undone; start again";
            return Err(VaultError::new(VaultErrorKind::Poisoned, self.place(), message));
        }
        let Some(slot) = self.stale else { return Ok(()) };
        let name = SLOTS[slot];
        if !self.exists(name) {
            self.fs
                .create(name)
                .and_then(|()| self.fs.sync_folder())
                .map_err(|e| VaultError::io(place(&*self.fs, name), &e))?;
        }
        let mut file = self.current.clone();
        file.resize(file.len().max(self.lengths[slot]), 0);
        self.write(slot, &file)?;
        self.lengths[slot] = file.len();
        self.stale = None;
        Ok(())
    }

    fn exists(&self, name: &str) -> bool {
        self.fs.list().is_ok_and(|names| names.iter().any(|n| n == name))
    }

    fn wipe(&mut self, name: &str) -> Result<(), VaultError> {
        files::wipe(&mut *self.fs, name)
    }

    /// What is done but not overwritten everywhere is told as that.
    fn remains(&self, result: Result<(), VaultError>) -> Result<(), VaultError> {
        let message = match (result, self.stale) {
            (Ok(()), None) => return Ok(()),
            (Err(error), _) => error.to_string(),
            (Ok(()), Some(slot)) => format!("{} can't be written", SLOTS[slot]),
        };
        let message =
            format!("it is done, but an old copy could not be overwritten ({message}); till people verify tries again");
        Err(VaultError::new(VaultErrorKind::Remains, self.place(), message))
    }
}

#[cfg(test)]
impl Vault {
    /// The key of a person's record.
    pub(super) fn secret(&self, number: u32) -> Option<Key> {
        let entry = self.index.entries.iter().find(|e| e.number == number)?;
        Key::of(&self.key.open(&self.about(entry.number, entry.version), &entry.wrapped)?)
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}
