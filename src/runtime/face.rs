//! The face camera's two threads. Both rest until a shopper asks to be recognised: the camera is opened then and closed
//! with the answer, and what it saw is overwritten. Frames, faces and vectors live in memory alone.

mod enrol;
mod proof;

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
use crate::config::{Config, Liveness};
use crate::counter::Guided;
use crate::people::members::Members;
use crate::people::shelf::Shelf;
use crate::people::vault::Facing;
use crate::people::{self, Decision, Evidence, FmrCurve, Policy, decision};
use crate::runtime::heart::Heart;
use crate::runtime::live::ToCounter;
use crate::runtime::status::{CameraStatus, FaceStatus, Status};
use crate::runtime::{RuntimeError, clock, parts};
use crate::vision::VisionError;
use crate::vision::face::{FaceVision, Gate, Gates, Looked, Rule};
use enrol::Enrolling;
use proof::{Alive, Proof};

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
    enrol_again: AtomicU64,
    damaged: AtomicU64,
    /// Members who were asked to show that they are alive, and did or did not.
    live: AtomicU64,
    not_live: AtomicU64,
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
        let (live, not_live) = (count(&asked.live), count(&asked.not_live));
        let (enrol_again, damaged) = (count(&asked.enrol_again), count(&asked.damaged));
        status.face = Some(FaceStatus { members, enrol_again, damaged, frames, failures, live, not_live });
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
    /// Poses of an enrolment.
    pub poses: Vec<Facing>,
    /// Whether a member must show that they are alive.
    pub liveness: Liveness,
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
    /// How alive the face looked so far.
    alive: Alive,
    /// Who was recognised and is being asked to turn.
    proof: Option<Proof>,
}

/// What the frames so far say.
enum Verdict {
    /// This, to the counter.
    Said(FaceSaid),
    /// It is this member of the gallery.
    Known { id: u32, member: Sku, score_permille: u16 },
}

impl FaceEye {
    /// Runs until `stop`.
    fn run(mut self, stop: &AtomicBool) {
        let mut members: Option<Members> = None;
        let mut evidence = Evidence::new(decision::Rules::default(), self.recogniser.vision.embedder().dimensions());
        let mut vector = Vec::with_capacity(self.recogniser.vision.embedder().dimensions());
        let mut round: Option<Round> = None;
        // So that the status tells from the start who is known; where nobody ever enrolled there is no vault.
        if self.recogniser.shelf.exists() {
            self.read_members(&mut members);
        }
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
                let mut begun = Round { number, answered: false, enrolling, alive: Alive::default(), proof: None };
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
        let order = &self.recogniser.poses;
        let begun = enrolling.map(|who| Enrolling::new(who, order, clock::monotonic_ms()));
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
        let said = if let Some(proof) = &mut round.proof {
            match proof.see(&looked, &mut self.recogniser.vision, vector, now_ms)? {
                Ok(hint) => FaceSaid::Hint(hint),
                Err(end) => self.proved(proof, end, members),
            }
        } else if let Looked::Fit(face, _) = looked {
            self.recogniser.vision.embed(&face, vector)?;
            evidence.add(vector);
            if let Some((score, least)) = self.recogniser.vision.alive(&face)? {
                round.alive.add(score, least, evidence.frames());
            }
            match self.decide(evidence, members) {
                Verdict::Said(said) => said,
                Verdict::Known { id, member, score_permille } => {
                    let mut proof = Proof::new(id, member, score_permille);
                    match proof.begin(self.recogniser.liveness, round.alive, evidence.mean(), now_ms) {
                        Ok(hint) => {
                            self.recogniser.vision.set_gates(people::enrol::gates());
                            round.proof = Some(proof);
                            FaceSaid::Hint(hint)
                        }
                        Err(end) => self.proved(&proof, end, members),
                    }
                }
            }
        } else {
            FaceSaid::Hint(hint(&looked))
        };
        round.answered = !matches!(said, FaceSaid::Hint(_));
        self.say(ToCounter::Face(round.number, said));
        Ok(())
    }

    /// The last word on somebody who was recognised: they are named, unless they had to show that they are alive and did
    /// not.
    fn proved(&mut self, proof: &Proof, end: proof::End, members: &mut Members) -> FaceSaid {
        match end {
            proof::End::NotAsked => {}
            proof::End::Alive => {
                self.asked.live.fetch_add(1, Ordering::Relaxed);
            }
            proof::End::Not(why) => {
                self.asked.not_live.fetch_add(1, Ordering::Relaxed);
                log::warn!("face: {why}");
                if self.recogniser.liveness == Liveness::Required {
                    return why.said();
                }
            }
        }
        self.recogniser.shelf.note_used(members, proof.id, clock::wall_s());
        FaceSaid::Known { member: proof.member.clone(), score_permille: proof.score_permille }
    }

    fn decide(&mut self, evidence: &Evidence, members: &Members) -> Verdict {
        Verdict::Said(match evidence.decide(&members.gallery, &self.recogniser.curve, &self.recogniser.policy) {
            Ok(Decision::Known { id, score, .. }) => match members.who(id).and_then(|who| Sku::try_from(&*who.id).ok())
            {
                Some(member) => return Verdict::Known { id, member, score_permille: permille(score) },
                None => FaceSaid::Failed,
            },
            Ok(Decision::Unknown) if evidence.frames() >= UNKNOWN_AFTER => FaceSaid::Unknown,
            Ok(Decision::Unknown | Decision::NotYet) => FaceSaid::Hint(Hint::Still),
            Err(error) => {
                log::error!("face: {error}");
                FaceSaid::Failed
            }
        })
    }

    /// Whether there is anybody to compare with.
    fn read_members(&mut self, members: &mut Option<Members>) -> bool {
        match self.recogniser.shelf.reload() {
            Ok(Some(read)) => {
                if !read.again.is_empty() {
                    log::warn!(
                        "face: {} members were enrolled with another network and must enrol again",
                        read.again.len()
                    );
                }
                *members = Some(read);
            }
            Ok(None) => {}
            Err(error) => {
                self.asked.failures.fetch_add(1, Ordering::Relaxed);
                log::error!("face: the members can't be read: {error}");
                *members = None;
            }
        }
        let count = |of: fn(&Members) -> usize| members.as_ref().map_or(0, of) as u64;
        self.asked.members.store(count(Members::len), Ordering::Relaxed);
        self.asked.enrol_again.store(count(|m| m.again.len()), Ordering::Relaxed);
        self.asked.damaged.store(count(|m| m.damaged.len()), Ordering::Relaxed);
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
