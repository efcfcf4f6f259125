//! `till engine bench`: each engine on every backend and in every precision that this machine has, in one run: latency
//! in turns, then each of them alone at full speed while power, clocks and heat are read.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::engine::{Common, each, head, noise, quantile, with};
use super::exit::CliError;

use crate::engine::{Backend, Engine, EngineError, Manifest};
use crate::machine::{Tree, sensors};
use crate::runtime::status::rss_bytes;

/// How often the sensors are read: an INA3221 takes some ten ms to measure anew.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What is timed, and how long.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// Which engines
    #[command(flatten)]
    pub common: Common,
    /// Only on this backend: rten, onnxruntime or tensorrt
    #[arg(long, value_name = "NAME")]
    pub backend: Option<Backend>,
    /// Inferences on each backend
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub runs: usize,
    /// How long each backend then runs alone at full speed, for its rate, power and clocks, seconds
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    pub alone_s: f64,
    /// Read power and clocks below DIR, recorded from another box, instead of this one
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// The engine in `dir` on everything that can run it.
///
/// # Errors
/// An engine that can't be loaded, an inference that failed.
pub fn bench(dir: &Path, args: &BenchArgs) -> Result<Value, CliError> {
    let manifest = Manifest::load(dir)?;
    let runs = args.runs.max(1);
    let tree = Tree::new(args.root.clone().unwrap_or_else(|| "/".into()));
    let mut subjects = load(&manifest, args)?;
    // In turns, so that a busy machine slows all of them alike.
    for _ in 0..runs {
        for subject in &mut subjects {
            let start = Instant::now();
            subject.engine.run()?;
            subject.times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let first = subjects.first().map(|s| (s.engine.backend(), s.engine.precision()));
    let mut rows = Vec::new();
    for subject in &mut subjects {
        let seen = alone(subject, args.alone_s, &tree)?;
        rows.push(subject.row(&manifest, &seen));
    }
    let (backend, precision) = first.unwrap_or_default();
    let more = json!({ "threads": args.common.threads.max(1), "runs": runs, "backends": rows });
    Ok(with(head(&manifest, backend, precision), more))
}

/// One engine on one backend in one precision.
struct Subject {
    engine: Box<dyn Engine>,
    /// What loading it and one inference took of memory, bytes: of this process, and of what the machine has left.
    resident: u64,
    available: Option<u64>,
    times: Vec<f64>,
}

/// Everything that can run the engine, each with what it took of memory.
fn load(manifest: &Manifest, args: &BenchArgs) -> Result<Vec<Subject>, EngineError> {
    let mut subjects = Vec::new();
    let mut noise = noise();
    let now = || (rss_bytes(), available());
    let mut before = now();
    each(manifest, &args.common, args.backend, |mut engine| {
        engine.input_mut().fill_with(&mut noise);
        engine.run()?;
        let after = now();
        let resident = after.0.saturating_sub(before.0);
        let available = before.1.zip(after.1).map(|(before, after)| before.saturating_sub(after));
        subjects.push(Subject { engine, resident, available, times: Vec::new() });
        before = after;
        Ok(())
    })?;
    Ok(subjects)
}

/// What the machine has left, bytes. A Jetson's GPU takes its memory here, and it isn't the process's resident one.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Values of one sensor over a time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Series(Vec<u64>);

impl Series {
    fn add(&mut self, value: Option<u64>) {
        self.0.extend(value);
    }

    fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.iter().sum::<u64>() as f64 / self.0.len() as f64)
    }

    fn most(&self) -> Option<u64> {
        self.0.iter().copied().max()
    }

    fn least(&self) -> Option<u64> {
        self.0.iter().copied().min()
    }
}

/// What was seen while one subject ran alone.
#[derive(Debug, Default)]
struct Seen {
    per_s: f64,
    /// Milliwatts, and whether it is all that goes in.
    rails: Vec<(String, bool, Series)>,
    /// MHz and the highest cap.
    cpu: (Series, Option<u64>),
    gpu: (Series, Option<u64>),
    /// Thousandths of a degree.
    heat: Series,
}

impl Seen {
    fn sample(&mut self, tree: &Tree, rails: &[sensors::Rail]) {
        for (rail, (_, _, series)) in rails.iter().zip(&mut self.rails) {
            series.add(rail.milliwatts(tree));
        }
        for (clock, (series, cap)) in [(sensors::cpu(tree), &mut self.cpu), (sensors::gpu(tree), &mut self.gpu)] {
            series.add(clock.map(|clock| clock.mhz));
            *cap = (*cap).max(clock.and_then(|clock| clock.cap_mhz));
        }
        self.heat.add(sensors::hottest(tree).map(|(milli, _)| milli));
    }
}

/// Runs `subject` for `seconds`, at least once, while a thread of its own reads the sensors.
fn alone(subject: &mut Subject, seconds: f64, tree: &Tree) -> Result<Seen, CliError> {
    let rails = sensors::rails(tree);
    let none = rails.iter().map(|rail| (rail.name.clone(), rail.is_input(), Series::default())).collect();
    let mut seen = Seen { rails: none, ..Seen::default() };
    std::thread::scope(|scope| {
        let (over, wait) = channel::<()>();
        let (sampled, rails) = (&mut seen, &rails);
        scope.spawn(move || {
            loop {
                sampled.sample(tree, rails);
                if wait.recv_timeout(SAMPLE_EVERY) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        let start = Instant::now();
        let mut done = 0u32;
        let ended = loop {
            if let Err(error) = subject.engine.run() {
                break Err(error);
            }
            done += 1;
            if start.elapsed().as_secs_f64() >= seconds {
                break Ok(f64::from(done) / start.elapsed().as_secs_f64());
            }
        };
        drop(over);
        ended
    })
    .map(|per_s| Seen { per_s, ..seen })
    .map_err(CliError::from)
}

impl Subject {
    fn row(&mut self, manifest: &Manifest, seen: &Seen) -> Value {
        self.times.sort_by(f64::total_cmp);
        let mib = |bytes: u64| (bytes as f64 / f64::from(1 << 20) * 10.0).round() / 10.0;
        let rails: Vec<Value> = seen
            .rails
            .iter()
            .filter_map(|(name, _, mw)| {
                Some(json!({ "rail": name, "mean_mw": mw.mean()?.round(), "max_mw": mw.most()? }))
            })
            .collect();
        let input = seen.rails.iter().find(|(_, is_input, _)| *is_input).and_then(|(_, _, mw)| mw.mean());
        let power = match rails.is_empty() {
            true => json!("not measured here: no INA3221"),
            // Milliwatts over inferences a second are millijoules each.
            false => json!({ "rails": rails, "mj_per_inference": input.map(|mw| mw / seen.per_s) }),
        };
        let clock = |(mhz, cap): &(Series, Option<u64>), absent: &str| match mhz.mean() {
            Some(mean) => json!({ "mean_mhz": mean.round(), "min_mhz": mhz.least(), "cap_mhz": cap }),
            None => json!(format!("not measured here: no {absent}")),
        };
        json!({
            "backend": self.engine.backend(),
            "precision": self.engine.precision().unwrap_or(&manifest.precision),
            "device": self.engine.device(),
            "p50_ms": quantile(&self.times, 0.5),
            "p99_ms": quantile(&self.times, 0.99),
            "per_s": seen.per_s,
            "resident_mib": mib(self.resident),
            "available_mib": self.available.map(mib),
            "power": power,
            "cpu": clock(&seen.cpu, "cpufreq"),
            "gpu": clock(&seen.gpu, "devfreq of a GPU"),
            "hottest_c": seen.heat.most().map(|milli| milli as f64 / 1e3),
        })
    }
}

/// A row as lines for people.
pub fn text(row: &Value) -> String {
    let word = |key: &str| row[key].as_str().unwrap_or("-");
    let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
    let mut text = format!(
        "{} {}: p50 {:.2} ms, p99 {:.2} ms, alone {:.1} a second, {:.0} MiB resident",
        word("backend"),
        word("precision"),
        number("p50_ms"),
        number("p99_ms"),
        number("per_s"),
        number("resident_mib")
    );
    if let Some(mib) = row["available_mib"].as_f64() {
        text += &format!(", {mib:.0} MiB of the machine's");
    }
    if let Some(device) = row["device"].as_str() {
        text += &format!("\n      on {device}");
    }
    let power = &row["power"];
    let power = power["rails"].as_array().map_or_else(
        || power.as_str().unwrap_or("-").to_owned(),
        |rails| {
            let rail = |r: &Value| {
                format!("{} {} mW (at most {})", r["rail"].as_str().unwrap_or("-"), r["mean_mw"], r["max_mw"])
            };
            let each = power["mj_per_inference"].as_f64().map(|mj| format!(", {mj:.0} mJ an inference"));
            rails.iter().map(rail).collect::<Vec<_>>().join(", ") + &each.unwrap_or_default()
        },
    );
    text += &format!("\n      power {power}");
    for key in ["cpu", "gpu"] {
        let clock = &row[key];
        let told = clock.as_str().map_or_else(
            || format!("{} MHz, never under {}, allowed {}", clock["mean_mhz"], clock["min_mhz"], clock["cap_mhz"]),
            str::to_owned,
        );
        text += &format!("\n      {key} {told}");
    }
    if let Some(hottest) = row["hottest_c"].as_f64() {
        text += &format!("\n      hottest zone {hottest:.0} degrees");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
    }

    fn rows(root: PathBuf) -> (Value, Vec<Value>) {
        let blobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs");
        let common = Common { dirs: vec![], ort_dylib: None, plans: None, threads: 1, json: true };
        let args = BenchArgs { common, backend: None, runs: 3, alone_s: 0.0, root: Some(root) };
        let row = bench(&blobs, &args).unwrap();
        let rows = row["backends"].as_array().unwrap().clone();
        (row, rows)
    }

    /// The trees are composed from NVIDIA's documented layouts; no board was measured.
    #[test]
    fn power_and_clocks_are_those_of_the_recorded_board() {
        for (root, rail, mw, cpu, gpu, heat) in [
            ("doctor/nano-healthy", "POM_5V_IN", 6028.0, 1479.0, 921.0, 44.5),
            ("sensors/orin-nano", "VDD_IN", 9600.0, 1510.0, 624.0, 52.0),
        ] {
            let (row, rows) = rows(golden(root));
            assert_eq!((&row["name"], &row["runs"]), (&json!("blobs"), &json!(3)));
            let rten = rows.iter().find(|row| row["backend"] == "rten").unwrap();
            assert_eq!(rten["precision"], "fp32");
            assert!(rten["p50_ms"].as_f64().unwrap() > 0.0 && rten["per_s"].as_f64().unwrap() > 0.0, "{rten}");
            assert_eq!(
                rten["power"]["rails"][0],
                json!({ "rail": rail, "mean_mw": mw, "max_mw": mw as u64 }),
                "{root}"
            );
            assert_eq!(rten["power"]["rails"].as_array().unwrap().len(), 3);
            let (each, rate) = (rten["power"]["mj_per_inference"].as_f64().unwrap(), rten["per_s"].as_f64().unwrap());
            assert!((each * rate - mw).abs() < 1e-6 * mw, "{each} mJ at {rate} a second");
            assert_eq!((&rten["cpu"]["mean_mhz"], &rten["gpu"]["mean_mhz"]), (&json!(cpu), &json!(gpu)), "{root}");
            assert_eq!(rten["hottest_c"], json!(heat));
            assert!(text(rten).contains(&format!("power {rail} {mw:.1} mW")), "{}", text(rten));
        }
    }

    #[test]
    fn a_machine_without_sensors_says_so() {
        let (_, rows) = rows(golden("doctor/empty"));
        for row in &rows {
            assert_eq!(row["power"], "not measured here: no INA3221");
            assert_eq!(row["cpu"], "not measured here: no cpufreq");
            assert_eq!(row["gpu"], "not measured here: no devfreq of a GPU");
            assert_eq!(row["hottest_c"], Value::Null);
            assert!(text(row).contains("power not measured here: no INA3221"));
        }
    }

    #[test]
    fn a_series_by_hand() {
        let mut series = Series::default();
        assert_eq!((series.mean(), series.most(), series.least()), (None, None, None));
        for value in [Some(4), None, Some(2), Some(9)] {
            series.add(value);
        }
        assert_eq!((series.mean(), series.most(), series.least()), (Some(5.0), Some(9), Some(2)));
    }
}
