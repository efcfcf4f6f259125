//! `till eval tray`: an engine over a folder of annotated pictures, through the very code that looks at the
//! counter's frames. Data on `out`, progress on stderr.

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use crate::engine::manifest::UNKNOWN_LABEL;
use crate::engine::{self, Backend, Choice, Manifest};
use crate::vision::metrics::rejection::Point;
use crate::vision::metrics::{AveragePrecision, CartScore, Carts, Confusion, Dataset, Level, Rejection, Scored, Truth};
use crate::vision::{Detection, Rules, TrayVision};

use super::exit::{CliError, Exit};
use super::{curve_tray, picture, report_tray};

/// Scores down to which precision is measured.
const FLOOR: f32 = 0.001;

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
    let mut vision = TrayVision::new(&manifest, engine, Rules::for_manifest(&manifest))?;
    let (products, score) = (manifest.labels.products(), vision.score());
    let mut carts = Carts::new(products);
    let mut precision = AveragePrecision::new(products);
    let mut confusion = Confusion::new(products);
    let mut rejection = Rejection::default();
    let unknown = manifest.labels.index(UNKNOWN_LABEL);
    let (mut wrong, mut ms) = (Vec::new(), 0.0);
    for (n, image) in data.images.iter().enumerate() {
        progress(n, data.images.len());
        let file = args.data.join(&image.file);
        let frame = picture::load(&file).map_err(|m| CliError::new(Exit::Failed, m))?;
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
        let start = Instant::now();
        let found = vision.detect_above(&frame, FLOOR)?;
        ms += start.elapsed().as_secs_f64() * 1e3;
        let strange = found.iter().any(|d| d.score >= score && Some(usize::from(d.label)) == unknown);
        let products_found = found.iter().filter(|d| usize::from(d.label) < products);
        let boxes: Vec<Scored> = products_found.clone().map(scored).collect();
        precision.add(&image.truth, &boxes);
        let counted: Vec<Detection> = products_found.filter(|d| d.score >= score).copied().collect();
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
    progress(data.images.len(), data.images.len());
    let ms_per_image = ms / data.images.len() as f64;
    let (backend, computes) = (vision.backend(), vision.precision().to_owned());
    Ok(Outcome { backend, computes, manifest, carts, precision, confusion, rejection, wrong, ms_per_image })
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

fn progress(done: usize, of: usize) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{done} of {of} pictures{}", if done == of { "\n" } else { "" });
    } else if done == of || (done > 0 && done.is_multiple_of(100)) {
        eprintln!("{done} of {of} pictures");
    }
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
mod tests {
    use super::*;

    /// Pictures for the test engine `blobs`: squares of 32 pixels in frames of 128x96.
    fn write_data(dir: &Path) {
        let square = |picture: &mut image::RgbImage, x0: u32, y0: u32, colour| {
            (0..32 * 32).for_each(|i| picture.put_pixel(x0 + i % 32, y0 + i / 32, image::Rgb(colour)));
        };
        for (name, squares) in [
            ("right.png", vec![(16, 16, [255, 0, 0]), (80, 48, [0, 255, 0])]),
            // The annotations know of one item that isn't there.
            ("wrong.png", vec![(16, 16, [255, 0, 0]), (80, 48, [255, 255, 255])]),
        ] {
            let mut picture = image::RgbImage::new(128, 96);
            squares.into_iter().for_each(|(x, y, c)| square(&mut picture, x, y, c));
            picture.save(dir.join(name)).unwrap();
        }
        let text = r#"{"images":[{"id":1,"file_name":"right.png","width":128,"height":96,"level":"easy"},
            {"id":2,"file_name":"wrong.png","width":128,"height":96}],
            "categories":[{"id":1,"name":"red"},{"id":2,"name":"green"}],
            "annotations":[{"image_id":1,"category_id":1,"bbox":[16,16,32,32]},
            {"image_id":1,"category_id":2,"bbox":[80,48,32,32]},
            {"image_id":2,"category_id":1,"bbox":[16,16,32,32]},{"image_id":2,"category_id":1,"bbox":[60,60,20,20]}]}"#;
        std::fs::write(dir.join("annotations.json"), text).unwrap();
    }

    fn args(data: &Path) -> EvalTrayArgs {
        let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs");
        let (report, curve) = (Some(data.join("report.html")), Some(data.join("curve.svg")));
        let data = data.to_path_buf();
        EvalTrayArgs { engine, data, backend: Backend::Rten, ort_dylib: None, threads: 1, json: true, report, curve }
    }

    #[test]
    fn figures_and_report_of_two_pictures() {
        let dir = tempfile::tempdir().unwrap();
        write_data(dir.path());
        let mut out = Vec::new();
        assert_eq!(run(&args(dir.path()), &mut out).unwrap(), Exit::Ok);
        let v: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&v["schema"], &v["images"]), (&json!("till.eval-tray/1"), &json!(2)));
        let acc = |level: &str| v["levels"][level]["cAcc"].clone();
        assert_eq!((acc("easy"), acc("medium"), acc("all")), (json!(1.0), Value::Null, json!(0.5)));
        // Red: 2 of 3 found at full precision, which is 67 of 101 recalls; green: all.
        let map50 = v["mAP50"].as_f64().unwrap();
        assert!((map50 - (67.0 / 101.0 + 1.0) / 2.0).abs() < 1e-6, "{map50}");
        assert!(v["wrong"][0].as_str().unwrap().ends_with("wrong.png") && v["ms_per_image"].as_f64().unwrap() > 0.0);
        let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
        assert!(page.contains("1 wrong carts") && page.contains("wrong.png") && !page.contains("right.png"));
        // The page can be mailed: the picture is in it, and no path of this machine.
        assert!(page.contains("href=\"data:image/jpeg;base64,/9j/"));
        assert!(!page.contains("file:") && !page.contains(&*dir.path().to_string_lossy()));
        // The white square is goods without a label: that cart is not charged at all.
        let sure = &v["rejection"]["curve"];
        assert_eq!((&sure[0]["wrong_per_1000"], &sure[0]["attention_per_1000"]), (&json!(0.0), &json!(500.0)));
        assert_eq!(sure.as_array().unwrap().len(), 101);
        assert!(std::fs::read_to_string(dir.path().join("curve.svg")).unwrap().contains("sure = "));
        let mut text = Vec::new();
        run(&EvalTrayArgs { json: false, ..args(dir.path()) }, &mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("easy           1   100.00"));
    }

    #[test]
    fn what_is_wrong_with_the_data_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = || run(&args(dir.path()), &mut Vec::new()).unwrap_err();
        assert!(error().message.contains("annotations.json"));
        write_data(dir.path());
        let picture = dir.path().join("wrong.png");
        image::RgbImage::new(96, 128).save(&picture).unwrap();
        assert!(error().message.contains("is 96x128 when upright, the annotations say 128x96"));
        std::fs::write(&picture, "no picture").unwrap();
        assert!(error().message.contains("wrong.png"));
        std::fs::remove_file(&picture).unwrap();
        let e = error();
        assert!(e.exit == Exit::Failed && e.message.contains("wrong.png"));
        let engine = dir.path().to_path_buf();
        assert_eq!(run(&EvalTrayArgs { engine, ..args(dir.path()) }, &mut Vec::new()).unwrap_err().exit, Exit::Config);
    }

    /// `run` over one picture with the annotations given, `WxH` and `FILE` filled in.
    fn one(bytes: &[u8], file: &str, (width, height): (u32, u32), boxes: &str, level: &str) -> Result<Value, CliError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(file), bytes).unwrap();
        let text = format!(
            r#"{{"images":[{{"id":1,"file_name":"{file}","width":{width},"height":{height}{level}}}],
            "categories":[{{"id":1,"name":"red"}},{{"id":2,"name":"green"}},{{"id":3,"name":"__hand__"}}],"annotations":[{boxes}]}}"#
        );
        std::fs::write(dir.path().join("annotations.json"), text).unwrap();
        let mut out = Vec::new();
        run(&args(dir.path()), &mut out).map(|_| serde_json::from_slice(&out).unwrap())
    }

    fn png(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(colour(x, y)));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn pictures_of_every_kind_and_size_are_measured() {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures");
        for name in ["grey.png", "rgb16.png", "rgba.png", "palette.png", "cmyk.jpg", "rotated.jpg"] {
            let v = one(&std::fs::read(files.join(name)).unwrap(), name, (48, 32), "", "").unwrap();
            assert_eq!(v["images"], json!(1), "{name}");
        }
        assert_eq!(
            one(&png(1, 1, |_, _| [9, 8, 7]), "p.png", (1, 1), "", "").unwrap()["levels"]["all"]["cAcc"],
            json!(1.0)
        );
        // A large one is as right as a small one: a red square of the same share of the frame.
        let red = |w: u32, h: u32| {
            move |x, y| {
                if (w / 8..w * 3 / 8).contains(&x) && (h / 6..h / 2).contains(&y) { [255, 0, 0] } else { [0; 3] }
            }
        };
        for (w, h) in [(128, 96), (8000, 6000)] {
            let truth = format!(r#"{{"image_id":1,"category_id":1,"bbox":[{},{},{},{}]}}"#, w / 8, h / 6, w / 4, h / 3);
            let v = one(&png(w, h, red(w, h)), "p.png", (w, h), &truth, r#","level":"hard""#).unwrap();
            assert_eq!((&v["levels"]["hard"]["cAcc"], &v["mAP50"]), (&json!(1.0), &json!(1.0)), "{w}x{h}");
        }
    }

    #[test]
    fn annotations_at_the_limits_are_measured_and_beyond_them_named() {
        let red =
            || png(128, 96, |x, y| if (16..48).contains(&x) && (16..48).contains(&y) { [255, 0, 0] } else { [0; 3] });
        let there = r#"{"image_id":1,"category_id":1,"bbox":[16,16,32,32]}"#;
        let measure = |boxes: &str, level: &str| one(&red(), "p.png", (128, 96), boxes, level);
        // Without a level, or with none: in the sum only. A hand is no item; a box over the edge is one.
        for level in ["", r#","level":null"#] {
            let v = measure(there, level).unwrap();
            assert_eq!((&v["levels"]["all"]["cAcc"], &v["levels"]["easy"]["cAcc"]), (&json!(1.0), &Value::Null));
        }
        let hand = format!(r#"{there},{{"image_id":1,"category_id":3,"bbox":[60,60,90,90]}}"#);
        let v = measure(&hand, "").unwrap();
        assert_eq!((&v["levels"]["all"]["cAcc"], &v["confusion"]["table"][3][3]), (&json!(1.0), &json!(0)));
        let over = format!(r#"{there},{{"image_id":1,"category_id":2,"bbox":[-20,80,60,60]}}"#);
        assert_eq!(measure(&over, "").unwrap()["levels"]["all"]["ACD"], json!(1.0));
        for (boxes, level, word) in [
            (r#"{"image_id":1,"category_id":1,"bbox":[128,0,5,5]}"#, "", "lies outside of p.png (128x96)"),
            (r#"{"image_id":1,"category_id":1,"bbox":[0,0,-5,5]}"#, "", "lies outside of p.png"),
            (r#"{"image_id":1,"category_id":1,"bbox":[0,0,1e999,5]}"#, "", "annotations.json"),
            (r#"{"image_id":2,"category_id":1,"bbox":[0,0,5,5]}"#, "", "no picture has the id 2"),
            (r#"{"image_id":1,"category_id":9,"bbox":[0,0,5,5]}"#, "", "no category has the id 9"),
            (there, r#","level":"Easy""#, "level \"Easy\": easy, medium or hard"),
        ] {
            let e = measure(boxes, level).unwrap_err();
            assert!(e.exit == Exit::Failed && e.message.contains(word), "{boxes}: {}", e.message);
        }
    }

    #[test]
    fn an_engine_of_another_task_is_refused() {
        let (data, engine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_data(data.path());
        let blobs = args(data.path()).engine;
        for file in std::fs::read_dir(&blobs).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), engine.path().join(file.file_name())).unwrap();
        }
        let manifest = std::fs::read_to_string(blobs.join("manifest.toml")).unwrap();
        for task in ["embed", "classify"] {
            let text = manifest.replace("task = \"detect\"", &format!("task = {task:?}"));
            assert_ne!(text, manifest);
            std::fs::write(engine.path().join("manifest.toml"), text).unwrap();
            let refused = EvalTrayArgs { engine: engine.path().to_path_buf(), ..args(data.path()) };
            let e = run(&refused, &mut Vec::new()).unwrap_err();
            assert!(e.exit == Exit::Config && e.message.contains(task), "{}", e.message);
        }
    }
}
