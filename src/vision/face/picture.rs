//! A frame as RGB bytes together with its halves, quarters and so on, and the one sampler through which every
//! net of the face camera gets its input. Sampling is bilinear from the level whose pixels are nearest in size
//! to the output's, so that nothing aliases; outside of the frame it is black, as in the nets' training.

use crate::capture::Frame;
use crate::engine::{Colour, InputSpec, Layout};
use crate::vision::preprocess::pixels::{self, Pixel, Yuv};
use crate::vision::{VisionError, VisionErrorKind};

use super::Similarity;

/// Halvings that are kept: a face of 640 pixels still reaches 24 without aliasing.
const LEVELS: usize = 6;

/// One size of the frame, packed RGB.
#[derive(Default)]
struct Level {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

/// A frame and its smaller copies. Allocates only when a frame is larger than all before it.
pub struct Picture {
    levels: [Level; LEVELS],
    row: Vec<Pixel>,
    yuv: Box<Yuv>,
}

/// Brightness of a part of a picture, 0..=255.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Light {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub deviation: f32,
    /// Mean difference between neighbours.
    pub detail: f32,
}

/// A rectangle of an engine's input, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Area {
    /// The whole input.
    pub fn whole(spec: &InputSpec) -> Self {
        Self { left: 0, top: 0, width: spec.width as usize, height: spec.height as usize }
    }
}

impl Default for Picture {
    fn default() -> Self {
        Self { levels: Default::default(), row: Vec::new(), yuv: Box::new(Yuv::new(Default::default())) }
    }
}

impl Picture {
    /// Takes over `frame`.
    ///
    /// # Errors
    /// [`VisionErrorKind::Frame`] when the frame's size, planes and bytes don't fit together.
    pub fn fill(&mut self, frame: &Frame) -> Result<(), VisionError> {
        let source = pixels::Picture::of(frame).map_err(|what| {
            let place = format!("frame {}", frame.sequence);
            VisionError::new(VisionErrorKind::Frame, place, format!("{what}; the camera's driver contradicts itself"))
        })?;
        self.yuv.set(frame.matrix);
        self.row.resize(frame.width as usize, [0.0; 4]);
        let whole = &mut self.levels[0];
        whole.resize(frame.width as usize, frame.height as usize);
        for (y, out) in whole.data.chunks_exact_mut(whole.width * 3).enumerate() {
            source.rgb(y, &self.yuv, &mut self.row);
            for (cell, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(&self.row) {
                // Within 0..=255 already; half is added so that the cut rounds.
                *cell = [pixel[0], pixel[1], pixel[2]].map(|v| (v + 0.5) as u8);
            }
        }
        for i in 1..LEVELS {
            let (above, below) = self.levels.split_at_mut(i);
            below[0].halve(&above[i - 1]);
        }
        Ok(())
    }

    /// Pixels.
    pub fn width(&self) -> usize {
        self.levels[0].width
    }

    /// Pixels.
    pub fn height(&self) -> usize {
        self.levels[0].height
    }

    /// Brightness (Rec. 601 luma, 0..=255) within a box of the frame (x0, y0, x1, y1), by the level that shows it with
    /// some 64 pixels a side.
    pub fn light(&self, bbox: [f32; 4]) -> Light {
        let level = level_of((bbox[2] - bbox[0]) / 64.0);
        let picture = &self.levels[level];
        let part = (1u32 << level) as f32;
        let range = |a: f32, b: f32, end: usize| {
            let (a, b) = ((a / part).max(0.0) as usize, (b / part).max(0.0) as usize);
            a.min(end)..b.min(end)
        };
        let (mut sum, mut squares, mut steps, mut n) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
        for y in range(bbox[1], bbox[3], picture.height.saturating_sub(1)) {
            for x in range(bbox[0], bbox[2], picture.width.saturating_sub(1)) {
                let v = picture.luma(x, y);
                steps += f64::from((picture.luma(x + 1, y) - v).abs() + (picture.luma(x, y + 1) - v).abs()) / 2.0;
                (sum, squares, n) = (sum + f64::from(v), squares + f64::from(v * v), n + 1.0);
            }
        }
        if n == 0.0 {
            return Light::default();
        }
        let mean = sum / n;
        let deviation = (squares / n - mean * mean).max(0.0).sqrt() as f32;
        Light { mean: mean as f32, deviation, detail: (steps / n) as f32 }
    }

    /// Overwrites every pixel.
    pub fn wipe(&mut self) {
        self.levels.iter_mut().for_each(|l| l.data.fill(0));
        self.row.fill([0.0; 4]);
    }

    /// Fills `area` of `out`, the input that `spec` describes: its pixel (x, y), counted from the area's corner,
    /// is the frame's point `to_frame` of (x, y), or that of (width - 1 - x, y) when `mirrored`.
    pub fn warp(&self, to_frame: &Similarity, mirrored: bool, spec: &InputSpec, area: Area, out: &mut [f32]) {
        let (full, plane) = (spec.width as usize, spec.width as usize * spec.height as usize);
        if out.len() != plane * 3 || area.left + area.width > full || (area.top + area.height) * full > plane {
            return;
        }
        let level = level_of(to_frame.scale());
        // The centre of a level's first pixel lies half of its own size from the frame's corner.
        let part = (1u32 << level) as f32;
        let shift = 0.5 / part - 0.5;
        let [a, b] = [to_frame.a / part, to_frame.b / part];
        let (mut origin, mut across) = ([to_frame.x / part + shift, to_frame.y / part + shift], [a, b]);
        if mirrored {
            let last = area.width as f32 - 1.0;
            (origin, across) = ([origin[0] + a * last, origin[1] + b * last], [-a, -b]);
        }
        self.levels[level].fill(Steps { origin, across, down: [-b, a] }, spec, area, out);
    }

    /// Fills the input that `spec` describes with the part of the frame within `bbox` (its edges x0, y0, x1, y1), each side
    /// stretched to the input's. Nothing is smoothed, as OpenCV's resize does not: for nets that judge by the finest detail.
    pub fn stretch(&self, bbox: [f32; 4], spec: &InputSpec, out: &mut [f32]) {
        if out.len() != spec.elements() {
            return;
        }
        let [a, d] = [(bbox[2] - bbox[0]) / spec.width as f32, (bbox[3] - bbox[1]) / spec.height as f32];
        let origin = [bbox[0] + 0.5 * a - 0.5, bbox[1] + 0.5 * d - 0.5];
        self.levels[0].fill(Steps { origin, across: [a, 0.0], down: [0.0, d] }, spec, Area::whole(spec), out);
    }
}

/// Where an input's first pixel lies on a level, and how far it is from one pixel to the next, right and down.
#[derive(Clone, Copy)]
struct Steps {
    origin: [f32; 2],
    across: [f32; 2],
    down: [f32; 2],
}

/// The level whose pixels are nearest in size to `scale` pixels of the frame.
fn level_of(scale: f32) -> usize {
    // A scale that is no number gives level 0.
    (scale.log2().round().max(0.0) as usize).min(LEVELS - 1)
}

impl Level {
    fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.data.resize(width * height * 3, 0);
    }

    /// Becomes `from` at half its size, each pixel the mean of four. Odd last columns and rows are left out; what is a
    /// single pixel wide stays so.
    fn halve(&mut self, from: &Level) {
        let (w, h) = ((from.width / 2).max(1), (from.height / 2).max(1));
        self.resize(w, h);
        let across = usize::from(from.width > 1) * 3;
        let down = usize::from(from.height > 1) * from.width * 3;
        for y in 0..h {
            let first = y * 2 * from.width * 3;
            let out = &mut self.data[y * w * 3..(y + 1) * w * 3];
            let (top, bottom) = (&from.data[first..], &from.data[first + down..]);
            for (x, cell) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let at = x * 6;
                *cell = std::array::from_fn(|c| {
                    let four = [top[at + c], top[at + across + c], bottom[at + c], bottom[at + across + c]];
                    ((four.iter().map(|&v| u16::from(v)).sum::<u16>() + 2) / 4) as u8
                });
            }
        }
    }

    /// Fills `area` of an input.
    fn fill(&self, steps: Steps, spec: &InputSpec, area: Area, out: &mut [f32]) {
        let (full, plane) = (spec.width as usize, spec.width as usize * spec.height as usize);
        let gain = spec.scale;
        let bias: [f32; 3] = std::array::from_fn(|c| -spec.mean[c] * spec.scale[c]);
        let Steps { origin, across: [dx, dy], down } = steps;
        for y in 0..area.height {
            let v = y as f32;
            let (x0, y0) = (origin[0] + down[0] * v, origin[1] + down[1] * v);
            let start = (area.top + y) * full + area.left;
            for x in 0..area.width {
                let u = x as f32;
                let rgb = self.sample(x0 + dx * u, y0 + dy * u);
                let cell = start + x;
                for c in 0..3 {
                    let value = match spec.colour {
                        Colour::Rgb => rgb[c],
                        Colour::Bgr => rgb[2 - c],
                    };
                    let at = match spec.layout {
                        Layout::Nchw => c * plane + cell,
                        Layout::Nhwc => cell * 3 + c,
                    };
                    out[at] = value * gain[c] + bias[c];
                }
            }
        }
    }

    fn luma(&self, x: usize, y: usize) -> f32 {
        let at = (y * self.width + x) * 3;
        let [r, g, b] = [self.data[at], self.data[at + 1], self.data[at + 2]].map(f32::from);
        0.299 * r + 0.587 * g + 0.114 * b
    }

    /// Bilinear, black outside.
    #[inline(always)]
    fn sample(&self, x: f32, y: f32) -> [f32; 3] {
        let (fx, fy) = (x.floor(), y.floor());
        let (wx, wy) = (x - fx, y - fy);
        // Far outside saturates, and so does what is no number.
        let (ix, iy) = (fx as i32, fy as i32);
        if ix >= 0 && iy >= 0 && (ix as usize) + 1 < self.width && (iy as usize) + 1 < self.height {
            let at = (iy as usize * self.width + ix as usize) * 3;
            let below = at + self.width * 3;
            let (top, bottom) = (&self.data[at..at + 6], &self.data[below..below + 6]);
            return std::array::from_fn(|c| {
                let upper = f32::from(top[c]) * (1.0 - wx) + f32::from(top[c + 3]) * wx;
                let lower = f32::from(bottom[c]) * (1.0 - wx) + f32::from(bottom[c + 3]) * wx;
                upper * (1.0 - wy) + lower * wy
            });
        }
        let tap = |x: i32, y: i32, c: usize| match (usize::try_from(x), usize::try_from(y)) {
            (Ok(x), Ok(y)) if x < self.width && y < self.height => f32::from(self.data[(y * self.width + x) * 3 + c]),
            _ => 0.0,
        };
        let (jx, jy) = (ix.saturating_add(1), iy.saturating_add(1));
        std::array::from_fn(|c| {
            let upper = tap(ix, iy, c) * (1.0 - wx) + tap(jx, iy, c) * wx;
            let lower = tap(ix, jy, c) * (1.0 - wx) + tap(jx, jy, c) * wx;
            upper * (1.0 - wy) + lower * wy
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{PixelFormat, Plane};
    use crate::engine::Fit;

    pub(crate) fn frame(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Frame {
        let data = (0..width * height).flat_map(|i| pixel(i % width, i / width)).collect();
        let mut planes = [Plane::default(); 3];
        planes[0].stride = width * 3;
        let (w, h) = (width as u32, height as u32);
        Frame { format: PixelFormat::Rgb, width: w, height: h, planes, data, ..Frame::with_capacity(0, 0) }
    }

    fn spec(width: u32, height: u32, layout: Layout, colour: Colour) -> InputSpec {
        let (mean, scale) = ([10.0, 0.0, 0.0], [2.0, 1.0, 1.0]);
        InputSpec { name: "x".into(), width, height, layout, colour, mean, scale, fit: Fit::Stretch, pad: 0 }
    }

    fn warped(p: &Picture, m: Similarity, mirrored: bool, spec: &InputSpec) -> Vec<f32> {
        let mut out = vec![-1.0; spec.elements()];
        p.warp(&m, mirrored, spec, Area::whole(spec), &mut out);
        out
    }

    #[test]
    fn the_identity_copies_in_each_layout_and_order() {
        let mut p = Picture::default();
        p.fill(&frame(3, 2, |x, y| [10 * x as u8, 50 + y as u8, 200])).unwrap();
        let id = Similarity { a: 1.0, b: 0.0, x: 0.0, y: 0.0 };
        let planar = warped(&p, id, false, &spec(3, 2, Layout::Nchw, Colour::Rgb));
        assert_eq!(planar[..6], [-20.0, 0.0, 20.0, -20.0, 0.0, 20.0]);
        assert_eq!(planar[6..], [50.0, 50.0, 50.0, 51.0, 51.0, 51.0, 200.0, 200.0, 200.0, 200.0, 200.0, 200.0]);
        let packed = warped(&p, id, true, &spec(3, 2, Layout::Nhwc, Colour::Bgr));
        assert_eq!(packed[..6], [380.0, 50.0, 20.0, 380.0, 50.0, 10.0], "mirrored: the last column first");
    }

    #[test]
    fn between_pixels_it_is_bilinear_and_outside_black() {
        let mut p = Picture::default();
        p.fill(&frame(2, 2, |x, _| [100 * x as u8, 100, 100])).unwrap();
        let plain = InputSpec { mean: [0.0; 3], scale: [1.0; 3], ..spec(2, 1, Layout::Nhwc, Colour::Rgb) };
        let half = warped(&p, Similarity { a: 1.0, b: 0.0, x: 0.5, y: 0.0 }, false, &plain);
        assert_eq!(half, [50.0, 100.0, 100.0, 50.0, 50.0, 50.0]);
        let far = warped(&p, Similarity { a: 1.0, b: 0.0, x: 1e9, y: f32::NAN }, false, &plain);
        assert!(far.iter().all(|v| *v == 0.0 || v.is_nan()), "{far:?}");
    }

    #[test]
    fn a_fine_pattern_shrinks_to_its_mean() {
        let mut p = Picture::default();
        p.fill(&frame(64, 64, |x, y| [255 * ((x + y) % 2) as u8; 3])).unwrap();
        let plain = InputSpec { mean: [0.0; 3], scale: [1.0; 3], ..spec(8, 8, Layout::Nchw, Colour::Rgb) };
        let small = warped(&p, Similarity { a: 8.0, b: 0.0, x: 3.5, y: 3.5 }, false, &plain);
        assert!(small.iter().all(|v| (126.0..=130.0).contains(v)), "{small:?}");
    }

    #[test]
    fn a_stretched_part_has_its_own_scale_each_way() {
        let mut p = Picture::default();
        p.fill(&frame(8, 4, |x, y| [10 * x as u8, 50 * y as u8, 0])).unwrap();
        let plain = InputSpec { mean: [0.0; 3], scale: [1.0; 3], ..spec(2, 2, Layout::Nchw, Colour::Rgb) };
        let mut out = vec![0.0; plain.elements()];
        // Columns 2 to 6 in two, rows 1 to 3 in two: between the columns, on the rows.
        p.stretch([2.0, 1.0, 6.0, 3.0], &plain, &mut out);
        assert_eq!(out[..8], [25.0, 45.0, 25.0, 45.0, 50.0, 50.0, 100.0, 100.0]);
    }

    #[test]
    fn a_quarter_turn_goes_where_the_matrix_says() {
        let mut p = Picture::default();
        p.fill(&frame(3, 3, |x, y| [(10 * x + y) as u8, 0, 0])).unwrap();
        let plain = InputSpec { mean: [0.0; 3], scale: [1.0; 3], ..spec(3, 3, Layout::Nchw, Colour::Rgb) };
        // (u, v) -> (2 - v, u)
        let turned = warped(&p, Similarity { a: 0.0, b: 1.0, x: 2.0, y: 0.0 }, false, &plain);
        assert_eq!(turned[..3], [20.0, 21.0, 22.0]);
    }

    #[test]
    fn odd_and_tiny_frames_and_black_ones_are_taken() {
        for (w, h) in [(1, 1), (1, 9), (5, 3), (641, 3)] {
            let mut p = Picture::default();
            p.fill(&frame(w, h, |_, _| [0; 3])).unwrap();
            assert_eq!(p.light([0.0, 0.0, w as f32, h as f32]), Light::default());
        }
        assert_eq!(Picture::default().fill(&Frame::with_capacity(8, 8)).unwrap_err().kind, VisionErrorKind::Frame);
    }
}
