//! A frame as RGB bytes together with its halves, quarters and so on, and the one sampler through which every
//! net of the face camera gets its input. Sampling is bilinear from the level whose pixels are nearest in size
//! to the output's, so that nothing aliases; outside of the frame it is black, as in the nets' training.
//!
//! A near face needs the halves and less alone. So the half is made of the camera's bytes at once, and rows of the whole
//! size only when something asks for them. Read next: `level`.

use std::ops::Range;

use rten_simd::SimdOp;

use crate::capture::Frame;
use crate::engine::InputSpec;
use crate::vision::preprocess::pixels::{self, Yuv};
use crate::vision::{VisionError, VisionErrorKind};

use super::Similarity;
use super::level::{Draw, Halve, Level, Rows, Scratch, Steps};

/// Halvings that are kept: a face of 640 pixels still reaches 24 without aliasing.
const LEVELS: usize = 6;

/// A frame and its smaller copies. Allocates only when a frame is larger than all before it.
pub struct Picture {
    levels: [Level; LEVELS],
    /// The frame itself, of which the rows of the first level are made that are not yet `ready`.
    frame: Frame,
    ready: Range<usize>,
    scratch: Scratch,
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
        Self {
            levels: Default::default(),
            frame: Frame::with_capacity(0, 0),
            ready: 0..0,
            scratch: Scratch::default(),
            yuv: Box::new(Yuv::new(Default::default())),
        }
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
        let (width, height) = (frame.width as usize, frame.height as usize);
        let [whole, half, ..] = &mut self.levels;
        whole.resize(width, height);
        self.scratch.reserve(width);
        half.resize((width / 2).max(1), (height / 2).max(1));
        let early = width > 1 && height > 1 && Halve { source: &source, yuv: &self.yuv, half }.dispatch();
        if early {
            let mut data = std::mem::take(&mut self.frame.data);
            data.clear();
            data.extend_from_slice(&frame.data);
            self.frame = Frame { data, ..*frame };
            self.ready = 0..0;
        } else {
            Rows { source: &source, yuv: &self.yuv, whole, rows: 0..height }.dispatch();
            self.ready = 0..height;
        }
        for i in 1 + usize::from(early)..LEVELS {
            let (above, below) = self.levels.split_at_mut(i);
            below[0].halve(&above[i - 1]);
        }
        Ok(())
    }

    /// Sees to it that the rows of the first level between `top` and `bottom` are there.
    fn need(&mut self, top: f32, bottom: f32) {
        let height = self.levels[0].height;
        // What is far outside saturates, and what is no number is 0.
        let (top, bottom) = ((top as usize).min(height), (bottom as usize).saturating_add(2).min(height));
        if top >= bottom || (self.ready.start <= top && bottom <= self.ready.end) {
            return;
        }
        let wanted =
            if self.ready.is_empty() { top..bottom } else { top.min(self.ready.start)..bottom.max(self.ready.end) };
        let Ok(source) = pixels::Picture::of(&self.frame) else { return };
        for rows in [wanted.start..self.ready.start.max(wanted.start), self.ready.end.max(wanted.start)..wanted.end] {
            Rows { source: &source, yuv: &self.yuv, whole: &mut self.levels[0], rows }.dispatch();
        }
        self.ready = wanted;
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
    pub fn light(&mut self, bbox: [f32; 4]) -> Light {
        let level = level_of((bbox[2] - bbox[0]) / 64.0);
        if level == 0 {
            self.need(bbox[1], bbox[3]);
        }
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
        self.levels.iter_mut().for_each(Level::wipe);
        self.frame.data.fill(0);
        // Black, where a frame of zeros would be converted to green.
        self.ready = 0..self.levels[0].height;
        self.scratch.wipe();
    }

    /// Fills `area` of `out`, the input that `spec` describes: its pixel (x, y), counted from the area's corner,
    /// is the frame's point `to_frame` of (x, y).
    pub fn warp(&mut self, to_frame: &Similarity, spec: &InputSpec, area: Area, out: &mut [f32]) {
        let (full, plane) = (spec.width as usize, spec.width as usize * spec.height as usize);
        if out.len() != plane * 3 || area.left + area.width > full || (area.top + area.height) * full > plane {
            return;
        }
        let level = level_of(to_frame.scale());
        // The centre of a level's first pixel lies half of its own size from the frame's corner.
        let part = (1u32 << level) as f32;
        let shift = 0.5 / part - 0.5;
        let [a, b] = [to_frame.a / part, to_frame.b / part];
        let origin = [to_frame.x / part + shift, to_frame.y / part + shift];
        self.draw(level, Steps { origin, across: [a, b], down: [-b, a] }, spec, area, out);
    }

    /// Fills the input that `spec` describes with the part of the frame within `bbox` (its edges x0, y0, x1, y1), each side
    /// stretched to the input's. Nothing is smoothed, as OpenCV's resize does not: for nets that judge by the finest detail.
    pub fn stretch(&mut self, bbox: [f32; 4], spec: &InputSpec, out: &mut [f32]) {
        if out.len() != spec.elements() {
            return;
        }
        let [a, d] = [(bbox[2] - bbox[0]) / spec.width as f32, (bbox[3] - bbox[1]) / spec.height as f32];
        let origin = [bbox[0] + 0.5 * a - 0.5, bbox[1] + 0.5 * d - 0.5];
        self.draw(0, Steps { origin, across: [a, 0.0], down: [0.0, d] }, spec, Area::whole(spec), out);
    }

    fn draw(&mut self, level: usize, steps: Steps, spec: &InputSpec, area: Area, out: &mut [f32]) {
        if level == 0 {
            let (across, down) = (steps.across[1] * area.width as f32, steps.down[1] * area.height as f32);
            let top = steps.origin[1] + across.min(0.0) + down.min(0.0);
            self.need(top, steps.origin[1] + across.max(0.0) + down.max(0.0));
        }
        Draw { level: &self.levels[level], steps, spec, area, scratch: &mut self.scratch, out }.dispatch();
    }
}

/// The level whose pixels are nearest in size to `scale` pixels of the frame.
fn level_of(scale: f32) -> usize {
    // A scale that is no number gives level 0.
    (scale.log2().round().max(0.0) as usize).min(LEVELS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{PixelFormat, Plane};
    use crate::engine::{Colour, Fit, Layout};

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

    fn warped(p: &mut Picture, m: Similarity, spec: &InputSpec) -> Vec<f32> {
        let mut out = vec![-1.0; spec.elements()];
        p.warp(&m, spec, Area::whole(spec), &mut out);
        out
    }

    #[test]
    fn the_identity_copies_in_each_layout_and_order() {
        let mut p = Picture::default();
        p.fill(&frame(3, 2, |x, y| [10 * x as u8, 50 + y as u8, 200])).unwrap();
        let id = Similarity { a: 1.0, b: 0.0, x: 0.0, y: 0.0 };
        let planar = warped(&mut p, id, &spec(3, 2, Layout::Nchw, Colour::Rgb));
        assert_eq!(planar[..6], [-20.0, 0.0, 20.0, -20.0, 0.0, 20.0]);
        assert_eq!(planar[6..], [50.0, 50.0, 50.0, 51.0, 51.0, 51.0, 200.0, 200.0, 200.0, 200.0, 200.0, 200.0]);
        let packed = warped(&mut p, id, &spec(3, 2, Layout::Nhwc, Colour::Bgr));
        assert_eq!(packed[..6], [380.0, 50.0, 0.0, 380.0, 50.0, 10.0]);
    }

    #[test]
    fn between_pixels_it_is_bilinear_and_outside_black() {
        let mut p = Picture::default();
        p.fill(&frame(2, 2, |x, _| [100 * x as u8, 100, 100])).unwrap();
        let plain = InputSpec { mean: [0.0; 3], scale: [1.0; 3], ..spec(2, 1, Layout::Nhwc, Colour::Rgb) };
        let half = warped(&mut p, Similarity { a: 1.0, b: 0.0, x: 0.5, y: 0.0 }, &plain);
        assert_eq!(half, [50.0, 100.0, 100.0, 50.0, 50.0, 50.0]);
        let far = warped(&mut p, Similarity { a: 1.0, b: 0.0, x: 1e9, y: f32::NAN }, &plain);
        assert!(far.iter().all(|v| *v == 0.0 || v.is_nan()), "{far:?}");
    }

    #[test]
    fn a_fine_pattern_shrinks_to_its_mean() {
        let mut p = Picture::default();
        p.fill(&frame(64, 64, |x, y| [255 * ((x + y) % 2) as u8; 3])).unwrap();
        let plain = InputSpec { mean: [0.0; 3], scale: [1.0; 3], ..spec(8, 8, Layout::Nchw, Colour::Rgb) };
        let small = warped(&mut p, Similarity { a: 8.0, b: 0.0, x: 3.5, y: 3.5 }, &plain);
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
        let turned = warped(&mut p, Similarity { a: 0.0, b: 1.0, x: 2.0, y: 0.0 }, &plain);
        assert_eq!(turned[..3], [20.0, 21.0, 22.0]);
    }

    /// A frame of `format` whose samples change from one to the next.
    fn camera(format: PixelFormat, width: usize, height: usize) -> Frame {
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        let planes = match format {
            PixelFormat::Yuyv => [(cw * 4, height), (0, 0), (0, 0)],
            PixelFormat::Nv12 => [(width, height), (cw * 2, ch), (0, 0)],
            _ => [(width, height), (cw, ch), (cw, ch)],
        };
        let mut frame = Frame { format, width: width as u32, height: height as u32, ..Frame::with_capacity(0, 0) };
        for (plane, (stride, rows)) in frame.planes.iter_mut().zip(planes) {
            *plane = Plane { offset: frame.data.len(), stride };
            // Of such samples no colour is out of range, where the mean of what was cut is not what is cut of the mean.
            frame.data.extend((0..stride * rows).map(|i| (100 + i * 7 % 40 + i / stride * 11 % 20) as u8));
        }
        frame
    }

    #[test]
    fn the_half_of_a_cameras_frame_is_that_of_its_colours_and_the_whole_comes_when_asked_for() {
        let plain = |w, h| InputSpec { mean: [0.0; 3], scale: [1.0; 3], ..spec(w, h, Layout::Nhwc, Colour::Rgb) };
        for format in [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::I420] {
            for (w, h) in [(64, 48), (37, 23), (2, 2), (3, 2), (1, 5), (5, 1)] {
                let frame = camera(format, w, h);
                // The other way: in colours of f32 first, then as a frame of RGB.
                let source = pixels::Picture::of(&frame).unwrap();
                let (yuv, mut row) = (Yuv::new(frame.matrix), vec![[0.0; 4]; w]);
                let mut rgb = Frame { format: PixelFormat::Rgb, data: Vec::new(), ..frame.clone() };
                rgb.planes[0] = Plane { offset: 0, stride: w * 3 };
                for y in 0..h {
                    source.rgb(y, &yuv, &mut row);
                    rgb.data.extend(row.iter().flat_map(|p| [p[0], p[1], p[2]].map(|v| v.round() as u8)));
                }
                let (mut p, mut q) = (Picture::default(), Picture::default());
                // What an earlier frame left does not show.
                p.fill(&camera(format, 80, 60)).unwrap();
                p.need(0.0, 60.0);
                p.fill(&frame).unwrap();
                q.fill(&rgb).unwrap();
                let near = |a: &[f32], b: &[f32], most: f32, what: &str| {
                    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(a.len() == b.len() && off <= most, "{format:?} {w}x{h} {what}: {off}");
                };
                let half = Similarity { a: 2.0, b: 0.0, x: 0.5, y: 0.5 };
                let half_spec = plain((w as u32 / 2).max(1), (h as u32 / 2).max(1));
                near(&warped(&mut p, half, &half_spec), &warped(&mut q, half, &half_spec), 1.0, "half");
                // The lower rows, then all.
                for top in [h as f32 / 2.0, 0.0] {
                    let part = Similarity { a: 1.0, b: 0.0, x: 0.0, y: top.floor() };
                    let all = plain(w as u32, h as u32);
                    near(&warped(&mut p, part, &all), &warped(&mut q, part, &all), 0.0, "whole");
                }
                // Turned a little: a row of the input crosses rows of the frame.
                let turned = Similarity { a: 1.0, b: 0.1, x: 2.0, y: 1.0 };
                p.fill(&frame).unwrap();
                near(&warped(&mut p, turned, &plain(20, 20)), &warped(&mut q, turned, &plain(20, 20)), 0.0, "turned");
                p.wipe();
                for m in [half, turned] {
                    assert!(warped(&mut p, m, &half_spec).iter().all(|v| *v == 0.0));
                }
            }
        }
    }

    #[test]
    fn what_lies_across_the_edge_is_what_lies_apart_within_and_black() {
        let mut p = Picture::default();
        p.fill(&frame(9, 7, |x, y| [(20 * x + y) as u8, 100, (30 * y) as u8])).unwrap();
        let plain = InputSpec { mean: [0.0; 3], scale: [1.0; 3], ..spec(16, 14, Layout::Nhwc, Colour::Rgb) };
        for (dx, dy) in [(-3.3, -2.6), (2.7, 1.2), (-40.0, 0.0), (0.0, 40.0), (-3.0, -3.0)] {
            let straight = warped(&mut p, Similarity { a: 0.9, b: 0.0, x: dx, y: dy }, &plain);
            for (i, rgb) in straight.as_chunks::<3>().0.iter().enumerate() {
                let (x, y) = (dx + 0.9 * (i % 16) as f32, dy + 0.9 * (i / 16) as f32);
                let one = p.levels[0].sample(x, y);
                assert!((0..3).all(|c| (one[c] - rgb[c]).abs() < 0.01), "{dx} {dy} {i}: {one:?} {rgb:?}");
            }
            // As good as straight, by the way for what is turned.
            let turned = warped(&mut p, Similarity { a: 0.9, b: 1e-7, x: dx, y: dy }, &plain);
            assert!(turned.iter().zip(&straight).all(|(a, b)| (a - b).abs() < 0.01), "{dx} {dy}");
        }
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
