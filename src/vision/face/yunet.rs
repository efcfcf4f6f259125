//! YuNet's head: at strides 8, 16 and 32 each cell says class, object, box and five landmarks. Source: W. Wu et al.,
//! "YuNet: a tiny millisecond-level face detector", MIR 20, 2023, and OpenCV's `FaceDetectorYN`, which decodes so.

use crate::vision::VisionError;

use super::detector::{FACES_MAX, Face, FaceDetector, Net};
use super::picture::Area;
use super::suppress::{Overlap, suppress};
use super::{Picture, Similarity};

const STRIDES: [usize; 3] = [8, 16, 32];
const CELLS_MAX: usize = 1024;

/// One stride's outputs.
struct Scale {
    stride: usize,
    columns: usize,
    class: usize,
    object: usize,
    bbox: usize,
    points: usize,
}

/// The detector.
pub struct YuNet {
    net: Net,
    scales: Vec<Scale>,
}

impl YuNet {
    /// The head over `net`.
    ///
    /// # Errors
    /// Outputs or an input of another shape than YuNet's.
    pub fn new(net: Net) -> Result<Self, VisionError> {
        let (w, h) = (net.input.width as usize, net.input.height as usize);
        if w % 32 != 0 || h % 32 != 0 {
            return Err(net.size_error("YuNet wants sides divisible by 32"));
        }
        let scale = |stride: usize| {
            let cells = (w / stride) * (h / stride);
            let output = |name: &str, n| net.output(&format!("{name}_{stride}"), &[1, cells, n]);
            let (class, object, bbox, points) =
                (output("cls", 1)?, output("obj", 1)?, output("bbox", 4)?, output("kps", 10)?);
            Ok(Scale { stride, columns: w / stride, class, object, bbox, points })
        };
        let scales = STRIDES.into_iter().map(scale).collect::<Result<_, VisionError>>()?;
        Ok(Self { net, scales })
    }
}

impl FaceDetector for YuNet {
    fn detect(&mut self, picture: &mut Picture, faces: &mut Vec<Face>) -> Result<(), VisionError> {
        faces.clear();
        let (scale, area) = top_left(picture, &self.net);
        let input = self.net.engine.input_mut();
        input.fill(0.0);
        let half = 0.5 * scale - 0.5;
        picture.warp(&Similarity { a: scale, b: 0.0, x: half, y: half }, &self.net.input, area, input);
        self.net.engine.run()?;
        for s in &self.scales {
            let out = |i: usize| self.net.engine.output(i);
            let (boxes, points) = (out(s.bbox).as_chunks::<4>().0, out(s.points).as_chunks::<10>().0);
            let scores =
                out(s.class).iter().zip(out(s.object)).map(|(c, o)| (c.clamp(0.0, 1.0) * o.clamp(0.0, 1.0)).sqrt());
            for (i, ((score, b), p)) in scores.zip(boxes).zip(points).enumerate() {
                if score < self.net.score || faces.len() >= CELLS_MAX {
                    continue;
                }
                let (x, y, step) = ((i % s.columns) as f32, (i / s.columns) as f32, s.stride as f32 * scale);
                let (cx, cy, w, h) = ((x + b[0]) * step, (y + b[1]) * step, b[2].exp() * step, b[3].exp() * step);
                let landmarks = std::array::from_fn(|i| [(x + p[2 * i]) * step, (y + p[2 * i + 1]) * step]);
                let bbox = [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0];
                faces.push(Face { bbox, score, landmarks });
            }
        }
        suppress(faces, 0, self.net.iou, Overlap::Union);
        faces.truncate(FACES_MAX);
        Ok(())
    }

    fn backend(&self) -> &'static str {
        self.net.engine.backend()
    }
}

/// Pixels of the frame a pixel of the input, and the part of the input that the whole frame covers, at the top left.
fn top_left(picture: &Picture, net: &Net) -> (f32, Area) {
    let (w, h) = (picture.width() as f32, picture.height() as f32);
    let scale = (w / net.input.width as f32).max(h / net.input.height as f32);
    let side = |v: f32, full: u32| ((v / scale).round() as usize).clamp(1, full as usize);
    (scale, Area { left: 0, top: 0, width: side(w, net.input.width), height: side(h, net.input.height) })
}
