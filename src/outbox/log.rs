//! The log: numbered records in segments. One writer; a record that [`Log::append`] returned `Ok` for is
//! there after any crash, and nothing that failed half-way is.

use std::collections::VecDeque;

use crate::outbox::error::{LogError, LogErrorKind};
use crate::outbox::fs::Fs;
use crate::outbox::record::{self, Found, HEADER_BYTES, OVERHEAD_BYTES, PAYLOAD_BYTES_MAX};

mod renew;
#[cfg(test)]
mod tests;

/// Bounds of a log.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All segments together, bytes. At the bound an append is refused; nothing is dropped.
    pub bytes_max: u64,
    /// A segment is closed when it has this many bytes.
    pub segment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 16 << 20, segment_bytes: 1 << 20 }
    }
}

#[derive(Debug)]
struct Segment {
    first: u32,
    bytes: u64,
}

impl Segment {
    fn name(&self) -> String {
        record::segment_name(self.first)
    }
}

/// An append-only log.
pub struct Log {
    fs: Box<dyn Fs>,
    limits: Limits,
    epoch: u32,
    /// Oldest first; the last one is written to and never removed.
    segments: VecDeque<Segment>,
    /// Records that were not released, the oldest numbered `first`.
    records: VecDeque<Vec<u8>>,
    first: u32,
    torn_bytes: u64,
    poisoned: bool,
    /// A new log is to take this one's place and did not yet.
    superseded: bool,
    /// The first record that nobody was told of, where the other end has not been heard yet.
    untold: Option<u32>,
    scratch: Vec<u8>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("place", &self.fs.place())
            .field("first", &self.first)
            .field("last", &self.last())
            .finish()
    }
}

impl Log {
    /// Opens the log in `fs`, or begins one with `new_epoch` where there is none. Cuts off a torn tail,
    /// which was never acknowledged to anybody; refuses damage anywhere else.
    pub fn open(fs: Box<dyn Fs>, limits: Limits, new_epoch: u32) -> Result<Self, LogError> {
        let place = fs.place();
        let mut log = Self {
            fs,
            limits,
            epoch: new_epoch,
            segments: VecDeque::new(),
            records: VecDeque::new(),
            first: 1,
            torn_bytes: 0,
            poisoned: false,
            superseded: false,
            untold: None,
            scratch: Vec::new(),
        };
        log.succeed()?;
        let mut names = log.fs.list().map_err(|error| LogError::io(&place, &error))?;
        names.retain(|name| record::segment_first(name).is_some());
        names.sort_unstable();
        let last = names.len().saturating_sub(1);
        for (i, name) in names.iter().enumerate() {
            log.recover(name, i == last)?;
        }
        if let Some(last) = log.segments.back() {
            // An earlier life may have been killed between a write and its sync: what was read may be in
            // the system's cache alone, the file's very name too.
            let name = last.name();
            let synced = log.fs.sync(&name).and_then(|()| log.fs.sync_folder());
            synced.map_err(|error| LogError::io(format!("{place}/{name}"), &error))?;
        } else {
            log.first = 1;
            log.begin_segment(1)?;
        }
        log.recall()?;
        Ok(log)
    }

    fn recover(&mut self, name: &str, is_last: bool) -> Result<(), LogError> {
        let file = format!("{}/{name}", self.fs.place());
        let failed = |error: std::io::Error| LogError::io(&file, &error);
        let bytes = self.fs.read(name).map_err(failed)?;
        let Some((epoch, first)) = record::read_header(&bytes) else {
            // A segment's header is synced before its first record: without records it was never in use.
            if is_last && bytes.len() <= HEADER_BYTES {
                self.torn_bytes += bytes.len() as u64;
                self.fs.remove(name).map_err(failed)?;
                return self.fs.sync_folder().map_err(failed);
            }
            return Err(LogError::corrupt(file, 0, "the segment's header is damaged"));
        };
        // A renamed file is found by its name again when it is written to.
        let named = record::segment_first(name).unwrap_or(first).max(1);
        let expected = if self.segments.is_empty() { named } else { self.last().saturating_add(1) };
        if first != expected || first != named || (!self.segments.is_empty() && epoch != self.epoch) {
            let message =
                format!("the segment begins with record {first} of epoch {epoch:08x}; record {expected} should follow");
            return Err(LogError::corrupt(file, 8, &message));
        }
        if self.segments.is_empty() {
            self.epoch = epoch;
            self.first = first;
        }
        let mut at = HEADER_BYTES;
        loop {
            match record::read_record(&bytes, at) {
                Found::Record { sequence, payload, next } if sequence == self.last().saturating_add(1) => {
                    self.records.push_back(payload.to_vec());
                    at = next;
                }
                Found::End => break,
                Found::Record { .. } | Found::Damage => {
                    // A whole record at this very place, too: one before it is missing.
                    if !is_last || whole_record_from(&bytes, at, self.last()) {
                        let message = format!("record {} is damaged", self.last().saturating_add(1));
                        return Err(LogError::corrupt(file, at as u64, &message));
                    }
                    self.torn_bytes += (bytes.len() - at) as u64;
                    self.fs.truncate(name, at as u64).and_then(|()| self.fs.sync(name)).map_err(failed)?;
                    break;
                }
            }
        }
        self.segments.push_back(Segment { first, bytes: at as u64 });
        Ok(())
    }

    fn begin_segment(&mut self, first: u32) -> Result<(), LogError> {
        let segment = Segment { first, bytes: HEADER_BYTES as u64 };
        let name = segment.name();
        let made = self
            .fs
            .create(&name)
            .and_then(|()| self.fs.write_at(&name, 0, &record::header(self.epoch, first)))
            .and_then(|()| self.fs.sync(&name))
            .and_then(|()| self.fs.sync_folder());
        made.map_err(|error| LogError::io(format!("{}/{name}", self.fs.place()), &error))?;
        self.segments.push_back(segment);
        Ok(())
    }

    /// Puts `payload` into the log. When this returns `Ok`, the record survives a power cut; when it
    /// returns an error, the record is not in the log.
    pub fn append(&mut self, payload: &[u8]) -> Result<u32, LogError> {
        let place = self.fs.place();
        self.heal()?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(LogError::new(
                LogErrorKind::TooLong,
                place,
                format!("a record of {} bytes; {PAYLOAD_BYTES_MAX} at most", payload.len()),
            ));
        }
        let sequence = self
            .last()
            .checked_add(1)
            .filter(|sequence| *sequence < u32::MAX)
            .ok_or_else(|| LogError::new(LogErrorKind::Full, &place, "all numbers of this epoch are used"))?;
        let length = (payload.len() + OVERHEAD_BYTES) as u64;
        let begin = self.segments.back().is_none_or(|segment| segment.bytes >= self.limits.segment_bytes);
        let needed = length + if begin { HEADER_BYTES as u64 } else { 0 };
        if self.bytes() + needed > self.limits.bytes_max {
            let message = format!(
                "{} of {} bytes wait for the POS; selling stops until it acknowledges",
                self.bytes(),
                self.limits.bytes_max
            );
            return Err(LogError::new(LogErrorKind::Full, place, message));
        }
        if begin {
            self.begin_segment(sequence)?;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        record::record(sequence, payload, &mut scratch);
        let written = self.write(&scratch);
        self.scratch = scratch;
        written?;
        self.records.push_back(payload.to_vec());
        Ok(sequence)
    }

    /// After a write that failed and could not be undone: undoes it now, or takes nothing more.
    pub fn heal(&mut self) -> Result<(), LogError> {
        self.stands()?;
        let (true, Some(segment)) = (self.poisoned, self.segments.back()) else { return Ok(()) };
        let (name, at) = (segment.name(), segment.bytes);
        match self.fs.truncate(&name, at).and_then(|()| self.fs.sync(&name)) {
            Ok(()) => {
                self.poisoned = false;
                Ok(())
            }
            Err(error) => {
                let message =
                    format!("an earlier write failed and can't be undone ({error}); selling stops until it can");
                Err(LogError::new(LogErrorKind::Poisoned, format!("{}/{name}", self.fs.place()), message).at(at))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let Some(segment) = self.segments.back_mut() else {
            return Err(LogError::new(LogErrorKind::Poisoned, self.fs.place(), "no segment is open"));
        };
        let (name, at) = (segment.name(), segment.bytes);
        match self.fs.write_at(&name, at, bytes).and_then(|()| self.fs.sync(&name)) {
            Ok(()) => {
                segment.bytes = at + bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // What a failed sync left behind is not known. Unless the old length is surely back on the
                // disk, a later record could follow half of this one.
                self.poisoned = self.fs.truncate(&name, at).and_then(|()| self.fs.sync(&name)).is_err();
                Err(LogError::io(format!("{}/{name}", self.fs.place()), &error).at(at))
            }
        }
    }

    /// Records up to `sequence` are needed no longer. Segments that hold nothing else are removed.
    pub fn release(&mut self, sequence: u32) -> Result<(), LogError> {
        while self.first <= sequence && self.records.pop_front().is_some() {
            self.first += 1;
        }
        // A segment goes only when a later one holds a record: the last record of all is never lost.
        while self.segments.get(1).is_some_and(|next| next.first <= self.first.min(self.last()))
            && let Some(oldest) = self.segments.front()
        {
            let name = oldest.name();
            self.fs.remove(&name).map_err(|error| LogError::io(format!("{}/{name}", self.fs.place()), &error))?;
            self.segments.pop_front();
        }
        Ok(())
    }

    /// The payload of record `sequence`, unless it was released or never written.
    pub fn get(&self, sequence: u32) -> Option<&[u8]> {
        let index = sequence.checked_sub(self.first)?;
        self.records.get(index as usize).map(Vec::as_slice)
    }

    /// Every record that is held, oldest first, with its number.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (u32, &[u8])> {
        self.records.iter().enumerate().map(|(i, record)| (self.first.saturating_add(i as u32), record.as_slice()))
    }

    /// The lowest number that is held; `last() + 1` when none is.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// The number of the last record ever appended; 0 for none.
    pub fn last(&self) -> u32 {
        (self.first - 1).saturating_add(self.records.len() as u32)
    }

    /// Chosen when the log was begun.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Bytes that recovery cut off: a write that a crash interrupted.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// The bound.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// Whether a whole later record stands anywhere from `at` on: then it is not a torn tail, because each
/// record is synced before the next is begun.
fn whole_record_from(bytes: &[u8], at: usize, last: u32) -> bool {
    (at..bytes.len()).any(|at| match record::read_record(bytes, at) {
        Found::Record { sequence, .. } => sequence > last,
        Found::End | Found::Damage => false,
    })
}
