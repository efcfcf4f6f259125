//! Unit vectors by id, searched exactly: one piece for faces and, later, for products. A gallery belongs to one
//! network; vectors of another one are refused, because between two networks a distance means nothing. Vectors are
//! never printed, logged or written by this room. Read next: `search`.

pub mod projection;
pub mod search;

use std::fmt;

use rten_simd::f16;
use zeroize::Zeroize;

pub use projection::Projection;
pub use search::{Found, Match};

/// How vectors are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Four bytes a value.
    F32,
    /// Six: half precision (IEEE 754 binary16) beside it, which a search sweeps over. The answers are the same; half
    /// of the memory is read for one, and half as much again is kept.
    F16,
}

/// What kind of failure it was; what to do next depends on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GalleryErrorKind {
    /// Another number of values than the gallery's.
    Dimensions,
    /// No unit vector: no numbers, or another length than 1.
    Vector,
    /// Made by another network.
    Network,
    /// As many vectors as an index can name.
    Full,
}

/// A vector that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GalleryError {
    /// Decides what happens next.
    pub kind: GalleryErrorKind,
    /// For people: what was found. Never holds a value of the vector.
    pub message: String,
}

impl fmt::Display for GalleryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gallery: {}", self.message)
    }
}

impl std::error::Error for GalleryError {}

/// Lengths within this of 1 are 1.
const LENGTH_TOLERANCE: f64 = 1e-3;

/// Whether a vector has the length 1; one with a value that is no number has none.
pub fn is_unit(vector: &[f32]) -> bool {
    (length(vector) - 1.0).abs() <= LENGTH_TOLERANCE
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt()
}

/// Most values of a vector.
pub const DIMENSIONS_MAX: usize = 2048;

/// Values of a block: four of the widest vectors that a machine adds up at once.
const BLOCK: usize = 64;

/// Whole lines of the cache, so that no load crosses two. A vector begins with a block; what is left of its last one
/// is 0.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block([f32; BLOCK]);

/// As [`Block`], in half precision.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct HalfBlock([f16; BLOCK]);

/// Vectors of one network, each with the id it stands for; several may stand for one id.
#[derive(Clone)]
pub struct Gallery {
    network: String,
    dimensions: usize,
    ids: Vec<u32>,
    /// One vector after the other.
    rows: Vec<Block>,
    /// The same in half precision.
    halves: Option<Vec<HalfBlock>>,
    /// Largest distance of a vector from its halves.
    halves_off: f32,
    /// What the vectors were turned by, and probes must be.
    projection: Option<Projection>,
}

impl Gallery {
    /// An empty gallery of vectors of `dimensions` values, made by the network with this hash.
    pub fn new(network: impl Into<String>, dimensions: usize, precision: Precision) -> Self {
        let halves = (precision == Precision::F16).then(Vec::new);
        Self {
            network: network.into(),
            dimensions,
            ids: Vec::new(),
            rows: Vec::new(),
            halves,
            halves_off: 0.0,
            projection: None,
        }
    }

    /// A gallery of vectors that come turned by `projection`; probes come as the network made them.
    pub fn turned_by(mut self, projection: Projection) -> Self {
        self.projection = Some(projection);
        self
    }

    /// Vectors.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True without vectors.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Hash of the network that made the vectors.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Makes room for `vectors` more, so that adding them leaves no copies of the others behind where the gallery grew.
    pub fn reserve(&mut self, vectors: usize) {
        let blocks = vectors.saturating_mul(self.blocks());
        self.ids.reserve_exact(vectors);
        self.rows.reserve_exact(blocks);
        if let Some(halves) = &mut self.halves {
            halves.reserve_exact(blocks);
        }
    }

    /// Adds a vector for `id`, made by `network`.
    ///
    /// # Errors
    /// A vector that the gallery can't hold; it is then as it was.
    pub fn push(&mut self, network: &str, id: u32, vector: &[f32]) -> Result<(), GalleryError> {
        let error = |kind, message| Err(GalleryError { kind, message });
        if network != self.network {
            let message = format!("made by network {network}, the gallery is of {}: enrol anew", self.network);
            return error(GalleryErrorKind::Network, message);
        }
        self.check(vector)?;
        if self.ids.len() >= u32::MAX as usize {
            return error(GalleryErrorKind::Full, format!("{} vectors", self.ids.len()));
        }
        self.rows.extend(vector.chunks(BLOCK).map(|values| {
            let mut block = Block([0.0; BLOCK]);
            block.0[..values.len()].copy_from_slice(values);
            block
        }));
        if let Some(halves) = &mut self.halves {
            halves.extend(vector.chunks(BLOCK).map(|values| {
                let mut block = HalfBlock([f16::default(); BLOCK]);
                block.0.iter_mut().zip(values).for_each(|(half, v)| *half = f16::from_f32(*v));
                block
            }));
            let off = |v: &f32| f64::from(*v) - f64::from(f16::from_f32(*v).to_f32());
            let off = vector.iter().map(|v| off(v) * off(v)).sum::<f64>().sqrt();
            self.halves_off = self.halves_off.max(off.next_up() as f32 * 1.000_001);
        }
        self.ids.push(id);
        Ok(())
    }

    /// Removes every vector of `id`, overwriting its values; says how many there were.
    pub fn remove(&mut self, id: u32) -> usize {
        let before = self.ids.len();
        let mut kept = 0;
        for i in 0..before {
            if self.ids[i] != id {
                self.ids[kept] = self.ids[i];
                self.copy_within(i, kept);
                kept += 1;
            }
        }
        self.ids.truncate(kept);
        let end = kept * self.blocks();
        self.rows[end..].iter_mut().for_each(|block| block.0.zeroize());
        self.rows.truncate(end);
        if let Some(halves) = &mut self.halves {
            wipe(&mut halves[end..]);
            halves.truncate(end);
        }
        before - kept
    }

    /// Blocks of a vector.
    fn blocks(&self) -> usize {
        self.dimensions.div_ceil(BLOCK)
    }

    fn copy_within(&mut self, from: usize, to: usize) {
        let n = self.blocks();
        self.rows.copy_within(from * n..(from + 1) * n, to * n);
        if let Some(halves) = &mut self.halves {
            halves.copy_within(from * n..(from + 1) * n, to * n);
        }
    }

    fn check(&self, vector: &[f32]) -> Result<(), GalleryError> {
        if vector.len() != self.dimensions || vector.len() > DIMENSIONS_MAX {
            let message = format!("{} values, the gallery's vectors have {}", vector.len(), self.dimensions);
            return Err(GalleryError { kind: GalleryErrorKind::Dimensions, message });
        }
        if !is_unit(vector) {
            let message = format!("a vector of length {:.3}, unit vectors are kept", length(vector));
            return Err(GalleryError { kind: GalleryErrorKind::Vector, message });
        }
        Ok(())
    }
}

/// The values are overwritten.
impl Drop for Gallery {
    fn drop(&mut self) {
        self.rows.iter_mut().for_each(|block| block.0.zeroize());
        wipe(self.halves.as_deref_mut().unwrap_or_default());
    }
}

/// Overwrites halves, and keeps the compiler from leaving it out.
fn wipe(halves: &mut [HalfBlock]) {
    halves.iter_mut().for_each(|block| block.0 = [f16::default(); BLOCK]);
    std::hint::black_box(halves);
}

/// Says how much there is, not what.
impl fmt::Debug for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gallery({} vectors of {} values)", self.len(), self.dimensions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_unit_vector_of_this_network_is_refused() {
        let mut g = Gallery::new("a", 2, Precision::F32);
        let kind = |g: &mut Gallery, network: &str, v: &[f32]| g.push(network, 1, v).unwrap_err().kind;
        assert_eq!(kind(&mut g, "b", &[1.0, 0.0]), GalleryErrorKind::Network);
        assert_eq!(kind(&mut g, "a", &[1.0]), GalleryErrorKind::Dimensions);
        for bad in [[f32::NAN, 0.0], [0.0, 0.0], [f32::INFINITY, 0.0], [2.0, 0.0]] {
            assert_eq!(kind(&mut g, "a", &bad), GalleryErrorKind::Vector, "{bad:?}");
        }
        assert!(g.is_empty());
    }

    #[test]
    fn what_room_was_made_for_stays_where_it_is() {
        let mut g = Gallery::new("a", 20, Precision::F16);
        g.reserve(9);
        let mut unit = [0.0; 20];
        unit[0] = 1.0;
        g.push("a", 0, &unit).unwrap();
        let places = |g: &Gallery| (g.ids.as_ptr(), g.rows.as_ptr(), g.halves.as_ref().map(|h| h.as_ptr()));
        let first = places(&g);
        (1..9).for_each(|id| g.push("a", id, &unit).unwrap());
        assert_eq!((places(&g), g.rows.len() == g.rows.capacity()), (first, true));
    }

    #[test]
    fn removal_takes_every_vector_of_the_id_and_no_other() {
        for precision in [Precision::F32, Precision::F16] {
            let mut g = Gallery::new("a", 2, precision);
            for (id, v) in [(1, [1.0, 0.0]), (2, [0.0, 1.0]), (1, [0.6, 0.8]), (3, [-1.0, 0.0])] {
                g.push("a", id, &v).unwrap();
            }
            assert_eq!((g.remove(1), g.remove(1), g.len()), (2, 0, 2));
            let found = g.search(&[0.0, 1.0]).unwrap();
            assert_eq!(found.best.unwrap().id, 2);
            assert_eq!(g.search(&[-1.0, 0.0]).unwrap().best.unwrap().id, 3);
            assert_eq!(format!("{g:?}"), "Gallery(2 vectors of 2 values)");
        }
    }
}
