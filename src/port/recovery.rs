//! What the books say after a restart of the counter: an offer without an end, and what the POS said of it.

use till_link::{Outcome, ToPos, ToTill};

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
            ToTill::Language { .. } => continue,
        };
        if sale == recovered.open.sale {
            recovered.commands.push(command);
        }
    }
    Some(recovered.clone())
}

/// Every closed sale in a counter's outbox that was paid, for reports and tests.
pub fn paid(out: &Log) -> Vec<(till_link::SaleId, till_link::Cart)> {
    let closed = out.records().filter_map(|(_, record)| till_link::message::decode(record));
    closed
        .filter_map(|message| match message {
            ToPos::Closed { sale, outcome: Outcome::Paid, cart, .. } => Some((sale, cart)),
            _ => None,
        })
        .collect()
}
