//! From boxes of single frames to things that lie on the tray. A frame's boxes are matched to the things
//! known so far by overlap, then by distance, then by label; what stays unmatched is a suspicion until it
//! was seen often enough. A thing under a hand is kept as it was. Must never count one pack twice, nor let
//! a single frame's error become a thing.

use super::super::detection::{area, containment, distance, intersection, iou, side};
use super::super::{Detection, ITEMS_MAX, TrayItem, TrayObservation};
use super::rules::Rules;
use super::track::{Track, VOTES_MAX};

/// Most things and suspicions that are followed at once.
pub const TRACKS_MAX: usize = 64;
/// Most boxes of one frame that fusion looks at; more is too many items.
pub const GOODS_MAX: usize = 64;
const HANDS_MAX: usize = 8;
/// Least overlap that ties a box to a thing.
const MATCH_IOU: f32 = 0.1;
/// Without overlap, the farthest a middle may have come, in sides of the box.
const MATCH_SIDES: f32 = 0.6;
/// Two things with more overlap, both seen in this frame, are one that was counted twice.
const TWIN_IOU: f32 = 0.75;
/// As [`TWIN_IOU`], when one of the two was not seen.
const GHOST_IOU: f32 = 0.5;
/// Share of the frame's shorter side that counts as its edge.
const EDGE: f32 = 0.006;

/// The tray's memory.
pub struct Fusion {
    rules: Rules,
    tracks: heapless::Vec<Track, TRACKS_MAX>,
    goods: heapless::Vec<(Detection, bool), GOODS_MAX>,
    hands: heapless::Vec<[f32; 4], HANDS_MAX>,
    /// Affinity, index of the track, index of the box.
    pairs: Vec<(f32, u8, u8)>,
    next_id: u32,
    quiet_frames: u16,
    hand_age: u16,
    observation: TrayObservation,
}

impl Fusion {
    /// An empty tray.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            tracks: heapless::Vec::new(),
            goods: heapless::Vec::new(),
            hands: heapless::Vec::new(),
            pairs: Vec::with_capacity(TRACKS_MAX * GOODS_MAX),
            next_id: 0,
            quiet_frames: 0,
            hand_age: u16::MAX,
            observation: TrayObservation::default(),
        }
    }

    /// Forgets everything; ids go on.
    pub fn reset(&mut self) {
        self.tracks.clear();
        self.hands.clear();
        (self.quiet_frames, self.hand_age) = (0, u16::MAX);
        self.observation = TrayObservation::default();
    }

    /// The observation of the last frame.
    pub fn last(&self) -> &TrayObservation {
        &self.observation
    }

    /// Takes the boxes of frame number `frame`, in its pixels, captured at `at_ms`.
    pub fn update(&mut self, detections: &[Detection], size: (u32, u32), frame: u64, at_ms: u64) -> &TrayObservation {
        let mut too_many = self.sort_in(detections);
        self.tracks.iter_mut().for_each(|t| t.fresh = false);
        self.match_near();
        self.match_moved();
        let mut changed = self.age();
        too_many |= !self.raise_suspicions();
        changed |= self.drop_twins();
        changed |= self.confirm();
        self.quiet_frames = if changed { 0 } else { self.quiet_frames.saturating_add(1) };
        self.report(size, frame, at_ms, too_many);
        &self.observation
    }

    /// Parts hands from goods. True when there are more goods than can be looked at.
    fn sort_in(&mut self, detections: &[Detection]) -> bool {
        self.goods.clear();
        self.hand_age = self.hand_age.saturating_add(1);
        let mut too_many = false;
        for d in detections.iter().filter(|d| d.is_sound()) {
            if Some(d.label) == self.rules.hand {
                if self.hand_age > 0 {
                    self.hands.clear();
                    self.hand_age = 0;
                }
                // More hands than this hide nothing more.
                let _ = self.hands.push(d.bbox);
            } else {
                too_many |= self.goods.push((*d, false)).is_err();
            }
        }
        if self.hand_age > self.rules.hand_hold_frames {
            self.hands.clear();
        }
        too_many
    }

    /// Ties boxes to things by overlap, then by distance; the same label breaks a tie.
    fn match_near(&mut self) {
        self.pairs.clear();
        for (t, track) in (0u8..).zip(&self.tracks) {
            for (g, (d, _)) in (0u8..).zip(&self.goods) {
                let overlap = iou(track.bbox, d.bbox);
                let reach = MATCH_SIDES * side(track.bbox).max(side(d.bbox));
                let near = distance(track.bbox, d.bbox) / reach;
                let mut affinity = match overlap > MATCH_IOU {
                    true => 1.0 + overlap,
                    false if near < 1.0 => 1.0 - near,
                    false => continue,
                };
                if track.last_label() == Some(d.label) {
                    affinity += 0.1;
                }
                // A thing that is believed in goes before a suspicion.
                if track.confirmed {
                    affinity += 0.05;
                }
                // The capacity is the product of both limits.
                self.pairs.push((affinity, t, g));
            }
        }
        self.pairs.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        for &(_, t, g) in &self.pairs {
            let (Some(track), Some((d, taken))) =
                (self.tracks.get_mut(usize::from(t)), self.goods.get_mut(usize::from(g)))
            else {
                continue;
            };
            if !track.fresh && !*taken {
                *taken = true;
                track.saw(d, self.rules.second_floor, self.rules.still_shift);
            }
        }
    }

    /// A thing that is missed and not hidden, while the same label turns up elsewhere, was moved.
    fn match_moved(&mut self) {
        for (d, taken) in self.goods.iter_mut().filter(|(_, taken)| !taken) {
            let moved = self
                .tracks
                .iter_mut()
                .filter(|t| t.confirmed && !t.fresh && !hidden(&self.hands, t.bbox, self.rules.hidden_share))
                .filter(|t| d.label < self.rules.products && t.verdict().label == d.label)
                .min_by(|a, b| distance(a.bbox, d.bbox).total_cmp(&distance(b.bbox, d.bbox)));
            if let Some(track) = moved {
                *taken = true;
                track.saw(d, self.rules.second_floor, self.rules.still_shift);
            }
        }
    }

    /// Ages what was not seen. True when a thing left.
    fn age(&mut self) -> bool {
        let (rules, hands) = (&self.rules, &self.hands);
        let mut left = false;
        self.tracks.retain_mut(|t| {
            if t.fresh {
                return true;
            }
            if t.confirmed && hidden(hands, t.bbox, rules.hidden_share) {
                t.hidden();
                return true;
            }
            t.missed();
            let gone = match t.confirmed {
                true => t.missed >= rules.gone_frames,
                false => t.seen_in(rules.birth_window) == 0 || t.missed > 2,
            };
            left |= gone && t.confirmed;
            !gone
        });
        left
    }

    /// Makes a suspicion of each box that nothing claimed. False when there is no room.
    fn raise_suspicions(&mut self) -> bool {
        let mut room = true;
        for (d, _) in self.goods.iter().filter(|(_, taken)| !taken) {
            room &= self.tracks.push(Track::new(self.next_id, d, self.rules.second_floor)).is_ok();
            self.next_id = self.next_id.wrapping_add(1);
        }
        room
    }

    /// Drops things that are another thing's double. True when one that was believed in went.
    fn drop_twins(&mut self) -> bool {
        let mut changed = false;
        let mut i = 0;
        while let Some(a) = self.tracks.get(i) {
            // Of two, the one that lasts is seen, believed in, and older, in this order.
            let rank = |t: &Track| (t.fresh, t.confirmed, std::cmp::Reverse(t.id));
            let double = self.tracks.iter().any(|b| {
                let limit = if a.fresh && b.fresh { TWIN_IOU } else { GHOST_IOU };
                b.id != a.id && rank(b) > rank(a) && iou(a.bbox, b.bbox) > limit && (a.fresh || b.fresh)
            });
            if double {
                changed |= a.confirmed;
                self.tracks.remove(i);
            } else {
                i += 1;
            }
        }
        changed
    }

    /// Believes in what was seen often enough. True when something new is believed in.
    fn confirm(&mut self) -> bool {
        let mut changed = false;
        for t in self.tracks.iter_mut().filter(|t| !t.confirmed) {
            t.confirmed = t.seen_in(self.rules.birth_window) >= self.rules.birth_frames;
            changed |= t.confirmed;
        }
        changed
    }

    fn report(&mut self, size: (u32, u32), frame: u64, at_ms: u64, too_many: bool) {
        let rules = &self.rules;
        let mut items: heapless::Vec<TrayItem, ITEMS_MAX> = heapless::Vec::new();
        let mut overflow = too_many;
        for t in self.tracks.iter().filter(|t| t.confirmed) {
            overflow |= items.push(item(t, rules, size)).is_err();
        }
        for i in 0..items.len() {
            let Some((head, [a, tail @ ..])) = items.split_at_mut_checked(i) else { continue };
            let over = |b: &TrayItem| {
                iou(a.bbox, b.bbox) > rules.overlap_iou || containment(a.bbox, b.bbox) > rules.overlap_share
            };
            a.overlapped = head.iter().chain(&*tail).any(over);
        }
        // A label that changed its mind is news, as a coming or going is.
        let old = &self.observation.items;
        let flipped = items.iter().any(|n| old.iter().any(|o| o.track == n.track && o.class != n.class));
        if flipped {
            self.quiet_frames = 0;
        }
        let hand = !self.hands.is_empty();
        let stable = items.iter().all(|i| i.stable);
        self.observation = TrayObservation {
            at_ms,
            frame,
            hand,
            settled: stable && !hand && !overflow && self.quiet_frames >= rules.quiet_frames,
            too_many: overflow,
            items,
        };
    }
}

/// What the core learns of a thing.
fn item(t: &Track, rules: &Rules, (width, height): (u32, u32)) -> TrayItem {
    let verdict = t.verdict();
    let class = verdict.class(rules.products, rules.sure_permille);
    let (width, height) = (width as f32, height as f32);
    let edge = (width.min(height) * EDGE).max(1.5);
    let [x0, y0, x1, y1] = t.bbox;
    TrayItem {
        track: t.id,
        class,
        candidates: verdict.candidates(rules.products, class, rules.sure_permille),
        votes: verdict.votes,
        frames: verdict.of,
        score_permille: verdict.score_permille,
        bbox: t.bbox,
        clipped: x0 < edge || y0 < edge || x1 > width - edge || y1 > height - edge,
        overlapped: false,
        stable: t.still_frames >= rules.still_frames
            && t.missed <= rules.gone_frames / 2
            && t.seen_in(rules.window) >= rules.seen_min.min(VOTES_MAX as u32),
    }
}

/// True when a hand covers at least `share` of the box.
fn hidden(hands: &[[f32; 4]], bbox: [f32; 4], share: f32) -> bool {
    hands.iter().any(|h| intersection(*h, bbox) > share * area(bbox))
}

#[cfg(test)]
#[path = "fusion_tests.rs"]
mod tests;
