//! Messages both ways, and bytes that are none. `meaning` is a line of text, `error` says why it is refused.

use till_link::message::{
    Attention, Currency, Evidence, Hint, JPEG_BYTES_MAX, LINES_MAX, Line, PRICES_MAX, Phase, Precision, Price, Rung,
    SCHEMA_TEXT, decode, encode,
};
use till_link::{Cart, Outcome, SaleId, Tender, ToPos, ToTill};

use crate::{Vector, hex, meaning};

fn text<const N: usize>(text: &str) -> heapless::String<N> {
    heapless::String::try_from(text).unwrap()
}

const SALE: SaleId = SaleId { counter: 1, epoch: 0x0102_0304, session: 7 };

fn line(sku: &str, name: &str, unit_minor: i64, quantity: u16) -> Line {
    let evidence = Evidence { votes: 14, frames: 15, score_permille: 934, mass_agrees: true };
    Line { sku: text(sku), name: text(name), unit_minor, quantity, evidence }
}

fn cart(lines: &[Line]) -> Cart {
    let mut cart = Cart {
        lines: heapless::Vec::new(),
        total_minor: 0,
        currency: Currency(*b"KRW"),
        catalogue_version: 12,
        mass_g: 0,
    };
    for line in lines {
        cart.lines.push(line.clone()).unwrap();
        cart.total_minor += line.unit_minor * i64::from(line.quantity);
        cart.mass_g += 330 * i32::from(line.quantity);
    }
    cart
}

fn pos(name: impl Into<String>, message: ToPos) -> Vector {
    let mut buffer = [0; till_link::PAYLOAD_BYTES_MAX];
    let bytes = encode(&message, &mut buffer).unwrap();
    assert_eq!(decode::<ToPos>(bytes).as_ref(), Some(&message));
    let durable = u8::from(message.durable()).to_string();
    let meaning = meaning::to_pos(&message);
    Vector(vec![
        ("name", name.into()),
        ("to", "pos".into()),
        ("hex", hex(bytes)),
        ("durable", durable),
        ("meaning", meaning),
    ])
}

fn till(name: impl Into<String>, message: ToTill) -> Vector {
    let mut buffer = [0; till_link::PAYLOAD_BYTES_MAX];
    let bytes = encode(&message, &mut buffer).unwrap();
    assert_eq!(decode::<ToTill>(bytes).as_ref(), Some(&message));
    let durable = u8::from(message.durable()).to_string();
    let meaning = meaning::to_till(&message);
    Vector(vec![
        ("name", name.into()),
        ("to", "till".into()),
        ("hex", hex(bytes)),
        ("durable", durable),
        ("meaning", meaning),
    ])
}

fn bad(name: impl Into<String>, to: &str, bytes: &[u8], error: &str) -> Vector {
    let name = name.into();
    assert!(decode::<ToPos>(bytes).is_none() || to != "pos", "{name}");
    assert!(decode::<ToTill>(bytes).is_none() || to != "till", "{name}");
    Vector(vec![("name", name), ("to", to.into()), ("hex", hex(bytes)), ("error", error.into())])
}

const ATTENTIONS: [Attention; 11] = [
    Attention::UncertainItem,
    Attention::UnknownItem,
    Attention::Overlap,
    Attention::OutOfPicture,
    Attention::MassMismatch,
    Attention::CameraLost,
    Attention::TooManyItems,
    Attention::OutcomeUnknown,
    Attention::StorageFull,
    Attention::EngineFailed,
    Attention::ScaleLost,
];
const PHASES: [Phase; 10] = [
    Phase::Idle,
    Phase::Present,
    Phase::Scanning,
    Phase::Settled,
    Phase::Offered,
    Phase::Paid,
    Phase::Cancelled,
    Phase::Abandoned,
    Phase::Clearing,
    Phase::Attention,
];
const RUNGS: [Rung; 4] = [Rung::TensorRt, Rung::OnnxRuntime, Rung::Rten, Rung::StaffMode];
const PRECISIONS: [Precision; 3] = [Precision::Fp32, Precision::Fp16, Precision::Int8];
const HINTS: [Hint; 16] = [
    Hint::Front,
    Hint::Right,
    Hint::Left,
    Hint::Down,
    Hint::Up,
    Hint::Closer,
    Hint::Back,
    Hint::Light,
    Hint::Still,
    Hint::Uncover,
    Hint::Alone,
    Hint::Done,
    Hint::Unknown,
    Hint::Known,
    Hint::Late,
    Hint::Failed,
];
const OUTCOMES: [Outcome; 3] = [Outcome::Paid, Outcome::Cancelled, Outcome::Abandoned];
const TENDERS: [Tender; 4] = [Tender::Cash, Tender::Card, Tender::Member, Tender::Other];

fn for_the_pos() -> Vec<Vector> {
    let pie = line("8801117", "초코파이", 4_800, 1);
    let cola = line("COLA-330", "Cola 330 ml", 1_500, 2);
    let mut all = Vec::new();
    for (name, number) in [("smallest", 0u32), ("one byte", 127), ("two bytes", 128), ("largest", u32::MAX)] {
        let sale = SaleId { counter: number, epoch: number, session: number };
        all.push(pos(format!("a session opens, {name} numbers"), ToPos::SessionOpened { sale }));
    }
    all.push(pos("an empty tray", ToPos::CartChanged { sale: SALE, cart: cart(&[]) }));
    all.push(pos("one item", ToPos::CartChanged { sale: SALE, cart: cart(std::slice::from_ref(&pie)) }));
    let two = cart(&[pie.clone(), cola.clone()]);
    all.push(pos("two lines", ToPos::CartChanged { sale: SALE, cart: two.clone() }));
    all.push(pos("an offer", ToPos::Offer { sale: SALE, revision: 1, cart: two.clone() }));
    all.push(pos("a much later offer", ToPos::Offer { sale: SALE, revision: u16::MAX, cart: two.clone() }));
    let mut odd = two.clone();
    odd.total_minor = i64::MIN;
    odd.mass_g = i32::MIN;
    odd.currency = Currency(*b"EUR");
    all.push(pos("the smallest signed numbers", ToPos::CartChanged { sale: SALE, cart: odd.clone() }));
    odd.total_minor = i64::MAX;
    odd.mass_g = i32::MAX;
    all.push(pos("the largest signed numbers", ToPos::CartChanged { sale: SALE, cart: odd }));
    for unit in [-1, 0, 1, 63, 64, -64, -65, 8_191, 8_192] {
        let one = cart(&[line("D", "Deposit", unit, 1)]);
        all.push(pos(format!("a price of {unit}"), ToPos::CartChanged { sale: SALE, cart: one }));
    }
    let longest = line(&"S".repeat(32), &"é".repeat(24), i64::MIN, 1);
    all.push(pos("the longest texts", ToPos::CartChanged { sale: SALE, cart: cart(&[longest]) }));
    all.push(pos("empty texts", ToPos::CartChanged { sale: SALE, cart: cart(&[line("", "", 5, 1)]) }));
    let doubtful = Evidence { votes: u16::MAX, frames: 0, score_permille: 0, mass_agrees: false };
    let odd = Line { evidence: doubtful, ..pie.clone() };
    all.push(pos("a line whose mass does not agree", ToPos::CartChanged { sale: SALE, cart: cart(&[odd]) }));
    let full: Vec<Line> = (0..LINES_MAX).map(|i| line(&format!("SKU-{i:02}"), "Something", 100, 1)).collect();
    all.push(pos("a full cart", ToPos::Offer { sale: SALE, revision: 2, cart: cart(&full) }));
    all.push(pos("an offer holds no longer", ToPos::Withdrawn { sale: SALE, revision: 300 }));
    for outcome in OUTCOMES {
        let cart = two.clone();
        all.push(pos(format!("a sale ends, {outcome:?}"), ToPos::Closed { sale: SALE, revision: 1, outcome, cart }));
    }
    all.push(pos("what became of an offer", ToPos::QueryOutcome { sale: SALE, revision: 1 }));
    for reason in ATTENTIONS {
        all.push(pos(format!("{reason:?} stands"), ToPos::Attention { sale: Some(SALE), reason, on: true }));
        all.push(pos(format!("{reason:?} clears"), ToPos::Attention { sale: None, reason, on: false }));
    }
    all.push(pos("a member", ToPos::Member { sale: SALE, member: text("M-0042"), score_permille: 871 }));
    for phase in PHASES {
        let (rung, reason, precision) = (Rung::Rten, text(""), Some(Precision::Fp32));
        all.push(pos(format!("{phase:?}"), ToPos::State { phase, rung, reason, precision }));
    }
    for rung in RUNGS {
        let (phase, reason) = (Phase::Idle, text("no TensorRT library found"));
        let precision = (rung != Rung::StaffMode).then_some(Precision::Fp32);
        all.push(pos(format!("runs on {rung:?}"), ToPos::State { phase, rung, reason, precision }));
    }
    for precision in PRECISIONS {
        let (phase, rung, reason) = (Phase::Idle, Rung::TensorRt, text(""));
        let state = ToPos::State { phase, rung, reason, precision: Some(precision) };
        all.push(pos(format!("computes in {precision:?}"), state));
    }
    for (unix_s, trusted) in [(0, false), (1_795_478_400, true), (u64::MAX, true)] {
        all.push(pos(format!("the clock at {unix_s}"), ToPos::Clock { unix_s, trusted }));
    }
    for (version, part) in [(0, 0), (12, 3), (u32::MAX, u16::MAX)] {
        all.push(pos(format!("part {part} of prices {version}?"), ToPos::QueryPrices { version, part }));
    }
    for unit_minor in [Some(1_500), None] {
        let (sku, currency) = (text("COLA-330"), Currency(*b"KRW"));
        let name = if unit_minor.is_some() { "a price" } else { "a product that is not sold" };
        all.push(pos(name, ToPos::Price { sku, unit_minor, currency, catalogue_version: 12 }));
    }
    for (name, length) in [("an empty part of a picture", 0), ("a small part", 3), ("the longest part", JPEG_BYTES_MAX)]
    {
        let jpeg = (0..length).map(|at| at as u8).collect();
        all.push(pos(name, ToPos::Thumbnail { sale: SALE, revision: 1, part: 2, parts: 300, jpeg }));
    }
    for hint in HINTS {
        all.push(pos(format!("hint {hint:?}"), ToPos::Guide { sale: Some(SALE), hint, step: 0, steps: 0 }));
    }
    for (name, step, steps) in [("the second of four poses", 1, 4), ("the largest steps", u8::MAX, u8::MAX)] {
        all.push(pos(name, ToPos::Guide { sale: None, hint: Hint::Right, step, steps }));
    }
    all
}

fn for_the_till() -> Vec<Vector> {
    let mut all = Vec::new();
    for tender in TENDERS {
        let paid = ToTill::Paid { sale: SALE, revision: 1, tender, amount_minor: 7_800 };
        all.push(till(format!("paid by {tender:?}"), paid));
    }
    for amount_minor in [0, -1, i64::MAX, i64::MIN] {
        let paid = ToTill::Paid { sale: SALE, revision: u16::MAX, tender: Tender::Cash, amount_minor };
        all.push(till(format!("{amount_minor} paid"), paid));
    }
    all.push(till("cancelled at the POS", ToTill::Cancel { sale: SALE }));
    all.push(till("nothing was taken", ToTill::OutcomeIs { sale: SALE, outcome: None }));
    for outcome in OUTCOMES {
        all.push(till(format!("it was {outcome:?}"), ToTill::OutcomeIs { sale: SALE, outcome: Some(outcome) }));
    }
    for reason in ATTENTIONS {
        all.push(till(format!("{reason:?} settled"), ToTill::Override { sale: SALE, reason }));
    }
    for code in ["ko", "en"] {
        let code: [u8; 2] = code.as_bytes().try_into().unwrap();
        all.push(till(format!("language {}", String::from_utf8_lossy(&code)), ToTill::Language { code }));
    }
    for reason in [Attention::UncertainItem, Attention::StorageFull] {
        all.push(till(format!("{reason:?} was seen"), ToTill::Acknowledge { sale: Some(SALE), reason }));
        all.push(till(format!("{reason:?} without a sale was seen"), ToTill::Acknowledge { sale: None, reason }));
    }
    all.push(till("what does it cost?", ToTill::QueryPrice { sku: text("COLA-330") }));
    let currency = Currency(*b"KRW");
    for (name, count) in [("no prices", 0), ("two prices", 2), ("a full part of the prices", PRICES_MAX)] {
        let price = |i| Price { sku: text(&format!("SKU-{i}")), unit_minor: i as i64 * 700 };
        let (version, parts) = (if count == 0 { 0 } else { 12 }, count.min(2) as u16);
        let prices = (0..count).map(price).collect();
        all.push(till(name, ToTill::Prices { version, part: 0, parts, currency, prices }));
    }
    for on in [true, false] {
        let word = if on { "asked" } else { "no longer asked" };
        all.push(till(format!("{word} to be recognised"), ToTill::Recognise { sale: SALE, on }));
        let word = if on { "begins" } else { "is stopped" };
        let enrol = ToTill::Enrol { member: text("M-0042"), consent: text("2026-11/ko"), on };
        all.push(till(format!("an enrolment {word}"), enrol));
    }
    all
}

fn refused() -> Vec<Vector> {
    let mut all = Vec::new();
    all.push(bad("nothing at all", "pos", &[], "truncated"));
    all.push(bad("a message that does not exist", "pos", &[14, 1, 1, 1], "unknown_variant"));
    all.push(bad("a message that does not exist", "till", &[10, 1, 1, 1], "unknown_variant"));
    let opened = [0, 1, 2, 3];
    for length in 1..4 {
        all.push(bad(format!("cut after {length} bytes"), "pos", &opened[..length], "truncated"));
    }
    all.push(bad("a byte too many", "pos", &[0, 1, 2, 3, 0], "trailing"));
    all.push(bad("a varint of six bytes", "pos", &[0, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 2, 3], "bad_varint"));
    all.push(bad("a u32 above its range", "pos", &[0, 0xff, 0xff, 0xff, 0xff, 0x10, 2, 3], "bad_varint"));
    all.push(bad("a u16 above its range", "pos", &[3, 1, 2, 3, 0xff, 0xff, 0x04], "bad_varint"));
    all.push(bad("a varint without end", "pos", &[0, 0xff], "truncated"));
    all.push(bad("a bool of 2", "pos", &[9, 0, 2], "bad_bool"));
    all.push(bad("an option of 2", "pos", &[6, 2, 1, 2, 3, 0, 1], "bad_option"));
    all.push(bad("a reason that does not exist", "pos", &[6, 0, 11, 1], "unknown_variant"));
    all.push(bad("a phase that does not exist", "pos", &[8, 10, 0, 0], "unknown_variant"));
    all.push(bad("a rung that does not exist", "pos", &[8, 0, 4, 0], "unknown_variant"));
    all.push(bad("a precision that does not exist", "pos", &[8, 0, 0, 0, 1, 3], "unknown_variant"));
    all.push(bad("a state without its precision", "pos", &[8, 0, 0, 0], "truncated"));
    all.push(bad("a precision that is neither there nor not", "pos", &[8, 0, 0, 0, 2, 0], "bad_option"));
    all.push(bad("a tender that does not exist", "till", &[0, 1, 2, 3, 1, 4, 0], "unknown_variant"));
    all.push(bad("an outcome that does not exist", "till", &[2, 1, 2, 3, 1, 3], "unknown_variant"));
    all.push(bad("a hint that does not exist", "pos", &[13, 0, 16, 0, 0], "unknown_variant"));
    all.push(bad("a guide without its steps", "pos", &[13, 0, 1, 0], "truncated"));
    let long = [&[7, 1, 2, 3, 33][..], &[b'x'; 33], &[5]].concat();
    all.push(bad("a text of 33 bytes where 32 fit", "pos", &long, "too_long"));
    all.push(bad("a text that is not UTF-8", "pos", &[7, 1, 2, 3, 2, 0xc3, 0x28, 5], "bad_utf8"));
    all.push(bad("a text with half a character", "pos", &[7, 1, 2, 3, 1, 0xc3, 5], "bad_utf8"));
    all.push(bad("a text longer than the message", "pos", &[7, 1, 2, 3, 9, b'x', 5], "truncated"));
    let one = [1, b'A', 1, b'B', 2, 1, 1, 1, 1, 1];
    let lines: Vec<u8> = one.repeat(25);
    let tail = [0, b'K', b'R', b'W', 0, 0];
    all.push(bad("25 lines", "pos", &[&[1, 1, 2, 3, 25][..], &lines, &tail].concat(), "too_long"));
    let long = [&[12, 1, 2, 3, 1, 0, 1, 0x81, 0x04][..], &[0; 513]].concat();
    all.push(bad("513 bytes of a picture", "pos", &long, "too_long"));
    all.push(bad("a picture longer than the message", "pos", &[12, 1, 2, 3, 1, 0, 1, 2, 9], "truncated"));
    let long = [&[7, 12, 0, 1, b'K', b'R', b'W', 17][..], &[1, b'A', 2].repeat(17)].concat();
    all.push(bad("17 prices", "till", &long, "too_long"));
    let twelve = [&[1, 1, 2, 3, 12][..], &one.repeat(11), &tail].concat();
    all.push(bad("fewer lines than announced", "pos", &twelve, "invalid"));
    all
}

/// The schema names every enum as it is, so that builds with other numbers refuse each other.
fn the_schema_names(name: &str, variants: &[impl std::fmt::Debug]) {
    let names: Vec<String> = variants.iter().map(|variant| format!("{variant:?}").to_lowercase()).collect();
    let part = format!(" {name}[{}]", names.join(","));
    assert!(SCHEMA_TEXT.contains(&part), "{part}");
}

pub fn all() -> Vec<Vector> {
    the_schema_names("outcome", &OUTCOMES);
    the_schema_names("tender", &TENDERS);
    the_schema_names("attention", &ATTENTIONS);
    the_schema_names("phase", &PHASES);
    the_schema_names("rung", &RUNGS);
    the_schema_names("precision", &PRECISIONS);
    let mut all = for_the_pos();
    all.extend(for_the_till());
    all.extend(refused());
    all
}
