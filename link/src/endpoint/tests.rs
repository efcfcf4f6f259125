extern crate std;

use std::collections::VecDeque;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::Key;
use crate::message::SCHEMA;

#[path = "hostile_tests.rs"]
mod hostile;
#[path = "secured_tests.rs"]
mod secured;

/// A log in memory; `first` > 1 once its head was thrown away.
#[derive(Clone, Default)]
struct Log {
    records: Vec<Vec<u8>>,
    first: u32,
    events: VecDeque<Vec<u8>>,
    picture: VecDeque<Vec<u8>>,
}

impl Source for Log {
    fn first(&self) -> u32 {
        self.first.max(1)
    }
    fn last(&self) -> u32 {
        self.records.len() as u32
    }
    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
        let record = self.records.get(sequence as usize - 1)?;
        buffer.get_mut(..record.len())?.copy_from_slice(record);
        Some(record.len())
    }
    fn volatile(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let event = self.events.pop_front()?;
        buffer[..event.len()].copy_from_slice(&event);
        Some(event.len())
    }
    fn bulk(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let part = self.picture.pop_front()?;
        buffer[..part.len()].copy_from_slice(&part);
        Some(part.len())
    }
}

/// An end with what survives its reboot (`log`, `taken`, `acknowledged`) and what does not (`endpoint`).
struct End {
    endpoint: Endpoint,
    config: Config,
    /// The first key and, for a POS, the second; an end without is not secured.
    keys: Option<(Key, Option<Key>)>,
    log: Log,
    peer_epoch: u32,
    taken: Vec<Vec<u8>>,
    acknowledged: u32,
    events: usize,
    refused: Option<Refusal>,
    lost: Option<u32>,
}

impl End {
    fn secured(role: Role, epoch: u32, key: Key, other: Option<Key>) -> Self {
        let mut end = Self { keys: Some((key, other)), ..Self::new(role, epoch) };
        end.reboot(0);
        end
    }

    fn new(role: Role, epoch: u32) -> Self {
        let config = Config { role, counter: 1, epoch, boot: epoch * 100, window: 4 };
        Self {
            endpoint: Endpoint::new(config, Resume::default(), 0, 0, 0),
            config,
            keys: None,
            log: Log::default(),
            peer_epoch: 0,
            taken: Vec::new(),
            acknowledged: 0,
            events: 0,
            refused: None,
            lost: None,
        }
    }

    fn reboot(&mut self, now_ms: u64) {
        self.config.boot += 1;
        let resume = Resume { epoch: self.peer_epoch, sequence: self.taken.len() as u32 };
        let last = self.log.last();
        self.endpoint = match &self.keys {
            None => Endpoint::new(self.config, resume, self.acknowledged, last, now_ms),
            Some((key, other)) => {
                let security = Security::new(key.clone(), other.clone(), [self.config.boot as u8; 32]);
                Endpoint::secured(self.config, security, resume, self.acknowledged, last, now_ms)
            }
        };
    }

    fn receive(&mut self, now_ms: u64, bytes: &[u8]) {
        let mut store = None;
        let Self { endpoint, taken, acknowledged, events, refused, peer_epoch, lost, .. } = self;
        endpoint.receive(now_ms, bytes, |event| match event {
            Event::Durable { epoch, sequence, payload } => {
                *peer_epoch = epoch;
                taken.push(payload.into());
                assert_eq!(taken.len() as u32, sequence, "delivered in order and once");
                store = Some((epoch, sequence));
            }
            Event::Acknowledged { sequence } => *acknowledged = sequence,
            Event::Volatile(_) => *events += 1,
            Event::Refused(reason) => *refused = Some(reason),
            Event::Up { lost, .. } => assert_eq!(lost, 0),
            Event::LogLost { stored } => *lost = Some(stored),
            Event::Down => {}
        });
        if let Some((epoch, sequence)) = store {
            endpoint.stored(epoch, sequence);
        }
    }

    fn transmit(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut wire = [0; WIRE_BYTES_MAX];
        while let Some(n) = self.endpoint.poll_transmit(now_ms, &mut self.log, &mut wire, |_| {}) {
            frames.push(wire[..n].to_vec());
            assert!(frames.len() < 100, "an endpoint that never stops talking");
        }
        frames
    }
}

fn ends() -> (End, End) {
    (End::new(Role::Till, 7), End::new(Role::Pos, 9))
}

/// Time passes and everything arrives.
fn calm(till: &mut End, pos: &mut End, from_ms: u64, for_ms: u64) -> u64 {
    let mut now_ms = from_ms;
    while now_ms < from_ms + for_ms {
        for frame in till.transmit(now_ms) {
            pos.receive(now_ms, &frame);
        }
        for frame in pos.transmit(now_ms) {
            till.receive(now_ms, &frame);
        }
        now_ms += 10;
    }
    now_ms
}

#[test]
fn hello_then_data_then_acknowledgement() {
    let (mut till, mut pos) = ends();
    till.log.records.push(b"offer".to_vec());
    till.log.events.push_back(b"cart".to_vec());
    calm(&mut till, &mut pos, 0, 100);
    assert!(till.endpoint.is_up() && pos.endpoint.is_up());
    assert_eq!(pos.taken, [b"offer".to_vec()]);
    assert_eq!((till.acknowledged, pos.events), (1, 1));
    assert_eq!(till.endpoint.stats().retransmits, 0);
}

#[test]
fn exact_bytes_of_the_first_hello() {
    let (mut till, _) = ends();
    let frames = till.transmit(0);
    let mut accumulator = Accumulator::default();
    let (Some(Received::Frame(Kind::Hello, payload)), _) = accumulator.feed(&frames[0]) else { panic!() };
    let mut expected = std::vec![1, 0, 0, 0, 0];
    for word in [SCHEMA, 1, 700, 0, 7, 1, 0, 0] {
        expected.extend_from_slice(&u32::to_le_bytes(word));
    }
    assert_eq!(payload, expected);
    assert_eq!(frames.len(), 1);
}

#[test]
fn silence_is_noticed_within_three_seconds_and_ends_with_the_first_hello() {
    let (mut till, mut pos) = ends();
    let mut now_ms = calm(&mut till, &mut pos, 0, 5_000);
    assert!(till.endpoint.is_up());
    till.transmit(now_ms + LOST_MS);
    assert!(!till.endpoint.is_up());
    now_ms = calm(&mut till, &mut pos, now_ms + LOST_MS, 1_000);
    assert!(till.endpoint.is_up() && pos.endpoint.is_up(), "{now_ms}");
}

#[test]
fn nothing_is_acknowledged_before_it_is_stored() {
    let (mut till, mut pos) = ends();
    calm(&mut till, &mut pos, 0, 100);
    till.log.records.push(b"offer".to_vec());
    for frame in till.transmit(200) {
        pos.endpoint.receive(200, &frame, |_| {});
    }
    assert_eq!(pos.transmit(200).len(), 0);
    pos.endpoint.not_stored();
    for frame in till.transmit(5_000) {
        pos.receive(5_000, &frame);
    }
    let frames = pos.transmit(5_000);
    for frame in frames {
        till.receive(5_000, &frame);
    }
    calm(&mut till, &mut pos, 5_010, 2_000);
    assert_eq!(pos.taken.len(), 1);
    assert_eq!(till.acknowledged, 1);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_counted_and_ignored() {
    let (mut till, mut pos) = ends();
    calm(&mut till, &mut pos, 0, 100);
    let mut wire = [0; WIRE_BYTES_MAX];
    let n = frame::encode(Kind::Ack, &[&wire::pair(7, 3)], &mut wire).unwrap();
    till.receive(110, &wire[..n]);
    assert_eq!((till.endpoint.acknowledged(), till.endpoint.stats().false_acks), (0, 1));
}

#[test]
fn an_end_whose_disk_lost_what_was_acknowledged_comes_up_only_under_a_new_epoch() {
    for keyed in [false, true] {
        let key = || Key::new(1, [7; 32]);
        let end = |role, epoch| if keyed { End::secured(role, epoch, key(), None) } else { End::new(role, epoch) };
        let (mut till, mut pos) = (end(Role::Till, 7), end(Role::Pos, 9));
        till.log.records = Vec::from([b"offer".to_vec(), b"closed".to_vec()]);
        calm(&mut till, &mut pos, 0, 1_000);
        assert_eq!(pos.taken.len(), 2);
        // The last record goes, its number is given anew, and the new one was not sent yet.
        till.log.records.truncate(1);
        till.acknowledged = 0;
        till.reboot(2_000);
        till.log.records.push(b"next".to_vec());
        calm(&mut till, &mut pos, 2_000, 1_200);
        assert_eq!((till.lost, till.endpoint.is_up(), pos.taken.len()), (Some(2), false, 2));
        till.log.records = Vec::from([b"next".to_vec()]);
        till.config.epoch = 8;
        till.endpoint.renew(8, 3_200);
        pos.taken.clear();
        calm(&mut till, &mut pos, 3_200, 1_500);
        assert!(till.endpoint.is_up() && pos.endpoint.is_up());
        assert_eq!((&pos.taken[..], till.endpoint.acknowledged()), (&[b"next".to_vec()][..], 1));
    }
}

#[test]
fn strangers_are_refused_with_the_reason() {
    let (mut till, _) = ends();
    let mut other = End::new(Role::Till, 9);
    calm(&mut till, &mut other, 0, 100);
    assert_eq!(till.refused, Some(Refusal::Role));
    let mut other = End::new(Role::Pos, 9);
    other.config.counter = 2;
    other.reboot(0);
    let (mut till, _) = ends();
    calm(&mut till, &mut other, 0, 100);
    assert_eq!((till.refused, till.endpoint.is_up()), (Some(Refusal::Counter), false));
}

#[test]
fn a_half_open_line_is_down_at_both_ends() {
    let (mut till, mut pos) = ends();
    let mut now_ms = calm(&mut till, &mut pos, 0, 1_000);
    let end_ms = now_ms + LOST_MS + 2 * HELLO_MS;
    while now_ms < end_ms {
        till.transmit(now_ms);
        for frame in pos.transmit(now_ms) {
            till.receive(now_ms, &frame);
        }
        now_ms += 10;
    }
    assert!(!pos.endpoint.is_up() && !till.endpoint.is_up());
    calm(&mut till, &mut pos, now_ms, 1_000);
    assert!(pos.endpoint.is_up() && till.endpoint.is_up());
}

#[test]
fn a_message_and_the_hello_of_the_restarted_sender_in_one_read_are_delivered_once() {
    let (mut till, mut pos) = ends();
    let now_ms = calm(&mut till, &mut pos, 0, 100);
    pos.log.records.push(b"paid".to_vec());
    let mut read = pos.transmit(now_ms).concat();
    // The POS dies behind it; its next life finds an old HELLO on the line, which names us, and answers that.
    pos.reboot(now_ms);
    till.endpoint.hello_due_ms = Some(now_ms);
    let old_hello = till.transmit(now_ms).concat();
    pos.receive(now_ms, &old_hello);
    read.extend(pos.transmit(now_ms).concat());
    till.receive(now_ms, &read);
    assert!(till.endpoint.is_up());
    calm(&mut till, &mut pos, now_ms, 3000);
    assert_eq!(till.taken, [b"paid"]);
    assert_eq!(pos.acknowledged, 1);
}

#[test]
fn an_end_that_lost_its_journal_gets_again_what_is_still_held() {
    let (mut till, mut pos) = ends();
    for text in ["one", "two", "three"] {
        till.log.records.push(text.into());
    }
    let now_ms = calm(&mut till, &mut pos, 0, 1_000);
    assert_eq!(till.acknowledged, 3);
    pos = End::new(Role::Pos, 10);
    till.log.records.push(b"four".to_vec());
    calm(&mut till, &mut pos, now_ms, 2_000);
    assert_eq!(pos.taken, till.log.records);
    assert_eq!(till.endpoint.acknowledged(), 4);
}

/// Bytes on a line that takes one frame after the other: when each frame's last byte has left, counted in
/// bytes, and the frame.
fn sent_by(end: &mut End, from_byte: usize, mut queue: impl FnMut(&mut Log, usize)) -> Vec<(usize, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut wire = [0; WIRE_BYTES_MAX];
    let mut byte = from_byte;
    queue(&mut end.log, byte);
    while let Some(n) = end.endpoint.poll_transmit(100, &mut end.log, &mut wire, |_| {}) {
        for _ in 0..n {
            byte += 1;
            queue(&mut end.log, byte);
        }
        frames.push((byte, wire[..n].to_vec()));
    }
    frames
}

#[test]
fn an_event_overtakes_a_thumbnail_within_one_frame_and_its_own() {
    let part = std::vec![0x55; 540];
    for secured in [false, true] {
        for at in (0..5_000).step_by(37) {
            let (mut till, mut pos) = if secured { secured::secured() } else { ends() };
            calm(&mut till, &mut pos, 0, 100);
            till.log.picture = (0..10).map(|_| part.clone()).collect();
            let frames = sent_by(&mut till, 0, |log, byte| {
                if byte == at {
                    log.events.push_back(b"attention".to_vec());
                }
            });
            let (done, event) =
                frames.iter().find(|(_, frame)| frame.windows(9).any(|part| part == b"attention")).unwrap();
            assert!(*done <= at + WIRE_BYTES_MAX + event.len(), "L-073: queued at {at}, gone at {done}");
            // And within the one part that was being sent.
            assert!(*done <= at + part.len() + 30 + event.len(), "queued at {at}, gone at {done}");
        }
    }
}

#[test]
fn a_thumbnail_waits_for_what_is_durable_and_for_events() {
    let (mut till, mut pos) = ends();
    calm(&mut till, &mut pos, 0, 100);
    till.log.picture.push_back(b"picture".to_vec());
    till.log.events.push_back(b"event".to_vec());
    till.log.records.push(b"durable".to_vec());
    let order: Vec<&[u8]> = [b"event".as_slice(), b"durable", b"picture"].to_vec();
    let frames = sent_by(&mut till, 0, |_, _| {});
    assert_eq!(frames.len(), 3);
    for ((_, frame), word) in frames.iter().zip(order) {
        assert!(frame.windows(word.len()).any(|part| part == word), "{word:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(bool, Vec<u8>),
    Event(bool),
    /// Time passes; each frame meets its fate.
    Exchange(u16, Vec<u8>),
    Reboot(bool),
    Rubbish(bool, Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(end, bytes)| Step::Append(end, bytes)),
        1 => any::<bool>().prop_map(Step::Event),
        8 => (1u16..900, proptest::collection::vec(any::<u8>(), 1..16)).prop_map(|(ms, fates)| Step::Exchange(ms, fates)),
        1 => any::<bool>().prop_map(Step::Reboot),
        1 => (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)).prop_map(|(end, bytes)| Step::Rubbish(end, bytes)),
    ]
}

fn pass(frames: Vec<Vec<u8>>, to: &mut End, now_ms: u64, fates: &mut impl Iterator<Item = u8>) {
    let mut late = Vec::new();
    for mut frame in frames {
        match fates.next().unwrap_or(0) % 8 {
            0 => continue,
            1 => {
                to.receive(now_ms, &frame);
                to.receive(now_ms, &frame);
            }
            2 => {
                let at = frame.len() / 2;
                frame[at] ^= 0x10;
                to.receive(now_ms, &frame);
            }
            3 => to.receive(now_ms, &frame[..frame.len() / 2]),
            4 => late.push(frame),
            _ => to.receive(now_ms, &frame),
        }
    }
    for frame in late {
        to.receive(now_ms, &frame);
    }
}

/// Whatever the wire does and whoever reboots: in order, exactly once, nothing invented, and all of it
/// arrives once the wire is calm.
fn nothing_is_lost_between(mut till: End, mut pos: End, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut now_ms = 0;
    for step in steps {
        match step {
            Step::Append(true, bytes) => till.log.records.push(bytes),
            Step::Append(false, bytes) => pos.log.records.push(bytes),
            Step::Event(true) => till.log.events.push_back(b"state".to_vec()),
            Step::Event(false) => pos.log.events.push_back(b"state".to_vec()),
            Step::Exchange(ms, fates) => {
                now_ms += u64::from(ms);
                let mut fates = fates.into_iter().cycle();
                for _ in 0..3 {
                    pass(till.transmit(now_ms), &mut pos, now_ms, &mut fates);
                    pass(pos.transmit(now_ms), &mut till, now_ms, &mut fates);
                }
            }
            Step::Reboot(true) => till.reboot(now_ms),
            Step::Reboot(false) => pos.reboot(now_ms),
            Step::Rubbish(true, bytes) => till.receive(now_ms, &bytes),
            Step::Rubbish(false, bytes) => pos.receive(now_ms, &bytes),
        }
        prop_assert!(pos.taken.len() <= till.log.records.len());
        prop_assert_eq!(&pos.taken[..], &till.log.records[..pos.taken.len()]);
        prop_assert_eq!(&till.taken[..], &pos.log.records[..till.taken.len()]);
        prop_assert!(till.acknowledged as usize <= pos.taken.len());
        prop_assert!(pos.acknowledged as usize <= till.taken.len());
    }
    calm(&mut till, &mut pos, now_ms, 20_000);
    prop_assert_eq!(&pos.taken, &till.log.records);
    prop_assert_eq!(&till.taken, &pos.log.records);
    prop_assert_eq!(till.acknowledged as usize, till.log.records.len());
    prop_assert_eq!(pos.acknowledged as usize, pos.log.records.len());
    Ok(())
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(steps in proptest::collection::vec(step(), 1..80)) {
        let (till, pos) = ends();
        nothing_is_lost_between(till, pos, steps)?;
    }

    #[test]
    fn any_bytes_at_any_time_do_no_harm(chunks in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..300), 0u64..2_000), 0..20)) {
        let (mut till, _) = ends();
        let mut now_ms = 0;
        for (bytes, ms) in chunks {
            now_ms += ms;
            till.receive(now_ms, &bytes);
            till.transmit(now_ms);
        }
        prop_assert_eq!(till.taken.len(), 0);
    }
}
