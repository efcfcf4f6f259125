//! Frames to observations: pre-process into the engine's input, decode its head, suppress doubles, fuse
//! over time. Nothing after this room knows which network spoke. Read next: `observation`, then `tray`.

pub mod detection;
pub mod error;
pub mod face;
pub mod head;
pub mod metrics;
pub mod nms;
pub mod observation;
pub mod preprocess;
pub mod second;
pub mod thumbnail;
pub mod tray;

pub use detection::Detection;
pub use error::{VisionError, VisionErrorKind};
pub use observation::{
    CANDIDATES_MAX, CLASSES_MAX, Candidate, Candidates, Class, ITEMS_MAX, TrayItem, TrayObservation,
};
pub use second::Second;
pub use tray::{Fusion, Rules, TrayVision};
