//! The face camera's way: find faces, choose the one that counts, align it, turn it into a vector. Nothing of
//! a picture or vector leaves this room but the [`Face`]s and the embedding that the caller asked for; nothing
//! here writes or logs either. Read next: `look`, then `detector`, `align` and `embed`.
//!
//! Points are in pixels of the frame, the centre of the top left pixel being (0, 0).

pub mod align;
pub mod blazeface;
pub mod choose;
pub mod detector;
pub mod embed;
mod level;
pub mod look;
pub mod mosaic;
pub mod mtcnn;
pub mod passive;
pub mod picture;
pub mod pose;
pub mod quality;
pub mod suppress;
pub mod yunet;

pub use align::Similarity;
pub use choose::{Chosen, Rule};
pub use detector::{Face, FaceDetector};
pub use embed::Embedder;
pub use look::{FaceVision, Looked};
pub use passive::Passive;
pub use picture::Picture;
pub use pose::Pose;
pub use quality::{Gate, Gates, Quality};
