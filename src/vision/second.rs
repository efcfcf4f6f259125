//! A second look at boxes that the detector is unsure of: each is cut out at the camera's own size and classified by a small
//! engine. Where the detector is sure it costs nothing. It may confirm, part two labels that the detector itself named, or
//! say that goods are unknown; it must never make a product of what the detector called unknown, nor name one that the
//! detector didn't. Allocates nothing after its first box.

use crate::capture::Frame;
use crate::engine::head::HeadSpec;
use crate::engine::manifest::{HAND_LABEL, Task};
use crate::engine::second::SecondSpec;
use crate::engine::{self, Backend, Choice, Engine, EngineErrorKind, Manifest};

use super::preprocess::Preprocessor;
use super::{Detection, VisionError, VisionErrorKind};

/// Which boxes are looked at again, and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rule {
    spec: SecondSpec,
    below: f32,
    /// Least score of a detection.
    score: f32,
    /// Labels below this are products.
    products: u16,
}

impl Rule {
    fn doubts(&self, d: &Detection) -> bool {
        let rival = d.runner_up.is_some_and(|(_, score)| score >= self.spec.runner_up);
        d.label < self.products && d.score >= self.score && (d.score < self.below || rival)
    }

    /// The classifier says `label`, with this share.
    fn decide(&self, d: &mut Detection, label: u16, share: f32) {
        if share < self.spec.sure {
            return;
        }
        let first = (d.label, d.score);
        if label == d.label {
            d.score = d.score.max(share);
        } else if label >= self.products || d.runner_up.is_some_and(|(second, _)| second == label) {
            (d.label, d.score, d.runner_up) = (label, share, Some(first));
        } else {
            // Two witnesses, two names: neither is sure.
            d.score = d.score.min(self.below);
            d.runner_up = Some((label, share));
        }
    }
}

/// The classifier and its buffers.
pub struct Second {
    engine: Box<dyn Engine>,
    preprocessor: Preprocessor,
    output: usize,
    softmax: bool,
    /// The detector's label of each of the classifier's; `None` for hands, whose word counts for nothing.
    labels: Vec<Option<u16>>,
    rule: Rule,
    looked: u64,
}

impl Second {
    /// The second look that `manifest`, a detector's, asks for; `None` when it asks for none.
    ///
    /// # Errors
    /// A stage that can't be loaded, is no classifier, or has labels that the detector lacks.
    pub fn load(manifest: &Manifest, choice: &Choice) -> Result<Option<Self>, VisionError> {
        let (Some(spec), [stage]) = (manifest.second, manifest.stages.as_slice()) else { return Ok(None) };
        let stage = Manifest::load(&manifest.dir.join(stage))?;
        // A plan of the detector says nothing of its stage: where there is none, the CPU looks again.
        let engine = match engine::load(&stage, choice) {
            Err(e) if e.kind == EngineErrorKind::Backend => {
                log::warn!("{e}; the second look takes the best that is there");
                engine::load(&stage, &Choice { backend: Backend::Auto, ..choice.clone() })?
            }
            other => other?,
        };
        Self::new(manifest, spec, &stage, engine).map(Some)
    }

    /// As [`Second::load`], over `engine`, which was loaded from `stage`.
    ///
    /// # Errors
    /// As there.
    pub fn new(
        manifest: &Manifest,
        spec: SecondSpec,
        stage: &Manifest,
        engine: Box<dyn Engine>,
    ) -> Result<Self, VisionError> {
        let error = |message: String| VisionError::new(VisionErrorKind::Head, stage.name.as_str(), message);
        let HeadSpec::Classes(head) = &stage.head else {
            return Err(error("[head] kind: a second look is \"classes\"".into()));
        };
        if stage.task != Task::Classify {
            return Err(error(format!("task {:?}, a second look classifies", stage.task)));
        }
        let mut labels = Vec::with_capacity(stage.labels.names.len());
        for name in &stage.labels.names {
            let index = manifest.labels.index(name).and_then(|i| u16::try_from(i).ok());
            let index = index.ok_or_else(|| error(format!("label {name:?}: the detector has no such label")))?;
            labels.push(Some(index).filter(|_| name != HAND_LABEL));
        }
        let shape = [1, labels.len()];
        let output = engine.outputs().iter().position(|o| o.name == head.output && o.shape == shape);
        let output = output.ok_or_else(|| {
            let has: Vec<_> = engine.outputs().iter().map(|o| (o.name.as_str(), o.shape.as_slice())).collect();
            error(format!("the head reads an output {:?} {shape:?}; the model has {has:?}", head.output))
        })?;
        let thresholds = manifest.thresholds;
        let rule = Rule {
            spec,
            below: spec.below.unwrap_or(thresholds.sure),
            score: thresholds.score,
            products: u16::try_from(manifest.labels.products()).unwrap_or(u16::MAX),
        };
        let preprocessor = Preprocessor::new(&stage.input);
        Ok(Self { engine, preprocessor, output, softmax: head.softmax, labels, rule, looked: 0 })
    }

    /// Looks again at the boxes of `kept` that are in doubt, in pixels of `frame`, and changes them.
    ///
    /// # Errors
    /// A frame that contradicts itself, a failed inference; boxes that were decided before stay so.
    pub fn review(&mut self, frame: &Frame, kept: &mut [Detection]) -> Result<(), VisionError> {
        let rule = self.rule;
        for d in kept.iter_mut().filter(|d| rule.doubts(d)).take(rule.spec.boxes_max) {
            let [x0, y0, x1, y1] = d.bbox;
            let (x, y) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
            let half = (x1 - x0).max(y1 - y0).max(4.0) * rule.spec.around / 2.0;
            self.preprocessor.fill_part(frame, [x - half, y - half, x + half, y + half], self.engine.input_mut())?;
            self.engine.run()?;
            self.looked += 1;
            if let Some((label, share)) = self.best() {
                rule.decide(d, label, share);
            }
        }
        Ok(())
    }

    /// The detector's label with the largest share, and the share; `None` for a hand and for what is no number.
    fn best(&self) -> Option<(u16, f32)> {
        let scores = self.engine.output(self.output);
        let (index, most) = scores.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let share = match self.softmax {
            true => 1.0 / scores.iter().map(|s| (s - most).exp()).sum::<f32>(),
            false => most,
        };
        let label = self.labels.get(index).copied().flatten()?;
        share.is_finite().then_some((label, share))
    }

    /// Boxes looked at so far.
    pub fn looked(&self) -> u64 {
        self.looked
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::{Rules, TrayVision};
    use super::*;
    use crate::capture::{PixelFormat, Plane};

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
    }

    /// The test engine with a second look, its manifest changed by `edit`.
    fn vision(edit: impl Fn(String) -> String) -> Result<TrayVision, VisionError> {
        let dir = tempfile::tempdir().unwrap();
        let stage = dir.path().join("second");
        std::fs::create_dir(&stage).unwrap();
        for file in ["manifest.toml", "model.onnx"] {
            std::fs::copy(data("blobs").join(file), dir.path().join(file)).unwrap();
            std::fs::copy(data("blobs-second").join(file), stage.join(file)).unwrap();
        }
        let text = std::fs::read_to_string(dir.path().join("manifest.toml")).unwrap();
        let text = text.replace("[input]", "stages = [\"second\"]\n[input]").replace("sure = 0.6", "sure = 0.8");
        let text = edit(text + "\n[second]\nsure = 0.9\naround = 1.0\n");
        std::fs::write(dir.path().join("manifest.toml"), text).unwrap();
        let manifest = Manifest::load(dir.path()).unwrap();
        let choice = Choice { backend: Backend::Rten, ..Choice::default() };
        let vision = TrayVision::new(&manifest, engine::load(&manifest, &choice)?, Rules::for_manifest(&manifest))?;
        Ok(vision.with_second(Second::load(&manifest, &choice)?))
    }

    /// A black frame, which the engine sees at half its size, with one square.
    fn frame(colour: [u8; 3]) -> Frame {
        let mut data = vec![0; 128 * 96 * 3];
        (0..32 * 32).for_each(|i| data[((16 + i / 32) * 128 + 16 + i % 32) * 3..][..3].copy_from_slice(&colour));
        let mut planes = [Plane::default(); 3];
        planes[0].stride = 128 * 3;
        Frame { format: PixelFormat::Rgb, width: 128, height: 96, planes, data, ..Frame::with_capacity(0, 0) }
    }

    #[test]
    fn a_faint_square_is_confirmed_and_a_clear_one_costs_nothing() {
        // A word that is never sure enough changes nothing.
        let mut plain = vision(|text| text.replace("[second]\nsure = 0.9", "[second]\nsure = 1.0")).unwrap();
        let faint = plain.detect(&frame([200, 0, 0])).unwrap()[0].score;
        assert!((0.5..0.8).contains(&faint), "the detector alone is unsure: {faint}");
        let mut vision = vision(|text| text).unwrap();
        let sure = vision.detect(&frame([200, 0, 0])).unwrap()[0];
        assert!(sure.label == 0 && sure.score > 0.95, "{sure:?}");
        assert_eq!(vision.looked_twice(), 1);
        assert_eq!(vision.detect(&frame([255, 0, 0])).unwrap()[0].label, 0);
        assert!(vision.detect(&frame([0, 0, 0])).unwrap().is_empty());
        assert_eq!(vision.looked_twice(), 1, "where the detector is sure nobody looks again");
    }

    #[test]
    fn a_stage_that_does_not_fit_is_named() {
        let no_blue = |text: String| text.replace("\"blue\"", "\"cyan\"");
        let e = vision(no_blue).err().unwrap();
        assert!(
            e.kind == VisionErrorKind::Head && e.message.contains("label \"blue\": the detector has no such label"),
            "{e}"
        );
        // A detector is no second look, nor a classifier a first.
        let blobs = Manifest::load(&data("blobs")).unwrap();
        let choice = Choice { backend: Backend::Rten, ..Choice::default() };
        let spec = rule().spec;
        let e = Second::new(&blobs, spec, &blobs, engine::load(&blobs, &choice).unwrap()).err().unwrap();
        assert!(e.message.contains("a second look is \"classes\""), "{e}");
        let second = Manifest::load(&data("blobs-second")).unwrap();
        let engine = engine::load(&second, &choice).unwrap();
        let e = TrayVision::new(&second, engine, Rules::default()).err().unwrap();
        assert!(e.message.contains("which has no boxes"), "{e}");
    }

    fn d(label: u16, score: f32, runner_up: Option<(u16, f32)>) -> Detection {
        Detection { bbox: [0.0, 0.0, 10.0, 10.0], score, label, runner_up }
    }

    fn rule() -> Rule {
        let spec = SecondSpec { sure: 0.9, below: None, runner_up: 0.3, around: 1.15, boxes_max: 8 };
        Rule { spec, below: 0.8, score: 0.4, products: 8 }
    }

    #[test]
    fn only_products_in_doubt_are_looked_at_again() {
        for (d, doubted) in [
            (d(1, 0.79, None), true),
            (d(1, 0.8, None), false),
            (d(1, 0.95, Some((2, 0.3))), true),
            (d(1, 0.95, Some((2, 0.29))), false),
            (d(1, 0.39, None), false),
            (d(8, 0.5, None), false),
            (d(1, f32::NAN, None), false),
        ] {
            assert_eq!(rule().doubts(&d), doubted, "{d:?}");
        }
    }

    #[test]
    fn the_second_word_confirms_parts_or_refuses_but_names_nothing_new() {
        let decided = |mut d: Detection, label, share| {
            rule().decide(&mut d, label, share);
            (d.label, d.score, d.runner_up)
        };
        let pair = d(1, 0.5, Some((2, 0.4)));
        assert_eq!(decided(pair, 1, 0.95), (1, 0.95, Some((2, 0.4))));
        assert_eq!(decided(pair, 2, 0.95), (2, 0.95, Some((1, 0.5))));
        assert_eq!(decided(pair, 2, 0.89), (1, 0.5, Some((2, 0.4))), "not sure enough");
        assert_eq!(decided(pair, 8, 0.95), (8, 0.95, Some((1, 0.5))), "unknown goods");
        assert_eq!(decided(d(1, 0.95, Some((2, 0.4))), 3, 0.95), (1, 0.8, Some((3, 0.95))), "neither is sure");
    }
}
