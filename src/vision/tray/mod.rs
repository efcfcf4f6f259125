//! The tray over time. [`Fusion`] turns the boxes of single frames into things that lie there; [`TrayVision`]
//! joins it to pre-processing, engine, head and suppression. Nothing here allocates once the camera's first
//! frame went through. Read next: `fusion`, then `track`.

pub mod fusion;
pub mod rules;
pub mod track;

pub use fusion::Fusion;
pub use rules::Rules;

use crate::capture::Frame;
use crate::engine::{Engine, Manifest};

use super::head::Head;
use super::nms::Nms;
use super::preprocess::Preprocessor;
use super::{Detection, Second, TrayObservation, VisionError};

/// Most boxes of one frame that are looked at after suppression.
pub const DETECTIONS_MAX: usize = 300;

/// The whole way from a frame of the tray camera to an observation.
pub struct TrayVision {
    engine: Box<dyn Engine>,
    preprocessor: Preprocessor,
    head: Head,
    nms: Nms,
    score: f32,
    precision: String,
    found: Vec<Detection>,
    kept: Vec<Detection>,
    second: Option<Second>,
    fusion: Fusion,
}

impl TrayVision {
    /// Vision over `engine`, which was loaded from `manifest`. `rules` are usually
    /// [`Rules::for_manifest`]`(manifest)`.
    ///
    /// # Errors
    /// [`super::VisionErrorKind::Head`] when the head can't read the engine's output.
    pub fn new(manifest: &Manifest, engine: Box<dyn Engine>, rules: Rules) -> Result<Self, VisionError> {
        let head = Head::new(manifest, engine.as_ref())?;
        let nms = Nms::for_manifest(manifest, rules.hand, DETECTIONS_MAX);
        Ok(Self {
            preprocessor: Preprocessor::new(&manifest.input),
            nms,
            score: manifest.thresholds.score,
            precision: engine.precision().unwrap_or(&manifest.precision).to_owned(),
            found: Vec::with_capacity(head.boxes_max()),
            kept: Vec::with_capacity(DETECTIONS_MAX),
            second: None,
            fusion: Fusion::new(rules),
            head,
            engine,
        })
    }

    /// The same with a second look at what the detector is unsure of.
    pub fn with_second(self, second: Option<Second>) -> Self {
        Self { second, ..self }
    }

    /// Boxes that were looked at twice so far.
    pub fn looked_twice(&self) -> u64 {
        self.second.as_ref().map_or(0, Second::looked)
    }

    /// The tray after `frame`, captured at `now_ms` (monotonic).
    ///
    /// # Errors
    /// [`super::VisionErrorKind::Frame`] for a frame that contradicts itself, `Engine` for a failed
    /// inference. The tray is then as it was.
    pub fn observe(&mut self, frame: &Frame, now_ms: u64) -> Result<&TrayObservation, VisionError> {
        self.look(frame, self.score)?;
        Ok(self.fusion.update(&self.kept, (frame.width, frame.height), frame.sequence, now_ms))
    }

    /// The detections of one picture in its own pixels, best first, without memory of other frames.
    pub fn detect(&mut self, frame: &Frame) -> Result<&[Detection], VisionError> {
        self.detect_above(frame, self.score)
    }

    /// As [`TrayVision::detect`], down to a score of `floor`: what measures precision over all scores.
    pub fn detect_above(&mut self, frame: &Frame, floor: f32) -> Result<&[Detection], VisionError> {
        self.look(frame, floor)?;
        Ok(&self.kept)
    }

    fn look(&mut self, frame: &Frame, floor: f32) -> Result<(), VisionError> {
        self.preprocessor.fill(frame, self.engine.input_mut())?;
        self.engine.run()?;
        self.head.decode(self.engine.as_ref(), floor, &mut self.found);
        self.nms.run(&mut self.found, floor, &mut self.kept);
        for d in &mut self.kept {
            d.bbox = self.preprocessor.to_frame(d.bbox);
        }
        // A box beside the letterboxed picture has no area left.
        self.kept.retain(Detection::is_sound);
        match &mut self.second {
            Some(second) => second.review(frame, &mut self.kept),
            None => Ok(()),
        }
    }

    /// Forgets everything that lay on the tray.
    pub fn reset(&mut self) {
        self.fusion.reset();
    }

    /// The observation of the last frame.
    pub fn last(&self) -> &TrayObservation {
        self.fusion.last()
    }

    /// The engine, for its name and for measuring it alone.
    pub fn engine_mut(&mut self) -> &mut dyn Engine {
        self.engine.as_mut()
    }

    /// Name of the engine's backend.
    pub fn backend(&self) -> &'static str {
        self.engine.backend()
    }

    /// How the engine computes: the plan's word, else the manifest's.
    pub fn precision(&self) -> &str {
        &self.precision
    }

    /// Least score of a detection that [`TrayVision::observe`] counts.
    pub fn score(&self) -> f32 {
        self.score
    }
}

#[cfg(test)]
mod tests;
