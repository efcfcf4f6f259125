//! The reference POS: what a vendor's till does at the other end of the link, as plain as it can be. It
//! stores before it acknowledges, books each sale once by its id, puts its own payment on disk before it
//! says so, and answers what became of a sale from its books. Read next: `ledger`, then `receipt`.

pub mod keys;
mod ledger;
mod picture;
mod prices;
mod receipt;
pub mod screen;
mod script;

pub use ledger::{Ledger, Offer, Refund};
pub use picture::Picture;
pub use prices::PriceList;
pub use receipt::Receipt;
pub use script::{Keys, Press, ScriptError};

use std::path::Path;

use till_link::{Attention, Cart, Outcome, Phase, Role, SaleId, Security, Sku, Tender, ToPos, ToTill};

use crate::counter::open_log;
use crate::outbox::{Limits, Log, LogError};
use crate::port::{Books, Incoming, Journalled, PortError, Wire};

/// The POS keeps its books: a day of sales is far below this.
const LIMITS: Limits = Limits { bytes_max: 1 << 30, segment_bytes: 4 << 20 };

/// Answers about prices replace each other: the counter asks for one part at a time.
const PRICES_KEY: u32 = 0;
const QUESTION_KEY: u32 = 1;
const MEMBER_KEY: u32 = 2;

/// Before a scripted key is pressed again that the disk did not take.
const RETRY_MS: u64 = 1_000;

/// What a screen shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PosEvent {
    /// The cart on the tray, not yet an offer.
    Cart(Cart),
    /// This can be paid.
    Offer(Offer),
    /// It can no longer.
    Withdrawn(SaleId),
    /// A sale was booked.
    Receipt(Receipt),
    /// A sale ended without a receipt; `refund` when money had been taken.
    Ended {
        /// Which.
        sale: SaleId,
        /// How.
        outcome: Outcome,
        /// The money to be given back.
        refund: Option<Refund>,
    },
    /// What an offer looks like.
    Picture(Picture),
    /// Something else that the counter said.
    Said(ToPos),
    /// The link came up.
    Up,
    /// The link went down.
    Down,
}

/// What one turn of the books brought, in its order.
enum Came {
    Message(ToPos),
    Event(PosEvent),
}

/// The reference POS. One thread turns it.
pub struct Pos {
    books: Books,
    ledger: Ledger,
    keys: Keys,
    offers: u32,
    /// What calls for a person, as far as the counter said.
    attention: Option<(Option<SaleId>, Attention)>,
    prices: Option<PriceList>,
    /// The session at hand, as far as the counter said.
    session: Option<SaleId>,
    /// The picture that is coming in, its parts in order.
    picture: Option<Picture>,
    /// Who the shopper seems to be, and whether they said yes.
    member: Option<(Sku, bool)>,
    /// A press that the script wants at a time, for an offer.
    due: Option<(u64, SaleId, Press)>,
}

impl Pos {
    /// Opens the POS's books in `folder` on the real disk.
    ///
    /// # Errors
    /// When the books can't be opened.
    pub fn open(folder: &Path, counter: u32, boot: u32, epoch: u32, keys: Keys, now_ms: u64) -> Result<Self, LogError> {
        let out = open_log(&folder.join("out"), LIMITS, epoch)?;
        let inbox = open_log(&folder.join("in"), LIMITS, epoch)?;
        Ok(Self::new(out, inbox, counter, boot, keys, now_ms))
    }

    /// A POS over two logs. What it knows is what they say.
    pub fn new(out: Log, inbox: Log, counter: u32, boot: u32, keys: Keys, now_ms: u64) -> Self {
        let mut ledger = Ledger::default();
        let mut offers = 0;
        for (_, record) in inbox.records() {
            if let Some(message) = Journalled::read(record).and_then(|entry| till_link::message::decode(entry.message))
            {
                // The script's numbers go on where they were: an offer keeps its key through any restart.
                offers += u32::from(matches!(message, ToPos::Offer { .. }));
                let _ = ledger.heard(message);
            }
        }
        for (_, record) in out.records() {
            if let Some(message) = till_link::message::decode(record) {
                ledger.said(&message);
            }
        }
        let mut books = Books::new(Role::Pos, counter, boot, out, inbox, now_ms);
        // The logs are the ledger: nothing of them is thrown away.
        books.keep(Some(1));
        let due = ledger.open_offer().map(|offer| (now_ms, offer.sale, keys.for_offer(offers).0));
        Self {
            books,
            ledger,
            keys,
            offers,
            attention: None,
            prices: None,
            session: None,
            picture: None,
            member: None,
            due,
        }
    }

    /// The same on a secured link; to be said before the first turn.
    pub fn secured(self, security: Security) -> Self {
        Self { books: self.books.secured(security), ..self }
    }

    /// Reads and writes the wire, books what came, presses what the script wants. Returns whether anything
    /// moved.
    ///
    /// # Errors
    /// When the wire is gone or the disk takes nothing.
    pub fn turn(
        &mut self,
        now_ms: u64,
        wire: &mut dyn Wire,
        sink: &mut dyn FnMut(PosEvent),
    ) -> Result<bool, PortError> {
        let mut came = Vec::new();
        let mut lost = 0;
        let turned = self.books.turn(now_ms, wire, &mut |incoming| match incoming {
            Incoming::Durable(bytes) | Incoming::Volatile(bytes) => match till_link::message::decode(bytes) {
                Some(message) => came.push(Came::Message(message)),
                None => log::warn!("pos: a message of {} bytes is not understood", bytes.len()),
            },
            Incoming::BooksLost { records } => lost = records,
            Incoming::Up { .. } => came.push(Came::Event(PosEvent::Up)),
            Incoming::Down => came.push(Came::Event(PosEvent::Down)),
            Incoming::Refused(reason) => log::error!("pos: the ends do not talk: {reason:?}"),
            Incoming::Acknowledged(_) => {}
        });
        // Before any error is looked at: what the inbox holds never comes again.
        for came in came {
            match came {
                Came::Message(message) => self.hear(now_ms, message, sink),
                Came::Event(event) => sink(event),
            }
        }
        if let Some(error) = self.books.take_storage_error() {
            return Err(error.into());
        }
        if lost > 0 {
            self.renew(now_ms, lost)?;
        }
        let mut moved = turned?;
        if !self.books.is_proven() {
            // What it said, and took, may be more than its log knows: it says and takes nothing yet.
            return Ok(moved);
        }
        // Also after a restart between question and answer. Without an outcome the sale is never paid from
        // now on: the answer is final.
        while let Some((sale, outcome)) = self.ledger.unanswered() {
            self.say(&ToTill::OutcomeIs { sale, outcome })?;
            moved = true;
        }
        if let Some((at_ms, sale, press)) = self.due
            && now_ms >= at_ms
        {
            self.due = None;
            match self.press(sale, press) {
                Ok(pressed) => moved |= pressed,
                Err(error) => {
                    self.due = Some((now_ms.saturating_add(RETRY_MS), sale, press));
                    return Err(error);
                }
            }
        }
        Ok(moved)
    }

    /// The disk has lost `records` that the counter has. The payment for the offer that stands may be among
    /// them: no more money is taken for it.
    fn renew(&mut self, now_ms: u64, records: u32) -> Result<(), PortError> {
        if let Some(sale) = self.ledger.open_offer().map(|offer| offer.sale) {
            self.say(&ToTill::OutcomeIs { sale, outcome: None })?;
        }
        self.books.renew(now_ms)?;
        log::error!(
            "pos: the disk has lost {records} records that the counter has; money that was taken may be missing from \
             these books. Compare them with the counter's, and check the disk"
        );
        Ok(())
    }

    fn hear(&mut self, now_ms: u64, message: ToPos, sink: &mut dyn FnMut(PosEvent)) {
        match &message {
            ToPos::QueryPrices { version, part } => {
                let answer = prices::answer(self.prices.as_ref(), *version, *part);
                self.books.send(PRICES_KEY, &answer);
                return;
            }
            ToPos::SessionOpened { sale } => {
                (self.session, self.member) = (Some(*sale), None);
                if self.keys.member().is_some() {
                    self.recognise();
                }
            }
            ToPos::CartChanged { sale, .. } | ToPos::Offer { sale, .. } if self.session != Some(*sale) => {
                (self.session, self.member) = (Some(*sale), None);
            }
            ToPos::Closed { .. } | ToPos::State { phase: Phase::Idle, .. } => {
                (self.session, self.member) = (None, None)
            }
            ToPos::Member { sale, member, .. } if self.session == Some(*sale) => {
                self.member = Some((member.clone(), false));
                if let Some(yes) = self.keys.member() {
                    self.it_is_me(yes);
                }
            }
            ToPos::Thumbnail { sale, revision, part, parts, jpeg } => {
                if let Some(whole) = Picture::gather(&mut self.picture, (*sale, *revision), (*part, *parts), jpeg) {
                    sink(PosEvent::Picture(whole));
                }
                return;
            }
            ToPos::Attention { sale, reason, on: true } => self.attention = Some((*sale, *reason)),
            ToPos::Attention { reason, on: false, .. } => {
                self.attention = self.attention.filter(|(_, standing)| standing != reason);
            }
            _ => {}
        }
        if let Some(event) = self.ledger.heard(message) {
            if let PosEvent::Offer(offer) = &event {
                self.offers = self.offers.saturating_add(1);
                let (press, delay_ms) = self.keys.for_offer(self.offers);
                self.due = Some((now_ms.saturating_add(delay_ms), offer.sale, press));
            }
            sink(event);
        }
    }

    /// A key for the offer of `sale`; `false` when there is nothing it could do.
    fn press(&mut self, sale: SaleId, press: Press) -> Result<bool, PortError> {
        let Some(offer) = self.ledger.open_offer().filter(|offer| offer.sale == sale) else { return Ok(false) };
        let message = match press {
            Press::Pay => ToTill::Paid {
                sale: offer.sale,
                revision: offer.revision,
                tender: if matches!(self.member, Some((_, true))) { Tender::Member } else { Tender::Card },
                amount_minor: offer.cart.total_minor,
            },
            Press::Cancel => ToTill::Cancel { sale: offer.sale },
            Press::Wait => return Ok(false),
        };
        self.say(&message)?;
        Ok(true)
    }

    fn say(&mut self, message: &ToTill) -> Result<(), PortError> {
        self.books.submit(message)?;
        self.ledger.said(message);
        Ok(())
    }

    /// The shopper's or cashier's key for the offer that stands; `false` when there is none.
    ///
    /// # Errors
    /// When the disk takes nothing: then nothing was paid.
    pub fn key(&mut self, press: Press) -> Result<bool, PortError> {
        match self.ledger.open_offer().map(|offer| offer.sale).filter(|_| self.books.is_proven()) {
            Some(sale) => self.press(sale, press),
            None => Ok(false),
        }
    }

    /// Somebody has seen what calls for a person, and comes; `false` when nothing does.
    ///
    /// # Errors
    /// When the disk takes nothing.
    pub fn acknowledge(&mut self) -> Result<bool, PortError> {
        let Some((sale, reason)) = self.attention else { return Ok(false) };
        self.say(&ToTill::Acknowledge { sale, reason })?;
        Ok(true)
    }

    /// The shopper asks to be recognised; `false` while there is no session. [`ToPos::Guide`] and [`ToPos::Member`] answer.
    pub fn recognise(&mut self) -> bool {
        self.member = None;
        self.ask_who(true)
    }

    /// The shopper says whether they are who the counter took them for; `false` if it named nobody. With a yes the
    /// member's account pays, with a no the counter forgets them.
    pub fn it_is_me(&mut self, yes: bool) -> bool {
        let Some((_, confirmed)) = &mut self.member else { return false };
        *confirmed = yes;
        if !yes {
            self.member = None;
            return self.ask_who(false);
        }
        true
    }

    /// Begins to enrol a new member who agreed to that version of the text, or stops; [`ToPos::Guide`] answers.
    pub fn enrol(&mut self, member: Sku, consent: Sku, on: bool) {
        self.books.send(MEMBER_KEY, &ToTill::Enrol { member, consent, on });
    }

    fn ask_who(&mut self, on: bool) -> bool {
        let Some(sale) = self.session else { return false };
        self.books.send(MEMBER_KEY, &ToTill::Recognise { sale, on });
        true
    }

    /// From now on gives the counter these prices, and tells it so.
    pub fn set_prices(&mut self, prices: PriceList) {
        let first = prices::answer(Some(&prices), 0, 0);
        self.prices = Some(prices);
        self.books.send(PRICES_KEY, &first);
    }

    /// Asks what the counter charges for a product; [`ToPos::Price`] answers.
    pub fn ask_price(&mut self, sku: Sku) {
        self.books.send(QUESTION_KEY, &ToTill::QueryPrice { sku });
    }

    /// The port was opened anew.
    pub fn reconnected(&mut self, now_ms: u64) {
        self.books.reconnected(now_ms, &mut |_| {});
    }

    /// What was booked and what is open.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The link and the logs.
    pub fn books(&self) -> &Books {
        &self.books
    }
}

#[cfg(test)]
mod tests;
