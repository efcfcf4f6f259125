//! Enrolling a face at the counter: asked for pose by pose, each taken from several good frames, with a word after every
//! frame about what to do next. Pure: frames and times come in, guidance goes out, nothing is written. Whoever drops an
//! [`Enrolment`] has ended it, and its vectors are overwritten; only [`Enrolment::finish`] gives them away, and only of
//! a person who is not in the gallery already.

use std::fmt;

use till_link::message::Hint;
use zeroize::Zeroize;

use crate::gallery::search::dot;
use crate::gallery::{Gallery, GalleryError};
use crate::vision::face::embed::normalise;
use crate::vision::face::{Face, Gate, Gates, Looked, Pose, Quality};

use super::vault::Facing;

/// What is asked of an enrolment. Angles are degrees.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Poses in the order in which they are asked for.
    pub order: Vec<Facing>,
    /// Frames that make one pose's template.
    pub frames: u32,
    /// Time between two frames that are taken, so that they differ.
    pub gap_ms: u64,
    /// Most that a front face may be turned to a side,
    pub front_yaw_max: f32,
    /// and up or down: a camera hangs high or low, and faces differ from the mean face by as much.
    pub front_pitch_max: f32,
    /// A turned face is turned from here on
    pub turn_min: f32,
    /// to here,
    pub turn_max: f32,
    /// and a lowered one from here on
    pub down_min: f32,
    /// to here.
    pub down_max: f32,
    /// Most that a face may be turned in the direction that is not asked for.
    pub other_max: f32,
    /// Least cosine of a frame with what was taken before; less is another person.
    pub same_min: f32,
    /// Frames of another person in a row that end it.
    pub others_max: u32,
    /// Time for one pose.
    pub pose_ms_max: u64,
    /// Time without anybody in view.
    pub away_ms_max: u64,
}

impl Default for Rules {
    /// Angles as the landmarks measure them, which is to some ten degrees. Of press photographs of people who look ahead
    /// by and large (844 people of LFW, every eighth) half have a pitch between -3 and 17. Else set by judgement.
    fn default() -> Self {
        Self {
            order: Facing::ALL.to_vec(),
            frames: 5,
            gap_ms: 100,
            front_yaw_max: 15.0,
            front_pitch_max: 25.0,
            turn_min: 15.0,
            turn_max: 40.0,
            down_min: 8.0,
            down_max: 25.0,
            other_max: 18.0,
            same_min: 0.35,
            others_max: 3,
            pose_ms_max: 30_000,
            away_ms_max: 8_000,
        }
    }
}

/// The gates of a camera that enrols: the poses are judged here, so that only a face in profile is turned away.
pub fn gates() -> Gates {
    Gates { yaw_max: 60.0, pitch_max: 60.0, ..Gates::default() }
}

/// What one frame of the face camera showed.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// Nobody, or nobody for long enough yet.
    Nobody,
    /// More than one person.
    Several,
    /// A face that can't be seen well enough.
    Unfit(Gate),
    /// A good face, and its unit vector where [`Enrolment::wants`] it.
    Face(Pose, Option<&'a [f32]>),
}

/// What the person should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guide {
    /// Step in front of the camera.
    StepIn,
    /// One at a time.
    OnePerson,
    /// Come nearer.
    Nearer,
    /// Move to the middle.
    Middle,
    /// Too dark or too bright.
    Light,
    /// Hold still.
    Still,
    /// Something covers the face.
    Uncover,
    /// Do as is asked: look ahead, turn, look down.
    Pose(Facing),
    /// A little more of it.
    More(Facing),
    /// A little less.
    Less(Facing),
    /// Good, stay so.
    Stay(Facing),
    /// All poses are taken.
    Done,
}

impl Guide {
    /// The same for the POS's screen.
    pub fn hint(self) -> Hint {
        match self {
            Self::OnePerson => Hint::Alone,
            Self::Nearer => Hint::Closer,
            Self::Light => Hint::Light,
            Self::Still | Self::Stay(_) => Hint::Still,
            Self::Uncover => Hint::Uncover,
            Self::Done => Hint::Done,
            Self::StepIn | Self::Middle => Hint::Front,
            Self::Pose(Facing::Front) | Self::More(Facing::Front) | Self::Less(Facing::Front) => Hint::Front,
            Self::Pose(Facing::Right) | Self::More(Facing::Right) | Self::Less(Facing::Left) => Hint::Right,
            Self::Pose(Facing::Left) | Self::More(Facing::Left) | Self::Less(Facing::Right) => Hint::Left,
            Self::Pose(Facing::Down) | Self::More(Facing::Down) => Hint::Down,
            Self::Less(Facing::Down) => Hint::Up,
        }
    }
}

impl fmt::Display for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StepIn => "please step in front of the camera",
            Self::OnePerson => "one person, please",
            Self::Nearer => "come a little nearer",
            Self::Middle => "move to the middle of the picture",
            Self::Light => "the light is too weak or too strong here",
            Self::Still => "please hold still",
            Self::Uncover => "please uncover your face",
            Self::Pose(Facing::Front) => "look straight at the camera",
            Self::Pose(Facing::Right) => "turn your head to the right",
            Self::Pose(Facing::Down) => "look down",
            Self::Pose(Facing::Left) => "turn your head to the left",
            Self::More(Facing::Front) | Self::Less(Facing::Front) => "look a little straighter at the camera",
            Self::More(Facing::Right) => "turn a little more to the right",
            Self::More(Facing::Down) => "look down a little more",
            Self::More(Facing::Left) => "turn a little more to the left",
            Self::Less(Facing::Right | Facing::Left) => "not quite so far, turn a little back",
            Self::Less(Facing::Down) => "not quite so far, look up a little",
            Self::Stay(_) => "good, stay like that",
            Self::Done => "thank you, that is all",
        })
    }
}

/// Why it ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The pose was not taken in time.
    Time(Facing),
    /// The person went away.
    Away,
    /// Somebody else stepped in.
    Other,
    /// The person is in the gallery already, under this number.
    Duplicate(u32),
    /// Not all poses are taken yet.
    Unfinished,
}

impl Failure {
    /// The same for the POS's screen.
    pub fn hint(self) -> Hint {
        match self {
            Self::Time(_) | Self::Away => Hint::Late,
            Self::Duplicate(_) => Hint::Known,
            Self::Other | Self::Unfinished => Hint::Failed,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(facing) => write!(f, "no good picture of the pose {facing} came in time"),
            Self::Away => f.write_str("the person went away"),
            Self::Other => f.write_str("somebody else stepped in"),
            Self::Duplicate(number) => write!(f, "this face is enrolled already, as number {number}"),
            Self::Unfinished => f.write_str("not every pose was taken"),
        }
    }
}

impl std::error::Error for Failure {}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Under way: what to do, and the poses taken so far.
    Asking {
        /// What to do.
        guide: Guide,
        /// Of how many.
        taken: usize,
    },
    /// Everything is taken.
    Done,
    /// Ended.
    Failed(Failure),
}

/// One pose that was taken: its unit vector, overwritten when it is dropped.
#[derive(Clone)]
pub struct Taken {
    /// Which.
    pub facing: Facing,
    /// The mean of its frames.
    pub vector: Vec<f32>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.vector.zeroize();
    }
}

/// One person being enrolled.
pub struct Enrolment {
    rules: Rules,
    taken: Vec<Taken>,
    /// Of the pose under way.
    sum: Vec<f32>,
    frames: u32,
    /// Where the head points when it looks straight ahead, once that was taken.
    ahead: Pose,
    ahead_sum: Pose,
    others: u32,
    pose_since_ms: u64,
    seen_ms: u64,
    frame_ms: Option<u64>,
    failed: Option<Failure>,
}

/// Overwritten, so that a cancelled enrolment leaves nothing.
impl Drop for Enrolment {
    fn drop(&mut self) {
        self.sum.zeroize();
    }
}

impl Enrolment {
    /// Begins at `now_ms`.
    pub fn new(rules: Rules, now_ms: u64) -> Self {
        Self {
            rules,
            taken: Vec::new(),
            sum: Vec::new(),
            frames: 0,
            ahead: Pose::default(),
            ahead_sum: Pose::default(),
            others: 0,
            pose_since_ms: now_ms,
            seen_ms: now_ms,
            frame_ms: None,
            failed: None,
        }
    }

    /// The pose that is asked for; none when all are taken or it failed.
    pub fn asked(&self) -> Option<Facing> {
        self.rules.order.get(self.taken.len()).copied().filter(|_| self.failed.is_none())
    }

    /// Whether a face of this quality is worth its vector at `now_ms`: the pose is right, and not just after another.
    pub fn wants(&self, quality: &Quality, now_ms: u64) -> bool {
        let due = self.frame_ms.is_none_or(|last| now_ms.saturating_sub(last) >= self.rules.gap_ms);
        due && self.asked().is_some_and(|facing| self.guide(facing, quality.pose) == Guide::Stay(facing))
    }

    /// Takes what the face camera's chain made of a frame; `embed` writes a face's unit vector and is asked only for a face
    /// that is worth it.
    ///
    /// # Errors
    /// What `embed` said.
    pub fn look<E>(
        &mut self,
        looked: &Looked,
        vector: &mut Vec<f32>,
        now_ms: u64,
        embed: impl FnOnce(&Face, &mut Vec<f32>) -> Result<(), E>,
    ) -> Result<Progress, E> {
        let seen = match looked {
            Looked::Nobody | Looked::Waiting => Seen::Nobody,
            Looked::Several => Seen::Several,
            Looked::Unfit(gate, _) => Seen::Unfit(*gate),
            Looked::Fit(face, quality) => {
                let wanted = self.wants(quality, now_ms);
                if wanted {
                    embed(face, vector)?;
                }
                Seen::Face(quality.pose, wanted.then_some(vector.as_slice()))
            }
        };
        Ok(self.see(seen, now_ms))
    }

    /// Takes what a frame showed at `now_ms`, which never goes back; after the end nothing changes any more.
    pub fn see(&mut self, seen: Seen<'_>, now_ms: u64) -> Progress {
        let Some(facing) = self.asked() else { return self.progress(Guide::Done) };
        let guide = match seen {
            Seen::Nobody => Guide::StepIn,
            Seen::Several => Guide::OnePerson,
            Seen::Unfit(Gate::Size) => Guide::Nearer,
            Seen::Unfit(Gate::Edge) => Guide::Middle,
            Seen::Unfit(Gate::Light) => Guide::Light,
            Seen::Unfit(Gate::Blur) => Guide::Still,
            Seen::Unfit(Gate::Occlusion) => Guide::Uncover,
            Seen::Unfit(Gate::Pose) => Guide::Less(facing),
            Seen::Face(pose, _) => self.guide(facing, pose),
        };
        if !matches!(seen, Seen::Nobody) {
            self.seen_ms = now_ms;
        }
        if let (Seen::Face(pose, Some(vector)), Guide::Stay(_)) = (seen, guide) {
            self.take(facing, pose, vector, now_ms);
        }
        if self.failed.is_none() && self.asked() == Some(facing) {
            if now_ms.saturating_sub(self.seen_ms) >= self.rules.away_ms_max {
                self.fail(Failure::Away);
            } else if now_ms.saturating_sub(self.pose_since_ms) >= self.rules.pose_ms_max {
                self.fail(Failure::Time(facing));
            }
        }
        // A pose that was just taken is followed by the word for the next one.
        self.progress(if self.asked() == Some(facing) { guide } else { Guide::Pose(facing) })
    }

    fn progress(&self, guide: Guide) -> Progress {
        match (self.failed, self.asked()) {
            (Some(failure), _) => Progress::Failed(failure),
            (None, None) => Progress::Done,
            (None, Some(facing)) => {
                let guide = if let Guide::Pose(_) = guide { Guide::Pose(facing) } else { guide };
                Progress::Asking { guide, taken: self.taken.len() }
            }
        }
    }

    /// What somebody who is asked for `facing` and holds the head like this should do. Angles that are no numbers are
    /// not right.
    fn guide(&self, facing: Facing, pose: Pose) -> Guide {
        let (yaw, pitch) = (pose.yaw - self.ahead.yaw, pose.pitch - self.ahead.pitch);
        let r = &self.rules;
        // The camera sees the person's right at its left.
        let (turned, min, max, other) = match facing {
            Facing::Front => {
                let straight = yaw.abs() <= r.front_yaw_max && pitch.abs() <= r.front_pitch_max;
                return if straight { Guide::Stay(facing) } else { Guide::Pose(facing) };
            }
            Facing::Right => (-yaw, r.turn_min, r.turn_max, pitch),
            Facing::Left => (yaw, r.turn_min, r.turn_max, pitch),
            Facing::Down => (pitch, r.down_min, r.down_max, yaw),
        };
        if (min..=max).contains(&turned) && other.abs() <= r.other_max {
            Guide::Stay(facing)
        } else if turned > max {
            Guide::Less(facing)
        } else if turned > min / 3.0 && other.abs() <= r.other_max {
            Guide::More(facing)
        } else {
            Guide::Pose(facing)
        }
    }

    fn take(&mut self, facing: Facing, pose: Pose, vector: &[f32], now_ms: u64) {
        let whole = crate::gallery::is_unit(vector);
        if !whole || self.taken.first().is_some_and(|t| t.vector.len() != vector.len()) {
            return;
        }
        self.frame_ms = Some(now_ms);
        if !self.same(vector) {
            self.others += 1;
            if self.others >= self.rules.others_max {
                self.fail(Failure::Other);
            }
            return;
        }
        self.others = 0;
        if self.sum.len() != vector.len() {
            // Sized once, so that no copy is left behind by growing.
            self.sum = vec![0.0; vector.len()];
            self.frames = 0;
        }
        self.sum.iter_mut().zip(vector).for_each(|(s, v)| *s += v);
        self.frames += 1;
        if facing == Facing::Front {
            self.ahead_sum.yaw += pose.yaw;
            self.ahead_sum.pitch += pose.pitch;
        }
        if self.frames < self.rules.frames.max(1) {
            return;
        }
        let mut mean = self.sum.clone();
        if normalise(&mut mean) {
            self.taken.push(Taken { facing, vector: mean });
            if facing == Facing::Front {
                let n = self.frames as f32;
                self.ahead = Pose { yaw: self.ahead_sum.yaw / n, pitch: self.ahead_sum.pitch / n, roll: 0.0 };
            }
        }
        self.sum.zeroize();
        (self.frames, self.pose_since_ms) = (0, now_ms);
    }

    /// Whether this is the person of the frames before.
    fn same(&self, vector: &[f32]) -> bool {
        let near = |v: &[f32]| dot(v, vector) >= self.rules.same_min;
        let mut known = self.taken.iter().map(|t| t.vector.as_slice());
        match (self.taken.is_empty(), self.frames) {
            (true, 0) => true,
            (true, _) => {
                let length = dot(&self.sum, &self.sum).sqrt().max(1e-12);
                dot(&self.sum, vector) / length >= self.rules.same_min
            }
            (false, _) => known.any(near),
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failed = Some(failure);
        self.sum.zeroize();
        self.taken.clear();
    }

    /// The templates, unless somebody of `gallery` but `except` is as near as `threshold` to any of them.
    ///
    /// # Errors
    /// The failure, or what the gallery has against the vectors.
    pub fn finish(mut self, gallery: &Gallery, threshold: f32, except: Option<u32>) -> Result<Vec<Taken>, FinishError> {
        if let Some(failure) = self.failed {
            return Err(failure.into());
        }
        if self.asked().is_some() || self.taken.is_empty() {
            return Err(Failure::Unfinished.into());
        }
        for taken in &self.taken {
            let found = gallery.search(&taken.vector)?;
            let near = [found.best, found.second].into_iter().flatten().find(|m| Some(m.id) != except);
            if let Some(other) = near.filter(|m| m.score >= threshold) {
                return Err(Failure::Duplicate(other.id).into());
            }
        }
        Ok(std::mem::take(&mut self.taken))
    }
}

/// Why there are no templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishError {
    /// It ended without any.
    Failed(Failure),
    /// The gallery is of other vectors.
    Gallery(GalleryError),
}

impl From<Failure> for FinishError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<GalleryError> for FinishError {
    fn from(error: GalleryError) -> Self {
        Self::Gallery(error)
    }
}

impl fmt::Display for FinishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Gallery(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FinishError {}

#[cfg(test)]
#[path = "enrol_tests.rs"]
mod tests;
