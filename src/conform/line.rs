//! What the player plays on: bytes both ways and a clock, so that a test can turn both. The real one is a
//! tty that is waited on with a deadline.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::port::{PortError, SerialWire, Wire};

/// Bytes both ways, and time.
pub trait Line {
    /// Milliseconds of a clock that never goes back.
    fn now_ms(&self) -> u64;
    /// Waits until something comes or `until_ms`, and puts what came behind `bytes`.
    fn read(&mut self, bytes: &mut Vec<u8>, until_ms: u64) -> io::Result<()>;
    /// Sends all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Kills the POS and starts it again; `None` when nobody said how.
    fn restart(&mut self) -> Option<io::Result<()>>;
}

/// A serial port.
#[derive(Debug)]
pub struct TtyLine {
    wire: SerialWire,
    restart: Option<String>,
    started: std::time::Instant,
}

/// A line that takes no bytes for this long is broken.
const WRITE_MS_MAX: u64 = 5_000;

impl TtyLine {
    /// Opens the tty at `path`; `restart` is a shell command that kills and starts the POS.
    pub fn open(path: &Path, baud: u32, restart: Option<String>) -> Result<Self, PortError> {
        Ok(Self { wire: SerialWire::open(path, baud)?, restart, started: std::time::Instant::now() })
    }

    fn wait(&self, flags: PollFlags, until_ms: u64) -> io::Result<()> {
        let left_ms = until_ms.saturating_sub(self.now_ms());
        let timeout = Timespec { tv_sec: (left_ms / 1000) as i64, tv_nsec: (left_ms % 1000 * 1_000_000) as i64 };
        match poll(&mut [PollFd::from_borrowed_fd(self.wire.as_fd(), flags)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Line for TtyLine {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn read(&mut self, bytes: &mut Vec<u8>, until_ms: u64) -> io::Result<()> {
        self.wait(PollFlags::IN, until_ms)?;
        let mut chunk = [0; 1024];
        loop {
            match self.wire.read(&mut chunk)? {
                0 => return Ok(()),
                n => bytes.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            }
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let until_ms = self.now_ms() + WRITE_MS_MAX;
        while !bytes.is_empty() {
            match self.wire.write(bytes)? {
                0 if self.now_ms() >= until_ms => return Err(io::ErrorKind::TimedOut.into()),
                0 => self.wait(PollFlags::OUT, until_ms)?,
                n => bytes = bytes.get(n..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    fn restart(&mut self) -> Option<io::Result<()>> {
        let command = self.restart.as_ref()?;
        let status = Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).status();
        Some(status.and_then(|status| {
            if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?} ended with {status}"))) }
        }))
    }
}
