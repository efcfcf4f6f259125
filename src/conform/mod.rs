//! The conformance player: a till that plays against a POS of anyone's making over a real line and says, by
//! requirement of `link/SPEC.md`, what is right and what is not; and two probes of the line for technicians.
//! It makes its frames itself and trusts nothing that it hears. Read next: `player`, then `checks`.

pub mod checks;
pub mod line;
pub mod loopback;
pub mod noise;
pub mod ping;
pub mod player;
pub mod raw;
mod report;

pub use line::{Line, TtyLine};
pub use report::{Checked, Report, Verdict};

use std::fmt;
use std::io;

use serde::Serialize;
use till_link::{SaleId, ToTill};

use checks::{Check, Link};
use player::keyed::Secrets;
use player::{Miss, Player};

/// Conformance levels of SPEC, each including those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Shows, stores, acknowledges.
    Display,
    /// Takes money and answers questions.
    Payment,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Display => "display",
            Self::Payment => "payment",
        })
    }
}

/// What to play.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How far.
    pub level: Level,
    /// On a secured link, with these keys.
    pub secrets: Option<Secrets>,
    /// Ids of the requirements that are played; all, if empty.
    pub only: Vec<String>,
    /// The counter's number that the POS is set to.
    pub counter: u32,
    /// Of the noise.
    pub seed: u64,
    /// Different from run to run: epoch and boot number begin with it.
    pub draw: u32,
    /// For the report.
    pub port: String,
}

/// Plays all checks of the level; `told` hears of each as it ends.
///
/// # Errors
/// When the line breaks.
pub fn run(plan: &Plan, line: &mut dyn Line, told: &mut dyn FnMut(&Checked)) -> io::Result<Report> {
    let begin_ms = line.now_ms();
    let mut player = Player::new(line, plan.counter, plan.draw, plan.secrets.clone());
    player.seed = plan.seed;
    let mut list: Vec<Checked> = Vec::new();
    let (mut silent, mut left_out) = (false, 0);
    let other = if plan.secrets.is_some() { Link::Plain } else { Link::Secured };
    // HELLO, its proof, coming up: without them nothing else can be seen.
    let first = 2 + usize::from(plan.secrets.is_some());
    for check in checks::all().filter(|check| check.level <= plan.level && check.link != other) {
        if list.len() >= first && !plan.only.is_empty() && !plan.only.iter().any(|id| id == check.id) {
            left_out += 1;
            continue;
        }
        let checked = if silent {
            let detail = "there is no link".to_owned();
            Checked { id: check.id, name: check.name, verdict: Verdict::NotRun, detail, took_ms: 0 }
        } else {
            play(check, &mut player)?
        };
        // Each check would wait in vain.
        silent |= list.len() < first && checked.verdict == Verdict::Fail;
        told(&checked);
        list.push(checked);
    }
    if !silent {
        for checked in invariants(&player, plan) {
            told(&checked);
            list.push(checked);
        }
    }
    let count = |verdict| list.iter().filter(|checked| checked.verdict == verdict).count();
    Ok(Report {
        schema: "till.link-conform/1",
        player: format!("till {}", env!("CARGO_PKG_VERSION")),
        port: plan.port.clone(),
        level: plan.level,
        secured: plan.secrets.is_some(),
        seed: plan.seed,
        pos_version: player.pos.map(|pos| format!("{}.{}", pos.major, pos.minor)),
        passed: count(Verdict::Pass),
        failed: count(Verdict::Fail),
        not_run: count(Verdict::NotRun),
        not_applicable: count(Verdict::NotApplicable),
        left_out,
        took_ms: player.now_ms() - begin_ms,
        checks: list,
    })
}

fn play(check: &Check, player: &mut Player<'_>) -> io::Result<Checked> {
    let begin_ms = player.now_ms();
    let (verdict, detail) = match (check.run)(player) {
        Ok(()) => (Verdict::Pass, String::new()),
        Err(Miss::Fail(what)) => (Verdict::Fail, what),
        Err(Miss::NotRun(why)) => (Verdict::NotRun, why),
        Err(Miss::NotApplicable(why)) => (Verdict::NotApplicable, why),
        Err(Miss::Line(error)) => return Err(error),
    };
    player.noise = None;
    Ok(Checked { id: check.id, name: check.name, verdict, detail, took_ms: player.now_ms() - begin_ms })
}

/// What had to hold all the time.
fn invariants(player: &Player<'_>, plan: &Plan) -> Vec<Checked> {
    let violated = |id: &str| player.violations.iter().find(|(of, _)| *of == id).map(|(_, what)| what.clone());
    let frames = (player.bad_frames > 0)
        .then(|| format!("{} frames came damaged; on a line without faults none may", player.bad_frames));
    let mut found = vec![
        ("L-012", "sent whole frames only, all the time", frames),
        ("L-060", "never acknowledged what was not sent", violated("L-060")),
    ];
    if plan.secrets.is_some() {
        found.extend([
            ("L-200", "sealed every frame but HELLO and REFUSE", violated("L-200")),
            ("L-203", "never used a nonce again", violated("L-203")),
            ("L-204", "raised the count with each HELLO of a nonce", violated("L-204")),
            ("L-208", "sent no wrong MAC", violated("L-208")),
            ("L-209", "raised the counter by 1 with each sealed frame", violated("L-209")),
            ("L-210", "began each session with counter 1", violated("L-210")),
        ]);
    }
    if plan.level >= Level::Payment {
        found.push(("L-021", "sent messages of 5.2 only", violated("L-021")));
        found.push(("L-085", "never paid and cancelled one sale", paid_and_cancelled(player)));
    }
    let checked = found.into_iter().map(|(id, name, detail)| {
        let verdict = if detail.is_some() { Verdict::Fail } else { Verdict::Pass };
        Checked { id, name, verdict, detail: detail.unwrap_or_default(), took_ms: 0 }
    });
    checked.collect()
}

fn paid_and_cancelled(player: &Player<'_>) -> Option<String> {
    let cancelled: Vec<SaleId> = player
        .said
        .iter()
        .filter_map(|said| if let ToTill::Cancel { sale } = said { Some(*sale) } else { None })
        .collect();
    cancelled.into_iter().find(|&sale| !player.payments(sale).is_empty()).map(|sale| format!("sale {sale}"))
}

#[cfg(test)]
mod probe_tests;
#[cfg(test)]
mod tests;
