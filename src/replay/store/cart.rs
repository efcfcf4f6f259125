//! Carts by seed: what a shopper lays down, when, what the scale reads meanwhile, and what should come of it. The same
//! seed gives the same cart. Places are pixels of the tray camera's picture; the shopper stands at its lower edge.

use std::path::PathBuf;

use crate::sim::rng::Rng;
use crate::trigger::RawEvent;
use crate::trigger::script::{Expect, ExpectedLine, ExpectedOutcome, Reason, Script};

use super::film;
use super::kind::Kind;
use super::sprite::{HEIGHT, Pose, WIDTH};
use super::{Goods, Store};

/// Pixels between goods and the picture's edge.
const EDGE: f32 = 8.0;
/// Tries to find a place before a thing is left in the basket.
const TRIES: usize = 200;
/// A thing comes or goes within this time.
const MOVE_MS: u64 = 400;
/// From the first frame to the first thing.
const BEGIN_MS: u64 = 500;
/// From the last change to the shopper's taking everything.
const STAY_MS: u64 = 3_600;
/// From then to the film's end.
const END_MS: u64 = 1_500;

/// Pairs whose packs have the same colours on one face or another.
const ALIKE: [(&str, &str); 6] = [
    ("honey-potato-chips", "sunny-rice-flakes"),
    ("boseong-green-tea", "crispy-seaweed"),
    ("flame-ramyeon", "ginseng-candy"),
    ("moonlight-choco-pie", "east-sea-tuna"),
    ("hallabong-juice", "sunny-rice-flakes"),
    ("barley-tea", "hallabong-juice"),
];

/// Where something is at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// After the first frame.
    pub at_ms: u64,
    /// Pixels.
    pub x: f32,
    /// Pixels.
    pub y: f32,
    /// How high over the counter, 0 to 1.
    pub lift: f32,
}

/// Where something is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Pixels.
    pub x: f32,
    /// Pixels.
    pub y: f32,
    /// How high over the counter, 0 to 1.
    pub lift: f32,
    /// It doesn't move.
    pub still: bool,
}

fn place_at(keys: &[Key], at_ms: u64) -> Option<Place> {
    let [.., last] = keys else { return None };
    if at_ms > last.at_ms {
        return None;
    }
    keys.windows(2).find_map(|pair| {
        let [a, b] = pair else { return None };
        (a.at_ms <= at_ms && at_ms <= b.at_ms).then(|| {
            let f = (at_ms - a.at_ms) as f32 / (b.at_ms - a.at_ms).max(1) as f32;
            let f = f * f * (3.0 - 2.0 * f);
            let mix = |p: f32, q: f32| p + (q - p) * f;
            let still = (a.x, a.y, a.lift) == (b.x, b.y, b.lift);
            Place { x: mix(a.x, b.x), y: mix(a.y, b.y), lift: mix(a.lift, b.lift), still }
        })
    })
}

/// A pack.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Not of the assortment.
    pub stranger: bool,
    /// Index into the store's goods or strangers.
    pub thing: usize,
    /// Index into the thing's views.
    pub view: usize,
    /// How the view is turned, radians.
    pub angle: f32,
    /// Of its size.
    pub scale: f32,
    /// Its own light, by channel.
    pub gain: [f32; 3],
    /// What it weighs, grams.
    pub grams: i32,
    keys: Vec<Key>,
}

impl Actor {
    /// Where it is; `None` out of the picture.
    pub fn at(&self, at_ms: u64) -> Option<Place> {
        place_at(&self.keys, at_ms)
    }

    fn half(&self, store: &Store) -> (f32, f32) {
        let pose = Pose { x: 0.0, y: 0.0, angle: self.angle, scale: self.scale, gain: [1.0; 3] };
        film::sprite(store, self).map_or((0.0, 0.0), |sprite| pose.half(sprite))
    }
}

/// A hand.
#[derive(Clone, Debug)]
pub struct Hand {
    /// Index into the store's hands.
    pub view: usize,
    /// Of its size.
    pub scale: f32,
    keys: Vec<Key>,
}

impl Hand {
    /// Where its fingertips are; `None` out of the picture.
    pub fn at(&self, at_ms: u64) -> Option<Place> {
        place_at(&self.keys, at_ms)
    }
}

/// One shopper's visit.
#[derive(Clone, Debug)]
pub struct Cart {
    /// What it was made of.
    pub seed: u64,
    /// Its kind.
    pub kind: Kind,
    /// Packs, in the order in which they come.
    pub actors: Vec<Actor>,
    /// Hands.
    pub hands: Vec<Hand>,
    /// Of the film.
    pub length_ms: u64,
    /// What lies there when all has come that stays, strangers too.
    pub lies: Goods,
    /// When the shopper takes everything away.
    pub taken_ms: u64,
    /// What the counter is told and what should come of it.
    pub script: Script,
}

/// Lays a cart down.
struct Hands<'s> {
    store: &'s Store,
    rng: Rng,
    now_ms: u64,
    actors: Vec<Actor>,
    /// Where each lies and half its sides; `None` for one that was taken back.
    spots: Vec<Option<(f32, f32, f32, f32)>>,
    hands: Vec<Hand>,
    loads: Vec<(u64, i32)>,
    /// Share of the smaller that a neighbour's upright rectangle may cover.
    touch: f32,
}

impl Cart {
    /// The cart of `seed`.
    pub fn new(store: &Store, kind: Kind, seed: u64) -> Self {
        let mut hands = Hands {
            store,
            rng: Rng::new(seed),
            now_ms: BEGIN_MS,
            actors: Vec::new(),
            spots: Vec::new(),
            hands: Vec::new(),
            loads: Vec::new(),
            touch: 0.0,
        };
        hands.play(kind);
        hands.finish(kind, seed)
    }

    /// True for a receipt of just what lies there.
    pub fn is_right(&self, charged: &Goods) -> bool {
        self.lies == *charged
    }
}

impl Hands<'_> {
    fn play(&mut self, kind: Kind) {
        match kind {
            Kind::One => self.several(1),
            Kind::Few => self.some(2, 5),
            Kind::Many => {
                self.touch = 0.12;
                self.some(6, 9);
            }
            Kind::Same => {
                let (thing, n) = (self.rng.below(self.store.sold.len()), self.rng.between(2, 4));
                self.touch = 0.05;
                (0..n).for_each(|_| self.lay_beside(thing));
                if self.rng.chance(5_000) {
                    self.some(1, 1);
                }
            }
            Kind::PutBack => {
                self.some(2, 4);
                let back = self.rng.below(self.actors.len());
                self.now_ms += 150;
                self.take(back);
            }
            Kind::Hand => {
                self.some(2, 4);
                self.reach();
            }
            Kind::Overlap | Kind::Stacked => self.stack(kind == Kind::Overlap),
            Kind::LookAlike => {
                let (a, b) = ALIKE[self.rng.below(ALIKE.len())];
                let n = self.rng.between(2, 4);
                for i in 0..n {
                    let name = if i == 0 || i > 1 && self.rng.chance(5_000) { a } else { b };
                    if let Some(thing) = self.store.sold.iter().position(|thing| thing.name == name) {
                        self.lay(false, thing);
                    }
                }
            }
            Kind::Stranger => {
                self.some(1, 3);
                self.lay_stranger();
                if self.rng.chance(3_000) {
                    self.some(1, 1);
                }
            }
            Kind::StrangerAlone => self.lay_stranger(),
            Kind::TooLight | Kind::TooHeavy => self.some(1, 3),
        }
    }

    /// So many sold goods, whichever.
    fn several(&mut self, n: u64) {
        for _ in 0..n {
            let thing = self.rng.below(self.store.sold.len());
            self.lay(false, thing);
        }
    }

    fn some(&mut self, low: u64, high: u64) {
        let n = self.rng.between(low, high);
        self.several(n);
    }

    fn lay_stranger(&mut self) {
        let thing = self.rng.below(self.store.strangers.len());
        self.lay(true, thing);
    }

    /// A pack that nobody has laid down yet.
    fn pack(&mut self, stranger: bool, thing: usize) -> Option<Actor> {
        let of = self.store.thing(stranger, thing)?;
        let view = self.rng.below(of.views.len());
        let angle = self.rng.between(0, 6_283) as f32 / 1000.0;
        let scale = 0.95 + self.rng.between(0, 100) as f32 / 1000.0;
        let light = 0.94 + self.rng.between(0, 120) as f32 / 1000.0;
        // A stranger is as heavy as a product, so that the scale says nothing.
        let like = self.store.sold.get(self.rng.below(self.store.sold.len()));
        let (mass_g, tolerance_g) = of.mass.or(like.and_then(|thing| thing.mass))?;
        // A pack is seldom just as heavy as the catalogue says.
        let off = (tolerance_g / 2).max(0) as u64;
        let grams = mass_g - off as i32 + self.rng.between(0, 2 * off) as i32;
        Some(Actor { stranger, thing, view, angle, scale, gain: [light; 3], grams, keys: Vec::new() })
    }

    /// Lays one down where there is room.
    fn lay(&mut self, stranger: bool, thing: usize) {
        for _ in 0..TRIES {
            let Some(actor) = self.pack(stranger, thing) else { return };
            let (w, h) = actor.half(self.store);
            let Some((x, y)) = self.somewhere(w, h) else { continue };
            if self.is_free(x, y, w, h) {
                return self.bring(actor, x, y, 0.0);
            }
        }
    }

    /// As [`Hands::lay`], beside another of the same if there is one.
    fn lay_beside(&mut self, thing: usize) {
        let near = self.actors.iter().zip(&self.spots).rev().find(|(a, _)| !a.stranger && a.thing == thing);
        let Some((view, angle, (nx, ny, nw, nh))) = near.and_then(|(a, spot)| Some((a.view, a.angle, (*spot)?))) else {
            return self.lay(false, thing);
        };
        for (dx, dy) in [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)] {
            let Some(mut actor) = self.pack(false, thing) else { return };
            (actor.view, actor.angle) = (view, angle);
            let (w, h) = actor.half(self.store);
            let (x, y) = (nx + dx * (nw + w) * 1.01, ny + dy * (nh + h) * 1.01);
            let inside = x - w > EDGE && y - h > EDGE && x + w < WIDTH as f32 - EDGE && y + h < HEIGHT as f32 - EDGE;
            if inside && self.is_free(x, y, w, h) {
                return self.bring(actor, x, y, 0.0);
            }
        }
        self.lay(false, thing);
    }

    fn somewhere(&mut self, w: f32, h: f32) -> Option<(f32, f32)> {
        let mut along = |half: f32, whole: usize| {
            let room = whole as f32 - 2.0 * (half + EDGE);
            (room > 0.0).then(|| half + EDGE + room * self.rng.between(0, 1_000) as f32 / 1000.0)
        };
        Some((along(w, WIDTH)?, along(h, HEIGHT)?))
    }

    fn is_free(&self, x: f32, y: f32, w: f32, h: f32) -> bool {
        self.spots.iter().flatten().all(|&(ox, oy, ow, oh)| {
            let across = (x + w).min(ox + ow) - (x - w).max(ox - ow);
            let down = (y + h).min(oy + oh) - (y - h).max(oy - oh);
            across.max(0.0) * down.max(0.0) <= self.touch * 4.0 * (w * h).min(ow * oh)
        })
    }

    /// A pack comes to lie at a place: slid in from a side, or carried in by a hand.
    fn bring(&mut self, mut actor: Actor, x: f32, y: f32, lift: f32) {
        let (w, h) = actor.half(self.store);
        let (from, to) = (self.now_ms, self.now_ms + MOVE_MS);
        if self.rng.chance(5_000) {
            let side = if x < WIDTH as f32 / 2.0 { -w } else { WIDTH as f32 + w };
            actor.keys.push(Key { at_ms: from, x: side, y, lift });
        } else {
            actor.keys.push(Key { at_ms: from, x: x + 20.0, y: HEIGHT as f32 + h, lift: 0.8 });
            let key = |at_ms, x, y| Key { at_ms, x, y, lift: 0.0 };
            self.hand(vec![
                key(from, x + 20.0, HEIGHT as f32 + h * 0.6),
                key(to, x, y + h * 0.3),
                key(to + 300, x + 40.0, HEIGHT as f32 + 40.0),
            ]);
        }
        actor.keys.push(Key { at_ms: to, x, y, lift });
        self.loads.push((to - 80, actor.grams));
        self.actors.push(actor);
        self.spots.push(Some((x, y, w, h)));
        self.now_ms += MOVE_MS + self.rng.between(0, 150);
    }

    fn hand(&mut self, keys: Vec<Key>) {
        let view = self.rng.below(self.store.hands.len());
        let scale = 0.9 + self.rng.between(0, 150) as f32 / 1000.0;
        self.hands.push(Hand { view, scale, keys });
    }

    /// A hand comes, stays over the goods and goes.
    fn reach(&mut self) {
        let Some(&(x, y, ..)) = self.spots.iter().flatten().next_back() else { return };
        let (from, below) = (self.now_ms, HEIGHT as f32 + 40.0);
        let key = |at_ms, x, y| Key { at_ms, x, y, lift: 0.0 };
        let stay = self.rng.between(400, 1_400);
        let keys = vec![
            key(from, x, below),
            key(from + 300, x, y),
            key(from + 300 + stay, x, y),
            key(from + 600 + stay, x, below),
        ];
        self.hand(keys);
        self.now_ms += 600 + stay;
    }

    /// The shopper takes one away again.
    fn take(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let (Some(actor), Some(spot)) = (self.actors.get_mut(index), self.spots.get_mut(index)) else { return };
        let Some((x, y, _, h)) = spot.take() else { return };
        actor.keys.push(Key { at_ms: now_ms, x, y, lift: 0.0 });
        actor.keys.push(Key { at_ms: now_ms + MOVE_MS, x: x + 30.0, y: HEIGHT as f32 + h, lift: 0.8 });
        self.loads.push((now_ms + 80, -actor.grams));
        let key = |at_ms, x, y| Key { at_ms, x, y, lift: 0.0 };
        self.hand(vec![
            key(now_ms - 150, x + 20.0, HEIGHT as f32),
            key(now_ms, x, y),
            key(now_ms + MOVE_MS, x + 30.0, HEIGHT as f32 + h),
        ]);
        self.now_ms += MOVE_MS;
    }

    /// One pack on another; with `spread` it is laid beside it afterwards.
    fn stack(&mut self, spread: bool) {
        let thing = self.rng.below(self.store.sold.len());
        self.lay(false, thing);
        let Some(&Some((x, y, w, h))) = self.spots.first() else { return };
        let thing = self.rng.below(self.store.sold.len());
        let Some(actor) = self.pack(false, thing) else { return };
        let (dx, dy) = (self.rng.between(0, 80) as f32 / 100.0 - 0.4, self.rng.between(0, 80) as f32 / 100.0 - 0.4);
        let (half_w, half_h) = actor.half(self.store);
        let over_x = (x + dx * w).clamp(EDGE + half_w, WIDTH as f32 - EDGE - half_w);
        let over_y = (y + dy * h).clamp(EDGE + half_h, HEIGHT as f32 - EDGE - half_h);
        self.bring(actor, over_x, over_y, 0.15);
        if !spread {
            return;
        }
        self.now_ms += 200;
        self.spots.pop();
        let free = (0..TRIES)
            .find_map(|_| self.somewhere(half_w, half_h).filter(|&(x, y)| self.is_free(x, y, half_w, half_h)));
        // Beside a large one in the middle there may be no room: then it stays where it is.
        let (to_x, to_y) = free.unwrap_or((over_x, over_y));
        let from_ms = self.now_ms;
        let key = |at_ms, x, y, lift| Key { at_ms, x, y, lift };
        if let Some(actor) = self.actors.last_mut() {
            actor.keys.push(key(from_ms, over_x, over_y, 0.15));
            actor.keys.push(key(from_ms + MOVE_MS, to_x, to_y, 0.0));
        }
        self.spots.push(Some((to_x, to_y, half_w, half_h)));
        let below = HEIGHT as f32 + 40.0;
        self.hand(vec![
            key(from_ms - 200, over_x, below, 0.0),
            key(from_ms, over_x, over_y, 0.0),
            key(from_ms + MOVE_MS, to_x, to_y, 0.0),
            key(from_ms + MOVE_MS + 300, to_x, below, 0.0),
        ]);
        self.now_ms += MOVE_MS + 300;
    }

    /// The shopper stays, takes everything and goes; the scale and the end that is expected follow from it all.
    fn finish(mut self, kind: Kind, seed: u64) -> Cart {
        let strange = self.actors.iter().any(|actor| actor.stranger);
        let mut lies = Goods::new();
        let mut total_minor = 0;
        for (actor, _) in self.actors.iter().zip(&self.spots).filter(|(_, spot)| spot.is_some()) {
            let Some(thing) = self.store.thing(actor.stranger, actor.thing) else { continue };
            *lies.entry(thing.name.clone()).or_default() += 1;
            total_minor += thing.price_minor;
        }
        if matches!(kind, Kind::TooLight | Kind::TooHeavy) {
            let tolerance: i32 =
                self.actors.iter().filter_map(|a| self.store.sold.get(a.thing)?.mass).map(|m| m.1).sum();
            let off = tolerance * 2 + 10 + self.rng.between(0, 200) as i32;
            if let Some((_, grams)) = self.loads.iter_mut().max_by_key(|(_, grams)| *grams) {
                *grams = if kind == Kind::TooHeavy { *grams + off } else { (*grams - off).max(*grams / 3) };
            }
        }
        let taken_ms = self.now_ms + STAY_MS;
        let load: i32 = self.loads.iter().map(|(_, grams)| grams).sum();
        for (actor, spot) in self.actors.iter_mut().zip(&self.spots) {
            let (Some((x, y, _, h)), Some(lift)) = (*spot, actor.keys.last().map(|key| key.lift)) else { continue };
            actor.keys.push(Key { at_ms: taken_ms, x, y, lift });
            actor.keys.push(Key { at_ms: taken_ms + MOVE_MS, x, y: HEIGHT as f32 + h + 10.0, lift });
        }
        let length_ms = taken_ms + END_MS;
        self.loads.push((taken_ms + 100, -load));
        let mut events = readings(&self.loads, taken_ms, &mut self.rng);
        events.push((200, RawEvent::Presence(true)));
        events.push((taken_ms + MOVE_MS + 200, RawEvent::Presence(false)));
        events.sort_by_key(|(at_ms, _)| *at_ms);
        let refused = |reason| Expect {
            outcome: ExpectedOutcome::Refused,
            reason: Some(reason),
            total_minor: None,
            line: vec![],
        };
        let expect = match kind {
            _ if strange => refused(Reason::UnknownItem),
            Kind::TooLight | Kind::TooHeavy => refused(Reason::MassMismatch),
            _ => Expect {
                outcome: ExpectedOutcome::Paid,
                reason: None,
                total_minor: Some(total_minor),
                line: lies.iter().map(|(sku, &quantity)| ExpectedLine { sku: sku.clone(), quantity }).collect(),
            },
        };
        let title = format!("cart {seed} ({})", kind.as_str());
        let script = Script { file: PathBuf::new(), footage: PathBuf::from(&title), title, events, expect };
        Cart { seed, kind, actors: self.actors, hands: self.hands, length_ms, lies, taken_ms, script }
    }
}

/// What the scale shows: each change settles in 320 ms with an overshoot, then it trembles by a gram.
fn readings(loads: &[(u64, i32)], until_ms: u64, rng: &mut Rng) -> Vec<(u64, RawEvent)> {
    const STEPS: [(u64, i32); 5] = [(0, 350), (80, 800), (160, 1_070), (240, 985), (320, 1_000)];
    let mut loads = loads.to_vec();
    loads.sort_by_key(|(at_ms, _)| *at_ms);
    let (mut events, mut before) = (Vec::new(), 0);
    for (i, &(at_ms, change)) in loads.iter().enumerate() {
        let next_ms = loads.get(i + 1).map_or(u64::MAX, |next| next.0);
        let after = before + change;
        for (offset, permille) in STEPS {
            if at_ms + offset < next_ms {
                events.push((at_ms + offset, (before + change * permille / 1_000).max(0)));
            }
        }
        let mut tick_ms = at_ms + 560;
        while after > 0 && tick_ms < next_ms.min(until_ms) {
            events.push((tick_ms, after - 1 + rng.between(0, 2) as i32));
            tick_ms += 240;
        }
        before = after;
    }
    events.into_iter().map(|(at_ms, grams)| (at_ms, RawEvent::LoadGrams(grams))).collect()
}

#[cfg(test)]
#[path = "cart_tests.rs"]
mod tests;
