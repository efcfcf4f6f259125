//! The triggers' thread where lines and scale are the box's own: opened again and again while they are missing,
//! read, and told to the counter.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::config::{Config, Presence, Scale, TriggerSource};
use crate::runtime::clock;
use crate::runtime::heart::Heart;
use crate::runtime::live::ToCounter;
use crate::runtime::status::TriggerStatus;
use crate::trigger::cell::{Cell, LoadCell};
use crate::trigger::line::Line;
use crate::trigger::{RawEvent, TriggerError, TriggerErrorKind};

/// The scale is asked this often; an edge of the line is heard at once.
const EVERY: Duration = Duration::from_millis(20);
/// Waits between two attempts to open a device.
const REOPEN_MS: u64 = 1_000;
/// How often the status hears of a load that only moves.
const STATUS_EVERY_MS: u64 = 500;

/// A device of type `T` that may be away.
pub(super) struct Device<C, T> {
    pub(super) config: C,
    pub(super) open: Option<T>,
    open_at_ms: u64,
    error: Option<TriggerError>,
    /// The error has changed since the status was told.
    changed: bool,
}

impl<C, T> Device<C, T> {
    pub(super) fn new(config: C) -> Self {
        Self { config, open: None, open_at_ms: 0, error: None, changed: false }
    }

    /// Opens it if it is away and due; `true` when it has just come.
    pub(super) fn comes(&mut self, now_ms: u64, open: impl FnOnce(&C) -> Result<T, TriggerError>) -> bool {
        if self.open.is_some() || now_ms < self.open_at_ms {
            return false;
        }
        match open(&self.config) {
            Ok(device) => {
                self.open = Some(device);
                true
            }
            Err(error) => {
                self.failed(now_ms, error);
                false
            }
        }
    }

    /// What was in the way is said once, and a device that is gone is opened anew.
    pub(super) fn failed(&mut self, now_ms: u64, error: TriggerError) {
        if self.error.as_ref() != Some(&error) {
            log::error!("{error}");
            self.changed = true;
        }
        use TriggerErrorKind as K;
        if !matches!(error.kind, K::Format | K::Overload | K::Disconnected) {
            self.open = None;
            self.open_at_ms = now_ms + REOPEN_MS;
        }
        self.error = Some(error);
    }

    pub(super) fn works(&mut self, place: impl Fn(&C) -> String) {
        if self.error.take().is_some() {
            log::info!("{}: works again", place(&self.config));
            self.changed = true;
        }
    }

    /// Writes what is in the way into `told`, if that has changed.
    pub(super) fn tell(&mut self, told: &mut Option<String>) {
        if std::mem::take(&mut self.changed) {
            *told = self.error.as_ref().map(ToString::to_string);
        }
    }
}

/// See the module's text.
pub struct Devices {
    line: Option<Device<Presence, Line>>,
    scale: Option<Device<Scale, Cell>>,
    calibration: PathBuf,
    told: TriggerStatus,
    told_ms: u64,
    now: TriggerStatus,
    /// The counter knows that the load is unknown.
    lost: bool,
}

impl Devices {
    /// Of the configuration, unless lines and scale come from elsewhere.
    pub fn of(config: &Config) -> Option<Self> {
        let TriggerSource::Devices { presence, scale } = &config.trigger.source else { return None };
        let now = TriggerStatus {
            line: presence.as_ref().map(|line| line.place.to_string()),
            scale: scale.as_ref().map(|scale| scale.source.to_string()),
            ..TriggerStatus::default()
        };
        Some(Self {
            line: presence.clone().map(Device::new),
            scale: scale.clone().map(Device::new),
            calibration: config.counter.state_dir.join("scale.json"),
            told: TriggerStatus::default(),
            told_ms: 0,
            now,
            lost: false,
        })
    }

    /// Reads until `stop`.
    pub fn run(&mut self, out: &Sender<ToCounter>, heart: &Heart, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let now_ms = clock::monotonic_ms();
            heart.beat(now_ms);
            self.turn(now_ms, &mut |fact| {
                if out.try_send(fact).is_err() {
                    log::warn!("triggers: the counter is behind, an event was dropped");
                }
            });
            self.wait(&mut |level| {
                let _ = out.send(ToCounter::Raw(RawEvent::Presence(level)));
            });
        }
    }

    fn turn(&mut self, now_ms: u64, out: &mut dyn FnMut(ToCounter)) {
        if let Some(line) = &mut self.line
            && line.comes(now_ms, Line::open)
            && let Some(open) = &line.open
        {
            match open.level() {
                Ok(level) => {
                    line.works(|config| config.place.to_string());
                    self.now.presence = level;
                    out(ToCounter::Raw(RawEvent::Presence(level)));
                }
                Err(error) => line.failed(now_ms, error),
            }
        }
        if let Some(scale) = &mut self.scale {
            scale.comes(now_ms, |config| Cell::open(config, &self.calibration));
            match scale.open.as_mut().map(|cell| cell.poll(now_ms)) {
                Some(Ok(Some(weighed))) => {
                    scale.works(|config| config.source.to_string());
                    self.lost = false;
                    self.now.grams = Some(weighed.grams);
                    out(ToCounter::Raw(RawEvent::LoadGrams(weighed.grams)));
                }
                Some(Ok(None)) => {}
                Some(Err(error)) => scale.failed(now_ms, error),
                None => {}
            }
            if scale.error.is_some() && !self.lost {
                self.lost = true;
                self.now.grams = None;
                out(ToCounter::Raw(RawEvent::LoadLost));
            }
        }
        if let Some(line) = &mut self.line {
            line.tell(&mut self.now.line_error);
        }
        if let Some(scale) = &mut self.scale {
            scale.tell(&mut self.now.scale_error);
        }
        let (now, told) = (&self.now, &self.told);
        let only_load = (&now.line, now.presence, &now.line_error, &now.scale, &now.scale_error)
            == (&told.line, told.presence, &told.line_error, &told.scale, &told.scale_error);
        if now != told && (!only_load || now_ms.saturating_sub(self.told_ms) >= STATUS_EVERY_MS) {
            self.told = self.now.clone();
            self.told_ms = now_ms;
            out(ToCounter::Devices(self.told.clone()));
        }
    }

    /// Until the scale is due again; an edge of the line ends the wait.
    fn wait(&mut self, edge: &mut dyn FnMut(bool)) {
        let Some(line) = &mut self.line else { return std::thread::park_timeout(EVERY) };
        let Some(open) = &line.open else { return std::thread::park_timeout(EVERY) };
        match open.wait(EVERY) {
            Ok(Some((level, _))) => {
                self.now.presence = level;
                edge(level);
            }
            Ok(None) => {}
            Err(error) => line.failed(clock::monotonic_ms(), error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ScaleProtocol, ScaleSource};
    use crate::tty::Wire;
    use crate::tty::pty::Pty;

    fn turn(devices: &mut Devices, now_ms: u64) -> Vec<RawEvent> {
        let mut raw = Vec::new();
        devices.turn(now_ms, &mut |fact| {
            if let ToCounter::Raw(event) = fact {
                raw.push(event);
            }
        });
        raw
    }

    #[test]
    fn a_scale_that_is_unplugged_is_lost_once_and_comes_back_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scale");
        let source = ScaleSource::Serial { path: path.clone(), baud: 9_600, protocol: ScaleProtocol::And };
        let now = TriggerStatus { scale: Some(source.to_string()), ..TriggerStatus::default() };
        let mut devices = Devices {
            line: None,
            scale: Some(Device::new(Scale { source, max_g: 3_000 })),
            calibration: PathBuf::new(),
            told: TriggerStatus::default(),
            told_ms: 0,
            now,
            lost: false,
        };
        assert_eq!(turn(&mut devices, 0), [RawEvent::LoadLost]);
        assert!(devices.told.scale_error.as_ref().unwrap().contains("no such device"), "{:?}", devices.told);
        assert_eq!(turn(&mut devices, 1_000), [], "it is told once");
        for life in 0..3 {
            let mut pty = Pty::open().unwrap();
            std::os::unix::fs::symlink(pty.path(), &path).unwrap();
            let now_ms = 10_000 * (life + 1);
            turn(&mut devices, now_ms);
            pty.write(b"ST,+00250.0  g\r\n").unwrap();
            assert_eq!(turn(&mut devices, now_ms + 20), [RawEvent::LoadGrams(250)]);
            pty.write(b"ST,+03250.0  g\r\n").unwrap();
            assert_eq!(turn(&mut devices, now_ms + 40), [RawEvent::LoadLost], "3,000 g at most");
            assert!(devices.told.scale_error.as_ref().unwrap().contains("at most"));
            pty.write(b"ST,+00250.0  g\r\n").unwrap();
            assert_eq!(turn(&mut devices, now_ms + 60), [RawEvent::LoadGrams(250)]);
            assert_eq!((devices.told.grams, &devices.told.scale_error), (Some(250), &None));
            drop(pty);
            std::fs::remove_file(&path).unwrap();
            // A tty that is gone reads as one that is silent.
            assert_eq!(turn(&mut devices, now_ms + 80), []);
            assert_eq!(turn(&mut devices, now_ms + 2_100), [RawEvent::LoadLost]);
        }
    }
}
