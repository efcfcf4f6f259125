//! The till that the player plays: it answers HELLO, beats, stores and acknowledges as it should, unless a
//! check tells it not to. Each check begins with a new life of it.

pub mod keyed;
mod lives;
mod sales;

use std::collections::VecDeque;
use std::io;

use till_link::{ToPos, ToTill};

use crate::conform::line::Line;
use crate::conform::noise::Noise;
use crate::conform::raw::{self, Ear, Heard, Hello, kind};
use keyed::{Keyed, Secrets, Tail};

pub use sales::{cart, closed, encoded, offer};

/// How long an answer may take that the specification wants at once: a slow disk is no fault.
pub const ANSWER_MS: u64 = 2_500;
/// How long one listens for an answer that must not come.
pub const SILENCE_MS: u64 = 350;
/// A till says something at least this often.
const BEAT_MS: u64 = 900;
/// Durable messages that the player has under way.
const WINDOW: u32 = 4;
/// Frames that are told when a check fails.
const TOLD: usize = 6;

/// Why a check did not pass.
#[derive(Debug)]
pub enum Miss {
    /// What was seen instead.
    Fail(String),
    /// Why it could not be seen.
    NotRun(String),
    /// Why nothing is asked of this POS here.
    NotApplicable(String),
    /// The line is gone.
    Line(io::Error),
}

impl From<io::Error> for Miss {
    fn from(error: io::Error) -> Self {
        Self::Line(error)
    }
}

/// Of a check, or of a part of one.
pub type Step<T = ()> = Result<T, Miss>;

/// Fails with what was seen.
pub fn fail<T>(what: impl Into<String>) -> Step<T> {
    Err(Miss::Fail(what.into()))
}

/// A whole frame of the POS and when it came.
#[derive(Clone, Debug)]
pub struct Frame {
    /// SPEC 6.1.
    pub kind: u8,
    /// What it carries.
    pub payload: Vec<u8>,
    /// When.
    pub at_ms: u64,
    /// Of a HELLO whose proof is right.
    pub tail: Option<Tail>,
}

impl Frame {
    /// As HELLO.
    pub fn hello(&self) -> Option<Hello> {
        if self.kind == kind::HELLO { Hello::read(&self.payload) } else { None }
    }

    /// Epoch, sequence and message of a DATA.
    pub fn data(&self) -> Option<(u32, u32, &[u8])> {
        let (epoch, sequence) = raw::read_pair(&self.payload).filter(|_| self.kind == kind::DATA)?;
        Some((epoch, sequence, self.payload.get(8..)?))
    }

    /// The message of an EVENT.
    pub fn volatile(&self) -> Option<ToTill> {
        till_link::message::decode(&self.payload).filter(|_| self.kind == kind::EVENT)
    }

    /// Epoch and sequence of an ACK or a GAP.
    pub fn stored(&self) -> Option<(u32, u32)> {
        raw::read_pair(&self.payload).filter(|_| matches!(self.kind, kind::ACK | kind::GAP))
    }
}

/// See the module's text.
pub struct Player<'l> {
    /// What it plays on.
    pub line: &'l mut dyn Line,
    /// The counter's number.
    pub counter: u32,
    /// Of this life.
    pub boot: u32,
    /// Of our log.
    pub epoch: u32,
    /// Our durable messages; the first has number 1.
    pub log: Vec<Vec<u8>>,
    /// The last number of ours that the POS said to have.
    pub acked: u32,
    /// The highest number that ever went out.
    pub sent: u32,
    /// The POS's last HELLO.
    pub pos: Option<Hello>,
    /// We hold the link to be up.
    pub up: bool,
    /// The last number of the POS's log that we stored, and of which epoch.
    pub stored: (u32, u32),
    /// What the POS said durably, each once.
    pub said: Vec<ToTill>,
    /// The first message that our log claims to hold.
    pub first: u32,
    /// Answer HELLO as the specification wants it.
    pub answer_hello: bool,
    /// Acknowledge what the POS sends.
    pub acknowledge: bool,
    /// Send heartbeats.
    pub beat: bool,
    /// Nobody pays offers: what depends on it can't be seen.
    pub nobody_pays: bool,
    /// What was seen of the POS before and after a restart.
    pub lives: Option<(Hello, Hello)>,
    /// Of the noise.
    pub seed: u64,
    /// What the line does to frames, both ways; `None` leaves them alone.
    pub noise: Option<Noise>,
    /// What must never happen and did, by requirement.
    pub violations: Vec<(&'static str, String)>,
    /// Damaged frames of the POS.
    pub bad_frames: u32,
    /// The link is secured.
    pub keyed: Option<Keyed>,
    /// The minor version that we say.
    pub minor: u8,
    ear: Ear,
    bytes: Vec<u8>,
    heard: VecDeque<Frame>,
    told: VecDeque<String>,
    spoke_ms: u64,
    session: u32,
}

impl<'l> Player<'l> {
    /// A till that has said nothing yet. `draw` must differ from run to run.
    pub fn new(line: &'l mut dyn Line, counter: u32, draw: u32, secrets: Option<Secrets>) -> Self {
        Self {
            line,
            counter,
            boot: draw.max(1),
            epoch: draw.max(1),
            log: Vec::new(),
            acked: 0,
            sent: 0,
            pos: None,
            up: false,
            stored: (0, 0),
            said: Vec::new(),
            first: 1,
            answer_hello: true,
            acknowledge: true,
            beat: true,
            nobody_pays: false,
            lives: None,
            seed: 1,
            noise: None,
            violations: Vec::new(),
            bad_frames: 0,
            keyed: secrets.map(Keyed::new),
            minor: till_link::VERSION.1,
            ear: Ear::default(),
            bytes: Vec::new(),
            heard: VecDeque::new(),
            told: VecDeque::new(),
            spoke_ms: 0,
            session: 0,
        }
    }

    /// Now.
    pub fn now_ms(&self) -> u64 {
        self.line.now_ms()
    }

    /// The last frames, for the detail of a failure.
    pub fn story(&self) -> String {
        self.told.iter().cloned().collect::<Vec<_>>().join(", ")
    }

    fn tell(&mut self, text: String) {
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back(text);
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.spoke_ms = self.now_ms();
        match &mut self.noise {
            None => self.line.write(bytes),
            Some(noise) => self.line.write(&noise.bend(bytes)),
        }
    }

    /// The body of a frame, as the link wants it: proved or sealed where it is secured.
    pub fn body(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        match &mut self.keyed {
            None => raw::body(kind, payload),
            Some(keyed) => {
                let (kind, payload) = keyed.dress(kind, payload);
                raw::body(kind, &payload)
            }
        }
    }

    /// The same as it stands on the line.
    pub fn frame(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        raw::stuff(&self.body(kind, payload))
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let frame = self.frame(kind, payload);
        self.raw(&frame)
    }

    /// The HELLO that a till in this state says.
    pub fn hello(&self) -> Hello {
        Hello {
            major: till_link::VERSION.0,
            minor: self.minor,
            role: 0,
            up: u8::from(self.up),
            flags: 0,
            schema: till_link::message::SCHEMA,
            counter: self.counter,
            boot: self.boot,
            peer_boot: self.pos.map_or(0, |pos| pos.boot),
            epoch: self.epoch,
            first: self.first,
            stored_epoch: self.stored.0,
            stored: self.stored.1,
        }
    }

    /// Says it.
    pub fn say_hello(&mut self) -> io::Result<()> {
        let hello = self.hello();
        self.send(kind::HELLO, &hello.bytes())
    }

    /// The next whole frame of the POS, `None` at `until_ms`. On the way it does what a till does.
    pub fn next(&mut self, until_ms: u64) -> io::Result<Option<Frame>> {
        loop {
            if let Some(mut frame) = self.heard.pop_front() {
                // Only now: an earlier frame of the same bytes may have brought the session's keys.
                if let Some(keyed) = &mut self.keyed {
                    let holes = self.bad_frames > 0;
                    let opened = keyed.open(frame.kind, frame.payload, holes, &mut self.violations);
                    let Some((kind, payload, tail)) = opened else { continue };
                    frame = Frame { kind, payload, tail, at_ms: frame.at_ms };
                }
                if self.noise.as_mut().is_some_and(Noise::loses) {
                    continue;
                }
                self.react(&frame)?;
                return Ok(Some(frame));
            }
            let now_ms = self.now_ms();
            if now_ms >= until_ms {
                return Ok(None);
            }
            let mut wake_ms = until_ms;
            if self.up && self.beat {
                let due_ms = self.spoke_ms + BEAT_MS;
                if now_ms >= due_ms {
                    let boot = self.boot.to_le_bytes();
                    self.send(kind::HEARTBEAT, &boot)?;
                    continue;
                }
                wake_ms = wake_ms.min(due_ms);
            }
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            self.line.read(&mut bytes, wake_ms)?;
            let at_ms = self.now_ms();
            for &byte in &bytes {
                match self.ear.take(byte) {
                    None => {}
                    Some(Heard::Frame { kind, payload }) => {
                        let head: String = payload.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
                        let sealed = if self.keyed.is_some() { kind & !keyed::SEALED } else { kind };
                        self.tell(format!("{} {head}", kind::name(sealed)));
                        self.heard.push_back(Frame { kind, payload, at_ms, tail: None });
                    }
                    Some(bad) => {
                        self.bad_frames += 1;
                        self.tell(format!("{bad:?}"));
                    }
                }
            }
            self.bytes = bytes;
        }
    }

    fn react(&mut self, frame: &Frame) -> io::Result<()> {
        match frame.kind {
            kind::HELLO => {
                let Some(hello) = frame.hello() else { return Ok(()) };
                if self.keyed.is_some() && frame.tail.is_none() {
                    return Ok(());
                }
                self.pos = Some(hello);
                if self.stored.0 != hello.epoch {
                    self.stored = (hello.epoch, hello.first.saturating_sub(1));
                }
                if let (Some(keyed), Some(tail)) = (&mut self.keyed, frame.tail) {
                    keyed.peer_nonce = tail.nonce;
                }
                if !self.answer_hello {
                    return Ok(());
                }
                let mut mutual = hello.peer_boot == self.boot;
                if let Some(tail) = frame.tail {
                    mutual = self.agree(&hello, &tail, mutual);
                }
                self.up = mutual;
                if mutual {
                    let stored = if hello.stored_epoch == self.epoch { hello.stored } else { 0 };
                    self.acked = stored.min(self.log.len() as u32);
                }
                if !(mutual && hello.up == 1) {
                    self.say_hello()?;
                }
            }
            kind::DATA if self.up => {
                let Some((epoch, sequence, message)) = frame.data() else { return Ok(()) };
                if !self.acknowledge || epoch != self.stored.0 {
                    return Ok(());
                }
                if sequence == self.stored.1 + 1 {
                    self.stored.1 = sequence;
                    match till_link::message::decode::<ToTill>(message) {
                        Some(said) => self.said.push(said),
                        None => self.violations.push(("L-021", format!("DATA {sequence} is no message of 5.2"))),
                    }
                }
                let stored = raw::pair(self.stored.0, self.stored.1);
                self.send(kind::ACK, &stored)?;
            }
            kind::EVENT if self.up && frame.volatile().is_none_or(|said| said.durable()) => {
                self.violations.push(("L-021", "an EVENT is no volatile message of 5.2".to_owned()));
            }
            kind::ACK | kind::GAP if self.up || self.keyed.is_none() => {
                let Some((epoch, sequence)) = frame.stored().filter(|(epoch, _)| *epoch == self.epoch) else {
                    return Ok(());
                };
                if sequence > self.sent {
                    self.violations.push((
                        "L-060",
                        format!("ACK names {epoch:08x}/{sequence}, though {} was the last that was sent", self.sent),
                    ));
                } else {
                    self.acked = self.acked.max(sequence);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The first frame of which `wanted` makes something, within `ms`.
    pub fn until<T>(&mut self, ms: u64, mut wanted: impl FnMut(&Frame) -> Option<T>) -> io::Result<Option<T>> {
        let until_ms = self.now_ms() + ms;
        while let Some(frame) = self.next(until_ms)? {
            if let Some(found) = wanted(&frame) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Everything that comes within `ms`.
    pub fn listen(&mut self, ms: u64) -> io::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        self.until::<()>(ms, |frame| {
            frames.push(frame.clone());
            None
        })?;
        Ok(frames)
    }

    /// Sends what the POS has not, go-back-N, until it has all of it.
    pub fn deliver(&mut self, ms: u64) -> Step {
        let until_ms = self.now_ms() + ms;
        let last = self.log.len() as u32;
        while self.acked < last {
            let from = self.acked;
            if self.now_ms() >= until_ms {
                return Err(Miss::NotRun(format!("an earlier message ({}) is not acknowledged", from + 1)));
            }
            for sequence in from + 1..=last.min(from + WINDOW) {
                self.put(sequence)?;
            }
            self.has(last.min(from + WINDOW), 600)?;
        }
        Ok(())
    }

    /// Sends DATA `sequence` of our log (again).
    pub fn put(&mut self, sequence: u32) -> io::Result<()> {
        let payload = self.payload(sequence);
        self.sent = self.sent.max(sequence);
        self.send(kind::DATA, &payload)
    }

    /// The payload of DATA `sequence` of our log.
    pub fn payload(&self, sequence: u32) -> Vec<u8> {
        let mut payload = raw::pair(self.epoch, sequence).to_vec();
        payload.extend_from_slice(self.log.get(sequence as usize - 1).map_or(&[], Vec::as_slice));
        payload
    }

    /// Puts a durable message into our log without sending it; returns its number.
    pub fn note(&mut self, message: Vec<u8>) -> u32 {
        self.log.push(message);
        self.log.len() as u32
    }

    /// Puts a durable message into our log and sends it.
    pub fn durable(&mut self, message: &ToPos) -> io::Result<u32> {
        let sequence = self.note(encoded(message));
        self.put(sequence)?;
        Ok(sequence)
    }

    /// Waits until the POS has `sequence`; says whether it does.
    pub fn has(&mut self, sequence: u32, ms: u64) -> io::Result<bool> {
        let until_ms = self.now_ms() + ms;
        while self.acked < sequence {
            if self.next(until_ms)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends a durable message that must be acknowledged.
    pub fn acknowledged(&mut self, message: Vec<u8>) -> Step<u32> {
        let sequence = self.note(message);
        self.put(sequence)?;
        if self.has(sequence, ANSWER_MS)? {
            return Ok(sequence);
        }
        fail(format!("DATA {sequence} was not acknowledged within {ANSWER_MS} ms; last heard: {}", self.story()))
    }

    /// Goes on until `done` or for `ms`; says whether it is done.
    pub fn wait(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> io::Result<bool> {
        let until_ms = self.now_ms() + ms;
        while !done(self) {
            if self.next(until_ms)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
