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
        if sale == recovered.open.sale {
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

/// A number that no session in the outbox is above. The log never gives up its last record, and sessions
/// only ever count up, so a later session can't take the name of a sale that the POS has booked.
pub fn session_floor(out: &Log) -> u32 {
    let messages = out.records().filter_map(|(_, record)| till_link::message::decode(record));
    messages.filter_map(|message| sale_of(&message)).map(|sale| sale.session).max().unwrap_or(0).max(out.last())
}

/// The goods of the last sale, if it was paid and nothing was offered since: they may still lie there.
pub fn last_paid(out: &Log) -> Option<Cart> {
    match out.records().next_back().and_then(|(_, record)| till_link::message::decode(record))? {
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
