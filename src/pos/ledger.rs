//! What the POS knows, as its two logs say it. Pure: heard and said messages in, bookings out.

use std::collections::{BTreeMap, BTreeSet};

use till_link::{Cart, Outcome, SaleId, ToPos, ToTill};

use crate::pos::{PosEvent, Receipt};

/// What can be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The sale.
    pub sale: SaleId,
    /// Which of its offers.
    pub revision: u16,
    /// What is sold.
    pub cart: Cart,
}

/// Money that must be given back: it was taken for a sale that the counter closed otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The sale.
    pub sale: SaleId,
    /// Minor units.
    pub amount_minor: i64,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    revision: u16,
    amount_minor: i64,
}

/// The POS's books.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    offer: Option<Offer>,
    /// What was taken, and for which offer, by sale.
    taken: BTreeMap<SaleId, Taken>,
    /// Sales that the POS promised never to take money for.
    barred: Vec<SaleId>,
    /// Sales, and which offer of each, that the counter asked about and that were not answered yet.
    asked: Vec<(SaleId, u16)>,
    booked: BTreeMap<SaleId, Receipt>,
    order: Vec<SaleId>,
    refunds: Vec<Refund>,
    /// Sales that the counter ended unpaid.
    unpaid: BTreeSet<SaleId>,
}

impl Ledger {
    /// The counter said a durable message. The same message again changes nothing.
    pub fn heard(&mut self, message: ToPos) -> Option<PosEvent> {
        match message {
            ToPos::Offer { sale, revision, cart } => {
                if self.is_over(sale) {
                    return None;
                }
                let offer = Offer { sale, revision, cart };
                self.offer = Some(offer.clone());
                Some(PosEvent::Offer(offer))
            }
            ToPos::Withdrawn { sale, .. } => {
                self.close_offer(sale);
                Some(PosEvent::Withdrawn(sale))
            }
            ToPos::Closed { sale, outcome: Outcome::Paid, cart, .. } => {
                self.close_offer(sale);
                if self.is_over(sale) {
                    return None;
                }
                let receipt = Receipt { sale, cart };
                self.booked.insert(sale, receipt.clone());
                self.order.push(sale);
                Some(PosEvent::Receipt(receipt))
            }
            ToPos::Closed { sale, outcome, .. } => {
                self.close_offer(sale);
                if self.is_over(sale) {
                    return None;
                }
                self.unpaid.insert(sale);
                Some(PosEvent::Ended { sale, outcome, refund: self.owe(sale) })
            }
            ToPos::QueryOutcome { sale, revision } => {
                self.asked.retain(|(asked, _)| *asked != sale);
                self.asked.push((sale, revision));
                Some(PosEvent::Said(ToPos::QueryOutcome { sale, revision }))
            }
            other => Some(PosEvent::Said(other)),
        }
    }

    /// The first end of a sale stands: a counter that has lost its books may say another (L-083).
    fn is_over(&self, sale: SaleId) -> bool {
        self.booked.contains_key(&sale) || self.unpaid.contains(&sale)
    }

    /// A sale that the counter asks about and what became of it.
    pub fn unanswered(&self) -> Option<(SaleId, Option<Outcome>)> {
        self.asked.first().map(|&(sale, revision)| (sale, self.outcome(sale, revision)))
    }

    /// The POS put its own message into its log.
    pub fn said(&mut self, message: &ToTill) {
        match message {
            ToTill::Paid { sale, revision, amount_minor, .. } => {
                self.taken.insert(*sale, Taken { revision: *revision, amount_minor: *amount_minor });
                self.owe(*sale);
            }
            ToTill::OutcomeIs { sale, outcome } => {
                self.asked.retain(|(asked, _)| asked != sale);
                if outcome.is_none() {
                    self.barred.push(*sale);
                }
            }
            ToTill::Cancel { sale } => self.barred.push(*sale),
            _ => {}
        }
    }

    /// The refund for `sale` if its money was taken and the counter ended it unpaid, whichever was read first.
    fn owe(&mut self, sale: SaleId) -> Option<Refund> {
        let Taken { amount_minor, .. } = *self.taken.get(&sale).filter(|_| self.unpaid.contains(&sale))?;
        let refund = Refund { sale, amount_minor };
        if !self.refunds.contains(&refund) {
            self.refunds.push(refund);
        }
        Some(refund)
    }

    fn close_offer(&mut self, sale: SaleId) {
        self.asked.retain(|(asked, _)| *asked != sale);
        if self.offer.as_ref().is_some_and(|offer| offer.sale == sale) {
            self.offer = None;
        }
    }

    /// The offer that can be paid now: it adds up (L-025), is not paid, not cancelled, not promised away.
    pub fn open_offer(&self) -> Option<&Offer> {
        self.offer.as_ref().filter(|offer| {
            let cart = &offer.cart;
            cart.sum_minor() == Some(cart.total_minor)
                && !self.taken.contains_key(&offer.sale)
                && !self.barred.contains(&offer.sale)
        })
    }

    /// What became of that offer of `sale`: paid if money was taken for it and is not given back, else nothing, for
    /// ever (L-087).
    pub fn outcome(&self, sale: SaleId, revision: u16) -> Option<Outcome> {
        let taken = self.taken.get(&sale).is_some_and(|taken| taken.revision == revision);
        (taken && !self.unpaid.contains(&sale)).then_some(Outcome::Paid)
    }

    /// What was booked, in order.
    pub fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.order.iter().filter_map(|sale| self.booked.get(sale))
    }

    /// Money to be given back.
    pub fn refunds(&self) -> &[Refund] {
        &self.refunds
    }

    /// Sales for which money was taken and whose end is not known yet.
    pub fn unsettled(&self) -> impl Iterator<Item = SaleId> {
        let ended =
            |sale: &SaleId| self.booked.contains_key(sale) || self.refunds.iter().any(|refund| refund.sale == *sale);
        self.taken.keys().copied().filter(move |sale| !ended(sale))
    }
}

#[cfg(test)]
mod tests {
    use till_link::{Currency, Tender};

    use super::*;

    const SALE: SaleId = SaleId { counter: 1, epoch: 7, session: 3 };

    fn cart() -> Cart {
        let mut lines = heapless::Vec::new();
        let evidence = till_link::Evidence::default();
        let (sku, name) = (heapless::String::new(), heapless::String::new());
        lines.push(till_link::Line { sku, name, unit_minor: 900, quantity: 1, evidence }).unwrap();
        Cart { lines, total_minor: 900, currency: Currency(*b"KRW"), catalogue_version: 1, mass_g: 0 }
    }

    #[test]
    fn no_money_is_taken_for_what_does_not_add_up_or_is_over() {
        let mut ledger = Ledger::default();
        ledger.heard(ToPos::Offer { sale: SALE, revision: 1, cart: Cart { total_minor: 90, ..cart() } });
        assert_eq!(ledger.open_offer(), None, "L-025");
        ledger.heard(closed(Outcome::Abandoned));
        assert_eq!((ledger.heard(offer()), ledger.open_offer()), (None, None), "L-081");
    }

    fn offer() -> ToPos {
        ToPos::Offer { sale: SALE, revision: 1, cart: cart() }
    }

    fn closed(outcome: Outcome) -> ToPos {
        ToPos::Closed { sale: SALE, revision: 1, outcome, cart: cart() }
    }

    fn paid() -> ToTill {
        ToTill::Paid { sale: SALE, revision: 1, tender: Tender::Card, amount_minor: 900 }
    }

    #[test]
    fn a_sale_is_booked_once_however_often_it_is_told() {
        let mut ledger = Ledger::default();
        ledger.heard(offer());
        ledger.said(&paid());
        assert_eq!(ledger.unsettled().collect::<Vec<_>>(), [SALE]);
        assert!(matches!(ledger.heard(closed(Outcome::Paid)), Some(PosEvent::Receipt(_))));
        assert_eq!(ledger.heard(closed(Outcome::Paid)), None);
        assert_eq!(ledger.heard(offer()), None, "an offer after the receipt is no offer");
        assert_eq!((ledger.receipts().count(), ledger.unsettled().count()), (1, 0));
    }

    #[test]
    fn the_first_end_of_a_sale_stands() {
        let mut ledger = Ledger::default();
        ledger.heard(offer());
        ledger.said(&paid());
        ledger.heard(closed(Outcome::Paid));
        assert_eq!(ledger.heard(closed(Outcome::Cancelled)), None, "L-083");
        assert_eq!((ledger.receipts().count(), ledger.refunds().len()), (1, 0));
    }

    #[test]
    fn money_for_a_sale_that_ended_otherwise_is_given_back() {
        let mut ledger = Ledger::default();
        ledger.heard(offer());
        ledger.said(&paid());
        for _ in 0..2 {
            ledger.heard(closed(Outcome::Abandoned));
        }
        assert_eq!((ledger.receipts().count(), ledger.refunds()), (0, &[Refund { sale: SALE, amount_minor: 900 }][..]));
        ledger.heard(ToPos::QueryOutcome { sale: SALE, revision: 1 });
        assert_eq!(ledger.unanswered(), Some((SALE, None)), "L-087");
    }

    #[test]
    fn a_refund_is_owed_in_whatever_order_the_logs_are_read() {
        let mut ledger = Ledger::default();
        ledger.heard(offer());
        ledger.heard(closed(Outcome::Abandoned));
        ledger.said(&paid());
        assert_eq!(ledger.refunds(), [Refund { sale: SALE, amount_minor: 900 }]);
        assert_eq!(ledger.unsettled().count(), 0);
    }

    #[test]
    fn what_was_answered_as_unpaid_can_never_be_paid() {
        let mut ledger = Ledger::default();
        ledger.heard(offer());
        assert!(ledger.open_offer().is_some());
        assert_eq!(ledger.outcome(SALE, 1), None);
        ledger.said(&ToTill::OutcomeIs { sale: SALE, outcome: None });
        assert_eq!(ledger.open_offer(), None);
    }

    #[test]
    fn money_for_another_offer_than_the_one_asked_about_is_no_payment_of_it() {
        let mut ledger = Ledger::default();
        ledger.heard(offer());
        ledger.said(&paid());
        ledger.heard(ToPos::QueryOutcome { sale: SALE, revision: 2 });
        assert_eq!(ledger.unanswered(), Some((SALE, None)), "L-087");
        ledger.heard(ToPos::QueryOutcome { sale: SALE, revision: 1 });
        assert_eq!(ledger.unanswered(), Some((SALE, Some(Outcome::Paid))), "the last question is the one that counts");
    }

    #[test]
    fn a_withdrawn_offer_can_not_be_paid_but_the_next_one_can() {
        let mut ledger = Ledger::default();
        ledger.heard(offer());
        ledger.heard(ToPos::Withdrawn { sale: SALE, revision: 1 });
        assert_eq!(ledger.open_offer(), None);
        ledger.heard(ToPos::Offer { sale: SALE, revision: 2, cart: cart() });
        assert_eq!(ledger.open_offer().map(|offer| offer.revision), Some(2));
    }
}
