//! Lines that the counter drives: status lamp, buzzer, gate lock. What each shows is decided here from the signs of the
//! moment, pure; [`Output`] is the line itself, and anything else that can be switched stands in for it in a test.

use gpiocdev::Request;
use gpiocdev::line::{Offset, Value};

use super::TriggerError;
use super::line::{failed, find};
use crate::config::{self, Sign};

/// Something that is on or off.
pub trait Switch: Send {
    /// Switches it.
    ///
    /// # Errors
    /// The line went away.
    fn set(&mut self, on: bool) -> Result<(), TriggerError>;
}

/// An open output line.
#[derive(Debug)]
pub struct Output {
    request: Request,
    offset: Offset,
    place: String,
}

impl Output {
    /// Takes the line for this process alone and drives it `on` from the first moment.
    ///
    /// # Errors
    /// No such line, another program's, or not permitted.
    pub fn open(config: &config::Output, on: bool) -> Result<Self, TriggerError> {
        let place = config.place.to_string();
        let (chip, offset) = find(&config.place)?;
        let mut builder = Request::builder();
        builder.on_chip(chip).with_consumer("till").with_line(offset).as_output(value(on));
        if config.active_low {
            builder.as_active_low();
        }
        let request = builder.request().map_err(|error| failed(&place, &error))?;
        Ok(Self { request, offset, place })
    }
}

impl Switch for Output {
    fn set(&mut self, on: bool) -> Result<(), TriggerError> {
        self.request.set_value(self.offset, value(on)).map_err(|error| failed(&self.place, &error)).map(drop)
    }
}

fn value(on: bool) -> Value {
    if on { Value::Active } else { Value::Inactive }
}

/// Which signs stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs(u8);

impl Signs {
    /// With `sign` standing, or not.
    pub fn with(self, sign: Sign, stands: bool) -> Self {
        let bit = 1 << sign as u8;
        Self(if stands { self.0 | bit } else { self.0 & !bit })
    }

    /// Whether it stands.
    pub fn has(self, sign: Sign) -> bool {
        self.0 & (1 << sign as u8) != 0
    }
}

/// When an output is on: while a sign of its own stands, or for the time of its pulse after one came.
#[derive(Clone, Debug)]
pub struct Rule {
    own: Signs,
    pulse_ms: u64,
    stood: Signs,
    came_ms: Option<u64>,
}

impl Rule {
    /// Of the configuration.
    pub fn of(config: &config::Output) -> Self {
        let own = config.on.iter().fold(Signs::default(), |signs, sign| signs.with(*sign, true));
        Self { own, pulse_ms: config.pulse_ms, stood: Signs::default(), came_ms: None }
    }

    /// Whether it is on now, `signs` standing.
    pub fn is_on(&mut self, now_ms: u64, signs: Signs) -> bool {
        let stand = Signs(signs.0 & self.own.0);
        if stand.0 & !self.stood.0 != 0 {
            self.came_ms = Some(now_ms);
        }
        self.stood = stand;
        match self.pulse_ms {
            0 => stand.0 != 0,
            // Once begun it runs its time: a gate stays open though the shopper has left the counter.
            pulse_ms => self.came_ms.is_some_and(|came_ms| now_ms.saturating_sub(came_ms) < pulse_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TriggerErrorKind;
    use super::*;
    use crate::config::LinePlace;

    fn output(on: &[Sign], pulse_ms: u64) -> config::Output {
        let place = LinePlace::At("/dev/gpiochip977".into(), 3);
        config::Output { name: "lamp", place, active_low: false, on: on.to_vec(), pulse_ms, safe: false }
    }

    #[test]
    fn a_lamp_is_on_while_its_signs_stand() {
        let mut lamp = Rule::of(&output(&[Sign::Attention, Sign::Staff], 0));
        let attention = Signs::default().with(Sign::Attention, true);
        assert!(!lamp.is_on(0, Signs::default().with(Sign::Live, true)));
        assert!(lamp.is_on(10, attention) && lamp.is_on(90_000, attention.with(Sign::Staff, true)));
        assert!(lamp.is_on(90_010, Signs::default().with(Sign::Staff, true)));
        assert!(!lamp.is_on(90_020, attention.with(Sign::Attention, false)));
    }

    #[test]
    fn a_pulse_runs_its_time_and_each_sign_begins_one() {
        let mut lock = Rule::of(&output(&[Sign::Paid, Sign::Staff], 5_000));
        let (none, paid) = (Signs::default(), Signs::default().with(Sign::Paid, true));
        assert!(!lock.is_on(0, none));
        assert!(lock.is_on(1_000, paid) && lock.is_on(2_000, none) && lock.is_on(5_999, none));
        assert!(!lock.is_on(6_000, none));
        assert!(lock.is_on(7_000, paid) && !lock.is_on(12_000, paid), "a sign that stands begins no second one");
        assert!(lock.is_on(13_000, paid.with(Sign::Staff, true)), "another sign does");
    }

    #[test]
    fn a_line_that_is_not_there_is_named() {
        let error = Output::open(&output(&[Sign::Live], 0), false).unwrap_err();
        assert_eq!((error.kind, error.place.as_str()), (TriggerErrorKind::Missing, "/dev/gpiochip977 line 3"));
    }
}
