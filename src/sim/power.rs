//! One end's power and disks: when it starts, when it falls, and what its disks do to it meanwhile.

use crate::outbox::fault::{self, FaultDisk};
use crate::outbox::{LogError, LogErrorKind};
use crate::port::Books;
use crate::sim::faults::{Fault, Weather};
use crate::sim::judge::Judge;
use crate::sim::line::End;
use crate::sim::plant::Plant;
use crate::sim::rng::Rng;
use crate::sim::world::{Around, SharedCable, hold};

/// One end of the link with everything that a power cut takes from it.
pub trait Node: Sized {
    /// Starts from what the disks hold. `boot` counts the starts.
    fn start(around: &mut Around, cable: &SharedCable, disks: &[FaultDisk; 2], boot: u32) -> Result<Self, LogError>;
    /// Does everything that is due.
    fn turn(&mut self, around: &mut Around);
    /// When it has something to do even if nothing arrives.
    fn next_ms(&self) -> u64;
    /// It can't go on and must be started anew.
    fn is_broken(&self) -> bool;
    /// Its logs, joined with the link.
    fn books(&self) -> &Books;
    /// Its outbox, which stands in `epoch`, lost these records.
    fn lost(judge: &mut Judge, epoch: u32, records: &[Vec<u8>]);
}

/// A node, running or not.
pub struct Power<N> {
    end: End,
    disks: [FaultDisk; 2],
    /// The operation at which each disk fails next.
    armed: [Option<(u64, fault::Fault)>; 2],
    full_until_ms: Option<u64>,
    node: Option<N>,
    on_ms: u64,
    boots: u32,
    weather: Weather,
    plant: Option<Plant>,
    rng: Rng,
}

impl<N: Node> Power<N> {
    /// An end that is switched on at once.
    pub fn new(end: End, plant: Option<Plant>, weather: Weather, rng: Rng) -> Self {
        let disks = [FaultDisk::default(), FaultDisk::default()];
        for disk in &disks {
            disk.lie(plant == Some(Plant::AckBeforeFsync), plant == Some(Plant::ForgotParentFsync));
        }
        Self { end, disks, armed: [None; 2], full_until_ms: None, node: None, on_ms: 0, boots: 0, weather, plant, rng }
    }

    /// The running end.
    pub fn node(&self) -> Option<&N> {
        self.node.as_ref()
    }

    /// The running end.
    pub fn node_mut(&mut self) -> Option<&mut N> {
        self.node.as_mut()
    }

    /// Nothing happens to this end any more.
    pub fn heal(&mut self) {
        self.weather = Weather::default();
        self.full_until_ms = None;
        self.armed = [None; 2];
        for disk in &self.disks {
            disk.forever(None);
            disk.plan(u64::MAX, fault::Fault::Eio);
        }
    }

    /// No room on this end's disks for a while.
    pub fn fill_disk(&mut self, until_ms: u64) {
        self.full_until_ms = Some(until_ms);
        let ignored = self.plant == Some(Plant::WriteErrorIgnored);
        for disk in &self.disks {
            disk.forever(Some(if ignored { fault::Fault::Swallowed } else { fault::Fault::NoSpace }));
        }
    }

    /// When this end is due; bytes arrive at `arrival_ms`.
    pub fn next_ms(&self, arrival_ms: u64) -> u64 {
        self.node.as_ref().map_or(self.on_ms, |node| node.next_ms().min(arrival_ms))
    }

    /// Whatever is due at this end.
    pub fn turn(&mut self, around: &mut Around, cable: &SharedCable, arrival_ms: u64) {
        if around.now_ms < self.next_ms(arrival_ms) {
            return;
        }
        if self.full_until_ms.is_some_and(|until_ms| around.now_ms >= until_ms) {
            self.full_until_ms = None;
            for disk in &self.disks {
                disk.forever(None);
            }
        }
        self.arm(around);
        match &mut self.node {
            Some(node) => node.turn(around),
            None => self.start(around, cable),
        }
        if self.disks.iter().any(FaultDisk::is_dead) {
            around.tell(|| format!("{:?}: the power goes in the middle of a write", self.end));
            self.fall(around, cable, true);
        } else if self.node.as_ref().is_some_and(Node::is_broken) {
            around.tell(|| format!("{:?}: restarts because its books can't go on", self.end));
            self.fall(around, cable, false);
        }
    }

    fn start(&mut self, around: &mut Around, cable: &SharedCable) {
        self.boots += 1;
        match N::start(around, cable, &self.disks, self.boots) {
            Ok(node) => {
                around.tell(|| format!("{:?}: start {}", self.end, self.boots));
                self.node = Some(node);
            }
            Err(error) => {
                around.tell(|| format!("{:?}: does not start: {error}", self.end));
                if error.kind == LogErrorKind::Corrupt {
                    around.judge.violation(around.now_ms, format!("{:?}: damaged books: {error}", self.end));
                }
                self.on_ms = around.now_ms + 1_000;
            }
        }
    }

    /// Power cut or kill, at this moment.
    pub fn cut(&mut self, around: &mut Around, cable: &SharedCable) {
        if self.node.is_some() {
            let power = self.rng.chance(6_000);
            around.tell(|| format!("{:?}: {}", self.end, if power { "power cut" } else { "killed" }));
            self.fall(around, cable, power);
        }
    }

    /// A power cut that takes up to three records, or a part of the last one, which the other end acknowledged.
    /// What it did not acknowledge no protocol could bring back.
    pub fn lose_tail(&mut self, around: &mut Around, cable: &SharedCable) {
        let told = |node: &&N| node.books().is_up() && node.books().unacknowledged() == 0;
        let Some(node) = self.node.as_ref().filter(told) else { return };
        let epoch = node.books().out().epoch();
        self.fall(around, cable, true);
        let records = self.rng.between(1, 3);
        let torn = self.rng.chance(5_000);
        let mut lost = Vec::new();
        for _ in 0..records {
            lost.extend(forget_last(&self.disks[0], torn));
        }
        if !lost.is_empty() {
            around.tell(|| format!("{:?}: the disk has lost {} records", self.end, lost.len()));
            around.counts.add(Fault::LostTail);
            N::lost(&mut around.judge, epoch, &lost);
        }
    }

    fn fall(&mut self, around: &mut Around, cable: &SharedCable, power: bool) {
        self.node = None;
        around.counts.add(match self.end {
            End::Till => Fault::TillCrash,
            End::Pos => Fault::PosCrash,
        });
        hold(cable).power_off(self.end);
        if power {
            self.armed = [None; 2];
            for disk in &self.disks {
                let left = disk.cut_power(self.rng.between(0, 1_000) as u32);
                if left.kept > 0 && left.lost > 0 {
                    around.counts.add(Fault::TornWrite);
                } else if left.lost > 0 {
                    around.counts.add(Fault::LostUnsynced);
                }
            }
        }
        match (self.plant, self.end) {
            (Some(Plant::PosForgetsLast), End::Pos) => {
                forget_last(&self.disks[1], true);
            }
            (Some(Plant::DedupOffByOne), End::Pos) => number_last_one_less(&self.disks[1]),
            (Some(Plant::TillForgetsLast), End::Till) => {
                forget_last(&self.disks[0], true);
            }
            (Some(Plant::OutboxNotKept), End::Till) => self.disks[0] = FaultDisk::default(),
            _ => {}
        }
        self.on_ms = around.now_ms + self.rng.between(50, 5_000);
    }

    /// Decides at which operation each disk fails next.
    fn arm(&mut self, around: &mut Around) {
        let rate = self.weather.crash_in_disk + self.weather.disk_error;
        let ignored = self.plant == Some(Plant::WriteErrorIgnored);
        for (disk, armed) in self.disks.iter().zip(&mut self.armed) {
            if let Some((at, fault)) = *armed {
                if disk.operations() <= at {
                    continue;
                }
                if fault != fault::Fault::PowerCut {
                    around.counts.add(if fault == fault::Fault::NoSpace { Fault::NoSpace } else { Fault::IoError });
                }
            }
            *armed = (rate > 0).then(|| {
                let at = disk.operations() + self.rng.between(0, 20_000 / rate);
                let cut = self.rng.between(1, rate) <= self.weather.crash_in_disk;
                let fault = match (cut, self.rng.between(0, 2)) {
                    (true, _) => fault::Fault::PowerCut,
                    _ if ignored => fault::Fault::Swallowed,
                    (false, 0) => fault::Fault::NoSpace,
                    (false, 1) => fault::Fault::ReadOnly,
                    (false, _) => fault::Fault::Eio,
                };
                disk.plan(at, fault);
                (at, fault)
            });
        }
    }
}

/// The planted bug: the inbox's last record says that it is the one before, with a checksum that fits, so
/// that the POS goes on from there.
fn number_last_one_less(disk: &FaultDisk) {
    let names = disk.fs().list().unwrap_or_default();
    let Some(last) = names.iter().filter(|name| name.ends_with(".log")).max() else { return };
    disk.damage(last, |bytes| {
        let Some((at, end)) = last_record(bytes) else { return };
        let Some((body, crc)) = bytes.get_mut(at..end).and_then(|record| record.split_last_chunk_mut::<4>()) else {
            return;
        };
        // Length and number of the record, then epoch and number of the till's.
        if let Some(number) = body.get_mut(12..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *number = u32::from_le_bytes(*number).saturating_sub(1).to_le_bytes();
            *crc = till_link::frame::CRC.checksum(body).to_le_bytes();
        }
    });
}

/// Where the last whole record of a segment lies.
fn last_record(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut found) = (20, None);
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let end = at.checked_add(12)?.checked_add(u32::from_le_bytes(*length) as usize)?;
        if end > bytes.len() {
            break;
        }
        found = Some((at, end));
        at = end;
    }
    found
}

/// The last record of the log's last segment goes, whole or, where `torn`, all but its last byte. Returns its
/// payload.
fn forget_last(disk: &FaultDisk, torn: bool) -> Option<Vec<u8>> {
    let names = disk.fs().list().unwrap_or_default();
    let last = names.iter().filter(|name| name.ends_with(".log")).max()?;
    let mut payload = None;
    disk.damage(last, |bytes| {
        let Some((at, end)) = last_record(bytes) else { return };
        payload = bytes.get(at + 8..end - 4).map(<[u8]>::to_vec);
        bytes.truncate(if torn { end - 1 } else { at });
    });
    payload
}
