//! The vision thread: newest frame in, observation out, asleep unless a session is live. When its engine
//! fails it takes the next rung; when there is none left it says so and stays alive for the watchdog.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use till_link::SaleId;

use crate::capture::slot::Reader;
use crate::runtime::clock;
use crate::runtime::heart::Heart;
use crate::runtime::latency::Histogram;
use crate::runtime::live::ToCounter;
use crate::runtime::status::Running;
use crate::vision::TrayVision;
use crate::vision::thumbnail::Thumbnailer;

/// How long the thread sleeps at most before it beats again.
const NAP: Duration = Duration::from_millis(200);

/// What vision has done so far; read by `till status`.
#[derive(Debug, Default)]
pub struct EyeStats {
    /// Frames that went through the engine.
    pub frames: AtomicU64,
    /// Observations that a full channel refused.
    pub overloads: AtomicU64,
    /// Failed inferences.
    pub failures: AtomicU64,
    /// Capture to observation.
    pub latency: Histogram,
}

/// Builds the vision of the next rung after a failure; `None` when no rung is left.
pub type NextRung = Box<dyn FnMut() -> Option<TrayVision> + Send>;

/// A better vision on its way to the thread, with what lies below it. The thread takes it at its next idle moment.
#[derive(Default)]
pub struct Better(Mutex<Option<(TrayVision, NextRung)>>);

impl Better {
    /// Puts it where the thread looks, in place of one that wasn't taken yet.
    pub fn put(&self, vision: TrayVision, next_rung: NextRung) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((vision, next_rung));
    }

    fn take(&self) -> Option<(TrayVision, NextRung)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An offer that the POS should see.
pub type Offered = (SaleId, u16);

/// Everything the thread owns.
pub struct Eye {
    /// The newest frame.
    pub reader: Reader,
    /// Pre-processing, engine, head and fusion.
    pub vision: TrayVision,
    /// What to do after a failure.
    pub next_rung: NextRung,
    /// Where a better vision comes from.
    pub better: Arc<Better>,
    /// Whether a session wants pictures.
    pub look: Arc<AtomicBool>,
    /// Of so many frames one is looked at.
    pub stride: Arc<AtomicU32>,
    /// Makes pictures of offers; `None` where the POS gets none.
    pub thumbnails: Option<(Thumbnailer, Arc<Mutex<Option<Offered>>>)>,
    /// Where observations go.
    pub out: Sender<ToCounter>,
    /// Shared with `status`.
    pub stats: Arc<EyeStats>,
    /// Beaten in each turn.
    pub heart: Arc<Heart>,
}

impl Eye {
    /// The picture of an offer, from the frame that was just looked at; behind the observation, so that it delays none.
    fn picture(&mut self) {
        let Some((thumbnailer, due)) = &mut self.thumbnails else { return };
        // The counter's thread holds this for the time of one assignment, and a frame later is soon enough.
        let Some(offer) = due.try_lock().ok().and_then(|mut due| due.take()) else { return };
        let mut jpeg = Vec::new();
        match thumbnailer.make(self.reader.current(), &mut jpeg) {
            Ok(()) => {
                let _ = self.out.try_send(ToCounter::Picture(offer, jpeg));
            }
            Err(error) => log::warn!("vision: {error}"),
        }
    }

    /// Runs until `stop`.
    pub fn run(mut self, stop: &AtomicBool) {
        let mut awake = false;
        let mut blind = false;
        let mut passed = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            self.heart.beat(clock::monotonic_ms());
            if blind || !self.look.load(Ordering::Relaxed) {
                awake = false;
                if let Some((vision, next_rung)) = self.better.take() {
                    let _ = self.out.send(ToCounter::Engine(Running::of(&vision, None)));
                    (self.vision, self.next_rung, blind) = (vision, next_rung, false);
                }
                std::thread::park_timeout(NAP);
                continue;
            }
            if !awake {
                // A frame from before the session is no evidence for it.
                let _ = self.reader.newest();
                self.vision.reset();
                awake = true;
            }
            if !self.reader.wait(NAP) {
                continue;
            }
            let Some(frame) = self.reader.newest() else { continue };
            passed += 1;
            if passed < self.stride.load(Ordering::Relaxed) {
                continue;
            }
            passed = 0;
            let captured_ns = frame.captured_ns;
            match self.vision.observe(frame, captured_ns / 1_000_000) {
                Ok(observation) => {
                    self.stats.frames.fetch_add(1, Ordering::Relaxed);
                    self.stats.latency.record_us(clock::monotonic_ns().saturating_sub(captured_ns) / 1_000);
                    match self.out.try_send(ToCounter::Tray(observation.clone())) {
                        Ok(()) => {}
                        Err(TrySendError::Full(_)) => {
                            if self.stats.overloads.fetch_add(1, Ordering::Relaxed) == 0 {
                                log::warn!("vision: the counter is behind, an observation was dropped");
                            }
                        }
                        Err(TrySendError::Disconnected(_)) => return,
                    }
                    self.picture();
                }
                Err(error) => {
                    self.stats.failures.fetch_add(1, Ordering::Relaxed);
                    log::error!("vision: {error}");
                    match (self.next_rung)() {
                        Some(vision) => {
                            let _ = self.out.send(ToCounter::Engine(Running::of(&vision, Some(error.to_string()))));
                            self.vision = vision;
                        }
                        None => {
                            blind = true;
                            let _ = self.out.send(ToCounter::EngineFailed(error.to_string()));
                        }
                    }
                }
            }
        }
    }
}
