//! Tests of the whole: each module drives till from outside.

mod alloc;
mod help;
mod parity;
