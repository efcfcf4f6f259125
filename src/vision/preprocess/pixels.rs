//! Camera pixels to rows of RGB in f32, each layout by its own loop. YUV is read by the frame's matrix,
//! each chroma sample serving the pixels of its cell as it is, as OpenCV does. Checks a frame before it
//! reads; no bytes make it panic.

use crate::capture::{Frame, Matrix, PixelFormat};

/// Pixels a side; larger frames are refused.
pub(in crate::vision) const SIDE_MAX: u32 = 16_384;

/// Red, green, blue in 0..=255 and a fourth lane that makes a pixel one vector of the machine.
pub(in crate::vision) type Pixel = [f32; 4];

/// Red, green, blue and a byte that makes a pixel one word of the machine.
pub(in crate::vision) type Rgbx = [u8; 4];

/// What a value of the luma, U and V and one more add up to, for one of red, green and blue.
#[derive(Clone, Copy)]
struct Weights {
    luma: f32,
    u: f32,
    v: f32,
    rest: f32,
}

/// One matrix's sums by sample: no conversion from integers in the loop.
pub(in crate::vision) struct Yuv {
    matrix: Matrix,
    /// For red, green, blue.
    weights: [Weights; 3],
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
        let (of_u, of_v) = ([0.0, -from_u * blue / green, from_u], [from_v, -from_v * red / green, 0.0]);
        let sums = |i: usize, [r, g, b]: [f64; 3]| [r, g, b, 0.0].map(|k| (k * (i as f64 - 128.0)) as f32);
        let weights = std::array::from_fn(|c| {
            let rest = -black * luma - 128.0 * (of_u[c] + of_v[c]);
            Weights { luma: luma as f32, u: of_u[c] as f32, v: of_v[c] as f32, rest: rest as f32 }
        });
        Self {
            matrix,
            weights,
            luma: std::array::from_fn(|i| ((i as f64 - black) * luma) as f32),
            u: std::array::from_fn(|i| sums(i, of_u)),
            v: std::array::from_fn(|i| sums(i, of_v)),
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

    /// The pixel of a luma, U and V that may lie between two values, rounded. Comes without a branch, so that a loop over
    /// it becomes vectors.
    #[inline(always)]
    fn rounded(&self, luma: f32, u: f32, v: f32) -> Rgbx {
        let [r, g, b] = self.weights.map(|w| {
            let value = (luma * w.luma + u * w.u + v * w.v + w.rest).clamp(0.0, 255.0);
            // Beyond 2^23 a number has no fraction, and its last byte is the value rounded.
            (value + 8_388_608.0).to_bits() & 0xff
        });
        (r | g << 8 | b << 16).to_le_bytes()
    }

    /// The pixel of the sums of four lumas, two U and two V.
    #[inline(always)]
    fn mean(&self, luma: u32, u: u32, v: u32) -> Rgbx {
        let [luma, u, v] = [luma, u, v].map(|sum| sum as i32 as f32);
        self.rounded(luma * 0.25, u * 0.5, v * 0.5)
    }
}

/// Two pixels that share their chroma at a time; `pairs` gives luma, luma, U, V, and `both` makes pixels of them.
#[inline(always)]
fn by_pairs<T: Copy>(
    mut pairs: impl Iterator<Item = ([u8; 2], u8, u8)>,
    out: &mut [T],
    both: impl Fn([u8; 2], u8, u8) -> [T; 2],
) {
    let (twos, odd) = out.as_chunks_mut::<2>();
    // The output is asked first and the pairs by reference: so the odd last pixel finds its pair.
    for (two, (luma, u, v)) in twos.iter_mut().zip(&mut pairs) {
        *two = both(luma, u, v);
    }
    if let (Some(a), Some((luma, u, v))) = (odd.first_mut(), pairs.next()) {
        [*a, _] = both(luma, u, v);
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
        let both = |[y0, y1]: [u8; 2], u, v| {
            let chroma = yuv.chroma(u, v);
            [yuv.pixel(y0, &chroma), yuv.pixel(y1, &chroma)]
        };
        self.pixels(y, out, both, |[r, g, b]| [f32::from(r), f32::from(g), f32::from(b), 0.0]);
    }

    /// The same in bytes, rounded.
    #[inline(always)]
    pub(in crate::vision) fn rgbx(&self, y: usize, yuv: &Yuv, out: &mut [Rgbx]) {
        let both = |luma: [u8; 2], u, v| luma.map(|y| yuv.rounded(f32::from(y), f32::from(u), f32::from(v)));
        self.pixels(y, out, both, |[r, g, b]| [r, g, b, 0]);
    }

    /// Row `y` of the frame at half its size, each pixel the mean of four; `out` is half as long as the frame is wide.
    /// False, and nothing done, for a format of which this is no less work than to convert the whole.
    #[inline(always)]
    pub(in crate::vision) fn halved(&self, y: usize, yuv: &Yuv, out: &mut [Rgbx]) -> bool {
        // Both bytes of both halves of a word.
        const TWO: u32 = 0x00ff_00ff;
        let w = out.len() * 2;
        let luma = |a: &[u8; 2], b: &[u8; 2]| [a[0], a[1], b[0], b[1]].into_iter().map(u32::from).sum();
        match self.frame.format {
            PixelFormat::Yuyv => {
                let (top, bottom) = (self.row(0, y * 2, w * 2), self.row(0, y * 2 + 1, w * 2));
                let cells = top.as_chunks::<4>().0.iter().zip(bottom.as_chunks::<4>().0);
                for (out, (top, bottom)) in out.iter_mut().zip(cells) {
                    let (top, bottom) = (u32::from_le_bytes(*top), u32::from_le_bytes(*bottom));
                    let luma = (top & TWO) + (bottom & TWO);
                    let chroma = (top >> 8 & TWO) + (bottom >> 8 & TWO);
                    *out = yuv.mean((luma & 0xffff) + (luma >> 16), chroma & 0xffff, chroma >> 16);
                }
            }
            PixelFormat::Nv12 => {
                let (top, bottom) = (self.row(0, y * 2, w), self.row(0, y * 2 + 1, w));
                let cells = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
                let chroma = self.row(1, y, w).as_chunks::<2>().0;
                for (out, ((top, bottom), &[u, v])) in out.iter_mut().zip(cells.zip(chroma)) {
                    *out = yuv.mean(luma(top, bottom), u32::from(u) * 2, u32::from(v) * 2);
                }
            }
            PixelFormat::I420 => {
                let (top, bottom) = (self.row(0, y * 2, w), self.row(0, y * 2 + 1, w));
                let cells = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
                let chroma = self.row(1, y, w / 2).iter().zip(self.row(2, y, w / 2));
                for (out, ((top, bottom), (&u, &v))) in out.iter_mut().zip(cells.zip(chroma)) {
                    *out = yuv.mean(luma(top, bottom), u32::from(u) * 2, u32::from(v) * 2);
                }
            }
            PixelFormat::Rgb | PixelFormat::Bgr | PixelFormat::Bgrx | PixelFormat::Grey => return false,
        }
        true
    }

    /// Row `y` in whatever pixels `both` makes of two lumas with their U and V, and `rgb` of red, green and blue.
    #[inline(always)]
    fn pixels<T: Copy>(
        &self,
        y: usize,
        out: &mut [T],
        both: impl Fn([u8; 2], u8, u8) -> [T; 2],
        rgb: impl Fn([u8; 3]) -> T,
    ) {
        let w = out.len();
        let cw = w.div_ceil(2);
        match self.frame.format {
            PixelFormat::Yuyv => {
                let (cells, _) = self.row(0, y, cw * 4).as_chunks::<4>();
                by_pairs(cells.iter().map(|&[y0, u, y1, v]| ([y0, y1], u, v)), out, both);
            }
            PixelFormat::Nv12 => {
                let (chroma, _) = self.row(1, y / 2, cw * 2).as_chunks::<2>();
                let luma = self.row(0, y, w);
                by_pairs(pairs(luma).zip(chroma).map(|(luma, &[u, v])| (luma, u, v)), out, both);
            }
            PixelFormat::I420 => {
                let (u, v) = (self.row(1, y / 2, cw), self.row(2, y / 2, cw));
                let luma = self.row(0, y, w);
                by_pairs(pairs(luma).zip(u.iter().zip(v)).map(|(luma, (&u, &v))| (luma, u, v)), out, both);
            }
            PixelFormat::Rgb => packed(self.row(0, y, w * 3), out, |[r, g, b]: [u8; 3]| rgb([r, g, b])),
            PixelFormat::Bgr => packed(self.row(0, y, w * 3), out, |[b, g, r]: [u8; 3]| rgb([r, g, b])),
            PixelFormat::Bgrx => packed(self.row(0, y, w * 4), out, |[b, g, r, _]: [u8; 4]| rgb([r, g, b])),
            PixelFormat::Grey => packed(self.row(0, y, w), out, |[v]: [u8; 1]| rgb([v, v, v])),
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
fn packed<const N: usize, T>(bytes: &[u8], out: &mut [T], pixel: impl Fn([u8; N]) -> T) {
    let (cells, _) = bytes.as_chunks::<N>();
    for (cell, out) in cells.iter().zip(out) {
        *out = pixel(*cell);
    }
}
