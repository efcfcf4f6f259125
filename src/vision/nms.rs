//! Doubles out: greedy suppression by label, then across labels where two boxes are all but the same, so
//! that one pack is one item and the label it nearly was remains as its runner-up. Allocates nothing.

use super::Detection;
use super::detection::iou;

/// What counts as a double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nms {
    /// Two boxes of one label with more overlap than this are one.
    pub iou: f32,
    /// Two boxes of different labels with more overlap than this are one pack.
    pub across_iou: f32,
    /// The label that is never merged with another: a hand over a pack doesn't replace it.
    pub alone: Option<u16>,
    /// Most boxes that are kept.
    pub keep_max: usize,
}

impl Nms {
    /// Sorts `found` by score and replaces `kept` by the boxes that remain, best first. Allocates nothing if
    /// `kept` has room for `keep_max`.
    pub fn run(&self, found: &mut [Detection], kept: &mut Vec<Detection>) {
        // Equal scores are put in an order of their own, so that the result doesn't hang on the head's order.
        found.sort_unstable_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(a.label.cmp(&b.label))
                .then(a.bbox[0].total_cmp(&b.bbox[0]))
                .then(a.bbox[1].total_cmp(&b.bbox[1]))
        });
        kept.clear();
        for d in found.iter() {
            let double = kept.iter().position(|k| {
                let limit = match k.label == d.label {
                    true => self.iou,
                    false if self.alone == Some(k.label) || self.alone == Some(d.label) => return false,
                    false => self.across_iou,
                };
                iou(k.bbox, d.bbox) > limit
            });
            let room = kept.len() < self.keep_max;
            match double.and_then(|i| kept.get_mut(i)) {
                Some(better) => better.offer_runner_up(d.label, d.score),
                None if room => kept.push(*d),
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(x: f32, score: f32, label: u16) -> Detection {
        Detection { bbox: [x, 0.0, x + 10.0, 10.0], score, label, runner_up: None }
    }

    const NMS: Nms = Nms { iou: 0.5, across_iou: 0.75, alone: Some(9), keep_max: 4 };

    fn run(mut found: Vec<Detection>) -> Vec<Detection> {
        let mut kept = Vec::new();
        NMS.run(&mut found, &mut kept);
        kept
    }

    #[test]
    fn one_label_by_iou_and_two_labels_only_when_all_but_the_same() {
        // Shifts of 3 and 4 pixels: IoU 7/13 and 6/14.
        assert_eq!(run(vec![d(0.0, 0.8, 0), d(3.0, 0.9, 0)]), [d(3.0, 0.9, 0)]);
        assert_eq!(run(vec![d(0.0, 0.8, 0), d(4.0, 0.9, 0)]).len(), 2);
        assert_eq!(run(vec![d(0.0, 0.8, 0), d(3.0, 0.9, 1)]).len(), 2);
        let kept = run(vec![d(0.0, 0.8, 0), d(1.0, 0.9, 1)]);
        assert_eq!(kept, [Detection { runner_up: Some((0, 0.8)), ..d(1.0, 0.9, 1) }]);
        // A hand over a pack replaces nothing, and is not replaced.
        assert_eq!(run(vec![d(0.0, 0.8, 0), d(0.0, 0.9, 9)]).len(), 2);
        assert_eq!(run(vec![d(0.0, 0.8, 9), d(0.0, 0.9, 0)]).len(), 2);
    }

    #[test]
    fn the_best_are_kept_when_there_are_too_many() {
        let kept = run((0..9).map(|i| d(i as f32 * 20.0, 0.1 * i as f32, 0)).collect());
        let scores: Vec<f32> = kept.iter().map(|k| k.score).collect();
        assert_eq!(scores, [0.8, 0.1 * 7.0, 0.1 * 6.0, 0.5]);
    }

    proptest::proptest! {
        #[test]
        fn no_two_that_are_kept_are_doubles(
            boxes in proptest::collection::vec((0.0f32..40.0, 0.0f32..1.0, 0u16..4), 0..40)
        ) {
            let all = Nms { keep_max: usize::MAX, ..NMS };
            let mut found: Vec<_> = boxes.into_iter().map(|(x, s, l)| d(x, s, l)).collect();
            let mut kept = Vec::new();
            all.run(&mut found, &mut kept);
            for (i, a) in kept.iter().enumerate() {
                for b in &kept[..i] {
                    let limit = if a.label == b.label { 0.5 } else { 0.75 };
                    proptest::prop_assert!(iou(a.bbox, b.bbox) <= limit && a.score <= b.score);
                }
            }
            // Everything that went has a better one that covers it.
            for f in &found {
                proptest::prop_assert!(kept.iter().any(|k| k.score >= f.score && iou(k.bbox, f.bbox) > 0.0));
            }
        }
    }
}
