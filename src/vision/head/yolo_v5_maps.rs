//! The anchor-based YOLO head before decoding: a map a level `[1, A * (5 + C), H, W]`. With s the sigmoid and
//! t the five first numbers of an anchor in the cell at column i, row j:
//!
//! ```text
//! x = (2 s(tx) - 0.5 + i) stride      w = (2 s(tw))^2 anchor_w      score = s(tobject) s(tlabel)
//! y = (2 s(ty) - 0.5 + j) stride      h = (2 s(th))^2 anchor_h
//! ```
//!
//! Source: Ultralytics YOLOv5 from release 2.0 on, `models/yolo.py`, `Detect.forward`.

use crate::engine::Engine;
use crate::engine::head::YoloV5MapsSpec;

use super::finds::Finds;
use super::offsets::{logit_floor, sigmoid};
use super::rows::{Grid, Rows, room};
use super::{Decode, Target};

const OBJECT: usize = 4;
const BEFORE_LABELS: usize = 5;

/// Decoder for the maps of one network.
#[derive(Debug)]
pub struct YoloV5Maps {
    rows: Rows,
    levels: Vec<Level>,
    labels: usize,
    best: Vec<f32>,
}

#[derive(Debug)]
struct Level {
    grid: Grid,
    stride: f32,
    anchors: Vec<[f32; 2]>,
}

impl YoloV5Maps {
    pub fn new(spec: &YoloV5MapsSpec, target: &Target<'_>) -> Result<Self, String> {
        let level = |(stride, anchors): (&u32, &Vec<[f32; 2]>)| Level {
            grid: Grid::of_stride(target.input, *stride, anchors.len()),
            stride: *stride as f32,
            anchors: anchors.clone(),
        };
        let levels: Vec<Level> = spec.strides.iter().zip(&spec.anchors).map(level).collect();
        let grids: Vec<Grid> = levels.iter().map(|l| l.grid).collect();
        let rows = Rows::bind(target.engine, &spec.outputs, &grids, BEFORE_LABELS + target.labels)?;
        let best = room(&grids);
        Ok(Self { rows, levels, labels: target.labels, best })
    }
}

impl Decode for YoloV5Maps {
    fn boxes(&self) -> usize {
        self.levels.iter().map(|l| l.grid.boxes()).sum()
    }

    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>) {
        for (i, Level { grid, stride, anchors }) in self.levels.iter().enumerate() {
            let (Some(values), Some(best)) = (self.rows.level(engine, i), self.best.get_mut(..grid.boxes())) else {
                continue;
            };
            values.best(OBJECT..OBJECT + 1, best);
            // No label can score more than the object.
            for (anchor, cell, logit) in grid.reaching(best, logit_floor(finds.floor())) {
                let Some(sides) = anchors.get(anchor) else { continue };
                let object = sigmoid(logit);
                let [tx, ty, tw, th] = values.array(anchor, cell, 0).map(|t: f32| 2.0 * sigmoid(t));
                let [column, row] = grid.place(cell);
                let (x, y) = ((tx - 0.5 + column) * stride, (ty - 0.5 + row) * stride);
                let (w, h) = (tw * tw * sides[0], th * th * sides[1]);
                let bbox = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
                let label = |label| object * sigmoid(values.get(anchor, cell, BEFORE_LABELS + label));
                finds.offer(bbox, (0..self.labels).map(label));
            }
        }
    }
}
