//! Durable messages of the till: acknowledged once they are stored, in order, each once. SPEC 6.4 and 6.6.

use till_link::ToPos;

use super::{Check, check};
use crate::conform::Level::Display;
use crate::conform::player::{ANSWER_MS, Miss, Player, SILENCE_MS, Step, encoded, fail};
use crate::conform::raw::{self, Hello, kind};

pub(super) const CHECKS: &[Check] = &[
    check("L-060", "names in its next HELLO what it acknowledged", Display, resumes),
    check("L-064", "acknowledges a repeated message again", Display, duplicate),
    check("L-064", "says GAP once for each gap, and goes on when it is filled", Display, gap),
    check("L-064", "asks with HELLO for a message of another epoch and does not acknowledge it", Display, other_epoch),
    check("L-043", "goes on where it was when the till reboots in the middle", Display, reboot),
    check("L-043", "begins anew with a new epoch of the till", Display, new_epoch),
    check("L-040", "takes a log whose older messages are gone for good", Display, lost_for_good),
    check("L-060", "has after a restart what it acknowledged before", Display, restart),
    check("L-031", "has another boot number after a restart", Display, boot_after_restart),
    check("L-032", "has the same epoch after a restart", Display, epoch_after_restart),
];

fn harmless(p: &mut Player<'_>) -> Vec<u8> {
    let sale = p.sale();
    encoded(&ToPos::Withdrawn { sale, revision: 1 })
}

fn names(hello: Option<Hello>, epoch: u32, sequence: u32) -> Step {
    match hello {
        Some(hello) if (hello.stored_epoch, hello.stored) == (epoch, sequence) => Ok(()),
        Some(hello) => fail(format!(
            "its HELLO says {:08x}/{}, acknowledged was {epoch:08x}/{sequence}",
            hello.stored_epoch, hello.stored
        )),
        None => fail("no HELLO"),
    }
}

fn resumes(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let message = harmless(p);
    let sequence = p.acknowledged(message)?;
    p.reboot();
    p.handshake()?;
    names(p.pos, p.epoch, sequence)
}

fn duplicate(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let message = harmless(p);
    let sequence = p.acknowledged(message)?;
    p.listen(50)?;
    for _ in 0..2 {
        p.put(sequence)?;
        let epoch = p.epoch;
        let again = p.until(ANSWER_MS, |frame| {
            frame.stored().filter(|&found| frame.kind == kind::ACK && found == (epoch, sequence))
        })?;
        if again.is_none() {
            return fail(format!("DATA {sequence} came again and had no ACK"));
        }
    }
    Ok(())
}

fn gap(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    for round in 0..2 {
        let stored = p.log.len() as u32;
        for _ in 0..4 {
            let message = harmless(p);
            p.note(message);
        }
        for sequence in [stored + 2, stored + 3, stored + 4] {
            p.put(sequence)?;
        }
        let epoch = p.epoch;
        let answers: Vec<_> = p.listen(SILENCE_MS)?.into_iter().filter(|frame| frame.stored().is_some()).collect();
        if let Some(wrong) = answers.iter().find(|frame| frame.stored() != Some((epoch, stored))) {
            return fail(format!(
                "{stored} is stored and the next is missing, yet {} named {:?}",
                kind::name(wrong.kind),
                wrong.stored()
            ));
        }
        let gaps = answers.iter().filter(|frame| frame.kind == kind::GAP).count();
        if gaps != 1 {
            return fail(format!("{gaps} GAP for gap {}; 1 is right", round + 1));
        }
        p.deliver(ANSWER_MS).or_else(|miss| match miss {
            Miss::NotRun(why) => fail(format!("after the gap was filled: {why}")),
            other => Err(other),
        })?;
    }
    Ok(())
}

fn other_epoch(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    p.answer_hello = false;
    let message = harmless(p);
    let mut payload = raw::pair(p.epoch ^ 0x0100, p.log.len() as u32 + 1).to_vec();
    payload.extend_from_slice(&message);
    p.send(kind::DATA, &payload)?;
    let frames = p.listen(900)?;
    if let Some(frame) = frames.iter().find(|frame| frame.stored().is_some()) {
        return fail(format!("answered with {}", kind::name(frame.kind)));
    }
    if frames.iter().any(|frame| frame.kind == kind::HELLO) { Ok(()) } else { fail("no HELLO within 900 ms") }
}

fn reboot(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let before = p.log.len() as u32;
    for _ in 0..4 {
        let message = harmless(p);
        let sequence = p.note(message);
        p.put(sequence)?;
    }
    // No wait: what is under way meets a till that knows nothing of it.
    p.reboot();
    p.handshake()?;
    let stored = p.pos.filter(|pos| pos.stored_epoch == p.epoch).map_or(0, |pos| pos.stored);
    if stored < before || stored > before + 4 {
        return fail(format!("its HELLO says {stored}; {before} were acknowledged and {} sent", before + 4));
    }
    p.deliver(ANSWER_MS).or_else(|miss| match miss {
        Miss::NotRun(why) => fail(why),
        other => Err(other),
    })
}

/// The player's log begins anew under another epoch.
fn replace_log(p: &mut Player<'_>) {
    p.epoch = p.epoch.wrapping_add(0x1000).max(1);
    p.log.clear();
    (p.acked, p.sent) = (0, 0);
}

fn new_epoch(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    replace_log(p);
    resumes(p)
}

fn lost_for_good(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    replace_log(p);
    p.reboot();
    // The log holds 5 and what follows; 1 to 4 were never delivered and are gone.
    for _ in 0..4 {
        p.note(Vec::new());
    }
    p.first = 5;
    let shook = p.handshake();
    p.acked = 4;
    let message = harmless(p);
    let sent = shook.and_then(|()| p.acknowledged(message));
    p.first = 1;
    let sequence = sent?;
    p.reboot();
    p.handshake()?;
    names(p.pos, p.epoch, sequence)
}

fn restart(p: &mut Player<'_>) -> Step {
    p.come_up()?;
    let before = p.log.len() as u32;
    for _ in 0..4 {
        let message = harmless(p);
        let sequence = p.note(message);
        p.put(sequence)?;
    }
    if !p.has(before + 1, ANSWER_MS)? {
        return fail("no ACK");
    }
    let acked = p.acked;
    let hello = p.restart()?;
    let stored = if hello.stored_epoch == p.epoch { hello.stored } else { 0 };
    if stored < acked { fail(format!("{acked} was acknowledged, after the restart it has {stored}")) } else { Ok(()) }
}

fn lives(p: &Player<'_>) -> Step<(Hello, Hello)> {
    p.lives.ok_or_else(|| Miss::NotRun("needs --restart".into()))
}

fn boot_after_restart(p: &mut Player<'_>) -> Step {
    let (before, after) = lives(p)?;
    if before.boot == after.boot || after.boot == 0 { fail(format!("{:08x} again", after.boot)) } else { Ok(()) }
}

fn epoch_after_restart(p: &mut Player<'_>) -> Step {
    let (before, after) = lives(p)?;
    if before.epoch == after.epoch { Ok(()) } else { fail(format!("{:08x}, before {:08x}", after.epoch, before.epoch)) }
}
