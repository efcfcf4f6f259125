//! What the study of 2020 used in place of the nearest template: the vote of the k nearest, and linear support vector
//! machines, one a person against all others. Here to be measured beside the nearest template, on the same vectors; the
//! counter uses neither. `docs/accuracy-faces.md` says why.

use std::collections::BTreeMap;

use crate::gallery::search::dot;
use crate::gallery::{Found, Match};
use crate::people::metrics::Random;

/// One person's vector.
pub type Sample<'a> = (u32, &'a [f32]);

/// The two with the highest scores.
fn two(scores: impl Iterator<Item = (u32, f32)>) -> Found {
    let mut found = Found::default();
    for (id, score) in scores {
        let new = Some(Match { id, score });
        if found.best.is_none_or(|best| score > best.score) {
            (found.best, found.second) = (new, found.best);
        } else if found.second.is_none_or(|second| score > second.score) {
            found.second = new;
        }
    }
    found
}

/// The k nearest vectors vote, each with its cosine; a person's score is the sum of its votes over k, -1..=1.
pub fn nearest(samples: &[Sample<'_>], k: usize, probe: &[f32]) -> Found {
    let k = k.clamp(1, samples.len().max(1));
    let mut all: Vec<(f32, u32)> = samples.iter().map(|(id, v)| (dot(v, probe), *id)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut votes = BTreeMap::<u32, f32>::new();
    for (score, id) in all.iter().take(k) {
        *votes.entry(*id).or_default() += score / k as f32;
    }
    two(votes.into_iter())
}

/// Linear machines, one a person: hinge loss, L2, the constant as one more value.
pub struct Svm {
    /// By person; the last value is the constant.
    planes: Vec<(u32, Vec<f32>)>,
}

/// Passes over the samples at most.
const PASSES: usize = 200;
/// Where no multiplier moves more than this any more it is done.
const ENOUGH: f64 = 1e-3;

impl Svm {
    /// Trains one machine a person with the penalty `c` by dual coordinate descent (C.-J. Hsieh et al., "A dual
    /// coordinate descent method for large-scale linear SVM", ICML 2008, algorithm 1 with L1 loss).
    pub fn train(samples: &[Sample<'_>], c: f64) -> Self {
        let mut people: Vec<u32> = samples.iter().map(|s| s.0).collect();
        people.sort_unstable();
        people.dedup();
        let planes = people.into_iter().map(|id| (id, plane(samples, id, c))).collect();
        Self { planes }
    }

    /// How far on each person's side of its plane the probe lies; above 0 is that person.
    pub fn decide(&self, probe: &[f32]) -> Found {
        let score = |plane: &[f32]| match plane.split_last() {
            Some((constant, plane)) => dot(plane, probe) + constant,
            None => f32::NEG_INFINITY,
        };
        two(self.planes.iter().map(|(id, plane)| (*id, score(plane))))
    }
}

fn plane(samples: &[Sample<'_>], person: u32, c: f64) -> Vec<f32> {
    let values = samples.first().map_or(0, |s| s.1.len());
    let (mut plane, mut multipliers) = (vec![0.0f64; values + 1], vec![0.0f64; samples.len()]);
    let lengths: Vec<f64> =
        samples.iter().map(|s| s.1.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() + 1.0).collect();
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let mut random = Random::new(u64::from(person));
    for _ in 0..PASSES {
        // In another order each time, which is what makes it quick.
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i + 1));
        }
        let mut moved = 0.0f64;
        for &i in &order {
            let (id, sample) = samples[i];
            let side = if id == person { 1.0 } else { -1.0 };
            let at: f64 = plane.iter().zip(sample).map(|(w, x)| w * f64::from(*x)).sum::<f64>() + plane[values];
            let slope = side * at - 1.0;
            let before = multipliers[i];
            multipliers[i] = (before - slope / lengths[i]).clamp(0.0, c);
            let step = (multipliers[i] - before) * side;
            if step != 0.0 {
                plane.iter_mut().zip(sample).for_each(|(w, x)| *w += step * f64::from(*x));
                plane[values] += step;
                moved = moved.max(step.abs());
            }
        }
        if moved < ENOUGH * c {
            break;
        }
    }
    plane.into_iter().map(|w| w as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_vote_and_several_near_ones_outvote_the_nearest() {
        let unit = |angle: f32| [angle.to_radians().cos(), angle.to_radians().sin()];
        let vectors = [(1, unit(10.0)), (2, unit(12.0)), (2, unit(-14.0)), (3, unit(90.0))];
        let samples: Vec<Sample<'_>> = vectors.iter().map(|(id, v)| (*id, v.as_slice())).collect();
        let probe = unit(0.0);
        let one = nearest(&samples, 1, &probe);
        assert_eq!((one.best.unwrap().id, one.second), (1, None));
        assert!((one.best.unwrap().score - 10f32.to_radians().cos()).abs() < 1e-6);
        let three = nearest(&samples, 3, &probe);
        assert_eq!((three.best.unwrap().id, three.second.unwrap().id), (2, 1));
        let sum = (12f32.to_radians().cos() + 14f32.to_radians().cos()) / 3.0;
        assert!((three.best.unwrap().score - sum).abs() < 1e-6);
        assert_eq!(nearest(&[], 3, &probe), Found::default());
    }

    /// Two points a side: the plane is known, and so are the scores of the points that bear it.
    #[test]
    fn a_machine_finds_the_plane_of_least_loss() {
        let points = [(1, [1.0, 0.0]), (1, [2.0, 1.0]), (2, [-1.0, 0.0]), (2, [-2.0, 1.0])];
        let samples: Vec<Sample<'_>> = points.iter().map(|(id, v)| (*id, v.as_slice())).collect();
        let svm = Svm::train(&samples, 100.0);
        for (id, point) in &points {
            let found = svm.decide(point);
            assert_eq!(found.best.unwrap().id, *id);
            if point[1] == 0.0 {
                assert!((found.best.unwrap().score - 1.0).abs() < 0.02, "on the margin: {found:?}");
            }
        }
        let between = svm.decide(&[0.0, 0.0]);
        assert!(between.best.unwrap().score.abs() < 0.02, "{between:?}");
    }

    /// The optimum of the dual: against the loss at the plane found, no small step in any direction is better.
    #[test]
    fn no_plane_nearby_has_less_loss() {
        let mut random = Random::new(5);
        let mut value = || random.below(2001) as f32 / 1000.0 - 1.0;
        let points: Vec<(u32, Vec<f32>)> =
            (0..60).map(|i| (i % 3, (0..5).map(|j| value() + f32::from(j == i % 3)).collect())).collect();
        let samples: Vec<Sample<'_>> = points.iter().map(|(id, v)| (*id, v.as_slice())).collect();
        let loss = |w: &[f32]| -> f64 {
            let hinge = |(id, v): &Sample<'_>| {
                let at: f32 = v.iter().zip(w).map(|(x, w)| x * w).sum::<f32>() + w[5];
                f64::from((1.0 - if *id == 0 { at } else { -at }).max(0.0))
            };
            w.iter().map(|w| f64::from(w * w)).sum::<f64>() / 2.0 + samples.iter().map(hinge).sum::<f64>()
        };
        let found = plane(&samples, 0, 1.0);
        let least = loss(&found);
        for i in 0..6 {
            for step in [-0.05, 0.05] {
                let mut other = found.clone();
                other[i] += step;
                assert!(loss(&other) > least - 1e-3, "{i} {step}: {} {least}", loss(&other));
            }
        }
    }
}
