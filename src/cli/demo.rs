//! `till demo`: the demo store through the whole counter, over a pty, into the reference POS.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use till_link::{Attention, ToPos};

use crate::cli::{CliError, Exit};
use crate::config::{CameraSource, Config, TriggerSource};
use crate::port::SerialWire;
use crate::port::pty::{BYTES_PER_S_115200, NullModem};
use crate::pos::{Keys, PosEvent, Receipt};
use crate::replay::verdict::verdict;
use crate::replay::{self, Player};
use crate::runtime::latency::Histogram;
use crate::runtime::{Live, clock, logger, parts};
use crate::trigger::script::Script;

/// A session may go on for this long after its footage.
const TAIL: Duration = Duration::from_secs(8);

/// Plays the demo store: footage of a tray camera through GStreamer, detector, fusion, checkout, outbox and
/// the link over a pty at 115200 into the reference POS. Exits with 6 when a receipt is not as its script expects.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Frame by frame in the footage's own time, instead of at a shopper's pace
    #[arg(long)]
    pub fast: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Folder of the demo store: till.toml, catalogue.csv and clips/
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub store: PathBuf,
    /// Play only the clip whose file is named so
    #[arg(long, value_name = "NAME")]
    pub clip: Option<String>,
}

/// A folder for one run's books; it goes with the value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes a fresh folder for the books of one run.
///
/// # Errors
/// When it can't be made.
pub fn workshop() -> Result<Folder, CliError> {
    let path = std::env::temp_dir().join(format!("till-{}-{:08x}", std::process::id(), parts::draw()));
    std::fs::create_dir_all(&path)
        .map_err(|error| CliError::new(Exit::Failed, format!("{}: can't be made: {error}", path.display())))?;
    Ok(Folder(path))
}

/// A receipt as the JSON of several commands has it.
pub fn receipt_json(receipt: &Receipt) -> serde_json::Value {
    let cart = &receipt.cart;
    let lines: Vec<serde_json::Value> = cart
        .lines
        .iter()
        .map(|line| {
            serde_json::json!({
                "sku": line.sku.as_str(), "name": line.name.as_str(), "quantity": line.quantity,
                "unit_minor": line.unit_minor, "votes": line.evidence.votes,
                "score": f64::from(line.evidence.score_permille) / 1000.0, "mass_agrees": line.evidence.mass_agrees,
            })
        })
        .collect();
    serde_json::json!({
        "sale": receipt.sale.to_string(), "total_minor": cart.total_minor,
        "currency": cart.currency.code(), "mass_g": cart.mass_g, "lines": lines,
    })
}

/// What a run adds up to.
#[derive(Default)]
struct Sum {
    receipts: Vec<serde_json::Value>,
    clips: Vec<serde_json::Value>,
    matched: usize,
    frames: u64,
}

impl Sum {
    fn add(
        &mut self,
        script: &Script,
        receipts: &[Receipt],
        attentions: &[Attention],
        json: bool,
        out: &mut dyn Write,
    ) -> Result<(), CliError> {
        let verdict = verdict(&script.expect, receipts, attentions);
        self.matched += usize::from(verdict.matched);
        self.receipts.extend(receipts.iter().map(receipt_json));
        self.clips.push(serde_json::json!({ "title": script.title, "matched": verdict.matched, "seen": verdict.seen }));
        if !json {
            for receipt in receipts {
                writeln!(out, "{receipt}")?;
            }
            let mark = if verdict.matched { "as expected" } else { "NOT AS EXPECTED" };
            writeln!(out, "{}: {mark} ({})\n", script.title, verdict.seen)?;
        }
        Ok(())
    }
}

/// Runs the command.
///
/// # Errors
/// When a part of the counter can't be had or footage can't be decoded.
pub fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let config = super::run::load(&args.store.join("till.toml"))?;
    logger::install(log::LevelFilter::Warn);
    let mut scripts = replay::scripts(&args.store.join("clips"))?;
    if let Some(clip) = &args.clip {
        scripts.retain(|script| script.footage.file_stem().is_some_and(|stem| stem.to_string_lossy() == clip.as_str()));
        if scripts.is_empty() {
            return Err(CliError::new(
                Exit::Usage,
                format!("no clip {clip:?} in {}", args.store.join("clips").display()),
            ));
        }
    }
    let folder = workshop()?;
    let started = Instant::now();
    let mut sum = Sum::default();
    let (backend, latency) = if args.fast {
        fast(&config, &scripts, folder.path(), args.json, &mut sum, out)?
    } else {
        paced(&config, &scripts, folder.path(), args.json, &mut sum, out)?
    };
    if args.json {
        let object = serde_json::json!({
            "schema": "till.demo/1", "receipts": sum.receipts, "expected": scripts.len(), "matched": sum.matched,
            "frames": sum.frames, "latency_ms": { "p50": latency.0, "p99": latency.1 }, "clips": sum.clips,
            "backend": backend, "fast": args.fast, "seconds": started.elapsed().as_secs_f64(),
        });
        writeln!(out, "{object}")?;
    } else {
        let ms = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0} ms"));
        writeln!(
            out,
            "{} of {} sessions as expected; {} frames, engine on {backend}, frame to observation p50 {}, p99 {}; {:.0} s",
            sum.matched,
            scripts.len(),
            sum.frames,
            ms(latency.0),
            ms(latency.1),
            started.elapsed().as_secs_f64()
        )?;
    }
    Ok(if sum.matched == scripts.len() { Exit::Ok } else { Exit::Findings })
}

type Latency = (Option<f64>, Option<f64>);

fn quantiles(latency: &Histogram) -> Latency {
    (latency.quantile_ms(500), latency.quantile_ms(990))
}

/// In lock-step: nothing waits for a clock.
fn fast(
    config: &Config,
    scripts: &[Script],
    folder: &Path,
    json: bool,
    sum: &mut Sum,
    out: &mut dyn Write,
) -> Result<(String, Latency), CliError> {
    let mut player = Player::new(config, folder)?;
    for (i, script) in scripts.iter().enumerate() {
        eprintln!("[{}/{}] {}", i + 1, scripts.len(), script.title);
        let played = player.play(script)?;
        sum.frames += played.frames;
        sum.add(script, &played.receipts, &played.attentions, json, out)?;
    }
    Ok((player.engine().1.to_owned(), quantiles(&player.latency)))
}

/// What the POS's thread has seen of the session at hand.
#[derive(Default)]
struct Seen {
    receipts: Vec<Receipt>,
    attentions: Vec<Attention>,
}

/// At a shopper's pace: the live driver, a null-modem cable at 115200 and the POS in a thread of its own.
fn paced(
    config: &Config,
    scripts: &[Script],
    folder: &Path,
    json: bool,
    sum: &mut Sum,
    out: &mut dyn Write,
) -> Result<(String, Latency), CliError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| CliError::new(Exit::Failed, format!("{what}: {error}"));
    let cable = NullModem::open(Some(BYTES_PER_S_115200)).map_err(|error| failed("pty", &error))?;
    let [till_end, pos_end] = cable.ends();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let now_ms = clock::monotonic_ms();
    let mut pos = parts::pos(config, &folder.join("pos"), Keys::pay_all(), None, now_ms)?;
    let mut pos_wire = SerialWire::open(pos_end, config.port.baud).map_err(|error| failed("pos", &error))?;
    let pos_thread = std::thread::spawn({
        let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let turned = pos.turn(clock::monotonic_ms(), &mut pos_wire, &mut |event| show(&event, json, &seen));
                match turned {
                    Ok(true) => {}
                    Ok(false) => std::thread::sleep(Duration::from_millis(5)),
                    Err(error) => {
                        log::error!("pos: {error}");
                        return;
                    }
                }
            }
        }
    });
    let mut backend = String::new();
    let mut latency = (None, None);
    for (i, script) in scripts.iter().enumerate() {
        eprintln!("[{}/{}] {}", i + 1, scripts.len(), script.title);
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
        let live = Live::start(&of_clip(config, script, folder, till_end)?)?;
        let mut over_since: Option<Instant> = None;
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let status = live.status();
            if live.is_over() {
                let since = *over_since.get_or_insert_with(Instant::now);
                let done = status.session.phase == "Idle"
                    && status.outbox.unacknowledged == 0
                    && since.elapsed().as_millis() > 400;
                if done || since.elapsed() > TAIL {
                    sum.frames += status.cameras.iter().map(|camera| camera.frames).sum::<u64>();
                    backend = status.engine.backend;
                    latency = (status.engine.latency_ms_p50, status.engine.latency_ms_p99);
                    break;
                }
            }
        }
        live.stop();
        let Seen { receipts, attentions } = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        sum.add(script, &receipts, &attentions, json, out)?;
    }
    stop.store(true, Ordering::Relaxed);
    let _ = pos_thread.join();
    Ok((backend, latency))
}

/// The POS's side as it happens: talk, so it goes to stderr.
fn show(event: &PosEvent, quiet: bool, seen: &Mutex<Seen>) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let text = match event {
        PosEvent::Cart(cart) => {
            let lines: Vec<String> = cart.lines.iter().map(|line| format!("{} {}", line.quantity, line.sku)).collect();
            format!("tray: {} = {}", lines.join(", "), cart.total_minor)
        }
        PosEvent::Offer(offer) => format!("offer of {}: paying", offer.cart.total_minor),
        PosEvent::Receipt(receipt) => {
            seen.receipts.push(receipt.clone());
            format!("booked {}", receipt.sale)
        }
        PosEvent::Said(ToPos::Attention { reason, on: true, .. }) => {
            seen.attentions.push(*reason);
            format!("attention: {reason:?}")
        }
        PosEvent::Withdrawn(_) => "offer withdrawn".to_owned(),
        _ => return,
    };
    if !quiet {
        eprintln!("  pos: {text}");
    }
}

/// The configuration with this clip in the place of camera, lines and scale.
fn of_clip(config: &Config, script: &Script, folder: &Path, port: &Path) -> Result<Config, CliError> {
    let mut config = config.clone();
    config.counter.state_dir = folder.join("till");
    config.counter.control = folder.join("ctl.sock");
    config.tray.camera.source = CameraSource::File { path: script.footage.clone(), repeat: false };
    config.trigger.source = TriggerSource::Script(script.file.clone());
    config.port.path = port.to_owned();
    Ok(config)
}
