//! Clocks of the running daemon. Inside till only monotonic time travels; wall time is for people.

pub use crate::capture::clock::{monotonic_ms, monotonic_ns};

use rustix::time::{ClockId, clock_gettime};

/// 2024-01-01: no till is older than its software, so a clock that says less was never set.
pub const TRUSTED_FROM_S: u64 = 1_704_067_200;

/// Wall time, seconds since 1970; `None` while the clock is plainly unset.
pub fn wall_s() -> Option<u64> {
    u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).ok().filter(|&unix_s| unix_s >= TRUSTED_FROM_S)
}

/// A time as people read it: 2026-11-24T17:05:09Z.
pub fn utc(unix_s: u64) -> String {
    let (day, second) = (u32::try_from(unix_s / 86_400).unwrap_or(u32::MAX), unix_s % 86_400);
    format!("{}T{:02}:{:02}:{:02}Z", utc_day(day), second / 3600, second / 60 % 60, second % 60)
}

/// A day, counted since 1970, as people read it: 2026-11-24. Source: H. Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`, for days of the era after 1970.
pub fn utc_day(day: u32) -> String {
    let z = u64::from(day) + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * from_march + 2) / 5 + 1, (from_march + 2) % 12 + 1);
    format!("{:04}-{month:02}-{day:02}", era * 400 + year_of_era + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(TRUSTED_FROM_S), "2024-01-01T00:00:00Z");
        assert_eq!(utc(951_868_799), "2000-02-29T23:59:59Z");
        assert_eq!(utc(1_795_453_509), "2026-11-23T17:05:09Z");
        assert_eq!(utc_day(47_541), "2100-03-01");
        assert!(utc(u64::MAX).ends_with("15Z"), "no panic");
    }
}
