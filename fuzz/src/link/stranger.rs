use till_link::frame::{Kind, encode};
use till_link::message::SCHEMA;
use till_link::{
    Config, Endpoint, Event, Key, PAYLOAD_BYTES_MAX, Resume, Role, Security, Source, VERSION, WIRE_BYTES_MAX,
};

use super::Input;

/// Frames that an end may have to say at one moment.
const FRAMES_MAX: usize = 64;

struct Log {
    first: u32,
    last: u32,
    /// Every so many-th record can't be read; 0 is none.
    unreadable: u32,
    volatile: u8,
}

impl Source for Log {
    fn first(&self) -> u32 {
        self.first
    }

    fn last(&self) -> u32 {
        self.last
    }

    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
        assert!((self.first..=self.last).contains(&sequence), "{sequence} is not in the log");
        if self.unreadable != 0 && sequence.is_multiple_of(self.unreadable) {
            return None;
        }
        let length = sequence as usize % (PAYLOAD_BYTES_MAX + 1);
        buffer.get_mut(..length)?.fill(1);
        Some(length)
    }

    fn volatile(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.volatile = self.volatile.checked_sub(1)?;
        buffer.first_mut().map(|byte| *byte = 2)?;
        Some(1)
    }
}

/// One end, and at the other a device that knows the frames and says anything whatever in any order.
pub fn stranger(data: &[u8]) {
    against(data, false);
}

/// As [`stranger`], against an end with or without a key. With one the stranger achieves nothing at all.
pub fn against(data: &[u8], secured: bool) {
    let mut input = Input(data);
    let role = if input.byte() & 1 == 0 { Role::Till } else { Role::Pos };
    let config = Config { role, counter: input.word(), epoch: input.word(), boot: input.word(), window: input.word() };
    let resume = Resume { epoch: input.word(), sequence: input.word() };
    let acknowledged = input.word().min(u32::MAX - 1);
    let last = acknowledged.saturating_add(input.word());
    let first = acknowledged.saturating_add(1);
    let mut log = Log { first, last, unreadable: u32::from(input.byte()), volatile: 0 };
    let mut now_ms = 0u64;
    let security = Security::new(Key::new(1, [0x42; 32]), None, [7; 32]);
    let mut end = match secured {
        false => Endpoint::new(config, resume, acknowledged, last, now_ms),
        true => Endpoint::secured(config, security, resume, acknowledged, last, now_ms),
    };
    let mut delivered = None;
    let mut hear = |event: Event<'_>| match event {
        Event::Up { .. } | Event::Durable { .. } | Event::Volatile(_) | Event::Acknowledged { .. } if secured => {
            panic!("without the key: {event:?}");
        }
        Event::Durable { epoch, sequence, .. } => {
            if let Some((of, before)) = delivered {
                assert!(of != epoch || sequence > before, "{sequence} came after {before}");
            }
            delivered = Some((epoch, sequence));
        }
        Event::Acknowledged { sequence } => assert!(sequence <= last, "{sequence} was never sent"),
        // What was handed out may come again after these; and a log may begin anew.
        Event::Up { .. } | Event::Down => delivered = None,
        Event::Volatile(_) | Event::Refused(_) | Event::LogLost { .. } => {}
    };
    while !input.is_empty() {
        let step = input.byte();
        match step % 8 {
            0 => {
                let n = usize::from(input.byte());
                end.receive(now_ms, input.bytes(n), &mut hear);
            }
            1..=3 => {
                let mut wire = [0; WIRE_BYTES_MAX];
                let n = said(step, &mut input, &config, &mut wire);
                end.receive(now_ms, &wire[..n], &mut hear);
            }
            4 => now_ms = now_ms.saturating_add(u64::from(input.word())).min(u64::MAX >> 1),
            5 => end.stored(input.word(), input.word()),
            6 if step & 8 == 0 => {
                end.not_stored();
                // The same will be handed out again.
                hear(Event::Down);
            }
            6 => end.reconnected(now_ms, &mut hear),
            _ => {
                log.volatile = step >> 3;
                log.first = log.first.max(end.acknowledged().saturating_add(1)).min(log.last.saturating_add(1));
            }
        }
        speak(&mut end, &mut log, now_ms, &mut hear);
        assert!(end.acknowledged() <= log.last.max(acknowledged));
    }
}

/// A frame of the stranger's: mostly well formed, so that it is listened to.
fn said(step: u8, input: &mut Input, config: &Config, wire: &mut [u8]) -> usize {
    let mut payload = Vec::new();
    let kind = match step >> 3 & 7 {
        0 | 1 => {
            let other = 1 - config.role as u8;
            let honest = step & 0x40 == 0;
            let head = [VERSION.0, VERSION.1, if honest { other } else { input.byte() }, input.byte() & 1, 0];
            payload.extend_from_slice(&head);
            let boots = [1, config.boot.max(1), input.word()];
            let peer_boot = boots[usize::from(input.byte()) % 3];
            let counter = if honest { config.counter } else { input.word() };
            for word in [SCHEMA, counter, input.word(), peer_boot] {
                payload.extend_from_slice(&word.to_le_bytes());
            }
            for _ in 0..4 {
                payload.extend_from_slice(&input.word().to_le_bytes());
            }
            Kind::Hello
        }
        number @ 2..=5 => {
            let epoch = if number == 2 || step & 0x80 != 0 { input.word() } else { config.epoch };
            payload.extend_from_slice(&epoch.to_le_bytes());
            payload.extend_from_slice(&input.word().to_le_bytes());
            match number {
                2 | 3 => Kind::Data,
                4 => Kind::Ack,
                _ => Kind::Gap,
            }
        }
        6 => {
            payload.extend_from_slice(&input.word().to_le_bytes());
            Kind::Heartbeat
        }
        _ if step & 0x80 == 0 => Kind::Event,
        _ => Kind::Refuse,
    };
    let more = if step & 0xc0 == 0xc0 || payload.is_empty() { usize::from(input.byte()) } else { 0 };
    payload.extend_from_slice(input.bytes(more));
    encode(kind, &[&payload], wire).unwrap_or(0)
}

fn speak(end: &mut Endpoint, log: &mut Log, now_ms: u64, hear: &mut impl FnMut(Event<'_>)) {
    let mut wire = [0; WIRE_BYTES_MAX];
    let mut frames = 0;
    while let Some(n) = end.poll_transmit(now_ms, log, &mut wire, &mut *hear) {
        assert!(n <= WIRE_BYTES_MAX && wire[n - 1] == 0);
        frames += 1;
        assert!(frames <= FRAMES_MAX, "an end that does not stop speaking");
    }
    assert!(end.next_deadline() > now_ms, "a deadline that has passed: its owner would spin");
}
