//! The core itself: facts in, what happens derived from them, the table run, messages out.

use till_link::message::Text;
use till_link::{Attention, Cart, Hint, Outcome, Phase, Precision, Rung, SaleId, ToPos, ToTill};

use crate::checkout::cart::{Tally, same_goods, tally};
use crate::checkout::catalogue::Catalogue;
use crate::checkout::facts::{Effect, Health, Input, RunsOn, Settings, View};
use crate::checkout::member::{Asking, guide};
use crate::checkout::session::{Action, Happening, find};
use crate::trigger::TriggerEvent;
use crate::vision::TrayObservation;

mod doubt;
mod pos;
#[cfg(test)]
mod tests;

/// Rows that one step may run at most; the longest chain in the table is shorter.
const ROWS_A_STEP_MAX: usize = 8;
/// The cart is told to the POS at most this often.
const CART_EVERY_MS: u64 = 150;

/// The checkout core. See the module's text.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    catalogue: Catalogue,
    labels: Vec<Option<u16>>,
    counter: u32,
    epoch: u32,
    session_last: u32,
    phase: Phase,
    phase_since_ms: u64,
    sale: Option<SaleId>,
    revision: u16,
    /// The last offer; stays after it was withdrawn, because a payment for it may be on the wire.
    offered: Option<Cart>,
    /// This life began with a sale of the last one, and the tray has not been seen empty since.
    restarted: bool,
    /// Goods that were paid before a restart: until the tray was seen without them they are not sold again.
    left_over: Option<Cart>,
    /// The books may lack the last sales: whatever lies there may have been paid.
    doubted: bool,
    /// The POS was not heard since the start; see `wait_for_link`.
    unlinked: bool,
    attention: Option<Attention>,
    /// A person at the POS has seen it.
    acknowledged: bool,
    tray: Option<TrayObservation>,
    tally: Option<Tally>,
    load: Option<(i32, bool)>,
    load_lost: bool,
    presence: bool,
    came: bool,
    camera_lost: bool,
    engine_failed: bool,
    resting: bool,
    storage_full: bool,
    runs_on: RunsOn,
    against_since: Option<(Attention, u64)>,
    empty_since_ms: Option<u64>,
    pos_says: Option<Happening>,
    told_cart: Option<(Cart, u64)>,
    state_due: bool,
    /// The POS must hear again what is in the way: what it was told went with the old connection.
    attention_due: bool,
    asking: Asking,
}

impl Core {
    /// A core in Idle. `labels` are the engine's; `session_floor` is a number below every session to come.
    pub fn new<'l>(
        settings: Settings,
        catalogue: Catalogue,
        labels: impl IntoIterator<Item = &'l str>,
        counter: u32,
        epoch: u32,
        session_floor: u32,
    ) -> Self {
        let labels = catalogue.index_labels(labels);
        Self {
            settings,
            catalogue,
            labels,
            counter,
            epoch,
            session_last: session_floor,
            phase: Phase::Idle,
            phase_since_ms: 0,
            sale: None,
            revision: 0,
            offered: None,
            restarted: false,
            left_over: None,
            doubted: false,
            unlinked: false,
            attention: None,
            acknowledged: false,
            tray: None,
            tally: None,
            load: None,
            load_lost: false,
            presence: false,
            came: false,
            camera_lost: false,
            engine_failed: false,
            resting: false,
            storage_full: false,
            runs_on: RunsOn { rung: Rung::Rten, precision: Precision::Fp32, reason: Text::new() },
            against_since: None,
            empty_since_ms: None,
            pos_says: None,
            told_cart: None,
            state_due: true,
            attention_due: false,
            asking: Asking::default(),
        }
    }

    /// What `till status` shows.
    pub fn view(&self) -> View<'_> {
        View {
            phase: self.phase,
            sale: self.sale,
            attention: self.attention,
            acknowledged: self.acknowledged,
            cart: self.tally.as_ref().map(|tally| &tally.cart),
            member: self.asking.member(),
        }
    }

    /// What is sold now, and for how much.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// New prices, taken only between sessions; `false` while one is live.
    pub fn set_catalogue<'l>(&mut self, catalogue: Catalogue, labels: impl IntoIterator<Item = &'l str>) -> bool {
        if self.phase != Phase::Idle {
            return false;
        }
        self.labels = catalogue.index_labels(labels);
        self.catalogue = catalogue;
        true
    }

    /// One step: a fact and the time, and everything that follows from them.
    pub fn step(&mut self, now_ms: u64, input: Input<'_>, sink: &mut dyn FnMut(Effect)) {
        self.learn(now_ms, input);
        if let Input::Pos(message) = input {
            self.disown(message, sink);
        }
        self.recognise(now_ms, input, sink);
        for _ in 0..ROWS_A_STEP_MAX {
            let Some(row) = self.happening(now_ms).and_then(|happening| find(self.phase, happening)) else { break };
            self.phase = row.to;
            self.phase_since_ms = now_ms;
            self.state_due = true;
            self.act(now_ms, row.action, sink);
        }
        self.pos_says = None;
        self.tell(now_ms, sink);
    }

    fn learn(&mut self, now_ms: u64, input: Input<'_>) {
        match input {
            Input::Tick | Input::Face(_) | Input::LinkDown => {}
            Input::LinkUp => {
                self.unlinked = false;
                self.state_due = true;
                self.told_cart = None;
                self.attention_due = self.attention.is_some();
            }
            Input::Trigger(TriggerEvent::Presence(level)) => {
                self.came |= level && !self.presence;
                self.presence = level;
            }
            Input::Trigger(TriggerEvent::Load { grams, quiet }) => {
                self.load = Some((grams, quiet));
                self.load_lost = false;
            }
            Input::Trigger(TriggerEvent::LoadLost) => self.load_lost = true,
            Input::Tray(observation) if self.sale.is_some() || self.phase == Phase::Clearing => match &mut self.tray {
                Some(tray) => tray.clone_from(observation),
                None => self.tray = Some(observation.clone()),
            },
            // A picture from before the session is no evidence.
            Input::Tray(_) => {}
            // A person comes; what is in the way stays there until it goes.
            Input::Pos(ToTill::Acknowledge { reason, .. }) => self.acknowledged |= self.attention == Some(*reason),
            Input::Pos(message) => self.pos_says = self.understand(message),
            Input::Health(Health::CameraLost(lost)) => self.camera_lost = lost,
            Input::Health(Health::EngineFailed(failed)) => {
                self.state_due |= failed != self.engine_failed;
                self.engine_failed = failed;
            }
            Input::Health(Health::Resting(resting)) => {
                self.state_due |= resting != self.resting;
                self.resting = resting;
            }
            Input::Health(Health::StorageFull(full)) => self.storage_full = full,
            Input::RunsOn(runs_on) => {
                self.state_due |= *runs_on != self.runs_on;
                self.runs_on.clone_from(runs_on);
            }
        }
        if matches!(input, Input::Tray(_) | Input::Trigger(TriggerEvent::Load { .. })) {
            self.tally = self.tray.as_ref().map(|tray| {
                let mass_g = self.load.filter(|_| self.settings.scale).map(|(grams, _)| grams);
                tally(tray, &self.catalogue, &self.labels, mass_g, self.settings.votes_min)
            });
        }
        self.empty_since_ms = if self.tray_empty() { self.empty_since_ms.or(Some(now_ms)) } else { None };
        self.against_since = match (self.speaks_against(), self.against_since) {
            (Some(now), Some((before, since_ms))) if now == before => Some((before, since_ms)),
            (Some(now), _) => Some((now, now_ms)),
            (None, _) => None,
        };
    }

    /// Whether a face is looked for, and what came of it; it moves no session and no cart.
    fn recognise(&mut self, now_ms: u64, input: Input<'_>, sink: &mut dyn FnMut(Effect)) {
        match (input, self.sale) {
            (Input::Pos(ToTill::Recognise { sale, on: true }), at_hand) => {
                // Only a session in which something can still be sold has a shopper who may ask.
                if self.settings.members && at_hand == Some(*sale) && self.attention != Some(Attention::OutcomeUnknown)
                {
                    self.asking.begin(now_ms, sink);
                } else {
                    sink(guide(*sale, Hint::Failed));
                }
            }
            (Input::Pos(ToTill::Recognise { sale, on: false }), Some(at_hand)) if at_hand == *sale => {
                self.asking.end(sink);
            }
            // What was asked over a link that is gone, nobody waits for.
            (Input::LinkDown | Input::LinkUp, _) => self.asking.end(sink),
            (Input::Face(said), Some(sale)) => self.asking.face(sale, said, sink),
            (_, Some(sale)) => self.asking.tick(now_ms, sale, sink),
            (_, None) => {}
        }
    }

    fn still(&self) -> bool {
        self.tray.as_ref().is_some_and(|tray| tray.settled) && self.load_quiet()
    }

    fn load_quiet(&self) -> bool {
        !self.settings.scale || self.load.is_some_and(|(_, quiet)| quiet)
    }

    fn loaded(&self) -> bool {
        self.settings.scale && self.load.is_some_and(|(grams, _)| grams > self.settings.load_present_g)
    }

    fn goods_seen(&self) -> bool {
        self.tray.as_ref().is_some_and(|tray| !tray.items.is_empty())
    }

    fn tray_empty(&self) -> bool {
        // After a restart nothing is known before the first picture and the first reading.
        let blind = self.tray.is_none() || self.settings.scale && self.load.is_none();
        let hand = self.tray.as_ref().is_some_and(|tray| tray.hand);
        let in_doubt = blind && self.restarted;
        !(in_doubt || hand || self.loaded() || self.goods_seen())
    }

    /// What the rooms or the tray put in the way of a sale at this moment.
    fn speaks_against(&self) -> Option<Attention> {
        if self.storage_full {
            Some(Attention::StorageFull)
        } else if self.engine_failed || self.resting {
            Some(Attention::EngineFailed)
        } else if self.camera_lost {
            Some(Attention::CameraLost)
        } else if self.settings.scale && self.load_lost {
            Some(Attention::ScaleLost)
        } else if self.still() && !self.tray_empty() {
            self.tally.as_ref().and_then(|tally| tally.against)
        } else {
            None
        }
    }

    /// The same, once it has stood long enough to bother a person.
    fn cause(&self, now_ms: u64) -> Option<Attention> {
        let (reason, since_ms) = self.against_since?;
        let at_once = matches!(
            reason,
            Attention::StorageFull | Attention::EngineFailed | Attention::CameraLost | Attention::ScaleLost
        );
        (at_once || now_ms.saturating_sub(since_ms) >= self.settings.attention_ms).then_some(reason)
    }

    /// The cart that could be offered now.
    fn agreed(&self) -> Option<&Cart> {
        let tally = self.tally.as_ref()?;
        let sellable = !tally.cart.lines.is_empty() && tally.against.is_none();
        (sellable && self.still() && self.speaks_against().is_none()).then_some(&tally.cart)
    }

    /// Whether nothing on the tray is what was paid before the restart: then it is the next shopper's. Where
    /// only a part of it is, nobody can tell, and unsure is never charged.
    fn others_goods(&self) -> bool {
        let (Some(paid), Some(cart)) = (&self.left_over, self.agreed()) else { return false };
        !self.doubted && !cart.lines.iter().any(|line| paid.lines.iter().any(|paid| paid.sku == line.sku))
    }

    /// Whether the goods are no longer those of the offer. A hand that passes over the tray on its way to
    /// the POS moves neither.
    fn moved_since_offer(&self) -> bool {
        let (Some(offered), Some(tray)) = (&self.offered, &self.tray) else { return false };
        let load_moved = match self.load.filter(|_| self.settings.scale) {
            Some((grams, _)) => grams.saturating_sub(offered.mass_g).saturating_abs() > self.settings.hold_g,
            None => !tray.settled,
        };
        let cart_moved = tray.settled && self.tally.as_ref().is_none_or(|tally| !same_goods(&tally.cart, offered));
        load_moved || cart_moved
    }

    fn left(&self, now_ms: u64) -> bool {
        !self.presence
            && self.empty_since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= self.settings.clear_ms)
    }

    /// What happens now, the gravest first.
    fn happening(&self, now_ms: u64) -> Option<Happening> {
        if let Some(said) = self.pos_says {
            // What the POS said counts once, in the state that can hear it.
            if find(self.phase, said).is_some() {
                return Some(said);
            }
        }
        match self.phase {
            Phase::Idle => (self.came || self.loaded()).then_some(Happening::Came),
            Phase::Paid | Phase::Cancelled | Phase::Abandoned => Some(Happening::Told),
            Phase::Clearing if self.others_goods() => Some(Happening::Cleared),
            Phase::Clearing => {
                let since_ms = self.empty_since_ms?.max(self.phase_since_ms);
                (now_ms.saturating_sub(since_ms) >= self.settings.clear_ms).then_some(Happening::Cleared)
            }
            Phase::Attention => self.in_attention(now_ms),
            Phase::Offered if self.cause(now_ms).is_some() => Some(Happening::Cause),
            Phase::Offered => self.moved_since_offer().then_some(Happening::Moved),
            _ if self.cause(now_ms).is_some() => Some(Happening::Cause),
            _ if self.left(now_ms) => Some(Happening::Left),
            Phase::Present => self.goods_seen().then_some(Happening::GoodsSeen),
            // A cart that changed again before it could be told waits for that here: Settled would send it straight back.
            Phase::Scanning => {
                let cart = self.agreed()?;
                let told = self.told_cart.as_ref().is_none_or(|(told, _)| same_goods(told, cart));
                told.then_some(Happening::Agreed)
            }
            Phase::Settled => match self.agreed() {
                Some(cart) if self.told_cart.as_ref().is_some_and(|(told, _)| same_goods(told, cart)) => {
                    let held = now_ms.saturating_sub(self.phase_since_ms) >= self.settings.settle_ms;
                    (held && !self.unlinked).then_some(Happening::Held)
                }
                _ => Some(Happening::Moved),
            },
        }
    }

    fn in_attention(&self, now_ms: u64) -> Option<Happening> {
        // Only the POS or a person knows what became of the money.
        if self.attention == Some(Attention::OutcomeUnknown) {
            return None;
        }
        if self.left(now_ms) {
            return Some(Happening::Left);
        }
        match self.cause(now_ms) {
            Some(reason) if Some(reason) != self.attention => Some(Happening::OtherCause),
            Some(_) => None,
            // While goods move nobody knows yet; an empty tray has nothing against it.
            None if self.against_since.is_some() => None,
            None if self.still() || self.tray_empty() => Some(Happening::CauseGone),
            None => None,
        }
    }

    fn act(&mut self, now_ms: u64, action: Action, sink: &mut dyn FnMut(Effect)) {
        match action {
            Action::None => {}
            Action::Open => {
                self.came = false;
                self.session_last = self.session_last.saturating_add(1);
                let sale = SaleId { counter: self.counter, epoch: self.epoch, session: self.session_last };
                self.sale = Some(sale);
                sink(Effect::Look(true));
                sink(Effect::Volatile(ToPos::SessionOpened { sale }));
            }
            Action::Offer => self.offer(sink),
            Action::Withdraw => self.withdraw(sink),
            Action::WithdrawAndRaise => {
                self.withdraw(sink);
                self.raise(now_ms, sink);
            }
            Action::Raise => self.raise(now_ms, sink),
            Action::Lower => self.lower(sink),
            Action::Exchange => {
                self.lower(sink);
                self.raise(now_ms, sink);
            }
            Action::ClosePaid => self.close(Outcome::Paid, sink),
            Action::CloseCancelled => self.close(Outcome::Cancelled, sink),
            Action::CloseAbandoned => self.close(Outcome::Abandoned, sink),
            Action::Rest => {
                self.sale = None;
                // Without a scale only the line tells of the next one, who may not have let it fall between.
                self.came |= self.presence && !self.settings.scale;
                self.restarted = false;
                self.doubted = false;
                self.left_over = None;
                self.tray = None;
                self.tally = None;
                self.told_cart = None;
                self.against_since = None;
                sink(Effect::Look(false));
            }
        }
    }

    fn offer(&mut self, sink: &mut dyn FnMut(Effect)) {
        let (Some(sale), Some(cart)) = (self.sale, self.agreed().cloned()) else { return };
        self.revision = self.revision.saturating_add(1);
        self.offered = Some(cart.clone());
        sink(Effect::Durable(ToPos::Offer { sale, revision: self.revision, cart }));
    }

    fn withdraw(&mut self, sink: &mut dyn FnMut(Effect)) {
        if let Some(sale) = self.sale {
            sink(Effect::Durable(ToPos::Withdrawn { sale, revision: self.revision }));
        }
    }

    fn raise(&mut self, now_ms: u64, sink: &mut dyn FnMut(Effect)) {
        self.attention = self.cause(now_ms);
        self.acknowledged = false;
        self.tell_attention(true, sink);
    }

    fn lower(&mut self, sink: &mut dyn FnMut(Effect)) {
        self.tell_attention(false, sink);
        self.attention = None;
        self.acknowledged = false;
    }

    fn tell_attention(&self, on: bool, sink: &mut dyn FnMut(Effect)) {
        if let Some(reason) = self.attention {
            sink(Effect::Volatile(ToPos::Attention { sale: self.sale, reason, on }));
        }
    }

    /// Ends the sale in the books, if they ever heard of it.
    fn close(&mut self, outcome: Outcome, sink: &mut dyn FnMut(Effect)) {
        self.lower(sink);
        match (self.sale, self.offered.take()) {
            (Some(sale), Some(cart)) => {
                // What was paid while this end was down lies there, or the next shopper's goods do.
                self.left_over = (self.restarted && outcome == Outcome::Paid).then(|| cart.clone());
                sink(Effect::Durable(ToPos::Closed { sale, revision: self.revision, outcome, cart }));
            }
            // A session without an offer leaves nothing in the books, and its number goes to the next one:
            // so no sale's number exceeds the outbox's own, which is all that a restart can go on from.
            (Some(_), None) => self.session_last = self.session_last.saturating_sub(1),
            _ => {}
        }
        self.revision = 0;
        self.sale = None;
        self.told_cart = None;
        self.came = false;
        self.asking.end(sink);
    }

    /// What the POS should see: the cart as it changes, the state when it does.
    fn tell(&mut self, now_ms: u64, sink: &mut dyn FnMut(Effect)) {
        let following = matches!(self.phase, Phase::Scanning | Phase::Settled | Phase::Attention);
        if let (true, Some(sale), Some(tally)) = (following, self.sale, &self.tally) {
            let due = match &self.told_cart {
                None => true,
                Some((told, at_ms)) => !same_goods(told, &tally.cart) && now_ms.saturating_sub(*at_ms) >= CART_EVERY_MS,
            };
            if due {
                self.told_cart = Some((tally.cart.clone(), now_ms));
                sink(Effect::Volatile(ToPos::CartChanged { sale, cart: tally.cart.clone() }));
            }
        }
        if std::mem::take(&mut self.attention_due) {
            self.tell_attention(true, sink);
        }
        if std::mem::take(&mut self.state_due) {
            let (rung, reason, precision) = if self.engine_failed {
                (Rung::StaffMode, Text::try_from("no engine works").unwrap_or_default(), None)
            } else {
                let RunsOn { rung, precision, reason } = self.runs_on.clone();
                if self.resting { (Rung::StaffMode, reason, None) } else { (rung, reason, Some(precision)) }
            };
            sink(Effect::Volatile(ToPos::State { phase: self.phase, rung, reason, precision }));
        }
    }
}
