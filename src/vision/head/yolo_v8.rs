//! The anchor-free YOLO head whose graph ends in `[1, 4 + C, N]`: for each of N boxes its centre x, centre y,
//! width and height in pixels of the input, then C probabilities, sigmoid applied. So export Ultralytics'
//! YOLOv8 and YOLO11 (`nn/modules/head.py`, `Detect.forward` with `export=True`), DFL inside the graph.

use crate::engine::Engine;
use crate::engine::head::OneOutput;

use super::finds::Finds;
use super::{Decode, Target, output};

const BOX_ROWS: usize = 4;

/// Decoder for one output shape.
#[derive(Debug)]
pub struct YoloV8 {
    output: usize,
    boxes: usize,
    /// Highest probability of each box in the last output.
    best: Vec<f32>,
}

impl YoloV8 {
    pub fn new(spec: &OneOutput, target: &Target<'_>) -> Result<Self, String> {
        let (name, labels) = (&spec.output, target.labels);
        let (output, shape) = output(target.engine, name)?;
        match *shape {
            [1, rows, boxes] if rows == BOX_ROWS + labels => Ok(Self { output, boxes, best: vec![0.0; boxes] }),
            _ => {
                let rows = BOX_ROWS + labels;
                Err(format!("output {name:?} is {shape:?}; with {labels} labels it must be [1, {rows}, boxes]"))
            }
        }
    }
}

impl Decode for YoloV8 {
    fn boxes(&self) -> usize {
        self.boxes
    }

    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>) {
        let mut rows = engine.output(self.output).chunks_exact(self.boxes.max(1));
        let (Some(x), Some(y), Some(w), Some(h)) = (rows.next(), rows.next(), rows.next(), rows.next()) else { return };
        let scores = rows;
        // Most boxes are background. One vectorised pass a label finds the few that are not; `max` ignores NaN.
        self.best.fill(0.0);
        for row in scores.clone() {
            self.best.iter_mut().zip(row).for_each(|(best, p)| *best = best.max(*p));
        }
        let corners = x.iter().zip(y).zip(w.iter().zip(h));
        for (i, (&score, ((x, y), (w, h)))) in self.best.iter().zip(corners).enumerate() {
            if score < finds.floor() {
                continue;
            }
            let bbox = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
            finds.offer(bbox, scores.clone().map(|row| row.get(i).copied().unwrap_or(f32::NAN)));
        }
    }
}
