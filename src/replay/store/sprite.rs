//! Views of goods with their edges, and laying them on a picture: turned, scaled, lit, with a soft shadow. Pictures are
//! packed RGB of one size.

use std::path::Path;

/// Pixels of the tray camera's picture.
pub const WIDTH: usize = 640;
/// As above.
pub const HEIGHT: usize = 480;
/// Less than this is not there, of 255.
const CLEAR: u8 = 40;

/// Packed RGB, [`WIDTH`] x [`HEIGHT`].
#[derive(Clone, Debug)]
pub struct Picture(pub Vec<u8>);

impl Picture {
    /// Reads a picture of just this size.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let picture = image::open(path).map_err(|e| format!("{}: {e}", path.display()))?.into_rgb8();
        match picture.dimensions() {
            (w, h) if (w as usize, h as usize) == (WIDTH, HEIGHT) => Ok(Self(picture.into_raw())),
            (w, h) => Err(format!("{}: {w}x{h} pixels, it must be {WIDTH}x{HEIGHT}", path.display())),
        }
    }
}

/// One view, premultiplied.
#[derive(Clone, Debug)]
pub struct Sprite {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    pixels: Vec<[u8; 4]>,
}

/// How a view lies in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Its middle, pixels.
    pub x: f32,
    /// As above.
    pub y: f32,
    /// Clockwise, radians.
    pub angle: f32,
    /// Of its size.
    pub scale: f32,
    /// By channel.
    pub gain: [f32; 3],
}

impl Pose {
    /// Half of the width and of the height of the upright rectangle around a view that lies so.
    pub fn half(&self, sprite: &Sprite) -> (f32, f32) {
        let (sin, cos) = self.angle.sin_cos();
        let (w, h) = (sprite.width as f32 * self.scale / 2.0, sprite.height as f32 * self.scale / 2.0);
        (w * cos.abs() + h * sin.abs(), w * sin.abs() + h * cos.abs())
    }
}

/// Where the shadow falls, and how dark and soft it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shadow {
    /// Pixels.
    pub dx: f32,
    /// Pixels.
    pub dy: f32,
    /// 0..=1.
    pub dark: f32,
    /// Pixels.
    pub soft: usize,
}

/// Reads a sheet: `path` has the colours, the PNG of the same name how opaque each pixel is.
///
/// # Errors
/// A sentence that names the file.
pub fn sheet(path: &Path) -> Result<Vec<Sprite>, String> {
    let open = |path: &Path| image::open(path).map_err(|e| format!("{}: {e}", path.display()));
    let (colours, opaque) = (open(path)?.into_rgb8(), open(&path.with_extension("png"))?.into_luma8());
    let side = colours.height();
    if colours.dimensions() != opaque.dimensions() || side == 0 || !colours.width().is_multiple_of(side) {
        return Err(format!("{}: colours and opacity must be of one size, a row of square cells", path.display()));
    }
    let views = (0..colours.width() / side).map(|cell| {
        let solid = |x: u32, y: u32| opaque.get_pixel(cell * side + x, y).0[0] > CLEAR;
        let columns: Vec<u32> = (0..side).filter(|&x| (0..side).any(|y| solid(x, y))).collect();
        let rows: Vec<u32> = (0..side).filter(|&y| (0..side).any(|x| solid(x, y))).collect();
        let (Some(&left), Some(&right)) = (columns.first(), columns.last()) else {
            return Err(format!("{}: cell {cell} is empty", path.display()));
        };
        let (top, bottom) = (rows.first().copied().unwrap_or(0), rows.last().copied().unwrap_or(0));
        let pixels = (top..=bottom).flat_map(|y| (left..=right).map(move |x| (cell * side + x, y)));
        let pixels = pixels.map(|(x, y)| {
            let a = u32::from(opaque.get_pixel(x, y).0[0]);
            let [r, g, b] = colours.get_pixel(x, y).0.map(|v| ((u32::from(v) * a + 127) / 255) as u8);
            [r, g, b, a as u8]
        });
        let (width, height) = ((right - left + 1) as usize, (bottom - top + 1) as usize);
        Ok(Sprite { width, height, pixels: pixels.collect() })
    });
    views.collect()
}

impl Sprite {
    fn at(&self, x: i32, y: i32) -> [f32; 4] {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return [0.0; 4] };
        if x >= self.width {
            return [0.0; 4];
        }
        self.pixels.get(y * self.width + x).map_or([0.0; 4], |p| p.map(f32::from))
    }

    /// Between four pixels, premultiplied, 0..=255.
    fn sample(&self, u: f32, v: f32) -> [f32; 4] {
        let (x, y) = (u.floor(), v.floor());
        let (fx, fy) = (u - x, v - y);
        let (x, y) = (x as i32, y as i32);
        let (a, b, c, d) = (self.at(x, y), self.at(x + 1, y), self.at(x, y + 1), self.at(x + 1, y + 1));
        std::array::from_fn(|i| {
            let (top, bottom) = (a[i] + (b[i] - a[i]) * fx, c[i] + (d[i] - c[i]) * fx);
            top + (bottom - top) * fy
        })
    }

    /// Calls `each` with the place and the value of every pixel of a picture that the view may touch.
    fn cover(&self, pose: &Pose, mut each: impl FnMut(usize, usize, [f32; 4])) {
        let (half_w, half_h) = pose.half(self);
        let range = |middle: f32, half: f32, most: usize| {
            let low = (middle - half - 1.0).floor().clamp(0.0, most as f32) as usize;
            low..(middle + half + 2.0).ceil().clamp(0.0, most as f32) as usize
        };
        let (sin, cos) = pose.angle.sin_cos();
        let (u0, v0) = (self.width as f32 / 2.0 - 0.5, self.height as f32 / 2.0 - 0.5);
        for y in range(pose.y, half_h, HEIGHT) {
            for x in range(pose.x, half_w, WIDTH) {
                let (dx, dy) = (x as f32 + 0.5 - pose.x, y as f32 + 0.5 - pose.y);
                let (u, v) = ((cos * dx + sin * dy) / pose.scale + u0, (cos * dy - sin * dx) / pose.scale + v0);
                if u > -1.0 && v > -1.0 && u < self.width as f32 && v < self.height as f32 {
                    each(x, y, self.sample(u, v));
                }
            }
        }
    }

    /// Lays the view on `picture`; what sticks out is cut.
    pub fn draw(&self, picture: &mut Picture, pose: &Pose) {
        self.cover(pose, |x, y, [r, g, b, a]| {
            let at = (y * WIDTH + x) * 3;
            let Some(pixel) = picture.0.get_mut(at..at + 3) else { return };
            let rest = 1.0 - a / 255.0;
            for ((v, over), gain) in pixel.iter_mut().zip([r, g, b]).zip(pose.gain) {
                *v = (over * gain + f32::from(*v) * rest).round().clamp(0.0, 255.0) as u8;
            }
        });
    }

    /// Darkens `picture` where the view's shadow falls.
    pub fn shade(&self, picture: &mut Picture, pose: &Pose, shadow: &Shadow) {
        let mut mask = vec![0.0f32; WIDTH * HEIGHT];
        let fallen = Pose { x: pose.x + shadow.dx, y: pose.y + shadow.dy, ..*pose };
        self.cover(&fallen, |x, y, [.., a]| {
            if let Some(m) = mask.get_mut(y * WIDTH + x) {
                *m = a / 255.0;
            }
        });
        let (half_w, half_h) = pose.half(self);
        let reach = 2.0 * shadow.soft as f32 + 2.0;
        let clip = |v: f32, most: usize| v.clamp(0.0, most as f32) as usize;
        let (x0, x1) = (clip(fallen.x - half_w - reach, WIDTH), clip(fallen.x + half_w + reach, WIDTH));
        let (y0, y1) = (clip(fallen.y - half_h - reach, HEIGHT), clip(fallen.y + half_h + reach, HEIGHT));
        for _ in 0..2 {
            (y0..y1).for_each(|y| blur(&mut mask, y * WIDTH + x0, 1, x1 - x0, shadow.soft));
            (x0..x1).for_each(|x| blur(&mut mask, y0 * WIDTH + x, WIDTH, y1 - y0, shadow.soft));
        }
        for y in y0..y1 {
            for x in x0..x1 {
                let keep = 1.0 - shadow.dark * mask.get(y * WIDTH + x).copied().unwrap_or(0.0);
                let at = (y * WIDTH + x) * 3;
                let pixel = picture.0.get_mut(at..at + 3).unwrap_or_default();
                pixel.iter_mut().for_each(|v| *v = (f32::from(*v) * keep).round() as u8);
            }
        }
    }
}

/// The mean over `radius` to either side, along a line of `count` numbers `step` apart; beyond its ends is nothing.
fn blur(numbers: &mut [f32], start: usize, step: usize, count: usize, radius: usize) {
    let line: Vec<f32> = (0..count).map(|i| numbers.get(start + i * step).copied().unwrap_or(0.0)).collect();
    let mut sum: f32 = line.iter().take(radius).sum();
    let window = (2 * radius + 1) as f32;
    for i in 0..count {
        sum += line.get(i + radius).copied().unwrap_or(0.0);
        if let Some(past) = i.checked_sub(radius + 1) {
            sum -= line.get(past).copied().unwrap_or(0.0);
        }
        if let Some(n) = numbers.get_mut(start + i * step) {
            *n = sum / window;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn red(width: usize, height: usize) -> Sprite {
        Sprite { width, height, pixels: vec![[200, 0, 0, 255]; width * height] }
    }

    fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
        std::array::from_fn(|c| picture.0[(y * WIDTH + x) * 3 + c])
    }

    #[test]
    fn a_view_lies_where_its_pose_says_and_over_the_edge() {
        let mut picture = Picture(vec![100; WIDTH * HEIGHT * 3]);
        let pose = Pose { x: 100.0, y: 50.0, angle: std::f32::consts::FRAC_PI_2, scale: 1.0, gain: [1.0, 1.0, 1.0] };
        red(40, 10).draw(&mut picture, &pose);
        // Turned by a quarter: 10 wide, 40 high.
        assert_eq!((pixel(&picture, 100, 35), pixel(&picture, 100, 66)), ([200, 0, 0], [200, 0, 0]));
        assert_eq!((pixel(&picture, 90, 50), pixel(&picture, 110, 50)), ([100; 3], [100; 3]));
        red(40, 40).draw(&mut picture, &Pose { x: 0.0, y: 480.0, ..pose });
        assert_eq!(pixel(&picture, 5, 475), [200, 0, 0]);
    }

    #[test]
    fn a_shadow_darkens_beside_and_keeps_what_is_far() {
        let mut picture = Picture(vec![100; WIDTH * HEIGHT * 3]);
        let pose = Pose { x: 100.0, y: 100.0, angle: 0.0, scale: 1.0, gain: [1.0; 3] };
        red(40, 40).shade(&mut picture, &pose, &Shadow { dx: 30.0, dy: 0.0, dark: 0.5, soft: 4 });
        assert_eq!((pixel(&picture, 130, 100), pixel(&picture, 60, 100)), ([50; 3], [100; 3]));
        let edge = pixel(&picture, 150, 100)[0];
        assert!((60..95).contains(&edge), "soft: {edge}");
    }
}
