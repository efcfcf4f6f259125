//! A secured link that is up: what is not proved has no effect, and no frame is taken twice. SPEC 8.4 and 8.5.

use till_link::ToPos;

use super::link::falls_down;
use super::secured::{goes_on, harmless, silent, state, unproved};
use super::{Check, keyed};
use crate::conform::player::keyed::{SEALED, Session, seal};
use crate::conform::player::{ANSWER_MS, Player, SILENCE_MS, Step, encoded, fail};
use crate::conform::raw::{self, Hello, kind};

pub(super) const CHECKS: &[Check] = &[
    keyed("L-204", "answers no HELLO whose count it has heard", hello_again),
    keyed("L-207", "is not moved, once up, by a HELLO without a right proof", unproved_hellos),
    keyed("L-207", "is not moved, once up, by a HELLO that it would refuse", refusable_hellos),
    keyed("L-207", "is not moved, once up, by REFUSE", refused),
    keyed("L-207", "is not moved, once up, by frames without a seal", unsealed),
    keyed("L-207", "asks at most once in 50 ms, and stays up, when old HELLOs come in a flood", flood_of_hellos),
    keyed("L-207", "does not count as heard what is not proved, or was heard before", dead_link),
    keyed("L-208", "drops a frame with a wrong MAC, whatever it says, and its counter with it", wrong_mac),
    keyed("L-208", "takes none of its own frames that come back to it", reflected),
    keyed("L-208", "drops a frame whose counter it has heard, and one below", replayed),
    keyed("L-209", "takes a message again under a new counter, and holes in the counter for nothing", new_counters),
    keyed("L-210", "takes the highest counter, and none behind it but in a new session", last_counter),
];

fn session<'p>(p: &'p mut Player<'_>) -> Step<&'p mut Session> {
    Ok(state(p)?.session.get_or_insert_default())
}

fn hello_again(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.listen(100)?;
    let hello = Hello { up: 0, ..p.hello() };
    let frame = p.frame(kind::HELLO, &hello.bytes());
    p.raw(&frame)?;
    if p.until(ANSWER_MS, |frame| frame.hello())?.is_none() {
        return fail("no HELLO to one that says that we are not up");
    }
    // What it answers with is answered by none of ours: it says that it is up.
    p.listen(100)?;
    silent(p, &frame, "the same HELLO again")?;
    goes_on(p, "a HELLO that came again")
}

fn unproved_hellos(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let unsecured = Hello { up: 0, ..p.hello() };
    let deaf = Hello { peer_boot: 0, ..unsecured };
    let mut all = unproved(p)?.to_vec();
    all.push(("a HELLO without security", raw::frame(kind::HELLO, &unsecured.bytes())));
    all.push(("a HELLO without security that does not know it", raw::frame(kind::HELLO, &deaf.bytes())));
    for (what, frame) in all {
        silent(p, &frame, what)?;
        goes_on(p, what)?;
    }
    Ok(())
}

fn refusable_hellos(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let ours = p.hello();
    let hellos = [
        ("a HELLO of an older major version", Hello { major: 0, ..ours }),
        ("a HELLO of another schema", Hello { schema: !ours.schema, ..ours }),
        ("a HELLO of another counter", Hello { counter: !ours.counter, ..ours }),
    ];
    let mut all = hellos.map(|(what, hello)| (what, p.frame(kind::HELLO, &hello.bytes()))).to_vec();
    // Proved by itself, in its own role.
    all.push(("its own HELLO", raw::frame(kind::HELLO, &state(p)?.last_hello)));
    for (what, frame) in all {
        silent(p, &frame, what)?;
        goes_on(p, what)?;
    }
    Ok(())
}

fn refused(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let bytes: Vec<u8> = (1..=7).flat_map(|reason| raw::frame(kind::REFUSE, &[reason])).collect();
    silent(p, &bytes, "REFUSE")?;
    goes_on(p, "REFUSE")
}

fn unsealed(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let next = harmless(p);
    p.sent = p.sent.max(next);
    let stored = raw::pair(p.stored.0, p.stored.1);
    let frames = [
        ("DATA without a seal", kind::DATA, p.payload(next)),
        ("EVENT without a seal", kind::EVENT, encoded(&ToPos::QueryPrices { version: 0, part: 0 })),
        ("HEARTBEAT of another boot without a seal", kind::HEARTBEAT, (!p.boot).to_le_bytes().to_vec()),
        ("ACK without a seal", kind::ACK, stored.to_vec()),
        ("GAP without a seal", kind::GAP, stored.to_vec()),
    ];
    for (what, kind, payload) in frames {
        silent(p, &raw::frame(kind, &payload), what)?;
    }
    p.put(next)?;
    goes_on(p, "frames without a seal")
}

/// Frames of the flood, and the time between two.
const FLOOD: u32 = 30;
const FLOOD_STEP_MS: u64 = 10;

fn flood_of_hellos(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.listen(100)?;
    let begin_ms = p.now_ms();
    let mut hellos = 0;
    // Proved, as in another life: they name no nonce of it.
    let strange = Hello { boot: !p.boot, peer_boot: 0, up: 0, ..p.hello() };
    let keyed = state(p)?;
    let tail = keyed.next_tail();
    let frames: Vec<Vec<u8>> = (0..FLOOD)
        .map(|n| {
            let mut tail = tail;
            tail.peer_nonce = [0; 16];
            tail.nonce[..4].copy_from_slice(&n.to_le_bytes());
            raw::frame(kind::HELLO, &keyed.proved(&strange.bytes(), &tail))
        })
        .collect();
    for frame in frames {
        p.raw(&frame)?;
        hellos += p.listen(FLOOD_STEP_MS)?.iter().filter(|frame| frame.kind == kind::HELLO).count() as u64;
    }
    hellos += p.listen(SILENCE_MS)?.iter().filter(|frame| frame.kind == kind::HELLO).count() as u64;
    let ms = p.now_ms() - begin_ms;
    match hellos {
        0 => return fail(format!("{FLOOD} proved HELLOs of another life brought no HELLO")),
        n if n > ms / 50 + 1 => return fail(format!("{n} HELLOs in {ms} ms")),
        _ => {}
    }
    goes_on(p, "a flood of old HELLOs")
}

fn dead_link(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let boot = p.boot.to_le_bytes();
    let unsealed = raw::frame(kind::HEARTBEAT, &boot);
    let heard = p.frame(kind::HEARTBEAT, &boot);
    p.raw(&heard)?;
    let counter = session(p)?.sent + 1000;
    let forged = raw::frame(kind::HEARTBEAT | SEALED, &seal(&[0x5a; 32], counter, kind::HEARTBEAT, &boot));
    let all = [heard, unsealed, forged].concat();
    falls_down(p, |p| Ok(p.raw(&all)?))
}

fn wrong_mac(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let next = harmless(p);
    p.sent = p.sent.max(next);
    let data = p.payload(next);
    let stranger = (!p.boot).to_le_bytes();
    let prices = encoded(&ToPos::QueryPrices { version: 0, part: 0 });
    let counter = session(p)?.sent + 1000;
    let key = session(p)?.to_pos;
    let spoiled = |kind: u8, payload: &[u8], at_end: usize| {
        let mut sealed = seal(&key, counter, kind, payload);
        let at = sealed.len() - at_end;
        if let Some(byte) = sealed.get_mut(at) {
            *byte ^= 0x80;
        }
        raw::frame(kind | SEALED, &sealed)
    };
    let frames = [
        ("DATA with a wrong MAC", spoiled(kind::DATA, &data, 1)),
        ("DATA with another first byte of its MAC", spoiled(kind::DATA, &data, 8)),
        ("DATA with another counter than its MAC's", spoiled(kind::DATA, &data, 12)),
        ("DATA of another sequence than its MAC's", spoiled(kind::DATA, &data, data.len() + 12 - 4)),
        ("EVENT under the MAC of DATA", raw::frame(kind::EVENT | SEALED, &seal(&key, counter, kind::DATA, &prices))),
        ("HEARTBEAT of another boot with a wrong MAC", spoiled(kind::HEARTBEAT, &stranger, 1)),
        ("sealed DATA of 11 bytes", raw::frame(kind::DATA | SEALED, &[1; 11])),
        ("sealed HEARTBEAT of none", raw::frame(kind::HEARTBEAT | SEALED, &[])),
    ];
    for (what, frame) in frames {
        silent(p, &frame, what)?;
    }
    p.put(next)?;
    goes_on(p, "frames with wrong MACs and high counters")
}

fn reflected(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    // Its heartbeat has its own boot number: who took it for the till's would say HELLO.
    let beat = p.until(2 * ANSWER_MS, |frame| (frame.kind == kind::HEARTBEAT).then_some(()))?;
    if beat.is_none() {
        return fail("no HEARTBEAT within 5 s");
    }
    let Some((kind, sealed)) = state(p)?.last_sealed.clone() else { return fail("no sealed frame of it") };
    silent(p, &raw::frame(kind, &sealed), "its own HEARTBEAT")?;
    goes_on(p, "its own HEARTBEAT")
}

fn replayed(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let next = harmless(p);
    p.sent = p.sent.max(next);
    let payload = p.payload(next);
    session(p)?.sent += 1;
    let frame = p.frame(kind::DATA, &payload);
    p.raw(&frame)?;
    if !p.has(next, ANSWER_MS)? {
        return fail(format!("DATA {next} was not acknowledged"));
    }
    p.listen(100)?;
    silent(p, &frame, "the same frame again")?;
    // The counter that was left out is below by now.
    let (key, counter) = (session(p)?.to_pos, session(p)?.sent - 1);
    let below = raw::frame(kind::DATA | SEALED, &seal(&key, counter, kind::DATA, &payload));
    silent(p, &below, "a frame with a counter below the last")?;
    goes_on(p, "frames that came again")
}

fn new_counters(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let next = harmless(p);
    p.put(next)?;
    p.has(next, ANSWER_MS)?;
    p.listen(100)?;
    for jump in [0, 1, 70_000] {
        session(p)?.sent += jump;
        p.put(next)?;
        let epoch = p.epoch;
        if p.until(ANSWER_MS, |frame| frame.stored().filter(|&found| found == (epoch, next)))?.is_none() {
            return fail(format!("DATA {next} again, {jump} counters left out: no ACK"));
        }
    }
    goes_on(p, "holes in the counter")
}

fn last_counter(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    session(p)?.sent = u32::MAX - 1;
    goes_on(p, "a jump to the highest counter")?;
    p.beat = false;
    let payload = p.payload(p.log.len() as u32);
    let key = session(p)?.to_pos;
    for counter in [0, 1] {
        let wrapped = raw::frame(kind::DATA | SEALED, &seal(&key, counter, kind::DATA, &payload));
        silent(p, &wrapped, "a counter that has wrapped")?;
    }
    p.come_up()?;
    goes_on(p, "a new session")
}
