//! The POS's own price list, as it answers the counter with it (SPEC.md 7.1).

use till_link::message::PRICES_MAX;
use till_link::{Currency, Price, ToTill};

use crate::checkout::Catalogue;

/// What the POS charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList {
    /// Never 0, and another one for each other list.
    pub version: u32,
    /// Of every price.
    pub currency: Currency,
    /// Each product once.
    pub prices: Vec<Price>,
}

impl From<&Catalogue> for PriceList {
    fn from(catalogue: &Catalogue) -> Self {
        let price =
            |product: &crate::checkout::Product| Price { sku: product.sku.clone(), unit_minor: product.price_minor };
        Self {
            version: catalogue.version().max(1),
            currency: catalogue.currency(),
            prices: catalogue.products().iter().map(price).collect(),
        }
    }
}

/// The answer to a question for `part` of list `version`.
pub(super) fn answer(list: Option<&PriceList>, version: u32, part: u16) -> ToTill {
    let Some(list) = list else {
        let currency = Currency(*b"XXX");
        return ToTill::Prices { version: 0, part: 0, parts: 0, currency, prices: heapless::Vec::new() };
    };
    let part = if version == list.version { part } else { 0 };
    let parts = u16::try_from(list.prices.len().div_ceil(PRICES_MAX).max(1)).unwrap_or(u16::MAX);
    let prices = list.prices.chunks(PRICES_MAX).nth(usize::from(part)).unwrap_or(&[]).iter().cloned().collect();
    ToTill::Prices { version: list.version, part, parts, currency: list.currency, prices }
}
