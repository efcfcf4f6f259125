//! The best of all, and the best of another id: every vector is compared, so that the answer is exact. The score is
//! the cosine, -1..=1. Nothing is allocated.
//!
//! With halves, these are swept over and a row's own values are read only where its halves leave it possible that it
//! is one of the two: the distance of a row from its halves bounds how far the two scores can be apart (Cauchy and
//! Schwarz). The answer is that of a sweep over the rows, to the bit. What the machine has of vector instructions is
//! found out at run time.

use rten_simd::ops::{BitOps, Extend, NumOps};
use rten_simd::{Isa, SimdOp};

use super::{BLOCK, Block, DIMENSIONS_MAX, Gallery, GalleryError, HalfBlock};

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

    /// A score of at most this changes nothing.
    fn floor(&self) -> f32 {
        self.second.map_or(f32::NEG_INFINITY, |second| second.score)
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
        let mut turned = [0.0f32; DIMENSIONS_MAX];
        let probe = match &self.projection {
            Some(projection) => {
                let turned = &mut turned[..probe.len()];
                turned.copy_from_slice(probe);
                projection.turn(turned);
                turned
            }
            None => probe,
        };
        let mut padded = [Block([0.0; BLOCK]); DIMENSIONS_MAX / BLOCK];
        for (block, values) in padded.iter_mut().zip(probe.chunks(BLOCK)) {
            block.0[..values.len()].copy_from_slice(values);
        }
        let rows = Rows { ids: &self.ids, rows: &self.rows, probe: &padded[..self.blocks()] };
        Ok(match &self.halves {
            None => rows.dispatch(),
            Some(halves) => {
                let slack = self.halves_off * 1.002 + self.dimensions as f32 * f32::EPSILON;
                Halves { rows, halves, slack }.dispatch()
            }
        })
    }

    /// Reads every value that a search sweeps over and does next to nothing with it: what a search's time is compared
    /// with.
    pub fn read(&self) -> f32 {
        match &self.halves {
            None => Read(&self.rows).dispatch(),
            Some(halves) => ReadHalves(halves).dispatch(),
        }
    }

    /// Bytes that a search sweeps over.
    pub fn swept_bytes(&self) -> usize {
        self.halves.as_ref().map_or_else(|| size_of_val(&self.rows[..]), |halves| size_of_val(&halves[..]))
    }
}

/// Sum of the products, `LANES` sums side by side.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (x, y) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += x[i] * y[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Blocks of halves that are fetched ahead, 6 KB: so little is computed on each that waiting for memory would show.
const AHEAD: usize = 48;

/// Every row against the probe.
struct Rows<'a> {
    ids: &'a [u32],
    rows: &'a [Block],
    probe: &'a [Block],
}

impl SimdOp for Rows<'_> {
    type Output = Found;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Found {
        let (mut found, mut floor) = (Found::default(), f32::NEG_INFINITY);
        for (id, row) in self.ids.iter().zip(self.rows.chunks_exact(self.probe.len())) {
            let score = score(isa, self.probe, row);
            if score > floor {
                found.add(*id, score);
                floor = found.floor();
            }
        }
        found
    }
}

/// Every row's halves against the probe; the row itself where they can't rule it out.
struct Halves<'a> {
    rows: Rows<'a>,
    halves: &'a [HalfBlock],
    /// No score of halves is further from the row's than this.
    slack: f32,
}

impl SimdOp for Halves<'_> {
    type Output = Found;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Found {
        let Rows { ids, rows, probe } = self.rows;
        let (mut found, mut floor) = (Found::default(), f32::NEG_INFINITY);
        for (i, halves) in self.halves.chunks_exact(probe.len()).enumerate() {
            if score_of_halves(isa, probe, halves) + self.slack > floor {
                let row = &rows[i * probe.len()..(i + 1) * probe.len()];
                found.add(ids[i], score(isa, probe, row));
                floor = found.floor();
            }
        }
        found
    }
}

/// Sum of the products: four vectors of sums side by side, so that none waits for the one before.
#[inline(always)]
fn score<I: Isa>(isa: I, probe: &[Block], row: &[Block]) -> f32 {
    let ops = isa.f32();
    let mut sums = [ops.zero(); 4];
    for (p, r) in probe.iter().zip(row) {
        for (p, r) in p.0.chunks_exact(4 * ops.len()).zip(r.0.chunks_exact(4 * ops.len())) {
            let (p, r): ([_; 4], [_; 4]) = (ops.load_many(p), ops.load_many(r));
            for k in 0..4 {
                sums[k] = ops.mul_add(p[k], r[k], sums[k]);
            }
        }
    }
    ops.sum(ops.add(ops.add(sums[0], sums[1]), ops.add(sums[2], sums[3])))
}

/// As [`score`], of a row's halves.
#[inline(always)]
fn score_of_halves<I: Isa>(isa: I, probe: &[Block], halves: &[HalfBlock]) -> f32 {
    let (ops, half_ops) = (isa.f32(), isa.f16());
    let mut sums = [ops.zero(); 4];
    for (p, h) in probe.iter().zip(halves) {
        // Both lines of a block.
        let ahead = std::ptr::from_ref(h).wrapping_add(AHEAD);
        half_ops.prefetch(ahead.cast());
        half_ops.prefetch(ahead.wrapping_byte_add(64).cast());
        for (p, h) in p.0.chunks_exact(4 * ops.len()).zip(h.0.chunks_exact(4 * ops.len())) {
            let (p, h): ([_; 4], [_; 2]) = (ops.load_many(p), half_ops.load_many(h));
            sums[0] = ops.mul_add(p[0], half_ops.extend_low(h[0]), sums[0]);
            sums[1] = ops.mul_add(p[1], half_ops.extend_high(h[0]), sums[1]);
            sums[2] = ops.mul_add(p[2], half_ops.extend_low(h[1]), sums[2]);
            sums[3] = ops.mul_add(p[3], half_ops.extend_high(h[1]), sums[3]);
        }
    }
    ops.sum(ops.add(ops.add(sums[0], sums[1]), ops.add(sums[2], sums[3])))
}

struct Read<'a>(&'a [Block]);

impl SimdOp for Read<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> f32 {
        let ops = isa.f32();
        let mut sums = [ops.zero(); 4];
        for block in self.0 {
            for part in block.0.chunks_exact(4 * ops.len()) {
                let part: [_; 4] = ops.load_many(part);
                for k in 0..4 {
                    sums[k] = ops.add(sums[k], part[k]);
                }
            }
        }
        sums.into_iter().map(|sum| ops.sum(sum)).sum()
    }
}

struct ReadHalves<'a>(&'a [HalfBlock]);

impl SimdOp for ReadHalves<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> f32 {
        let (ops, half_ops) = (isa.f32(), isa.f16());
        let mut bits = [half_ops.zero(); 2];
        for block in self.0 {
            for part in block.0.chunks_exact(2 * half_ops.len()) {
                let part: [_; 2] = half_ops.load_many(part);
                for k in 0..2 {
                    bits[k] = half_ops.xor(bits[k], part[k]);
                }
            }
        }
        bits.into_iter().map(|b| ops.sum(half_ops.extend_low(b)) + ops.sum(half_ops.extend_high(b))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Precision;
    use super::*;
    use crate::people::metrics::Random;
    use crate::vision::face::embed::normalise;
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
            for precision in [Precision::F32, Precision::F16] {
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
                prop_assert!((found.best.unwrap().score - scores[0]).abs() < 1e-5);
                prop_assert_eq!(found.second.is_some(), scores.len() > 1);
                if let Some(second) = found.second {
                    prop_assert!((second.score - scores[1]).abs() < 1e-5);
                }
            }
        }
    }

    /// Vectors that halves can't tell apart, of every length up to where the blocks of a sweep repeat: what halves leave
    /// open is decided by the values themselves.
    #[test]
    fn halves_give_the_very_answer_of_the_values() {
        let mut random = Random::new(7);
        let mut value = || random.below(2001) as f32 / 1000.0 - 1.0;
        for dimensions in (1..=70).chain([128, 192, 512, 2048]) {
            let (mut whole, mut halves) =
                (Gallery::new("a", dimensions, Precision::F32), Gallery::new("a", dimensions, Precision::F16));
            let centre: Vec<f32> = (0..dimensions).map(|_| value()).collect();
            for i in 0..200u32 {
                // As near to each other as a tenth of what a half leaves out, and now and then the very same.
                let spread = if i % 7 == 0 { 0.0 } else { 1e-4 };
                let mut v: Vec<f32> = centre.iter().map(|c| c + spread * value()).collect();
                assert!(normalise(&mut v), "{v:?}");
                whole.push("a", i % 50, &v).unwrap();
                halves.push("a", i % 50, &v).unwrap();
            }
            for _ in 0..20 {
                let mut probe: Vec<f32> = centre.iter().map(|c| c + 0.3 * value()).collect();
                normalise(&mut probe);
                assert_eq!(halves.search(&probe).unwrap(), whole.search(&probe).unwrap(), "{dimensions} values");
            }
            assert_eq!(halves.swept_bytes(), whole.swept_bytes() / 2);
        }
    }
}
