//! Keys that nobody has to press: what to do with each offer, for demos and tests.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Press {
    /// Take the money.
    Pay,
    /// Refuse the offer.
    Cancel,
    /// Leave it to a person.
    #[default]
    Wait,
}

/// What to press for one offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// The offer, counted from 1.
    number: u32,
    press: Press,
    #[serde(default)]
    delay_ms: u64,
}

/// What to press for each offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// For offers that are not named.
    #[serde(default)]
    default: Press,
    /// Before pressing it, milliseconds.
    #[serde(default)]
    delay_ms: u64,
    /// Every shopper asks to be recognised, and this is their answer to who the counter takes them for.
    #[serde(default)]
    member: Option<bool>,
    #[serde(default)]
    offer: Vec<Step>,
}

/// A script that can't be used.
#[derive(Clone, Debug)]
pub struct ScriptError {
    /// The file.
    pub file: PathBuf,
    /// What was found and what is allowed.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key script {}: {}", self.file.display(), self.message)
    }
}

impl std::error::Error for ScriptError {}

impl Keys {
    /// Every offer is paid at once.
    pub fn pay_all() -> Self {
        Self { default: Press::Pay, ..Self::default() }
    }

    /// Whether every shopper asks to be recognised, and then says yes or no.
    pub fn member(&self) -> Option<bool> {
        self.member
    }

    /// Reads a script: `default = "pay"`, `member = true`, and `[[offer]]` with `number`, `press` and `delay_ms`.
    ///
    /// # Errors
    /// When the file can't be read or says something else.
    pub fn load(file: &Path) -> Result<Self, ScriptError> {
        let failed = |message| ScriptError { file: file.to_owned(), message };
        let text = std::fs::read_to_string(file).map_err(|error| failed(format!("can't be read: {error}")))?;
        toml::from_str(&text).map_err(|error| failed(error.to_string()))
    }

    /// The key for offer `number` (from 1) and how long to wait before it, milliseconds.
    pub fn for_offer(&self, number: u32) -> (Press, u64) {
        let step = self.offer.iter().find(|step| step.number == number);
        step.map_or((self.default, self.delay_ms), |step| (step.press, step.delay_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_offer_has_its_own_key() {
        let keys: Keys =
            toml::from_str("default = \"pay\"\n[[offer]]\nnumber = 2\npress = \"cancel\"\ndelay_ms = 50\n").unwrap();
        assert_eq!([1, 2, 3].map(|n| keys.for_offer(n)), [(Press::Pay, 0), (Press::Cancel, 50), (Press::Pay, 0)]);
        assert!(toml::from_str::<Keys>("defalt = \"pay\"").is_err());
        assert_eq!(Keys::default().for_offer(1), (Press::Wait, 0));
    }
}
