//! `till engine build`: plans for TensorRT, each built in a child process, compared with the CPU and swapped in. The
//! counter may run meanwhile; it takes the plan at its next start.

use std::path::PathBuf;

use clap::Args;

use crate::engine::tensorrt::Precision;

use super::engine::Common;

/// What `till engine build` takes.
#[derive(Args, Clone, Debug)]
pub struct BuildArgs {
    /// Which engines
    #[command(flatten)]
    pub common: Common,
    /// Folder of the plans [default: plans in the engine's folder, where the counter looks]
    #[arg(long, value_name = "DIR")]
    pub plans: Option<PathBuf>,
    /// fp16, fp32 or int8; TensorRT 11 and RTX take the model's own
    #[arg(long, value_name = "P", default_value = "fp16")]
    pub precision: Precision,
    /// Take fp16 where the board isn't fast at int8
    #[arg(long)]
    pub if_fast: bool,
    /// Folder of pictures to compare on; seeded noise without it
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Memory of TensorRT's workspace, MiB
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub workspace_mib: u64,
    /// Resident memory at which the builder is ended, MiB
    #[arg(long, value_name = "N", default_value_t = 3072)]
    pub memory_mib: u64,
    /// Time after which the builder is ended, seconds
    #[arg(long, value_name = "N", default_value_t = 7200)]
    pub time_s: u64,
    /// Build even if a checked plan is there
    #[arg(long)]
    pub force: bool,
}

/// What the child process takes; nobody else calls it.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// The engine's folder
    pub dir: PathBuf,
    /// File for the plan
    #[arg(long)]
    pub plan: PathBuf,
    /// File of timings
    #[arg(long)]
    pub timing: PathBuf,
    /// How to compute
    #[arg(long)]
    pub precision: Precision,
    /// Memory of TensorRT's workspace, MiB
    #[arg(long)]
    pub workspace_mib: u64,
}

#[cfg(feature = "tensorrt")]
pub use built_in::{build, carry_out};

#[cfg(not(feature = "tensorrt"))]
pub use without::{build, carry_out};

#[cfg(not(feature = "tensorrt"))]
mod without {
    use std::path::Path;

    use serde_json::Value;

    use super::{BuildArgs, PlanArgs};
    use crate::cli::exit::{CliError, Exit};

    fn missing<T>() -> Result<T, CliError> {
        let message = "engine build: this till was built without TensorRT; build it with --features tensorrt where \
                       NvInfer.h is (docs/engines.md)";
        Err(CliError::new(Exit::Missing, message))
    }

    /// Always an error.
    pub fn build(_: &Path, _: &BuildArgs) -> Result<Value, CliError> {
        missing()
    }

    /// Always an error.
    pub fn carry_out(_: &PlanArgs) -> Result<(), CliError> {
        missing()
    }
}

#[cfg(feature = "tensorrt")]
mod built_in {
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{BuildArgs, PlanArgs};
    use crate::cli::engine::noise;
    use crate::cli::exit::{CliError, Exit};
    use crate::cli::picture;
    use crate::engine::preflight::{self, Target, Version};
    use crate::engine::tensorrt::Store;
    use crate::engine::tensorrt::library::{Paths, header};
    use crate::engine::tensorrt::lifecycle::{self, Order, Outcome, Task};
    use crate::engine::tensorrt::watch::Limits;
    use crate::engine::{self, Backend, Choice, Engine, Manifest};
    use crate::vision::preprocess::Preprocessor;

    /// Inputs of noise, or at most so many pictures.
    const INPUTS: usize = 16;

    /// The engine in `dir` becomes a checked plan; the row says how it ended.
    pub fn build(dir: &Path, args: &BuildArgs) -> Result<Value, CliError> {
        let manifest = Manifest::load(dir)?;
        let name = manifest.name.clone();
        let report = preflight::check(&manifest.model_bytes()?, &target());
        if !report.passes() {
            return Ok(json!({ "name": name, "ok": false, "problem": "preflight", "preflight": report.json() }));
        }
        let mut reference = reference(&manifest, args)?;
        let order = Order {
            precision: args.precision,
            if_fast: args.if_fast,
            limits: Limits { memory_bytes: args.memory_mib << 20, time: Duration::from_secs(args.time_s) },
            force: args.force,
            paths: Paths::default(),
        };
        let program = std::env::current_exe()?;
        let child = |task: &Task<'_>| {
            let mut command = Command::new(&program);
            command.args(["engine", "build-plan"]).arg(task.dir).arg("--plan").arg(&task.plan);
            command.arg("--timing").arg(&task.timing).args(["--precision", task.precision.as_str()]);
            command.arg("--workspace-mib").arg(args.workspace_mib.to_string());
            command
        };
        let store = Store::of(&manifest, args.plans.as_deref());
        let inputs = inputs(&manifest, args)?;
        let tell = |text: &str| eprintln!("till: engine {name}: {text}");
        let renewed = lifecycle::renew(&manifest, &store, &order, child, reference.as_mut(), &inputs, tell);
        Ok(match renewed {
            Err(e) => json!({ "name": name, "ok": false, "problem": e.message }),
            Ok((key, outcome)) => {
                let (outcome, check) = match outcome {
                    Outcome::UpToDate => ("up to date".to_owned(), Value::Null),
                    Outcome::Serving(c) => {
                        let check = json!({ "reference": c.reference, "inputs": c.inputs, "difference": c.difference });
                        ("built and checked".to_owned(), check)
                    }
                    Outcome::Unchecked(why) => (format!("built, not checked, doesn't serve: {why}"), Value::Null),
                };
                json!({
                    "name": name, "backend": "tensorrt", "precision": key.precision.as_str(), "sha256": key.model,
                    "library": key.library, "device": key.device, "plan": store.path(&key).display().to_string(),
                    "outcome": outcome, "check": check, "ok": true,
                })
            }
        })
    }

    /// In the child: builds, says each step on standard output.
    pub fn carry_out(args: &PlanArgs) -> Result<(), CliError> {
        let task =
            Task { dir: &args.dir, plan: args.plan.clone(), timing: args.timing.clone(), precision: args.precision };
        lifecycle::carry_out(&task, args.workspace_mib << 20, &Paths::default(), |line| println!("{line}"))?;
        Ok(())
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

    fn inputs(manifest: &Manifest, args: &BuildArgs) -> Result<Vec<Vec<f32>>, CliError> {
        let empty = || vec![0.0f32; manifest.input.elements()];
        let Some(dir) = &args.pictures else {
            let mut noise = noise();
            let values = |mut input: Vec<f32>| {
                input.fill_with(|| (noise() * 255.0 - manifest.input.mean[0]) * manifest.input.scale[0]);
                input
            };
            return Ok(std::iter::repeat_with(empty).take(4).map(values).collect());
        };
        let mut files: Vec<_> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
        files.sort();
        // Spread over the folder, which may be sorted by product.
        let step = files.len().div_ceil(INPUTS).max(1);
        let mut preprocessor = Preprocessor::new(&manifest.input);
        files
            .iter()
            .step_by(step)
            .map(|file| {
                let frame = picture::load(file).map_err(|m| CliError::new(Exit::Failed, m))?;
                let mut input = empty();
                preprocessor.fill(&frame, &mut input)?;
                Ok(input)
            })
            .collect()
    }
}
