//! From a face to its vector: align into the engine's own input, run, add the mirror image's, bring to length 1.
//! The network is MobileFaceNet, ArcFace or, after prewhitening, FaceNet; which one says the manifest's head.

use crate::engine::head::HeadSpec;
use crate::engine::{Engine, InputSpec, Layout, Manifest};
use crate::gallery::DIMENSIONS_MAX;
use crate::vision::{VisionError, VisionErrorKind};

use super::picture::Area;
use super::{Face, Picture, Similarity};

/// One engine that turns faces into vectors.
pub struct Embedder {
    engine: Box<dyn Engine>,
    name: String,
    sha256: String,
    input: InputSpec,
    output: usize,
    dimensions: usize,
    flip: bool,
    prewhiten: bool,
}

impl Embedder {
    /// The embedder over `engine`, which was loaded from `manifest`.
    ///
    /// # Errors
    /// [`VisionErrorKind::Head`]: not an embedder, an input that is no square, an output that is no vector.
    pub fn new(manifest: &Manifest, engine: Box<dyn Engine>) -> Result<Self, VisionError> {
        let error = |m: String| VisionError::new(VisionErrorKind::Head, manifest.name.as_str(), m);
        let HeadSpec::FaceVector(head) = &manifest.head else {
            return Err(error("[head] kind: \"face-vector\" is read here".into()));
        };
        let input = manifest.input.clone();
        if input.width != input.height {
            return Err(error(format!("input {}x{}: an embedder wants a square", input.width, input.height)));
        }
        let name = head.output.as_str();
        let found = engine.outputs().iter().enumerate().find(|(_, o)| o.name == name);
        let (output, shape) = found
            .map(|(i, o)| (i, o.shape.as_slice()))
            .ok_or_else(|| error(format!("the model has no output {name:?}")))?;
        let dimensions = shape.iter().product();
        if dimensions == 0 || dimensions > DIMENSIONS_MAX {
            return Err(error(format!("output {name:?} has the shape {shape:?}, a vector is read")));
        }
        let (name, sha256, flip) = (manifest.name.clone(), manifest.sha256.clone(), head.flip);
        Ok(Self { engine, name, sha256, input, output, dimensions, flip, prewhiten: head.prewhiten })
    }

    /// Values of a vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Identifies the network: vectors of two networks have nothing to do with each other.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What runs it.
    pub fn backend(&self) -> &'static str {
        self.engine.backend()
    }

    /// How it computes, where that isn't what its manifest says.
    pub fn precision(&self) -> Option<&'static str> {
        self.engine.precision()
    }

    /// Replaces `out` by the unit vector of `face` in `picture`. Allocates nothing if `out` has room.
    ///
    /// # Errors
    /// [`VisionErrorKind::Input`] for landmarks that fit no template, [`VisionErrorKind::Head`] for a vector without a
    /// direction (zero, infinite, no number), [`VisionErrorKind::Engine`] when the inference fails.
    pub fn embed(&mut self, picture: &mut Picture, face: &Face, out: &mut Vec<f32>) -> Result<(), VisionError> {
        out.clear();
        let to_frame = Similarity::of_face(&face.landmarks, self.input.width).ok_or_else(|| {
            let message = "the landmarks are one point or no numbers";
            VisionError::new(VisionErrorKind::Input, self.name.as_str(), message)
        })?;
        out.resize(self.dimensions, 0.0);
        picture.warp(&to_frame, &self.input, Area::whole(&self.input), self.engine.input_mut());
        if self.prewhiten {
            prewhiten(self.engine.input_mut());
        }
        for mirrored in [false, true].into_iter().take(1 + usize::from(self.flip)) {
            if mirrored {
                mirror(&self.input, self.engine.input_mut());
            }
            self.engine.run()?;
            out.iter_mut().zip(self.engine.output(self.output)).for_each(|(o, v)| *o += v);
        }
        if !normalise(out) {
            out.clear();
            let message = "the vector has no direction: zero, infinite or no number";
            return Err(VisionError::new(VisionErrorKind::Head, self.name.as_str(), message));
        }
        Ok(())
    }
}

/// Brings `v` to length 1; false, and `v` as it was, if it has no direction.
pub fn normalise(v: &mut [f32]) -> bool {
    let length = v.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 1e-12) {
        return false;
    }
    v.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    true
}

/// Turns an input's picture left to right.
fn mirror(spec: &InputSpec, input: &mut [f32]) {
    let width = spec.width as usize;
    match spec.layout {
        Layout::Nchw => input.chunks_exact_mut(width).for_each(<[f32]>::reverse),
        Layout::Nhwc => input.as_chunks_mut::<3>().0.chunks_exact_mut(width).for_each(<[_]>::reverse),
    }
}

/// Mean 0, deviation 1, as FaceNet's `prewhiten` (D. Sandberg): a deviation below that of one bit in the whole
/// picture counts as that, so that an even picture stays finite.
fn prewhiten(input: &mut [f32]) {
    let n = input.len().max(1) as f64;
    let mean = input.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = input.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    let deviation = variance.sqrt().max(1.0 / n.sqrt());
    input.iter_mut().for_each(|v| *v = ((f64::from(*v) - mean) / deviation) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Colour, Fit};

    #[test]
    fn vectors_come_to_length_1_or_are_refused() {
        let mut v = vec![3.0, 0.0, 4.0];
        assert!(normalise(&mut v));
        assert_eq!(v, [0.6, 0.0, 0.8]);
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert!(!normalise(&mut bad.clone()), "{bad:?}");
        }
    }

    #[test]
    fn a_mirrored_input_has_its_last_column_first() {
        let spec = |layout| InputSpec {
            name: "x".into(),
            width: 2,
            height: 2,
            layout,
            colour: Colour::Rgb,
            mean: [0.0; 3],
            scale: [1.0; 3],
            fit: Fit::Stretch,
            pad: 0,
        };
        let numbers = || (0..12).map(|i| i as f32).collect::<Vec<_>>();
        let (mut planar, mut packed) = (numbers(), numbers());
        mirror(&spec(Layout::Nchw), &mut planar);
        assert_eq!(planar, [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10].map(|v| v as f32));
        mirror(&spec(Layout::Nhwc), &mut packed);
        assert_eq!(packed, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8].map(|v| v as f32));
    }

    #[test]
    fn prewhitened_input_has_mean_0_and_deviation_1_and_an_even_one_is_finite() {
        let mut v: Vec<f32> = (0..100).map(|i| 5.0 + (i % 7) as f32).collect();
        prewhiten(&mut v);
        let mean = v.iter().sum::<f32>() / 100.0;
        let deviation = (v.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 100.0).sqrt();
        assert!(mean.abs() < 1e-5 && (deviation - 1.0).abs() < 1e-5, "{mean} {deviation}");
        let mut even = vec![7.0; 12];
        prewhiten(&mut even);
        assert_eq!(even, [0.0; 12]);
    }
}
