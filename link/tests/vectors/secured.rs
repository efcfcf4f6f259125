//! The keyed level: derived keys, sealed frames, and transcripts of secured ends with strangers on the line.
//! What is derived is computed here by the text of SPEC.md 8.2 and compared with what the endpoints do.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use till_link::frame::{self, Accumulator, Kind, Received};
use till_link::message::SCHEMA;
use till_link::{Config, Role, WIRE_BYTES_MAX};

use crate::sessions::{Keys, Written, vectors, weather};
use crate::{Vector, hex, unhex};

const KEY: [u8; 32] = [0x4b; 32];
const TILL: Config = Config { role: Role::Till, counter: 3, epoch: 7, boot: 700, window: 4 };
const POS: Config = Config { role: Role::Pos, counter: 3, epoch: 9, boot: 900, window: 4 };

fn h(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn derive(key: &[u8], label: &str, parts: &[&[u8]]) -> [u8; 32] {
    h(key, &[label.as_bytes(), &parts.concat(), &[1]].concat())
}

fn nonce(key: &[u8], config: Config, seed: [u8; 32], n: u32) -> [u8; 16] {
    let parts: [&[u8]; 4] = [&seed, &[config.role as u8], &config.boot.to_le_bytes(), &n.to_le_bytes()];
    derive(key, "till-link/1 nonce", &parts)[..16].try_into().unwrap()
}

fn party(config: Config, nonce: [u8; 16]) -> Vec<u8> {
    [&[1, 0, 1][..], &config.boot.to_le_bytes(), &config.epoch.to_le_bytes(), &nonce].concat()
}

/// The keys of the session of TILL and POS under KEY, number 1, both with their first nonce.
fn session() -> ([u8; 32], [u8; 32]) {
    let till = party(TILL, nonce(&KEY, TILL, [TILL.boot as u8; 32], 1));
    let pos = party(POS, nonce(&KEY, POS, [POS.boot as u8; 32], 1));
    let (counter, schema) = (3u32.to_le_bytes(), SCHEMA.to_le_bytes());
    let parts: [&[u8]; 5] = [&till, &pos, &counter, &schema, &[1]];
    (derive(&KEY, "till-link/1 to pos", &parts), derive(&KEY, "till-link/1 to till", &parts))
}

/// `of` names what is computed; `key` and `message` go in, `result` comes out.
pub fn keys() -> Vec<Vector> {
    let mut all = Vec::new();
    let mut add = |name: &str, of: &str, key: &[u8], message: &[u8], result: &[u8]| {
        all.push(Vector(vec![
            ("name", name.into()),
            ("of", of.into()),
            ("key", hex(key)),
            ("message", hex(message)),
            ("result", hex(result)),
        ]));
    };
    let long: Vec<u8> = (0..200).collect();
    for (name, message) in
        [("nothing", &b""[..]), ("abc", b"abc"), ("55 bytes", &long[..55]), ("56 bytes", &long[..56])]
            .into_iter()
            .chain([
                ("63 bytes", &long[..63]),
                ("64 bytes", &long[..64]),
                ("65 bytes", &long[..65]),
                ("200 bytes", &long),
            ])
    {
        add(&format!("SHA-256 of {name}"), "sha256", &[], message, &Sha256::digest(message));
    }
    // RFC 4231, cases 1 and 2; their keys are shorter than ours and padded with zeros.
    let first = h(&[0x0b; 20], b"Hi There");
    assert_eq!(hex(&first), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    add("RFC 4231 case 1", "hmac", &[0x0b; 20], b"Hi There", &first);
    let second = h(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(hex(&second), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    add("RFC 4231 case 2", "hmac", b"Jefe", b"what do ya want for nothing?", &second);
    let hello = derive(&KEY, "till-link/1 hello", &[]);
    add("K_hello", "hmac", &KEY, b"till-link/1 hello\x01", &hello);
    let seed = [TILL.boot as u8; 32];
    let parts: [&[u8]; 5] = [b"till-link/1 nonce", &seed, &[0], &700u32.to_le_bytes(), &1u32.to_le_bytes()];
    let message = [&parts.concat()[..], &[1]].concat();
    add("first nonce of a till, of which 16 bytes count", "hmac", &KEY, &message, &h(&KEY, &message));
    let (to_pos, to_till) = session();
    let till = party(TILL, nonce(&KEY, TILL, seed, 1));
    let pos = party(POS, nonce(&KEY, POS, [POS.boot as u8; 32], 1));
    let rest = [&till[..], &pos, &3u32.to_le_bytes(), &SCHEMA.to_le_bytes(), &[1, 1]].concat();
    add("K_to_pos", "hmac", &KEY, &[b"till-link/1 to pos", &rest[..]].concat(), &to_pos);
    add("K_to_till", "hmac", &KEY, &[b"till-link/1 to till", &rest[..]].concat(), &to_till);
    all
}

fn sealed(key: &[u8], kind: Kind, payload: &[u8], count: u32) -> Vec<u8> {
    let covered = [&[kind as u8 | 0x80][..], payload, &count.to_le_bytes()].concat();
    let mut seal = [0; 12];
    seal[..4].copy_from_slice(&count.to_le_bytes());
    seal[4..].copy_from_slice(&h(key, &covered)[..8]);
    let mut wire = [0; WIRE_BYTES_MAX];
    let n = frame::encode_sealed(kind, &[payload], &seal, &mut wire).unwrap();
    wire[..n].to_vec()
}

fn body(wire: &[u8]) -> Vec<u8> {
    cobs::decode_vec(&wire[..wire.len() - 1]).unwrap()
}

/// Changes the body of a frame and makes its CRC right again.
fn changed(wire: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = body(wire);
    body.truncate(body.len() - 4);
    change(&mut body);
    let crc = frame::CRC.checksum(&body);
    body.extend(crc.to_le_bytes());
    let mut wire = cobs::encode_vec(&body);
    wire.push(0);
    wire
}

/// What the text of SPEC.md 8.5 makes of `wire`.
fn found(key: &[u8], received: u32, wire: &[u8]) -> String {
    match Accumulator::default().feed(wire).0 {
        Some(Received::Sealed(kind, sealed)) => {
            let kind = kind as u8 | 0x80;
            let Some((covered, mac)) = sealed.split_last_chunk::<8>() else { return "bad_mac".into() };
            let Some((payload, count)) = covered.split_last_chunk::<4>() else { return "bad_mac".into() };
            let count = u32::from_le_bytes(*count);
            if h(key, &[&[kind], covered].concat())[..8] != *mac {
                "bad_mac".into()
            } else if count <= received {
                "replayed".into()
            } else {
                format!("sealed {kind:02x} {} {count}", hex(payload))
            }
        }
        Some(Received::Frame(..)) => "bad_mac".into(),
        Some(Received::BadCrc) => "bad_crc".into(),
        Some(Received::UnknownKind(kind)) => format!("unknown_kind {kind:02x}"),
        other => format!("{other:?}"),
    }
}

/// A frame that comes while `received` stands at the receiver whose key of that direction is `key`.
/// `expect` is `sealed KIND PAYLOAD COUNTER`, or the error.
pub fn frames() -> Vec<Vector> {
    let key = [0xa5; 32];
    let mut all = Vec::new();
    let mut add = |name: &str, received: u32, wire: &[u8], expect: String| {
        assert_eq!(found(&key, received, wire), expect, "{name}");
        all.push(Vector(vec![
            ("name", name.into()),
            ("key", hex(&key)),
            ("received", received.to_string()),
            ("hex", hex(wire)),
            ("expect", expect),
        ]));
    };
    let pair = [7u32.to_le_bytes(), 42u32.to_le_bytes()].concat();
    let offer = [&pair[..], b"offer"].concat();
    let longest = [&pair[..], &[0xa5; till_link::PAYLOAD_BYTES_MAX]].concat();
    let beat = 700u32.to_le_bytes();
    for (name, kind, payload, count) in [
        ("HEARTBEAT of boot 700", Kind::Heartbeat, &beat[..], 1),
        ("DATA 7/42, five bytes", Kind::Data, &offer, 2),
        ("ACK 7/42", Kind::Ack, &pair, 3),
        ("GAP 7/42", Kind::Gap, &pair, 256),
        ("EVENT", Kind::Event, b"state", 65_537),
        ("EVENT, empty", Kind::Event, b"", u32::MAX),
        ("DATA of the longest message", Kind::Data, &longest, 9),
    ] {
        let wire = sealed(&key, kind, payload, count);
        add(name, count - 1, &wire, format!("sealed {:02x} {} {count}", kind as u8 | 0x80, hex(payload)));
    }
    let data = sealed(&key, Kind::Data, &offer, 2);
    add("counter with holes", 0, &data, format!("sealed 82 {} 2", hex(&offer)));
    add("the same frame again", 2, &data, "replayed".into());
    add("a frame older than the last one", 3, &data, "replayed".into());
    add("counter 0", 0, &sealed(&key, Kind::Data, &offer, 0), "replayed".into());
    add("another key", 0, &sealed(&[0xa4; 32], Kind::Data, &offer, 2), "bad_mac".into());
    add("a higher counter under the old MAC", 2, &changed(&data, |body| body[14] = 3), "bad_mac".into());
    add("another kind under the old MAC", 0, &changed(&data, |body| body[0] = 0x85), "bad_mac".into());
    add("another payload under the old MAC", 0, &changed(&data, |body| body[9] ^= 1), "bad_mac".into());
    for at in 0..8 {
        let wire = changed(&data, |body| {
            let last = body.len() - 1 - at;
            body[last] ^= 0x80;
        });
        add(&format!("byte {} of the MAC changed", 7 - at), 0, &wire, "bad_mac".into());
    }
    add("the MAC cut off", 0, &changed(&data, |body| body.truncate(body.len() - 8)), "bad_mac".into());
    add("nothing behind the kind", 0, &changed(&data, |body| body.truncate(1)), "bad_mac".into());
    let plain = changed(&data, |body| {
        body[0] = 0x02;
        body.truncate(body.len() - 12);
    });
    add("the seal taken off", 0, &plain, "bad_mac".into());
    let mut damaged = data.clone();
    damaged[6] ^= 0x10;
    add("a bit turned over on the line", 0, &damaged, "bad_crc".into());
    for kind in [0x80u8, 0x81, 0x87, 0x88] {
        let wire = changed(&data, |body| body[0] = kind);
        add(&format!("kind {kind:02x} is not known"), 0, &wire, format!("unknown_kind {kind:02x}"));
    }
    all
}

fn one_key() -> Keys {
    Keys(vec![(1, KEY)])
}

/// Lets both ends talk until `until_ms`; what they said.
fn talk(till: &mut Written, pos: &mut Written, from_ms: u64, until_ms: u64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut to_pos, mut to_till) = (Vec::new(), Vec::new());
    for now_ms in (from_ms..until_ms).step_by(100) {
        for _ in 0..3 {
            for frame in till.poll(now_ms) {
                pos.receive(now_ms, &frame);
                to_pos.push(frame);
            }
            for frame in pos.poll(now_ms) {
                till.receive(now_ms, &frame);
                to_till.push(frame);
            }
        }
    }
    (to_pos, to_till)
}

fn ends(till: Option<Keys>, pos: Option<Keys>) -> (Written, Written) {
    (Written::new(TILL, till, 1), Written::new(POS, pos, 1))
}

/// Everything said before, said again to a POS that is up, and again after its restart.
fn replay() -> Vec<String> {
    let (mut till, mut pos) = ends(Some(one_key()), Some(one_key()));
    till.append(0, b"offer");
    till.event(0, b"cart");
    let (to_pos, _) = talk(&mut till, &mut pos, 0, 600);
    for (at, frame) in to_pos.iter().enumerate() {
        pos.receive(600 + at as u64, frame);
        pos.poll(600 + at as u64);
    }
    pos.start(1_000, Config { boot: 901, ..POS });
    for (at, frame) in to_pos.iter().enumerate() {
        pos.receive(1_000 + 100 * at as u64, frame);
        pos.poll(1_000 + 100 * at as u64);
    }
    pos.steps
}

/// Old HELLOs of the till and nothing else: of this session to a POS that is up, where the first names a journal
/// without the message and would bring the POS back to it; of the session before, up and not up.
fn old_hellos() -> Vec<String> {
    let (mut till, mut pos) = ends(Some(one_key()), Some(one_key()));
    pos.append(0, b"paid");
    let (to_pos, _) = talk(&mut till, &mut pos, 0, 300);
    let hellos = |frames: Vec<Vec<u8>>| frames.into_iter().filter(|frame| frame[1] == 1).collect::<Vec<_>>();
    let first = hellos(to_pos);
    let mut now_ms = 300;
    let again = |pos: &mut Written, hellos: &[Vec<u8>], now_ms: &mut u64| {
        for hello in hellos {
            pos.receive(*now_ms, hello);
            pos.poll(*now_ms);
            *now_ms += 100;
        }
    };
    again(&mut pos, &first, &mut now_ms);
    till.start(now_ms, Config { boot: 701, ..TILL });
    let (to_pos, _) = talk(&mut till, &mut pos, now_ms, now_ms + 300);
    now_ms += 300;
    again(&mut pos, &first, &mut now_ms);
    // The till is silent from here on: what it once said keeps no dead link up (L-204).
    let latest = hellos(to_pos);
    while now_ms < 5_000 {
        again(&mut pos, &latest, &mut now_ms);
    }
    pos.steps
}

/// A POS hears its own voice, up and coming up.
fn reflection() -> Vec<String> {
    let (mut till, mut pos) = ends(Some(one_key()), Some(one_key()));
    pos.append(0, b"paid");
    let (_, to_till) = talk(&mut till, &mut pos, 0, 400);
    for (at, frame) in to_till.iter().enumerate() {
        pos.receive(400 + at as u64, frame);
    }
    pos.start(1_000, Config { boot: 901, ..POS });
    for frame in pos.poll(1_000) {
        pos.receive(1_000, &frame);
    }
    pos.poll(1_000);
    pos.steps
}

/// A man in the middle makes HELLO say less than it said.
fn downgrade() -> Vec<String> {
    let (mut till, mut pos) = ends(Some(one_key()), Some(one_key()));
    let hello = till.poll(0).remove(0);
    let plain = |body: &mut Vec<u8>| {
        body[5] = 0;
        body.truncate(38);
    };
    let changes: [fn(&mut Vec<u8>); 5] = [
        |body| body[5] = 0,
        |body| body[2] = 9,
        |body| body[6] ^= 1,
        |body| body[38] = 2,
        |body| body.truncate(body.len() - 1),
    ];
    let mut now_ms = 0;
    pos.poll(now_ms);
    for wire in [changed(&hello, plain)].into_iter().chain(changes.map(|change| changed(&hello, change))) {
        pos.receive(now_ms, &wire);
        pos.poll(now_ms);
        now_ms += 100;
    }
    talk(&mut till, &mut pos, now_ms, now_ms + 300);
    now_ms += 300;
    for wire in [changed(&hello, plain)].into_iter().chain(changes.map(|change| changed(&hello, change))) {
        pos.receive(now_ms, &wire);
        pos.poll(now_ms);
        now_ms += 100;
    }
    pos.steps
}

/// Frames of somebody without the key, to a POS that is not up and to one that is.
fn stranger() -> Vec<String> {
    let (mut till, mut pos) = ends(Some(one_key()), Some(one_key()));
    let pair = [7u32.to_le_bytes(), 1u32.to_le_bytes()].concat();
    let plain = |kind, payload: &[u8]| {
        let mut wire = [0; WIRE_BYTES_MAX];
        let n = frame::encode(kind, &[payload], &mut wire).unwrap();
        wire[..n].to_vec()
    };
    let frames = [
        plain(Kind::Refuse, &[1]),
        plain(Kind::Data, &[&pair[..], b"offer"].concat()),
        plain(Kind::Ack, &pair),
        plain(Kind::Event, b"cart"),
        plain(Kind::Heartbeat, &700u32.to_le_bytes()),
        sealed(&[0; 32], Kind::Data, &[&pair[..], b"offer"].concat(), 1),
        sealed(&[0; 32], Kind::Heartbeat, &700u32.to_le_bytes(), u32::MAX),
    ];
    let mut now_ms = 0;
    for up in [false, true] {
        if up {
            talk(&mut till, &mut pos, now_ms, now_ms + 300);
            now_ms += 300;
        }
        for frame in &frames {
            pos.receive(now_ms, frame);
            pos.poll(now_ms);
            now_ms += 100;
        }
    }
    for _ in 0..40 {
        pos.receive(now_ms, &frames[4]);
        pos.poll(now_ms);
        now_ms += 100;
    }
    pos.steps
}

fn rotation() -> Vec<String> {
    let new = (2, [0x22; 32]);
    let (mut till, mut pos) = ends(Some(one_key()), Some(Keys(vec![(1, KEY), new])));
    talk(&mut till, &mut pos, 0, 300);
    till.keys = Some(Keys(vec![new]));
    till.start(300, Config { boot: 701, ..TILL });
    talk(&mut till, &mut pos, 300, 4_400);
    pos.keys = Some(Keys(vec![new]));
    pos.start(4_400, Config { boot: 901, ..POS });
    talk(&mut till, &mut pos, 4_400, 4_700);
    pos.steps
}

/// The ends of `till` and `pos` keys meet for two seconds; the POS's transcript.
fn meeting(till: Option<Keys>, pos: Option<Keys>) -> Vec<String> {
    let (mut till, mut pos) = ends(till, pos);
    till.append(0, b"offer");
    pos.append(0, b"paid");
    talk(&mut till, &mut pos, 0, 2_000);
    pos.steps
}

pub fn sessions() -> Vec<Vector> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for (seed, role) in [(1, Role::Pos), (2, Role::Till), (3, Role::Pos), (4, Role::Pos)] {
        let keys = Some(one_key());
        all.push((format!("secured and calm {seed}"), weather(seed, role, keys.clone(), 1_000, false, 1)));
        all.push((format!("secured and rough {seed}"), weather(seed, role, keys.clone(), 8, false, 1)));
        all.push((format!("secured and rough with reboots {seed}"), weather(seed, role, keys, 8, true, 1)));
    }
    let one = || Some(one_key());
    all.push(("the same key".into(), meeting(one(), one())));
    all.push(("another key of the same number".into(), meeting(one(), Some(Keys(vec![(1, [0x4c; 32])])))));
    all.push(("a key that the till does not hold".into(), meeting(one(), Some(Keys(vec![(9, KEY)])))));
    all.push(("a till without security".into(), meeting(None, one())));
    all.push(("a POS without security".into(), meeting(one(), None)));
    all.push(("everything is played again".into(), replay()));
    all.push(("a loop in the plug".into(), reflection()));
    all.push(("a HELLO made weaker".into(), downgrade()));
    all.push(("a stranger on the line".into(), stranger()));
    all.push(("a key is replaced".into(), rotation()));
    all.push(("an old HELLO is played again".into(), old_hellos()));
    let up = |name: &str| {
        let steps = &all.iter().find(|(found, _)| found == name).unwrap().1;
        steps.iter().filter(|step| step.contains(" ev up ")).count()
    };
    let ups = [
        ("the same key", 1),
        ("another key of the same number", 0),
        ("a key that the till does not hold", 0),
        ("a till without security", 0),
        ("a POS without security", 0),
        ("everything is played again", 1),
        ("a loop in the plug", 1),
        ("a HELLO made weaker", 1),
        ("a stranger on the line", 1),
        ("a key is replaced", 3),
        ("an old HELLO is played again", 2),
    ];
    for (name, expected) in ups {
        assert_eq!(up(name), expected, "{name}");
    }
    // The transcripts are those of the text: the first sealed frame of the till is under the K_to_pos of `keys`.
    let seen = all.iter().find(|(name, _)| name == "the same key").unwrap();
    let first = seen.1.iter().filter_map(|step| step.split_once(" in ")).map(|(_, wire)| body(&unhex(wire)));
    let first = first.into_iter().find(|body| body[0] & 0x80 != 0).unwrap();
    let (covered, mac) = first[..first.len() - 4].split_at(first.len() - 12);
    assert_eq!(&h(&session().0, covered)[..8], mac);
    vectors(all)
}
