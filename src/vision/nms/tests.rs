//! Each method by hand, and what holds for all of them.

use proptest::prelude::*;

use super::*;

fn d(x: f32, score: f32, label: u16) -> Detection {
    Detection { bbox: [x, 0.0, x + 10.0, 10.0], score, label, runner_up: None }
}

const NMS: Nms = Nms {
    method: Method::Greedy,
    iou: 0.5,
    across_iou: 0.75,
    sigma: 0.5,
    vote: None,
    vote_score: 0.25,
    alone: Some(9),
    keep_max: 4,
};

fn run_with(nms: Nms, mut found: Vec<Detection>) -> Vec<Detection> {
    let mut kept = Vec::new();
    nms.run(&mut found, 0.1, &mut kept);
    kept
}

fn run(found: Vec<Detection>) -> Vec<Detection> {
    run_with(NMS, found)
}

fn scores(kept: &[Detection]) -> Vec<f32> {
    kept.iter().map(|k| k.score).collect()
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
    assert_eq!(scores(&kept), [0.8, 0.1 * 7.0, 0.1 * 6.0, 0.5]);
}

#[test]
fn class_agnostic_is_one_limit_for_all_labels() {
    let agnostic = Nms { across_iou: NMS.iou, ..NMS };
    let kept = run_with(agnostic, vec![d(0.0, 0.8, 0), d(3.0, 0.9, 1)]);
    assert_eq!(kept, [Detection { runner_up: Some((0, 0.8)), ..d(3.0, 0.9, 1) }]);
}

#[test]
fn diou_spares_neighbours_whose_middles_lie_apart() {
    // Shift 3: IoU 7/13 = 0.538; middles 3 apart, diagonal^2 13^2 + 10^2 = 269: DIoU 0.505.
    // Shift 3.2: IoU 6.8/13.2 = 0.515, DIoU 0.515 - 10.24 / 274.24 = 0.478.
    let diou = Nms { method: Method::Diou, ..NMS };
    assert_eq!(run_with(diou, vec![d(0.0, 0.8, 0), d(3.0, 0.9, 0)]).len(), 1);
    assert_eq!(run_with(diou, vec![d(0.0, 0.8, 0), d(3.2, 0.9, 0)]).len(), 2);
    assert_eq!(run(vec![d(0.0, 0.8, 0), d(3.2, 0.9, 0)]).len(), 1);
    assert!((apart([0.0, 0.0, 10.0, 10.0], [3.0, 0.0, 13.0, 10.0]) - 9.0 / 269.0).abs() < 1e-7);
}

#[test]
fn voting_moves_a_box_to_the_mean_of_its_doubles() {
    let voting = Nms { vote: Some(0.6), ..NMS };
    // Shifts of 1 and 2 pixels overlap by 9/11 and 8/12, one of 3 by 7/13, which has no vote; nor has another
    // label, a score below the threshold, or a box elsewhere.
    let found = vec![d(0.0, 0.8, 0), d(1.0, 0.4, 0), d(2.0, 0.3, 0), d(3.0, 0.7, 0), d(1.0, 0.6, 1), d(1.0, 0.2, 0)];
    let kept = run_with(voting, [found.clone(), vec![d(40.0, 0.5, 0), d(80.0, 0.15, 0)]].concat());
    assert_eq!(scores(&kept), [0.8, 0.5, 0.15]);
    let x = (1.0 * 0.4 + 2.0 * 0.3) / (0.8 + 0.4 + 0.3);
    for (got, want) in kept[0].bbox.into_iter().zip([x, 0.0, x + 10.0, 10.0]) {
        assert!((got - want).abs() < 1e-5, "{kept:?}");
    }
    assert_eq!((kept[0].runner_up, kept[1], kept[2]), (Some((1, 0.6)), d(40.0, 0.5, 0), d(80.0, 0.15, 0)));
    // Without a vote the best stays where it is.
    assert_eq!(run(found)[0].bbox, d(0.0, 0.8, 0).bbox);
}

#[test]
fn soft_scores_fall_by_the_papers_formulas() {
    let found = || vec![d(0.0, 0.9, 0), d(3.0, 0.8, 0), d(5.0, 0.5, 0), d(40.0, 0.4, 0), d(0.0, 0.15, 0)];
    let near = |kept: Vec<Detection>, want: &[f32]| {
        assert_eq!(kept.len(), want.len(), "{kept:?}");
        for (k, want) in kept.iter().zip(want) {
            assert!((k.score - want).abs() < 1e-6, "{kept:?}");
        }
    };
    // Linear: the second overlaps the first by 7/13; the third overlaps the first by 5/15, below the limit,
    // and the second by 8/12, which counts when its turn comes; the last lies on the first and falls to 0.
    let linear = Nms { method: Method::SoftLinear, ..NMS };
    let second = 0.8 * (1.0 - 7.0 / 13.0);
    // The third (0.5) overtakes the second (0.369), and takes from it.
    near(run_with(linear, found()), &[0.9, 0.5, 0.4, second * (1.0 - 8.0 / 12.0)]);
    // Gaussian: every overlap counts, exp(-iou^2 / sigma).
    let gaussian = Nms { method: Method::SoftGaussian, ..NMS };
    let bell = |iou: f32| (-iou * iou / 0.5f32).exp();
    let second = 0.8 * bell(7.0 / 13.0);
    near(run_with(gaussian, found()), &[0.9, second, 0.4, 0.5 * bell(5.0 / 15.0) * bell(8.0 / 12.0)]);
}

#[test]
fn soft_merges_across_labels_and_leaves_the_hand_alone() {
    let linear = Nms { method: Method::SoftLinear, ..NMS };
    let kept = run_with(linear, vec![d(0.0, 0.8, 0), d(1.0, 0.9, 1), d(0.0, 0.5, 9)]);
    assert_eq!(kept, [Detection { runner_up: Some((0, 0.8)), ..d(1.0, 0.9, 1) }, d(0.0, 0.5, 9)]);
}

#[test]
fn none_merges_across_labels_alone() {
    let none = Nms { method: Method::None, ..NMS };
    let kept = run_with(none, vec![d(0.0, 0.8, 0), d(0.0, 0.9, 0), d(40.0, 0.6, 1), d(40.0, 0.7, 2)]);
    let third = Detection { runner_up: Some((1, 0.6)), ..d(40.0, 0.7, 2) };
    assert_eq!(kept, [d(0.0, 0.9, 0), d(0.0, 0.8, 0), third]);
}

const METHODS: [Method; 5] = [Method::Greedy, Method::Diou, Method::SoftLinear, Method::SoftGaussian, Method::None];

proptest! {
    #[test]
    fn no_two_that_are_kept_are_doubles(
        boxes in prop::collection::vec((0.0f32..40.0, 0.0f32..1.0, 0u16..4), 0..40)
    ) {
        let all = Nms { keep_max: usize::MAX, ..NMS };
        let mut found: Vec<_> = boxes.into_iter().map(|(x, s, l)| d(x, s, l)).collect();
        let mut kept = Vec::new();
        all.run(&mut found, 0.0, &mut kept);
        for (i, a) in kept.iter().enumerate() {
            for b in &kept[..i] {
                let limit = if a.label == b.label { 0.5 } else { 0.75 };
                prop_assert!(iou(a.bbox, b.bbox) <= limit && a.score <= b.score);
            }
        }
        // Everything that went has a better one that covers it.
        for f in &found {
            prop_assert!(kept.iter().any(|k| k.score >= f.score && iou(k.bbox, f.bbox) > 0.0));
        }
    }

    #[test]
    fn the_order_of_the_boxes_changes_nothing(
        boxes in prop::collection::vec((0u8..20, 0u8..4, 0u16..3), 0..24),
        seed in any::<prop::sample::Index>(),
        method in prop::sample::select(&METHODS[..]),
        vote in prop::option::of(0.5f32..1.0),
    ) {
        // Few values, so that ties are common.
        let mut found: Vec<_> =
            boxes.into_iter().map(|(x, s, l)| d(f32::from(x), 0.2 + 0.2 * f32::from(s), l)).collect();
        let nms = Nms { method, vote, keep_max: 12, ..NMS };
        let first = run_with(nms, found.clone());
        if !found.is_empty() {
            let turn = seed.index(found.len());
            found.rotate_left(turn);
            found.reverse();
        }
        prop_assert!(first.windows(2).all(|pair| pair[0].score >= pair[1].score));
        prop_assert_eq!(run_with(nms, found), first);
    }

    #[test]
    fn no_number_makes_it_panic_or_go_on_for_ever(
        boxes in prop::collection::vec((any::<[f32; 4]>(), any::<f32>(), any::<u16>()), 0..24),
        method in prop::sample::select(&METHODS[..]),
        iou in any::<f32>(),
        vote in prop::option::of(any::<f32>()),
    ) {
        let found: Vec<_> =
            boxes.into_iter().map(|(bbox, score, label)| Detection { bbox, score, label, runner_up: None }).collect();
        let nms = Nms { method, iou, vote, ..NMS };
        prop_assert!(run_with(nms, found).len() <= NMS.keep_max);
    }
}
