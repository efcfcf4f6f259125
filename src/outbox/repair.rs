//! Skips what is damaged in the middle of a log, on a technician's word: each damaged or missing record
//! becomes an empty one with its number, so that no number is ever used twice and the other end hears of
//! each. The segment as it was stays in a side file. A crash at any moment leaves the old log or the new.

use crate::outbox::error::{LogError, LogErrorKind};
use crate::outbox::fs::Fs;
use crate::outbox::record::{self, OVERHEAD_BYTES};
use crate::outbox::scan::{FindingKind, Seen, scan};

#[cfg(test)]
mod tests;

/// Most numbers that are filled with empty records; a larger hole is no damage but another log.
const FILLED_MAX: u32 = 100_000;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Numbers that are now empty records.
    pub skipped: Vec<u32>,
    /// Files that hold the segments as they were.
    pub kept: Vec<String>,
    /// The log's epoch had to be chosen anew: no segment told it.
    pub new_epoch: bool,
}

/// A segment as it will be.
struct Segment {
    file: String,
    first: u32,
    body: Vec<u8>,
}

/// Mends the log in `fs`, which must not be in use. `new_epoch` is taken when no segment tells the log's own.
///
/// # Errors
/// When the disk does not give or take bytes, or when it is not one log. Then the log is as it was.
pub fn repair(fs: &mut dyn Fs, new_epoch: u32) -> Result<Repaired, LogError> {
    let place = fs.place();
    let mut refused = None;
    let summary = scan(&*fs, &mut |seen| {
        if let Seen::Finding(finding) = seen
            && matches!(finding.kind, FindingKind::Epoch | FindingKind::Unreadable)
        {
            refused.get_or_insert_with(|| finding.clone());
        }
    })?;
    if let Some(finding) = refused {
        let message = format!("{}; skipping can't mend this: copy the folder away and ask for help", finding.message);
        return Err(
            LogError::new(LogErrorKind::Corrupt, format!("{place}/{}", finding.file), message).at(finding.offset)
        );
    }
    if summary.findings == 0 {
        return Ok(Repaired::default());
    }
    let mut repaired = Repaired { new_epoch: summary.epoch.is_none(), ..Repaired::default() };
    let epoch = summary.epoch.unwrap_or(new_epoch);
    let mut segments: Vec<Segment> = Vec::new();
    let mut expected = None;
    let mut too_many = None;
    scan(&*fs, &mut |seen| match seen {
        Seen::Segment { file, first } => {
            // What is missing between two segments stands at the end of the earlier one.
            let begin = *expected.get_or_insert(first);
            if let Some(before) = segments.last_mut() {
                fill(before, begin, first, &mut repaired.skipped, &mut too_many);
                expected = Some(first.max(begin));
            }
            segments.push(Segment { file: file.to_owned(), first: expected.unwrap_or(first), body: Vec::new() });
        }
        Seen::Record(found) => {
            if let (Some(segment), Some(next)) = (segments.last_mut(), expected) {
                fill(segment, next, found.sequence, &mut repaired.skipped, &mut too_many);
                push(segment, found.sequence, found.payload);
                expected = found.sequence.checked_add(1);
            }
        }
        Seen::Finding(_) => {}
    })?;
    if let Some((from, to)) = too_many {
        let message = format!("records {from} to {to} are missing: more than damage explains; ask for help");
        return Err(LogError::new(LogErrorKind::Corrupt, place, message));
    }
    let last = segments.len().saturating_sub(1);
    for (i, segment) in segments.iter().enumerate() {
        replace(fs, segment, epoch, i == last, &mut repaired.kept)?;
    }
    Ok(repaired)
}

/// Empty records from `from` up to, not including, `to`.
fn fill(segment: &mut Segment, from: u32, to: u32, skipped: &mut Vec<u32>, too_many: &mut Option<(u32, u32)>) {
    if to.saturating_sub(from) > FILLED_MAX {
        too_many.get_or_insert((from, to - 1));
        return;
    }
    for sequence in from..to {
        push(segment, sequence, &[]);
        skipped.push(sequence);
    }
}

fn push(segment: &mut Segment, sequence: u32, payload: &[u8]) {
    let mut bytes = Vec::with_capacity(payload.len() + OVERHEAD_BYTES);
    record::record(sequence, payload, &mut bytes);
    segment.body.extend_from_slice(&bytes);
}

/// Puts the segment in the place of its file, whose bytes are kept; nothing is done if all of them are whole.
fn replace(fs: &mut dyn Fs, segment: &Segment, epoch: u32, last: bool, kept: &mut Vec<String>) -> Result<(), LogError> {
    let file = format!("{}/{}", fs.place(), segment.file);
    let failed = |error: std::io::Error| LogError::io(&file, &error);
    let old = fs.read(&segment.file).map_err(failed)?;
    let mut new = record::header(epoch, segment.first).to_vec();
    new.extend_from_slice(&segment.body);
    // A torn tail alone is the daemon's to cut off; behind any segment but the last there is none.
    if old == new || last && old.starts_with(&new) {
        return Ok(());
    }
    let stem = segment.file.trim_end_matches(".log");
    let mut side = format!("{stem}.damaged");
    let names = fs.list().map_err(failed)?;
    let mut number = 2;
    let is_there = |fs: &dyn Fs, side: &str| names.iter().any(|name| name == side).then(|| fs.read(side));
    while let Some(there) = is_there(fs, &side) {
        // An earlier attempt that was cut short kept the same bytes.
        if there.is_ok_and(|bytes| bytes == old || bytes.is_empty()) {
            break;
        }
        side = format!("{stem}.damaged-{number}");
        number += 1;
    }
    write(fs, &side, &old).map_err(failed)?;
    let fresh = format!("{stem}.new");
    write(fs, &fresh, &new).map_err(failed)?;
    fs.sync_folder().and_then(|()| fs.rename(&fresh, &segment.file)).and_then(|()| fs.sync_folder()).map_err(failed)?;
    kept.push(side);
    Ok(())
}

fn write(fs: &mut dyn Fs, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    fs.create(name)?;
    fs.write_at(name, 0, bytes)?;
    fs.sync(name)
}
