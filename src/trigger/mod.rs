//! Lines and load cell to events. Debounce is pure: raw levels and readings come in with their time,
//! [`TriggerEvent`]s go out. Sources (script now; GPIO and IIO have their own files) know no debounce.

pub mod event;

pub use event::TriggerEvent;
