//! Coming up on a secured link: who has no key, an old HELLO or a lower version gets nowhere. SPEC 8.2 to 8.4
//! and 8.7.

use till_link::ToPos;

use super::link::is_down;
use super::{Check, keyed};
use crate::conform::player::keyed::{FLAG_SECURED, Key, Keyed, Nonce, SECURED_HELLO_BYTES, Tail, session};
use crate::conform::player::{ANSWER_MS, Frame, Miss, Player, SILENCE_MS, Step, encoded, fail};
use crate::conform::raw::{self, Hello, kind};

pub(super) const CHECKS: &[Check] = &[
    keyed("L-200", "refuses a till without security with reason 5, and does not talk to it", refuses_unsecured),
    keyed("L-203", "has a new nonce each time the link has gone down, which none before foretells", new_nonces),
    keyed("L-203", "has a new nonce after a restart", nonce_after_restart),
    keyed("L-204", "counts its HELLOs under each nonce from 1", counts),
    keyed("L-205", "takes no sealed frame before the HELLOs are mutual", early_frame),
    keyed("L-205", "makes the keys of a session once for each nonce of its own", one_session_a_nonce),
    keyed("L-206", "is not up with who does not name its nonce", other_nonce),
    keyed("L-206", "is not up with an old HELLO that is played again", old_hello),
    keyed("L-206", "refuses a wrong proof and a key it does not hold with reason 6", refuses_keys),
    keyed("L-206", "says its own proof before its first sealed frame", proof_first),
    keyed("L-030", "comes up with a till of a later minor version, whose HELLO is longer", later_version),
    keyed("L-211", "takes no other key while the link is up", other_key_while_up),
    keyed("L-211", "holds two keys, and follows its till to the other", follows),
];

/// The keyed state.
pub(super) fn state<'p>(p: &'p mut Player<'_>) -> Step<&'p mut Keyed> {
    p.keyed.as_mut().ok_or_else(|| Miss::NotRun("needs --key-file".into()))
}

/// A durable message that asks for nothing.
pub(super) fn harmless(p: &mut Player<'_>) -> u32 {
    let sale = p.sale();
    p.note(encoded(&ToPos::Withdrawn { sale, revision: 1 }))
}

/// The session that was up is still up, and a message goes through it.
pub(super) fn goes_on(p: &mut Player<'_>, after: &str) -> Step {
    let nonce = state(p)?.nonce;
    let next = harmless(p);
    p.put(next)?;
    if p.has(next, ANSWER_MS)? && state(p)?.nonce == nonce {
        return Ok(());
    }
    fail(format!("after {after} the link does not go on: {}", p.story()))
}

/// Sends `bytes`, to which there must be no answer.
pub(super) fn silent(p: &mut Player<'_>, bytes: &[u8], what: &str) -> Step {
    p.raw(bytes)?;
    match p.listen(SILENCE_MS)?.iter().find(|frame| frame.kind != kind::HEARTBEAT) {
        Some(frame) => fail(format!("{what}: answered with {}", kind::name(frame.kind))),
        None => Ok(()),
    }
}

/// The reason of the REFUSE that `bytes` bring.
fn refusal(p: &mut Player<'_>, bytes: &[u8]) -> Step<Option<u8>> {
    p.answer_hello = false;
    p.raw(bytes)?;
    Ok(p.until(ANSWER_MS, |frame| (frame.kind == kind::REFUSE).then(|| frame.payload.first().copied().unwrap_or(0)))?)
}

/// The link is down and a HELLO that is not mutual told the POS of our life: its boot and nonce are known.
fn acquainted(p: &mut Player<'_>) -> Step<(Hello, Tail)> {
    p.put_down()?;
    p.answer_hello = false;
    let (boot, nonce) = (p.boot, state(p)?.nonce);
    for _ in 0..6 {
        p.say_hello()?;
        let named = |frame: &Frame| {
            let tail = frame.tail.filter(|tail| tail.peer_nonce == nonce)?;
            frame.hello().filter(|hello| hello.peer_boot == boot).map(|hello| (hello, tail))
        };
        // Ours, until it is known that the POS's HELLO names us, must not be mutual.
        let found = p.until(SILENCE_MS, named)?;
        if let Some(found) = found {
            return Ok(found);
        }
        state(p)?.peer_nonce = [0; 16];
    }
    Err(Miss::NotRun(format!("no HELLO names our nonce: {}", p.story())))
}

fn refuses_unsecured(p: &mut Player<'_>) -> Step {
    p.put_down()?;
    p.answer_hello = false;
    let hello = p.hello();
    let plain = raw::frame(kind::HELLO, &hello.bytes());
    let mut short = Hello { flags: FLAG_SECURED, ..hello }.bytes();
    short.resize(SECURED_HELLO_BYTES - 1, 0);
    let short = raw::frame(kind::HELLO, &short);
    let counter = raw::frame(kind::HELLO, &Hello { counter: !hello.counter, ..hello }.bytes());
    let found = [refusal(p, &plain)?, refusal(p, &short)?, refusal(p, &counter)?];
    if found != [Some(5), Some(5), Some(3)] {
        return fail(format!(
            "reasons {found:?}; 5, 5, 3 are right for one without security, one of 89 bytes, another counter without \
             security"
        ));
    }
    // Nor does it talk when such a HELLO names its boot number.
    let known = p.pos.map_or(0, |pos| pos.boot);
    p.raw(&raw::frame(kind::HELLO, &Hello { peer_boot: known, up: 1, ..hello }.bytes()))?;
    is_down(p)
}

fn foretold(before: &Nonce, after: &Nonce) -> bool {
    // Of two that were drawn at random, eight equal bytes come once in 10^15.
    before.iter().zip(after).filter(|(a, b)| a == b).count() >= 8
}

fn new_nonces(p: &mut Player<'_>) -> Step {
    let mut nonces: Vec<Nonce> = Vec::new();
    for _ in 0..4 {
        p.come_up()?;
        nonces.push(state(p)?.peer_nonce);
    }
    for (at, nonce) in nonces.iter().enumerate() {
        if *nonce == [0; 16] {
            return fail("a nonce of zeros");
        }
        if nonces.iter().take(at).any(|before| before == nonce) {
            return fail("the same nonce in two sessions");
        }
        if nonces.iter().take(at).any(|before| foretold(before, nonce)) {
            return fail(format!("nonces that are not random: {nonces:02x?}"));
        }
    }
    Ok(())
}

fn nonce_after_restart(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let before: Vec<Nonce> = state(p)?.heard.iter().map(|(_, tail)| tail.nonce).collect();
    p.restart()?;
    let now = state(p)?.peer_nonce;
    match before.iter().any(|before| foretold(before, &now)) {
        true => fail("a nonce like one before the restart"),
        false => Ok(()),
    }
}

fn counts(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.put_down()?;
    p.answer_hello = false;
    p.listen(1_200)?;
    let keyed = state(p)?;
    let last = keyed.heard.last().copied();
    let of_last = |(boot, tail): &&(u32, Tail)| last.is_some_and(|(of, by)| (of, by.nonce) == (*boot, tail.nonce));
    let counts: Vec<u32> = keyed.heard.iter().filter(of_last).map(|(_, tail)| tail.count).collect();
    match counts[..] {
        [1, _, ..] if counts.is_sorted_by(|a, b| a < b) => Ok(()),
        _ => fail(format!("counts {counts:?} after going down")),
    }
}

fn early_frame(p: &mut Player<'_>) -> Step {
    let (hello, tail) = acquainted(p)?;
    // The keys could be made by now; our HELLO that names its nonce is missing.
    let ours = Hello { flags: FLAG_SECURED, ..p.hello() };
    let keyed = state(p)?;
    keyed.session = Some(session(keyed.key(), (&ours, &keyed.nonce), (&hello, &tail.nonce)));
    let next = harmless(p);
    p.put(next)?;
    match p.listen(900)?.iter().find(|frame| frame.kind != kind::HELLO) {
        Some(frame) => fail(format!("answered with {}", kind::name(frame.kind))),
        None => Ok(()),
    }
}

fn one_session_a_nonce(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let (pos, nonce) = (p.pos, state(p)?.peer_nonce);
    p.reboot();
    p.answer_hello = false;
    p.pos = pos;
    state(p)?.peer_nonce = nonce;
    p.say_hello()?;
    match p.until(ANSWER_MS, |frame| frame.hello().zip(frame.tail))? {
        None => fail("no HELLO to one of another life that names its nonce"),
        Some((_, tail)) if tail.nonce == nonce => fail("goes on with a nonce that has made a session"),
        Some((hello, _)) if hello.up != 0 => fail("is up with who has not named its new nonce"),
        Some(_) => Ok(()),
    }
}

fn other_nonce(p: &mut Player<'_>) -> Step {
    acquainted(p)?;
    let keyed = state(p)?;
    if let Some(byte) = keyed.peer_nonce.get_mut(15) {
        *byte ^= 1;
    }
    let hello = Hello { up: 1, ..p.hello() };
    p.send(kind::HELLO, &hello.bytes())?;
    is_down(p)
}

fn old_hello(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let hello = p.hello();
    let old = p.frame(kind::HELLO, &hello.bytes());
    p.put_down()?;
    p.answer_hello = false;
    p.raw(&old)?;
    is_down(p)
}

/// HELLOs that prove nothing, each with what is wrong with it.
pub(super) fn unproved(p: &mut Player<'_>) -> Step<[(&'static str, Vec<u8>); 3]> {
    // Who believed it would have to answer: it says that we are not up.
    let plain = Hello { up: 0, ..p.hello() }.bytes();
    let keyed = state(p)?;
    let tail = keyed.next_tail();
    let mut wrong = keyed.proved(&plain, &tail);
    if let Some(byte) = wrong.last_mut() {
        *byte ^= 1;
    }
    let signed = |id: u8| {
        let mut payload = keyed.proved(&plain, &Tail { key: id, ..tail });
        payload.truncate(payload.len() - 16);
        let proof = Key::new(id, [0x5a; 32]).proof(&payload);
        payload.extend_from_slice(&proof);
        raw::frame(kind::HELLO, &payload)
    };
    let stranger = (1..=u8::MAX).find(|id| keyed.all().iter().all(|key| key.id != *id)).unwrap_or(0);
    Ok([
        ("a HELLO with a wrong proof", raw::frame(kind::HELLO, &wrong)),
        ("a HELLO under another key of the same number", signed(tail.key)),
        ("a HELLO under a key of another number", signed(stranger)),
    ])
}

fn refuses_keys(p: &mut Player<'_>) -> Step {
    acquainted(p)?;
    for (what, hello) in unproved(p)? {
        match refusal(p, &hello)? {
            Some(6) => {}
            Some(reason) => return fail(format!("{what}: REFUSE with reason {reason}")),
            None => return fail(format!("{what}: no REFUSE")),
        }
    }
    is_down(p)
}

fn proof_first(p: &mut Player<'_>) -> Step {
    p.put_down()?;
    p.answer_hello = false;
    // It says HELLO by itself; ours then is the first that it hears of this life, and mutual.
    let Some((hello, tail)) = p.until(ANSWER_MS, |frame| frame.hello().zip(frame.tail))? else {
        return fail("no HELLO while the link is down");
    };
    let ours = Hello { up: 1, ..p.hello() };
    let mut bytes = p.frame(kind::HELLO, &ours.bytes());
    let secured = Hello { flags: FLAG_SECURED, ..ours };
    let keyed = state(p)?;
    keyed.session = Some(session(keyed.key(), (&secured, &keyed.nonce), (&hello, &tail.nonce)));
    let nonce = keyed.nonce;
    // With it at once something to answer.
    let next = harmless(p);
    p.sent = p.sent.max(next);
    let payload = p.payload(next);
    bytes.extend_from_slice(&p.frame(kind::DATA, &payload));
    p.raw(&bytes)?;
    let frames = p.listen(900)?;
    match frames.first() {
        None => fail("nothing came"),
        Some(frame) if frame.tail.is_some_and(|tail| tail.peer_nonce == nonce) => Ok(()),
        Some(frame) => fail(format!("first came {}", kind::name(frame.kind))),
    }
}

fn later_version(p: &mut Player<'_>) -> Step {
    p.put_down()?;
    p.minor = 7;
    state(p)?.extra = vec![0xee; 12];
    let shook = p.handshake();
    shook.or_else(|miss| match miss {
        Miss::NotRun(why) => fail(why),
        other => Err(other),
    })?;
    goes_on(p, "a HELLO of version 1.7 with 102 bytes")
}

/// Does something as a till that holds only the other key.
fn with_other<T>(p: &mut Player<'_>, act: impl FnOnce(&mut Player<'_>) -> Step<T>) -> Step<T> {
    state(p)?.at = 1;
    let done = act(p);
    state(p)?.at = 0;
    done
}

fn two_keys(p: &mut Player<'_>) -> Step {
    match state(p)?.all().len() {
        2 => Ok(()),
        _ => Err(Miss::NotRun("needs a key file with two keys, at the POS, too".into())),
    }
}

fn other_key_while_up(p: &mut Player<'_>) -> Step {
    two_keys(p)?;
    p.come_up()?;
    let frame = with_other(p, |p| {
        let plain = Hello { up: 0, ..p.hello() }.bytes();
        Ok(p.frame(kind::HELLO, &plain))
    })?;
    silent(p, &frame, "a HELLO under its other key")?;
    goes_on(p, "a HELLO under its other key")
}

fn follows(p: &mut Player<'_>) -> Step {
    two_keys(p)?;
    p.come_up()?;
    let (first, pos) = (state(p)?.key().id, p.pos);
    // The till comes back with the new key, as in a rotation: the link must fall silent first.
    let followed = with_other(p, |p| {
        p.reboot();
        p.handshake()?;
        let other = state(p)?.key().id;
        goes_on(p, "going over to the other key")?;
        if state(p)?.heard.last().is_none_or(|(_, tail)| tail.key != other) {
            return fail(format!("its HELLOs still name key {first}"));
        }
        Ok(())
    });
    followed.or_else(|miss| match miss {
        Miss::NotRun(why) => fail(format!("with its other key: {why}")),
        other => Err(other),
    })?;
    // And down again, so that the first key is the next one it hears.
    with_other(p, |p| p.put_down())?;
    p.come_up()?;
    if p.pos.map(|pos| pos.boot) != pos.map(|pos| pos.boot) {
        return Err(Miss::NotRun("it restarted by itself".into()));
    }
    goes_on(p, "coming back to the first key")
}
