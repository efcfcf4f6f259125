//! How a line bounces, and the debounce that suits it. Pure.

/// Upper ends of the histogram's classes, milliseconds; the last class is open.
pub const CLASSES_MS: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 200];
/// Edges further apart than this are two events and no bounce.
const BOUNCE_MS_MAX: u64 = 100;

/// Counts the times between edges.
#[derive(Clone, Debug, Default)]
pub struct Bounces {
    last_ns: Option<u64>,
    /// Edges by the time since the one before: one more class than [`CLASSES_MS`].
    pub histogram: [u64; CLASSES_MS.len() + 1],
    /// Edges in all.
    pub edges: u64,
    worst_ns: u64,
}

impl Bounces {
    /// An edge at `at_ns`.
    pub fn edge(&mut self, at_ns: u64) {
        self.edges += 1;
        if let Some(last_ns) = self.last_ns.replace(at_ns) {
            let gap_ns = at_ns.saturating_sub(last_ns);
            let class = CLASSES_MS.iter().position(|&ms| gap_ns <= ms * 1_000_000).unwrap_or(CLASSES_MS.len());
            if let Some(count) = self.histogram.get_mut(class) {
                *count += 1;
            }
            if gap_ns <= BOUNCE_MS_MAX * 1_000_000 {
                self.worst_ns = self.worst_ns.max(gap_ns);
            }
        }
    }

    /// Twice the longest bounce, in whole milliseconds; 5 for a line that never bounced.
    pub fn debounce_ms(&self) -> u64 {
        (self.worst_ns * 2).div_ceil(1_000_000).max(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounces_are_counted_and_suggest_twice_the_longest() {
        let mut bounces = Bounces::default();
        assert_eq!(bounces.debounce_ms(), 5);
        for at_us in [0, 400, 1_100, 9_000, 2_000_000, 2_000_300, 4_000_000] {
            bounces.edge(at_us * 1_000);
        }
        assert_eq!((bounces.edges, bounces.histogram), (7, [3, 0, 0, 1, 0, 0, 0, 0, 2]));
        assert_eq!(bounces.debounce_ms(), 16, "7.9 ms, twice, rounded up");
    }
}
