//! What was taken for what, and what a score is worth: boxes are paired by overlap alone, best first, then
//! their labels compared.

/// Least IoU of a pair.
const PAIR_IOU: f64 = 0.5;
/// Bins of the calibration, of equal width in the score.
pub const BINS: usize = 10;

use super::{Scored, Truth};

/// One bin of the calibration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Boxes whose score lies in the bin.
    pub boxes: usize,
    /// Those that lie on a true box of their label.
    pub right: usize,
    /// Sum of their scores.
    pub score_sum: f64,
}

/// Pairs of labels counted, and right boxes by score.
#[derive(Clone, Debug)]
pub struct Confusion {
    classes: usize,
    /// `[true][found]`, with one more row and column for nothing.
    table: Vec<usize>,
    /// By score, lowest first.
    pub bins: [Bin; BINS],
}

impl Confusion {
    /// Nothing counted, over so many classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, table: vec![0; (classes + 1) * (classes + 1)], bins: [Bin::default(); BINS] }
    }

    /// Another picture. What is there of a class beyond the counted ones (goods without label, a hand) is
    /// nothing: right when it is not found.
    pub fn add(&mut self, truth: &[Truth], found: &[Scored]) {
        let mut pairs = Vec::new();
        for (t, a) in truth.iter().enumerate() {
            for (f, b) in found.iter().enumerate() {
                let overlap = iou(a.bbox, b.bbox);
                if overlap >= PAIR_IOU {
                    pairs.push((overlap, t, f));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut truth_free, mut found_free) = (vec![true; truth.len()], vec![true; found.len()]);
        for (_, t, f) in pairs {
            if truth_free[t] && found_free[f] {
                (truth_free[t], found_free[f]) = (false, false);
                self.count(truth[t].class.min(self.classes), found[f].class);
                self.calibrate(found[f].score, truth[t].class == found[f].class);
            }
        }
        let classes = self.classes;
        for (t, _) in truth.iter().zip(truth_free).filter(|(t, free)| *free && !t.crowd && t.class < classes) {
            self.count(t.class, classes);
        }
        for (f, _) in found.iter().zip(found_free).filter(|(_, free)| *free) {
            self.count(self.classes, f.class);
            self.calibrate(f.score, false);
        }
    }

    fn count(&mut self, truth: usize, found: usize) {
        if let Some(cell) = self.table.get_mut(truth * (self.classes + 1) + found) {
            *cell += 1;
        }
    }

    fn calibrate(&mut self, score: f64, right: bool) {
        let index = ((score * BINS as f64) as usize).min(BINS - 1);
        if let Some(bin) = self.bins.get_mut(index) {
            bin.boxes += 1;
            bin.right += usize::from(right);
            bin.score_sum += score;
        }
    }

    /// Boxes of class `truth` that were found as `found`; the number of classes stands for nothing.
    pub fn count_of(&self, truth: usize, found: usize) -> usize {
        self.table.get(truth * (self.classes + 1) + found).copied().unwrap_or(0)
    }

    /// Expected calibration error: mean gap between score and share of right boxes, weighted by boxes.
    pub fn calibration_error(&self) -> Option<f64> {
        let boxes: usize = self.bins.iter().map(|b| b.boxes).sum();
        let gaps: f64 = self.bins.iter().map(|b| (b.score_sum - b.right as f64).abs()).sum();
        Some(gaps / boxes as f64).filter(|v| v.is_finite())
    }
}

fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let span = |i: usize| ((a[i] + a[i + 2]).min(b[i] + b[i + 2]) - a[i].max(b[i])).max(0.0);
    let inter = span(0) * span(1);
    let union = a[2] * a[3] + b[2] * b[3] - inter;
    if union > 0.0 { inter / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_by_hand() {
        let mut c = Confusion::new(2);
        let (a, b, off) = ([0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 10.0, 10.0], [80.0, 0.0, 10.0, 10.0]);
        let truth = |class, bbox| Truth { class, bbox, crowd: false };
        let found = |class, bbox, score| Scored { class, bbox, score };
        c.add(
            &[truth(0, a), truth(1, b), truth(1, [200.0, 0.0, 5.0, 5.0])],
            &[found(0, a, 0.95), found(0, b, 0.75), found(1, off, 0.55)],
        );
        let cells: Vec<usize> =
            (0..3).flat_map(|t| (0..3).map(move |f| (t, f))).map(|(t, f)| c.count_of(t, f)).collect();
        assert_eq!(cells, [1, 0, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!((c.bins[9].right, c.bins[7].right, c.bins[5].boxes), (1, 0, 1));
        // Goods without label: taken for a product it counts as nothing taken for it, not found it is right.
        c.add(&[truth(2, a), truth(3, b)], &[found(0, a, 0.95)]);
        assert_eq!((c.count_of(2, 0), c.count_of(2, 2), c.count_of(1, 2)), (1, 0, 1));
        let mut c = Confusion::new(2);
        c.add(&[truth(0, a), truth(1, b)], &[found(0, a, 0.95), found(0, b, 0.75), found(1, off, 0.55)]);
        // Gaps 0.05, 0.75 and 0.55 over three boxes.
        assert!((c.calibration_error().unwrap() - 1.35 / 3.0).abs() < 1e-9);
    }
}
