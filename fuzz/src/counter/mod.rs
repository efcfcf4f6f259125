//! Targets of the counter: what a disk and people bring.

mod files;
mod outbox;

pub use files::files;
pub use outbox::outbox;
