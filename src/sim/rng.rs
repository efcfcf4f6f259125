//! The only source of chance in a simulation: SplitMix64 (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", 2014). The same seed gives the same world, byte for byte.

/// A seeded generator. Not for keys.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low + ((u128::from(self.bits()) * u128::from(span)) >> 64) as u64
    }

    /// An index below `length`, which is not 0.
    pub fn below(&mut self, length: usize) -> usize {
        self.between(0, (length as u64).saturating_sub(1)) as usize
    }

    /// Whether something happens that happens `permyriad` times in 10,000.
    pub fn chance(&mut self, permyriad: u64) -> bool {
        permyriad > 0 && self.between(0, 9_999) < permyriad
    }

    /// A generator of its own for another part of the world, so that one part's draws don't shift another's.
    pub fn split(&mut self) -> Self {
        Self(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_world_and_numbers_stay_in_their_bounds() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..1_000).map(|_| rng.between(3, 9)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((3..=9).all(|n| draw(7).contains(&n)));
        assert!(draw(7).iter().all(|n| (3..=9).contains(n)));
        // The reference sequence of SplitMix64 for seed 1234567.
        assert_eq!(Rng::new(1_234_567).bits(), 6_457_827_717_110_365_317);
        assert!(!Rng::new(1).chance(0));
        assert!(Rng::new(1).chance(10_000));
    }
}
