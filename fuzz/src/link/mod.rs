//! Targets of the wire: one end never trusts what the other, or the line, brings.

mod endpoint;
mod frame;
mod input;
mod message;
mod secured;
mod stranger;

pub use endpoint::endpoint;
pub use frame::frame;
pub use input::Input;
pub use message::message;
pub use secured::secured;
pub use stranger::stranger;
