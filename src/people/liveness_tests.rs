use proptest::prelude::*;

use super::*;
use crate::vision::face::embed::normalise;

fn person(who: usize) -> Vec<f32> {
    let mut v = vec![0.0; 4];
    (v[who], v[3]) = (1.0, 0.2);
    assert!(normalise(&mut v));
    v
}

fn pose(yaw: f32, pitch: f32) -> Pose {
    Pose { yaw, pitch, roll: 0.0 }
}

/// A head turned by so many degrees in that direction.
fn turned(turn: Turn, by: f32) -> Pose {
    match turn {
        Turn::Right => pose(-by, 0.0),
        Turn::Left => pose(by, 0.0),
        Turn::Down => pose(0.0, by),
        Turn::Up => pose(0.0, -by),
    }
}

/// Somebody before the camera, ten frames a second: what they show, given the turn that is asked for.
struct Actor<F: FnMut(Option<Turn>, u64) -> (Pose, f32, usize)> {
    shows: F,
    at: Pose,
}

impl<F: FnMut(Option<Turn>, u64) -> (Pose, f32, usize)> Actor<F> {
    fn new(shows: F) -> Self {
        Self { shows, at: Pose::default() }
    }

    /// Plays until the end; the head moves by up to 12 degrees a frame to where it shall be.
    fn play(&mut self, c: &mut Challenge) -> Progress {
        let mut now = 0;
        loop {
            now += 100;
            let (to, aspect, who) = (self.shows)(c.asked(), now);
            let step = |from: f32, to: f32| from + (to - from).clamp(-12.0, 12.0);
            self.at = pose(step(self.at.yaw, to.yaw), step(self.at.pitch, to.pitch));
            let vector = person(who);
            let wanted = c.wants(self.at).then_some(vector.as_slice());
            let progress = c.see(Seen::Face(self.at, aspect, wanted), now);
            assert!(now <= 20_000, "it never ends");
            if !matches!(progress, Progress::Asking(_)) {
                return progress;
            }
        }
    }
}

fn challenge(seed: u64) -> Challenge {
    Challenge::new(Rules::default(), seed, &person(1), 0)
}

fn to(asked: Option<Turn>, by: f32) -> Pose {
    asked.map_or(Pose::default(), |turn| turned(turn, by))
}

#[test]
fn who_turns_as_asked_passes_and_the_order_is_the_seeds() {
    let order = |seed| {
        let (mut c, mut order) = (challenge(seed), Vec::new());
        let progress = Actor::new(|asked, _| {
            let begun = asked.is_some() && order.last() != Some(&asked);
            if begun || (asked.is_none() && !order.is_empty() && order.last() != Some(&None)) {
                order.push(asked);
            }
            (to(asked, 25.0), 1.0, 1)
        })
        .play(&mut c);
        assert_eq!(progress, Progress::Passed, "seed {seed}");
        assert!(c.who.is_empty() || c.who.iter().all(|v| *v == 0.0), "overwritten at the end");
        assert_eq!(c.see(Seen::Several, 99_999), Progress::Passed, "the end stays the end");
        order.into_iter().flatten().collect::<Vec<_>>()
    };
    let orders: Vec<_> = (0..200).map(order).collect();
    assert_eq!(orders[7], order(7));
    assert!(orders.iter().all(|o| o.len() == 3));
    let distinct: std::collections::BTreeSet<_> = orders.iter().collect();
    assert!(distinct.len() > 40, "of 48 orders: {}", distinct.len());
    for order in &orders {
        let sides = order.iter().filter(|turn| turn.is_sideways()).count();
        assert!((1..=2).contains(&sides), "{order:?}");
    }
    for turn in Turn::ALL {
        let share = orders.iter().flatten().filter(|t| **t == turn).count() as f32 / 600.0;
        assert!((0.2..0.3).contains(&share), "{turn:?}: {share}");
    }
}

#[test]
fn the_word_is_the_turn_that_is_asked_for() {
    let mut c = challenge(3);
    let v = person(1);
    assert_eq!(c.see(Seen::Nobody, 10), Progress::Asking(Hint::Front));
    assert_eq!(c.see(Seen::Several, 20), Progress::Asking(Hint::Alone));
    assert_eq!(c.see(Seen::Unfit(Gate::Size), 30), Progress::Asking(Hint::Closer));
    for i in 1..=3 {
        c.see(Seen::Face(pose(2.0, 4.0), 1.0, Some(&v)), 100 * i);
    }
    let hint = match c.asked().unwrap() {
        Turn::Right => Hint::Right,
        Turn::Left => Hint::Left,
        Turn::Down => Hint::Down,
        Turn::Up => Hint::Up,
    };
    assert_eq!(c.see(Seen::Unfit(Gate::Occlusion), 400), Progress::Asking(hint));
}

#[test]
fn what_gets_narrow_as_it_turns_is_flat() {
    // Turned until it seems turned enough, as a bent print does, it has shrunk to 0.7.
    let mut c = challenge(1);
    let progress = Actor::new(|asked, _| {
        let aspect = match asked {
            Some(turn) if turn.is_sideways() => 0.7,
            Some(_) => 1.0 / 0.7,
            None => 1.0,
        };
        (to(asked, 20.0), aspect, 1)
    })
    .play(&mut c);
    assert_eq!(progress, Progress::Failed(Failure::Flat));
    // A little in each turn is too much in all of them.
    let little = |asked: Option<Turn>, by: f32| match asked {
        Some(turn) if turn.is_sideways() => 1.0 - by,
        Some(_) => 1.0 / (1.0 - by),
        None => 1.0,
    };
    let play = |by| Actor::new(|asked, _| (to(asked, 20.0), little(asked, by), 1)).play(&mut challenge(1));
    assert_eq!((play(0.1), play(0.05)), (Progress::Failed(Failure::Flat), Progress::Passed));
    // Proportions of a face that differ from the mean one are its own, as long as they stay.
    assert_eq!(Actor::new(|asked, _| (to(asked, 20.0), 0.8, 1)).play(&mut challenge(1)), Progress::Passed);
}

#[test]
fn who_does_not_turn_or_comes_late_fails_in_time() {
    assert_eq!(Actor::new(|_, _| (Pose::default(), 1.0, 1)).play(&mut challenge(1)), Progress::Failed(Failure::Time));
    let mut c = challenge(1);
    assert_eq!(c.see(Seen::Nobody, 3_999), Progress::Asking(Hint::Front));
    assert_eq!(c.see(Seen::Nobody, 4_000), Progress::Failed(Failure::Time));
    // Too little of a turn is none.
    assert_eq!(
        Actor::new(|asked, _| (to(asked, 8.0), 1.0, 1)).play(&mut challenge(1)),
        Progress::Failed(Failure::Time)
    );
}

#[test]
fn another_head_that_turns_as_asked_is_another_person() {
    // A picture of the member, and then the head of whoever holds it.
    let mut now_other = false;
    let mut c = challenge(5);
    let progress = Actor::new(|asked, _| {
        now_other |= asked.is_some();
        (to(asked, 25.0), 1.0, if now_other { 2 } else { 1 })
    })
    .play(&mut c);
    assert_eq!(progress, Progress::Failed(Failure::Other));
    // One frame that embeds badly is chance.
    let progress =
        Actor::new(|asked, now| (to(asked, 25.0), 1.0, if now == 300 { 2 } else { 1 })).play(&mut challenge(5));
    assert_eq!(progress, Progress::Passed);
}

#[test]
fn a_recording_that_turns_when_it_likes_seldom_passes() {
    let mut passed = 0;
    for seed in 0..2000u64 {
        let mut own = Random::new(seed ^ 0xdead_beef);
        let (mut turn, mut until) = (None, 1_500);
        let progress = Actor::new(|_, now| {
            if now >= until {
                turn = match turn {
                    None => Some(Turn::ALL[own.below(4)]),
                    Some(_) => None,
                };
                until = now + 1_200;
            }
            (to(turn, 25.0), 1.0, 1)
        })
        .play(&mut challenge(seed));
        passed += u32::from(progress == Progress::Passed);
    }
    // Three right ones before the second wrong one, of four directions and at last of four or two: some 7 %.
    assert!((70..220).contains(&passed), "{passed} of 2000");
}

#[test]
fn a_turned_picture_put_in_the_place_of_the_other_is_a_leap() {
    let mut c = challenge(4);
    let v = person(1);
    let mut now = 0;
    let progress = loop {
        now += 100;
        let at = to(c.asked(), 28.0);
        match c.see(Seen::Face(at, 1.0, Some(&v)), now) {
            Progress::Asking(_) => {}
            end => break end,
        }
    };
    assert_eq!(progress, Progress::Failed(Failure::Broken));
}

#[test]
fn after_a_gap_the_turn_begins_anew() {
    let mut c = challenge(6);
    let v = person(1);
    for i in 1..=3 {
        c.see(Seen::Face(Pose::default(), 1.0, Some(&v)), 100 * i);
    }
    assert!(c.asked().is_some());
    c.see(Seen::Nobody, 600);
    assert!(c.asked().is_some());
    c.see(Seen::Face(to(c.asked(), 5.0), 1.0, None), 900);
    assert_eq!((c.asked(), c.breaks), (None, 1), "it must look ahead first");
}

/// Anything a camera may show, and how much later.
fn frames() -> impl Strategy<Value = Vec<(u8, f32, f32, f32, u8, u64)>> {
    let aspect = prop_oneof![0.5f32..1.6, Just(1.0), Just(f32::NAN), Just(0.0)];
    prop::collection::vec((0u8..10, -50.0f32..50.0, -50.0f32..50.0, aspect, 0u8..3, 0u64..700), 0..250)
}

proptest! {
    #[test]
    fn whatever_is_shown_only_the_turns_that_were_asked_for_pass(
        frames in frames(), seed in any::<u64>(), obedient in 0usize..250,
    ) {
        let mut c = challenge(seed);
        let (mut now, mut ended, mut shown, mut made) = (0u64, None, 0u32, 0u32);
        for (i, (kind, yaw, pitch, aspect, who, gap)) in frames.iter().enumerate() {
            // For a while the head goes as asked, at a head's pace; then anything.
            let as_asked = i < obedient;
            now += if as_asked { 100 } else { *gap };
            let last = c.last.map_or(Pose::default(), |(pose, _)| pose);
            let goal = to(c.asked(), 24.0);
            let step = |from: f32, to: f32| from + (to - from).clamp(-14.0, 14.0);
            let p = if as_asked { pose(step(last.yaw, goal.yaw), step(last.pitch, goal.pitch)) } else { pose(*yaw, *pitch) };
            let v = person(if as_asked { 1 } else { usize::from(*who) });
            let seen = match kind {
                0 if !as_asked => Seen::Nobody,
                1 if !as_asked => Seen::Several,
                2 if !as_asked => Seen::Unfit(Gate::Pose),
                3 if !as_asked => Seen::Face(p, *aspect, Some(&[f32::NAN; 4])),
                4 if !as_asked => Seen::Face(pose(f32::NAN, *pitch), 1.0, Some(&v)),
                _ => Seen::Face(p, if as_asked { 1.0 } else { *aspect }, Some(&v)),
            };
            let showed = matches!(seen, Seen::Face(p, ..) if c.asked().is_some() && c.turned(p) == c.asked());
            shown += u32::from(showed && ended.is_none());
            let progress = c.see(seen, now);
            prop_assert!(c.made >= made && c.made <= made + 1 && c.made * 3 <= shown, "{} turns of {shown} frames", c.made);
            prop_assert!(c.made == made || showed, "a turn is made by a frame that shows it");
            made = c.made;
            if let Some(before) = ended {
                prop_assert_eq!(progress, before, "the last word");
            } else if !matches!(progress, Progress::Asking(_)) {
                ended = Some(progress);
                prop_assert!(c.who.iter().all(|v| *v == 0.0));
            }
            prop_assert_eq!(progress == Progress::Passed, c.made == 3);
            prop_assert!(now < 20_000 || ended.is_some(), "it ends in time");
        }
    }
}
