//! The endpoint joined with its two logs. The order is the promise: into the outbox, then onto the wire;
//! from the wire into the inbox, then to the owner, then the acknowledgement.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use till_link::endpoint::Refusal;
use till_link::{Config, Endpoint, Event, PAYLOAD_BYTES_MAX, Resume, Role, Security, Source, Stats, WIRE_BYTES_MAX};

use crate::outbox::{Log, LogError};
use crate::port::{PortError, PortErrorKind, Wire};

#[cfg(test)]
mod tests;

/// Durable messages under way at once. Four of the largest frames keep a 115200 line busy for a second.
const WINDOW: u32 = 8;
/// A next frame is made only while fewer bytes wait for the line: 11 ms at 115200, so that the line does not run dry
/// between two turns, and what is said last need not wait for what the driver took ahead.
const AHEAD_BYTES: usize = 128;
/// Bytes read from the wire at once.
const READ_BYTES: usize = 1024;

/// What comes out of a turn.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A durable message; it is in the inbox.
    Durable(&'a [u8]),
    /// A message that may have been lost.
    Volatile(&'a [u8]),
    /// The other end has stored our log up to here.
    Acknowledged(u32),
    /// The other end has so many records of our outbox that the disk has lost since. Told until
    /// [`Books::renew`] succeeds; the link does not come up before.
    BooksLost {
        /// At least one.
        records: u32,
    },
    /// The ends talk; so many messages of the other end are gone for good.
    Up {
        /// 0 when all is well.
        lost: u32,
    },
    /// The other end fell silent.
    Down,
    /// The other end or we do not talk, and why.
    Refused(Refusal),
}

/// A record of the inbox: the other end's number and the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journalled<'a> {
    /// The epoch of the other end's log.
    pub epoch: u32,
    /// The number there.
    pub sequence: u32,
    /// The message.
    pub message: &'a [u8],
}

impl<'a> Journalled<'a> {
    /// Takes an inbox record apart; `None` if it is too short to be one.
    pub fn read(record: &'a [u8]) -> Option<Self> {
        let (epoch, rest) = record.split_first_chunk::<4>()?;
        let (sequence, message) = rest.split_first_chunk::<4>()?;
        Some(Self { epoch: u32::from_le_bytes(*epoch), sequence: u32::from_le_bytes(*sequence), message })
    }
}

/// One end of the link with its books.
#[derive(Debug)]
pub struct Books {
    endpoint: Endpoint,
    out: Log,
    inbox: Log,
    volatile: VecDeque<(u32, Vec<u8>)>,
    /// Parts of something long, which wait for everything else.
    bulk: VecDeque<Vec<u8>>,
    /// Records from here on are kept though they were acknowledged.
    keep_from: u32,
    wire_bytes: Box<[u8; WIRE_BYTES_MAX]>,
    /// What of `wire_bytes` the line has not taken yet.
    unsent: std::ops::Range<usize>,
    read_bytes: Box<[u8; READ_BYTES]>,
    record: Vec<u8>,
    storage_error: Option<LogError>,
    refused: Option<Refusal>,
    boot: u32,
    /// The link was up in this life: the other end has no more of our outbox than we have.
    proven: bool,
    renewed: u32,
}

struct Outgoing<'b> {
    out: &'b Log,
    volatile: &'b mut VecDeque<(u32, Vec<u8>)>,
    bulk: &'b mut VecDeque<Vec<u8>>,
    /// The line has sent all that it was given.
    line_free: bool,
}

impl Source for Outgoing<'_> {
    fn first(&self) -> u32 {
        self.out.first()
    }

    fn last(&self) -> u32 {
        self.out.last()
    }

    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
        copy(self.out.get(sequence)?, buffer)
    }

    fn volatile(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let (_, bytes) = self.volatile.pop_front()?;
        copy(&bytes, buffer)
    }

    fn bulk(&mut self, buffer: &mut [u8]) -> Option<usize> {
        // An event that comes in the middle of a picture waits for one part of it at most (L-073).
        if !self.line_free {
            return None;
        }
        copy(&self.bulk.pop_front()?, buffer)
    }
}

fn copy(bytes: &[u8], buffer: &mut [u8]) -> Option<usize> {
    buffer.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(bytes.len())
}

impl Books {
    /// Joins the logs with a fresh endpoint. `boot` must differ from start to start.
    pub fn new(role: Role, counter: u32, boot: u32, out: Log, inbox: Log, now_ms: u64) -> Self {
        let stored = inbox.records().last().and_then(|(_, record)| Journalled::read(record));
        let resume = stored.map_or(Resume::default(), |last| Resume { epoch: last.epoch, sequence: last.sequence });
        let config = Config { role, counter, epoch: out.epoch(), boot, window: WINDOW };
        let endpoint = Endpoint::new(config, resume, out.first().saturating_sub(1), out.told(), now_ms);
        Self {
            endpoint,
            out,
            inbox,
            volatile: VecDeque::new(),
            bulk: VecDeque::new(),
            keep_from: u32::MAX,
            wire_bytes: Box::new([0; WIRE_BYTES_MAX]),
            unsent: 0..0,
            read_bytes: Box::new([0; READ_BYTES]),
            record: Vec::new(),
            storage_error: None,
            refused: None,
            boot,
            proven: false,
            renewed: 0,
        }
    }

    /// The same on a secured link; to be said before the first turn.
    pub fn secured(self, security: Security) -> Self {
        Self { endpoint: self.endpoint.with_security(security), ..self }
    }

    /// Puts a durable message into the outbox; it is on the disk when this returns `Ok` and will be sent
    /// until it is acknowledged.
    pub fn submit(&mut self, message: &impl Serialize) -> Result<u32, PortError> {
        let mut buffer = [0; PAYLOAD_BYTES_MAX];
        let Some(bytes) = till_link::message::encode(message, &mut buffer) else {
            return Err(PortError::new(PortErrorKind::TooLong, "link", "a message does not fit a frame"));
        };
        if !self.proven {
            self.out.hold_back()?;
        }
        Ok(self.out.append(bytes)?)
    }

    /// Sends a message that may be lost. One that was not sent yet under the same `key` is replaced.
    pub fn send(&mut self, key: u32, message: &impl Serialize) {
        let mut buffer = [0; PAYLOAD_BYTES_MAX];
        let Some(bytes) = till_link::message::encode(message, &mut buffer) else { return };
        match self.volatile.iter_mut().find(|(waiting, _)| *waiting == key) {
            Some((_, waiting)) => {
                waiting.clear();
                waiting.extend_from_slice(bytes);
            }
            None => self.volatile.push_back((key, bytes.to_vec())),
        }
    }

    /// Sends something long in parts, each when nothing else is to be said; what of an earlier one was not sent is dropped.
    pub fn send_bulk<M: Serialize>(&mut self, parts: impl IntoIterator<Item = M>) {
        self.bulk.clear();
        let mut buffer = [0; PAYLOAD_BYTES_MAX];
        for part in parts {
            if let Some(bytes) = till_link::message::encode(&part, &mut buffer) {
                self.bulk.push_back(bytes.to_vec());
            }
        }
    }

    /// Reads what came, hands it out, and writes what is to be said, until the line has or takes no more.
    /// Returns whether anything moved. After an error of the wire: drop it, open another one, and call
    /// [`Books::reconnected`].
    pub fn turn(
        &mut self,
        now_ms: u64,
        wire: &mut dyn Wire,
        sink: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<bool, PortError> {
        let lost = |error: std::io::Error| PortError::new(PortErrorKind::Lost, "link", error.to_string());
        let mut moved = false;
        loop {
            let n = wire.read(&mut self.read_bytes[..]).map_err(lost)?;
            if n == 0 {
                break;
            }
            moved = true;
            self.take(now_ms, n, sink);
        }
        loop {
            while !self.unsent.is_empty() {
                let bytes = self.wire_bytes.get(self.unsent.clone()).unwrap_or(&[]);
                let n = wire.write(bytes).map_err(lost)?;
                if n == 0 {
                    return Ok(moved);
                }
                moved = true;
                self.unsent.start += n;
            }
            let waiting = wire.waiting();
            if waiting >= AHEAD_BYTES {
                return Ok(moved);
            }
            let line_free = waiting == 0;
            let (volatile, bulk) = (&mut self.volatile, &mut self.bulk);
            let mut source = Outgoing { out: &self.out, volatile, bulk, line_free };
            let transmitted = self.endpoint.poll_transmit(now_ms, &mut source, &mut self.wire_bytes, |event| {
                if event == Event::Down {
                    sink(Incoming::Down);
                }
            });
            match transmitted {
                Some(n) => self.unsent = 0..n,
                None => return Ok(moved),
            }
        }
    }

    fn take(&mut self, now_ms: u64, n: usize, sink: &mut dyn FnMut(Incoming<'_>)) {
        let Self { endpoint, out, inbox, read_bytes, record, storage_error, refused, proven, .. } = self;
        let told = out.told();
        let mut came_up = false;
        let mut stored = None;
        let mut failed = false;
        let mut acknowledged = None;
        endpoint.receive(now_ms, read_bytes.get(..n).unwrap_or(&[]), |event| match event {
            // Behind a record that could not be stored nothing may be stored.
            Event::Durable { .. } if failed => {}
            Event::Durable { epoch, sequence, payload } => {
                record.clear();
                record.extend_from_slice(&epoch.to_le_bytes());
                record.extend_from_slice(&sequence.to_le_bytes());
                record.extend_from_slice(payload);
                match inbox.append(record) {
                    Ok(_) => {
                        stored = Some((epoch, sequence));
                        sink(Incoming::Durable(payload));
                    }
                    Err(error) => {
                        failed = true;
                        *storage_error = Some(error);
                    }
                }
            }
            Event::Volatile(payload) => sink(Incoming::Volatile(payload)),
            Event::Acknowledged { sequence } => {
                acknowledged = Some(sequence);
                sink(Incoming::Acknowledged(sequence));
            }
            Event::LogLost { stored } => sink(Incoming::BooksLost { records: stored.saturating_sub(told) }),
            Event::Up { lost, .. } => {
                *refused = None;
                came_up = true;
                sink(Incoming::Up { lost });
            }
            Event::Down => sink(Incoming::Down),
            Event::Refused(reason) => {
                // A POS without its key says so each half second: once is enough for the log.
                if refused.replace(reason) != Some(reason) {
                    sink(Incoming::Refused(reason));
                }
            }
        });
        if let Some((epoch, sequence)) = stored {
            endpoint.stored(epoch, sequence);
        }
        if failed {
            endpoint.not_stored();
        }
        if came_up && !*proven {
            // On the disk before anything is sent: what was told must not count as untold in the next life.
            match out.tell() {
                Ok(()) => *proven = true,
                Err(error) => {
                    *storage_error = Some(error);
                    endpoint.reconnected(now_ms, |_| sink(Incoming::Down));
                }
            }
        }
        if acknowledged.is_some() {
            self.release_out();
        }
    }

    /// Begins the outbox anew under an epoch that was never used, after [`Incoming::BooksLost`]. What nobody
    /// was told yet and what [`Books::keep`] holds are its first records.
    ///
    /// # Errors
    /// When the disk does not take it: the link stays down and tells of the loss again.
    pub fn renew(&mut self, now_ms: u64) -> Result<(), PortError> {
        let from = self.out.told().saturating_add(1).min(self.keep_from.max(1));
        // A boot number comes once, and a log is begun in few boots: the next number is as good as it.
        let epoch = if self.boot == self.out.epoch() { self.boot.wrapping_add(1).max(1) } else { self.boot };
        self.out.renew(epoch, from)?;
        if self.keep_from != u32::MAX {
            self.keep_from = self.keep_from.saturating_sub(from).saturating_add(1);
        }
        self.endpoint.renew(epoch, now_ms);
        self.renewed = self.renewed.saturating_add(1);
        Ok(())
    }

    /// Whether the other end was heard in this life and has no record that the outbox lacks.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// How often in this life the outbox was begun anew because the disk had lost records.
    pub fn renewed(&self) -> u32 {
        self.renewed
    }

    fn release_out(&mut self) {
        let until = self.endpoint.acknowledged().min(self.keep_from.saturating_sub(1));
        if let Err(error) = self.out.release(until) {
            self.storage_error = Some(error);
        }
    }

    /// From now on keeps record `from` of the outbox and all behind it though they be acknowledged;
    /// `None` keeps only what is not.
    pub fn keep(&mut self, from: Option<u32>) {
        self.keep_from = from.unwrap_or(u32::MAX);
        self.release_out();
    }

    /// What is in the inbox has had its effect and is needed no longer.
    pub fn release_inbox(&mut self) {
        if let Err(error) = self.inbox.release(self.inbox.last()) {
            self.storage_error = Some(error);
        }
    }

    /// Whether the inbox takes records, as far as it knows: undoes an earlier failed write if it can.
    pub fn probe_inbox(&mut self) -> bool {
        self.inbox.heal().is_ok()
    }

    /// The port was opened anew.
    pub fn reconnected(&mut self, now_ms: u64, sink: &mut dyn FnMut(Incoming<'_>)) {
        self.unsent = 0..0;
        self.bulk.clear();
        self.endpoint.reconnected(now_ms, |event| {
            if event == Event::Down {
                sink(Incoming::Down);
            }
        });
    }

    /// The last failure of a log since the last call.
    pub fn take_storage_error(&mut self) -> Option<LogError> {
        self.storage_error.take()
    }

    /// How long nothing need be done if nothing comes and nothing is submitted.
    pub fn idle_for(&self, now_ms: u64) -> Duration {
        if self.unsent.is_empty() {
            Duration::from_millis(self.endpoint.next_deadline().saturating_sub(now_ms))
        } else {
            Duration::ZERO
        }
    }

    /// Whether the other end must prove that it has the key.
    pub fn is_secured(&self) -> bool {
        self.endpoint.is_secured()
    }

    /// Why the ends do not talk, since they last did.
    pub fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// Whether the ends talk.
    pub fn is_up(&self) -> bool {
        self.endpoint.is_up()
    }

    /// Durable messages that the other end has not stored.
    pub fn unacknowledged(&self) -> u32 {
        self.out.last().saturating_sub(self.endpoint.acknowledged())
    }

    /// Whether everything was said and acknowledged.
    pub fn is_quiet(&self) -> bool {
        self.unacknowledged() == 0 && self.volatile.is_empty() && self.bulk.is_empty() && self.unsent.is_empty()
    }

    /// The link's counts.
    pub fn stats(&self) -> Stats {
        self.endpoint.stats()
    }

    /// The outgoing log.
    pub fn out(&self) -> &Log {
        &self.out
    }

    /// The incoming log; its records are [`Journalled`].
    pub fn inbox(&self) -> &Log {
        &self.inbox
    }
}
