//! What the tray camera saw, as plain data. This is all that the core ever learns of a picture.

/// Most items that are followed on a tray at once; more is `too_many`.
pub const ITEMS_MAX: usize = 32;
/// Most classes a detector may have.
pub const CLASSES_MAX: usize = 512;

/// What an item is, as far as vision can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Index into the engine's product labels.
    Product(u16),
    /// Goods that no label names, by the detector's own word.
    Unknown,
    /// Goods, but the evidence for any one label is too thin.
    Unsure,
}

/// Most candidates of one item that are named.
pub const CANDIDATES_MAX: usize = 4;

/// One product that an item may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Index into the engine's product labels.
    pub label: u16,
    /// Its share of the votes' weight, 0..=1000.
    pub share_permille: u16,
    /// Frames that named it, first or second.
    pub votes: u16,
    /// Its mean score in those frames, 0..=1000.
    pub score_permille: u16,
}

/// Candidates, best first; what isn't there is `None`.
pub type Candidates = [Option<Candidate>; CANDIDATES_MAX];

/// One thing on the tray, followed over frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrayItem {
    /// Stays the same while the item lies on the tray.
    pub track: u32,
    /// What it is by the votes of all frames.
    pub class: Class,
    /// What else it may be. A product's are itself and what came after it. An unsure item has some only where
    /// the camera is as sure of them together as it must be of one: it is one of these, and the mass may
    /// decide which.
    pub candidates: Candidates,
    /// Frames that voted for `class`.
    pub votes: u16,
    /// Frames in which the item was seen.
    pub frames: u16,
    /// Mean score of the votes for `class`, 0..=1000.
    pub score_permille: u16,
    /// x0, y0, x1, y1 in pixels of the camera's frame.
    pub bbox: [f32; 4],
    /// The box touches the picture's edge: part of it may be outside.
    pub clipped: bool,
    /// It lies under or over another item far enough to doubt the count.
    pub overlapped: bool,
    /// Seen often enough and lying still.
    pub stable: bool,
}

/// The tray after one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrayObservation {
    /// Monotonic milliseconds of the frame's capture.
    pub at_ms: u64,
    /// The frame's sequence number.
    pub frame: u64,
    /// The items believed to lie on the tray now, including those hidden under a hand.
    pub items: heapless::Vec<TrayItem, ITEMS_MAX>,
    /// A hand or arm is in the picture: what lies beneath can't be counted now.
    pub hand: bool,
    /// Every item is stable, no hand is in the picture, nothing came or went lately.
    pub settled: bool,
    /// More items than [`ITEMS_MAX`].
    pub too_many: bool,
}
