//! A secured link: who may talk, and what strangers, replays and reflections can do.

use super::*;
use crate::frame::encode_sealed;

const KEY: [u8; 32] = [0x11; 32];

pub(super) fn secured() -> (End, End) {
    (End::secured(Role::Till, 7, Key::new(1, KEY), None), End::secured(Role::Pos, 9, Key::new(1, KEY), None))
}

/// Both ends talk for a second; every frame that went each way.
fn recorded(till: &mut End, pos: &mut End, from_ms: u64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut to_pos, mut to_till) = (Vec::new(), Vec::new());
    for now_ms in (from_ms..from_ms + 1_000).step_by(10) {
        for frame in till.transmit(now_ms) {
            pos.receive(now_ms, &frame);
            to_pos.push(frame);
        }
        for frame in pos.transmit(now_ms) {
            till.receive(now_ms, &frame);
            to_till.push(frame);
        }
    }
    (to_pos, to_till)
}

fn kind_of(frame: &[u8]) -> u8 {
    frame[1]
}

#[test]
fn ends_with_the_same_key_talk_in_sealed_frames_only() {
    let (mut till, mut pos) = secured();
    till.log.records.push(b"offer".to_vec());
    pos.log.records.push(b"paid".to_vec());
    till.log.events.push_back(b"cart".to_vec());
    let (to_pos, to_till) = recorded(&mut till, &mut pos, 0);
    assert!(till.endpoint.is_up() && pos.endpoint.is_up());
    assert_eq!((pos.taken.len(), till.taken.len(), pos.events), (1, 1, 1));
    assert!(to_pos.iter().chain(&to_till).all(|frame| kind_of(frame) == 1 || kind_of(frame) & 0x80 != 0));
    let stats = till.endpoint.stats();
    assert_eq!((stats.bad_macs, stats.replays, stats.retransmits), (0, 0, 0));
}

#[test]
fn another_key_is_refused_and_nothing_is_said() {
    let (mut till, _) = secured();
    let mut pos = End::secured(Role::Pos, 9, Key::new(1, [0x12; 32]), None);
    till.log.records.push(b"offer".to_vec());
    let (to_pos, _) = recorded(&mut till, &mut pos, 0);
    assert_eq!((till.refused, pos.refused), (Some(Refusal::Key), Some(Refusal::Key)));
    assert!(!till.endpoint.is_up() && !pos.endpoint.is_up());
    assert!(to_pos.iter().all(|frame| [1, 7].contains(&kind_of(frame))), "L-041");
    assert!(to_pos.len() < 10, "no storm of refusals: {}", to_pos.len());
}

#[test]
fn a_secured_and_an_unsecured_end_refuse_each_other_whichever_it_is() {
    for role in [Role::Till, Role::Pos] {
        let other = if role == Role::Till { Role::Pos } else { Role::Till };
        let mut secured = End::secured(role, 7, Key::new(1, KEY), None);
        let mut plain = End::new(other, 9);
        secured.log.records.push(b"secret".to_vec());
        recorded(&mut secured, &mut plain, 0);
        assert_eq!((secured.refused, plain.refused), (Some(Refusal::Security), Some(Refusal::Security)));
        assert!(!secured.endpoint.is_up() && !plain.endpoint.is_up());
    }
}

#[test]
fn a_hello_stripped_of_its_flag_does_not_get_the_link_up() {
    let (mut till, mut pos) = secured();
    for frame in pos.transmit(0) {
        let mut accumulator = Accumulator::default();
        let (Some(Received::Frame(Kind::Hello, payload)), _) = accumulator.feed(&frame) else { panic!() };
        let mut payload = payload.to_vec();
        payload[4] = 0;
        let mut wire = [0; WIRE_BYTES_MAX];
        for length in [37, payload.len()] {
            let n = frame::encode(Kind::Hello, &[&payload[..length]], &mut wire).unwrap();
            till.receive(0, &wire[..n]);
            assert_eq!(till.refused.take(), Some(Refusal::Security));
        }
        payload[4] = 1;
        payload[1] = 9;
        let n = frame::encode(Kind::Hello, &[&payload], &mut wire).unwrap();
        till.receive(0, &wire[..n]);
        assert_eq!(till.refused.take(), Some(Refusal::Key), "another version under the old proof");
    }
}

#[test]
fn what_was_recorded_has_no_effect_when_it_is_played_again() {
    let (mut till, mut pos) = secured();
    pos.log.records.push(b"paid".to_vec());
    pos.log.events.push_back(b"language".to_vec());
    let (to_pos, to_till) = recorded(&mut till, &mut pos, 0);
    let before = (till.taken.len(), till.events);
    for frame in &to_till {
        till.receive(1_000, frame);
    }
    for frame in &to_pos {
        pos.receive(1_000, frame);
    }
    assert_eq!((till.taken.len(), till.events), before);
    assert!(till.endpoint.is_up() && pos.endpoint.is_up());
    assert!(till.endpoint.stats().replays > 0);
    // The same after a restart: the till has new nonces and hears yesterday's frames only.
    till.reboot(2_000);
    for now_ms in (2_000..12_000).step_by(50) {
        for frame in &to_till {
            till.receive(now_ms, frame);
        }
        till.transmit(now_ms);
    }
    assert!(!till.endpoint.is_up());
    assert_eq!((till.taken.len(), till.events), before);
}

#[test]
fn a_reflected_frame_is_not_taken_for_the_other_ends() {
    let (mut till, mut pos) = secured();
    recorded(&mut till, &mut pos, 0);
    till.log.records.push(b"offer".to_vec());
    let frames = till.transmit(1_000);
    assert!(!frames.is_empty());
    let events = till.events;
    for frame in &frames {
        till.receive(1_001, frame);
    }
    assert_eq!((till.taken.len(), till.events), (0, events));
    assert!(till.endpoint.stats().bad_macs > 0);
    // A loop in the plug is the till's own voice.
    till.reboot(5_000);
    for frame in till.transmit(5_000) {
        till.receive(5_000, &frame);
    }
    assert_eq!(till.refused, Some(Refusal::Role));
}

/// What a stranger can say without the key: every kind, plain and with an invented seal.
fn strange_frames() -> Vec<Vec<u8>> {
    let hello = |head: [u8; 5], words: [u32; 8]| -> Vec<u8> {
        head.into_iter().chain(words.into_iter().flat_map(u32::to_le_bytes)).collect()
    };
    let plain = [
        (Kind::Hello, hello([1, 0, 1, 0, 0], [SCHEMA, 1, 5, 0, 9, 1, 0, 0])),
        (Kind::Hello, hello([1, 0, 1, 1, 1], [SCHEMA, 1, 900, 700, 9, 1, 7, 0])),
        (Kind::Hello, hello([2, 0, 1, 1, 0], [SCHEMA, 1, 900, 700, 9, 1, 7, 0])),
        (Kind::Refuse, std::vec![1]),
        (Kind::Data, [&wire::pair(9, 1)[..], b"paid"].concat()),
        (Kind::Ack, wire::pair(7, 1).to_vec()),
        (Kind::Gap, wire::pair(7, 0).to_vec()),
        (Kind::Event, b"language".to_vec()),
        (Kind::Heartbeat, 900u32.to_le_bytes().to_vec()),
    ];
    let mut frames = Vec::new();
    let mut wire = [0; WIRE_BYTES_MAX];
    for (kind, payload) in plain {
        let n = frame::encode(kind, &[&payload], &mut wire).unwrap();
        frames.push(wire[..n].to_vec());
        let n = encode_sealed(kind, &[&payload], &[0xff; 12], &mut wire).unwrap();
        frames.push(wire[..n].to_vec());
    }
    frames
}

#[test]
fn a_stranger_neither_takes_a_secured_link_down_nor_says_anything_on_it() {
    let (mut till, mut pos) = secured();
    till.log.records.push(b"offer".to_vec());
    recorded(&mut till, &mut pos, 0);
    for now_ms in (1_000..20_000).step_by(100) {
        for frame in strange_frames() {
            till.receive(now_ms, &frame);
        }
        for frame in till.transmit(now_ms) {
            pos.receive(now_ms, &frame);
        }
        for frame in pos.transmit(now_ms) {
            till.receive(now_ms, &frame);
        }
        assert!(till.endpoint.is_up() && pos.endpoint.is_up(), "{now_ms}");
    }
    assert_eq!((till.taken.len(), till.events, till.acknowledged), (0, 0, 1));
    assert_eq!(till.endpoint.stats().ups, 1);
    assert!(till.endpoint.stats().bad_macs > 1_000);
    // What a stranger says does not keep a dead link up either.
    for now_ms in (20_000..24_000).step_by(100) {
        for frame in strange_frames() {
            till.receive(now_ms, &frame);
        }
        till.transmit(now_ms);
    }
    assert!(!till.endpoint.is_up());
}

#[test]
fn a_hello_of_the_session_counts_once_and_keeps_no_dead_link_up() {
    let (mut till, mut pos) = secured();
    till.log.records.push(b"offer".to_vec());
    let (_, to_till) = recorded(&mut till, &mut pos, 0);
    let hellos: Vec<_> = to_till.iter().filter(|frame| kind_of(frame) == 1).collect();
    assert!(hellos.len() >= 2);
    let retransmits = till.endpoint.stats().retransmits;
    for now_ms in (1_000..5_000).step_by(100) {
        for hello in &hellos {
            till.receive(now_ms, hello);
        }
        till.transmit(now_ms);
        assert_eq!(till.endpoint.acknowledged(), 1, "what it once said of its journal is old");
    }
    assert!(!till.endpoint.is_up(), "L-204");
    assert!(till.endpoint.stats().replays > 0);
    assert_eq!(till.endpoint.stats().retransmits, retransmits);
}

#[test]
fn a_restarted_end_is_back_at_once() {
    let (mut till, mut pos) = secured();
    recorded(&mut till, &mut pos, 0);
    pos.reboot(1_000);
    till.log.records.push(b"offer".to_vec());
    calm(&mut till, &mut pos, 1_000, 200);
    assert!(till.endpoint.is_up() && pos.endpoint.is_up());
    assert_eq!(pos.taken.len(), 1);
    assert_eq!(till.endpoint.stats().ups, 2);
}

#[test]
fn a_half_open_line_ends_down_at_both_ends() {
    let (mut till, mut pos) = secured();
    recorded(&mut till, &mut pos, 0);
    // The till is deaf from now on.
    for now_ms in (1_000..9_000).step_by(10) {
        for frame in till.transmit(now_ms) {
            pos.receive(now_ms, &frame);
        }
        pos.transmit(now_ms);
    }
    assert!(!till.endpoint.is_up() && !pos.endpoint.is_up(), "L-042");
}

#[test]
fn a_pos_with_two_keys_follows_its_till_through_a_rotation() {
    let (old, new) = (Key::new(1, KEY), Key::new(2, [0x22; 32]));
    let mut till = End::secured(Role::Till, 7, old.clone(), None);
    let mut pos = End::secured(Role::Pos, 9, old.clone(), Some(new.clone()));
    recorded(&mut till, &mut pos, 0);
    assert!(till.endpoint.is_up() && pos.endpoint.is_up());
    till.keys = Some((new.clone(), None));
    till.reboot(1_000);
    // The POS holds on to the old session until it has been silent for 3 s.
    calm(&mut till, &mut pos, 1_000, 4_000);
    assert!(till.endpoint.is_up() && pos.endpoint.is_up());
    pos.keys = Some((new, None));
    pos.reboot(5_000);
    calm(&mut till, &mut pos, 5_000, 1_000);
    assert!(till.endpoint.is_up() && pos.endpoint.is_up());
    assert_eq!((till.refused, pos.refused), (None, None));
    pos.keys = Some((old, None));
    pos.reboot(6_000);
    calm(&mut till, &mut pos, 6_000, 6_000);
    assert!(!till.endpoint.is_up());
    assert_eq!(pos.refused, Some(Refusal::Key));
}

#[test]
fn no_nonce_serves_two_sessions() {
    let (mut till, mut pos) = secured();
    let mut seen = Vec::new();
    for i in 0..20 {
        let now_ms = i * 1_000;
        recorded(&mut till, &mut pos, now_ms);
        assert!(till.endpoint.is_up());
        let nonce = till.endpoint.guard.as_ref().unwrap().nonce();
        assert!(!seen.contains(&nonce));
        seen.push(nonce);
        till.endpoint.reconnected(now_ms + 999, |_| {});
    }
}

#[test]
fn a_session_ends_before_its_counter_does() {
    let (mut till, mut pos) = secured();
    recorded(&mut till, &mut pos, 0);
    till.endpoint.guard.as_mut().unwrap().wear(u32::MAX - 2);
    for i in 0..10 {
        till.log.records.push(std::vec![i]);
    }
    calm(&mut till, &mut pos, 1_000, 5_000);
    assert_eq!(pos.taken, till.log.records);
    assert_eq!(till.endpoint.stats().ups, 2);
}

proptest! {
    #[test]
    fn nothing_is_lost_on_a_secured_link(steps in proptest::collection::vec(step(), 1..60)) {
        let (till, pos) = secured();
        nothing_is_lost_between(till, pos, steps)?;
    }

    /// An attacker records everything, drops what it likes and plays back what it likes, at any time.
    #[test]
    fn no_replay_delivers_anything_twice(choices in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>(), 0u8..8), 1..120)) {
        let (mut till, mut pos) = secured();
        let (mut to_pos, mut to_till): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        let mut now_ms = 0u64;
        for (to_the_till, index, choice) in choices {
            now_ms += 130;
            till.log.records.push(std::vec![choice]);
            pos.log.events.push_back(now_ms.to_le_bytes().to_vec());
            for frame in till.transmit(now_ms) {
                if choice > 1 { pos.receive(now_ms, &frame); }
                to_pos.push(frame);
            }
            for frame in pos.transmit(now_ms) {
                if choice > 1 { till.receive(now_ms, &frame); }
                to_till.push(frame);
            }
            let (recording, end) = if to_the_till { (&to_till, &mut till) } else { (&to_pos, &mut pos) };
            for frame in recording.iter().skip(index.index(recording.len().max(1))).take(5) {
                end.receive(now_ms, frame);
            }
            prop_assert_eq!(&pos.taken[..], &till.log.records[..pos.taken.len()]);
            prop_assert!(till.acknowledged as usize <= pos.taken.len());
            prop_assert!(till.events as u64 <= now_ms / 130);
        }
        calm(&mut till, &mut pos, now_ms, 20_000);
        prop_assert_eq!(&pos.taken, &till.log.records);
    }
}
