//! From the configuration to the parts that a driver joins: catalogue, engine, vision, books, camera.

use std::path::Path;
use std::sync::Arc;

use till_link::{Currency, Security};

use crate::capture::camera::Deadlines;
use crate::capture::clock::{Clock, Monotonic};
use crate::capture::gst::{GstOpener, Pace, Source};
use crate::capture::test::{Step, TestOpener};
use crate::capture::v4l2::{Controls, V4l2Opener, Want};
use crate::capture::{Opener, PixelFormat};
use crate::checkout::Catalogue;
use crate::config::{Camera, CameraSource, Config, Face, Int8, Liveness};
use crate::counter::{Counter, Observer, Rules, open_log};
use crate::engine::tensorrt::{self, Precision};
use crate::engine::{Backend, Choice, EngineErrorKind, Manifest};
use crate::outbox::{Limits, LogError, LogErrorKind};
use crate::people::shelf::Shelf;
use crate::people::vault::KeySource;
use crate::people::{FmrCurve, Policy};
use crate::port::key_file;
use crate::pos::{Keys, Pos};
use crate::runtime::face::Recogniser;
use crate::runtime::{RuntimeError, RuntimeErrorKind, clock};
use crate::vision::face::{FaceVision, Passive};
use crate::vision::{self, Second, TrayVision};

impl From<crate::engine::EngineError> for RuntimeError {
    fn from(error: crate::engine::EngineError) -> Self {
        Self::new(RuntimeErrorKind::Engine, error.place.clone(), error.message)
    }
}

impl From<crate::vision::VisionError> for RuntimeError {
    fn from(error: crate::vision::VisionError) -> Self {
        Self::new(RuntimeErrorKind::Engine, "vision", error.to_string())
    }
}

impl From<LogError> for RuntimeError {
    fn from(error: LogError) -> Self {
        let kind =
            if error.kind == LogErrorKind::Busy { RuntimeErrorKind::SecondDaemon } else { RuntimeErrorKind::Storage };
        Self::new(kind, "books", error.to_string())
    }
}

/// The tray's engine, loaded, and how to load the one below it.
pub struct Eyesight {
    /// The engine's description.
    pub manifest: Manifest,
    /// Pre-processing, engine, head and fusion.
    pub vision: TrayVision,
    /// Why no better backend runs it.
    pub reason: Option<String>,
    /// How it was loaded.
    pub choice: Choice,
}

/// How the configuration wants the tray's engine run.
pub fn choice(config: &Config) -> Choice {
    let engine = &config.tray.engine;
    let precision = match (engine.int8, engine.fp32) {
        (Int8::IfFast | Int8::Always, _) => Precision::Int8,
        (Int8::No, true) => Precision::Fp32,
        (Int8::No, false) => Precision::Fp16,
    };
    Choice {
        backend: engine.backend,
        threads: engine.threads,
        ort_dylib: engine.ort_dylib.clone(),
        plans: Some(engine.plans.clone().unwrap_or_else(|| config.counter.state_dir.join("plans"))),
        want: tensorrt::Want { precision: Some(precision), dla: engine.dla },
    }
}

/// Reads the catalogue that the configuration names.
pub fn catalogue(config: &Config) -> Result<Catalogue, RuntimeError> {
    let currency = Currency(config.counter.currency);
    Catalogue::load(&config.counter.catalogue, currency)
        .map_err(|error| RuntimeError::new(RuntimeErrorKind::Config, "catalogue", error.to_string()))
}

/// Loads the tray's engine by the configuration's choice. Where a backend is named but not required, a
/// missing one is replaced by the best that is there, and the log says so.
pub fn eyesight(config: &Config) -> Result<Eyesight, RuntimeError> {
    let engine = &config.tray.engine;
    let manifest = Manifest::load(&engine.dir)?;
    let mut choice = choice(config);
    let (loaded, reason) = match crate::engine::load::load_told(&manifest, &choice) {
        Err(error) if error.kind == EngineErrorKind::Backend && !engine.require => {
            log::warn!("{error}; taking the best that is there (set tray.engine.require = true to refuse)");
            // The named one was just tried: what is below it is left.
            choice.backend = if engine.backend == Backend::TensorRt { Backend::OnnxRuntime } else { Backend::Auto };
            let below = crate::engine::load(&manifest, &choice);
            let loaded = match below {
                Err(_) if choice.backend == Backend::OnnxRuntime => {
                    choice.backend = Backend::Rten;
                    crate::engine::load(&manifest, &choice)
                }
                below => below,
            };
            (loaded?, Some(error.to_string()))
        }
        other => other?,
    };
    choice.backend = engine.backend;
    let vision = TrayVision::new(&manifest, loaded, vision::Rules::for_manifest(&manifest))?
        .with_second(Second::load(&manifest, &choice)?);
    Ok(Eyesight { manifest, vision, reason, choice })
}

/// Vision on `backend`, or a word in the log.
pub fn vision_on(manifest: &Manifest, choice: &Choice, backend: Backend) -> Option<TrayVision> {
    let choice = Choice { backend, ..choice.clone() };
    let engine = crate::engine::load(manifest, &choice).map_err(|error| log::error!("{error}")).ok()?;
    let rules = vision::Rules::for_manifest(manifest);
    let vision = TrayVision::new(manifest, engine, rules);
    let vision = vision.and_then(|vision| Ok(vision.with_second(Second::load(manifest, &choice)?)));
    vision.map_err(|error| log::error!("{error}")).ok()
}

/// Vision on the next rung below `backend` that loads; below rten there is none.
pub fn below(manifest: &Manifest, choice: &Choice, backend: &str) -> Box<dyn FnMut() -> Option<TrayVision> + Send> {
    let (manifest, choice) = (manifest.clone(), choice.clone());
    let mut rungs = rungs_below(backend).iter();
    Box::new(move || rungs.find_map(|&backend| vision_on(&manifest, &choice, backend)))
}

/// The backends to try when `backend` failed while it ran, best first.
fn rungs_below(backend: &str) -> &'static [Backend] {
    match backend {
        "tensorrt" => &[Backend::OnnxRuntime, Backend::Rten],
        "onnxruntime" => &[Backend::Rten],
        _ => &[],
    }
}

/// Catalogue labels that the assortment lacks are worth a word, not a refusal.
pub fn warn_of_missing(catalogue: &Catalogue, manifest: &Manifest) {
    let missing = catalogue.without_price(manifest.labels.product_names());
    if !missing.is_empty() {
        log::warn!("catalogue: has no price for {}; they are treated as unknown items", missing.join(", "));
    }
}

/// Opens the books below `state_dir` and joins the counter. `fixed` gives epoch and boot number where a
/// run must repeat byte for byte; else they are drawn from the clocks.
pub fn counter(
    config: &Config,
    catalogue: Catalogue,
    manifest: &Manifest,
    fixed: Option<u32>,
    now_ms: u64,
    observer: Option<Observer>,
) -> Result<Counter, RuntimeError> {
    let state: &Path = &config.counter.state_dir;
    let limits = Limits { bytes_max: config.outbox.bytes_max, segment_bytes: config.outbox.segment_bytes };
    let drawn = fixed.unwrap_or_else(draw);
    let out = open_log(&state.join("outbox"), limits, drawn)?;
    let inbox = open_log(&state.join("inbox"), limits, drawn)?;
    for log in [&out, &inbox] {
        if log.torn_bytes() > 0 {
            log::warn!(
                "books: {} bytes of an interrupted write were cut off; nothing acknowledged was lost",
                log.torn_bytes()
            );
        }
    }
    let labels = manifest.labels.names.iter().map(String::as_str);
    let rules = Rules::of(config);
    let security = security(config, fixed)?;
    let counter = Counter::new(rules, catalogue, labels, config.counter.id, drawn, out, inbox, now_ms, observer);
    Ok(match security {
        Some(security) => counter.secured(security),
        None => counter,
    })
}

/// The link's key where the configuration wants one; `fixed` as for [`counter`].
pub fn security(config: &Config, fixed: Option<u32>) -> Result<Option<Security>, RuntimeError> {
    let Some(file) = &config.link.key_file else { return Ok(None) };
    let security = match fixed {
        Some(number) => {
            let mut seed = [0; 32];
            seed.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
            key_file::with_seed(file, seed)
        }
        None => key_file::load(file),
    };
    security.map(Some).map_err(|error| RuntimeError::new(RuntimeErrorKind::Config, error.place, error.message))
}

/// The reference POS at the other end of the counter's line, with the counter's key.
pub fn pos(config: &Config, folder: &Path, keys: Keys, fixed: Option<u32>, now_ms: u64) -> Result<Pos, RuntimeError> {
    let [boot, epoch] = [(); 2].map(|()| fixed.unwrap_or_else(draw));
    let pos = Pos::open(folder, config.counter.id, boot, epoch, keys, now_ms)?;
    Ok(match security(config, fixed)? {
        Some(security) => pos.secured(security),
        None => pos,
    })
}

/// A number that differs from start to start and is not 0: the monotonic clock tells two starts of one
/// boot apart, the wall clock and the process number two boots.
pub fn draw() -> u32 {
    let parts = [clock::monotonic_ns(), clock::wall_s().unwrap_or(0), u64::from(std::process::id())];
    let mut digest = till_link::frame::CRC.digest();
    for part in parts {
        digest.update(&part.to_le_bytes());
    }
    digest.finalize().max(1)
}

/// What opens a camera of the configuration.
pub fn opener(role: &str, camera: &Camera, pace: Pace) -> Box<dyn Opener> {
    let source = match &camera.source {
        CameraSource::V4l2 { path, buffers, controls } => {
            let controls = Controls {
                exposure_us: controls.exposure_us,
                white_balance_k: controls.white_balance_k,
                focus: controls.focus,
                gain: controls.gain,
                power_line_hz: controls.power_line_hz,
            };
            let size = (camera.width, camera.height);
            return Box::new(V4l2Opener::new(role, path, Want { size, fps: camera.fps, buffers: *buffers, controls }));
        }
        CameraSource::Pipeline(text) => Source::Pipeline(text.clone()),
        CameraSource::File { path, .. } => Source::File(path.clone()),
        CameraSource::Rtsp(url) => Source::Rtsp(url.clone()),
        CameraSource::Csi(sensor) => {
            Source::Csi { sensor: *sensor, width: camera.width, height: camera.height, fps: camera.fps }
        }
        CameraSource::Test => {
            let clock: Arc<dyn Clock> = Arc::new(Monotonic);
            let (width, height, interval_ms) = (camera.width, camera.height, 1_000 / u64::from(camera.fps.max(1)));
            let script = vec![Step::Frames(u64::MAX)];
            return Box::new(TestOpener::new(role, width, height, PixelFormat::Yuyv, interval_ms, script, clock));
        }
    };
    Box::new(GstOpener::new(role, source, pace))
}

/// What recognises members: engines, error rates and the vault that the configuration names. The vault may yet come.
pub fn recogniser(config: &Config, face: &Face) -> Result<Recogniser, RuntimeError> {
    let choice = Choice { backend: Backend::Auto, want: tensorrt::Want::default(), ..choice(config) };
    let passive = match (&face.liveness, config.people.liveness) {
        (Some(dir), Liveness::Advisory | Liveness::Required) => Some(Passive::load(dir, &choice)?),
        _ => None,
    };
    let vision = FaceVision::load(&face.detector, &face.embedder, &choice)?.with_passive(passive);
    let network = Manifest::load(&face.embedder)?.sha256;
    let curve = FmrCurve::load(&face.embedder, &network)
        .map_err(|error| RuntimeError::new(RuntimeErrorKind::Engine, "face.embedder", error.to_string()))?;
    let key = config.people.key_file.clone().map_or(KeySource::Own, KeySource::File);
    let folder = config.counter.state_dir.join("people");
    let shelf = Shelf::new(folder, key, &network, vision.embedder().dimensions());
    let policy = Policy { target_fpir: config.people.target_fpir(), ..Policy::default() };
    let poses = config.people.poses.iter().map(|pose| (*pose).into()).collect();
    Ok(Recogniser { vision, curve, policy, shelf, poses, liveness: config.people.liveness })
}

/// A camera's deadlines.
pub fn deadlines(camera: &Camera) -> Deadlines {
    Deadlines {
        first_frame_ms_max: camera.first_frame_ms_max,
        stall_ms_max: camera.stall_ms_max,
        reopen_ms_min: camera.reopen_ms_min,
        reopen_ms_max: camera.reopen_ms_max,
    }
}
