//! Unit vectors turned by a secret: a random rotation of the whole space, the same for every vector of a store. Angles
//! between turned vectors are those between the vectors, so that nothing is lost; a turned vector beside one that was
//! not turned, or was by another secret, tells nothing. Who has the secret, or as many pairs of turned and plain vectors
//! as a vector has values, can turn back.
//!
//! The rotation is drawn evenly from all there are, as a product of reflections (G. W. Stewart, "The efficient
//! generation of random orthogonal matrices", SIAM J. Numer. Anal. 17(3), 1980), from a stream of SHA-256.

use std::f64::consts::TAU;
use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::DIMENSIONS_MAX;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// A rotation of vectors of one size.
#[derive(Clone)]
pub struct Projection {
    dimensions: usize,
    /// One after the other: the mirror of all values, that of all but the first, and so on to the last two.
    mirrors: Zeroizing<Vec<f32>>,
    /// 2 over the squared length of each mirror.
    strengths: Zeroizing<Vec<f64>>,
}

/// Says how large it is, not what.
impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Projection({} values)", self.dimensions)
    }
}

impl Projection {
    /// The rotation that follows from `secret`, for vectors of `dimensions` values, at most [`DIMENSIONS_MAX`].
    pub fn of(secret: &[u8; SECRET_BYTES], dimensions: usize) -> Self {
        let dimensions = dimensions.min(DIMENSIONS_MAX);
        let mut stream = Stream::new(secret);
        let mut mirrors = Zeroizing::new(Vec::with_capacity(dimensions * (dimensions + 1) / 2));
        let mut strengths = Zeroizing::new(Vec::with_capacity(dimensions));
        for values in (2..=dimensions).rev() {
            let first = mirrors.len();
            mirrors.extend((0..values).map(|_| stream.gaussian() as f32));
            let mirror = &mut mirrors[first..];
            let length = |v: &[f32]| v.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
            // The mirror that throws the first axis upon the drawn vector, which has any direction as likely as any other.
            mirror[0] -= length(mirror).sqrt() as f32;
            // A length of 0 would need every draw to be 0.
            strengths.push(2.0 / length(mirror).max(f64::MIN_POSITIVE));
        }
        Self { dimensions, mirrors, strengths }
    }

    /// Values of a vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Turns `vector` in place; one of another size stays as it is.
    pub fn turn(&self, vector: &mut [f32]) {
        self.apply(vector, false);
    }

    /// Undoes [`Projection::turn`].
    pub fn turn_back(&self, vector: &mut [f32]) {
        self.apply(vector, true);
    }

    fn apply(&self, vector: &mut [f32], back: bool) {
        if vector.len() != self.dimensions {
            return;
        }
        // Twice as fine as what comes in, so that 200 reflections leave no trace; nothing is allocated.
        let mut values = [0.0f64; DIMENSIONS_MAX];
        let values = &mut values[..self.dimensions];
        values.iter_mut().zip(&*vector).for_each(|(to, from)| *to = f64::from(*from));
        for step in 0..self.strengths.len() {
            let skipped = if back { self.strengths.len() - 1 - step } else { step };
            // The mirrors before it have dimensions, dimensions - 1, ... values.
            let start = skipped * self.dimensions - skipped * skipped.saturating_sub(1) / 2;
            let part = &mut values[skipped..];
            let mirror = &self.mirrors[start..start + part.len()];
            let along: f64 = part.iter().zip(mirror).map(|(v, m)| v * f64::from(*m)).sum();
            let by = along * self.strengths[skipped];
            part.iter_mut().zip(mirror).for_each(|(v, m)| *v -= by * f64::from(*m));
        }
        vector.iter_mut().zip(&*values).for_each(|(to, from)| *to = *from as f32);
        values.zeroize();
    }
}

/// Under what name the vectors of the network with the hash `network`, 64 digits, go once they are turned by `secret`:
/// one that no network and no other secret has, so that the two are never compared. The name of the name is the hash
/// again; what is no such hash stays as it is.
pub fn name(secret: &[u8; SECRET_BYTES], network: &str) -> String {
    let mask = Sha256::new().chain_update(b"till people projected network 1").chain_update(secret).finalize();
    let digit = |c: u8| (c as char).to_digit(16);
    let pairs = network.as_bytes().as_chunks::<2>().0.iter().zip(mask);
    let bytes: Option<Vec<u8>> = pairs.map(|([a, b], m)| Some((digit(*a)? * 16 + digit(*b)?) as u8 ^ m)).collect();
    match bytes {
        Some(bytes) if network.len() == 64 => bytes.iter().map(|b| format!("{b:02x}")).collect(),
        _ => network.to_owned(),
    }
}

/// Numbers that nobody foretells without the secret.
struct Stream {
    seed: Sha256,
    block: Zeroizing<[u8; 32]>,
    counter: u64,
    used: usize,
}

impl Stream {
    fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        let seed = Sha256::new().chain_update(b"till people projection 1").chain_update(secret);
        Self { seed, block: Zeroizing::new([0; 32]), counter: 0, used: 32 }
    }

    /// Above 0, at most 1, evenly.
    fn even(&mut self) -> f64 {
        if self.used == 32 {
            let block = self.seed.clone().chain_update(self.counter.to_le_bytes()).finalize();
            self.block.copy_from_slice(&block);
            (self.counter, self.used) = (self.counter + 1, 0);
        }
        let word: [u8; 4] = std::array::from_fn(|i| self.block[self.used + i]);
        self.used += 4;
        (f64::from(u32::from_le_bytes(word)) + 1.0) / 4_294_967_296.0
    }

    /// Mean 0, deviation 1 (G. Box and M. Muller, 1958).
    fn gaussian(&mut self) -> f64 {
        let (radius, angle) = (self.even(), self.even());
        (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::dot;
    use super::*;

    fn unit(seed: u8, dimensions: usize) -> Vec<f32> {
        let mut stream = Stream::new(&[seed; 32]);
        let v: Vec<f64> = (0..dimensions).map(|_| stream.gaussian()).collect();
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        v.iter().map(|x| (x / length) as f32).collect()
    }

    #[test]
    fn angles_stay_and_turning_back_gives_the_vector() {
        for dimensions in [1, 2, 3, 16, 192, 512] {
            let projection = Projection::of(&[7; 32], dimensions);
            for seed in 0..10 {
                let (a, b) = (unit(seed, dimensions), unit(seed + 100, dimensions));
                let (mut c, mut d) = (a.clone(), b.clone());
                projection.turn(&mut c);
                projection.turn(&mut d);
                assert!((dot(&a, &b) - dot(&c, &d)).abs() < 1e-6, "{dimensions} values");
                if dimensions >= 16 {
                    assert!(dot(&a, &c).abs() < 0.9, "{dimensions} values: it was turned");
                }
                projection.turn_back(&mut c);
                let off = a.iter().zip(&c).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
                assert!(off < 1e-6, "{dimensions} values: {off}");
            }
        }
    }

    /// A vector under two secrets, and under one beside itself, is as near as two strangers' random vectors: the cosines
    /// have the mean 0 and the deviation 1 over the root of the values.
    #[test]
    fn under_another_secret_the_same_vector_is_a_strangers() {
        let cosines: Vec<f32> = (0..=200u8)
            .flat_map(|seed| {
                let v = unit(seed, 192);
                let (mut a, mut b) = (v.clone(), v.clone());
                Projection::of(&[seed; 32], 192).turn(&mut a);
                Projection::of(&[seed ^ 0x80; 32], 192).turn(&mut b);
                [dot(&a, &b), dot(&a, &v)]
            })
            .collect();
        let n = cosines.len() as f32;
        let mean = cosines.iter().sum::<f32>() / n;
        let deviation = (cosines.iter().map(|c| c * c).sum::<f32>() / n).sqrt();
        assert!(mean.abs() < 0.015 && (0.062..0.083).contains(&deviation), "{mean} {deviation}");
    }

    /// A vault is read by later versions, too: the rotation of a secret never changes.
    #[test]
    fn a_secrets_rotation_is_this_one() {
        let projection = Projection::of(&[1; 32], 4);
        let mut v = [1.0, 0.0, 0.0, 0.0];
        projection.turn(&mut v);
        let expected = [0.169_375_82, 0.517_673_4, 0.121_299_416, 0.829_826_83];
        assert!(v.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{v:?}");
        assert_eq!(format!("{projection:?}"), "Projection(4 values)");
    }

    #[test]
    fn a_network_has_another_name_under_each_secret_and_its_own_again_under_the_same() {
        let network = "0123456789abcdef".repeat(4);
        let (one, two) = (name(&[1; 32], &network), name(&[2; 32], &network));
        assert!(one.len() == 64 && one != network && one != two);
        assert_eq!((name(&[1; 32], &one), name(&[1; 32], "n")), (network, "n".to_owned()));
    }
}
