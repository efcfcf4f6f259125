//! When a thing counts as there, as gone, as lying still: the numbers of fusion, in frames and shares.

use crate::engine::Manifest;
use crate::engine::manifest::{HAND_LABEL, UNKNOWN_LABEL};

use super::track::permille;

/// The numbers of fusion. Frames are processed frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Labels below this are products.
    pub products: u16,
    /// The label of hands and arms.
    pub hand: Option<u16>,
    /// Least score at which a second label counts as a vote.
    pub second_floor: f32,
    /// Least share of the votes, and least mean score, of a label that may be charged, in permille.
    pub sure_permille: u16,
    /// Sightings of the last [`Rules::birth_window`] frames that make a suspicion a thing. Default 3.
    pub birth_frames: u32,
    /// Frames that [`Rules::birth_frames`] are counted in. Default 5.
    pub birth_window: u32,
    /// Frames without a sighting, no hand over it, after which a thing is gone. Default 6.
    pub gone_frames: u16,
    /// Frames that [`Rules::seen_min`] is counted in, at most 32. Default 12.
    pub window: u32,
    /// Sightings in the window that make a thing stable. Default 8.
    pub seen_min: u32,
    /// Frames at rest that make a thing stable. Default 6.
    pub still_frames: u16,
    /// A shift of its middle by more than this share of its side is a move. Default 0.08.
    pub still_shift: f32,
    /// Frames without a coming, going or change of class that make the tray settled. Default 8.
    pub quiet_frames: u16,
    /// Frames for which a hand is believed in after it was last seen. Default 3.
    pub hand_hold_frames: u16,
    /// Share of a thing's box under a hand's box that hides it. Default 0.2.
    pub hidden_share: f32,
    /// Two things with more IoU than this lie on each other. Default 0.4.
    pub overlap_iou: f32,
    /// Two things of which the smaller lies in the other by more than this share lie on each other.
    /// Default 0.7.
    pub overlap_share: f32,
}

impl Rules {
    /// The defaults, with labels and thresholds of `manifest`.
    pub fn for_manifest(manifest: &Manifest) -> Self {
        let index = |name| manifest.labels.index(name).and_then(|i| u16::try_from(i).ok());
        // An engine without the label for unknown goods needs nothing here: no vote will name it.
        debug_assert!(index(UNKNOWN_LABEL).is_none_or(|i| usize::from(i) >= manifest.labels.products()));
        Self {
            products: u16::try_from(manifest.labels.products()).unwrap_or(u16::MAX),
            hand: index(HAND_LABEL),
            second_floor: manifest.thresholds.score,
            sure_permille: permille(manifest.thresholds.sure),
            ..Self::default()
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            products: u16::MAX,
            hand: None,
            second_floor: 0.25,
            sure_permille: 600,
            birth_frames: 3,
            birth_window: 5,
            gone_frames: 6,
            window: 12,
            seen_min: 8,
            still_frames: 6,
            still_shift: 0.08,
            quiet_frames: 8,
            hand_hold_frames: 3,
            hidden_share: 0.2,
            overlap_iou: 0.4,
            overlap_share: 0.7,
        }
    }
}
