//! The counter's end: the real [`Counter`], with the simulated tray in front of it and the simulated
//! cable behind.

use std::sync::{Arc, Mutex, PoisonError};

use till_link::{Phase, ToPos};

use crate::checkout::{Effect, Health, Settings};
use crate::counter::{Counter, Rules};
use crate::outbox::fault::FaultDisk;
use crate::outbox::{Limits, Log, LogError, LogErrorKind};
use crate::port::{Books, PortError, PortErrorKind};
use crate::sim::faults::Fault;
use crate::sim::judge::Judge;
use crate::sim::line::End;
use crate::sim::plant::Plant;
use crate::sim::port::Port;
use crate::sim::power::Node;
use crate::sim::tray::{catalogue, labels};
use crate::sim::world::{Around, SharedCable};
use crate::trigger::RawEvent;

/// Small, so that a world sees many segments come and go.
const LIMITS: Limits = Limits { bytes_max: 64 << 10, segment_bytes: 2 << 10 };
/// The counter's number.
pub const COUNTER: u32 = 1;
/// The epoch of both ends' logs: a log that begins anew begins a new one only if its owner says so.
pub const EPOCH: u32 = 1 << 30;
const FRAME_MS: u64 = 100;
const BUSY_MS: u64 = 50;
const IDLE_MS: u64 = 500;

fn rules(plant: Option<Plant>) -> Rules {
    let core = Settings { scale: plant != Some(Plant::MassNotChecked), ..Settings::SCRIPTED };
    Rules { core, debounce_ms: 30, quiet_g: 3, quiet_ms: 300 }
}

/// The counter while it has power.
pub struct Till {
    counter: Counter,
    port: Port,
    /// The port failed and was not opened anew yet.
    port_lost: bool,
    effects: Arc<Mutex<Vec<Effect>>>,
    /// The last record of the outbox that the judge knows.
    noted: u32,
    /// The epoch that it stands in.
    epoch: u32,
    /// Records that the judge knows, while the outbox may yet be begun anew with them.
    known: Vec<Vec<u8>>,
    looked: bool,
    present: bool,
    frame_ms: u64,
    turn_ms: u64,
    lost: Option<(Fault, u64)>,
}

impl Node for Till {
    fn start(around: &mut Around, cable: &SharedCable, disks: &[FaultDisk; 2], boot: u32) -> Result<Self, LogError> {
        let now_ms = around.now_ms;
        let [out, inbox] = disks;
        let out = Log::open(out.fs(), LIMITS, EPOCH)?;
        let inbox = Log::open(inbox.fs(), LIMITS, EPOCH)?;
        let (noted, epoch) = (out.last(), out.epoch());
        let known = out.records().map(|(_, record)| record.to_vec()).collect();
        let effects = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&effects);
        let observer = move |_, effect: &Effect| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(effect.clone());
        };
        let counter = Counter::new(
            rules(around.plant),
            catalogue(),
            labels(),
            COUNTER,
            boot,
            out,
            inbox,
            now_ms,
            Some(Box::new(observer)),
        );
        let counter = match around.security() {
            Some(security) => counter.secured(security),
            None => counter,
        };
        let mut till = Self {
            counter,
            port: Port::new(cable, End::Till),
            port_lost: false,
            effects,
            noted,
            epoch,
            known,
            looked: false,
            present: false,
            frame_ms: now_ms,
            turn_ms: now_ms,
            lost: None,
        };
        till.feel(around, 0);
        till.note(around);
        Ok(till)
    }

    fn turn(&mut self, around: &mut Around) {
        let now_ms = around.now_ms;
        if self.lost.is_some_and(|(_, until_ms)| now_ms >= until_ms) {
            self.find_again(around);
        }
        self.feel(around, 0);
        if self.counter.look() && now_ms >= self.frame_ms {
            let calm = self.counter.view().phase == Phase::Offered;
            self.frame_ms = now_ms + if calm { 3 * FRAME_MS } else { FRAME_MS };
            if !matches!(self.lost, Some((Fault::CameraLost | Fault::EngineFailed, _))) {
                self.counter.tray(now_ms, around.tray.observe(now_ms));
                self.note(around);
            }
        }
        if self.port_lost && self.port.is_there() {
            self.port_lost = false;
            self.counter.reconnected(now_ms);
        }
        let wire = if self.port_lost { None } else { Some(&mut self.port as &mut dyn crate::port::Wire) };
        match self.counter.turn(now_ms, wire) {
            Ok(_) => {}
            Err(PortError { kind: PortErrorKind::Lost, .. }) => self.port_lost = true,
            Err(error) => around.judge.violation(now_ms, format!("the till's turn ends with {error}")),
        }
        self.note(around);
        let busy = self.counter.view().phase != Phase::Idle || self.counter.storage_error().is_some();
        let link_ms = self.counter.books().idle_for(now_ms).as_millis() as u64;
        let wait_ms = if self.port_lost { IDLE_MS } else { link_ms.max(5) };
        self.turn_ms = now_ms + wait_ms.min(if busy { BUSY_MS } else { IDLE_MS });
    }

    fn next_ms(&self) -> u64 {
        self.turn_ms
    }

    fn books(&self) -> &Books {
        self.counter.books()
    }

    fn lost(judge: &mut Judge, epoch: u32, records: &[Vec<u8>]) {
        for message in records.iter().filter_map(|record| till_link::message::decode(record)) {
            judge.till_lost(epoch, &message);
        }
    }

    fn is_broken(&self) -> bool {
        let poisoned = PortErrorKind::Storage(LogErrorKind::Poisoned);
        self.counter.storage_error().is_some_and(|error| error.kind == poisoned)
    }
}

impl Till {
    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        self.counter.view().phase
    }

    /// The shopper did something: lines and scale move.
    pub fn senses(&mut self, around: &mut Around, present: bool) {
        self.present = present;
        self.feel(around, (around.now_ms % 9) as i32 - 4);
        self.turn_ms = around.now_ms;
    }

    fn feel(&mut self, around: &mut Around, shake_g: i32) {
        self.counter.raw(around.now_ms, RawEvent::Presence(self.present));
        let lost = matches!(self.lost, Some((Fault::ScaleLost, _)));
        let load = RawEvent::LoadGrams(around.tray.load_g() + shake_g);
        self.counter.raw(around.now_ms, if lost { RawEvent::LoadLost } else { load });
    }

    /// Camera, engine or scale are gone until then.
    pub fn lose(&mut self, around: &mut Around, sense: Fault, until_ms: u64) {
        if self.lost.is_none() {
            self.lost = Some((sense, until_ms));
            around.counts.add(sense);
            around.tell(|| format!("till: {} until {until_ms}", sense.name()));
            self.tell_health(around, sense, true);
        }
    }

    fn find_again(&mut self, around: &mut Around) {
        if let Some((sense, _)) = self.lost.take() {
            self.tell_health(around, sense, false);
        }
    }

    fn tell_health(&mut self, around: &mut Around, sense: Fault, lost: bool) {
        let health = match sense {
            Fault::CameraLost => Health::CameraLost(lost),
            Fault::EngineFailed => Health::EngineFailed(lost),
            _ => return,
        };
        self.counter.health(around.now_ms, health);
        self.note(around);
    }

    /// Everything that was lost is there again, and nobody is.
    pub fn heal(&mut self, around: &mut Around) {
        self.find_again(around);
        self.senses(around, false);
    }

    /// Tells the judge what the core decided and what came into the books.
    fn note(&mut self, around: &mut Around) {
        let now_ms = around.now_ms;
        let effects = std::mem::take(&mut *self.effects.lock().unwrap_or_else(PoisonError::into_inner));
        for effect in &effects {
            if let Effect::Durable(message) | Effect::Volatile(message) = effect {
                around.judge.decided(now_ms, message, &around.tray);
                around.tell(|| format!("till: {}", brief(message)));
            }
        }
        let out = self.counter.books().out();
        if out.epoch() != self.epoch {
            (self.epoch, self.noted) = (out.epoch(), 0);
        }
        while self.noted < out.last() {
            self.noted += 1;
            let record = out.get(self.noted);
            if record.is_some_and(|record| self.known.iter().any(|known| known == record)) {
                continue;
            }
            if !self.counter.books().is_proven() {
                self.known.extend(record.map(<[u8]>::to_vec));
            }
            match record.and_then(till_link::message::decode::<ToPos>) {
                Some(message) => {
                    around.judge.stored(now_ms, &message);
                    if let ToPos::Closed { sale, revision, outcome: till_link::Outcome::Paid, .. } = message {
                        around.judge.paid(sale, revision, &mut around.tray);
                    }
                }
                None => around.judge.violation(now_ms, format!("record {} went before it was read", self.noted)),
            }
        }
        if self.counter.look() && !self.looked {
            around.tray.forget();
            self.frame_ms = now_ms + FRAME_MS;
        }
        self.looked = self.counter.look();
    }
}

/// A message in a few words.
pub fn brief(message: &ToPos) -> String {
    match message {
        ToPos::CartChanged { sale, cart } => {
            format!("cart of {sale}: {} lines, {}", cart.lines.len(), cart.total_minor)
        }
        ToPos::Offer { sale, revision, cart } => {
            format!("offer {revision} of {sale}: {} lines, {}", cart.lines.len(), cart.total_minor)
        }
        ToPos::Closed { sale, revision, outcome, cart } => {
            format!("closed {sale} {outcome:?} by offer {revision}: {}", cart.total_minor)
        }
        other => format!("{other:?}"),
    }
}
