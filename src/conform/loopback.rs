//! Port and cable by themselves, with TX and RX joined by a plug at the far end: what goes out must come back.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;

use crate::conform::line::Line;
use crate::conform::noise::Noise;
use crate::conform::raw::{Ear, Heard};

/// Bytes that are written at once.
const BLOCK: usize = 64;
/// A block is back, or lost, after this long without a byte: several times what a USB adapter gathers for.
const BLOCK_MS: u64 = 60;
/// After this long without a byte nothing comes any more.
const QUIET_MS: u64 = 500;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Looped {
    /// Bytes out.
    pub sent: usize,
    /// Bytes back.
    pub received: usize,
    /// The first byte that is not the one that was sent.
    pub first_difference: Option<usize>,
    /// Bytes that differ in their place.
    pub altered: usize,
    /// Values that were sent and never came back.
    pub missing_values: Vec<u8>,
    /// Frames of the link among what came: that is no plug.
    pub frames: u32,
}

impl Looped {
    /// Whether everything came back as it was.
    pub fn is_whole(&self) -> bool {
        self.first_difference.is_none() && self.sent == self.received
    }

    /// In plain words, and what to do.
    pub fn words(&self) -> String {
        if self.is_whole() {
            return "everything came back as it was: port and cable are good".into();
        }
        if self.received == 0 {
            return "nothing came back: no plug at the far end, a broken line, or another port than the one you look at"
                .into();
        }
        if self.frames > 0 {
            return "frames of a POS or a till came: that is no loop plug; till link ping talks to it".into();
        }
        let missing = |value: u8| self.missing_values.contains(&value);
        if self.missing_values.iter().filter(|&&value| value >= 0x80).count() > 100 {
            return "the high bit is gone: 7 data bits somewhere on the way".into();
        }
        if missing(0x11) && missing(0x13) {
            return "XON and XOFF (11, 13) were eaten: software flow control somewhere on the way".into();
        }
        if missing(b'\r') || missing(b'\n') {
            return "CR or LF was changed: an adapter or terminal server in text mode on the way".into();
        }
        if self.received > self.sent {
            return "more came back than was sent: something else talks on this line, or an echo on top of the plug"
                .into();
        }
        format!(
            "{} bytes were lost and {} changed, the first at {}: a bad contact, another rate in a converter on the way, or \
             noise",
            self.sent - self.received,
            self.altered,
            self.first_difference.unwrap_or(0)
        )
    }
}

/// Sends about `count` bytes, every value among them, and compares.
///
/// # Errors
/// When the line breaks.
pub fn loopback(line: &mut dyn Line, count: usize, seed: u64) -> io::Result<Looped> {
    let mut random = Noise::new(seed);
    let mut sent: Vec<u8> = (0..=255).collect();
    while sent.len() < count {
        sent.push(random.below(256) as u8);
    }
    // What an earlier program left in the line is none of ours.
    let mut received = Vec::new();
    line.read(&mut received, line.now_ms() + 20)?;
    received.clear();
    for (n, block) in sent.chunks(BLOCK).enumerate() {
        line.write(block)?;
        // One block at a time on the line keeps any buffer on the way from running over; where nothing comes
        // there is nothing to wait for.
        let goal = received.len() + block.len();
        let mut came = n < 4 || !received.is_empty();
        while came && received.len() < goal {
            let before = received.len();
            line.read(&mut received, line.now_ms() + BLOCK_MS)?;
            came = received.len() > before;
        }
    }
    loop {
        let before = received.len();
        let until_ms = line.now_ms() + QUIET_MS;
        while received.len() == before && line.now_ms() < until_ms {
            line.read(&mut received, until_ms)?;
        }
        if received.len() == before || received.len() > 4 * sent.len() {
            break;
        }
    }
    Ok(compare(&sent, &received))
}

fn compare(sent: &[u8], received: &[u8]) -> Looped {
    let differs = |at: usize| sent.get(at) != received.get(at);
    let back: BTreeSet<u8> = received.iter().copied().collect();
    let out: BTreeSet<u8> = sent.iter().copied().collect();
    let mut ear = Ear::default();
    let frames = received.iter().filter(|&&byte| matches!(ear.take(byte), Some(Heard::Frame { .. }))).count();
    Looped {
        sent: sent.len(),
        received: received.len(),
        first_difference: (0..sent.len().max(received.len())).find(|&at| differs(at)),
        altered: sent.iter().zip(received).filter(|(a, b)| a != b).count(),
        missing_values: out.difference(&back).copied().collect(),
        frames: u32::try_from(frames).unwrap_or(u32::MAX),
    }
}
