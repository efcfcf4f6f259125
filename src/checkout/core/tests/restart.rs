//! What a core does after a restart, and with books that may lack records.

use super::*;
use crate::checkout::facts::OpenSale;

#[test]
fn after_a_restart_the_pos_is_asked_and_the_sale_is_not_repeated() {
    let open = {
        let bench = Bench::offered();
        let ToPos::Offer { sale, revision, cart } = bench.durable()[0].clone() else { panic!() };
        OpenSale { sale, revision, cart }
    };
    for (outcome, expected) in [(Some(Outcome::Paid), Outcome::Paid), (None, Outcome::Cancelled)] {
        let mut bench = Bench::new();
        let said = &mut bench.said;
        bench.core.recover(1_000, open.clone(), &mut |effect| said.push(effect));
        bench.load(TEA_G);
        bench.tray(&[Class::Product(0)]);
        bench.pass(5_000);
        assert_eq!(bench.core.view().attention, Some(Attention::OutcomeUnknown));
        bench.step(Input::Pos(&ToTill::OutcomeIs { sale: open.sale, outcome }));
        let [ToPos::QueryOutcome { .. }, ToPos::Closed { sale, outcome, .. }] = bench.durable()[..] else { panic!() };
        assert_eq!((*sale, *outcome), (open.sale, expected));
        bench.leave();
        assert_eq!(bench.phase(), Phase::Idle);
    }
}

/// A till that went down with an offer open and hears, before its first picture, that it was paid.
fn paid_while_down() -> Bench {
    let ToPos::Offer { sale, revision, cart } = Bench::offered().durable()[0].clone() else { panic!() };
    let mut bench = Bench::new();
    let said = &mut bench.said;
    bench.core.recover(1_000, OpenSale { sale, revision, cart }, &mut |effect| said.push(effect));
    bench.step(Input::Pos(&ToTill::OutcomeIs { sale, outcome: Some(Outcome::Paid) }));
    assert_eq!(bench.phase(), Phase::Clearing);
    bench
}

#[test]
fn a_tray_that_nobody_has_seen_since_the_restart_is_not_empty() {
    let mut bench = paid_while_down();
    bench.pass(5_000);
    assert_eq!(bench.phase(), Phase::Clearing, "the paid tea may lie there");
    bench.load(TEA_G);
    bench.tray(&[Class::Product(0)]);
    bench.pass(5_000);
    assert_eq!(bench.durable().len(), 2, "asked and closed, and nothing is sold again");
    bench.leave();
    assert_eq!(bench.phase(), Phase::Idle);
}

#[test]
fn the_next_shopper_s_goods_are_sold_though_the_paid_ones_left_while_the_till_was_down() {
    let mut bench = paid_while_down();
    bench.load(250);
    bench.tray(&[Class::Product(1)]);
    bench.pass(100);
    assert_eq!(bench.phase(), Phase::Present, "a jam is no tea");
    bench.tray(&[Class::Product(1)]);
    bench.pass(1_000);
    assert_eq!(bench.phase(), Phase::Offered);
}

#[test]
fn nothing_is_offered_before_the_link_came_up_where_the_books_may_lack_records() {
    let mut bench = Bench::new();
    bench.core.wait_for_link();
    bench.step(Input::Trigger(TriggerEvent::Presence(true)));
    bench.load(TEA_G);
    bench.tray(&[Class::Product(0)]);
    bench.pass(5_000);
    assert_eq!(bench.phase(), Phase::Settled);
    bench.step(Input::LinkUp);
    bench.pass(900);
    assert_eq!(bench.phase(), Phase::Offered);
}

#[test]
fn books_begun_anew_clear_the_tray_and_give_back_money_for_sales_that_they_do_not_know() {
    let mut bench = Bench::new();
    bench.core.wait_for_link();
    bench.step(Input::Trigger(TriggerEvent::Presence(true)));
    bench.load(TEA_G);
    bench.tray(&[Class::Product(0)]);
    bench.pass(900);
    let said = &mut bench.said;
    bench.core.renewed(bench.now_ms, 78, &mut |effect| said.push(effect));
    bench.step(Input::LinkUp);
    bench.pass(3_000);
    assert_eq!((bench.phase(), bench.durable().len()), (Phase::Clearing, 0), "what lies there may have been paid");
    let paid = |epoch| ToTill::Paid {
        sale: SaleId { counter: 1, epoch, session: 9 },
        revision: 1,
        tender: Tender::Card,
        amount_minor: 900,
    };
    bench.step(Input::Pos(&paid(78)));
    assert_eq!(bench.durable().len(), 0, "of these books, so its end stands in them");
    bench.step(Input::Pos(&paid(77)));
    let [ToPos::Closed { sale, outcome: Outcome::Cancelled, .. }] = bench.durable()[..] else { panic!("no end") };
    assert_eq!((sale.epoch, sale.session), (77, 9));
    bench.leave();
    assert_eq!(bench.phase(), Phase::Idle);
    bench.step(Input::Trigger(TriggerEvent::Presence(true)));
    assert_eq!(bench.core.view().sale.map(|sale| (sale.epoch, sale.session)), Some((78, 1)));
}

#[test]
fn where_records_are_lost_the_pos_s_answer_counts_and_not_a_payment_from_before_the_question() {
    for (outcome, expected) in [(Some(Outcome::Paid), Outcome::Paid), (None, Outcome::Cancelled)] {
        let ToPos::Offer { sale, revision, cart } = Bench::offered().durable()[0].clone() else { panic!() };
        let paid = |revision, amount_minor| ToTill::Paid { sale, revision, tender: Tender::Card, amount_minor };
        let asked = |amount_minor| {
            let mut bench = Bench::new();
            let said = &mut bench.said;
            let open = OpenSale { sale, revision, cart: cart.clone() };
            bench.core.recover(1_000, open, &mut |effect| said.push(effect));
            bench.core.renewed(1_000, 78, &mut |effect| said.push(effect));
            bench.step(Input::LinkUp);
            bench.step(Input::Pos(&paid(revision, amount_minor)));
            bench
        };
        let mut bench = asked(cart.total_minor);
        assert_eq!(bench.durable().len(), 1, "asked, and the money may have been given back since");
        bench.step(Input::Pos(&ToTill::OutcomeIs { sale, outcome }));
        assert!(matches!(bench.durable()[1], ToPos::Closed { outcome, .. } if *outcome == expected));
        let bench = asked(cart.total_minor + 1);
        let [_, ToPos::Closed { outcome: Outcome::Cancelled, .. }] = bench.durable()[..] else { panic!("no end") };
    }
}
