use std::collections::VecDeque;

use till_link::{Config, Endpoint, Event, Key, Resume, Role, Security, Source, WIRE_BYTES_MAX};

use super::Input;

const COUNTER: u32 = 3;
/// More than this is not under way in one direction: what comes on top is lost.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Frames that an end may have to say at one moment: a window, and one of each other kind.
const FRAMES_MAX: usize = 64;
/// Rounds within which everything must be said once the line is sound.
const HEALING_ROUNDS: usize = 4_000;

/// What one end has on its disk.
#[derive(Debug, Default)]
struct Disk {
    log: Vec<Vec<u8>>,
    /// Records that went because the other end had them.
    released: u32,
    inbox: Vec<Vec<u8>>,
}

impl Disk {
    fn last(&self) -> u32 {
        self.log.len() as u32
    }
}

struct Outgoing<'d> {
    disk: &'d Disk,
    volatile: &'d mut VecDeque<Vec<u8>>,
}

impl Source for Outgoing<'_> {
    fn first(&self) -> u32 {
        self.disk.released + 1
    }

    fn last(&self) -> u32 {
        self.disk.last()
    }

    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
        assert!(sequence > self.disk.released, "{sequence} was asked for after the other end had it");
        copy(self.disk.log.get(sequence as usize - 1)?, buffer)
    }

    fn volatile(&mut self, buffer: &mut [u8]) -> Option<usize> {
        copy(&self.volatile.pop_front()?, buffer)
    }
}

fn copy(bytes: &[u8], buffer: &mut [u8]) -> Option<usize> {
    buffer.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(bytes.len())
}

struct End {
    role: Role,
    endpoint: Endpoint,
    window: u32,
    secured: bool,
    boot: u32,
    disk: Disk,
    /// Handed out, not stored yet.
    pending: Vec<Vec<u8>>,
    volatile: VecDeque<Vec<u8>>,
    /// Bytes on their way to this end.
    line: VecDeque<u8>,
    /// Bytes that a modem or an adapter holds back.
    held: Vec<u8>,
    heard: Vec<Vec<u8>>,
}

impl End {
    fn new(role: Role, window: u32, secured: bool) -> Self {
        let disk = Disk::default();
        Self {
            role,
            endpoint: boot(role, window, secured, 1, &disk, 0),
            window,
            secured,
            boot: 1,
            disk,
            pending: Vec::new(),
            volatile: VecDeque::new(),
            line: VecDeque::new(),
            held: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn epoch(role: Role) -> u32 {
        10 + role as u32
    }

    /// What the endpoint tells, held to what must be so at once.
    fn hear(pending: &mut Vec<Vec<u8>>, heard: &mut Vec<Vec<u8>>, disk: &Disk, event: Event<'_>) {
        match event {
            Event::Durable { sequence, payload, .. } => {
                let expected = disk.inbox.len() + pending.len() + 1;
                assert_eq!(sequence as usize, expected, "a message was lost, came twice or out of turn");
                pending.push(payload.to_vec());
            }
            Event::Volatile(payload) => heard.push(payload.to_vec()),
            Event::Up { lost, .. } => assert_eq!(lost, 0, "nothing is ever lost here"),
            Event::Refused(refusal) => panic!("the ends fit, but one refuses the other: {refusal:?}"),
            Event::Acknowledged { sequence } => assert!(sequence <= disk.last()),
            Event::LogLost { stored } => panic!("no disk loses anything here, but {stored} were"),
            Event::Down => {}
        }
    }

    fn receive(&mut self, now_ms: u64, n: usize) {
        let bytes: Vec<u8> = self.line.drain(..n.min(self.line.len())).collect();
        let Self { endpoint, pending, heard, disk, .. } = self;
        endpoint.receive(now_ms, &bytes, |event| Self::hear(pending, heard, disk, event));
    }

    fn transmit(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        let Self { endpoint, pending, heard, disk, volatile, .. } = self;
        let mut wire = [0; WIRE_BYTES_MAX];
        // Nothing is delivered while an end speaks.
        let before = pending.len();
        let mut events = Vec::new();
        let n = endpoint.poll_transmit(now_ms, &mut Outgoing { disk, volatile }, &mut wire, |event| {
            events.push(event == Event::Down);
        });
        assert!(events.iter().all(|down| *down), "an end that speaks can only fall silent");
        assert_eq!((before, heard.len()), (pending.len(), heard.len()));
        let bytes = wire[..n?].to_vec();
        assert_eq!(bytes.iter().position(|byte| *byte == 0), Some(bytes.len() - 1), "one frame, one delimiter");
        Some(bytes)
    }

    fn store(&mut self) {
        self.disk.inbox.append(&mut self.pending);
        let other = if self.role == Role::Till { Role::Pos } else { Role::Till };
        self.endpoint.stored(Self::epoch(other), self.disk.inbox.len() as u32);
    }

    fn reboot(&mut self, now_ms: u64) {
        self.pending.clear();
        self.volatile.clear();
        self.boot += 1;
        self.endpoint = boot(self.role, self.window, self.secured, self.boot, &self.disk, now_ms);
    }
}

fn boot(role: Role, window: u32, secured: bool, boot: u32, disk: &Disk, now_ms: u64) -> Endpoint {
    let other = if role == Role::Till { Role::Pos } else { Role::Till };
    let resume = match disk.inbox.len() as u32 {
        0 => Resume::default(),
        sequence => Resume { epoch: End::epoch(other), sequence },
    };
    let config = Config { role, counter: COUNTER, epoch: End::epoch(role), boot, window };
    if !secured {
        return Endpoint::new(config, resume, disk.released, disk.last(), now_ms);
    }
    // Stands for randomness: no other start of either end has it.
    let mut seed = [role as u8; 32];
    seed[..4].copy_from_slice(&boot.to_le_bytes());
    let security = Security::new(Key::new(1, [0x42; 32]), None, seed);
    Endpoint::secured(config, security, resume, disk.released, disk.last(), now_ms)
}

/// Two ends over a line that loses, flips, repeats, delays and replays, with reboots, reconnections and
/// refused storage at any moment. Each message arrives once and in order, nothing is acknowledged that is
/// not on the disk, and once the line is sound everything arrives.
pub fn endpoint(data: &[u8]) {
    two_ends(data, false);
}

/// As [`endpoint`], with or without a key that both ends hold.
pub fn two_ends(data: &[u8], secured: bool) {
    let mut input = Input(data);
    let windows = input.byte();
    let end = |role, window: u8| End::new(role, u32::from(window) + 1, secured);
    let mut ends = [end(Role::Till, windows & 15), end(Role::Pos, windows >> 4)];
    let mut now_ms = 1u64;
    let mut number = 0u32;
    while !input.is_empty() {
        let step = input.byte();
        now_ms = act(&mut ends, usize::from(step >> 7), step & 0x7f, &mut input, now_ms, &mut number);
        check(&ends);
    }
    heal(&mut ends, now_ms);
}

fn act(ends: &mut [End; 2], me: usize, step: u8, input: &mut Input, now_ms: u64, number: &mut u32) -> u64 {
    let end = &mut ends[me];
    match step % 16 {
        0 | 1 => {
            *number += 1;
            let mut message = number.to_le_bytes().to_vec();
            message.extend_from_slice(input.bytes(usize::from(step >> 4)));
            if step & 1 == 0 { end.disk.log.push(message) } else { end.volatile.push_back(message) }
        }
        2 | 3 => {
            // One frame, or all that is to be said.
            for _ in 0..if step & 1 == 0 { 1 } else { FRAMES_MAX } {
                let Some(bytes) = ends[me].transmit(now_ms) else { break };
                let line = &mut ends[1 - me].line;
                if line.len() + bytes.len() <= LINE_BYTES_MAX {
                    line.extend(bytes);
                }
            }
        }
        4 => end.receive(now_ms, usize::from(input.byte())),
        5 => end.receive(now_ms, usize::MAX),
        6 => drop(end.line.drain(..usize::from(input.byte()).min(end.line.len()))),
        7 => {
            let at = usize::from(input.byte());
            if let Some(byte) = end.line.get_mut(at) {
                *byte ^= 1 << (step >> 4 & 7);
            }
        }
        8 => {
            // A stretch comes again at once, or is held back to come again or to come late.
            let n = usize::from(input.byte()).min(end.line.len());
            let bytes: Vec<u8> = end.line.iter().take(n).copied().collect();
            match step >> 4 & 3 {
                0 => end.line.extend(bytes),
                1 => end.held = bytes,
                2 => end.held = end.line.drain(..n).collect(),
                _ => end.line.extend(&end.held),
            }
        }
        9 => end.line.extend(std::iter::repeat_n(input.byte(), usize::from(step >> 4))),
        10 => return now_ms + (u64::from(input.byte()) << (step >> 4 << 1)),
        11 => end.store(),
        12 => {
            end.pending.clear();
            end.endpoint.not_stored();
        }
        13 => end.reboot(now_ms),
        14 => {
            if step & 16 == 0 {
                end.line.clear();
            }
            let End { endpoint, pending, heard, disk, .. } = end;
            endpoint.reconnected(now_ms, |event| End::hear(pending, heard, disk, event));
        }
        _ => end.disk.released = end.endpoint.acknowledged().max(end.disk.released),
    }
    now_ms
}

fn check(ends: &[End; 2]) {
    for (me, other) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
        let stored = &other.disk.inbox;
        assert!(me.endpoint.acknowledged() as usize <= stored.len(), "acknowledged, but not on the disk");
        assert!(stored.len() <= me.disk.log.len() && stored[..] == me.disk.log[..stored.len()], "not what was sent");
        assert_eq!(me.endpoint.stats().false_acks, 0);
    }
}

/// From now on the line is sound and both disks work.
fn heal(ends: &mut [End; 2], mut now_ms: u64) {
    for round in 0.. {
        let mut quiet = true;
        for me in 0..2 {
            ends[me].receive(now_ms, usize::MAX);
            ends[me].store();
            let mut frames = 0;
            let frames_max = FRAMES_MAX + ends[me].volatile.len();
            while let Some(bytes) = ends[me].transmit(now_ms) {
                frames += 1;
                assert!(frames <= frames_max, "an end that does not stop speaking");
                ends[1 - me].line.extend(bytes);
                quiet = false;
            }
            assert!(ends[me].endpoint.next_deadline() > now_ms, "a deadline that has passed: its owner would spin");
        }
        check(ends);
        let done = |me: usize| {
            let end = &ends[me];
            end.endpoint.is_up()
                && end.line.is_empty()
                && end.endpoint.acknowledged() == end.disk.last()
                && ends[1 - me].disk.inbox.len() == end.disk.log.len()
        };
        if quiet && done(0) && done(1) {
            return;
        }
        assert!(round < HEALING_ROUNDS, "the ends do not come to rest");
        if quiet {
            now_ms = ends.iter().map(|end| end.endpoint.next_deadline()).min().unwrap_or(now_ms).max(now_ms + 1);
        }
    }
}
