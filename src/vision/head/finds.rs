//! What heads find: boxes above a floor, the best label with its runner-up or every label. Bounded: where a
//! network calls everything goods, the best boxes remain.

use super::super::Detection;

/// Most boxes of one frame that are looked at before suppression.
pub const CANDIDATES_MAX: usize = 8192;

/// Where a head puts its boxes. Never allocates as long as the vector has room for `limit`.
#[derive(Debug)]
pub struct Finds<'f> {
    found: &'f mut Vec<Detection>,
    floor: f32,
    multi_label: bool,
    limit: usize,
}

impl<'f> Finds<'f> {
    /// An empty list of at most `limit` boxes that score at least `floor`, which is above 0.
    pub fn new(found: &'f mut Vec<Detection>, floor: f32, multi_label: bool, limit: usize) -> Self {
        found.clear();
        // A score of 0 is never a find, whatever the floor.
        Self { found, floor: floor.max(f32::MIN_POSITIVE), multi_label, limit }
    }

    /// The least score that still counts: rises when there are too many.
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// One box; `scores` are its labels' in their order. What isn't finite is no find.
    pub fn offer(&mut self, bbox: [f32; 4], scores: impl Iterator<Item = f32>) {
        let mut best: Option<Detection> = None;
        for (label, score) in (0..u16::MAX).zip(scores) {
            if score.is_nan() || score < self.floor {
                continue;
            }
            let this = Detection { bbox, score, label, runner_up: None };
            if self.multi_label {
                self.push(this);
                continue;
            }
            match &mut best {
                Some(best) if score <= best.score => best.offer_runner_up(label, score),
                better => *better = Some(Detection { runner_up: better.map(|b| (b.label, b.score)), ..this }),
            }
        }
        if let Some(best) = best {
            self.push(best);
        }
    }

    /// One box that has one label.
    pub fn offer_one(&mut self, bbox: [f32; 4], label: u16, score: f32) {
        if score >= self.floor {
            self.push(Detection { bbox, score, label, runner_up: None });
        }
    }

    fn push(&mut self, d: Detection) {
        if !d.is_sound() || d.score < self.floor {
            return;
        }
        if self.found.len() >= self.limit {
            self.drop_worse_half();
        }
        if self.found.len() < self.limit && d.score >= self.floor {
            self.found.push(d);
        }
    }

    fn drop_worse_half(&mut self) {
        let half = self.found.len() / 2;
        if half > 0 {
            let (_, worst, _) = self.found.select_nth_unstable_by(half - 1, Detection::order);
            self.floor = self.floor.max(worst.score);
            self.found.truncate(half);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BBOX: [f32; 4] = [0.0, 0.0, 1.0, 1.0];

    /// Label, score and runner-up of each find.
    type Labelled = (u16, f32, Option<(u16, f32)>);

    fn offer(scores: &[f32], multi_label: bool) -> Vec<Labelled> {
        let mut found = Vec::new();
        Finds::new(&mut found, 0.2, multi_label, 9).offer(BBOX, scores.iter().copied());
        found.iter().map(|d| (d.label, d.score, d.runner_up)).collect()
    }

    #[test]
    fn the_best_label_and_its_runner_up_or_every_label() {
        assert_eq!(offer(&[0.1, 0.3, 0.5, 0.4], false), [(2, 0.5, Some((3, 0.4)))]);
        assert_eq!(offer(&[0.5, 0.3, 0.5], false), [(0, 0.5, Some((2, 0.5)))], "the first of equals");
        assert_eq!(offer(&[0.1, 0.3], false), [(1, 0.3, None)]);
        assert_eq!(offer(&[0.1, 0.3, 0.5], true), [(1, 0.3, None), (2, 0.5, None)]);
        assert_eq!(offer(&[f32::NAN, f32::INFINITY, 0.4, -1.0], true), [(2, 0.4, None)]);
        assert_eq!(offer(&[0.1], false), []);
    }

    #[test]
    fn too_many_leave_the_best() {
        let mut found = Vec::with_capacity(64);
        let room = found.capacity();
        let mut finds = Finds::new(&mut found, 0.01, false, 64);
        // In an order that neither rises nor falls.
        (0..1000u32).for_each(|i| finds.offer(BBOX, [(i * 387 % 1000) as f32 / 1000.0].into_iter()));
        assert!(finds.floor() > 0.9);
        let mut scores: Vec<f32> = found.iter().map(|d| d.score).collect();
        scores.sort_by(f32::total_cmp);
        assert!(scores.len() >= 32 && scores.len() <= 64 && found.capacity() == room);
        assert!(scores.iter().rev().zip((0..1000).rev()).all(|(s, n)| *s == n as f32 / 1000.0), "{scores:?}");
    }
}
