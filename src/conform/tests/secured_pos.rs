//! A POS of the secured level, written straight from SPEC 8 and as small as it can be: it stores, acknowledges
//! and beats, and sells nothing. With a fault it is deliberately wrong.

use std::io;

use crate::conform::line::Line;
use crate::conform::player::keyed::{FLAG_SECURED, Key, Nonce, SEALED, Session, Tail, seal, session, unseal};
use crate::conform::raw::{self, Ear, HELLO_BYTES, Heard, Hello, kind};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Nothing,
    NoSecurity,
    UnsecuredIgnored,
    AckUnsealedToo,
    NonceStays,
    NonceCounts,
    NonceOfBoots,
    CountStays,
    CountFrom5,
    EarlyFrames,
    SessionAgain,
    NonceNotCompared,
    WrongKeyIgnored,
    ProofNotChecked,
    ProofLate,
    ProofAtOffset74,
    RefusesWhileUp,
    BelievesRefuse,
    TakesUnsealed,
    EachHelloAnswered,
    CountNotCompared,
    EverythingHeard,
    MacNotChecked,
    MacCutShort,
    CounterBeforeMac,
    OwnFramesTaken,
    ReplaysTaken,
    HolesRefused,
    AckTwice,
    CounterFrom1000,
    OtherKeyWhileUp,
    OneKey,
}

pub(super) const KEYS: [(u8, [u8; 32]); 2] = [(3, [0x33; 32]), (4, [0x44; 32])];

pub(super) struct SecuredPos {
    pub(super) fault: Fault,
    now_ms: u64,
    ear: Ear,
    out: Vec<u8>,
    boot: u32,
    key: usize,
    drawn: u32,
    nonce: Nonce,
    count: u32,
    peer: Option<(Hello, Tail)>,
    session: Option<Session>,
    peer_count: u32,
    refuse: Option<u8>,
    hello_due_ms: u64,
    stored: (u32, u32),
    owed: Option<u8>,
    gap_told: bool,
    heard_ms: u64,
    spoke_ms: u64,
}

impl SecuredPos {
    pub(super) fn new(fault: Fault) -> Self {
        let mut this = Self {
            fault,
            now_ms: 0,
            ear: Ear::default(),
            out: Vec::new(),
            boot: 0x700,
            key: 0,
            drawn: 0,
            nonce: [0; 16],
            count: 0,
            peer: None,
            session: None,
            peer_count: 0,
            refuse: None,
            hello_due_ms: 0,
            stored: (0, 0),
            owed: None,
            gap_told: false,
            heard_ms: 0,
            spoke_ms: 0,
        };
        this.renew();
        this
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn held(&self) -> Vec<Key> {
        let count = if self.is(Fault::OneKey) { 1 } else { 2 };
        KEYS[..count].iter().map(|(id, secret)| Key::new(*id, *secret)).collect()
    }

    fn renew(&mut self) {
        self.session = None;
        if self.is(Fault::NonceStays) && self.nonce != [0; 16] {
            return;
        }
        self.drawn += 1;
        self.count = if self.is(Fault::CountFrom5) { 4 } else { 0 };
        let mut drawn = self.drawn.to_le_bytes().to_vec();
        match self.fault {
            Fault::NonceOfBoots => {}
            _ => drawn.extend_from_slice(&self.boot.to_le_bytes()),
        }
        self.nonce = Key::new(1, [9; 32]).proof(&drawn);
        if self.is(Fault::NonceCounts) {
            self.nonce = [7; 16];
            self.nonce[..4].copy_from_slice(&(self.drawn + self.boot).to_le_bytes());
        }
    }

    fn go_down(&mut self) {
        (self.peer, self.owed) = (None, None);
        self.hello_due_ms = self.now_ms + 500;
        if self.session.is_some() {
            self.renew();
        }
    }

    fn ask(&mut self) {
        self.hello_due_ms = self.hello_due_ms.min(self.now_ms + 50);
    }

    fn ours(&self) -> Hello {
        Hello {
            major: 1,
            role: 1,
            up: u8::from(self.session.is_some()),
            flags: if self.is(Fault::NoSecurity) { 0 } else { FLAG_SECURED },
            schema: till_link::message::SCHEMA,
            counter: 1,
            boot: self.boot,
            peer_boot: self.peer.map_or(0, |(hello, _)| hello.boot),
            epoch: 0x99,
            first: 1,
            stored_epoch: self.stored.0,
            stored: self.stored.1,
            ..Hello::default()
        }
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) {
        match kind {
            kind::HELLO => self.hello(payload),
            kind::REFUSE if self.session.is_some() && self.is(Fault::BelievesRefuse) => self.go_down(),
            kind::REFUSE => {}
            _ if kind & SEALED != 0 => self.sealed(kind & !SEALED, payload),
            _ if self.session.is_none() => self.ask(),
            _ if self.is(Fault::TakesUnsealed) => {
                self.heard_ms = self.now_ms;
                self.talk(kind, payload);
            }
            _ => {}
        }
    }

    /// The first reason to refuse that holds.
    fn reason(&self, hello: &Hello, payload: &[u8]) -> Option<u8> {
        let up = self.session.is_some();
        let wrong = [
            (hello.major != 1, 1),
            (hello.schema != till_link::message::SCHEMA, 2),
            (hello.role != 0, 4),
            (hello.counter != 1, 3),
            (hello.flags & FLAG_SECURED == 0 || payload.len() < HELLO_BYTES + 53, 5),
        ];
        if let Some((_, reason)) = wrong.iter().find(|(wrong, _)| *wrong) {
            return Some(*reason);
        }
        let held = self.held();
        let at = held.iter().position(|key| Tail::read(payload).is_some_and(|tail| tail.key == key.id));
        let Some(at) = at.filter(|at| !up || *at == self.key || self.is(Fault::OtherKeyWhileUp)) else {
            return Some(6);
        };
        let end = if self.is(Fault::ProofAtOffset74) { 74 } else { payload.len() - 16 };
        let right = held[at].proof(&payload[..end])[..] == payload[end..end + 16];
        (!right && !self.is(Fault::ProofNotChecked)).then_some(6)
    }

    fn hello(&mut self, payload: &[u8]) {
        let Some(hello) = Hello::read(payload) else { return };
        let up = self.session.is_some();
        if let Some(reason) = self.reason(&hello, payload) {
            if up && !self.is(Fault::RefusesWhileUp) {
                return;
            }
            let ignored = match reason {
                5 => Fault::UnsecuredIgnored,
                _ => Fault::WrongKeyIgnored,
            };
            if !(self.is(ignored) && reason >= 5) {
                self.refuse = Some(reason);
            }
            self.go_down();
            return;
        }
        let Some(tail) = Tail::read(payload) else { return };
        let mut mutual =
            hello.peer_boot == self.boot && (tail.peer_nonce == self.nonce || self.is(Fault::NonceNotCompared));
        if up {
            let same = self
                .peer
                .is_some_and(|(of, before)| (of.boot, of.epoch, before.nonce) == (hello.boot, hello.epoch, tail.nonce));
            if !mutual {
                if self.is(Fault::EachHelloAnswered) {
                    self.say_hello();
                }
                return self.ask();
            }
            if same && tail.count <= self.peer_count && !self.is(Fault::CountNotCompared) {
                return;
            }
            if !same {
                if self.is(Fault::SessionAgain) {
                    self.session = None;
                } else {
                    self.go_down();
                    mutual = false;
                }
            }
        }
        let held = self.held();
        self.key = held.iter().position(|key| key.id == tail.key).unwrap_or(0);
        self.peer = Some((hello, tail));
        self.heard_ms = self.now_ms;
        if mutual && self.session.is_none() {
            let ours = self.ours();
            let mut fresh = session(&held[self.key], (&hello, &tail.nonce), (&ours, &self.nonce));
            fresh.sent = if self.is(Fault::CounterFrom1000) { 999 } else { 0 };
            self.session = Some(fresh);
            if self.stored.0 != hello.epoch {
                self.stored = (hello.epoch, 0);
            }
            self.stored.1 = self.stored.1.max(hello.first.saturating_sub(1));
            self.gap_told = false;
            self.hello_due_ms = self.now_ms + if self.is(Fault::ProofLate) { 30 } else { 0 };
        } else if !(mutual && hello.up == 1) {
            self.hello_due_ms = self.now_ms;
        }
        self.peer_count = tail.count;
    }

    fn sealed(&mut self, kind: u8, sealed: &[u8]) {
        if self.session.is_none() {
            self.early(kind, sealed);
            return self.ask();
        }
        let fault = self.fault;
        let Some(session) = &mut self.session else { return };
        let opened = unseal(&session.to_pos, kind, sealed).or_else(|| {
            let end = sealed.len().checked_sub(12)?;
            let counter = u32::from_le_bytes(sealed[end..end + 4].try_into().unwrap());
            let right = seal(&session.to_pos, counter, kind, &sealed[..end]);
            let forgiven = match fault {
                Fault::MacNotChecked => true,
                Fault::MacCutShort => right[..end + 8] == sealed[..end + 8],
                Fault::OwnFramesTaken => unseal(&session.to_till, kind, sealed).is_some(),
                _ => false,
            };
            if fault == Fault::CounterBeforeMac {
                session.received = session.received.max(counter);
            }
            forgiven.then(|| (sealed[..end].to_vec(), counter.max(session.received + 1)))
        });
        let Some((payload, counter)) = opened else { return };
        let good = match fault {
            Fault::ReplaysTaken => true,
            Fault::HolesRefused => counter == session.received + 1,
            _ => counter > session.received,
        };
        if !good {
            return;
        }
        // Who takes its own frames back does not count with them.
        if fault != Fault::OwnFramesTaken || unseal(&session.to_pos, kind, sealed).is_some() {
            session.received = counter;
        }
        self.heard_ms = self.now_ms;
        self.talk(kind, &payload);
    }

    /// A sealed frame before the link is up: the fault makes the keys before the HELLOs are mutual.
    fn early(&mut self, kind: u8, sealed: &[u8]) {
        let Some((hello, tail)) = self.peer.filter(|_| self.is(Fault::EarlyFrames)) else { return };
        let early = session(&self.held()[self.key], (&hello, &tail.nonce), (&self.ours(), &self.nonce));
        if unseal(&early.to_pos, kind, sealed).is_some() {
            let ack = seal(&early.to_till, 1, kind::ACK, &raw::pair(self.stored.0, self.stored.1));
            self.out.extend_from_slice(&raw::frame(kind::ACK | SEALED, &ack));
        }
    }

    fn talk(&mut self, kind: u8, payload: &[u8]) {
        let peer_boot = self.peer.map(|(hello, _)| hello.boot.to_le_bytes());
        match kind {
            kind::HEARTBEAT if payload.len() == 4 && peer_boot.is_none_or(|boot| boot != *payload) => self.ask(),
            kind::DATA => {
                let Some((epoch, sequence)) = raw::read_pair(payload) else { return };
                if epoch != self.stored.0 {
                    self.ask();
                } else if sequence > self.stored.1 + 1 {
                    self.owed = if self.gap_told { self.owed } else { Some(kind::GAP) };
                    self.gap_told = true;
                } else {
                    self.gap_told &= sequence <= self.stored.1;
                    self.stored.1 = self.stored.1.max(sequence);
                    self.owed = Some(self.owed.unwrap_or(kind::ACK));
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, kind: u8, payload: &[u8]) {
        let Some(session) = &mut self.session else { return };
        session.sent += 1;
        let frame = raw::frame(kind | SEALED, &seal(&session.to_till, session.sent, kind, payload));
        self.out.extend_from_slice(&frame);
        if kind == kind::ACK && self.is(Fault::AckTwice) {
            self.out.extend_from_slice(&frame);
        }
        if kind == kind::ACK && self.is(Fault::AckUnsealedToo) {
            self.out.extend_from_slice(&raw::frame(kind, payload));
        }
        self.spoke_ms = self.now_ms;
    }

    fn say_hello(&mut self) {
        self.hello_due_ms = if self.session.is_some() { u64::MAX } else { self.now_ms + 500 };
        self.count += u32::from(!self.is(Fault::CountStays) || self.count == 0);
        let key = &self.held()[self.key];
        let peer_nonce = self.peer.map_or([0; 16], |(_, tail)| tail.nonce);
        let tail = Tail { key: key.id, nonce: self.nonce, peer_nonce, count: self.count };
        let mut payload = self.ours().bytes();
        if !self.is(Fault::NoSecurity) {
            payload.extend_from_slice(&tail.bytes());
            let proof = key.proof(&payload);
            payload.extend_from_slice(&proof);
        }
        self.out.extend_from_slice(&raw::frame(kind::HELLO, &payload));
        self.spoke_ms = self.now_ms;
    }

    /// Does what is due now.
    fn turn(&mut self) {
        if self.session.is_some() && self.now_ms >= self.heard_ms + 3_000 {
            self.go_down();
        }
        if let Some(reason) = self.refuse.take() {
            self.out.extend_from_slice(&raw::frame(kind::REFUSE, &[reason]));
        }
        if self.now_ms >= self.hello_due_ms {
            self.say_hello();
        }
        if let Some(kind) = self.owed.filter(|_| self.session.is_some()) {
            self.owed = None;
            self.say(kind, &raw::pair(self.stored.0, self.stored.1));
        }
        if self.session.is_some() && self.now_ms >= self.spoke_ms + 1_000 {
            self.say(kind::HEARTBEAT, &self.boot.to_le_bytes());
        }
    }
}

impl Line for SecuredPos {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn read(&mut self, bytes: &mut Vec<u8>, until_ms: u64) -> io::Result<()> {
        loop {
            self.turn();
            if !self.out.is_empty() || self.now_ms >= until_ms {
                // As on a line at 115200: two ends that answer each other must not stop the clock.
                self.now_ms += 1 + self.out.len() as u64 / 11;
                bytes.append(&mut self.out);
                return Ok(());
            }
            self.now_ms += 1;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            if let Some(Heard::Frame { kind, payload }) = self.ear.take(byte) {
                if self.is(Fault::EverythingHeard) {
                    self.heard_ms = self.now_ms;
                }
                self.frame(kind, &payload);
            }
        }
        Ok(())
    }

    fn restart(&mut self) -> Option<io::Result<()>> {
        let fresh = Self::new(self.fault);
        *self = Self { now_ms: self.now_ms, boot: self.boot + 1, stored: self.stored, ..fresh };
        (self.nonce, self.drawn, self.hello_due_ms) = ([0; 16], 0, self.now_ms);
        self.renew();
        Some(Ok(()))
    }
}
