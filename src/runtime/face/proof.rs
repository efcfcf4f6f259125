//! Whoever was recognised shows that they are alive: how the face looked so far, then the turns of the challenge.

use std::fmt;

use till_link::{Hint, Sku};

use crate::checkout::FaceSaid;
use crate::config::Liveness;
use crate::people::liveness::{Challenge, Failure, Progress, Rules};
use crate::people::vault;
use crate::vision::VisionError;
use crate::vision::face::{FaceVision, Looked};

/// Mean passive score of the frames that were recognised.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alive {
    sum: f32,
    frames: u32,
    least: f32,
}

impl Alive {
    /// One more frame's score, of which `least` is enough; it is the `frame`th of this person, from 1.
    pub fn add(&mut self, score: f32, least: f32, frame: u32) {
        if frame <= 1 {
            *self = Self::default();
        }
        (self.sum, self.frames, self.least) = (self.sum + score, self.frames + 1, least);
    }

    /// Whether it looked like a picture.
    fn fails(&self) -> bool {
        self.frames > 0 && self.sum / (self.frames as f32) < self.least
    }
}

/// Why somebody is not known to be alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The challenge was not met.
    Challenge(Failure),
    /// It looks like a picture.
    Picture,
    /// The system has no random numbers: an order that can be known is no challenge.
    NoRandom,
}

impl Why {
    /// What the shopper is told where it matters.
    pub fn said(self) -> FaceSaid {
        match self {
            Self::Challenge(Failure::Time) => FaceSaid::Late,
            Self::Challenge(_) | Self::Picture | Self::NoRandom => FaceSaid::Failed,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Challenge(failure) => write!(f, "liveness: {failure}"),
            Self::Picture => f.write_str("liveness: it looks like a picture of a face"),
            Self::NoRandom => f.write_str("liveness: not asked, the system has no random numbers"),
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is not asked here.
    NotAsked,
    /// Alive.
    Alive,
    /// Not known to be.
    Not(Why),
}

/// One member, recognised but not named yet.
pub struct Proof {
    /// Number in the vault.
    pub id: u32,
    /// The shop's own id.
    pub member: Sku,
    /// How alike.
    pub score_permille: u16,
    challenge: Option<Challenge>,
}

impl Proof {
    /// Of somebody who was recognised.
    pub fn new(id: u32, member: Sku, score_permille: u16) -> Self {
        Self { id, member, score_permille, challenge: None }
    }

    /// Begins at `now_ms` for the person with the unit vector `who`; gives the first hint, or the end.
    pub fn begin(&mut self, liveness: Liveness, alive: Alive, who: &[f32], now_ms: u64) -> Result<Hint, End> {
        if liveness == Liveness::Off {
            return Err(End::NotAsked);
        }
        if alive.fails() {
            return Err(End::Not(Why::Picture));
        }
        let seed = vault::seal::random::<8>().map_err(|_| End::Not(Why::NoRandom))?;
        self.challenge = Some(Challenge::new(Rules::default(), u64::from_le_bytes(seed), who, now_ms));
        Ok(Hint::Front)
    }

    /// What a frame showed; gives the next hint, or the end.
    ///
    /// # Errors
    /// An inference that failed.
    pub fn see(
        &mut self,
        looked: &Looked,
        vision: &mut FaceVision,
        vector: &mut Vec<f32>,
        now_ms: u64,
    ) -> Result<Result<Hint, End>, VisionError> {
        let Some(challenge) = &mut self.challenge else { return Ok(Err(End::NotAsked)) };
        Ok(match challenge.look(looked, vector, now_ms, |face, vector| vision.embed(face, vector))? {
            Progress::Asking(hint) => Ok(hint),
            Progress::Passed => Err(End::Alive),
            Progress::Failed(failure) => Err(End::Not(Why::Challenge(failure))),
        })
    }
}
