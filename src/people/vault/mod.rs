//! Where members are kept: nothing but ciphertext on the disk, nobody by halves, nothing left of who was deleted.
//!
//! The folder holds the device key (or it comes from elsewhere, see `key`), two copies of one index, and a file a
//! person. A person's record is closed with a key of its own, drawn anew at each writing; that key, closed with the
//! device key, stands in the index, and the index is closed with the device key as a whole. So
//! - one write of the index makes a person, changes one or ends one: before it all is as it was, after it all is new.
//!   Writing goes over the old bytes, first the one copy, then the other; a torn copy is mended from its twin.
//! - to delete somebody is to write an index without the wrapped key over the old one, twice, and to wait for the
//!   disk. Then the record is ciphertext without a key; it is written over and removed all the same.
//! - a record that was changed, cut, exchanged or taken from an earlier time does not open, because its key is bound to
//!   the vault, the person's number and the generation at which it was written. An index from an earlier time opens as
//!   long as *every* file of the folder is from that time: nothing inside the folder can know that. The generation that
//!   `till people verify` prints, written down elsewhere, tells.
//!
//! Nothing here prints or logs a name, a vector or a key. Read next: `store`, then `record` and `index`.

mod error;
mod files;
mod harden;
mod index;
pub mod key;
pub mod record;
pub mod seal;
mod store;

pub use error::{VaultError, VaultErrorKind};
pub use harden::harden;
pub use key::KeySource;
pub use record::{Consent, Facing, Method, Record, Template};
pub use store::{Person, Vault};

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
