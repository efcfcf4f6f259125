//! What every face detector promises, and which one an engine's manifest names.

use std::path::Path;

use crate::engine::head::HeadSpec;
use crate::engine::manifest::Task;
use crate::engine::{self, Choice, Engine, InputSpec, Manifest};
use crate::vision::{VisionError, VisionErrorKind};

use super::Picture;
use super::blazeface::BlazeFace;
use super::mtcnn::Mtcnn;
use super::suppress::Scored;
use super::yunet::YuNet;

/// Most faces of one frame that are told of.
pub const FACES_MAX: usize = 16;

/// One face in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Face {
    /// Edges x0, y0, x1, y1; may reach out of the frame.
    pub bbox: [f32; 4],
    /// The detector's own, 0..=1.
    pub score: f32,
    /// Eye at the picture's left, eye at its right, nose, corners of the mouth left and right.
    pub landmarks: [[f32; 2]; 5],
}

impl Face {
    /// Distance of the eyes in pixels, which says how near somebody stands.
    pub fn eyes_px(&self) -> f32 {
        let [l, r, ..] = self.landmarks;
        (r[0] - l[0]).hypot(r[1] - l[1])
    }
}

impl Scored for Face {
    fn bbox(&self) -> [f32; 4] {
        self.bbox
    }
    fn score(&self) -> f32 {
        self.score
    }
}

/// Finds faces. Allocates nothing once a frame of the same size went through.
pub trait FaceDetector: Send {
    /// Replaces `faces` by at most [`FACES_MAX`] faces, the surest first.
    ///
    /// # Errors
    /// [`VisionErrorKind::Engine`] when an inference fails.
    fn detect(&mut self, picture: &mut Picture, faces: &mut Vec<Face>) -> Result<(), VisionError>;
    /// What runs its nets.
    fn backend(&self) -> &'static str;
}

/// Puts something about an engine, or nothing.
pub type Around<'a> = &'a mut dyn FnMut(Box<dyn Engine>) -> Box<dyn Engine>;

/// The detector of the engine's folder `dir`, each of its nets in what `around` puts about it.
///
/// # Errors
/// An engine that can't be loaded, is no face detector, or whose outputs its head can't read.
pub fn load(dir: &Path, choice: &Choice, around: Around<'_>) -> Result<Box<dyn FaceDetector>, VisionError> {
    let manifest = Manifest::load(dir)?;
    if manifest.task != Task::FaceDetect {
        let message = format!("task {:?}, a face detector is asked for", manifest.task);
        return Err(VisionError::new(VisionErrorKind::Head, manifest.name, message));
    }
    let net = Net::load(&manifest, choice, around)?;
    let stages = manifest.stages.iter().map(|s| Net::load(&Manifest::load(&dir.join(s))?, choice, around));
    let stages = stages.collect::<Result<Vec<_>, VisionError>>()?;
    Ok(match (&manifest.head, <[Net; 2]>::try_from(stages)) {
        (HeadSpec::Mtcnn(_), Ok([rnet, onet])) => Box::new(Mtcnn::new(net, rnet, onet)?),
        (HeadSpec::BlazeFace(_), Err(stages)) if stages.len() == 1 => Box::new(BlazeFace::new(net, stages)?),
        (HeadSpec::YuNet(_), Err(stages)) if stages.is_empty() => Box::new(YuNet::new(net)?),
        _ => {
            let message = format!(
                "[head] kind with {} stages; \"mtcnn\" has two, \"blazeface\" one, \"yunet\" none",
                manifest.stages.len()
            );
            return Err(VisionError::new(VisionErrorKind::Head, manifest.name, message));
        }
    })
}

/// One net of a detector, with what its manifest says.
pub struct Net {
    /// Loaded.
    pub engine: Box<dyn Engine>,
    /// How it is fed.
    pub input: InputSpec,
    /// Least score that passes.
    pub score: f32,
    /// Most overlap of two faces.
    pub iou: f32,
    name: String,
}

impl Net {
    fn load(manifest: &Manifest, choice: &Choice, around: Around<'_>) -> Result<Self, VisionError> {
        let engine = around(engine::load(manifest, choice)?);
        let t = manifest.thresholds;
        Ok(Self { engine, input: manifest.input.clone(), score: t.score, iou: t.nms_iou, name: manifest.name.clone() })
    }

    /// Index of the output `name`, which has this shape.
    pub fn output(&self, name: &str, shape: &[usize]) -> Result<usize, VisionError> {
        let found = self.engine.outputs().iter().position(|o| o.name == name && o.shape == shape);
        found.ok_or_else(|| {
            let has: Vec<_> = self.engine.outputs().iter().map(|o| (o.name.as_str(), o.shape.as_slice())).collect();
            let message = format!("the head reads an output {name:?} {shape:?}; the model has {has:?}");
            VisionError::new(VisionErrorKind::Head, self.name.as_str(), message)
        })
    }

    /// Says that the head can't do with an input of this size.
    pub fn size_error(&self, wanted: &str) -> VisionError {
        let message = format!("input {}x{}: {wanted}", self.input.width, self.input.height);
        VisionError::new(VisionErrorKind::Head, self.name.as_str(), message)
    }
}
