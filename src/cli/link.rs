//! `till link`: the technician's and the vendor's tools for the line to the POS.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::cli::{CliError, Exit, link_key};
use crate::conform::ping::{Diagnosis, ping};
use crate::conform::player::keyed::{Key, Secrets};
use crate::conform::{self, Level, Plan, TtyLine, loopback};
use crate::port::{PortError, PortErrorKind, key_file};
use crate::runtime::parts;
use crate::tty::TtyError;

/// The serial line to the POS: is it there, is it right, does the POS keep to the specification.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What `till link` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Ask the POS for its HELLO, and say in plain words what is wrong if it does not answer. Changes nothing in
    /// its books. Ends with 5 when answers are missing and with 6 when there is no POS to talk to
    Ping(PingArgs),
    /// Test port and cable with TX and RX joined at the far end: what goes out must come back. Ends with 6 when
    /// it does not
    Loopback(LoopbackArgs),
    /// Play against a POS of anyone's making and say, by requirement of link/SPEC.md, what is right. Ends with 5
    /// when something could not be played and with 6 when something is wrong
    ///
    /// The POS is set to this counter number, takes no real money and pays every offer at once (or somebody does).
    Conform(ConformArgs),
    /// The key that a counter and its POS share
    Key(link_key::KeyArgs),
}

/// The port.
#[derive(Debug, Args)]
pub struct PortArgs {
    /// The serial port; the daemon must not have it open
    #[arg(long, value_name = "TTY")]
    pub port: PathBuf,
    /// Its speed
    #[arg(long, default_value_t = 115_200)]
    pub baud: u32,
}

/// Arguments of `till link ping`.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// The port
    #[command(flatten)]
    pub port: PortArgs,
    /// The counter's number
    #[arg(long, default_value_t = 1)]
    pub counter: u32,
    /// The link's key, as link.key_file: a POS that demands one answers nobody without
    #[arg(long, value_name = "F")]
    pub key_file: Option<PathBuf>,
    /// How often to ask
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub count: u32,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `till link loopback`.
#[derive(Debug, Args)]
pub struct LoopbackArgs {
    /// The port
    #[command(flatten)]
    pub port: PortArgs,
    /// How many bytes
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(256..=10_000_000))]
    pub bytes: u32,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Conformance levels that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    /// Shows, stores and acknowledges
    Display,
    /// Also takes money and answers questions
    Payment,
    /// The same on a secured link, with what section 8 asks for; needs --key-file
    Secured,
}

/// Arguments of `till link conform`.
#[derive(Debug, Args)]
pub struct ConformArgs {
    /// The port
    #[command(flatten)]
    pub port: PortArgs,
    /// The counter's number that the POS is set to
    #[arg(long, default_value_t = 1)]
    pub counter: u32,
    /// The conformance level
    #[arg(long, value_enum, default_value = "payment")]
    pub level: LevelArg,
    /// The link's key, in a file as link.key_file, for a POS that is secured; with a second key in it, which the POS
    /// holds, too, a rotation is played. With --level display: the secured level of a POS that takes no money
    #[arg(long, value_name = "FILE", required_if_eq("level", "secured"))]
    pub key_file: Option<PathBuf>,
    /// Play only the checks of these requirements, such as L-083; what is left out makes the run incomplete
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// A shell command that kills the POS at once (as a power cut does) and starts it again; without it what
    /// needs a restart is not played
    #[arg(long, value_name = "CMD")]
    pub restart: Option<String>,
    /// Of the noise; the same seed makes the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write conformance.md and conformance.json there
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the port can't be opened or breaks.
pub fn run(args: &LinkArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    match &args.action {
        Action::Ping(args) => run_ping(args, out),
        Action::Loopback(args) => run_loopback(args, out),
        Action::Conform(args) => run_conform(args, out),
        Action::Key(args) => link_key::run(args, out),
    }
}

fn open(port: &PortArgs, restart: Option<String>) -> Result<TtyLine, CliError> {
    TtyLine::open(&port.port, port.baud, restart).map_err(|error: PortError| {
        let fix = match error.kind {
            PortErrorKind::Busy => {
                "; stop the daemon first (systemctl stop till), or ask it how the link is (till status)"
            }
            _ => "",
        };
        CliError::new(Exit::Missing, format!("{error}{fix}"))
    })
}

fn lost(port: &PortArgs, error: &std::io::Error) -> CliError {
    CliError::new(Exit::Missing, TtyError::io(port.port.display().to_string(), error).to_string())
}

fn run_ping(args: &PingArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let security = match &args.key_file {
        Some(file) => Some(key_file::load(file).map_err(|error| CliError::new(Exit::Config, error.to_string()))?),
        None => None,
    };
    let mut line = open(&args.port, None)?;
    let pinged = ping(&mut line, args.counter, args.count, parts::draw(), security.as_ref())
        .map_err(|error| lost(&args.port, &error))?;
    let diagnosis = pinged.diagnosis(args.counter);
    let words = pinged.words(args.counter);
    if args.json {
        let times = pinged.min_median_max_ms();
        let object = json!({
            "schema": "till.link-ping/1",
            "port": args.port.port,
            "diagnosis": diagnosis,
            "words": words,
            "version": format!("{}.{}", till_link::VERSION.0, till_link::VERSION.1),
            "messages": format!("{:08x}", till_link::message::SCHEMA),
            "round_trip_ms": times.map(|[min, median, max]| json!({ "min": min, "median": median, "max": max })),
            "counts": pinged,
        });
        writeln!(out, "{object}")?;
    } else {
        let mut line = |name: &str, value: String| writeln!(out, "{name:<12} {value}");
        line("answers", format!("{} of {}, {} asked again", pinged.answered, pinged.sent, pinged.retransmits))?;
        if let Some([min, median, max]) = pinged.min_median_max_ms() {
            line("round trip", format!("{min} ms min, {median} ms median, {max} ms max"))?;
        }
        line(
            "received",
            format!(
                "{} bytes, {} whole frames; {} damaged, {} not COBS, {} too long; {} of our own",
                pinged.bytes_in, pinged.frames_in, pinged.bad_crc, pinged.bad_cobs, pinged.too_long, pinged.echoed
            ),
        )?;
        line(
            "this end",
            format!(
                "till, version {}.{}, schema {:08x}, counter {}",
                till_link::VERSION.0,
                till_link::VERSION.1,
                till_link::message::SCHEMA,
                args.counter
            ),
        )?;
        if let Some(other) = &pinged.other {
            line(
                "other end",
                format!(
                    "{}, version {}, schema {}, counter {}",
                    other.role, other.version, other.schema, other.counter
                ),
            )?;
        }
        line(if diagnosis == Diagnosis::Well { "well" } else { "FAULT" }, words)?;
    }
    Ok(match diagnosis {
        Diagnosis::Well => Exit::Ok,
        Diagnosis::Lossy => Exit::Degraded,
        _ => Exit::Findings,
    })
}

fn run_loopback(args: &LoopbackArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut line = open(&args.port, None)?;
    let count = args.bytes as usize;
    let looped = loopback::loopback(&mut line, count, 1).map_err(|error| lost(&args.port, &error))?;
    if args.json {
        let object = json!({
            "schema": "till.link-loopback/1",
            "port": args.port.port,
            "ok": looped.is_whole(),
            "words": looped.words(),
            "counts": looped,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "sent         {} bytes", looped.sent)?;
        writeln!(out, "received     {} bytes, {} of them changed", looped.received, looped.altered)?;
        writeln!(out, "{:<12} {}", if looped.is_whole() { "well" } else { "FAULT" }, looped.words())?;
    }
    Ok(if looped.is_whole() { Exit::Ok } else { Exit::Findings })
}

/// The keys that the player holds, and randomness for its nonces.
fn secrets(file: &Path) -> Result<Secrets, CliError> {
    let keys = key_file::keys(file).map_err(|error| CliError::new(Exit::Config, error.to_string()))?;
    let seed = key_file::seed(file).map_err(|error| CliError::new(Exit::Config, error.to_string()))?;
    Ok(Secrets { keys: keys.into_iter().map(|(id, bytes)| Key::new(id, bytes)).collect(), seed })
}

fn run_conform(args: &ConformArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let level = match args.level {
        LevelArg::Display => Level::Display,
        LevelArg::Payment | LevelArg::Secured => Level::Payment,
    };
    let secrets = args.key_file.as_deref().map(secrets).transpose()?;
    let known = |id: &String| conform::checks::all().any(|check| check.id == id);
    if let Some(id) = args.only.iter().find(|id| !known(id)) {
        return Err(CliError::new(Exit::Config, format!("--only {id}: no check plays a requirement of that name")));
    }
    let mut line = open(&args.port, args.restart.clone())?;
    let (only, port) = (args.only.clone(), args.port.port.display().to_string());
    let plan = Plan { level, secrets, only, counter: args.counter, seed: args.seed, draw: parts::draw(), port };
    let mut broken = None;
    let report = conform::run(&plan, &mut line, &mut |checked| {
        let line = format!("{}  {:<7}  {}", checked.id, checked.verdict.as_str(), checked.name);
        let line = if checked.detail.is_empty() { line } else { format!("{line}: {}", checked.detail) };
        // Progress is talk when the data is one object.
        let told = if args.json {
            eprintln!("{line}");
            Ok(())
        } else {
            writeln!(out, "{line}").and_then(|()| out.flush())
        };
        if let Err(error) = told {
            broken.get_or_insert(error);
        }
    })
    .map_err(|error| lost(&args.port, &error))?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    let object = json!(report);
    if let Some(folder) = &args.report {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("conformance.md"), report.markdown(conform::checks::NOT_PLAYED))?;
        std::fs::write(folder.join("conformance.json"), format!("{object:#}\n"))?;
    }
    if args.json {
        writeln!(out, "{object}")?;
    } else {
        writeln!(
            out,
            "\n{}: {} passed, {} failed, {} not run, {} not applicable, {:.1} s",
            report.verdict(),
            report.passed,
            report.failed,
            report.not_run,
            report.not_applicable,
            report.took_ms as f64 / 1000.0
        )?;
    }
    Ok(match (report.failed, report.not_run + report.left_out) {
        (0, 0) => Exit::Ok,
        (0, _) => Exit::Degraded,
        _ => Exit::Findings,
    })
}
