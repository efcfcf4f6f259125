//! BlazeFace of 128x128 pixels, the short-range model of MediaPipe: 896 anchors, a box and six key points each.
//! It knows the mouth's middle but not its corners, so the five landmarks come from MTCNN's O-Net, looking at the
//! box that BlazeFace found: two nets instead of three, and no pyramid. Source: V. Bazarevsky et al., "BlazeFace:
//! sub-millisecond neural face detection on mobile GPUs", 2019; anchors and decoding as MediaPipe's graph states them.

use crate::vision::VisionError;

use super::detector::{FACES_MAX, Face, FaceDetector, Net};
use super::mtcnn::{ONet, square};
use super::picture::Area;
use super::suppress::{Overlap, Scored, overlap, suppress};
use super::{Picture, Similarity};

const SIDE: usize = 128;
const ANCHORS: usize = 896;
/// Stride and anchors a cell.
const GRIDS: [(usize, usize); 2] = [(8, 2), (16, 6)];
/// Values a box: centre, size, six key points.
const VALUES: usize = 16;
/// A raw score beyond this is as sure as can be.
const LOGIT_MAX: f32 = 100.0;
/// BlazeFace's box is from brow to chin; O-Net was trained on boxes that are this much larger (MTCNN's own final
/// box is 1.18 times as large in the mean of 294 photographs, O-Net's landmarks agree best from 0.9 to 1.1).
const GROW: f32 = 1.1;
/// And that lie this much of a side higher.
const LIFT: f32 = 0.1;

#[derive(Clone, Copy, Debug)]
struct Found {
    bbox: [f32; 4],
    score: f32,
}

impl Scored for Found {
    fn bbox(&self) -> [f32; 4] {
        self.bbox
    }
    fn score(&self) -> f32 {
        self.score
    }
}

/// The detector.
pub struct BlazeFace {
    net: Net,
    onet: ONet,
    boxes: usize,
    scores: usize,
    anchors: Vec<[f32; 2]>,
    found: Vec<Found>,
}

impl BlazeFace {
    /// The head over `net`, with O-Net as its one stage.
    ///
    /// # Errors
    /// Outputs or an input of another shape.
    pub fn new(net: Net, mut stages: Vec<Net>) -> Result<Self, VisionError> {
        let (Some(onet), true) = (stages.pop(), (net.input.width, net.input.height) == (128, 128)) else {
            return Err(net.size_error("BlazeFace wants 128x128 and one stage, O-Net"));
        };
        let boxes = net.output("regressors", &[1, ANCHORS, VALUES])?;
        let scores = net.output("classificators", &[1, ANCHORS, 1])?;
        let found = Vec::with_capacity(ANCHORS);
        Ok(Self { net, onet: ONet::new(onet)?, boxes, scores, anchors: anchors(), found })
    }

    /// Boxes of the last run in pixels of the input.
    fn decode(&mut self) {
        self.found.clear();
        let (boxes, scores) = (self.net.engine.output(self.boxes), self.net.engine.output(self.scores));
        for ((raw, v), anchor) in scores.iter().zip(boxes.as_chunks::<VALUES>().0).zip(&self.anchors) {
            let score = 1.0 / (1.0 + (-raw.clamp(-LOGIT_MAX, LOGIT_MAX)).exp());
            if score >= self.net.score {
                let (x, y, w, h) = (anchor[0] + v[0], anchor[1] + v[1], v[2] / 2.0, v[3] / 2.0);
                self.found.push(Found { bbox: [x - w, y - h, x + w, y + h], score });
            }
        }
        blend(&mut self.found, self.net.iou);
    }
}

impl FaceDetector for BlazeFace {
    fn detect(&mut self, picture: &mut Picture, faces: &mut Vec<Face>) -> Result<(), VisionError> {
        faces.clear();
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let scale = w.max(h) / SIDE as f32;
        let side = |v: f32| ((v / scale).round() as usize).clamp(1, SIDE);
        let (width, height) = (side(w), side(h));
        let area = Area { left: (SIDE - width) / 2, top: (SIDE - height) / 2, width, height };
        let input = self.net.engine.input_mut();
        // Black, as MediaPipe's own letterbox.
        input.fill(-self.net.input.mean[0] * self.net.input.scale[0]);
        let half = 0.5 * scale - 0.5;
        picture.warp(&Similarity { a: scale, b: 0.0, x: half, y: half }, &self.net.input, area, input);
        self.net.engine.run()?;
        self.decode();
        for f in self.found.iter().take(FACES_MAX) {
            let [x0, y0, x1, y1] = f.bbox;
            let (left, top) = (area.left as f32, area.top as f32);
            let [x0, y0, x1, y1] = square([x0 - left, y0 - top, x1 - left, y1 - top].map(|v| v * scale));
            let (half, lift) = ((x1 - x0) / 2.0 * GROW, (y1 - y0) * LIFT);
            let (x, y) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0 - lift);
            if let Some(face) = self.onet.look(picture, [x - half, y - half, x + half, y + half])? {
                faces.push(Face { score: face.score.min(f.score), ..face });
            }
        }
        suppress(faces, 0, self.onet.net.iou, Overlap::Smaller);
        Ok(())
    }

    fn backend(&self) -> &'static str {
        self.net.engine.backend()
    }
}

/// The anchors' centres in pixels, in the order of the outputs.
fn anchors() -> Vec<[f32; 2]> {
    let grid = |(stride, each): (usize, usize)| {
        let cells = SIDE / stride;
        (0..cells * cells).flat_map(move |i| {
            let at = |v: usize| (v as f32 + 0.5) * stride as f32;
            std::iter::repeat_n([at(i % cells), at(i / cells)], each)
        })
    };
    GRIDS.into_iter().flat_map(grid).collect()
}

/// Boxes that overlap by more than `iou` become their mean, weighted by score: BlazeFace's answer to the jitter that
/// keeping only the surest leaves. Allocates nothing.
fn blend(found: &mut Vec<Found>, iou: f32) {
    found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept = 0;
    while kept < found.len() {
        let best = found[kept];
        let (mut sum, mut weight) = ([0.0f32; 4], 0.0f32);
        let mut end = kept + 1;
        for i in kept..found.len() {
            let f = found[i];
            if i == kept || overlap(best.bbox, f.bbox, Overlap::Union) > iou {
                (0..4).for_each(|k| sum[k] += f.bbox[k] * f.score);
                weight += f.score;
            } else {
                found[end] = f;
                end += 1;
            }
        }
        found[kept].bbox = sum.map(|v| v / weight);
        found.truncate(end);
        kept += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_the_graph() {
        let a = anchors();
        assert_eq!((a.len(), a[0], a[1], a[2]), (896, [4.0, 4.0], [4.0, 4.0], [12.0, 4.0]));
        assert_eq!((a[511], a[512], a[895]), ([124.0, 124.0], [8.0, 8.0], [120.0, 120.0]));
    }

    #[test]
    fn overlapping_boxes_become_their_mean_by_score() {
        let f = |x: f32, score| Found { bbox: [x, 0.0, x + 10.0, 10.0], score };
        let mut found = vec![f(1.0, 0.25), f(50.0, 0.5), f(0.0, 0.75)];
        blend(&mut found, 0.3);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].bbox[0], found[0].score), (0.25, 0.75));
        assert_eq!(found[1].bbox[0], 50.0);
    }
}
