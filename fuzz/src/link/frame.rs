use till_link::WIRE_BYTES_MAX;
use till_link::frame::{Accumulator, Kind, Received, encode};

use super::Input;

const KINDS: [Kind; 7] = [Kind::Hello, Kind::Data, Kind::Ack, Kind::Gap, Kind::Event, Kind::Heartbeat, Kind::Refuse];

/// A line of rubbish, damaged and whole frames: portions do not matter, what comes out was put in, and after
/// a delimiter the next whole frame is always found.
pub fn frame(data: &[u8]) {
    let mut input = Input(data);
    let portion = usize::from(input.byte()).max(1);
    let line = line(&mut input);
    let whole = results(line.chunks(line.len().max(1)));
    assert_eq!(whole, results(line.chunks(portion)), "the portions in which bytes come decide what they are");

    let mut accumulator = Accumulator::default();
    let mut rest = &line[..];
    while !rest.is_empty() {
        let (received, after) = accumulator.feed(rest);
        assert!(after.len() < rest.len(), "nothing was taken");
        if let Some(Received::Frame(kind, payload)) = received {
            let mut wire = [0; WIRE_BYTES_MAX];
            let n = encode(kind, &[payload], &mut wire).expect("what fitted a frame fits one again");
            assert_eq!(results([&wire[..n]].into_iter()), [format!("{:?}", Received::Frame(kind, payload))]);
        }
        rest = after;
    }
    let mut wire = [0; WIRE_BYTES_MAX];
    let n = encode(Kind::Heartbeat, &[&[7; 4]], &mut wire).expect("four bytes fit");
    accumulator.feed(&[0]);
    assert_eq!(accumulator.feed(&wire[..n]).0, Some(Received::Frame(Kind::Heartbeat, &[7; 4])));
}

/// Alternately bytes as they are, and a frame around bytes, perhaps damaged: the fuzzer need not guess a
/// checksum.
fn line(input: &mut Input) -> Vec<u8> {
    let mut line = Vec::new();
    while !input.is_empty() {
        let step = input.byte();
        let n = if step & 0x20 == 0 { usize::from(input.byte()) } else { usize::from(input.short()) % 3_000 };
        let bytes = input.bytes(n);
        if step & 0x40 == 0 {
            line.extend_from_slice(bytes);
            continue;
        }
        let mut wire = [0; WIRE_BYTES_MAX];
        let Some(n) = encode(KINDS[usize::from(step & 7) % KINDS.len()], &[bytes], &mut wire) else { continue };
        if step & 0x80 != 0 {
            let at = usize::from(input.short()) % n;
            wire[at] ^= input.byte();
        }
        line.extend_from_slice(&wire[..n]);
    }
    line
}

fn results<'a>(portions: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut accumulator = Accumulator::default();
    let mut results = Vec::new();
    for mut bytes in portions {
        while !bytes.is_empty() {
            let (received, rest) = accumulator.feed(bytes);
            results.extend(received.map(|received| format!("{received:?}")));
            bytes = rest;
        }
    }
    results
}
