//! What holds for every cart, whatever its seed.

use std::path::Path;

use till_link::Currency;

use super::*;
use crate::checkout::Catalogue;
use crate::replay::store::film::Film;

fn store() -> Store {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let catalogue = Catalogue::load(&demo.join("catalogue.csv"), Currency(*b"KRW")).unwrap();
    Store::load(&demo.join("sprites"), &catalogue).unwrap()
}

#[test]
fn a_seed_is_a_cart_and_what_is_expected_is_what_lies_there() {
    let store = store();
    for (seed, kind) in (0..).zip(Kind::ALL.into_iter().cycle().take(130)) {
        let cart = Cart::new(&store, kind, seed);
        let again = Cart::new(&store, kind, seed);
        assert_eq!((&cart.lies, &cart.script.events), (&again.lies, &again.script.events));
        // The last loads before the end, while everything lies there, are those of the goods.
        let load = cart.script.events.iter().rev().find_map(|(at_ms, event)| match event {
            RawEvent::LoadGrams(grams) if *at_ms < cart.taken_ms => Some(*grams),
            _ => None,
        });
        let lying = cart.actors.iter().filter(|actor| actor.at(cart.taken_ms - 1).is_some_and(|place| place.still));
        let (count, grams) = lying.fold((0, 0), |(n, grams), actor| (n + 1, grams + actor.grams));
        assert_eq!(count, cart.lies.values().sum::<u16>(), "{kind:?} {seed}");
        let off = (load.unwrap() - grams).abs();
        let lies = matches!(kind, Kind::TooLight | Kind::TooHeavy);
        assert_eq!(off > 3, lies, "{kind:?} {seed}: {off} g");
        let paid = cart.script.expect.outcome == ExpectedOutcome::Paid;
        let strange = cart.lies.keys().any(|name| name.starts_with('u'));
        assert_eq!(paid, !strange && !lies, "{kind:?} {seed}");
        let minor: i64 = cart.script.expect.line.iter().map(|line| i64::from(line.quantity)).sum();
        assert_eq!(paid, minor > 0 && minor == i64::from(count));
    }
}

#[test]
fn a_film_repeats_and_shows_what_lies_there() {
    let store = store();
    let cart = Cart::new(&store, Kind::Few, 3);
    let picture = |at_ms| Film::new(&store, &cart).picture(at_ms);
    assert_eq!(picture(cart.taken_ms), picture(cart.taken_ms));
    let (empty, full) = (picture(0), picture(cart.taken_ms));
    let place = cart.actors[0].at(cart.taken_ms).unwrap();
    let at = (place.y as usize * WIDTH + place.x as usize) * 3;
    let differ = |i: usize| empty[i].abs_diff(full[i]) > 30;
    assert!((at..at + 3).any(differ), "{:?} {:?}", &empty[at..at + 3], &full[at..at + 3]);
}
