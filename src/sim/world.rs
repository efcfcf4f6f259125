//! One world: time jumps from one event to the next, and whatever is due then happens, in a fixed order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use till_link::{Key, Phase, Security};

use crate::sim::faults::{Counts, Fault, Weather};
use crate::sim::judge::Judge;
use crate::sim::line::{Cable, End};
use crate::sim::plant::Plant;
use crate::sim::power::Power;
use crate::sim::rng::Rng;
use crate::sim::shop::Shop;
use crate::sim::shopper::Shopper;
use crate::sim::till::Till;
use crate::sim::tray::Tray;

/// How long a world lasts, simulated.
pub const WORLD_MS: u64 = 400_000;
/// How long both ends have to agree after everything was mended.
const PEACE_MS: u64 = 60_000;
/// More steps than any sound world takes: a world that spins is stopped here.
const STEPS_MAX: u64 = 2_000_000;

/// Shared by both ends' ports and the world.
pub type SharedCable = Arc<Mutex<Cable>>;

/// The cable behind its lock; nobody else ever holds it, a world has one thread.
pub fn hold(cable: &SharedCable) -> MutexGuard<'_, Cable> {
    cable.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that the ends may ask about the world around them.
#[derive(Debug)]
pub struct Around {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// What lies on the tray.
    pub tray: Tray,
    /// Knows the truth.
    pub judge: Judge,
    /// What went wrong.
    pub counts: Counts,
    /// The bug that was planted.
    pub plant: Option<Plant>,
    /// Both ends have a key.
    pub keyed: bool,
    /// The story, if anybody wants it.
    pub trace: Option<Vec<String>>,
}

impl Around {
    /// What both ends are given where the link has a key. The seed is always the same: an end's boot number, which
    /// never comes again, makes its nonces new (SPEC.md 8.3).
    pub fn security(&self) -> Option<Security> {
        let keyed = self.keyed && self.plant != Some(Plant::KeyNotAsked);
        keyed.then(|| Security::new(Key::new(1, [0x4b; 32]), None, [0x5e; 32]))
    }

    /// One line of the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8} {}", self.now_ms, line()));
        }
    }
}

/// A world.
pub struct World {
    around: Around,
    cable: SharedCable,
    counter: Power<Till>,
    shop: Power<Shop>,
    shopper: Shopper,
    weather: Weather,
    rng: Rng,
    trouble_ms: u64,
}

impl World {
    /// The world of `seed`.
    pub fn new(seed: u64, plant: Option<Plant>, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut weather = Weather::draw(&mut rng);
        if plant == Some(Plant::CrcNotChecked) {
            // Only damage can show this one.
            weather.flip = weather.flip.max(1_000);
        }
        // A source of its own: worlds without a key stay what they were.
        let mut keys = Rng::new(!seed);
        let keyed = keys.chance(2_500) || plant == Some(Plant::KeyNotAsked);
        weather.stranger = if keyed { keys.between(0, 600) } else { 0 };
        let mut cable = Cable::new(weather, rng.split());
        cable.repairs_checksums = plant == Some(Plant::CrcNotChecked);
        let around = Around {
            now_ms: 0,
            tray: Tray::new(plant == Some(Plant::UnsureCharged)),
            judge: Judge::default(),
            counts: Counts::default(),
            plant,
            keyed,
            trace: trace.then(Vec::new),
        };
        Self {
            around,
            cable: Arc::new(Mutex::new(cable)),
            counter: Power::new(End::Till, plant, weather, rng.split()),
            shop: Power::new(End::Pos, plant, weather, rng.split()),
            shopper: Shopper::new(rng.split()),
            weather,
            rng,
            trouble_ms: 1_000,
        }
    }

    /// Lets it run to its end and hands out what the judge found.
    pub fn run(mut self) -> (Judge, Counts, Option<Vec<String>>) {
        let mut steps = 0;
        while self.around.now_ms < WORLD_MS && steps < STEPS_MAX {
            self.step();
            steps += 1;
        }
        self.mend();
        let end_ms = self.around.now_ms + PEACE_MS;
        while self.around.now_ms < end_ms && steps < STEPS_MAX {
            self.step();
            steps += 1;
        }
        let now_ms = self.around.now_ms;
        if steps >= STEPS_MAX {
            self.around.judge.violation(now_ms, format!("the world spins: {steps} steps"));
        }
        match self.counter.node().map(Till::phase) {
            Some(Phase::Idle) => {}
            other => self.around.judge.violation(now_ms, format!("the session does not end: {other:?}")),
        }
        match self.shop.node().map(Shop::booked) {
            Some(booked) => self.around.judge.audit(now_ms, &booked),
            None => self.around.judge.violation(now_ms, "the POS does not start any more".into()),
        }
        let mut counts = self.around.counts;
        counts.merge(&hold(&self.cable).counts);
        (self.around.judge, counts, self.around.trace)
    }

    /// Everybody goes home and everything is mended.
    fn mend(&mut self) {
        self.weather = Weather::default();
        hold(&self.cable).heal();
        self.counter.heal();
        self.shop.heal();
        if let Some(counter) = self.counter.node_mut() {
            counter.heal(&mut self.around);
        }
        self.shopper.close_shop(self.around.now_ms, &mut self.around.tray);
        self.around.tell(|| "everything is mended, the shop closes".into());
    }

    fn step(&mut self) {
        let cable = hold(&self.cable);
        let arrivals = [cable.next_ms(End::Till), cable.next_ms(End::Pos)];
        drop(cable);
        let due =
            [self.shopper.next_ms, self.trouble_ms, self.counter.next_ms(arrivals[0]), self.shop.next_ms(arrivals[1])];
        let next_ms = due.into_iter().min().unwrap_or(u64::MAX);
        self.around.now_ms = next_ms.max(self.around.now_ms);
        let now_ms = self.around.now_ms;
        hold(&self.cable).now_ms = now_ms;
        if now_ms >= self.trouble_ms {
            self.trouble();
        }
        if now_ms >= self.shopper.next_ms {
            self.shopper_acts();
        }
        self.counter.turn(&mut self.around, &self.cable, arrivals[0]);
        self.shop.turn(&mut self.around, &self.cable, arrivals[1]);
    }

    fn shopper_acts(&mut self) {
        let now_ms = self.around.now_ms;
        let screen = self.shop.node().map(Shop::screen).unwrap_or_default();
        let deed = self.shopper.step(now_ms, &mut self.around.tray, screen);
        let present = self.shopper.present;
        if let Some(counter) = self.counter.node_mut() {
            counter.senses(&mut self.around, present);
        }
        if let (Some(deed), Some(shop)) = (deed, self.shop.node_mut()) {
            self.around.tell(|| format!("shopper {deed:?}"));
            shop.press(&mut self.around, deed);
        }
    }

    /// Once a second chance decides what goes wrong in it.
    fn trouble(&mut self) {
        self.trouble_ms += 1_000;
        let weather = self.weather;
        if self.rng.chance(weather.outage) {
            hold(&self.cable).outage();
            self.around.tell(|| "the cable".into());
        }
        if self.rng.chance(weather.crash) {
            self.counter.cut(&mut self.around, &self.cable);
        }
        if self.rng.chance(weather.crash) {
            self.shop.cut(&mut self.around, &self.cable);
        }
        if self.rng.chance(weather.lost_tail) {
            if self.rng.chance(5_000) {
                self.counter.lose_tail(&mut self.around, &self.cable);
            } else {
                self.shop.lose_tail(&mut self.around, &self.cable);
            }
        }
        if self.rng.chance(weather.disk_full) {
            let until_ms = self.around.now_ms + self.rng.between(200, 8_000);
            if self.rng.chance(5_000) {
                self.counter.fill_disk(until_ms);
            } else {
                self.shop.fill_disk(until_ms);
            }
            self.around.counts.add(Fault::NoSpace);
        }
        if self.rng.chance(weather.senses) {
            let until_ms = self.around.now_ms + self.rng.between(300, 8_000);
            let sense = [Fault::CameraLost, Fault::EngineFailed, Fault::ScaleLost][self.rng.below(3)];
            if let Some(counter) = self.counter.node_mut() {
                counter.lose(&mut self.around, sense, until_ms);
            }
        }
    }
}
