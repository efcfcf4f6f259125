//! Lines and load cell to events. Debounce and stability are pure: raw levels and readings come in with
//! their time, [`TriggerEvent`]s go out. Sources know neither. Read next: `debounce`, `scale`, then the sources:
//! `line`, `cell`, `script`; and what goes out, `output`.

pub mod bounce;
pub mod cell;
pub mod debounce;
pub mod error;
pub mod event;
pub mod line;
pub mod output;
pub mod scale;
pub mod script;

pub use debounce::Debounce;
pub use error::{TriggerError, TriggerErrorKind};
pub use event::TriggerEvent;
pub use scale::Scale;

/// What a source delivers, before debounce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawEvent {
    /// The presence line's level.
    Presence(bool),
    /// A reading of the load cell, grams, tare subtracted.
    LoadGrams(i32),
    /// The load cell can't be read.
    LoadLost,
}
