//! What came of a session, held against what its script expects.

use till_link::Attention;

use crate::pos::Receipt;
use crate::trigger::script::{Expect, ExpectedOutcome, Reason};

/// Whether a session ended as its script says, and if not, how it differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// As expected.
    pub matched: bool,
    /// What was seen, for people.
    pub seen: String,
}

/// Holds the receipts and the attentions of one session against `expect`.
pub fn verdict(expect: &Expect, receipts: &[Receipt], attentions: &[Attention]) -> Verdict {
    let seen = match (receipts, attentions) {
        ([], []) => "nothing".to_owned(),
        ([], reasons) => {
            format!("refused: {}", reasons.iter().map(|reason| format!("{reason:?}")).collect::<Vec<_>>().join(", "))
        }
        (receipts, _) => receipts.iter().map(describe).collect::<Vec<_>>().join("; "),
    };
    let matched = match expect.outcome {
        ExpectedOutcome::Paid => matches!(receipts, [receipt] if is_expected(expect, receipt)),
        ExpectedOutcome::Refused => {
            receipts.is_empty()
                && expect.reason.is_some_and(|reason| attentions.iter().any(|&seen| is_reason(reason, seen)))
        }
    };
    Verdict { matched, seen }
}

fn describe(receipt: &Receipt) -> String {
    let lines: Vec<String> = receipt.cart.lines.iter().map(|line| format!("{} {}", line.quantity, line.sku)).collect();
    format!("{} = {}", lines.join(" + "), receipt.cart.total_minor)
}

fn is_expected(expect: &Expect, receipt: &Receipt) -> bool {
    let cart = &receipt.cart;
    Some(cart.total_minor) == expect.total_minor
        && cart.lines.len() == expect.line.len()
        && expect.line.iter().all(|expected| {
            cart.lines.iter().any(|line| line.sku.as_str() == expected.sku && line.quantity == expected.quantity)
        })
}

fn is_reason(expected: Reason, seen: Attention) -> bool {
    match expected {
        Reason::UnknownItem => seen == Attention::UnknownItem,
        Reason::MassMismatch => seen == Attention::MassMismatch,
        Reason::Overlap => matches!(seen, Attention::Overlap | Attention::OutOfPicture),
        Reason::Unsure => seen == Attention::UncertainItem,
    }
}
