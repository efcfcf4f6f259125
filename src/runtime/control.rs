//! The control socket: one request a connection, one line of JSON back. It only ever reads.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::runtime::heart::Heart;
use crate::runtime::{RuntimeError, RuntimeErrorKind, Status, clock};

/// Longest request that is read.
const REQUEST_BYTES_MAX: u64 = 256;
/// How long a client may dawdle.
const CLIENT_MS_MAX: Duration = Duration::from_millis(1_000);

/// A bound control socket; its file goes with it.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    listener: UnixListener,
}

impl Control {
    /// Binds `path`. A socket left by a dead daemon is replaced; a living daemon's is not.
    pub fn bind(path: &Path) -> Result<Self, RuntimeError> {
        let failed = |error: std::io::Error| {
            RuntimeError::new(
                RuntimeErrorKind::Control,
                path.display().to_string(),
                format!("can't open the control socket: {error}"),
            )
        };
        if UnixStream::connect(path).is_ok() {
            return Err(RuntimeError::new(
                RuntimeErrorKind::SecondDaemon,
                path.display().to_string(),
                "another till answers on this control socket; stop it first (systemctl stop till)",
            ));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// Serves until `stop`; `answer` turns a request's word into one line of JSON.
    pub fn serve(&self, stop: &AtomicBool, heart: &Arc<Heart>, answer: &dyn Fn(&str) -> String) {
        while !stop.load(Ordering::Relaxed) {
            heart.beat(clock::monotonic_ms());
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = respond(&stream, answer) {
                        log::debug!("control: a client went away: {error}");
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => wait_readable(&self.listener),
                Err(error) => {
                    log::warn!("control {}: {error}", self.path.display());
                    wait_readable(&self.listener);
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn wait_readable(listener: &UnixListener) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
    let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&timeout));
}

fn respond(stream: &UnixStream, answer: &dyn Fn(&str) -> String) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(CLIENT_MS_MAX))?;
    stream.set_write_timeout(Some(CLIENT_MS_MAX))?;
    let mut request = String::new();
    BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_line(&mut request)?;
    let mut line = answer(request.trim());
    line.push('\n');
    (&*stream).write_all(line.as_bytes())
}

/// Asks the daemon at `path` one word and returns its line.
pub fn ask(path: &Path, request: &str) -> Result<String, RuntimeError> {
    let failed = |error: std::io::Error| {
        RuntimeError::new(
            RuntimeErrorKind::Unreachable,
            path.display().to_string(),
            format!("the daemon does not answer ({error}); is it running? systemctl status till"),
        )
    };
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).map_err(failed)?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(failed)?;
    if line.is_empty() {
        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(line)
}

/// Asks the daemon at `path` how it is; the line as it came beside what it says.
pub fn ask_status(path: &Path) -> Result<(Status, String), RuntimeError> {
    let line = ask(path, "status")?;
    let status = serde_json::from_str(&line).map_err(|error| {
        let message = format!("the answer is not understood: {error}");
        RuntimeError::new(RuntimeErrorKind::Control, path.display().to_string(), message)
    })?;
    Ok((status, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_gets_its_line_and_a_second_daemon_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/ctl.sock");
        let control = Control::bind(&path).unwrap();
        let stop = AtomicBool::new(false);
        let heart = Heart::new("control", 1_000, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| control.serve(&stop, &heart, &|request| format!("{{\"asked\":\"{request}\"}}")));
            assert_eq!(ask(&path, "status").unwrap(), "{\"asked\":\"status\"}\n");
            assert_eq!(Control::bind(&path).unwrap_err().kind, RuntimeErrorKind::SecondDaemon);
            stop.store(true, Ordering::Relaxed);
        });
        drop(control);
        assert!(!path.exists());
        assert_eq!(ask(&path, "status").unwrap_err().kind, RuntimeErrorKind::Unreachable);
    }
}
