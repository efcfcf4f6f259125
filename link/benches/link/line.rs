//! A line of 115200 baud, 8N1: ten bits a byte, both directions at once, nothing else. Time is counted in
//! nanoseconds; the endpoints see whole milliseconds of it, as they do from a real clock.

use std::collections::VecDeque;

use till_link::message::encode;
use till_link::{Config, Endpoint, Event, PAYLOAD_BYTES_MAX, Resume, Role, Source, WIRE_BYTES_MAX};

const BAUD: u64 = 115_200;
const BITS_A_BYTE: u64 = 10;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// How long a case runs, virtual.
const RUN: u64 = 600 * SECOND;
/// The receiver's disk.
const STORE: u64 = 5 * MS;
const EPOCH: u32 = 9;

fn airtime(bytes: usize) -> u64 {
    bytes as u64 * BITS_A_BYTE * SECOND / BAUD
}

/// A log that never ends, of one message, and an event now and then.
struct Log<'m> {
    message: &'m [u8],
    last: u32,
    event: Option<u64>,
}

impl Source for Log<'_> {
    fn first(&self) -> u32 {
        1
    }

    fn last(&self) -> u32 {
        self.last
    }

    fn durable(&mut self, _: u32, buffer: &mut [u8]) -> Option<usize> {
        buffer.get_mut(..self.message.len())?.copy_from_slice(self.message);
        Some(self.message.len())
    }

    fn volatile(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let stamp = self.event.take()?.to_le_bytes();
        buffer.get_mut(..stamp.len())?.copy_from_slice(&stamp);
        Some(stamp.len())
    }
}

/// One direction.
#[derive(Default)]
struct Way {
    /// When the last byte that was given to it has left.
    free: u64,
    under_way: VecDeque<(u64, Vec<u8>)>,
}

struct Rng(u64);

impl Rng {
    /// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What a case came to.
struct Outcome {
    delivered: u64,
    retransmits: u64,
    /// From an event's birth to its arrival.
    waits: Vec<u64>,
}

/// The till sends `message` without end. Of the frames of either direction `lost_permille` vanish; every
/// `event_every` nanoseconds on average an event is born.
fn run(message: &[u8], window: u32, store: u64, lost_permille: u64, event_every: Option<u64>) -> Outcome {
    let config = |role, window| Config { role, counter: 1, epoch: EPOCH, boot: 5, window };
    let mut ends = [
        Endpoint::new(config(Role::Till, window), Resume::default(), 0, 0, 0),
        Endpoint::new(config(Role::Pos, window), Resume::default(), 0, 0, 0),
    ];
    let mut logs = [Log { message, last: u32::MAX - 1, event: None }, Log { message: &[], last: 0, event: None }];
    let mut ways = [Way::default(), Way::default()];
    let mut storing: VecDeque<(u64, u32)> = VecDeque::new();
    let (mut rng, mut now, mut born) = (Rng(7), 0, event_every.unwrap_or(u64::MAX));
    let mut outcome = Outcome { delivered: 0, retransmits: 0, waits: Vec::new() };
    while now < RUN {
        if now >= born {
            logs[0].event.get_or_insert(now);
            let every = event_every.unwrap_or(RUN);
            born = now + every / 2 + rng.next() % every;
        }
        while storing.front().is_some_and(|(ready, _)| *ready <= now) {
            if let Some((_, sequence)) = storing.pop_front() {
                ends[1].stored(EPOCH, sequence);
            }
        }
        for me in 0..2 {
            while ways[1 - me].under_way.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, bytes)) = ways[1 - me].under_way.pop_front() else { break };
                ends[me].receive(now / MS, &bytes, |event| match event {
                    Event::Durable { sequence, payload, .. } => {
                        outcome.delivered += payload.len() as u64;
                        let begun = storing.back().map_or(now, |(ready, _)| now.max(*ready));
                        storing.push_back((begun + store, sequence));
                    }
                    Event::Volatile(stamp) => {
                        let birth = u64::from_le_bytes(stamp.try_into().expect("eight bytes"));
                        outcome.waits.push(now - birth);
                    }
                    _ => {}
                });
            }
        }
        let mut next = born.min(storing.front().map_or(u64::MAX, |(ready, _)| *ready));
        for me in 0..2 {
            // The owner gives the line a frame when it has taken the one before.
            if ways[me].free <= now {
                let mut wire = [0; WIRE_BYTES_MAX];
                if let Some(n) = ends[me].poll_transmit(now / MS, &mut logs[me], &mut wire, |_| {}) {
                    ways[me].free = now + airtime(n);
                    if rng.next() % 1_000 >= lost_permille {
                        let at = ways[me].free;
                        ways[me].under_way.push_back((at, wire[..n].to_vec()));
                    }
                }
            }
            next = next.min(ways[me].under_way.front().map_or(u64::MAX, |(at, _)| *at));
            let asked = ends[me].next_deadline().saturating_mul(MS);
            next = next.min(if ways[me].free > now { ways[me].free } else { asked });
        }
        now = next.max(now + 1);
    }
    outcome.retransmits = ends[0].stats().retransmits;
    outcome
}

/// Bytes on the wire of a message: kind, epoch and sequence, CRC, COBS and the delimiter.
fn framed(message: &[u8]) -> usize {
    let mut wire = [0; WIRE_BYTES_MAX];
    till_link::frame::encode(till_link::frame::Kind::Data, &[&[1; 8], message], &mut wire).expect("it fits")
}

pub fn goodput() {
    let line = BAUD as f64 / BITS_A_BYTE as f64;
    println!(
        "share of a 115200 line, {line} bytes a second, that messages get; the POS stores each in {} ms",
        STORE / MS
    );
    println!("limit: payload / bytes on the wire; with p = 1 % of the frames lost, (1 - p) of it");
    println!(
        "| message | payload | on the wire | limit | window | no loss | of the limit | 1 % lost | of its limit | sent again |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut worst = [f64::MAX; 2];
    for lines in [1, 3, 8, 24] {
        let mut buffer = [0; PAYLOAD_BYTES_MAX];
        let message = encode(&super::receipt(lines), &mut buffer).expect("a receipt fits");
        let wire = framed(message);
        let limit = message.len() as f64 / wire as f64;
        for window in [4, 8, 16] {
            let [clean, lossy] = [0, 10].map(|lost| run(message, window, STORE, lost, None));
            let share = |outcome: &Outcome| outcome.delivered as f64 / (RUN / SECOND) as f64 / line;
            let of_limit = [share(&clean) / limit, share(&lossy) / (limit * 0.99)];
            if window == 8 {
                worst = [worst[0].min(of_limit[0]), worst[1].min(share(&lossy) / limit)];
            }
            println!(
                "| receipt, {lines} lines | {} | {wire} | {:.1} % | {window} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {} |",
                message.len(),
                limit * 100.0,
                share(&clean) * 100.0,
                of_limit[0] * 100.0,
                share(&lossy) * 100.0,
                of_limit[1] * 100.0,
                lossy.retransmits,
            );
        }
    }
    println!(
        "worst with the window that is used, 8: {:.1} % of what the line can carry, {:.1} % with 1 % lost",
        worst[0] * 100.0,
        worst[1] * 100.0
    );
    assert!(worst[0] >= 0.97 && worst[1] >= 0.85, "the line is not used as it could be");
}

pub fn overtaking() {
    let mut buffer = [0; PAYLOAD_BYTES_MAX];
    let message = encode(&super::receipt(24), &mut buffer).expect("a receipt fits").to_vec();
    let longest = vec![1; PAYLOAD_BYTES_MAX];
    println!("\nhow long an event of 8 bytes takes while the line is full of data, ms");
    println!("| data frames of | one of them takes | p50 | p99 | longest | promised |\n|---|---|---|---|---|---|");
    for data in [&message, &longest] {
        let mut waits = run(data, 8, STORE, 0, Some(700 * MS)).waits;
        waits.sort_unstable();
        let of = |share: usize| waits[(waits.len() - 1) * share / 100] as f64 / MS as f64;
        // Kind, eight bytes, CRC, and two of framing.
        let promised = airtime(WIRE_BYTES_MAX) + airtime(1 + 8 + 4 + 2);
        println!(
            "| {} bytes | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            framed(data),
            airtime(framed(data)) as f64 / MS as f64,
            of(50),
            of(99),
            of(100),
            promised as f64 / MS as f64
        );
        assert!(waits.len() > 500 && waits.iter().all(|wait| *wait <= promised));
    }
}
