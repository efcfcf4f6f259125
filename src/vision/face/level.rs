//! One size of a frame: how it is made of the camera's bytes or of the next larger one, and how an engine's input is drawn
//! from it. Each of the three is a loop without branches that the compiler turns into the machine's vectors, found out at
//! run time (`rten_simd`); the numbers are the same on all of them.

use std::ops::Range;

use rten_simd::{Isa, SimdOp};

use crate::engine::{Colour, InputSpec, Layout};
use crate::vision::preprocess::pixels::{Picture, Pixel, Rgbx, Yuv};

use super::picture::Area;

/// Coordinates beyond this many pixels are not counted in fixed point, whose binary point this is far from overflowing.
const FAR: f32 = 1e6;
/// Fixed point with 32 binary places.
const ONE: f64 = 4_294_967_296.0;

/// One size of the frame.
#[derive(Default)]
pub struct Level {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    data: Vec<Rgbx>,
}

/// Where an input's first pixel lies on a level, and how far it is from one pixel to the next, right and down.
#[derive(Clone, Copy)]
pub struct Steps {
    /// Of the first pixel.
    pub origin: [f32; 2],
    /// To the next one in a row.
    pub across: [f32; 2],
    /// To the next row.
    pub down: [f32; 2],
}

/// Room for a row of the level and a row of the input.
#[derive(Default)]
pub struct Scratch {
    row: Vec<Pixel>,
    line: Vec<Pixel>,
}

impl Scratch {
    /// So much that rows of `width` pixels allocate nothing.
    pub fn reserve(&mut self, width: usize) {
        self.row.clear();
        self.row.reserve(width + 2);
    }

    /// Overwrites every value.
    pub fn wipe(&mut self) {
        let room = self.row.capacity();
        self.row.resize(room, [0.0; 4]);
        self.row.fill([0.0; 4]);
        self.line.fill([0.0; 4]);
    }
}

/// Makes rows of the whole size. Returns nothing.
pub struct Rows<'a> {
    /// The frame.
    pub source: &'a Picture<'a>,
    /// Its colours.
    pub yuv: &'a Yuv,
    /// What is written.
    pub whole: &'a mut Level,
    /// Which rows.
    pub rows: Range<usize>,
}

impl SimdOp for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let width = self.whole.width;
        let rows = self.whole.data.chunks_exact_mut(width.max(1)).enumerate();
        for (y, out) in rows.take(self.rows.end).skip(self.rows.start) {
            self.source.rgbx(y, self.yuv, out);
        }
    }
}

/// Makes the half of a frame of its bytes; false if its format is not one of which that saves work.
pub struct Halve<'a> {
    /// The frame, of at least two columns and rows.
    pub source: &'a Picture<'a>,
    /// Its colours.
    pub yuv: &'a Yuv,
    /// What is written; it has its size.
    pub half: &'a mut Level,
}

impl SimdOp for Halve<'_> {
    type Output = bool;

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) -> bool {
        let width = self.half.width;
        let mut rows = self.half.data.chunks_exact_mut(width.max(1)).enumerate();
        rows.all(|(y, out)| self.source.halved(y, self.yuv, out))
    }
}

/// Fills `area` of an input.
pub struct Draw<'a> {
    /// What is looked at.
    pub level: &'a Level,
    /// Where the input's pixels lie on it.
    pub steps: Steps,
    /// The input.
    pub spec: &'a InputSpec,
    /// Which part of it; it lies within.
    pub area: Area,
    /// Room.
    pub scratch: &'a mut Scratch,
    /// As long as the input has elements.
    pub out: &'a mut [f32],
}

impl SimdOp for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { level, steps, spec, area, scratch, out } = self;
        scratch.line.resize(area.width, [0.0; 4]);
        let Scratch { row, line } = scratch;
        let across = steps.across;
        for y in 0..area.height {
            let v = y as f32;
            let at = [steps.origin[0] + steps.down[0] * v, steps.origin[1] + steps.down[1] * v];
            let last = area.width.saturating_sub(1) as f32;
            let end = [at[0] + across[0] * last, at[1] + across[1] * last];
            // Written so that NaN is far.
            let near = at.iter().chain(&end).all(|v| v.abs() < FAR);
            if near && across[1] == 0.0 {
                level.straight(at, end[0], across[0], row, line);
            } else if near && level.holds(at) && level.holds(end) {
                level.inside(at, across, line);
            } else {
                for (x, pixel) in line.iter_mut().enumerate() {
                    *pixel = level.sample(at[0] + across[0] * x as f32, at[1] + across[1] * x as f32);
                }
            }
            let start = (area.top + y) * spec.width as usize + area.left;
            put(line, spec, start, out);
        }
    }
}

/// Writes a row of the input from its pixel `start` on.
#[inline(always)]
fn put(line: &[Pixel], spec: &InputSpec, start: usize, out: &mut [f32]) {
    let plane = spec.width as usize * spec.height as usize;
    for channel in 0..3 {
        let colour = match spec.colour {
            Colour::Rgb => channel,
            Colour::Bgr => 2 - channel,
        };
        let gain = spec.scale[channel];
        let bias = -spec.mean[channel] * gain;
        let values = line.iter().map(|pixel| pixel[colour] * gain + bias);
        match spec.layout {
            Layout::Nchw => {
                let at = channel * plane + start;
                out[at..at + line.len()].iter_mut().zip(values).for_each(|(o, v)| *o = v);
            }
            Layout::Nhwc => {
                let cells = out[start * 3..(start + line.len()) * 3].as_chunks_mut::<3>().0;
                cells.iter_mut().zip(values).for_each(|(cell, v)| cell[channel] = v);
            }
        }
    }
}

/// Between two pixels.
#[inline(always)]
fn between(p: Pixel, q: Pixel, weight: f32) -> Pixel {
    std::array::from_fn(|c| p[c] + (q[c] - p[c]) * weight)
}

#[inline(always)]
fn pixel(p: Rgbx) -> Pixel {
    p.map(f32::from)
}

/// The whole part and the rest of a number in fixed point.
#[inline(always)]
fn split(at: i64) -> (usize, f32) {
    // A number below 0 becomes an index that is in no slice.
    ((at >> 32) as usize, ((at as u32) >> 8) as i32 as f32 / 16_777_216.0)
}

fn fixed(v: f32) -> i64 {
    (f64::from(v) * ONE) as i64
}

impl Level {
    /// Takes this size; new pixels are black, the others stay where they were.
    pub fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.data.resize(width * height, [0; 4]);
    }

    /// Overwrites every pixel.
    pub fn wipe(&mut self) {
        self.data.fill([0; 4]);
    }

    /// Becomes `from` at half its size, each pixel the mean of four. Odd last columns and rows are left out; what is a
    /// single pixel wide stays so.
    pub fn halve(&mut self, from: &Level) {
        let (w, h) = ((from.width / 2).max(1), (from.height / 2).max(1));
        self.resize(w, h);
        let across = usize::from(from.width > 1);
        let down = usize::from(from.height > 1) * from.width;
        for (y, out) in self.data.chunks_exact_mut(w).enumerate() {
            let first = y * 2 * from.width;
            let (top, bottom) = (&from.data[first..], &from.data[first + down..]);
            for (x, cell) in out.iter_mut().enumerate() {
                let four = [top[x * 2], top[x * 2 + across], bottom[x * 2], bottom[x * 2 + across]];
                *cell = std::array::from_fn(|c| ((four.iter().map(|p| u16::from(p[c])).sum::<u16>() + 2) / 4) as u8);
            }
        }
    }

    /// Rec. 601 luma of a pixel that is there.
    pub fn luma(&self, x: usize, y: usize) -> f32 {
        let [r, g, b, _] = pixel(self.data[y * self.width + x]);
        0.299 * r + 0.587 * g + 0.114 * b
    }

    /// Whether all four neighbours of a point are there.
    fn holds(&self, [x, y]: [f32; 2]) -> bool {
        x >= 0.0 && y >= 0.0 && x < self.width as f32 - 1.0 && y < self.height as f32 - 1.0
    }

    /// A row of pixels from `at` on, `dx` apart, the last at `end`, along a row of the level: blends two of its rows where
    /// they are wanted, then what lies between two columns.
    #[inline(always)]
    fn straight(&self, at: [f32; 2], end: f32, dx: f32, row: &mut Vec<Pixel>, line: &mut [Pixel]) {
        let (wide, y) = (self.width as i64, at[1].floor());
        let column = |x: f32| (x.floor() as i64).clamp(-1, wide);
        let (low, high) = (column(at[0].min(end)), column(at[0].max(end) + 1.0));
        row.clear();
        row.resize((high - low + 1) as usize, [0.0; 4]);
        // The columns -1 and `wide` are black.
        let (from, to) = (low.max(0) as usize, (high + 1).min(wide) as usize);
        let part = |y: i64| {
            let start = usize::try_from(y).ok()?.checked_mul(self.width)?;
            self.data.get(start + from..start + to.max(from))
        };
        let (above, below) = (part(y as i64), part(y as i64 + 1));
        if let Some(some) = above.or(below) {
            // A row that isn't there is black, too.
            let weigh = |there: Option<_>, weight: f32| if there.is_some() { weight } else { 0.0 };
            let (top, bottom) = (weigh(above, 1.0 - (at[1] - y)), weigh(below, at[1] - y));
            let cells = row[(from as i64 - low) as usize..].iter_mut();
            for (cell, (p, q)) in cells.zip(above.unwrap_or(some).iter().zip(below.unwrap_or(some))) {
                let (p, q) = (pixel(*p), pixel(*q));
                *cell = std::array::from_fn(|c| p[c] * top + q[c] * bottom);
            }
        }
        let (mut position, step) = (fixed(at[0] - low as f32), fixed(dx));
        for out in line {
            let (index, weight) = split(position);
            *out = match row.get(index..index.saturating_add(2)) {
                Some(&[p, q]) => between(p, q, weight),
                _ => [0.0; 4],
            };
            position = position.wrapping_add(step);
        }
    }

    /// A row of pixels from `at` on, all of them within the level.
    #[inline(always)]
    fn inside(&self, at: [f32; 2], across: [f32; 2], line: &mut [Pixel]) {
        let (mut at, step) = (at.map(fixed), across.map(fixed));
        for out in line {
            let ((x, wx), (y, wy)) = (split(at[0]), split(at[1]));
            let first = y * self.width + x;
            let below = first + self.width;
            if let (Some(&[p, q]), Some(&[r, s])) = (self.data.get(first..first + 2), self.data.get(below..below + 2)) {
                let [p, q, r, s] = [p, q, r, s].map(pixel);
                *out = between(between(p, q, wx), between(r, s, wx), wy);
            }
            at = [at[0].wrapping_add(step[0]), at[1].wrapping_add(step[1])];
        }
    }

    /// Bilinear, black outside.
    pub fn sample(&self, x: f32, y: f32) -> Pixel {
        let (fx, fy) = (x.floor(), y.floor());
        // Far outside saturates, and so does what is no number.
        let (ix, iy) = (fx as i32, fy as i32);
        let tap = |x: i32, y: i32| match (usize::try_from(x), usize::try_from(y)) {
            (Ok(x), Ok(y)) if x < self.width && y < self.height => pixel(self.data[y * self.width + x]),
            _ => [0.0; 4],
        };
        let (jx, jy) = (ix.saturating_add(1), iy.saturating_add(1));
        let (upper, lower) = (between(tap(ix, iy), tap(jx, iy), x - fx), between(tap(ix, jy), tap(jx, jy), x - fx));
        between(upper, lower, y - fy)
    }
}
