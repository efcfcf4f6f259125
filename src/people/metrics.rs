//! Error rates of comparing and of identifying, and how sure they are.

use std::collections::BTreeMap;

/// Folds of pairs: score, and whether it is one person.
pub type Pair = (f32, bool);

/// The threshold that is right most often: a match is a score of at least it. The middle between two scores, so that
/// it does not lean on one pair.
pub fn best_threshold(pairs: &[Pair]) -> f32 {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let strangers = sorted.iter().filter(|p| !p.1).count();
    // With the threshold above all scores every stranger is right and every person wrong.
    let (mut right, mut best, mut at) = (strangers, strangers, 0usize);
    for (i, p) in sorted.iter().enumerate() {
        if p.1 {
            right += 1;
        } else {
            right -= 1;
        }
        let last_of_its_score = sorted.get(i + 1).is_none_or(|next| next.0 < p.0);
        if last_of_its_score && right > best {
            (best, at) = (right, i + 1);
        }
    }
    match (at.checked_sub(1).and_then(|i| sorted.get(i)), sorted.get(at)) {
        (Some(above), Some(below)) => (above.0 + below.0) / 2.0,
        (Some(above), None) => above.0,
        (None, Some(first)) => first.0 + 1.0,
        (None, None) => 0.0,
    }
}

/// Share of the pairs that `threshold` calls rightly.
pub fn accuracy(pairs: &[Pair], threshold: f32) -> f64 {
    pairs.iter().filter(|p| (p.0 >= threshold) == p.1).count() as f64 / pairs.len().max(1) as f64
}

/// LFW's protocol: each fold is judged with the threshold that is best on all others; with a single fold, with its
/// own best one.
pub fn fold_accuracies(folds: &[Vec<Pair>]) -> Vec<f64> {
    let judge = |i: usize| {
        let others: Vec<Pair> = folds
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i || folds.len() == 1)
            .flat_map(|(_, f)| f.clone())
            .collect();
        accuracy(&folds[i], best_threshold(&others))
    };
    (0..folds.len()).map(judge).collect()
}

/// Mean and standard deviation.
pub fn mean_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt())
}

/// Share of genuine scores that match at the threshold that lets at most `fmr` of the impostor scores match, and that
/// threshold. Of 600 impostor pairs none may match at 1e-3.
pub fn tar_at_fmr(genuine: &[f32], impostor: &[f32], fmr: f64) -> (f64, f32) {
    let mut sorted = impostor.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let allowed = (impostor.len() as f64 * fmr + 1e-9).floor() as usize;
    // Just above the first score that may not match.
    let threshold = sorted.get(allowed).map_or(-1.0, |s| s.next_up());
    let matched = genuine.iter().filter(|s| **s >= threshold).count();
    (matched as f64 / genuine.len().max(1) as f64, threshold)
}

/// One operating point: threshold, share of impostors that pass, share of genuine that don't.
pub type Point = (f32, f64, f64);

/// The error rates at up to `points` thresholds, evenly spread over the scores.
pub fn error_curve(genuine: &[f32], impostor: &[f32], points: usize) -> Vec<Point> {
    let sorted = |v: &[f32]| {
        let mut v = v.to_vec();
        v.sort_by(f32::total_cmp);
        v
    };
    let (genuine, impostor) = (sorted(genuine), sorted(impostor));
    let all = || genuine.iter().chain(&impostor).copied();
    let (low, high) = (all().fold(1.0, f32::min), all().fold(-1.0, f32::max));
    let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    let at = |t: f32| {
        let passes = impostor.len() - impostor.partition_point(|s| *s < t);
        (t, share(passes, impostor.len()), share(genuine.partition_point(|s| *s < t), genuine.len()))
    };
    let step = |i: usize| low + (high - low) * i as f32 / points.max(2).saturating_sub(1) as f32;
    (0..points).map(|i| at(step(i))).collect()
}

/// The error rate at which both are alike.
pub fn equal_error_rate(curve: &[Point]) -> Option<f64> {
    curve.iter().map(|p| p.1.max(p.2)).min_by(f64::total_cmp)
}

/// 95 % interval of a share (Wilson's score interval).
pub fn wilson(hits: usize, of: usize) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (of as f64, 1.959_964);
    let p = hits as f64 / n;
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z * z / n;
    (((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0))
}

/// 95 % interval of a share by drawing people, not pictures, with repetition: pictures of one person fail together.
/// Where nothing or everything fails the draws have no width, and Wilson's interval over the people is given.
pub fn bootstrap(trials: &[(u32, bool)], draws: usize) -> (f64, f64) {
    let mut people = BTreeMap::<u32, (usize, usize)>::new();
    for (person, hit) in trials {
        let entry = people.entry(*person).or_default();
        *entry = (entry.0 + usize::from(*hit), entry.1 + 1);
    }
    let people: Vec<(usize, usize)> = people.into_values().collect();
    let hits: usize = people.iter().map(|p| p.0).sum();
    if hits == 0 || hits == trials.len() {
        return wilson(if hits == 0 { 0 } else { people.len() }, people.len());
    }
    let mut random = Random::new(trials.len() as u64);
    let mut shares: Vec<f64> = (0..draws.max(1))
        .map(|_| {
            let drawn = (0..people.len()).map(|_| people[random.below(people.len())]);
            let (hits, of) = drawn.fold((0, 0), |s, p| (s.0 + p.0, s.1 + p.1));
            hits as f64 / of.max(1) as f64
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    let at = |q: f64| shares[((shares.len() - 1) as f64 * q).round() as usize];
    (at(0.025), at(0.975))
}

/// Random numbers that are the same in each run (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_lies_between_the_two_kinds() {
        let pairs = [(0.9, true), (0.7, true), (0.3, false), (0.1, false)];
        assert_eq!((best_threshold(&pairs), accuracy(&pairs, 0.5)), (0.5, 1.0));
        let mixed = [(0.9, true), (0.6, false), (0.5, true), (0.4, true), (0.1, false)];
        assert_eq!((best_threshold(&mixed), accuracy(&mixed, 0.25)), (0.25, 0.8));
        assert_eq!(best_threshold(&[(0.4, false)]), 1.4, "strangers only: nobody matches");
        // Two of one score can't be told apart, so the threshold must not cut between them.
        assert_eq!(accuracy(&[(0.5, true), (0.5, false)], best_threshold(&[(0.5, true), (0.5, false)])), 0.5);
    }

    #[test]
    fn a_fold_is_judged_by_the_others_threshold() {
        let folds = [vec![(0.9, true), (0.1, false)], vec![(0.2, true), (0.05, false)]];
        // The first fold's threshold is 0.5, the second's 0.125: each does harm to the other.
        assert_eq!(fold_accuracies(&folds), [1.0, 0.5]);
        assert_eq!(fold_accuracies(&folds[..1]), [1.0]);
    }

    #[test]
    fn tar_at_fmr_counts_whole_impostors() {
        let impostor: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let genuine = [0.9985, 0.9995, 0.5];
        assert_eq!(tar_at_fmr(&genuine, &impostor, 1e-3).0, 2.0 / 3.0, "one may match: 0.999");
        assert_eq!(tar_at_fmr(&genuine, &impostor[..999], 1e-3).0, 2.0 / 3.0, "none may: above 0.998");
        assert_eq!(tar_at_fmr(&genuine, &[], 1e-3).0, 1.0);
    }

    #[test]
    fn curves_fall_and_rise_and_meet() {
        let curve = error_curve(&[0.9, 0.8, 0.4], &[0.1, 0.2, 0.5], 101);
        assert!(curve.windows(2).all(|w| w[0].1 >= w[1].1 && w[0].2 <= w[1].2));
        assert!((equal_error_rate(&curve).unwrap() - 1.0 / 3.0).abs() < 1e-9);
    }

    /// Reference: Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662; 0 of 20 is 0 to 0.1611.
    #[test]
    fn wilson_by_the_book() {
        let (low, high) = wilson(81, 263);
        assert!((low - 0.2553).abs() < 1e-4 && (high - 0.3662).abs() < 1e-4, "{low} {high}");
        assert!((wilson(0, 20).1 - 0.1611).abs() < 1e-4 && wilson(0, 20).0 == 0.0);
    }

    #[test]
    fn the_bootstrap_draws_people() {
        // Ten people with ten pictures each, one of whom always fails: as wide as ten trials, not a hundred.
        let trials: Vec<(u32, bool)> = (0..100).map(|i| (i / 10, i / 10 == 0)).collect();
        let (low, high) = bootstrap(&trials, 2000);
        assert!(low == 0.0 && (0.25..=0.4).contains(&high), "{low} {high}");
        assert_eq!(bootstrap(&[(0, false), (1, false)], 100), wilson(0, 2));
    }
}
