//! The steps of a calibration: the empty tray, then a known mass. Pure: readings come in with their time.

use super::Calibration;
use crate::trigger::TriggerError;

/// Readings that a mean is made of, and for how long the load must have stood still.
const READINGS: usize = 32;
const STILL_MS: u64 = 1_500;
/// The mass must move the reading by so many times what the empty tray trembles.
const SIGNAL: i64 = 20;

/// Where a calibration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The tray must be empty; wait.
    Empty,
    /// Put the mass on the tray.
    PutMass,
    /// It lies there and still trembles.
    Settling,
    /// Done; the second is what the empty tray trembled, counts.
    Done(Calibration, i64),
}

/// The mean of a load that stands still.
#[derive(Clone, Debug, Default)]
pub struct Still {
    readings: heapless::Deque<(u64, i64), READINGS>,
}

impl Still {
    /// Takes a reading; the mean and the spread once there are enough within `spread_max`.
    pub fn reading(&mut self, now_ms: u64, counts: i64, spread_max: i64) -> Option<(i64, i64)> {
        if self.readings.is_full() {
            self.readings.pop_front();
        }
        let _ = self.readings.push_back((now_ms, counts));
        let low = self.readings.iter().map(|&(_, counts)| counts).min()?;
        let high = self.readings.iter().map(|&(_, counts)| counts).max()?;
        let spread = high.saturating_sub(low);
        let since_ms = self.readings.front().map(|&(at_ms, _)| at_ms)?;
        let enough = self.readings.len() >= 8 && now_ms.saturating_sub(since_ms) >= STILL_MS;
        if !enough || spread > spread_max {
            return None;
        }
        let sum: i128 = self.readings.iter().map(|&(_, counts)| i128::from(counts)).sum();
        Some((i64::try_from(sum / self.readings.len() as i128).ok()?, spread))
    }
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Calibrator {
    mass_g: i32,
    still: Still,
    /// Mean and spread of the empty tray.
    zero: Option<(i64, i64)>,
}

impl Calibrator {
    /// With a mass of `mass_g`.
    pub fn new(mass_g: i32) -> Self {
        Self { mass_g, still: Still::default(), zero: None }
    }

    /// Takes a reading and says what to do.
    ///
    /// # Errors
    /// A mass that moves the reading too little.
    pub fn reading(&mut self, now_ms: u64, counts: i64) -> Result<Step, TriggerError> {
        let Some((zero, noise)) = self.zero else {
            // A converter of 24 bits trembles by its last eight; a hand on the tray by far more.
            if let Some(zero) = self.still.reading(now_ms, counts, 1 << 12) {
                self.zero = Some(zero);
                self.still = Still::default();
                return Ok(Step::PutMass);
            }
            return Ok(Step::Empty);
        };
        let moved = counts.saturating_sub(zero).saturating_abs() > noise.max(10).saturating_mul(SIGNAL);
        if !moved {
            self.still = Still::default();
            return Ok(Step::PutMass);
        }
        match self.still.reading(now_ms, counts, noise.max(10).saturating_mul(2)) {
            None => Ok(Step::Settling),
            Some((loaded, _)) => Ok(Step::Done(Calibration::new(zero, loaded, self.mass_g)?, noise)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tray_then_a_mass_make_a_calibration_whatever_hands_do_between() {
        let mut calibrator = Calibrator::new(500);
        let mut now_ms = 0;
        let mut say = |counts: &dyn Fn(i64) -> i64, n: i64| {
            let mut last = Step::Empty;
            for i in 0..n {
                now_ms += 50;
                last = calibrator.reading(now_ms, counts(i)).unwrap();
            }
            last
        };
        assert_eq!(say(&|i| 84_000 + i * 10_000, 40), Step::Empty, "a hand");
        assert_eq!(say(&|i| 84_000 + i % 20, 32), Step::PutMass);
        assert_eq!(say(&|i| 84_000 + i % 20, 500), Step::PutMass, "as long as it takes");
        assert_eq!(say(&|i| 90_000 + i * 1_000, 30), Step::Settling, "it is being put down");
        let Step::Done(calibration, noise) = say(&|i| 294_000 + i % 20, 40) else { panic!("not done") };
        assert_eq!((calibration.grams(294_010), calibration.mass_g, noise), (500, 500, 19));
    }
}
