//! One counter, one POS and the tty between them, turned by hand.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use till_link::{Attention, Phase, ToPos};

use crate::capture::gst::{GstOpener, Pace, Source};
use crate::capture::slot::{Reader, Writer, slot};
use crate::capture::{Opener, Read, Stream};
use crate::checkout::Effect;
use crate::config::Config;
use crate::counter::Counter;
use crate::engine::Manifest;
use crate::port::pty::Pty;
use crate::port::{SerialWire, Wire};
use crate::pos::{Keys, Pos, Receipt};
use crate::replay::verdict::{Verdict, verdict};
use crate::runtime::latency::Histogram;
use crate::runtime::status::Running;
use crate::runtime::{RuntimeError, RuntimeErrorKind, parts};
use crate::trigger::script;
use crate::vision::TrayVision;

/// Silence of a decoder that ends a session as failed.
const FRAME_WAIT: Duration = Duration::from_millis(500);
const FRAME_WAITS_MAX: u32 = 60;
/// After the last frame the session may end by itself for this long, in its own time.
const TAIL_MS: u64 = 6_000;
const TAIL_STEP_MS: u64 = 66;
/// The epoch and boot numbers of a run that must repeat.
const FIXED: u32 = 1;

/// What came of one session.
#[derive(Clone, Debug)]
pub struct Played {
    /// The script's title.
    pub title: String,
    /// What the POS booked.
    pub receipts: Vec<Receipt>,
    /// What was in the way, in order.
    pub attentions: Vec<Attention>,
    /// Held against the script.
    pub verdict: Verdict,
    /// Frames of the footage.
    pub frames: u64,
    /// Of them looked at.
    pub looked: u64,
    /// The counter is ready for the next shopper.
    pub ended: bool,
}

/// Plays sessions one after the other on the same counter.
pub struct Player {
    counter: Counter,
    wire: SerialWire,
    pos: Pos,
    pos_wire: Pty,
    manifest: Manifest,
    vision: TrayVision,
    slot: (Writer, Reader),
    now_ms: u64,
    digest: Arc<Mutex<Sha256>>,
    attentions: Arc<Mutex<Vec<Attention>>>,
    /// Slot to observation.
    pub latency: Histogram,
}

impl Player {
    /// A counter as `config` describes it, with its books and the POS's below `folder`.
    ///
    /// # Errors
    /// When a part can't be had: engine, catalogue, books, tty.
    pub fn new(config: &Config, folder: &Path) -> Result<Self, RuntimeError> {
        let mut config = config.clone();
        config.counter.state_dir = folder.join("till");
        let catalogue = parts::catalogue(&config)?;
        let eyesight = parts::eyesight(&config)?;
        parts::warn_of_missing(&catalogue, &eyesight.manifest);
        let digest = Arc::new(Mutex::new(Sha256::new()));
        let attentions = Arc::new(Mutex::new(Vec::new()));
        let observer = {
            let (digest, attentions) = (Arc::clone(&digest), Arc::clone(&attentions));
            move |now_ms: u64, effect: &Effect| {
                let mut bytes = [0; till_link::PAYLOAD_BYTES_MAX];
                let (kind, bytes) = match effect {
                    Effect::Durable(message) => (0u8, till_link::message::encode(message, &mut bytes).unwrap_or(&[])),
                    Effect::Volatile(message) => (1, till_link::message::encode(message, &mut bytes).unwrap_or(&[])),
                    Effect::Look(look) => (2 + u8::from(*look), &[][..]),
                    Effect::Recognise(on) => (4 + u8::from(*on), &[][..]),
                };
                let mut digest = digest.lock().unwrap_or_else(PoisonError::into_inner);
                digest.update(now_ms.to_le_bytes());
                digest.update([kind]);
                digest.update(bytes);
                if let Effect::Volatile(ToPos::Attention { reason, on: true, .. }) = effect {
                    attentions.lock().unwrap_or_else(PoisonError::into_inner).push(*reason);
                }
            }
        };
        let mut counter =
            parts::counter(&config, catalogue, &eyesight.manifest, Some(FIXED), 0, Some(Box::new(observer)))?;
        // Without the reason, which names paths of this machine: the digest is of what the shopper sees.
        counter.runs_on(0, &Running::of(&eyesight.vision, None).runs_on());
        let tty = |error: std::io::Error| RuntimeError::new(RuntimeErrorKind::Device, "pty", error.to_string());
        let pos_wire = Pty::open().map_err(tty)?;
        let wire = SerialWire::open(pos_wire.path(), config.port.baud)
            .map_err(|error| RuntimeError::new(RuntimeErrorKind::Device, "pty", error.to_string()))?;
        let pos = parts::pos(&config, &folder.join("pos"), Keys::pay_all(), Some(FIXED + 1), 0)?;
        Ok(Self {
            counter,
            wire,
            pos,
            pos_wire,
            manifest: eyesight.manifest,
            vision: eyesight.vision,
            slot: slot(config.tray.camera.width, config.tray.camera.height),
            now_ms: 0,
            digest,
            attentions,
            latency: Histogram::default(),
        })
    }

    /// The engine's name and what runs it.
    pub fn engine(&self) -> (&str, &'static str) {
        (&self.manifest.name, self.vision.backend())
    }

    /// Plays one session to its end.
    ///
    /// # Errors
    /// When the footage can't be decoded or the books or the tty fail.
    pub fn play(&mut self, script: &script::Script) -> Result<Played, RuntimeError> {
        let mut stream =
            GstOpener::new("tray", Source::File(script.footage.clone()), Pace::LockStep).open().map_err(|error| {
                let place = script.footage.display().to_string();
                RuntimeError::new(RuntimeErrorKind::Footage, place, error.to_string())
            })?;
        self.play_on(script, stream.as_mut())
    }

    /// As [`Player::play`], with frames from `stream` in the place of the script's footage.
    ///
    /// # Errors
    /// As there.
    pub fn play_on(&mut self, script: &script::Script, stream: &mut dyn Stream) -> Result<Played, RuntimeError> {
        let footage = |message: String| {
            RuntimeError::new(RuntimeErrorKind::Footage, script.footage.display().to_string(), message)
        };
        let booked_before = self.pos.ledger().receipts().count();
        self.attentions.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut events = script::Player::new(script);
        let begin_ms = self.now_ms;
        let (mut frames, mut looked, mut waits) = (0, 0, 0);
        let mut awake = false;
        loop {
            let (writer, reader) = (&mut self.slot.0, &mut self.slot.1);
            match stream.read(writer.frame_mut(), FRAME_WAIT).map_err(|error| footage(error.to_string()))? {
                Read::End => break,
                Read::Timeout | Read::Damaged => {
                    waits += 1;
                    if waits > FRAME_WAITS_MAX {
                        return Err(footage(format!("no frame after frame {frames} for {} s", FRAME_WAITS_MAX / 2)));
                    }
                    continue;
                }
                Read::Frame => waits = 0,
            }
            writer.publish();
            frames += 1;
            let Some(frame) = reader.newest() else { continue };
            let at_ms = frame.captured_ns / 1_000_000;
            self.now_ms = begin_ms + at_ms;
            events.due(at_ms, &mut |event| self.counter.raw(self.now_ms, event));
            self.counter.turn(self.now_ms, Some(&mut self.wire)).map_err(|error| footage(error.to_string()))?;
            if self.counter.look() {
                if !std::mem::replace(&mut awake, true) {
                    self.vision.reset();
                }
                let start = Instant::now();
                let observation = self.vision.observe(frame, self.now_ms)?;
                self.latency.record_us(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
                self.counter.tray(self.now_ms, observation);
                looked += 1;
            } else {
                awake = false;
            }
            self.exchange().map_err(footage)?;
        }
        if frames == 0 {
            return Err(footage("has no frames".into()));
        }
        let end_ms = self.now_ms + TAIL_MS;
        while self.now_ms < end_ms && !(events.is_done() && self.counter.is_idle()) {
            self.now_ms += TAIL_STEP_MS;
            events.due(self.now_ms - begin_ms, &mut |event| self.counter.raw(self.now_ms, event));
            self.exchange().map_err(footage)?;
        }
        let ended = self.counter.view().phase == Phase::Idle;
        if !ended {
            log::warn!("{}: the session did not end, it stands at {:?}", script.title, self.counter.view().phase);
        }
        let receipts: Vec<Receipt> = self.pos.ledger().receipts().skip(booked_before).cloned().collect();
        let attentions = self.attentions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let verdict = verdict(&script.expect, &receipts, &attentions);
        Ok(Played { title: script.title.clone(), receipts, attentions, verdict, frames, looked, ended })
    }

    /// Both ends talk until neither has anything to say at this moment.
    fn exchange(&mut self) -> Result<(), String> {
        /// An exchange that does not come to rest is a fault of the protocol.
        const TURNS_MAX: usize = 1_000;
        for _ in 0..TURNS_MAX {
            let wire: &mut dyn Wire = &mut self.wire;
            let ours = self.counter.turn(self.now_ms, Some(wire)).map_err(|error| error.to_string())?;
            let theirs =
                self.pos.turn(self.now_ms, &mut self.pos_wire, &mut |_| {}).map_err(|error| error.to_string())?;
            if !ours && !theirs {
                return Ok(());
            }
        }
        Err("the two ends of the link do not come to rest".into())
    }

    /// Durable messages that the POS has not stored.
    pub fn unacknowledged(&self) -> u32 {
        self.counter.books().unacknowledged()
    }

    /// SHA-256 over every effect of the core so far, with its time.
    pub fn events_sha256(&self) -> String {
        let digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
