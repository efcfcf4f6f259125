//! Tests of the whole: each module drives till from outside.

mod help;
