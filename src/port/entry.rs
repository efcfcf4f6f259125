//! A record of the books as people and spreadsheets read it: which log it stands in, what it says of which
//! sale. Records that this version does not understand keep their bytes.

use serde::Serialize;
use till_link::{Cart, Outcome, SaleId, Tender, ToPos, ToTill};

use crate::port::Journalled;

/// The four logs of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Book {
    /// What the counter sends.
    TillOutbox,
    /// What the counter received.
    TillInbox,
    /// What the POS sends.
    PosOutbox,
    /// What the POS received.
    PosInbox,
}

impl Book {
    /// Its folder below the state folder of its end.
    pub fn folder(self) -> &'static str {
        match self {
            Self::TillOutbox => "outbox",
            Self::TillInbox => "inbox",
            Self::PosOutbox => "out",
            Self::PosInbox => "in",
        }
    }

    /// Whether records of the other end's log stand in it.
    pub fn is_inbox(self) -> bool {
        matches!(self, Self::TillInbox | Self::PosInbox)
    }
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// `outbox` or `inbox`.
    pub log: &'static str,
    /// Of the sender's log.
    pub epoch: u32,
    /// In the sender's log.
    pub sequence: u32,
    /// `offer`, `withdrawn`, `closed`, `query`, `paid`, `cancel`, `outcome`, `override`; `skipped` where a
    /// repair put an empty record, `unknown` for what is not understood.
    pub kind: &'static str,
    /// Which sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<String>,
    /// Which of its offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u16>,
    /// How it ended, how it was paid, or what was overridden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_minor: Option<i64>,
    /// ISO 4217, where the record says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The goods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cart: Option<Cart>,
    /// The bytes of what is not understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

impl Entry {
    /// Reads `payload`, record `sequence` of `epoch` of `book`.
    pub fn read(book: Book, epoch: u32, sequence: u32, payload: &[u8]) -> Self {
        let log = if book.is_inbox() { "inbox" } else { "outbox" };
        let mut entry = Self { log, epoch, sequence, ..Self::default() };
        let mut message = payload;
        if book.is_inbox()
            && let Some(journalled) = Journalled::read(payload)
        {
            (entry.epoch, entry.sequence, message) = (journalled.epoch, journalled.sequence, journalled.message);
        }
        let understood = match book {
            Book::TillOutbox | Book::PosInbox => {
                till_link::message::decode(message).map(|said| entry.said_to_pos(said))
            }
            Book::TillInbox | Book::PosOutbox => {
                till_link::message::decode(message).map(|said| entry.said_to_till(said))
            }
        };
        if understood.is_none() {
            entry.kind = if payload.is_empty() { "skipped" } else { "unknown" };
            entry.hex = (!payload.is_empty()).then(|| payload.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        entry
    }

    fn of(&mut self, kind: &'static str, sale: SaleId) {
        self.kind = kind;
        self.sale = Some(sale.to_string());
    }

    fn goods(&mut self, revision: u16, cart: Cart) {
        self.revision = Some(revision);
        self.total_minor = Some(cart.total_minor);
        self.currency = Some(cart.currency.code().to_owned());
        self.cart = Some(cart);
    }

    fn said_to_pos(&mut self, message: ToPos) {
        match message {
            ToPos::Offer { sale, revision, cart } => {
                self.of("offer", sale);
                self.goods(revision, cart);
            }
            ToPos::Withdrawn { sale, revision } => {
                self.of("withdrawn", sale);
                self.revision = Some(revision);
            }
            ToPos::Closed { sale, revision, outcome, cart } => {
                self.of("closed", sale);
                self.detail = Some(ended(outcome).to_owned());
                self.goods(revision, cart);
            }
            ToPos::QueryOutcome { sale, revision } => {
                self.of("query", sale);
                self.revision = Some(revision);
            }
            // Volatile messages stand in no log.
            ToPos::SessionOpened { .. }
            | ToPos::CartChanged { .. }
            | ToPos::Attention { .. }
            | ToPos::Member { .. }
            | ToPos::State { .. }
            | ToPos::Clock { .. }
            | ToPos::QueryPrices { .. }
            | ToPos::Price { .. }
            | ToPos::Thumbnail { .. }
            | ToPos::Guide { .. } => self.kind = "volatile",
        }
    }

    fn said_to_till(&mut self, message: ToTill) {
        match message {
            ToTill::Paid { sale, revision, tender, amount_minor } => {
                self.of("paid", sale);
                self.revision = Some(revision);
                self.total_minor = Some(amount_minor);
                let tender = match tender {
                    Tender::Cash => "cash",
                    Tender::Card => "card",
                    Tender::Member => "member",
                    Tender::Other => "other",
                };
                self.detail = Some(tender.to_owned());
            }
            ToTill::Cancel { sale } => self.of("cancel", sale),
            ToTill::OutcomeIs { sale, outcome } => {
                self.of("outcome", sale);
                self.detail = Some(outcome.map_or("none", ended).to_owned());
            }
            ToTill::Override { sale, reason } => {
                self.of("override", sale);
                self.detail = Some(format!("{reason:?}"));
            }
            ToTill::Acknowledge { sale, reason } => {
                self.kind = "acknowledge";
                self.sale = sale.map(|sale| sale.to_string());
                self.detail = Some(format!("{reason:?}"));
            }
            ToTill::Language { .. }
            | ToTill::QueryPrice { .. }
            | ToTill::Prices { .. }
            | ToTill::Recognise { .. }
            | ToTill::Enrol { .. } => self.kind = "volatile",
        }
    }

    /// Whether it tells of money: how a sale ended, or that it was paid.
    pub fn is_money(&self) -> bool {
        matches!(self.kind, "closed" | "paid" | "skipped" | "unknown")
    }
}

fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Paid => "paid",
        Outcome::Cancelled => "cancelled",
        Outcome::Abandoned => "abandoned",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_what_it_is_and_an_unknown_one_keeps_its_bytes() {
        let sale = SaleId { counter: 1, epoch: 7, session: 3 };
        let paid = ToTill::Paid { sale, revision: 2, tender: Tender::Card, amount_minor: 900 };
        let mut buffer = [0; 64];
        let bytes = till_link::message::encode(&paid, &mut buffer).unwrap();
        let mut record = [5u32.to_le_bytes(), 6u32.to_le_bytes()].concat();
        record.extend_from_slice(bytes);
        let entry = Entry::read(Book::TillInbox, 1, 1, &record);
        assert_eq!((entry.kind, entry.epoch, entry.sequence), ("paid", 5, 6), "the number is the sender's");
        assert_eq!((entry.sale.as_deref(), entry.total_minor), (Some("1-00000007-3"), Some(900)));
        assert_eq!(Entry::read(Book::PosOutbox, 1, 1, bytes).detail.as_deref(), Some("card"));
        assert_eq!(Entry::read(Book::TillOutbox, 1, 1, &[]).kind, "skipped");
        let unknown = Entry::read(Book::TillOutbox, 1, 1, &[0xff, 0x01]);
        assert_eq!((unknown.kind, unknown.hex.as_deref()), ("unknown", Some("ff01")));
    }

    proptest::proptest! {
        #[test]
        fn any_record_is_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            for book in [Book::TillOutbox, Book::TillInbox, Book::PosOutbox, Book::PosInbox] {
                let _ = Entry::read(book, 1, 1, &bytes);
            }
        }
    }
}
