//! How alive a face looks in a single frame, by networks that were trained to tell a face from its print or screen. Each
//! net sees the face with its own share of what is around it, for a print has an edge and a screen a frame.

use std::path::Path;

use crate::engine::head::HeadSpec;
use crate::engine::manifest::Task;
use crate::engine::{self, Choice, Engine, InputSpec, Manifest};
use crate::vision::{VisionError, VisionErrorKind};

use super::{Face, Picture};

/// One net.
struct Net {
    engine: Box<dyn Engine>,
    input: InputSpec,
    output: usize,
    live: usize,
    crop: f32,
    name: String,
}

/// The nets of one engine's folder.
pub struct Passive {
    nets: Vec<Net>,
    least: f32,
}

impl Passive {
    /// The engine in `dir` and its stages.
    ///
    /// # Errors
    /// An engine that can't be loaded, is of another kind, or has no such class.
    pub fn load(dir: &Path, choice: &Choice) -> Result<Self, VisionError> {
        let first = Manifest::load(dir)?;
        let mut nets = vec![Net::load(&first, choice)?];
        for stage in &first.stages {
            nets.push(Net::load(&Manifest::load(&dir.join(stage))?, choice)?);
        }
        Ok(Self { nets, least: first.thresholds.score })
    }

    /// Least score of a living face.
    pub fn least(&self) -> f32 {
        self.least
    }

    /// How alive `face` of `picture` looks, 0 to 1: the mean of the nets.
    ///
    /// # Errors
    /// [`VisionErrorKind::Head`] for shares that are none, [`VisionErrorKind::Engine`] when an inference fails.
    pub fn score(&mut self, picture: &mut Picture, face: &Face) -> Result<f32, VisionError> {
        let mut sum = 0.0;
        for net in &mut self.nets {
            let part = around(face.bbox, net.crop, picture.width(), picture.height());
            picture.stretch(part, &net.input, net.engine.input_mut());
            net.engine.run()?;
            let share = net.engine.output(net.output).get(net.live).copied().unwrap_or(f32::NAN);
            if !(0.0..=1.001).contains(&share) {
                let message = format!("class {} has the share {share}; 0 to 1 is read", net.live);
                return Err(VisionError::new(VisionErrorKind::Head, net.name.as_str(), message));
            }
            sum += share;
        }
        Ok((sum / self.nets.len() as f32).min(1.0))
    }
}

impl Net {
    fn load(manifest: &Manifest, choice: &Choice) -> Result<Self, VisionError> {
        let error = |m: String| VisionError::new(VisionErrorKind::Head, manifest.name.as_str(), m);
        let (Task::FaceLiveness, HeadSpec::FaceLiveness(head)) = (manifest.task, &manifest.head) else {
            return Err(error(format!(
                "task {:?}; \"face-liveness\" with the head of that name is read",
                manifest.task
            )));
        };
        let engine = engine::load(manifest, choice)?;
        let found = engine.outputs().iter().enumerate().find(|(_, o)| o.name == head.output);
        let (output, classes) = found
            .map(|(i, o)| (i, o.shape.iter().product::<usize>()))
            .ok_or_else(|| error(format!("the model has no output {:?}", head.output)))?;
        if head.live >= classes {
            return Err(error(format!("[head] live = {}: the model has {classes} classes, from 0", head.live)));
        }
        let (input, name) = (manifest.input.clone(), manifest.name.clone());
        Ok(Self { engine, input, output, live: head.live, crop: head.crop, name })
    }
}

/// The part of a frame that a net sees, by its edges: the face's box `times` as large, smaller where the frame is, and
/// moved until it lies within, in whole pixels. So the weights' own preparation has it
/// (minivision-ai/Silent-Face-Anti-Spoofing, `generate_patches.py`), and they were trained on nothing else.
fn around(bbox: [f32; 4], times: f32, width: usize, height: usize) -> [f32; 4] {
    let end = [width.saturating_sub(1) as f32, height.saturating_sub(1) as f32];
    let side = [(bbox[2] - bbox[0]).max(1.0), (bbox[3] - bbox[1]).max(1.0)];
    let times = times.min(end[0] / side[0]).min(end[1] / side[1]);
    let axis = |i: usize| {
        let middle = (bbox[i] + bbox[i + 2]) / 2.0;
        let half = side[i] * times / 2.0;
        let low = (middle - half).min(end[i] - 2.0 * half).max(0.0);
        (low.floor(), (low + 2.0 * half).min(end[i]).floor() + 1.0)
    };
    let ((x0, x1), (y0, y1)) = (axis(0), axis(1));
    [x0, y0, x1, y1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_is_as_large_as_asked_within_the_frame() {
        assert_eq!(around([300.0, 200.0, 340.0, 260.0], 2.7, 640, 480), [266.0, 149.0, 375.0, 312.0]);
        // At the corner it is moved, not cut.
        assert_eq!(around([0.0, 0.0, 40.0, 60.0], 2.7, 640, 480), [0.0, 0.0, 109.0, 163.0]);
        assert_eq!(around([600.0, 420.0, 640.0, 480.0], 2.7, 640, 480), [531.0, 317.0, 640.0, 480.0]);
        // A face that fills the frame: as much as there is, with the face's proportions.
        assert_eq!(around([100.0, 40.0, 500.0, 440.0], 4.0, 640, 480), [60.0, 0.0, 540.0, 480.0]);
        for odd in [[f32::NAN; 4], [9.0, 9.0, 3.0, 3.0], [-900.0, -900.0, -800.0, -800.0]] {
            let [x0, y0, x1, y1] = around(odd, 2.7, 64, 48);
            assert!(!(x0 < 0.0 || y0 < 0.0 || x1 > 64.0 || y1 > 48.0), "{odd:?}");
        }
    }
}
