//! What goes wrong in a simulated world, how often in this one, and how often it did.

use crate::sim::rng::Rng;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Everything that can go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$name,)*];

            /// As reports call it.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// Bytes on the wire vanished.
    Loss = "loss",
    /// Bits on the wire flipped.
    BitFlip = "bit_flip",
    /// Bytes on the wire came twice.
    Duplicate = "duplicate",
    /// A frame of somebody without the key came, on a link with one.
    Stranger = "stranger",
    /// A frame that an end of a link with a key sent before, either of them, came again.
    Replay = "replay",
    /// Bytes from before a reconnection came after it.
    Reorder = "reorder",
    /// One direction of the wire was dead for a while.
    HalfOpen = "half_open",
    /// Both were.
    Unplugged = "unplugged",
    /// A port vanished and came back, with errors in between.
    PortLost = "port_lost",
    /// The till lost its power, or its process was killed.
    TillCrash = "till_crash",
    /// The POS did.
    PosCrash = "pos_crash",
    /// A power cut left part of a write.
    TornWrite = "torn_write",
    /// A power cut took what no fsync had secured.
    LostUnsynced = "lost_unsynced",
    /// A power cut took records that were synced and that the other end had acknowledged.
    LostTail = "lost_tail",
    /// A disk was full.
    NoSpace = "no_space",
    /// A disk reported an error.
    IoError = "io_error",
    /// The camera delivered no pictures.
    CameraLost = "camera_lost",
    /// No engine worked.
    EngineFailed = "engine_failed",
    /// The scale could not be read.
    ScaleLost = "scale_lost",
}

/// How often each fault happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Fault::ALL.len()]);

impl Counts {
    /// It happened once more.
    pub fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often it happened.
    pub fn get(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds what happened in another world.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}

/// How bad one world is. Chances are in 1/10,000 of a chunk, an operation, or a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Of a chunk on the wire.
    pub loss: u64,
    /// Of a chunk on the wire.
    pub flip: u64,
    /// Of a chunk on the wire.
    pub duplicate: u64,
    /// Of a chunk on a wire with a key: a stranger's or an old frame comes behind it.
    pub stranger: u64,
    /// Of a second: one direction, both directions or the port itself goes.
    pub outage: u64,
    /// Of a second, for each end: power cut or kill at that moment.
    pub crash: u64,
    /// Of an operation on a disk: the power goes in the middle of it.
    pub crash_in_disk: u64,
    /// Of an operation on a disk: it fails.
    pub disk_error: u64,
    /// Of a second: the disk of one end is full for a while.
    pub disk_full: u64,
    /// Of a second, for each end: its disk loses the end of its outbox.
    pub lost_tail: u64,
    /// Of a second: camera, engine or scale go for a while.
    pub senses: u64,
}

impl Weather {
    /// The weather of a world: calm, one kind of trouble, or all of it.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut weather = Self::default();
        match rng.between(0, 9) {
            0 => {}
            1 => (weather.loss, weather.flip, weather.duplicate) = (600, 300, 300),
            2 => weather.outage = 1_500,
            3 => weather.crash = 800,
            4 => weather.crash_in_disk = 200,
            5 => (weather.disk_error, weather.disk_full) = (100, 500),
            6 => weather.senses = 1_000,
            7 => (weather.lost_tail, weather.crash) = (400, 200),
            _ => {
                weather = Self {
                    loss: rng.between(0, 400),
                    flip: rng.between(0, 300),
                    duplicate: rng.between(0, 300),
                    stranger: 0,
                    outage: rng.between(0, 800),
                    crash: rng.between(0, 400),
                    crash_in_disk: rng.between(0, 100),
                    disk_error: rng.between(0, 60),
                    disk_full: rng.between(0, 300),
                    senses: rng.between(0, 400),
                    lost_tail: rng.between(0, 60),
                }
            }
        }
        weather
    }
}
