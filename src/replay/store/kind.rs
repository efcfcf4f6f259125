//! The kinds of carts, by name.

/// What kind of cart it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One item.
    One,
    /// Two to five, apart from each other.
    Few,
    /// Six to nine, some touching.
    Many,
    /// Two to four of one product, side by side.
    Same,
    /// Some, of which one is taken away again.
    PutBack,
    /// Some, with a hand over them for a while.
    Hand,
    /// One lies on another, then beside it.
    Overlap,
    /// One lies on another and stays there: any refusal will do, and so will the right receipt.
    Stacked,
    /// Two products that look alike.
    LookAlike,
    /// Goods that the store doesn't sell among others.
    Stranger,
    /// Only such goods, as heavy as a product.
    StrangerAlone,
    /// Less on the scale than the goods weigh.
    TooLight,
    /// More.
    TooHeavy,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::One,
        Self::Few,
        Self::Many,
        Self::Same,
        Self::PutBack,
        Self::Hand,
        Self::Overlap,
        Self::Stacked,
        Self::LookAlike,
        Self::Stranger,
        Self::StrangerAlone,
        Self::TooLight,
        Self::TooHeavy,
    ];

    /// For people and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Few => "few",
            Self::Many => "many",
            Self::Same => "same",
            Self::PutBack => "put-back",
            Self::Hand => "hand",
            Self::Overlap => "overlap",
            Self::Stacked => "stacked",
            Self::LookAlike => "look-alike",
            Self::Stranger => "stranger",
            Self::StrangerAlone => "stranger-alone",
            Self::TooLight => "too-light",
            Self::TooHeavy => "too-heavy",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).collect();
            format!("{name:?} is no kind of cart; there are {}", names.join(", "))
        })
    }
}
