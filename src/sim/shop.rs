//! The POS's end, as small as the specification lets it be: its books are its only memory, and everything
//! it knows after a restart it reads from them.

use std::collections::BTreeMap;

use till_link::{Outcome, Role, SaleId, Tender, ToPos, ToTill};

use crate::outbox::fault::FaultDisk;
use crate::outbox::{Limits, Log, LogError, LogErrorKind};
use crate::port::{Books, Incoming, Journalled, PortErrorKind};
use crate::sim::counter::{COUNTER, brief};
use crate::sim::judge::Booked;
use crate::sim::line::End;
use crate::sim::port::Port;
use crate::sim::power::Node;
use crate::sim::shopper::Screen;
use crate::sim::world::{Around, SharedCable};

const LIMITS: Limits = Limits { bytes_max: 4 << 20, segment_bytes: 2 << 10 };

/// What the POS knows of one sale.
#[derive(Clone, Copy, Debug, Default)]
struct Sale {
    booked: Booked,
    /// The last offer, while it stands.
    offer: Option<(u16, i64)>,
    /// The POS promised that no money will be taken.
    void: bool,
    queries: u32,
    answers: u32,
}

impl Sale {
    fn payable(&self) -> Option<(u16, i64)> {
        let open = self.booked.taken_minor.is_none() && self.booked.closed.is_none() && !self.void;
        // While a question is open no money may be taken: the answer must stay true.
        self.offer.filter(|_| open && self.queries == self.answers)
    }
}

/// The POS while it has power.
pub struct Shop {
    books: Books,
    port: Port,
    port_lost: bool,
    sales: BTreeMap<SaleId, Sale>,
    /// The sale on the screen.
    shown: Option<SaleId>,
    incoming: Vec<ToPos>,
    broken: bool,
    books_ms: u64,
}

impl Node for Shop {
    fn start(around: &mut Around, cable: &SharedCable, disks: &[FaultDisk; 2], boot: u32) -> Result<Self, LogError> {
        let [out, inbox] = disks;
        let out = Log::open(out.fs(), LIMITS, boot)?;
        let inbox = Log::open(inbox.fs(), LIMITS, boot)?;
        let mut shop = Self {
            books: Books::new(Role::Pos, COUNTER, boot, out, inbox, around.now_ms),
            port: Port::new(cable, End::Pos),
            port_lost: false,
            sales: BTreeMap::new(),
            shown: None,
            incoming: Vec::new(),
            broken: false,
            books_ms: around.now_ms,
        };
        shop.books.keep(Some(1));
        let records: Vec<ToPos> = shop.books.inbox().records().filter_map(|(_, record)| {
            till_link::message::decode(Journalled::read(record)?.message)
        }).collect();
        for message in &records {
            shop.learn(message);
        }
        let said: Vec<ToTill> =
            shop.books.out().records().filter_map(|(_, record)| till_link::message::decode(record)).collect();
        for message in &said {
            shop.remember(message);
        }
        Ok(shop)
    }

    fn turn(&mut self, around: &mut Around) {
        let now_ms = around.now_ms;
        if self.port_lost && self.port.is_there() {
            self.port_lost = false;
            self.books.reconnected(now_ms, &mut |_| {});
        }
        if !self.port_lost {
            let incoming = &mut self.incoming;
            let moved = self.books.turn(now_ms, &mut self.port, &mut |came| match came {
                Incoming::Durable(bytes) | Incoming::Volatile(bytes) => incoming.extend(till_link::message::decode::<ToPos>(bytes)),
                Incoming::Up { lost } if lost > 0 => {
                    around.judge.violation(now_ms, format!("{lost} messages of the till are gone"));
                }
                _ => {}
            });
            self.port_lost = moved.is_err();
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        for message in incoming.drain(..) {
            if message.durable() {
                around.tell(|| format!("pos: has {}", brief(&message)));
                self.learn(&message);
            }
        }
        self.incoming = incoming;
        self.answer(around);
        if self.books.take_storage_error().is_some_and(|error| error.kind == LogErrorKind::Poisoned) {
            self.broken = true;
        }
        let wait_ms = self.books.idle_for(now_ms).as_millis() as u64;
        self.books_ms = now_ms.saturating_add(if self.port_lost { 200 } else { wait_ms.max(5) });
    }

    fn next_ms(&self) -> u64 {
        self.books_ms
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

impl Shop {
    /// What a message of the till means, be it new or from the journal.
    fn learn(&mut self, message: &ToPos) {
        match message {
            ToPos::Offer { sale, revision, cart } => {
                self.sales.entry(*sale).or_default().offer = Some((*revision, cart.total_minor));
                self.shown = Some(*sale);
            }
            ToPos::Withdrawn { sale, .. } => self.sales.entry(*sale).or_default().offer = None,
            ToPos::Closed { sale, outcome, cart, .. } => {
                let booked = &mut self.sales.entry(*sale).or_default().booked;
                if booked.closed.is_none() {
                    booked.closed = Some((*outcome, cart.total_minor));
                    booked.receipts += u32::from(*outcome == Outcome::Paid);
                }
            }
            ToPos::QueryOutcome { sale, .. } => self.sales.entry(*sale).or_default().queries += 1,
            _ => {}
        }
    }

    /// What a message of ours means, be it new or from the outbox.
    fn remember(&mut self, message: &ToTill) {
        match message {
            ToTill::Paid { sale, amount_minor, .. } => {
                self.sales.entry(*sale).or_default().booked.taken_minor = Some(*amount_minor);
            }
            ToTill::OutcomeIs { sale, outcome } => {
                let sale = self.sales.entry(*sale).or_default();
                sale.answers += 1;
                sale.void |= outcome.is_none();
            }
            ToTill::Cancel { sale } => self.sales.entry(*sale).or_default().void = true,
            _ => {}
        }
    }

    /// Into the outbox first; only what is there has happened.
    fn say(&mut self, around: &mut Around, message: &ToTill) {
        match self.books.submit(message) {
            Ok(_) => {
                around.tell(|| format!("pos: {message:?}"));
                self.remember(message);
                self.books_ms = around.now_ms;
            }
            Err(error) => {
                around.tell(|| format!("pos: {error}"));
                self.broken |= error.kind == PortErrorKind::Storage(LogErrorKind::Poisoned);
                self.books_ms = self.books_ms.min(around.now_ms + 500);
            }
        }
    }

    fn answer(&mut self, around: &mut Around) {
        let due = self.sales.iter().rev().take(4).find(|(_, sale)| sale.answers < sale.queries);
        let Some((&sale, known)) = due else { return };
        let outcome = match (known.booked.taken_minor, known.booked.closed) {
            (_, Some((outcome, _))) => Some(outcome),
            (Some(_), None) => Some(Outcome::Paid),
            (None, None) => None,
        };
        self.say(around, &ToTill::OutcomeIs { sale, outcome });
    }

    fn shown(&self) -> Option<(SaleId, Sale)> {
        let sale = self.shown?;
        Some((sale, *self.sales.get(&sale)?))
    }

    /// What the shopper sees.
    pub fn screen(&self) -> Screen {
        let Some((_, sale)) = self.shown() else { return Screen::default() };
        Screen { payable: sale.payable().is_some(), paid: sale.booked.taken_minor.is_some() }
    }

    /// The shopper presses pay.
    pub fn pay(&mut self, around: &mut Around) {
        if let Some((sale, known)) = self.shown()
            && let Some((revision, amount_minor)) = known.payable()
        {
            self.say(around, &ToTill::Paid { sale, revision, tender: Tender::Card, amount_minor });
        }
    }

    /// The shopper presses cancel.
    pub fn cancel(&mut self, around: &mut Around) {
        if let Some((sale, known)) = self.shown()
            && known.payable().is_some()
        {
            self.say(around, &ToTill::Cancel { sale });
        }
    }

    /// The POS's books.
    pub fn booked(&self) -> BTreeMap<SaleId, Booked> {
        self.sales.iter().map(|(&sale, known)| (sale, known.booked)).collect()
    }
}
