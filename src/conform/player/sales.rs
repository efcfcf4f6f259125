//! What the player sells, and what it was told of a sale.

use till_link::{Cart, Currency, Evidence, Line, Outcome, SaleId, ToPos, ToTill};

use crate::conform::player::Player;

impl Player<'_> {
    /// A sale that was never used.
    pub fn sale(&mut self) -> SaleId {
        self.session += 1;
        SaleId { counter: self.counter, epoch: self.epoch, session: self.session }
    }

    /// The payments for `sale`, as revision and amount.
    pub fn payments(&self, sale: SaleId) -> Vec<(u16, i64)> {
        let paid = self.said.iter().filter_map(|said| match said {
            ToTill::Paid { sale: of, revision, amount_minor, .. } if *of == sale => Some((*revision, *amount_minor)),
            _ => None,
        });
        paid.collect()
    }

    /// The answers to questions after `sale`.
    pub fn answers(&self, sale: SaleId) -> Vec<Option<Outcome>> {
        let answers = self.said.iter().filter_map(|said| match said {
            ToTill::OutcomeIs { sale: of, outcome } if *of == sale => Some(*outcome),
            _ => None,
        });
        answers.collect()
    }
}

/// The bytes of a message.
pub fn encoded(message: &ToPos) -> Vec<u8> {
    let mut buffer = [0; till_link::PAYLOAD_BYTES_MAX];
    till_link::message::encode(message, &mut buffer).unwrap_or_default().to_vec()
}

/// A cart of one line; `total` need not be right.
pub fn cart(unit_minor: i64, total_minor: i64) -> Cart {
    let mut lines = heapless::Vec::new();
    let line = Line {
        sku: heapless::String::try_from("TEST-1").unwrap_or_default(),
        name: heapless::String::try_from("Conformance test").unwrap_or_default(),
        unit_minor,
        quantity: 1,
        evidence: Evidence { votes: 9, frames: 9, score_permille: 990, mass_agrees: true },
    };
    let _ = lines.push(line);
    Cart { lines, total_minor, currency: Currency(*b"KRW"), catalogue_version: 1, mass_g: 100 }
}

/// An offer that adds up.
pub fn offer(sale: SaleId, revision: u16, total_minor: i64) -> ToPos {
    ToPos::Offer { sale, revision, cart: cart(total_minor, total_minor) }
}

/// The end of a sale.
pub fn closed(sale: SaleId, revision: u16, outcome: Outcome, total_minor: i64) -> ToPos {
    ToPos::Closed { sale, revision, outcome, cart: cart(total_minor, total_minor) }
}
