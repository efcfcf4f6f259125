//! One end of the link with its wire and its books, single-threaded: bytes come from a [`Wire`], what is
//! durable goes into the inbox before it is acknowledged, and out of the outbox before it is sent. Both the
//! counter and the reference POS use it. Read next: `books`; the tty is in `crate::tty`.

mod books;
pub mod entry;
pub mod error;
pub mod key_file;
pub mod memory;
pub mod recovery;

pub use books::{Books, Incoming, Journalled};
pub use error::{PortError, PortErrorKind};

pub use crate::tty::{SerialWire, Wire, pty};
