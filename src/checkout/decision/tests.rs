//! The mass's decisions by hand, and against a count of every way to name what is in doubt.

use std::collections::BTreeSet;

use proptest::prelude::*;
use till_link::{Attention, Currency};

use super::*;
use crate::checkout::cart::{Tally, tally};
use crate::vision::{Class, TrayObservation};

const VOTES_MIN: u16 = 5;

/// Products `p0`, `p1`, ... with the masses and tolerances given.
fn catalogue(products: &[(i32, i32)]) -> Catalogue {
    let mut text = "sku,name,price_minor,currency,mass_g,mass_tolerance_g\n".to_owned();
    for (i, (mass_g, tolerance_g)) in products.iter().enumerate() {
        text += &format!("p{i},P{i},{},KRW,{mass_g},{tolerance_g}\n", 100 * (i + 1));
    }
    Catalogue::parse(text.as_bytes(), Currency(*b"KRW")).unwrap()
}

fn item(class: Class, candidates: &[u16]) -> TrayItem {
    let mut item = TrayItem {
        track: 0,
        class,
        candidates: Default::default(),
        votes: 12,
        frames: 20,
        score_permille: 800,
        bbox: [0.0; 4],
        clipped: false,
        overlapped: false,
        stable: true,
    };
    for (i, (slot, label)) in item.candidates.iter_mut().zip(candidates).enumerate() {
        let score_permille = 500 - 10 * i as u16;
        *slot = Some(Candidate { label: *label, share_permille: 450, votes: 18 - i as u16, score_permille });
    }
    item
}

fn tray(items: &[TrayItem]) -> TrayObservation {
    let mut tray = TrayObservation { settled: true, ..TrayObservation::default() };
    items.iter().for_each(|item| tray.items.push(*item).unwrap());
    tray
}

fn tallied(products: &[(i32, i32)], items: &[TrayItem], mass_g: Option<i32>) -> Tally {
    let labels: Vec<Option<u16>> = (0..products.len() as u16).map(Some).collect();
    tally(&tray(items), &catalogue(products), &labels, mass_g, VOTES_MIN)
}

fn goods(tally: &Tally) -> Vec<(&str, u16)> {
    tally.cart.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect()
}

const SHOP: &[(i32, i32)] = &[(100, 4), (140, 4), (143, 4), (500, 10)];

#[test]
fn the_load_parts_two_that_look_alike_and_the_evidence_is_that_of_the_one() {
    let doubt = item(Class::Unsure, &[0, 1]);
    let sure = item(Class::Product(3), &[3]);
    let t = tallied(SHOP, &[doubt, sure], Some(641));
    assert_eq!((goods(&t), t.against, t.by_mass), (vec![("p1", 1), ("p3", 1)], None, 1));
    assert_eq!((t.expected_g, t.tolerance_g, t.cart.total_minor), (640, 14, 600));
    let evidence = Evidence { votes: 17, frames: 20, score_permille: 490, mass_agrees: true };
    assert_eq!(t.cart.lines[0].evidence, evidence, "the second candidate's votes and score");
    // The same tray with the other's load, with none that fits, and without a scale.
    assert_eq!(goods(&tallied(SHOP, &[doubt, sure], Some(601))), [("p0", 1), ("p3", 1)]);
    for mass_g in [Some(700), Some(0), Some(500), None] {
        let t = tallied(SHOP, &[doubt, sure], mass_g);
        assert_eq!((goods(&t), t.against, t.by_mass), (vec![("p3", 1)], Some(Attention::UncertainItem), 0));
    }
}

#[test]
fn where_two_fit_nobody_is_charged() {
    // 140 and 143 grams: 141 is both.
    let t = tallied(SHOP, &[item(Class::Unsure, &[1, 2])], Some(141));
    assert_eq!((goods(&t), t.against), (vec![], Some(Attention::UncertainItem)));
    // 137 is only one of them.
    assert_eq!(goods(&tallied(SHOP, &[item(Class::Unsure, &[1, 2])], Some(137))), [("p1", 1)]);
    // A third candidate that fits spoils it, even with few votes.
    let mut third = item(Class::Unsure, &[0, 1, 2]);
    third.candidates[2] = third.candidates[2].map(|c| Candidate { votes: 1, ..c });
    assert_eq!(tallied(SHOP, &[third], Some(141)).against, Some(Attention::UncertainItem));
    // Two items that may swap their names are one cart.
    let doubt = item(Class::Unsure, &[0, 1]);
    assert_eq!(goods(&tallied(SHOP, &[doubt, doubt], Some(240))), [("p0", 1), ("p1", 1)]);
    assert_eq!(goods(&tallied(SHOP, &[doubt, doubt], Some(280))), [("p1", 2)]);
}

#[test]
fn what_the_load_can_not_say_stays_unsure() {
    let doubt = item(Class::Unsure, &[0, 1]);
    let uncertain = |items: &[TrayItem], mass_g| {
        let t = tallied(SHOP, items, Some(mass_g));
        assert_eq!((t.by_mass, t.against.is_some()), (0, true), "{items:?}");
    };
    uncertain(&[item(Class::Unsure, &[])], 100);
    uncertain(&[item(Class::Unsure, &[0])], 100);
    // A label that the store doesn't sell: nobody knows what it weighs.
    uncertain(&[item(Class::Unsure, &[0, 9])], 100);
    // Something unknown lies beside it, something that moves, something seen too seldom.
    uncertain(&[doubt, item(Class::Unknown, &[])], 100);
    uncertain(&[doubt, TrayItem { stable: false, ..item(Class::Product(3), &[3]) }], 100);
    uncertain(&[doubt, TrayItem { votes: 2, ..item(Class::Product(3), &[3]) }], 100);
    // What fits was hardly ever named.
    let mut seldom = doubt;
    seldom.candidates[1] = seldom.candidates[1].map(|c| Candidate { votes: 4, ..c });
    uncertain(&[seldom], 140);
    // More doubts than are decided at once.
    uncertain(&[doubt; DOUBTS_MAX + 1], 100 * (DOUBTS_MAX as i32 + 1));
}

/// Every cart that the doubts allow and the load explains, as product counts.
fn every_cart(products: &[(i32, i32)], sure: &[u16], doubts: &[Vec<u16>], mass_g: i32) -> BTreeSet<Vec<u16>> {
    let mut carts = BTreeSet::from([vec![]]);
    for doubt in doubts {
        carts = carts.iter().flat_map(|cart: &Vec<u16>| doubt.iter().map(|d| [&cart[..], &[*d]].concat())).collect();
    }
    carts
        .into_iter()
        .map(|mut cart| {
            cart.extend(sure);
            cart.sort_unstable();
            cart
        })
        .filter(|cart| {
            let (mass, tolerance) = cart.iter().fold((0, 0), |(m, t), p| {
                let (mass_g, tolerance_g) = products[usize::from(*p)];
                (m + mass_g, t + tolerance_g)
            });
            (mass_g - mass).abs() <= tolerance
        })
        .collect()
}

proptest! {
    #[test]
    fn never_charged_when_two_assignments_fit(
        products in prop::collection::vec((20i32..80, 0i32..8), 6),
        sure in prop::collection::vec(0u16..6, 0..3),
        doubts in prop::collection::vec(prop::collection::btree_set(0u16..6, 2..=4), 1..=DOUBTS_MAX),
        truth in any::<[prop::sample::Index; DOUBTS_MAX]>(),
        error_g in -12i32..12,
    ) {
        let doubts: Vec<Vec<u16>> = doubts.into_iter().map(|d| d.into_iter().collect()).collect();
        let real = sure.iter().copied().chain(doubts.iter().zip(truth).map(|(d, at)| d[at.index(d.len())]));
        let mass_g = error_g + real.map(|p| products[usize::from(p)].0).sum::<i32>();
        let items: Vec<TrayItem> = sure
            .iter()
            .map(|p| item(Class::Product(*p), &[*p]))
            .chain(doubts.iter().map(|d| item(Class::Unsure, d)))
            .collect();
        let t = tallied(&products, &items, Some(mass_g));
        let carts = every_cart(&products, &sure, &doubts, mass_g);
        match carts.len() {
            1 => {
                let mut charged: Vec<u16> = Vec::new();
                for line in &t.cart.lines {
                    let product: u16 = line.sku.as_str()[1..].parse().unwrap();
                    charged.extend(std::iter::repeat_n(product, usize::from(line.quantity)));
                }
                prop_assert_eq!(t.against, None);
                prop_assert_eq!((Some(&charged), t.by_mass), (carts.first(), doubts.len() as u16));
                prop_assert!(t.cart.lines.iter().all(|line| line.evidence.mass_agrees));
            }
            _ => prop_assert_eq!((t.against, t.by_mass), (Some(Attention::UncertainItem), 0)),
        }
    }
}
