//! The thread that feels how hot the board is and how its supply stands, and tells the counter what to leave out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::machine::Tree;
use crate::machine::ladder::{Ladder, Load, Sample};
use crate::runtime::clock;
use crate::runtime::heart::Heart;
use crate::runtime::live::ToCounter;

/// Heat moves in seconds.
const EVERY: Duration = Duration::from_secs(1);

/// Samples until `stop`.
pub fn run(tree: &Tree, mut ladder: Ladder, out: &Sender<ToCounter>, heart: &Heart, stop: &AtomicBool) {
    let mut load = Load::Full;
    while !stop.load(Ordering::Relaxed) {
        let now_ms = clock::monotonic_ms();
        heart.beat(now_ms);
        if let Some(step) = ladder.sample(now_ms, &Sample::of(tree)) {
            let (deeper, now) = (step.load > load, step.load);
            match (deeper, now) {
                (true, _) => log::warn!("load: {}: {}", step.reason, now),
                (false, Load::Full) => log::info!("load: {now} again"),
                (false, _) => log::info!("load: better than when {}: {now}", step.reason),
            }
            load = now;
            let _ = out.send(ToCounter::Load(step));
        }
        std::thread::park_timeout(EVERY);
    }
}
