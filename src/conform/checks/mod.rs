//! Every requirement of `link/SPEC.md` that can be seen from the wire, as a check with its id. A check begins
//! with a new life of the till, so that one failure does not make the next.

mod durable;
mod frames;
mod link;
mod noise;
mod payment;

use crate::conform::Level;
use crate::conform::player::{Player, Step};

/// One check.
pub struct Check {
    /// Of the requirement.
    pub id: &'static str,
    /// What of it.
    pub name: &'static str,
    /// From which level on.
    pub level: Level,
    /// Plays it.
    pub run: fn(&mut Player<'_>) -> Step,
}

const fn check(id: &'static str, name: &'static str, level: Level, run: fn(&mut Player<'_>) -> Step) -> Check {
    Check { id, name, level, run }
}

/// All of them, in the order in which they are made.
pub fn all() -> impl Iterator<Item = &'static Check> {
    link::CHECKS.iter().chain(frames::CHECKS).chain(durable::CHECKS).chain(payment::CHECKS).chain(noise::CHECKS)
}

/// Requirements that no check plays, and why: most leave no mark on the wire.
pub const NOT_PLAYED: &[(&str, &str)] = &[
    ("L-002", "another rate is a matter of configuration"),
    ("L-004", "modem lines are not part of the bytes"),
    ("L-005", "a port that goes away takes the player's with it"),
    ("L-020", "the sender's shortest form is the till's to show; too long forms are played under L-022"),
    ("L-023", "what a number means"),
    ("L-024", "sales are named by the till"),
    ("L-026", "carts are made by the till"),
    ("L-061", "needs a disk that fails: fill the POS's disk and see that it acknowledges nothing"),
    ("L-062", "needs a power cut between two writes: cut the power in the middle of a sale, many times"),
    ("L-063", "a recommendation"),
    ("L-071", "a POS sends hardly any volatile messages"),
    ("L-072", "a recommendation"),
    ("L-082", "a rule for the till"),
    ("L-084", "money given back is not on the wire: see that the POS says so when a paid sale is closed otherwise"),
    ("L-086", "a rule for the till"),
    ("L-089", "a rule for the till"),
    ("L-091", "a rule for the till"),
    (
        "L-300",
        "whether a person asked is not on the wire: see that the POS asks for a face by a person's own touch only",
    ),
    ("L-301", "a rule for the till"),
    ("L-302", "needs a shopper who says yes or no"),
    ("L-303", "needs a person who agrees: see that the POS shows the text first"),
    ("L-101", "about later versions"),
    ("L-102", "about the vectors"),
    ("L-073", "not played yet"),
    ("L-092", "price lists are not played yet"),
    ("L-093", "price lists are not played yet"),
    ("L-094", "price lists are not played yet"),
    ("L-095", "price lists are not played yet"),
    ("L-096", "price lists are not played yet"),
    ("L-097", "price lists are not played yet"),
    ("L-200", "the secured level is not played yet"),
    ("L-201", "the secured level is not played yet"),
    ("L-202", "the secured level is not played yet"),
    ("L-203", "the secured level is not played yet"),
    ("L-204", "the secured level is not played yet"),
    ("L-205", "the secured level is not played yet"),
    ("L-206", "the secured level is not played yet"),
    ("L-207", "the secured level is not played yet"),
    ("L-208", "the secured level is not played yet"),
    ("L-209", "the secured level is not played yet"),
    ("L-210", "the secured level is not played yet"),
    ("L-211", "the secured level is not played yet"),
    ("L-212", "the secured level is not played yet"),
];
