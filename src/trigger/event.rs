//! What the core learns of lines and scale.

/// A debounced fact. Times are the caller's, monotonic milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerEvent {
    /// Somebody stands at the counter (true) or left (false).
    Presence(bool),
    /// The load on the tray, grams, tare subtracted; `quiet` when it has not moved for the settle time.
    Load {
        /// Grams; negative when something was taken off a tared tray.
        grams: i32,
        /// The reading has stood still.
        quiet: bool,
    },
    /// The scale can't be read.
    LoadLost,
}
