//! The anchor-free YOLO head before decoding: a map a level `[1, 4 * bins + C, H, W]`, for each side of the
//! box the logits of its distance, then C logits. The distance is the mean of the distribution, sum of
//! i * softmax(i) (DFL: Li et al., "Generalized Focal Loss", arXiv 2006.04388, eq. 5 and 6); with one bin it
//! is the number itself. Distances are strides from the cell's middle to left, top, right, bottom
//! (Ultralytics `utils/tal.py`, `dist2bbox`; YOLOv6, arXiv 2209.02976, without DFL).

use crate::engine::Engine;
use crate::engine::head::YoloV8MapsSpec;

use super::finds::Finds;
use super::offsets::{logit_floor, sigmoid};
use super::rows::{Grid, Rows, Values, room};
use super::{Decode, Target};

const SIDES: usize = 4;

/// Decoder for the maps of one network.
#[derive(Debug)]
pub struct YoloV8Maps {
    rows: Rows,
    levels: Vec<(Grid, f32)>,
    bins: usize,
    labels: usize,
    best: Vec<f32>,
}

impl YoloV8Maps {
    pub fn new(spec: &YoloV8MapsSpec, target: &Target<'_>) -> Result<Self, String> {
        let grids: Vec<Grid> = spec.strides.iter().map(|s| Grid::of_stride(target.input, *s, 1)).collect();
        let (bins, labels) = (spec.bins as usize, target.labels);
        let rows = Rows::bind(target.engine, &spec.outputs, &grids, SIDES * bins + labels)?;
        let best = room(&grids);
        let levels = grids.into_iter().zip(spec.strides.iter().map(|s| *s as f32)).collect();
        Ok(Self { rows, levels, bins, labels, best })
    }
}

impl Decode for YoloV8Maps {
    fn boxes(&self) -> usize {
        self.levels.iter().map(|(grid, _)| grid.boxes()).sum()
    }

    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>) {
        let scores = SIDES * self.bins;
        for (i, (grid, stride)) in self.levels.iter().enumerate() {
            let (Some(values), Some(best)) = (self.rows.level(engine, i), self.best.get_mut(..grid.boxes())) else {
                continue;
            };
            values.best(scores..scores + self.labels, best);
            for (_, cell, _) in grid.reaching(best, logit_floor(finds.floor())) {
                let side = |side| distance(&values, cell, side * self.bins, self.bins) * stride;
                let [x, y] = grid.place(cell).map(|at| (at + 0.5) * stride);
                let bbox = [x - side(0), y - side(1), x + side(2), y + side(3)];
                finds.offer(bbox, (0..self.labels).map(|label| sigmoid(values.get(0, cell, scores + label))));
            }
        }
    }
}

/// One side's distance in strides.
fn distance(values: &Values<'_>, cell: usize, first: usize, bins: usize) -> f32 {
    if bins == 1 {
        return values.get(0, cell, first);
    }
    let logit = |bin| values.get(0, cell, first + bin);
    let most = (0..bins).map(logit).fold(f32::NEG_INFINITY, f32::max);
    let (sum, mean) = (0..bins).fold((0.0, 0.0), |(sum, mean), bin| {
        let e = (logit(bin) - most).exp();
        (sum + e, mean + bin as f32 * e)
    });
    mean / sum
}
