//! Who stands before the rendered camera: the member themselves, or somebody who has only pictures of them. The member and
//! most of the others hear what is asked and try to do it.

use crate::people::liveness::Turn;
use crate::people::metrics::Random;

use super::render::Body;

/// What is presented. Each species' name stands in reports, as ISO/IEC 30107-3 wants its instruments told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The member.
    Live,
    /// A print, held still.
    Print,
    /// A print, turned by hand as asked.
    PrintTurned,
    /// A bent print, turned as asked.
    PrintBent,
    /// A print bent about a finger.
    PrintBentTight,
    /// A print bent about a lying axis.
    PrintBentLying,
    /// A recording of the member who turned otherwise, on a flat screen.
    Replay,
    /// Several pictures of the member, turned each way: the one that is asked for is held up.
    Pictures,
    /// A print of the member, and when it is to turn, the attacker's own head.
    Swap,
}

impl Kind {
    /// The attacks.
    pub const ATTACKS: [Self; 8] = [
        Self::Print,
        Self::PrintTurned,
        Self::PrintBent,
        Self::PrintBentTight,
        Self::PrintBentLying,
        Self::Replay,
        Self::Pictures,
        Self::Swap,
    ];

    /// As written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Print => "print",
            Self::PrintTurned => "print-turned",
            Self::PrintBent => "print-bent",
            Self::PrintBentTight => "print-bent-tight",
            Self::PrintBentLying => "print-bent-lying",
            Self::Replay => "replay",
            Self::Pictures => "pictures",
            Self::Swap => "swap",
        }
    }

    /// The print's shape, where it is one. An LFW face is some 70 pixels wide: 100 pixels are about 15 cm.
    pub fn print(self) -> Option<Body> {
        match self {
            Self::Print | Self::PrintTurned => Some(Body::Flat),
            Self::PrintBent => Some(Body::Upright(60.0)),
            Self::PrintBentTight => Some(Body::Upright(35.0)),
            Self::PrintBentLying => Some(Body::Lying(45.0)),
            Self::Live | Self::Replay | Self::Pictures | Self::Swap => None,
        }
    }
}

/// What is before the camera in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// The member's picture, or the attacker's.
    pub member: bool,
    /// Laid over this.
    pub body: Body,
    /// Turned so far.
    pub yaw: f32,
    /// As above.
    pub pitch: f32,
    /// Sway, pixels of the camera.
    pub off: [f32; 2],
}

/// One presentation.
pub struct Actor {
    kind: Kind,
    random: Random,
    head: f32,
    /// Fastest turn, degrees a second.
    speed: f32,
    /// From word to deed.
    delay_ms: u64,
    /// How far sideways and up or down.
    reach: [f32; 2],
    at: [f32; 2],
    /// What is being done, and what was heard when.
    doing: Option<Turn>,
    heard: (Option<Turn>, u64),
    now_ms: u64,
    /// When a recording turns next.
    next_ms: u64,
}

impl Actor {
    /// A person, or an attacker, of their own pace and shape.
    pub fn new(kind: Kind, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut between = |a: f32, b: f32| a + (b - a) * random.below(1001) as f32 / 1000.0;
        let head = between(0.8, 1.2);
        let speed = between(50.0, 120.0);
        let delay_ms = between(250.0, 700.0) as u64;
        let mut reach = [between(26.0, 38.0), between(20.0, 30.0)];
        if let Some(body) = kind.print() {
            // Further, until it seems turned or its far half is hidden.
            let steep = if body == Body::Flat { 62.0 } else { 46.0 };
            reach = [between(0.8, 1.0), between(0.8, 1.0)].map(|share| share * steep);
        }
        let heard = (None, 0);
        Self { kind, random, head, speed, delay_ms, reach, at: [0.0; 2], doing: None, heard, now_ms: 0, next_ms: 1_500 }
    }

    /// What is shown at `now_ms`, when `asked` is asked for; none means to look ahead.
    pub fn show(&mut self, asked: Option<Turn>, now_ms: u64) -> Shown {
        if self.heard.0 != asked {
            self.heard = (asked, now_ms);
        }
        let obeys = now_ms.saturating_sub(self.heard.1) >= self.delay_ms;
        match self.kind {
            Kind::Print => self.doing = None,
            Kind::Replay if now_ms >= self.next_ms => {
                self.doing = match self.doing {
                    None => Some(Turn::ALL[self.random.below(Turn::ALL.len())]),
                    Some(_) => None,
                };
                self.next_ms = now_ms + 1_000 + self.random.below(800) as u64;
            }
            Kind::Replay => {}
            _ if obeys => self.doing = asked,
            _ => {}
        }
        let [side, nod] = self.reach;
        let to = match self.doing {
            None => [0.0, 0.0],
            Some(Turn::Right) => [-side, 0.0],
            Some(Turn::Left) => [side, 0.0],
            Some(Turn::Down) => [0.0, nod],
            Some(Turn::Up) => [0.0, -nod],
        };
        let step = self.speed * now_ms.saturating_sub(self.now_ms) as f32 / 1000.0;
        self.now_ms = now_ms;
        for (at, to) in self.at.iter_mut().zip(to) {
            *at = if self.kind == Kind::Pictures { to } else { *at + (to - *at).clamp(-step, step) };
        }
        let mut tremble = || self.random.below(201) as f32 / 100.0 - 1.0;
        let [yaw, pitch] = [self.at[0] + tremble(), self.at[1] + tremble()];
        let off = [2.0 * tremble(), 2.0 * tremble()];
        let swapped = self.kind == Kind::Swap && now_ms > 1_000;
        let flat = self.kind == Kind::Swap && !swapped;
        let body = self.kind.print().unwrap_or(if flat { Body::Flat } else { Body::Head(self.head) });
        Shown { member: !swapped, body, yaw, pitch, off }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_does_as_told_and_a_recording_does_not_listen() {
        let mut live = Actor::new(Kind::Live, 1);
        let mut shown = live.show(None, 0);
        for i in 1..40 {
            shown = live.show(Some(Turn::Left), i * 100);
        }
        assert!(shown.yaw > 24.0 && shown.pitch.abs() <= 1.0 && shown.member, "{shown:?}");
        let play = |asked| {
            let mut replay = Actor::new(Kind::Replay, 1);
            (0..60).map(|i| replay.show(asked, i * 100)).collect::<Vec<_>>()
        };
        assert_eq!(play(None), play(Some(Turn::Up)));
        assert!(play(None).iter().any(|s| s.yaw.abs().max(s.pitch.abs()) > 18.0));
    }

    #[test]
    fn prints_are_prints_and_a_swap_is_another_person() {
        for kind in Kind::ATTACKS {
            let shown = Actor::new(kind, 3).show(None, 0);
            assert!(shown.member, "{kind:?} begins as the member");
            assert_eq!(kind.print().is_some(), kind.as_str().starts_with("print"));
        }
        let mut swap = Actor::new(Kind::Swap, 3);
        swap.show(None, 900);
        assert!(!swap.show(Some(Turn::Up), 2_000).member);
        let mut pictures = Actor::new(Kind::Pictures, 3);
        let (before, after) = (pictures.show(Some(Turn::Right), 0), pictures.show(Some(Turn::Right), 800));
        assert!(before.yaw > -2.0 && after.yaw < -24.0, "at once");
    }
}
