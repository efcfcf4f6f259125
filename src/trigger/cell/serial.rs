//! A scale that says its weight over a serial line again and again.

use std::path::PathBuf;

use super::protocol::LINE_BYTES_MAX;
use super::{LoadCell, Weighed};
use crate::config::ScaleProtocol;
use crate::trigger::{TriggerError, TriggerErrorKind};
use crate::tty::{SerialWire, Wire};

/// A scale that has said nothing readable for this long is lost: the slowest of them speak twice a second.
const SILENT_MS_MAX: u64 = 2_000;

/// A serial scale at the other end of `W`.
#[derive(Debug)]
pub struct SerialScale<W> {
    wire: W,
    protocol: ScaleProtocol,
    place: String,
    line: heapless::Vec<u8, LINE_BYTES_MAX>,
    /// The line is longer than any can be; the rest of it is dropped.
    too_long: bool,
    heard_ms: Option<u64>,
    fault: Option<TriggerError>,
}

impl SerialScale<SerialWire> {
    /// Opens the tty at `path` for this process alone.
    ///
    /// # Errors
    /// What the port has against it.
    pub fn open(path: PathBuf, baud: u32, protocol: ScaleProtocol) -> Result<Self, TriggerError> {
        Ok(Self::new(SerialWire::open(&path, baud)?, protocol, path.display().to_string()))
    }
}

impl<W: Wire> SerialScale<W> {
    /// A scale at the other end of `wire`; `place` is its name in errors.
    pub fn new(wire: W, protocol: ScaleProtocol, place: String) -> Self {
        Self { wire, protocol, place, line: heapless::Vec::new(), too_long: false, heard_ms: None, fault: None }
    }

    /// The end of a line came: what it says, unless it says nothing.
    fn ended(&mut self) -> Option<Result<Weighed, TriggerError>> {
        let whole = !std::mem::take(&mut self.too_long) && !self.line.is_empty();
        let read = whole.then(|| self.protocol.read(&self.line, &self.place));
        self.line.clear();
        read
    }
}

impl<W: Wire> LoadCell for SerialScale<W> {
    fn poll(&mut self, now_ms: u64) -> Result<Option<Weighed>, TriggerError> {
        let since_ms = *self.heard_ms.get_or_insert(now_ms);
        let mut newest = None;
        let mut bytes = [0; 64];
        loop {
            let n = self.wire.read(&mut bytes).map_err(|error| TriggerError::io(&self.place, &error))?;
            for &byte in bytes.iter().take(n) {
                // Parity, where the port leaves it, is no part of a character. A checksum after CR, and LF, begin
                // the next line, which its own start cuts off.
                match byte & 0x7f {
                    b'\r' | b'\n' => match self.ended() {
                        Some(Ok(weighed)) => newest = Some(Ok(weighed)),
                        Some(Err(error)) if error.kind == TriggerErrorKind::Overload => newest = Some(Err(error)),
                        // One damaged line is noise; no good one for a while is a fault, and this is why.
                        Some(Err(error)) => self.fault = Some(error),
                        None => {}
                    },
                    _ => self.too_long |= self.line.push(byte).is_err(),
                }
            }
            if n < bytes.len() {
                break;
            }
        }
        if let Some(newest) = newest {
            self.heard_ms = Some(now_ms);
            self.fault = None;
            return newest.map(Some);
        }
        if now_ms.saturating_sub(since_ms) < SILENT_MS_MAX {
            return Ok(None);
        }
        Err(self.fault.clone().unwrap_or_else(|| {
            let message = "the scale says nothing; is it on, and set to send without being asked?";
            TriggerError::new(TriggerErrorKind::Lost, &self.place, message)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tty::pty::Pty;

    fn scale(protocol: ScaleProtocol) -> (Pty, SerialScale<SerialWire>) {
        let pty = Pty::open().unwrap();
        let scale = SerialScale::open(pty.path().to_owned(), 9_600, protocol).unwrap();
        (pty, scale)
    }

    /// What a pty was given arrives at once, in the kernel's memory.
    fn said(pty: &mut Pty, bytes: &[u8]) {
        assert_eq!(pty.write(bytes).unwrap(), bytes.len());
    }

    #[test]
    fn the_newest_line_counts_through_cuts_and_noise() {
        let (mut pty, mut scale) = scale(ScaleProtocol::And);
        assert_eq!(scale.poll(0), Ok(None));
        said(&mut pty, b"0123.4  g\r\nST,+00100.0  g\r\nUS,+00150");
        assert_eq!(scale.poll(10).unwrap().map(|w| w.grams), Some(100));
        said(&mut pty, b".0  g\r\n");
        let weighed = scale.poll(20).unwrap().unwrap();
        assert_eq!((weighed.grams, weighed.stable), (150, Some(false)));
        said(&mut pty, &[b'x'; 500]);
        said(&mut pty, b"\r\nST,-00003.0  g\r\n");
        assert_eq!(scale.poll(30).unwrap().map(|w| w.grams), Some(-3));
    }

    #[test]
    fn a_checksum_behind_the_return_is_no_part_of_the_next_line() {
        let (mut pty, mut scale) = scale(ScaleProtocol::Toledo);
        said(&mut pty, b"\x02-0 000250000000\rA\x02-0 000260000000\rB");
        assert_eq!(scale.poll(0).unwrap().map(|w| w.grams), Some(260));
    }

    #[test]
    fn silence_and_another_protocol_are_told_apart_and_a_word_mends_both() {
        let (mut pty, mut scale) = scale(ScaleProtocol::Toledo);
        assert_eq!(scale.poll(0), Ok(None));
        assert_eq!(scale.poll(2_000).unwrap_err().kind, TriggerErrorKind::Lost);
        said(&mut pty, b"ST,+00100.0  g\r\n");
        assert_eq!(scale.poll(2_100).unwrap_err().kind, TriggerErrorKind::Format);
        said(&mut pty, b"\x02-0 000250000000\r");
        assert_eq!(scale.poll(2_200).unwrap().map(|w| w.grams), Some(250));
        assert_eq!(scale.poll(4_100), Ok(None), "it was heard 1.9 s ago");
        said(&mut pty, b"\x02-4 999999000000\r");
        assert_eq!(scale.poll(4_200).unwrap_err().kind, TriggerErrorKind::Overload);
    }
}
