//! What the counter decides. [`Core`] is a deterministic state machine: facts and a time go in, messages
//! go out. It knows no thread, file, clock, camera or socket, allocates nothing in a step and never panics.
//! Read next: `session` (the one table of states), `cart`, `decision`, `core`.

pub mod cart;
pub mod catalogue;
pub mod core;
pub mod decision;
pub mod facts;
mod member;
pub mod session;

pub use self::core::Core;
pub use catalogue::{Catalogue, Product};
pub use facts::{Effect, FaceSaid, Health, Input, OpenSale, RunsOn, Settings, View};
