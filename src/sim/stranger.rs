//! Somebody on the cable of a link with a key: hears everything, has no key, says what would pay, if it were
//! believed, and plays back what was said.

use till_link::frame::{self, Accumulator, Kind, Received, SEAL_BYTES};
use till_link::message::SCHEMA;
use till_link::{SaleId, Tender, ToPos, ToTill, WIRE_BYTES_MAX};

use crate::sim::line::End;
use crate::sim::rng::Rng;

/// Frames of each end that are kept to be played back.
const KEPT_MAX: usize = 48;

/// What was heard, by the end that said it.
#[derive(Debug, Default)]
pub struct Stranger {
    kept: [Vec<Vec<u8>>; 2],
    data: [Vec<u8>; 2],
    /// Sale, revision and total of the last offer.
    offer: Option<(SaleId, u16, i64)>,
}

impl Stranger {
    /// `end` sends `frame`. Old ones stay among those that are kept, new ones take the place of any.
    pub fn hears(&mut self, end: End, frame: &[u8], rng: &mut Rng) {
        let kept = &mut self.kept[end as usize];
        if kept.len() < KEPT_MAX {
            kept.push(frame.to_vec());
        } else if let Some(place) = kept.get_mut(rng.below(KEPT_MAX)) {
            place.clear();
            place.extend_from_slice(frame);
        }
        // Behind COBS' first code stands the kind.
        if frame.get(1).is_some_and(|kind| kind & !frame::SEALED == Kind::Data as u8) {
            let data = &mut self.data[end as usize];
            data.clear();
            data.extend_from_slice(frame);
        }
    }

    /// A frame that was said before, by either end.
    pub fn replay(&self, rng: &mut Rng) -> Option<Vec<u8>> {
        let kept = &self.kept[rng.below(2)];
        (!kept.is_empty()).then(|| kept[rng.below(kept.len())].clone())
    }

    /// A frame to the other end than `end`, in its name: plain, or with a seal that is made up.
    pub fn forge(&mut self, end: End, rng: &mut Rng) -> Vec<u8> {
        let (said, heard) = (self.last(end), self.last(if end == End::Till { End::Pos } else { End::Till }));
        if let Some(ToPos::Offer { sale, revision, cart }) =
            [&said, &heard].into_iter().flatten().find_map(|(.., message)| till_link::message::decode(message))
        {
            self.offer = Some((sale, revision, cart.total_minor));
        }
        let pair = |of: &Option<(u32, u32, Vec<u8>)>, more: u32| {
            let (epoch, sequence) = of.as_ref().map_or((77, 0), |(epoch, sequence, _)| (*epoch, *sequence));
            [epoch.to_le_bytes(), (sequence + more).to_le_bytes()].concat()
        };
        let (kind, payload) = match rng.between(0, 5) {
            0 => (Kind::Refuse, vec![rng.between(0, 6) as u8]),
            1 => {
                let words = [SCHEMA, 1, rng.bits() as u32, 0, 77, 1, 77, 0];
                let head = [1, 0, end as u8, rng.between(0, 1) as u8, rng.between(0, 1) as u8];
                (Kind::Hello, head.into_iter().chain(words.into_iter().flat_map(u32::to_le_bytes)).collect())
            }
            2 => (Kind::Gap, pair(&heard, 0)),
            3 => (Kind::Heartbeat, (rng.bits() as u32).to_le_bytes().to_vec()),
            4 if end == End::Pos => {
                let mut buffer = [0; 64];
                let paid = self.offer.and_then(|(sale, revision, amount_minor)| {
                    let paid = ToTill::Paid { sale, revision, tender: Tender::Cash, amount_minor };
                    till_link::message::encode(&paid, &mut buffer).map(|bytes| bytes.to_vec())
                });
                (Kind::Data, [pair(&said, 1), paid.unwrap_or_default()].concat())
            }
            // What the other end is still to store is not yet on its disk.
            _ => (Kind::Ack, pair(&heard, 0)),
        };
        let mut wire = [0; WIRE_BYTES_MAX];
        let length = if rng.chance(5_000) {
            frame::encode(kind, &[&payload], &mut wire)
        } else {
            let mut seal = [0; SEAL_BYTES];
            seal.fill_with(|| rng.bits() as u8);
            frame::encode_sealed(kind, &[&payload], &seal, &mut wire)
        };
        wire[..length.unwrap_or(0)].to_vec()
    }

    /// Epoch, sequence and message of the last DATA of `end`: it can be read, nothing is encrypted.
    fn last(&self, end: End) -> Option<(u32, u32, Vec<u8>)> {
        let mut whole = Accumulator::default();
        let (head, message) = match whole.feed(&self.data[end as usize]).0 {
            Some(Received::Frame(_, payload)) => payload.split_at_checked(8)?,
            Some(Received::Sealed(_, sealed)) => {
                sealed.get(..sealed.len().checked_sub(SEAL_BYTES)?)?.split_at_checked(8)?
            }
            _ => return None,
        };
        let (epoch, sequence) = head.split_first_chunk::<4>()?;
        let sequence = u32::from_le_bytes(sequence.try_into().ok()?);
        Some((u32::from_le_bytes(*epoch), sequence, message.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_knows_what_to_say_and_what_was_said() {
        let (mut stranger, mut rng) = (Stranger::default(), Rng::new(1));
        assert_eq!(stranger.replay(&mut rng), None);
        let sale = SaleId { counter: 1, epoch: 77, session: 5 };
        let currency = till_link::Currency(*b"KRW");
        let cart =
            till_link::Cart { lines: Default::default(), total_minor: 5, currency, catalogue_version: 1, mass_g: 0 };
        let offer = ToPos::Offer { sale, revision: 2, cart };
        let mut message = [0; 256];
        let message = till_link::message::encode(&offer, &mut message).unwrap();
        let head = [77u32.to_le_bytes(), 9u32.to_le_bytes()].concat();
        let mut wire = [0; WIRE_BYTES_MAX];
        let n = frame::encode_sealed(Kind::Data, &[&head, message], &[0; SEAL_BYTES], &mut wire).unwrap();
        stranger.hears(End::Till, &wire[..n], &mut rng);
        assert_eq!((0..50).find_map(|_| stranger.replay(&mut rng)), Some(wire[..n].to_vec()));
        let forged: Vec<Vec<u8>> = (0..200).map(|_| stranger.forge(End::Pos, &mut rng)).collect();
        let says = |found: &dyn Fn(Kind, &[u8]) -> bool| {
            forged.iter().any(|frame| match Accumulator::default().feed(frame).0 {
                Some(Received::Frame(kind, payload)) => found(kind, payload),
                _ => false,
            })
        };
        assert!(says(&|kind, payload| kind == Kind::Ack && payload == head));
        assert!(says(&|kind, payload| {
            kind == Kind::Data
                && matches!(till_link::message::decode(&payload[8..]), Some(ToTill::Paid { sale: of, .. }) if of == sale)
        }));
    }
}
