//! Who it is, over several frames. The frames' vectors add up to one, which is searched once: a single lucky frame
//! can't name anybody, because it has no say of its own. A frame that is unlike the others begins anew: somebody else
//! stepped in.

use crate::gallery::{Found, Gallery, GalleryError, search};

use super::{FmrCurve, Policy};

/// What is asked before anybody is named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Frames that must have added up.
    pub frames_min: u32,
    /// Least cosine of a frame's vector with the sum so far; less is another person.
    pub same_min: f32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { frames_min: 5, same_min: 0.4 }
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// Too few frames yet.
    NotYet,
    /// Nobody who is enrolled, which is a normal answer.
    Unknown,
    /// A member.
    Known {
        /// Whose.
        id: u32,
        /// Cosine with the nearest template.
        score: f32,
        /// How much nearer than the next person.
        margin: f32,
    },
}

/// What the frames of one shopper said so far.
#[derive(Clone)]
pub struct Evidence {
    rules: Rules,
    sum: Vec<f32>,
    mean: Vec<f32>,
    frames: u32,
}

impl Evidence {
    /// Nothing yet, of vectors of `dimensions` values.
    pub fn new(rules: Rules, dimensions: usize) -> Self {
        Self { rules, sum: vec![0.0; dimensions], mean: vec![0.0; dimensions], frames: 0 }
    }

    /// Forgets everything, the values overwritten.
    pub fn reset(&mut self) {
        self.sum.fill(0.0);
        self.mean.fill(0.0);
        self.frames = 0;
    }

    /// Frames that add up.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// The unit vector of all of them together; zeros while there are none.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Adds a frame's unit vector; one of another size is ignored.
    pub fn add(&mut self, vector: &[f32]) {
        if vector.len() != self.sum.len() || !vector.iter().all(|v| v.is_finite()) {
            return;
        }
        if self.frames > 0 && search::dot(&self.mean, vector) < self.rules.same_min {
            self.reset();
        }
        self.sum.iter_mut().zip(vector).for_each(|(s, v)| *s += v);
        self.frames = self.frames.saturating_add(1);
        let length = search::dot(&self.sum, &self.sum).sqrt();
        self.mean.iter_mut().zip(&self.sum).for_each(|(m, s)| *m = s / length.max(1e-12));
    }

    /// Who it is, by `policy` and today's size of `gallery`.
    ///
    /// # Errors
    /// A gallery of vectors of another size.
    pub fn decide(&self, gallery: &Gallery, curve: &FmrCurve, policy: &Policy) -> Result<Decision, GalleryError> {
        if self.frames < self.rules.frames_min {
            return Ok(Decision::NotYet);
        }
        Ok(judge(&gallery.search(&self.mean)?, policy.threshold(curve, gallery.len()), policy.margin))
    }
}

/// The answer to one search: near enough, and clearly nearer than anybody else.
pub fn judge(found: &Found, threshold: f32, margin: f32) -> Decision {
    match (found.best, found.margin()) {
        (Some(best), Some(ahead)) if best.score >= threshold && ahead >= margin => {
            Decision::Known { id: best.id, score: best.score, margin: ahead }
        }
        _ => Decision::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::{Match, Precision};
    use crate::people::metrics::Random;
    use crate::people::threshold::Impostor;

    fn unit(v: [f32; 3]) -> [f32; 3] {
        let n = v.iter().map(|x| x * x).sum::<f32>().sqrt();
        v.map(|x| x / n)
    }

    fn curve() -> FmrCurve {
        let mut random = Random::new(3);
        let score = |r: &mut Random| (r.below(1000) as f32 / 1000.0).powi(4) * 0.5;
        let top = (0..5000).map(|i| Impostor { a: i % 50, b: i % 49, score: score(&mut random) }).collect();
        FmrCurve::measure("n", "made", 50, 100_000, top).unwrap()
    }

    #[test]
    fn one_lucky_frame_names_nobody_and_frames_in_agreement_do() {
        let mut g = Gallery::new("n", 3, Precision::F32);
        g.push("n", 7, &[1.0, 0.0, 0.0]).unwrap();
        g.push("n", 8, &[0.0, 1.0, 0.0]).unwrap();
        let (c, policy) = (curve(), Policy::default());
        let mut e = Evidence::new(Rules { frames_min: 3, same_min: 0.4 }, 3);
        e.add(&[1.0, 0.0, 0.0]);
        assert_eq!(e.decide(&g, &c, &policy).unwrap(), Decision::NotYet);
        e.add(&unit([0.9, 0.1, 0.2]));
        e.add(&unit([0.9, 0.0, -0.2]));
        assert!(matches!(e.decide(&g, &c, &policy).unwrap(), Decision::Known { id: 7, .. }));
        // A stranger between two members, near neither.
        let mut stranger = Evidence::new(Rules { frames_min: 3, same_min: 0.4 }, 3);
        for _ in 0..9 {
            stranger.add(&unit([0.3, 0.3, 0.9]));
        }
        assert_eq!(stranger.decide(&g, &c, &policy).unwrap(), Decision::Unknown);
    }

    #[test]
    fn somebody_else_stepping_in_begins_anew_and_what_is_no_vector_is_ignored() {
        let mut e = Evidence::new(Rules::default(), 3);
        e.add(&[1.0, 0.0, 0.0]);
        e.add(&[1.0, 0.0, 0.0]);
        e.add(&[f32::NAN, 0.0, 0.0]);
        e.add(&[1.0, 0.0]);
        assert_eq!(e.frames(), 2);
        e.add(&[0.0, 1.0, 0.0]);
        assert_eq!(e.frames(), 1);
    }

    #[test]
    fn twins_are_nobody() {
        let m = |id, score| Some(Match { id, score });
        let twins = Found { best: m(1, 0.8), second: m(2, 0.79) };
        assert_eq!(judge(&twins, 0.6, 0.03), Decision::Unknown);
        let clear = Found { best: m(1, 0.8), second: m(2, 0.5) };
        assert!(matches!(judge(&clear, 0.6, 0.03), Decision::Known { id: 1, .. }));
        assert_eq!(judge(&clear, 0.85, 0.03), Decision::Unknown);
        assert_eq!(judge(&Found::default(), 0.1, 0.0), Decision::Unknown);
    }
}
