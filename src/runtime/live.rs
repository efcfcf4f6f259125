//! The threads: one a camera, one for vision, one for triggers, one for the counter, one for the control
//! socket. The counter's thread alone touches core, books and port.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::capture::camera::State;
use crate::capture::clock::Monotonic;
use crate::capture::gst::Pace;
use crate::capture::run::{AtEnd, Settings, Stats};
use crate::capture::slot::slot;
use crate::checkout::{Catalogue, FaceSaid, Health};
use crate::config::{CameraSource, Config, TriggerSource};
use crate::counter::{Counter, Guided};
use crate::port::{PortError, PortErrorKind, SerialWire, Wire};
use crate::runtime::control::Control;
use crate::runtime::devices::Devices;
use crate::runtime::eye::{Better, Eye, EyeStats, Offered};
use crate::runtime::face::Face;
use crate::runtime::heart::Heart;
use crate::runtime::plans::Watcher;
use crate::runtime::status::{
    self, CameraStatus, LinkStatus, OutboxStatus, Running, SessionStatus, Status, ThreadStatus, TriggerStatus,
};
use crate::runtime::{RuntimeError, RuntimeErrorKind, clock, parts, triggers};
use crate::trigger::RawEvent;
use crate::trigger::script::Script;
use crate::vision::TrayObservation;
use crate::vision::thumbnail::Thumbnailer;

/// Facts on their way to the counter; more than this many wait only when the disk hangs.
const CHANNEL: usize = 64;
/// The counter's thread turns at least this often while a session is live.
const TURN_LIVE: Duration = Duration::from_millis(5);
/// And this often while none is.
const TURN_IDLE: Duration = Duration::from_millis(100);
/// How often the status is gathered.
const STATUS_EVERY_MS: u64 = 500;
/// Waits between two attempts to open the port.
const REOPEN_MS: std::ops::RangeInclusive<u64> = 200..=5_000;

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
        let mut counter = parts::counter(config, catalogue, &eyesight.manifest, None, now_ms, None)?;
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
        ];
        let [camera_heart, eye_heart, trigger_heart, counter_heart, control_heart] = hearts.clone();
        let better = Arc::new(Better::default());
        let camera = Arc::new(Stats::default());
        let eye_stats = Arc::new(EyeStats::default());
        let script_done = Arc::new(AtomicBool::new(script.is_none()));
        let mut status =
            Status { schema: "till.status/1".into(), version: env!("CARGO_PKG_VERSION").into(), ..Status::default() };
        status.engine.name = eyesight.manifest.name.clone();
        status.engine.run_on(running);
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
            move || {
                control.serve(&stop, &control_heart, &|request| match request {
                    "status" => {
                        let status = status.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        serde_json::to_string(&status).unwrap_or_default()
                    }
                    other => {
                        serde_json::json!({ "error": format!("unknown request {other:?}; known: status") }).to_string()
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

/// The counter's thread and what it owns.
struct Desk {
    counter: Counter,
    labels: Vec<String>,
    port: PathBuf,
    baud: u32,
    facts: Receiver<ToCounter>,
    look: Arc<AtomicBool>,
    eye_thread: std::thread::Thread,
    /// Where vision finds the offer to picture.
    picture_due: Option<Arc<Mutex<Option<Offered>>>>,
    face: Option<Face>,
    camera: Arc<Stats>,
    eye_stats: Arc<EyeStats>,
    heart: Arc<Heart>,
    hearts: Vec<Arc<Heart>>,
    status: Arc<Mutex<Status>>,
    started_ms: u64,
    wire: Option<SerialWire>,
    port_error: Option<PortError>,
    open_at_ms: u64,
    open_wait_ms: u64,
    camera_lost: bool,
    catalogue: Option<Catalogue>,
}

impl Desk {
    fn run(mut self, stop: &AtomicBool) {
        let mut status_at_ms = 0;
        while !stop.load(Ordering::Relaxed) {
            let books = self.counter.books();
            // What waits for a POS that is away needs no hurry.
            let busy = self.counter.look() || (books.is_up() && !books.is_quiet());
            let wait = if busy { TURN_LIVE } else { TURN_IDLE };
            let first = self.facts.recv_timeout(wait).ok();
            let now_ms = clock::monotonic_ms();
            self.heart.beat(now_ms);
            for fact in
                first.into_iter().chain(self.facts.try_iter().take(CHANNEL).collect::<heapless::Vec<_, CHANNEL>>())
            {
                self.learn(now_ms, fact);
            }
            self.watch_camera(now_ms);
            self.open_port(now_ms);
            self.turn(now_ms);
            let look = self.counter.look();
            if look != self.look.swap(look, Ordering::Relaxed) && look {
                self.eye_thread.unpark();
            }
            if let (Some(due), Some(offer)) = (&self.picture_due, self.counter.take_picture_due()) {
                *due.lock().unwrap_or_else(PoisonError::into_inner) = Some(offer);
            }
            let question = self.counter.asked();
            match &mut self.face {
                Some(face) => face.ask(question, self.counter.enrolling()),
                None => {
                    self.counter.face(now_ms, question, &FaceSaid::Failed);
                    self.counter.enrolled(question, Guided::FAILED);
                }
            }
            if now_ms >= status_at_ms {
                status_at_ms = now_ms + STATUS_EVERY_MS;
                self.tell(now_ms);
            }
        }
        self.tell(clock::monotonic_ms());
    }

    fn learn(&mut self, now_ms: u64, fact: ToCounter) {
        match fact {
            ToCounter::Tray(observation) => self.counter.tray(now_ms, &observation),
            ToCounter::Raw(event) => self.counter.raw(now_ms, event),
            ToCounter::Engine(running) => {
                self.counter.runs_on(now_ms, &running.runs_on());
                self.counter.health(now_ms, Health::EngineFailed(false));
                self.status().engine.run_on(running);
            }
            ToCounter::EngineFailed(reason) => {
                self.counter.health(now_ms, Health::EngineFailed(true));
                self.status().engine.run_on(Running {
                    backend: "none",
                    precision: "none".into(),
                    reason: Some(reason),
                });
            }
            ToCounter::Devices(told) => self.status().trigger = Some(told),
            ToCounter::Quarantined(list) => self.status().engine.quarantined = list,
            ToCounter::Face(question, said) => self.counter.face(now_ms, question, &said),
            ToCounter::Enrol(question, guided) => self.counter.enrolled(question, guided),
            ToCounter::Picture(offer, jpeg) => self.counter.picture(offer, &jpeg),
            ToCounter::Catalogue(catalogue) => self.catalogue = Some(catalogue),
        }
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch_camera(&mut self, now_ms: u64) {
        let lost = matches!(self.camera.state(), State::Lost | State::Stalled);
        if lost != self.camera_lost {
            self.camera_lost = lost;
            self.counter.health(now_ms, Health::CameraLost(lost));
        }
        if let Some(catalogue) = self.catalogue.take()
            && !self.counter.set_catalogue(catalogue.clone(), self.labels.iter().map(String::as_str))
        {
            self.catalogue = Some(catalogue);
        }
    }

    fn open_port(&mut self, now_ms: u64) {
        if self.wire.is_some() || now_ms < self.open_at_ms {
            return;
        }
        match SerialWire::open(&self.port, self.baud) {
            Ok(wire) => {
                log::info!("port {}: open at {} baud", self.port.display(), self.baud);
                self.wire = Some(wire);
                self.port_error = None;
                self.open_wait_ms = *REOPEN_MS.start();
                self.counter.reconnected(now_ms);
            }
            Err(error) => self.port_failed(now_ms, error.into()),
        }
    }

    fn port_failed(&mut self, now_ms: u64, error: PortError) {
        if self.port_error.as_ref() != Some(&error) {
            log::error!("{error}; sales wait on the disk, trying again");
        }
        self.wire = None;
        self.port_error = Some(error);
        self.open_at_ms = now_ms + self.open_wait_ms;
        self.open_wait_ms = (self.open_wait_ms * 2).min(*REOPEN_MS.end());
    }

    fn turn(&mut self, now_ms: u64) {
        // Twice at most: what the POS said is answered in the same turn.
        for _ in 0..2 {
            let wire = self.wire.as_mut().map(|wire| wire as &mut dyn Wire);
            match self.counter.turn(now_ms, wire) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind == PortErrorKind::Lost => {
                    self.port_failed(now_ms, PortError { place: self.port.display().to_string(), ..error });
                    break;
                }
                Err(error) => {
                    log::error!("{error}");
                    break;
                }
            }
        }
    }

    fn tell(&self, now_ms: u64) {
        let view = self.counter.view();
        let books = self.counter.books();
        let link = books.stats();
        let mut status = self.status();
        status.uptime_s = now_ms.saturating_sub(self.started_ms) / 1_000;
        status.rss_bytes = status::rss_bytes();
        status.session = SessionStatus {
            phase: format!("{:?}", view.phase),
            sale: view.sale.map(|sale| sale.to_string()),
            attention: view.attention.map(|reason| format!("{reason:?}")),
            acknowledged: view.acknowledged,
            lines: view.cart.map_or(0, |cart| cart.lines.len()),
            total_minor: view.cart.map_or(0, |cart| cart.total_minor),
        };
        let eye = &self.eye_stats;
        status.engine.frames = eye.frames.load(Ordering::Relaxed);
        status.engine.failures = eye.failures.load(Ordering::Relaxed);
        status.engine.overloads = eye.overloads.load(Ordering::Relaxed);
        status.engine.latency_ms_p50 = eye.latency.quantile_ms(500);
        status.engine.latency_ms_p99 = eye.latency.quantile_ms(990);
        let camera = &self.camera;
        status.cameras = vec![CameraStatus::of("tray", camera)];
        if let Some(face) = &self.face {
            face.tell(&mut status);
        }
        status.link = LinkStatus {
            port: std::mem::take(&mut status.link.port),
            up: books.is_up(),
            error: self.port_error.as_ref().map(ToString::to_string),
            rtt_ms: link.rtt_ms,
            secured: books.is_secured(),
            refused: books.refused().map(|reason| format!("{reason:?}")),
            bad_macs: link.bad_macs,
            replays: link.replays,
            ups: link.ups,
            bytes_in: link.bytes_in,
            bytes_out: link.bytes_out,
            retransmits: link.retransmits,
            duplicates: link.duplicates,
            bad_frames: link.bad_crc + link.bad_cobs + link.too_long + link.malformed,
            false_acks: link.false_acks,
        };
        status.outbox = OutboxStatus {
            epoch: books.out().epoch(),
            last: books.out().last(),
            unacknowledged: books.unacknowledged(),
            bytes: books.out().bytes(),
            bytes_max: books.out().limits().bytes_max,
            renewed: books.renewed(),
            error: self.counter.storage_error().map(ToString::to_string),
        };
        status.threads = self
            .hearts
            .iter()
            .map(|heart| ThreadStatus {
                name: heart.name().into(),
                silence_ms: heart.silence_ms(now_ms),
                beats: heart.beats(now_ms),
            })
            .collect();
    }
}
