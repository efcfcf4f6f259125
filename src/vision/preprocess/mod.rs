//! Camera pixels to an engine's input in one pass: colour, fit, bilinear resize, normalisation and layout,
//! written straight into the engine's own buffer. Resizing is that of OpenCV's `INTER_LINEAR`, which the
//! training used: half-pixel centres, two taps an axis, edges repeated, no averaging of what lies between
//! the taps. Allocates only when a frame's size changes; never panics on a frame that contradicts itself.
//!
//! Each row of the frame is converted to RGB at most once and resized across at once; the last two such
//! rows are kept, and every row of the output is a blend of two of them. Read next: `pixels`.

pub(super) mod pixels;

use crate::capture::{Frame, Matrix};
use crate::engine::{Colour, Fit, InputSpec, Layout};

use super::{VisionError, VisionErrorKind};
use pixels::{Picture, Pixel, Yuv};

/// Two neighbours in the frame and how far between them the sample lies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

/// Where the picture lies in the input, in the input's pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Inner {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// One row of the frame, resized across: red, green, blue, each as wide as the picture in the input.
#[derive(Default)]
struct Across {
    row: Option<usize>,
    planes: [Vec<f32>; 3],
}

/// Turns frames into one engine's input.
pub struct Preprocessor {
    spec: InputSpec,
    /// `value * gain + bias` is what the engine gets, by channel of the input.
    gain: [f32; 3],
    bias: [f32; 3],
    frame_size: (u32, u32),
    /// Which part of the frame was looked at last; all of it for `None`.
    part: Option<[f32; 4]>,
    inner: Inner,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    converted: Vec<Pixel>,
    across: [Across; 2],
    yuv: Box<Yuv>,
}

impl Preprocessor {
    /// A pre-processor for inputs of this kind.
    pub fn new(spec: &InputSpec) -> Self {
        let gain = spec.scale;
        let bias = std::array::from_fn(|c| -spec.mean[c] * spec.scale[c]);
        Self {
            spec: spec.clone(),
            gain,
            bias,
            frame_size: (0, 0),
            part: None,
            inner: Inner::default(),
            columns: Vec::new(),
            rows: Vec::new(),
            converted: Vec::new(),
            across: Default::default(),
            yuv: Box::new(Yuv::new(Matrix::default())),
        }
    }

    /// Writes `frame` as the engine wants it into `out`, which is exactly as long as the input has elements.
    ///
    /// # Errors
    /// [`VisionErrorKind::Frame`] when the frame's size, planes and bytes don't fit together,
    /// [`VisionErrorKind::Input`] when `out` is not the input's size. `out` is then as it was.
    pub fn fill(&mut self, frame: &Frame, out: &mut [f32]) -> Result<(), VisionError> {
        self.fill_from(frame, None, out)
    }

    /// As [`Preprocessor::fill`], of the part x0, y0, x1, y1 of the frame alone, in its pixels, stretched over the whole
    /// input; what of it lies outside of the frame is filled as padding is. Such a part has no way back by
    /// [`Preprocessor::to_frame`].
    ///
    /// # Errors
    /// As there, and for a part without an area.
    pub fn fill_part(&mut self, frame: &Frame, part: [f32; 4], out: &mut [f32]) -> Result<(), VisionError> {
        let [x0, y0, x1, y1] = part;
        // Written so that NaN fails too.
        if !(part.iter().all(|v| v.abs() < 1e6) && x1 - x0 >= 1.0 && y1 - y0 >= 1.0) {
            let message = format!("its part {part:?} has no area");
            return Err(VisionError::new(VisionErrorKind::Frame, format!("frame {}", frame.sequence), message));
        }
        self.fill_from(frame, Some(part), out)
    }

    fn fill_from(&mut self, frame: &Frame, part: Option<[f32; 4]>, out: &mut [f32]) -> Result<(), VisionError> {
        let picture = Picture::of(frame).map_err(|what| {
            let place = format!("frame {}", frame.sequence);
            VisionError::new(VisionErrorKind::Frame, place, format!("{what}; the camera's driver contradicts itself"))
        })?;
        let elements = self.spec.elements();
        if elements == 0 || out.len() != elements {
            let text = format!("the buffer has {} elements, the manifest's input {elements}", out.len());
            return Err(VisionError::new(VisionErrorKind::Input, self.spec.name.clone(), text));
        }
        if self.frame_size != (frame.width, frame.height) || self.part != part {
            self.rebuild(frame.width, frame.height, part);
        }
        self.yuv.set(frame.matrix);
        self.across.iter_mut().for_each(|a| a.row = None);
        let inner = self.inner;
        let width = self.spec.width as usize;
        let (above, below) = (inner.top, inner.top + inner.height);
        for y in (0..above).chain(below..self.spec.height as usize) {
            self.pad(out, y, 0, width);
        }
        for y in 0..inner.height {
            let tap = self.rows[y];
            let first = self.ready(&picture, tap.first, tap.second);
            let second = self.ready(&picture, tap.second, tap.first);
            self.pad(out, above + y, 0, inner.left);
            self.pad(out, above + y, inner.left + inner.width, width);
            self.blend(out, above + y, first, second, tap.weight);
        }
        Ok(())
    }

    /// A box in the input's pixels (x0, y0, x1, y1), in pixels of the last frame, cut at its edges.
    pub fn to_frame(&self, bbox: [f32; 4]) -> [f32; 4] {
        let (w, h) = (self.frame_size.0 as f32, self.frame_size.1 as f32);
        let back = |v: f32, start: usize, inner: usize, whole: f32| {
            ((v - start as f32) * whole / inner.max(1) as f32).clamp(0.0, whole)
        };
        let x = |v| back(v, self.inner.left, self.inner.width, w);
        let y = |v| back(v, self.inner.top, self.inner.height, h);
        [x(bbox[0]), y(bbox[1]), x(bbox[2]), y(bbox[3])]
    }

    fn rebuild(&mut self, width: u32, height: u32, part: Option<[f32; 4]>) {
        let (w, h) = (width as usize, height as usize);
        if let Some([x0, y0, x1, y1]) = part {
            let (left, across) = cut(&mut self.columns, w, (x0, x1), self.spec.width as usize);
            let (top, down) = cut(&mut self.rows, h, (y0, y1), self.spec.height as usize);
            self.inner = Inner { left, top, width: across, height: down };
        } else {
            self.inner = fit(&self.spec, width, height);
            taps(&mut self.columns, w, (0.0, w as f64 / self.inner.width as f64), 0..self.inner.width);
            taps(&mut self.rows, h, (0.0, h as f64 / self.inner.height as f64), 0..self.inner.height);
        }
        self.converted.clear();
        self.converted.resize(width as usize, [0.0; 4]);
        for plane in self.across.iter_mut().flat_map(|a| &mut a.planes) {
            plane.clear();
            plane.resize(self.inner.width, 0.0);
        }
        (self.frame_size, self.part) = ((width, height), part);
    }

    /// Makes sure that `row` of the frame is resized across and says where, sparing `keep`.
    fn ready(&mut self, picture: &Picture<'_>, row: usize, keep: usize) -> usize {
        if let Some(index) = self.across.iter().position(|a| a.row == Some(row)) {
            return index;
        }
        let index = usize::from(self.across[0].row == Some(keep));
        picture.rgb(row, &self.yuv, &mut self.converted);
        let across = &mut self.across[index];
        across.row = Some(row);
        let [red, green, blue] = &mut across.planes;
        let pixels = self.converted.as_slice();
        for (((tap, r), g), b) in self.columns.iter().zip(red).zip(green).zip(blue) {
            // The taps were built for this width.
            let (p, q) = (&pixels[tap.first], &pixels[tap.second]);
            let v: Pixel = std::array::from_fn(|c| p[c] + (q[c] - p[c]) * tap.weight);
            (*r, *g, *b) = (v[0], v[1], v[2]);
        }
        index
    }

    /// Writes row `y` of the picture, between two rows resized across.
    fn blend(&self, out: &mut [f32], y: usize, first: usize, second: usize, weight: f32) {
        let (width, plane) = (self.spec.width as usize, self.spec.width as usize * self.spec.height as usize);
        let start = y * width + self.inner.left;
        for channel in 0..3 {
            let colour = match self.spec.colour {
                Colour::Rgb => channel,
                Colour::Bgr => 2 - channel,
            };
            let (a, b) = (&self.across[first].planes[colour], &self.across[second].planes[colour]);
            let (gain, bias) = (self.gain[channel], self.bias[channel]);
            let values = a.iter().zip(b).map(|(a, b)| (a + (b - a) * weight) * gain + bias);
            match self.spec.layout {
                Layout::Nchw => {
                    let at = channel * plane + start;
                    out[at..at + self.inner.width].iter_mut().zip(values).for_each(|(o, v)| *o = v);
                }
                Layout::Nhwc => {
                    let cells = out[start * 3..(start + self.inner.width) * 3].iter_mut();
                    cells.skip(channel).step_by(3).zip(values).for_each(|(o, v)| *o = v);
                }
            }
        }
    }

    /// Writes columns `from..to` of row `y` with the padding's value.
    fn pad(&self, out: &mut [f32], y: usize, from: usize, to: usize) {
        let (width, plane) = (self.spec.width as usize, self.spec.width as usize * self.spec.height as usize);
        let (from, to) = (y * width + from, y * width + to);
        for channel in 0..3 {
            let value = f32::from(self.spec.pad) * self.gain[channel] + self.bias[channel];
            match self.spec.layout {
                Layout::Nchw => out[channel * plane + from..channel * plane + to].fill(value),
                Layout::Nhwc => out[from * 3..to * 3].iter_mut().skip(channel).step_by(3).for_each(|o| *o = value),
            }
        }
    }
}

/// Where a frame of this size lies in the input. Centred as YOLO's tools do: the odd pixel right and below.
fn fit(spec: &InputSpec, width: u32, height: u32) -> Inner {
    let (full_width, full_height) = (spec.width as usize, spec.height as usize);
    if spec.fit == Fit::Stretch {
        return Inner { left: 0, top: 0, width: full_width, height: full_height };
    }
    let scale = (f64::from(spec.width) / f64::from(width)).min(f64::from(spec.height) / f64::from(height));
    let side = |v: u32, full: usize| ((f64::from(v) * scale).round_ties_even() as usize).clamp(1, full);
    let (w, h) = (side(width, full_width), side(height, full_height));
    let (left, top) = match spec.fit {
        Fit::Letterbox => ((full_width - w) / 2, (full_height - h) / 2),
        Fit::LetterboxTopLeft | Fit::Stretch => (0, 0),
    };
    Inner { left, top, width: w, height: h }
}

/// Taps for `to` of the input's samples out of `from`, centres at half pixels: they begin at `start` and are `step` apart.
fn taps(out: &mut Vec<Tap>, from: usize, (start, step): (f64, f64), to: std::ops::Range<usize>) {
    let last = from - 1;
    out.clear();
    out.extend(to.map(|i| {
        let at = (start + (i as f64 + 0.5) * step - 0.5).clamp(0.0, last as f64);
        let first = at as usize;
        Tap { first, second: (first + 1).min(last), weight: (at - first as f64) as f32 }
    }));
}

/// Taps for the input's `full` samples over `low..high` of `from`, as far as those exist; which of the input's they are,
/// first and how many.
fn cut(out: &mut Vec<Tap>, from: usize, (low, high): (f32, f32), full: usize) -> (usize, usize) {
    let (low, step) = (f64::from(low), f64::from(high - low) / full as f64);
    // The first of the input's samples whose middle lies at `at` or beyond.
    let first = |at: f64| ((at - low) / step - 0.5).ceil().clamp(0.0, full as f64) as usize;
    let (start, end) = (first(0.0), first(from as f64));
    taps(out, from, (low, step), start..end);
    (start, end - start)
}

#[cfg(test)]
mod tests;
