//! Frames and messages as they may come damaged or hostile: SPEC 3 and 4.

use till_link::ToPos;

use super::{Check, check};
use crate::conform::Level::Display;
use crate::conform::noise::Noise;
use crate::conform::player::{ANSWER_MS, Player, SILENCE_MS, Step, cart, encoded, fail, offer};
use crate::conform::raw::{self, kind};

pub(super) const CHECKS: &[Check] = &[
    check("L-010", "does not act on a frame whose CRC is wrong", Display, wrong_crc),
    check("L-011", "takes the longest frame", Display, longest_frame),
    check("L-012", "takes a body that ends with a full block, with and without the empty block", Display, full_block),
    check("L-013", "takes nothing between zeros for nothing", Display, extra_zeros),
    check("L-014", "drops a frame that is too long, silently, and goes on", Display, |p| dropped(p, &too_long())),
    check("L-014", "drops what is not COBS, silently, and goes on", Display, not_cobs),
    check("L-014", "drops a frame cut in the middle and goes on with the next", Display, cut_frame),
    check("L-014", "drops frames with a payload of the wrong length, silently, and goes on", Display, malformed),
    check("L-014", "finds the next frame behind noise", Display, noise),
    check("L-100", "drops kinds of later versions, silently, and goes on", Display, later_kinds),
    check("L-003", "takes a flood of volatile messages, whatever they say", Display, flood),
    check("L-022", "stores and acknowledges durable messages that it must refuse", Display, refused_messages),
];

fn harmless(p: &mut Player<'_>) -> Vec<u8> {
    let sale = p.sale();
    encoded(&ToPos::Withdrawn { sale, revision: 1 })
}

/// A durable message goes through: whatever came before did no harm.
fn goes_on(p: &mut Player<'_>) -> Step {
    let message = harmless(p);
    p.acknowledged(message).map(|_| ())
}

/// Bytes that must have no answer at all and no consequence.
fn dropped(p: &mut Player<'_>, bytes: &[u8]) -> Step {
    p.come_up()?;
    drop_one(p, bytes)
}

fn drop_one(p: &mut Player<'_>, bytes: &[u8]) -> Step {
    p.raw(bytes)?;
    for frame in p.listen(SILENCE_MS)? {
        if frame.kind != kind::HEARTBEAT {
            let shown: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            return fail(format!("answered {shown} with {}", kind::name(frame.kind)));
        }
    }
    goes_on(p)
}

fn wrong_crc(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let message = harmless(p);
    let next = p.note(message);
    let payload = p.payload(next);
    let whole = p.body(kind::DATA, &payload);
    // In the payload, in the kind's neighbourhood, and in the checksum itself.
    for at in [whole.len() - 6, 9, whole.len() - 1] {
        let mut body = whole.clone();
        if let Some(byte) = body.get_mut(at) {
            *byte ^= 0x10;
        }
        p.sent = p.sent.max(next);
        p.raw(&raw::stuff(&body))?;
        let epoch = p.epoch;
        let acted = p.until(SILENCE_MS, |frame| frame.stored().filter(|&(of, n)| of == epoch && n >= next))?;
        if acted.is_some() {
            return fail(format!("acknowledged DATA {next}, of which byte {at} was damaged"));
        }
    }
    p.put(next)?;
    if p.has(next, ANSWER_MS)? { Ok(()) } else { fail("the whole frame behind it was not acknowledged") }
}

fn longest_frame(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.acknowledged(vec![0x5a; till_link::PAYLOAD_BYTES_MAX]).map(|_| ())
}

fn full_block(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    if let Some(session) = p.keyed.as_mut().and_then(|keyed| keyed.session.as_mut()) {
        // A low counter has zeros so near to the end that no full block fits behind them.
        session.sent = 0x0101_0101;
    }
    for with_empty in [true, false] {
        let sequence = p.log.len() as u32 + 1;
        let mut payload = raw::pair(p.epoch, sequence).to_vec();
        let head = payload.len();
        // The last block must hold exactly 254 bytes and neither it nor the CRC a zero.
        let found = (1..=255u8).find_map(|fill| {
            (1..600usize).find_map(|length| {
                payload.truncate(head);
                payload.resize(head + length, fill);
                let body = p.body(kind::DATA, &payload);
                let wire = raw::stuff(&body);
                let tail = wire.len().checked_sub(257)?;
                (wire.ends_with(&[1, 0]) && wire.get(tail) == Some(&0xff)).then_some((wire, length, fill))
            })
        });
        let Some((mut wire, length, fill)) = found else { return fail("the player found no such frame") };
        p.note(vec![fill; length]);
        if !with_empty {
            wire.truncate(wire.len() - 2);
            wire.push(0);
        }
        p.sent = p.sent.max(sequence);
        p.raw(&wire)?;
        if !p.has(sequence, ANSWER_MS)? {
            return fail(if with_empty { "with the empty block: no ACK" } else { "without the empty block: no ACK" });
        }
    }
    Ok(())
}

fn extra_zeros(p: &mut Player<'_>) -> Step {
    dropped(p, &[0; 40])
}

fn too_long() -> Vec<u8> {
    let mut bytes = vec![0x11; 6_000];
    bytes.push(0);
    bytes
}

fn not_cobs(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    // A block longer than what is left; a body of four bytes; one of none.
    for bytes in [&[9u8, 1, 2, 3, 0][..], &[5, 6, 7, 8, 9, 0], &[1, 0]] {
        drop_one(p, bytes)?;
    }
    Ok(())
}

fn cut_frame(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let message = harmless(p);
    let next = p.note(message);
    let payload = p.payload(next);
    let wire = p.frame(kind::DATA, &payload);
    // The plug comes out in the middle; what follows it begins with the zero of 3.3.
    let mut bytes = wire.get(..wire.len() / 2).unwrap_or_default().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(&wire);
    p.sent = p.sent.max(next);
    p.raw(&bytes)?;
    if p.has(next, ANSWER_MS)? { Ok(()) } else { fail("the whole frame behind it was not acknowledged") }
}

fn malformed(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let frames: [(u8, usize); 8] = [
        (kind::HELLO, raw::HELLO_BYTES - 1),
        (kind::HELLO, 0),
        (kind::DATA, 7),
        (kind::ACK, 7),
        (kind::GAP, 9),
        (kind::HEARTBEAT, 3),
        (kind::REFUSE, 0),
        (kind::REFUSE, 2),
    ];
    for (kind, length) in frames {
        let frame = p.frame(kind, &vec![1; length]);
        drop_one(p, &frame)?;
    }
    Ok(())
}

fn later_kinds(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    for kind in [0x00, 0x40, 0xff] {
        drop_one(p, &raw::frame(kind, &[1, 2, 3, 4, 5, 6, 7, 8, 9]))?;
    }
    Ok(())
}

fn noise(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let mut random = Noise::new(p.seed);
    let mut bytes: Vec<u8> = (0..4_000).map(|_| random.below(256) as u8).collect();
    bytes.push(0);
    p.raw(&bytes)?;
    goes_on(p)
}

fn flood(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let mut bytes = Vec::new();
    let sale = p.sale();
    for n in 0..40u8 {
        let message = match n % 5 {
            // Parts of a picture of which some never come.
            4 => encoded(&ToPos::Thumbnail {
                sale,
                revision: 1,
                part: u16::from(n),
                parts: u16::from(n / 2),
                jpeg: heapless::Vec::from_slice(&[0xff; 300]).unwrap_or_default(),
            }),
            0 => encoded(&ToPos::CartChanged { sale, cart: cart(100, 100) }),
            1 => vec![n; usize::from(n) * 7],
            2 => Vec::new(),
            _ => encoded(&ToPos::SessionOpened { sale }),
        };
        bytes.extend_from_slice(&p.frame(kind::EVENT, &message));
    }
    p.raw(&bytes)?;
    goes_on(p)
}

/// Messages that L-021 refuses, each with its reason.
pub(super) fn refused(p: &mut Player<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let sale = p.sale();
    let whole = encoded(&offer(sale, 1, 500));
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    // Offer: number, sale (counter, epoch, session), revision, count of lines, SKU.
    let sku_at = whole.windows(6).position(|window| window == b"TEST-1").unwrap_or(0);
    let mass_agrees_at = whole.windows(3).position(|window| window == b"KRW").map_or(0, |at| at.saturating_sub(3));
    vec![
        ("empty", Vec::new()),
        ("truncated", with(&|bytes| bytes.truncate(bytes.len() - 1))),
        ("trailing", with(&|bytes| bytes.push(0))),
        ("unknown_variant", with(&|bytes| bytes[0] = 0x63)),
        ("bad_varint", vec![0x80; 40]),
        ("bad_utf8", with(&|bytes| bytes[sku_at] = 0xff)),
        ("too_long text", with(&|bytes| bytes[sku_at - 1] = 33)),
        ("too_long list", with(&|bytes| bytes[sku_at - 2] = 25)),
        ("bad_bool", with(&|bytes| bytes[mass_agrees_at] = 2)),
        ("huge length", vec![2, 1, 1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]),
    ]
}

fn refused_messages(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    for (reason, message) in refused(p) {
        let next = p.note(message);
        p.put(next)?;
        if !p.has(next, ANSWER_MS)? {
            return fail(format!("a message that is {reason} was not acknowledged"));
        }
    }
    goes_on(p)
}
