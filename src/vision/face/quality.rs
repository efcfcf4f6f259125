//! Whether a face is fit to be recognised or enrolled: named measures, each with a limit. A face that fails is not
//! compared at all, because what a blurred or half hidden face resembles is chance.

use std::fmt;

use super::{Face, Picture, Pose};

/// What was measured of one face.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// The detector's score; it falls when a hand, a mask or the frame's edge hides a part.
    pub score: f32,
    /// Distance of the eyes in pixels.
    pub eyes_px: f32,
    /// Share of the face's box that lies in the frame, 0..=1.
    pub inside: f32,
    /// Mean brightness of the face, 0..=255.
    pub brightness: f32,
    /// Standard deviation of its brightness.
    pub contrast: f32,
    /// Mean difference of neighbouring pixels at 64 pixels a face, in contrasts.
    pub sharpness: f32,
    /// Where it looks.
    pub pose: Pose,
}

/// The measure that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// A part is hidden, or it is no face.
    Occlusion,
    /// Too far away.
    Size,
    /// At the frame's edge.
    Edge,
    /// Too dark, too bright, or no contrast.
    Light,
    /// Out of focus, or moving.
    Blur,
    /// Turned too far.
    Pose,
}

impl Gate {
    /// As written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Occlusion => "occlusion",
            Self::Size => "size",
            Self::Edge => "edge",
            Self::Light => "light",
            Self::Blur => "blur",
            Self::Pose => "pose",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gates {
    /// Least score.
    pub score_min: f32,
    /// Least distance of the eyes in pixels.
    pub eyes_px_min: f32,
    /// Least share inside the frame.
    pub inside_min: f32,
    /// Least and most brightness.
    pub brightness: [f32; 2],
    /// Least contrast.
    pub contrast_min: f32,
    /// Least sharpness.
    pub sharpness_min: f32,
    /// Most degrees to either side, of each turn.
    pub yaw_max: f32,
    /// As above.
    pub pitch_max: f32,
    /// As above.
    pub roll_max: f32,
}

impl Default for Gates {
    /// Set by judgement; not yet weighed against error rates.
    fn default() -> Self {
        Self {
            score_min: 0.9,
            eyes_px_min: 24.0,
            inside_min: 0.9,
            brightness: [40.0, 230.0],
            contrast_min: 15.0,
            sharpness_min: 0.08,
            yaw_max: 45.0,
            pitch_max: 35.0,
            roll_max: 35.0,
        }
    }
}

impl Quality {
    /// Measures `face`, found in `picture`. A face without a pose counts as turned away.
    pub fn of(picture: &mut Picture, face: &Face) -> Self {
        let light = picture.light(face.bbox);
        let [x0, y0, x1, y1] = face.bbox;
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let whole = (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
        let part = (x1.min(w) - x0.max(0.0)).max(0.0) * (y1.min(h) - y0.max(0.0)).max(0.0);
        Self {
            score: face.score,
            eyes_px: face.eyes_px(),
            inside: if whole > 0.0 { part / whole } else { 0.0 },
            brightness: light.mean,
            contrast: light.deviation,
            sharpness: light.detail / light.deviation.max(1.0),
            pose: Pose::of(&face.landmarks).unwrap_or(Pose { yaw: 180.0, pitch: 180.0, roll: 180.0 }),
        }
    }

    /// The first gate that it doesn't pass, in the order in which it helps to tell a person.
    pub fn fails(&self, gates: &Gates) -> Option<Gate> {
        // Written so that NaN fails.
        let gate = |passes: bool, gate: Gate| (!passes).then_some(gate);
        gate(self.score >= gates.score_min, Gate::Occlusion)
            .or_else(|| gate(self.eyes_px >= gates.eyes_px_min, Gate::Size))
            .or_else(|| gate(self.inside >= gates.inside_min, Gate::Edge))
            .or_else(|| gate((gates.brightness[0]..=gates.brightness[1]).contains(&self.brightness), Gate::Light))
            .or_else(|| gate(self.contrast >= gates.contrast_min, Gate::Light))
            .or_else(|| gate(self.sharpness >= gates.sharpness_min, Gate::Blur))
            .or_else(|| {
                let p = self.pose;
                let straight = p.yaw.abs() <= gates.yaw_max && p.pitch.abs() <= gates.pitch_max;
                gate(straight && p.roll.abs() <= gates.roll_max, Gate::Pose)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gate_is_named_and_a_number_that_is_none_fails() {
        let good = Quality {
            score: 0.99,
            eyes_px: 60.0,
            inside: 1.0,
            brightness: 120.0,
            contrast: 40.0,
            sharpness: 0.2,
            pose: Pose::default(),
        };
        let gates = Gates::default();
        assert_eq!(good.fails(&gates), None);
        for (bad, gate) in [
            (Quality { score: 0.5, ..good }, Gate::Occlusion),
            (Quality { eyes_px: 7.0, ..good }, Gate::Size),
            (Quality { inside: 0.4, ..good }, Gate::Edge),
            (Quality { brightness: 3.0, ..good }, Gate::Light),
            (Quality { brightness: f32::NAN, ..good }, Gate::Light),
            (Quality { contrast: 1.0, ..good }, Gate::Light),
            (Quality { sharpness: 0.01, ..good }, Gate::Blur),
            (Quality { pose: Pose { yaw: -70.0, ..Pose::default() }, ..good }, Gate::Pose),
            (Quality { pose: Pose { roll: 180.0, ..Pose::default() }, ..good }, Gate::Pose),
        ] {
            assert_eq!(bad.fails(&gates), Some(gate), "{bad:?}");
        }
    }
}
