//! What the counter says to the POS.

use serde::{Deserialize, Serialize};

use super::{Attention, Cart, Currency, Hint, JPEG_BYTES_MAX, Outcome, Phase, Precision, Rung, SaleId, Sku, Text};

/// From the counter to the POS.
///
/// ```
/// use till_link::{SaleId, ToPos};
/// let sale = SaleId { counter: 1, epoch: 7, session: 3 };
/// assert!(ToPos::Withdrawn { sale, revision: 1 }.durable());
/// assert!(!ToPos::SessionOpened { sale }.durable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToPos {
    /// A session began.
    SessionOpened {
        /// Its id.
        sale: SaleId,
    },
    /// What lies on the tray now; not yet an offer.
    CartChanged {
        /// The session.
        sale: SaleId,
        /// All of it.
        cart: Cart,
    },
    /// Durable. This may be paid now.
    Offer {
        /// The session.
        sale: SaleId,
        /// Counts the offers of one sale from 1.
        revision: u16,
        /// What is sold.
        cart: Cart,
    },
    /// Durable. The offer holds no longer: do not take money for it.
    Withdrawn {
        /// The session.
        sale: SaleId,
        /// The offer.
        revision: u16,
    },
    /// Durable. The sale is over. With [`Outcome::Paid`] this is the receipt: book it once by `sale`.
    Closed {
        /// The session.
        sale: SaleId,
        /// The offer that it ends.
        revision: u16,
        /// How.
        outcome: Outcome,
        /// What was sold, or would have been.
        cart: Cart,
    },
    /// Durable. The counter restarted and asks what became of an offer. Answer [`super::ToTill::OutcomeIs`].
    QueryOutcome {
        /// The session.
        sale: SaleId,
        /// The offer.
        revision: u16,
    },
    /// Something is in the way, or is no longer.
    Attention {
        /// The session, if there is one.
        sale: Option<SaleId>,
        /// What.
        reason: Attention,
        /// Whether it stands or has cleared.
        on: bool,
    },
    /// A member was recognised; nothing is charged before they confirm.
    Member {
        /// The session.
        sale: SaleId,
        /// The member's id.
        member: Sku,
        /// Similarity, 0..=1000.
        score_permille: u16,
    },
    /// How the counter is; sent on change and with each new connection.
    State {
        /// Where the session stands.
        phase: Phase,
        /// What runs the detector.
        rung: Rung,
        /// Why it is not the rung above, cut to what fits; empty when all is well.
        reason: Text,
        /// How it computes; `None` where nothing runs.
        precision: Option<Precision>,
    },
    /// The counter's wall clock.
    Clock {
        /// Seconds since 1970.
        unix_s: u64,
        /// Whether anybody set it.
        trusted: bool,
    },
    /// Asks for a part of the POS's price list. Answer [`super::ToTill::Prices`].
    QueryPrices {
        /// The list whose part is wanted; 0 asks for the beginning of the newest one.
        version: u32,
        /// Counts from 0.
        part: u16,
    },
    /// The answer to [`super::ToTill::QueryPrice`].
    Price {
        /// Which product.
        sku: Sku,
        /// What the counter charges for one, minor units; `None` if it does not sell it.
        unit_minor: Option<i64>,
        /// Of the price.
        currency: Currency,
        /// The version of the price list.
        catalogue_version: u32,
    },
    /// A part of a picture of the tray, a JPEG file cut into pieces of [`JPEG_BYTES_MAX`]; of use only when
    /// all parts came. It waits for everything else that is to be said.
    Thumbnail {
        /// The session.
        sale: SaleId,
        /// The offer that it shows.
        revision: u16,
        /// Counts from 0.
        part: u16,
        /// How many there are.
        parts: u16,
        /// The bytes.
        jpeg: heapless::Vec<u8, JPEG_BYTES_MAX>,
    },
    /// What the person before the face camera should do; said while [`super::ToTill::Recognise`] or [`super::ToTill::Enrol`] holds.
    Guide {
        /// The session whose shopper asked; `None` for an enrolment.
        sale: Option<SaleId>,
        /// What.
        hint: Hint,
        /// Of an enrolment: poses taken so far. Else 0.
        step: u8,
        /// Of an enrolment: poses that are asked for. Else 0.
        steps: u8,
    },
}

impl ToPos {
    /// Whether the message must be on disk before it is sent and acknowledged after it is stored.
    pub fn durable(&self) -> bool {
        matches!(self, Self::Offer { .. } | Self::Withdrawn { .. } | Self::Closed { .. } | Self::QueryOutcome { .. })
    }
}
