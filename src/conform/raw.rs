//! Frames as SPEC 3 and 6.1 write them, made and read by hand: the player must be able to say what an
//! endpoint never would, and must not believe what it hears because the endpoint's own code made it.

use till_link::frame::CRC;

/// Most bytes before a `00`, SPEC 11.
const STUFFED_BYTES_MAX: usize = 2600;

/// Kinds of frames, SPEC 6.1.
pub mod kind {
    /// Who I am and where I stand.
    pub const HELLO: u8 = 1;
    /// A durable message.
    pub const DATA: u8 = 2;
    /// All up to here is on my disk.
    pub const ACK: u8 = 3;
    /// The same, and something is missing behind it.
    pub const GAP: u8 = 4;
    /// A message that may be lost.
    pub const EVENT: u8 = 5;
    /// I am alive.
    pub const HEARTBEAT: u8 = 6;
    /// I do not talk to you.
    pub const REFUSE: u8 = 7;

    /// The name of a kind.
    pub fn name(kind: u8) -> &'static str {
        match kind {
            HELLO => "HELLO",
            DATA => "DATA",
            ACK => "ACK",
            GAP => "GAP",
            EVENT => "EVENT",
            HEARTBEAT => "HEARTBEAT",
            REFUSE => "REFUSE",
            _ => "a frame of unknown kind",
        }
    }
}

/// Kind, payload and CRC-32C.
pub fn body(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = vec![kind];
    body.extend_from_slice(payload);
    let crc = CRC.checksum(&body).to_le_bytes();
    body.extend_from_slice(&crc);
    body
}

/// A whole frame as it stands on the line.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    stuff(&body(kind, payload))
}

/// COBS and the `00`, SPEC 3.2.
pub fn stuff(body: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(body.len() + body.len() / 254 + 2);
    let mut block = Vec::with_capacity(254);
    for &byte in body {
        if byte != 0 {
            block.push(byte);
        }
        if byte == 0 || block.len() == 254 {
            wire.push(block.len() as u8 + 1);
            wire.append(&mut block);
        }
    }
    wire.push(block.len() as u8 + 1);
    wire.append(&mut block);
    wire.push(0);
    wire
}

fn unstuff(wire: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(wire.len());
    let mut rest = wire;
    while let Some((&code, after)) = rest.split_first() {
        let (block, after) = after.split_at_checked(usize::from(code).checked_sub(1)?)?;
        body.extend_from_slice(block);
        if code != 0xff && !after.is_empty() {
            body.push(0);
        }
        rest = after;
    }
    Some(body)
}

/// What stood between two `00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole frame, of whatever kind.
    Frame {
        /// SPEC 6.1.
        kind: u8,
        /// What it carries.
        payload: Vec<u8>,
    },
    /// Longer than any frame.
    TooLong,
    /// Not COBS, or too short.
    BadCobs,
    /// Damaged.
    BadCrc,
}

/// Gathers bytes up to a `00`.
#[derive(Debug, Default)]
pub struct Ear {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Ear {
    /// Takes one byte; says what it ended.
    pub fn take(&mut self, byte: u8) -> Option<Heard> {
        if byte != 0 {
            if self.bytes.len() < STUFFED_BYTES_MAX {
                self.bytes.push(byte);
            } else {
                self.too_long = true;
            }
            return None;
        }
        let stuffed = std::mem::take(&mut self.bytes);
        if std::mem::take(&mut self.too_long) {
            return Some(Heard::TooLong);
        }
        if stuffed.is_empty() {
            return None;
        }
        Some(open(&stuffed))
    }
}

fn open(stuffed: &[u8]) -> Heard {
    let Some(body) = unstuff(stuffed) else { return Heard::BadCobs };
    let Some((content, crc)) = body.split_last_chunk::<4>() else { return Heard::BadCobs };
    let Some((&kind, payload)) = content.split_first() else { return Heard::BadCobs };
    if CRC.checksum(content) != u32::from_le_bytes(*crc) {
        return Heard::BadCrc;
    }
    Heard::Frame { kind, payload: payload.to_vec() }
}

/// Two little-endian numbers: epoch and sequence.
pub fn pair(epoch: u32, sequence: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(epoch.to_le_bytes().into_iter().chain(sequence.to_le_bytes())) {
        *to = from;
    }
    bytes
}

/// Undoes [`pair`] at the head of `payload`.
pub fn read_pair(payload: &[u8]) -> Option<(u32, u32)> {
    let (epoch, rest) = payload.split_first_chunk::<4>()?;
    let sequence = rest.first_chunk::<4>()?;
    Some((u32::from_le_bytes(*epoch), u32::from_le_bytes(*sequence)))
}

/// HELLO, SPEC 6.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// 0 till, 1 POS.
    pub role: u8,
    /// The sender holds the link to be up.
    pub up: u8,
    /// SPEC 8.
    pub flags: u8,
    /// Of the messages.
    pub schema: u32,
    /// The counter's number.
    pub counter: u32,
    /// The sender's.
    pub boot: u32,
    /// The receiver's, as the sender knows it.
    pub peer_boot: u32,
    /// Of the sender's log.
    pub epoch: u32,
    /// The lowest sequence that log holds.
    pub first: u32,
    /// Of the receiver's log, as stored at the sender.
    pub stored_epoch: u32,
    /// The last sequence of it.
    pub stored: u32,
}

/// Bytes of a HELLO of version 1.0.
pub const HELLO_BYTES: usize = 37;

impl Hello {
    /// The payload.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.major, self.minor, self.role, self.up, self.flags];
        for word in [
            self.schema,
            self.counter,
            self.boot,
            self.peer_boot,
            self.epoch,
            self.first,
            self.stored_epoch,
            self.stored,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads a payload; `None` when it is too short.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (&[major, minor, role, up, flags], rest) = payload.split_first_chunk::<5>()?;
        let mut words = rest.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let mut hello = Self { major, minor, role, up, flags, ..Self::default() };
        for field in [
            &mut hello.schema,
            &mut hello.counter,
            &mut hello.boot,
            &mut hello.peer_boot,
            &mut hello.epoch,
            &mut hello.first,
            &mut hello.stored_epoch,
            &mut hello.stored,
        ] {
            *field = words.next()?;
        }
        Some(hello)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use till_link::frame::{self as link, Kind};

    use super::*;

    #[test]
    fn the_heartbeat_of_the_specification() {
        assert_eq!(frame(kind::HEARTBEAT, &[7, 0, 0, 0]), [3, 6, 7, 1, 1, 5, 0x17, 0xaf, 0x15, 0xcc, 0]);
    }

    proptest! {
        #[test]
        fn frames_are_those_of_the_endpoint(payload in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..1500)) {
            let mut wire = vec![0; link::WIRE_BYTES_MAX];
            let n = link::encode(Kind::Event, &[&payload], &mut wire).unwrap();
            prop_assert_eq!(&frame(kind::EVENT, &payload), &wire[..n]);
            let mut ear = Ear::default();
            let heard: Vec<Heard> = wire[..n].iter().filter_map(|&byte| ear.take(byte)).collect();
            prop_assert_eq!(heard, [Heard::Frame { kind: kind::EVENT, payload }]);
        }

        #[test]
        fn any_bytes_are_heard(bytes in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..3000)) {
            let mut ear = Ear::default();
            for byte in bytes {
                if let Some(Heard::Frame { payload, .. }) = ear.take(byte) {
                    let _ = (Hello::read(&payload), read_pair(&payload));
                }
            }
        }
    }
}
