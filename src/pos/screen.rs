//! What the terminal shows of a sale: a model fed with [`PosEvent`]s and drawn as lines of text. Pure; the
//! terminal itself is in `view`. It decides nothing: a sale is paid when the ledger says so, not when the
//! screen does. Text that came over the wire never reaches the terminal with a control character in it.

pub mod view;
pub mod words;

use till_link::{Attention, Cart, Currency, Hint, Phase, Rung, SaleId, ToPos};

use crate::pos::receipt::{amount, fit, width};
use crate::pos::{Ledger, Offer, PosEvent, Press, Refund};
use words::Words;

/// Fewest columns that a frame is drawn for.
const COLUMNS_MIN: usize = 40;
/// Most columns: a longer line is hard to read across.
const COLUMNS_MAX: usize = 64;
/// Lines of a frame besides the cart's.
const ROWS_OTHER: usize = 11;

/// Where the last sale on the screen came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing to pay yet.
    #[default]
    Open,
    /// Can be paid.
    Offered,
    /// Our key was pressed and is in our log.
    Pressed(Press),
    /// Booked.
    Booked(SaleId),
    /// Over without a receipt.
    Ended(till_link::Outcome),
    /// Over, and money has to be given back.
    Refund(Refund),
}

/// The model.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    up: bool,
    phase: Option<Phase>,
    staff: bool,
    cart: Option<Cart>,
    stage: Stage,
    member: Option<till_link::Sku>,
    /// The shopper said that it is them.
    confirmed: bool,
    /// What the face camera asks for, or how it ended.
    hint: Option<Hint>,
    attention: Option<Attention>,
    /// Somebody has seen it and comes: it no longer calls.
    acknowledged: bool,
    receipts: u32,
}

impl Screen {
    /// A screen that begins with what the books say: after a restart an open offer stands there again.
    pub fn new(ledger: &Ledger) -> Self {
        let receipts = u32::try_from(ledger.receipts().count()).unwrap_or(u32::MAX);
        let mut screen = Self { receipts, ..Self::default() };
        if let Some(offer) = ledger.open_offer() {
            screen.offered(offer);
        }
        screen
    }

    fn offered(&mut self, offer: &Offer) {
        self.cart = Some(offer.cart.clone());
        self.stage = Stage::Offered;
    }

    fn fresh(&mut self) {
        self.cart = None;
        self.member = None;
        self.confirmed = false;
        self.hint = None;
        self.attention = None;
        self.acknowledged = false;
        self.stage = Stage::Open;
    }

    /// Takes in what happened.
    pub fn heard(&mut self, event: &PosEvent) {
        match event {
            PosEvent::Up => self.up = true,
            PosEvent::Down => self.up = false,
            // A terminal shows no pictures.
            PosEvent::Picture(_) => {}
            PosEvent::Cart(cart) => {
                if matches!(self.stage, Stage::Booked(_) | Stage::Ended(_) | Stage::Refund(_)) {
                    // The tray is being emptied: what was sold stays on the screen until the next session.
                    return;
                }
                self.cart = Some(cart.clone());
            }
            PosEvent::Offer(offer) => self.offered(offer),
            PosEvent::Withdrawn(_) => self.stage = Stage::Open,
            PosEvent::Receipt(receipt) => {
                self.cart = Some(receipt.cart.clone());
                self.stage = Stage::Booked(receipt.sale);
                self.attention = None;
                self.receipts = self.receipts.saturating_add(1);
            }
            PosEvent::Ended { outcome, refund, .. } => {
                self.stage = refund.map_or(Stage::Ended(*outcome), Stage::Refund);
                self.attention = None;
            }
            PosEvent::Said(message) => self.said(message),
        }
    }

    fn said(&mut self, message: &ToPos) {
        match message {
            ToPos::SessionOpened { .. } => self.fresh(),
            ToPos::Member { member, .. } => {
                (self.member, self.confirmed, self.hint) = (Some(member.clone()), false, None)
            }
            ToPos::Guide { hint, .. } => self.hint = Some(*hint),
            ToPos::Attention { reason, on: true, .. } => {
                self.acknowledged &= self.attention == Some(*reason);
                self.attention = Some(*reason);
            }
            ToPos::Attention { reason, on: false, .. } => {
                self.attention = self.attention.filter(|standing| standing != reason);
            }
            ToPos::State { phase, rung, .. } => {
                self.phase = Some(*phase);
                self.staff = *rung == Rung::StaffMode;
                // Volatile messages may be lost with the link: what the state contradicts is over.
                if *phase != Phase::Attention {
                    self.attention = None;
                }
                let over = matches!(self.stage, Stage::Booked(_) | Stage::Ended(_) | Stage::Refund(_));
                if *phase == Phase::Idle || over && matches!(phase, Phase::Present | Phase::Scanning) {
                    self.fresh();
                }
            }
            ToPos::CartChanged { cart, .. } => self.heard(&PosEvent::Cart(cart.clone())),
            _ => {}
        }
    }

    /// A key was pressed and is in the POS's log.
    pub fn pressed(&mut self, press: Press) {
        if press != Press::Wait {
            self.stage = Stage::Pressed(press);
        }
    }

    /// The attention was acknowledged, and that is in the POS's log.
    pub fn acknowledged(&mut self) {
        self.acknowledged = true;
    }

    /// The shopper asked to be recognised.
    pub fn recognise(&mut self) {
        (self.member, self.confirmed, self.hint) = (None, false, None);
    }

    /// The shopper answered whether it is them.
    pub fn it_is_me(&mut self, yes: bool) {
        if yes { self.confirmed = true } else { self.recognise() }
    }

    /// The line that a shopper reads first.
    fn headline(&self) -> Words {
        match self.stage {
            Stage::Booked(_) => return words::phase(Phase::Paid),
            Stage::Ended(outcome) => return words::ended(outcome),
            Stage::Refund(_) => return words::REFUND,
            Stage::Pressed(Press::Cancel) => return words::CANCELLING,
            Stage::Pressed(_) => return words::PAYING,
            Stage::Open | Stage::Offered => {}
        }
        if let Some(reason) = self.attention {
            return words::attention(reason);
        }
        match (self.stage, self.up) {
            (Stage::Offered, _) => words::phase(Phase::Offered),
            (_, false) => words::OFFLINE,
            (_, true) if self.staff => words::attention(Attention::EngineFailed),
            // An offer that does not stand in our books is not to be paid, whatever the state says.
            (_, true) => match self.phase {
                Some(Phase::Offered) => words::phase(Phase::Settled),
                phase => words::phase(phase.unwrap_or(Phase::Idle)),
            },
        }
    }

    /// The frame as lines, none wider than `columns` and no more than `rows`; at least 40 columns and as
    /// many rows as a cart of one line needs.
    pub fn frame(&self, columns: usize, rows: usize) -> Vec<String> {
        let columns = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
        let rule = "-".repeat(columns);
        let mut frame = Vec::with_capacity(ROWS_OTHER + 8);
        let link = if self.up { "online 연결됨" } else { "offline 끊김" };
        frame.push(apart("till POS", link, columns));
        frame.push(rule.clone());
        self.cart_lines(&mut frame, columns, rows.saturating_sub(ROWS_OTHER).max(1));
        frame.push(rule.clone());
        if let Some(cart) = &self.cart {
            let count: u32 = cart.lines.iter().map(|line| u32::from(line.quantity)).sum();
            let total = format!("TOTAL 합계 {} {}", code(cart.currency), amount(cart.total_minor, cart.currency));
            frame.push(apart(&format!("{count} items 개"), &total, columns));
        } else {
            frame.push(String::new());
        }
        frame.push(cut(&self.member_line(), columns));
        frame.push(String::new());
        let (korean, english) = self.headline();
        let calls = self.attention.is_some() && matches!(self.stage, Stage::Open | Stage::Offered);
        let mark = if calls && !self.acknowledged { "! " } else { "  " };
        frame.push(cut(&format!("{mark}{korean}"), columns));
        let more = match self.stage {
            Stage::Booked(sale) => format!(" (sale {sale})"),
            Stage::Refund(refund) => {
                let currency = self.cart.as_ref().map_or(Currency(*b"KRW"), |cart| cart.currency);
                format!(": {} (sale {})", amount(refund.amount_minor, currency), refund.sale)
            }
            _ => String::new(),
        };
        frame.push(cut(&format!("{mark}{english}{more}"), columns));
        frame.push(String::new());
        let keys = match self.stage {
            Stage::Offered => "p pay 결제   c cancel 취소   q quit",
            _ if calls && !self.acknowledged => "a acknowledge 확인   q quit",
            _ => "q quit",
        };
        frame.push(apart(keys, &format!("{} sold", self.receipts), columns));
        frame
    }

    fn member_line(&self) -> String {
        match (&self.member, self.hint) {
            (Some(member), _) if self.confirmed => format!("Member 회원: {}", clean(member)),
            (Some(member), _) => format!("Member 회원: {}?  y yes 네  n no 아니요", clean(member)),
            (None, Some(hint)) => {
                let (korean, english) = words::hint(hint);
                format!("{korean} {english}")
            }
            (None, None) => String::new(),
        }
    }

    fn cart_lines(&self, frame: &mut Vec<String>, columns: usize, rows: usize) {
        let Some(cart) = &self.cart else {
            frame.push(String::new());
            return;
        };
        // When the window is too low for all of it, the newest lines stay and the rest is counted.
        let hidden = if cart.lines.len() > rows { cart.lines.len() - rows.saturating_sub(1) } else { 0 };
        if hidden > 0 {
            frame.push(cut(&format!("  ... {hidden} more lines"), columns));
        }
        for line in cart.lines.iter().skip(hidden) {
            let sum = line.unit_minor.saturating_mul(i64::from(line.quantity));
            let (unit, sum) = (amount(line.unit_minor, cart.currency), amount(sum, cart.currency));
            let price = format!("{:>2} x {unit:>7} {sum:>9}", line.quantity);
            frame.push(apart(&clean(&line.name), &price, columns));
        }
        if cart.lines.is_empty() {
            frame.push(String::new());
        }
    }
}

/// An event as one line of plain text (a receipt as its own lines), for an output that is no terminal.
pub fn plain(event: &PosEvent) -> Option<String> {
    let total = |cart: &Cart| {
        let count: u32 = cart.lines.iter().map(|line| u32::from(line.quantity)).sum();
        format!("{count} items, {} {}", code(cart.currency), amount(cart.total_minor, cart.currency))
    };
    match event {
        PosEvent::Cart(cart) => Some(format!("tray: {}", total(cart))),
        PosEvent::Offer(offer) => Some(format!("offer {} no. {}: {}", offer.sale, offer.revision, total(&offer.cart))),
        PosEvent::Withdrawn(sale) => Some(format!("offer {sale}: withdrawn")),
        PosEvent::Receipt(receipt) => Some(clean_lines(&receipt.to_string())),
        PosEvent::Ended { sale, outcome, refund: None } => Some(format!("sale {sale}: {}", words::ended(*outcome).1)),
        PosEvent::Ended { sale, refund: Some(refund), .. } => {
            Some(format!("sale {sale}: {}: {} minor units", words::REFUND.1, refund.amount_minor))
        }
        PosEvent::Said(ToPos::Attention { reason, on: true, .. }) => {
            Some(format!("attention: {}", words::attention(*reason).1))
        }
        PosEvent::Said(ToPos::Attention { on: false, .. }) => Some("attention: cleared".to_owned()),
        PosEvent::Said(ToPos::State { phase, .. }) => Some(format!("state: {}", words::phase(*phase).1)),
        PosEvent::Said(ToPos::Member { member, .. }) => Some(format!("member: {}?", clean(member))),
        PosEvent::Said(ToPos::Guide { hint, .. }) => Some(format!("face: {}", words::hint(*hint).1)),
        PosEvent::Said(ToPos::Price { sku, unit_minor, currency, .. }) => Some(match unit_minor {
            Some(unit) => format!("price: {} {} {}", clean(sku), code(*currency), amount(*unit, *currency)),
            None => format!("price: {} is not sold", clean(sku)),
        }),
        PosEvent::Said(ToPos::QueryOutcome { sale, .. }) => {
            Some(format!("sale {sale}: the counter asks what became of it"))
        }
        PosEvent::Said(_) => None,
        PosEvent::Up => Some("link: up".to_owned()),
        PosEvent::Down => Some("link: down".to_owned()),
        PosEvent::Picture(picture) => {
            let (sale, revision) = picture.of;
            Some(format!("picture of offer {sale} no. {revision}: {} bytes", picture.jpeg.len()))
        }
    }
}

/// `text` without control characters: a name must not move the cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

/// The currency's code, for people.
fn code(currency: Currency) -> String {
    clean(currency.code())
}

fn cut(text: &str, columns: usize) -> String {
    fit(text, columns).trim_end().to_owned()
}

/// `left` and `right` at the two edges; the left one gives way.
fn apart(left: &str, right: &str, columns: usize) -> String {
    let right = cut(right, columns);
    let room = columns.saturating_sub(width(&right)).saturating_sub(1);
    cut(&format!("{} {right}", fit(left, room)), columns)
}

#[cfg(test)]
mod tests;
