//! One heartbeat per thread. A thread stamps its [`Heart`] in each turn of its loop; the supervisor feeds
//! systemd's watchdog only while every heart beats.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One thread's last sign of life.
#[derive(Debug)]
pub struct Heart {
    name: &'static str,
    silence_ms_max: u64,
    last_ms: Arc<AtomicU64>,
}

impl Heart {
    /// The heart of thread `name`, which may be silent for `silence_ms_max` at most.
    pub fn new(name: &'static str, silence_ms_max: u64, now_ms: u64) -> Arc<Self> {
        Arc::new(Self { name, silence_ms_max, last_ms: Arc::new(AtomicU64::new(now_ms)) })
    }

    /// The thread's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The stamp itself, for loops that know nothing of this room.
    pub fn stamp(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.last_ms)
    }

    /// A sign of life.
    pub fn beat(&self, now_ms: u64) {
        self.last_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Milliseconds since the last beat.
    pub fn silence_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.last_ms.load(Ordering::Relaxed))
    }

    /// Whether the thread beat recently enough.
    pub fn beats(&self, now_ms: u64) -> bool {
        self.silence_ms(now_ms) <= self.silence_ms_max
    }
}

/// The hearts that are silent for too long.
pub fn silent(hearts: &[Arc<Heart>], now_ms: u64) -> Vec<&'static str> {
    hearts.iter().filter(|heart| !heart.beats(now_ms)).map(|heart| heart.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_silent_heart_is_named_and_only_that_one() {
        let hearts = [Heart::new("vision", 1_000, 0), Heart::new("counter", 1_000, 0)];
        hearts[1].beat(1_500);
        assert_eq!(silent(&hearts, 1_000), Vec::<&str>::new());
        assert_eq!(silent(&hearts, 1_001), ["vision"]);
        hearts[0].stamp().store(1_001, Ordering::Relaxed);
        assert!(silent(&hearts, 2_000).is_empty());
    }
}
