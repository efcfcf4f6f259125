//! What the books say after a restart of the counter: an offer without an end, and what the POS said of it.

use till_link::{Cart, Outcome, SaleId, ToPos, ToTill};

use crate::checkout::OpenSale;
use crate::outbox::Log;
use crate::port::Journalled;

/// The sale that was open when the counter went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Its last offer.
    pub open: OpenSale,
    /// The record of its first offer.
    pub first_record: u32,
    /// What the POS said of it; may have had its effect or not.
    pub commands: Vec<ToTill>,
}

/// Reads the counter's outbox and inbox. Records that are not messages (of a later version) are passed over.
pub fn recover(out: &Log, inbox: &Log) -> Option<Recovered> {
    let mut recovered: Option<Recovered> = None;
    for (number, record) in out.records() {
        match till_link::message::decode(record) {
            Some(ToPos::Offer { sale, revision, cart }) => {
                let first_record = match &recovered {
                    Some(earlier) if earlier.open.sale == sale => earlier.first_record,
                    _ => number,
                };
                recovered =
                    Some(Recovered { open: OpenSale { sale, revision, cart }, first_record, commands: Vec::new() });
            }
            Some(ToPos::Closed { sale, .. }) if recovered.as_ref().is_some_and(|open| open.open.sale == sale) => {
                recovered = None
            }
            _ => {}
        }
    }
    let recovered = recovered.as_mut()?;
    for (_, record) in inbox.records() {
        let Some(command) =
            Journalled::read(record).and_then(|entry| till_link::message::decode::<ToTill>(entry.message))
        else {
            continue;
        };
        let sale = match &command {
            ToTill::Paid { sale, .. }
            | ToTill::Cancel { sale }
            | ToTill::OutcomeIs { sale, .. }
            | ToTill::Override { sale, .. } => *sale,
            ToTill::Language { .. }
            | ToTill::Acknowledge { .. }
            | ToTill::QueryPrice { .. }
            | ToTill::Prices { .. }
            | ToTill::Recognise { .. }
            | ToTill::Enrol { .. } => continue,
        };
        let doubted = sale.epoch != out.epoch() && pays(&command, &recovered.open);
        if sale == recovered.open.sale && !doubted {
            recovered.commands.push(command);
        }
    }
    Some(recovered.clone())
}

/// The sale that a message names, if it names one.
fn sale_of(message: &ToPos) -> Option<SaleId> {
    match message {
        ToPos::SessionOpened { sale }
        | ToPos::CartChanged { sale, .. }
        | ToPos::Offer { sale, .. }
        | ToPos::Withdrawn { sale, .. }
        | ToPos::Closed { sale, .. }
        | ToPos::QueryOutcome { sale, .. } => Some(*sale),
        _ => None,
    }
}

/// Whether `command` would close the sale as paid. Where the books have been begun anew, how it was answered may be
/// among what was lost: the money may have been given back. The POS is asked then and tells by its own books.
pub fn pays(command: &ToTill, open: &OpenSale) -> bool {
    match command {
        ToTill::Paid { revision, amount_minor, .. } => {
            (*revision, *amount_minor) == (open.revision, open.cart.total_minor)
        }
        ToTill::OutcomeIs { outcome, .. } => outcome.is_some(),
        _ => false,
    }
}

/// A number that no session of the outbox's epoch is above. No session's number is above its record's, and both
/// only ever count up, so a later session can't take the name of a sale that the POS has booked.
pub fn session_floor(out: &Log) -> u32 {
    let messages = out.records().filter_map(|(_, record)| till_link::message::decode(record));
    let sales = messages.filter_map(|message| sale_of(&message)).filter(|sale| sale.epoch == out.epoch());
    sales.map(|sale| sale.session).max().unwrap_or(0).max(out.last())
}

/// Whether the books may lack the last sales: something was said under them, but no sale of their own epoch
/// stands in them. So it is behind a new epoch, and where the disk has lost the last segment's records.
pub fn in_doubt(out: &Log, inbox: &Log) -> bool {
    let mut sales = out.records().filter_map(|(_, record)| sale_of(&till_link::message::decode(record)?));
    (out.last() > 0 || inbox.last() > 0) && !sales.any(|sale| sale.epoch == out.epoch())
}

/// Records that the counter may have stored and not acted on when it went down: two windows.
const UNHEARD_MAX: usize = 2 * till_link::endpoint::WINDOW_MAX as usize;

/// Money that the POS took for sales of given-up books, and that no end in the outbox answers. The inbox may hold
/// old ones that were answered long ago; only the newest can lack their answer.
pub fn unanswered(out: &Log, inbox: &Log) -> Vec<ToTill> {
    let ended = |sale: SaleId| {
        let mut messages = out.records().filter_map(|(_, record)| till_link::message::decode(record));
        messages.any(|message| matches!(message, ToPos::Closed { sale: of, .. } if of == sale))
    };
    let newest = inbox.records().rev().take(UNHEARD_MAX);
    let commands = newest.filter_map(|(_, record)| till_link::message::decode(Journalled::read(record)?.message));
    commands
        .filter(|command| matches!(command, ToTill::Paid { sale, .. } if sale.epoch != out.epoch() && !ended(*sale)))
        .collect()
}

/// The goods of the last sale, if it was paid and nothing was offered since: they may still lie there. Ends of sales
/// that the books do not know (L-082) say nothing about the tray.
pub fn last_paid(out: &Log) -> Option<Cart> {
    let mut messages = out.records().rev().filter_map(|(_, record)| till_link::message::decode(record));
    let disowned = |message: &ToPos| matches!(message, ToPos::Closed { cart, .. } if cart.lines.is_empty());
    match messages.find(|message| !disowned(message))? {
        ToPos::Closed { outcome: Outcome::Paid, cart, .. } => Some(cart),
        _ => None,
    }
}

/// Every closed sale in a counter's outbox that was paid, for reports and tests.
pub fn paid(out: &Log) -> Vec<(SaleId, Cart)> {
    let closed = out.records().filter_map(|(_, record)| till_link::message::decode(record));
    closed
        .filter_map(|message| match message {
            ToPos::Closed { sale, outcome: Outcome::Paid, cart, .. } => Some((sale, cart)),
            _ => None,
        })
        .collect()
}
