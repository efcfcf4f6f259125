//! The control socket: one request a connection, one line of JSON back, for `picture` with the frame's bytes behind it.
//! It only ever reads.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capture::{Frame, Matrix, PixelFormat, Plane};
use crate::runtime::heart::Heart;
use crate::runtime::{RuntimeError, RuntimeErrorKind, Status, clock};

/// No camera's frame is larger.
const PICTURE_BYTES_MAX: u64 = 4 * 4096 * 4096;
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

    /// Serves until `stop`; `answer` turns a request's word into one line of JSON, and
    /// what follows it.
    pub fn serve(&self, stop: &AtomicBool, heart: &Arc<Heart>, answer: &dyn Fn(&str) -> Vec<u8>) {
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

fn respond(stream: &UnixStream, answer: &dyn Fn(&str) -> Vec<u8>) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(CLIENT_MS_MAX))?;
    stream.set_write_timeout(Some(CLIENT_MS_MAX))?;
    let mut request = String::new();
    BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_line(&mut request)?;
    (&*stream).write_all(&answer(request.trim()))
}

fn unreachable(path: &Path) -> impl Fn(std::io::Error) -> RuntimeError + '_ {
    move |error| {
        RuntimeError::new(
            RuntimeErrorKind::Unreachable,
            path.display().to_string(),
            format!("the daemon does not answer ({error}); is it running? systemctl status till"),
        )
    }
}

/// Asks the daemon at `path` one word and returns its line.
pub fn ask(path: &Path, request: &str) -> Result<String, RuntimeError> {
    Ok(ask_more(path, request)?.0)
}

/// Its line, and whence what follows it is read.
fn ask_more(path: &Path, request: &str) -> Result<(String, BufReader<UnixStream>), RuntimeError> {
    let failed = unreachable(path);
    let mut stream = UnixStream::connect(path).map_err(&failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).map_err(&failed)?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(&failed)?;
    let mut line = String::new();
    let mut rest = BufReader::new(stream);
    rest.read_line(&mut line).map_err(&failed)?;
    if line.is_empty() {
        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok((line, rest))
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

/// What the daemon says of a frame; `bytes` of pixels follow the line.
#[derive(Serialize, Deserialize)]
struct Head {
    format: PixelFormat,
    matrix: Matrix,
    width: u32,
    height: u32,
    planes: [Plane; 3],
    captured_ns: u64,
    sequence: u64,
    bytes: u64,
}

/// The answer to `picture`: a frame, or why there is none.
pub fn picture(frame: Option<Frame>) -> Vec<u8> {
    let Some(frame) = frame else {
        let error = "the tray camera sent no picture in time; see till status";
        return format!("{}\n", serde_json::json!({ "error": error })).into_bytes();
    };
    let Frame { format, matrix, width, height, planes, captured_ns, sequence, data } = frame;
    let head = Head { format, matrix, width, height, planes, captured_ns, sequence, bytes: data.len() as u64 };
    let mut answer = serde_json::to_vec(&head).unwrap_or_default();
    answer.push(b'\n');
    answer.extend_from_slice(&data);
    answer
}

/// Asks the daemon at `path` for what its tray camera sees now.
pub fn ask_picture(path: &Path) -> Result<Frame, RuntimeError> {
    let (line, rest) = ask_more(path, "picture")?;
    let head = serde_json::from_str::<Head>(&line).map_err(|_| {
        let told = serde_json::from_str::<serde_json::Value>(&line).ok();
        let told = told.as_ref().and_then(|told| told["error"].as_str()).unwrap_or("the answer is not understood");
        RuntimeError::new(RuntimeErrorKind::Device, path.display().to_string(), told)
    })?;
    let mut data = Vec::new();
    rest.take(head.bytes.min(PICTURE_BYTES_MAX)).read_to_end(&mut data).map_err(unreachable(path))?;
    let Head { format, matrix, width, height, planes, captured_ns, sequence, .. } = head;
    Ok(Frame { format, matrix, width, height, planes, data, captured_ns, sequence })
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
            let mut frame = Frame::with_capacity(2, 2);
            (frame.width, frame.height, frame.data) = (2, 2, vec![1, b'\n', 3, 4]);
            let answer = move |request: &str| match request {
                "picture" => picture(Some(frame.clone())),
                _ => format!("{{\"asked\":\"{request}\"}}\n").into_bytes(),
            };
            let (control, stop, heart) = (&control, &stop, &heart);
            scope.spawn(move || control.serve(stop, heart, &answer));
            let seen = ask_picture(&path).unwrap();
            assert_eq!((seen.width, seen.height, seen.data), (2, 2, vec![1, b'\n', 3, 4]));
            assert_eq!(ask(&path, "status").unwrap(), "{\"asked\":\"status\"}\n");
            assert_eq!(Control::bind(&path).unwrap_err().kind, RuntimeErrorKind::SecondDaemon);
            stop.store(true, Ordering::Relaxed);
        });
        drop(control);
        assert!(!path.exists());
        assert_eq!(ask(&path, "status").unwrap_err().kind, RuntimeErrorKind::Unreachable);
    }
}
