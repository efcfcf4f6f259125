//! Bugs that can be planted, so that a simulator which finds nothing has shown that it would.

macro_rules! plants {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Plant { $($(#[$doc])* $name,)* }

        impl Plant {
            /// All of them.
            pub const ALL: &[Plant] = &[$(Plant::$name,)*];

            /// As the command line calls it.
            pub fn name(self) -> &'static str {
                match self { $(Plant::$name => $text,)* }
            }
        }
    };
}

plants! {
    /// fsync of files does nothing: what was acknowledged may be gone after a power cut.
    AckBeforeFsync = "ack-before-fsync",
    /// fsync of folders does nothing: a new segment may be gone after a power cut.
    ForgotParentFsync = "forgot-parent-fsync",
    /// A write that a full or failing disk refuses counts as done.
    WriteErrorIgnored = "write-error-ignored",
    /// Damaged frames come with a checksum that fits.
    CrcNotChecked = "crc-not-checked",
    /// After a restart the till's outbox begins anew under the old epoch, so that sale ids come again.
    OutboxNotKept = "outbox-not-kept",
    /// After a restart the till has forgotten its last record and gives its number to another.
    TillForgetsLast = "till-forgets-last",
    /// After a restart the POS has forgotten the last thing that it acknowledged.
    PosForgetsLast = "pos-forgets-last",
    /// After a restart the POS's window of what it has already had ends one short: the last message is taken
    /// again.
    DedupOffByOne = "dedup-off-by-one",
    /// The POS takes the money before its journal has the payment.
    MoneyBeforeJournal = "money-before-journal",
    /// Both ends of a link with a key talk without it.
    KeyNotAsked = "key-not-asked",
    /// The scale is not asked.
    MassNotChecked = "mass-not-checked",
    /// A guess is charged.
    UnsureCharged = "unsure-charged",
}

impl std::str::FromStr for Plant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|plant| plant.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|plant| plant.name()).collect();
            format!("no bug is called {name:?}; there are {}", names.join(", "))
        })
    }
}
