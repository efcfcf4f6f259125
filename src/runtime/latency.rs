//! A lock-free histogram of durations: enough for p50 and p99 in `status`, no allocation to record.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets a factor of two is divided into; the error of a quantile is at most 1/8.
const STEPS: u64 = 8;
/// Room for 2^32 microseconds.
const BUCKETS: usize = 32 * STEPS as usize;

/// Durations in microseconds, in buckets of relative width 1/8.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record_us(&self, us: u64) {
        if let Some(bucket) = self.buckets.get(index(us)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// The upper bound, in milliseconds, of the bucket that holds quantile `permille`; `None` while empty.
    pub fn quantile_ms(&self, permille: u64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (count * permille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (i, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.load(Ordering::Relaxed);
            if seen >= rank {
                return Some(upper_us(i) as f64 / 1000.0);
            }
        }
        None
    }
}

fn index(us: u64) -> usize {
    if us < STEPS {
        return us as usize;
    }
    let exponent = u64::from(us.ilog2());
    let step = (us >> (exponent - 3)) & (STEPS - 1);
    (((exponent - 2) * STEPS + step) as usize).min(BUCKETS - 1)
}

fn upper_us(index: usize) -> u64 {
    let (octave, step) = (index as u64 / STEPS, index as u64 % STEPS);
    if octave == 0 { step + 1 } else { (STEPS + step + 1) << (octave - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_lies_under_its_bucket_and_within_an_eighth() {
        for us in (0..4_000).chain([65_535, 65_536, 1 << 20, 123_456_789]) {
            let upper = upper_us(index(us));
            assert!(upper > us, "{us} {upper}");
            assert!(upper - us <= us / STEPS + 1, "{us} {upper}");
        }
    }

    #[test]
    fn quantiles_of_a_known_row() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile_ms(500), None);
        for us in 1..=1_000 {
            histogram.record_us(us * 10);
        }
        let p50 = histogram.quantile_ms(500).unwrap();
        let p99 = histogram.quantile_ms(990).unwrap();
        assert!((5.0..=5.7).contains(&p50), "{p50}");
        assert!((9.9..=11.2).contains(&p99), "{p99}");
    }
}
