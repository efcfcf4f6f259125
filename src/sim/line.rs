//! The cable between the ends: 115200 baud each way, and everything that happens to cables. Bytes arrive
//! late, damaged, twice, or never; after a reconnection some arrive that were sent before it.

use std::collections::VecDeque;

use till_link::WIRE_BYTES_MAX;
use till_link::frame::{self, Accumulator, Received};

use crate::sim::faults::{Counts, Fault, Weather};
use crate::sim::rng::Rng;
use crate::sim::stranger::Stranger;

/// Bytes that the line carries in a millisecond, in hundredths.
const BYTES_A_MS_X100: u64 = 1_152;
/// What a port's own buffer takes before it takes no more.
const BACKLOG_MS_MAX: u64 = 350;

#[derive(Debug)]
struct Chunk {
    at_ms: u64,
    bytes: Vec<u8>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    chunks: VecDeque<Chunk>,
    /// When the line has sent all it was given, in hundredths of a millisecond.
    busy_x100: u64,
    dead_until_ms: u64,
    /// The last chunk before an outage, delivered after it.
    straggler: Option<Vec<u8>>,
}

/// One end of the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The counter's.
    Till = 0,
    /// The point of sale's.
    Pos = 1,
}

/// Both directions and both ports.
#[derive(Debug)]
pub struct Cable {
    /// Set by the world before anybody reads or writes.
    pub now_ms: u64,
    /// What happened to it.
    pub counts: Counts,
    /// A planted bug: what is damaged passes for whole.
    pub repairs_checksums: bool,
    ways: [Way; 2],
    gone_until_ms: [u64; 2],
    weather: Weather,
    stranger: Stranger,
    rng: Rng,
    spare: Vec<Vec<u8>>,
}

impl Cable {
    /// A cable in its weather.
    pub fn new(weather: Weather, rng: Rng) -> Self {
        Self {
            now_ms: 0,
            counts: Counts::default(),
            repairs_checksums: false,
            ways: Default::default(),
            gone_until_ms: [0; 2],
            weather,
            stranger: Stranger::default(),
            rng,
            spare: Vec::new(),
        }
    }

    /// From now on the cable is sound.
    pub fn heal(&mut self) {
        self.weather = Weather::default();
        self.gone_until_ms = [0; 2];
        for way in &mut self.ways {
            way.dead_until_ms = 0;
        }
    }

    /// One outage, of a kind that chance decides.
    pub fn outage(&mut self) {
        let until_ms = self.now_ms + self.rng.between(20, 6_000);
        match self.rng.between(0, 2) {
            0 => {
                let way = self.rng.below(2);
                self.cut(way, until_ms);
                self.counts.add(Fault::HalfOpen);
            }
            1 => {
                self.cut(0, until_ms);
                self.cut(1, until_ms);
                self.counts.add(Fault::Unplugged);
            }
            _ => {
                self.gone_until_ms[self.rng.below(2)] = until_ms;
                self.cut(0, until_ms);
                self.cut(1, until_ms);
                self.counts.add(Fault::PortLost);
            }
        }
    }

    fn cut(&mut self, way: usize, until_ms: u64) {
        let straggles = self.rng.chance(3_000);
        let way = &mut self.ways[way];
        way.dead_until_ms = way.dead_until_ms.max(until_ms);
        let last = way.chunks.pop_back();
        if straggles && let Some(last) = last {
            way.straggler = Some(last.bytes);
            self.counts.add(Fault::Reorder);
        }
        way.chunks.clear();
    }

    /// Whether the port at `end` is there at all.
    pub fn has_port(&self, end: End) -> bool {
        self.now_ms >= self.gone_until_ms[end as usize]
    }

    /// `end` lost its power: what its port held is gone.
    pub fn power_off(&mut self, end: End) {
        self.ways[1 - end as usize].chunks.clear();
    }

    /// `end` writes; returns how many bytes its port took.
    pub fn write(&mut self, end: End, bytes: &[u8]) -> usize {
        let now_x100 = self.now_ms * 100;
        let way = &mut self.ways[end as usize];
        if way.busy_x100 > now_x100 + BACKLOG_MS_MAX * 100 {
            return 0;
        }
        way.busy_x100 = way.busy_x100.max(now_x100) + bytes.len() as u64 * 10_000 / BYTES_A_MS_X100;
        if self.now_ms < way.dead_until_ms {
            return bytes.len();
        }
        let at_ms = way.busy_x100.div_ceil(100);
        if let Some(old) = way.straggler.take() {
            way.chunks.push_back(Chunk { at_ms, bytes: old });
        }
        let mut chunk = self.spare.pop().unwrap_or_default();
        chunk.clear();
        chunk.extend_from_slice(bytes);
        self.damage(&mut chunk);
        let twice = self.rng.chance(self.weather.duplicate).then(|| chunk.clone());
        let way = &mut self.ways[end as usize];
        way.chunks.push_back(Chunk { at_ms, bytes: chunk });
        if let Some(again) = twice {
            way.chunks.push_back(Chunk { at_ms, bytes: again });
            self.counts.add(Fault::Duplicate);
        }
        if self.weather.stranger > 0 {
            self.intrude(end, bytes, at_ms);
        }
        bytes.len()
    }

    /// Somebody else is on the cable, too, and may say something behind what `end` says.
    fn intrude(&mut self, end: End, bytes: &[u8], at_ms: u64) {
        self.stranger.hears(end, bytes, &mut self.rng);
        if !self.rng.chance(self.weather.stranger) {
            return;
        }
        let replayed = if self.rng.chance(5_000) { self.stranger.replay(&mut self.rng) } else { None };
        self.counts.add(if replayed.is_some() { Fault::Replay } else { Fault::Stranger });
        let bytes = match replayed {
            Some(bytes) => bytes,
            None => self.stranger.forge(end, &mut self.rng),
        };
        self.ways[end as usize].chunks.push_back(Chunk { at_ms, bytes });
    }

    fn damage(&mut self, chunk: &mut Vec<u8>) {
        if self.rng.chance(self.weather.loss) {
            let from = self.rng.below(chunk.len().max(1));
            let upto = self.rng.between(from as u64, chunk.len() as u64) as usize;
            chunk.drain(from..upto);
            self.counts.add(Fault::Loss);
        }
        if !chunk.is_empty() && self.rng.chance(self.weather.flip) {
            for _ in 0..self.rng.between(1, 3) {
                let at = self.rng.below(chunk.len());
                let bit = 1 << self.rng.between(0, 7);
                if !self.repairs_checksums || !flip_and_repair(chunk, at, bit) {
                    chunk[at] ^= bit;
                }
            }
            self.counts.add(Fault::BitFlip);
        }
    }

    /// `end` reads what has arrived; returns how many bytes.
    pub fn read(&mut self, end: End, buffer: &mut [u8]) -> usize {
        let way = &mut self.ways[1 - end as usize];
        let mut used = 0;
        while let Some(chunk) = way.chunks.front_mut()
            && chunk.at_ms <= self.now_ms
            && used < buffer.len()
        {
            let n = chunk.bytes.len().min(buffer.len() - used);
            buffer[used..used + n].copy_from_slice(&chunk.bytes[..n]);
            used += n;
            if n < chunk.bytes.len() {
                chunk.bytes.drain(..n);
            } else if let Some(done) = way.chunks.pop_front() {
                self.spare.push(done.bytes);
            }
        }
        used
    }

    /// When the next bytes arrive at `end`.
    pub fn next_ms(&self, end: End) -> u64 {
        self.ways[1 - end as usize].chunks.front().map_or(u64::MAX, |chunk| chunk.at_ms)
    }
}

/// Flips a bit inside a frame's payload and makes its checksum fit, as if nobody had checked it.
fn flip_and_repair(chunk: &mut Vec<u8>, at: usize, bit: u8) -> bool {
    let mut whole = Accumulator::default();
    let (Some(Received::Frame(kind, payload)), _) = whole.feed(chunk) else { return false };
    let mut payload = payload.to_vec();
    let Some(byte) = payload.get_mut(at) else { return false };
    *byte ^= bit;
    let mut wire = [0; WIRE_BYTES_MAX];
    let Some(n) = frame::encode(kind, &[&payload], &mut wire) else { return false };
    chunk.clear();
    chunk.extend_from_slice(&wire[..n]);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_cable_delivers_at_the_line_rate() {
        let mut cable = Cable::new(Weather::default(), Rng::new(1));
        cable.now_ms = 1_000;
        assert_eq!(cable.write(End::Till, &[7; 1_152]), 1_152);
        assert_eq!(cable.next_ms(End::Pos), 1_100);
        let mut buffer = [0; 1_000];
        assert_eq!(cable.read(End::Pos, &mut buffer), 0);
        cable.now_ms = 1_100;
        assert_eq!((cable.read(End::Pos, &mut buffer), cable.read(End::Pos, &mut buffer)), (1_000, 152));
        assert_eq!(cable.next_ms(End::Pos), u64::MAX);
    }

    #[test]
    fn a_full_port_takes_no_more_and_an_outage_swallows() {
        let mut cable = Cable::new(Weather::default(), Rng::new(1));
        assert_eq!(cable.write(End::Pos, &[1; 5_000]), 5_000);
        assert_eq!(cable.write(End::Pos, &[1; 9]), 0);
        cable.now_ms = 500;
        cable.cut(1, 900);
        assert_eq!(cable.write(End::Pos, &[1; 9]), 9);
        cable.now_ms = 10_000;
        let mut buffer = [0; 99];
        assert!(cable.read(End::Till, &mut buffer) <= 99);
        assert_eq!(cable.read(End::Till, &mut buffer), 0);
    }
}
