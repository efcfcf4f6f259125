//! A bad line, by seed: frames that are lost, bent, cut, doubled or late.

/// Chances of each, per thousand frames.
const EACH_PERMILLE: u64 = 70;

/// A small generator (Marsaglia's xorshift64) and what the line still holds back.
#[derive(Clone, Debug)]
pub struct Noise {
    state: u64,
    late: Vec<u8>,
}

impl Noise {
    /// The same seed makes the same noise.
    pub fn new(seed: u64) -> Self {
        // Xorshift stands still at 0; the odd constant spreads small seeds.
        Self { state: (seed ^ 0x9e37_79b9_7f4a_7c15).max(1), late: Vec::new() }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound.max(1)
    }

    /// Whether this frame is lost.
    pub fn loses(&mut self) -> bool {
        self.below(1000) < EACH_PERMILLE
    }

    /// What comes out of the line for one frame.
    pub fn bend(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let at = self.below(frame.len() as u64) as usize;
        let late = std::mem::take(&mut self.late);
        match self.below(1000) / EACH_PERMILLE {
            0 => {}
            1 => {
                out.extend_from_slice(frame);
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            2 => out.extend_from_slice(frame.get(..at).unwrap_or_default()),
            3 => {
                out.extend_from_slice(frame);
                out.extend_from_slice(frame);
            }
            4 => self.late = frame.to_vec(),
            _ => out.extend_from_slice(frame),
        }
        out.extend_from_slice(&late);
        out
    }
}
