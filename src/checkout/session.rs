//! The session: every state, what may happen in it, and what follows. This one table is what the core
//! runs and what `docs/session.md` prints.

use till_link::Phase;

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A presence edge, or a load on the tray.
    Came,
    /// The camera sees goods.
    GoodsSeen,
    /// Scale quiet, tray still, each item sure, mass in agreement.
    Agreed,
    /// That has stood for `settle_ms`.
    Held,
    /// Goods or load changed.
    Moved,
    /// The POS took the money for the last offer.
    PaidFor,
    /// The POS cancelled, a person settled it, or a payment was for another offer or amount.
    Refused,
    /// The tray is empty and nobody stands there.
    Left,
    /// Something is in the way of a sale.
    Cause,
    /// Something else is in the way now.
    OtherCause,
    /// Nothing is in the way any more.
    CauseGone,
    /// The end was told; nothing else has to happen.
    Told,
    /// The tray has been empty for `clear_ms`.
    Cleared,
}

/// What the core does on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing but the new state.
    None,
    /// Open a session and wake the eyes.
    Open,
    /// Put the offer into the books.
    Offer,
    /// Take it back.
    Withdraw,
    /// Tell the reason.
    Raise,
    /// Take the offer back and tell the reason.
    WithdrawAndRaise,
    /// The reason has gone.
    Lower,
    /// The old reason has gone, tell the new one.
    Exchange,
    /// Close as paid.
    ClosePaid,
    /// Close as cancelled.
    CloseCancelled,
    /// Close as abandoned if there ever was an offer.
    CloseAbandoned,
    /// Forget the session and let the eyes sleep.
    Rest,
}

/// One row: in `from`, `happening` leads to `to` by way of `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The state it holds in.
    pub from: Phase,
    /// What happens.
    pub happening: Happening,
    /// The state that follows.
    pub to: Phase,
    /// What is done.
    pub action: Action,
}

const fn row(from: Phase, happening: Happening, to: Phase, action: Action) -> Row {
    Row { from, happening, to, action }
}

/// The whole session. What is not here does not happen.
pub const TABLE: &[Row] = {
    use Happening as H;
    use Phase as P;
    &[
        row(P::Idle, H::Came, P::Present, Action::Open),
        row(P::Present, H::GoodsSeen, P::Scanning, Action::None),
        row(P::Present, H::Cause, P::Attention, Action::Raise),
        row(P::Present, H::Left, P::Abandoned, Action::CloseAbandoned),
        row(P::Scanning, H::PaidFor, P::Paid, Action::ClosePaid),
        row(P::Scanning, H::Refused, P::Cancelled, Action::CloseCancelled),
        row(P::Scanning, H::Cause, P::Attention, Action::Raise),
        row(P::Scanning, H::Left, P::Abandoned, Action::CloseAbandoned),
        row(P::Scanning, H::Agreed, P::Settled, Action::None),
        row(P::Settled, H::PaidFor, P::Paid, Action::ClosePaid),
        row(P::Settled, H::Refused, P::Cancelled, Action::CloseCancelled),
        row(P::Settled, H::Cause, P::Attention, Action::Raise),
        row(P::Settled, H::Moved, P::Scanning, Action::None),
        row(P::Settled, H::Held, P::Offered, Action::Offer),
        row(P::Offered, H::PaidFor, P::Paid, Action::ClosePaid),
        row(P::Offered, H::Refused, P::Cancelled, Action::CloseCancelled),
        row(P::Offered, H::Cause, P::Attention, Action::WithdrawAndRaise),
        row(P::Offered, H::Moved, P::Scanning, Action::Withdraw),
        row(P::Attention, H::PaidFor, P::Paid, Action::ClosePaid),
        row(P::Attention, H::Refused, P::Cancelled, Action::CloseCancelled),
        row(P::Attention, H::Left, P::Abandoned, Action::CloseAbandoned),
        row(P::Attention, H::OtherCause, P::Attention, Action::Exchange),
        row(P::Attention, H::CauseGone, P::Scanning, Action::Lower),
        row(P::Paid, H::Told, P::Clearing, Action::None),
        row(P::Cancelled, H::Told, P::Clearing, Action::None),
        row(P::Abandoned, H::Told, P::Clearing, Action::None),
        row(P::Clearing, H::Cleared, P::Idle, Action::Rest),
    ]
};

/// The row for `happening` in `from`, if it may happen there.
pub fn find(from: Phase, happening: Happening) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.from == from && row.happening == happening)
}

/// The table as Markdown, for the docs.
pub fn markdown() -> String {
    use std::fmt::Write;
    let mut text = String::from("| in | when | then | doing |\n|---|---|---|---|\n");
    for Row { from, happening, to, action } in TABLE {
        let _ = writeln!(text, "| {from:?} | {happening:?} | {to:?} | {action:?} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 10] = [
        Phase::Idle,
        Phase::Present,
        Phase::Scanning,
        Phase::Settled,
        Phase::Offered,
        Phase::Paid,
        Phase::Cancelled,
        Phase::Abandoned,
        Phase::Clearing,
        Phase::Attention,
    ];

    #[test]
    fn no_row_contradicts_another() {
        for (i, row) in TABLE.iter().enumerate() {
            let twin =
                TABLE.iter().skip(i + 1).find(|other| (other.from, other.happening) == (row.from, row.happening));
            assert_eq!(twin, None);
        }
    }

    #[test]
    fn every_state_can_reach_idle() {
        for start in PHASES {
            let mut reached = vec![start];
            while let Some(next) =
                TABLE.iter().find(|row| reached.contains(&row.from) && !reached.contains(&row.to)).map(|row| row.to)
            {
                reached.push(next);
            }
            assert!(reached.contains(&Phase::Idle), "{start:?}");
        }
    }

    #[test]
    fn without_an_offer_there_is_no_way_to_offered_and_only_offers_are_offered() {
        for row in TABLE {
            assert_eq!(row.to == Phase::Offered, row.action == Action::Offer, "{row:?}");
            assert_eq!(row.to == Phase::Paid, row.happening == Happening::PaidFor, "{row:?}");
        }
    }

    #[test]
    fn the_docs_print_this_table() {
        crate::testing::golden("docs/session.md", &markdown(), "<!-- session table -->");
    }
}
