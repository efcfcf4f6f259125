//! Which way a head is turned, from its five landmarks: an affine camera fitted by least squares to a mean face in
//! space, brought to the nearest rotation. Source: D. DeMenthon and L. Davis, "Model-based object pose in 25 lines
//! of code", IJCV 15, 1995 (its first step, POS). Good for gates and for "turn a little more", to some ten degrees.

use super::align::TEMPLATE;

/// How far before the eyes each landmark lies, in pixels of the template (1.8 mm each): nose and mouth of a mean
/// adult face.
const DEPTH: [f64; 5] = [0.0, 0.0, 15.0, 4.0, 4.0];

/// Turns of a head in degrees; all 0 for a face like the template's, looking straight on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pose {
    /// Above 0 when the nose points to the picture's right.
    pub yaw: f32,
    /// Above 0 when it points down.
    pub pitch: f32,
    /// Above 0 when the head leans to the picture's right (clockwise).
    pub roll: f32,
}

impl Pose {
    /// Of a face with these landmarks; `None` if they are one point or no numbers.
    pub fn of(landmarks: &[[f32; 2]; 5]) -> Option<Self> {
        Self::with_aspect(landmarks).map(|(pose, _)| pose)
    }

    /// As [`Pose::of`], with the length of the face's own axis across over that of its axis down, as a head in space would
    /// have them. It depends on the face, but hardly on where a head is turned; of a picture of a face that is turned it
    /// shrinks or grows, because that has no depth with which it could look turned and keep its length.
    pub fn with_aspect(landmarks: &[[f32; 2]; 5]) -> Option<(Self, f32)> {
        let model = model();
        let mut normal = [[0.0f64; 3]; 3];
        let mut right = [[0.0f64; 2]; 3];
        let mean = |axis: usize| landmarks.iter().map(|p| f64::from(p[axis])).sum::<f64>() / 5.0;
        let centre = [mean(0), mean(1)];
        for (m, p) in model.iter().zip(landmarks) {
            for i in 0..3 {
                (0..3).for_each(|j| normal[i][j] += m[i] * m[j]);
                (0..2).for_each(|axis| right[i][axis] += m[i] * (f64::from(p[axis]) - centre[axis]));
            }
        }
        let inverse = invert(normal)?;
        let row = |axis: usize| -> [f64; 3] {
            std::array::from_fn(|i| (0..3).map(|j| inverse[i][j] * right[j][axis]).sum::<f64>())
        };
        let rows = (row(0), row(1));
        let (across, down) = (unit(rows.0)?, unit(rows.1)?);
        // Nearest pair of right-angled axes: what is too much between them is taken off both alike.
        let lean: f64 = dot(across, down) / 2.0;
        let i = unit(std::array::from_fn(|k| across[k] - lean * down[k]))?;
        let j = unit(std::array::from_fn(|k| down[k] - lean * across[k]))?;
        // The face's own axis (towards the camera) seen in the camera's frame is the third column of (i, j, i x j).
        let k = i[0] * j[1] - i[1] * j[0];
        let roll = j[0].atan2(j[1]);
        let pose = Self {
            yaw: i[2].atan2(k.max(0.0)).to_degrees() as f32,
            pitch: j[2].clamp(-1.0, 1.0).asin().to_degrees() as f32,
            roll: roll.to_degrees() as f32,
        };
        // Both axes of the face, wherever it leans.
        let (s, c) = roll.sin_cos();
        let along = |x: f64, y: f64| {
            let axis: [f64; 3] = std::array::from_fn(|k| x * rows.0[k] + y * rows.1[k]);
            dot(axis, axis).sqrt()
        };
        let aspect = (along(c, s) / along(-s, c)) as f32;
        [pose.yaw, pose.pitch, pose.roll, aspect].iter().all(|v| v.is_finite()).then_some((pose, aspect))
    }
}

/// The mean face about its centre: right, down, towards the camera.
fn model() -> [[f64; 3]; 5] {
    let at = |i: usize| [f64::from(TEMPLATE[i][0]), f64::from(TEMPLATE[i][1]), DEPTH[i]];
    let centre: [f64; 3] = std::array::from_fn(|k| (0..5).map(|i| at(i)[k]).sum::<f64>() / 5.0);
    std::array::from_fn(|i| std::array::from_fn(|k| at(i)[k] - centre[k]))
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn unit(v: [f64; 3]) -> Option<[f64; 3]> {
    let length = dot(v, v).sqrt();
    (length.is_finite() && length > 1e-9).then(|| v.map(|x| x / length))
}

fn invert(m: [[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    // By cofactors: rows and columns taken in turn carry their sign with them.
    let cofactor = |i: usize, j: usize| {
        let at = |a: usize, b: usize| m[(i + a) % 3][(j + b) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let determinant: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
    let ok = determinant.is_finite() && determinant.abs() > 1e-9;
    ok.then(|| std::array::from_fn(|i| std::array::from_fn(|j| cofactor(j, i) / determinant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean face turned and seen from afar.
    fn seen(yaw: f64, pitch: f64, roll: f64) -> [[f32; 2]; 5] {
        let (y, p, r) = (yaw.to_radians(), pitch.to_radians(), roll.to_radians());
        model().map(|[x0, y0, z0]| {
            // About the vertical: the nose goes right; about the horizontal: down; then in the picture.
            let (x1, z1) = (x0 * y.cos() + z0 * y.sin(), z0 * y.cos() - x0 * y.sin());
            let y2 = y0 * p.cos() + z1 * p.sin();
            let (x3, y3) = (x1 * r.cos() - y2 * r.sin(), x1 * r.sin() + y2 * r.cos());
            [(2.0 * x3 + 300.0) as f32, (2.0 * y3 + 200.0) as f32]
        })
    }

    #[test]
    fn a_turned_mean_face_tells_its_turn() {
        for (yaw, pitch, roll) in
            [(0.0, 0.0, 0.0), (30.0, 0.0, 0.0), (-40.0, 0.0, 0.0), (0.0, 25.0, 0.0), (0.0, -15.0, 0.0)]
        {
            let p = Pose::of(&seen(yaw, pitch, roll)).unwrap();
            for (found, made) in [(p.yaw, yaw), (p.pitch, pitch), (p.roll, roll)] {
                assert!((f64::from(found) - made).abs() < 0.1, "{yaw} {pitch} {roll}: {p:?}");
            }
        }
        let p = Pose::of(&seen(0.0, 0.0, 20.0)).unwrap();
        assert!((p.roll - 20.0).abs() < 0.1 && p.yaw.abs() < 0.1, "{p:?}");
    }

    /// What a challenge rests on: a head keeps its proportions as it turns, a plane looks ahead however it is turned and
    /// gets narrower.
    #[test]
    fn a_head_keeps_its_aspect_and_a_plane_does_not_look_turned() {
        for (yaw, pitch, roll) in [(0.0, 0.0, 0.0), (30.0, 0.0, 0.0), (0.0, 20.0, 0.0), (-25.0, 0.0, 30.0)] {
            let (_, aspect) = Pose::with_aspect(&seen(yaw, pitch, roll)).unwrap();
            assert!((aspect - 1.0).abs() < 0.02, "{yaw} {pitch} {roll}: {aspect}");
        }
        let ahead = seen(0.0, 0.0, 0.0);
        let narrow = ahead.map(|[x, y]| [300.0 + (x - 300.0) * 0.5, y]);
        let (pose, aspect) = Pose::with_aspect(&narrow).unwrap();
        assert!(pose.yaw.abs() < 0.1 && (aspect - 0.5).abs() < 0.02, "{pose:?} {aspect}");
        let low = ahead.map(|[x, y]| [x, 200.0 + (y - 200.0) * 0.5]);
        let (pose, aspect) = Pose::with_aspect(&low).unwrap();
        assert!(pose.pitch.abs() < 0.1 && (aspect - 2.0).abs() < 0.02, "{pose:?} {aspect}");
    }

    #[test]
    fn landmarks_that_are_none_have_no_pose() {
        assert_eq!(Pose::of(&[[4.0, 4.0]; 5]), None);
        assert_eq!(Pose::of(&[[f32::NAN, 4.0]; 5]), None);
    }
}
