//! Sales, and the POS's own durable messages: SPEC 6.5 and 7. Under test the POS pays every offer.

use till_link::{Outcome, SaleId, ToPos};

use super::frames::refused;
use super::{Check, check};
use crate::conform::Level::Payment;
use crate::conform::player::{ANSWER_MS, Frame, Miss, Player, SILENCE_MS, Step, cart, closed, encoded, fail, offer};
use crate::conform::raw::{self, kind};

pub(super) const CHECKS: &[Check] = &[
    check("L-081", "pays an offer by its revision and exactly its total", Payment, pays),
    check("L-087", "answers Paid when it was paid", Payment, paid_is_told),
    check("L-087", "answers none about an offer that it was not paid for", Payment, other_offer),
    check("L-090", "answers none for a sale that it never heard of", Payment, unknown_sale),
    check("L-088", "takes no money for a sale after it answered none", Payment, promise),
    check("L-081", "takes no money for a sale that is closed", Payment, closed_before),
    check("L-081", "pays one revision at most, and none with another's total", Payment, revisions),
    check("L-083", "pays an offer that comes again once", Payment, repeated_offer),
    check("L-025", "takes no money for an offer that does not add up", Payment, wrong_sum),
    check("L-021", "takes no money for an offer that it must refuse as a whole", Payment, refused_offers),
    check("L-051", "has 16 messages under way at most", Payment, window),
    check("L-052", "sends in order, and goes back on GAP", Payment, goes_back),
    check("L-053", "repeats what is not acknowledged after 400 to 4000 ms, the same bytes", Payment, repeats),
    check("L-054", "ignores acknowledgements of what it never sent and of another epoch", Payment, false_ack),
    check("L-080", "says after a restart a payment that was not acknowledged before", Payment, payment_restart),
    check("L-087", "answers from its journal after a restart", Payment, answer_after_restart),
    check("L-050", "says after a restart what else was not acknowledged before", Payment, answer_restart),
    check("L-090", "answers after a restart what it was asked before", Payment, question_restart),
];

/// For the first offer: a person may have to press a key.
const FIRST_MS: u64 = 10_000;
/// For an offer when offers are paid.
const PAY_MS: u64 = 5_000;

/// A first look whether anybody pays.
fn pays(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let sale = p.sale();
    p.durable(&offer(sale, 1, 700))?;
    p.nobody_pays = !p.wait(FIRST_MS, |p| !p.payments(sale).is_empty())?;
    must_pay(p)?;
    match p.payments(sale)[..] {
        [(1, 700)] => settle(p, sale, 700),
        ref other => fail(format!("offered revision 1, 700; paid {other:?}")),
    }
}

fn must_pay(p: &Player<'_>) -> Step {
    if p.nobody_pays {
        return Err(Miss::NotRun("the POS must pay every offer under test, and did not".into()));
    }
    Ok(())
}

/// The receipt, so that no offer is left open.
fn settle(p: &mut Player<'_>, sale: SaleId, total: i64) -> Step {
    p.acknowledged(encoded(&closed(sale, 1, Outcome::Paid, total))).map(|_| ())
}

/// A sale that is offered and paid.
fn sell(p: &mut Player<'_>, total: i64) -> Step<SaleId> {
    must_pay(p)?;
    let sale = p.sale();
    p.durable(&offer(sale, 1, total))?;
    if !p.wait(PAY_MS, |p| !p.payments(sale).is_empty())? {
        return Err(Miss::NotRun(format!("an offer was not paid within {PAY_MS} ms")));
    }
    Ok(sale)
}

/// After another sale was paid and some time, `sale` must not have been.
fn not_paid(p: &mut Player<'_>, sale: SaleId, why: &str) -> Step {
    // A POS that goes by its last offer alone has its time first.
    p.has(p.log.len() as u32, ANSWER_MS)?;
    p.listen(2 * SILENCE_MS)?;
    let other = sell(p, 310)?;
    settle(p, other, 310)?;
    p.listen(SILENCE_MS)?;
    match p.payments(sale)[..] {
        [] => Ok(()),
        ref paid => fail(format!("paid {paid:?} for a sale {why}")),
    }
}

fn ask(p: &mut Player<'_>, sale: SaleId) -> Step<Vec<Option<Outcome>>> {
    ask_about(p, sale, 1)
}

fn ask_about(p: &mut Player<'_>, sale: SaleId, revision: u16) -> Step<Vec<Option<Outcome>>> {
    p.acknowledged(encoded(&ToPos::QueryOutcome { sale, revision }))?;
    p.wait(ANSWER_MS, |p| !p.answers(sale).is_empty())?;
    Ok(p.answers(sale))
}

fn paid_is_told(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let sale = sell(p, 320)?;
    let answers = ask(p, sale)?;
    settle(p, sale, 320)?;
    if answers == [Some(Outcome::Paid)] { Ok(()) } else { fail(format!("answered {answers:?} for a sale it paid")) }
}

/// As a till asks whose disk has lost the offer that was paid, and knows another.
fn other_offer(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let sale = sell(p, 325)?;
    let answers = ask_about(p, sale, 2)?;
    p.acknowledged(encoded(&closed(sale, 2, Outcome::Cancelled, 325)))?;
    if answers == [None] { Ok(()) } else { fail(format!("paid revision 1; asked about 2 it answered {answers:?}")) }
}

fn unknown_sale(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let sale = p.sale();
    let answers = ask(p, sale)?;
    if answers == [None] { Ok(()) } else { fail(format!("answered {answers:?}")) }
}

fn promise(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    must_pay(p)?;
    let sale = p.sale();
    if ask(p, sale)?.first() != Some(&None) {
        return Err(Miss::NotRun("it did not answer none".into()));
    }
    p.durable(&offer(sale, 1, 330))?;
    not_paid(p, sale, "for which it had answered none")
}

fn closed_before(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    must_pay(p)?;
    let sale = p.sale();
    p.acknowledged(encoded(&closed(sale, 1, Outcome::Abandoned, 340)))?;
    p.durable(&offer(sale, 2, 340))?;
    not_paid(p, sale, "that was closed")
}

fn revisions(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    must_pay(p)?;
    let sale = p.sale();
    let messages = [offer(sale, 1, 350), ToPos::Withdrawn { sale, revision: 1 }, offer(sale, 2, 360)];
    let mut bytes = Vec::new();
    for message in &messages {
        let sequence = p.note(encoded(message));
        p.sent = p.sent.max(sequence);
        let payload = p.payload(sequence);
        bytes.extend_from_slice(&p.frame(kind::DATA, &payload));
    }
    p.raw(&bytes)?;
    p.wait(PAY_MS, |p| !p.payments(sale).is_empty())?;
    p.listen(SILENCE_MS)?;
    let paid = p.payments(sale);
    let total = paid.first().map_or(360, |(_, amount)| *amount);
    settle(p, sale, total)?;
    match paid[..] {
        [(1, 350) | (2, 360)] => Ok(()),
        [] => fail("the second offer of a sale was not paid"),
        ref other => fail(format!("offered (1, 350), withdrew it, offered (2, 360); paid {other:?}")),
    }
}

fn repeated_offer(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    must_pay(p)?;
    let sale = p.sale();
    let sequence = p.durable(&offer(sale, 1, 370))?;
    for _ in 0..3 {
        p.put(sequence)?;
    }
    p.wait(PAY_MS, |p| !p.payments(sale).is_empty())?;
    p.listen(SILENCE_MS)?;
    let paid = p.payments(sale);
    settle(p, sale, 370)?;
    if paid == [(1, 370)] { Ok(()) } else { fail(format!("paid {paid:?}")) }
}

fn wrong_sum(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    must_pay(p)?;
    let sale = p.sale();
    p.durable(&ToPos::Offer { sale, revision: 1, cart: cart(380, 38) })?;
    not_paid(p, sale, "of one line at 380 with a total of 38")
}

fn refused_offers(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    must_pay(p)?;
    let before = p.said.len();
    for (_, message) in refused(p) {
        p.acknowledged(message)?;
        p.listen(50)?;
    }
    let other = sell(p, 390)?;
    settle(p, other, 390)?;
    p.listen(SILENCE_MS)?;
    let said = p.said.len() - before;
    if said == 1 { Ok(()) } else { fail(format!("{said} messages after offers to be refused and one right one")) }
}

/// DATA of the POS that is heard within `ms`, not acknowledged.
fn unacknowledged(p: &mut Player<'_>, ms: u64, count: usize) -> Step<Vec<Frame>> {
    let mut frames: Vec<Frame> = Vec::new();
    p.until(ms, |frame| {
        if frame.kind == kind::DATA {
            frames.push(frame.clone());
        }
        (frames.len() >= count).then_some(())
    })?;
    Ok(frames)
}

/// Up, with nothing of the POS under way, and from here on no acknowledgement of ours.
fn mute(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.listen(200)?;
    p.acknowledge = false;
    Ok(())
}

/// Takes what the POS still has to say.
fn drain(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.listen(300).map(|_| ()).map_err(Miss::Line)
}

fn window(p: &mut Player<'_>) -> Step {
    mute(p)?;
    let sales: Vec<SaleId> = (0..24).map(|_| p.sale()).collect();
    for &sale in &sales {
        p.note(encoded(&ToPos::QueryOutcome { sale, revision: 1 }));
    }
    let from = p.stored.1;
    let last = p.log.len() as u32;
    let mut highest = from;
    // Both at once: our questions out by our window, its answers counted as they come.
    let until_ms = p.now_ms() + 6_000;
    let mut quiet_from = p.now_ms();
    while p.now_ms() < until_ms && (p.acked < last || p.now_ms() < quiet_from + 700) {
        if p.acked < last {
            quiet_from = p.now_ms();
            for sequence in p.acked + 1..=last.min(p.acked + 4) {
                p.put(sequence)?;
            }
        }
        let (epoch, goal) = (p.epoch, last.min(p.acked + 4));
        let mut seen = highest;
        p.until(500, |frame| {
            if let Some((_, sequence, _)) = frame.data() {
                seen = seen.max(sequence);
            }
            frame.stored().filter(|&(of, n)| of == epoch && n >= goal).map(|_| ())
        })?;
        highest = seen;
    }
    drain(p)?;
    let answered = p.wait(10_000, |p| sales.iter().all(|&sale| !p.answers(sale).is_empty()))?;
    match highest - from {
        0 => fail("no answer to 24 questions"),
        n if n > 16 => fail(format!("{n} messages under way")),
        _ if !answered => fail("not all 24 questions were answered once it was acknowledged again"),
        _ => Ok(()),
    }
}

fn goes_back(p: &mut Player<'_>) -> Step {
    mute(p)?;
    let stored = p.stored;
    for _ in 0..3 {
        let sale = p.sale();
        p.durable(&ToPos::QueryOutcome { sale, revision: 1 })?;
    }
    // With the smallest window only the first is under way.
    let first = unacknowledged(p, 1_000, 1)?;
    let rest = unacknowledged(p, 150, 2)?;
    let sequences: Vec<u32> = first.iter().chain(&rest).filter_map(|frame| Some(frame.data()?.1)).collect();
    let count = sequences.len() as u32;
    if count == 0 || sequences != (stored.1 + 1..=stored.1 + count).collect::<Vec<_>>() {
        return fail(format!("behind {} came {sequences:?}", stored.1));
    }
    p.send(kind::GAP, &raw::pair(stored.0, stored.1))?;
    let again = unacknowledged(p, 350, 1)?;
    let again = again.first().and_then(|frame| Some(frame.data()?.1));
    drain(p)?;
    if again == Some(stored.1 + 1) {
        return Ok(());
    }
    fail(format!("GAP behind {} brought {again:?} within 350 ms", stored.1))
}

/// Makes the POS say something durable; returns the first DATA.
fn provoke(p: &mut Player<'_>) -> Step<Frame> {
    let sale = p.sale();
    p.durable(&ToPos::QueryOutcome { sale, revision: 1 })?;
    match unacknowledged(p, ANSWER_MS, 1)?.into_iter().next() {
        Some(frame) => Ok(frame),
        None => Err(Miss::NotRun("a question was not answered".into())),
    }
}

fn repeats(p: &mut Player<'_>) -> Step {
    mute(p)?;
    let mut before = provoke(p)?;
    for _ in 0..2 {
        let again = unacknowledged(p, 4_500, 1)?;
        let Some(again) = again.into_iter().next() else { return fail("nothing came again within 4500 ms") };
        let ms = again.at_ms - before.at_ms;
        if again.payload != before.payload {
            return fail("other bytes under the same number, or another number");
        }
        // A time slice of either system is no fault.
        if !(380..=4_300).contains(&ms) {
            return fail(format!("again after {ms} ms"));
        }
        before = again;
    }
    drain(p)
}

fn false_ack(p: &mut Player<'_>) -> Step {
    mute(p)?;
    let first = provoke(p)?;
    let Some((epoch, sequence, _)) = first.data() else { return fail("no DATA") };
    for (epoch, sequence) in [(epoch, sequence + 1000), (epoch, u32::MAX), (epoch ^ 2, sequence)] {
        p.send(kind::ACK, &raw::pair(epoch, sequence))?;
    }
    p.send(kind::GAP, &raw::pair(epoch ^ 2, sequence))?;
    let again = unacknowledged(p, 4_500, 1)?;
    let stands = again.first().is_some_and(|frame| frame.payload == first.payload);
    drain(p)?;
    if stands { Ok(()) } else { fail(format!("DATA {sequence} was not repeated: a false ACK was believed")) }
}

/// After a restart the message that was said before must come again, the same.
fn survives(p: &mut Player<'_>, first: &Frame) -> Step {
    p.acknowledge = false;
    let expected = first.data().map(|(epoch, sequence, message)| (epoch, sequence, message.to_vec()));
    p.restart()?;
    p.acknowledge = false;
    let found = p.until(ANSWER_MS, |frame| {
        frame
            .data()
            .filter(|_| frame.kind == kind::DATA)
            .map(|(epoch, sequence, message)| (epoch, sequence, message.to_vec()))
    })?;
    drain(p)?;
    match (found, expected) {
        (None, _) => fail("it was not said again"),
        (Some(found), Some(expected)) if found == expected => Ok(()),
        (Some((epoch, sequence, _)), _) => fail(format!("instead of it {epoch:08x}/{sequence} was said")),
    }
}

fn payment_restart(p: &mut Player<'_>) -> Step {
    must_pay(p)?;
    mute(p)?;
    let sale = p.sale();
    p.durable(&offer(sale, 1, 410))?;
    let Some(first) = unacknowledged(p, PAY_MS, 1)?.into_iter().next() else {
        return Err(Miss::NotRun("an offer was not paid".into()));
    };
    survives(p, &first)?;
    p.wait(ANSWER_MS, |p| !p.payments(sale).is_empty())?;
    let paid = p.payments(sale);
    settle(p, sale, 410)?;
    if paid == [(1, 410)] { Ok(()) } else { fail(format!("paid {paid:?}")) }
}

fn answer_restart(p: &mut Player<'_>) -> Step {
    mute(p)?;
    let first = provoke(p)?;
    survives(p, &first)
}

fn answer_after_restart(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let sale = sell(p, 420)?;
    p.restart()?;
    p.deliver(ANSWER_MS)?;
    let answers = ask(p, sale)?;
    settle(p, sale, 420)?;
    if answers == [Some(Outcome::Paid)] { Ok(()) } else { fail(format!("answered {answers:?} for a sale it paid")) }
}

fn question_restart(p: &mut Player<'_>) -> Step {
    mute(p)?;
    let sale = p.sale();
    p.acknowledged(encoded(&ToPos::QueryOutcome { sale, revision: 1 }))?;
    p.restart()?;
    p.acknowledge = true;
    p.wait(ANSWER_MS, |p| !p.answers(sale).is_empty())?;
    p.listen(SILENCE_MS)?;
    let answers = p.answers(sale);
    if answers == [None] { Ok(()) } else { fail(format!("answered {answers:?}")) }
}
