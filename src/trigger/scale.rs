//! Readings to a load and the word "quiet": the spread of the readings of the last `quiet_ms` is small.
//! Pure: the time comes in with the reading. Integer grams throughout.

use crate::trigger::TriggerEvent;

/// Most readings that are looked back upon; a faster scale is thinned out.
const READINGS_MAX: usize = 64;

/// Turns readings into [`TriggerEvent::Load`] and [`TriggerEvent::LoadLost`].
#[derive(Clone, Debug)]
pub struct Scale {
    quiet_g: i32,
    quiet_ms: u64,
    readings: heapless::Deque<(u64, i32), READINGS_MAX>,
    told: Option<(i32, bool)>,
    /// The scale can't be read; `Some(true)` once that was told.
    lost: Option<bool>,
}

impl Scale {
    /// Quiet is a spread of at most `quiet_g` over `quiet_ms`.
    pub fn new(quiet_g: i32, quiet_ms: u64) -> Self {
        Self { quiet_g, quiet_ms, readings: heapless::Deque::new(), told: None, lost: None }
    }

    /// The scale showed `grams` at `now_ms`. It holds until the next reading.
    pub fn reading(&mut self, now_ms: u64, grams: i32) {
        self.lost = None;
        if let Some(&(at_ms, last)) = self.readings.back() {
            if last == grams {
                return;
            }
            // Faster than the window can hold: the newer reading takes the place of the last.
            if now_ms.saturating_sub(at_ms) < self.quiet_ms / (READINGS_MAX as u64 - 1) {
                self.readings.pop_back();
            }
        }
        if self.readings.is_full() {
            self.readings.pop_front();
        }
        let _ = self.readings.push_back((now_ms, grams));
    }

    /// The scale can't be read: what it showed before counts no longer.
    pub fn lost(&mut self) {
        self.readings.clear();
        self.told = None;
        self.lost.get_or_insert(false);
    }

    /// The load now, if it or its quiet changed since the last call.
    pub fn poll(&mut self, now_ms: u64) -> Option<TriggerEvent> {
        if let Some(told) = &mut self.lost {
            return (!std::mem::replace(told, true)).then_some(TriggerEvent::LoadLost);
        }
        let begin_ms = now_ms.saturating_sub(self.quiet_ms);
        // The reading before the window still held when the window began.
        while self.readings.iter().nth(1).is_some_and(|&(at_ms, _)| at_ms <= begin_ms) {
            self.readings.pop_front();
        }
        let &(_, grams) = self.readings.back()?;
        let low = self.readings.iter().map(|&(_, grams)| grams).min()?;
        let high = self.readings.iter().map(|&(_, grams)| grams).max()?;
        let old_enough = self.readings.front().is_some_and(|&(at_ms, _)| at_ms.saturating_add(self.quiet_ms) <= now_ms);
        let quiet = old_enough && high.saturating_sub(low) <= self.quiet_g;
        let now = (grams, quiet);
        if self.told == Some(now) {
            return None;
        }
        self.told = Some(now);
        Some(TriggerEvent::Load { grams, quiet })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_load_is_told_at_once_and_quiet_after_the_window() {
        let mut scale = Scale::new(3, 300);
        scale.reading(0, 0);
        assert_eq!(scale.poll(0), Some(TriggerEvent::Load { grams: 0, quiet: false }));
        assert_eq!(scale.poll(300), Some(TriggerEvent::Load { grams: 0, quiet: true }));
        scale.reading(1_000, 260);
        assert_eq!(scale.poll(1_000), Some(TriggerEvent::Load { grams: 260, quiet: false }));
        scale.reading(1_100, 251);
        scale.reading(1_200, 249);
        assert_eq!(scale.poll(1_200), Some(TriggerEvent::Load { grams: 249, quiet: false }));
        assert_eq!(scale.poll(1_399), None);
        assert_eq!(scale.poll(1_400), Some(TriggerEvent::Load { grams: 249, quiet: true }));
        assert_eq!(scale.poll(9_000), None);
    }

    #[test]
    fn a_lost_scale_is_told_once_and_begins_anew() {
        let mut scale = Scale::new(3, 300);
        scale.reading(0, 250);
        assert_eq!(scale.poll(400), Some(TriggerEvent::Load { grams: 250, quiet: true }));
        scale.lost();
        assert_eq!(scale.poll(500), Some(TriggerEvent::LoadLost));
        scale.lost();
        assert_eq!(scale.poll(600), None);
        scale.reading(700, 250);
        assert_eq!(scale.poll(700), Some(TriggerEvent::Load { grams: 250, quiet: false }));
        assert_eq!(scale.poll(1_000), Some(TriggerEvent::Load { grams: 250, quiet: true }));
    }

    proptest! {
        #[test]
        fn quiet_is_never_told_while_the_load_moves(readings in proptest::collection::vec((1u64..200, -5i32..2_000), 1..100)) {
            let mut scale = Scale::new(3, 300);
            let mut now_ms = 0;
            let mut past: Vec<(u64, i32)> = Vec::new();
            for (gap_ms, grams) in readings {
                now_ms += gap_ms;
                scale.reading(now_ms, grams);
                past.push((now_ms, grams));
                if let Some(TriggerEvent::Load { quiet: true, .. }) = scale.poll(now_ms) {
                    let recent = past.iter().filter(|(at_ms, _)| *at_ms + 300 > now_ms).map(|&(_, grams)| grams);
                    let (low, high) = recent.fold((i32::MAX, i32::MIN), |(low, high), g| (low.min(g), high.max(g)));
                    prop_assert!(high - low <= 3);
                }
            }
        }
    }
}
