//! Zero tracking: an empty tray's reading creeps with temperature and crumbs, and the zero follows it, so slowly
//! that no goods can be followed away (OIML R 76-1, 4.5.7: at most half a division a second). Pure.

/// The zero follows by a gram at most in this time: half of our division of 1 g a second.
const STEP_EVERY_MS: u64 = 2_000;
/// And the reading must have stood this still.
const STILL_MS: u64 = 1_000;

/// Follows an empty tray.
#[derive(Clone, Debug)]
pub struct ZeroTracker {
    /// Within so many counts of the zero a reading is an empty tray's.
    within_counts: i64,
    /// Counts of one gram.
    step_counts: i64,
    /// What was added to the calibrated zero.
    offset_counts: i64,
    since: Option<(u64, i64)>,
    stepped_ms: u64,
}

impl ZeroTracker {
    /// Follows readings within `within_counts` of the zero; `gram_counts` are those of one gram.
    pub fn new(within_counts: i64, gram_counts: i64) -> Self {
        let step_counts = gram_counts.saturating_abs().max(1);
        let within_counts = within_counts.saturating_abs();
        Self { within_counts, step_counts, offset_counts: 0, since: None, stepped_ms: 0 }
    }

    /// What the zero is off the calibrated one by now, counts, after a reading `net_counts` above the calibrated one.
    pub fn follow(&mut self, now_ms: u64, net_counts: i64) -> i64 {
        let off = net_counts.saturating_sub(self.offset_counts);
        let moved =
            self.since.is_none_or(|(_, at)| net_counts.saturating_sub(at).saturating_abs() > self.step_counts / 2);
        if off.saturating_abs() > self.within_counts {
            self.since = None;
        } else if moved {
            self.since = Some((now_ms, net_counts));
        } else if self.since.is_some_and(|(since_ms, _)| now_ms.saturating_sub(since_ms) >= STILL_MS)
            && now_ms.saturating_sub(self.stepped_ms) >= STEP_EVERY_MS
        {
            self.offset_counts = self.offset_counts.saturating_add(off.clamp(-self.step_counts, self.step_counts));
            self.stepped_ms = now_ms;
        }
        self.offset_counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 400 counts a gram; 2 g are an empty tray's.
    fn tracker() -> ZeroTracker {
        ZeroTracker::new(800, 400)
    }

    #[test]
    fn drift_is_followed_and_goods_are_not() {
        let mut zero = tracker();
        // 10 g in an hour: a tenth of a gram every 36 s.
        let (mut now_ms, mut drift) = (0, 0);
        while now_ms < 3_600_000 {
            now_ms += 100;
            drift = (now_ms as i64) * 4_000 / 3_600_000;
            let offset = zero.follow(now_ms, drift);
            assert!((drift - offset).abs() <= 400, "{now_ms}: {drift} {offset}");
        }
        let before = zero.follow(now_ms, drift);
        for _ in 0..6_000 {
            now_ms += 100;
            assert_eq!(zero.follow(now_ms, drift + 5 * 400), before, "5 g of goods stay 5 g");
        }
    }

    #[test]
    fn a_hand_on_the_tray_moves_no_zero() {
        let mut zero = tracker();
        for i in 0..1_000_i64 {
            assert_eq!(zero.follow(i as u64 * 100, (i % 2) * 700), 0, "it never stood still");
        }
    }
}
