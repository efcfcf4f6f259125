//! The threads: one a camera, one for vision, one for triggers, one for the counter (`desk`), one for the control
//! socket.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use crate::capture::camera::State;
use crate::capture::clock::Monotonic;
use crate::capture::gst::Pace;
use crate::capture::run::{AtEnd, Settings, Stats};
use crate::capture::slot::slot;
use crate::checkout::{Catalogue, FaceSaid};
use crate::config::{CameraSource, Config, TriggerSource};
use crate::counter::Guided;
use crate::machine::Tree;
use crate::machine::ladder::{Ladder, Step};
use crate::runtime::control::{self, Control};
use crate::runtime::desk::{Desk, REOPEN_MS};
use crate::runtime::devices::Devices;
use crate::runtime::eye::{Better, Eye, EyeStats, Offered};
use crate::runtime::face::Face;
use crate::runtime::heart::Heart;
use crate::runtime::outputs::Outputs;
use crate::runtime::plans::Watcher;
use crate::runtime::status::{OutputStatus, Running, Status, TriggerStatus};
use crate::runtime::{RuntimeError, RuntimeErrorKind, clock, ladder, outputs, parts, triggers};
use crate::trigger::RawEvent;
use crate::trigger::script::Script;
use crate::vision::TrayObservation;
use crate::vision::thumbnail::Thumbnailer;

/// How long a camera may take to a picture that somebody asks for; less than the control thread's heart may rest.
const PICTURE_WAIT: Duration = Duration::from_millis(2_000);

/// Facts on their way to the counter; more than this many wait only when the disk hangs.
pub(super) const CHANNEL: usize = 64;

/// What the counter's thread hears.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an observation travels by value so that nothing is allocated for it")]
pub enum ToCounter {
    /// The tray after a frame.
    Tray(TrayObservation),
    /// Line or scale.
    Raw(RawEvent),
    /// Another engine runs the detector.
    Engine(Running),
    /// No engine works; the last one's failure.
    EngineFailed(String),
    /// How lines and scale are.
    Devices(TriggerStatus),
    /// How lamp, buzzer and lock are.
    Outputs(Vec<OutputStatus>),
    /// More or less is to be left out.
    Load(Step),
    /// What lies in quarantine.
    Quarantined(Vec<String>),
    /// The answer to a shopper's question, who is it.
    Face(u32, FaceSaid),
    /// How an enrolment goes.
    Enrol(u32, Guided),
    /// A JPEG of the tray as it was offered.
    Picture(Offered, Vec<u8>),
    /// New prices.
    Catalogue(Catalogue),
}

/// A running counter.
pub struct Live {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    hearts: Vec<Arc<Heart>>,
    status: Arc<Mutex<Status>>,
    to_counter: Sender<ToCounter>,
    script_done: Arc<AtomicBool>,
    camera: Arc<Stats>,
}

impl Live {
    /// Starts everything that `config` describes. What can't work at all is an error here; what may yet
    /// come (camera, POS) is waited for by its thread.
    pub fn start(config: &Config) -> Result<Self, RuntimeError> {
        Self::start_on(config, Tree::new("/"))
    }

    /// The same on a board whose sensors lie below `board`.
    pub fn start_on(config: &Config, board: Tree) -> Result<Self, RuntimeError> {
        let now_ms = clock::monotonic_ms();
        let catalogue = parts::catalogue(config)?;
        let script = match &config.trigger.source {
            TriggerSource::None | TriggerSource::Devices { .. } => None,
            TriggerSource::Script(file) => Some(
                Script::load(file)
                    .map_err(|error| RuntimeError::new(RuntimeErrorKind::Config, "trigger", error.to_string()))?,
            ),
        };
        // Looks at the plans before the engine does, so that none that comes meanwhile is missed.
        let watcher = Watcher::of(config)?;
        let eyesight = parts::eyesight(config)?;
        parts::warn_of_missing(&catalogue, &eyesight.manifest);
        // The books are locked here: a second daemon on the same folder ends at this line.
        let outputs = Outputs::of(&config.outputs).map(|outputs| (outputs, bounded(CHANNEL)));
        let observer = outputs.as_ref().map(|(_, (signs, _))| outputs::observer(signs.clone()));
        let mut counter = parts::counter(config, catalogue, &eyesight.manifest, None, now_ms, observer)?;
        let control = Control::bind(&config.counter.control)?;

        let backend = eyesight.vision.backend();
        log::info!("engine {} runs on {backend}", eyesight.manifest.name);
        let running = Running::of(&eyesight.vision, eyesight.reason.clone());
        counter.runs_on(now_ms, &running.runs_on());

        let stop = Arc::new(AtomicBool::new(false));
        let (to_counter, facts) = bounded(CHANNEL);
        let look = Arc::new(AtomicBool::new(false));
        let heart = |name, silence_ms_max| Heart::new(name, silence_ms_max, now_ms);
        let hearts = [
            heart("camera-tray", 10_000),
            heart("vision", 10_000),
            heart("triggers", 5_000),
            heart("counter", 10_000),
            heart("control", 5_000),
            heart("ladder", 10_000),
        ];
        let [camera_heart, eye_heart, trigger_heart, counter_heart, control_heart, ladder_heart] = hearts.clone();
        let stride = Arc::new(AtomicU32::new(1));
        let better = Arc::new(Better::default());
        let camera = Arc::new(Stats::default());
        let eye_stats = Arc::new(EyeStats::default());
        let script_done = Arc::new(AtomicBool::new(script.is_none()));
        let mut status =
            Status { schema: "till.status/1".into(), version: env!("CARGO_PKG_VERSION").into(), ..Status::default() };
        status.engine.name = eyesight.manifest.name.clone();
        status.engine.run_on(running.clone());
        status.link.port = config.port.path.display().to_string();
        let status = Arc::new(Mutex::new(status));
        let mut live = Self {
            stop: Arc::clone(&stop),
            threads: Vec::new(),
            hearts: hearts.to_vec(),
            status: Arc::clone(&status),
            to_counter: to_counter.clone(),
            script_done: Arc::clone(&script_done),
            camera: Arc::clone(&camera),
        };

        let (mut writer, reader) = slot(config.tray.camera.width, config.tray.camera.height);
        let mut opener = parts::opener("tray", &config.tray.camera, Pace::Live);
        let repeat = !matches!(config.tray.camera.source, CameraSource::File { repeat: false, .. });
        let settings = Settings {
            deadlines: parts::deadlines(&config.tray.camera),
            at_end: if repeat { AtEnd::Reopen } else { AtEnd::Finish },
        };
        live.spawn("camera-tray", {
            let (stop, stats, stamp) = (Arc::clone(&stop), Arc::clone(&camera), camera_heart.stamp());
            move || {
                let ended = crate::capture::run::run(
                    "tray",
                    &mut *opener,
                    &mut writer,
                    &settings,
                    &Monotonic,
                    &stats,
                    &stamp,
                    &stop,
                );
                if let Err(error) = ended {
                    log::error!("{error}");
                }
                // Footage that was played once is no dead thread.
                while !stop.load(Ordering::Relaxed) {
                    camera_heart.beat(clock::monotonic_ms());
                    std::thread::park_timeout(Duration::from_millis(250));
                }
            }
        })?;
        let picture_due = config.link.thumbnails.then(|| Arc::new(Mutex::new(None)));
        let eye = Eye {
            reader,
            next_rung: parts::below(&eyesight.manifest, &eyesight.choice, backend),
            better: Arc::clone(&better),
            thumbnails: picture_due.clone().map(|due| (Thumbnailer::default(), due)),
            vision: eyesight.vision,
            look: Arc::clone(&look),
            stride: Arc::clone(&stride),
            out: to_counter.clone(),
            stats: Arc::clone(&eye_stats),
            heart: eye_heart,
        };
        let eye_thread = live.spawn("vision", {
            let stop = Arc::clone(&stop);
            move || eye.run(&stop)
        })?;
        let face = match Face::start(config, &to_counter, now_ms, &stop, &mut |name, body| live.spawn(name, body)) {
            Ok(face) => face,
            // Goods are sold without members too.
            Err(error) => {
                log::error!("face: nobody can be recognised: {error}");
                None
            }
        };
        live.hearts.extend(face.iter().flat_map(|face| face.hearts.iter().cloned()));
        if let Some(watcher) = watcher {
            let (stop, out, look) = (Arc::clone(&stop), to_counter.clone(), Arc::clone(&look));
            live.spawn("plans", move || watcher.run(&better, &out, &look, &stop))?;
        }
        live.spawn("ladder", {
            let (stop, out, ladder) = (Arc::clone(&stop), to_counter.clone(), Ladder::new((&config.ladder).into()));
            move || ladder::run(&board, ladder, &out, &ladder_heart, &stop)
        })?;
        if let Some((outputs, (_, signs))) = outputs {
            let heart = Heart::new("outputs", 5_000, now_ms);
            live.hearts.push(Arc::clone(&heart));
            let (stop, out) = (Arc::clone(&stop), to_counter.clone());
            live.spawn("outputs", move || outputs.run(&signs, &out, &heart, &stop))?;
        }
        live.spawn("triggers", {
            let (stop, camera, out, done) = (Arc::clone(&stop), Arc::clone(&camera), to_counter, script_done);
            let mut devices = Devices::of(config);
            move || match &mut devices {
                Some(devices) => devices.run(&out, &trigger_heart, &stop),
                None => triggers::run(script.as_ref(), &camera, &out, &trigger_heart, &done, &stop),
            }
        })?;
        let desk = Desk {
            counter,
            labels: eyesight.manifest.labels.names.clone(),
            port: config.port.path.clone(),
            baud: config.port.baud,
            facts,
            look,
            stride,
            running,
            load: Step::default(),
            waking: false,
            eye_thread,
            picture_due,
            face,
            camera,
            eye_stats,
            heart: counter_heart,
            hearts: live.hearts.clone(),
            status: Arc::clone(&status),
            started_ms: now_ms,
            wire: None,
            port_error: None,
            open_at_ms: now_ms,
            open_wait_ms: *REOPEN_MS.start(),
            camera_lost: false,
            catalogue: None,
        };
        live.spawn("counter", {
            let stop = Arc::clone(&stop);
            move || desk.run(&stop)
        })?;
        live.spawn("control", {
            let camera = Arc::clone(&live.camera);
            move || {
                let line = |mut text: String| {
                    text.push('\n');
                    text.into_bytes()
                };
                control.serve(&stop, &control_heart, &|request| match request {
                    "status" => {
                        let status = status.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        line(serde_json::to_string(&status).unwrap_or_default())
                    }
                    "picture" => control::picture(camera.peek.take(PICTURE_WAIT)),
                    other => {
                        let error = format!("unknown request {other:?}; known: status, picture");
                        line(serde_json::json!({ "error": error }).to_string())
                    }
                });
            }
        })?;
        Ok(live)
    }

    fn spawn(
        &mut self,
        name: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<std::thread::Thread, RuntimeError> {
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(body)
            .map_err(|error| RuntimeError::new(RuntimeErrorKind::Thread, name, format!("can't be started: {error}")))?;
        let handle = thread.thread().clone();
        self.threads.push(thread);
        Ok(handle)
    }

    /// The threads whose heart has been silent for too long, or that have died.
    pub fn silent(&self) -> Vec<&'static str> {
        crate::runtime::heart::silent(&self.hearts, clock::monotonic_ms())
    }

    /// The status as last gathered.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// New prices; they count from the next session on.
    pub fn set_catalogue(&self, catalogue: Catalogue) {
        let _ = self.to_counter.send(ToCounter::Catalogue(catalogue));
    }

    /// Whether footage and script are at their end.
    pub fn is_over(&self) -> bool {
        self.script_done.load(Ordering::Relaxed) && self.camera.state() == State::Ended
    }

    /// Stops every thread and waits for it. What is unacknowledged stays on the disk.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
