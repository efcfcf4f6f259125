//! What `till engine build` does where TensorRT is built in: the build in a child, the comparison with the CPU on
//! numbers and on carts, calibration on the counter's own pictures.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::engine::noise;
use super::engine_build::{BuildArgs, PlanArgs, Ranges};
use super::exit::{CliError, Exit};
use super::picture;
use crate::capture::Frame;
use crate::engine::preflight::{self, Target, Version};
use crate::engine::tensorrt::builder::{Calibration, Calibrator};
use crate::engine::tensorrt::library::{Paths, header};
use crate::engine::tensorrt::lifecycle::{self, Job, Order, Outcome, Task};
use crate::engine::tensorrt::plans::Check;
use crate::engine::tensorrt::watch::Limits;
use crate::engine::tensorrt::{Precision, Store};
use crate::engine::{self, Backend, Choice, Engine, EngineError, EngineErrorKind, Manifest};
use crate::vision::preprocess::Preprocessor;
use crate::vision::tray::Rules;
use crate::vision::{Detection, TrayVision};

/// Inputs of noise, or at most so many pictures.
const INPUTS: usize = 16;
/// At most so many pictures to calibrate on.
const CALIBRATION: usize = 512;

/// The engine in `dir` becomes a checked plan; the row says how it ended.
pub fn build(dir: &Path, args: &BuildArgs) -> Result<Value, CliError> {
    let manifest = Manifest::load(dir)?;
    let name = manifest.name.clone();
    let report = preflight::check(&manifest.model_bytes()?, &target());
    if !report.passes() {
        return Ok(json!({ "name": name, "ok": false, "problem": "preflight", "preflight": report.json() }));
    }
    let order = Order {
        precision: args.precision.unwrap_or(Precision::Fp16),
        if_fast: args.if_fast,
        dla: args.dla,
        limits: Limits { memory_bytes: args.memory_mib << 20, time: Duration::from_secs(args.time_s) },
        force: args.force,
        paths: Paths::default(),
    };
    let store = Store::of(&manifest, args.common.plans.as_deref());
    let calibrate = args.calibrate.as_ref().or(args.pictures.as_ref());
    let listed = calibrate.map(|dir| files(dir, CALIBRATION).map(|files| digest(&files))).transpose()?;
    let program = std::env::current_exe()?;
    let child = |task: &Task<'_>| {
        let mut command = Command::new(&program);
        command.args(["engine", "build-plan"]).arg(task.dir).arg("--plan").arg(&task.plan);
        command.arg("--timing").arg(&task.timing).args(["--precision", task.precision.as_str()]);
        command.arg("--workspace-mib").arg(args.workspace_mib.to_string());
        if let Some(core) = task.dla {
            command.arg("--dla").arg(core.to_string());
        }
        if let (Precision::Int8, Some(dir), Some(listed)) = (task.precision, calibrate, &listed) {
            let kind = args.calibration.as_str();
            command.arg("--calibrate").arg(dir).args(["--calibration", kind]);
            command.arg("--calibration-cache").arg(store.calibration_path(task.key, kind, listed));
        }
        command
    };
    let mut reference = reference(&manifest, args)?;
    let pictures = args.pictures.as_deref().map(|dir| frames(dir, INPUTS)).transpose()?;
    let inputs = inputs(&manifest, pictures.as_deref())?;
    let check = |mut fresh: Box<dyn Engine>, precision: Precision| {
        let mut check = lifecycle::compare(fresh.as_mut(), reference.as_mut(), &inputs)?;
        if let Some(pictures) = pictures.as_deref().filter(|_| check.difference <= precision.tolerance()) {
            check.carts = carts(&manifest, fresh, reference, pictures, precision)?;
        }
        Ok::<Check, EngineError>(check)
    };
    let tell = |text: &str| eprintln!("till: engine {name}: {text}");
    Ok(match lifecycle::renew(&manifest, &store, &order, child, check, tell) {
        Err(e) => json!({ "name": name, "ok": false, "problem": e.message }),
        Ok((key, outcome)) => {
            let (outcome, check) = match outcome {
                Outcome::UpToDate => ("up to date".to_owned(), Value::Null),
                Outcome::Serving(c) => ("built and checked".to_owned(), json!(c)),
                Outcome::Unchecked(why) => (format!("built, not checked, doesn't serve: {why}"), Value::Null),
            };
            json!({
                "name": name, "backend": "tensorrt", "precision": key.precision.as_str(), "sha256": key.model,
                "library": key.library, "device": key.device, "dla": key.dla,
                "plan": store.path(&key).display().to_string(), "outcome": outcome, "check": check, "ok": true,
            })
        }
    })
}

/// In the child: builds, says each step on standard output.
pub fn carry_out(args: &PlanArgs) -> Result<(), CliError> {
    // A builder without the one who watches its memory must not go on.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let manifest = Manifest::load(&args.dir)?;
    let mut pictures = args.calibrate.as_deref().map(|dir| Pictures::new(&manifest, dir, args)).transpose()?;
    let kind = match args.calibration {
        Ranges::Entropy => Calibration::Entropy,
        Ranges::MinMax => Calibration::MinMax,
    };
    let job = Job {
        manifest: &manifest,
        plan: &args.plan,
        timing: &args.timing,
        precision: args.precision,
        dla: args.dla,
        workspace_bytes: args.workspace_mib << 20,
        calibrator: pictures.as_mut().map(|p| (kind, p as &mut dyn Calibrator)),
    };
    lifecycle::carry_out(job, &Paths::default(), |line| println!("{line}"))?;
    Ok(())
}

/// A folder of pictures through the counter's own pre-processing.
struct Pictures {
    files: std::vec::IntoIter<PathBuf>,
    preprocessor: Preprocessor,
    cache: Vec<u8>,
    keep: Option<PathBuf>,
}

impl Pictures {
    fn new(manifest: &Manifest, dir: &Path, args: &PlanArgs) -> Result<Self, CliError> {
        let cache = args.calibration_cache.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        Ok(Self {
            files: files(dir, CALIBRATION)?.into_iter(),
            preprocessor: Preprocessor::new(&manifest.input),
            cache,
            keep: args.calibration_cache.clone(),
        })
    }
}

impl Calibrator for Pictures {
    fn next(&mut self, input: &mut [f32]) -> bool {
        for file in self.files.by_ref() {
            match picture::load(&file).map(|frame| self.preprocessor.fill(&frame, input)) {
                Ok(Ok(())) => return true,
                Ok(Err(e)) => eprintln!("{}: {e}; left out", file.display()),
                Err(e) => eprintln!("{e}; left out"),
            }
        }
        false
    }

    fn cache(&self) -> &[u8] {
        &self.cache
    }

    fn keep(&mut self, cache: &[u8]) {
        // Only the next build's speed hangs on it.
        if let Some(file) = &self.keep {
            let _ = std::fs::write(file, cache);
        }
    }
}

/// The version of the headers; RTX's parser is TensorRT 10's.
fn target() -> Target {
    let (major, minor, rtx) = header();
    let version = |v: i32| u32::try_from(v).unwrap_or(0);
    let version = if rtx { Version(10, 0) } else { Version(version(major), version(minor)) };
    Target { version, board: None }
}

/// The same model on the CPU.
fn reference(manifest: &Manifest, args: &BuildArgs) -> Result<Box<dyn Engine>, CliError> {
    let choice = |backend| Choice {
        backend,
        threads: args.common.threads,
        ort_dylib: args.common.ort_dylib.clone(),
        ..Choice::default()
    };
    let onnxruntime = engine::load(manifest, &choice(Backend::OnnxRuntime));
    Ok(onnxruntime.or_else(|_| engine::load(manifest, &choice(Backend::Rten)))?)
}

/// At most `most` files of `dir`, spread over the folder, which may be sorted by product.
fn files(dir: &Path, most: usize) -> Result<Vec<PathBuf>, CliError> {
    let at = |e: std::io::Error| CliError::new(Exit::Failed, format!("pictures {}: {e}", dir.display()));
    let entries = std::fs::read_dir(dir).map_err(at)?.filter_map(|e| Some(e.ok()?.path()));
    let mut files: Vec<_> = entries.filter(|p| p.is_file()).collect();
    files.sort();
    if files.is_empty() {
        return Err(CliError::new(Exit::Failed, format!("pictures {}: the folder is empty", dir.display())));
    }
    let step = files.len().div_ceil(most).max(1);
    Ok(files.into_iter().step_by(step).collect())
}

/// Names and lengths: other pictures, another calibration.
fn digest(files: &[PathBuf]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let length = std::fs::metadata(file).map_or(0, |m| m.len());
        hash.update(format!("{}\n{length}\n", file.display()));
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn frames(dir: &Path, most: usize) -> Result<Vec<Frame>, CliError> {
    let load = |file: &PathBuf| picture::load(file).map_err(|m| CliError::new(Exit::Failed, m));
    files(dir, most)?.iter().map(load).collect()
}

fn inputs(manifest: &Manifest, pictures: Option<&[Frame]>) -> Result<Vec<Vec<f32>>, CliError> {
    let empty = || vec![0.0f32; manifest.input.elements()];
    let Some(pictures) = pictures else {
        let mut noise = noise();
        let values = |mut input: Vec<f32>| {
            input.fill_with(|| (noise() * 255.0 - manifest.input.mean[0]) * manifest.input.scale[0]);
            input
        };
        return Ok(std::iter::repeat_with(empty).take(4).map(values).collect());
    };
    let mut preprocessor = Preprocessor::new(&manifest.input);
    let fill = |frame: &Frame| {
        let mut input = empty();
        preprocessor.fill(frame, &mut input)?;
        Ok(input)
    };
    pictures.iter().map(fill).collect()
}

/// On how many pictures both see the same cart; `None` for an engine that sees no goods. Chosen, not measured: a box
/// may be missing on one side when its score lies within the margin of the threshold.
fn carts(
    manifest: &Manifest,
    fresh: Box<dyn Engine>,
    reference: Box<dyn Engine>,
    pictures: &[Frame],
    precision: Precision,
) -> Result<Option<usize>, EngineError> {
    let margin = match precision {
        Precision::Fp32 | Precision::Model => 0.01,
        Precision::Fp16 => 0.05,
        Precision::Int8 => 0.15,
    };
    let error = |m: String| EngineError::new(EngineErrorKind::Model, manifest.name.as_str(), m);
    let vision = |engine| TrayVision::new(manifest, engine, Rules::for_manifest(manifest));
    // A face detector's head is none of the tray's.
    let (Ok(mut fresh), Ok(mut reference)) = (vision(fresh), vision(reference)) else { return Ok(None) };
    let score = reference.score();
    for (i, picture) in pictures.iter().enumerate() {
        let see = |vision: &mut TrayVision| {
            vision.detect_above(picture, score - margin).map(<[Detection]>::to_vec).map_err(|e| error(e.to_string()))
        };
        let (ours, theirs) = (see(&mut fresh)?, see(&mut reference)?);
        for (label, name) in manifest.labels.names.iter().enumerate() {
            let count = |found: &[Detection], floor: f32| {
                found.iter().filter(|d| usize::from(d.label) == label && d.score >= floor).count()
            };
            let sure = |a: &[Detection], b: &[Detection]| count(a, score + margin) <= count(b, score - margin);
            if !sure(&ours, &theirs) || !sure(&theirs, &ours) {
                let message = format!(
                    "the plan sees {} of {name} on picture {}, the CPU {}: not the same cart",
                    count(&ours, score),
                    i + 1,
                    count(&theirs, score)
                );
                return Err(error(message));
            }
        }
    }
    Ok(Some(pictures.len()))
}
