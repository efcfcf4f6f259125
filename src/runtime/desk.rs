//! The counter's thread: it alone touches core, books and port. It hears facts, turns the counter, keeps the port open and
//! gathers the status.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::capture::camera::State;
use crate::capture::run::Stats;
use crate::checkout::{Catalogue, FaceSaid, Health};
use crate::counter::{Counter, Guided};
use crate::machine::ladder::{Load, Step};
use crate::port::{PortError, PortErrorKind, SerialWire, Wire};
use crate::runtime::clock;
use crate::runtime::eye::{EyeStats, Offered};
use crate::runtime::face::Face;
use crate::runtime::heart::Heart;
use crate::runtime::live::{CHANNEL, ToCounter};
use crate::runtime::status::{
    self, CameraStatus, LinkStatus, OutboxStatus, Running, SessionStatus, Status, ThreadStatus,
};

/// The counter's thread turns at least this often while a session is live.
const TURN_LIVE: Duration = Duration::from_millis(5);
/// And this often while none is.
const TURN_IDLE: Duration = Duration::from_millis(100);
/// How often the status is gathered.
const STATUS_EVERY_MS: u64 = 500;
/// Waits between two attempts to open the port.
pub(super) const REOPEN_MS: std::ops::RangeInclusive<u64> = 200..=5_000;

/// The counter's thread and what it owns.
pub(super) struct Desk {
    pub(super) counter: Counter,
    pub(super) labels: Vec<String>,
    pub(super) port: PathBuf,
    pub(super) baud: u32,
    pub(super) facts: Receiver<ToCounter>,
    pub(super) look: Arc<AtomicBool>,
    pub(super) stride: Arc<AtomicU32>,
    /// The engine, without what the load has to say of it.
    pub(super) running: Running,
    pub(super) load: Step,
    /// The board is cool enough again, and the first look after its rest is due: what was seen before it is no evidence.
    pub(super) waking: bool,
    pub(super) eye_thread: std::thread::Thread,
    /// Where vision finds the offer to picture.
    pub(super) picture_due: Option<Arc<Mutex<Option<Offered>>>>,
    pub(super) face: Option<Face>,
    pub(super) camera: Arc<Stats>,
    pub(super) eye_stats: Arc<EyeStats>,
    pub(super) heart: Arc<Heart>,
    pub(super) hearts: Vec<Arc<Heart>>,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) started_ms: u64,
    pub(super) wire: Option<SerialWire>,
    pub(super) port_error: Option<PortError>,
    pub(super) open_at_ms: u64,
    pub(super) open_wait_ms: u64,
    pub(super) camera_lost: bool,
    pub(super) catalogue: Option<Catalogue>,
}

impl Desk {
    /// Turns until `stop`.
    pub(super) fn run(mut self, stop: &AtomicBool) {
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
            if self.waking && !self.counter.look() {
                self.wake(now_ms);
            }
            let look = self.counter.look() && self.load.load != Load::Staff;
            if look != self.look.swap(look, Ordering::Relaxed) && look {
                self.eye_thread.unpark();
            }
            if let (Some(due), Some(offer)) = (&self.picture_due, self.counter.take_picture_due()) {
                *due.lock().unwrap_or_else(PoisonError::into_inner) = Some(offer);
            }
            let question = self.counter.asked();
            let members = self.face.is_some() && self.load.load < Load::Faceless;
            if let Some(face) = &mut self.face {
                match members {
                    true => face.ask(question, self.counter.enrolling()),
                    false => face.ask(0, None),
                }
            }
            if !members {
                self.counter.face(now_ms, question, &FaceSaid::Failed);
                self.counter.enrolled(question, Guided::FAILED);
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
            // One that was on its way when the rest began.
            ToCounter::Tray(_) if self.load.load == Load::Staff => {}
            ToCounter::Tray(observation) => {
                self.counter.tray(now_ms, &observation);
                if self.waking {
                    self.wake(now_ms);
                }
            }
            ToCounter::Raw(event) => self.counter.raw(now_ms, event),
            ToCounter::Engine(running) => {
                self.running = running.clone();
                self.tell_engine(now_ms);
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
            ToCounter::Load(step) => self.shed(now_ms, step),
            ToCounter::Outputs(told) => self.status().outputs = told,
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

    /// More or less is left out from now on.
    fn shed(&mut self, now_ms: u64, step: Step) {
        self.stride.store(step.load.stride(), Ordering::Relaxed);
        let rested = self.load.load == Load::Staff;
        self.load = step;
        self.tell_engine(now_ms);
        if self.load.load == Load::Staff {
            self.waking = false;
            self.counter.health(now_ms, Health::Resting(true));
        } else if rested {
            self.waking = true;
        }
        let mut status = self.status();
        status.load.rung = self.load.load;
        status.load.reason = Some(self.load.reason.clone()).filter(|reason| !reason.is_empty());
        status.load.steps += 1;
    }

    /// The rest is over.
    fn wake(&mut self, now_ms: u64) {
        self.waking = false;
        self.counter.health(now_ms, Health::Resting(false));
    }

    /// Tells the POS what runs the detector; what the load has left out counts more than why no better engine runs.
    fn tell_engine(&mut self, now_ms: u64) {
        let mut told = self.running.clone();
        if self.load.load != Load::Full {
            told.reason = Some(format!("{}: {}", self.load.reason, self.load.load));
        }
        self.counter.runs_on(now_ms, &told.runs_on());
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
            // Without a wire nobody turns the endpoint, which would notice.
            up: books.is_up() && self.wire.is_some(),
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
