//! The tray as it truly is, what the scale reads of it, and what a camera with a detector makes of it. The
//! judge asks here what really lay there; the core only ever learns the observation.

use till_link::{Cart, Currency};

use crate::checkout::Catalogue;
use crate::vision::{Candidate, Candidates, Class, TrayItem, TrayObservation};

/// Products of the simulated store.
pub const PRODUCTS: usize = 12;
/// Most things that a shopper brings.
pub const THINGS_MAX: usize = 6;
/// Frames until an item is believed.
const STABLE_FRAMES: u16 = 5;
/// The tray must be still this long to be settled.
const STILL_MS: u64 = 400;
/// Camera, scale and core may lag behind the hand by this much.
const LAG_MS: u64 = 300;

/// How many of each product.
pub type Goods = [u8; PRODUCTS];

/// The store's catalogue. Masses lie so far apart that within the tolerances of a full tray no product
/// can pass for another: what is sold wrongly here was decided wrongly.
pub fn catalogue() -> Catalogue {
    let mut text = String::from("sku,name,price_minor,currency,mass_g,mass_tolerance_g\n");
    for i in 0..PRODUCTS {
        text.push_str(&format!("p{i:02},Product {i},{},KRW,{},4\n", price_minor(i), mass_g(i)));
    }
    Catalogue::parse(text.as_bytes(), Currency(*b"KRW")).unwrap_or_else(|(line, error)| panic!("line {line}: {error}"))
}

/// The engine's labels, in the catalogue's order.
pub fn labels() -> impl Iterator<Item = &'static str> {
    const LABELS: [&str; PRODUCTS] =
        ["p00", "p01", "p02", "p03", "p04", "p05", "p06", "p07", "p08", "p09", "p10", "p11"];
    LABELS.into_iter()
}

fn price_minor(product: usize) -> i64 {
    700 + 310 * product as i64
}

fn mass_g(product: usize) -> i32 {
    60 + 61 * product as i32
}

/// Both products that the camera wavers between, best first.
fn candidates(thing: &Thing) -> Candidates {
    let labels = match (thing.seen, thing.product) {
        (Seen::Between(other, true), Some(product)) => [other, product],
        (Seen::Between(other, false), Some(product)) => [product, other],
        (Seen::Neither(one, other), _) => [one, other],
        _ => return Candidates::default(),
    };
    let mut candidates = Candidates::default();
    for (slot, (label, share_permille)) in candidates.iter_mut().zip(labels.into_iter().zip([520, 470])) {
        *slot = Some(Candidate { label, share_permille, votes: thing.frames, score_permille: 800 });
    }
    candidates
}

/// What the camera makes of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What it is.
    Right,
    /// What it is, but under another.
    Overlapped,
    /// Something, nobody knows what.
    Unsure,
    /// Something that no label names.
    Unknown,
    /// Another product, and sure of it.
    Misread(u16),
    /// What it is or this other product, which comes first where the second is said.
    Between(u16, bool),
    /// One of two products, and it is neither.
    Neither(u16, u16),
    /// Nothing: it lies beneath.
    Hidden,
}

/// One thing on the tray.
#[derive(Clone, Copy, Debug)]
pub struct Thing {
    /// Which product, unless the store does not sell it.
    pub product: Option<u16>,
    /// What the camera makes of it.
    pub seen: Seen,
    /// What it weighs.
    pub mass_g: i32,
    /// It was paid for.
    pub paid: bool,
    track: u32,
    frames: u16,
}

impl Thing {
    /// A product as the catalogue knows it.
    pub fn good(product: u16, seen: Seen) -> Self {
        Self { product: Some(product), seen, mass_g: mass_g(usize::from(product)), paid: false, track: 0, frames: 0 }
    }

    /// A product whose mass is off by `grams`.
    pub fn off(product: u16, grams: i32) -> Self {
        let good = Self::good(product, Seen::Right);
        Self { mass_g: good.mass_g + grams, ..good }
    }

    /// Something that the store does not sell.
    pub fn stranger(mass_g: i32) -> Self {
        Self { product: None, seen: Seen::Unknown, mass_g, paid: false, track: 0, frames: 0 }
    }

    /// Its own number: no other thing ever has it.
    pub fn track(&self) -> u32 {
        self.track
    }

    /// Whether it may be sold as it lies there.
    pub fn sellable(&self) -> bool {
        self.product.is_some_and(|product| self.mass_g == mass_g(usize::from(product)))
            && matches!(self.seen, Seen::Right | Seen::Overlapped | Seen::Between(..))
    }

    /// Whether the scale must say what it is.
    pub fn doubtful(&self) -> bool {
        matches!(self.seen, Seen::Between(..))
    }
}

/// The tray.
#[derive(Debug)]
pub struct Tray {
    /// What lies on it.
    pub things: Vec<Thing>,
    /// A hand is over it until then.
    pub hand_until_ms: u64,
    guesses: bool,
    changed_ms: u64,
    before: Option<Goods>,
    tracks: u32,
    frame: u64,
    observation: TrayObservation,
}

impl Tray {
    /// An empty tray. `guesses` plants a bug: what is unsure is named all the same.
    pub fn new(guesses: bool) -> Self {
        Self {
            things: Vec::with_capacity(THINGS_MAX),
            guesses,
            hand_until_ms: 0,
            changed_ms: 0,
            before: Some([0; PRODUCTS]),
            tracks: 0,
            frame: 0,
            observation: TrayObservation::default(),
        }
    }

    fn changing(&mut self, now_ms: u64) {
        // Of two changes in one lag the older truth still counts.
        if now_ms.saturating_sub(self.changed_ms) > LAG_MS {
            self.before = self.truth();
        }
        self.changed_ms = now_ms;
        self.hand_until_ms = self.hand_until_ms.max(now_ms + 150);
    }

    /// A hand puts `thing` down.
    pub fn put(&mut self, now_ms: u64, thing: Thing) {
        self.changing(now_ms);
        self.tracks += 1;
        self.things.push(Thing { track: self.tracks, ..thing });
    }

    /// A hand takes thing number `at` away.
    pub fn take(&mut self, now_ms: u64, at: usize) {
        self.changing(now_ms);
        self.things.remove(at);
    }

    /// A hand takes everything away.
    pub fn clear(&mut self, now_ms: u64) {
        self.changing(now_ms);
        self.things.clear();
    }

    /// What a scale without noise shows, grams.
    pub fn load_g(&self) -> i32 {
        self.things.iter().map(|thing| thing.mass_g).sum()
    }

    /// What may be sold of what lies there; `None` when something lies there that must not be.
    pub fn truth(&self) -> Option<Goods> {
        let mut goods = [0; PRODUCTS];
        for thing in &self.things {
            let product = thing.product.filter(|_| thing.sellable())?;
            goods[usize::from(product)] += 1;
        }
        Some(goods)
    }

    /// Whether `cart` is what lies there, or lay there less than a lag ago.
    pub fn is(&self, now_ms: u64, cart: &Cart) -> bool {
        let mut goods = [0u8; PRODUCTS];
        let mut sum_minor = 0;
        for line in &cart.lines {
            let Some(product) = labels().position(|label| label == line.sku.as_str()) else { return false };
            goods[product] += line.quantity as u8;
            sum_minor += price_minor(product) * i64::from(line.quantity);
        }
        let late = now_ms.saturating_sub(self.changed_ms) <= LAG_MS;
        sum_minor == cart.total_minor && (self.truth() == Some(goods) || late && self.before == Some(goods))
    }

    /// Vision starts anew: nothing was seen yet.
    pub fn forget(&mut self) {
        for thing in &mut self.things {
            thing.frames = 0;
        }
    }

    /// The next frame, seen.
    pub fn observe(&mut self, now_ms: u64) -> &TrayObservation {
        self.frame += 1;
        let hand = now_ms < self.hand_until_ms;
        let seen = &mut self.observation;
        seen.at_ms = now_ms;
        seen.frame = self.frame;
        seen.hand = hand;
        seen.too_many = false;
        seen.items.clear();
        let mut still = !hand && now_ms.saturating_sub(self.changed_ms) >= STILL_MS;
        for thing in &mut self.things {
            thing.frames = thing.frames.saturating_add(1);
            let class = match (thing.seen, thing.product) {
                (Seen::Hidden, _) => continue,
                (Seen::Misread(other), _) => Class::Product(other),
                (Seen::Right | Seen::Overlapped, Some(product)) => Class::Product(product),
                // The planted bug: a guess counts, and here it is a good one.
                (Seen::Unsure, Some(product)) if self.guesses => Class::Product(product),
                (Seen::Unsure | Seen::Between(..) | Seen::Neither(..), _) => Class::Unsure,
                _ => Class::Unknown,
            };
            let stable = thing.frames >= STABLE_FRAMES && !hand;
            still &= stable;
            seen.too_many |= seen
                .items
                .push(TrayItem {
                    track: thing.track,
                    class,
                    candidates: candidates(thing),
                    votes: thing.frames,
                    frames: thing.frames,
                    score_permille: 870,
                    bbox: [0.0, 0.0, 9.0, 9.0],
                    clipped: false,
                    overlapped: thing.seen == Seen::Overlapped,
                    stable,
                })
                .is_err();
        }
        seen.settled = still;
        &self.observation
    }
}
