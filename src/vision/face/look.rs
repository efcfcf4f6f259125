//! The whole way from a frame of the face camera to one person's face and, asked for, its vector. After the first
//! frame of a size nothing is allocated. Keeps the last frame in memory, nowhere else; [`FaceVision::forget`] ends it.

use std::path::Path;

use crate::capture::Frame;
use crate::engine::{self, Choice, Manifest};
use crate::vision::VisionError;

use super::choose::Chooser;
use super::detector::{self, Around, FACES_MAX};
use super::{Chosen, Embedder, Face, FaceDetector, Gate, Gates, Passive, Picture, Quality, Rule};

/// What one frame said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Looked {
    /// Nobody there.
    Nobody,
    /// "One person, please."
    Several,
    /// Somebody, but not for long enough.
    Waiting,
    /// Somebody who can't be seen well enough, and why.
    Unfit(Gate, Quality),
    /// A face to recognise.
    Fit(Face, Quality),
}

/// Detector and embedder of the face camera.
pub struct FaceVision {
    detector: Box<dyn FaceDetector>,
    embedder: Embedder,
    passive: Option<Passive>,
    picture: Picture,
    faces: Vec<Face>,
    chooser: Chooser,
    gates: Gates,
}

impl FaceVision {
    /// Loads both engines.
    ///
    /// # Errors
    /// What the engines' folders or their heads have against it.
    pub fn load(detector: &Path, embedder: &Path, choice: &Choice) -> Result<Self, VisionError> {
        Self::load_around(detector, embedder, choice, &mut |engine| engine)
    }

    /// As [`FaceVision::load`], with each engine in what `around` puts about it: to measure engines at work.
    ///
    /// # Errors
    /// As [`FaceVision::load`].
    pub fn load_around(
        detector: &Path,
        embedder: &Path,
        choice: &Choice,
        around: Around<'_>,
    ) -> Result<Self, VisionError> {
        let detector = detector::load(detector, choice, around)?;
        let manifest = Manifest::load(embedder)?;
        let embedder = Embedder::new(&manifest, around(engine::load(&manifest, choice)?))?;
        Ok(Self {
            detector,
            embedder,
            passive: None,
            picture: Picture::default(),
            faces: Vec::with_capacity(FACES_MAX),
            chooser: Chooser::new(Rule::default()),
            gates: Gates::default(),
        })
    }

    /// Other rules than the defaults.
    pub fn with_rules(mut self, rule: Rule, gates: Gates) -> Self {
        self.set_rules(rule, gates);
        self
    }

    /// With an engine that tells how alive a face looks.
    pub fn with_passive(mut self, passive: Option<Passive>) -> Self {
        self.passive = passive;
        self
    }

    /// Other gates from the next frame on, for whoever stands there.
    pub fn set_gates(&mut self, gates: Gates) {
        self.gates = gates;
    }

    /// Other rules from the next frame on.
    pub fn set_rules(&mut self, rule: Rule, gates: Gates) {
        (self.chooser, self.gates) = (Chooser::new(rule), gates);
    }

    /// The embedder, for its size and identity.
    pub fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// What runs the detector.
    pub fn backend(&self) -> &'static str {
        self.detector.backend()
    }

    /// Every face in `frame`, the surest first.
    ///
    /// # Errors
    /// A frame that contradicts itself, or an inference that failed.
    pub fn find(&mut self, frame: &Frame) -> Result<&[Face], VisionError> {
        self.picture.fill(frame)?;
        self.detector.detect(&mut self.picture, &mut self.faces)?;
        Ok(&self.faces)
    }

    /// The person in front of the counter, by the rules of `choose` and `quality`.
    ///
    /// # Errors
    /// As [`FaceVision::find`].
    pub fn look(&mut self, frame: &Frame) -> Result<Looked, VisionError> {
        self.find(frame)?;
        let face = match self.chooser.choose(&self.faces, self.picture.width(), self.picture.height()) {
            Chosen::Nobody => return Ok(Looked::Nobody),
            Chosen::Several => return Ok(Looked::Several),
            Chosen::Waiting(_) => return Ok(Looked::Waiting),
            Chosen::One(face) => face,
        };
        let quality = Quality::of(&mut self.picture, &face);
        Ok(match quality.fails(&self.gates) {
            Some(gate) => Looked::Unfit(gate, quality),
            None => Looked::Fit(face, quality),
        })
    }

    /// Measures of a face of the last frame.
    pub fn quality(&mut self, face: &Face) -> Quality {
        Quality::of(&mut self.picture, face)
    }

    /// Replaces `out` by the unit vector of a face of the last frame.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub fn embed(&mut self, face: &Face, out: &mut Vec<f32>) -> Result<(), VisionError> {
        self.embedder.embed(&mut self.picture, face, out)
    }

    /// How alive a face of the last frame looks, and the least score of a living one; `None` without such an engine.
    ///
    /// # Errors
    /// As [`Passive::score`].
    pub fn alive(&mut self, face: &Face) -> Result<Option<(f32, f32)>, VisionError> {
        let Some(passive) = &mut self.passive else { return Ok(None) };
        Ok(Some((passive.score(&mut self.picture, face)?, passive.least())))
    }

    /// Wipes the last frame and who stood there.
    pub fn forget(&mut self) {
        self.picture.wipe();
        self.faces.clear();
        self.chooser.reset();
    }
}
