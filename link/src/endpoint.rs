//! One end of the link, without port, clock or disk: bytes and time in, bytes and events out.
//!
//! Durable messages live in the sender's log, which numbers them from 1 within an epoch. They are sent in
//! order through a window, delivered in order and exactly once, and acknowledged only after the receiver
//! said [`Endpoint::stored`]. A gap is answered at once, so that the sender goes back without waiting for
//! its timer (go-back-N: the receiver keeps no frames, which is what fits a small device). After any
//! silence, reboot or reconnection both ends say HELLO and go on after what the other has stored.
//!
//! Two ends on a perfect wire, and one durable message:
//!
//! ```
//! use till_link::{Config, Endpoint, Event, Resume, Role, Source, WIRE_BYTES_MAX};
//!
//! struct Log(Option<&'static [u8]>);
//! impl Source for Log {
//!     fn first(&self) -> u32 { 1 }
//!     fn last(&self) -> u32 { self.0.map_or(0, |_| 1) }
//!     fn durable(&mut self, _: u32, buffer: &mut [u8]) -> Option<usize> {
//!         let record = self.0?;
//!         buffer[..record.len()].copy_from_slice(record);
//!         Some(record.len())
//!     }
//!     fn volatile(&mut self, _: &mut [u8]) -> Option<usize> { None }
//! }
//!
//! let end = |role, boot| {
//!     let config = Config { role, counter: 1, epoch: boot, boot, window: 4 };
//!     Endpoint::new(config, Resume::default(), 0, 0, 0)
//! };
//! let mut ends = [(end(Role::Till, 7), Log(Some(b"offer"))), (end(Role::Pos, 9), Log(None))];
//! let mut wire = [0; WIRE_BYTES_MAX];
//! let (mut taken, mut acknowledged) = (None, None);
//! for now_ms in 0..100 {
//!     for from in [0, 1] {
//!         let (end, log) = &mut ends[from];
//!         let Some(n) = end.poll_transmit(now_ms, log, &mut wire, |_| {}) else { continue };
//!         let (end, _) = &mut ends[1 - from];
//!         let mut stored = None;
//!         end.receive(now_ms, &wire[..n], |event| match event {
//!             Event::Durable { epoch, sequence, payload } => {
//!                 // A real end puts it on its disk here, in one record with epoch and sequence.
//!                 taken = Some(payload.to_vec());
//!                 stored = Some((epoch, sequence));
//!             }
//!             Event::Acknowledged { sequence } => acknowledged = Some(sequence),
//!             _ => {}
//!         });
//!         if let Some((epoch, sequence)) = stored {
//!             end.stored(epoch, sequence);
//!         }
//!     }
//! }
//! assert_eq!((taken.as_deref(), acknowledged), (Some(&b"offer"[..]), Some(1)));
//! assert!(ends[0].0.is_up() && ends[0].0.next_deadline() > 100);
//! ```

mod handshake;
mod timer;
mod types;
mod wire;

pub use timer::Rto;
pub use types::{Config, Event, Refusal, Resume, Role, Source, Stats, WINDOW_MAX};

use crate::PAYLOAD_BYTES_MAX;
use crate::frame::{self, Accumulator, Kind, Received, WIRE_BYTES_MAX};
use crate::secure::{Guard, NONCE_BYTES, Nonce, Security, Unsealed};

use wire::{read_u32, read_u32_pair};

/// A heartbeat is sent after this much silence of ours.
pub const HEARTBEAT_MS: u64 = 1_000;
/// The other end is gone after this much silence of its.
pub const LOST_MS: u64 = 3_000;
/// HELLO is repeated after this long without an answer.
pub const HELLO_MS: u64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Peer {
    boot: u32,
    epoch: u32,
    /// Zeros where nothing is secured.
    nonce: Nonce,
}

/// One end of the link. Two of them, up with each other:
///
/// ```
/// # use till_link::{Config, Endpoint, Resume, Role, WIRE_BYTES_MAX};
/// # let config = |role, boot| Config { role, counter: 1, epoch: boot, boot, window: 4 };
/// let mut till = Endpoint::new(config(Role::Till, 7), Resume::default(), 0, 0, 0);
/// let mut pos = Endpoint::new(config(Role::Pos, 9), Resume::default(), 0, 0, 0);
/// let mut wire = [0; WIRE_BYTES_MAX];
/// for _ in 0..3 {
///     if let Some(n) = till.poll_transmit(0, &mut (), &mut wire, |_| {}) {
///         pos.receive(0, &wire[..n], |_| {});
///     }
///     if let Some(n) = pos.poll_transmit(0, &mut (), &mut wire, |_| {}) {
///         till.receive(0, &wire[..n], |_| {});
///     }
/// }
/// assert!(till.is_up() && pos.is_up());
/// assert_eq!(till.stats().ups, 1);
/// ```
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    /// `None`: who holds the cable is believed.
    guard: Option<Guard>,
    rx: Accumulator,
    resume: Resume,
    /// Last sequence handed to the owner, which may not have stored it yet.
    delivered: u32,
    peer: Option<Peer>,
    up: bool,
    /// The HELLO that the other end must still get: it has not named our boot yet, or asked again.
    hello_due_ms: Option<u64>,
    refuse: Option<Refusal>,
    ack_due: bool,
    gap_due: bool,
    gap_told: bool,
    acknowledged: u32,
    next: u32,
    highest_sent: u32,
    /// In this life no HELLO of the other end has yet shown that it holds no more of our log than we do.
    unproven: bool,
    sent_ms: [u64; WINDOW_MAX as usize],
    rto: Rto,
    timer_ms: Option<u64>,
    heard_ms: u64,
    spoke_ms: u64,
    /// An event went out last: data has its turn.
    event_last: bool,
    scratch: [u8; PAYLOAD_BYTES_MAX],
    stats: Stats,
}

impl Endpoint {
    /// An endpoint that has said nothing yet. Of our own log, `acknowledged` is the last sequence that the
    /// other end is known to have stored (0 if unknown) and `last` the last on disk: an earlier life of
    /// this end may have sent all of it.
    ///
    /// ```
    /// use till_link::{Config, Endpoint, Resume, Role};
    /// let config = Config { role: Role::Pos, counter: 1, epoch: 9, boot: 12, window: 4 };
    /// // This end has stored the till's log up to 41, and has 3 messages of its own, of which the till has 2.
    /// let end = Endpoint::new(config, Resume { epoch: 7, sequence: 41 }, 2, 3, 0);
    /// assert!(!end.is_up() && end.acknowledged() == 2);
    /// ```
    pub fn new(config: Config, resume: Resume, acknowledged: u32, last: u32, now_ms: u64) -> Self {
        Self {
            config: Config { window: config.window.clamp(1, WINDOW_MAX), boot: config.boot.max(1), ..config },
            guard: None,
            rx: Accumulator::default(),
            resume,
            delivered: resume.sequence,
            peer: None,
            up: false,
            hello_due_ms: Some(now_ms),
            refuse: None,
            ack_due: false,
            gap_due: false,
            gap_told: false,
            acknowledged,
            next: acknowledged.saturating_add(1),
            highest_sent: last.max(acknowledged),
            unproven: true,
            sent_ms: [0; WINDOW_MAX as usize],
            rto: Rto::default(),
            timer_ms: None,
            heard_ms: now_ms,
            spoke_ms: now_ms,
            event_last: false,
            scratch: [0; PAYLOAD_BYTES_MAX],
            stats: Stats::default(),
        }
    }

    /// The same on a secured link (SPEC.md 8): the other end must prove that it holds the key, and no frame
    /// counts that is not sealed under it.
    ///
    /// ```
    /// use till_link::{Config, Endpoint, Key, Resume, Role, Security};
    /// let config = Config { role: Role::Till, counter: 1, epoch: 9, boot: 1, window: 4 };
    /// let security = Security::new(Key::new(1, [0x11; 32]), None, [0x5e; 32]); // of an example; see `Security`
    /// let end = Endpoint::secured(config, security, Resume::default(), 0, 0, 0);
    /// assert!(end.is_secured());
    /// ```
    pub fn secured(
        config: Config,
        security: Security,
        resume: Resume,
        acknowledged: u32,
        last: u32,
        now_ms: u64,
    ) -> Self {
        Self::new(config, resume, acknowledged, last, now_ms).with_security(security)
    }

    /// This end, secured; to be said before it has spoken.
    ///
    /// ```
    /// use till_link::{Config, Endpoint, Key, Resume, Role, Security};
    /// let config = Config { role: Role::Pos, counter: 1, epoch: 9, boot: 1, window: 4 };
    /// let end = Endpoint::new(config, Resume::default(), 0, 0, 0);
    /// assert!(!end.is_secured());
    /// let security = Security::new(Key::new(1, [0x11; 32]), None, [0x5e; 32]); // of an example; see `Security`
    /// assert!(end.with_security(security).is_secured());
    /// ```
    pub fn with_security(self, security: Security) -> Self {
        let guard = Guard::new(security, self.config.role, self.config.boot);
        Self { guard: Some(guard), ..self }
    }

    /// Whether a stranger on the cable is kept out, as the example at [`Endpoint::with_security`] shows.
    pub fn is_secured(&self) -> bool {
        self.guard.is_some()
    }

    /// Whether the ends talk, as the example at [`Endpoint`] shows.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// The counts.
    ///
    /// ```
    /// # use till_link::{Config, Endpoint, Resume, Role, WIRE_BYTES_MAX};
    /// # let config = Config { role: Role::Pos, counter: 1, epoch: 9, boot: 9, window: 4 };
    /// let mut end = Endpoint::new(config, Resume::default(), 0, 0, 0);
    /// end.receive(0, b"\xf8\x0c\x00", |_| {});
    /// assert_eq!((end.stats().bytes_in, end.stats().bad_cobs), (3, 1));
    /// ```
    pub fn stats(&self) -> Stats {
        Stats { rtt_ms: self.rto.smoothed_ms(), ..self.stats }
    }

    /// The last sequence of our log that the other end has stored, as the example at [`Endpoint::new`] shows.
    pub fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// The port was opened anew: the other end may be another one.
    ///
    /// ```
    /// # use till_link::{Config, Endpoint, Resume, Role, WIRE_BYTES_MAX};
    /// # let config = |role, boot| Config { role, counter: 1, epoch: boot, boot, window: 4 };
    /// let mut till = Endpoint::new(config(Role::Till, 7), Resume::default(), 0, 0, 0);
    /// let mut pos = Endpoint::new(config(Role::Pos, 9), Resume::default(), 0, 0, 0);
    /// let mut wire = [0; WIRE_BYTES_MAX];
    /// for _ in 0..3 {
    ///     if let Some(n) = till.poll_transmit(0, &mut (), &mut wire, |_| {}) {
    ///         pos.receive(0, &wire[..n], |_| {});
    ///     }
    ///     if let Some(n) = pos.poll_transmit(0, &mut (), &mut wire, |_| {}) {
    ///         till.receive(0, &wire[..n], |_| {});
    ///     }
    /// }
    /// till.reconnected(10, |event| assert_eq!(event, till_link::Event::Down));
    /// assert!(!till.is_up() && till.next_deadline() == 10, "HELLO at once");
    /// ```
    pub fn reconnected(&mut self, now_ms: u64, mut sink: impl FnMut(Event<'_>)) {
        self.rx = Accumulator::default();
        self.go_down(now_ms, &mut sink);
        self.hello_due_ms = Some(now_ms);
    }

    /// The owner has everything up to `sequence` of `epoch` on its disk; see the example of [the module](self).
    pub fn stored(&mut self, epoch: u32, sequence: u32) {
        if epoch == self.resume.epoch && sequence <= self.delivered && sequence > self.resume.sequence {
            self.resume.sequence = sequence;
            self.ack_due = true;
        }
    }

    /// The owner could not store what was delivered: it will be sent and delivered again.
    ///
    /// ```
    /// use till_link::{Endpoint, Event};
    /// fn take(end: &mut Endpoint, event: Event<'_>, mut store: impl FnMut(&[u8]) -> bool) {
    ///     if let Event::Durable { epoch, sequence, payload } = event {
    ///         if store(payload) { end.stored(epoch, sequence) } else { end.not_stored() }
    ///     }
    /// }
    /// # let config = till_link::Config { role: till_link::Role::Pos, counter: 1, epoch: 9, boot: 1, window: 4 };
    /// # let mut end = Endpoint::new(config, till_link::Resume::default(), 0, 0, 0);
    /// take(&mut end, Event::Durable { epoch: 7, sequence: 1, payload: b"offer" }, |_| false);
    /// ```
    pub fn not_stored(&mut self) {
        self.delivered = self.resume.sequence;
        self.gap_told = true;
    }

    /// Takes any bytes that came, in any portions; `sink` is told what came of them.
    ///
    /// ```
    /// # use till_link::{Config, Endpoint, Resume, Role, WIRE_BYTES_MAX};
    /// # let config = |role, boot| Config { role, counter: 1, epoch: boot, boot, window: 4 };
    /// use till_link::{Event, Refusal};
    /// let mut till = Endpoint::new(config(Role::Till, 7), Resume::default(), 0, 0, 0);
    /// let mut other = Endpoint::new(config(Role::Till, 8), Resume::default(), 0, 0, 0);
    /// let mut wire = [0; WIRE_BYTES_MAX];
    /// let n = other.poll_transmit(0, &mut (), &mut wire, |_| {}).unwrap();
    /// let mut refused = None;
    /// till.receive(0, &wire[..n], |event| {
    ///     if let Event::Refused(reason) = event {
    ///         refused = Some(reason);
    ///     }
    /// });
    /// assert_eq!(refused, Some(Refusal::Role), "two tills");
    /// ```
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8], mut sink: impl FnMut(Event<'_>)) {
        self.stats.bytes_in = self.stats.bytes_in.saturating_add(bytes.len() as u64);
        // The accumulator is lent out while its frame is handled.
        let mut rx = core::mem::take(&mut self.rx);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (received, after) = rx.feed(rest);
            rest = after;
            match received {
                None => {}
                Some(Received::Frame(kind, payload)) => {
                    self.stats.frames_in += 1;
                    if self.frame(now_ms, kind, payload, &mut sink).is_none() {
                        self.stats.malformed += 1;
                    }
                }
                Some(Received::Sealed(kind, sealed)) => {
                    self.stats.frames_in += 1;
                    if self.sealed(now_ms, kind, sealed, &mut sink).is_none() {
                        self.stats.malformed += 1;
                    }
                }
                Some(Received::UnknownKind(_)) => self.stats.malformed += 1,
                Some(Received::TooLong) => self.stats.too_long += 1,
                Some(Received::BadCobs) => self.stats.bad_cobs += 1,
                Some(Received::BadCrc) => self.stats.bad_crc += 1,
            }
        }
        self.rx = rx;
    }

    /// A frame without seal. `None` when the payload has not the form that its kind demands.
    fn frame(&mut self, now_ms: u64, kind: Kind, payload: &[u8], sink: &mut dyn FnMut(Event<'_>)) -> Option<()> {
        match kind {
            Kind::Hello => return self.hello(now_ms, payload, sink),
            Kind::Refuse => {
                let [reason] = payload else { return None };
                self.refused(now_ms, Refusal::from_byte(*reason), sink);
            }
            // On a secured link anybody could have said it.
            _ if self.guard.is_some() => {
                self.stats.bad_macs += 1;
                if !self.up {
                    self.say_hello(now_ms);
                }
            }
            _ => {
                self.heard_ms = now_ms;
                return self.talk(now_ms, kind, payload, sink);
            }
        }
        Some(())
    }

    fn sealed(&mut self, now_ms: u64, kind: Kind, sealed: &[u8], sink: &mut dyn FnMut(Event<'_>)) -> Option<()> {
        let guard = self.guard.as_mut()?;
        if !self.up {
            self.say_hello(now_ms);
            return Some(());
        }
        match guard.open(kind, sealed) {
            Ok(payload) => {
                self.heard_ms = now_ms;
                self.talk(now_ms, kind, payload, sink)
            }
            Err(Unsealed::BadMac) => {
                self.stats.bad_macs += 1;
                Some(())
            }
            Err(Unsealed::Replayed) => {
                self.stats.replays += 1;
                Some(())
            }
        }
    }

    /// What the other end says to us, as far as that is known.
    fn talk(&mut self, now_ms: u64, kind: Kind, payload: &[u8], sink: &mut dyn FnMut(Event<'_>)) -> Option<()> {
        match kind {
            Kind::Hello | Kind::Refuse => {}
            Kind::Heartbeat => {
                let boot = read_u32(payload)?;
                if !self.up || self.peer.is_none_or(|peer| peer.boot != boot) {
                    self.say_hello(now_ms);
                }
            }
            _ if !self.up => self.say_hello(now_ms),
            Kind::Event => sink(Event::Volatile(fits(payload)?)),
            Kind::Data => {
                let (head, message) = payload.split_at_checked(8)?;
                fits(message)?;
                let (epoch, sequence) = read_u32_pair(head)?;
                self.data(now_ms, epoch, sequence, message, sink);
            }
            Kind::Ack => {
                let (epoch, sequence) = read_u32_pair(payload)?;
                if epoch == self.config.epoch {
                    self.ack(now_ms, sequence, sink);
                }
            }
            Kind::Gap => {
                let (epoch, sequence) = read_u32_pair(payload)?;
                if epoch == self.config.epoch {
                    self.ack(now_ms, sequence, sink);
                    self.go_back();
                }
            }
        }
        Some(())
    }

    fn data(&mut self, now_ms: u64, epoch: u32, sequence: u32, payload: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        if epoch != self.resume.epoch {
            self.say_hello(now_ms);
        } else if sequence <= self.delivered {
            self.stats.duplicates += 1;
            self.ack_due = true;
        } else if sequence == self.delivered.saturating_add(1) {
            self.delivered = sequence;
            self.gap_told = false;
            sink(Event::Durable { epoch, sequence, payload });
        } else {
            self.stats.gaps += 1;
            // Once for each gap: what is under way behind it would else bring the sender back again.
            self.gap_due |= !self.gap_told;
            self.gap_told = true;
        }
    }

    fn ack(&mut self, now_ms: u64, sequence: u32, sink: &mut dyn FnMut(Event<'_>)) {
        if sequence > self.highest_sent {
            self.stats.false_acks += 1;
            return;
        }
        if sequence <= self.acknowledged {
            return;
        }
        let sent_ms = self.sent_ms.get(slot(sequence)).copied().unwrap_or(0);
        // Karn: a message that was sent twice (its stamp is 0) tells nothing about the round trip.
        if sent_ms != 0 && sequence < self.next {
            self.rto.sample(now_ms.saturating_sub(sent_ms));
        }
        self.acknowledged = sequence;
        self.next = self.next.max(sequence.saturating_add(1));
        let under_way = self.acknowledged.saturating_add(1) < self.next;
        self.timer_ms = under_way.then(|| now_ms.saturating_add(self.rto.timeout_ms()));
        sink(Event::Acknowledged { sequence });
    }

    fn go_back(&mut self) {
        self.next = self.acknowledged.saturating_add(1);
        self.timer_ms = None;
    }

    /// Writes the next frame to `wire`, which should hold [`WIRE_BYTES_MAX`] bytes, and returns its length;
    /// `None` when there is nothing to say now. Call it until then, after each `receive` and at
    /// [`Endpoint::next_deadline`].
    ///
    /// ```
    /// # use till_link::{Config, Endpoint, Resume, Role, WIRE_BYTES_MAX};
    /// # let config = Config { role: Role::Pos, counter: 1, epoch: 9, boot: 9, window: 4 };
    /// let mut end = Endpoint::new(config, Resume::default(), 0, 0, 0);
    /// let mut wire = [0; WIRE_BYTES_MAX];
    /// let mut now_ms = 0;
    /// let mut hellos = 0;
    /// while now_ms < 2_000 {
    ///     while end.poll_transmit(now_ms, &mut (), &mut wire, |_| {}).is_some() {
    ///         hellos += 1;
    ///     }
    ///     now_ms = end.next_deadline();
    /// }
    /// assert_eq!(hellos, 4, "nobody answers: again each 500 ms");
    /// ```
    pub fn poll_transmit(
        &mut self,
        now_ms: u64,
        source: &mut dyn Source,
        wire: &mut [u8; WIRE_BYTES_MAX],
        mut sink: impl FnMut(Event<'_>),
    ) -> Option<usize> {
        if self.up && now_ms.saturating_sub(self.heard_ms) >= LOST_MS {
            self.go_down(now_ms, &mut sink);
        }
        if self.guard.as_ref().is_some_and(Guard::is_worn_out) {
            self.go_down(now_ms, &mut sink);
        }
        let length = self.next_frame(now_ms, source, wire)?;
        self.spoke_ms = now_ms;
        self.stats.frames_out += 1;
        self.stats.bytes_out = self.stats.bytes_out.saturating_add(length as u64);
        Some(length)
    }

    fn next_frame(&mut self, now_ms: u64, source: &mut dyn Source, wire: &mut [u8]) -> Option<usize> {
        if let Some(refusal) = self.refuse.take() {
            return frame::encode(Kind::Refuse, &[&[refusal as u8]], wire);
        }
        if self.hello_due_ms.is_some_and(|due| now_ms >= due) {
            self.hello_due_ms = (!self.up).then(|| now_ms.saturating_add(HELLO_MS));
            return self.hello_frame(source.first(), wire);
        }
        if !self.up {
            return None;
        }
        let stored_so_far = wire::pair(self.resume.epoch, self.resume.sequence);
        if core::mem::take(&mut self.gap_due) {
            self.ack_due = false;
            return write(&mut self.guard, Kind::Gap, &[&stored_so_far], wire);
        }
        if core::mem::take(&mut self.ack_due) {
            return write(&mut self.guard, Kind::Ack, &[&stored_so_far], wire);
        }
        if self.timer_ms.is_some_and(|due| now_ms >= due) {
            self.rto.back_off();
            self.go_back();
        }
        if self.event_last {
            self.event_last = false;
            if let Some(length) = self.data_frame(now_ms, source, wire) {
                return Some(length);
            }
        }
        if let Some(length) = source.volatile(&mut self.scratch) {
            self.event_last = true;
            return write(&mut self.guard, Kind::Event, &[self.scratch.get(..length)?], wire);
        }
        if let Some(length) = self.data_frame(now_ms, source, wire) {
            return Some(length);
        }
        if let Some(length) = source.bulk(&mut self.scratch) {
            return write(&mut self.guard, Kind::Event, &[self.scratch.get(..length)?], wire);
        }
        if now_ms.saturating_sub(self.spoke_ms) >= HEARTBEAT_MS {
            return write(&mut self.guard, Kind::Heartbeat, &[&self.config.boot.to_le_bytes()], wire);
        }
        None
    }

    fn data_frame(&mut self, now_ms: u64, source: &mut dyn Source, wire: &mut [u8]) -> Option<usize> {
        let sequence = self.next.max(source.first());
        // The last number of all has none after it to go on with: it is never sent.
        if sequence > source.last().min(u32::MAX - 1)
            || sequence.saturating_sub(self.acknowledged.max(source.first().saturating_sub(1))) > self.config.window
        {
            return None;
        }
        let length = source.durable(sequence, &mut self.scratch)?;
        let again = sequence <= self.highest_sent;
        if again {
            self.stats.retransmits += 1;
        }
        if let Some(sent_ms) = self.sent_ms.get_mut(slot(sequence)) {
            *sent_ms = if again { 0 } else { now_ms };
        }
        self.highest_sent = self.highest_sent.max(sequence);
        self.next = sequence.saturating_add(1);
        self.timer_ms.get_or_insert(now_ms.saturating_add(self.rto.timeout_ms()));
        let head = wire::pair(self.config.epoch, sequence);
        write(&mut self.guard, Kind::Data, &[&head, self.scratch.get(..length)?], wire)
    }

    /// When [`Endpoint::poll_transmit`] has something to say even if nothing comes and nothing is written; the
    /// example there waits by it.
    pub fn next_deadline(&self) -> u64 {
        let mut due = self.hello_due_ms.unwrap_or(u64::MAX);
        if self.up {
            due = due.min(self.spoke_ms.saturating_add(HEARTBEAT_MS)).min(self.heard_ms.saturating_add(LOST_MS));
            due = due.min(self.timer_ms.unwrap_or(u64::MAX));
        }
        due
    }
}

/// `None` for what is longer than any message.
fn fits(message: &[u8]) -> Option<&[u8]> {
    (message.len() <= PAYLOAD_BYTES_MAX).then_some(message)
}

/// Writes a frame of a link that is up, sealed where the link is secured.
fn write(guard: &mut Option<Guard>, kind: Kind, parts: &[&[u8]], wire: &mut [u8]) -> Option<usize> {
    match guard {
        None => frame::encode(kind, parts, wire),
        Some(guard) => frame::encode_sealed(kind, parts, &guard.seal(kind, parts)?, wire),
    }
}

fn slot(sequence: u32) -> usize {
    (sequence % WINDOW_MAX) as usize
}

#[cfg(test)]
mod tests;
