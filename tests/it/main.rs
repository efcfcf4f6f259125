//! Tests of the whole: each module drives till from outside.

mod alloc;
mod chain;
mod help;
mod kill;
mod parity;
