//! Clocks of the running daemon. Inside till only monotonic time travels; wall time is for people.

pub use crate::capture::clock::monotonic_ns;

use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in milliseconds.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

/// Wall time, seconds since 1970; `None` while the clock is plainly unset.
pub fn wall_s() -> Option<u64> {
    /// 2024-01-01: no till is older than its software.
    const TRUSTED_FROM_S: i64 = 1_704_067_200;
    let t = clock_gettime(ClockId::Realtime);
    (t.tv_sec >= TRUSTED_FROM_S).then_some(t.tv_sec.unsigned_abs())
}
