//! `till bench face`: a frame with a face goes from the camera's bytes to a vector: detect, align, embed; then made-up
//! members are searched for it. The engines' runs are timed where they happen, so that their sum and the whole are of the
//! same frames.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use image::{RgbImage, imageops};
use serde_json::json;

use crate::capture::{Frame, PixelFormat, Plane};
use crate::cli::exit::{CliError, Exit};
use crate::cli::faces::FaceEngines;
use crate::cli::picture;
use crate::engine::{Engine, EngineError, TensorSpec};
use crate::gallery::{Gallery, Precision};
use crate::runtime::status::rss_bytes;
use crate::vision::face::{Quality, choose};

use super::search::{TEMPLATES, made_up};
use super::{median, tenth};

/// What is measured with what.
#[derive(Args, Clone, Debug)]
pub struct FaceArgs {
    /// Picture of a face; it is fitted into a frame of 640x480, YUYV
    #[arg(long, value_name = "FILE")]
    pub picture: PathBuf,
    /// Frames to measure
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub frames: u32,
    /// Made-up members, four templates each, who are searched after each frame
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub people: usize,
    /// Which engines
    #[command(flatten)]
    pub engines: FaceEngines,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// An engine with a clock.
struct Timed {
    engine: Box<dyn Engine>,
    spent_ns: Arc<AtomicU64>,
    runs: Arc<AtomicU64>,
}

impl Engine for Timed {
    fn backend(&self) -> &'static str {
        self.engine.backend()
    }

    fn precision(&self) -> Option<&'static str> {
        self.engine.precision()
    }

    fn input(&self) -> &TensorSpec {
        self.engine.input()
    }

    fn outputs(&self) -> &[TensorSpec] {
        self.engine.outputs()
    }

    fn input_mut(&mut self) -> &mut [f32] {
        self.engine.input_mut()
    }

    fn run(&mut self) -> Result<(), EngineError> {
        let start = Instant::now();
        let result = self.engine.run();
        self.spent_ns.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
        result
    }

    fn output(&self, index: usize) -> &[f32] {
        self.engine.output(index)
    }
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// An engine that can't be loaded, a picture that can't be read or shows no face.
pub fn run(args: &FaceArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut frame = camera_frame(&picture::load(&args.picture).map_err(|m| CliError::new(Exit::Failed, m))?);
    let (spent_ns, runs) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut around = |engine: Box<dyn Engine>| -> Box<dyn Engine> {
        Box::new(Timed { engine, spent_ns: Arc::clone(&spent_ns), runs: Arc::clone(&runs) })
    };
    let (mut vision, _) = args.engines.vision_around(&mut around)?;
    let dimensions = vision.embedder().dimensions();
    let gallery = members(args.people, dimensions)?;
    let (mut engines, mut whole, mut ratios, mut searches) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut vector, mut faces) = (Vec::new(), 0);
    // The first two frames warm up.
    let frames = args.frames.max(1);
    for n in 0..frames + 2 {
        frame.sequence = u64::from(n);
        spent_ns.store(0, Ordering::Relaxed);
        runs.store(0, Ordering::Relaxed);
        let start = Instant::now();
        let found = vision.find(&frame)?;
        faces = found.len();
        let face = choose::central(found, frame.width as usize, frame.height as usize).copied();
        let face = face
            .ok_or_else(|| CliError::new(Exit::Failed, format!("picture {}: no face in it", args.picture.display())))?;
        let _: Quality = vision.quality(&face);
        vision.embed(&face, &mut vector)?;
        let all = start.elapsed().as_secs_f64() * 1e3;
        let engine = spent_ns.load(Ordering::Relaxed) as f64 / 1e6;
        let start = Instant::now();
        gallery.search(&vector).map_err(|e| CliError::new(Exit::Failed, e.to_string()))?;
        let search = start.elapsed().as_secs_f64() * 1e3;
        if n >= 2 {
            engines.push(engine);
            whole.push(all);
            ratios.push(all / engine);
            searches.push(search);
        }
    }
    let quick = [tenth(&mut engines), tenth(&mut whole)];
    let [engines, whole, ratio, search] = [&mut engines, &mut whole, &mut ratios, &mut searches].map(|v| median(v));
    let (rss_mb, people) = (rss_bytes() as f64 / 1e6, args.people);
    let (backend, runs) = (vision.backend(), runs.load(Ordering::Relaxed));
    if args.json {
        let v = json!({
            "schema": "till.bench-face/1", "backend": backend, "threads": args.engines.threads.max(1), "frames": frames,
            "faces": faces, "engine_runs": runs, "engines_ms": engines, "whole_ms": whole,
            "engines_ms_tenth": quick[0], "whole_ms_tenth": quick[1], "ratio": ratio, "people": people, "search_ms": search, "rss_mb": rss_mb,
        });
        writeln!(out, "{v}")?;
    } else {
        writeln!(
            out,
            "{backend}, {} thread(s), {frames} frames of 640x480, {faces} face(s)",
            args.engines.threads.max(1)
        )?;
        writeln!(out, "engines  {engines:8.2} ms in {runs} runs; a tenth took less than {:.2} ms", quick[0])?;
        writeln!(out, "whole    {whole:8.2} ms, detect, align and embed; a tenth took less than {:.2} ms", quick[1])?;
        writeln!(out, "ratio    {ratio:8.3} of a frame's time to its engines'; medians")?;
        writeln!(out, "search   {search:8.2} ms among {people} people; the process has {rss_mb:.0} MB")?;
    }
    Ok(Exit::Ok)
}

/// A gallery of made-up people.
fn members(people: usize, dimensions: usize) -> Result<Gallery, CliError> {
    let mut gallery = Gallery::new("made up", dimensions, Precision::F32);
    let (vectors, _) = made_up(people * TEMPLATES, dimensions, 1);
    gallery.reserve(people * TEMPLATES);
    for (i, vector) in vectors.chunks_exact(dimensions).enumerate() {
        let pushed = gallery.push("made up", (i / TEMPLATES) as u32, vector);
        pushed.map_err(|e| CliError::new(Exit::Failed, e.to_string()))?;
    }
    Ok(gallery)
}

/// The picture in a 640x480 frame as a camera sends it, grey where it does not reach.
fn camera_frame(picture: &Frame) -> Frame {
    let (width, height) = (640u32, 480u32);
    let rgb = RgbImage::from_raw(picture.width, picture.height, picture.data.clone()).unwrap_or_default();
    let scale =
        (f64::from(width) / f64::from(rgb.width().max(1))).min(f64::from(height) / f64::from(rgb.height().max(1)));
    let side = |v: u32| ((f64::from(v) * scale).round() as u32).max(1);
    let (w, h) = (side(rgb.width()).min(width), side(rgb.height()).min(height));
    let mut canvas = RgbImage::from_pixel(width, height, image::Rgb([114; 3]));
    let fitted = imageops::resize(&rgb, w, h, imageops::FilterType::Triangle);
    imageops::replace(&mut canvas, &fitted, i64::from((width - w) / 2), i64::from((height - h) / 2));
    let mut frame = Frame::with_capacity(width, height);
    for pair in canvas.into_raw().as_chunks::<6>().0 {
        // Rec. 601, limited range.
        let [r0, g0, b0, r1, g1, b1] = pair.map(f32::from);
        let luma = |r: f32, g: f32, b: f32| 16.0 + (65.481 * r + 128.553 * g + 24.966 * b) / 255.0;
        let (r, g, b) = ((r0 + r1) / 2.0, (g0 + g1) / 2.0, (b0 + b1) / 2.0);
        let u = 128.0 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255.0;
        let v = 128.0 + (112.0 * r - 93.786 * g - 18.214 * b) / 255.0;
        frame.data.extend([luma(r0, g0, b0), u, luma(r1, g1, b1), v].map(|x| x.round() as u8));
    }
    (frame.format, frame.width, frame.height) = (PixelFormat::Yuyv, width, height);
    frame.planes[0] = Plane { offset: 0, stride: width as usize * 2 };
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::face::Picture;

    #[test]
    fn a_picture_is_fitted_into_the_cameras_frame() {
        let mut picture = Frame::with_capacity(0, 0);
        (picture.format, picture.width, picture.height) = (PixelFormat::Rgb, 100, 100);
        picture.data = [200u8, 30, 60].repeat(100 * 100);
        let frame = camera_frame(&picture);
        assert_eq!((frame.data.len(), frame.planes[0].stride), (640 * 480 * 2, 1280));
        let mut filled = Picture::default();
        filled.fill(&frame).unwrap();
        let mut mean = |x0: f32, x1: f32| filled.light([x0, 100.0, x1, 400.0]).mean;
        // Luma of the colour, and the grey beside the square.
        assert!((mean(100.0, 500.0) - 84.0).abs() < 3.0 && (mean(0.0, 70.0) - 114.0).abs() < 3.0);
    }
}
