//! Tests of the whole: each module drives till from outside.

mod alloc;
mod docs;
mod help;
mod parity;
