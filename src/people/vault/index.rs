//! The list of who is there: for each person the number, the version of the record and the wrapped key. It is closed
//! with the device key as a whole, so nothing in it can be changed, left out or taken from another time alone.

use zeroize::Zeroizing;

use super::seal::{KEY_BYTES, Key, OVERHEAD_BYTES};
use super::{VaultError, VaultErrorKind};

/// Most people of a vault.
pub const PEOPLE_MAX: usize = 100_000;
/// Bytes of a wrapped key.
pub const WRAPPED_BYTES: usize = KEY_BYTES + OVERHEAD_BYTES;
/// First bytes of an index file.
const MAGIC: &[u8; 8] = b"TILLPEO1";
/// Magic, id of the device key, length of what follows.
const HEADER_BYTES: usize = 8 + 8 + 4;
/// Vault, generation, next number, number of entries.
const HEAD_BYTES: usize = 16 + 8 + 4 + 4;
/// Number, version, day of the last use, wrapped key.
const ENTRY_BYTES: usize = 4 + 8 + 4 + WRAPPED_BYTES;
/// What an index is bound to besides its header.
const ABOUT: &[u8] = b"till people index 1";

/// One person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of this vault, never used twice.
    pub number: u32,
    /// Generation of the vault at which the record was written.
    pub version: u64,
    /// Days since 1970 of the last recognition; 0 for none.
    pub used_day: u32,
    /// The key of the record, closed with the device key.
    pub wrapped: [u8; WRAPPED_BYTES],
}

/// Everybody.
#[derive(Clone)]
pub struct Index {
    /// Drawn when the vault was made.
    pub vault: [u8; 16],
    /// Counts the changes.
    pub generation: u64,
    /// Number of the next person.
    pub next: u32,
    /// By rising number.
    pub entries: Vec<Entry>,
    /// The secret that every template was turned by; a vault without one ends with its entries.
    pub projection: Option<Key>,
}

/// What an index file holds.
pub enum Read {
    /// Whole.
    Index(Box<Index>),
    /// Closed with a key of another id, or its header is damaged.
    OtherKey,
    /// Not what was written.
    Damaged,
}

impl Index {
    /// The bytes of a file, closed with `key`.
    ///
    /// # Errors
    /// [`VaultErrorKind::Full`], [`VaultErrorKind::Random`].
    pub fn encode(&self, key: &Key) -> Result<Vec<u8>, VaultError> {
        let full = || VaultError::new(VaultErrorKind::Full, "index", format!("{PEOPLE_MAX} people at most"));
        if self.entries.len() > PEOPLE_MAX {
            return Err(full());
        }
        let secret = self.projection.as_ref().map_or(&[][..], |secret| secret.bytes());
        let length = HEAD_BYTES + self.entries.len() * ENTRY_BYTES + secret.len();
        let mut plain = Zeroizing::new(Vec::with_capacity(length));
        plain.extend_from_slice(&self.vault);
        plain.extend_from_slice(&self.generation.to_le_bytes());
        plain.extend_from_slice(&self.next.to_le_bytes());
        plain.extend_from_slice(&u32::try_from(self.entries.len()).map_err(|_| full())?.to_le_bytes());
        for entry in &self.entries {
            plain.extend_from_slice(&entry.number.to_le_bytes());
            plain.extend_from_slice(&entry.version.to_le_bytes());
            plain.extend_from_slice(&entry.used_day.to_le_bytes());
            plain.extend_from_slice(&entry.wrapped);
        }
        plain.extend_from_slice(secret);
        let sealed_length = u32::try_from(length + OVERHEAD_BYTES).map_err(|_| full())?;
        let mut file = Vec::with_capacity(HEADER_BYTES + length + OVERHEAD_BYTES);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&key.id());
        file.extend_from_slice(&sealed_length.to_le_bytes());
        let sealed = key.seal(&[ABOUT, &file].concat(), &mut plain)?;
        file.extend_from_slice(&sealed);
        Ok(file)
    }

    /// Reads a file with the key that its header names. Zeros may follow.
    pub fn decode(file: &[u8], keys: &[&Key]) -> Read {
        let Some((header, rest)) = file.split_first_chunk::<HEADER_BYTES>() else { return Read::Damaged };
        let mut fields = Fields(header);
        let (magic, id) = (fields.take::<8>(), fields.take::<8>());
        let (Some(magic), Some(id), Some(length)) = (magic, id, fields.u32()) else { return Read::Damaged };
        if &magic != MAGIC {
            return Read::Damaged;
        }
        let Some(key) = keys.iter().find(|key| key.id() == id) else { return Read::OtherKey };
        let Some((sealed, padding)) = rest.split_at_checked(length as usize) else { return Read::Damaged };
        let plain = key.open(&[ABOUT, header].concat(), sealed).filter(|_| padding.iter().all(|b| *b == 0));
        match plain.and_then(|plain| Self::parse(&plain)) {
            Some(index) => Read::Index(Box::new(index)),
            None => Read::Damaged,
        }
    }

    fn parse(plain: &[u8]) -> Option<Self> {
        let mut f = Fields(plain);
        let (vault, generation, next) = (f.take()?, f.u64()?, f.u32()?);
        let count = f.u32()? as usize;
        let mut entries = Vec::with_capacity(count.min(PEOPLE_MAX));
        for _ in 0..count {
            let (number, version, used_day, wrapped) = (f.u32()?, f.u64()?, f.u32()?, f.take()?);
            entries.push(Entry { number, version, used_day, wrapped });
        }
        let projection = if f.0.is_empty() { None } else { Some(Key::of(f.0)?) };
        Some(Self { vault, generation, next, entries, projection })
    }
}

/// Bytes that are read from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
