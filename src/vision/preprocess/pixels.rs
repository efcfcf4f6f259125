//! Camera pixels to rows of RGB in f32, each layout by its own loop. YUV is read by the frame's matrix,
//! each chroma sample serving the pixels of its cell as it is, as OpenCV does. Checks a frame before it
//! reads; no bytes make it panic.

use crate::capture::{Frame, Matrix, PixelFormat};

/// Pixels a side; larger frames are refused.
pub(in crate::vision) const SIDE_MAX: u32 = 16_384;

/// Red, green, blue in 0..=255 and a fourth lane that makes a pixel one vector of the machine.
pub(in crate::vision) type Pixel = [f32; 4];

/// One matrix's sums by sample: no conversion from integers in the loop.
pub(in crate::vision) struct Yuv {
    matrix: Matrix,
    luma: [f32; 256],
    u: [Pixel; 256],
    v: [Pixel; 256],
}

impl Yuv {
    /// The sums of `matrix` for 8-bit samples, by the weights of red and blue in its luma
    /// (ITU-R BT.601-7 and BT.709-6, section 3).
    pub(in crate::vision) fn new(matrix: Matrix) -> Self {
        let (red, blue) = match matrix {
            Matrix::Bt601 | Matrix::Bt601Full => (0.299, 0.114),
            Matrix::Bt709 | Matrix::Bt709Full => (0.2126, 0.0722),
        };
        let (black, luma, chroma) = match matrix {
            Matrix::Bt601 | Matrix::Bt709 => (16.0, 255.0 / 219.0, 255.0 / 224.0),
            Matrix::Bt601Full | Matrix::Bt709Full => (0.0, 1.0, 1.0),
        };
        let green = 1.0 - red - blue;
        let (from_v, from_u) = (2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma);
        let sums = |i: usize, r: f64, g: f64, b: f64| [r, g, b, 0.0].map(|k| (k * (i as f64 - 128.0)) as f32);
        Self {
            matrix,
            luma: std::array::from_fn(|i| ((i as f64 - black) * luma) as f32),
            u: std::array::from_fn(|i| sums(i, 0.0, -from_u * blue / green, from_u)),
            v: std::array::from_fn(|i| sums(i, from_v, -from_v * red / green, 0.0)),
        }
    }

    /// Changes to another matrix, in place.
    pub(in crate::vision) fn set(&mut self, matrix: Matrix) {
        if self.matrix != matrix {
            *self = Self::new(matrix);
        }
    }

    #[inline(always)]
    fn chroma(&self, u: u8, v: u8) -> Pixel {
        let (u, v) = (&self.u[u as usize], &self.v[v as usize]);
        std::array::from_fn(|c| u[c] + v[c])
    }

    #[inline(always)]
    fn pixel(&self, luma: u8, chroma: &Pixel) -> Pixel {
        let luma = self.luma[luma as usize];
        chroma.map(|c| (luma + c).clamp(0.0, 255.0))
    }

    /// Pairs of pixels that share their chroma; `pairs` gives luma, luma, U, V.
    #[inline(always)]
    fn pairs(&self, mut pairs: impl Iterator<Item = ([u8; 2], u8, u8)>, out: &mut [Pixel]) {
        let (twos, odd) = out.as_chunks_mut::<2>();
        // The output is asked first and the pairs by reference: so the odd last pixel finds its pair.
        for ([a, b], ([y0, y1], u, v)) in twos.iter_mut().zip(&mut pairs) {
            let chroma = self.chroma(u, v);
            (*a, *b) = (self.pixel(y0, &chroma), self.pixel(y1, &chroma));
        }
        if let (Some(a), Some(([y0, _], u, v))) = (odd.first_mut(), pairs.next()) {
            *a = self.pixel(y0, &self.chroma(u, v));
        }
    }
}

/// A frame whose planes were found to lie inside its bytes.
pub(in crate::vision) struct Picture<'a> {
    frame: &'a Frame,
}

impl<'a> Picture<'a> {
    /// Checks the frame. The error says what doesn't fit.
    pub(in crate::vision) fn of(frame: &'a Frame) -> Result<Self, String> {
        if !(1..=SIDE_MAX).contains(&frame.width) || !(1..=SIDE_MAX).contains(&frame.height) {
            return Err(format!("{} x {} pixels, allowed are 1 to {SIDE_MAX} a side", frame.width, frame.height));
        }
        let (w, h) = (frame.width as usize, frame.height as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let planes = match frame.format {
            PixelFormat::Yuyv => [(cw * 4, h), (0, 0), (0, 0)],
            PixelFormat::Nv12 => [(w, h), (cw * 2, ch), (0, 0)],
            PixelFormat::I420 => [(w, h), (cw, ch), (cw, ch)],
            PixelFormat::Rgb | PixelFormat::Bgr => [(w * 3, h), (0, 0), (0, 0)],
            PixelFormat::Bgrx => [(w * 4, h), (0, 0), (0, 0)],
            PixelFormat::Grey => [(w, h), (0, 0), (0, 0)],
        };
        for (index, (plane, (row, rows))) in frame.planes.iter().zip(planes).enumerate() {
            if rows == 0 {
                continue;
            }
            if plane.stride < row {
                return Err(format!("plane {index} has a stride of {} bytes for rows of {row}", plane.stride));
            }
            let end = plane.stride.checked_mul(rows - 1).and_then(|n| n.checked_add(plane.offset)?.checked_add(row));
            if end.is_none_or(|end| end > frame.data.len()) {
                return Err(format!("plane {index} reaches past the frame's {} bytes", frame.data.len()));
            }
        }
        Ok(Self { frame })
    }

    /// Bytes of row `y` of a plane, `len` of them; none when they are not there, which the check excluded.
    #[inline(always)]
    fn row(&self, plane: usize, y: usize, len: usize) -> &'a [u8] {
        let plane = self.frame.planes.get(plane).copied().unwrap_or_default();
        let start = plane.offset.saturating_add(plane.stride.saturating_mul(y));
        self.frame.data.get(start..start.saturating_add(len)).unwrap_or_default()
    }

    /// Row `y` as RGB into `out`, which is as long as the frame is wide.
    pub(in crate::vision) fn rgb(&self, y: usize, yuv: &Yuv, out: &mut [Pixel]) {
        let w = out.len();
        let cw = w.div_ceil(2);
        match self.frame.format {
            PixelFormat::Yuyv => {
                let (cells, _) = self.row(0, y, cw * 4).as_chunks::<4>();
                yuv.pairs(cells.iter().map(|&[y0, u, y1, v]| ([y0, y1], u, v)), out);
            }
            PixelFormat::Nv12 => {
                let (chroma, _) = self.row(1, y / 2, cw * 2).as_chunks::<2>();
                let luma = self.row(0, y, w);
                yuv.pairs(pairs(luma).zip(chroma).map(|(luma, &[u, v])| (luma, u, v)), out);
            }
            PixelFormat::I420 => {
                let (u, v) = (self.row(1, y / 2, cw), self.row(2, y / 2, cw));
                let luma = self.row(0, y, w);
                yuv.pairs(pairs(luma).zip(u.iter().zip(v)).map(|(luma, (&u, &v))| (luma, u, v)), out);
            }
            PixelFormat::Rgb => packed(self.row(0, y, w * 3), out, |[r, g, b]: [u8; 3]| [r, g, b]),
            PixelFormat::Bgr => packed(self.row(0, y, w * 3), out, |[b, g, r]: [u8; 3]| [r, g, b]),
            PixelFormat::Bgrx => packed(self.row(0, y, w * 4), out, |[b, g, r, _]: [u8; 4]| [r, g, b]),
            PixelFormat::Grey => packed(self.row(0, y, w), out, |[v]: [u8; 1]| [v, v, v]),
        }
    }
}

/// Luma by twos; an odd last one stands twice.
#[inline(always)]
fn pairs(luma: &[u8]) -> impl Iterator<Item = [u8; 2]> {
    luma.chunks(2).map(|c| match *c {
        [a, b] => [a, b],
        [a] => [a, a],
        _ => [0, 0],
    })
}

#[inline(always)]
fn packed<const N: usize>(bytes: &[u8], out: &mut [Pixel], rgb: impl Fn([u8; N]) -> [u8; 3]) {
    let (cells, _) = bytes.as_chunks::<N>();
    for (cell, pixel) in cells.iter().zip(out) {
        let [r, g, b] = rgb(*cell);
        *pixel = [f32::from(r), f32::from(g), f32::from(b), 0.0];
    }
}
