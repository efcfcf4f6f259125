//! Coming up, refusing, staying up, going down: SPEC 2, 6.1 to 6.4, 6.7.

use super::{Check, check, keyed, plain};
use crate::conform::Level::Display;
use crate::conform::player::keyed::{FLAG_SECURED, SECURED_HELLO_BYTES, Tail};
use crate::conform::player::{ANSWER_MS, Frame, Miss, Player, SILENCE_MS, Step, encoded, fail};
use crate::conform::raw::{self, Hello, kind};

pub(super) const CHECKS: &[Check] = &[
    check("L-001", "says HELLO at this rate, whole and valid", Display, says_hello),
    keyed("L-200", "says that it is secured, and proves its key", proves_its_key),
    check("L-040", "comes up when the HELLOs are mutual", Display, comes_up),
    check("L-003", "takes a HELLO byte by byte", Display, byte_by_byte),
    check("L-041", "says nothing but HELLO while it is not up, and acknowledges nothing", Display, quiet_while_down),
    check("L-040", "asks with HELLO when a heartbeat has another boot number", Display, stranger_beats),
    check("L-030", "ignores what follows HELLO and flags it does not know", Display, later_hello),
    check("L-033", "refuses another major version with reason 1", Display, |p| refuses(p, 1, |h| h.major = 2)),
    check("L-033", "refuses another schema with reason 2", Display, |p| refuses(p, 2, |h| h.schema ^= 1)),
    check("L-033", "refuses its own role with reason 4", Display, |p| refuses(p, 4, |h| h.role = 1)),
    check("L-033", "refuses another counter with reason 3", Display, |p| refuses(p, 3, |h| h.counter ^= 1)),
    check("L-033", "names the first reason that holds", Display, order_of_reasons),
    check("L-033", "does not refuse another minor version", Display, minor_version),
    plain("L-033", "refuses a till that is secured with reason 5", |p| refuses(p, 5, |h| h.flags = 1)),
    plain("L-034", "goes down when it is refused, and says HELLO again", is_refused),
    check("L-042", "goes down when a HELLO says that it is not heard", Display, half_open),
    check("L-040", "goes down after 3 s of silence and not before", Display, silence),
    check("L-070", "says something at least each second, its heartbeat with its own boot number", Display, beats),
];

fn says_hello(p: &mut Player<'_>) -> Step {
    p.reboot();
    p.answer_hello = false;
    for _ in 0..8 {
        p.say_hello()?;
        if let Some(frame) = p.until(500, |frame| (frame.kind == kind::HELLO).then(|| frame.clone()))? {
            return check_hello(p, &frame);
        }
    }
    fail(match p.story() {
        story if story.is_empty() => "nothing came within 4 s: till link ping says more".to_owned(),
        story => format!("no HELLO within 4 s, but {story}: till link ping says more"),
    })
}

fn proves_its_key(p: &mut Player<'_>) -> Step {
    p.reboot();
    p.answer_hello = false;
    for _ in 0..8 {
        p.say_hello()?;
        let Some(frame) = p.until(500, |frame| (frame.kind == kind::HELLO).then(|| frame.clone()))? else { continue };
        if frame.hello().is_some_and(|hello| hello.flags & FLAG_SECURED == 0) {
            return fail("its HELLO has not bit 0 in its flags: it has no security, or no key was given to it");
        }
        let Some(tail) = Tail::read(&frame.payload) else {
            return fail(format!("a HELLO of {} bytes; {SECURED_HELLO_BYTES} at least", frame.payload.len()));
        };
        return match frame.tail {
            Some(_) => Ok(()),
            None => fail(format!("its proof is wrong: key {}, or another key under that number", tail.key)),
        };
    }
    fail("no HELLO within 4 s")
}

fn check_hello(p: &Player<'_>, frame: &Frame) -> Step {
    let Some(hello) = frame.hello() else {
        return fail(format!("a HELLO of {} bytes; {} at least", frame.payload.len(), raw::HELLO_BYTES));
    };
    let ours = p.hello();
    let wrong = [
        (hello.major != ours.major, "major version", u32::from(hello.major)),
        (hello.role != 1, "role", u32::from(hello.role)),
        (hello.schema != ours.schema, "schema", hello.schema),
        (hello.counter != ours.counter, "counter", hello.counter),
        (hello.up > 1, "up", u32::from(hello.up)),
        (hello.boot == 0, "boot", 0),
    ];
    match wrong.iter().find(|(wrong, ..)| *wrong) {
        Some((_, field, value)) => fail(format!("{field} is {value} ({value:08x})")),
        None => Ok(()),
    }
}

fn comes_up(p: &mut Player<'_>) -> Step {
    p.come_up().or_else(|miss| match miss {
        Miss::NotRun(why) => fail(why),
        other => Err(other),
    })
}

fn byte_by_byte(p: &mut Player<'_>) -> Step {
    p.put_down()?;
    p.answer_hello = false;
    let hello = p.hello().bytes();
    let hello = p.frame(kind::HELLO, &hello);
    let boot = p.boot;
    for byte in hello {
        p.raw(&[byte])?;
        // Each byte alone on the line, as a slow adapter hands them over.
        let until_ms = p.now_ms() + 2;
        while p.next(until_ms)?.is_some() {}
    }
    match p.until(ANSWER_MS, |frame| frame.hello().filter(|hello| hello.peer_boot == boot))? {
        Some(_) => Ok(()),
        None => fail("no HELLO that names our boot number"),
    }
}

fn quiet_while_down(p: &mut Player<'_>) -> Step {
    p.put_down()?;
    p.answer_hello = false;
    let message = encoded(&till_link::ToPos::Withdrawn { sale: p.sale(), revision: 1 });
    let next = p.note(message);
    for peer_boot in [0, 0x5eed_5eed] {
        let hello = Hello { peer_boot, up: 1, ..p.hello() };
        p.send(kind::HELLO, &hello.bytes())?;
        p.put(next)?;
        let epoch = p.epoch;
        p.send(kind::EVENT, &encoded(&till_link::ToPos::Clock { unix_s: 0, trusted: false }))?;
        p.send(kind::ACK, &raw::pair(epoch, 1))?;
        let mut hellos = 0;
        for frame in p.listen(1_400)? {
            match frame.kind {
                kind::HELLO => hellos += 1,
                other => return fail(format!("{} while the link is not up", kind::name(other))),
            }
        }
        if hellos < 2 {
            return fail(format!(
                "{hellos} HELLO in 1400 ms; each 500 ms and after each frame out of place is expected"
            ));
        }
    }
    Ok(())
}

fn stranger_beats(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let boot = (p.boot ^ 0x0055_5500).to_le_bytes();
    p.send(kind::HEARTBEAT, &boot)?;
    match p.until(700, |frame| frame.hello())? {
        Some(_) => Ok(()),
        None => fail("no HELLO within 700 ms"),
    }
}

fn later_hello(p: &mut Player<'_>) -> Step {
    p.put_down()?;
    p.answer_hello = false;
    for _ in 0..6 {
        let mut payload = Hello { flags: 0x80, ..p.hello() }.bytes();
        payload.extend_from_slice(&[0xee; 20]);
        p.send(kind::HELLO, &payload)?;
        let boot = p.boot;
        let answer = p.until(500, |frame| match frame.kind {
            kind::REFUSE => Some(false),
            kind::HELLO => frame.hello().filter(|hello| hello.peer_boot == boot).map(|_| true),
            _ => None,
        })?;
        match answer {
            Some(true) => return Ok(()),
            Some(false) => return fail("REFUSE"),
            None => {}
        }
    }
    fail("no HELLO that names our boot number")
}

/// Where a HELLO that is refused shows: at a secured end only while the link is down (SPEC 8.4).
fn refusable(p: &mut Player<'_>) -> Step {
    if p.keyed.is_some() { p.put_down() } else { p.come_up() }
}

/// Says a HELLO that must be refused; the reason that came.
fn refusal(p: &mut Player<'_>, change: impl Fn(&mut Hello)) -> Step<Option<u8>> {
    p.answer_hello = false;
    let mut hello = p.hello();
    change(&mut hello);
    p.send(kind::HELLO, &hello.bytes())?;
    Ok(p.until(ANSWER_MS, |frame| (frame.kind == kind::REFUSE).then(|| frame.payload.first().copied().unwrap_or(0)))?)
}

fn refuses(p: &mut Player<'_>, reason: u8, change: fn(&mut Hello)) -> Step {
    refusable(p)?;
    match refusal(p, change)? {
        Some(found) if found == reason => {}
        Some(found) => return fail(format!("REFUSE with reason {found}")),
        None => return fail(format!("no REFUSE within {ANSWER_MS} ms")),
    }
    is_down(p)
}

/// The next HELLO must say that the link is down, and nothing else may come before or behind it.
pub(super) fn is_down(p: &mut Player<'_>) -> Step {
    let frames = p.listen(1_200)?;
    let hellos: Vec<Hello> = frames.iter().filter_map(Frame::hello).collect();
    match hellos.first() {
        None => return fail("no HELLO within 1200 ms"),
        Some(hello) if hello.up != 0 => return fail("its HELLO says that the link is up"),
        Some(_) => {}
    }
    match frames.iter().find(|frame| !matches!(frame.kind, kind::HELLO | kind::REFUSE)) {
        Some(frame) => fail(format!("{} while the link is down", kind::name(frame.kind))),
        None => Ok(()),
    }
}

fn order_of_reasons(p: &mut Player<'_>) -> Step {
    refusable(p)?;
    let all = |h: &mut Hello| (h.major, h.schema, h.role, h.counter) = (2, !h.schema, 1, !h.counter);
    let no_version = |h: &mut Hello| (h.schema, h.role, h.counter) = (!h.schema, 1, !h.counter);
    let role_and_counter = |h: &mut Hello| (h.role, h.counter) = (1, !h.counter);
    let found = [refusal(p, all)?, refusal(p, no_version)?, refusal(p, role_and_counter)?];
    if found == [Some(1), Some(2), Some(4)] {
        return Ok(());
    }
    fail(format!("reasons {found:?}; 1, 2, 4 are right for all wrong, all but the version, role and counter"))
}

fn minor_version(p: &mut Player<'_>) -> Step {
    p.put_down()?;
    match refusal(p, |hello| hello.minor = 9)? {
        None => Ok(()),
        Some(reason) => fail(format!("REFUSE with reason {reason}")),
    }
}

fn is_refused(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.answer_hello = false;
    p.beat = false;
    p.send(kind::REFUSE, &[3])?;
    is_down(p)
}

fn half_open(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.answer_hello = false;
    if p.keyed.is_some() {
        // Who does not hear it can't prove that its HELLO is no old one: it only does not count as heard.
        return falls_down(p, |p| {
            let keyed = p.keyed.as_mut().map(|keyed| std::mem::take(&mut keyed.peer_nonce));
            let deaf = Hello { peer_boot: 0, up: 0, ..p.hello() };
            p.send(kind::HELLO, &deaf.bytes())?;
            if let (Some(keyed), Some(nonce)) = (&mut p.keyed, keyed) {
                keyed.peer_nonce = nonce;
            }
            Ok(())
        });
    }
    let deaf = Hello { peer_boot: 0, up: 0, ..p.hello() };
    p.send(kind::HELLO, &deaf.bytes())?;
    is_down(p)
}

fn silence(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    falls_down(p, |_| Ok(()))
}

/// From here on nothing comes but what `noise` sends again and again: the link must fall as in silence.
pub(super) fn falls_down(p: &mut Player<'_>, mut noise: impl FnMut(&mut Player<'_>) -> Step) -> Step {
    (p.beat, p.answer_hello) = (false, false);
    let boot = p.boot.to_le_bytes();
    p.send(kind::HEARTBEAT, &boot)?;
    let begin_ms = p.now_ms();
    let mut down = None;
    while down.is_none() && p.now_ms() < begin_ms + 5_000 {
        noise(p)?;
        down = p.until(400, |frame| frame.hello().filter(|hello| hello.up == 0).map(|_| frame.at_ms))?;
    }
    match down.map(|at_ms| at_ms - begin_ms) {
        None => fail("still up after 5 s of silence"),
        // The HELLO comes up to 500 ms after going down.
        Some(ms) if ms < 2_800 => fail(format!("down after {ms} ms of silence")),
        Some(ms) if ms > 4_200 => fail(format!("down only after {ms} ms of silence")),
        Some(_) => Ok(()),
    }
}

fn beats(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let boot = p.pos.map_or(0, |pos| pos.boot);
    let begin_ms = p.now_ms();
    let frames = p.listen(3_300)?;
    if let Some(frame) =
        frames.iter().find(|frame| frame.kind == kind::HEARTBEAT && frame.payload != boot.to_le_bytes())
    {
        return fail(format!("a HEARTBEAT with {:02x?}, its HELLO said boot {boot:08x}", frame.payload));
    }
    let mut times: Vec<u64> = frames.iter().map(|frame| frame.at_ms).collect();
    times.insert(0, begin_ms);
    times.push(p.now_ms());
    let longest_ms = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    // A time slice of an operating system is no fault.
    if longest_ms > 1_000 + SILENCE_MS { fail(format!("{longest_ms} ms without a frame")) } else { Ok(()) }
}
