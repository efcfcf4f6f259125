//! The core joined with its books and its triggers: one single-threaded object that every driver (live,
//! replay, simulation) turns. It carries out the core's effects in their order and feeds back what came
//! of them. It has no thread and reads no clock.

mod enrol;
mod prices;

use std::collections::VecDeque;
use std::path::Path;

use till_link::message::JPEG_BYTES_MAX;
use till_link::{Attention, Phase, Role, SaleId, Security, Sku, ToPos, ToTill};

use crate::checkout::{Catalogue, Core, Effect, FaceSaid, Health, Input, RunsOn, Settings, View};
use crate::config::Config;
use crate::outbox::{Limits, Log, LogError, LogErrorKind, StdFs};
use crate::port::{Books, Incoming, PortError, PortErrorKind, Wire, recovery};
use crate::trigger::{Debounce, RawEvent, Scale, TriggerEvent};
use crate::vision::TrayObservation;

pub use enrol::Guided;
use prices::Prices;

/// Sees every effect of the core with its time, in order.
pub type Observer = Box<dyn FnMut(u64, &Effect) + Send>;

/// What the configuration decides about a counter.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The core's.
    pub core: Settings,
    /// Of the presence line.
    pub debounce_ms: u64,
    /// Spread of a quiet scale, grams.
    pub quiet_g: i32,
    /// For how long.
    pub quiet_ms: u64,
}

impl Rules {
    /// The rules of `config`.
    pub fn of(config: &Config) -> Self {
        let trigger = &config.trigger;
        Self {
            core: Settings {
                settle_ms: config.checkout.settle_ms,
                votes_min: u16::try_from(config.checkout.votes_min).unwrap_or(u16::MAX),
                clear_ms: config.checkout.clear_ms,
                attention_ms: config.checkout.attention_ms,
                load_present_g: trigger.load_present_g,
                // A load that only trembles must not take an offer back.
                hold_g: trigger.quiet_g.saturating_mul(3).max(10),
                scale: trigger.source.has_scale(),
                members: config.face.is_some(),
            },
            debounce_ms: trigger.debounce_ms,
            quiet_g: trigger.quiet_g,
            quiet_ms: trigger.quiet_ms,
        }
    }
}

/// Opens the log in `folder` on the real disk.
pub fn open_log(folder: &Path, limits: Limits, new_epoch: u32) -> Result<Log, LogError> {
    let fs = StdFs::open(folder).map_err(|error| LogError::io(folder.display().to_string(), &error))?;
    Log::open(Box::new(fs), limits, new_epoch)
}

/// See the module's text.
pub struct Counter {
    core: Core,
    books: Books,
    presence: Debounce,
    scale: Scale,
    look: bool,
    /// Which question of a shopper, who is it, is open; 0: none.
    asked: u32,
    /// The last such question.
    questions: u32,
    /// The open question is an enrolment: the new member's id, and the version of the text.
    enrolling: Option<(Sku, Sku)>,
    /// There is a face camera.
    members: bool,
    /// Durable messages that the disk did not take yet, in order; while there are any nothing is sold.
    pending: VecDeque<ToPos>,
    /// The sale whose records are kept though they were acknowledged.
    kept: Option<SaleId>,
    /// The store's own prices; the POS's, if it gives any, go before them.
    own: Catalogue,
    labels: Vec<String>,
    prices: Prices,
    /// An offer whose picture the POS does not have yet.
    picture_due: Option<(SaleId, u16)>,
    /// Commands of the POS that the core has not heard yet.
    commands: Vec<ToTill>,
    /// What the POS said in an earlier life about the sale that was open, and whether it closes it as paid. Obeyed
    /// only when the link was up: where the disk may have lost how it was answered, the POS is asked instead.
    held: Vec<(ToTill, bool)>,
    effects: Vec<Effect>,
    storage_error: Option<PortError>,
    observer: Option<Observer>,
}

impl Counter {
    /// Joins the parts and, if the books hold an offer without an end, asks the POS what became of it.
    #[expect(clippy::too_many_arguments, reason = "the parts of a counter, each named")]
    pub fn new<'l>(
        rules: Rules,
        catalogue: Catalogue,
        labels: impl IntoIterator<Item = &'l str>,
        counter: u32,
        boot: u32,
        out: Log,
        inbox: Log,
        now_ms: u64,
        observer: Option<Observer>,
    ) -> Self {
        let recovered = recovery::recover(&out, &inbox);
        let last_paid = recovery::last_paid(&out);
        let floor = recovery::session_floor(&out);
        let in_doubt = recovery::in_doubt(&out, &inbox);
        let mut commands = recovery::unanswered(&out, &inbox);
        let labels: Vec<String> = labels.into_iter().map(str::to_owned).collect();
        let names = labels.iter().map(String::as_str);
        let core = Core::new(rules.core, catalogue.clone(), names, counter, out.epoch(), floor);
        let mut this = Self {
            core,
            books: Books::new(Role::Till, counter, boot, out, inbox, now_ms),
            presence: Debounce::new(rules.debounce_ms),
            scale: Scale::new(rules.quiet_g, rules.quiet_ms),
            look: false,
            asked: 0,
            questions: 0,
            enrolling: None,
            members: rules.core.members,
            pending: VecDeque::new(),
            kept: None,
            own: catalogue,
            labels,
            prices: Prices::default(),
            picture_due: None,
            commands: Vec::new(),
            held: Vec::new(),
            effects: Vec::new(),
            storage_error: None,
            observer,
        };
        if let Some(recovered) = recovered {
            log::warn!("counter: sale {} was open when the counter went down; asking the POS", recovered.open.sale);
            let open = recovered.open.sale;
            this.keep(open, recovered.first_record);
            let held = recovered.commands.into_iter().map(|command| {
                let pays = recovery::pays(&command, &recovered.open);
                (command, pays)
            });
            this.held = held.collect();
            let effects = &mut this.effects;
            this.core.recover(now_ms, recovered.open, &mut |effect| effects.push(effect));
            this.carry_out(now_ms);
            commands.retain(|command| !matches!(command, ToTill::Paid { sale, .. } if *sale == open));
        } else if let Some(cart) = last_paid {
            let effects = &mut this.effects;
            this.core.recover_paid(now_ms, cart, &mut |effect| effects.push(effect));
            this.carry_out(now_ms);
        }
        this.commands = commands;
        this.core.wait_for_link();
        if in_doubt {
            let effects = &mut this.effects;
            this.core.doubt(now_ms, &mut |effect| effects.push(effect));
            this.carry_out(now_ms);
        }
        this
    }

    /// The same on a secured link; to be said before the first turn.
    pub fn secured(self, security: Security) -> Self {
        Self { books: self.books.secured(security), ..self }
    }

    /// The presence line or the scale, undebounced.
    pub fn raw(&mut self, now_ms: u64, event: RawEvent) {
        match event {
            RawEvent::Presence(level) => self.presence.level(now_ms, level),
            RawEvent::LoadGrams(grams) => self.scale.reading(now_ms, grams),
            RawEvent::LoadLost => self.scale.lost(),
        }
    }

    /// The tray after one frame.
    pub fn tray(&mut self, now_ms: u64, observation: &TrayObservation) {
        self.step(now_ms, Input::Tray(observation));
    }

    /// The answer of the face camera's room to a question; one to an earlier question is not heard.
    pub fn face(&mut self, now_ms: u64, question: u32, said: &FaceSaid) {
        if question != 0 && question == self.asked {
            self.step(now_ms, Input::Face(said));
        }
    }

    /// The offer whose picture is due, once: of [`Counter::picture`].
    pub fn take_picture_due(&mut self) -> Option<(SaleId, u16)> {
        self.picture_due.take()
    }

    /// A JPEG that shows an offer. It goes to the POS in parts, when nothing else is to be said.
    pub fn picture(&mut self, (sale, revision): (SaleId, u16), jpeg: &[u8]) {
        let parts = u16::try_from(jpeg.len().div_ceil(JPEG_BYTES_MAX)).unwrap_or(0);
        self.books.send_bulk((0..parts).zip(jpeg.chunks(JPEG_BYTES_MAX)).map(|(part, bytes)| {
            let jpeg = bytes.iter().copied().collect();
            ToPos::Thumbnail { sale, revision, part, parts, jpeg }
        }));
    }

    /// How the rooms are.
    pub fn health(&mut self, now_ms: u64, health: Health) {
        self.step(now_ms, Input::Health(health));
    }

    /// What runs the detector, from now on.
    pub fn runs_on(&mut self, now_ms: u64, runs_on: &RunsOn) {
        self.step(now_ms, Input::RunsOn(runs_on));
    }

    /// New prices; `false` while a session is live.
    pub fn set_catalogue<'l>(&mut self, catalogue: Catalogue, labels: impl IntoIterator<Item = &'l str>) -> bool {
        let priced = self.prices.applied_to(&catalogue).unwrap_or_else(|| catalogue.clone());
        let labels: Vec<String> = labels.into_iter().map(str::to_owned).collect();
        let taken = self.core.set_catalogue(priced, labels.iter().map(String::as_str));
        if taken {
            (self.own, self.labels) = (catalogue, labels);
        }
        taken
    }

    /// Asks for prices where they are due, and sells by the POS's list as soon as no session is live.
    fn turn_prices(&mut self, now_ms: u64) {
        if let Some(query) = self.prices.poll(now_ms) {
            self.books.send(key(&query), &query);
        }
        // A list that came in the middle of a session waits; it is not put together anew at each turn until then.
        if self.prices.is_due()
            && self.core.view().phase == Phase::Idle
            && let Some(priced) = self.prices.applied_to(&self.own)
            && self.core.set_catalogue(priced, self.labels.iter().map(String::as_str))
        {
            self.prices.taken();
        }
    }

    /// What the POS says; the core hears what concerns a session.
    fn command(&mut self, now_ms: u64, command: &ToTill) {
        match command {
            ToTill::Prices { version, part, parts, currency, prices } => {
                self.prices.heard(now_ms, (*version, *part, *parts), *currency, prices);
            }
            ToTill::QueryPrice { sku } => {
                let catalogue = self.core.catalogue();
                let product = catalogue.products().iter().find(|product| product.sku == *sku);
                let answer = ToPos::Price {
                    sku: sku.clone(),
                    unit_minor: product.map(|product| product.price_minor),
                    currency: catalogue.currency(),
                    catalogue_version: catalogue.version(),
                };
                self.books.send(key(&answer), &answer);
            }
            ToTill::Enrol { member, consent, on } => self.enrol(member, consent, *on),
            other => self.step(now_ms, Input::Pos(other)),
        }
    }

    /// Time, triggers, disk and wire. Call it at least every 50 ms, and until it returns `false` where
    /// nobody else turns. Without a wire everything but the wire goes on.
    pub fn turn(&mut self, now_ms: u64, wire: Option<&mut dyn Wire>) -> Result<bool, PortError> {
        self.retry(now_ms);
        if let Some(level) = self.presence.poll(now_ms) {
            self.step(now_ms, Input::Trigger(TriggerEvent::Presence(level)));
        }
        if let Some(event) = self.scale.poll(now_ms) {
            self.step(now_ms, Input::Trigger(event));
        }
        let mut wire = wire;
        let moved = match &mut wire {
            Some(wire) => self.exchange(now_ms, *wire),
            None => Ok(false),
        };
        let written = self.books.out().last();
        for command in std::mem::take(&mut self.commands) {
            self.command(now_ms, &command);
        }
        self.turn_prices(now_ms);
        self.step(now_ms, Input::Tick);
        self.give_way(false);
        match wire {
            // What was decided just now leaves now, not after the driver's next pause.
            Some(wire) if self.books.out().last() > written => Ok(moved? | self.exchange(now_ms, wire)?),
            _ => moved,
        }
    }

    fn exchange(&mut self, now_ms: u64, wire: &mut dyn Wire) -> Result<bool, PortError> {
        let commands = &mut self.commands;
        let (mut up, mut down) = (false, false);
        let mut lost = 0;
        let moved = self.books.turn(now_ms, wire, &mut |incoming| match incoming {
            Incoming::Durable(bytes) | Incoming::Volatile(bytes) => match till_link::message::decode(bytes) {
                Some(command) => commands.push(command),
                None => log::warn!("link: a message of {} bytes is not understood", bytes.len()),
            },
            Incoming::BooksLost { records } => lost = records,
            Incoming::Up { lost: gone } => {
                up = true;
                if gone > 0 {
                    log::error!("link: {gone} messages of the POS are gone for good; its journal was replaced");
                }
            }
            Incoming::Down => {
                down = true;
                log::warn!("link: the POS fell silent; sales wait on the disk");
            }
            Incoming::Refused(reason) => log::error!("link: the ends do not talk: {reason:?}"),
            Incoming::Acknowledged(_) => {}
        });
        if down {
            self.step(now_ms, Input::LinkDown);
            self.give_way(true);
        }
        if lost > 0 {
            self.renew(now_ms, lost);
        }
        // What came before the wire failed has come all the same.
        if up {
            self.commands.splice(0..0, std::mem::take(&mut self.held).into_iter().map(|(command, _)| command));
            self.prices.link_is_up(now_ms);
            self.step(now_ms, Input::LinkUp);
        }
        if let Some(error) = self.books.take_storage_error() {
            self.storage(now_ms, PortError::from(error));
        }
        moved
    }

    /// The disk has lost `records` that the POS has: no number and no name of a sale may come again (L-032).
    fn renew(&mut self, now_ms: u64, records: u32) {
        match self.books.renew(now_ms) {
            Ok(()) => {
                let epoch = self.books.out().epoch();
                self.held.retain(|(_, pays)| !pays);
                log::error!(
                    "books: the disk has lost {records} records that the POS has; they count as told, the outbox \
                     begins anew under epoch {epoch:08x}, and nothing is sold before the tray was empty. Check the disk"
                );
                let effects = &mut self.effects;
                self.core.renewed(now_ms, epoch, &mut |effect| effects.push(effect));
                self.carry_out(now_ms);
            }
            Err(error) => self.storage(now_ms, error),
        }
    }

    fn keep(&mut self, sale: SaleId, record: u32) {
        self.kept = Some(sale);
        self.books.keep(Some(record));
    }

    fn step(&mut self, now_ms: u64, input: Input<'_>) {
        let effects = &mut self.effects;
        self.core.step(now_ms, input, &mut |effect| effects.push(effect));
        self.carry_out(now_ms);
    }

    /// A new question to the face camera's room.
    fn ask(&mut self) {
        self.questions = self.questions.wrapping_add(1).max(1);
        self.asked = self.questions;
    }

    fn carry_out(&mut self, now_ms: u64) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            if let Some(observer) = &mut self.observer {
                observer(now_ms, &effect);
            }
            match effect {
                Effect::Look(look) => self.look = look,
                Effect::Recognise(true) => {
                    self.enrolling = None;
                    self.ask();
                }
                Effect::Recognise(false) => self.asked = 0,
                Effect::Volatile(message) => self.books.send(key(&message), &message),
                Effect::Durable(message) => {
                    self.picture_due = match &message {
                        ToPos::Offer { sale, revision, .. } => Some((*sale, *revision)),
                        _ => None,
                    };
                    self.pending.push_back(message);
                    self.write(now_ms);
                }
            }
        }
        // Keeps its room for the next step.
        if self.effects.is_empty() {
            self.effects = effects;
        }
    }

    /// Writes what waits, in order; `false` when the disk does not take it.
    fn write(&mut self, now_ms: u64) -> bool {
        while let Some(message) = self.pending.front() {
            match self.books.submit(message) {
                Ok(record) => {
                    match *message {
                        ToPos::Offer { sale, revision: 1, .. } => self.keep(sale, record),
                        // An end of another sale, of given-up books, leaves the one at hand alone.
                        ToPos::Closed { sale, .. } if self.kept == Some(sale) => {
                            self.kept = None;
                            self.books.keep(None);
                            self.books.release_inbox();
                        }
                        _ => {}
                    }
                    self.pending.pop_front();
                }
                Err(error) => {
                    self.storage(now_ms, error);
                    return false;
                }
            }
        }
        true
    }

    fn storage(&mut self, now_ms: u64, error: PortError) {
        if self.storage_error.is_none() {
            log::error!("{error}");
            self.storage_error = Some(error);
            self.step(now_ms, Input::Health(Health::StorageFull(true)));
        }
    }

    /// Selling goes on when the disk takes what waited and has room again.
    fn retry(&mut self, now_ms: u64) {
        let Some(error) = &self.storage_error else { return };
        let limits = self.books.out().limits();
        let room = self.books.out().bytes().saturating_add(limits.segment_bytes / 4) < limits.bytes_max;
        let was_full = error.kind == PortErrorKind::Storage(LogErrorKind::Full);
        if self.write(now_ms) && (room || !was_full) && self.books.probe_inbox() {
            self.storage_error = None;
            log::info!("books: the disk takes records again; selling goes on");
            self.step(now_ms, Input::Health(Health::StorageFull(false)));
        }
    }

    /// The port was opened anew.
    pub fn reconnected(&mut self, now_ms: u64) {
        self.books.reconnected(now_ms, &mut |_| {});
    }

    /// Whether vision should run.
    pub fn look(&self) -> bool {
        self.look
    }

    /// The question of a shopper that is open, so that the face camera may be read; 0: none.
    pub fn asked(&self) -> u32 {
        self.asked
    }

    /// What `status` shows of the core.
    pub fn view(&self) -> View<'_> {
        self.core.view()
    }

    /// The link and the logs.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Why the disk takes nothing, while it does not.
    pub fn storage_error(&self) -> Option<&PortError> {
        self.storage_error.as_ref()
    }

    /// Whether nothing is under way: no session, nothing unwritten or unacknowledged.
    pub fn is_idle(&self) -> bool {
        self.core.view().phase == Phase::Idle && self.pending.is_empty() && self.books.is_quiet()
    }
}

/// Volatile messages with the same key replace each other on the way to the wire.
fn key(message: &ToPos) -> u32 {
    match message {
        ToPos::SessionOpened { .. } => 0,
        ToPos::CartChanged { .. } => 1,
        ToPos::Member { .. } => 2,
        ToPos::State { .. } => 3,
        ToPos::Clock { .. } => 4,
        ToPos::QueryPrices { .. } => 6,
        ToPos::Price { .. } => 7,
        ToPos::Guide { .. } => 8,
        // Parts of a picture must not replace each other.
        ToPos::Thumbnail { part, .. } => 1_000 + u32::from(*part),
        // One reason's coming must not hide another's going.
        ToPos::Attention { reason, .. } => 100 + attention_number(*reason),
        ToPos::Offer { .. } | ToPos::Withdrawn { .. } | ToPos::Closed { .. } | ToPos::QueryOutcome { .. } => 5,
    }
}

fn attention_number(reason: Attention) -> u32 {
    reason as u32
}

#[cfg(test)]
mod tests;
