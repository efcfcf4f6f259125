//! From landmarks to the nets' template: the similarity transform (scale, turn, shift) of least squares.
//! Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE
//! PAMI 13(4), 1991; in the plane and without reflection its solution is the closed form below.

/// The template of 112x112 pixels: eye at the picture's left, eye at its right, nose, corners of the mouth.
/// Source: the alignment of ArcFace (J. Deng et al., CVPR 2019), which MobileFaceNet shares.
pub const TEMPLATE: [[f32; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];
/// Side of the square that the template lies in.
pub const TEMPLATE_SIDE: f32 = 112.0;

/// `(u, v) -> (a u - b v + x, b u + a v + y)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Scale times the cosine of the turn.
    pub a: f32,
    /// Scale times the sine of the turn.
    pub b: f32,
    /// Shift.
    pub x: f32,
    /// Shift.
    pub y: f32,
}

impl Similarity {
    /// The one that brings `from` onto `to` with the least sum of squared distances; `None` when `from` is a single
    /// point or anything is no number.
    pub fn between(from: &[[f32; 2]], to: &[[f32; 2]]) -> Option<Self> {
        let n = from.len().min(to.len()) as f64;
        let mean = |points: &[[f32; 2]]| {
            let sum = points.iter().fold([0.0f64; 2], |s, p| [s[0] + f64::from(p[0]), s[1] + f64::from(p[1])]);
            [sum[0] / n, sum[1] / n]
        };
        let (p, q) = (mean(from), mean(to));
        let (mut spread, mut dot, mut cross) = (0.0f64, 0.0, 0.0);
        for (f, t) in from.iter().zip(to) {
            let (fx, fy) = (f64::from(f[0]) - p[0], f64::from(f[1]) - p[1]);
            let (tx, ty) = (f64::from(t[0]) - q[0], f64::from(t[1]) - q[1]);
            spread += fx * fx + fy * fy;
            dot += fx * tx + fy * ty;
            cross += fx * ty - fy * tx;
        }
        let (a, b) = (dot / spread, cross / spread);
        let this = Self {
            a: a as f32,
            b: b as f32,
            x: (q[0] - a * p[0] + b * p[1]) as f32,
            y: (q[1] - b * p[0] - a * p[1]) as f32,
        };
        let finite = [this.a, this.b, this.x, this.y].iter().all(|v| v.is_finite());
        (finite && this.scale() > 0.0).then_some(this)
    }

    /// From the pixels of a square input of `side` pixels to the frame, for a face with these landmarks.
    pub fn of_face(landmarks: &[[f32; 2]; 5], side: u32) -> Option<Self> {
        // Pixels count from their centres, so a larger template's grow from the corner, not from (0, 0).
        let grow = side as f32 / TEMPLATE_SIDE;
        let template = TEMPLATE.map(|p| p.map(|v| (v + 0.5) * grow - 0.5));
        Self::between(&template, landmarks)
    }

    /// From the pixels of a square input of `side` pixels to the frame's box (x0, y0, x1, y1), a square.
    pub fn of_box(bbox: [f32; 4], side: u32) -> Self {
        let a = (bbox[2] - bbox[0]) / side as f32;
        // Boxes are given by their edges, pixels by their centres.
        Self { a, b: 0.0, x: bbox[0] + 0.5 * a - 0.5, y: bbox[1] + 0.5 * a - 0.5 }
    }

    /// Length in the target of a length of 1.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// Where a point goes.
    pub fn apply(&self, p: [f32; 2]) -> [f32; 2] {
        [self.a * p[0] - self.b * p[1] + self.x, self.b * p[0] + self.a * p[1] + self.y]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_transform_that_was_applied() {
        let made = Similarity { a: 1.2, b: -0.7, x: 40.0, y: -3.0 };
        let moved = TEMPLATE.map(|p| made.apply(p));
        let found = Similarity::between(&TEMPLATE, &moved).unwrap();
        for (a, b) in [(found.a, made.a), (found.b, made.b), (found.x, made.x), (found.y, made.y)] {
            assert!((a - b).abs() < 1e-4, "{found:?}");
        }
    }

    /// Reference: numpy's SVD by Umeyama's equations 40 to 42 for the same points.
    #[test]
    fn of_noisy_points_it_is_the_least_squares_one() {
        let to = [[10.0, 12.0], [31.0, 9.0], [22.0, 25.0], [14.0, 33.0], [29.0, 35.0]];
        let found = Similarity::between(&TEMPLATE, &to).unwrap();
        let cost = |s: &Similarity| -> f32 {
            TEMPLATE
                .iter()
                .zip(&to)
                .map(|(p, q)| (s.apply(*p)[0] - q[0]).powi(2) + (s.apply(*p)[1] - q[1]).powi(2))
                .sum()
        };
        let best = cost(&found);
        for step in [-1e-2f32, 1e-2] {
            for i in 0..4 {
                let mut other = found;
                *[&mut other.a, &mut other.b, &mut other.x, &mut other.y][i] += step;
                assert!(cost(&other) > best, "{i} {step}");
            }
        }
    }

    #[test]
    fn points_that_are_one_or_no_numbers_have_none() {
        assert_eq!(Similarity::between(&[[3.0, 3.0]; 5], &TEMPLATE), None);
        assert_eq!(Similarity::between(&TEMPLATE, &[[3.0, 3.0]; 5]), None, "a scale of 0");
        assert_eq!(Similarity::between(&TEMPLATE, &[[f32::NAN, 3.0]; 5]), None);
        assert_eq!(Similarity::between(&[], &[]), None);
    }

    #[test]
    fn a_larger_input_shows_the_same_part_of_the_frame() {
        let face = TEMPLATE.map(|p| [p[0] + 5.0, p[1] + 5.0]);
        let (small, large) = (Similarity::of_face(&face, 112).unwrap(), Similarity::of_face(&face, 224).unwrap());
        let (p, q) = (small.apply([-0.5, -0.5]), large.apply([-0.5, -0.5]));
        assert!((p[0] - q[0]).abs() < 1e-3 && (p[1] - q[1]).abs() < 1e-3, "{p:?} {q:?}");
        assert!((small.scale() / large.scale() - 2.0).abs() < 1e-4);
    }
}
