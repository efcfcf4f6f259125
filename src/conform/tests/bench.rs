//! The reference POS over a wire in memory, with time that only moves when both ends wait, and a fault planted
//! between it and the line.

use std::collections::BTreeSet;
use std::io;

use till_link::message::{decode, encode};
use till_link::{Currency, Outcome, Price, Sku, ToPos, ToTill};

use crate::conform::line::Line;
use crate::conform::raw::{self, Ear, Heard, Hello, kind};
use crate::outbox::fault::FaultDisk;
use crate::outbox::{Limits, Log};
use crate::port::Wire;
use crate::port::memory::{self, MemoryWire};
use crate::pos::{Keys, Pos, PriceList};

use super::secured_pos::KEYS;

/// What is wrong with the POS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plant {
    Nothing,
    NobodyPays,
    NeverThere,
    CrcNotChecked,
    NoHeartbeat,
    NoGap,
    GapForEach,
    NoAckForDuplicates,
    AckOfNeverSent,
    AckBeforeStoring,
    PaidForUnknown,
    PaysTwice,
    WindowIgnored,
    RefusesMinor,
    WrongReason,
    ExtraHelloRefused,
    NothingRepeated,
    BelievesFalseAcks,
    AnswersErrors,
    TalksWhileDown,
    BlockOf254,
    NoAnswerAboutPrices,
    PartForWhole,
    ShortPart,
    ListOfVersion0,
    OtherListSameVersion,
    OtherVersionObeyed,
    PriceTwice,
    PriceBelow0,
}

/// A POS with a fault, and the line to it.
pub(super) struct Bench {
    pub(super) plant: Plant,
    now_ms: u64,
    disks: [FaultDisk; 2],
    boot: u32,
    pos: Pos,
    /// Ours, and the POS's.
    wires: (MemoryWire, MemoryWire),
    /// Between the POS and its wire.
    inner: (MemoryWire, MemoryWire),
    ears: (Ear, Ear),
    /// Bytes of the frame that is coming in.
    coming: Vec<u8>,
    faults: Faults,
    pub(super) may_restart: bool,
    /// The link has a key, and another.
    secured: bool,
}

/// What the planted fault remembers.
#[derive(Default)]
struct Faults {
    till_epoch: u32,
    acked: u32,
    unacknowledged: BTreeSet<u32>,
    seen: BTreeSet<u32>,
    gap_for: Option<u32>,
    up: bool,
    heard: BTreeSet<(u32, u32)>,
    /// Price lists that it gave part 0 of.
    lists: i64,
    /// Asked for this version and part of the prices.
    asked: (u32, u16),
    /// Numbers of the POS's log behind which a payment was put that it does not know of.
    doubled: Vec<u32>,
}

impl Faults {
    /// The POS's number as the till sees it.
    fn shown(&self, sequence: u32) -> u32 {
        sequence.saturating_add(self.doubled.iter().filter(|&&at| at < sequence).count() as u32)
    }

    /// The till's number as the POS knows it.
    fn meant(&self, shown: u32) -> u32 {
        (0..=shown).rev().find(|&sequence| self.shown(sequence) <= shown).unwrap_or(0)
    }
}

fn start(disks: &[FaultDisk; 2], boot: u32, plant: Plant, now_ms: u64) -> Pos {
    let log =
        |disk: &FaultDisk| Log::open(disk.fs(), Limits { bytes_max: 1 << 24, segment_bytes: 1 << 20 }, boot).unwrap();
    let keys = if plant == Plant::NobodyPays { Keys::default() } else { Keys::pay_all() };
    let mut pos = Pos::new(log(&disks[0]), log(&disks[1]), 1, boot, keys, now_ms);
    if plant != Plant::NobodyPays {
        pos.set_prices(prices());
    }
    pos
}

/// Three parts of a list.
fn prices() -> PriceList {
    let sku = |n: i64| Sku::try_from(format!("sku-{n}").as_str()).unwrap();
    let prices = (0..40).map(|n| Price { sku: sku(n), unit_minor: 100 * n }).collect();
    PriceList { version: 77, currency: Currency(*b"KRW"), prices }
}

impl Bench {
    pub(super) fn new(plant: Plant) -> Self {
        let disks = [FaultDisk::default(), FaultDisk::default()];
        let pos = start(&disks, 0x900, plant, 0);
        if plant == Plant::AckBeforeStoring {
            disks[1].lie(true, false);
        }
        Self {
            plant,
            now_ms: 0,
            disks,
            boot: 0x900,
            pos,
            wires: memory::pair(),
            inner: memory::pair(),
            ears: (Ear::default(), Ear::default()),
            coming: Vec::new(),
            faults: Faults::default(),
            may_restart: true,
            secured: false,
        }
    }

    /// A POS without a fault that holds both keys.
    pub(super) fn secured() -> Self {
        let mut bench = Self::new(Plant::Nothing);
        bench.secured = true;
        bench.power_on();
        bench
    }

    fn power_on(&mut self) {
        let pos = start(&self.disks, self.boot, self.plant, self.now_ms);
        let [key, other] = KEYS.map(|(id, secret)| till_link::Key::new(id, secret));
        let security = till_link::Security::new(key, Some(other), [self.boot as u8; 32]);
        self.pos = if self.secured { pos.secured(security) } else { pos };
    }

    /// Moves bytes through the fault and turns the POS until nothing moves.
    fn turn(&mut self) {
        if self.plant == Plant::NeverThere {
            return;
        }
        loop {
            let mut bytes = [0; 512];
            let n = self.wires.1.read(&mut bytes).unwrap();
            for &byte in &bytes[..n] {
                self.incoming(byte);
            }
            let turned = self.pos.turn(self.now_ms, &mut self.inner.1, &mut |_| {}).unwrap();
            let m = self.inner.0.read(&mut bytes).unwrap();
            for &byte in &bytes[..m] {
                if let Some(Heard::Frame { kind, payload }) = self.ears.1.take(byte) {
                    self.outgoing(kind, payload);
                }
            }
            if n == 0 && m == 0 && !turned {
                return;
            }
        }
    }

    fn give_pos(&mut self, bytes: &[u8]) {
        self.inner.0.write(bytes).unwrap();
    }

    fn give_till(&mut self, kind: u8, payload: &[u8]) {
        self.wires.1.write(&raw::frame(kind, payload)).unwrap();
    }

    /// A byte for the POS; frames are whole before the fault looks at them.
    fn incoming(&mut self, byte: u8) {
        self.coming.push(byte);
        let heard = self.ears.0.take(byte);
        if byte != 0 {
            return;
        }
        let mut bytes = std::mem::take(&mut self.coming);
        match (self.plant, heard) {
            (Plant::CrcNotChecked, Some(Heard::BadCrc)) => {
                // Mended on the way in: to this POS any checksum is right.
                let mut stuffed = bytes.clone();
                stuffed.pop();
                if let Some(body) = unstuffed(&stuffed) {
                    bytes = raw::frame(body[0], &body[1..body.len() - 4]);
                }
            }
            (Plant::AnswersErrors, Some(Heard::BadCrc | Heard::BadCobs | Heard::TooLong)) => {
                let epoch_and_sequence = raw::pair(self.faults.till_epoch, self.faults.acked);
                self.give_till(kind::GAP, &epoch_and_sequence);
            }
            // Can't read a frame that ends with a full block.
            (Plant::BlockOf254, Some(Heard::Frame { .. }))
                if bytes.len() > 257 && !bytes.ends_with(&[1, 0]) && bytes[bytes.len() - 256] == 0xff =>
            {
                return;
            }
            (_, Some(Heard::Frame { kind, mut payload })) => {
                if !self.frame_in(kind, &payload) {
                    return;
                }
                if self.plant == Plant::PaysTwice {
                    // The till's numbers count what the POS does not know of.
                    let at = match kind {
                        kind::HELLO => 33,
                        kind::ACK | kind::GAP => 4,
                        _ => payload.len(),
                    };
                    if let Some(number) = payload.get(at..at + 4) {
                        let meant = self.faults.meant(u32::from_le_bytes(number.try_into().unwrap()));
                        payload[at..at + 4].copy_from_slice(&meant.to_le_bytes());
                    }
                    bytes = raw::frame(kind, &payload);
                }
            }
            _ => {}
        }
        self.give_pos(&bytes);
    }

    /// Whether the POS gets it.
    fn frame_in(&mut self, kind: u8, payload: &[u8]) -> bool {
        let pair = raw::read_pair(payload);
        match kind {
            kind::HELLO => {
                let Some(hello) = Hello::read(payload) else { return true };
                if hello.epoch != self.faults.till_epoch {
                    self.faults.acked = 0;
                }
                self.faults.till_epoch = hello.epoch;
                self.faults.gap_for = None;
                self.faults.up = hello.peer_boot == self.boot;
                if self.plant == Plant::RefusesMinor && hello.minor != 0 {
                    self.give_till(kind::REFUSE, &[1]);
                    return false;
                }
                if self.plant == Plant::ExtraHelloRefused && payload.len() > raw::HELLO_BYTES {
                    return false;
                }
                self.faults.unacknowledged.clear();
            }
            kind::DATA => {
                if let Some((epoch, sequence)) = pair {
                    let again = self.faults.acked >= sequence && epoch == self.faults.till_epoch;
                    if again && self.plant == Plant::NoAckForDuplicates && self.faults.up {
                        return false;
                    }
                    let heard = !self.faults.heard.insert((epoch, sequence));
                    if heard && self.plant == Plant::PaysTwice && self.faults.up {
                        self.pay_again(&payload[8..]);
                    }
                }
                if self.plant == Plant::TalksWhileDown
                    && !self.faults.up
                    && let Some((epoch, sequence)) = pair
                {
                    self.give_till(kind::ACK, &raw::pair(epoch, sequence));
                }
            }
            kind::EVENT => {
                if let Some(ToPos::QueryPrices { version, part }) = decode(payload) {
                    self.faults.asked = (version, part);
                    return self.plant != Plant::NoAnswerAboutPrices;
                }
            }
            kind::ACK => {
                if let Some((epoch, sequence)) = pair {
                    self.faults.unacknowledged.retain(|&of| of > sequence);
                    if self.plant == Plant::BelievesFalseAcks
                        && let Some(&last) = self.faults.seen.last()
                        && sequence > last
                    {
                        let believed = raw::frame(kind::ACK, &raw::pair(epoch, last));
                        self.give_pos(&believed);
                        return false;
                    }
                }
            }
            _ => {}
        }
        true
    }

    /// Another payment for the offer, as a POS without dedup makes it: the last one under the next number.
    fn pay_again(&mut self, message: &[u8]) {
        if let Some(till_link::ToPos::Offer { sale, revision, cart }) = till_link::message::decode(message)
            && cart.sum_minor() == Some(cart.total_minor)
        {
            let paid = ToTill::Paid { sale, revision, tender: till_link::Tender::Card, amount_minor: cart.total_minor };
            let mut buffer = [0; 64];
            let bytes = till_link::message::encode(&paid, &mut buffer).unwrap().to_vec();
            let (epoch, last) = (self.pos.books().out().epoch(), self.pos.books().out().last());
            let here = self.faults.doubled.iter().filter(|&&at| at == last).count() as u32;
            let mut payload = raw::pair(epoch, self.faults.shown(last) + 1 + here).to_vec();
            self.faults.doubled.push(last);
            payload.extend_from_slice(&bytes);
            self.give_till(kind::DATA, &payload);
        }
    }

    fn outgoing(&mut self, kind: u8, mut payload: Vec<u8>) {
        let pair = raw::read_pair(&payload);
        match (self.plant, kind) {
            (Plant::NoHeartbeat, kind::HEARTBEAT) => return,
            (Plant::NoGap, kind::GAP) => return,
            (Plant::GapForEach, kind::GAP) => self.give_till(kind, &payload),
            (Plant::WrongReason, kind::REFUSE) if payload == [4] => payload = vec![3],
            (Plant::AckOfNeverSent, kind::ACK) => {
                if let Some((epoch, sequence)) = pair.filter(|(_, sequence)| sequence % 8 == 3) {
                    self.give_till(kind, &raw::pair(epoch, sequence + 9));
                }
            }
            (_, kind::EVENT) => payload = self.prices_out(payload),
            (Plant::PaidForUnknown, kind::DATA) => {
                if let Some(ToTill::OutcomeIs { sale, outcome: None }) = till_link::message::decode(&payload[8..]) {
                    let lie = ToTill::OutcomeIs { sale, outcome: Some(Outcome::Paid) };
                    let mut buffer = [0; 64];
                    let bytes = till_link::message::encode(&lie, &mut buffer).unwrap();
                    payload.truncate(8);
                    payload.extend_from_slice(bytes);
                }
            }
            _ => {}
        }
        if let Some((epoch, sequence)) = pair {
            match kind {
                kind::ACK | kind::GAP if epoch == self.faults.till_epoch => self.faults.acked = sequence,
                kind::DATA => {
                    let shown = self.faults.shown(sequence);
                    payload[4..8].copy_from_slice(&shown.to_le_bytes());
                    let again = !self.faults.seen.insert(sequence);
                    self.faults.unacknowledged.insert(sequence);
                    if again && self.plant == Plant::NothingRepeated && self.faults.up {
                        return;
                    }
                    // Its own end is told that all is well: so it goes on sending.
                    if self.plant == Plant::WindowIgnored && self.faults.unacknowledged.len() >= 8 {
                        let ack = raw::frame(kind::ACK, &raw::pair(epoch, sequence));
                        self.give_pos(&ack);
                    }
                }
                _ => {}
            }
        }
        if kind == kind::HELLO {
            self.faults.seen.clear();
        }
        self.give_till(kind, &payload);
    }
}

impl Bench {
    /// A volatile message with the fault in its prices.
    fn prices_out(&mut self, payload: Vec<u8>) -> Vec<u8> {
        let Some(ToTill::Prices { mut version, mut part, mut parts, currency, mut prices }) = decode(&payload) else {
            return payload;
        };
        self.faults.lists += i64::from(part == 0);
        match self.plant {
            Plant::PartForWhole => parts = 0,
            Plant::ShortPart if part == 1 => drop(prices.pop()),
            Plant::ListOfVersion0 => version = 0,
            Plant::OtherListSameVersion => prices[0].unit_minor = self.faults.lists,
            Plant::OtherVersionObeyed if self.faults.asked.0 > version => (version, part) = self.faults.asked,
            Plant::PriceTwice if part == 2 => prices[1].sku = prices[0].sku.clone(),
            Plant::PriceBelow0 => prices[0].unit_minor = -1,
            _ => return payload,
        }
        let mut buffer = [0; till_link::PAYLOAD_BYTES_MAX];
        encode(&ToTill::Prices { version, part, parts, currency, prices }, &mut buffer).unwrap().to_vec()
    }
}

fn unstuffed(stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut rest = stuffed;
    while let Some((&code, after)) = rest.split_first() {
        let (block, after) = after.split_at_checked(usize::from(code).checked_sub(1)?)?;
        body.extend_from_slice(block);
        if code != 0xff && !after.is_empty() {
            body.push(0);
        }
        rest = after;
    }
    (body.len() >= 5).then_some(body)
}

impl Line for Bench {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn read(&mut self, bytes: &mut Vec<u8>, until_ms: u64) -> io::Result<()> {
        loop {
            self.turn();
            let mut chunk = [0; 512];
            let n = self.wires.0.read(&mut chunk)?;
            bytes.extend_from_slice(&chunk[..n]);
            if n > 0 || self.now_ms >= until_ms {
                return Ok(());
            }
            self.now_ms += 1;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wires.0.write(bytes)?;
        Ok(())
    }

    fn restart(&mut self) -> Option<io::Result<()>> {
        if !self.may_restart {
            return None;
        }
        self.disks.iter().for_each(|disk| disk.reboot(0));
        self.boot += 1;
        self.power_on();
        self.wires.0.tamper(std::collections::VecDeque::clear);
        self.wires.1.tamper(std::collections::VecDeque::clear);
        self.inner = memory::pair();
        self.ears = (Ear::default(), Ear::default());
        self.coming.clear();
        Some(Ok(()))
    }
}
