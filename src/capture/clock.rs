//! The capture threads' clock, behind a trait so that tests move it by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that one can also wait by.
pub trait Clock: Send + Sync {
    /// Milliseconds of CLOCK_MONOTONIC or of its simulated twin.
    fn now_ms(&self) -> u64;
    /// Returns after about `time`.
    fn wait(&self, time: Duration);
}

/// Nanoseconds of CLOCK_MONOTONIC: the time base of [`Frame::captured_ns`](super::Frame) for live cameras.
pub fn monotonic_ns() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    // Both are non-negative on this clock.
    (t.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec as u64)
}

/// Milliseconds of CLOCK_MONOTONIC.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

/// The machine's CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    fn now_ms(&self) -> u64 {
        monotonic_ms()
    }

    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A clock that moves only when told: waiting moves it by the time waited for.
#[derive(Debug, Default)]
pub struct Simulated(AtomicU64);

impl Simulated {
    /// A clock that stands at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self(AtomicU64::new(now_ms))
    }

    /// Moves on by `ms`.
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Simulated {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn wait(&self, time: Duration) {
        self.advance(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }
}
