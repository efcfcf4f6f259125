//! How doubles are taken out of a head's boxes: the optional `[nms]` table of an engine's manifest, as plain
//! data. Vision's `nms` does exactly this.

use serde::Deserialize;

/// What happens to a box that overlaps a better one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// It goes when the IoU exceeds the limit.
    #[default]
    Greedy,
    /// It goes when IoU less the distance of the middles exceeds the limit (DIoU-NMS).
    Diou,
    /// Its score falls linearly with the IoU above the limit (soft-NMS).
    SoftLinear,
    /// Its score falls with every IoU, by a bell curve (soft-NMS).
    SoftGaussian,
    /// It stays: the graph took doubles out. Only boxes of different labels still become one pack.
    None,
}

/// The `[nms]` table. The limit itself is `[thresholds] nms_iou`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NmsSpec {
    /// Default greedy.
    pub method: Method,
    /// Boxes of different labels are doubles as those of one label are. Default false.
    pub class_agnostic: bool,
    /// A box stands for every label above the score threshold, not for the best alone. Default false.
    pub multi_label: bool,
    /// Boxes of different labels with more overlap than this are one pack that has a runner-up; 1 is never.
    /// Default 0.75, or `nms_iou` if that is more.
    pub across_iou: Option<f32>,
    /// Width of soft-gaussian's bell. Default 0.5.
    pub sigma: f32,
    /// A box that is kept becomes the mean, weighted by score, of the boxes of its label that overlap it by more
    /// than this. Default none: it stays as it is.
    pub vote: Option<f32>,
}

impl Default for NmsSpec {
    fn default() -> Self {
        Self {
            method: Method::Greedy,
            class_agnostic: false,
            multi_label: false,
            across_iou: None,
            sigma: 0.5,
            vote: None,
        }
    }
}

impl NmsSpec {
    /// The first thing that is wrong, as a sentence that names the key. `nms_iou` is the limit of doubles.
    pub(super) fn check(&self, nms_iou: f32) -> Result<(), String> {
        if let Some(iou) = self.across_iou
            && !(0.0..=1.0).contains(&iou)
        {
            return Err(format!("[nms] across_iou = {iou}: 0 to 1"));
        }
        if !(0.01..=10.0).contains(&self.sigma) {
            return Err(format!("[nms] sigma = {}: 0.01 to 10", self.sigma));
        }
        if let Some(vote) = self.vote {
            // Below nms_iou two packs side by side would pull each other together.
            if !(nms_iou..=1.0).contains(&vote) {
                return Err(format!("[nms] vote = {vote}: nms_iou ({nms_iou}) to 1"));
            }
            if !matches!(self.method, Method::Greedy | Method::Diou) {
                return Err("[nms] vote: only with method greedy or diou, the others take no boxes away".into());
            }
        }
        Ok(())
    }
}
