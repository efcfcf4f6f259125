//! `till replay`: recorded sessions in lock-step.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::demo::{Folder, receipt_json, workshop};
use crate::cli::{CliError, Exit};
use crate::replay::{self, Player};
use crate::runtime::logger;

/// Plays recorded sessions frame by frame through the whole counter; the same input gives the same bytes.
/// Exits with 6 when a session does not end as its script expects.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Folder of sessions: each a NAME.toml beside its footage
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The counter's configuration; camera, script and port of it are not used
    #[arg(long, value_name = "FILE", default_value = "demo/till.toml")]
    pub config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When a part of the counter can't be had or footage can't be decoded.
pub fn run(args: &ReplayArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    logger::install(log::LevelFilter::Warn);
    let config = super::run::load(&args.config)?;
    let scripts = replay::scripts(&args.dir)?;
    let folder: Folder = workshop()?;
    let mut player = Player::new(&config, folder.path())?;
    let (mut receipts, mut matched, mut frames) = (Vec::new(), 0, 0);
    for (i, script) in scripts.iter().enumerate() {
        eprintln!("{}/{} {}", i + 1, scripts.len(), script.title);
        let played = player.play(script)?;
        matched += usize::from(played.verdict.matched);
        frames += played.frames;
        if !args.json {
            let word = if played.verdict.matched { "as expected" } else { "NOT as expected" };
            writeln!(out, "{}: {word}: {}", played.title, played.verdict.seen)?;
        }
        receipts.extend(played.receipts.iter().map(receipt_json));
    }
    let sha = player.events_sha256();
    if args.json {
        let object = serde_json::json!({
            "schema": "till.replay/1", "events_sha256": sha, "receipts": receipts,
            "expected": scripts.len(), "matched": matched, "frames": frames,
            "engine": player.engine().0, "backend": player.engine().1,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "events sha256 {sha}")?;
    }
    Ok(if matched == scripts.len() { Exit::Ok } else { Exit::Findings })
}
