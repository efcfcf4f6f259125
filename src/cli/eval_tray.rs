//! `till eval tray`: an engine over a folder of annotated pictures, through the very code that looks at the
//! counter's frames. Data on `out`, progress on stderr.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use crate::capture::Frame;
use crate::engine::manifest::UNKNOWN_LABEL;
use crate::engine::{self, Backend, Choice, Manifest};
use crate::vision::metrics::coco::Image;
use crate::vision::metrics::rejection::Point;
use crate::vision::metrics::{AveragePrecision, CartScore, Carts, Confusion, Dataset, Level, Rejection, Scored, Truth};
use crate::vision::{Class, Detection, Rules, Second, TrayObservation, TrayVision};

use super::exit::{CliError, Exit};
use super::faces::progress;
use super::{curve_tray, picture, report_tray};

/// Scores down to which precision is measured.
const FLOOR: f32 = 0.001;
/// Between two pictures of a clip, as a camera of 15 frames a second has them.
const CLIP_FRAME_MS: u64 = 66;

/// Measure an engine on annotated pictures: carts that are right, and average precision
#[derive(Args, Clone, Debug)]
pub struct EvalTrayArgs {
    /// The engine's folder
    #[arg(long, value_name = "DIR")]
    pub engine: PathBuf,
    /// Folder with COCO annotations.json; a picture may carry a level: easy, medium or hard
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// What runs the engine: auto, rten, onnxruntime or tensorrt
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub backend: Backend,
    /// ONNX Runtime's library, or the folder that holds it
    #[arg(long, value_name = "FILE")]
    pub ort_dylib: Option<PathBuf>,
    /// Threads of one inference
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Look at the pictures of its `clip` before each picture, and count what the vote over all of them says
    #[arg(long)]
    pub clips: bool,
    /// Print one JSON object; shares and precisions are 0 to 1
    #[arg(long)]
    pub json: bool,
    /// Write an HTML page with the figures and every wrong cart
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Draw wrong charges against carts sent to attention, as SVG; --json has the numbers
    #[arg(long, value_name = "FILE")]
    pub curve: Option<PathBuf>,
}

/// A picture whose counts are wrong.
#[derive(Clone, Debug)]
pub struct WrongCart {
    /// The picture's file.
    pub file: PathBuf,
    /// Pixels.
    pub size: (u32, u32),
    /// What lies there.
    pub truth: Vec<Truth>,
    /// What was counted.
    pub found: Vec<Detection>,
    /// The picture for the report, upright and no wider than [`report_tray::WIDTH_MAX`]; empty without one.
    pub jpeg: Vec<u8>,
}

/// Everything that was measured.
pub struct Outcome {
    /// The engine measured.
    pub manifest: Manifest,
    /// What ran it.
    pub backend: &'static str,
    /// How it computed.
    pub computes: String,
    /// Counts by level.
    pub carts: Carts,
    /// Precision of the boxes.
    pub precision: AveragePrecision,
    /// Pairs of labels, and what a score is worth.
    pub confusion: Confusion,
    /// What the threshold `sure` buys.
    pub rejection: Rejection,
    /// The pictures whose counts are wrong.
    pub wrong: Vec<WrongCart>,
    /// Mean time from decoded picture to detections.
    pub ms_per_image: f64,
    /// Boxes that were looked at twice.
    pub looked_twice: u64,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// An engine or data set that can't be read (exit code 3 or 1), a picture that can't (1).
pub fn run(args: &EvalTrayArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let outcome = measure(args)?;
    let write = |what: &str, path: &Path, text: String| {
        std::fs::write(path, text).map_err(|e| CliError::new(Exit::Failed, format!("{what} {}: {e}", path.display())))
    };
    if let Some(path) = &args.report {
        write("report", path, report_tray::html(&outcome))?;
    }
    if let Some(path) = &args.curve {
        let title = format!("{} on {} pictures", outcome.manifest.name, outcome.carts.score(None).images);
        let sure = outcome.manifest.thresholds.sure;
        write("curve", path, curve_tray::svg(&title, &outcome.rejection, sure))?;
    }
    match args.json {
        true => writeln!(out, "{}", to_json(&outcome))?,
        false => write!(out, "{}", to_text(&outcome))?,
    }
    Ok(Exit::Ok)
}

fn measure(args: &EvalTrayArgs) -> Result<Outcome, CliError> {
    let manifest = Manifest::load(&args.engine)?;
    let data = Dataset::load(&args.data, &manifest.labels.names).map_err(|m| CliError::new(Exit::Failed, m))?;
    let choice =
        Choice { backend: args.backend, threads: args.threads, ort_dylib: args.ort_dylib.clone(), ..Choice::default() };
    let engine = engine::load(&manifest, &choice)?;
    // Of clips every item counts under the label that its votes gave it; how sure they were goes into the curve.
    let rules = match args.clips {
        true => Rules { sure_permille: 0, ..Rules::for_manifest(&manifest) },
        false => Rules::for_manifest(&manifest),
    };
    let mut vision = TrayVision::new(&manifest, engine, rules)?.with_second(Second::load(&manifest, &choice)?);
    let (products, score) = (manifest.labels.products(), vision.score());
    let mut carts = Carts::new(products);
    let mut precision = AveragePrecision::new(products);
    let mut confusion = Confusion::new(products);
    let mut rejection = Rejection::default();
    let unknown = manifest.labels.index(UNKNOWN_LABEL);
    let (mut wrong, mut ms) = (Vec::new(), 0.0);
    for (n, image) in data.images.iter().enumerate() {
        progress(n, data.images.len(), "pictures", 100);
        let file = args.data.join(&image.file);
        let mut frame = load(&file, image)?;
        let mut start = Instant::now();
        let (found, mut strange) = match args.clips {
            true => {
                vision.reset();
                for (sequence, file) in (0..).zip(&image.clip) {
                    let earlier = Frame { sequence, ..load(&args.data.join(file), image)? };
                    vision.observe(&earlier, sequence * CLIP_FRAME_MS)?;
                }
                frame.sequence = image.clip.len() as u64;
                start = Instant::now();
                voted(vision.observe(&frame, frame.sequence * CLIP_FRAME_MS)?)
            }
            false => (vision.detect_above(&frame, FLOOR)?.to_vec(), false),
        };
        ms += start.elapsed().as_secs_f64() * 1e3;
        strange |= found.iter().any(|d| d.score >= score && Some(usize::from(d.label)) == unknown);
        let products_found = found.iter().filter(|d| usize::from(d.label) < products);
        let boxes: Vec<Scored> = products_found.clone().map(scored).collect();
        precision.add(&image.truth, &boxes);
        // What votes counted is there, however little sure they were of its name.
        let counted: Vec<Detection> = products_found.filter(|d| args.clips || d.score >= score).copied().collect();
        confusion.add(&image.truth, &counted.iter().map(scored).collect::<Vec<_>>());
        let truth = counts(products, image.truth.iter().filter(|t| !t.crowd).map(|t| t.class));
        let found = counts(products, counted.iter().map(|d| usize::from(d.label)));
        let right = carts.add(image.level, &truth, &found);
        rejection.add(counted.iter().map(|d| f64::from(d.score)), strange, right);
        if !right {
            let (size, truth) = ((image.width, image.height), image.truth.clone());
            let jpeg = match args.report {
                Some(_) => report_tray::jpeg(&frame).map_err(|m| CliError::new(Exit::Failed, m))?,
                None => Vec::new(),
            };
            wrong.push(WrongCart { file, size, truth, found: counted, jpeg });
        }
    }
    progress(data.images.len(), data.images.len(), "pictures", 100);
    let ms_per_image = ms / data.images.len() as f64;
    let (backend, computes) = (vision.backend(), vision.precision().to_owned());
    let looked_twice = vision.looked_twice();
    Ok(Outcome {
        backend,
        computes,
        manifest,
        carts,
        precision,
        confusion,
        rejection,
        wrong,
        ms_per_image,
        looked_twice,
    })
}

/// A picture of the size that the annotations give to `image`.
fn load(file: &Path, image: &Image) -> Result<Frame, CliError> {
    let frame = picture::load(file).map_err(|m| CliError::new(Exit::Failed, m))?;
    if (frame.width, frame.height) != (image.width, image.height) {
        let message = format!(
            "picture {}: is {}x{} when upright, the annotations say {}x{}",
            file.display(),
            frame.width,
            frame.height,
            image.width,
            image.height
        );
        return Err(CliError::new(Exit::Failed, message));
    }
    Ok(frame)
}

/// What the votes say lies there, each as sure as both its score and its share of the votes; and whether that can't be
/// charged whatever the threshold, since the tray never came to rest or goods without a label lie there.
fn voted(tray: &TrayObservation) -> (Vec<Detection>, bool) {
    let products = tray.items.iter().filter_map(|item| {
        let Class::Product(label) = item.class else { return None };
        let share = item.candidates.iter().flatten().next().map_or(0, |best| best.share_permille);
        let score = f32::from(item.score_permille.min(share)) / 1000.0;
        Some(Detection { bbox: item.bbox, score, label, runner_up: None })
    });
    let strange = !tray.settled || tray.items.iter().any(|item| item.class == Class::Unknown);
    (products.collect(), strange)
}

fn scored(d: &Detection) -> Scored {
    let [x0, y0, x1, y1] = d.bbox.map(f64::from);
    Scored { class: usize::from(d.label), bbox: [x0, y0, x1 - x0, y1 - y0], score: f64::from(d.score) }
}

fn counts(classes: usize, items: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut counts = vec![0; classes];
    for class in items {
        if let Some(n) = counts.get_mut(class) {
            *n += 1;
        }
    }
    counts
}

/// The figures of one level, `all` for `None`.
fn level_json(s: CartScore) -> Value {
    json!({ "images": s.images, "cAcc": s.c_acc, "ACD": s.acd, "mCCD": s.mccd, "mCIoU": s.mciou })
}

/// Carts of 1,000.
fn point_json(p: Point) -> Value {
    json!({ "sure": p.sure, "wrong_per_1000": p.wrong, "attention_per_1000": p.attention })
}

fn to_json(o: &Outcome) -> Value {
    let mut levels = serde_json::Map::new();
    for level in Level::ALL {
        levels.insert(level.as_str().into(), level_json(o.carts.score(Some(level))));
    }
    levels.insert("all".into(), level_json(o.carts.score(None)));
    let names = &o.manifest.labels.names[..o.manifest.labels.products()];
    let n = names.len();
    let confusion: Vec<Vec<usize>> = (0..=n).map(|t| (0..=n).map(|f| o.confusion.count_of(t, f)).collect()).collect();
    let calibration: Vec<Value> =
        o.confusion.bins.iter().map(|b| json!({ "boxes": b.boxes, "right": b.right })).collect();
    let ap: serde_json::Map<String, Value> =
        names.iter().enumerate().map(|(i, n)| (n.clone(), json!(o.precision.of_class(i)))).collect();
    json!({
        "schema": "till.eval-tray/1",
        "engine": o.manifest.name,
        "sha256": o.manifest.sha256,
        "backend": o.backend,
        "precision": o.computes,
        "images": o.carts.score(None).images,
        "levels": levels,
        "mAP50": o.precision.map50(),
        "mmAP": o.precision.mmap(),
        "ap": ap,
        "confusion": { "labels": names, "table": confusion },
        "calibration": { "error": o.confusion.calibration_error(), "bins": calibration },
        "rejection": {
            "sure": o.manifest.thresholds.sure,
            "at_sure": o.rejection.at(f64::from(o.manifest.thresholds.sure)).map(point_json),
            "curve": o.rejection.curve().into_iter().map(point_json).collect::<Vec<_>>(),
        },
        "ms_per_image": o.ms_per_image,
        "looked_twice": o.looked_twice,
        "wrong": o.wrong.iter().map(|w| w.file.display().to_string()).collect::<Vec<_>>(),
    })
}

/// A share as percent, or a dash.
pub fn percent(v: Option<f64>) -> String {
    v.map_or_else(|| "-".into(), |v| format!("{:.2}", v * 100.0))
}

/// The levels that have pictures, and all.
pub fn rows(o: &Outcome) -> Vec<(&'static str, CartScore)> {
    let levels = Level::ALL.into_iter().map(|l| (l.as_str(), o.carts.score(Some(l))));
    levels.filter(|(_, s)| s.images > 0).chain([("all", o.carts.score(None))]).collect()
}

fn to_text(o: &Outcome) -> String {
    let mut text = format!(
        "engine {} ({}, {}), {:.1} ms a picture\n\n{:<8}{:>8}{:>9}{:>9}{:>9}{:>9}\n",
        o.manifest.name, o.backend, o.computes, o.ms_per_image, "level", "images", "cAcc %", "ACD", "mCCD %", "mCIoU %"
    );
    for (name, s) in rows(o) {
        let acd = s.acd.map_or_else(|| "-".into(), |v| format!("{v:.3}"));
        let (c_acc, mccd, mciou) = (percent(s.c_acc), percent(s.mccd), percent(s.mciou));
        text += &format!("{name:<8}{:>8}{c_acc:>9}{acd:>9}{mccd:>9}{mciou:>9}\n", s.images);
    }
    text += &format!(
        "\nmAP50 {} %, mmAP {} %; calibration error {} %\n",
        percent(o.precision.map50()),
        percent(o.precision.mmap()),
        percent(o.confusion.calibration_error())
    );
    let sure = o.manifest.thresholds.sure;
    o.rejection.at(f64::from(sure)).map_or(text.clone(), |p| {
        text + &format!(
            "of 1,000 carts at sure {sure}: {:.1} wrong charges, {:.1} to attention\n",
            p.wrong, p.attention
        )
    })
}

/// A file's name for people, without its folders.
pub fn short(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
#[path = "eval_tray_tests.rs"]
mod tests;
