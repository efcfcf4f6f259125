//! A shopper: comes, puts goods down, changes their mind, looks at the POS, pays or cancels or just goes.
//! Now and then one of the goods is something that must not be sold.

use crate::sim::rng::Rng;
use crate::sim::tray::{PRODUCTS, Seen, THINGS_MAX, Thing, Tray};

/// What the shopper can see of the POS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// An offer stands there.
    pub payable: bool,
    /// This shopper's money was taken.
    pub paid: bool,
}

/// What the shopper does at the POS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Presses pay.
    Pay,
    /// Presses cancel.
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Away,
    Placing { left: u64 },
    Waiting,
    Going,
}

/// The shopper, or the empty floor before the next.
#[derive(Debug)]
pub struct Shopper {
    /// When the shopper does something next.
    pub next_ms: u64,
    /// Somebody stands there.
    pub present: bool,
    mood: Mood,
    patience_ms: u64,
    rng: Rng,
}

impl Shopper {
    /// Nobody is there yet.
    pub fn new(rng: Rng) -> Self {
        Self { next_ms: 500, present: false, mood: Mood::Away, patience_ms: 0, rng }
    }

    /// Everybody goes home and nobody comes any more.
    pub fn close_shop(&mut self, now_ms: u64, tray: &mut Tray) {
        if !tray.things.is_empty() {
            tray.clear(now_ms);
        }
        self.present = false;
        self.mood = Mood::Away;
        self.next_ms = u64::MAX;
    }

    /// What the shopper does now.
    pub fn step(&mut self, now_ms: u64, tray: &mut Tray, screen: Screen) -> Option<Deed> {
        match self.mood {
            Mood::Away => {
                self.present = true;
                self.patience_ms = now_ms + self.rng.between(4_000, 15_000);
                let left = self.rng.between(0, THINGS_MAX as u64 - 1);
                self.mood = Mood::Placing { left };
                self.next_ms = now_ms + self.rng.between(100, 600);
            }
            Mood::Placing { left: 0 } => {
                self.mood = Mood::Waiting;
                self.next_ms = now_ms + self.rng.between(200, 900);
            }
            Mood::Placing { left } => {
                let thing = self.thing(&tray.things);
                tray.put(now_ms, thing);
                self.mood = Mood::Placing { left: left - 1 };
                self.next_ms = now_ms + self.rng.between(150, 700);
            }
            Mood::Waiting => return self.wait(now_ms, tray, screen),
            Mood::Going => {
                if !tray.things.is_empty() {
                    tray.clear(now_ms);
                    self.next_ms = now_ms + self.rng.between(50, 500);
                } else {
                    self.present = false;
                    self.mood = Mood::Away;
                    self.next_ms = now_ms + self.rng.between(900, 2_500);
                }
            }
        }
        None
    }

    fn wait(&mut self, now_ms: u64, tray: &mut Tray, screen: Screen) -> Option<Deed> {
        self.next_ms = now_ms + self.rng.between(150, 500);
        if screen.paid || now_ms >= self.patience_ms {
            self.mood = Mood::Going;
            return None;
        }
        match self.rng.between(0, 99) {
            0..3 if tray.things.len() < THINGS_MAX => {
                let product = self.rng.below(PRODUCTS) as u16;
                let thing = Thing::good(product, Seen::Right);
                tray.put(now_ms, thing);
            }
            3..6 if !tray.things.is_empty() => tray.take(now_ms, self.rng.below(tray.things.len())),
            6..9 => tray.hand_until_ms = now_ms + self.rng.between(100, 1_500),
            9..11 if screen.payable => return Some(Deed::Cancel),
            11..13 => self.mood = Mood::Going,
            13..70 if screen.payable => return Some(Deed::Pay),
            70..90 => {
                // The counter asks for it: what can't be sold is taken off.
                let asked = |thing: &Thing| !thing.sellable() || thing.doubtful() && !screen.payable;
                if let Some(at) = tray.things.iter().position(asked) {
                    tray.take(now_ms, at);
                }
            }
            _ => {}
        }
        None
    }

    /// The next thing to put down beside `things`; at most one is odd, so that no two oddities cancel out. Of those
    /// that the scale can tell apart there may be more, but none beside an odd one.
    fn thing(&mut self, things: &[Thing]) -> Thing {
        let product = self.rng.below(PRODUCTS) as u16;
        let plain = things.iter().all(Thing::sellable);
        let odd_allowed = plain && !things.iter().any(Thing::doubtful);
        let other = |by: u64| (product + by as u16) % PRODUCTS as u16;
        match self.rng.between(0, 99) {
            0..3 if odd_allowed => Thing::good(product, Seen::Unsure),
            3..5 if odd_allowed => Thing::stranger(37),
            5..8 if odd_allowed => Thing::good(product, Seen::Misread((product + 1) % PRODUCTS as u16)),
            8..10 if odd_allowed => Thing::good(product, Seen::Hidden),
            10..13 if odd_allowed => Thing::off(product, 35),
            18..24 if plain => {
                let by = self.rng.between(1, 11);
                Thing::good(product, Seen::Between(other(by), self.rng.chance(5_000)))
            }
            24..26 if odd_allowed => Thing::good(product, Seen::Neither(other(1), other(2))),
            13..18 => Thing::good(product, Seen::Overlapped),
            _ => Thing::good(product, Seen::Right),
        }
    }
}
