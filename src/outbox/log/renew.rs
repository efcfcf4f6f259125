//! What the other end has not been told for sure, and a log that begins anew. Both stand in small files beside
//! the segments and change by a rename, so that a crash at any moment leaves the old or the new.

use crate::outbox::error::{LogError, LogErrorKind};
use crate::outbox::log::{Log, Segment};
use crate::outbox::record;

/// Names the first record that was written in a life which the other end has not heard of yet.
const UNTOLD: &str = "untold";
/// The whole log of a new epoch; once it is there, the old segments count no more.
const SUCCESSOR: &str = "successor";
/// While one of the two is being written.
const FRESH: &str = "fresh";

impl Log {
    /// The last record that the other end may ever have been sent: none behind it has left yet.
    pub fn told(&self) -> u32 {
        self.untold.map_or(self.last(), |untold| untold.saturating_sub(1).min(self.last()))
    }

    /// What is appended from now on has not been told to anybody, also after restarts, until
    /// [`Log::tell`]. Needed where a life may write before it knows whether the disk has lost records.
    pub fn hold_back(&mut self) -> Result<(), LogError> {
        if self.untold.is_some() {
            return Ok(());
        }
        let first = self.last().saturating_add(1);
        // The same form as a segment's head: checksum, epoch, number.
        self.put(UNTOLD, &record::header(self.epoch, first))?;
        self.untold = Some(first);
        Ok(())
    }

    /// Everything may be told from now on.
    pub fn tell(&mut self) -> Result<(), LogError> {
        if self.untold.is_some() {
            let removed = self.fs.remove(UNTOLD);
            // A sync that failed after the removal is made up for by the next call.
            let removed = removed.or_else(|error| if is_missing(&error) { Ok(()) } else { Err(error) });
            removed.and_then(|()| self.fs.sync_folder()).map_err(|error| self.failed(UNTOLD, &error))?;
            self.untold = None;
        }
        Ok(())
    }

    /// Begins the log anew under `epoch`, with the records from `from` on as its first ones (L-032). After a
    /// failure nothing is appended before it was asked for again and has succeeded.
    pub fn renew(&mut self, epoch: u32, from: u32) -> Result<(), LogError> {
        let kept: Vec<Vec<u8>> =
            self.records().filter(|(number, _)| *number >= from).map(|(_, record)| record.to_vec()).collect();
        let mut bytes = record::header(epoch, 1).to_vec();
        let mut scratch = Vec::new();
        for (number, payload) in (1..).zip(&kept) {
            record::record(number, payload, &mut scratch);
            bytes.extend_from_slice(&scratch);
        }
        self.superseded = true;
        self.put(SUCCESSOR, &bytes)?;
        self.succeed()?;
        self.epoch = epoch;
        self.first = 1;
        self.records = kept.into();
        self.segments = [Segment { first: 1, bytes: bytes.len() as u64 }].into();
        self.untold = None;
        (self.superseded, self.poisoned) = (false, false);
        Ok(())
    }

    /// Puts the successor, if there is one, in the place of the old segments.
    pub(super) fn succeed(&mut self) -> Result<(), LogError> {
        let names = self.fs.list().map_err(|error| self.failed(SUCCESSOR, &error))?;
        if !names.iter().any(|name| name == SUCCESSOR) {
            return Ok(());
        }
        for name in names.iter().filter(|name| record::segment_first(name).is_some()) {
            self.fs.remove(name).map_err(|error| self.failed(name, &error))?;
        }
        let moved = self.fs.rename(SUCCESSOR, &record::segment_name(1)).and_then(|()| self.fs.sync_folder());
        moved.map_err(|error| self.failed(SUCCESSOR, &error))
    }

    /// What an earlier life left of what was not told.
    pub(super) fn recall(&mut self) -> Result<(), LogError> {
        self.untold = match self.fs.read(UNTOLD) {
            Ok(bytes) => record::read_header(&bytes).filter(|(epoch, _)| *epoch == self.epoch).map(|(_, first)| first),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(self.failed(UNTOLD, &error)),
        };
        Ok(())
    }

    /// While a new log waits to take this one's place.
    pub(super) fn stands(&self) -> Result<(), LogError> {
        if self.superseded {
            let message = "a new log could not take its place; selling stops until it can";
            return Err(LogError::new(LogErrorKind::Poisoned, self.fs.place(), message));
        }
        Ok(())
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), LogError> {
        let put = self
            .fs
            .create(FRESH)
            .and_then(|()| self.fs.write_at(FRESH, 0, bytes))
            .and_then(|()| self.fs.sync(FRESH))
            .and_then(|()| self.fs.sync_folder())
            .and_then(|()| self.fs.rename(FRESH, name))
            .and_then(|()| self.fs.sync_folder());
        put.map_err(|error| self.failed(name, &error))
    }

    fn failed(&self, name: &str, error: &std::io::Error) -> LogError {
        LogError::io(format!("{}/{name}", self.fs.place()), error)
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}
