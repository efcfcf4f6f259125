//! The POS's end: the real [`Pos`], with a shopper in front of it.

use std::collections::BTreeMap;

use till_link::{SaleId, ToPos};

use crate::outbox::fault::FaultDisk;
use crate::outbox::{Limits, Log, LogError, LogErrorKind};
use crate::port::{Books, Journalled, PortError, PortErrorKind};
use crate::pos::{Keys, Pos, PosEvent, Press};
use crate::sim::judge::{Booked, Judge};
use crate::sim::line::End;
use crate::sim::plant::Plant;
use crate::sim::port::Port;
use crate::sim::power::Node;
use crate::sim::shopper::{Deed, Screen};
use crate::sim::till::{COUNTER, EPOCH, brief};
use crate::sim::world::{Around, SharedCable};

const LIMITS: Limits = Limits { bytes_max: 4 << 20, segment_bytes: 2 << 10 };
/// How often the POS looks at a disk or port that failed.
const RETRY_MS: u64 = 200;

/// The POS while it has power.
pub struct Shop {
    pos: Pos,
    port: Port,
    port_lost: bool,
    broken: bool,
    /// The money for what was offered last was taken.
    paid: bool,
    turn_ms: u64,
}

impl Node for Shop {
    fn start(around: &mut Around, cable: &SharedCable, disks: &[FaultDisk; 2], boot: u32) -> Result<Self, LogError> {
        let now_ms = around.now_ms;
        let [out, inbox] = disks;
        let out = Log::open(out.fs(), LIMITS, EPOCH)?;
        let inbox = Log::open(inbox.fs(), LIMITS, EPOCH)?;
        let pos = Pos::new(out, inbox, COUNTER, boot, Keys::default(), now_ms);
        Ok(Self {
            pos: match around.security() {
                Some(security) => pos.secured(security),
                None => pos,
            },
            port: Port::new(cable, End::Pos),
            port_lost: false,
            broken: false,
            paid: false,
            turn_ms: now_ms,
        })
    }

    fn turn(&mut self, around: &mut Around) {
        let now_ms = around.now_ms;
        if self.port_lost && self.port.is_there() {
            self.port_lost = false;
            self.pos.reconnected(now_ms);
        }
        if self.port_lost {
            self.turn_ms = now_ms + RETRY_MS;
            return;
        }
        let paid = &mut self.paid;
        let turned = self.pos.turn(now_ms, &mut self.port, &mut |event| {
            around.tell(|| told(&event));
            *paid = match event {
                PosEvent::Offer(_) => false,
                PosEvent::Receipt(_) => true,
                _ => *paid,
            };
        });
        let link_ms = (self.pos.books().idle_for(now_ms).as_millis() as u64).max(5);
        self.turn_ms = now_ms.saturating_add(link_ms.min(1_000));
        if let Err(error) = turned {
            self.port_lost |= error.kind == PortErrorKind::Lost;
            self.turn_ms = now_ms + RETRY_MS;
            self.fails(around, &error);
        }
    }

    fn next_ms(&self) -> u64 {
        self.turn_ms
    }

    fn books(&self) -> &Books {
        self.pos.books()
    }

    fn lost(judge: &mut Judge, _epoch: u32, records: &[Vec<u8>]) {
        for message in records.iter().filter_map(|record| till_link::message::decode(record)) {
            judge.pos_lost(&message);
        }
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

impl Shop {
    fn fails(&mut self, around: &mut Around, error: &PortError) {
        around.tell(|| format!("pos: {error}"));
        self.broken |= error.kind == PortErrorKind::Storage(LogErrorKind::Poisoned);
    }

    /// What the shopper sees.
    pub fn screen(&self) -> Screen {
        Screen { payable: self.pos.ledger().open_offer().is_some(), paid: self.paid }
    }

    /// The shopper presses a key.
    pub fn press(&mut self, around: &mut Around, deed: Deed) {
        let offer = self.pos.ledger().open_offer().map(|offer| (offer.sale, offer.cart.total_minor));
        let press = if deed == Deed::Pay { Press::Pay } else { Press::Cancel };
        if let (Deed::Pay, Some(Plant::MoneyBeforeJournal), Some((sale, total_minor))) = (deed, around.plant, offer) {
            around.judge.money_taken(sale, total_minor);
        }
        match self.pos.key(press) {
            Ok(done) => {
                self.paid |= done && deed == Deed::Pay;
                around.tell(|| format!("pos: {press:?} {done}"));
            }
            Err(error) => self.fails(around, &error),
        }
        self.turn_ms = around.now_ms;
    }

    /// The POS's books, as its two logs and its ledger have them.
    pub fn booked(&self) -> BTreeMap<SaleId, Booked> {
        let mut sales: BTreeMap<SaleId, Booked> = BTreeMap::new();
        let messages = self
            .pos
            .books()
            .inbox()
            .records()
            .filter_map(|(_, record)| till_link::message::decode::<ToPos>(Journalled::read(record)?.message));
        for message in messages {
            if let ToPos::Closed { sale, outcome, cart, .. } = message {
                let booked = sales.entry(sale).or_default();
                // The first end stands.
                let first = *booked.closed.get_or_insert((outcome, cart.total_minor));
                booked.ends_differ |= first != (outcome, cart.total_minor);
                booked.ends += 1;
            }
        }
        let ledger = self.pos.ledger();
        for receipt in ledger.receipts() {
            sales.entry(receipt.sale).or_default().receipts += 1;
        }
        for refund in ledger.refunds() {
            let booked = sales.entry(refund.sale).or_default();
            booked.refunded_minor += refund.amount_minor;
        }
        for (_, record) in self.pos.books().out().records() {
            if let Some(till_link::ToTill::Paid { sale, amount_minor, .. }) = till_link::message::decode(record) {
                let booked = sales.entry(sale).or_default();
                booked.contradicted |= booked.taken_minor.is_some();
                booked.taken_minor = Some(amount_minor);
            }
        }
        sales
    }
}

/// An event in a few words.
fn told(event: &PosEvent) -> String {
    match event {
        PosEvent::Cart(cart) => format!("pos: shows {} lines, {}", cart.lines.len(), cart.total_minor),
        PosEvent::Offer(offer) => format!("pos: shows offer {} of {}", offer.revision, offer.sale),
        PosEvent::Receipt(receipt) => format!("pos: books {}: {}", receipt.sale, receipt.cart.total_minor),
        PosEvent::Said(message) => format!("pos: hears {}", brief(message)),
        other => format!("pos: {other:?}"),
    }
}
