//! What the POS says to the counter.

use serde::{Deserialize, Serialize};

use super::{Attention, Currency, Outcome, PRICES_MAX, Price, SaleId, Sku, Tender};

/// From the POS to the counter.
///
/// ```
/// use till_link::{SaleId, Tender, ToTill};
/// let sale = SaleId { counter: 1, epoch: 7, session: 3 };
/// let paid = ToTill::Paid { sale, revision: 1, tender: Tender::Card, amount_minor: 3_000 };
/// assert!(paid.durable(), "on the POS's disk before its first byte is sent");
/// ```
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box a part of a price list")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToTill {
    /// Durable. The money was taken for this offer.
    Paid {
        /// The session.
        sale: SaleId,
        /// The offer.
        revision: u16,
        /// How.
        tender: Tender,
        /// What was taken, minor units.
        amount_minor: i64,
    },
    /// Durable. The offer was refused at the POS.
    Cancel {
        /// The session.
        sale: SaleId,
    },
    /// Durable. The answer to [`super::ToPos::QueryOutcome`]; without an outcome the POS took nothing and never
    /// will for this sale.
    OutcomeIs {
        /// The session.
        sale: SaleId,
        /// What became of it.
        outcome: Option<Outcome>,
    },
    /// Durable. A person at the POS settles an attention.
    Override {
        /// The session.
        sale: SaleId,
        /// The reason that is settled.
        reason: Attention,
    },
    /// The language of the shopper, e.g. `ko` or `en`.
    Language {
        /// ISO 639-1.
        code: [u8; 2],
    },
    /// Durable. A person has seen an attention and comes; it stands until its cause goes.
    Acknowledge {
        /// The session that the attention named.
        sale: Option<SaleId>,
        /// The reason that was seen.
        reason: Attention,
    },
    /// What does the counter charge for a product? It answers [`super::ToPos::Price`].
    QueryPrice {
        /// Which product.
        sku: Sku,
    },
    /// A part of the POS's price list: the answer to [`super::ToPos::QueryPrices`], or unasked when prices changed.
    Prices {
        /// Of the list; never 0 and never used for another list. 0 says that the POS gives no prices.
        version: u32,
        /// Counts from 0.
        part: u16,
        /// How many there are.
        parts: u16,
        /// Of every price.
        currency: Currency,
        /// Some of the list.
        prices: heapless::Vec<Price, PRICES_MAX>,
    },
    /// The shopper asks to be recognised, or no longer; the latter is also the answer "that is not me". The face
    /// camera is read in between and never else. Answers are [`super::ToPos::Member`] and [`super::ToPos::Guide`].
    Recognise {
        /// The session.
        sale: SaleId,
        /// Whether it is asked for.
        on: bool,
    },
    /// A person at the POS begins to enrol a member, or stops; stopped before its end nothing is kept.
    Enrol {
        /// The new member's id.
        member: Sku,
        /// The version of the consent text that was shown and agreed to.
        consent: Sku,
        /// Begin or stop.
        on: bool,
    },
}

impl ToTill {
    /// Whether the message must be on disk before it is sent and acknowledged after it is stored.
    pub fn durable(&self) -> bool {
        !matches!(
            self,
            Self::Language { .. }
                | Self::QueryPrice { .. }
                | Self::Prices { .. }
                | Self::Recognise { .. }
                | Self::Enrol { .. }
        )
    }
}
