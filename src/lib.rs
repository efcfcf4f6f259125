//! The map of till, one paragraph a room, in the order the data flows. A room imports only rooms above
//! it in this list; `docs/architecture.md` has the picture.
// Unsafe code stands in engine/tensorrt and in two files of capture/v4l2, which allow it by name; every other room
// forbids it below.
#![deny(unsafe_code)]
#![warn(missing_docs)]

// Raw TOML (`till.toml` and `conf.d/`) becomes one validated `config::Config`; only that travels on.
#[forbid(unsafe_code)]
pub mod config;
// Files that are replaced whole or not at all.
#[forbid(unsafe_code)]
mod whole;
// What the kernel and udev say of the box, below a root: its sensors, its devices and who plays which role.
#[forbid(unsafe_code)]
pub mod machine;
// Cameras to frames: openers and streams, the newest-frame slot, the state machine of each camera.
pub mod capture;
// Tensors to tensors: manifests and the backends that run a model. Knows nothing of pictures.
pub mod engine;
// Serial devices: bytes in and out without waiting, for the POS's port and for scales.
#[forbid(unsafe_code)]
pub mod tty;
// Lines and load cell to debounced `trigger::TriggerEvent`s.
#[forbid(unsafe_code)]
pub mod trigger;
// The append-only log on disk that every durable message enters before its first byte leaves.
#[forbid(unsafe_code)]
pub mod outbox;
// Unit vectors by id, searched exactly: one piece for faces and products.
#[forbid(unsafe_code)]
pub mod gallery;
// Frames to observations: pre-processing, heads, suppression, fusion over time.
#[forbid(unsafe_code)]
pub mod vision;
// Who is known: thresholds from measured error rates, decisions over several frames, enrolment, the vault of templates.
#[forbid(unsafe_code)]
pub mod people;
// The pure core: a session, its cart, the catalogue and every decision. No thread, file, clock or socket.
#[forbid(unsafe_code)]
pub mod checkout;
// Our end of the link: endpoint, outbox and inbox joined, over a tty.
#[forbid(unsafe_code)]
pub mod port;
// The core joined with its books and triggers: what every driver turns.
#[forbid(unsafe_code)]
pub mod counter;
// The reference POS: journal, screen in the terminal, scripted keys.
#[forbid(unsafe_code)]
pub mod pos;
// The conformance player: a till that plays against any POS over a real line; probes of the line.
#[forbid(unsafe_code)]
pub mod conform;
// Lock-step driver: footage and a script through every room, the same input giving the same bytes.
#[forbid(unsafe_code)]
pub mod replay;
// Seeded faults over core, books and POS: what must hold in any world is checked in thousands.
#[forbid(unsafe_code)]
pub mod sim;
// Threads, channels, supervisor, signals and the control socket: the live driver.
#[forbid(unsafe_code)]
pub mod runtime;
// What can be wrong with a box: checks over its files, each with the line that mends it.
#[forbid(unsafe_code)]
pub mod doctor;
#[cfg(test)]
#[forbid(unsafe_code)]
mod testing;

// One file a command.
#[forbid(unsafe_code)]
pub mod cli;
