//! Is there a POS at the other end, how far away is it, and if not, what is wrong. Says HELLO only, each time
//! under another boot number and never mutual: so the POS answers each at once (SPEC 6.4), takes up no link,
//! and nothing changes in its books. With a key each HELLO proves it, and only an answer that proves it counts.

use std::io;

use serde::Serialize;
use till_link::secure::FLAG_SECURED;
use till_link::{Config, Endpoint, Event, Refusal, Resume, Role, Security, WIRE_BYTES_MAX};

use crate::conform::line::Line;
use crate::conform::raw::{self, Ear, Heard, Hello, kind};

/// An answer later than this is none.
const ANSWER_MS: u64 = 1_000;
/// A secured POS that still holds the link with its till to be up answers nobody before that silence is over.
const FIRST_SECURED_MS: u64 = till_link::endpoint::LOST_MS + ANSWER_MS;
/// Between an answer and the next question.
const PAUSE_MS: u64 = 50;

/// What is at the other end, or what is wrong with the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Diagnosis {
    /// A POS that answers everything.
    Well,
    /// A POS, but frames get lost or damaged.
    Lossy,
    /// A POS is heard, it does not hear us.
    Deaf,
    /// Nothing comes.
    Silent,
    /// What comes is no frame.
    NoFrames,
    /// What comes is what we sent.
    Loop,
    /// A till.
    Till,
    /// A POS of another major version.
    Version,
    /// A POS with other messages.
    Schema,
    /// A POS of another counter.
    Counter,
    /// A POS that talks to nobody without a key, and we have none.
    NeedsKey,
    /// A POS without a key, and we have one.
    NoKey,
    /// A POS with another key than ours.
    WrongKey,
    /// It refuses us for a reason of its own.
    Refused,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pinged {
    /// Questions.
    pub sent: u32,
    /// Of them answered.
    pub answered: u32,
    /// Sent again because no answer came.
    pub retransmits: u32,
    /// Round trips, milliseconds, in order of size.
    pub round_trips_ms: Vec<u64>,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Bytes of them that were zero.
    pub zero_bytes: u64,
    /// Whole frames that came.
    pub frames_in: u32,
    /// Longer than any frame.
    pub too_long: u32,
    /// Not COBS.
    pub bad_cobs: u32,
    /// Damaged.
    pub bad_crc: u32,
    /// Our own frames that came back.
    pub echoed: u32,
    /// Reason of a REFUSE.
    pub refused: Option<u8>,
    /// We spoke under a key.
    pub keyed: bool,
    /// HELLOs of the other end that did not prove that key.
    pub unproven: u32,
    /// Version, schema and counter of the other end.
    pub other: Option<Other>,
}

/// Who the other end says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Other {
    /// `till` or `pos`.
    pub role: &'static str,
    /// Of the protocol.
    pub version: String,
    /// Of the messages, in hex.
    pub schema: String,
    /// The counter's number it is set to.
    pub counter: u32,
    /// Whether flags of SPEC 8 are set.
    pub flags: u8,
}

impl Pinged {
    /// Damaged frames of all kinds.
    pub fn bad_frames(&self) -> u32 {
        self.too_long + self.bad_cobs + self.bad_crc
    }

    /// Smallest, middle and largest round trip.
    pub fn min_median_max_ms(&self) -> Option<[u64; 3]> {
        let sorted = &self.round_trips_ms;
        Some([*sorted.first()?, *sorted.get(sorted.len() / 2)?, *sorted.last()?])
    }

    /// What it means, for a till of `counter`.
    pub fn diagnosis(&self, counter: u32) -> Diagnosis {
        let Some(other) = &self.other else {
            return match (self.bytes_in, self.echoed, self.refused) {
                (0, ..) => Diagnosis::Silent,
                (_, 1.., _) => Diagnosis::Loop,
                (.., Some(_)) => self.key_fault().unwrap_or(Diagnosis::Refused),
                _ => Diagnosis::NoFrames,
            };
        };
        let ours = (format!("{}", till_link::VERSION.0), format!("{:08x}", till_link::message::SCHEMA));
        if other.role == "till" {
            Diagnosis::Till
        } else if other.version.split('.').next() != Some(ours.0.as_str()) {
            Diagnosis::Version
        } else if other.schema != ours.1 {
            Diagnosis::Schema
        } else if other.counter != counter {
            Diagnosis::Counter
        } else if let Some(fault) = self.key_fault() {
            fault
        } else if self.refused.is_some() {
            Diagnosis::Refused
        } else if self.answered == 0 {
            Diagnosis::Deaf
        } else if self.answered < self.sent || self.bad_frames() > 0 || self.echoed > 0 {
            Diagnosis::Lossy
        } else {
            Diagnosis::Well
        }
    }

    /// What is wrong with the key at one of the ends.
    fn key_fault(&self) -> Option<Diagnosis> {
        let theirs = self.other.as_ref().map(|other| other.flags & FLAG_SECURED != 0);
        let refused = |reason: Refusal| self.refused == Some(reason as u8);
        match (self.keyed, theirs) {
            (false, Some(true)) => Some(Diagnosis::NeedsKey),
            (true, Some(false)) => Some(Diagnosis::NoKey),
            _ if refused(Refusal::Security) => Some(if self.keyed { Diagnosis::NoKey } else { Diagnosis::NeedsKey }),
            _ if refused(Refusal::Key) || self.unproven > 0 => Some(Diagnosis::WrongKey),
            _ => None,
        }
    }

    /// The same in plain words, and what to do.
    pub fn words(&self, counter: u32) -> String {
        match self.diagnosis(counter) {
            Diagnosis::Well => "the POS hears and answers".into(),
            Diagnosis::Lossy => format!(
                "the POS answers, but {} of {} questions had no answer and {} frames came damaged: look at plugs, \
                 cable length and what runs beside the cable",
                self.sent - self.answered,
                self.sent,
                self.bad_frames()
            ),
            Diagnosis::Deaf => "the POS is heard, but it does not hear us: our sending line (TX) is broken, or not \
                                on the POS's receiving pin (RX)"
                .into(),
            Diagnosis::Silent => {
                "nothing at all comes back: the POS program does not run, the cable is not plugged in \
                                  at the other end, or TX and RX are not crossed (a straight cable where a null modem \
                                  is needed)"
                    .into()
            }
            Diagnosis::NoFrames if self.zero_bytes * 10 > self.bytes_in * 9 => {
                "only zero bytes come: the line is held low; TX and RX or the ground are swapped, or the levels differ \
                 (RS-232 on a 3.3 V UART)"
                    .into()
            }
            Diagnosis::NoFrames => format!(
                "{} bytes come, but none of our frames is among them: another rate or parity at the other end, another \
                 program on its port, or much noise",
                self.bytes_in
            ),
            Diagnosis::Loop => {
                "only our own bytes come back: a loop plug, or TX and RX touch; till link loopback tests \
                                with a plug"
                    .into()
            }
            Diagnosis::Till => "there is a till at the other end, not a POS: the cable joins two counters, or the POS \
                                program is set to the wrong role"
                .into(),
            Diagnosis::Version | Diagnosis::Schema => {
                let other = self.other.clone().unwrap_or_default();
                format!(
                    "the POS speaks version {} with schema {}, this till {}.{} with {:08x}: update the older of the two",
                    other.version,
                    other.schema,
                    till_link::VERSION.0,
                    till_link::VERSION.1,
                    till_link::message::SCHEMA
                )
            }
            Diagnosis::Counter => format!(
                "the POS is set to counter {}, this is counter {counter}: a cable of another counter, or a wrong number in \
                 one of the two configurations",
                self.other.as_ref().map_or(0, |other| other.counter)
            ),
            Diagnosis::NeedsKey => {
                "the POS talks to nobody without the counter's key: say --key-file with the file of \
                                    link.key_file; the till needs link.secure = true"
                    .into()
            }
            Diagnosis::NoKey => "the POS has no key and talks to no end that has one: give it the counter's key, or \
                                 take link.secure from the till"
                .into(),
            Diagnosis::WrongKey => "the POS has another key than this file, or the same under another number: give \
                                    both ends the same line"
                .into(),
            Diagnosis::Refused => format!(
                "the POS refuses us with reason {}: {}",
                self.refused.unwrap_or(0),
                match self.refused {
                    Some(1) => "another version",
                    Some(2) => "another schema",
                    Some(3) => "another counter",
                    Some(4) => "it, too, is a till or holds us for a POS",
                    _ => "one of its own",
                }
            ),
        }
    }
}

/// An end that holds the key, for one question: it says its first HELLO and no more, so the POS can't take it up.
struct Keyed(Endpoint);

impl Keyed {
    fn new(security: Security, counter: u32, epoch: u32, boot: u32) -> Self {
        let config = Config { role: Role::Till, counter, epoch, boot, window: 1 };
        Self(Endpoint::secured(config, security, Resume::default(), 0, 0, 0))
    }

    fn hello(&mut self) -> Vec<u8> {
        let mut wire = [0; WIRE_BYTES_MAX];
        let length = self.0.poll_transmit(0, &mut (), &mut wire, |_| {}).unwrap_or(0);
        wire.get(..length).unwrap_or_default().to_vec()
    }

    /// Takes a byte; whether it ended a HELLO that proves another key, or none.
    fn is_unproven(&mut self, byte: u8) -> bool {
        let mut unproven = false;
        self.0.receive(0, &[byte], |event| {
            unproven |= matches!(event, Event::Refused(Refusal::Key | Refusal::Security));
        });
        unproven
    }
}

/// Asks `count` times, under the key of `security` if there is one. `draw` must differ from run to run.
///
/// # Errors
/// When the line breaks.
pub fn ping(
    line: &mut dyn Line,
    counter: u32,
    count: u32,
    draw: u32,
    security: Option<&Security>,
) -> io::Result<Pinged> {
    let mut pinged = Pinged { keyed: security.is_some(), ..Pinged::default() };
    let mut ear = Ear::default();
    let mut bytes = Vec::new();
    let base = draw.max(1) & 0x7fff_ffff;
    for n in 0..count {
        let boot = (base + n).max(1);
        let hello = Hello {
            major: till_link::VERSION.0,
            minor: till_link::VERSION.1,
            schema: till_link::message::SCHEMA,
            counter,
            boot,
            epoch: base.max(1),
            first: 1,
            ..Hello::default()
        };
        let mut keyed = security.map(|security| Keyed::new(security.clone(), counter, base.max(1), boot));
        // The first zero ends what an earlier program left half-sent.
        line.write(&[0])?;
        match &mut keyed {
            Some(keyed) => line.write(&keyed.hello())?,
            None => line.write(&raw::frame(kind::HELLO, &hello.bytes()))?,
        }
        pinged.sent += 1;
        let sent_ms = line.now_ms();
        let until_ms = sent_ms + if n == 0 && keyed.is_some() { FIRST_SECURED_MS } else { ANSWER_MS };
        let mut answer_ms = None;
        while answer_ms.is_none() && line.now_ms() < until_ms {
            bytes.clear();
            line.read(&mut bytes, until_ms)?;
            for &byte in &bytes {
                pinged.bytes_in += 1;
                pinged.zero_bytes += u64::from(byte == 0);
                let heard = ear.take(byte);
                let refused = matches!(heard, Some(Heard::Frame { kind: kind::REFUSE, .. }));
                let unproven = keyed.as_mut().is_some_and(|keyed| keyed.is_unproven(byte)) && !refused;
                pinged.unproven += u32::from(unproven);
                let named = pinged.hear(heard, base..=base.saturating_add(n)) == Some(boot);
                if named && keyed.as_ref().is_none_or(|keyed| keyed.0.is_up()) {
                    answer_ms = Some(line.now_ms() - sent_ms);
                }
            }
        }
        match answer_ms {
            Some(ms) => {
                pinged.answered += 1;
                pinged.round_trips_ms.push(ms);
            }
            None if n + 1 < count => pinged.retransmits += 1,
            None => {}
        }
        let until_ms = line.now_ms() + PAUSE_MS;
        while line.now_ms() < until_ms {
            bytes.clear();
            line.read(&mut bytes, until_ms)?;
            for &byte in &bytes {
                pinged.bytes_in += 1;
                pinged.zero_bytes += u64::from(byte == 0);
                let heard = ear.take(byte);
                pinged.hear(heard, base..=base.saturating_add(n));
            }
        }
    }
    pinged.round_trips_ms.sort_unstable();
    Ok(pinged)
}

impl Pinged {
    /// Counts what was heard; the boot number of ours that a POS names.
    fn hear(&mut self, heard: Option<Heard>, ours: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let (kind, payload) = match heard? {
            Heard::Frame { kind, payload } => (kind, payload),
            Heard::TooLong => return bump(&mut self.too_long),
            Heard::BadCobs => return bump(&mut self.bad_cobs),
            Heard::BadCrc => return bump(&mut self.bad_crc),
        };
        self.frames_in += 1;
        if kind == kind::REFUSE {
            self.refused = payload.first().copied();
        }
        let hello = Hello::read(&payload).filter(|_| kind == kind::HELLO)?;
        if hello.role == 0 && ours.contains(&hello.boot) {
            return bump(&mut self.echoed);
        }
        self.other = Some(Other {
            role: if hello.role == 0 { "till" } else { "pos" },
            version: format!("{}.{}", hello.major, hello.minor),
            schema: format!("{:08x}", hello.schema),
            counter: hello.counter,
            flags: hello.flags,
        });
        (hello.role == 1).then_some(hello.peer_boot)
    }
}

fn bump(count: &mut u32) -> Option<u32> {
    *count += 1;
    None
}
