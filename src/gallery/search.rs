//! The best of all, and the best of another id: every vector is compared, so that the answer is exact. The score is
//! the cosine, -1..=1. Nothing is allocated.

use super::{Gallery, GalleryError, Values, half};

/// Values that are added up side by side: the machine's vectors, and a fixed order of summation.
const LANES: usize = 16;

/// One id and how near its nearest vector is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// As pushed.
    pub id: u32,
    /// Cosine.
    pub score: f32,
}

/// The two nearest ids.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// The nearest one; none in an empty gallery.
    pub best: Option<Match>,
    /// The nearest one with another id.
    pub second: Option<Match>,
}

impl Found {
    /// How much nearer the best one is; infinite with nobody else there, none with nobody at all.
    pub fn margin(&self) -> Option<f32> {
        self.best.map(|b| self.second.map_or(f32::INFINITY, |s| b.score - s.score))
    }

    fn add(&mut self, id: u32, score: f32) {
        let new = Some(Match { id, score });
        match self.best {
            Some(best) if best.id == id => {
                if score > best.score {
                    self.best = new;
                }
            }
            Some(best) if score <= best.score => {
                if self.second.is_none_or(|s| score > s.score) {
                    self.second = new;
                }
            }
            _ => (self.best, self.second) = (new, self.best),
        }
    }
}

impl Gallery {
    /// The two ids nearest to `probe`.
    ///
    /// # Errors
    /// A probe that is no unit vector of the gallery's size.
    pub fn search(&self, probe: &[f32]) -> Result<Found, GalleryError> {
        self.check(probe)?;
        let mut found = Found::default();
        match &self.values {
            Values::F32(values) => {
                for (id, v) in self.ids.iter().zip(values.chunks_exact(self.dimensions)) {
                    found.add(*id, dot(probe, v));
                }
            }
            Values::F16(values) => {
                for (id, v) in self.ids.iter().zip(values.chunks_exact(self.dimensions)) {
                    found.add(*id, dot_half(probe, v));
                }
            }
        }
        Ok(found)
    }
}

/// Sum of the products, `LANES` sums side by side.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |v| v)
}

#[inline(always)]
fn dot_half(a: &[f32], b: &[u16]) -> f32 {
    sum(a, b, half::to_f32)
}

#[inline(always)]
fn sum<T: Copy>(a: &[f32], b: &[T], value: impl Fn(T) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (x, y) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += x[i] * value(y[i]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * value(*y)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::super::Precision;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn best_and_second_are_two_ids() {
        let mut f = Found::default();
        assert_eq!(f.margin(), None);
        for (id, score) in [(1, 0.2), (1, 0.5), (1, 0.4)] {
            f.add(id, score);
        }
        assert_eq!((f.best, f.second, f.margin()), (Some(Match { id: 1, score: 0.5 }), None, Some(f32::INFINITY)));
        for (id, score) in [(2, 0.3), (3, 0.6), (1, 0.55), (3, 0.1), (2, 0.56)] {
            f.add(id, score);
        }
        assert_eq!((f.best.unwrap().id, f.second), (3, Some(Match { id: 2, score: 0.56 })));
    }

    #[test]
    fn an_empty_gallery_knows_nobody_and_a_probe_that_is_none_is_refused() {
        let g = Gallery::new("a", 3, Precision::F32);
        assert_eq!(g.search(&[1.0, 0.0, 0.0]).unwrap(), Found::default());
        for bad in [&[f32::NAN, 0.0, 0.0][..], &[1.0, 0.0], &[0.0, 0.0, 0.0]] {
            assert!(g.search(bad).is_err());
        }
    }

    proptest! {
        /// Against the plain definition: all scores per id, sorted.
        #[test]
        fn equals_the_plain_search(seed in prop::collection::vec((0u32..6, prop::collection::vec(-1.0f32..1.0, 21)), 1..40)) {
            let unit = |v: &[f32]| -> Vec<f32> {
                let n = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
                v.iter().map(|x| x / n).collect()
            };
            prop_assume!(seed.iter().all(|(_, v)| v.iter().map(|x| x * x).sum::<f32>() > 0.01));
            let probe = unit(&seed[0].1);
            for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::F16, 1e-3)] {
                let mut g = Gallery::new("a", 21, precision);
                let mut best = std::collections::BTreeMap::<u32, f32>::new();
                for (id, v) in &seed {
                    g.push("a", *id, &unit(v)).unwrap();
                    let score: f32 = unit(v).iter().zip(&probe).map(|(a, b)| a * b).sum();
                    let entry = best.entry(*id).or_insert(-2.0);
                    *entry = entry.max(score);
                }
                let mut scores: Vec<f32> = best.values().copied().collect();
                scores.sort_by(|a, b| b.total_cmp(a));
                let found = g.search(&probe).unwrap();
                prop_assert!((found.best.unwrap().score - scores[0]).abs() < tolerance);
                prop_assert_eq!(found.second.is_some(), scores.len() > 1);
                if let Some(second) = found.second {
                    prop_assert!((second.score - scores[1]).abs() < tolerance);
                }
            }
        }
    }
}
