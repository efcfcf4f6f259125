//! `till sim`: the seeded simulator. The only clock it reads is for the rate that it prints.

use std::io::Write;
use std::ops::Range;
use std::time::Instant;

use clap::Args;

use crate::cli::{CliError, Exit};
use crate::sim::faults::Fault;
use crate::sim::{self, Plant, Report};

/// Simulates counters with everything that goes wrong: each seed is a shop of its own with shoppers, a cable,
/// two disks and power cuts at both ends. Checks that no sale is lost, doubled or invented. Exits with 6
/// when something is found
#[derive(Debug, Args)]
pub struct SimArgs {
    /// The seeds, e.g. 0..100; the second is not simulated any more
    #[arg(long, value_name = "A..B", default_value = "0..100", value_parser = seeds)]
    pub seeds: Range<u64>,
    /// Plant a bug, to see it found: ack-before-fsync, forgot-parent-fsync, write-error-ignored,
    /// crc-not-checked, outbox-not-kept, till-forgets-last, pos-forgets-last, dedup-off-by-one,
    /// money-before-journal, key-not-asked, mass-not-checked, unsure-charged
    #[arg(long, value_name = "NAME")]
    pub plant: Option<Plant>,
    /// Print the story of the first seed in which something was found, or of the first seed
    #[arg(long)]
    pub trace: bool,
    /// Print one JSON object; a story then goes to stderr
    #[arg(long)]
    pub json: bool,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong =
        || format!("{text:?} is no range of seeds; write two whole numbers as in 0..100, the first below the second");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let range = from.parse().map_err(|_| wrong())?..to.parse().map_err(|_| wrong())?;
    if range.is_empty() { Err(wrong()) } else { Ok(range) }
}

/// Runs the command.
///
/// # Errors
/// When the output can't be written.
pub fn run(args: &SimArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let start = Instant::now();
    let report = sim::run(args.seeds.clone(), args.plant);
    let seconds = start.elapsed().as_secs_f64().max(1e-9);
    if args.json {
        writeln!(out, "{}", json(&report, seconds))?;
    } else {
        print(&report, seconds, out)?;
    }
    if args.trace {
        let seed = report.first_failure.as_ref().map_or(args.seeds.start, |(seed, _)| *seed);
        let story = sim::tell(seed, args.plant);
        for line in story.trace.iter().chain(&story.findings) {
            if args.json {
                eprintln!("{line}");
            } else {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(if report.verdict.is_sound() { Exit::Ok } else { Exit::Findings })
}

fn json(report: &Report, seconds: f64) -> serde_json::Value {
    let faults: serde_json::Map<String, serde_json::Value> =
        Fault::ALL.iter().map(|fault| (fault.name().to_owned(), report.faults.get(*fault).into())).collect();
    let verdict = &report.verdict;
    serde_json::json!({
        "schema": "till.sim/1",
        "seeds": report.seeds,
        "sessions": verdict.sessions,
        "paid": verdict.paid,
        "by_mass": verdict.by_mass,
        "faults": faults,
        "lost": verdict.lost,
        "duplicated": verdict.duplicated,
        "violations": verdict.violations,
        "sessions_per_s": (verdict.sessions as f64 / seconds).round(),
        "first_failure": report.first_failure.as_ref().map(|(seed, findings)| {
            serde_json::json!({ "seed": seed, "findings": findings })
        }),
    })
}

fn print(report: &Report, seconds: f64, out: &mut dyn Write) -> std::io::Result<()> {
    if let Some((seed, findings)) = &report.first_failure {
        writeln!(out, "seed {seed}:")?;
        for finding in findings {
            writeln!(out, "{finding}")?;
        }
    }
    let verdict = &report.verdict;
    writeln!(
        out,
        "{} seeds, {} sessions ({:.0} a second), {} paid; {} lost, {} duplicated, {} violations",
        report.seeds,
        verdict.sessions,
        verdict.sessions as f64 / seconds,
        verdict.paid,
        verdict.lost,
        verdict.duplicated,
        verdict.violations
    )?;
    for fault in Fault::ALL {
        writeln!(out, "{:>16} {}", fault.name(), report.faults.get(*fault))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_two_numbers_in_order() {
        assert_eq!(seeds("3..9"), Ok(3..9));
        for wrong in ["3", "3..3", "9..3", "a..b", "..", "-1..2"] {
            assert!(seeds(wrong).unwrap_err().contains("no range of seeds"), "{wrong}");
        }
    }

    #[test]
    fn a_planted_bug_is_found_and_told_as_json() {
        let mut out = Vec::new();
        let args = SimArgs { seeds: 0..3, plant: Some(Plant::OutboxNotKept), trace: false, json: true };
        assert_eq!(run(&args, &mut out).unwrap(), Exit::Findings);
        let object: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&object["schema"], &object["seeds"]), (&"till.sim/1".into(), &3.into()));
        assert!(object["first_failure"]["findings"].as_array().is_some_and(|findings| !findings.is_empty()));
    }
}
