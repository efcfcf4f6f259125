//! One thing followed over frames: where it was, how often it was seen, what it was taken for. Bounded in
//! everything, so that old evidence gives way to new.

use super::super::detection::{centre, side};
use super::super::{Candidate, Candidates, Class, Detection};

/// Share of the weight, in permille, that an unsure item's candidates must have together: of what is left,
/// one in ten frames may have spoken of anything else.
const TOGETHER_PERMILLE: u32 = 900;

/// Votes that a track remembers: the last frames in which it was seen.
pub const VOTES_MAX: usize = 24;

#[derive(Clone, Copy, Debug, Default)]
struct Vote {
    label: u16,
    score_permille: u16,
    /// Score 0 when nothing came second.
    second: u16,
    second_permille: u16,
}

/// What the votes of a track say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The label with the most weight.
    pub label: u16,
    /// Votes for it.
    pub votes: u16,
    /// Votes in all.
    pub of: u16,
    /// Its share of the weight.
    pub share_permille: u16,
    /// Mean score of its votes.
    pub score_permille: u16,
    /// The labels with the most weight, products or not, best first.
    pub labels: Candidates,
}

/// One thing on the tray, or the suspicion of one.
#[derive(Clone, Debug)]
pub struct Track {
    /// Given in the order of appearance.
    pub id: u32,
    /// Smoothed box in pixels of the frame.
    pub bbox: [f32; 4],
    /// Where it came to lie.
    rest: [f32; 2],
    /// Frames since it came to lie there.
    pub still_frames: u16,
    /// The last 32 frames that count, newest in the lowest bit: seen or not.
    seen: u32,
    /// Frames since it was last seen that count.
    pub missed: u16,
    /// Believed to be there.
    pub confirmed: bool,
    /// Matched in this frame.
    pub fresh: bool,
    votes: heapless::Deque<Vote, VOTES_MAX>,
}

impl Track {
    /// A suspicion, raised by `d`.
    pub fn new(id: u32, d: &Detection, second_floor: f32) -> Self {
        let mut track = Self {
            id,
            bbox: d.bbox,
            rest: centre(d.bbox),
            still_frames: 0,
            seen: 0,
            missed: 0,
            confirmed: false,
            fresh: false,
            votes: heapless::Deque::new(),
        };
        track.saw(d, second_floor, f32::INFINITY);
        track
    }

    /// It was seen as `d`. A second label counts from `second_floor` on; a shift of more than `still_shift`
    /// sides from where it lay, the detector's jitter smoothed away, means that it moves.
    pub fn saw(&mut self, d: &Detection, second_floor: f32, still_shift: f32) {
        self.seen = self.seen << 1 | 1;
        (self.missed, self.fresh) = (0, true);
        let limit = still_shift * side(d.bbox);
        let from_rest = |bbox| {
            let [x, y] = centre(bbox);
            (x - self.rest[0]).hypot(y - self.rest[1])
        };
        if from_rest(d.bbox) > 2.0 * limit {
            // Moving: the box follows at once, the smoothing is for a thing at rest.
            (self.rest, self.still_frames, self.bbox) = (centre(d.bbox), 0, d.bbox);
        } else {
            let mut bbox = self.bbox;
            bbox.iter_mut().zip(d.bbox).for_each(|(old, new)| *old += 0.5 * (new - *old));
            let creeps = from_rest(bbox) > limit;
            self.still_frames = if creeps { 0 } else { self.still_frames.saturating_add(1) };
            self.rest = if creeps { centre(bbox) } else { self.rest };
            self.bbox = bbox;
        }
        let (second, score) = d.runner_up.filter(|(_, s)| *s >= second_floor).unwrap_or((0, 0.0));
        let vote = Vote { label: d.label, score_permille: permille(d.score), second, second_permille: permille(score) };
        if self.votes.is_full() {
            self.votes.pop_front();
        }
        // There is room now.
        let _ = self.votes.push_back(vote);
    }

    /// A frame went by without it.
    pub fn missed(&mut self) {
        self.seen <<= 1;
        self.fresh = false;
        self.missed = self.missed.saturating_add(1);
    }

    /// A hand covers it: the frame says nothing.
    pub fn hidden(&mut self) {
        self.fresh = false;
    }

    /// Frames of the last `window` (at most 32) in which it was seen.
    pub fn seen_in(&self, window: u32) -> u32 {
        let mask = if window >= 32 { u32::MAX } else { (1 << window) - 1 };
        (self.seen & mask).count_ones()
    }

    /// Label of the last vote.
    pub fn last_label(&self) -> Option<u16> {
        self.votes.back().map(|v| v.label)
    }

    /// The votes counted.
    pub fn verdict(&self) -> Verdict {
        #[derive(Clone, Copy)]
        struct Tally {
            label: u16,
            weight: u32,
            votes: u16,
            score: u32,
            named: u16,
        }
        let mut tallies: heapless::Vec<Tally, { 2 * VOTES_MAX }> = heapless::Vec::new();
        let mut total = 0u32;
        for vote in &self.votes {
            for (label, permille, votes) in
                [(vote.label, vote.score_permille, 1), (vote.second, vote.second_permille, 0)]
            {
                if permille == 0 && votes == 0 {
                    continue;
                }
                total += u32::from(permille);
                let index = tallies.iter().position(|t| t.label == label).unwrap_or_else(|| {
                    // There is room for two labels a vote.
                    let _ = tallies.push(Tally { label, weight: 0, votes: 0, score: 0, named: 0 });
                    tallies.len() - 1
                });
                let Some(t) = tallies.get_mut(index) else { continue };
                t.weight += u32::from(permille);
                t.votes += votes;
                t.score += u32::from(permille) * u32::from(votes);
                t.named += 1;
            }
        }
        // The lower label wins a tie, so that the order of frames doesn't matter.
        tallies.sort_unstable_by(|a, b| b.weight.cmp(&a.weight).then(a.label.cmp(&b.label)));
        let share = |weight: u32| (u64::from(weight) * 1000 / u64::from(total.max(1))) as u16;
        let of = self.votes.len() as u16;
        let mut labels = Candidates::default();
        for (slot, t) in labels.iter_mut().zip(&tallies) {
            *slot = Some(Candidate {
                label: t.label,
                share_permille: share(t.weight),
                votes: t.named,
                score_permille: (t.weight / u32::from(t.named.max(1))) as u16,
            });
        }
        let Some(best) = tallies.first() else {
            return Verdict { label: u16::MAX, votes: 0, of, share_permille: 0, score_permille: 0, labels };
        };
        Verdict {
            label: best.label,
            votes: best.votes,
            of,
            share_permille: share(best.weight),
            score_permille: (best.score / u32::from(best.votes.max(1))) as u16,
            labels,
        }
    }
}

impl Verdict {
    /// The class by the rules: unknown by the detector's word, unsure where the evidence is below
    /// `sure_permille`, else the product.
    pub fn class(&self, products: u16, sure_permille: u16) -> Class {
        if self.label >= products {
            Class::Unknown
        } else if self.share_permille < sure_permille || self.score_permille < sure_permille {
            Class::Unsure
        } else {
            Class::Product(self.label)
        }
    }

    /// The products that it may be, see [`super::super::TrayItem::candidates`].
    pub fn candidates(&self, products: u16, class: Class, sure_permille: u16) -> Candidates {
        let mut candidates = Candidates::default();
        let known = self.labels.iter().flatten().filter(|c| c.label < products);
        candidates.iter_mut().zip(known).for_each(|(slot, c)| *slot = Some(*c));
        let (share, score) = candidates.iter().flatten().fold((0u32, 0u32), |(share, score), c| {
            let weight = u32::from(c.score_permille) * u32::from(c.votes);
            (share + u32::from(c.share_permille), score + weight)
        });
        let sure = u32::from(sure_permille);
        let together = share >= TOGETHER_PERMILLE.max(sure) && score >= sure * u32::from(self.of);
        match class {
            Class::Product(_) => candidates,
            Class::Unsure if together => candidates,
            _ => Candidates::default(),
        }
    }
}

/// 0..=1000; NaN is 0.
pub fn permille(v: f32) -> u16 {
    (v.clamp(0.0, 1.0) * 1000.0).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(label: u16, score: f32, runner_up: Option<(u16, f32)>) -> Detection {
        Detection { bbox: [0.0, 0.0, 10.0, 10.0], score, label, runner_up }
    }

    #[test]
    fn votes_by_hand() {
        let mut t = Track::new(0, &d(3, 0.8, None), 0.25);
        t.saw(&d(3, 0.6, Some((5, 0.3))), 0.25, 0.1);
        t.saw(&d(5, 0.5, Some((3, 0.1))), 0.25, 0.1);
        // Weights: label 3 800 + 600, label 5 300 + 500; the 0.1 is below the floor.
        let v = t.verdict();
        let three = Candidate { label: 3, share_permille: 636, votes: 2, score_permille: 700 };
        let five = Candidate { label: 5, share_permille: 363, votes: 2, score_permille: 400 };
        let labels = [Some(three), Some(five), None, None];
        let expected = Verdict { label: 3, votes: 2, of: 3, share_permille: 636, score_permille: 700, labels };
        assert_eq!(v, expected);
        assert_eq!(v.class(8, 600), Class::Product(3));
        assert_eq!(v.class(8, 650), Class::Unsure);
        assert_eq!(v.class(3, 600), Class::Unknown);
        assert_eq!(v.candidates(8, Class::Product(3), 600), labels);
        assert_eq!(v.candidates(4, Class::Product(3), 600), [Some(three), None, None, None]);
    }

    #[test]
    fn an_unsure_item_is_one_of_its_candidates_or_has_none() {
        // Two that look alike: neither is sure, both together are.
        let mut t = Track::new(0, &d(3, 0.5, Some((5, 0.45))), 0.25);
        t.saw(&d(5, 0.5, Some((3, 0.4))), 0.25, 0.1);
        let v = t.verdict();
        assert_eq!(v.class(8, 660), Class::Unsure);
        let labels = |candidates: Candidates| candidates.iter().flatten().map(|c| c.label).collect::<Vec<_>>();
        assert_eq!(labels(v.candidates(8, Class::Unsure, 660)), [5, 3]);
        assert_eq!(labels(v.candidates(8, Class::Unknown, 660)), [0u16; 0]);
        // The same shares, but faint: it may be anything.
        let faint = Track::new(0, &d(3, 0.3, Some((5, 0.28))), 0.25).verdict();
        assert_eq!(labels(faint.candidates(8, Class::Unsure, 660)), [0u16; 0]);
        // A part of the votes is for goods that no label names.
        let mut t = Track::new(0, &d(3, 0.7, None), 0.25);
        t.saw(&d(8, 0.6, Some((5, 0.5))), 0.25, 0.1);
        assert_eq!(labels(t.verdict().candidates(8, Class::Unsure, 500)), [0u16; 0]);
        assert_eq!(labels(t.verdict().candidates(9, Class::Unsure, 500)), [3, 8, 5]);
    }

    #[test]
    fn old_votes_give_way() {
        let mut t = Track::new(0, &d(1, 0.9, None), 0.25);
        (0..100).for_each(|_| t.saw(&d(1, 0.9, None), 0.25, 0.1));
        (0..VOTES_MAX).for_each(|_| t.saw(&d(2, 0.9, None), 0.25, 0.1));
        assert_eq!((t.verdict().label, t.verdict().votes, t.verdict().labels[1]), (2, VOTES_MAX as u16, None));
    }

    #[test]
    fn rest_is_measured_from_where_it_lay_so_that_creeping_is_moving() {
        let mut t = Track::new(0, &d(1, 0.9, None), 0.25);
        let mut resets = 0;
        for i in 1..50 {
            let x = i as f32 * 0.2;
            t.saw(&Detection { bbox: [x, 0.0, x + 10.0, 10.0], ..d(1, 0.9, None) }, 0.25, 0.1);
            resets += u32::from(t.still_frames == 0);
        }
        assert!(resets >= 6, "{resets}");
    }
}
