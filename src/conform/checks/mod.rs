//! Every requirement of `link/SPEC.md` that can be seen from the wire, as a check with its id. A check begins
//! with a new life of the till, so that one failure does not make the next.

mod durable;
mod frames;
mod link;
mod noise;
mod payment;
mod prices;
mod sealed;
mod secured;

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
    /// On which kind of link.
    pub link: Link,
    /// Plays it.
    pub run: fn(&mut Player<'_>) -> Step,
}

/// On which kind of link a check is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// On both: on a secured one all of it is proved and sealed.
    Any,
    /// Without security; on a secured link section 8 says otherwise.
    Plain,
    /// On a secured link.
    Secured,
}

const fn check(id: &'static str, name: &'static str, level: Level, run: fn(&mut Player<'_>) -> Step) -> Check {
    Check { id, name, level, link: Link::Any, run }
}

const fn plain(id: &'static str, name: &'static str, run: fn(&mut Player<'_>) -> Step) -> Check {
    Check { id, name, level: Level::Display, link: Link::Plain, run }
}

const fn keyed(id: &'static str, name: &'static str, run: fn(&mut Player<'_>) -> Step) -> Check {
    Check { id, name, level: Level::Display, link: Link::Secured, run }
}

/// All of them, in the order in which they are made.
pub fn all() -> impl Iterator<Item = &'static Check> {
    link::CHECKS
        .iter()
        .chain(secured::CHECKS)
        .chain(sealed::CHECKS)
        .chain(frames::CHECKS)
        .chain(durable::CHECKS)
        .chain(prices::CHECKS)
        .chain(payment::CHECKS)
        .chain(noise::CHECKS)
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
    ("L-073", "a rule for the till: a POS sends no pictures"),
    ("L-082", "a rule for the till"),
    ("L-084", "money given back is not on the wire: see that the POS says so when a paid sale is closed otherwise"),
    ("L-086", "a rule for the till"),
    ("L-089", "a rule for the till"),
    ("L-091", "a rule for the till"),
    ("L-092", "needs a person who acknowledges at the POS; that nothing else follows is a rule for the till"),
    ("L-093", "a picture is on the POS's screen only; that parts of one do no harm is played under L-003"),
    ("L-097", "a rule for the till"),
    ("L-098", "needs a disk that loses what it had said was safe: cut the end off the POS's journal"),
    ("L-101", "about later versions"),
    ("L-102", "about the vectors"),
    ("L-201", "how a key is kept: see who may read it where it lies, and that no log shows it"),
    ("L-202", "needs times of nanoseconds, which no line shows: see that the comparison looks at every byte"),
    ("L-212", "how keys are given out"),
    (
        "L-300",
        "whether a person asked is not on the wire: see that the POS asks for a face by a person's own touch only",
    ),
    ("L-301", "a rule for the till"),
    ("L-302", "needs a shopper who says yes or no"),
    ("L-303", "needs a person who agrees: see that the POS shows the text first"),
];
