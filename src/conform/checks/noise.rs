//! A whole conversation over a bad line, with a reboot of the till in the middle of it.

use till_link::ToPos;

use super::{Check, check};
use crate::conform::Level::{Display, Payment};
use crate::conform::noise::Noise;
use crate::conform::player::{Player, Step, encoded, fail};

pub(super) const CHECKS: &[Check] = &[
    check("L-043", "has everything after loss, damage, doubling and delay", Display, stores_through_noise),
    check(
        "L-090",
        "answers each question once through loss, damage, doubling and delay",
        Payment,
        answers_through_noise,
    ),
];

/// Messages that are sent through the noise.
const COUNT: usize = 16;
/// For all of them: a lost frame costs a timeout.
const PATIENCE_MS: u64 = 25_000;

fn through_noise(p: &mut Player<'_>, messages: Vec<Vec<u8>>) -> Step {
    p.come_up()?;
    p.noise = Some(Noise::new(p.seed));
    let mut messages = messages.into_iter();
    for message in messages.by_ref().take(COUNT / 2) {
        p.note(message);
    }
    let played = p.deliver(PATIENCE_MS).and_then(|()| {
        // The power of the till goes in the middle.
        p.reboot();
        p.handshake()?;
        for message in messages {
            p.note(message);
        }
        p.deliver(PATIENCE_MS)
    });
    p.noise = None;
    played.or_else(|miss| match miss {
        crate::conform::player::Miss::NotRun(why) => fail(format!("seed {}: {why}", p.seed)),
        other => Err(other),
    })
}

fn stores_through_noise(p: &mut Player<'_>) -> Step {
    let messages = (0..COUNT).map(|_| encoded(&ToPos::Withdrawn { sale: p.sale(), revision: 1 })).collect();
    through_noise(p, messages)?;
    let last = p.log.len() as u32;
    p.come_up()?;
    match p.pos {
        Some(pos) if (pos.stored_epoch, pos.stored) == (p.epoch, last) => Ok(()),
        pos => fail(format!("seed {}: {last} messages were acknowledged, its HELLO says {pos:?}", p.seed)),
    }
}

fn answers_through_noise(p: &mut Player<'_>) -> Step {
    let sales: Vec<_> = (0..COUNT).map(|_| p.sale()).collect();
    through_noise(p, sales.iter().map(|&sale| encoded(&ToPos::QueryOutcome { sale, revision: 1 })).collect())?;
    p.come_up()?;
    p.wait(PATIENCE_MS, |p| sales.iter().all(|&sale| !p.answers(sale).is_empty()))?;
    p.listen(600)?;
    for sale in sales {
        let answers = p.answers(sale);
        if answers != [None] {
            return fail(format!("seed {}: {sale}, which was never offered, was answered with {answers:?}", p.seed));
        }
    }
    Ok(())
}
