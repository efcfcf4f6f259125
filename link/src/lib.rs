//! The serial link between an unattended counter and its POS, for both ends: messages, frames and the
//! acknowledged, resumable exchange of them. No allocator, no standard library, no clock and no port:
//! bytes and time are handed in, bytes and events come out. `SPEC.md` beside this crate is the normative
//! text; requirement ids such as L-042 in comments and tests refer to it.
//!
//! Read in this order: [`message`] (what is said), [`frame`] (how it lies on the wire), [`endpoint`] (how
//! nothing is lost and nothing is taken twice).
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod endpoint;
pub mod frame;
pub mod message;

pub use endpoint::{Config, Endpoint, Event, Refusal, Resume, Role, Source, Stats};
pub use frame::{FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX, WIRE_BYTES_MAX};
pub use message::{
    Attention, Cart, Currency, Evidence, Line, Name, Outcome, Phase, Rung, SaleId, Sku, Tender, ToPos, ToTill,
};

/// Version of the protocol: major, minor. A different major is refused, a different minor is not.
pub const VERSION: (u8, u8) = (1, 0);
