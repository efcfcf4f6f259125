//! The triggers' thread: what a script says about lines and scale, told at its time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::capture::run::Stats;
use crate::runtime::clock;
use crate::runtime::heart::Heart;
use crate::runtime::live::ToCounter;
use crate::trigger::script::{Player, Script};

/// Plays the script against the footage's own time. Without a script it only beats.
pub fn run(
    script: Option<&Script>,
    camera: &Stats,
    out: &Sender<ToCounter>,
    heart: &Heart,
    done: &AtomicBool,
    stop: &AtomicBool,
) {
    let mut player = script.map(Player::new);
    let mut first_frame_ms = None;
    while !stop.load(Ordering::Relaxed) {
        let now_ms = clock::monotonic_ms();
        heart.beat(now_ms);
        let Some(player) = player.as_mut().filter(|player| !player.is_done()) else {
            done.store(true, Ordering::Relaxed);
            std::thread::park_timeout(Duration::from_millis(250));
            continue;
        };
        if first_frame_ms.is_none() && camera.frames.load(Ordering::Relaxed) > 0 {
            first_frame_ms = Some(now_ms);
        }
        let Some(first_frame_ms) = first_frame_ms else {
            std::thread::park_timeout(Duration::from_millis(5));
            continue;
        };
        let at_ms = now_ms.saturating_sub(first_frame_ms);
        player.due(at_ms, &mut |event| {
            if out.try_send(ToCounter::Raw(event)).is_err() {
                log::warn!("triggers: the counter is behind, an event was dropped");
            }
        });
        let wait_ms = player.next_ms().map_or(5, |next_ms| next_ms.saturating_sub(at_ms).clamp(1, 50));
        std::thread::park_timeout(Duration::from_millis(wait_ms));
    }
}
