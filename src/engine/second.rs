//! When a detector's box is looked at again, and what the second word is worth: the optional `[second]` table of an
//! engine's manifest, as plain data. Vision's `second` does exactly this.

use serde::Deserialize;

/// The `[second]` table. The classifier itself is the engine's one stage.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondSpec {
    /// Least share of the classifier's best label at which its word counts, 0.5 to 1.
    pub sure: f32,
    /// A box that scores less is looked at again, 0 to 1. Default `[thresholds] sure`.
    pub below: Option<f32>,
    /// So is one whose second label scores at least this, 0 to 1. Default 1: never.
    #[serde(default = "one")]
    pub runner_up: f32,
    /// Side of the square that is cut out, in longer sides of the box, 1 to 3. Default 1.15.
    #[serde(default = "around")]
    pub around: f32,
    /// Most boxes of a frame that are looked at again, the best first, 1 to 32. Default 8.
    #[serde(default = "eight")]
    pub boxes_max: usize,
}

impl SecondSpec {
    /// The first thing that is wrong, as a sentence that names the key.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, value, low, high) in [
            ("sure", self.sure, 0.5, 1.0),
            ("below", self.below.unwrap_or(0.0), 0.0, 1.0),
            ("runner_up", self.runner_up, 0.0, 1.0),
            ("around", self.around, 1.0, 3.0),
        ] {
            if !(low..=high).contains(&value) {
                return Err(format!("[second] {key} = {value}: {low} to {high}"));
            }
        }
        match self.boxes_max {
            1..=32 => Ok(()),
            n => Err(format!("[second] boxes_max = {n}: 1 to 32")),
        }
    }
}

fn one() -> f32 {
    1.0
}

fn around() -> f32 {
    1.15
}

fn eight() -> usize {
    8
}
