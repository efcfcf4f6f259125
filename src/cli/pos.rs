//! `till pos`: the reference POS at the other end of a serial line.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use till_link::{Currency, Sku};

use crate::checkout::Catalogue;
use crate::cli::demo::receipt_json;
use crate::cli::{CliError, Exit};
use crate::port::{PortErrorKind, SerialWire, key_file};
use crate::pos::keys::{self, Key, Keyboard};
use crate::pos::screen::view::View;
use crate::pos::{Keys, Pos, PosEvent, Press, PriceList};
use crate::runtime::supervisor::{SignalPost, ends};
use crate::runtime::{clock, logger, parts};
use crate::tty::TtyErrorKind;

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
    /// The link's key, shared with the counter: 600 or stricter, as link.key_file
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Folder of the POS's books
    #[arg(long, value_name = "DIR", default_value = "/var/lib/till-pos")]
    pub state: PathBuf,
    /// Keys that nobody has to press, as TOML: default = "pay" | "cancel" | "wait", `[[offer]]` number, press, delay_ms
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Prices that the counter is to charge, as a catalogue; without it the counter charges its own
    #[arg(long, value_name = "CSV", requires = "currency")]
    pub prices: Option<PathBuf>,
    /// Currency of the prices
    #[arg(long, value_name = "CODE", requires = "prices")]
    pub currency: Option<String>,
    /// Enrol this new member as soon as the counter answers; the person has seen the text and agreed to it
    #[arg(long, value_name = "ID", requires = "consent_version")]
    pub enrol: Option<String>,
    /// Version of the text that the new member agreed to
    #[arg(long, value_name = "VERSION", requires = "enrol")]
    pub consent_version: Option<String>,
    /// Draw a live picture of the sale; keys: p pays, c cancels, a acknowledges, m asks who the shopper is, q quits
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
    if let Some(file) = &args.key_file {
        pos = pos.secured(key_file::load(file).map_err(|error| CliError::new(Exit::Config, error.to_string()))?);
    }
    if let (Some(file), Some(code)) = (&args.prices, &args.currency) {
        let wrong = |error: String| CliError::new(Exit::Config, error);
        let currency = Currency::new(code).ok_or_else(|| wrong(format!("{code:?} is no currency; such as KRW is")))?;
        let catalogue = Catalogue::load(file, currency).map_err(|error| wrong(error.to_string()))?;
        pos.set_prices(PriceList::from(&catalogue));
    }
    let word = |text: &String| {
        Sku::try_from(text.as_str()).map_err(|_| CliError::new(Exit::Usage, format!("{text:?} has more than 32 bytes")))
    };
    let mut enrol = match (&args.enrol, &args.consent_version) {
        (Some(member), Some(version)) => Some((word(member)?, word(version)?)),
        _ => None,
    };
    let live = args.terminal && std::io::stdout().is_terminal();
    if live {
        // Talk would run through the picture; what stops a sale still may.
        logger::install(log::LevelFilter::Error);
    }
    let mut keyboard = if args.terminal { Keyboard::open(std::io::stdin())? } else { None };
    let mut show: Show<'_> =
        if args.json { Show::Json(out) } else { Show::People(Box::new(View::new(pos.ledger(), out, live)?)) };
    let mut wire: Option<SerialWire> = None;
    let mut open_at_ms = 0;
    let mut told = None;
    let mut stuck = None;
    loop {
        let now_ms = clock::monotonic_ms();
        if wire.is_none() && now_ms >= open_at_ms {
            match SerialWire::open(&args.port, args.baud) {
                Ok(opened) => {
                    wire = Some(opened);
                    pos.reconnected(now_ms);
                    told = None;
                }
                Err(error) if error.kind == TtyErrorKind::Denied => {
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
                    // The endpoint notices much later; who looks at the screen should know now.
                    events.push(PosEvent::Down);
                    open_at_ms = now_ms + REOPEN_MS;
                    false
                }
                // The POS's own disk: nothing is acknowledged, the counter keeps it and sends it again.
                Err(error) => {
                    if stuck.as_ref() != Some(&error) {
                        log::error!("{error}");
                    }
                    stuck = Some(error);
                    false
                }
            },
        };
        for event in &events {
            if *event == PosEvent::Up
                && let Some((member, consent)) = enrol.take()
            {
                pos.enrol(member, consent, true);
            }
            show.heard(event)?;
        }
        let mut pressed = Vec::new();
        if let Some(keyboard) = &mut keyboard {
            keyboard.read(&mut |key| pressed.push(key))?;
        }
        for key in pressed {
            match key {
                Key::Quit => return Ok(Exit::Ok),
                Key::Acknowledge => match pos.acknowledge() {
                    Ok(true) => show.acknowledged(),
                    Ok(false) => {}
                    Err(error) => log::error!("the key had no effect: {error}"),
                },
                Key::Recognise => {
                    if pos.recognise() {
                        show.recognise();
                    }
                }
                Key::ItIsMe(yes) => {
                    if pos.it_is_me(yes) {
                        show.it_is_me(yes);
                    }
                }
                Key::Press(press) => match pos.key(press) {
                    Ok(true) => show.pressed(press),
                    Ok(false) => {}
                    Err(error) => log::error!("the key had no effect: {error}"),
                },
            }
        }
        show.draw()?;
        let nap = if moved { Duration::ZERO } else { NAP };
        if signals.wait(nap).is_some_and(ends) {
            return Ok(Exit::Ok);
        }
    }
}

/// Where events go.
enum Show<'o> {
    Json(&'o mut dyn Write),
    People(Box<View<&'o mut dyn Write>>),
}

impl Show<'_> {
    fn heard(&mut self, event: &PosEvent) -> Result<(), CliError> {
        match self {
            Self::Json(out) => {
                writeln!(out, "{}", json(event))?;
                out.flush()?;
            }
            Self::People(view) => view.heard(event)?,
        }
        Ok(())
    }

    fn pressed(&mut self, press: Press) {
        if let Self::People(view) = self {
            view.pressed(press);
        }
    }

    fn recognise(&mut self) {
        if let Self::People(view) = self {
            view.recognise();
        }
    }

    fn it_is_me(&mut self, yes: bool) {
        if let Self::People(view) = self {
            view.it_is_me(yes);
        }
    }

    fn acknowledged(&mut self) {
        if let Self::People(view) = self {
            view.acknowledged();
        }
    }

    fn draw(&mut self) -> Result<(), CliError> {
        if let Self::People(view) = self {
            let (columns, rows) = keys::size(std::io::stdout());
            view.draw(columns, rows)?;
        }
        Ok(())
    }
}

/// The event as one object of `till.pos/1`.
fn json(event: &PosEvent) -> serde_json::Value {
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
        PosEvent::Picture(picture) => serde_json::json!({
            "event": "picture", "sale": picture.of.0.to_string(), "revision": picture.of.1, "bytes": picture.jpeg.len()
        }),
        PosEvent::Up => serde_json::json!({ "event": "up" }),
        PosEvent::Down => serde_json::json!({ "event": "down" }),
    };
    object["schema"] = "till.pos/1".into();
    object
}
