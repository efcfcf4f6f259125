//! `till gpio`: see the presence line move, and how it bounces.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::{CliError, Exit};
use crate::config::{Config, LinePlace, Presence, TriggerSource};
use crate::runtime::clock;
use crate::trigger::Debounce;
use crate::trigger::bounce::{Bounces, CLASSES_MS};
use crate::trigger::line::Line;

/// Arguments of `till gpio`.
#[derive(Debug, Args)]
pub struct GpioArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What `till gpio` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show each edge and each debounced change; at the end a histogram and the debounce that suits the line
    ///
    /// The running daemon holds its line: stop it first, or watch another one.
    Watch(WatchArgs),
}

/// Arguments of `till gpio watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The configuration that names the line and the debounce
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
    /// Another line, by its name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["chip", "offset"])]
    pub line: Option<String>,
    /// Another line's chip
    #[arg(long, value_name = "DEVICE", requires = "offset")]
    pub chip: Option<PathBuf>,
    /// Its number on the chip
    #[arg(long, value_name = "N", requires = "chip")]
    pub offset: Option<u32>,
    /// Stop after this many seconds; 0 goes on until it is interrupted
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub seconds: u64,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// No line in the configuration, or one that can't be opened.
pub fn run(args: &GpioArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let Action::Watch(args) = &args.action;
    let (config, debounce_ms) = line(args)?;
    let open = Line::open(&config)?;
    let mut level = open.level()?;
    let mut debounce = Debounce::new(debounce_ms);
    let mut bounces = Bounces::default();
    let begin_ms = clock::monotonic_ms();
    if !args.json {
        writeln!(out, "{}: {}, debounce {debounce_ms} ms", config.place, name(level))?;
    }
    loop {
        let edge = open.wait(Duration::from_millis(5))?;
        let now_ms = clock::monotonic_ms();
        if let Some((now, at_ns)) = edge {
            level = now;
            bounces.edge(at_ns);
            if !args.json {
                writeln!(out, "{:>8} ms   edge to {}", now_ms.saturating_sub(begin_ms), name(level))?;
            }
        }
        debounce.level(now_ms, level);
        if let Some(level) = debounce.poll(now_ms)
            && !args.json
        {
            writeln!(out, "{:>8} ms {}", now_ms.saturating_sub(begin_ms), name(level))?;
        }
        if args.seconds > 0 && now_ms.saturating_sub(begin_ms) >= args.seconds * 1_000 {
            break;
        }
    }
    let suggested = bounces.debounce_ms();
    if args.json {
        writeln!(
            out,
            "{}",
            json!({
                "schema": "till.gpio.watch/1", "line": config.place.to_string(), "edges": bounces.edges,
                "classes_ms": CLASSES_MS, "histogram": bounces.histogram, "debounce_ms": suggested,
            })
        )?;
    } else {
        writeln!(out, "{} edges; times between them:", bounces.edges)?;
        for (i, count) in bounces.histogram.iter().enumerate() {
            let class = CLASSES_MS.get(i).map_or_else(|| "longer".to_owned(), |ms| format!("<= {ms} ms"));
            writeln!(out, "{class:>10} {count:>6} {}", "#".repeat(usize::try_from(*count).unwrap_or(60).min(60)))?;
        }
        writeln!(out, "debounce_ms = {suggested} suits this line")?;
    }
    Ok(Exit::Ok)
}

fn name(level: bool) -> &'static str {
    if level { "active" } else { "inactive" }
}

fn line(args: &WatchArgs) -> Result<(Presence, u64), CliError> {
    let place = match (&args.line, &args.chip, args.offset) {
        (Some(name), ..) => Some(LinePlace::Named(name.clone())),
        (None, Some(chip), Some(offset)) => Some(LinePlace::At(chip.clone(), offset)),
        _ => None,
    };
    if let Some(place) = place {
        return Ok((Presence { place, active_low: false, pull_up: None }, 30));
    }
    let config = Config::load(&args.config).map_err(|error| CliError::new(Exit::Config, error.to_string()))?;
    match config.trigger.source {
        TriggerSource::Devices { presence: Some(line), .. } => Ok((line, config.trigger.debounce_ms)),
        _ => {
            let message = format!(
                "{}: no line; write [trigger] source = \"devices\" and a section [trigger.presence], or name one with --line",
                args.config.display()
            );
            Err(CliError::new(Exit::Config, message))
        }
    }
}
