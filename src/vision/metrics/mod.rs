//! How well a detector does, in the trade's measures: carts that are right ([`carts`]), COCO's average
//! precision ([`average_precision`]), what was taken for what ([`confusion`]) and what a refusal costs
//! ([`rejection`]), over a data set in COCO's format ([`coco`]). Knows nothing of engines; must give the figures of the published tools.

pub mod average_precision;
pub mod carts;
pub mod coco;
pub mod confusion;
pub mod rejection;

pub use average_precision::{AveragePrecision, Scored, Truth};
pub use carts::{CartScore, Carts, Level};
pub use coco::Dataset;
pub use confusion::Confusion;
pub use rejection::Rejection;
