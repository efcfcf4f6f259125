//! What messages are made of: names, sales, carts, prices. Their bytes are those of the specification's section 4; a
//! field may only ever be added behind the others.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Most lines in a cart.
pub const LINES_MAX: usize = 24;

/// Most prices in one message.
pub const PRICES_MAX: usize = 16;
/// Most bytes of a picture in one message: at 115200 such a frame takes 48 ms, which is what a small event
/// waits for at most.
pub const JPEG_BYTES_MAX: usize = 512;

/// A stock keeping unit: at most 32 bytes of UTF-8.
///
/// ```
/// use till_link::Sku;
/// assert!(Sku::try_from("8801117").is_ok());
/// assert!(Sku::try_from("longer than any stock keeping unit").is_err());
/// ```
pub type Sku = heapless::String<32>;
/// A name for people: at most 48 bytes of UTF-8.
///
/// ```
/// assert_eq!(till_link::Name::try_from("초코파이").unwrap().len(), 12);
/// ```
pub type Name = heapless::String<48>;
/// A reason for people: at most 64 bytes of UTF-8.
///
/// ```
/// assert_eq!(till_link::message::Text::new().capacity(), 64);
/// ```
pub type Text = heapless::String<64>;

/// The name of a sale for ever: it never changes and is never used again.
///
/// ```
/// let sale = till_link::SaleId { counter: 1, epoch: 0xbeef, session: 7 };
/// assert_eq!(sale.to_string(), "1-0000beef-7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SaleId {
    /// The counter's number in its store.
    pub counter: u32,
    /// The epoch of the counter's outbox.
    pub epoch: u32,
    /// Counts sessions within the epoch.
    pub session: u32,
}

impl fmt::Display for SaleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}-{}", self.counter, self.epoch, self.session)
    }
}

/// ISO 4217, three capital letters.
///
/// ```
/// use till_link::message::Currency;
/// assert_eq!(Currency::new("KRW").unwrap().code(), "KRW");
/// assert_eq!(Currency::new("won"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Currency(pub [u8; 3]);

impl Currency {
    /// The currency named `code`, or `None` unless it is three capital ASCII letters.
    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The code; `"???"` where the wire brought something else.
    pub fn code(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("???")
    }
}

/// Why a line is believed.
///
/// ```
/// use till_link::Evidence;
/// let evidence = Evidence { votes: 14, frames: 15, score_permille: 934, mass_agrees: true };
/// assert!(evidence.votes <= evidence.frames);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Frames that voted for this product, of its weakest item.
    pub votes: u16,
    /// Frames in which that item was seen.
    pub frames: u16,
    /// Mean score of the votes, 0..=1000, of the weakest item.
    pub score_permille: u16,
    /// The scale agrees with the cart.
    pub mass_agrees: bool,
}

/// One product in a cart; the example at [`Cart`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which product.
    pub sku: Sku,
    /// Its name.
    pub name: Name,
    /// Price of one, minor units.
    pub unit_minor: i64,
    /// How many.
    pub quantity: u16,
    /// Why.
    pub evidence: Evidence,
}

/// A whole cart; a message never carries a difference.
///
/// ```
/// use till_link::{Cart, Evidence, Line, Name, Sku, message::Currency};
/// let evidence = Evidence { votes: 14, frames: 15, score_permille: 934, mass_agrees: true };
/// let line = Line {
///     sku: Sku::try_from("COLA-330").unwrap(),
///     name: Name::try_from("Cola 330 ml").unwrap(),
///     unit_minor: 1_500,
///     quantity: 2,
///     evidence,
/// };
/// let cart = Cart {
///     lines: [line].into_iter().collect(),
///     total_minor: 3_000,
///     currency: Currency(*b"KRW"),
///     catalogue_version: 12,
///     mass_g: 660,
/// };
/// // What a POS checks before it takes money (L-025).
/// assert_eq!(cart.sum_minor(), Some(cart.total_minor));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// In the order of the catalogue.
    pub lines: heapless::Vec<Line, LINES_MAX>,
    /// The sum over the lines, minor units.
    pub total_minor: i64,
    /// Of every amount in the cart.
    pub currency: Currency,
    /// The version of the price list that was used.
    pub catalogue_version: u32,
    /// What the scale showed, grams.
    pub mass_g: i32,
}

impl Cart {
    /// The sum over the lines, or `None` if it does not fit.
    pub fn sum_minor(&self) -> Option<i64> {
        self.lines
            .iter()
            .try_fold(0i64, |sum, line| sum.checked_add(line.unit_minor.checked_mul(i64::from(line.quantity))?))
    }
}

/// What one of a product costs.
///
/// ```
/// use till_link::{Currency, Price, Sku, ToTill};
/// // A whole price list of one product, as a POS sends it.
/// let price = Price { sku: Sku::try_from("8801117").unwrap(), unit_minor: 1_500 };
/// let prices = [price].into_iter().collect();
/// let list = ToTill::Prices { version: 1, part: 0, parts: 1, currency: Currency(*b"KRW"), prices };
/// assert!(!list.durable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Which product.
    pub sku: Sku,
    /// Price of one, minor units.
    pub unit_minor: i64,
}
