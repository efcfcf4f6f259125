//! The POS's price list, gathered part by part (SPEC.md 7.1). It asks, waits, asks again a few times, and
//! takes a list only when it is whole.

use till_link::message::PRICES_MAX;
use till_link::{Currency, Price, ToPos};

use crate::checkout::Catalogue;

/// An answer is waited for this long.
const ANSWER_MS: u64 = 1_000;
/// So often it is asked for a part; after that the next connection begins anew.
const ASKED_MAX: u32 = 6;
/// Most parts of a list: 8192 prices.
const PARTS_MAX: u16 = 512;

/// A whole list.
#[derive(Clone, Debug)]
struct List {
    version: u32,
    currency: Currency,
    prices: Vec<Price>,
}

/// What the till is asking for.
#[derive(Clone, Copy, Debug)]
struct Question {
    version: u32,
    part: u16,
    due_ms: u64,
    asked: u32,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Prices {
    question: Option<Question>,
    /// As far as it has come, and of how many parts it is.
    gathering: Option<(List, u16)>,
    whole: Option<List>,
    /// The whole list was not taken by the core yet.
    due: bool,
}

impl Prices {
    /// The POS may have another list than before.
    pub fn link_is_up(&mut self, now_ms: u64) {
        self.gathering = None;
        self.question = Some(Question { version: 0, part: 0, due_ms: now_ms, asked: 0 });
    }

    /// The question that is due.
    pub fn poll(&mut self, now_ms: u64) -> Option<ToPos> {
        let question = self.question.as_mut().filter(|question| now_ms >= question.due_ms)?;
        if question.asked == ASKED_MAX {
            // A POS that gives no prices and does not say so.
            self.question = None;
            self.gathering = None;
            return None;
        }
        question.asked += 1;
        question.due_ms = now_ms.saturating_add(ANSWER_MS);
        Some(ToPos::QueryPrices { version: question.version, part: question.part })
    }

    /// A part of a list came: its version, its number, how many there are.
    pub fn heard(
        &mut self,
        now_ms: u64,
        (version, part, parts): (u32, u16, u16),
        currency: Currency,
        prices: &[Price],
    ) {
        let known = self.whole.as_ref().is_some_and(|list| list.version == version);
        let gathered = self.gathering.as_ref().is_some_and(|(list, _)| list.version == version);
        if version == 0 || known && !gathered {
            // It gives none, or none that is new.
            if self.question.is_some_and(|question| question.part == 0) {
                self.question = None;
            }
            return;
        }
        if part == 0 && !gathered {
            let list = List { version, currency, prices: Vec::new() };
            self.gathering = Some((list, parts));
        }
        let Some((list, of)) = &mut self.gathering else { return };
        let awaited = u16::try_from(list.prices.len().div_ceil(PRICES_MAX)).unwrap_or(u16::MAX);
        let last = part.checked_add(1) == Some(parts);
        let shaped = parts == *of && part < parts && parts <= PARTS_MAX && (last || prices.len() == PRICES_MAX);
        if list.version != version || part != awaited || !shaped || currency != list.currency {
            return;
        }
        list.prices.extend_from_slice(prices);
        if last {
            log::info!("prices: list {version} of the POS with {} prices came", list.prices.len());
            self.whole = self.gathering.take().map(|(list, _)| list);
            self.question = None;
            self.due = true;
        } else {
            self.question = Some(Question { version, part: part.saturating_add(1), due_ms: now_ms, asked: 0 });
        }
    }

    /// Whether a list waits for the core.
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// The core has it.
    pub fn taken(&mut self) {
        self.due = false;
    }

    /// The store's goods for the POS's prices; `None` without any, or where they can't be used.
    pub fn applied_to(&mut self, own: &Catalogue) -> Option<Catalogue> {
        let list = self.whole.as_ref()?;
        match own.with_prices(list.version, list.currency, &list.prices) {
            Ok(priced) => Some(priced),
            Err(error) => {
                log::error!("prices: list {} of the POS is not taken: {error}", list.version);
                self.whole = None;
                self.due = false;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use till_link::Sku;

    use super::*;

    const KRW: Currency = Currency(*b"KRW");

    fn list(count: usize) -> Vec<Price> {
        let price = |i: usize| Price { sku: Sku::try_from(format!("SKU-{i}").as_str()).unwrap(), unit_minor: i as i64 };
        (0..count).map(price).collect()
    }

    fn parts(count: usize) -> u16 {
        count.div_ceil(PRICES_MAX).max(1) as u16
    }

    /// Answers as SPEC.md 7.1 has it, losing each `lose`th answer.
    fn gather(prices: &mut Prices, version: u32, list: &[Price], lose: usize) -> u64 {
        let mut now_ms = 0;
        for round in 1..400 {
            now_ms += 100;
            let Some(ToPos::QueryPrices { part, .. }) = prices.poll(now_ms) else { continue };
            if round % lose != 0 {
                let some = list.chunks(PRICES_MAX).nth(usize::from(part)).unwrap_or(&[]);
                prices.heard(now_ms, (version, part, parts(list.len())), KRW, some);
            }
        }
        now_ms
    }

    #[test]
    fn a_list_is_taken_when_it_is_whole_whatever_was_lost() {
        for (count, lose) in [(1, 1_000), (16, 1_000), (17, 3), (100, 7), (0, 1_000)] {
            let mut prices = Prices::default();
            prices.link_is_up(0);
            gather(&mut prices, 5, &list(count), lose);
            assert!(prices.is_due(), "{count}");
            assert_eq!(prices.whole.as_ref().unwrap().prices, list(count));
            assert!(prices.poll(1_000_000).is_none(), "nothing more is asked");
        }
    }

    #[test]
    fn a_pos_without_prices_is_asked_six_times_and_one_that_says_so_once() {
        let mut prices = Prices::default();
        prices.link_is_up(0);
        assert_eq!((0..100).filter_map(|n| prices.poll(n * 1_000)).count(), 6);
        prices.link_is_up(0);
        assert!(prices.poll(0).is_some());
        prices.heard(10, (0, 0, 0), KRW, &[]);
        assert!(prices.poll(1_000_000).is_none());
        assert!(!prices.is_due());
    }

    #[test]
    fn a_list_that_changes_on_the_way_is_begun_anew_and_mixed_parts_are_not_taken() {
        let mut prices = Prices::default();
        prices.link_is_up(0);
        let (old, new) = (list(40), list(20));
        prices.heard(0, (5, 0, 3), KRW, &old[..16]);
        prices.heard(0, (6, 1, 2), KRW, &new[16..]);
        prices.heard(0, (5, 2, 3), KRW, &old[32..]);
        prices.heard(0, (5, 1, 3), Currency(*b"EUR"), &old[16..32]);
        prices.heard(0, (5, 1, 4), KRW, &old[16..32]);
        prices.heard(0, (5, 1, 3), KRW, &old[16..20]);
        assert!(!prices.is_due());
        assert_eq!(prices.poll(0), Some(ToPos::QueryPrices { version: 5, part: 1 }));
        prices.heard(0, (6, 0, 2), KRW, &new[..16]);
        assert_eq!(prices.poll(0), Some(ToPos::QueryPrices { version: 6, part: 1 }));
        prices.heard(0, (6, 1, 2), KRW, &new[16..]);
        assert!(prices.is_due());
        assert_eq!(prices.whole.as_ref().unwrap().prices, new);
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_pos_says_memory_is_bounded(said in proptest::collection::vec((0u32..3, 0u16..600, 0u16..600, 0usize..17), 0..800)) {
            let mut prices = Prices::default();
            prices.link_is_up(0);
            for (version, part, parts, count) in said {
                prices.heard(0, (version, part, parts), KRW, &list(count));
                let held = prices.gathering.as_ref().map_or(0, |(list, _)| list.prices.len());
                proptest::prop_assert!(held <= usize::from(PARTS_MAX) * PRICES_MAX);
            }
        }
    }
}
