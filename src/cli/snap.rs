//! `till snap`: what the tray camera sees. A PNG with boxes, names and scores; or raw pictures, to train on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

use super::draw;
use super::exit::{CliError, Exit};
use super::footage::Camera;
use crate::capture::Frame;
use crate::checkout::Catalogue;
use crate::checkout::cart::tally;
use crate::config::Config;
use crate::engine::{Fit, InputSpec, Manifest};
use crate::runtime::{clock, control, parts};
use crate::vision::preprocess::Preprocessor;
use crate::vision::{Class, TrayItem, TrayObservation, thumbnail};

/// Frames that are looked at until the tray is settled; after that it is drawn as it is.
const LOOK_FRAMES_MAX: u32 = 60;

/// Show what the tray camera sees, or collect its pictures
///
/// Draws boxes, names and scores, and the mass that the goods have by the catalogue.
/// The pictures come from the running daemon, else from the configured camera. Names stand for what the engine sees;
/// `?` marks what it is unsure of, followed by what it may be.
#[derive(Debug, Args)]
pub struct SnapArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
    /// The picture that is written
    #[arg(long, value_name = "PNG", default_value = "snap.png")]
    pub out: PathBuf,
    /// Write raw pictures into this folder instead, without looking at them: to train on
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub collect: Option<PathBuf>,
    /// How many pictures to collect
    #[arg(long, value_name = "N", default_value_t = 1, requires = "collect")]
    pub count: u32,
    /// Milliseconds between two of them: time to turn the pack
    #[arg(long, value_name = "MS", default_value_t = 2000, requires = "collect")]
    pub every_ms: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// A camera that can't be opened or sends nothing, an engine that can't be loaded.
pub fn run(args: &SnapArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let config = Config::load(&args.config).map_err(|e| CliError::new(Exit::Config, e.to_string()))?;
    let mut camera = match control::ask(&config.counter.control, "status") {
        Ok(_) => Camera::of_daemon(&config.counter.control),
        Err(_) => Camera::open("tray", &config.tray.camera)?,
    };
    match &args.collect {
        Some(folder) => collect(args, &mut camera, folder, out),
        None => show(args, &config, &mut camera, out),
    }
}

fn collect(args: &SnapArgs, camera: &mut Camera, folder: &Path, out: &mut dyn Write) -> Result<Exit, CliError> {
    std::fs::create_dir_all(folder)?;
    let mut files: Vec<PathBuf> = Vec::new();
    let mut due_ms = clock::monotonic_ms();
    while files.len() < args.count as usize {
        // The frames in between are taken and dropped: what is kept is never an old one.
        if camera.is_daemon() && !files.is_empty() {
            std::thread::sleep(Duration::from_millis(due_ms.saturating_sub(clock::monotonic_ms())));
        }
        let Some(frame) = camera.read()? else { break };
        if clock::monotonic_ms() < due_ms && !files.is_empty() {
            continue;
        }
        due_ms = clock::monotonic_ms() + args.every_ms;
        let file = fresh(folder);
        save(&rgb(frame)?, &file)?;
        eprintln!("{} of {}: {}", files.len() + 1, args.count, file.display());
        files.push(file);
    }
    if args.json {
        writeln!(out, "{}", json!({ "schema": "till.snap/1", "collected": files }))?;
    } else {
        files.iter().try_for_each(|file| writeln!(out, "{}", file.display()))?;
    }
    let whole = files.len() == args.count as usize;
    if !whole {
        eprintln!("the recording ended after {} pictures", files.len());
    }
    Ok(if whole { Exit::Ok } else { Exit::Degraded })
}

/// A name that is not taken: the second of the wall clock, then a number.
fn fresh(folder: &Path) -> PathBuf {
    let second = clock::wall_s().unwrap_or(0);
    let names = (0..u32::MAX).map(|n| folder.join(format!("{second}-{n:03}.png")));
    names.into_iter().find(|file| !file.exists()).unwrap_or_else(|| folder.join("full.png"))
}

fn show(args: &SnapArgs, config: &Config, camera: &mut Camera, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut eyes = parts::eyesight(config)?;
    let catalogue = parts::catalogue(config).map_err(|e| eprintln!("without names and masses: {e}")).ok();
    let mut picture = None;
    for _ in 0..LOOK_FRAMES_MAX {
        let Some(frame) = camera.read()? else { break };
        let settled = eyes.vision.observe(frame, frame.captured_ns / 1_000_000)?.settled;
        picture = Some(rgb(frame)?);
        if settled {
            break;
        }
    }
    let mut picture = picture.ok_or_else(|| CliError::new(Exit::Missing, "the recording has no frame"))?;
    let tray = eyes.vision.last();
    let mass = catalogue.as_ref().map(|catalogue| mass(tray, catalogue, &eyes.manifest, config));
    paint(&mut picture, tray, &eyes.manifest, mass);
    save(&picture, &args.out)?;
    if args.json {
        let items: Vec<Value> = tray.items.iter().map(|item| describe(item, &eyes.manifest)).collect();
        let report = json!({
            "schema": "till.snap/1", "picture": args.out, "engine": eyes.manifest.name, "backend": eyes.vision.backend(),
            "width": picture.width(), "height": picture.height(), "settled": tray.settled, "hand": tray.hand,
            "items": items, "expected_g": mass.map(|m| m.0), "tolerance_g": mass.map(|m| m.1),
        });
        writeln!(out, "{report}")?;
    } else {
        tray.items.iter().try_for_each(|item| writeln!(out, "{}", words(item, &eyes.manifest)))?;
        let settled = if tray.settled { "settled" } else { "not settled" };
        let mass = mass.map(|(g, tolerance)| format!(", expected {g} g +- {tolerance} g")).unwrap_or_default();
        writeln!(out, "{} items, {settled}{mass}; {}", tray.items.len(), args.out.display())?;
    }
    Ok(Exit::Ok)
}

/// What the sure items weigh by the catalogue, and how far they may be off, grams.
fn mass(tray: &TrayObservation, catalogue: &Catalogue, manifest: &Manifest, config: &Config) -> (i64, i64) {
    let labels = catalogue.index_labels(manifest.labels.names.iter().map(String::as_str));
    let votes_min = u16::try_from(config.checkout.votes_min).unwrap_or(u16::MAX);
    let tally = tally(tray, catalogue, &labels, None, votes_min);
    (tally.expected_g, tally.tolerance_g)
}

fn name(label: u16, manifest: &Manifest) -> &str {
    manifest.labels.names.get(usize::from(label)).map_or("?", String::as_str)
}

fn candidates<'m>(item: &TrayItem, manifest: &'m Manifest) -> Vec<(&'m str, u16)> {
    item.candidates.iter().flatten().map(|c| (name(c.label, manifest), c.share_permille)).collect()
}

/// One item in a line.
fn words(item: &TrayItem, manifest: &Manifest) -> String {
    let score = f32::from(item.score_permille) / 1000.0;
    match item.class {
        Class::Product(label) => format!("{} {score:.2}", name(label, manifest)),
        Class::Unknown => format!("unknown item {score:.2}"),
        Class::Unsure => {
            let list: Vec<&str> = candidates(item, manifest).into_iter().map(|(name, _)| name).collect();
            format!("? {}", if list.is_empty() { "unsure".into() } else { list.join(" or ") })
        }
    }
}

fn describe(item: &TrayItem, manifest: &Manifest) -> Value {
    let (class, sku) = match item.class {
        Class::Product(label) => ("product", Some(name(label, manifest))),
        Class::Unknown => ("unknown", None),
        Class::Unsure => ("unsure", None),
    };
    let list: Vec<Value> = candidates(item, manifest)
        .into_iter()
        .map(|(sku, share)| json!({ "sku": sku, "share": f64::from(share) / 1e3 }))
        .collect();
    json!({
        "class": class, "sku": sku, "score": f64::from(item.score_permille) / 1e3, "votes": item.votes,
        "frames": item.frames, "bbox": item.bbox, "stable": item.stable, "clipped": item.clipped,
        "overlapped": item.overlapped, "candidates": list,
    })
}

fn paint(picture: &mut RgbImage, tray: &TrayObservation, manifest: &Manifest, mass: Option<(i64, i64)>) {
    let scale = (picture.width() / 640).max(1);
    for item in &tray.items {
        let colour = match item.class {
            Class::Product(_) => Rgb([90, 230, 110]),
            Class::Unsure => Rgb([255, 210, 60]),
            Class::Unknown => Rgb([255, 90, 80]),
        };
        draw::outline(picture, item.bbox, 2 * scale, colour);
        let [x, y, ..] = item.bbox;
        let text = words(item, manifest);
        draw::label(picture, (x, y - draw::size(&text, scale).1 as f32), &text, scale, colour);
    }
    let state = if tray.settled { "settled" } else { "not settled" };
    let mass = mass.map(|(g, tolerance)| format!(", {g} g +- {tolerance} g by the catalogue")).unwrap_or_default();
    let text = format!(" {} items, {state}{mass} ", tray.items.len());
    let bottom = picture.height() as f32;
    draw::label(picture, (0.0, bottom), &text, scale, Rgb([255, 255, 255]));
}

/// The frame as people see it: through the same conversion as the engine's input, in its own size.
fn rgb(frame: &Frame) -> Result<RgbImage, CliError> {
    let spec = InputSpec::for_people(frame.width, frame.height, Fit::Stretch);
    let mut numbers = vec![0.0; spec.elements()];
    Preprocessor::new(&spec).fill(frame, &mut numbers)?;
    RgbImage::from_raw(frame.width, frame.height, thumbnail::bytes(&numbers).collect())
        .ok_or_else(|| CliError::new(Exit::Failed, "a frame of the camera contradicts its own size"))
}

pub(super) fn save(picture: &RgbImage, file: &Path) -> Result<(), CliError> {
    picture
        .save_with_format(file, image::ImageFormat::Png)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: can't be written: {e}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter with the test engine and the camera that needs no device.
    fn counter() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs");
        let text = format!(
            "counter.catalogue = \"shop.csv\"\ncounter.control = \"ctl.sock\"\ntray.camera.test = true\n\
             tray.engine.dir = \"{}\"\ntray.engine.backend = \"rten\"\n",
            engine.display()
        );
        std::fs::write(folder.path().join("till.toml"), text).unwrap();
        folder
    }

    fn args(folder: &Path) -> SnapArgs {
        let (config, out) = (folder.join("till.toml"), folder.join("snap.png"));
        SnapArgs { config, out, collect: None, count: 1, every_ms: 0, json: true }
    }

    #[test]
    fn pictures_are_collected_and_none_is_written_over() {
        let folder = counter();
        let collect = folder.path().join("photos/tea");
        for _ in 0..2 {
            let args = SnapArgs { collect: Some(collect.clone()), count: 3, ..args(folder.path()) };
            let mut out = Vec::new();
            assert_eq!(run(&args, &mut out), Ok(Exit::Ok));
            let report: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(report["collected"].as_array().map(Vec::len), Some(3));
        }
        let files: Vec<_> = std::fs::read_dir(&collect).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 6);
        let config = Config::load(&folder.path().join("till.toml")).unwrap();
        let picture = super::super::picture::load(&files[0]).unwrap();
        assert_eq!((picture.width, picture.height), (config.tray.camera.width, config.tray.camera.height));
    }

    #[test]
    fn a_picture_with_what_was_seen_is_written() {
        let folder = counter();
        let mut out = Vec::new();
        assert_eq!(run(&args(folder.path()), &mut out), Ok(Exit::Ok));
        let report: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&report["schema"], &report["engine"]), (&json!("till.snap/1"), &json!("blobs")));
        let picture = super::super::picture::load(&folder.path().join("snap.png")).unwrap();
        assert_eq!((json!(picture.width), json!(picture.height)), (report["width"].clone(), report["height"].clone()));
    }

    #[test]
    fn boxes_and_names_are_painted_by_their_class() {
        let manifest = Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs")).unwrap();
        let candidate =
            |label| Some(crate::vision::Candidate { label, share_permille: 480, votes: 9, score_permille: 500 });
        let item = |class, candidates| TrayItem {
            track: 0,
            class,
            candidates,
            votes: 9,
            frames: 10,
            score_permille: 910,
            bbox: [20.0, 30.0, 60.0, 70.0],
            clipped: false,
            overlapped: false,
            stable: true,
        };
        let unsure = item(Class::Unsure, [candidate(0), candidate(1), None, None]);
        assert_eq!(words(&item(Class::Product(2), Default::default()), &manifest), "blue 0.91");
        assert_eq!(words(&unsure, &manifest), "? red or green");
        assert_eq!(words(&item(Class::Unsure, Default::default()), &manifest), "? unsure");
        assert_eq!(describe(&unsure, &manifest)["candidates"][1], json!({ "sku": "green", "share": 0.48 }));
        let mut tray = TrayObservation::default();
        tray.items.push(unsure).unwrap();
        let mut picture = RgbImage::new(160, 120);
        paint(&mut picture, &tray, &manifest, Some((300, 8)));
        assert_eq!((*picture.get_pixel(21, 50), *picture.get_pixel(40, 50)), (Rgb([255, 210, 60]), Rgb([0, 0, 0])));
        assert_eq!(*picture.get_pixel(0, 119), Rgb([255, 255, 255]), "the line at the bottom");
    }
}
