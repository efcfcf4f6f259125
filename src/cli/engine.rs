//! `till engine`: what engines there are, whether they load and agree on every backend, how fast they are.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::capture::Frame;
use crate::engine::manifest::MANIFEST_FILE;
use crate::engine::preflight::{self, Target};
use crate::engine::tensorrt::{self, Precision};
use crate::engine::{self, Backend, Choice, Engine, EngineError, Manifest};
use crate::vision::preprocess::Preprocessor;

use super::engine_bench::{self, BenchArgs};
use super::engine_build::{BuildArgs, PlanArgs, build, carry_out};
use super::exit::{CliError, Exit};
use super::picture;

/// Largest difference of two backends' outputs, relative where the value is above 1.
pub const PARITY: f32 = 1e-3;
/// Where engines lie when no folder is named.
pub const FOLDERS: [&str; 2] = ["engines", "/var/lib/till/engines"];

/// List, check, build and time engines
#[derive(Args, Clone, Debug)]
pub struct EngineArgs {
    /// What to do
    #[command(subcommand)]
    pub command: EngineCommand,
}

/// What to do with engines.
#[derive(Subcommand, Clone, Debug)]
pub enum EngineCommand {
    /// Print each engine's manifest in a line
    List(Common),
    /// Hash, preflight and load each engine, and compare the backends on one picture
    Check {
        /// Which engines
        #[command(flatten)]
        common: Common,
        /// Picture to compare on; noise if none is named
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
        /// TensorRT that the models are to build on: tensorrt-8.2 and the like, nano, xavier-nx or orin-nano
        #[arg(long, value_name = "TARGET", default_value = "nano")]
        target: Target,
    },
    /// Time each engine on every backend and in every precision, with power and clocks where the board tells
    Bench(BenchArgs),
    /// Build each engine's plan for TensorRT, compare it with the CPU, and put it in place
    Build(BuildArgs),
    /// The builder's own process
    #[command(hide = true)]
    BuildPlan(PlanArgs),
}

/// What all of them take.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Engine folders, or folders of engine folders [default: engines, /var/lib/till/engines]
    #[arg(value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// ONNX Runtime's library, or the folder that holds it
    #[arg(long, value_name = "FILE")]
    pub ort_dylib: Option<PathBuf>,
    /// Folder of TensorRT's plans [default: plans in the engine's folder]
    #[arg(long, value_name = "DIR")]
    pub plans: Option<PathBuf>,
    /// Threads of one inference
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// How they want an engine loaded.
    pub fn choice(&self, backend: Backend) -> Choice {
        let (ort_dylib, plans) = (self.ort_dylib.clone(), self.plans.clone());
        Choice { backend, threads: self.threads, ort_dylib, plans, ..Choice::default() }
    }
}

/// Runs the command and prints to `out`. Exit 6 when a check finds something.
///
/// # Errors
/// No engine found, or (list and bench) one that can't be read.
pub fn run(args: &EngineArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (command, common) = match &args.command {
        EngineCommand::List(common) => ("list", common),
        EngineCommand::Check { common, .. } => ("check", common),
        EngineCommand::Bench(args) => ("bench", &args.common),
        EngineCommand::Build(args) => ("build", &args.common),
        EngineCommand::BuildPlan(args) => return carry_out(args).map(|()| Exit::Ok),
    };
    let mut rows = Vec::new();
    if let EngineCommand::Build(args) = &args.command {
        for args in args.filled()? {
            for dir in folders(&args.common.dirs)? {
                rows.push(build(&dir, &args)?);
            }
        }
    } else {
        for dir in folders(&common.dirs)? {
            rows.push(match &args.command {
                EngineCommand::Check { common, picture, target } => check(&dir, common, picture.as_deref(), target)
                    .unwrap_or_else(|e| {
                        let name = dir.display().to_string();
                        json!({ "name": name, "backend": null, "ok": false, "problem": e.message })
                    }),
                EngineCommand::Bench(args) => engine_bench::bench(&dir, args)?,
                _ => list(&dir, common)?,
            });
        }
    }
    let bad = rows.iter().any(|row| row.get("ok") == Some(&json!(false)));
    let exit = if bad { Exit::Findings } else { Exit::Ok };
    if common.json {
        writeln!(out, "{}", json!({ "schema": format!("till.engine-{command}/1"), "engines": rows }))?;
    } else {
        rows.iter().try_for_each(|row| print(row, out))?;
    }
    Ok(exit)
}

/// A line for people: the fields in their order, without quotation marks.
fn print(row: &Value, out: &mut dyn Write) -> Result<(), CliError> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let Some(fields) = row.as_object() else { return Ok(()) };
    let name = fields.get("name").map(text).unwrap_or_default();
    writeln!(out, "{name}")?;
    for (key, value) in fields.iter().filter(|(k, _)| *k != "name") {
        if key == "preflight" {
            print_preflight(value, out)?;
        } else if let Some(rows) = value.as_array().filter(|rows| rows.iter().any(Value::is_object)) {
            for row in rows {
                let line = if key == "differences" { difference_text(row) } else { engine_bench::text(row) };
                writeln!(out, "    {line}")?;
            }
        } else {
            writeln!(out, "  {key:<10} {}", text(value))?;
        }
    }
    Ok(())
}

/// The verdict in a line, then each finding with its fix and source.
fn print_preflight(report: &Value, out: &mut dyn Write) -> Result<(), CliError> {
    let text = |v: &Value, key: &str| v[key].as_str().map_or_else(|| v[key].to_string(), str::to_owned);
    let verdict = if report["passes"] == json!(true) { "passes" } else { "fails" };
    let memory = &report["memory"];
    let needs = match memory.is_null() {
        true => String::new(),
        false => format!(", needs about {} MiB to run, {} to build", memory["run_mib"], memory["build_mib"]),
    };
    writeln!(out, "  {:<10} {verdict} for {}{needs}", "preflight", text(report, "target"))?;
    for f in report["findings"].as_array().into_iter().flatten() {
        let [level, rule, place, what] = ["level", "rule", "place", "what"].map(|k| text(f, k));
        writeln!(out, "    {level} [{rule}] {place}: {what}")?;
        writeln!(out, "      {} ({})", text(f, "fix"), text(f, "source"))?;
    }
    Ok(())
}

/// Every engine folder among and in `dirs`, each with the later stages of its cascade behind it.
///
/// # Errors
/// A folder that can't be read, and no engine at all.
pub fn folders(dirs: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let named = !dirs.is_empty();
    let dirs = if named { dirs.to_vec() } else { FOLDERS.map(PathBuf::from).to_vec() };
    let inside = |dir: &Path| -> std::io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path()));
        let mut inner: Vec<PathBuf> = entries.filter(|p| p.join(MANIFEST_FILE).exists()).collect();
        inner.sort();
        Ok(inner)
    };
    let mut found = Vec::new();
    for dir in &dirs {
        let engines = match dir.join(MANIFEST_FILE).exists() {
            true => Ok(vec![dir.clone()]),
            false => inside(dir),
        };
        match engines {
            Ok(engines) => found.extend(engines.into_iter().flat_map(|engine| {
                let stages = inside(&engine).unwrap_or_default();
                std::iter::once(engine).chain(stages)
            })),
            Err(e) if named => return Err(CliError::new(Exit::Config, format!("engine {}: {e}", dir.display()))),
            Err(_) => {}
        }
    }
    if found.is_empty() {
        let dirs = dirs.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(CliError::new(
            Exit::Config,
            format!("no engine in {dirs}: an engine is a folder with {MANIFEST_FILE}"),
        ));
    }
    Ok(found)
}

/// What each row begins with; `precision` is the engine's own word, where it isn't the manifest's.
pub fn head(m: &Manifest, backend: &str, precision: Option<&str>) -> Value {
    json!({
        "name": m.name, "backend": backend, "precision": precision.unwrap_or(&m.precision), "sha256": m.sha256,
    })
}

/// `row` with the fields of `more` behind it.
pub fn with(mut row: Value, more: Value) -> Value {
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row
}

fn list(dir: &Path, common: &Common) -> Result<Value, CliError> {
    let m = Manifest::load(dir)?;
    // What `auto` would take without a plan for TensorRT; nothing is loaded for a list.
    let backend = cpu_backends(common).first().map_or("", |backend| backend.as_str());
    let metrics: Vec<String> = m.metrics.iter().map(|x| format!("{} {} ({})", x.name, x.value, x.data)).collect();
    let more = json!({
        "folder": dir.display().to_string(),
        "input": format!("{}x{}", m.input.width, m.input.height),
        "labels": m.labels.products(),
        "licence": m.licence,
        "source": m.source,
        "metrics": metrics,
    });
    Ok(with(head(&m, backend, None), more))
}

/// The CPU's backends that can be had, in the order of preference.
pub fn cpu_backends(common: &Common) -> Vec<Backend> {
    let mut backends = engine::load::available(&common.choice(Backend::Auto));
    backends.retain(|backend| *backend != Backend::TensorRt);
    backends
}

/// Hands TensorRT's plans, then the CPU's backends, each loaded, to `take`; `only` one of them, where that is named. An
/// absent library or plan is no failure.
///
/// # Errors
/// Those of `take`, and a CPU's backend that is there and can't load the engine.
pub fn each(
    m: &Manifest,
    common: &Common,
    only: Option<Backend>,
    mut take: impl FnMut(Box<dyn Engine>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let wanted = |backend: &Backend| only.is_none_or(|only| matches!(only, Backend::Auto) || only == *backend);
    if wanted(&Backend::TensorRt) {
        tensorrt::load_each(m, &common.choice(Backend::TensorRt).stores(m), &mut take)?;
    }
    let on_cpu = cpu_backends(common).into_iter().filter(wanted);
    on_cpu.into_iter().try_for_each(|backend| take(engine::load(m, &common.choice(backend))?))
}

fn load_all(m: &Manifest, common: &Common) -> Result<Vec<Box<dyn Engine>>, EngineError> {
    let mut loaded = Vec::new();
    each(m, common, None, |engine| {
        loaded.push(engine);
        Ok(())
    })?;
    Ok(loaded)
}

/// What an engine may differ by from the same model on the CPU.
fn allowed(engine: &dyn Engine) -> f32 {
    let plan = engine.precision().and_then(|precision| precision.parse::<Precision>().ok());
    plan.map_or(PARITY, Precision::tolerance)
}

fn check(dir: &Path, common: &Common, file: Option<&Path>, target: &Target) -> Result<Value, CliError> {
    let m = Manifest::load(dir)?;
    let report = preflight::check(&m.model_bytes()?, target);
    let preflight = json!({ "ok": report.passes(), "preflight": report.json() });
    let compared = load_all(&m, common).map_err(CliError::from).and_then(|mut engines| {
        let frame = file.map(picture::load).transpose().map_err(|m| CliError::new(Exit::Failed, m))?;
        let names: Vec<_> = engines.iter().map(|e| e.backend()).collect();
        let first = engines.first().map(|e| e.precision().unwrap_or(&m.precision).to_owned());
        // The CPU is what the others are held to.
        let plans = names.iter().filter(|name| **name == "tensorrt").count();
        engines.rotate_left(plans);
        let found = parity(&m, &mut engines, frame.as_ref())?;
        Ok((names, first, found.into_iter().zip(engines.split_off(1)).collect::<Vec<_>>()))
    });
    let (names, precision, found) = match compared {
        Ok(compared) => compared,
        Err(e) => return Ok(with(head(&m, "", None), with(preflight, json!({ "ok": false, "problem": e.message })))),
    };
    let rows: Vec<Value> = found
        .iter()
        .map(|(difference, engine)| {
            json!({
                "backend": engine.backend(), "precision": engine.precision().unwrap_or(&m.precision),
                "device": engine.device(), "difference": difference, "allowed": allowed(engine.as_ref()),
            })
        })
        .collect();
    let good = found.iter().all(|(difference, engine)| *difference <= allowed(engine.as_ref()));
    let difference = found.iter().map(|(difference, _)| *difference).reduce(f32::max);
    let more = json!({
        "ok": report.passes() && good, "backends": names, "difference": difference, "differences": rows,
    });
    let more = match difference {
        Some(_) => more,
        None => with(more, json!({ "note": "one backend only: nothing to compare with" })),
    };
    let head = head(&m, names.first().copied().unwrap_or_default(), precision.as_deref());
    Ok(with(head, with(preflight, more)))
}

/// A row of `differences` for people.
fn difference_text(row: &Value) -> String {
    let word = |key: &str| row[key].as_str().unwrap_or("-");
    let device = row["device"].as_str().map(|device| format!(", on {device}")).unwrap_or_default();
    let (backend, precision) = (word("backend"), word("precision"));
    format!("{backend} {precision}: differs by {} of {} allowed{device}", row["difference"], row["allowed"])
}

/// Largest difference between the first engine's outputs and each other one's, relative where a value is above 1. On
/// `frame`, or on seeded noise.
pub fn parity(m: &Manifest, engines: &mut [Box<dyn Engine>], frame: Option<&Frame>) -> Result<Vec<f32>, CliError> {
    let mut input = vec![0.0; m.input.elements()];
    match frame {
        Some(frame) => Preprocessor::new(&m.input).fill(frame, &mut input)?,
        None => {
            let mut noise = noise();
            for (i, v) in input.iter_mut().enumerate() {
                *v = (noise() * 255.0 - m.input.mean[i % 3]) * m.input.scale[i % 3];
            }
        }
    }
    for e in engines.iter_mut() {
        e.input_mut().copy_from_slice(&input);
        e.run()?;
    }
    let Some((first, others)) = engines.split_first() else { return Ok(Vec::new()) };
    let compare = |other: &dyn Engine| {
        let mut worst = 0.0f32;
        for (i, spec) in first.outputs().iter().enumerate() {
            let same = other.outputs().iter().position(|o| o.name == spec.name).map(|j| other.output(j));
            let same = same.filter(|o| o.len() == first.output(i).len()).ok_or_else(|| {
                CliError::new(
                    Exit::Failed,
                    format!("engine {}: the backends' outputs differ at {:?}", m.name, spec.name),
                )
            })?;
            for (a, b) in first.output(i).iter().zip(same) {
                let d = (a - b).abs() / a.abs().max(1.0);
                // A number on one side only is as wrong as can be.
                worst = if d.is_nan() { f32::INFINITY } else { worst.max(d) };
            }
        }
        Ok(worst)
    };
    others.iter().map(|other| compare(other.as_ref())).collect()
}

/// The same numbers in 0..1 in each process (xorshift).
pub fn noise() -> impl FnMut() -> f32 {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// The value that a share of the sorted `times` doesn't exceed.
pub fn quantile(times: &[f64], share: f64) -> f64 {
    let index = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1)) - 1;
    times.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    fn run_json(command: EngineCommand) -> (Exit, Value) {
        let mut out = Vec::new();
        let exit = run(&EngineArgs { command }, &mut out).unwrap();
        (exit, serde_json::from_slice(&out).unwrap())
    }

    fn common(dir: &Path) -> Common {
        Common { dirs: vec![dir.to_path_buf()], ort_dylib: None, plans: None, threads: 1, json: true }
    }

    fn check_of(dir: &Path, target: &str) -> EngineCommand {
        EngineCommand::Check { common: common(dir), picture: None, target: target.parse().unwrap() }
    }

    #[test]
    fn what_a_target_does_not_take_is_a_finding_printed_with_its_fix() {
        let blobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs");
        let model = std::fs::read(blobs.join("model.onnx")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        // The opset of the file's one import, 13, becomes 31.
        let at = model.windows(4).rposition(|w| w == [0x0a, 0x00, 0x10, 13]).unwrap();
        let mut newer = model.clone();
        newer[at + 3] = 31;
        let hex = |b: &[u8]| sha2::Sha256::digest(b).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let manifest = std::fs::read_to_string(blobs.join(MANIFEST_FILE)).unwrap().replace(&hex(&model), &hex(&newer));
        std::fs::write(dir.path().join(MANIFEST_FILE), manifest).unwrap();
        std::fs::write(dir.path().join("model.onnx"), newer).unwrap();
        let mut out = Vec::new();
        let common = Common { json: false, ..common(dir.path()) };
        let command = EngineCommand::Check { common, picture: None, target: "tensorrt-8.2".parse().unwrap() };
        assert_eq!(run(&EngineArgs { command }, &mut out).unwrap(), Exit::Findings);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("fails for tensorrt-8.2"), "{text}");
        assert!(
            text.contains("error [opset-high] model: opset 31, TensorRT 8.2 reads up to 13\n      export with"),
            "{text}"
        );
    }

    #[test]
    fn lists_checks_and_times_the_engines_of_a_folder() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let (_, list) = run_json(EngineCommand::List(common(&data)));
        assert_eq!((&list["schema"], &list["engines"][0]["name"]), (&json!("till.engine-list/1"), &json!("blobs")));
        let (exit, check) = run_json(check_of(&data.join("blobs"), "nano"));
        assert_eq!((exit, &check["engines"][0]["ok"]), (Exit::Ok, &json!(true)), "{check}");
        assert_eq!(check["engines"][0]["preflight"]["target"], "tensorrt-8.2 on nano");
        let args = BenchArgs { common: common(&data), backend: None, runs: 3, alone_s: 0.0, root: None };
        let (_, bench) = run_json(EngineCommand::Bench(args));
        assert_eq!((&bench["schema"], &bench["engines"][0]["name"]), (&json!("till.engine-bench/1"), &json!("blobs")));
    }

    #[test]
    fn a_changed_model_is_a_finding_and_an_empty_folder_an_error() {
        let blobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs");
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(blobs.join(MANIFEST_FILE), dir.path().join(MANIFEST_FILE)).unwrap();
        std::fs::write(dir.path().join("model.onnx"), "cut off").unwrap();
        let (exit, check) = run_json(check_of(dir.path(), "nano"));
        assert_eq!(exit, Exit::Findings);
        assert!(check["engines"][0]["problem"].as_str().unwrap().contains("sha256"));
        let empty = tempfile::tempdir().unwrap();
        let args = EngineArgs { command: EngineCommand::List(common(empty.path())) };
        assert_eq!(run(&args, &mut Vec::new()).unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn quantiles_by_hand() {
        let times: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&times, 0.5), quantile(&times, 0.99), quantile(&[7.0], 0.99)), (50.0, 99.0, 7.0));
    }
}
