//! The head of networks whose graph ends in boxes, scores and labels: two-stage detectors (Faster R-CNN,
//! Cascade R-CNN, Dynamic R-CNN, DetectoRS), or any with its suppression inside the graph. A fixed number of
//! rows; those that are padding have a score of 0. `dets` of MMDeploy has the score as a fifth column.

use crate::engine::Engine;
use crate::engine::head::BoxesSpec;

use super::finds::Finds;
use super::offsets::clipped;
use super::{Decode, Target, output};

/// Decoder for one network.
#[derive(Debug)]
pub struct FinalBoxes {
    boxes_output: usize,
    scores_output: Option<usize>,
    labels_output: usize,
    rows: usize,
    /// Numbers a row: 4, or 5 with the score.
    columns: usize,
    label_base: f32,
    labels: usize,
    input: [f32; 2],
}

impl FinalBoxes {
    pub fn new(spec: &BoxesSpec, target: &Target<'_>) -> Result<Self, String> {
        let columns = if spec.scores.is_some() { 4 } else { 5 };
        let (boxes_output, shape) = output(target.engine, &spec.boxes)?;
        let rows = match *shape {
            [1, rows, found] | [rows, found] if found == columns => rows,
            _ => {
                let name = &spec.boxes;
                return Err(format!("output {name:?} is {shape:?}; it must be [1, rows, {columns}]"));
            }
        };
        let list = |name: &String| {
            let (index, shape) = output(target.engine, name)?;
            match *shape {
                [1, found] | [found] | [1, found, 1] if found == rows => Ok(index),
                _ => Err(format!("output {name:?} is {shape:?}; with {rows} boxes it must be [1, {rows}]")),
            }
        };
        Ok(Self {
            boxes_output,
            columns,
            scores_output: spec.scores.as_ref().map(list).transpose()?,
            labels_output: list(&spec.labels)?,
            rows,
            label_base: f32::from(spec.label_base),
            labels: target.labels,
            input: target.input.map(|side| side as f32),
        })
    }
}

impl Decode for FinalBoxes {
    fn boxes(&self) -> usize {
        self.rows
    }

    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>) {
        let boxes = engine.output(self.boxes_output).chunks_exact(self.columns);
        let scores = self.scores_output.map(|i| engine.output(i));
        for (i, (row, label)) in boxes.zip(engine.output(self.labels_output)).enumerate() {
            let [x0, y0, x1, y1, tail @ ..] = row else { continue };
            let score = scores.map_or(tail.first(), |scores| scores.get(i)).copied().unwrap_or(f32::NAN);
            let label = label - self.label_base;
            // NaN and numbers of the background fall out here.
            if (0.0..self.labels as f32).contains(&label) {
                finds.offer_one(clipped([*x0, *y0, *x1, *y1], self.input), label as u16, score);
            }
        }
    }
}
