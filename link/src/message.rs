//! What is said over the link. Postcard encodes these types in the order in which they stand here: a
//! variant or field may only ever be added at the end of its enum, never moved; [`SCHEMA`] tells two
//! builds that differ apart.

mod record;

use serde::{Deserialize, Serialize};

pub use record::{
    Cart, Currency, Evidence, JPEG_BYTES_MAX, LINES_MAX, Line, Name, PRICES_MAX, Price, SaleId, Sku, Text,
};

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
rung[tensorrt,onnxruntime,rten,staffmode] \
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
/// use till_link::{Phase, Rung, ToPos, message::decode};
/// let reason = "no engine works".try_into().unwrap();
/// let bytes = *b"\x08\x00\x03\x0fno engine works";
/// assert_eq!(decode(&bytes), Some(ToPos::State { phase: Phase::Idle, rung: Rung::StaffMode, reason }));
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

/// From the counter to the POS.
///
/// ```
/// use till_link::{SaleId, ToPos};
/// let sale = SaleId { counter: 1, epoch: 7, session: 3 };
/// assert!(ToPos::Withdrawn { sale, revision: 1 }.durable());
/// assert!(!ToPos::SessionOpened { sale }.durable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToPos {
    /// A session began.
    SessionOpened {
        /// Its id.
        sale: SaleId,
    },
    /// What lies on the tray now; not yet an offer.
    CartChanged {
        /// The session.
        sale: SaleId,
        /// All of it.
        cart: Cart,
    },
    /// Durable. This may be paid now.
    Offer {
        /// The session.
        sale: SaleId,
        /// Counts the offers of one sale from 1.
        revision: u16,
        /// What is sold.
        cart: Cart,
    },
    /// Durable. The offer holds no longer: do not take money for it.
    Withdrawn {
        /// The session.
        sale: SaleId,
        /// The offer.
        revision: u16,
    },
    /// Durable. The sale is over. With [`Outcome::Paid`] this is the receipt: book it once by `sale`.
    Closed {
        /// The session.
        sale: SaleId,
        /// The offer that it ends.
        revision: u16,
        /// How.
        outcome: Outcome,
        /// What was sold, or would have been.
        cart: Cart,
    },
    /// Durable. The counter restarted and asks what became of an offer. Answer [`ToTill::OutcomeIs`].
    QueryOutcome {
        /// The session.
        sale: SaleId,
        /// The offer.
        revision: u16,
    },
    /// Something is in the way, or is no longer.
    Attention {
        /// The session, if there is one.
        sale: Option<SaleId>,
        /// What.
        reason: Attention,
        /// Whether it stands or has cleared.
        on: bool,
    },
    /// A member was recognised; nothing is charged before they confirm.
    Member {
        /// The session.
        sale: SaleId,
        /// The member's id.
        member: Sku,
        /// Similarity, 0..=1000.
        score_permille: u16,
    },
    /// How the counter is; sent on change and with each new connection.
    State {
        /// Where the session stands.
        phase: Phase,
        /// What runs the detector.
        rung: Rung,
        /// Why it is not the rung above; empty when all is well.
        reason: Text,
    },
    /// The counter's wall clock.
    Clock {
        /// Seconds since 1970.
        unix_s: u64,
        /// Whether anybody set it.
        trusted: bool,
    },
    /// Asks for a part of the POS's price list. Answer [`ToTill::Prices`].
    QueryPrices {
        /// The list whose part is wanted; 0 asks for the beginning of the newest one.
        version: u32,
        /// Counts from 0.
        part: u16,
    },
    /// The answer to [`ToTill::QueryPrice`].
    Price {
        /// Which product.
        sku: Sku,
        /// What the counter charges for one, minor units; `None` if it does not sell it.
        unit_minor: Option<i64>,
        /// Of the price.
        currency: Currency,
        /// The version of the price list.
        catalogue_version: u32,
    },
    /// A part of a picture of the tray, a JPEG file cut into pieces of [`JPEG_BYTES_MAX`]; of use only when
    /// all parts came. It waits for everything else that is to be said.
    Thumbnail {
        /// The session.
        sale: SaleId,
        /// The offer that it shows.
        revision: u16,
        /// Counts from 0.
        part: u16,
        /// How many there are.
        parts: u16,
        /// The bytes.
        jpeg: heapless::Vec<u8, JPEG_BYTES_MAX>,
    },
    /// What the person before the face camera should do; said while [`ToTill::Recognise`] or [`ToTill::Enrol`] holds.
    Guide {
        /// The session whose shopper asked; `None` for an enrolment.
        sale: Option<SaleId>,
        /// What.
        hint: Hint,
        /// Of an enrolment: poses taken so far. Else 0.
        step: u8,
        /// Of an enrolment: poses that are asked for. Else 0.
        steps: u8,
    },
}

impl ToPos {
    /// Whether the message must be on disk before it is sent and acknowledged after it is stored.
    pub fn durable(&self) -> bool {
        matches!(self, Self::Offer { .. } | Self::Withdrawn { .. } | Self::Closed { .. } | Self::QueryOutcome { .. })
    }
}

/// From the POS to the counter.
///
/// ```
/// use till_link::{SaleId, Tender, ToTill};
/// let sale = SaleId { counter: 1, epoch: 7, session: 3 };
/// let paid = ToTill::Paid { sale, revision: 1, tender: Tender::Card, amount_minor: 3_000 };
/// assert!(paid.durable(), "on the POS's disk before its first byte is sent");
/// ```
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box a part of a price list")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToTill {
    /// Durable. The money was taken for this offer.
    Paid {
        /// The session.
        sale: SaleId,
        /// The offer.
        revision: u16,
        /// How.
        tender: Tender,
        /// What was taken, minor units.
        amount_minor: i64,
    },
    /// Durable. The offer was refused at the POS.
    Cancel {
        /// The session.
        sale: SaleId,
    },
    /// Durable. The answer to [`ToPos::QueryOutcome`]; without an outcome the POS took nothing and never
    /// will for this sale.
    OutcomeIs {
        /// The session.
        sale: SaleId,
        /// What became of it.
        outcome: Option<Outcome>,
    },
    /// Durable. A person at the POS settles an attention.
    Override {
        /// The session.
        sale: SaleId,
        /// The reason that is settled.
        reason: Attention,
    },
    /// The language of the shopper, e.g. `ko` or `en`.
    Language {
        /// ISO 639-1.
        code: [u8; 2],
    },
    /// Durable. A person has seen an attention and comes; it stands until its cause goes.
    Acknowledge {
        /// The session that the attention named.
        sale: Option<SaleId>,
        /// The reason that was seen.
        reason: Attention,
    },
    /// What does the counter charge for a product? It answers [`ToPos::Price`].
    QueryPrice {
        /// Which product.
        sku: Sku,
    },
    /// A part of the POS's price list: the answer to [`ToPos::QueryPrices`], or unasked when prices changed.
    Prices {
        /// Of the list; never 0 and never used for another list. 0 says that the POS gives no prices.
        version: u32,
        /// Counts from 0.
        part: u16,
        /// How many there are.
        parts: u16,
        /// Of every price.
        currency: Currency,
        /// Some of the list.
        prices: heapless::Vec<Price, PRICES_MAX>,
    },
    /// The shopper asks to be recognised, or no longer; the latter is also the answer "that is not me". The face
    /// camera is read in between and never else. Answers are [`ToPos::Member`] and [`ToPos::Guide`].
    Recognise {
        /// The session.
        sale: SaleId,
        /// Whether it is asked for.
        on: bool,
    },
    /// A person at the POS begins to enrol a member, or stops; stopped before its end nothing is kept.
    Enrol {
        /// The new member's id.
        member: Sku,
        /// The version of the consent text that was shown and agreed to.
        consent: Sku,
        /// Begin or stop.
        on: bool,
    },
}

impl ToTill {
    /// Whether the message must be on disk before it is sent and acknowledged after it is stored.
    pub fn durable(&self) -> bool {
        !matches!(
            self,
            Self::Language { .. }
                | Self::QueryPrice { .. }
                | Self::Prices { .. }
                | Self::Recognise { .. }
                | Self::Enrol { .. }
        )
    }
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
