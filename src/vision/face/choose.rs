//! Which of several faces counts: the nearest one, in the middle, and the same for some frames. Two that are alike
//! near are nobody's turn: the counter asks for one person rather than pick one.

use super::Face;
use super::suppress::{Overlap, overlap};

/// When a face counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// A second face with at least this share of the first one's eye distance is as near.
    pub alike: f32,
    /// The face's centre lies within this share of the frame's width and height about its middle.
    pub middle: f32,
    /// Frames in a row in which the same face must have counted.
    pub frames: u32,
    /// Overlap with the frame before at which it is the same face.
    pub same_iou: f32,
}

impl Default for Rule {
    fn default() -> Self {
        Self { alike: 0.75, middle: 0.8, frames: 3, same_iou: 0.4 }
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chosen {
    /// Nobody there, or only at the frame's edge.
    Nobody,
    /// Two are as near: "one person, please".
    Several,
    /// This one, but not for long enough yet.
    Waiting(Face),
    /// This one.
    One(Face),
}

/// Chooses frame by frame.
#[derive(Clone, Debug)]
pub struct Chooser {
    rule: Rule,
    last: Option<[f32; 4]>,
    frames: u32,
}

impl Chooser {
    /// Starts with nobody seen.
    pub fn new(rule: Rule) -> Self {
        Self { rule, last: None, frames: 0 }
    }

    /// Forgets who was there.
    pub fn reset(&mut self) {
        (self.last, self.frames) = (None, 0);
    }

    /// Which of `faces`, found in a frame of `width` x `height` pixels, counts.
    pub fn choose(&mut self, faces: &[Face], width: usize, height: usize) -> Chosen {
        let half = [width as f32 / 2.0, height as f32 / 2.0];
        let in_middle = |f: &&Face| {
            let b = f.bbox;
            let off = |a: f32, b: f32, half: f32| ((a + b) / 2.0 - half).abs() <= half * self.rule.middle;
            off(b[0], b[2], half[0]) && off(b[1], b[3], half[1])
        };
        let (mut first, mut second): (Option<&Face>, Option<&Face>) = (None, None);
        for face in faces.iter().filter(in_middle) {
            if first.is_none_or(|f| face.eyes_px() > f.eyes_px()) {
                (first, second) = (Some(face), first);
            } else if second.is_none_or(|s| face.eyes_px() > s.eyes_px()) {
                second = Some(face);
            }
        }
        let Some(first) = first else {
            self.reset();
            return Chosen::Nobody;
        };
        if second.is_some_and(|s| s.eyes_px() >= first.eyes_px() * self.rule.alike) {
            self.reset();
            return Chosen::Several;
        }
        let same = self.last.is_some_and(|l| overlap(l, first.bbox, Overlap::Union) >= self.rule.same_iou);
        self.frames = if same { self.frames.saturating_add(1) } else { 1 };
        self.last = Some(first.bbox);
        if self.frames >= self.rule.frames { Chosen::One(*first) } else { Chosen::Waiting(*first) }
    }
}

/// The face whose centre is nearest to the picture's: the convention of LFW, where the person named stands in the
/// middle and others around.
pub fn central(faces: &[Face], width: usize, height: usize) -> Option<&Face> {
    let distance = |f: &Face| {
        let b = f.bbox;
        ((b[0] + b[2] - width as f32) / 2.0).hypot((b[1] + b[3] - height as f32) / 2.0)
    };
    faces.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, y: f32, size: f32) -> Face {
        let (l, r) = ([x - size / 4.0, y], [x + size / 4.0, y]);
        let bbox = [x - size / 2.0, y - size / 2.0, x + size / 2.0, y + size / 2.0];
        Face { bbox, score: 1.0, landmarks: [l, r, [x, y], l, r] }
    }

    #[test]
    fn the_nearest_counts_once_it_stayed() {
        let mut c = Chooser::new(Rule::default());
        let (near, far) = (face(320.0, 240.0, 200.0), face(150.0, 200.0, 80.0));
        assert_eq!(c.choose(&[far, near], 640, 480), Chosen::Waiting(near));
        assert_eq!(c.choose(&[near, far], 640, 480), Chosen::Waiting(near));
        assert_eq!(c.choose(&[near], 640, 480), Chosen::One(near));
        // Somebody else in the place: the count begins anew.
        let other = face(500.0, 240.0, 180.0);
        assert_eq!(c.choose(&[other], 640, 480), Chosen::Waiting(other));
        assert_eq!(c.choose(&[], 640, 480), Chosen::Nobody);
        assert_eq!(c.choose(&[other], 640, 480), Chosen::Waiting(other));
    }

    #[test]
    fn two_alike_are_nobodys_turn_and_who_stands_at_the_edge_is_none() {
        let mut c = Chooser::new(Rule { frames: 1, ..Rule::default() });
        let (a, b) = (face(250.0, 240.0, 160.0), face(450.0, 240.0, 150.0));
        assert_eq!(c.choose(&[a, b], 640, 480), Chosen::Several);
        let edge = face(630.0, 240.0, 160.0);
        assert_eq!(c.choose(&[a, edge], 640, 480), Chosen::One(a));
        assert_eq!(c.choose(&[edge], 640, 480), Chosen::Nobody);
    }

    #[test]
    fn the_central_face_of_a_press_photograph() {
        let (middle, large) = (face(130.0, 120.0, 60.0), face(40.0, 100.0, 90.0));
        assert_eq!(central(&[large, middle], 250, 250), Some(&middle));
        assert_eq!(central(&[], 250, 250), None);
    }
}
