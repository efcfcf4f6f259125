//! The seeded simulator: shopper, tray, clock, wire, both disks and both ends' power, over the same core,
//! books and POS that run at a counter. A seed is a world; the same seed gives the same world byte for
//! byte. It must never read a clock, a file or an environment. Read next: `world`, then `judge`.

pub mod faults;
mod judge;
mod line;
mod plant;
mod port;
mod power;
pub mod rng;
mod shop;
mod shopper;
mod stranger;
mod till;
mod tray;
mod world;

use std::ops::Range;

pub use faults::Counts;
pub use judge::Verdict;
pub use plant::Plant;

/// What many worlds came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many worlds.
    pub seeds: u64,
    /// The sums over all of them.
    pub verdict: Verdict,
    /// What went wrong in them, of itself.
    pub faults: Counts,
    /// The first seed in which the judge found something, and what.
    pub first_failure: Option<(u64, Vec<String>)>,
}

/// One world and its story.
#[derive(Clone, Debug)]
pub struct Story {
    /// What the judge found, in words.
    pub findings: Vec<String>,
    /// Everything that happened, one line each.
    pub trace: Vec<String>,
}

/// Runs the worlds of `seeds`, with a bug planted in each if `plant` says so.
pub fn run(seeds: Range<u64>, plant: Option<Plant>) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let (judge, counts, _) = world::World::new(seed, plant, false).run();
        report.seeds += 1;
        report.verdict.merge(&judge.verdict);
        report.faults.merge(&counts);
        if !judge.verdict.is_sound() && report.first_failure.is_none() {
            report.first_failure = Some((seed, judge.findings));
        }
    }
    report
}

/// Runs the world of `seed` and tells its story.
pub fn tell(seed: u64, plant: Option<Plant>) -> Story {
    let (judge, _, trace) = world::World::new(seed, plant, true).run();
    Story { findings: judge.findings, trace: trace.unwrap_or_default() }
}

#[cfg(test)]
mod tests;
