//! The anchor-based YOLO head whose graph ends in `[1, N, 5 + C]`: for each of N boxes its centre x, centre
//! y, width and height in pixels of the input, the probability that there is an object, then C probabilities.
//! A label's score is the product of both. So exports Ultralytics' YOLOv5 (`models/yolo.py`, `Detect.forward`
//! with `export=True`; `utils/general.py`, `non_max_suppression`).

use crate::engine::Engine;
use crate::engine::head::OneOutput;

use super::finds::Finds;
use super::{Decode, Target, output};

const BEFORE_LABELS: usize = 5;

/// Decoder for one output shape.
#[derive(Debug)]
pub struct YoloV5 {
    output: usize,
    boxes: usize,
    columns: usize,
}

impl YoloV5 {
    pub fn new(spec: &OneOutput, target: &Target<'_>) -> Result<Self, String> {
        let (name, labels) = (&spec.output, target.labels);
        let (output, shape) = output(target.engine, name)?;
        let columns = BEFORE_LABELS + labels;
        match *shape {
            [1, boxes, found] if found == columns => Ok(Self { output, boxes, columns }),
            _ => Err(format!("output {name:?} is {shape:?}; with {labels} labels it must be [1, boxes, {columns}]")),
        }
    }
}

impl Decode for YoloV5 {
    fn boxes(&self) -> usize {
        self.boxes
    }

    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>) {
        for row in engine.output(self.output).chunks_exact(self.columns) {
            let [x, y, w, h, object, scores @ ..] = row else { continue };
            // No label can score more than this.
            if *object >= finds.floor() {
                let bbox = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
                finds.offer(bbox, scores.iter().map(|p| p * object));
            }
        }
    }
}
