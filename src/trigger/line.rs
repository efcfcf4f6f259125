//! The presence line through the kernel's GPIO character device, of either version: 4.9 on a Nano has only the first.

use std::path::PathBuf;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Offset, Value};

use super::{TriggerError, TriggerErrorKind};
use crate::config::{LinePlace, Presence};

/// An open input line.
#[derive(Debug)]
pub struct Line {
    request: Request,
    offset: Offset,
    place: String,
}

impl Line {
    /// Takes the line for this process alone, with both edges.
    ///
    /// # Errors
    /// No such line, another program's, or not permitted.
    pub fn open(config: &Presence) -> Result<Self, TriggerError> {
        let place = config.place.to_string();
        let (chip, offset) = find(&config.place)?;
        let mut builder = Request::builder();
        builder.on_chip(chip).with_consumer("till").with_line(offset).as_input();
        builder.with_edge_detection(EdgeDetection::BothEdges);
        if config.active_low {
            builder.as_active_low();
        }
        if let Some(up) = config.pull_up {
            builder.with_bias(if up { Bias::PullUp } else { Bias::PullDown });
        }
        let request = builder.request().map_err(|error| failed(&place, &error))?;
        Ok(Self { request, offset, place })
    }

    /// The level now, active being `true`.
    ///
    /// # Errors
    /// The line went away.
    pub fn level(&self) -> Result<bool, TriggerError> {
        let value = self.request.value(self.offset).map_err(|error| failed(&self.place, &error))?;
        Ok(value == Value::Active)
    }

    /// Waits at most `timeout` for an edge, and tells the level behind it and the kernel's time of it, nanoseconds.
    ///
    /// # Errors
    /// The line went away.
    pub fn wait(&self, timeout: Duration) -> Result<Option<(bool, u64)>, TriggerError> {
        let gone = |error: gpiocdev::Error| failed(&self.place, &error);
        if !self.request.wait_edge_event(timeout).map_err(gone)? {
            return Ok(None);
        }
        let event = self.request.read_edge_event().map_err(gone)?;
        Ok(Some((event.kind == EdgeKind::Rising, event.timestamp_ns)))
    }
}

/// The chip and the line's number on it.
pub(super) fn find(place: &LinePlace) -> Result<(PathBuf, Offset), TriggerError> {
    match place {
        LinePlace::At(chip, offset) => Ok((chip.clone(), *offset)),
        LinePlace::Named(name) => match gpiocdev::find_named_line(name) {
            Some(found) => Ok((found.chip, found.info.offset)),
            None => {
                let message = "no chip has a line of that name, or none may be opened; see gpioinfo";
                Err(TriggerError::new(TriggerErrorKind::Missing, place.to_string(), message))
            }
        },
    }
}

pub(super) fn failed(place: &str, error: &gpiocdev::Error) -> TriggerError {
    let text = error.to_string();
    // The crate keeps the kernel's number in a type that it does not hand out; std writes it like this.
    let number = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.strip_suffix(')')?.parse().ok());
    let kind = number.map_or(std::io::ErrorKind::Other, |number| std::io::Error::from_raw_os_error(number).kind());
    match kind {
        std::io::ErrorKind::ResourceBusy => {
            TriggerError::new(TriggerErrorKind::Busy, place, "another program holds the line; see gpioinfo")
        }
        std::io::ErrorKind::PermissionDenied => {
            TriggerError::new(TriggerErrorKind::Denied, place, "not permitted; add the user to group gpio")
        }
        std::io::ErrorKind::NotFound => TriggerError::new(TriggerErrorKind::Missing, place, text),
        std::io::ErrorKind::InvalidInput => TriggerError::new(
            TriggerErrorKind::Missing,
            place,
            format!("{text}: the chip has no such line, or can't pull it; leave trigger.presence.pull away"),
        ),
        _ => TriggerError::new(TriggerErrorKind::Lost, place, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_there_is_named() {
        let config = |place| Presence { place, active_low: false, pull_up: None };
        let error = Line::open(&config(LinePlace::At("/dev/gpiochip977".into(), 3))).unwrap_err();
        assert_eq!(error.place, "/dev/gpiochip977 line 3");
        assert_eq!(error.kind, TriggerErrorKind::Missing, "{error}");
        let error = Line::open(&config(LinePlace::Named("no-such-line".into()))).unwrap_err();
        assert!(error.kind == TriggerErrorKind::Missing && error.message.contains("gpioinfo"), "{error}");
    }
}
