//! A POS's own price list: SPEC 7.1. A POS that gives none says so, and has nothing else to show.

use std::collections::BTreeSet;

use till_link::message::PRICES_MAX;
use till_link::{Currency, Price, ToPos, ToTill};

use super::{Check, check};
use crate::conform::Level::Payment;
use crate::conform::player::{Miss, Player, Step, encoded, fail};
use crate::conform::raw::kind;

pub(super) const CHECKS: &[Check] = &[
    check("L-094", "answers QueryPrices with part 0 of its list, or says that it gives none", Payment, answers),
    check("L-094", "gives its whole list: 512 parts at most, 16 prices in each but the last", Payment, whole_list),
    check("L-095", "gives its list one version, which is not 0, and no other list under it", Payment, one_version),
    check("L-095", "answers a question for another version with part 0 of the newest", Payment, another_version),
    check("L-096", "gives no price twice, none below 0, and all in one currency", Payment, takeable),
];

/// A till waits so long for an answer, and asks again so often.
const ANSWER_MS: u64 = 1_000;
const ASKED_MAX: u32 = 6;
/// A list of more parts is none.
const PARTS_MAX: u16 = 512;

/// A part of a list as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    version: u32,
    part: u16,
    parts: u16,
    currency: Currency,
    prices: Vec<Price>,
}

impl Part {
    /// A POS that gives no list says this.
    fn is_none(&self) -> bool {
        (self.version, self.part, self.parts) == (0, 0, 0) && self.prices.is_empty()
    }
}

/// Asks as a till does, until the answer comes; `None` when none does.
fn ask(p: &mut Player<'_>, version: u32, part: u16) -> Step<Option<Part>> {
    for _ in 0..ASKED_MAX {
        p.send(kind::EVENT, &encoded(&ToPos::QueryPrices { version, part }))?;
        let answer = p.until(ANSWER_MS, |frame| match frame.volatile() {
            Some(ToTill::Prices { version, part, parts, currency, prices }) => {
                Some(Part { version, part, parts, currency, prices: prices.to_vec() })
            }
            _ => None,
        })?;
        if answer.is_some() {
            return Ok(answer);
        }
    }
    Ok(None)
}

/// Part 0 of the newest list.
fn newest(p: &mut Player<'_>) -> Step<Part> {
    p.come_up()?;
    match ask(p, 0, 0)? {
        None => Err(Miss::NotRun("it answers no question for prices".into())),
        Some(part) if part.is_none() => Err(Miss::NotApplicable("it gives no price list, and says so".into())),
        Some(part) => Ok(part),
    }
}

fn answers(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    match ask(p, 0, 0)? {
        None => fail(format!("no answer, though asked {ASKED_MAX} times; a POS that gives no prices says so (7.1)")),
        Some(part) if part.is_none() || part.part == 0 && part.parts > 0 => Ok(()),
        Some(part) => fail(format!(
            "asked for version 0, part 0; the answer is version {}, part {} of {}, with {} prices",
            part.version,
            part.part,
            part.parts,
            part.prices.len()
        )),
    }
}

fn gather(p: &mut Player<'_>) -> Step<Vec<Part>> {
    let first = newest(p)?;
    let (version, parts) = (first.version, first.parts);
    if version == 0 && parts > 1 {
        return Err(Miss::NotRun("of a list with version 0 no part but the first can be asked for".into()));
    }
    let mut list = vec![first];
    for part in 1..parts.min(PARTS_MAX) {
        match ask(p, version, part)? {
            Some(next) => list.push(next),
            None => return fail(format!("part {part} of {parts} does not come")),
        }
    }
    Ok(list)
}

fn whole_list(p: &mut Player<'_>) -> Step {
    let list = gather(p)?;
    let (version, parts) = list.first().map_or((0, 0), |first| (first.version, first.parts));
    if parts > PARTS_MAX {
        return fail(format!("a list of {parts} parts"));
    }
    for (part, asked) in list.iter().zip(0u16..) {
        if (part.version, part.part, part.parts) != (version, asked, parts) {
            return fail(format!(
                "asked for version {version}, part {asked} of {parts}; the answer is version {}, part {} of {}",
                part.version, part.part, part.parts
            ));
        }
        if part.prices.len() < PRICES_MAX && asked + 1 < parts {
            return fail(format!("part {asked} of {parts} has {} prices", part.prices.len()));
        }
    }
    Ok(())
}

fn one_version(p: &mut Player<'_>) -> Step {
    if newest(p)?.version == 0 {
        return fail("its list has version 0");
    }
    let (list, again) = (gather(p)?, gather(p)?);
    if again == list {
        return Ok(());
    }
    let version = |list: &[Part]| list.first().map_or(0, |part| part.version);
    if version(&again) != version(&list) {
        return Err(Miss::NotRun("its list was replaced by another one under test".into()));
    }
    fail(format!("other prices than before under version {}", version(&list)))
}

fn another_version(p: &mut Player<'_>) -> Step {
    let first = newest(p)?;
    let asked = first.version.wrapping_add(1).max(1);
    match ask(p, asked, first.parts.saturating_sub(1).max(1))? {
        Some(part) if part == first => Ok(()),
        Some(part) => fail(format!(
            "asked for version {asked} it answers with version {}, part {} of {}",
            part.version, part.part, part.parts
        )),
        None => fail(format!("no answer to a question for version {asked}")),
    }
}

fn takeable(p: &mut Player<'_>) -> Step {
    let list = gather(p)?;
    let currency = list.first().map_or(Currency(*b"XXX"), |part| part.currency);
    let mut skus = BTreeSet::new();
    for part in &list {
        if part.currency != currency {
            return fail(format!("part {} is in {}, part 0 in {}", part.part, part.currency.code(), currency.code()));
        }
        for price in &part.prices {
            if price.unit_minor < 0 {
                return fail(format!("{:?} costs {}", price.sku, price.unit_minor));
            }
            if !skus.insert(price.sku.clone()) {
                return fail(format!("{:?} stands twice in it", price.sku));
            }
        }
    }
    Ok(())
}
