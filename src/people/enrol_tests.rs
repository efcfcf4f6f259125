use proptest::prelude::*;

use super::*;
use crate::gallery::{Gallery, Precision};

/// A person's vector with a little of something else in it.
fn person(who: usize, wobble: f32) -> Vec<f32> {
    let mut v = vec![0.0; 6];
    (v[who], v[5]) = (1.0, wobble);
    assert!(normalise(&mut v));
    v
}

fn pose(yaw: f32, pitch: f32) -> Pose {
    Pose { yaw, pitch, roll: 0.0 }
}

/// How somebody holds the head for a pose.
fn held(facing: Facing) -> Pose {
    match facing {
        Facing::Front => pose(2.0, 3.0),
        Facing::Right => pose(-25.0, 0.0),
        Facing::Down => pose(0.0, 22.0),
        Facing::Left => pose(28.0, 5.0),
    }
}

fn guide(progress: Progress) -> Guide {
    match progress {
        Progress::Asking { guide, .. } => guide,
        other => panic!("{other:?}"),
    }
}

/// Shows good frames of `who` for what is asked until it ends.
fn play(e: &mut Enrolment, who: usize, from_ms: u64) -> Progress {
    let mut now = from_ms;
    loop {
        let Some(facing) = e.asked() else { return e.progress(Guide::Done) };
        now += 100;
        let wobble = (now % 700) as f32 / 2000.0;
        let quality = Quality { pose: held(facing), ..Quality::default() };
        let vector = e.wants(&quality, now).then(|| person(who, wobble));
        e.see(Seen::Face(held(facing), vector.as_deref()), now);
        assert!(now < from_ms + 60_000, "it never ends");
    }
}

fn gallery(of: &[usize]) -> Gallery {
    let mut g = Gallery::new("n", 6, Precision::F32);
    of.iter().for_each(|who| g.push("n", *who as u32, &person(*who, 0.1)).unwrap());
    g
}

#[test]
fn four_poses_are_taken_in_order_and_give_four_templates() {
    let mut e = Enrolment::new(Rules::default(), 0);
    assert_eq!(guide(e.see(Seen::Nobody, 10)), Guide::StepIn);
    let front = Seen::Face(held(Facing::Front), None);
    assert_eq!(guide(e.see(front, 20)), Guide::Stay(Facing::Front));
    for i in 1..=5 {
        let v = person(1, 0.1);
        let progress = e.see(Seen::Face(held(Facing::Front), Some(&v)), i * 100);
        let (want, taken) = if i < 5 { (Guide::Stay(Facing::Front), 0) } else { (Guide::Pose(Facing::Right), 1) };
        assert_eq!(progress, Progress::Asking { guide: want, taken });
    }
    assert_eq!(play(&mut e, 1, 1000), Progress::Done);
    assert_eq!(e.see(Seen::Nobody, 999_999), Progress::Done, "the end stays the end");
    let templates = e.finish(&gallery(&[2, 3]), 0.5, None).unwrap();
    assert_eq!(templates.iter().map(|t| t.facing).collect::<Vec<_>>(), Facing::ALL);
    assert!(templates.iter().all(|t| crate::gallery::is_unit(&t.vector) && dot(&t.vector, &person(1, 0.1)) > 0.95));
}

#[test]
fn the_word_says_which_way_and_how_far() {
    let mut e = Enrolment::new(Rules { order: vec![Facing::Right, Facing::Left, Facing::Down], ..Rules::default() }, 0);
    let say = |e: &mut Enrolment, p: Pose| guide(e.see(Seen::Face(p, None), 0)).to_string();
    // The nose points to the picture's left: the person's right.
    assert_eq!(say(&mut e, pose(-10.0, 0.0)), "turn a little more to the right");
    assert_eq!(say(&mut e, pose(-50.0, 0.0)), "not quite so far, turn a little back");
    assert_eq!(say(&mut e, pose(-25.0, 30.0)), "turn your head to the right");
    assert_eq!(say(&mut e, pose(20.0, 0.0)), "turn your head to the right");
    assert_eq!(say(&mut e, pose(-25.0, 5.0)), "good, stay like that");
    assert_eq!(say(&mut e, pose(f32::NAN, 0.0)), "turn your head to the right");
    e.taken.push(Taken { facing: Facing::Right, vector: person(1, 0.0) });
    assert_eq!(say(&mut e, pose(9.0, 0.0)), "turn a little more to the left");
    e.taken.push(Taken { facing: Facing::Left, vector: person(1, 0.0) });
    assert_eq!(say(&mut e, pose(0.0, 6.0)), "look down a little more");
    let gates = [
        (Gate::Size, "come a little nearer"),
        (Gate::Edge, "move to the middle of the picture"),
        (Gate::Blur, "please hold still"),
        (Gate::Light, "the light is too weak or too strong here"),
        (Gate::Occlusion, "please uncover your face"),
        (Gate::Pose, "not quite so far, look up a little"),
    ];
    for (gate, word) in gates {
        assert_eq!(guide(e.see(Seen::Unfit(gate), 0)).to_string(), word);
    }
    assert_eq!(guide(e.see(Seen::Several, 0)), Guide::OnePerson);
}

#[test]
fn turns_are_measured_from_where_the_person_looks_ahead() {
    // A camera that hangs low sees every face raised.
    let mut e = Enrolment::new(Rules { frames: 1, ..Rules::default() }, 0);
    let v = person(1, 0.0);
    e.see(Seen::Face(pose(0.0, -10.0), Some(&v)), 100);
    e.see(Seen::Face(pose(-20.0, -10.0), Some(&v)), 300);
    assert_eq!(e.asked(), Some(Facing::Down));
    assert_eq!(guide(e.see(Seen::Face(pose(0.0, 5.0), None), 400)), Guide::Stay(Facing::Down), "15 degrees down");
}

#[test]
fn frames_too_close_together_and_vectors_that_are_none_do_not_count() {
    let mut e = Enrolment::new(Rules::default(), 0);
    let quality = Quality { pose: held(Facing::Front), ..Quality::default() };
    let v = person(1, 0.0);
    assert!(e.wants(&quality, 50));
    e.see(Seen::Face(quality.pose, Some(&v)), 50);
    assert!(!e.wants(&quality, 149) && e.wants(&quality, 150));
    assert!(!e.wants(&Quality { pose: pose(-30.0, 0.0), ..quality }, 150), "another pose than asked for");
    for bad in [vec![f32::NAN; 6], vec![0.0; 6], vec![f32::INFINITY; 6], vec![2.0; 6], Vec::new()] {
        e.see(Seen::Face(quality.pose, Some(&bad)), 200);
    }
    assert_eq!((e.frames, e.others), (1, 0));
}

#[test]
fn time_runs_out_and_who_goes_away_ends_it() {
    let mut e = Enrolment::new(Rules::default(), 1000);
    let wrong = Seen::Face(pose(40.0, 0.0), None);
    assert!(matches!(e.see(wrong, 30_999), Progress::Asking { .. }));
    assert_eq!(e.see(wrong, 31_000), Progress::Failed(Failure::Time(Facing::Front)));
    assert_eq!(
        e.see(Seen::Face(held(Facing::Front), Some(&person(1, 0.0))), 31_100),
        Progress::Failed(Failure::Time(Facing::Front))
    );
    assert_eq!(e.finish(&gallery(&[]), 0.5, None).err(), Some(Failure::Time(Facing::Front).into()));

    let mut e = Enrolment::new(Rules::default(), 0);
    e.see(Seen::Several, 5000);
    assert!(matches!(e.see(Seen::Nobody, 12_999), Progress::Asking { .. }));
    assert_eq!(e.see(Seen::Nobody, 13_000), Progress::Failed(Failure::Away));
    assert_eq!(
        Enrolment::new(Rules::default(), 0).finish(&gallery(&[]), 0.5, None).err(),
        Some(Failure::Unfinished.into())
    );
}

#[test]
fn somebody_else_stepping_in_ends_it_and_leaves_no_vector() {
    let mut e = Enrolment::new(Rules::default(), 0);
    for i in 1..=7 {
        let facing = e.asked().unwrap();
        e.see(Seen::Face(held(facing), Some(&person(1, 0.1))), i * 100);
    }
    // Two frames of another one are chance, and are not taken.
    for i in [8, 9] {
        assert!(matches!(
            e.see(Seen::Face(held(Facing::Right), Some(&person(2, 0.1))), i * 100),
            Progress::Asking { .. }
        ));
    }
    e.see(Seen::Face(held(Facing::Right), Some(&person(1, 0.1))), 1000);
    for i in 11..=12 {
        e.see(Seen::Face(held(Facing::Right), Some(&person(2, 0.1))), i * 100);
    }
    assert_eq!(e.see(Seen::Face(held(Facing::Right), Some(&person(2, 0.1))), 1300), Progress::Failed(Failure::Other));
    assert!(e.taken.is_empty() && e.sum.is_empty(), "nothing is left");
}

#[test]
fn who_is_enrolled_already_is_found_unless_it_is_the_one_being_renewed() {
    let done = |who| {
        let mut e = Enrolment::new(Rules::default(), 0);
        assert_eq!(play(&mut e, who, 0), Progress::Done);
        e
    };
    let g = gallery(&[1, 2]);
    assert_eq!(done(2).finish(&g, 0.6, None).err(), Some(Failure::Duplicate(2).into()));
    assert!(done(2).finish(&g, 0.6, Some(2)).is_ok());
    assert!(done(3).finish(&g, 0.6, None).is_ok());
    // A twin of another member is found behind the one being renewed.
    let mut twins = gallery(&[2]);
    twins.push("n", 7, &person(2, 0.3)).unwrap();
    assert_eq!(done(2).finish(&twins, 0.6, Some(2)).err(), Some(Failure::Duplicate(7).into()));
    let other = Gallery::new("n", 5, Precision::F32);
    assert!(matches!(done(1).finish(&other, 0.6, None), Err(FinishError::Gallery(_))));
}

/// Anything a camera may show, and how much later.
fn frames() -> impl Strategy<Value = Vec<(u8, f32, f32, u8, u64)>> {
    prop::collection::vec((0u8..12, -60.0f32..60.0, -60.0f32..60.0, 0u8..4, 0u64..900), 0..200)
}

proptest! {
    #[test]
    fn whatever_is_shown_only_enough_good_frames_of_one_person_end_well(frames in frames(), good in 0usize..160) {
        let mut e = Enrolment::new(Rules::default(), 0);
        let (mut now, mut offered, mut before) = (0, 0usize, 0);
        for (i, (kind, yaw, pitch, who, gap)) in frames.iter().enumerate() {
            now += gap;
            // At first much as asked, then anything.
            let p = match e.asked() {
                Some(facing) if i < good => held(facing),
                _ => pose(*yaw, *pitch),
            };
            let v = person(if i < good { 1 } else { usize::from(*who) }, 0.1);
            let seen = match kind {
                0 => Seen::Nobody,
                1 => Seen::Several,
                2 => Seen::Unfit(Gate::Blur),
                3 => Seen::Face(pose(f32::NAN, *pitch), Some(&v)),
                4 => Seen::Face(p, Some(&[f32::NAN; 6])),
                _ => {
                    offered += 1;
                    Seen::Face(p, Some(&v))
                }
            };
            let ended = e.failed;
            match e.see(seen, now) {
                Progress::Asking { taken, .. } => {
                    prop_assert!(taken >= before && taken < 4 && taken * 5 <= offered);
                    before = taken;
                }
                Progress::Done => prop_assert!(offered >= 20),
                Progress::Failed(failure) => {
                    prop_assert!(e.taken.is_empty() && e.sum.is_empty());
                    prop_assert!(ended.is_none_or(|f| f == failure), "a failure is the last word");
                }
            }
        }
        let done = e.asked().is_none() && e.failed.is_none();
        match e.finish(&gallery(&[]), 0.5, None) {
            Ok(templates) => {
                prop_assert!(done && templates.len() == 4);
                for t in &templates {
                    prop_assert!(crate::gallery::is_unit(&t.vector));
                    prop_assert!(templates.iter().any(|o| o.facing != t.facing && dot(&o.vector, &t.vector) >= 0.35));
                }
            }
            Err(_) => prop_assert!(!done),
        }
    }
}
