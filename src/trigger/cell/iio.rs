//! A bridge converter on the kernel's IIO (hx711, nau7802, ads1232 and the like), read through sysfs: one number in
//! `in_voltageN_raw`. Ten to eighty readings a second are all that these chips have, so no buffer is set up.

use std::path::{Path, PathBuf};

use super::calibration::Calibration;
use super::zero::ZeroTracker;
use super::{LoadCell, Weighed};
use crate::trigger::{TriggerError, TriggerErrorKind};

/// Whether a reading is at a 24-bit end: the bridge is open or shorted.
pub fn is_disconnected(counts: i64) -> bool {
    matches!(counts, 8_388_607 | -8_388_608 | 16_777_215)
}

/// The slowest of these chips converts ten times a second.
const EVERY_MS: u64 = 50;
/// A tray within so many grams of zero is empty.
const EMPTY_G: i32 = 2;

/// The file of the first channel of the converter that is called `name`, or the only one there is for `"auto"`.
///
/// # Errors
/// None, or several, with their names.
pub fn find(devices: &Path, name: &str) -> Result<PathBuf, TriggerError> {
    let place = devices.display().to_string();
    let missing = |message: String| TriggerError::new(TriggerErrorKind::Missing, &place, message);
    let mut seen: Vec<(String, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(devices).map_err(|error| TriggerError::io(&place, &error))?.flatten() {
        let Ok(called) = std::fs::read_to_string(entry.path().join("name")) else { continue };
        let mut channels: Vec<PathBuf> =
            std::fs::read_dir(entry.path()).into_iter().flatten().flatten().map(|file| file.path()).collect();
        channels.retain(|file| {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("in_voltage") && name.ends_with("_raw")
        });
        channels.sort_unstable();
        seen.extend(channels.into_iter().next().map(|file| (called.trim().to_owned(), file)));
    }
    seen.sort_unstable();
    let names = seen.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    seen.retain(|(called, _)| name == "auto" || called == name);
    match seen.as_slice() {
        [(_, file)] => Ok(file.clone()),
        [] if names.is_empty() => Err(missing("no converter; is its driver loaded and in the device tree?".into())),
        [] => Err(missing(format!("no converter is called {name:?}; there are {names}"))),
        _ => Err(missing(format!("several converters fit: {names}; name one in trigger.scale.device"))),
    }
}

/// Reads the counts now.
///
/// # Errors
/// `Lost` for a converter that does not answer, `Disconnected` for an open bridge.
pub fn counts(file: &Path) -> Result<i64, TriggerError> {
    let place = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| TriggerError::io(&place, &error))?;
    let counts = text
        .trim()
        .parse()
        .map_err(|_| TriggerError::new(TriggerErrorKind::Format, &place, format!("{:?} is no number", text.trim())))?;
    if is_disconnected(counts) {
        let message = format!("reads {counts}: the load cell is not connected; look at its four wires");
        return Err(TriggerError::new(TriggerErrorKind::Disconnected, place, message));
    }
    Ok(counts)
}

/// A load cell behind such a converter.
#[derive(Debug)]
pub struct IioCell {
    file: PathBuf,
    calibration_file: PathBuf,
    calibration: Calibration,
    /// When the file was written that the calibration is from.
    written: Option<std::time::SystemTime>,
    zero: ZeroTracker,
    read_ms: Option<u64>,
}

impl IioCell {
    /// The converter called `name` below `devices` (`/sys/bus/iio/devices`), with the calibration of that file.
    ///
    /// # Errors
    /// No such converter, or no calibration.
    pub fn open(devices: &Path, name: &str, calibration_file: PathBuf) -> Result<Self, TriggerError> {
        let file = find(devices, name)?;
        let written = written(&calibration_file);
        let calibration = Calibration::load(&calibration_file)?;
        let zero = zero_of(&calibration);
        Ok(Self { file, calibration_file, calibration, written, zero, read_ms: None })
    }
}

fn zero_of(calibration: &Calibration) -> ZeroTracker {
    ZeroTracker::new(calibration.counts(EMPTY_G), calibration.counts(1))
}

fn written(file: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(file).and_then(|meta| meta.modified()).ok()
}

impl LoadCell for IioCell {
    fn poll(&mut self, now_ms: u64) -> Result<Option<Weighed>, TriggerError> {
        if self.read_ms.is_some_and(|read_ms| now_ms.saturating_sub(read_ms) < EVERY_MS) {
            return Ok(None);
        }
        self.read_ms = Some(now_ms);
        // A technician calibrates and tares while the counter runs.
        let written = written(&self.calibration_file);
        if written != self.written {
            self.calibration = Calibration::load(&self.calibration_file)?;
            self.zero = zero_of(&self.calibration);
            self.written = written;
        }
        let counts = counts(&self.file)?;
        let offset = self.zero.follow(now_ms, counts.saturating_sub(self.calibration.zero_counts));
        let grams = self.calibration.grams(counts.saturating_sub(offset));
        Ok(Some(Weighed { grams, counts: Some(counts), stable: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as the kernel's `Documentation/ABI/testing/sysfs-bus-iio` has it, with its devices' names.
    fn tree(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (i, name) in names.iter().enumerate() {
            let device = folder.path().join(format!("iio:device{i}"));
            std::fs::create_dir(&device).unwrap();
            std::fs::write(device.join("name"), format!("{name}\n")).unwrap();
            std::fs::write(device.join("in_voltage0_raw"), "84000\n").unwrap();
            std::fs::write(device.join("in_voltage1_raw"), "7\n").unwrap();
        }
        folder
    }

    #[test]
    fn a_converter_is_found_by_name_and_the_only_one_without() {
        let one = tree(&["hx711"]);
        assert!(find(one.path(), "auto").unwrap().ends_with("iio:device0/in_voltage0_raw"));
        let error = find(one.path(), "nau7802").unwrap_err();
        assert!(error.kind == TriggerErrorKind::Missing && error.message.contains("hx711"), "{error}");
        let two = tree(&["ina3221x", "hx711"]);
        assert!(find(two.path(), "hx711").unwrap().ends_with("iio:device1/in_voltage0_raw"));
        let error = find(two.path(), "auto").unwrap_err();
        assert!(error.message.contains("hx711, ina3221x"), "{error}");
        assert!(find(tree(&[]).path(), "auto").unwrap_err().message.contains("driver"));
    }

    #[test]
    fn counts_become_grams_faults_are_named_and_a_new_calibration_counts_at_once() {
        let folder = tree(&["hx711"]);
        let raw = folder.path().join("iio:device0/in_voltage0_raw");
        let file = folder.path().join("scale.json");
        let open = || IioCell::open(folder.path(), "auto", file.clone());
        assert_eq!(open().unwrap_err().kind, TriggerErrorKind::Calibration);
        Calibration::new(84_000, 84_000 + 200_000, 500).unwrap().save(&file).unwrap();
        let mut cell = open().unwrap();
        let mut now_ms = 0;
        let mut poll = |text: &str| {
            std::fs::write(&raw, text).unwrap();
            now_ms += EVERY_MS;
            cell.poll(now_ms).map(|weighed| weighed.map(|weighed| weighed.grams)).map_err(|error| error.kind)
        };
        assert_eq!(poll("84000"), Ok(Some(0)));
        assert_eq!(poll("184000"), Ok(Some(250)));
        assert_eq!(poll("8388607"), Err(TriggerErrorKind::Disconnected));
        assert_eq!(poll("8084000"), Ok(Some(20_000)));
        assert_eq!(poll(""), Err(TriggerErrorKind::Format));
        assert_eq!(poll("184000"), Ok(Some(250)), "it is asked again and goes on");
        Calibration::new(184_000, 284_000, 500).unwrap().save(&file).unwrap();
        assert_eq!(poll("184000"), Ok(Some(0)), "tared meanwhile");
        std::fs::remove_file(&raw).unwrap();
        assert_eq!(cell.poll(now_ms + EVERY_MS).unwrap_err().kind, TriggerErrorKind::Missing);
    }
}
