//! The face camera's two threads. Both rest until a shopper asks to be recognised: the camera is opened then and closed
//! with the answer, and what it saw is overwritten. Frames, faces and vectors live in memory alone.

mod enrol;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use till_link::{Hint, Sku};

use crate::capture::Opener;
use crate::capture::clock::Monotonic;
use crate::capture::gst::Pace;
use crate::capture::run::{AtEnd, Settings, Stats};
use crate::capture::slot::{Reader, Writer, slot};
use crate::checkout::FaceSaid;
use crate::config::Config;
use crate::counter::Guided;
use crate::people::members::Members;
use crate::people::shelf::Shelf;
use crate::people::{self, Decision, Evidence, FmrCurve, Policy, decision};
use crate::runtime::heart::Heart;
use crate::runtime::live::ToCounter;
use crate::runtime::status::{CameraStatus, FaceStatus, Status};
use crate::runtime::{RuntimeError, clock, parts};
use crate::vision::VisionError;
use crate::vision::face::{FaceVision, Gate, Gates, Looked, Rule};
use enrol::Enrolling;

/// How long the threads sleep at most before they beat again.
const NAP: Duration = Duration::from_millis(200);
/// Frames of one person after which "nobody who is enrolled" is the answer.
const UNKNOWN_AFTER: u32 = 15;

/// What the face camera's threads share with the counter's.
#[derive(Debug, Default)]
struct Asked {
    /// Which question of a shopper is open; 0 while none is.
    number: AtomicU32,
    /// The camera must be closed.
    closed: AtomicBool,
    /// What the question is: an enrolment, else who it is.
    enrolling: Mutex<Option<(Sku, Sku)>>,
    frames: AtomicU64,
    failures: AtomicU64,
    members: AtomicU64,
}

/// The two threads as the counter's thread holds them.
pub struct Face {
    /// Of the camera and of the one that looks.
    pub hearts: [Arc<Heart>; 2],
    threads: [Thread; 2],
    camera: Arc<Stats>,
    asked: Arc<Asked>,
}

/// Starts a thread of that name.
type Spawn<'a> = &'a mut dyn FnMut(&'static str, Box<dyn FnOnce() + Send>) -> Result<Thread, RuntimeError>;

impl Face {
    /// Starts both threads, at rest; `None` without a face camera.
    ///
    /// # Errors
    /// An engine that does not load, one without a measured error rate, or a thread that can't be started.
    pub fn start(
        config: &Config,
        out: &Sender<ToCounter>,
        now_ms: u64,
        stop: &Arc<AtomicBool>,
        spawn: Spawn<'_>,
    ) -> Result<Option<Self>, RuntimeError> {
        let Some(face) = &config.face else { return Ok(None) };
        let recogniser = parts::recogniser(config, face)?;
        let hearts = [Heart::new("camera-face", 10_000, now_ms), Heart::new("face", 10_000, now_ms)];
        let [camera_heart, eye_heart] = hearts.clone();
        let (camera, asked) = (Arc::new(Stats::default()), Arc::new(Asked::default()));
        let (writer, reader) = slot(face.camera.width, face.camera.height);
        let opener = parts::opener("face", &face.camera, Pace::Live);
        let settings = Settings { deadlines: parts::deadlines(&face.camera), at_end: AtEnd::Finish };
        let camera_thread = spawn("camera-face", {
            let (camera, asked, stop) = (Arc::clone(&camera), Arc::clone(&asked), Arc::clone(stop));
            Box::new(move || self::camera(opener, writer, &settings, &camera, &asked, &camera_heart, &stop))
        })?;
        let eye = FaceEye { reader, recogniser, asked: Arc::clone(&asked), out: out.clone(), heart: eye_heart };
        let eye_thread = spawn("face", {
            let stop = Arc::clone(stop);
            Box::new(move || eye.run(&stop))
        })?;
        Ok(Some(Self { hearts, threads: [camera_thread, eye_thread], camera, asked }))
    }

    /// The question that is open now, an enrolment or who it is; 0 closes the camera.
    pub fn ask(&mut self, question: u32, enrolling: Option<&(Sku, Sku)>) {
        if self.asked.number.load(Ordering::Relaxed) != question {
            *self.asked.enrolling.lock().unwrap_or_else(PoisonError::into_inner) = enrolling.cloned();
            self.asked.closed.store(question == 0, Ordering::Release);
            self.asked.number.store(question, Ordering::Release);
            self.threads.iter().for_each(Thread::unpark);
        }
    }

    /// Says how they are.
    pub fn tell(&self, status: &mut Status) {
        let mut camera = CameraStatus::of("face", &self.camera);
        if self.asked.number.load(Ordering::Relaxed) == 0 {
            "asleep".clone_into(&mut camera.state);
        }
        status.cameras.push(camera);
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let asked = &self.asked;
        let (members, frames, failures) = (count(&asked.members), count(&asked.frames), count(&asked.failures));
        status.face = Some(FaceStatus { members, frames, failures });
    }
}

/// The thread of the camera: open only while somebody asks.
fn camera(
    mut opener: Box<dyn Opener>,
    mut writer: Writer,
    settings: &Settings,
    stats: &Stats,
    asked: &Asked,
    heart: &Heart,
    stop: &AtomicBool,
) {
    let stamp = heart.stamp();
    while !stop.load(Ordering::Relaxed) {
        heart.beat(clock::monotonic_ms());
        if asked.number.load(Ordering::Acquire) == 0 {
            std::thread::park_timeout(NAP);
            continue;
        }
        let run = crate::capture::run::run;
        if let Err(error) = run("face", &mut *opener, &mut writer, settings, &Monotonic, stats, &stamp, &asked.closed) {
            log::warn!("{error}");
        }
        writer.wipe();
        // Footage that came to its end is not begun again for the same question.
        while asked.number.load(Ordering::Acquire) != 0 && !stop.load(Ordering::Relaxed) {
            heart.beat(clock::monotonic_ms());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// What tells who it is: engines, error rates, members.
pub struct Recogniser {
    /// Detector and embedder.
    pub vision: FaceVision,
    /// Measured beside the embedder.
    pub curve: FmrCurve,
    /// How sure one must be.
    pub policy: Policy,
    /// Who is known.
    pub shelf: Shelf,
}

/// The thread that looks.
struct FaceEye {
    reader: Reader,
    recogniser: Recogniser,
    asked: Arc<Asked>,
    out: Sender<ToCounter>,
    heart: Arc<Heart>,
}

/// One person's question.
struct Round {
    number: u32,
    answered: bool,
    enrolling: Option<Enrolling>,
}

impl FaceEye {
    /// Runs until `stop`.
    fn run(mut self, stop: &AtomicBool) {
        let mut members: Option<Members> = None;
        let mut evidence = Evidence::new(decision::Rules::default(), self.recogniser.vision.embedder().dimensions());
        let mut vector = Vec::with_capacity(self.recogniser.vision.embedder().dimensions());
        let mut round: Option<Round> = None;
        while !stop.load(Ordering::Relaxed) {
            self.heart.beat(clock::monotonic_ms());
            let number = self.asked.number.load(Ordering::Acquire);
            if round.as_ref().is_some_and(|round| round.number != number) {
                self.forget(&mut evidence, &mut vector);
                round = None;
            }
            if number == 0 {
                std::thread::park_timeout(NAP);
                continue;
            }
            if round.is_none() {
                // A frame from before the question is no answer to it.
                let _ = self.reader.newest();
                let enrolling = self.begin();
                let mut begun = Round { number, answered: false, enrolling };
                if !self.read_members(&mut members) {
                    self.fail(&mut begun);
                }
                round = Some(begun);
            }
            if !self.reader.wait(NAP) {
                continue;
            }
            let (Some(round), Some(members)) = (&mut round, &mut members) else { continue };
            if round.answered {
                continue;
            }
            if let Err(error) = self.look(round, &mut evidence, &mut vector, members) {
                self.asked.failures.fetch_add(1, Ordering::Relaxed);
                log::error!("face: {error}");
                self.fail(round);
            }
        }
        self.forget(&mut evidence, &mut vector);
    }

    /// What the question is, and the rules that go with it.
    fn begin(&mut self) -> Option<Enrolling> {
        let enrolling = self.asked.enrolling.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let gates = if enrolling.is_some() { people::enrol::gates() } else { Gates::default() };
        self.recogniser.vision.set_rules(Rule::default(), gates);
        let begun = enrolling.map(|who| Enrolling::new(who, clock::monotonic_ms()));
        if begun.is_some()
            && let Err(error) = self.recogniser.shelf.make()
        {
            log::error!("face: {error}");
        }
        begun
    }

    /// The last word on a question that can't be answered.
    fn fail(&self, round: &mut Round) {
        round.answered = true;
        if round.enrolling.take().is_some() {
            self.say(ToCounter::Enrol(round.number, Guided::FAILED));
        } else {
            self.say(ToCounter::Face(round.number, FaceSaid::Failed));
        }
    }

    /// One frame, if there is a new one.
    fn look(
        &mut self,
        round: &mut Round,
        evidence: &mut Evidence,
        vector: &mut Vec<f32>,
        members: &mut Members,
    ) -> Result<(), VisionError> {
        let Some(frame) = self.reader.newest() else { return Ok(()) };
        let now_ms = frame.captured_ns / 1_000_000;
        let looked = self.recogniser.vision.look(frame)?;
        self.asked.frames.fetch_add(1, Ordering::Relaxed);
        if let Some(enrolling) = &mut round.enrolling {
            if let Some(guided) = enrolling.see(&looked, &mut self.recogniser, members, vector, now_ms)? {
                round.answered = guided.over;
                self.say(ToCounter::Enrol(round.number, guided));
            }
            return Ok(());
        }
        let said = match looked {
            Looked::Fit(face, _) => {
                self.recogniser.vision.embed(&face, vector)?;
                evidence.add(vector);
                self.decide(evidence, members)
            }
            _ => FaceSaid::Hint(hint(&looked)),
        };
        round.answered = !matches!(said, FaceSaid::Hint(_));
        self.say(ToCounter::Face(round.number, said));
        Ok(())
    }

    fn decide(&mut self, evidence: &Evidence, members: &mut Members) -> FaceSaid {
        match evidence.decide(&members.gallery, &self.recogniser.curve, &self.recogniser.policy) {
            Ok(Decision::Known { id, score, .. }) => match members.who(id).and_then(|who| Sku::try_from(&*who.id).ok())
            {
                Some(member) => {
                    self.recogniser.shelf.note_used(members, id, clock::wall_s());
                    FaceSaid::Known { member, score_permille: permille(score) }
                }
                None => FaceSaid::Failed,
            },
            Ok(Decision::Unknown) if evidence.frames() >= UNKNOWN_AFTER => FaceSaid::Unknown,
            Ok(Decision::Unknown | Decision::NotYet) => FaceSaid::Hint(Hint::Still),
            Err(error) => {
                log::error!("face: {error}");
                FaceSaid::Failed
            }
        }
    }

    /// Whether there is anybody to compare with.
    fn read_members(&mut self, members: &mut Option<Members>) -> bool {
        match self.recogniser.shelf.reload() {
            Ok(Some(read)) => *members = Some(read),
            Ok(None) => {}
            Err(error) => {
                self.asked.failures.fetch_add(1, Ordering::Relaxed);
                log::error!("face: the members can't be read: {error}");
                *members = None;
            }
        }
        let count = members.as_ref().map_or(0, Members::len);
        self.asked.members.store(count as u64, Ordering::Relaxed);
        members.is_some()
    }

    fn say(&self, word: ToCounter) {
        if self.out.try_send(word).is_err() {
            log::warn!("face: the counter is behind, a word was dropped");
        }
    }

    fn forget(&mut self, evidence: &mut Evidence, vector: &mut Vec<f32>) {
        self.recogniser.vision.forget();
        self.reader.wipe();
        evidence.reset();
        vector.fill(0.0);
        vector.clear();
    }
}

/// A cosine as the wire has it.
fn permille(score: f32) -> u16 {
    (score.clamp(0.0, 1.0) * 1000.0).round() as u16
}

/// What the shopper should do so that the next frame is a better one.
pub fn hint(looked: &Looked) -> Hint {
    match looked {
        Looked::Nobody => Hint::Front,
        Looked::Several => Hint::Alone,
        Looked::Waiting | Looked::Fit(..) => Hint::Still,
        Looked::Unfit(gate, _) => match gate {
            Gate::Occlusion => Hint::Uncover,
            Gate::Size => Hint::Closer,
            // Too near, or beside the camera: the middle of the picture helps with both.
            Gate::Edge => Hint::Back,
            Gate::Light => Hint::Light,
            Gate::Blur => Hint::Still,
            Gate::Pose => Hint::Front,
        },
    }
}
