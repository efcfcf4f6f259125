//! Tests of the whole: each module drives till from outside.

mod acceptance;
mod alloc;
mod badfaces;
mod chain;
mod common;
mod corpus;
mod conform;
mod crash;
mod devices;
mod docs;
mod enrol;
mod faces;
mod heads;
mod help;
mod kill;
mod ladder;
mod members;
mod networks;
mod parity;
mod rollback;
mod scale;
mod secured;
mod shim;
mod v4l2;
mod vault;
#[cfg(feature = "tensorrt")]
mod tensorrt;
mod thumbnail;
