//! Knows the truth and holds both ends to it: nothing offered that does not lie there, no sale lost, none
//! twice, none invented, and in the end the books of both agree.

use std::collections::{BTreeMap, BTreeSet};

use till_link::{Cart, Outcome, SaleId, ToPos, ToTill};

use crate::sim::tray::{Thing, Tray};

/// What the judge found. `lost`, `duplicated` and `violations` are 0 in a sound world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Sessions that began.
    pub sessions: u64,
    /// Sales that were paid and stand in both books.
    pub paid: u64,
    /// Offers in which the scale said which of two products a thing is.
    pub by_mass: u64,
    /// Sales that one end took money for, or closed, and the other never heard of.
    pub lost: u64,
    /// Sales that stand twice anywhere.
    pub duplicated: u64,
    /// Everything else that must not be.
    pub violations: u64,
}

impl Verdict {
    /// Adds what was found in another world.
    pub fn merge(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.paid += other.paid;
        self.by_mass += other.by_mass;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.violations += other.violations;
    }

    /// Whether nothing was found.
    pub fn is_sound(&self) -> bool {
        (self.lost, self.duplicated, self.violations) == (0, 0, 0)
    }
}

/// What the POS has in its own books about one sale, read from its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    /// Money that was taken, minor units.
    pub taken_minor: Option<i64>,
    /// How the counter closed it, and the total.
    pub closed: Option<(Outcome, i64)>,
    /// How often its end stands in the journal: the ledger would hide that it came twice.
    pub ends: u32,
    /// How many receipts were booked.
    pub receipts: u32,
    /// Money that is given back, minor units.
    pub refunded_minor: i64,
    /// It was paid twice.
    pub contradicted: bool,
    /// It was closed in two ways.
    pub ends_differ: bool,
}

impl Booked {
    /// Whether the sale's money and its end fit together.
    fn is_settled(&self) -> bool {
        let Self { taken_minor, closed, receipts, refunded_minor, contradicted, ends: _, ends_differ: _ } = *self;
        let fits = match (taken_minor, closed) {
            (Some(taken), Some((Outcome::Paid, total))) => taken == total && receipts == 1 && refunded_minor == 0,
            (Some(taken), Some(_)) => receipts == 0 && refunded_minor == taken,
            (None, Some((outcome, _))) => outcome != Outcome::Paid && receipts == 0 && refunded_minor == 0,
            (None, None) => receipts == 0,
            (Some(_), None) => false,
        };
        fits && !contradicted
    }
}

/// The judge of one world.
#[derive(Debug, Default)]
pub struct Judge {
    /// What was found.
    pub verdict: Verdict,
    /// In words, one line each.
    pub findings: Vec<String>,
    taken: BTreeMap<SaleId, i64>,
    offers: BTreeMap<(SaleId, u16), Cart>,
    /// The things that lay on the tray when the last offer of a sale was made: what its payment pays.
    offered_things: Option<(SaleId, u16, Vec<u32>)>,
    /// Offers that are in the till's books.
    stored: BTreeSet<(SaleId, u16)>,
    open: BTreeSet<SaleId>,
    closed: BTreeMap<SaleId, (Outcome, i64)>,
    /// Epochs of the till's outbox that its disk has lost records of, and no others. A lost end is said again, by
    /// what the till still knows, and perhaps another: so a sale of these may end twice and differently in the
    /// journals. What a shopper feels is excused for none: money taken twice, two receipts, money without goods or
    /// refund, goods sold again that were paid.
    shaken: BTreeSet<u32>,
    /// Payments that the POS's disk has lost after the till had acknowledged them: the till ends these sales as
    /// ever, and the POS must not take their money again.
    payments_lost: BTreeMap<SaleId, i64>,
}

impl Judge {
    fn find(&mut self, now_ms: u64, text: String) {
        self.findings.push(format!("{now_ms:>8} !! {text}"));
    }

    /// Something is wrong that has no name of its own.
    pub fn violation(&mut self, now_ms: u64, text: String) {
        self.verdict.violations += 1;
        self.find(now_ms, text);
    }

    /// A planted POS took money that its journal may not know of.
    pub fn money_taken(&mut self, sale: SaleId, amount_minor: i64) {
        self.taken.insert(sale, amount_minor);
    }

    /// The core decided: what it offers must be what lies there.
    pub fn decided(&mut self, now_ms: u64, message: &ToPos, tray: &Tray) {
        self.verdict.sessions += u64::from(matches!(message, ToPos::SessionOpened { .. }));
        let ToPos::Offer { sale, revision, cart } = message else { return };
        if !tray.is(now_ms, cart) {
            let lines: Vec<String> = cart.lines.iter().map(|line| format!("{}x{}", line.sku, line.quantity)).collect();
            self.violation(now_ms, format!("sale {sale} offers {} but {:?} lie there", lines.join(" "), tray.things));
        }
        self.verdict.by_mass += u64::from(tray.things.iter().any(Thing::doubtful));
        if tray.things.iter().any(|thing| thing.paid) {
            self.verdict.duplicated += 1;
            self.find(now_ms, format!("sale {sale} offers goods that were paid"));
        }
        if cart.sum_minor() != Some(cart.total_minor) {
            self.violation(now_ms, format!("sale {sale}: {} is not the sum of the lines", cart.total_minor));
        }
        if self.closed.contains_key(sale) {
            self.violation(now_ms, format!("sale {sale} is offered after its end"));
        }
        // What a crash kept from the disk never left the till: its number may come again. But a crash may
        // also have cut short an append that is on the disk, so what was decided last is what counts.
        if self.stored.contains(&(*sale, *revision)) {
            self.violation(now_ms, format!("offer {revision} of sale {sale} was made twice"));
        }
        self.offers.insert((*sale, *revision), cart.clone());
        self.offered_things = Some((*sale, *revision, tray.things.iter().map(Thing::track).collect()));
    }

    /// The sale was paid: what was offered may lie there still and must not be sold again. What was put down
    /// since, while the till was down or the shopper walked to the POS, is the next one's.
    pub fn paid(&mut self, sale: SaleId, revision: u16, tray: &mut Tray) {
        let Some((_, _, tracks)) = self.offered_things.take_if(|(of, at, _)| (*of, *at) == (sale, revision)) else {
            return;
        };
        tray.things.iter_mut().filter(|thing| tracks.contains(&thing.track())).for_each(|thing| thing.paid = true);
    }

    /// A durable message is in the till's books: it must never be lost from here on.
    pub fn stored(&mut self, now_ms: u64, message: &ToPos) {
        if let ToPos::Offer { sale, revision, .. } = message {
            self.open.insert(*sale);
            self.stored.insert((*sale, *revision));
        }
        let ToPos::Closed { sale, revision, outcome, cart } = message else { return };
        self.open.remove(sale);
        let shaken = self.shaken.contains(&sale.epoch);
        // Money for a sale that was lost from the books goes back; what was offered is not known any more.
        let disowned = shaken && *outcome == Outcome::Cancelled && cart.lines.is_empty();
        if !disowned && self.offers.get(&(*sale, *revision)).is_none_or(|offered| offered != cart) {
            self.violation(now_ms, format!("sale {sale} was closed with goods that offer {revision} did not name"));
        }
        if self.closed.insert(*sale, (*outcome, cart.total_minor)).is_some() && !shaken {
            self.verdict.duplicated += 1;
            self.find(now_ms, format!("sale {sale} was closed twice in the till's books"));
        }
    }

    /// The till's disk has lost a record of its outbox, of `epoch`, that the POS has.
    pub fn till_lost(&mut self, epoch: u32, message: &ToPos) {
        match message {
            // Without its first offer a sale has no place in the till's books.
            ToPos::Offer { sale, revision: 1, .. } => {
                self.open.remove(sale);
            }
            ToPos::Closed { sale, .. } => {
                self.closed.remove(sale);
                self.open.insert(*sale);
            }
            _ => {}
        }
        self.shaken.insert(epoch);
    }

    /// The POS's disk has lost a record that the till has.
    pub fn pos_lost(&mut self, message: &ToTill) {
        if let ToTill::Paid { sale, amount_minor, .. } = message {
            self.payments_lost.insert(*sale, *amount_minor);
        }
    }

    /// The wire has healed and everything was said: do the books agree?
    pub fn audit(&mut self, now_ms: u64, pos: &BTreeMap<SaleId, Booked>) {
        for sale in std::mem::take(&mut self.open) {
            // Its end may be on the disk though the append that wrote it was cut short.
            if pos.get(&sale).is_none_or(|booked| booked.closed.is_none()) {
                self.violation(now_ms, format!("sale {sale} was offered and never ended"));
            }
        }
        for (sale, closed) in std::mem::take(&mut self.closed) {
            let booked = pos.get(&sale).copied().unwrap_or_default();
            // A paid sale that the till does not know any more it cancels; the POS keeps the first end. The other
            // way round nothing excuses it: a receipt in the till's books that the POS has not.
            let disowned = self.shaken.contains(&sale.epoch) && closed.0 == Outcome::Cancelled;
            let agree = booked.closed == Some(closed) || (disowned && booked.closed.is_some());
            if !agree {
                self.verdict.lost += 1;
                self.find(now_ms, format!("sale {sale}: the till closed it {closed:?}, the POS has {booked:?}"));
            }
        }
        for (sale, taken) in std::mem::take(&mut self.taken) {
            if pos.get(&sale).and_then(|booked| booked.taken_minor) != Some(taken) {
                self.verdict.lost += 1;
                self.find(now_ms, format!("sale {sale}: {taken} was taken, the POS's books do not know of it"));
            }
        }
        for (sale, booked) in pos {
            let shaken = self.shaken.contains(&sale.epoch);
            let payment_lost = self.payments_lost.get(sale).copied();
            let money = Booked { taken_minor: booked.taken_minor.or(payment_lost), ..*booked };
            let known = self.offers.keys().any(|(offered, _)| offered == sale);
            if !known && (booked.taken_minor.is_some() || booked.closed.is_some()) {
                self.violation(
                    now_ms,
                    format!("sale {sale} stands in the POS's books but was never offered: {booked:?}"),
                );
                continue;
            }
            if booked.receipts > 1 {
                self.verdict.duplicated += 1;
                self.find(now_ms, format!("sale {sale} has {} receipts", booked.receipts));
            }
            if booked.ends > 1 && !shaken {
                self.verdict.duplicated += 1;
                self.find(now_ms, format!("sale {sale}: the POS was handed its end {} times", booked.ends));
            }
            if booked.ends_differ && !shaken {
                self.violation(now_ms, format!("sale {sale}: the POS heard two different ends"));
            }
            if payment_lost.is_some() && booked.taken_minor.is_some() {
                self.verdict.duplicated += 1;
                self.find(now_ms, format!("sale {sale}: money was taken again after the POS had lost the payment"));
            }
            // The POS can't give back what its disk has lost: it told a person, who asks the till's books (L-098).
            let unrefunded = payment_lost.is_some() && booked.closed.is_some_and(|(end, _)| end != Outcome::Paid);
            if money.taken_minor.is_some() && booked.closed.is_none() {
                self.verdict.lost += 1;
                self.find(now_ms, format!("sale {sale}: money was taken and the till never closed it"));
            } else if !money.is_settled() && !unrefunded {
                self.violation(now_ms, format!("sale {sale}: the POS's books do not add up: {booked:?}"));
            }
            self.verdict.paid += u64::from(booked.receipts > 0);
        }
    }
}
