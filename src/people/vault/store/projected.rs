//! Templates that are turned by a secret of the vault: what is copied out of it tells nothing elsewhere, and nothing any
//! more here once the secret is another one. The secret stands in the index, closed with the device key.

use super::super::seal::Key;
use super::super::{Record, VaultError};
use super::{Vault, files, whole};
use crate::gallery::{Projection, projection};

impl Vault {
    /// Whether the templates are turned.
    pub fn is_protected(&self) -> bool {
        self.index.projection.is_some()
    }

    /// What templates of `dimensions` values are turned by, if they are.
    pub fn projection(&self, dimensions: usize) -> Option<Projection> {
        self.index.projection.as_ref().map(|secret| Projection::of(secret.bytes(), dimensions))
    }

    /// Under what name this vault keeps the templates of the network with the hash `network`.
    pub fn network_name(&self, network: &str) -> String {
        let secret = self.index.projection.as_ref();
        secret.map_or_else(|| network.to_owned(), |secret| projection::name(secret.bytes(), network))
    }

    /// Turns every template by a new secret, those that an older one turned from there; nobody enrols again. All of it
    /// or nothing, in one write of the index. Gives the number of people.
    ///
    /// # Errors
    /// [`VaultErrorKind::Tampered`](super::VaultErrorKind::Tampered) with a record that can't be opened, and what the
    /// file system said: nothing changed. [`VaultErrorKind::Remains`](super::VaultErrorKind::Remains) when it is done
    /// but an old byte could not be overwritten.
    pub fn protect(&mut self) -> Result<usize, VaultError> {
        self.heal()?;
        let secret = Key::draw()?;
        let mut index = self.index.clone();
        index.generation += 1;
        let version = index.generation;
        let mut written = Vec::new();
        let begun = index.entries.iter_mut().try_for_each(|entry| {
            let mut record = self.record(entry)?;
            if let Some(old) = &self.index.projection {
                turn(&mut record, old, Projection::turn_back);
            }
            turn(&mut record, &secret, Projection::turn);
            let (wrapped, file) = self.close(entry.number, version, &mut record.encode()?)?;
            (entry.version, entry.wrapped) = (version, wrapped);
            let name = files::file_name(entry.number, version);
            written.push(name.clone());
            whole(&mut *self.fs, &name, &file)
        });
        let old: Vec<String> = self.index.entries.iter().map(|e| files::file_name(e.number, e.version)).collect();
        index.projection = Some(secret);
        if let Err(error) = begun.and_then(|()| self.commit(index, None)) {
            // Where it is not known which index the disk has, opening decides about the records, too.
            if !self.poisoned {
                written.iter().for_each(|name| drop(self.wipe(name)));
            }
            return Err(error);
        }
        let wiped = old.iter().try_for_each(|name| self.wipe(name));
        self.remains(wiped)?;
        Ok(self.len())
    }

    /// The record as this vault keeps it, if that is not as it comes.
    pub(super) fn turned(&self, record: &Record) -> Option<Record> {
        let secret = self.index.projection.as_ref()?;
        let mut turned = record.clone();
        turn(&mut turned, secret, Projection::turn);
        Some(turned)
    }

    /// The record as it came.
    #[cfg(test)]
    pub(in super::super) fn plain(&self, record: &Record) -> Record {
        let mut plain = record.clone();
        if let Some(secret) = &self.index.projection {
            turn(&mut plain, secret, Projection::turn_back);
        }
        plain
    }
}

fn turn(record: &mut Record, secret: &Key, how: impl Fn(&Projection, &mut [f32])) {
    let mut projection: Option<Projection> = None;
    for template in &mut record.templates {
        let values = template.vector.len();
        if projection.as_ref().is_none_or(|p| p.dimensions() != values) {
            projection = Some(Projection::of(secret.bytes(), values));
        }
        if let Some(projection) = &projection {
            how(projection, &mut template.vector);
        }
        template.network = projection::name(secret.bytes(), &template.network);
    }
}
