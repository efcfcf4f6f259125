//! Looks at a log without touching it: no lock, no write, one window of memory however long the log is, so
//! that it works beside the daemon that owns the log. Where [`super::Log::open`] refuses, this reads on and
//! says what is wrong and where.

use std::fmt;
use std::io;

use crate::outbox::error::LogError;
use crate::outbox::fs::Look;
use crate::outbox::record::{self, Found, HEADER_BYTES, OVERHEAD_BYTES, PAYLOAD_BYTES_MAX};

#[cfg(test)]
mod tests;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// The longest record.
const RECORD_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + OVERHEAD_BYTES;

/// What is wrong at a place of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// An interrupted write at the very end, or one that is just being made. Nobody was promised anything
    /// of it, and the daemon cuts it off when it starts.
    TornTail,
    /// The head of a segment is damaged; its records may be whole.
    Header,
    /// Bytes that are no record.
    Damaged,
    /// Records are missing.
    Hole,
    /// A segment of another log.
    Epoch,
    /// The disk does not give the bytes.
    Unreadable,
}

impl FindingKind {
    /// A word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TornTail => "torn_tail",
            Self::Header => "header",
            Self::Damaged => "damaged",
            Self::Hole => "hole",
            Self::Epoch => "epoch",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// The segment's name.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes are affected.
    pub bytes: u64,
    /// For people.
    pub message: String,
}

impl Finding {
    /// Whether the daemon goes on by itself and nothing that was promised is lost.
    pub fn harmless(&self) -> bool {
        self.kind == FindingKind::TornTail
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} byte {}: {}", self.file, self.offset, self.message)
    }
}

/// A whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Of the log; 0 while no segment told it.
    pub epoch: u32,
    /// Its number.
    pub sequence: u32,
    /// Empty where a repair put a record in the place of a damaged one.
    pub payload: &'a [u8],
}

/// What a scan meets, in the log's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A segment begins.
    Segment {
        /// Its file.
        file: &'a str,
        /// Its first record, by the head or, where that is damaged, by the name.
        first: u32,
    },
    /// A whole record.
    Record(Record<'a>),
    /// Something is wrong.
    Finding(&'a Finding),
}

/// What a scan found in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Of the log, `None` when no segment tells.
    pub epoch: Option<u32>,
    /// Files.
    pub segments: u32,
    /// Whole records.
    pub records: u64,
    /// The lowest number; 0 for none.
    pub first: u32,
    /// The highest number; 0 for none.
    pub last: u32,
    /// In all files.
    pub bytes: u64,
    /// Records that an earlier repair put in the place of damaged ones.
    pub skipped: u64,
    /// Findings that are not harmless.
    pub findings: u32,
    /// Torn tails.
    pub torn_tails: u32,
}

/// Reads the log at `look` from its first byte to its last.
///
/// # Errors
/// When the folder can't be listed. Whatever is wrong with a file is a [`Finding`].
pub fn scan(look: &dyn Look, sink: &mut dyn FnMut(Seen<'_>)) -> Result<Summary, LogError> {
    let mut names = segments(look)?;
    names.sort_unstable();
    let mut scan = Scan { look, sink, expected: None, open: None, summary: Summary::default() };
    let last = names.len().saturating_sub(1);
    for (i, name) in names.iter().enumerate() {
        let outcome = scan.segment(name, i == last);
        match outcome {
            Ok(()) => {}
            // Acknowledged segments go while we read: then none before this one is there any more.
            Err((_, error)) if error.kind() == io::ErrorKind::NotFound => {
                if segments(look)?.iter().all(|left| left > name) {
                    scan.expected = None;
                }
            }
            Err((offset, error)) => {
                scan.find(FindingKind::Unreadable, name, offset, 0, format!("the disk does not give it: {error}"));
            }
        }
    }
    let next = scan.expected.unwrap_or(1);
    scan.damage_ends(next);
    Ok(scan.summary)
}

fn segments(look: &dyn Look) -> Result<Vec<String>, LogError> {
    let mut names = look.list().map_err(|error| LogError::io(look.place(), &error))?;
    names.retain(|name| record::segment_first(name).is_some());
    Ok(names)
}

/// A part of a file in memory.
struct Window<'l> {
    look: &'l dyn Look,
    name: &'l str,
    start: u64,
    bytes: Vec<u8>,
    at_end: bool,
}

impl Window<'_> {
    /// The bytes from `at` on, at least `length` of them unless the file ends before. `at` never goes back.
    fn from(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let gone = at.saturating_sub(self.start).min(self.bytes.len() as u64) as usize;
        if !self.at_end && self.bytes.len() - gone < length {
            self.bytes.drain(..gone);
            self.start += gone as u64;
            let held = self.bytes.len();
            self.bytes.resize(held + CHUNK_BYTES.max(length), 0);
            let room = self.bytes.get_mut(held..).unwrap_or_default();
            let got = self.look.read_at(self.name, self.start + held as u64, room);
            self.bytes.truncate(held + got.as_ref().map_or(0, |n| *n));
            self.at_end = got? < CHUNK_BYTES.max(length);
            return Ok(&self.bytes);
        }
        Ok(self.bytes.get(gone..).unwrap_or_default())
    }
}

struct Scan<'l, 's> {
    look: &'l dyn Look,
    sink: &'s mut dyn FnMut(Seen<'_>),
    /// The number that should come next; `None` before the first.
    expected: Option<u32>,
    /// Damage at the end of a segment: where, and how many bytes. The next segment tells what it cost.
    open: Option<(String, u64, u64)>,
    summary: Summary,
}

impl Scan<'_, '_> {
    fn find(&mut self, kind: FindingKind, file: &str, offset: u64, bytes: u64, message: String) {
        let finding = Finding { kind, file: file.to_owned(), offset, bytes, message };
        if finding.harmless() {
            self.summary.torn_tails += 1;
        } else {
            self.summary.findings += 1;
        }
        (self.sink)(Seen::Finding(&finding));
    }

    fn segment(&mut self, name: &str, is_last: bool) -> Result<(), (u64, io::Error)> {
        let mut window = Window { look: self.look, name, start: 0, bytes: Vec::new(), at_end: false };
        let head = window.from(0, HEADER_BYTES + 1).map_err(|error| (0, error))?;
        let (header, length) = (record::read_header(head), head.len());
        self.summary.segments += 1;
        let Some((epoch, first)) = header else {
            let first = record::segment_first(name).unwrap_or(1).max(1);
            self.damage_ends(first);
            (self.sink)(Seen::Segment { file: name, first });
            if is_last && length <= HEADER_BYTES {
                let message = "a segment that was just being begun, without records".to_owned();
                self.find(FindingKind::TornTail, name, 0, length as u64, message);
                return Ok(());
            }
            self.find(FindingKind::Header, name, 0, HEADER_BYTES as u64, "the segment's header is damaged".into());
            self.expected.get_or_insert(first);
            return self.records(&mut window, is_last);
        };
        self.damage_ends(first);
        (self.sink)(Seen::Segment { file: name, first });
        if *self.summary.epoch.get_or_insert(epoch) != epoch {
            let message =
                format!("belongs to epoch {epoch:08x}, the log is {:08x}", self.summary.epoch.unwrap_or_default());
            self.find(FindingKind::Epoch, name, 8, 4, message);
        }
        let expected = *self.expected.get_or_insert(first.max(1));
        if first > expected {
            self.hole(name, HEADER_BYTES as u64, first);
        }
        self.records(&mut window, is_last)
    }

    /// What the damage at the end of the last segment cost, now that the next one begins with `found`.
    fn damage_ends(&mut self, found: u32) {
        if let Some((file, offset, bytes)) = self.open.take() {
            self.damaged(&file, offset, bytes, found);
        }
    }

    fn damaged(&mut self, file: &str, offset: u64, bytes: u64, found: u32) {
        let expected = self.expected.unwrap_or(found);
        let message = match found.saturating_sub(expected) {
            0 => format!("{bytes} bytes before record {expected} are none of the log's"),
            1 => format!("record {expected} is damaged ({bytes} bytes)"),
            _ => format!("records {expected} to {} are damaged ({bytes} bytes)", found - 1),
        };
        self.find(FindingKind::Damaged, file, offset, bytes, message);
        self.expected = Some(expected.max(found));
    }

    /// Records up to `found`, which stands at `offset`, are missing.
    fn hole(&mut self, name: &str, offset: u64, found: u32) {
        let expected = self.expected.unwrap_or(found);
        let message = match found - expected {
            1 => format!("record {expected} is missing"),
            _ => format!("records {expected} to {} are missing", found - 1),
        };
        self.find(FindingKind::Hole, name, offset, 0, message);
        self.expected = Some(found);
    }

    fn records(&mut self, window: &mut Window<'_>, is_last: bool) -> Result<(), (u64, io::Error)> {
        let name = window.name;
        let mut at = HEADER_BYTES as u64;
        loop {
            let bytes = window.from(at, RECORD_BYTES_MAX).map_err(|error| (at, error))?;
            let expected = self.expected.unwrap_or(1);
            match record::read_record(bytes, 0) {
                Found::End => break,
                Found::Record { sequence, payload, next } if sequence == expected => {
                    let epoch = self.summary.epoch.unwrap_or_default();
                    (self.sink)(Seen::Record(Record { epoch, sequence, payload }));
                    let summary = &mut self.summary;
                    summary.records += 1;
                    summary.skipped += u64::from(payload.is_empty());
                    summary.first = if summary.first == 0 { sequence } else { summary.first };
                    summary.last = sequence;
                    let Some(after) = sequence.checked_add(1) else { break };
                    self.expected = Some(after);
                    at += next as u64;
                }
                Found::Record { sequence, .. } if sequence > expected => self.hole(name, at, sequence),
                Found::Record { .. } | Found::Damage => {
                    let (next, found) = behind(window, at, expected).map_err(|error| (at, error))?;
                    let bytes = next - at;
                    match found {
                        Some(found) => self.damaged(name, at, bytes, found),
                        None if is_last => {
                            let message = format!("{bytes} bytes of a write that was interrupted or is being made");
                            self.find(FindingKind::TornTail, name, at, bytes, message);
                        }
                        None => self.open = Some((name.to_owned(), at, bytes)),
                    }
                    at = next;
                }
            }
        }
        self.summary.bytes += at;
        Ok(())
    }
}

/// The next whole record behind `at` with a number from `expected` on, and where it stands; the file's end
/// if there is none.
fn behind(window: &mut Window<'_>, at: u64, expected: u32) -> io::Result<(u64, Option<u32>)> {
    let mut at = at + 1;
    loop {
        let bytes = window.from(at, RECORD_BYTES_MAX)?;
        if bytes.is_empty() {
            return Ok((at, None));
        }
        // As long as a whole record fits behind the place, nothing need be read.
        let places = bytes.len().saturating_sub(RECORD_BYTES_MAX).max(1);
        for place in 0..places {
            if let Found::Record { sequence, .. } = record::read_record(bytes, place)
                && sequence >= expected
            {
                return Ok((at + place as u64, Some(sequence)));
            }
        }
        at += places as u64;
    }
}
