//! What bytes travel over, and the real one: a tty through `rppal`, which opens any.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rppal::uart::{Parity, Uart};

use crate::tty::{TtyError, TtyErrorKind};

/// Bytes in both directions. Neither call waits.
pub trait Wire: Send {
    /// Takes what has come; 0 when nothing has.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize>;
    /// Gives as much as the line takes now; 0 when it takes none.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Bytes that were taken and are not on the line yet, where that can be known; else 0.
    fn waiting(&self) -> usize {
        0
    }
}

/// A serial port: 8 data bits, no parity, 1 stop bit, no flow control.
#[derive(Debug)]
pub struct SerialWire {
    uart: Uart,
    /// Holds the lock that keeps other tills out.
    lock: File,
}

impl SerialWire {
    /// Opens the tty at `path` for this process alone.
    pub fn open(path: &Path, baud: u32) -> Result<Self, TtyError> {
        let place = path.display().to_string();
        let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK;
        let lock = File::options()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)
            .map_err(|error| TtyError::io(&place, &error))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| TtyError::io(&place, &error.into()))?;
        let failed = |error: rppal::uart::Error| match error {
            rppal::uart::Error::Io(error) => TtyError::io(&place, &error),
            other => TtyError::new(TtyErrorKind::Lost, &place, format!("is not a serial port at {baud} baud: {other}")),
        };
        let mut uart = Uart::with_path(path, baud, Parity::None, 8, 1).map_err(failed)?;
        uart.set_read_mode(0, std::time::Duration::ZERO).map_err(failed)?;
        uart.set_write_mode(false).map_err(failed)?;
        Ok(Self { uart, lock })
    }
}

impl AsFd for SerialWire {
    /// To wait on: the same tty.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

fn io_error(error: rppal::uart::Error) -> io::Error {
    match error {
        rppal::uart::Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

/// A line that has nothing, or takes nothing, now.
pub(super) fn or_nothing(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}

impl Wire for SerialWire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        or_nothing(self.uart.read(bytes).map_err(io_error))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_nothing(self.uart.write(bytes).map_err(io_error))
    }

    /// The kernel takes 4 KiB ahead, which a line of 115200 sends for 355 ms. A pty, whose line is memory, says 0.
    fn waiting(&self) -> usize {
        self.uart.output_len().unwrap_or(0)
    }
}
