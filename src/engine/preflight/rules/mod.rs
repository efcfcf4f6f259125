//! The rules' code, one file a group of `rules.toml`.

pub(super) mod file;
pub(super) mod names;
pub(super) mod operators;
pub(super) mod quantised;
pub(super) mod tensors;
mod values;
