//! How long to wait for an acknowledgement: RFC 6298 in milliseconds, with Karn's rule at the caller.

/// Shortest wait: the largest frame takes 240 ms at 115200, and the other end's disk its time.
const TIMEOUT_MS_MIN: u64 = 400;
/// Longest wait, also after backing off.
const TIMEOUT_MS_MAX: u64 = 4_000;
/// Before the first measurement.
const TIMEOUT_MS_FIRST: u64 = 1_000;

/// The adaptive retransmission timer.
///
/// ```
/// let mut rto = till_link::endpoint::Rto::default();
/// assert_eq!(rto.timeout_ms(), 1_000);
/// rto.sample(300);
/// assert_eq!(rto.timeout_ms(), 300 + 2 * 300);
/// rto.back_off();
/// assert_eq!(rto.timeout_ms(), 1_800);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rto {
    smoothed_ms: Option<u64>,
    /// Four times the variation, as the RFC adds it.
    variation_x4_ms: u64,
    timeout_ms: u64,
}

impl Default for Rto {
    fn default() -> Self {
        Self { smoothed_ms: None, variation_x4_ms: 0, timeout_ms: TIMEOUT_MS_FIRST }
    }
}

impl Rto {
    /// A round trip of `rtt_ms` was measured.
    pub fn sample(&mut self, rtt_ms: u64) {
        let rtt_ms = rtt_ms.min(TIMEOUT_MS_MAX);
        let smoothed_ms = match self.smoothed_ms {
            None => {
                self.variation_x4_ms = rtt_ms * 2;
                rtt_ms
            }
            Some(smoothed_ms) => {
                self.variation_x4_ms = self.variation_x4_ms - self.variation_x4_ms / 4 + smoothed_ms.abs_diff(rtt_ms);
                smoothed_ms - smoothed_ms / 8 + rtt_ms / 8
            }
        };
        self.smoothed_ms = Some(smoothed_ms);
        self.timeout_ms = (smoothed_ms + self.variation_x4_ms).clamp(TIMEOUT_MS_MIN, TIMEOUT_MS_MAX);
    }

    /// The timer ran out: wait twice as long next time.
    pub fn back_off(&mut self) {
        self.timeout_ms = (self.timeout_ms * 2).min(TIMEOUT_MS_MAX);
    }

    /// How long to wait now.
    pub fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    /// The smoothed round trip; 0 before the first measurement.
    pub fn smoothed_ms(&self) -> u32 {
        self.smoothed_ms.unwrap_or(0).min(u64::from(u32::MAX)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_line_and_backs_off_to_a_bound() {
        let mut rto = Rto::default();
        assert_eq!(rto.timeout_ms(), 1_000);
        rto.sample(20);
        assert_eq!(rto.timeout_ms(), TIMEOUT_MS_MIN);
        for _ in 0..50 {
            rto.sample(900);
        }
        assert!((850..=910).contains(&rto.smoothed_ms()), "{rto:?}");
        assert!(rto.timeout_ms() >= 850);
        for _ in 0..20 {
            rto.back_off();
        }
        assert_eq!(rto.timeout_ms(), TIMEOUT_MS_MAX);
    }
}
