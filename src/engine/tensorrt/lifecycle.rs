//! From an engine's model to a plan that may serve: build in a child process, load, compare with the CPU, then swap.
//! Until the last step the old plan, or the CPU, serves; whatever fails on the way is set aside with its reason and
//! changes nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use super::backend::{self, TensorRt};
use super::builder::{Builder, Calibration, Calibrator, Plan};
use super::library::{Code, Device, Library, Paths};
use super::plans::{Check, Key, Precision, Store};
use super::watch::{self, Limits};
use crate::engine::{Engine, EngineError, EngineErrorKind, Manifest};

/// What is to be built, and how far it may go.
#[derive(Clone, Debug)]
pub struct Order {
    /// Asked for; strongly typed versions build [`Precision::Model`] whatever is asked.
    pub precision: Precision,
    /// Take FP16 instead of refusing INT8 on a board that isn't fast at it.
    pub if_fast: bool,
    /// Build for this DLA core.
    pub dla: Option<u8>,
    /// The builder's limits.
    pub limits: Limits,
    /// Build even if a checked plan is there.
    pub force: bool,
    /// TensorRT's libraries.
    pub paths: Paths,
}

/// How it ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A checked plan was there.
    UpToDate,
    /// Built, compared, in place.
    Serving(Check),
    /// Built and kept, but nothing here can run it, so it doesn't serve; the reason.
    Unchecked(String),
}

/// What the child is told: where to leave plan and timings.
pub struct Task<'a> {
    /// The engine's folder.
    pub dir: &'a Path,
    /// File for the plan.
    pub plan: PathBuf,
    /// File with timings, read when it is there and replaced.
    pub timing: PathBuf,
    /// How to compute.
    pub precision: Precision,
    /// The DLA core.
    pub dla: Option<u8>,
    /// The model, the library and the GPU.
    pub key: &'a Key,
}

/// Makes a plan for `manifest` in `store`. `child` makes the command that carries out a [`Task`]; `check` holds the
/// fresh plan against the same model on the CPU ([`compare`]) and may refuse it, as [`Precision::tolerance`] may; `tell` hears of
/// progress.
pub fn renew(
    manifest: &Manifest,
    store: &Store,
    order: &Order,
    child: impl FnOnce(&Task<'_>) -> Command,
    check: impl FnOnce(Box<dyn Engine>, Precision) -> Result<Check, EngineError>,
    mut tell: impl FnMut(&str),
) -> Result<(Key, Outcome), EngineError> {
    let place = manifest.name.as_str();
    let library = Library::open(&order.paths).map_err(|f| f.at(place))?;
    let info = library.info().map_err(|f| f.at(place))?;
    let device = library.probe();
    let precision = match &device {
        _ if !info.weak_typing => Precision::Model,
        // Only TensorRT-RTX builds without a GPU.
        Err(f) => return Err(f.clone().at(place)),
        Ok(_) => choose(place, &library, order)?,
    };
    let no_gpu =
        Device { capability: (0, 0), multiprocessors: 0, integrated: false, can_map: false, cuda: (0, 0), memory: 0 };
    let key = backend::key(manifest, &library, device.as_ref().unwrap_or(&no_gpu), precision, order.dla)?;
    if !order.force && store.serving(&key)?.is_some() {
        return Ok((key, Outcome::UpToDate));
    }
    let plan = build(manifest, store, &key, order.limits, child, &mut tell)?;
    let device = match device {
        Ok(device) => device,
        Err(f) => {
            store.write(&key, None, &plan.0)?;
            return Ok((key, Outcome::Unchecked(f.to_string())));
        }
    };
    tell("compares the plan with the CPU");
    let compared = TensorRt::from_plan(place, library, &device, plan.clone(), precision, order.dla)
        .and_then(|fresh| check(Box::new(fresh), precision))
        .and_then(|check| {
            let limit = precision.tolerance();
            // Written so that NaN fails too.
            if check.difference <= limit {
                return Ok(check);
            }
            let message = format!(
                "the plan's outputs differ by {} from {}'s, {limit} is allowed",
                check.difference, check.reference
            );
            Err(EngineError::new(EngineErrorKind::Model, place, message))
        });
    match compared {
        Ok(check) => {
            store.write(&key, Some(check.clone()), &plan.0)?;
            Ok((key, Outcome::Serving(check)))
        }
        Err(e) => {
            store.quarantine(&key, &plan.0, &e.to_string())?;
            Err(e)
        }
    }
}

/// The precision that the board is fast at, or the reason why not.
fn choose(place: &str, library: &Arc<Library>, order: &Order) -> Result<Precision, EngineError> {
    let platform = library.platform().map_err(|f| f.at(place))?;
    let refuse = |what: &str| {
        let message = format!("tensorrt: this board has no fast {what}; ask for --precision fp16, or for --if-fast");
        Err(EngineError::new(EngineErrorKind::Backend, place, message))
    };
    match order.precision {
        Precision::Int8 if platform.int8 => Ok(Precision::Int8),
        Precision::Int8 if !order.if_fast => refuse("INT8"),
        Precision::Int8 | Precision::Fp16 | Precision::Model if platform.fp16 => Ok(Precision::Fp16),
        _ => Ok(Precision::Fp32),
    }
}

fn build(
    manifest: &Manifest,
    store: &Store,
    key: &Key,
    limits: Limits,
    child: impl FnOnce(&Task<'_>) -> Command,
    tell: &mut impl FnMut(&str),
) -> Result<Plan, EngineError> {
    let place = manifest.name.as_str();
    let plan = store.path(key).with_extension("building");
    let task =
        Task { dir: &manifest.dir, plan, timing: store.timing_path(key), precision: key.precision, dla: key.dla, key };
    store.make()?;
    let start = Instant::now();
    tell(&format!("builds {} for {} on {}", key.precision, key.library, key.device));
    let ended = watch::run(child(&task), limits, |line| {
        if let Some(text) = progress(line, start.elapsed().as_secs_f64()) {
            tell(&text);
        }
    });
    let bytes = std::fs::read(&task.plan);
    // Whatever the child left is in our hands, or nothing.
    let _ = std::fs::remove_file(&task.plan);
    ended.map_err(|e| EngineError::new(EngineErrorKind::Backend, place, format!("tensorrt: {e}")))?;
    match bytes {
        Ok(bytes) if !bytes.is_empty() => Ok(Plan(bytes)),
        _ => Err(EngineError::new(EngineErrorKind::Backend, place, "tensorrt: the builder left no plan")),
    }
}

/// A child's line, `step N of M PHASE`, with the time that is left.
fn progress(line: &str, elapsed_s: f64) -> Option<String> {
    let mut words = line.strip_prefix("step ")?.splitn(4, ' ');
    let (step, _, steps, phase) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (step, steps): (u32, u32) = (step.parse().ok()?, steps.parse().ok()?);
    if step == 0 || steps == 0 || step > steps {
        return None;
    }
    let left = elapsed_s * f64::from(steps - step) / f64::from(step);
    Some(format!("{phase}: {step} of {steps}, {elapsed_s:.0} s so far, about {left:.0} s left in this phase"))
}

/// What the child is told, in its own process.
pub struct Job<'a> {
    /// The model.
    pub manifest: &'a Manifest,
    /// File for the plan.
    pub plan: &'a Path,
    /// File with timings.
    pub timing: &'a Path,
    /// How to compute.
    pub precision: Precision,
    /// The DLA core.
    pub dla: Option<u8>,
    /// Of TensorRT's workspace.
    pub workspace_bytes: u64,
    /// INT8's ranges, for a model without Q/DQ nodes.
    pub calibrator: Option<(Calibration, &'a mut dyn Calibrator)>,
}

/// Whether a model says its INT8 ranges itself.
pub fn is_quantised(onnx: &[u8]) -> bool {
    const NODE: &[u8] = b"QuantizeLinear";
    onnx.windows(NODE.len()).any(|w| w == NODE)
}

/// What the child does: builds, and leaves plan and timings in the job's files.
pub fn carry_out(mut task: Job<'_>, paths: &Paths, mut say: impl FnMut(&str)) -> Result<(), EngineError> {
    let manifest = task.manifest;
    let place = manifest.name.as_str();
    let onnx = manifest.model_bytes()?;
    let library = Library::open(paths).map_err(|f| f.at(place))?;
    let mut report = |phase: &str, step: i32, steps: i32| {
        say(&format!("step {step} of {steps} {phase}"));
        true
    };
    let mut builder = Builder::new(&library, task.workspace_bytes)
        .timing_cache(std::fs::read(task.timing).unwrap_or_default())
        .progress(&mut report);
    if let Some(core) = task.dla {
        builder = builder.dla(core.into());
    }
    builder = match task.precision {
        Precision::Fp16 => builder.fp16(true),
        // Layers that INT8 doesn't suit may take FP16 where the board has it.
        Precision::Int8 => {
            let calibrator = match &mut task.calibrator {
                _ if is_quantised(&onnx) => None,
                Some((kind, source)) => Some((*kind, manifest.input.elements(), &mut **source as &mut dyn Calibrator)),
                None => {
                    let message = "tensorrt: INT8 needs ranges: name a folder of pictures with --calibrate, or take a \
                                   model with Q/DQ nodes";
                    return Err(EngineError::new(EngineErrorKind::Model, place, message));
                }
            };
            builder.fp16(library.platform().is_ok_and(|p| p.fp16)).int8(calibrator)
        }
        Precision::Fp32 | Precision::Model => builder,
    };
    let (plan, timings) = builder.build(&onnx).map_err(|f| {
        let hint = if f.code == Code::Build { "; a smaller --workspace-mib or more swap may help" } else { "" };
        let e = f.at(place);
        EngineError { message: format!("{}{hint}", e.message), ..e }
    })?;
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes)
            .map_err(|e| EngineError::new(EngineErrorKind::Backend, path.display().to_string(), e.to_string()))
    };
    write(task.plan, &plan.0)?;
    if !timings.is_empty() {
        // Only the next build's speed hangs on it.
        let _ = write(task.timing, &timings);
    }
    Ok(())
}

/// Largest difference over `inputs`, each run on both.
pub fn compare(fresh: &mut dyn Engine, reference: &mut dyn Engine, inputs: &[Vec<f32>]) -> Result<Check, EngineError> {
    let mut worst = 0.0f32;
    let error = |m: String| EngineError::new(EngineErrorKind::Model, "comparison", m);
    if inputs.is_empty() {
        return Err(error("no input to compare on".into()));
    }
    for input in inputs {
        for infer in [feed(fresh, input), feed(reference, input)] {
            infer?;
        }
        for (i, spec) in reference.outputs().iter().enumerate() {
            let at = fresh.outputs().iter().position(|o| o == spec);
            let at = at.ok_or_else(|| error(format!("the plan has no output {spec:?}")))?;
            for (a, b) in reference.output(i).iter().zip(fresh.output(at)) {
                let d = (a - b).abs() / a.abs().max(1.0);
                worst = if d.is_nan() { f32::INFINITY } else { worst.max(d) };
            }
        }
    }
    Ok(Check { reference: reference.backend().to_owned(), inputs: inputs.len(), difference: worst, carts: None })
}

fn feed(engine: &mut dyn Engine, input: &[f32]) -> Result<(), EngineError> {
    let room = engine.input_mut();
    if room.len() != input.len() {
        let message = format!("an input of {} elements for one of {}", room.len(), input.len());
        return Err(EngineError::new(EngineErrorKind::Model, "comparison", message));
    }
    room.copy_from_slice(input);
    engine.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_steps_become_a_time() {
        let text = progress("step 25 of 100 Building Tactics", 10.0).unwrap();
        assert_eq!(text, "Building Tactics: 25 of 100, 10 s so far, about 30 s left in this phase");
        for none in ["", "step", "step 0 of 3 x", "step 4 of 3 x", "step a of b c", "words", "step 1 of 0 x"] {
            assert_eq!(progress(none, 1.0), None, "{none}");
        }
    }
}
