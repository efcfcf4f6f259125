//! The MTCNN cascade: P-Net proposes boxes over the frame in many sizes, R-Net weeds them out, O-Net weeds again
//! and says where eyes, nose and mouth are. Source: K. Zhang et al., "Joint face detection and alignment using
//! multi-task cascaded convolutional networks", IEEE SPL 23(10), 2016. The pyramid is that of `mosaic`; how small a
//! face may be is the width of P-Net's input: a face of 12 / width of the frame's longer side is found.

use crate::vision::VisionError;

use super::detector::{FACES_MAX, Face, FaceDetector, Net};
use super::mosaic::{self, CELL, STRIDE, Tile};
use super::picture::Area;
use super::suppress::{Overlap, Scored, suppress};
use super::{Picture, Similarity};

/// Most cells of P-Net that are looked at.
const CELLS_MAX: usize = 2048;
/// Most boxes that R-Net, at 0.05 ms each, and then O-Net, at 0.3 ms each, are asked about: the surest.
const PROPOSALS_MAX: usize = 64;
const REFINED_MAX: usize = FACES_MAX;
/// Overlap of two proposals of one size, and of any two.
const SAME_SIZE_IOU: f32 = 0.5;
const PROPOSAL_IOU: f32 = 0.7;

/// A box on its way through the cascade.
#[derive(Clone, Copy, Debug)]
struct Proposal {
    bbox: [f32; 4],
    score: f32,
    /// Shifts of the four edges, in sides of the box.
    shifts: [f32; 4],
}

impl Scored for Proposal {
    fn bbox(&self) -> [f32; 4] {
        self.bbox
    }
    fn score(&self) -> f32 {
        self.score
    }
}

/// The three nets.
pub struct Mtcnn {
    pnet: PNet,
    rnet: RNet,
    onet: ONet,
    proposals: Vec<Proposal>,
    refined: Vec<Proposal>,
}

struct PNet {
    net: Net,
    boxes: usize,
    scores: usize,
    frame: (usize, usize),
    tiles: Vec<Tile>,
}

struct RNet {
    net: Net,
    boxes: usize,
    scores: usize,
}

impl Mtcnn {
    /// The cascade of these nets.
    ///
    /// # Errors
    /// Outputs or inputs of another shape than MTCNN's.
    pub fn new(pnet: Net, rnet: Net, onet: Net) -> Result<Self, VisionError> {
        let (w, h) = (pnet.input.width as usize, pnet.input.height as usize);
        if w < CELL || h < CELL || w % 2 != 0 || h % 2 != 0 {
            return Err(pnet.size_error("P-Net wants even sides of at least 12"));
        }
        let (rows, columns) = ((h - CELL) / STRIDE + 1, (w - CELL) / STRIDE + 1);
        let boxes = pnet.output("boxes", &[1, 4, rows, columns])?;
        let scores = pnet.output("scores", &[1, 2, rows, columns])?;
        let pnet = PNet { net: pnet, boxes, scores, frame: (0, 0), tiles: Vec::new() };
        if (rnet.input.width, rnet.input.height) != (24, 24) {
            return Err(rnet.size_error("R-Net wants 24x24"));
        }
        let (boxes, scores) = (rnet.output("boxes", &[1, 4])?, rnet.output("scores", &[1, 2])?);
        Ok(Self {
            pnet,
            rnet: RNet { net: rnet, boxes, scores },
            onet: ONet::new(onet)?,
            proposals: Vec::with_capacity(CELLS_MAX),
            refined: Vec::with_capacity(PROPOSALS_MAX),
        })
    }
}

impl FaceDetector for Mtcnn {
    fn detect(&mut self, picture: &mut Picture, faces: &mut Vec<Face>) -> Result<(), VisionError> {
        faces.clear();
        self.pnet.propose(picture, &mut self.proposals)?;
        suppress(&mut self.proposals, 0, PROPOSAL_IOU, Overlap::Union);
        self.refined.clear();
        for p in self.proposals.iter().take(PROPOSALS_MAX) {
            self.refined.extend(self.rnet.look(picture, square(moved(p)))?);
        }
        suppress(&mut self.refined, 0, PROPOSAL_IOU, Overlap::Union);
        for p in self.refined.iter().take(REFINED_MAX) {
            faces.extend(self.onet.look(picture, square(moved(p)))?);
        }
        suppress(faces, 0, self.onet.net.iou, Overlap::Smaller);
        Ok(())
    }

    fn backend(&self) -> &'static str {
        self.pnet.net.engine.backend()
    }
}

impl PNet {
    fn propose(&mut self, picture: &mut Picture, found: &mut Vec<Proposal>) -> Result<(), VisionError> {
        found.clear();
        if self.frame != (picture.width(), picture.height()) {
            self.frame = (picture.width(), picture.height());
            self.tiles = mosaic::tiles(&self.net.input, self.frame.0, self.frame.1);
            // What the last frame's tiles covered and these don't.
            self.net.engine.input_mut().fill(0.0);
        }
        for tile in &self.tiles {
            tile.draw(picture, &self.net.input, self.net.engine.input_mut());
        }
        self.net.engine.run()?;
        let across = (self.net.input.width as usize - CELL) / STRIDE + 1;
        let down = (self.net.input.height as usize - CELL) / STRIDE + 1;
        let (boxes, scores) = (self.net.engine.output(self.boxes), self.net.engine.output(self.scores));
        let (Some(faces), true) = (scores.get(across * down..), boxes.len() == 4 * across * down) else {
            return Ok(());
        };
        for tile in &self.tiles {
            let first = found.len();
            let (columns, rows) = tile.cells();
            for row in 0..rows {
                let start = (tile.area.top / STRIDE + row) * across + tile.area.left / STRIDE;
                for (column, &score) in faces[start..start + columns].iter().enumerate() {
                    if score >= self.net.score && found.len() < CELLS_MAX {
                        let at = start + column;
                        let shifts = std::array::from_fn(|i| boxes[i * across * down + at]);
                        found.push(Proposal { bbox: tile.seen(column, row), score, shifts });
                    }
                }
            }
            suppress(found, first, SAME_SIZE_IOU, Overlap::Union);
        }
        Ok(())
    }
}

impl RNet {
    fn look(&mut self, picture: &mut Picture, bbox: [f32; 4]) -> Result<Option<Proposal>, VisionError> {
        let input = &self.net.input;
        let (to_frame, area) = (Similarity::of_box(bbox, input.width), Area::whole(input));
        picture.warp(&to_frame, input, area, self.net.engine.input_mut());
        self.net.engine.run()?;
        let (boxes, scores) = (self.net.engine.output(self.boxes), self.net.engine.output(self.scores));
        Ok(match (boxes, scores) {
            (&[a, b, c, d], &[_, score]) if score > self.net.score => {
                Some(Proposal { bbox, score, shifts: [a, b, c, d] })
            }
            _ => None,
        })
    }
}

/// The third net, which also serves detectors that have no five landmarks of their own.
pub struct ONet {
    /// As its manifest says.
    pub net: Net,
    boxes: usize,
    scores: usize,
    landmarks: usize,
}

impl ONet {
    /// The head over `net`.
    ///
    /// # Errors
    /// Outputs or input of another shape than O-Net's.
    pub fn new(net: Net) -> Result<Self, VisionError> {
        if (net.input.width, net.input.height) != (48, 48) {
            return Err(net.size_error("O-Net wants 48x48"));
        }
        let (boxes, scores) = (net.output("boxes", &[1, 4])?, net.output("scores", &[1, 2])?);
        let landmarks = net.output("landmarks", &[1, 10])?;
        Ok(Self { net, boxes, scores, landmarks })
    }

    /// The face in a square box of the frame, if there is one.
    ///
    /// # Errors
    /// The inference's.
    pub fn look(&mut self, picture: &mut Picture, bbox: [f32; 4]) -> Result<Option<Face>, VisionError> {
        let input = &self.net.input;
        let (to_frame, area) = (Similarity::of_box(bbox, input.width), Area::whole(input));
        picture.warp(&to_frame, input, area, self.net.engine.input_mut());
        self.net.engine.run()?;
        let engine = &self.net.engine;
        let (&[a, b, c, d], &[_, score], points) =
            (engine.output(self.boxes), engine.output(self.scores), engine.output(self.landmarks))
        else {
            return Ok(None);
        };
        if !(score > self.net.score && points.len() == 10) {
            return Ok(None);
        }
        let (w, h) = (bbox[2] - bbox[0], bbox[3] - bbox[1]);
        let landmarks = std::array::from_fn(|i| [bbox[0] + points[i] * w, bbox[1] + points[i + 5] * h]);
        Ok(Some(Face { bbox: moved(&Proposal { bbox, score, shifts: [a, b, c, d] }), score, landmarks }))
    }
}

/// The box with its edges shifted as the net asked.
fn moved(p: &Proposal) -> [f32; 4] {
    let [x0, y0, x1, y1] = p.bbox;
    let (w, h) = (x1 - x0, y1 - y0);
    [x0 + p.shifts[0] * w, y0 + p.shifts[1] * h, x1 + p.shifts[2] * w, y1 + p.shifts[3] * h]
}

/// The square of the box's longer side about its centre.
pub fn square(bbox: [f32; 4]) -> [f32; 4] {
    let [x0, y0, x1, y1] = bbox;
    let half = (x1 - x0).max(y1 - y0) / 2.0;
    let (x, y) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
    [x - half, y - half, x + half, y + half]
}
