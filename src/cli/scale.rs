//! `till scale`: see what the load cell says, tare it, calibrate it with a known mass.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::{CliError, Exit};
use crate::config::{Config, Scale, ScaleSource, TriggerSource};
use crate::runtime::clock;
use crate::trigger::cell::calibrator::{Calibrator, Step, Still};
use crate::trigger::cell::{self, Calibration, Cell, LoadCell, iio};
use crate::trigger::{TriggerError, TriggerErrorKind};

/// Asked this often.
const EVERY: Duration = Duration::from_millis(50);

/// Arguments of `till scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What `till scale` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show each reading, and at the end how much the load trembled
    Watch(WatchArgs),
    /// Take the load of this moment, of an empty tray, as zero
    Tare(FromArgs),
    /// Find out with a known mass how many counts a gram is
    ///
    /// The tray must be empty first; then the mass is put on it. No key need be pressed. The counter may run
    /// meanwhile; it takes the new calibration at once.
    Calibrate(CalibrateArgs),
}

/// Where the scale is.
#[derive(Debug, Args)]
pub struct FromArgs {
    /// The configuration that names the scale
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
    /// Look for converters below this folder instead of /
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait_s: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `till scale watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Where the scale is
    #[command(flatten)]
    pub from: FromArgs,
    /// Stop after this many seconds; 0 goes on until it is interrupted
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub seconds: u64,
}

/// Arguments of `till scale calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Where the scale is
    #[command(flatten)]
    pub from: FromArgs,
    /// The known mass, grams; about half of what the scale can weigh is best
    #[arg(long, value_name = "GRAMS", value_parser = clap::value_parser!(i32).range(1..=100_000))]
    pub mass: i32,
}

impl From<TriggerError> for CliError {
    fn from(error: TriggerError) -> Self {
        let exit = match error.kind {
            TriggerErrorKind::Missing | TriggerErrorKind::Busy | TriggerErrorKind::Denied => Exit::Missing,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

/// Runs the command.
///
/// # Errors
/// No scale in the configuration, one that can't be read, a mass that moves nothing.
pub fn run(args: &ScaleArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    match &args.action {
        Action::Watch(args) => watch(args, out),
        Action::Tare(args) => tare(args, out),
        Action::Calibrate(args) => calibrate(args, out),
    }
}

struct Place {
    scale: Scale,
    devices: PathBuf,
    calibration: PathBuf,
}

impl Place {
    fn of(args: &FromArgs) -> Result<Self, CliError> {
        let config = Config::load(&args.config).map_err(|error| CliError::new(Exit::Config, error.to_string()))?;
        let TriggerSource::Devices { scale: Some(scale), .. } = config.trigger.source else {
            let message = format!(
                "{}: no scale; write [trigger] source = \"devices\" and a section [trigger.scale]",
                args.config.display()
            );
            return Err(CliError::new(Exit::Config, message));
        };
        let devices = args.root.join(cell::IIO_DEVICES.trim_start_matches('/'));
        Ok(Self { scale, devices, calibration: config.counter.state_dir.join("scale.json") })
    }

    /// The file of a converter's counts.
    fn counts(&self) -> Result<PathBuf, CliError> {
        match &self.scale.source {
            ScaleSource::Iio(name) => Ok(iio::find(&self.devices, name)?),
            ScaleSource::Serial { path, .. } => {
                let message = format!("{}: this scale says grams; tare and calibrate it at itself", path.display());
                Err(CliError::new(Exit::Usage, message))
            }
        }
    }
}

/// Reads the counts again and again until `take` has seen enough.
fn read<T>(
    place: &Place,
    wait_s: u64,
    mut take: impl FnMut(u64, i64) -> Result<Option<T>, CliError>,
) -> Result<T, CliError> {
    let file = place.counts()?;
    let begin_ms = clock::monotonic_ms();
    loop {
        let now_ms = clock::monotonic_ms();
        if let Some(done) = take(now_ms, iio::counts(&file)?)? {
            return Ok(done);
        }
        if now_ms.saturating_sub(begin_ms) > wait_s * 1_000 {
            let message = format!("{}: not done within {wait_s} s; the old calibration stands", file.display());
            return Err(CliError::new(Exit::Failed, message));
        }
        std::thread::sleep(EVERY);
    }
}

fn told(calibration: &Calibration, file: &Path, noise: i64, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let a_gram = calibration.span_counts as f64 / f64::from(calibration.mass_g);
    let noise_g = noise as f64 / a_gram.abs();
    if json {
        let report = json!({
            "schema": "till.scale/1", "file": file, "zero_counts": calibration.zero_counts,
            "counts_a_gram": a_gram, "noise_g": noise_g,
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(
            out,
            "zero {} counts, {a_gram:.1} counts a gram; the empty tray trembles by {noise_g:.2} g",
            calibration.zero_counts
        )?;
        writeln!(out, "written to {}", file.display())?;
    }
    Ok(Exit::Ok)
}

fn calibrate(args: &CalibrateArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let place = Place::of(&args.from)?;
    let mut calibrator = Calibrator::new(args.mass);
    let mut said = None;
    let (calibration, noise) = read(&place, args.from.wait_s, |now_ms, counts| {
        let step = calibrator.reading(now_ms, counts)?;
        let word = match step {
            Step::Empty => "leave the tray empty".to_owned(),
            Step::PutMass => format!("put {} g on the tray", args.mass),
            Step::Settling => "let it come to rest".to_owned(),
            Step::Done(calibration, noise) => return Ok(Some((calibration, noise))),
        };
        if said.as_ref() != Some(&word) {
            eprintln!("{word} ({counts} counts)");
            said = Some(word);
        }
        Ok(None)
    })?;
    calibration.save(&place.calibration)?;
    told(&calibration, &place.calibration, noise, args.from.json, out)
}

fn tare(args: &FromArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let place = Place::of(args)?;
    // That the file is there is asked first, so that nobody waits for nothing.
    place.counts()?;
    let old = Calibration::load(&place.calibration)?;
    let mut still = Still::default();
    let spread_max = old.counts(5).saturating_abs();
    let (zero_counts, noise) =
        read(&place, args.wait_s, |now_ms, counts| Ok(still.reading(now_ms, counts, spread_max)))?;
    let new = Calibration { zero_counts, ..old };
    new.save(&place.calibration)?;
    told(&new, &place.calibration, noise, args.json, out)
}

fn watch(args: &WatchArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let place = Place::of(&args.from)?;
    let mut cell = match &place.scale.source {
        ScaleSource::Iio(name) => Cell::of_iio(&place.scale, &place.devices, name, &place.calibration)?,
        ScaleSource::Serial { .. } => Cell::open(&place.scale, &place.calibration)?,
    };
    let begin_ms = clock::monotonic_ms();
    let (mut readings, mut low, mut high, mut shown) = (0_u64, i32::MAX, i32::MIN, None);
    loop {
        let now_ms = clock::monotonic_ms();
        let word = match cell.poll(now_ms) {
            Ok(Some(weighed)) => {
                readings += 1;
                (low, high) = (low.min(weighed.grams), high.max(weighed.grams));
                let counts = weighed.counts.map(|counts| format!("  {counts} counts")).unwrap_or_default();
                let moves = if weighed.stable == Some(false) { "  moving" } else { "" };
                Some((weighed.grams, format!("{:>7} g{counts}{moves}", weighed.grams)))
            }
            Ok(None) => None,
            Err(error) => match error.kind {
                TriggerErrorKind::Format | TriggerErrorKind::Overload | TriggerErrorKind::Disconnected => {
                    Some((i32::MIN, error.to_string()))
                }
                _ => return Err(error.into()),
            },
        };
        if let Some((grams, line)) = word
            && shown.replace(grams) != Some(grams)
            && !args.from.json
        {
            writeln!(out, "{:>8} ms {line}", now_ms.saturating_sub(begin_ms))?;
        }
        if args.seconds > 0 && now_ms.saturating_sub(begin_ms) >= args.seconds * 1_000 {
            break;
        }
        std::thread::sleep(EVERY);
    }
    let spread = (readings > 0).then(|| i64::from(high) - i64::from(low));
    if args.from.json {
        writeln!(
            out,
            "{}",
            json!({
                "schema": "till.scale.watch/1", "readings": readings,
                "low_g": (readings > 0).then_some(low), "high_g": (readings > 0).then_some(high), "spread_g": spread,
            })
        )?;
    } else if let Some(spread) = spread {
        writeln!(out, "{readings} readings from {low} to {high} g: a spread of {spread} g")?;
    }
    if readings > 0 { Ok(Exit::Ok) } else { Err(CliError::new(Exit::Failed, "the scale gave no reading")) }
}
