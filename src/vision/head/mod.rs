//! Heads: how a network's outputs become boxes. Each is a file with its formula and its source; a head reads
//! straight from the engine's output and never allocates once it is made. Read next: `yolo_v8`, then `nms`.

pub mod yolo_v8;

use crate::engine::Engine;
use crate::engine::manifest::{HeadKind, Manifest};

use super::{Detection, VisionError, VisionErrorKind};
use yolo_v8::YoloV8;

/// The head of one engine.
#[derive(Debug)]
pub struct Head {
    /// Index of the output that is read.
    output: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    YoloV8(YoloV8),
}

impl Head {
    /// The head that `manifest` names for `engine`, its output's shape checked against the labels.
    pub fn new(manifest: &Manifest, engine: &dyn Engine) -> Result<Self, VisionError> {
        let error = |m| VisionError::new(VisionErrorKind::Head, manifest.name.as_str(), m);
        let name = &manifest.head.output;
        let (output, spec) = engine
            .outputs()
            .iter()
            .enumerate()
            .find(|(_, o)| o.name == *name)
            .ok_or_else(|| error(format!("the model has no output {name:?}")))?;
        let kind = match manifest.head.kind {
            HeadKind::YoloV8 => Kind::YoloV8(
                YoloV8::new(&spec.shape, manifest.labels.names.len())
                    .map_err(|m| error(format!("output {name:?}: {m}")))?,
            ),
        };
        Ok(Self { output, kind })
    }

    /// Most boxes that [`Head::decode`] can find.
    pub fn boxes_max(&self) -> usize {
        match &self.kind {
            Kind::YoloV8(head) => head.boxes(),
        }
    }

    /// Replaces `found` by the boxes of the engine's last run whose score is at least `floor`, in pixels of
    /// the input. Allocates nothing if `found` has room for [`Head::boxes_max`].
    pub fn decode(&mut self, engine: &dyn Engine, floor: f32, found: &mut Vec<Detection>) {
        found.clear();
        match &mut self.kind {
            Kind::YoloV8(head) => head.decode(engine.output(self.output), floor, found),
        }
    }
}
