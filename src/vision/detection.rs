//! One box that a head read out of an engine's output, and the geometry of boxes. Boxes are x0, y0, x1, y1.

use std::cmp::Ordering;

/// No picture is that wide; squares of such numbers are still exact enough to compare.
const COORDINATE_MAX: f32 = 1e6;

/// A region that the detector named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// In pixels: of the input while it is decoded, of the frame once it leaves vision.
    pub bbox: [f32; 4],
    /// 0..=1.
    pub score: f32,
    /// Index into the engine's labels, reserved ones included.
    pub label: u16,
    /// The label that came second for the same region, and its score.
    pub runner_up: Option<(u16, f32)>,
}

impl Detection {
    /// True for a finite score and a box with an area whose numbers are those of a picture.
    pub fn is_sound(&self) -> bool {
        let [x0, y0, x1, y1] = self.bbox;
        self.score.is_finite() && self.bbox.iter().all(|v| v.abs() < COORDINATE_MAX) && x1 > x0 && y1 > y0
    }

    /// Best first. Equal scores are put in an order of their own, so that nothing hangs on the head's order.
    pub fn order(&self, other: &Self) -> Ordering {
        let boxes = || self.bbox.iter().zip(&other.bbox).map(|(a, b)| a.total_cmp(b));
        let score = other.score.total_cmp(&self.score);
        score.then(self.label.cmp(&other.label)).then_with(|| boxes().find(|o| o.is_ne()).unwrap_or(Ordering::Equal))
    }

    /// Keeps the better of the known runner-up and `label`; of equals the lower label.
    pub fn offer_runner_up(&mut self, label: u16, score: f32) {
        let better = |(known, best)| score > best || score == best && label < known;
        if label != self.label && self.runner_up.is_none_or(better) {
            self.runner_up = Some((label, score));
        }
    }
}

/// Area in square pixels; 0 for an inverted box.
pub fn area([x0, y0, x1, y1]: [f32; 4]) -> f32 {
    (x1 - x0).max(0.0) * (y1 - y0).max(0.0)
}

/// Area that both cover.
pub fn intersection(a: [f32; 4], b: [f32; 4]) -> f32 {
    area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])])
}

/// Intersection over union, 0..=1; 0 where it isn't defined.
pub fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let inter = intersection(a, b);
    let union = area(a) + area(b) - inter;
    if union > 0.0 { inter / union } else { 0.0 }
}

/// Share of the smaller box that lies in the other, 0..=1; 0 where it isn't defined.
pub fn containment(a: [f32; 4], b: [f32; 4]) -> f32 {
    let smaller = area(a).min(area(b));
    if smaller > 0.0 { intersection(a, b) / smaller } else { 0.0 }
}

/// The middle of a box.
pub fn centre([x0, y0, x1, y1]: [f32; 4]) -> [f32; 2] {
    [(x0 + x1) / 2.0, (y0 + y1) / 2.0]
}

/// Distance of two middles in pixels.
pub fn distance(a: [f32; 4], b: [f32; 4]) -> f32 {
    let ([ax, ay], [bx, by]) = (centre(a), centre(b));
    (ax - bx).hypot(ay - by)
}

/// Mean of width and height.
pub fn side([x0, y0, x1, y1]: [f32; 4]) -> f32 {
    ((x1 - x0) + (y1 - y0)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_by_hand() {
        let (a, b) = ([0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0]);
        assert_eq!(intersection(a, b), 8.0);
        assert!((iou(a, b) - 8.0 / 24.0).abs() < 1e-6);
        assert_eq!(containment(a, [1.0, 1.0, 2.0, 2.0]), 1.0);
        assert_eq!((iou(a, [9.0, 9.0, 8.0, 8.0]), iou([0.0; 4], [0.0; 4])), (0.0, 0.0));
        assert_eq!((distance(a, b), side([0.0, 0.0, 2.0, 4.0])), (2.0, 3.0));
    }

    #[test]
    fn unsound_boxes_are_known_as_such() {
        let good = Detection { bbox: [0.0, 0.0, 1.0, 1.0], score: 0.5, label: 0, runner_up: None };
        assert!(good.is_sound());
        for bbox in [[f32::NAN, 0.0, 1.0, 1.0], [0.0, 0.0, f32::INFINITY, 1.0], [1.0, 0.0, 1.0, 1.0]] {
            assert!(!Detection { bbox, ..good }.is_sound());
        }
        assert!(!Detection { score: f32::NAN, ..good }.is_sound());
    }
}
