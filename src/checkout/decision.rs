//! Mass decides: where the camera knows that an item is one of a few products but not which, the scale picks
//! one, if exactly one way of naming all such items explains the load. Must never pick where two ways do: then
//! the item stays unsure, and unsure is never charged.

use till_link::Evidence;

use crate::checkout::{Catalogue, Product};
use crate::vision::{CANDIDATES_MAX, Candidate, TrayItem};

/// Most items that the mass decides at once. With more the sums of what they may be lie too close.
pub const DOUBTS_MAX: usize = 3;

/// What is sure, as the scale sees it.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What the scale shows, grams.
    pub measured_g: i64,
    /// What the sure items weigh by the catalogue, grams.
    pub sure_g: i64,
    /// How far those may be off, grams.
    pub tolerance_g: i64,
}

/// One item and what it was decided to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided<'c> {
    /// The product.
    pub product: &'c Product,
    /// Frames and score of this product alone; frames of the item.
    pub evidence: Evidence,
}

/// Everything decided, in the order of the items.
pub type Decision<'c> = heapless::Vec<Decided<'c>, DOUBTS_MAX>;

/// What an item may be: the product's place in the catalogue, and what the camera says for it.
type Options = heapless::Vec<(u16, Candidate), CANDIDATES_MAX>;

/// Names `items`, all that the camera is unsure of, by the load. `None` when no way of naming them explains
/// it, when two that would be charged differently do, when a candidate isn't in the catalogue (nobody knows
/// its mass), when there is nothing to choose from, or when what fits was named in fewer than `votes_min`
/// frames.
pub fn decide<'c>(
    items: &[&TrayItem],
    catalogue: &'c Catalogue,
    labels: &[Option<u16>],
    load: Load,
    votes_min: u16,
) -> Option<Decision<'c>> {
    let mut doubts: heapless::Vec<Options, DOUBTS_MAX> = heapless::Vec::new();
    for item in items {
        let mut options = Options::new();
        for candidate in item.candidates.iter().flatten() {
            let index = labels.get(usize::from(candidate.label)).copied().flatten()?;
            options.push((index, *candidate)).ok()?;
        }
        // Of a single candidate the camera said that it is not sure; mass alone is no reason to be.
        if options.len() < 2 {
            return None;
        }
        doubts.push(options).ok()?;
    }
    let mut found: Option<[Option<(u16, Candidate)>; DOUBTS_MAX]> = None;
    let ways: usize = doubts.iter().map(|options| options.len()).product();
    for way in 0..ways {
        let named = named(&doubts, way);
        if !fits(&named, catalogue, load)? {
            continue;
        }
        match &found {
            None => found = Some(named),
            // Two items that swap their names are the same cart.
            Some(first) if goods(first) == goods(&named) => {}
            Some(_) => return None,
        }
    }
    let mut decision = Decision::new();
    for ((index, candidate), item) in found?.into_iter().flatten().zip(items) {
        if candidate.votes < votes_min {
            return None;
        }
        let Candidate { votes, score_permille, .. } = candidate;
        let evidence = Evidence { votes, frames: item.frames, score_permille, mass_agrees: true };
        decision.push(Decided { product: catalogue.products().get(usize::from(index))?, evidence }).ok()?;
    }
    Some(decision)
}

/// Number `way` of all ways to name the items; 0 gives each its best candidate.
fn named(doubts: &[Options], mut way: usize) -> [Option<(u16, Candidate)>; DOUBTS_MAX] {
    let mut named = [None; DOUBTS_MAX];
    for (slot, options) in named.iter_mut().zip(doubts) {
        let n = options.len().max(1);
        *slot = options.get(way % n).copied();
        way /= n;
    }
    named
}

fn fits(named: &[Option<(u16, Candidate)>], catalogue: &Catalogue, load: Load) -> Option<bool> {
    let (mut expected_g, mut tolerance_g) = (load.sure_g, load.tolerance_g);
    for (index, _) in named.iter().flatten() {
        let product = catalogue.products().get(usize::from(*index))?;
        expected_g += i64::from(product.mass_g);
        tolerance_g += i64::from(product.mass_tolerance_g);
    }
    Some((load.measured_g - expected_g).abs() <= tolerance_g)
}

/// The products alone, in the catalogue's order.
fn goods(named: &[Option<(u16, Candidate)>; DOUBTS_MAX]) -> [Option<u16>; DOUBTS_MAX] {
    let mut goods = named.map(|n| n.map(|(index, _)| index));
    goods.sort_unstable();
    goods
}

#[cfg(test)]
mod tests;
