//! Scenes frame by frame: what a shopper does, what a detector gets wrong, and anything at all.

use proptest::prelude::*;

use super::super::super::Class;
use super::*;

const HAND: u16 = 9;
const UNKNOWN: u16 = 8;

fn rules() -> Rules {
    Rules { products: 8, hand: Some(HAND), ..Rules::default() }
}

fn d(label: u16, x: f32, y: f32) -> Detection {
    Detection { bbox: [x, y, x + 60.0, y + 40.0], score: 0.9, label, runner_up: None }
}

struct Scene {
    fusion: Fusion,
    frame: u64,
}

impl Scene {
    fn new() -> Self {
        Self { fusion: Fusion::new(rules()), frame: 0 }
    }

    fn see(&mut self, frames: usize, detections: &[Detection]) -> &TrayObservation {
        for _ in 0..frames {
            self.fusion.update(detections, (640, 480), self.frame, self.frame * 66);
            self.frame += 1;
        }
        self.fusion.last()
    }

    fn classes(&self) -> Vec<Class> {
        self.fusion.last().items.iter().map(|i| i.class).collect()
    }
}

#[test]
fn a_steady_scene_settles_with_exact_counts_and_an_empty_tray_too() {
    let mut s = Scene::new();
    assert!(!s.see(1, &[]).settled);
    assert!(s.see(8, &[]).settled);
    let goods = [d(1, 50.0, 50.0), d(1, 200.0, 50.0), d(3, 50.0, 200.0)];
    assert_eq!(s.see(2, &goods).items.len(), 0, "two frames are a suspicion");
    assert!(!s.see(1, &goods).settled);
    let o = s.see(12, &goods);
    assert!(o.settled && !o.too_many && !o.hand, "{o:?}");
    assert!(o.items.iter().all(|i| i.stable && !i.clipped && !i.overlapped));
    assert_eq!(s.classes(), [Class::Product(1), Class::Product(1), Class::Product(3)]);
    let o = s.see(40, &goods).items[0];
    assert_eq!((o.votes, o.frames, o.score_permille), (24, 24, 900));
}

#[test]
fn one_frame_of_nonsense_is_never_an_item() {
    let mut s = Scene::new();
    let goods = [d(1, 50.0, 50.0)];
    s.see(20, &goods);
    for i in 0..30 {
        s.see(1, &[goods[0], d(2, 300.0, 300.0)]);
        assert!(s.see(5 + i % 3, &goods).settled, "a flicker unsettles nothing");
        assert_eq!(s.classes(), [Class::Product(1)]);
    }
}

#[test]
fn a_frame_or_two_missed_changes_nothing_but_goods_taken_are_gone() {
    let mut s = Scene::new();
    let goods = [d(1, 50.0, 50.0), d(2, 200.0, 50.0)];
    s.see(20, &goods);
    assert!(s.see(2, &goods[..1]).settled);
    assert_eq!(s.see(1, &goods).items.len(), 2);
    assert_eq!(s.see(5, &goods[..1]).items.len(), 2);
    let o = s.see(1, &goods[..1]);
    assert!(o.items.len() == 1 && !o.settled);
    assert!(s.see(9, &goods[..1]).settled);
}

#[test]
fn a_hand_keeps_what_it_hides_and_forbids_settling() {
    let mut s = Scene::new();
    let goods = [d(1, 50.0, 50.0), d(2, 400.0, 300.0)];
    s.see(20, &goods);
    let ids: Vec<u32> = s.fusion.last().items.iter().map(|i| i.track).collect();
    let hand = Detection { bbox: [0.0, 0.0, 200.0, 200.0], ..d(HAND, 0.0, 0.0) };
    let o = s.see(100, &[hand, goods[1]]);
    assert!(o.hand && !o.settled && o.items.len() == 2);
    // It leaves, the goods lie there as before: the same items.
    let o = s.see(15, &goods);
    assert!(o.settled && !o.hand);
    assert_eq!(o.items.iter().map(|i| i.track).collect::<Vec<_>>(), ids);
    // It takes one along.
    s.see(10, &[hand, goods[1]]);
    assert_eq!(s.see(25, &goods[1..]).items.len(), 1);
}

#[test]
fn goods_that_move_stay_one_item() {
    let mut s = Scene::new();
    s.see(20, &[d(1, 50.0, 50.0)]);
    let id = s.fusion.last().items[0].track;
    // Pushed along, then snatched to the other end.
    for step in 0..20 {
        let o = s.see(1, &[d(1, 50.0 + step as f32 * 15.0, 50.0)]);
        assert!(o.items.len() == 1 && o.items[0].track == id);
    }
    let o = s.see(1, &[d(1, 500.0, 400.0)]);
    assert!(o.items.len() == 1 && o.items[0].track == id && !o.items[0].stable && !o.settled);
    assert!(s.see(15, &[d(1, 500.0, 400.0)]).settled);
}

#[test]
fn a_second_box_on_the_same_pack_is_no_second_item() {
    let mut s = Scene::new();
    s.see(20, &[d(1, 50.0, 50.0)]);
    // What suppression would let through between two labels, and what it wouldn't.
    for shift in [0.0, 2.0, 4.0] {
        s.see(10, &[d(1, 50.0, 50.0), d(2, 50.0 + shift, 50.0)]);
        assert_eq!(s.fusion.last().items.len(), 1, "shift {shift}");
    }
    // Two that lie beside each other are two, whatever their labels.
    assert_eq!(s.see(10, &[d(1, 50.0, 50.0), d(1, 100.0, 50.0)]).items.len(), 2);
}

#[test]
fn thin_evidence_is_unsure_and_goods_without_label_are_unknown() {
    let mut s = Scene::new();
    for _ in 0..12 {
        s.see(1, &[d(1, 50.0, 50.0)]);
        s.see(1, &[d(2, 50.0, 50.0)]);
    }
    assert_eq!(s.classes(), [Class::Unsure]);
    let [Some(first), Some(second), None, None] = s.fusion.last().items[0].candidates else { panic!("two candidates") };
    assert_eq!([(first.label, first.share_permille), (second.label, second.share_permille)], [(1, 500), (2, 500)]);
    let mut s = Scene::new();
    s.see(20, &[Detection { score: 0.5, ..d(1, 50.0, 50.0) }]);
    assert_eq!(s.classes(), [Class::Unsure]);
    let mut s = Scene::new();
    s.see(20, &[d(UNKNOWN, 50.0, 50.0)]);
    assert_eq!(s.classes(), [Class::Unknown]);
    // A label that was wrong at first is forgotten.
    s.see(30, &[d(4, 50.0, 50.0)]);
    assert_eq!(s.classes(), [Class::Product(4)]);
}

#[test]
fn goods_on_each_other_and_over_the_edge_are_marked() {
    let mut s = Scene::new();
    let small = Detection { bbox: [70.0, 60.0, 90.0, 75.0], ..d(2, 0.0, 0.0) };
    let o = s.see(20, &[d(1, 50.0, 50.0), small, d(3, 300.0, 440.0), d(3, 0.0, 300.0), d(4, 300.0, 200.0)]);
    let flags: Vec<_> = o.items.iter().map(|i| (i.overlapped, i.clipped)).collect();
    assert_eq!(flags, [(true, false), (true, false), (false, true), (false, true), (false, false)]);
}

#[test]
fn more_than_fits_is_said_and_never_settled() {
    let mut s = Scene::new();
    let goods: Vec<Detection> = (0..40).map(|i| d(i % 8, (i % 8) as f32 * 70.0, (i / 8) as f32 * 50.0)).collect();
    let o = s.see(30, &goods);
    assert!(o.too_many && !o.settled && o.items.len() == ITEMS_MAX);
    let o = s.see(30, &goods[..ITEMS_MAX]);
    assert!(!o.too_many && o.settled && o.items.len() == ITEMS_MAX);
}

#[test]
fn reset_forgets() {
    let mut s = Scene::new();
    s.see(20, &[d(1, 50.0, 50.0)]);
    s.fusion.reset();
    assert!(s.fusion.last().items.is_empty() && s.see(1, &[]).items.is_empty());
}

fn anything() -> impl Strategy<Value = Detection> {
    let number = prop_oneof![9 => -100.0f32..800.0, 1 => any::<f32>()];
    let score = prop_oneof![9 => 0.0f32..1.0, 1 => any::<f32>()];
    (prop::array::uniform4(number), score, any::<u16>(), any::<Option<(u16, f32)>>()).prop_map(
        |([x, y, w, h], score, label, runner_up)| Detection {
            bbox: [x, y, x + w, y + h],
            score,
            label: label % 12,
            runner_up,
        },
    )
}

proptest! {
    #[test]
    fn no_sequence_of_boxes_panics_or_breaks_a_bound(
        frames in prop::collection::vec(prop::collection::vec(anything(), 0..90), 0..40),
        size in any::<(u32, u32)>(),
    ) {
        let mut fusion = Fusion::new(rules());
        for (i, frame) in (0u64..).zip(&frames) {
            let o = fusion.update(frame, size, i, i);
            prop_assert!(o.items.len() <= ITEMS_MAX);
            for item in &o.items {
                prop_assert!(item.votes <= item.frames && item.score_permille <= 1000);
                prop_assert!(item.bbox.iter().all(|v| v.is_finite()));
                prop_assert!(!item.stable || item.frames >= 8);
            }
            prop_assert!(!o.settled || (!o.hand && !o.too_many && o.items.iter().all(|i| i.stable)));
        }
    }

    #[test]
    fn a_grid_of_goods_is_counted_exactly_through_noise_misses_and_a_hand(
        labels in prop::collection::vec(0u16..8, 0..20),
        noise in prop::collection::vec((-1.5f32..1.5, -1.5f32..1.5, 0.7f32..1.0, prop::bool::weighted(0.1)), 1200),
        hand_at in 20usize..40,
    ) {
        let mut s = Scene::new();
        let mut noise = noise.iter().cycle();
        for frame in 0..60 {
            let mut seen = Vec::new();
            for (i, &label) in labels.iter().enumerate() {
                let (dx, dy, score, miss) = *noise.next().unwrap();
                let (x, y) = (20.0 + (i % 5) as f32 * 120.0, 20.0 + (i / 5) as f32 * 110.0);
                let under_hand = (hand_at..hand_at + 5).contains(&frame) && x < 300.0;
                // The last frames are clean: what was missed must have been made good.
                let missed = miss && frame < 45;
                if !under_hand && !missed {
                    seen.push(Detection { score, ..d(label, x + dx, y + dy) });
                }
            }
            if (hand_at..hand_at + 5).contains(&frame) {
                seen.push(Detection { bbox: [0.0, 0.0, 330.0, 480.0], ..d(HAND, 0.0, 0.0) });
            }
            s.see(1, &seen);
        }
        let mut expected: Vec<u16> = labels.clone();
        let mut found: Vec<u16> = s.fusion.last().items.iter().map(|i| match i.class {
            Class::Product(label) => label,
            _ => u16::MAX,
        }).collect();
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
        prop_assert!(s.fusion.last().settled);
    }
}
