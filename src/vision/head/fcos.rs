//! The FCOS head: at each point the distances to the box's left, top, right and bottom, a sigmoid a label,
//! and a centerness that takes from boxes seen from their rim. Tian et al., "FCOS" (arXiv 1904.01355), eq. 1
//! and section 3.3; the square root of score times centerness: "FCOS: A Simple and Strong Anchor-free Object
//! Detector" (arXiv 2006.09214). Without centerness and with exponentials times a base length it is FoveaBox
//! (Kong et al., arXiv 1904.03797, eq. 4 and 5, as MMDetection's `FoveaHead` reads it).

use crate::engine::Engine;
use crate::engine::head::{Centering, Distance, FcosSpec};

use super::finds::Finds;
use super::offsets::{clipped, logit_floor, sigmoid};
use super::rows::{Grid, Rows, room};
use super::{Decode, Target};

/// Decoder for one network.
#[derive(Debug)]
pub struct Fcos {
    boxes: Rows,
    scores: Rows,
    centerness: Option<Rows>,
    levels: Vec<Level>,
    distance: Distance,
    centering: Centering,
    offset: f32,
    labels: usize,
    input: [f32; 2],
    best: Vec<f32>,
}

#[derive(Debug)]
struct Level {
    grid: Grid,
    stride: f32,
    unit: f32,
}

impl Fcos {
    pub fn new(spec: &FcosSpec, target: &Target<'_>) -> Result<Self, String> {
        let unit = |i: usize, stride: u32| spec.units.as_ref().and_then(|u| u.get(i)).copied().unwrap_or(stride as f32);
        let level = |(i, stride): (usize, &u32)| Level {
            grid: Grid::of_stride(target.input, *stride, 1),
            stride: *stride as f32,
            unit: unit(i, *stride),
        };
        let levels: Vec<Level> = spec.strides.iter().enumerate().map(level).collect();
        let grids: Vec<Grid> = levels.iter().map(|l| l.grid).collect();
        let bind = |names, channels| Rows::bind(target.engine, names, &grids, channels);
        Ok(Self {
            boxes: bind(&spec.boxes, 4)?,
            scores: bind(&spec.scores, target.labels)?,
            centerness: if spec.centerness.is_empty() { None } else { Some(bind(&spec.centerness, 1)?) },
            best: room(&grids),
            distance: spec.distance,
            centering: spec.centering,
            offset: spec.offset,
            labels: target.labels,
            input: target.input.map(|side| side as f32),
            levels,
        })
    }
}

impl Decode for Fcos {
    fn boxes(&self) -> usize {
        self.levels.iter().map(|l| l.grid.boxes()).sum()
    }

    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>) {
        for (i, Level { grid, stride, unit }) in self.levels.iter().enumerate() {
            let (Some(boxes), Some(scores)) = (self.boxes.level(engine, i), self.scores.level(engine, i)) else {
                continue;
            };
            let centerness = match &self.centerness {
                Some(rows) => match rows.level(engine, i) {
                    Some(values) => Some(values),
                    None => continue,
                },
                None => None,
            };
            let Some(best) = self.best.get_mut(..grid.boxes()) else { continue };
            scores.best(0..self.labels, best);
            // A centerness is at most 1: the root of its product with the score is above the floor only if the
            // score is above the floor's square.
            let least = match (centerness, self.centering) {
                (Some(_), Centering::Sqrt) => logit_floor(finds.floor() * finds.floor()),
                _ => logit_floor(finds.floor()),
            };
            for (_, cell, _) in grid.reaching(best, least) {
                let centre = centerness.map(|values| sigmoid(values.get(0, cell, 0)));
                let joined = |score: f32| match (centre, self.centering) {
                    (None, _) => score,
                    (Some(centre), Centering::Product) => score * centre,
                    (Some(centre), Centering::Sqrt) => (score * centre).sqrt(),
                };
                let [x, y] = grid.place(cell).map(|at| (at + self.offset) * stride);
                let [left, top, right, bottom] = boxes.array(0, cell, 0).map(|d: f32| match self.distance {
                    Distance::Linear => d * unit,
                    Distance::Exp => d.exp() * unit,
                });
                let bbox = clipped([x - left, y - top, x + right, y + bottom], self.input);
                finds.offer(bbox, (0..self.labels).map(|label| joined(sigmoid(scores.get(0, cell, label)))));
            }
        }
    }
}
