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

use checks::Check;
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
    let mut player = Player::new(line, plan.counter, plan.draw);
    player.seed = plan.seed;
    let mut list: Vec<Checked> = Vec::new();
    let mut silent = false;
    for check in checks::all().filter(|check| check.level <= plan.level) {
        let checked = if silent {
            let detail = "there is no link".to_owned();
            Checked { id: check.id, name: check.name, verdict: Verdict::NotRun, detail, took_ms: 0 }
        } else {
            play(check, &mut player)?
        };
        // Without a HELLO nothing else can be seen, and each check would wait in vain.
        silent |= list.len() < 2 && checked.verdict == Verdict::Fail;
        told(&checked);
        list.push(checked);
    }
    if !silent {
        for checked in invariants(&player, plan.level) {
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
        seed: plan.seed,
        pos_version: player.pos.map(|pos| format!("{}.{}", pos.major, pos.minor)),
        passed: count(Verdict::Pass),
        failed: count(Verdict::Fail),
        not_run: count(Verdict::NotRun),
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
        Err(Miss::Line(error)) => return Err(error),
    };
    player.noise = None;
    Ok(Checked { id: check.id, name: check.name, verdict, detail, took_ms: player.now_ms() - begin_ms })
}

/// What had to hold all the time.
fn invariants(player: &Player<'_>, level: Level) -> Vec<Checked> {
    let violated = |id: &str| player.violations.iter().find(|(of, _)| *of == id).map(|(_, what)| what.clone());
    let frames = (player.bad_frames > 0)
        .then(|| format!("{} frames came damaged; on a line without faults none may", player.bad_frames));
    let mut found = vec![
        ("L-012", "sent whole frames only, all the time", frames),
        ("L-060", "never acknowledged what was not sent", violated("L-060")),
    ];
    if level >= Level::Payment {
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
