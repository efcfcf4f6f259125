//! `till bench`: what the way around the engines costs, and the search. What is measured and what it is measured against
//! run in turns in one process, so that the ratio stands on any machine. Here `pipeline`: the raw engine and the whole
//! path from a decoded frame to an observation.

mod face;
mod search;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::capture::{Frame, PixelFormat, Plane};
use crate::engine::{self, Backend, Choice, Manifest};
use crate::vision::{Rules, Second, TrayVision};

use super::engine::noise;
use super::exit::{CliError, Exit};
use super::picture;

/// Measure this machine
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What to measure.
#[derive(Subcommand, Clone, Debug)]
pub enum BenchCommand {
    /// The pipeline's rate as a share of the raw engine's
    Pipeline(PipelineArgs),
    /// From a frame with a face to its vector, beside the engines' own time
    Face(face::FaceArgs),
    /// The search of a large gallery, beside a plain read of the same bytes
    Search(search::SearchArgs),
}

/// What is measured with what.
#[derive(Args, Clone, Debug)]
pub struct PipelineArgs {
    /// The engine's folder
    #[arg(long, value_name = "DIR")]
    pub engine: PathBuf,
    /// What runs the engine: auto, rten, onnxruntime or tensorrt
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub backend: Backend,
    /// ONNX Runtime's library, or the folder that holds it
    #[arg(long, value_name = "FILE")]
    pub ort_dylib: Option<PathBuf>,
    /// Threads of one inference
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Frames to measure
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub frames: u32,
    /// Picture to look at; a 640x480 YUYV frame of noise if none is named
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// An engine that can't be loaded, a picture that can't be read.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    match &args.command {
        BenchCommand::Pipeline(args) => pipeline(args, out),
        BenchCommand::Face(args) => face::run(args, out),
        BenchCommand::Search(args) => search::run(args, out),
    }
}

fn pipeline(args: &PipelineArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let manifest = Manifest::load(&args.engine)?;
    let choice =
        Choice { backend: args.backend, threads: args.threads, ort_dylib: args.ort_dylib.clone(), ..Choice::default() };
    let engine = engine::load(&manifest, &choice)?;
    let mut vision = TrayVision::new(&manifest, engine, Rules::for_manifest(&manifest))?
        .with_second(Second::load(&manifest, &choice)?);
    let mut frame = match &args.picture {
        Some(path) => picture::load(path).map_err(|m| CliError::new(Exit::Failed, m))?,
        None => noise_frame(640, 480),
    };
    let frames = args.frames.max(1);
    let (mut raw, mut whole) = (Duration::ZERO, Duration::ZERO);
    vision.observe(&frame, 0)?;
    for n in 0..frames {
        let start = Instant::now();
        vision.engine_mut().run()?;
        raw += start.elapsed();
        frame.sequence = u64::from(n);
        let start = Instant::now();
        vision.observe(&frame, u64::from(n))?;
        whole += start.elapsed();
    }
    let rate = |time: Duration| f64::from(frames) / time.as_secs_f64().max(1e-9);
    let (raw, whole) = (rate(raw), rate(whole));
    let (backend, name, ratio) = (vision.backend(), &manifest.name, whole / raw);
    if args.json {
        let report = json!({
            "schema": "till.bench-pipeline/1", "engine": name, "backend": backend, "threads": args.threads.max(1),
            "frames": frames, "engine_per_s": raw, "pipeline_per_s": whole, "ratio": ratio,
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "engine {name} ({backend}, {} thread(s)), {frames} frames in turns", args.threads.max(1))?;
        writeln!(out, "raw engine  {raw:8.2} a second ({:.2} ms)", 1e3 / raw)?;
        writeln!(out, "pipeline    {whole:8.2} a second ({:.2} ms)", 1e3 / whole)?;
        writeln!(out, "ratio       {ratio:8.3}")?;
    }
    Ok(Exit::Ok)
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The one that a tenth is below: what else the machine does is in few of the quickest.
fn tenth(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 10).copied().unwrap_or(f64::NAN)
}

/// A YUYV frame of seeded noise.
pub fn noise_frame(width: u32, height: u32) -> Frame {
    let mut frame = Frame::with_capacity(width, height);
    let stride = width as usize * 2;
    let mut noise = noise();
    frame.data.extend((0..stride * height as usize).map(|_| (noise() * 255.0) as u8));
    (frame.format, frame.width, frame.height) = (PixelFormat::Yuyv, width, height);
    frame.planes[0] = Plane { offset: 0, stride };
    frame
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn prints_both_rates_and_their_ratio() {
        let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs");
        let pipeline = PipelineArgs {
            engine,
            backend: Backend::Rten,
            ort_dylib: None,
            threads: 1,
            frames: 3,
            picture: None,
            json: true,
        };
        let mut out = Vec::new();
        assert_eq!(run(&BenchArgs { command: BenchCommand::Pipeline(pipeline) }, &mut out).unwrap(), Exit::Ok);
        let v: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let number = |key: &str| v[key].as_f64().unwrap();
        assert!((number("ratio") - number("pipeline_per_s") / number("engine_per_s")).abs() < 1e-9);
        assert_eq!(v["schema"], "till.bench-pipeline/1");
    }
}
