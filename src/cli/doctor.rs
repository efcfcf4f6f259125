//! `till doctor`: every check of the box with the one line that mends what it finds.

use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;

use crate::cli::{CliError, Exit};
use crate::config::Config;
use crate::doctor::{Finding, Site, Verdict, examine};
use crate::runtime::{Status, control};

/// Examines this box, or the recorded tree of another one. Exits with 6 when something is to be mended.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The configuration; below --root, where that is given
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
    /// Examine the files below DIR, recorded from another box, instead of this one
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Print also what is well or could not be looked at
    #[arg(long)]
    pub all: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the root is no folder.
pub fn run(args: &DoctorArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let site = match &args.root {
        Some(root) if !root.is_dir() => {
            return Err(CliError::new(Exit::Missing, format!("{}: no such folder", root.display())));
        }
        Some(root) => Site::recorded(root, &args.config),
        None => {
            let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            Site::here(&args.config, unix_s, ask(&args.config))
        }
    };
    let findings = examine(&site);
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let (fails, warns) = (count(Verdict::Fail), count(Verdict::Warn));
    if args.json {
        let report = json!({
            "schema": "till.doctor/1",
            "checks": findings,
            "ok": count(Verdict::Ok),
            "warn": warns,
            "fail": fails,
            "skipped": count(Verdict::Skipped),
        });
        writeln!(out, "{report}")?;
    } else {
        write!(out, "{}", text(&findings, args.all))?;
        let (well, blind) = (count(Verdict::Ok), count(Verdict::Skipped));
        writeln!(out, "{well} well, {warns} warnings, {fails} faults, {blind} not looked at")?;
    }
    Ok(if fails + warns > 0 { Exit::Findings } else { Exit::Ok })
}

fn ask(config: &std::path::Path) -> Result<Status, String> {
    let socket =
        Config::load(config).map_or_else(|_| PathBuf::from("/run/till/ctl.sock"), |config| config.counter.control);
    control::ask_status(&socket).map(|(status, _)| status).map_err(|error| error.to_string())
}

/// A line a finding, the gravest last, so that it stands above the prompt.
fn text(findings: &[Finding], all: bool) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for status in [Verdict::Skipped, Verdict::Ok, Verdict::Warn, Verdict::Fail] {
        let (word, shown) = match status {
            Verdict::Skipped => ("--", all),
            Verdict::Ok => ("ok", all),
            Verdict::Warn => ("WARN", true),
            Verdict::Fail => ("FAIL", true),
        };
        for finding in findings.iter().filter(|finding| shown && finding.status == status) {
            let _ = writeln!(text, "{word:<4} {:<24} {}", finding.id, finding.detail);
            if !finding.fix.is_empty() {
                let _ = writeln!(text, "     {:<24} -> {}", "", finding.fix);
            }
        }
    }
    text
}
