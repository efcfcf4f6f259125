//! The catalogue alone: the core needs vision, and that cameras.

#[path = "../../src/checkout/catalogue/mod.rs"]
mod catalogue;

pub use catalogue::{Catalogue, Product};
