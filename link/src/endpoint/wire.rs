//! The fixed parts of frames as bytes: HELLO, and pairs of epoch and sequence. Little-endian throughout.

use crate::VERSION;
use crate::endpoint::{Config, Refusal, Resume, Role};
use crate::message::SCHEMA;

/// Bytes of a HELLO.
pub(super) const HELLO_BYTES: usize = 37;

/// Who an end is and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub major: u8,
    pub minor: u8,
    pub schema: u32,
    pub role: u8,
    /// The sender holds the link to be up with `peer_boot`.
    pub up: bool,
    pub counter: u32,
    pub boot: u32,
    /// The receiver's boot number as the sender knows it; 0 if it does not.
    pub peer_boot: u32,
    /// The sender's log.
    pub epoch: u32,
    /// The lowest sequence that the log still holds.
    pub first: u32,
    /// The receiver's log as far as the sender stored it.
    pub stored_epoch: u32,
    pub stored: u32,
    /// [`crate::secure::FLAG_SECURED`]; a later minor version may give the other bits a meaning.
    pub flags: u8,
}

impl Hello {
    pub(super) fn ours(
        config: &Config,
        resume: &Resume,
        peer_boot: Option<u32>,
        up: bool,
        first: u32,
        flags: u8,
    ) -> Self {
        Self {
            major: VERSION.0,
            minor: VERSION.1,
            schema: SCHEMA,
            role: config.role as u8,
            up,
            counter: config.counter,
            boot: config.boot,
            peer_boot: peer_boot.unwrap_or(0),
            epoch: config.epoch,
            first,
            stored_epoch: resume.epoch,
            stored: resume.sequence,
            flags,
        }
    }

    pub(super) fn bytes(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        let head = [self.major, self.minor, self.role, u8::from(self.up), self.flags];
        let words = [
            self.schema,
            self.counter,
            self.boot,
            self.peer_boot,
            self.epoch,
            self.first,
            self.stored_epoch,
            self.stored,
        ];
        for (to, from) in bytes.iter_mut().zip(head.into_iter().chain(words.into_iter().flat_map(u32::to_le_bytes))) {
            *to = from;
        }
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        // A later minor version may add fields behind these.
        let (head, rest) = bytes.split_first_chunk::<5>()?;
        let mut words = [0u32; 8];
        let mut rest = rest;
        for word in &mut words {
            let (bytes, after) = rest.split_first_chunk::<4>()?;
            *word = u32::from_le_bytes(*bytes);
            rest = after;
        }
        let [major, minor, role, up, flags] = *head;
        let [schema, counter, boot, peer_boot, epoch, first, stored_epoch, stored] = words;
        Some(Self {
            major,
            minor,
            schema,
            role,
            up: up == 1,
            counter,
            boot,
            peer_boot,
            epoch,
            first,
            stored_epoch,
            stored,
            flags,
        })
    }

    /// Why an end with `config` does not talk to the sender of this.
    pub(super) fn refusal(&self, config: &Config) -> Option<Refusal> {
        let other = match config.role {
            Role::Till => Role::Pos,
            Role::Pos => Role::Till,
        };
        if self.major != VERSION.0 {
            Some(Refusal::Version)
        } else if self.schema != SCHEMA {
            Some(Refusal::Schema)
        } else if self.role != other as u8 {
            Some(Refusal::Role)
        } else if self.counter != config.counter {
            Some(Refusal::Counter)
        } else {
            None
        }
    }
}

pub(super) fn pair(epoch: u32, sequence: u32) -> [u8; 8] {
    let [a, b, c, d] = epoch.to_le_bytes();
    let [e, f, g, h] = sequence.to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

pub(super) fn read_u32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

pub(super) fn read_u32_pair(bytes: &[u8]) -> Option<(u32, u32)> {
    let (epoch, sequence) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*epoch), read_u32(sequence)?))
}
