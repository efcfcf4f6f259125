//! Heads: how a network's outputs become boxes. Each is a file with its formula and its source; a head reads
//! straight from the engine's outputs and never allocates once it is made. No number in an output makes it
//! panic: what isn't finite is no box. Read next: `yolo_v8`, then `rows` and `finds`, then `nms`.

mod fcos;
mod final_boxes;
mod finds;
mod offsets;
mod retinanet;
mod rows;
mod ssd;
mod yolo_v5;
mod yolo_v5_maps;
mod yolo_v8;
mod yolo_v8_maps;

use crate::engine::head::HeadSpec;
use crate::engine::{Engine, Manifest};

use super::{Detection, VisionError, VisionErrorKind};
use finds::{CANDIDATES_MAX, Finds};

/// One family's decoder.
trait Decode: Send + std::fmt::Debug {
    /// Boxes in the outputs.
    fn boxes(&self) -> usize;

    /// Offers every box of the engine's last run that may reach the floor, in pixels of the input. Outputs of
    /// another length than their shapes give nothing.
    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>);
}

/// The head of one engine.
#[derive(Debug)]
pub struct Head {
    decoder: Box<dyn Decode>,
    multi_label: bool,
    labels: usize,
}

/// What every family is made for.
struct Target<'e> {
    engine: &'e dyn Engine,
    /// Width and height of the input.
    input: [usize; 2],
    labels: usize,
}

impl Head {
    /// The head that `manifest` names for `engine`, its outputs' shapes checked against input and labels.
    pub fn new(manifest: &Manifest, engine: &dyn Engine) -> Result<Self, VisionError> {
        let (input, labels) = (&manifest.input, manifest.labels.names.len());
        let target = Target { engine, input: [input.width as usize, input.height as usize], labels };
        let decoder = decoder(&manifest.head, &target)
            .map_err(|m| VisionError::new(VisionErrorKind::Head, manifest.name.as_str(), m))?;
        Ok(Self { decoder, multi_label: manifest.nms.multi_label, labels })
    }

    /// Most boxes that [`Head::decode`] can find.
    pub fn boxes_max(&self) -> usize {
        let labels = if self.multi_label { self.labels } else { 1 };
        self.decoder.boxes().saturating_mul(labels).min(CANDIDATES_MAX)
    }

    /// Replaces `found` by the boxes of the engine's last run whose score is at least `floor`, in pixels of
    /// the input; of more than [`Head::boxes_max`] the best. Allocates nothing if `found` has room for those.
    pub fn decode(&mut self, engine: &dyn Engine, floor: f32, found: &mut Vec<Detection>) {
        let limit = self.boxes_max();
        self.decoder.decode(engine, &mut Finds::new(found, floor, self.multi_label, limit));
    }
}

fn decoder(spec: &HeadSpec, target: &Target<'_>) -> Result<Box<dyn Decode>, String> {
    Ok(match spec {
        HeadSpec::YoloV8(s) => Box::new(yolo_v8::YoloV8::new(s, target)?),
        HeadSpec::YoloV8Maps(s) => Box::new(yolo_v8_maps::YoloV8Maps::new(s, target)?),
        HeadSpec::YoloV5(s) => Box::new(yolo_v5::YoloV5::new(s, target)?),
        HeadSpec::YoloV5Maps(s) => Box::new(yolo_v5_maps::YoloV5Maps::new(s, target)?),
        HeadSpec::Ssd(s) => Box::new(ssd::Ssd::new(s, target)?),
        HeadSpec::RetinaNet(s) => Box::new(retinanet::RetinaNet::new(s, target)?),
        HeadSpec::Fcos(s) => Box::new(fcos::Fcos::new(s, target)?),
        HeadSpec::Boxes(s) => Box::new(final_boxes::FinalBoxes::new(s, target)?),
        HeadSpec::Mtcnn(_)
        | HeadSpec::BlazeFace(_)
        | HeadSpec::YuNet(_)
        | HeadSpec::FaceVector(_)
        | HeadSpec::FaceLiveness(_) => {
            return Err("[head] kind: a face engine's, which the face camera reads, not the tray's".into());
        }
        HeadSpec::Classes(_) => {
            return Err("[head] kind: a classifier's, which has no boxes; it can be an engine's second look".into());
        }
    })
}

/// Index and shape of the output `name`.
fn output<'e>(engine: &'e dyn Engine, name: &str) -> Result<(usize, &'e [usize]), String> {
    let outputs = engine.outputs();
    let index = outputs.iter().position(|o| o.name == name);
    let found = index.and_then(|i| Some((i, outputs.get(i)?.shape.as_slice())));
    found.ok_or_else(|| {
        let names: Vec<&str> = outputs.iter().map(|o| o.name.as_str()).collect();
        format!("the model has no output {name:?}; it has {names:?}")
    })
}

#[cfg(test)]
mod tests;
