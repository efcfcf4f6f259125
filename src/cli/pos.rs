//! `till pos`: the reference POS at the other end of a serial line.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use till_link::ToPos;

use crate::cli::demo::receipt_json;
use crate::cli::{CliError, Exit};
use crate::port::{PortErrorKind, SerialWire};
use crate::pos::{Keys, Pos, PosEvent};
use crate::runtime::supervisor::{SignalPost, ends};
use crate::runtime::{clock, logger, parts};

/// How long the POS naps when nothing moved.
const NAP: Duration = Duration::from_millis(5);
/// Between two attempts to open the port.
const REOPEN_MS: u64 = 500;

/// The reference POS: shows what lies on the tray, takes the key for pay or cancel, books each sale once and
/// prints its receipt. Its books outlive any crash.
#[derive(Debug, Args)]
pub struct PosArgs {
    /// The serial port
    #[arg(long, value_name = "TTY")]
    pub port: PathBuf,
    /// Its speed
    #[arg(long, default_value_t = 115_200)]
    pub baud: u32,
    /// The counter's number
    #[arg(long, default_value_t = 1)]
    pub counter: u32,
    /// Folder of the POS's books
    #[arg(long, value_name = "DIR", default_value = "/var/lib/till-pos")]
    pub state: PathBuf,
    /// Keys that nobody has to press, as TOML: default = "pay" | "cancel" | "wait", [[offer]] number, press, delay_ms
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Draw a live picture of the sale; keys: p pays, c cancels, q quits
    #[arg(long)]
    pub terminal: bool,
    /// Print one JSON object a line for each event
    #[arg(long, conflicts_with = "terminal")]
    pub json: bool,
}

/// Runs the command until SIGTERM, or until q is pressed.
///
/// # Errors
/// When the books or the key script can't be read, or the port is not permitted.
pub fn run(args: &PosArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    logger::install(log::LevelFilter::Info);
    let signals = SignalPost::install()?;
    let keys = match &args.script {
        Some(file) => Keys::load(file).map_err(|error| CliError::new(Exit::Config, error.to_string()))?,
        None => Keys::default(),
    };
    let now_ms = clock::monotonic_ms();
    let mut pos = Pos::open(&args.state, args.counter, parts::draw(), parts::draw(), keys, now_ms)
        .map_err(|error| CliError::new(Exit::Failed, error.to_string()))?;
    let mut wire: Option<SerialWire> = None;
    let mut open_at_ms = 0;
    let mut told = None;
    loop {
        let now_ms = clock::monotonic_ms();
        if wire.is_none() && now_ms >= open_at_ms {
            match SerialWire::open(&args.port, args.baud) {
                Ok(opened) => {
                    wire = Some(opened);
                    pos.reconnected(now_ms);
                    told = None;
                }
                Err(error) if error.kind == PortErrorKind::Denied => {
                    return Err(CliError::new(Exit::Missing, error.to_string()));
                }
                Err(error) => {
                    open_at_ms = now_ms + REOPEN_MS;
                    if told.as_ref() != Some(&error) {
                        log::warn!("{error}; trying again");
                    }
                    told = Some(error);
                }
            }
        }
        let mut events = Vec::new();
        let moved = match &mut wire {
            None => false,
            Some(open) => match pos.turn(now_ms, open, &mut |event| events.push(event)) {
                Ok(moved) => moved,
                Err(error) if error.kind == PortErrorKind::Lost => {
                    log::warn!("{error}; opening the port again");
                    wire = None;
                    open_at_ms = now_ms + REOPEN_MS;
                    false
                }
                // The POS's own disk: nothing is acknowledged, the counter keeps it and sends it again.
                Err(error) => {
                    log::error!("{error}");
                    false
                }
            },
        };
        for event in &events {
            print(event, args.json, out)?;
        }
        let nap = if moved { Duration::ZERO } else { NAP };
        if signals.wait(nap).is_some_and(ends) {
            return Ok(Exit::Ok);
        }
    }
}

fn print(event: &PosEvent, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if json {
        let mut object = match event {
            PosEvent::Cart(cart) => {
                serde_json::json!({ "event": "cart", "lines": cart.lines.len(), "total_minor": cart.total_minor })
            }
            PosEvent::Offer(offer) => {
                serde_json::json!({ "event": "offer", "sale": offer.sale.to_string(), "total_minor": offer.cart.total_minor })
            }
            PosEvent::Withdrawn(sale) => serde_json::json!({ "event": "withdrawn", "sale": sale.to_string() }),
            PosEvent::Receipt(receipt) => serde_json::json!({ "event": "receipt", "receipt": receipt_json(receipt) }),
            PosEvent::Ended { sale, outcome, refund } => serde_json::json!({
                "event": "ended", "sale": sale.to_string(), "outcome": format!("{outcome:?}"),
                "refund_minor": refund.map(|refund| refund.amount_minor),
            }),
            PosEvent::Said(message) => serde_json::json!({ "event": "said", "message": format!("{message:?}") }),
            PosEvent::Up => serde_json::json!({ "event": "up" }),
            PosEvent::Down => serde_json::json!({ "event": "down" }),
        };
        object["schema"] = "till.pos/1".into();
        writeln!(out, "{object}")?;
    } else {
        match event {
            PosEvent::Receipt(receipt) => writeln!(out, "{receipt}")?,
            PosEvent::Offer(offer) => writeln!(out, "offer {}: {} minor", offer.sale, offer.cart.total_minor)?,
            PosEvent::Withdrawn(sale) => writeln!(out, "offer {sale} withdrawn")?,
            PosEvent::Ended { sale, outcome, refund } => {
                let refund =
                    refund.map(|refund| format!(", give back {} minor", refund.amount_minor)).unwrap_or_default();
                writeln!(out, "sale {sale} ended: {outcome:?}{refund}")?;
            }
            PosEvent::Said(ToPos::Attention { reason, on: true, .. }) => writeln!(out, "attention: {reason:?}")?,
            PosEvent::Up => writeln!(out, "counter connected")?,
            PosEvent::Down => writeln!(out, "counter gone")?,
            PosEvent::Cart(_) | PosEvent::Said(_) => {}
        }
    }
    out.flush()?;
    Ok(())
}
