//! The serial link between an unattended counter and its POS, for both ends: messages, frames and the
//! acknowledged, resumable exchange of them. No allocator, no standard library, no clock and no port:
//! bytes and time are handed in, bytes and events come out. `SPEC.md` beside this crate is the normative
//! text; requirement ids such as L-042 in comments and tests refer to it.
//!
//! Read in this order: [`message`] (what is said), [`frame`] (how it lies on the wire), [`endpoint`] (how
//! nothing is lost and nothing is taken twice).
//!
//! There are no cargo features: security (module [`secure`]) is always built in and used by an end that is given
//! a key.
//!
//! An end that has nothing to say yet says who it is:
//!
//! ```
//! use till_link::{Config, Endpoint, Resume, Role, WIRE_BYTES_MAX};
//!
//! let config = Config { role: Role::Pos, counter: 1, epoch: 9, boot: 1, window: 4 };
//! let mut end = Endpoint::new(config, Resume::default(), 0, 0, 0);
//! let mut wire = [0; WIRE_BYTES_MAX];
//! let hello = end.poll_transmit(0, &mut (), &mut wire, |_| {}).unwrap();
//! assert_eq!(wire[hello - 1], 0, "a frame ends with its delimiter");
//! assert_eq!(end.poll_transmit(0, &mut (), &mut wire, |_| {}), None);
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod endpoint;
pub mod frame;
pub mod message;
pub mod secure;

pub use endpoint::{Config, Endpoint, Event, Refusal, Resume, Role, Source, Stats};
pub use frame::{FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX, WIRE_BYTES_MAX};
pub use message::{
    Attention, Cart, Currency, Evidence, Hint, Line, Name, Outcome, Phase, Precision, Price, Rung, SaleId, Sku, Tender,
    ToPos, ToTill,
};
pub use secure::{Key, Security};

/// Version of the protocol: major, minor. A different major is refused, a different minor is not.
pub const VERSION: (u8, u8) = (1, 0);
