//! Frames, whole and damaged. `expect` is `frame KIND PAYLOAD`, or the error that a receiver counts: an end without
//! security that is up.

use till_link::frame::{self, Accumulator, CRC, FRAME_BYTES_MAX, Kind, Received};
use till_link::message::SCHEMA;
use till_link::{Config, Endpoint, PAYLOAD_BYTES_MAX, Resume, Role, WIRE_BYTES_MAX};

use crate::{Vector, hex};

fn encode(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    let mut wire = [0; WIRE_BYTES_MAX];
    let n = frame::encode(kind, parts, &mut wire).unwrap();
    wire[..n].to_vec()
}

fn stuff(body: &[u8]) -> Vec<u8> {
    let mut wire = cobs::encode_vec(body);
    wire.push(0);
    wire
}

/// A POS that is up, as its till 1 of boot 700 hears it.
fn pos_hello() -> Vec<u8> {
    hello([1, 0, 1, 1, 0], [SCHEMA, 1, 900, 700, 9, 3, 7, 41])
}

/// Whether that till, being up, refuses the whole frame in `wire` for its length.
fn malformed(wire: &[u8]) -> bool {
    let config = Config { role: Role::Till, counter: 1, epoch: 7, boot: 700, window: 4 };
    let mut till = Endpoint::new(config, Resume::default(), 0, 41, 0);
    till.receive(0, &encode(Kind::Hello, &[&pos_hello()]), |_| {});
    assert!(till.is_up());
    till.receive(0, wire, |_| {});
    till.stats().malformed == 1
}

/// What our receiver makes of `wire`, in words.
fn found(name: &str, wire: &[u8]) -> String {
    let mut accumulator = Accumulator::default();
    let (received, rest) = accumulator.feed(wire);
    assert!(rest.is_empty(), "{name}: one frame a vector");
    match received {
        None => "nothing".into(),
        Some(Received::Frame(..)) if malformed(wire) => "malformed".into(),
        Some(Received::Frame(kind, payload)) => format!("frame {:02x} {}", kind as u8, hex(payload)),
        Some(Received::TooLong) => "too_long".into(),
        Some(Received::BadCobs) => "bad_cobs".into(),
        Some(Received::BadCrc) => "bad_crc".into(),
        Some(Received::UnknownKind(kind)) => format!("unknown_kind {kind:02x}"),
        Some(Received::Sealed(kind, _)) => format!("unknown_kind {:02x}", kind as u8 | frame::SEALED),
    }
}

fn vector(name: impl Into<String>, wire: &[u8], expect: String) -> Vector {
    let name = name.into();
    assert_eq!(found(&name, wire), expect, "{name}");
    Vector(vec![("name", name), ("hex", hex(wire)), ("expect", expect)])
}

fn good(name: impl Into<String>, kind: Kind, payload: &[u8]) -> Vector {
    vector(name, &encode(kind, &[payload]), format!("frame {:02x} {}", kind as u8, hex(payload)))
}

fn hello(head: [u8; 5], words: [u32; 8]) -> Vec<u8> {
    head.into_iter().chain(words.into_iter().flat_map(u32::to_le_bytes)).collect()
}

pub fn all() -> Vec<Vector> {
    let mut all = Vec::new();
    let till = hello([1, 0, 0, 0, 0], [SCHEMA, 1, 700, 0, 7, 1, 0, 0]);
    all.push(good("first HELLO of a till", Kind::Hello, &till));
    let pos = pos_hello();
    all.push(good("HELLO of a POS that is up and stored 41 messages", Kind::Hello, &pos));
    let newer = [&pos[..], &[0xaa, 0xbb]].concat();
    all.push(good("HELLO of a later minor version with two bytes more", Kind::Hello, &newer));
    let pair = [7u32.to_le_bytes(), 42u32.to_le_bytes()].concat();
    all.push(good("DATA 7/42, five bytes", Kind::Data, &[&pair[..], b"offer"].concat()));
    all.push(good("DATA 7/42, empty", Kind::Data, &pair));
    all.push(good("ACK 7/42", Kind::Ack, &pair));
    all.push(good("GAP 7/42", Kind::Gap, &pair));
    all.push(good("ACK of the largest numbers", Kind::Ack, &[0xff; 8]));
    all.push(good("EVENT", Kind::Event, b"state"));
    all.push(good("EVENT, empty", Kind::Event, b""));
    all.push(good("HEARTBEAT of boot 7", Kind::Heartbeat, &7u32.to_le_bytes()));
    for reason in 0..=6 {
        all.push(good(format!("REFUSE {reason}"), Kind::Refuse, &[reason]));
    }
    for length in [1usize, 2, 3, 4, 248, 249, 250, 251, 252, 253, 254, 255, 502, 503, 504, 505, 760] {
        let rising: Vec<u8> = (0..length).map(|i| (i % 255 + 1) as u8).collect();
        all.push(good(format!("EVENT of {length} bytes without zero"), Kind::Event, &rising));
        if length < 300 {
            all.push(good(format!("EVENT of {length} zeros"), Kind::Event, &vec![0; length]));
        }
    }
    all.push(good("EVENT of the longest message", Kind::Event, &[0x5a; PAYLOAD_BYTES_MAX]));
    all.push(good("DATA of the longest message", Kind::Data, &[&pair[..], &[0xa5; PAYLOAD_BYTES_MAX]].concat()));

    all.push(vector("no bytes before the delimiter", &[0], "nothing".into()));
    all.push(vector(
        "one byte too long for any frame",
        &[[1; WIRE_BYTES_MAX + 1].as_slice(), &[0]].concat(),
        "too_long".into(),
    ));
    let body = vec![0x11; FRAME_BYTES_MAX + 40];
    all.push(vector("a whole frame that is too long", &stuff(&body), "too_long".into()));
    all.push(vector("a block longer than what is left", &[5, 1, 2, 0], "bad_cobs".into()));
    all.push(vector("a last block that ends early", &[3, 6, 7, 9, 1, 0], "bad_cobs".into()));
    for length in 0..=4 {
        let body = [0x31, 0x32, 0x33, 0x34].get(..length).unwrap();
        all.push(vector(format!("{length} bytes are no frame"), &stuff(body), "bad_cobs".into()));
    }
    let beat = [6, 7, 0, 0, 0];
    let sum = CRC.checksum(&beat);
    for (name, crc) in [
        ("CRC in the wrong byte order", sum.to_be_bytes()),
        ("CRC not inverted at the end", (!sum).to_le_bytes()),
        ("CRC of zlib instead of CRC-32C", crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&beat).to_le_bytes()),
        ("CRC zero", [0; 4]),
    ] {
        all.push(vector(name, &stuff(&[&beat[..], &crc].concat()), "bad_crc".into()));
    }
    let whole = encode(Kind::Heartbeat, &[&0x0102_0304u32.to_le_bytes()]);
    for at in 0..whole.len() - 1 {
        for bit in [0, 7] {
            let mut wire = whole.clone();
            wire[at] ^= 1 << bit;
            if wire[at] != 0 {
                let name = format!("bit {bit} of byte {at} flipped");
                let expect = found(&name, &wire);
                assert!(expect.starts_with("bad_"), "{name}: {expect}");
                all.push(vector(name, &wire, expect));
            }
        }
    }
    for kind in [0x00u8, 0x08, 0x7f, 0xff] {
        let mut body = vec![kind, 1, 2];
        body.extend_from_slice(&CRC.checksum(&body).to_le_bytes());
        all.push(vector(format!("kind {kind:02x} is not known"), &stuff(&body), format!("unknown_kind {kind:02x}")));
    }
    blocks(&mut all);
    lengths(&mut all);
    all
}

/// COBS where a block of 254 bytes ends with the body, and where one is cut short.
fn blocks(all: &mut Vec<Vector>) {
    for (name, zero_at, length) in [
        ("a body of one full block", None, 249),
        ("a body of two full blocks", None, 503),
        ("a zero, then a full block to the end", Some(0), 251),
        ("a zero right behind a full block", Some(253), 300),
        ("a zero behind 253 bytes", Some(252), 300),
    ] {
        // The CRC must have no zero, or the last block is another one.
        let payload = |fill: u8| {
            let mut payload = vec![fill; length];
            zero_at.into_iter().for_each(|at: usize| payload[at] = 0);
            payload
        };
        let whole = |fill: &u8| cobs::decode_vec(&encode(Kind::Event, &[&payload(*fill)])).unwrap();
        let full = |fill: &u8| whole(fill).iter().filter(|byte| **byte == 0).count() == usize::from(zero_at.is_some());
        let payload = payload((1..=255).find(full).unwrap());
        let wire = encode(Kind::Event, &[&payload]);
        all.push(good(name, Kind::Event, &payload));
        if let Some(short) = wire.strip_suffix(&[1, 0]) {
            let expect = format!("frame 05 {}", hex(&payload));
            let mut short = vector(format!("{name}, no `01` behind it"), &[short, &[0]].concat(), expect);
            short.0.push(("encoded", hex(&wire)));
            all.push(short);
        }
    }
    let mut longest = vec![0x82; FRAME_BYTES_MAX - 4];
    longest.extend(CRC.checksum(&longest).to_le_bytes());
    let name = "the longest body, which is a sealed DATA's";
    all.push(vector(name, &stuff(&longest), "unknown_kind 82".into()));
    for (name, wire) in [
        ("a full block that lacks one byte", [&[0xff][..], &[0x11; 253], &[0]].concat()),
        ("nothing behind the code of a full block", vec![0xff, 0]),
        ("a full block, then a block longer than what is left", [&[0xff][..], &[0x11; 254], &[2, 0]].concat()),
        ("two empty blocks behind a full block", [&[0xff][..], &[0x11; 254], &[1, 1, 0]].concat()),
        ("only empty blocks, a body of five zeros", vec![1, 1, 1, 1, 1, 1, 0]),
        ("only empty blocks, a body of four zeros", vec![1, 1, 1, 1, 1, 0]),
    ] {
        let expect = found(name, &wire);
        assert!(expect.starts_with("bad_"), "{name}: {expect}");
        all.push(vector(name, &wire, expect));
    }
}

/// Whole frames whose payload has not the length that their kind demands.
fn lengths(all: &mut Vec<Vector>) {
    let hello = pos_hello();
    let rising: Vec<u8> = (1..=9).collect();
    let long = vec![0x5a; 8 + PAYLOAD_BYTES_MAX + 1];
    for (name, kind, payload) in [
        ("HELLO of 36 bytes", Kind::Hello, &hello[..36]),
        ("HELLO, empty", Kind::Hello, &[]),
        ("DATA without its last byte of sequence", Kind::Data, &rising[..7]),
        ("DATA, nothing in it", Kind::Data, &[]),
        ("DATA of a message one byte too long", Kind::Data, &long),
        ("ACK of 7 bytes", Kind::Ack, &rising[..7]),
        ("ACK of 9 bytes", Kind::Ack, &rising),
        ("GAP of 7 bytes", Kind::Gap, &rising[..7]),
        ("GAP of 9 bytes", Kind::Gap, &rising),
        ("EVENT of a message one byte too long", Kind::Event, &long[8..]),
        ("HEARTBEAT of 3 bytes", Kind::Heartbeat, &rising[..3]),
        ("HEARTBEAT of 5 bytes", Kind::Heartbeat, &rising[..5]),
        ("REFUSE without a reason", Kind::Refuse, &[]),
        ("REFUSE of two bytes", Kind::Refuse, &rising[..2]),
    ] {
        all.push(vector(name, &encode(kind, &[payload]), "malformed".into()));
    }
}
