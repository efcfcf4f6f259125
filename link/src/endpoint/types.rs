//! What an endpoint is told, asks for and tells, as plain data.

/// Which end this is. Two of a kind refuse each other, as the example at [`super::Endpoint::receive`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The counter.
    Till = 0,
    /// The point of sale.
    Pos = 1,
}

/// What never changes while an endpoint lives.
///
/// ```
/// use till_link::{Config, Role};
/// let config = Config { role: Role::Pos, counter: 1, epoch: 0x5eed, boot: 12, window: 4 };
/// assert!(config.window <= till_link::endpoint::WINDOW_MAX);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Which end.
    pub role: Role,
    /// The counter's number; both ends must agree.
    pub counter: u32,
    /// The epoch of our own log.
    pub epoch: u32,
    /// Different at each start of this end, and not 0.
    pub boot: u32,
    /// Most durable messages under way, at least 1, at most [`WINDOW_MAX`].
    pub window: u32,
}

/// The largest window.
pub const WINDOW_MAX: u32 = 16;

/// How far the other end's log was stored here before this start.
///
/// ```
/// use till_link::Resume;
/// // From the journal's last record; an empty journal has the default.
/// let resume = Resume { epoch: 7, sequence: 41 };
/// assert_ne!(resume, Resume::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The epoch of the other end's log; meaningless while `sequence` is 0.
    pub epoch: u32,
    /// The last sequence stored; 0 is nothing.
    pub sequence: u32,
}

/// Where an endpoint takes what it sends.
///
/// A log in an array of which nothing is ever thrown away:
///
/// ```
/// use till_link::Source;
/// struct Log<'a>(&'a [&'a [u8]]);
/// impl Source for Log<'_> {
///     fn first(&self) -> u32 { 1 }
///     fn last(&self) -> u32 { self.0.len() as u32 }
///     fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
///         let record = self.0.get(sequence.checked_sub(1)? as usize)?;
///         buffer.get_mut(..record.len())?.copy_from_slice(record);
///         Some(record.len())
///     }
///     fn volatile(&mut self, _: &mut [u8]) -> Option<usize> { None }
/// }
/// let mut buffer = [0; 8];
/// assert_eq!(Log(&[b"offer"]).durable(1, &mut buffer), Some(5));
/// ```
pub trait Source {
    /// The lowest sequence that the log still holds; `last() + 1` when it holds none.
    fn first(&self) -> u32;
    /// The last sequence on disk; 0 is none.
    fn last(&self) -> u32;
    /// Copies the payload of `sequence` to `buffer` and returns its length; `None` if it can't be read.
    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize>;
    /// Takes the next message that may be lost; `None` when there is none.
    fn volatile(&mut self, buffer: &mut [u8]) -> Option<usize>;
    /// Takes the next part of something long that may be lost, such as a picture; it is asked for only when
    /// nothing else can be said. Whoever writes to a port with a buffer has it say `None` until the line has
    /// sent what it was given: a small event then waits for one frame at most (L-073).
    fn bulk(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let _ = buffer;
        None
    }
}

/// An end that has no log and nothing to say.
impl Source for () {
    fn first(&self) -> u32 {
        1
    }
    fn last(&self) -> u32 {
        0
    }
    fn durable(&mut self, _: u32, _: &mut [u8]) -> Option<usize> {
        None
    }
    fn volatile(&mut self, _: &mut [u8]) -> Option<usize> {
        None
    }
}

/// Why the ends do not talk.
///
/// ```
/// use till_link::Refusal;
/// fn words(reason: Refusal) -> &'static str {
///     match reason {
///         Refusal::Version | Refusal::Schema => "update the older end",
///         Refusal::Counter | Refusal::Role => "look where the cable goes",
///         Refusal::Security | Refusal::Key => "give both ends the same key",
///         Refusal::Other => "ask the other end",
///     }
/// }
/// assert_eq!(words(Refusal::Key), "give both ends the same key");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Another major version.
    Version = 1,
    /// Another schema.
    Schema = 2,
    /// Another counter's end.
    Counter = 3,
    /// Two counters or two POS.
    Role = 4,
    /// One end is secured and the other is not.
    Security = 5,
    /// The ends hold different keys.
    Key = 6,
    /// A reason that this version does not know.
    Other = 0,
}

impl Refusal {
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Version,
            2 => Self::Schema,
            3 => Self::Counter,
            4 => Self::Role,
            5 => Self::Security,
            6 => Self::Key,
            _ => Self::Other,
        }
    }
}

/// What an endpoint tells its owner.
///
/// ```
/// use till_link::{Event, ToPos, message::decode};
/// let event = Event::Volatile(&[9, 60, 1]);
/// let Event::Volatile(payload) = event else { panic!() };
/// assert_eq!(decode(payload), Some(ToPos::Clock { unix_s: 60, trusted: true }));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next durable message. Store it, then call [`super::Endpoint::stored`]; until then it is not
    /// acknowledged. It comes once in the life of this endpoint.
    Durable {
        /// The epoch of the other end's log.
        epoch: u32,
        /// Its number there.
        sequence: u32,
        /// The message.
        payload: &'a [u8],
    },
    /// A message that may have been lost.
    Volatile(&'a [u8]),
    /// The other end has stored everything up to here.
    Acknowledged {
        /// The last sequence stored there.
        sequence: u32,
    },
    /// The other end has stored our log up to `stored`, which is more than this end ever wrote: its disk has
    /// lost records. Begin the log anew, on the disk, then call [`super::Endpoint::renew`] (L-032); the link
    /// does not come up before. Told with each HELLO until then, and only before the link was first up.
    LogLost {
        /// The last sequence stored there.
        stored: u32,
    },
    /// The ends talk. `lost` messages of the other end's log are gone for good (its log or ours was
    /// replaced); 0 when all is well.
    Up {
        /// The other end's boot number.
        boot: u32,
        /// Its version's minor number.
        minor: u8,
        /// Messages that nobody holds any more.
        lost: u32,
    },
    /// The other end fell silent.
    Down,
    /// The ends do not talk.
    Refused(Refusal),
}

/// Counts since the endpoint was made.
///
/// ```
/// let stats = till_link::Stats { bad_crc: 2, too_long: 1, ..Default::default() };
/// let damaged = stats.bad_crc + stats.bad_cobs + stats.too_long;
/// assert_eq!(damaged, 3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Whole frames received.
    pub frames_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Frames longer than any can be.
    pub too_long: u64,
    /// Frames that were not COBS.
    pub bad_cobs: u64,
    /// Damaged frames.
    pub bad_crc: u64,
    /// Whole frames of an unknown kind or with a wrong length.
    pub malformed: u64,
    /// Durable messages that came again.
    pub duplicates: u64,
    /// Durable messages sent again.
    pub retransmits: u64,
    /// Gaps seen in what came.
    pub gaps: u64,
    /// Acknowledgements of what was never sent.
    pub false_acks: u64,
    /// Frames that were whole and not proved to be the other end's: no MAC, or a wrong one.
    pub bad_macs: u64,
    /// Frames that the other end sent, but not now: seen before, or older than one seen.
    pub replays: u64,
    /// How often the link came up.
    pub ups: u64,
    /// Smoothed round trip, milliseconds, storage at the other end included; 0 before the first.
    pub rtt_ms: u32,
}
