//! Whether a living head is before the camera, asked of somebody who was just recognised: turn as you are told, a few
//! times, in an order that nobody knew before. A print turned by hand does not look turned, because it has no depth; a
//! recording turns when it likes; somebody who holds up another's picture and turns their own head is another person.
//! Pure: frames, times and the seed of the order come in, guidance goes out, and the same input gives the same answer.
//!
//! What it can't tell apart from a head is a head: a mask, and a picture on a screen that somebody turns as asked, live.
//! `docs/accuracy-faces.md` says how it was measured, and what that shows.

use std::fmt;

use till_link::message::Hint;
use zeroize::Zeroize;

use crate::gallery::{is_unit, search::dot};
use crate::vision::face::{Face, Gate, Looked, Pose, Quality};

use super::metrics::Random;

/// One turn of the head, as the person sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// To their right.
    Right,
    /// To their left.
    Left,
    /// Down.
    Down,
    /// Up.
    Up,
}

impl Turn {
    /// All, in the order of the draw.
    pub const ALL: [Self; 4] = [Self::Right, Self::Left, Self::Down, Self::Up];

    /// As written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Left => "left",
            Self::Down => "down",
            Self::Up => "up",
        }
    }

    /// How far a head that is off by `yaw` and `pitch` from looking ahead is turned this way, degrees.
    fn of(self, yaw: f32, pitch: f32) -> f32 {
        match self {
            // The camera sees the person's right at its left.
            Self::Right => -yaw,
            Self::Left => yaw,
            Self::Down => pitch,
            Self::Up => -pitch,
        }
    }

    fn is_sideways(self) -> bool {
        matches!(self, Self::Right | Self::Left)
    }
}

/// What is asked. Angles are degrees as five landmarks measure them, from where this head looks ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Turns that must be made; at least one of them to a side and one up or down.
    pub turns: u32,
    /// Turns into another direction than asked that are forgiven; each draws anew.
    pub mistakes_max: u32,
    /// Frames that show a turn, or that look ahead before it.
    pub frames: u32,
    /// Most that a head which looks ahead again is off.
    pub ahead_max: f32,
    /// Least turn to a side,
    pub side_min: f32,
    /// and least one up or down, where landmarks show less.
    pub nod_min: f32,
    /// Least share of its length that a face's axis may keep in a turn across it. A head keeps all of it, a plane that is
    /// turned until it seems turned much less; landmarks err by some 0.06.
    pub kept_min: f32,
    /// The same, of the mean over all turns.
    pub kept_mean_min: f32,
    /// Least cosine of a frame with the person who was recognised.
    pub same_min: f32,
    /// Fastest turn, degrees a second: what is faster is another picture.
    pub speed_max: f32,
    /// Longest time without the face within one turn.
    pub gap_ms_max: u64,
    /// Leaps and gaps that are forgiven; each turn is begun anew after one.
    pub breaks_max: u32,
    /// Time to look ahead, and then to turn.
    pub step_ms_max: u64,
    /// Time for all of it.
    pub all_ms_max: u64,
}

impl Default for Rules {
    /// Chosen on 5,000 rendered frames of 40 people of LFW and of prints of them, flat and bent (`docs/accuracy-faces.md`): of
    /// the limits that were tried these keep flat prints out and let most heads in. Prints that are bent as strongly as a
    /// head is round can't be kept out by five landmarks.
    fn default() -> Self {
        Self {
            turns: 3,
            mistakes_max: 1,
            frames: 3,
            ahead_max: 9.0,
            side_min: 18.0,
            nod_min: 14.0,
            kept_min: 0.8,
            kept_mean_min: 0.94,
            same_min: 0.4,
            speed_max: 180.0,
            gap_ms_max: 500,
            breaks_max: 3,
            step_ms_max: 4_000,
            all_ms_max: 20_000,
        }
    }
}

/// Landmarks tremble by this much from frame to frame.
const TREMBLE: f32 = 6.0;
/// Frames in a row of another person, or of another turn, that count.
const ROW: u32 = 2;

/// What one frame showed.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// Nobody, or nobody for long enough yet.
    Nobody,
    /// More than one person.
    Several,
    /// A face that can't be seen well enough.
    Unfit(Gate),
    /// A good face: where it looks, the proportions of its axes, its unit vector where [`Challenge::wants`] it.
    Face(Pose, f32, Option<&'a [f32]>),
}

/// Why it did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Not in time.
    Time,
    /// Turned otherwise than asked, too often.
    Wrong,
    /// Turned as a plane turns.
    Flat,
    /// Somebody else.
    Other,
    /// The picture leapt, or was gone, too often.
    Broken,
}

impl Failure {
    /// As written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Wrong => "wrong",
            Self::Flat => "flat",
            Self::Other => "other",
            Self::Broken => "broken",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "the turns were not made in time",
            Self::Wrong => "the head was turned otherwise than asked",
            Self::Flat => "what was turned is flat",
            Self::Other => "somebody else stepped in",
            Self::Broken => "the picture leapt or was gone",
        })
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Under way: what to do now.
    Asking(Hint),
    /// A head that did as it was told.
    Passed,
    /// Not.
    Failed(Failure),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// So many frames looked ahead.
    Ahead(u32),
    /// So many frames showed the turn, with this sum of proportions; so many showed another one.
    Turn { turn: Turn, frames: u32, aspects: f32, wrong: u32 },
}

/// One person being asked.
pub struct Challenge {
    rules: Rules,
    random: Random,
    /// Who was recognised; overwritten at the end.
    who: Vec<f32>,
    step: Step,
    /// Where the head looks ahead and its proportions then, once that was seen.
    ahead: Option<(Pose, f32)>,
    /// Of the frames that look ahead for the first time: sums.
    first: (Pose, f32),
    made: u32,
    /// Of them, turns to a side; and the sum of what axes kept.
    sides: u32,
    kept: f32,
    mistakes: u32,
    breaks: u32,
    others: u32,
    /// The last good face.
    last: Option<(Pose, u64)>,
    begun_ms: u64,
    step_ms: u64,
    ended: Option<Result<(), Failure>>,
}

impl Drop for Challenge {
    fn drop(&mut self) {
        self.who.zeroize();
    }
}

impl Challenge {
    /// Begins at `now_ms` for the person with the unit vector `who`; `seed` decides on the turns, and nobody may know it.
    pub fn new(rules: Rules, seed: u64, who: &[f32], now_ms: u64) -> Self {
        Self {
            rules,
            random: Random::new(seed),
            who: who.to_vec(),
            step: Step::Ahead(0),
            ahead: None,
            first: (Pose::default(), 0.0),
            made: 0,
            sides: 0,
            kept: 0.0,
            mistakes: 0,
            breaks: 0,
            others: 0,
            last: None,
            begun_ms: now_ms,
            step_ms: now_ms,
            ended: None,
        }
    }

    /// The turn that is asked for now.
    pub fn asked(&self) -> Option<Turn> {
        match self.step {
            Step::Turn { turn, .. } if self.ended.is_none() => Some(turn),
            _ => None,
        }
    }

    /// Turns made so far.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether a face that looks there is worth its vector: it looks ahead, or shows the turn that is asked for.
    pub fn wants(&self, pose: Pose) -> bool {
        self.ended.is_none()
            && match self.step {
                Step::Ahead(_) => self.looks_ahead(pose),
                Step::Turn { turn, .. } => self.turned(pose) == Some(turn),
            }
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
            Looked::Fit(face, Quality { pose, .. }) => {
                let aspect = Pose::with_aspect(&face.landmarks).map_or(f32::NAN, |(_, aspect)| aspect);
                let wanted = self.wants(*pose);
                if wanted {
                    embed(face, vector)?;
                }
                Seen::Face(*pose, aspect, wanted.then_some(vector.as_slice()))
            }
        };
        Ok(self.see(seen, now_ms))
    }

    /// Takes what a frame showed at `now_ms`, which never goes back; after the end nothing changes any more.
    pub fn see(&mut self, seen: Seen<'_>, now_ms: u64) -> Progress {
        if self.ended.is_none() {
            if let Seen::Face(pose, aspect, vector) = seen
                && [pose.yaw, pose.pitch, aspect].iter().all(|v| v.is_finite())
                && aspect > 0.0
            {
                self.face(pose, aspect, vector, now_ms);
            }
            let late = now_ms.saturating_sub(self.step_ms) >= self.rules.step_ms_max
                || now_ms.saturating_sub(self.begun_ms) >= self.rules.all_ms_max;
            if self.ended.is_none() && late {
                self.fail(Failure::Time);
            }
        }
        match self.ended {
            Some(Ok(())) => Progress::Passed,
            Some(Err(failure)) => Progress::Failed(failure),
            None => Progress::Asking(self.hint(seen)),
        }
    }

    /// What the person should do now. Within a turn a face is often badly seen, and is told of the turn alone.
    fn hint(&self, seen: Seen<'_>) -> Hint {
        match (seen, self.step) {
            (Seen::Several, _) => Hint::Alone,
            (Seen::Unfit(Gate::Size), _) => Hint::Closer,
            (Seen::Unfit(Gate::Edge), _) => Hint::Back,
            (Seen::Unfit(Gate::Light), _) => Hint::Light,
            (_, Step::Turn { turn: Turn::Right, .. }) => Hint::Right,
            (_, Step::Turn { turn: Turn::Left, .. }) => Hint::Left,
            (_, Step::Turn { turn: Turn::Down, .. }) => Hint::Down,
            (_, Step::Turn { turn: Turn::Up, .. }) => Hint::Up,
            (_, Step::Ahead(_)) => Hint::Front,
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.ended = Some(Err(failure));
        self.who.zeroize();
    }

    /// Off from where this head looks ahead.
    fn off(&self, pose: Pose) -> (f32, f32) {
        let ahead = self.ahead.map_or(Pose::default(), |(pose, _)| pose);
        (pose.yaw - ahead.yaw, pose.pitch - ahead.pitch)
    }

    fn looks_ahead(&self, pose: Pose) -> bool {
        let (yaw, pitch) = self.off(pose);
        // For the first time it is not known where that is: cameras hang high or low, and faces differ.
        let (side, nod) = match self.ahead {
            Some(_) => (self.rules.ahead_max, self.rules.ahead_max),
            None => (20.0, 30.0),
        };
        yaw.abs() <= side && pitch.abs() <= nod
    }

    /// Which way the head is turned, clearly and more than any other way.
    fn turned(&self, pose: Pose) -> Option<Turn> {
        let (yaw, pitch) = self.off(pose);
        let share = |turn: Turn| {
            let least = if turn.is_sideways() { self.rules.side_min } else { self.rules.nod_min };
            turn.of(yaw, pitch) / least
        };
        let most = Turn::ALL.into_iter().max_by(|a, b| share(*a).total_cmp(&share(*b)))?;
        (share(most) >= 1.0).then_some(most)
    }

    fn face(&mut self, pose: Pose, aspect: f32, vector: Option<&[f32]>, now_ms: u64) {
        if self.is_broken(pose, now_ms) {
            self.breaks += 1;
            self.others = 0;
            if self.breaks > self.rules.breaks_max {
                return self.fail(Failure::Broken);
            }
            self.await_ahead(self.step_ms);
        }
        self.last = Some((pose, now_ms));
        let same = match vector {
            Some(vector) if is_unit(vector) && vector.len() == self.who.len() => {
                let same = dot(vector, &self.who) >= self.rules.same_min;
                self.others = if same { 0 } else { self.others + 1 };
                if self.others >= ROW {
                    return self.fail(Failure::Other);
                }
                same
            }
            _ => false,
        };
        match self.step {
            Step::Ahead(_) if same && self.looks_ahead(pose) => self.ahead(pose, aspect, now_ms),
            Step::Ahead(_) => {}
            Step::Turn { turn, frames, aspects, wrong } => match self.turned(pose) {
                Some(other) if other != turn => {
                    self.step = Step::Turn { turn, frames: 0, aspects: 0.0, wrong: wrong + 1 };
                    if wrong + 1 >= ROW {
                        self.mistake(now_ms);
                    }
                }
                Some(_) if same => self.turn(turn, frames + 1, aspects + aspect, now_ms),
                Some(_) => {}
                None => self.step = Step::Turn { turn, frames, aspects, wrong: 0 },
            },
        }
    }

    /// Whether this can't be the head of the frame before.
    fn is_broken(&self, pose: Pose, now_ms: u64) -> bool {
        let Some((last, at_ms)) = self.last else { return false };
        let ms = now_ms.saturating_sub(at_ms);
        let allowed = TREMBLE + self.rules.speed_max * ms as f32 / 1000.0;
        let leap = (pose.yaw - last.yaw).abs().max((pose.pitch - last.pitch).abs());
        ms > self.rules.gap_ms_max || leap > allowed
    }

    fn await_ahead(&mut self, since_ms: u64) {
        (self.step, self.step_ms) = (Step::Ahead(0), since_ms);
        if self.ahead.is_none() {
            self.first = (Pose::default(), 0.0);
        }
    }

    /// One more frame that looks ahead.
    fn ahead(&mut self, pose: Pose, aspect: f32, now_ms: u64) {
        let Step::Ahead(frames) = self.step else { return };
        let frames = frames + 1;
        if self.ahead.is_none() {
            self.first.0.yaw += pose.yaw;
            self.first.0.pitch += pose.pitch;
            self.first.1 += aspect;
        }
        if frames < self.rules.frames.max(1) {
            self.step = Step::Ahead(frames);
            return;
        }
        if self.ahead.is_none() {
            let n = frames as f32;
            let (sum, aspects) = self.first;
            self.ahead = Some((Pose { yaw: sum.yaw / n, pitch: sum.pitch / n, roll: 0.0 }, aspects / n));
        }
        self.draw(now_ms);
    }

    fn draw(&mut self, now_ms: u64) {
        // The last one is of the other kind where all so far were of one: what is bent about an axis seems round about that
        // axis alone.
        let last = self.made + 1 == self.rules.turns && self.made > 0;
        let all = Turn::ALL;
        let (sides, nods) = all.split_at(2);
        let among = match self.sides {
            0 if last => sides,
            n if last && n == self.made => nods,
            _ => &all,
        };
        let turn = among[self.random.below(among.len())];
        (self.step, self.step_ms) = (Step::Turn { turn, frames: 0, aspects: 0.0, wrong: 0 }, now_ms);
    }

    fn mistake(&mut self, now_ms: u64) {
        self.mistakes += 1;
        if self.mistakes > self.rules.mistakes_max {
            return self.fail(Failure::Wrong);
        }
        self.await_ahead(now_ms);
    }

    /// `frames` frames have shown the turn.
    fn turn(&mut self, turn: Turn, frames: u32, aspects: f32, now_ms: u64) {
        if frames < self.rules.frames.max(1) {
            self.step = Step::Turn { turn, frames, aspects, wrong: 0 };
            return;
        }
        let ahead = self.ahead.map_or(1.0, |(_, aspect)| aspect);
        let change = aspects / frames as f32 / ahead;
        let kept = if turn.is_sideways() { change } else { 1.0 / change };
        self.kept += kept;
        let last = self.made + 1 >= self.rules.turns;
        let mean = self.kept / (self.made + 1) as f32;
        if kept < self.rules.kept_min || (last && mean < self.rules.kept_mean_min) {
            return self.fail(Failure::Flat);
        }
        self.made += 1;
        self.sides += u32::from(turn.is_sideways());
        if last {
            self.ended = Some(Ok(()));
            self.who.zeroize();
        } else {
            self.await_ahead(now_ms);
        }
    }
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
