//! Two ends of the link in a program that has nothing: no standard library, no allocator, no C library, no
//! start files. The till's offers go to the POS over a wire that loses every fifth frame; the exit status
//! is 0 when each has arrived once, in order, and was acknowledged. Read next: `start`.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod memory;
mod start;

use till_link::message::{decode, encode};
use till_link::{
    Cart, Config, Currency, Endpoint, Event, Outcome, Resume, Role, SaleId, Source, ToPos, WIRE_BYTES_MAX,
};

const COUNTER: u32 = 1;
const EPOCH: u32 = 7;
const SALES: u32 = 40;
/// Long after everything was said.
const END_MS: u64 = 600_000;

/// A log that is written as it is read, as small as can be.
struct Log(u32);

impl Source for Log {
    fn first(&self) -> u32 {
        1
    }

    fn last(&self) -> u32 {
        self.0
    }

    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
        Some(encode(&sale(sequence), buffer)?.len())
    }

    fn volatile(&mut self, _: &mut [u8]) -> Option<usize> {
        None
    }
}

fn sale(session: u32) -> ToPos {
    let sale = SaleId { counter: COUNTER, epoch: EPOCH, session };
    let total_minor = i64::from(session) * 100;
    let cart = Cart {
        lines: Default::default(),
        total_minor,
        currency: Currency(*b"KRW"),
        catalogue_version: 0,
        mass_g: 0,
    };
    ToPos::Closed { sale, revision: 1, outcome: Outcome::Paid, cart }
}

/// The exit status.
pub fn run() -> u8 {
    let config = Config { role: Role::Till, counter: COUNTER, epoch: EPOCH, boot: 1, window: 8 };
    let mut till = Endpoint::new(config, Resume::default(), 0, SALES, 0);
    let mut pos = Endpoint::new(Config { role: Role::Pos, ..config }, Resume::default(), 0, 0, 0);
    let mut wire = [0; WIRE_BYTES_MAX];
    let (mut now_ms, mut frames, mut booked) = (0, 0u32, 0u32);
    while till.acknowledged() < SALES {
        while let Some(n) = till.poll_transmit(now_ms, &mut Log(SALES), &mut wire, |_| {}) {
            frames += 1;
            if frames.is_multiple_of(5) {
                continue;
            }
            let mut wrong = false;
            pos.receive(now_ms, wire.get(..n).unwrap_or(&[]), |event| {
                if let Event::Durable { sequence, payload, .. } = event {
                    wrong |= sequence != booked + 1 || decode(payload) != Some(sale(sequence));
                    booked = sequence;
                }
            });
            if wrong {
                return 1;
            }
            pos.stored(EPOCH, booked);
        }
        while let Some(n) = pos.poll_transmit(now_ms, &mut Log(0), &mut wire, |_| {}) {
            till.receive(now_ms, wire.get(..n).unwrap_or(&[]), |_| {});
        }
        now_ms = till.next_deadline().min(pos.next_deadline());
        if now_ms > END_MS {
            return 2;
        }
    }
    u8::from(booked != SALES) * 3
}
