//! Clocks of the running daemon. Inside till only monotonic time travels; wall time is for people.

pub use crate::capture::clock::{monotonic_ms, monotonic_ns};

use rustix::time::{ClockId, clock_gettime};

/// 2024-01-01: no till is older than its software, so a clock that says less was never set.
pub const TRUSTED_FROM_S: u64 = 1_704_067_200;

/// Wall time, seconds since 1970; `None` while the clock is plainly unset.
pub fn wall_s() -> Option<u64> {
    u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).ok().filter(|&unix_s| unix_s >= TRUSTED_FROM_S)
}
