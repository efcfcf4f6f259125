//! Doubles out: suppression by label, then across labels where two boxes are all but the same, so that one
//! pack is one item and the label it nearly was remains as its runner-up. Allocates nothing; the same boxes in
//! any order give the same result.
//!
//! Sources: greedy, as in every detector; DIoU-NMS: Zheng et al., "Distance-IoU Loss" (arXiv 1911.08287),
//! section 4.3; soft-NMS, linear and Gaussian: Bodla et al., "Soft-NMS" (arXiv 1704.04503), section 3; voting:
//! Gidaris and Komodakis, "Object detection via a multi-region & semantic segmentation-aware CNN model"
//! (arXiv 1505.01749), section 5.

use crate::engine::Manifest;
use crate::engine::suppression::Method;

use super::Detection;
use super::detection::{centre, iou};

/// Boxes of two labels with more overlap than this are one pack, unless the manifest says otherwise.
const ACROSS_IOU: f32 = 0.75;

/// What counts as a double, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nms {
    /// What becomes of a double.
    pub method: Method,
    /// Two boxes of one label with more overlap than this are one.
    pub iou: f32,
    /// Two boxes of different labels with more overlap than this are one pack.
    pub across_iou: f32,
    /// Width of the bell of [`Method::SoftGaussian`].
    pub sigma: f32,
    /// A box that is kept becomes the mean of the boxes of its label that overlap it by more than this.
    pub vote: Option<f32>,
    /// Boxes that score less have no vote, so that measuring down to low scores finds the same boxes.
    pub vote_score: f32,
    /// The label that is never merged with another: a hand over a pack doesn't replace it.
    pub alone: Option<u16>,
    /// Most boxes that are kept.
    pub keep_max: usize,
}

impl Nms {
    /// What `manifest` asks for. `alone` is usually the hand's label.
    pub fn for_manifest(manifest: &Manifest, alone: Option<u16>, keep_max: usize) -> Self {
        let (nms, iou) = (&manifest.nms, manifest.thresholds.nms_iou);
        let across_iou = match nms.class_agnostic {
            true => iou,
            false => nms.across_iou.unwrap_or(ACROSS_IOU.max(iou)),
        };
        let vote_score = manifest.thresholds.score;
        Self { method: nms.method, iou, across_iou, sigma: nms.sigma, vote: nms.vote, vote_score, alone, keep_max }
    }

    /// Replaces `kept` by the boxes of `found` that remain with a score of at least `floor`, best first; the
    /// order of `found` changes. Allocates nothing if `kept` has room for `keep_max`.
    pub fn run(&self, found: &mut [Detection], floor: f32, kept: &mut Vec<Detection>) {
        kept.clear();
        match self.method {
            Method::SoftLinear | Method::SoftGaussian => self.soft(found, floor, kept),
            Method::Greedy | Method::Diou | Method::None => self.hard(found, kept),
        }
        if let Some(limit) = self.vote {
            kept.iter_mut().for_each(|k| self.average(k, found, limit));
        }
    }

    /// Moves `kept` to the mean of its voters, weighted by score.
    fn average(&self, kept: &mut Detection, found: &[Detection], limit: f32) {
        let (mut sum, mut weight) = ([0.0; 4], 0.0);
        for d in found {
            if d.score >= self.vote_score && d.label == kept.label && iou(kept.bbox, d.bbox) > limit {
                sum.iter_mut().zip(d.bbox).for_each(|(s, v)| *s += v * d.score);
                weight += d.score;
            }
        }
        if weight > 0.0 {
            kept.bbox = sum.map(|s| s / weight);
        }
    }

    fn hard(&self, found: &mut [Detection], kept: &mut Vec<Detection>) {
        found.sort_unstable_by(Detection::order);
        for d in found.iter() {
            let room = kept.len() < self.keep_max;
            match kept.iter_mut().find(|k| self.doubles(k, d)) {
                Some(better) => better.offer_runner_up(d.label, d.score),
                None if room => kept.push(*d),
                None => break,
            }
        }
    }

    /// The best of what is left is kept, then everything that overlaps it falls: again and again, since what
    /// falls may be overtaken.
    fn soft(&self, found: &mut [Detection], floor: f32, kept: &mut Vec<Detection>) {
        let mut left = found;
        while kept.len() < self.keep_max {
            let Some((at, _)) = left.iter().enumerate().min_by(|(_, a), (_, b)| a.order(b)) else { break };
            left.swap(0, at);
            let Some((best, rest)) = left.split_first_mut() else { break };
            if best.score < floor {
                break;
            }
            for d in rest.iter_mut() {
                if best.label == d.label {
                    d.score *= self.decay(iou(best.bbox, d.bbox));
                } else if self.doubles(best, d) {
                    best.offer_runner_up(d.label, d.score);
                    d.score = 0.0;
                }
            }
            kept.push(*best);
            left = rest;
        }
    }

    /// What a score is multiplied by, at an overlap with a better box of the same label.
    fn decay(&self, iou: f32) -> f32 {
        match self.method {
            Method::SoftLinear if iou > self.iou => 1.0 - iou,
            Method::SoftGaussian => (-iou * iou / self.sigma).exp(),
            _ => 1.0,
        }
    }

    /// True when `d` is the same pack as the better `kept`.
    fn doubles(&self, kept: &Detection, d: &Detection) -> bool {
        let limit = match kept.label == d.label {
            true if self.method == Method::None => return false,
            true => self.iou,
            false if self.alone == Some(kept.label) || self.alone == Some(d.label) => return false,
            false => self.across_iou,
        };
        let overlap = iou(kept.bbox, d.bbox);
        match self.method {
            // The penalty only takes away: what doesn't overlap enough needs no second look.
            Method::Diou => overlap > limit && overlap - apart(kept.bbox, d.bbox) > limit,
            _ => overlap > limit,
        }
    }
}

/// Distance of two middles over the diagonal of the smallest box around both, each squared; 0..=1.
fn apart(a: [f32; 4], b: [f32; 4]) -> f32 {
    let ([ax, ay], [bx, by]) = (centre(a), centre(b));
    let (dx, dy) = (ax - bx, ay - by);
    let (w, h) = (a[2].max(b[2]) - a[0].min(b[0]), a[3].max(b[3]) - a[1].min(b[1]));
    let diagonal = w * w + h * h;
    if diagonal > 0.0 { (dx * dx + dy * dy) / diagonal } else { 0.0 }
}

#[cfg(test)]
mod tests;
