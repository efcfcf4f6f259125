//! The counter's end: the real triggers, core and books, driven as the runtime drives them, with the
//! simulated tray in front and the simulated cable behind.

use std::collections::VecDeque;

use till_link::{Phase, Role, SaleId, ToPos, ToTill};

use crate::checkout::{Core, Effect, Health, Input, Settings};
use crate::outbox::fault::FaultDisk;
use crate::outbox::{Limits, Log, LogError, LogErrorKind};
use crate::port::{Books, Incoming, PortErrorKind, recovery};
use crate::sim::faults::Fault;
use crate::sim::line::End;
use crate::sim::plant::Plant;
use crate::sim::port::Port;
use crate::sim::power::Node;
use crate::sim::tray::{catalogue, labels};
use crate::sim::world::{Around, SharedCable};
use crate::trigger::{Debounce, Scale, TriggerEvent};

/// Small, so that a world sees many segments come and go.
pub const LIMITS: Limits = Limits { bytes_max: 64 << 10, segment_bytes: 2 << 10 };
/// The counter's number.
pub const COUNTER: u32 = 1;
const FRAME_MS: u64 = 100;
const TICK_MS: u64 = 100;
const IDLE_TICK_MS: u64 = 1_000;

fn settings(plant: Option<Plant>) -> Settings {
    Settings {
        settle_ms: 800,
        votes_min: 5,
        clear_ms: 500,
        attention_ms: 1_500,
        load_present_g: 5,
        hold_g: 10,
        scale: plant != Some(Plant::MassNotChecked),
    }
}

/// The counter while it has power.
pub struct Counter {
    core: Core,
    books: Books,
    port: Port,
    port_lost: bool,
    presence: Debounce,
    scale: Scale,
    present: bool,
    /// Effects of the last step, not yet handled.
    effects: Vec<Effect>,
    /// What the disk did not take yet, in order.
    pending: VecDeque<ToPos>,
    said: Vec<ToTill>,
    link_up: bool,
    full: bool,
    broken: bool,
    looking: bool,
    frame_ms: u64,
    tick_ms: u64,
    books_ms: u64,
    lost: Option<(Fault, u64)>,
}

/// Sessions before a restart that the books know of, or that began in an earlier life.
fn session_floor(out: &Log, boot: u32) -> u32 {
    let sessions = out.records().filter_map(|(_, record)| match till_link::message::decode(record)? {
        ToPos::Offer { sale: SaleId { session, .. }, .. } | ToPos::Closed { sale: SaleId { session, .. }, .. } => Some(session),
        _ => None,
    });
    // As with a wall clock in seconds: each life begins above what an earlier one can have reached.
    sessions.max().unwrap_or(0).max(boot.saturating_mul(1_000))
}

impl Node for Counter {
    fn start(around: &mut Around, cable: &SharedCable, disks: &[FaultDisk; 2], boot: u32) -> Result<Self, LogError> {
        let now_ms = around.now_ms;
        let [out, inbox] = disks;
        let out = Log::open(out.fs(), LIMITS, boot)?;
        let inbox = Log::open(inbox.fs(), LIMITS, boot)?;
        let recovered = recovery::recover(&out, &inbox);
        let floor = if around.plant == Some(Plant::SessionReused) { 0 } else { session_floor(&out, boot) };
        let core = Core::new(settings(around.plant), catalogue(), labels(), COUNTER, out.epoch(), floor);
        let mut counter = Self {
            core,
            books: Books::new(Role::Till, COUNTER, boot, out, inbox, now_ms),
            port: Port::new(cable, End::Till),
            port_lost: false,
            presence: Debounce::new(30),
            scale: Scale::new(3, 300),
            present: false,
            effects: Vec::new(),
            pending: VecDeque::new(),
            said: Vec::new(),
            link_up: false,
            full: false,
            broken: false,
            looking: false,
            frame_ms: u64::MAX,
            tick_ms: now_ms,
            books_ms: now_ms,
            lost: None,
        };
        counter.scale.reading(now_ms, around.tray.load_g());
        if let Some(recovered) = recovered
            && around.plant != Some(Plant::NoRecovery)
        {
            counter.books.keep(Some(recovered.first_record));
            around.tell(|| format!("till: sale {} was open", recovered.open.sale));
            counter.core.recover(now_ms, recovered.open, &mut |effect| counter.effects.push(effect));
            counter.follow(around);
            for command in &recovered.commands {
                counter.step(around, Input::Pos(command));
            }
        }
        Ok(counter)
    }

    fn turn(&mut self, around: &mut Around) {
        let now_ms = around.now_ms;
        if self.lost.is_some_and(|(_, until_ms)| now_ms >= until_ms) {
            self.find_again(around);
        }
        if self.looking && now_ms >= self.frame_ms {
            let calm = self.core.view().phase == Phase::Offered;
            self.frame_ms = now_ms + if calm { 3 * FRAME_MS } else { FRAME_MS };
            if !matches!(self.lost, Some((Fault::CameraLost | Fault::EngineFailed, _))) {
                let seen = around.tray.observe(now_ms);
                self.core.step(now_ms, Input::Tray(seen), &mut |effect| self.effects.push(effect));
                self.follow(around);
            }
        }
        if now_ms >= self.tick_ms {
            self.feel(around, 0);
            self.step(around, Input::Tick);
            self.flush(around);
            let busy = self.core.view().phase != Phase::Idle || !self.pending.is_empty();
            self.tick_ms = now_ms + if busy { TICK_MS } else { IDLE_TICK_MS };
        }
        self.talk(around);
    }

    fn next_ms(&self) -> u64 {
        let frame_ms = if self.looking { self.frame_ms } else { u64::MAX };
        let found_ms = self.lost.map_or(u64::MAX, |(_, until_ms)| until_ms);
        self.tick_ms.min(frame_ms).min(found_ms).min(self.books_ms)
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

impl Counter {
    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        self.core.view().phase
    }

    /// The shopper did something: lines and scale move.
    pub fn senses(&mut self, around: &mut Around, present: bool) {
        self.present = present;
        let shake_g = (around.now_ms % 9) as i32 - 4;
        self.feel(around, shake_g);
        // Debounce and scale speak again when they have come to rest.
        self.tick_ms = self.tick_ms.min(around.now_ms + 40);
    }

    fn feel(&mut self, around: &mut Around, shake_g: i32) {
        let now_ms = around.now_ms;
        self.presence.level(now_ms, self.present);
        if let Some(level) = self.presence.poll(now_ms) {
            self.step(around, Input::Trigger(TriggerEvent::Presence(level)));
        }
        if !matches!(self.lost, Some((Fault::ScaleLost, _))) {
            self.scale.reading(now_ms, around.tray.load_g() + shake_g);
            if let Some(event) = self.scale.poll(now_ms) {
                self.step(around, Input::Trigger(event));
            }
        }
    }

    /// Camera, engine or scale are gone until then.
    pub fn lose(&mut self, around: &mut Around, sense: Fault, until_ms: u64) {
        if self.lost.is_none() {
            self.lost = Some((sense, until_ms));
            around.counts.add(sense);
            around.tell(|| format!("till: {} until {until_ms}", sense.name()));
            self.tell_senses(around, sense, true);
        }
    }

    fn find_again(&mut self, around: &mut Around) {
        if let Some((sense, _)) = self.lost.take() {
            self.tell_senses(around, sense, false);
        }
    }

    fn tell_senses(&mut self, around: &mut Around, sense: Fault, lost: bool) {
        match sense {
            Fault::CameraLost => self.step(around, Input::Health(Health::CameraLost(lost))),
            Fault::EngineFailed => self.step(around, Input::Health(Health::EngineFailed(lost))),
            _ if lost => self.step(around, Input::Trigger(TriggerEvent::LoadLost)),
            _ => {
                self.scale = Scale::new(3, 300);
                self.feel(around, 0);
            }
        }
    }

    /// Everything that was lost is there again.
    pub fn heal(&mut self, around: &mut Around) {
        self.find_again(around);
        self.present = false;
        self.tick_ms = around.now_ms;
    }

    fn step(&mut self, around: &mut Around, input: Input<'_>) {
        self.core.step(around.now_ms, input, &mut |effect| self.effects.push(effect));
        self.follow(around);
    }

    /// Handles what the last step brought about.
    fn follow(&mut self, around: &mut Around) {
        if self.effects.is_empty() {
            return;
        }
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.effect(around, effect);
        }
        self.effects = effects;
        self.flush(around);
        self.books_ms = around.now_ms;
    }

    fn effect(&mut self, around: &mut Around, effect: Effect) {
        match effect {
            Effect::Look(look) => {
                self.looking = look;
                self.frame_ms = around.now_ms + FRAME_MS;
                if look {
                    around.tray.forget();
                }
            }
            Effect::Volatile(message) => {
                let key = match &message {
                    ToPos::SessionOpened { sale } => {
                        around.judge.opened(around.now_ms, *sale);
                        0
                    }
                    ToPos::CartChanged { .. } => 1,
                    ToPos::State { .. } => 2,
                    ToPos::Attention { reason, .. } => 16 + *reason as u32,
                    _ => 3,
                };
                around.tell(|| format!("till: {}", brief(&message)));
                self.books.send(key, &message);
            }
            Effect::Durable(message) => {
                around.judge.decided(around.now_ms, &message, &around.tray);
                around.tell(|| format!("till: {}", brief(&message)));
                if around.plant == Some(Plant::WithdrawForgotten) && matches!(message, ToPos::Withdrawn { .. }) {
                    return;
                }
                self.pending.push_back(message);
            }
        }
    }

    /// Puts into the books what waits to go there, in order. While anything waits, selling stops.
    fn flush(&mut self, around: &mut Around) {
        while let Some(message) = self.pending.front() {
            match self.books.submit(message) {
                Ok(number) => {
                    around.judge.stored(around.now_ms, message);
                    match message {
                        ToPos::Offer { revision: 1, .. } => self.books.keep(Some(number)),
                        ToPos::Closed { .. } => {
                            self.books.keep(None);
                            self.books.release_inbox();
                        }
                        _ => {}
                    }
                    self.pending.pop_front();
                }
                Err(error) => {
                    around.tell(|| format!("till: {error}"));
                    self.broken |= error.kind == PortErrorKind::Storage(LogErrorKind::Poisoned);
                    if around.plant != Some(Plant::DropWhenFull) {
                        break;
                    }
                    self.pending.pop_front();
                }
            }
        }
        let full = !self.pending.is_empty();
        if full != self.full {
            self.full = full;
            self.step(around, Input::Health(Health::StorageFull(full)));
        }
    }

    /// Reads and writes the wire and obeys what came.
    fn talk(&mut self, around: &mut Around) {
        let now_ms = around.now_ms;
        if self.port_lost && self.port.is_there() {
            self.port_lost = false;
            self.books.reconnected(now_ms, &mut |_| {});
        }
        if !self.port_lost {
            let (said, link_up) = (&mut self.said, &mut self.link_up);
            let moved = self.books.turn(now_ms, &mut self.port, &mut |incoming| match incoming {
                Incoming::Durable(bytes) | Incoming::Volatile(bytes) => said.extend(till_link::message::decode::<ToTill>(bytes)),
                Incoming::Up { lost } => {
                    *link_up = true;
                    if lost > 0 {
                        around.judge.violation(now_ms, format!("{lost} messages of the POS are gone"));
                    }
                }
                _ => {}
            });
            self.port_lost = moved.is_err();
        }
        if std::mem::take(&mut self.link_up) {
            self.step(around, Input::LinkUp);
        }
        let mut said = std::mem::take(&mut self.said);
        for message in said.drain(..) {
            around.tell(|| format!("till: hears {message:?}"));
            self.step(around, Input::Pos(&message));
        }
        self.said = said;
        if self.books.take_storage_error().is_some_and(|error| error.kind == LogErrorKind::Poisoned) {
            self.broken = true;
        }
        // What the line does not take now it takes a little later.
        let wait_ms = self.books.idle_for(now_ms).as_millis() as u64;
        self.books_ms = now_ms.saturating_add(if self.port_lost { 200 } else { wait_ms.max(5) });
    }
}

/// A message in a few words.
pub fn brief(message: &ToPos) -> String {
    match message {
        ToPos::CartChanged { sale, cart } => format!("cart of {sale}: {} lines, {}", cart.lines.len(), cart.total_minor),
        ToPos::Offer { sale, revision, cart } => {
            format!("offer {revision} of {sale}: {} lines, {}", cart.lines.len(), cart.total_minor)
        }
        ToPos::Closed { sale, revision, outcome, cart } => {
            format!("closed {sale} {outcome:?} by offer {revision}: {}", cart.total_minor)
        }
        other => format!("{other:?}"),
    }
}
