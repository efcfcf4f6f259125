//! What is said over the link. Postcard encodes these types in the order in which they stand here: a
//! variant or field may only ever be added at the end of its enum, never moved; [`SCHEMA`] tells two
//! builds that differ apart.

mod record;
mod to_pos;
mod to_till;

use serde::{Deserialize, Serialize};

pub use record::{
    Cart, Currency, Evidence, JPEG_BYTES_MAX, LINES_MAX, Line, Name, PRICES_MAX, Price, SaleId, Sku, Text,
};
pub use to_pos::ToPos;
pub use to_till::ToTill;

/// The schema that [`SCHEMA`] is the CRC-32C of. Written by hand, held to the types by a test's bytes.
pub const SCHEMA_TEXT: &str = "till-link/1 \
sale{counter,epoch,session:u32} line{sku:str32,name:str48,unit:i64,quantity:u16,evidence} \
evidence{votes,frames,score:u16,mass:bool} cart{lines:24,total:i64,currency:[u8;3],catalogue:u32,mass_g:i32} \
price{sku:str32,unit:i64} prices:16 jpeg:512 \
topos[opened,cart,offer,withdrawn,closed,query,attention,member,state,clock,queryprices,price,thumbnail,guide] \
totill[paid,cancel,outcome,override,language,acknowledge,queryprice,prices,recognise,enrol] \
outcome[paid,cancelled,abandoned] tender[cash,card,member,other] \
attention[uncertainitem,unknownitem,overlap,outofpicture,massmismatch,cameralost,toomanyitems,outcomeunknown,storagefull,enginefailed,scalelost] \
phase[idle,present,scanning,settled,offered,paid,cancelled,abandoned,clearing,attention] \
rung[tensorrt,onnxruntime,rten,staffmode] precision[fp32,fp16,int8] \
hint[front,right,left,down,up,closer,back,light,still,uncover,alone,done,unknown,known,late,failed]";

/// CRC-32C of [`SCHEMA_TEXT`], exchanged in HELLO.
///
/// ```
/// use till_link::message::{SCHEMA, SCHEMA_TEXT};
/// assert_eq!(SCHEMA, till_link::frame::CRC.checksum(SCHEMA_TEXT.as_bytes()));
/// ```
pub const SCHEMA: u32 = crate::frame::CRC.checksum(SCHEMA_TEXT.as_bytes());

/// Why a person is needed, or the shopper must do something.
///
/// ```
/// use till_link::{Attention, ToPos, message::decode};
/// // Message 6, no sale, reason 8, on.
/// let full = ToPos::Attention { sale: None, reason: Attention::StorageFull, on: true };
/// assert_eq!(decode(&[6, 0, 8, 1]), Some(full));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Attention {
    /// An item can't be told for sure.
    UncertainItem,
    /// Goods that the store does not sell.
    UnknownItem,
    /// Goods lie on top of each other.
    Overlap,
    /// Goods lie half out of the picture.
    OutOfPicture,
    /// The scale does not agree with the cart.
    MassMismatch,
    /// The tray camera is gone.
    CameraLost,
    /// More items than the counter handles.
    TooManyItems,
    /// A payment's outcome is not known.
    OutcomeUnknown,
    /// The books on disk can't be written.
    StorageFull,
    /// No engine works.
    EngineFailed,
    /// The scale can't be read.
    ScaleLost,
}

/// Where a session stands.
///
/// ```
/// use till_link::{Phase, Precision, Rung, ToPos, message::decode};
/// let (phase, rung, precision) = (Phase::Idle, Rung::Rten, Some(Precision::Fp32));
/// let bytes = *b"\x08\x00\x02\x06no GPU\x01\x00";
/// let reason = "no GPU".try_into().unwrap();
/// assert_eq!(decode(&bytes), Some(ToPos::State { phase, rung, reason, precision }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Nobody there.
    Idle,
    /// Somebody or something came.
    Present,
    /// The cart follows the tray.
    Scanning,
    /// Scale quiet and cart stable.
    Settled,
    /// The POS shows the offer.
    Offered,
    /// The POS took the money.
    Paid,
    /// The POS cancelled.
    Cancelled,
    /// The shopper left.
    Abandoned,
    /// The tray must be empty before the next session.
    Clearing,
    /// Something is in the way of a sale.
    Attention,
}

/// What runs the detector, best first; the example at [`Phase`] reads one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rung {
    /// TensorRT on the GPU.
    TensorRt,
    /// ONNX Runtime on the CPU.
    OnnxRuntime,
    /// rten on the CPU.
    Rten,
    /// Nothing: a person must serve.
    StaffMode,
}

/// How the detector's network computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// Floats of 32 bits.
    Fp32,
    /// Floats of 16 bits.
    Fp16,
    /// Integers of 8 bits, where the network has them.
    Int8,
}

/// What the person before the face camera should do, or how it ended. Directions are the person's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hint {
    /// Look straight into the camera.
    Front,
    /// Turn the head to the right, a little more.
    Right,
    /// Turn the head to the left, a little more.
    Left,
    /// Look down, a little more.
    Down,
    /// Look up, a little more.
    Up,
    /// Come closer.
    Closer,
    /// Step back.
    Back,
    /// The face is too dark or too bright.
    Light,
    /// Hold still.
    Still,
    /// Something covers the face.
    Uncover,
    /// One person, please.
    Alone,
    /// Done: enrolled.
    Done,
    /// Nobody who is enrolled. A normal answer: any other way to pay is open.
    Unknown,
    /// Not enrolled: this face is a member already.
    Known,
    /// Too much time went by; nothing was kept.
    Late,
    /// It can't be done here: no camera, no engine, no room. Nothing was kept.
    Failed,
}

/// How it was paid.
///
/// ```
/// use till_link::{SaleId, Tender, ToTill};
/// let sale = SaleId { counter: 1, epoch: 7, session: 3 };
/// let paid = ToTill::Paid { sale, revision: 1, tender: Tender::Card, amount_minor: 7_800 };
/// assert!(paid.durable(), "on the disk in the same moment as the money is taken");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tender {
    /// Coins and notes.
    Cash,
    /// A card.
    Card,
    /// A member's account.
    Member,
    /// Anything else.
    Other,
}

/// How a sale ended.
///
/// ```
/// use till_link::{Outcome, SaleId, ToTill, message::decode};
/// // The answer to QueryOutcome of a POS that took the money; `None` is the promise never to take it (L-088).
/// let sale = SaleId { counter: 1, epoch: 7, session: 3 };
/// assert_eq!(decode(&[2, 1, 7, 3, 1, 0]), Some(ToTill::OutcomeIs { sale, outcome: Some(Outcome::Paid) }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Paid: book it.
    Paid,
    /// The POS cancelled it.
    Cancelled,
    /// The shopper left.
    Abandoned,
}

/// Encodes `message` into `buffer` and returns the bytes used, or `None` when it does not fit.
///
/// ```
/// use till_link::{PAYLOAD_BYTES_MAX, ToTill, message::encode};
/// let mut buffer = [0; PAYLOAD_BYTES_MAX];
/// assert_eq!(encode(&ToTill::Language { code: *b"ko" }, &mut buffer), Some(&[4, b'k', b'o'][..]));
/// assert_eq!(encode(&ToTill::Language { code: *b"ko" }, &mut buffer[..2]), None);
/// ```
pub fn encode<'b, M: Serialize>(message: &M, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    postcard::to_slice(message, buffer).ok().map(|bytes| &*bytes)
}

/// Decodes a message; `None` unless the bytes are exactly one.
///
/// ```
/// use till_link::{ToTill, message::decode};
/// assert_eq!(decode(&[4, b'k', b'o']), Some(ToTill::Language { code: *b"ko" }));
/// assert_eq!(decode::<ToTill>(&[4, b'k', b'o', 0]), None);
/// ```
pub fn decode<'b, M: Deserialize<'b>>(bytes: &'b [u8]) -> Option<M> {
    let mut rest = postcard::Deserializer::from_bytes(bytes);
    match M::deserialize(&mut rest) {
        Ok(message) if rest.finalize().is_ok_and(<[u8]>::is_empty) => Some(message),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    fn text<const N: usize>(length: usize) -> heapless::String<N> {
        let mut s = heapless::String::new();
        for _ in 0..length {
            s.push('x').unwrap();
        }
        s
    }

    #[test]
    fn the_largest_message_fits_a_frame() {
        let evidence = Evidence { votes: u16::MAX, frames: u16::MAX, score_permille: u16::MAX, mass_agrees: true };
        let line = Line { sku: text(32), name: text(48), unit_minor: i64::MIN, quantity: u16::MAX, evidence };
        let mut lines = heapless::Vec::new();
        for _ in 0..LINES_MAX {
            lines.push(line.clone()).unwrap();
        }
        let cart = Cart {
            lines,
            total_minor: i64::MIN,
            currency: Currency(*b"KRW"),
            catalogue_version: u32::MAX,
            mass_g: i32::MIN,
        };
        let sale = SaleId { counter: u32::MAX, epoch: u32::MAX, session: u32::MAX };
        let message = ToPos::Closed { sale, revision: u16::MAX, outcome: Outcome::Abandoned, cart };
        let mut buffer = [0; crate::PAYLOAD_BYTES_MAX];
        let bytes = encode(&message, &mut buffer).expect("the largest message must fit");
        assert_eq!(bytes.len(), 2564, "a change here is a change of the specification");
        assert_eq!(decode::<ToPos>(bytes), Some(message));
    }

    #[test]
    fn exact_bytes_of_a_payment() {
        let sale = SaleId { counter: 1, epoch: 0x0102_0304, session: 7 };
        let paid = ToTill::Paid { sale, revision: 1, tender: Tender::Card, amount_minor: 2_400 };
        let mut buffer = [0; 64];
        let bytes = encode(&paid, &mut buffer).unwrap();
        assert_eq!(bytes, [0x00, 0x01, 0x84, 0x86, 0x88, 0x08, 0x07, 0x01, 0x01, 0xc0, 0x25]);
        assert_eq!(decode::<ToTill>(bytes), Some(paid));
        assert_eq!(decode::<ToTill>(&[0x00, 0x01]), None, "cut short");
        assert_eq!(decode::<ToTill>(&[0x04, b'k', b'o', 0]), None, "a byte too many");
    }

    #[test]
    fn a_sum_that_overflows_is_no_sum() {
        let line =
            Line { sku: text(1), name: text(1), unit_minor: i64::MAX, quantity: 2, evidence: Evidence::default() };
        let mut lines = heapless::Vec::new();
        lines.push(line).unwrap();
        let cart = Cart { lines, total_minor: 0, currency: Currency(*b"KRW"), catalogue_version: 0, mass_g: 0 };
        assert_eq!(cart.sum_minor(), None);
        assert_eq!(Currency::new("krw"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = decode::<ToPos>(&bytes);
            let _ = decode::<ToTill>(&bytes);
        }
    }
}
