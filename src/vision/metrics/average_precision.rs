//! COCO's average precision for boxes, as `pycocotools.cocoeval` computes it: IoU .50:.05:.95, 101 recall
//! points, the best 100 boxes of a class in a picture, boxes of all sizes, crowds neither right nor wrong.

use std::cmp::Ordering;

const IOUS: usize = 10;
const RECALLS: usize = 101;
const DETS_MAX: usize = 100;

/// A box that is there: x, y, width, height in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// Index of the class.
    pub class: usize,
    /// x, y, width, height.
    pub bbox: [f64; 4],
    /// A group that nobody counts: detections in it are neither right nor wrong.
    pub crowd: bool,
}

/// A box that was found: x, y, width, height in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Index of the class.
    pub class: usize,
    /// x, y, width, height.
    pub bbox: [f64; 4],
    /// 0..=1.
    pub score: f64,
}

#[derive(Clone, Copy, Debug)]
struct Hit {
    score: f64,
    /// For each IoU: right, and to be left out.
    right: [bool; IOUS],
    ignored: [bool; IOUS],
}

/// Gathers pictures, in the order of their ids; then says the mean over the classes that occur.
#[derive(Clone, Debug)]
pub struct AveragePrecision {
    /// By class: the true boxes that count, and the boxes found.
    classes: Vec<(usize, Vec<Hit>)>,
}

impl AveragePrecision {
    /// Nothing gathered, over so many classes.
    pub fn new(classes: usize) -> Self {
        Self { classes: vec![(0, Vec::new()); classes] }
    }

    /// The next picture.
    pub fn add(&mut self, truth: &[Truth], found: &[Scored]) {
        for (class, (positives, hits)) in self.classes.iter_mut().enumerate() {
            let mut truth: Vec<&Truth> = truth.iter().filter(|t| t.class == class).collect();
            // Crowds last: they take only what no other box takes.
            truth.sort_by_key(|t| t.crowd);
            *positives += truth.iter().filter(|t| !t.crowd).count();
            let mut found: Vec<&Scored> = found.iter().filter(|d| d.class == class).collect();
            found.sort_by(|a, b| descending(a.score, b.score));
            found.truncate(DETS_MAX);
            let first = hits.len();
            hits.extend(found.iter().map(|d| Hit { score: d.score, right: [false; IOUS], ignored: [false; IOUS] }));
            for t in 0..IOUS {
                let mut taken = vec![false; truth.len()];
                for (d, hit) in found.iter().zip(hits.iter_mut().skip(first)) {
                    if let Some(best) = best_match(d, &truth, &taken, threshold(t)) {
                        taken[best] = true;
                        hit.ignored[t] = truth[best].crowd;
                        hit.right[t] = !truth[best].crowd;
                    }
                }
            }
        }
    }

    /// Mean at IoU 0.50; `None` without a true box.
    pub fn map50(&self) -> Option<f64> {
        self.mean(0..1)
    }

    /// Mean over IoU 0.50, 0.55 to 0.95; `None` without a true box.
    pub fn mmap(&self) -> Option<f64> {
        self.mean(0..IOUS)
    }

    /// Average precision of one class over all ten IoUs; `None` when it never occurs.
    pub fn of_class(&self, class: usize) -> Option<f64> {
        let (positives, hits) = self.classes.get(class)?;
        let values: Option<Vec<f64>> = (0..IOUS).map(|t| average_precision(*positives, hits, t)).collect();
        values.map(|v| v.iter().sum::<f64>() / IOUS as f64)
    }

    fn mean(&self, ious: std::ops::Range<usize>) -> Option<f64> {
        let values: Vec<f64> = self
            .classes
            .iter()
            .flat_map(|(positives, hits)| ious.clone().filter_map(|t| average_precision(*positives, hits, t)))
            .collect();
        Some(values.iter().sum::<f64>() / values.len() as f64).filter(|v| v.is_finite())
    }
}

fn threshold(index: usize) -> f64 {
    0.5 + 0.05 * index as f64
}

/// As numpy's stable sort of the negated scores: NaN last.
fn descending(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The free box with the highest IoU of at least `least`; the later of two equals, as in the reference; a
/// crowd, which is never used up, only where no other box fits.
fn best_match(d: &Scored, truth: &[&Truth], taken: &[bool], least: f64) -> Option<usize> {
    let mut limit = least.min(1.0 - 1e-10);
    let mut best: Option<usize> = None;
    for (i, t) in truth.iter().enumerate() {
        if taken[i] && !t.crowd {
            continue;
        }
        if t.crowd && best.is_some_and(|b| !truth[b].crowd) {
            break;
        }
        let overlap = iou(d.bbox, t.bbox, t.crowd);
        if overlap >= limit {
            (limit, best) = (overlap, Some(i));
        }
    }
    best
}

/// Intersection over union; over the found box alone when the true one is a crowd.
fn iou(found: [f64; 4], truth: [f64; 4], crowd: bool) -> f64 {
    let span = |axis: usize| {
        let (a, b) = (found[axis] + found[axis + 2], truth[axis] + truth[axis + 2]);
        (a.min(b) - found[axis].max(truth[axis])).max(0.0)
    };
    let inter = span(0) * span(1);
    let (a, b) = (found[2] * found[3], truth[2] * truth[3]);
    let union = if crowd { a } else { a + b - inter };
    if inter > 0.0 { inter / union } else { 0.0 }
}

fn average_precision(positives: usize, hits: &[Hit], t: usize) -> Option<f64> {
    if positives == 0 {
        return None;
    }
    let mut order: Vec<&Hit> = hits.iter().filter(|h| !h.ignored[t]).collect();
    order.sort_by(|a, b| descending(a.score, b.score));
    let (mut right, mut curve) = (0u32, Vec::with_capacity(order.len()));
    for (i, hit) in order.iter().enumerate() {
        right += u32::from(hit.right[t]);
        curve.push((f64::from(right) / positives as f64, f64::from(right) / ((i + 1) as f64 + f64::EPSILON)));
    }
    // From the right: precision never falls as recall falls.
    let mut best = 0.0f64;
    for (_, precision) in curve.iter_mut().rev() {
        best = best.max(*precision);
        *precision = best;
    }
    let sum: f64 = (0..RECALLS)
        .map(|r| {
            let recall = r as f64 * 0.01;
            let at = curve.partition_point(|(rc, _)| *rc < recall);
            curve.get(at).map_or(0.0, |(_, precision)| *precision)
        })
        .sum();
    Some(sum / RECALLS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(class: usize, bbox: [f64; 4]) -> Truth {
        Truth { class, bbox, crowd: false }
    }

    fn found(class: usize, bbox: [f64; 4], score: f64) -> Scored {
        Scored { class, bbox, score }
    }

    #[test]
    fn a_miss_and_a_false_one_by_hand() {
        let mut ap = AveragePrecision::new(2);
        let (a, b) = ([0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 10.0, 10.0]);
        // The best box is false, the second right, one of two true boxes is missed: precision 1/2 up to a
        // recall of 1/2, which are 51 of 101 points.
        ap.add(&[truth(0, a), truth(0, b)], &[found(0, [20.0, 20.0, 5.0, 5.0], 0.9), found(0, a, 0.8)]);
        let expected = 51.0 * 0.5 / 101.0;
        assert!((ap.map50().unwrap() - expected).abs() < 1e-9);
        assert!((ap.mmap().unwrap() - expected).abs() < 1e-9);
        assert_eq!((ap.of_class(0), ap.of_class(1)), (ap.mmap(), None));
        assert_eq!(AveragePrecision::new(3).map50(), None);
    }

    #[test]
    fn a_box_that_is_off_counts_at_low_ious_only() {
        let mut ap = AveragePrecision::new(1);
        // IoU 0.72: right at .50 .. .70, five of ten.
        ap.add(&[truth(0, [0.0, 0.0, 10.0, 10.0])], &[found(0, [0.0, 0.0, 7.2, 10.0], 0.9)]);
        assert!((ap.map50().unwrap() - 1.0).abs() < 1e-9);
        assert!((ap.mmap().unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn one_true_box_is_found_once_and_a_crowd_any_number_of_times() {
        let a = [0.0, 0.0, 10.0, 10.0];
        let mut ap = AveragePrecision::new(1);
        let crowd = Truth { crowd: true, ..truth(0, [100.0, 0.0, 100.0, 100.0]) };
        let in_crowd = |i: f64| found(0, [100.0 + 20.0 * i, 0.0, 10.0, 10.0], 0.95);
        ap.add(&[crowd, truth(0, a)], &[in_crowd(0.0), in_crowd(1.0), found(0, a, 0.9), found(0, a, 0.8)]);
        assert!((ap.map50().unwrap() - 1.0).abs() < 1e-9, "the double comes after full recall");
        let mut ap = AveragePrecision::new(1);
        ap.add(&[truth(0, a), truth(0, [50.0, 0.0, 10.0, 10.0])], &[found(0, a, 0.9), found(0, a, 0.8)]);
        assert!((ap.map50().unwrap() - 51.0 / 101.0).abs() < 1e-9);
    }

    /// `tests/data/coco/golden.json` was made by `make.py` beside it, with pycocotools.
    #[test]
    fn agrees_with_pycocotools() {
        #[derive(serde::Deserialize)]
        struct Golden {
            truth: serde_json::Value,
            detections: Vec<(usize, usize, f64, f64, f64, f64, f64)>,
            #[serde(rename = "mAP50")]
            map50: f64,
            #[serde(rename = "mmAP")]
            mmap: f64,
        }
        let golden: Golden = serde_json::from_str(include_str!("../../../tests/data/coco/golden.json")).unwrap();
        let labels: Vec<String> = (1..8).map(|i| format!("c{i}")).collect();
        let data = super::super::Dataset::parse(&golden.truth.to_string(), &labels).unwrap();
        let mut ap = AveragePrecision::new(labels.len());
        for (i, image) in (1usize..).zip(&data.images) {
            let found: Vec<Scored> = golden
                .detections
                .iter()
                .filter(|d| d.0 == i)
                .map(|&(_, class, x, y, w, h, score)| Scored { class: class - 1, bbox: [x, y, w, h], score })
                .collect();
            ap.add(&image.truth, &found);
        }
        assert!((ap.map50().unwrap() - golden.map50).abs() < 1e-6, "{:?} {}", ap.map50(), golden.map50);
        assert!((ap.mmap().unwrap() - golden.mmap).abs() < 1e-6, "{:?} {}", ap.mmap(), golden.mmap);
    }
}
