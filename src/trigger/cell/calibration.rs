//! Counts of a bridge to grams: a straight line through the empty tray and a known mass, kept in a file.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::trigger::{TriggerError, TriggerErrorKind};
use crate::whole;

/// Fewer counts a gram than this and a gram can't be told from noise.
const COUNTS_A_GRAM_MIN: i64 = 1;

/// What `till scale calibrate` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Counts of the empty tray.
    pub zero_counts: i64,
    /// Counts that `mass_g` adds; negative where the cell is mounted upside down.
    pub span_counts: i64,
    /// The known mass, grams.
    pub mass_g: i32,
}

impl Calibration {
    /// From two readings.
    ///
    /// # Errors
    /// A mass that moved the reading by less than a count a gram.
    pub fn new(zero_counts: i64, loaded_counts: i64, mass_g: i32) -> Result<Self, TriggerError> {
        let span_counts = loaded_counts.saturating_sub(zero_counts);
        let this = Self { zero_counts, span_counts, mass_g };
        this.is_usable().then_some(this).ok_or_else(|| {
            TriggerError::new(
                TriggerErrorKind::Calibration,
                "scale",
                format!("{mass_g} g moved the reading by {span_counts} counts only; does the mass lie on the tray?"),
            )
        })
    }

    fn is_usable(&self) -> bool {
        self.mass_g > 0 && self.span_counts.saturating_abs() / i64::from(self.mass_g) >= COUNTS_A_GRAM_MIN
    }

    /// Grams of `counts`, rounded half away from zero.
    pub fn grams(&self, counts: i64) -> i32 {
        let net = i128::from(counts) - i128::from(self.zero_counts);
        let (span, mass) = (i128::from(self.span_counts), i128::from(self.mass_g));
        let scaled = net * mass * 2 * span.signum();
        let whole = (scaled + span.abs() * scaled.signum()) / (2 * span.abs()).max(1);
        i32::try_from(whole).unwrap_or(if whole < 0 { i32::MIN } else { i32::MAX })
    }

    /// Counts that `grams` add.
    pub fn counts(&self, grams: i32) -> i64 {
        let counts = i128::from(grams) * i128::from(self.span_counts) / i128::from(self.mass_g.max(1));
        i64::try_from(counts).unwrap_or(i64::MAX)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `Calibration` where there is none, or none that can be used.
    pub fn load(path: &Path) -> Result<Self, TriggerError> {
        let place = path.display().to_string();
        let unusable = |message: String| TriggerError::new(TriggerErrorKind::Calibration, &place, message);
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unusable("the scale was never calibrated; run till scale calibrate".into()),
            _ => TriggerError::io(&place, &error),
        })?;
        let this: Self = serde_json::from_str(&text)
            .map_err(|error| unusable(format!("{error}; run till scale calibrate again")))?;
        if !this.is_usable() {
            return Err(unusable("less than a count a gram; run till scale calibrate again".into()));
        }
        Ok(this)
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self, path: &Path) -> Result<(), TriggerError> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::from);
        text.and_then(|text| whole::replace(path, &[text.as_bytes()]))
            .map_err(|error| TriggerError::io(path.display().to_string(), &error))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_mass_makes_counts_grams_also_upside_down() {
        for sign in [1, -1] {
            let calibration = Calibration::new(84_000, 84_000 + sign * 210_500, 500).unwrap();
            assert_eq!(calibration.grams(84_000), 0);
            assert_eq!(calibration.grams(84_000 + sign * 421_000), 1_000);
            assert_eq!(calibration.grams(84_000 - sign * 211), -1);
            assert_eq!(calibration.grams(84_000 + sign * 210), 0);
            assert_eq!(calibration.counts(2), sign * 842);
        }
        assert_eq!(Calibration::new(84_000, 84_010, 500).unwrap_err().kind, TriggerErrorKind::Calibration);
    }

    #[test]
    fn a_file_that_is_missing_cut_or_nonsense_is_no_calibration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scale.json");
        assert!(Calibration::load(&path).unwrap_err().message.contains("till scale calibrate"));
        let calibration = Calibration::new(-5, 1_000_000, 500).unwrap();
        calibration.save(&path).unwrap();
        assert_eq!(Calibration::load(&path), Ok(calibration));
        for text in ["", "{\"zero_counts\": 1", "{\"zero_counts\":0,\"span_counts\":0,\"mass_g\":500}"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Calibration::load(&path).unwrap_err().kind, TriggerErrorKind::Calibration, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_counts_are_some_grams(zero: i64, span: i64, mass in 1..=i32::MAX, counts: i64) {
            let calibration = Calibration { zero_counts: zero, span_counts: span, mass_g: mass };
            let _ = (calibration.grams(counts), calibration.counts(mass));
        }
    }
}
