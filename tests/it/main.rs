//! Tests of the whole: each module drives till from outside.

mod alloc;
mod chain;
mod docs;
mod help;
mod kill;
mod parity;
