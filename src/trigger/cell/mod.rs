//! Load cells and scales to grams. A [`LoadCell`] is asked again and again and never waits; a serial scale
//! says grams itself, a bridge on IIO says counts, which a [`Calibration`] makes grams of. Read next:
//! `serial`, `iio`, `calibration`.

pub mod calibration;
pub mod calibrator;
pub mod iio;
pub mod protocol;
pub mod serial;
pub mod zero;

pub use calibration::Calibration;

use std::path::Path;

use self::iio::IioCell;
use self::serial::SerialScale;
use super::{TriggerError, TriggerErrorKind};
use crate::config::{Scale, ScaleSource};

/// One reading of a load cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// Tare subtracted; negative when something was taken off a tared tray.
    pub grams: i32,
    /// What the converter said, where it says counts.
    pub counts: Option<i64>,
    /// The scale itself says that the load stands still; `None` where it can't.
    pub stable: Option<bool>,
}

/// Where the kernel shows its converters.
pub const IIO_DEVICES: &str = "/sys/bus/iio/devices";

/// An open load cell that is told when more lies on it than it can weigh.
pub struct Cell {
    inner: Box<dyn LoadCell>,
    place: String,
    max_g: i32,
}

impl Cell {
    /// Opens it; one that says counts needs `calibration`, the file that `till scale calibrate` wrote.
    ///
    /// # Errors
    /// What is in the way, with what to do.
    pub fn open(config: &Scale, calibration: &Path) -> Result<Self, TriggerError> {
        match &config.source {
            ScaleSource::Iio(name) => Self::of_iio(config, Path::new(IIO_DEVICES), name, calibration),
            ScaleSource::Serial { path, baud, protocol } => {
                Ok(Self::of(config, Box::new(SerialScale::open(path.clone(), *baud, *protocol)?)))
            }
        }
    }

    /// The converter called `name` among `devices`, which need not be the kernel's own folder.
    ///
    /// # Errors
    /// As [`Cell::open`].
    pub fn of_iio(config: &Scale, devices: &Path, name: &str, calibration: &Path) -> Result<Self, TriggerError> {
        Ok(Self::of(config, Box::new(IioCell::open(devices, name, calibration.to_owned())?)))
    }

    fn of(config: &Scale, inner: Box<dyn LoadCell>) -> Self {
        Self { inner, place: config.source.to_string(), max_g: config.max_g }
    }
}

impl LoadCell for Cell {
    fn poll(&mut self, now_ms: u64) -> Result<Option<Weighed>, TriggerError> {
        match self.inner.poll(now_ms)? {
            Some(Weighed { grams, .. }) if grams > self.max_g => {
                let message = format!("{grams} g lie on it; it weighs {} g at most", self.max_g);
                Err(TriggerError::new(TriggerErrorKind::Overload, &self.place, message))
            }
            weighed => Ok(weighed),
        }
    }
}

/// Something that weighs.
pub trait LoadCell: Send {
    /// The newest reading since the last call, if there is one. Does not wait.
    ///
    /// # Errors
    /// A cell that can't be read, is overloaded or disconnected. After `Missing`, `Busy`, `Denied` and `Lost`
    /// it must be opened anew; after any other kind it may be asked again.
    fn poll(&mut self, now_ms: u64) -> Result<Option<Weighed>, TriggerError>;
}
