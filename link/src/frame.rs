//! How a message lies on the wire: kind, payload and CRC-32C, stuffed with COBS, ended by one zero byte.
//! On a secured link a counter and a MAC stand between payload and CRC, and the kind has its high bit set.
//! The accumulator takes any bytes whatever, in any portions, and finds the next whole frame after damage.

use crc::{CRC_32_ISCSI, Crc, Table};

/// CRC-32C (Castagnoli), check value 0xE3069283 over `"123456789"`.
///
/// ```
/// assert_eq!(till_link::frame::CRC.checksum(b"123456789"), 0xe306_9283);
/// ```
pub const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// Most bytes of a message.
pub const PAYLOAD_BYTES_MAX: usize = 2_564;
/// Bytes that a sealed frame has more: counter and MAC.
pub const SEAL_BYTES: usize = 4 + 8;
/// Most bytes of a frame that are not message: kind, epoch, sequence, counter, MAC and CRC.
pub const OVERHEAD_BYTES: usize = 1 + 8 + SEAL_BYTES + 4;
/// Bit of the kind of a sealed frame.
pub const SEALED: u8 = 0x80;
/// Most bytes of a frame before COBS.
pub const FRAME_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + OVERHEAD_BYTES;
/// Most bytes of a frame on the wire, the zero byte included.
pub const WIRE_BYTES_MAX: usize = FRAME_BYTES_MAX + FRAME_BYTES_MAX.div_ceil(254) + 1;

/// What a frame is for. The number is the first byte of the frame.
///
/// ```
/// assert_eq!(till_link::frame::Kind::Heartbeat as u8, 6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Who I am and where I stand.
    Hello = 0x01,
    /// A durable message: epoch, sequence, payload.
    Data = 0x02,
    /// Everything up to this epoch and sequence is on my disk.
    Ack = 0x03,
    /// Something is missing after this epoch and sequence.
    Gap = 0x04,
    /// A message that may be lost.
    Event = 0x05,
    /// I am alive: my boot number.
    Heartbeat = 0x06,
    /// I do not talk to you, and why.
    Refuse = 0x07,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::Hello,
            0x02 => Self::Data,
            0x03 => Self::Ack,
            0x04 => Self::Gap,
            0x05 => Self::Event,
            0x06 => Self::Heartbeat,
            0x07 => Self::Refuse,
            _ => return None,
        })
    }

    /// What a sealed frame can be: everything that only talks on a link that is up.
    fn from_sealed_byte(byte: u8) -> Option<Self> {
        let kind = Self::from_byte(byte.checked_sub(SEALED)?)?;
        (!matches!(kind, Self::Hello | Self::Refuse)).then_some(kind)
    }
}

/// Writes one frame: `kind`, `parts` one after the other, CRC, COBS, zero. Returns the bytes used, or
/// `None` when `wire` is too small or the parts are too long.
///
/// ```
/// use till_link::frame::{Kind, encode};
/// let mut wire = [0; 16];
/// let n = encode(Kind::Heartbeat, &[&7u32.to_le_bytes()], &mut wire).unwrap();
/// assert_eq!(wire[..n], [0x03, 0x06, 0x07, 1, 1, 5, 0x17, 0xaf, 0x15, 0xcc, 0]);
/// assert_eq!(encode(Kind::Heartbeat, &[&7u32.to_le_bytes()], &mut wire[..5]), None);
/// ```
pub fn encode(kind: Kind, parts: &[&[u8]], wire: &mut [u8]) -> Option<usize> {
    write(kind as u8, parts, &[], wire)
}

/// The same for a sealed frame: `seal` is its counter and MAC.
///
/// ```
/// use till_link::frame::{Accumulator, Kind, Received, encode_sealed};
/// let mut wire = [0; 32];
/// let n = encode_sealed(Kind::Event, &[b"hi"], &[9; 12], &mut wire).unwrap();
/// let mut accumulator = Accumulator::default();
/// let (Some(Received::Sealed(kind, payload)), _) = accumulator.feed(&wire[..n]) else { panic!() };
/// assert_eq!((kind, &payload[..2], payload.len()), (Kind::Event, &b"hi"[..], 14));
/// ```
pub fn encode_sealed(kind: Kind, parts: &[&[u8]], seal: &[u8; SEAL_BYTES], wire: &mut [u8]) -> Option<usize> {
    write(kind as u8 | SEALED, parts, seal, wire)
}

fn write(kind: u8, parts: &[&[u8]], seal: &[u8], wire: &mut [u8]) -> Option<usize> {
    let mut digest = CRC.digest();
    let mut encoder = Stuffer::new(wire)?;
    let mut length = 1 + 4;
    digest.update(&[kind]);
    encoder.push(kind)?;
    for part in parts.iter().copied().chain([seal]) {
        length += part.len();
        digest.update(part);
        for &byte in part {
            encoder.push(byte)?;
        }
    }
    if length > FRAME_BYTES_MAX {
        return None;
    }
    for byte in digest.finalize().to_le_bytes() {
        encoder.push(byte)?;
    }
    encoder.finish()
}

/// COBS, written as the bytes come (Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1997).
struct Stuffer<'w> {
    wire: &'w mut [u8],
    code_at: usize,
    at: usize,
}

impl<'w> Stuffer<'w> {
    fn new(wire: &'w mut [u8]) -> Option<Self> {
        (wire.len() >= 2).then_some(Self { wire, code_at: 0, at: 1 })
    }

    fn put(&mut self, at: usize, byte: u8) -> Option<()> {
        *self.wire.get_mut(at)? = byte;
        Some(())
    }

    /// Ends the current block and begins the next.
    fn block(&mut self) -> Option<()> {
        self.put(self.code_at, (self.at - self.code_at) as u8)?;
        self.code_at = self.at;
        self.at += 1;
        Some(())
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        if byte == 0 {
            return self.block();
        }
        self.put(self.at, byte)?;
        self.at += 1;
        if self.at - self.code_at == 0xff {
            self.block()?;
        }
        Some(())
    }

    fn finish(mut self) -> Option<usize> {
        self.put(self.code_at, (self.at - self.code_at) as u8)?;
        self.put(self.at, 0)?;
        Some(self.at + 1)
    }
}

/// Undoes COBS in place; returns the length, or `None` when the bytes are not COBS.
fn unstuff(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0usize, 0usize);
    while from < bytes.len() {
        let code = usize::from(*bytes.get(from)?);
        if code == 0 {
            return None;
        }
        let end = from.checked_add(code)?;
        if end > bytes.len() {
            return None;
        }
        bytes.copy_within(from + 1..end, to);
        to += code - 1;
        from = end;
        if code < 0xff && from < bytes.len() {
            *bytes.get_mut(to)? = 0;
            to += 1;
        }
    }
    Some(to)
}

/// What became of the bytes up to a delimiter.
///
/// ```
/// use till_link::frame::{Accumulator, Received};
/// let mut accumulator = Accumulator::default();
/// // A block that says it has four bytes, and has two.
/// assert_eq!(accumulator.feed(&[5, 1, 2, 0]).0, Some(Received::BadCobs));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A whole frame.
    Frame(Kind, &'a [u8]),
    /// A whole frame of a secured link: its payload, counter and MAC, which are not checked yet.
    Sealed(Kind, &'a [u8]),
    /// Longer than any frame can be.
    TooLong,
    /// Not COBS, or too short to hold a frame.
    BadCobs,
    /// Damaged on the way.
    BadCrc,
    /// Whole, but of a kind that this version does not know.
    UnknownKind(u8),
}

/// Gathers bytes until a frame is whole.
///
/// ```
/// use till_link::frame::{Accumulator, Kind, Received};
/// let mut accumulator = Accumulator::default();
/// // A frame in two portions, with rubbish before it.
/// let line = [0xff, 0xee, 0, 0x03, 0x06, 0x07, 1, 1, 5, 0x17, 0xaf, 0x15, 0xcc, 0];
/// let (received, rest) = accumulator.feed(&line[..8]);
/// assert_eq!(received, Some(Received::BadCobs));
/// assert_eq!(accumulator.feed(rest).0, None);
/// assert_eq!(accumulator.feed(&line[8..]).0, Some(Received::Frame(Kind::Heartbeat, &[7, 0, 0, 0])));
/// ```
#[derive(Debug)]
pub struct Accumulator {
    bytes: [u8; WIRE_BYTES_MAX],
    used: usize,
    overrun: bool,
}

impl Default for Accumulator {
    fn default() -> Self {
        Self { bytes: [0; WIRE_BYTES_MAX], used: 0, overrun: false }
    }
}

impl Accumulator {
    /// Takes from `bytes` up to and including the first delimiter. Returns what it made of it, `None`
    /// when there was no delimiter or nothing before it, and the bytes not yet looked at; the example at
    /// [`Accumulator`] goes on with these.
    pub fn feed<'a, 'b>(&'a mut self, bytes: &'b [u8]) -> (Option<Received<'a>>, &'b [u8]) {
        let Some(end) = bytes.iter().position(|&byte| byte == 0) else {
            self.take(bytes);
            return (None, &[]);
        };
        let (before, after) = bytes.split_at(end);
        self.take(before);
        let rest = after.get(1..).unwrap_or(&[]);
        let used = core::mem::take(&mut self.used);
        if core::mem::take(&mut self.overrun) {
            return (Some(Received::TooLong), rest);
        }
        if used == 0 {
            return (None, rest);
        }
        let Some(stuffed) = self.bytes.get_mut(..used) else { return (Some(Received::TooLong), rest) };
        (Some(open(stuffed)), rest)
    }

    fn take(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.used..self.used + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.used += bytes.len();
            }
            None => self.overrun = true,
        }
    }
}

fn open(stuffed: &mut [u8]) -> Received<'_> {
    let Some(length) = unstuff(stuffed) else { return Received::BadCobs };
    let Some(frame) = stuffed.get(..length) else { return Received::BadCobs };
    let Some((body, crc)) = frame.split_last_chunk::<4>() else { return Received::BadCobs };
    let Some((&kind, payload)) = body.split_first() else { return Received::BadCobs };
    if CRC.checksum(body) != u32::from_le_bytes(*crc) {
        return Received::BadCrc;
    }
    match (Kind::from_byte(kind), Kind::from_sealed_byte(kind)) {
        (Some(kind), _) => Received::Frame(kind, payload),
        (None, Some(kind)) => Received::Sealed(kind, payload),
        (None, None) => Received::UnknownKind(kind),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_check_value_of_crc_32c() {
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn exact_bytes_of_a_heartbeat() {
        let mut wire = [0; 32];
        let n = encode(Kind::Heartbeat, &[&7u32.to_le_bytes()], &mut wire).unwrap();
        let crc = CRC.checksum(&[6, 7, 0, 0, 0]).to_le_bytes();
        assert_eq!(&wire[..n], [3, 6, 7, 1, 1, 5, crc[0], crc[1], crc[2], crc[3], 0]);
    }

    #[test]
    fn the_longest_frame_fits_the_wire_buffer_and_one_more_byte_does_not() {
        let mut wire = [0; WIRE_BYTES_MAX];
        let longest = [1; FRAME_BYTES_MAX - 5];
        assert_eq!(encode(Kind::Event, &[&longest], &mut wire), Some(WIRE_BYTES_MAX));
        assert_eq!(encode(Kind::Event, &[&longest, &[1]], &mut wire), None);
    }

    proptest! {
        #[test]
        fn cobs_agrees_with_another_implementation(payload in proptest::collection::vec(0u8..3, 0..1200)) {
            let mut wire = [0; WIRE_BYTES_MAX];
            let n = encode(Kind::Event, &[&payload], &mut wire).unwrap();
            prop_assert!(wire[..n - 1].iter().all(|&byte| byte != 0));
            let plain = cobs::decode_vec(&wire[..n - 1]).unwrap();
            prop_assert_eq!(&plain[1..plain.len() - 4], &payload[..]);
        }

        #[test]
        fn a_frame_is_found_after_any_rubbish(rubbish in proptest::collection::vec(any::<u8>(), 0..6000),
                                              payload in proptest::collection::vec(any::<u8>(), 0..300),
                                              portion in 1usize..50) {
            let mut wire = [0; WIRE_BYTES_MAX];
            let n = encode(Kind::Event, &[&payload], &mut wire).unwrap();
            let mut line = rubbish;
            line.push(0);
            line.extend_from_slice(&wire[..n]);
            let mut accumulator = Accumulator::default();
            let mut last: Option<Vec<u8>> = None;
            for mut bytes in line.chunks(portion) {
                while !bytes.is_empty() {
                    let (received, rest) = accumulator.feed(bytes);
                    if let Some(received) = received {
                        last = match received {
                            Received::Frame(Kind::Event, payload) => Some(payload.into()),
                            _ => None,
                        };
                    }
                    bytes = rest;
                }
            }
            prop_assert_eq!(last, Some(payload));
        }

        #[test]
        fn a_flipped_bit_never_passes(payload in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut wire = [0; WIRE_BYTES_MAX];
            let n = encode(Kind::Event, &[&payload], &mut wire).unwrap();
            let at = at.index(n - 1);
            wire[at] ^= 1 << bit;
            let mut accumulator = Accumulator::default();
            let mut bytes = &wire[..n];
            while !bytes.is_empty() {
                let (received, rest) = accumulator.feed(bytes);
                let passed = matches!(received, Some(Received::Frame(..)));
                prop_assert!(!passed);
                bytes = rest;
            }
        }
    }
}
