//! The one place that reads clocks. Inside till only monotonic milliseconds travel.

use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds: the clock of V4L2 and GStreamer time stamps.
pub fn monotonic_ns() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    (t.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec as u64)
}

/// CLOCK_MONOTONIC in milliseconds.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

/// Wall time, seconds since 1970, for people; `None` while the clock is plainly unset.
pub fn wall_s() -> Option<u64> {
    /// 2024-01-01: no till is older than its software.
    const TRUSTED_FROM_S: i64 = 1_704_067_200;
    let t = clock_gettime(ClockId::Realtime);
    (t.tv_sec >= TRUSTED_FROM_S).then_some(t.tv_sec as u64)
}
