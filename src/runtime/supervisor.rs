//! Signals and the watchdog: SIGTERM and SIGINT end the daemon cleanly, SIGHUP reloads what can be, and
//! systemd's watchdog is fed only while every thread beats.

use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::runtime::live::Live;
use crate::runtime::{RuntimeError, RuntimeErrorKind};

/// How often hearts are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Signals, turned into messages.
pub struct SignalPost {
    signals: Receiver<i32>,
    handle: signal_hook::iterator::Handle,
}

impl SignalPost {
    /// Takes the signals of this process over.
    pub fn install() -> Result<Self, RuntimeError> {
        let failed = |error: std::io::Error| {
            RuntimeError::new(RuntimeErrorKind::Thread, "signals", format!("can't be handled: {error}"))
        };
        let mut source = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(failed)?;
        let handle = source.handle();
        let (sender, signals) = bounded(8);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in source.forever() {
                    if sender.send(signal).is_err() {
                        break;
                    }
                }
            })
            .map_err(failed)?;
        Ok(Self { signals, handle })
    }

    /// The next signal, if one comes within `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<i32> {
        self.signals.recv_timeout(timeout).ok()
    }
}

impl Drop for SignalPost {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// Whether `signal` asks the process to end.
pub fn ends(signal: i32) -> bool {
    signal == SIGTERM || signal == SIGINT
}

/// Watches over `live` until a signal ends it. `reload` is called at SIGHUP.
pub fn supervise(live: &Live, signals: &SignalPost, reload: &mut dyn FnMut()) {
    // Outside systemd there is nobody to tell; that is no error.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut told = Vec::new();
    loop {
        match signals.wait(LOOK_EVERY) {
            Some(signal) if ends(signal) => break,
            Some(_) => reload(),
            None => {}
        }
        let silent = live.silent();
        if silent.is_empty() {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        } else if silent != told {
            log::error!("supervisor: no sign of life from {}; the watchdog is not fed", silent.join(", "));
        }
        told = silent;
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    log::info!("stopping");
}
