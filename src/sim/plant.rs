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
    /// Damaged frames come with a checksum that fits.
    CrcNotChecked = "crc-not-checked",
    /// After a restart session numbers begin anew.
    SessionReused = "session-reused",
    /// After a restart nobody asks what became of the open offer.
    NoRecovery = "no-recovery",
    /// What a failing disk refuses is dropped.
    DropWhenFull = "drop-when-full",
    /// The scale is not asked.
    MassNotChecked = "mass-not-checked",
    /// A guess is charged.
    UnsureCharged = "unsure-charged",
    /// An offer is not taken back when the goods change.
    WithdrawForgotten = "withdraw-forgotten",
    /// After a restart the POS has forgotten the last thing that it acknowledged.
    PosForgetsLast = "pos-forgets-last",
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
