//! What is kept of one person: an id, a name where one is wanted, when and how consent was given, and the vectors of
//! the face by pose. No picture. The bytes are postcard's, filled up to whole blocks so that the file's size tells
//! neither the length of a name nor the number of vectors to a byte.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{VaultError, VaultErrorKind};
use crate::gallery::{self, DIMENSIONS_MAX};

/// Longest id in bytes: what a message of the link takes.
pub const ID_BYTES_MAX: usize = 32;
/// Longest name in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Most vectors of one person.
pub const TEMPLATES_MAX: usize = 32;
/// A record fills whole blocks of this many bytes.
const BLOCK_BYTES: usize = 4096;
/// Far more than the largest record.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;

/// Which way the head was turned, as seen by the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Facing {
    /// At the camera.
    Front,
    /// To the person's right.
    Right,
    /// Down.
    Down,
    /// To the person's left.
    Left,
}

impl Facing {
    /// All, in the order of the study.
    pub const ALL: [Self; 4] = [Self::Front, Self::Right, Self::Down, Self::Left];

    /// As written in configuration and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Right => "right",
            Self::Down => "down",
            Self::Left => "left",
        }
    }
}

impl From<crate::config::Facing> for Facing {
    fn from(facing: crate::config::Facing) -> Self {
        match facing {
            crate::config::Facing::Front => Self::Front,
            crate::config::Facing::Right => Self::Right,
            crate::config::Facing::Down => Self::Down,
            crate::config::Facing::Left => Self::Left,
        }
    }
}

impl fmt::Display for Facing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How consent was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// To the staff, who ran `till people enrol`.
    Staff,
    /// By the person at the counter's own screen.
    Counter,
    /// On paper, kept elsewhere.
    Paper,
}

impl Method {
    /// As written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Counter => "counter",
            Self::Paper => "paper",
        }
    }
}

/// What a person agreed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Version of the text.
    pub version: String,
    /// sha256 of the text that was shown, as 64 digits.
    pub text_sha256: Option<String>,
    /// Seconds since 1970; none where the clock was not set, because a time is never made up.
    pub at_s: Option<u64>,
    /// How.
    pub method: Method,
}

/// One vector of a face.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// sha256 of the network that made it, as 64 digits.
    pub network: String,
    /// Which way the head was turned.
    pub facing: Facing,
    /// A unit vector.
    pub vector: Vec<f32>,
}

/// Says how long it is, not what.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({}, {} values)", self.facing, self.vector.len())
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        self.vector.zeroize();
    }
}

/// One person.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The shop's own id of the person, unique in the vault.
    pub id: String,
    /// What to call the person, where that is wanted.
    pub name: Option<String>,
    /// Seconds since 1970; none where the clock was not set.
    pub created_s: Option<u64>,
    /// What was agreed to.
    pub consent: Consent,
    /// The face.
    pub templates: Vec<Template>,
}

/// Names nobody.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} templates)", self.templates.len())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.id.zeroize();
        self.name.zeroize();
    }
}

impl Record {
    /// Refuses what must not be stored.
    ///
    /// # Errors
    /// [`VaultErrorKind::Invalid`], with what and why, never a value.
    pub fn check(&self) -> Result<(), VaultError> {
        let error = |m: String| Err(VaultError::new(VaultErrorKind::Invalid, "record", m));
        let word = |what: &str, text: &str, max: usize| match text {
            "" => Err(format!("{what} is empty")),
            t if t.len() > max => Err(format!("{what} has {} bytes, at most {max}", t.len())),
            t if t.chars().any(char::is_control) || t.trim() != t => {
                Err(format!("{what} begins or ends with a space, or holds what can't be printed"))
            }
            _ => Ok(()),
        };
        word("the id", &self.id, ID_BYTES_MAX)
            .and_then(|()| self.name.as_deref().map_or(Ok(()), |n| word("the name", n, NAME_BYTES_MAX)))
            .and_then(|()| word("the version of the consent", &self.consent.version, ID_BYTES_MAX))
            .or_else(error)?;
        if self.templates.is_empty() || self.templates.len() > TEMPLATES_MAX {
            return error(format!("{} templates; 1 to {TEMPLATES_MAX} are kept", self.templates.len()));
        }
        for t in &self.templates {
            let hash = |s: &str| s.len() == 64 && s.bytes().all(|b| b.is_ascii_hexdigit());
            if !hash(&t.network) || !self.consent.text_sha256.as_deref().is_none_or(hash) {
                return error("a hash is not one of 64 digits".into());
            }
            if t.vector.is_empty() || t.vector.len() > DIMENSIONS_MAX || !gallery::is_unit(&t.vector) {
                return error(format!("the template {} is no unit vector", t.facing));
            }
        }
        Ok(())
    }

    /// As bytes.
    ///
    /// # Errors
    /// [`VaultErrorKind::Invalid`] as [`Record::check`].
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.check()?;
        // More than enough from the start: a vector that grows leaves copies behind.
        let vectors: usize = self.templates.iter().map(|t| t.vector.len() * 4 + 256).sum();
        let mut bytes = Zeroizing::new(vec![0; (vectors + 1024).next_multiple_of(BLOCK_BYTES)]);
        let used = postcard::to_slice(self, &mut bytes)
            .map_err(|e| VaultError::new(VaultErrorKind::Invalid, "record", e.to_string()))?
            .len();
        bytes.truncate(used.next_multiple_of(BLOCK_BYTES));
        Ok(bytes)
    }

    /// From the bytes that [`Record::encode`] made; none for others.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (record, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.iter().all(|b| *b == 0) && record.check().is_ok()).then_some(record)
    }
}
