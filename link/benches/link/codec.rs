//! Encoding and decoding a durable message, ours beside `postcard`, `crc` and `cobs` by hand. They take
//! turns in one process; the median of each counts, and the ratio is what stays comparable.

use std::hint::black_box;
use std::time::Instant;

use till_link::frame::{self, Accumulator, CRC, Kind, Received};
use till_link::message::{decode, encode};
use till_link::{PAYLOAD_BYTES_MAX, SaleId, Tender, ToPos, ToTill, WIRE_BYTES_MAX};

const ROUNDS: usize = 301;
const BATCH: usize = 200;
const HEAD: [u8; 8] = [7, 0, 0, 0, 41, 1, 0, 0];

fn ours_encode<M: serde::Serialize>(message: &M, wire: &mut [u8]) -> usize {
    let mut payload = [0; PAYLOAD_BYTES_MAX];
    let payload = encode(message, &mut payload).expect("it fits");
    frame::encode(Kind::Data, &[&HEAD, payload], wire).expect("it fits")
}

fn by_hand_encode<M: serde::Serialize>(message: &M, wire: &mut [u8]) -> usize {
    let mut plain = [0; PAYLOAD_BYTES_MAX + 13];
    plain[0] = Kind::Data as u8;
    plain[1..9].copy_from_slice(&HEAD);
    let n = 9 + postcard::to_slice(message, &mut plain[9..]).expect("it fits").len();
    let crc = CRC.checksum(&plain[..n]);
    plain[n..n + 4].copy_from_slice(&crc.to_le_bytes());
    let n = cobs::encode(&plain[..n + 4], wire);
    wire[n] = 0;
    n + 1
}

/// Hands the message out where it was decoded: an owner that moves it pays for that itself.
fn ours_decode<M: serde::de::DeserializeOwned>(wire: &[u8], accumulator: &mut Accumulator, sink: impl FnOnce(&M)) {
    match accumulator.feed(wire).0 {
        Some(Received::Frame(Kind::Data, payload)) => match &decode(&payload[8..]) {
            Some(message) => sink(message),
            None => panic!("no message"),
        },
        other => panic!("{other:?}"),
    }
}

fn by_hand_decode<M: serde::de::DeserializeOwned>(wire: &[u8], plain: &mut [u8], sink: impl FnOnce(&M)) {
    let end = wire.iter().position(|byte| *byte == 0).expect("a delimiter");
    let n = cobs::decode(&wire[..end], plain).expect("COBS").frame_size();
    let (body, crc) = plain[..n].split_last_chunk::<4>().expect("a whole frame");
    assert_eq!(CRC.checksum(body), u32::from_le_bytes(*crc));
    assert_eq!(body[0], Kind::Data as u8);
    match &postcard::from_bytes(&body[9..]) {
        Ok(message) => sink(message),
        Err(error) => panic!("{error}"),
    }
}

/// Nanoseconds of one call, from a batch of them.
fn time<T>(mut call: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCH {
        black_box(call());
    }
    start.elapsed().as_nanos() as f64 / BATCH as f64
}

fn measure<M>(name: &str, message: &M)
where
    M: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let (mut ours, mut by_hand) = ([0; WIRE_BYTES_MAX], [0; WIRE_BYTES_MAX]);
    let n = ours_encode(message, &mut ours);
    let m = by_hand_encode(message, &mut by_hand);
    assert_eq!(ours[..n], by_hand[..m], "both must write the same bytes");
    let mut accumulator = Accumulator::default();
    let mut plain = [0; WIRE_BYTES_MAX];
    ours_decode::<M>(&ours[..n], &mut accumulator, |decoded| assert_eq!(decoded, message));
    by_hand_decode::<M>(&ours[..n], &mut plain, |decoded| assert_eq!(decoded, message));

    let wire = ours;
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        times[0].push(time(|| ours_encode(black_box(message), black_box(&mut ours))));
        times[1].push(time(|| by_hand_encode(black_box(message), black_box(&mut by_hand))));
        times[2].push(time(|| ours_decode(black_box(&wire[..n]), &mut accumulator, |m: &M| _ = black_box(m))));
        times[3].push(time(|| by_hand_decode(black_box(&wire[..n]), &mut plain, |m: &M| _ = black_box(m))));
    }
    let [a, b, c, d] = times.map(|mut t| {
        t.sort_unstable_by(f64::total_cmp);
        t[ROUNDS / 2]
    });
    println!("| {name} | {n} | {a:.0} | {b:.0} | {:.2} | {c:.0} | {d:.0} | {:.2} |", a / b, c / d);
}

pub fn compare() {
    println!("\none message, ns; by hand is postcard + crc + cobs");
    println!(
        "| message | on the wire | encode | by hand | ratio | decode | by hand | ratio |\n|---|---|---|---|---|---|---|---|"
    );
    let sale = SaleId { counter: 3, epoch: 0x5f3a_91c2, session: 1_042 };
    measure("payment", &ToTill::Paid { sale, revision: 2, tender: Tender::Card, amount_minor: 12_400 });
    measure("withdrawn", &ToPos::Withdrawn { sale, revision: 2 });
    for lines in [1, 3, 8, 24] {
        measure(&format!("receipt, {lines} lines"), &super::receipt(lines));
    }
}
