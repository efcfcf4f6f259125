//! The RetinaNet head: offsets to anchors and a sigmoid a label. Lin et al., "Focal Loss for Dense Object
//! Detection" (arXiv 1708.02002), section 4; the anchors of a size s and a ratio r = h / w are s / sqrt(r)
//! wide and s sqrt(r) high (torchvision `AnchorGenerator`, MMDetection `AnchorGenerator`). EfficientDet (Tan
//! et al., arXiv 1911.09070) reads the same with its own anchors, listed, and the order y, x, h, w.

use crate::engine::Engine;
use crate::engine::head::{BoxOrder, RetinaNetSpec};

use super::finds::Finds;
use super::offsets::{clipped, logit_floor, shifted, sigmoid};
use super::rows::{Grid, Rows, room};
use super::{Decode, Target};

/// Decoder for one network.
#[derive(Debug)]
pub struct RetinaNet {
    boxes: Rows,
    scores: Rows,
    levels: Vec<Level>,
    offset: f32,
    order: BoxOrder,
    variances: [f32; 4],
    labels: usize,
    input: [f32; 2],
    best: Vec<f32>,
}

#[derive(Debug)]
struct Level {
    grid: Grid,
    stride: f32,
    anchors: Vec<[f32; 2]>,
}

impl RetinaNet {
    pub fn new(spec: &RetinaNetSpec, target: &Target<'_>) -> Result<Self, String> {
        let level = |(i, stride): (usize, &u32)| {
            let anchors = anchors(spec, i);
            Level { grid: Grid::of_stride(target.input, *stride, anchors.len()), stride: *stride as f32, anchors }
        };
        let levels: Vec<Level> = spec.strides.iter().enumerate().map(level).collect();
        let grids: Vec<Grid> = levels.iter().map(|l| l.grid).collect();
        Ok(Self {
            boxes: Rows::bind(target.engine, &spec.boxes, &grids, 4)?,
            scores: Rows::bind(target.engine, &spec.scores, &grids, target.labels)?,
            best: room(&grids),
            offset: spec.offset,
            order: spec.box_order,
            variances: spec.variances,
            labels: target.labels,
            input: target.input.map(|side| side as f32),
            levels,
        })
    }
}

/// Widths and heights of the anchors of `level` in pixels.
fn anchors(spec: &RetinaNetSpec, level: usize) -> Vec<[f32; 2]> {
    let list = spec.anchors.as_ref().and_then(|a| a.get(level)).cloned().unwrap_or_default();
    let sizes = spec.sizes.as_ref().and_then(|s| s.get(level)).map_or(&[][..], Vec::as_slice);
    let ratios = spec.aspect_ratios.as_deref().unwrap_or_default();
    let of = |ratio: f32| sizes.iter().map(move |size| [size / ratio.sqrt(), size * ratio.sqrt()]);
    let all = list.into_iter().chain(ratios.iter().flat_map(|ratio| of(*ratio)));
    let round = |side: f32| if spec.round_anchors { (side / 2.0).round_ties_even() * 2.0 } else { side };
    all.map(|sides| sides.map(round)).collect()
}

impl Decode for RetinaNet {
    fn boxes(&self) -> usize {
        self.levels.iter().map(|l| l.grid.boxes()).sum()
    }

    fn decode(&mut self, engine: &dyn Engine, finds: &mut Finds<'_>) {
        for (i, Level { grid, stride, anchors }) in self.levels.iter().enumerate() {
            let (Some(boxes), Some(scores)) = (self.boxes.level(engine, i), self.scores.level(engine, i)) else {
                continue;
            };
            let Some(best) = self.best.get_mut(..grid.boxes()) else { continue };
            scores.best(0..self.labels, best);
            for (anchor, cell, _) in grid.reaching(best, logit_floor(finds.floor())) {
                let Some(sides) = anchors.get(anchor) else { continue };
                let middle = grid.place(cell).map(|at| (at + self.offset) * stride);
                let [a, b, c, d] = boxes.array(anchor, cell, 0);
                let offsets = match self.order {
                    BoxOrder::Xywh => [a, b, c, d],
                    BoxOrder::Yxhw => [b, a, d, c],
                };
                let bbox = clipped(shifted(middle, *sides, offsets, self.variances), self.input);
                finds.offer(bbox, (0..self.labels).map(|label| sigmoid(scores.get(anchor, cell, label))));
            }
        }
    }
}
