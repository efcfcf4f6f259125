//! What came of a run: by requirement, for people as Markdown and for programs as JSON.

use std::fmt::Write;

use serde::Serialize;

use crate::conform::Level;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As the specification says.
    Pass,
    /// Not.
    Fail,
    /// It could not be seen; the detail says why.
    NotRun,
    /// Nothing is asked of this POS here; the detail says why.
    NotApplicable,
}

impl Verdict {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotRun => "not run",
            Self::NotApplicable => "n/a",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The requirement of `link/SPEC.md`.
    pub id: &'static str,
    /// What of it.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen; empty when it passed.
    pub detail: String,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `till.link-conform/1`.
    pub schema: &'static str,
    /// What played.
    pub player: String,
    /// The port.
    pub port: String,
    /// What was asked for.
    pub level: Level,
    /// With a key: section 8, in addition.
    pub secured: bool,
    /// The noise's seed.
    pub seed: u64,
    /// The POS's protocol version, if it said HELLO.
    pub pos_version: Option<String>,
    /// Counts of the verdicts.
    pub passed: usize,
    /// See `passed`.
    pub failed: usize,
    /// See `passed`.
    pub not_run: usize,
    /// See `passed`.
    pub not_applicable: usize,
    /// Checks that were not asked for.
    pub left_out: usize,
    /// In the order in which they were made.
    pub checks: Vec<Checked>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// Ids of what failed, each once.
    pub fn failed_ids(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> =
            self.checks.iter().filter(|check| check.verdict == Verdict::Fail).map(|check| check.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// In one word.
    pub fn verdict(&self) -> &'static str {
        match (self.failed, self.not_run + self.left_out) {
            (0, 0) => "conforms",
            (0, _) => "incomplete",
            _ => "does not conform",
        }
    }

    /// For people.
    pub fn markdown(&self, not_played: &[(&str, &str)]) -> String {
        let mut text = String::new();
        let secured = if self.secured { ", secured" } else { "" };
        let _ = writeln!(text, "# Conformance to the till link 1.0, level {}{secured}\n", self.level);
        let _ = writeln!(
            text,
            "**{}**: {} passed, {} failed, {} not run, {} not applicable.\n",
            self.verdict(),
            self.passed,
            self.failed,
            self.not_run,
            self.not_applicable
        );
        if self.left_out > 0 {
            let _ = writeln!(text, "{} checks were not asked for.\n", self.left_out);
        }
        let _ = writeln!(
            text,
            "Played by {} on {} in {:.1} s, noise seed {}, POS version {}.\n",
            self.player,
            self.port,
            self.took_ms as f64 / 1000.0,
            self.seed,
            self.pos_version.as_deref().unwrap_or("unknown")
        );
        let _ = writeln!(text, "| id | check | verdict | what was seen |\n|---|---|---|---|");
        for check in &self.checks {
            let detail = check.detail.replace('|', "\\|");
            let _ = writeln!(text, "| {} | {} | {} | {detail} |", check.id, check.name, check.verdict.as_str());
        }
        let _ = writeln!(text, "\n## Not played\n\nThese the vendor has to vouch for:\n\n| id | why |\n|---|---|");
        for (id, why) in not_played {
            let _ = writeln!(text, "| {id} | {why} |");
        }
        text
    }
}
