//! The tray as a cart: which lines, on what evidence, and what speaks against a sale.

use till_link::message::LINES_MAX;
use till_link::{Attention, Cart, Evidence, Line};

use crate::checkout::decision::{DOUBTS_MAX, Load, decide};
use crate::checkout::{Catalogue, Product};
use crate::vision::{Class, TrayItem, TrayObservation};

/// A cart and what was found wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The sure items.
    pub cart: Cart,
    /// What the catalogue says the cart weighs, grams.
    pub expected_g: i64,
    /// How far it may be off: the sum of mass_tolerance_g over all items, grams.
    pub tolerance_g: i64,
    /// |measured - expected| is within the tolerance; `None` while there is no scale.
    pub mass_agrees: Option<bool>,
    /// Items that the camera was unsure of and the mass decided; they are in the cart.
    pub by_mass: u16,
    /// The gravest thing that stands against a sale, as far as the tray itself tells.
    pub against: Option<Attention>,
}

/// Tallies what lies on the tray. `labels` gives each of the engine's labels its product; `mass_g` is what
/// the scale shows; items with fewer than `votes_min` votes are not believed.
pub fn tally(
    observation: &TrayObservation,
    catalogue: &Catalogue,
    labels: &[Option<u16>],
    mass_g: Option<i32>,
    votes_min: u16,
) -> Tally {
    let mut cart = Cart {
        lines: heapless::Vec::new(),
        total_minor: 0,
        currency: catalogue.currency(),
        catalogue_version: catalogue.version(),
        mass_g: mass_g.unwrap_or(0),
    };
    let (mut expected_g, mut tolerance_g) = (0i64, 0i64);
    let mut too_many = observation.too_many;
    let (mut unknown, mut unsure, mut overlapped, mut clipped) = (false, false, false, false);
    let mut doubts: heapless::Vec<&TrayItem, DOUBTS_MAX> = heapless::Vec::new();
    // Whether everything that lies there is named or in doubt: else the load says nothing about the doubts.
    let mut complete = !too_many;
    for item in &observation.items {
        overlapped |= item.overlapped;
        clipped |= item.clipped;
        complete &= item.stable;
        let Class::Product(label) = item.class else {
            // A thing that passed by is not yet a reason to bother anybody.
            unknown |= item.stable && item.class == Class::Unknown;
            if item.stable && item.class == Class::Unsure {
                unsure = true;
                complete &= doubts.push(item).is_ok();
            }
            continue;
        };
        if !item.stable || item.votes < votes_min {
            complete = false;
            continue;
        }
        let index = labels.get(usize::from(label)).copied().flatten();
        let Some(product) = index.and_then(|index| catalogue.products().get(usize::from(index))) else {
            unknown = true;
            continue;
        };
        expected_g += i64::from(product.mass_g);
        tolerance_g += i64::from(product.mass_tolerance_g);
        let evidence = Evidence {
            votes: item.votes,
            frames: item.frames,
            score_permille: item.score_permille,
            mass_agrees: false,
        };
        too_many |= !add(&mut cart, product, evidence);
    }
    let mut by_mass = 0;
    if let Some(mass_g) = mass_g
        && unsure
        && complete
        && !unknown
    {
        let load = Load { measured_g: i64::from(mass_g), sure_g: expected_g, tolerance_g };
        for decided in decide(&doubts, catalogue, labels, load, votes_min).iter().flatten() {
            expected_g += i64::from(decided.product.mass_g);
            tolerance_g += i64::from(decided.product.mass_tolerance_g);
            too_many |= !add(&mut cart, decided.product, decided.evidence);
            by_mass += 1;
            unsure = false;
        }
    }
    debug_assert!(cart.lines.len() <= LINES_MAX);
    // The order of the tray changes with each frame; a receipt's should not.
    cart.lines.sort_unstable_by(|a, b| a.sku.cmp(&b.sku));
    match cart.sum_minor() {
        Some(sum) => cart.total_minor = sum,
        None => too_many = true,
    }
    let mass_agrees = mass_g.map(|mass_g| (i64::from(mass_g) - expected_g).abs() <= tolerance_g);
    for line in &mut cart.lines {
        line.evidence.mass_agrees = mass_agrees == Some(true);
    }
    // Where the scale vouches for the whole cart, a pack under another or over the edge was counted right.
    let doubtful = mass_agrees != Some(true);
    let against = if too_many {
        Some(Attention::TooManyItems)
    } else if unknown {
        Some(Attention::UnknownItem)
    } else if unsure {
        Some(Attention::UncertainItem)
    } else if doubtful && overlapped {
        Some(Attention::Overlap)
    } else if doubtful && clipped {
        Some(Attention::OutOfPicture)
    } else if mass_agrees == Some(false) {
        Some(Attention::MassMismatch)
    } else {
        None
    };
    Tally { cart, expected_g, tolerance_g, mass_agrees, by_mass, against }
}

/// One more of `product`; false when there is no room for another line. A line is as believable as its weakest
/// item.
fn add(cart: &mut Cart, product: &Product, evidence: Evidence) -> bool {
    if let Some(line) = cart.lines.iter_mut().find(|line| line.sku == product.sku) {
        line.quantity = line.quantity.saturating_add(1);
        line.evidence = Evidence {
            votes: line.evidence.votes.min(evidence.votes),
            frames: line.evidence.frames.min(evidence.frames),
            score_permille: line.evidence.score_permille.min(evidence.score_permille),
            mass_agrees: false,
        };
        return true;
    }
    let line = Line {
        sku: product.sku.clone(),
        name: product.name.clone(),
        unit_minor: product.price_minor,
        quantity: 1,
        evidence,
    };
    cart.lines.push(line).is_ok()
}

/// Whether two carts sell the same goods at the same price, whatever the evidence.
pub fn same_goods(a: &Cart, b: &Cart) -> bool {
    a.total_minor == b.total_minor
        && a.lines.len() == b.lines.len()
        && a.lines.iter().zip(&b.lines).all(|(a, b)| a.sku == b.sku && a.quantity == b.quantity)
}
