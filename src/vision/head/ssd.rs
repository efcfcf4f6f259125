//! The SSD head: offsets to priors and a softmax over the labels and a background. Liu et al., "SSD: Single
//! Shot MultiBox Detector" (arXiv 1512.02325), section 2.2. A level with scale s, the next one's s', has in
//! each cell's middle the priors
//!
//! ```text
//! (s, s)   (sqrt(s s'), sqrt(s s'))   and for each ratio a   (s sqrt(a), s / sqrt(a))   (s / sqrt(a), s sqrt(a))
//! ```
//!
//! as shares of the input's width and height, in this order (torchvision `DefaultBoxGenerator`).

use crate::engine::Engine;
use crate::engine::head::{Background, SsdSpec};

use super::finds::Finds;
use super::offsets::{clipped, logit_floor, shifted};
use super::rows::{Grid, Rows, room};
use super::{Decode, Target};

/// Decoder for one network.
#[derive(Debug)]
pub struct Ssd {
    boxes: Rows,
    scores: Rows,
    levels: Vec<Level>,
    variances: [f32; 4],
    /// Channel of the first label, and of the background.
    first: usize,
    background: usize,
    labels: usize,
    input: [f32; 2],
    best: Vec<f32>,
}

#[derive(Debug)]
struct Level {
    grid: Grid,
    step: [f32; 2],
    priors: Vec<[f32; 2]>,
}

impl Ssd {
    pub fn new(spec: &SsdSpec, target: &Target<'_>) -> Result<Self, String> {
        let input = target.input.map(|side| side as f32);
        let mut levels = Vec::with_capacity(spec.grids.len());
        for (i, [columns, rows]) in spec.grids.iter().enumerate() {
            let (Some(scale), Some(next), Some(ratios)) =
                (spec.scales.get(i), spec.scales.get(i + 1), spec.aspect_ratios.get(i))
            else {
                return Err("[head] grids, scales and aspect_ratios differ in their levels".into());
            };
            let step = match spec.steps.as_ref().and_then(|steps| steps.get(i)) {
                Some(step) => [*step; 2],
                None => [input[0] / *columns as f32, input[1] / *rows as f32],
            };
            let priors = priors(*scale, *next, ratios, spec.clip, input);
            let grid = Grid { columns: *columns as usize, rows: *rows as usize, anchors: priors.len() };
            levels.push(Level { grid, step, priors });
        }
        let grids: Vec<Grid> = levels.iter().map(|l| l.grid).collect();
        let labels = target.labels;
        let (first, background) = match spec.background {
            Background::First => (1, 0),
            Background::Last => (0, labels),
        };
        Ok(Self {
            boxes: Rows::bind(target.engine, &spec.boxes, &grids, 4)?,
            scores: Rows::bind(target.engine, &spec.scores, &grids, labels + 1)?,
            best: room(&grids),
            variances: spec.variances,
            levels,
            first,
            background,
            labels,
            input,
        })
    }
}

/// Widths and heights of a level's priors in pixels.
fn priors(scale: f32, next: f32, ratios: &[f32], clip: bool, input: [f32; 2]) -> Vec<[f32; 2]> {
    let larger = (scale * next).sqrt();
    let mut shares = vec![[scale; 2], [larger; 2]];
    for ratio in ratios {
        let root = ratio.sqrt();
        shares.extend([[scale * root, scale / root], [scale / root, scale * root]]);
    }
    let most = if clip { 1.0 } else { f32::INFINITY };
    shares.into_iter().map(|[w, h]| [w.min(most) * input[0], h.min(most) * input[1]]).collect()
}

impl Decode for Ssd {
    fn boxes(&self) -> usize {
        self.levels.iter().map(|l| l.grid.boxes()).sum()
    }

    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>) {
        for (i, Level { grid, step, priors }) in self.levels.iter().enumerate() {
            let (Some(boxes), Some(scores)) = (self.boxes.level(engine, i), self.scores.level(engine, i)) else {
                continue;
            };
            let Some(best) = self.best.get_mut(..grid.boxes()) else { continue };
            scores.best(self.first..self.first + self.labels, best);
            let least = logit_floor(finds.floor());
            for (anchor, cell, most) in grid.reaching(best, f32::NEG_INFINITY) {
                let Some(sides) = priors.get(anchor) else { continue };
                let background = scores.get(anchor, cell, self.background);
                // Of the sum that the softmax divides by, label and background are but two terms: if these
                // two keep it below the floor, all of them do.
                if most - background < least {
                    continue;
                }
                let most = most.max(background);
                let power = |channel| (scores.get(anchor, cell, channel) - most).exp();
                let sum: f32 = (0..=self.labels).map(power).sum();
                let [column, row] = grid.place(cell);
                let middle = [(column + 0.5) * step[0], (row + 0.5) * step[1]];
                let bbox = shifted(middle, *sides, boxes.array(anchor, cell, 0), self.variances);
                finds.offer(clipped(bbox, self.input), (0..self.labels).map(|label| power(self.first + label) / sum));
            }
        }
    }
}
