//! A picture of an offer, put together from its parts. In memory only; a part too many, too few or out of order throws
//! it away (L-093).

use till_link::SaleId;

/// Parts that a picture may have: 64 KiB.
const PARTS_MAX: u16 = 128;

/// What an offer looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The sale and the number of its offer.
    pub of: (SaleId, u16),
    /// The JPEG file, as far as it has come.
    pub jpeg: Vec<u8>,
    next: u16,
    parts: u16,
}

impl Picture {
    /// Takes a part, counted from 0, of so many; gives the picture when it is whole.
    pub fn gather(slot: &mut Option<Self>, of: (SaleId, u16), (part, parts): (u16, u16), jpeg: &[u8]) -> Option<Self> {
        if part == 0 && (1..=PARTS_MAX).contains(&parts) {
            *slot = Some(Self { of, jpeg: Vec::new(), next: 0, parts });
        }
        let picture = slot.as_mut()?;
        if (picture.of, picture.next, picture.parts) != (of, part, parts) {
            *slot = None;
            return None;
        }
        picture.jpeg.extend_from_slice(jpeg);
        picture.next += 1;
        if picture.next == parts { slot.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALE: SaleId = SaleId { counter: 1, epoch: 2, session: 3 };

    #[test]
    fn a_picture_is_whole_or_nothing() {
        let mut slot = None;
        let mut part = |of, at| Picture::gather(&mut slot, of, at, &[at.0 as u8]);
        assert_eq!(part((SALE, 1), (0, 3)), None);
        assert_eq!(part((SALE, 1), (1, 3)), None);
        assert_eq!(part((SALE, 1), (2, 3)).map(|picture| picture.jpeg), Some(vec![0, 1, 2]));
        // A part is missing, comes twice, or belongs to another offer: the next whole one counts.
        for at in [(0, 3), (2, 3), (0, 3), (0, 2), (0, 2)] {
            assert_eq!(part((SALE, 1), at), None);
        }
        assert_eq!(part((SALE, 2), (1, 2)), None);
        assert_eq!(part((SALE, 2), (0, 1)).map(|picture| picture.of), Some((SALE, 2)));
        assert_eq!(part((SALE, 2), (0, 0)), None);
        assert_eq!(part((SALE, 2), (0, u16::MAX)), None);
    }
}
