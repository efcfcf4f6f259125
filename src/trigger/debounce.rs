//! A level counts when it has stood still for the window. Pure: the time comes in with the level.

/// One line's debounce.
#[derive(Clone, Copy, Debug)]
pub struct Debounce {
    window_ms: u64,
    settled: bool,
    raw: bool,
    since_ms: u64,
}

impl Debounce {
    /// A line that begins low and must stand still for `window_ms`.
    pub fn new(window_ms: u64) -> Self {
        Self { window_ms, settled: false, raw: false, since_ms: 0 }
    }

    /// The line has `level` at `now_ms`. An edge that the window swallowed is only visible here.
    pub fn level(&mut self, now_ms: u64, level: bool) {
        if level != self.raw {
            self.raw = level;
            self.since_ms = now_ms;
        }
    }

    /// The new settled level, once for each change.
    pub fn poll(&mut self, now_ms: u64) -> Option<bool> {
        let still = now_ms.saturating_sub(self.since_ms) >= self.window_ms;
        if self.raw == self.settled || !still {
            return None;
        }
        self.settled = self.raw;
        Some(self.settled)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bouncing_press_is_one_event() {
        let mut line = Debounce::new(30);
        for (ms, level) in [(100, true), (103, false), (105, true), (109, false), (111, true)] {
            line.level(ms, level);
            assert_eq!(line.poll(ms), None);
        }
        assert_eq!(line.poll(140), None);
        assert_eq!(line.poll(141), Some(true));
        assert_eq!(line.poll(500), None);
    }

    proptest! {
        #[test]
        fn events_alternate_and_the_last_level_arrives(edges in proptest::collection::vec((1u64..80, any::<bool>()), 1..60)) {
            let mut line = Debounce::new(30);
            let mut now_ms = 0;
            let mut last_edge_ms = 0;
            let mut raw = false;
            let mut events = Vec::new();
            for (gap_ms, level) in edges {
                let until_ms = now_ms + gap_ms;
                while now_ms < until_ms {
                    if let Some(event) = line.poll(now_ms) {
                        prop_assert!(now_ms - last_edge_ms >= 30, "an event inside the window");
                        events.push(event);
                    }
                    now_ms += 1;
                }
                if level != raw {
                    last_edge_ms = now_ms;
                    raw = level;
                }
                line.level(now_ms, level);
            }
            events.extend(line.poll(now_ms + 30));
            prop_assert_eq!(events.last().copied().unwrap_or(false), raw);
            prop_assert!(events.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert!(events.first().is_none_or(|&first| first));
        }
    }
}
