//! Frames for the commands that look for themselves: from a camera, the running daemon, a recording, or a folder of
//! pictures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::{CliError, Exit};
use super::faces::pictures;
use super::picture;
use crate::capture::gst::{GstOpener, Pace, Source};
use crate::capture::v4l2::{Controls, V4l2Opener, Want};
use crate::capture::{Frame, Opener, Read, Stream};
use crate::config;
use crate::runtime::{clock, control, parts};

/// Time between two pictures of a folder.
const PICTURE_NS: u64 = 100_000_000;
/// A recording that gives no frame for this long gives none.
const RECORDING_MS_MAX: u64 = 10_000;

enum From {
    Stream(Box<dyn Stream>),
    /// The running daemon, by its control socket.
    Daemon(PathBuf),
    /// What is left of a folder, the next one last.
    Pictures(Vec<PathBuf>),
}

/// An open camera, recording or folder and its newest frame.
pub struct Camera {
    role: &'static str,
    from: From,
    frame: Frame,
    wait_ms_max: u64,
}

impl Camera {
    /// Opens a camera of the configuration.
    ///
    /// # Errors
    /// What the camera has against it.
    pub fn open(role: &'static str, camera: &config::Camera) -> Result<Self, CliError> {
        let opener = parts::opener(role, camera, Pace::Live);
        Self::stream(role, opener, Frame::with_capacity(camera.width, camera.height), camera.first_frame_ms_max)
    }

    /// The tray camera of the daemon that answers at this socket.
    pub fn of_daemon(control: &Path) -> Self {
        let from = From::Daemon(control.to_owned());
        Self { role: "tray", from, frame: Frame::with_capacity(0, 0), wait_ms_max: 0 }
    }

    /// Whether frames come for the asking, so that none must be taken and dropped to see a fresh one.
    pub fn is_daemon(&self) -> bool {
        matches!(self.from, From::Daemon(_))
    }

    /// Opens a recording, whose times are its own, or a folder of pictures in the order of their names, ten a second.
    ///
    /// # Errors
    /// What can't be read.
    pub fn recorded(role: &'static str, path: &Path) -> Result<Self, CliError> {
        if !path.is_dir() {
            let opener = GstOpener::new(role, Source::File(path.to_owned()), Pace::LockStep);
            return Self::stream(role, Box::new(opener), Frame::with_capacity(640, 480), RECORDING_MS_MAX);
        }
        let mut files = pictures(path)?;
        files.reverse();
        Ok(Self { role, from: From::Pictures(files), frame: Frame::with_capacity(0, 0), wait_ms_max: 0 })
    }

    /// Opens the V4L2 device at `node` in the best format that it offers.
    ///
    /// # Errors
    /// What the camera has against it.
    pub fn device(role: &'static str, node: &str) -> Result<Self, CliError> {
        let want = Want { size: (640, 480), fps: 15, buffers: 4, controls: Controls::default() };
        let opener = Box::new(V4l2Opener::new(role, node, want));
        Self::stream(role, opener, Frame::with_capacity(640, 480), RECORDING_MS_MAX)
    }

    fn stream(
        role: &'static str,
        mut opener: Box<dyn Opener>,
        frame: Frame,
        wait_ms_max: u64,
    ) -> Result<Self, CliError> {
        let stream = opener.open().map_err(|e| CliError::new(Exit::Missing, e.to_string()))?;
        Ok(Self { role, from: From::Stream(stream), frame, wait_ms_max })
    }

    /// The next frame; `None` at the end of what was recorded.
    ///
    /// # Errors
    /// A camera that sends nothing, a picture that can't be read.
    pub fn read(&mut self) -> Result<Option<&Frame>, CliError> {
        let missing = |m: String| CliError::new(Exit::Missing, m);
        let stream = match &mut self.from {
            From::Stream(stream) => stream,
            From::Daemon(control) => {
                self.frame = control::ask_picture(control)?;
                return Ok(Some(&self.frame));
            }
            From::Pictures(files) => {
                let Some(file) = files.pop() else { return Ok(None) };
                let captured_ns = self.frame.captured_ns + PICTURE_NS;
                let frame = picture::load(&file).map_err(|m| CliError::new(Exit::Failed, m))?;
                self.frame = Frame { captured_ns, ..frame };
                return Ok(Some(&self.frame));
            }
        };
        let until_ms = clock::monotonic_ms() + self.wait_ms_max;
        loop {
            match stream.read(&mut self.frame, Duration::from_millis(200)).map_err(|e| missing(e.to_string()))? {
                Read::Frame => return Ok(Some(&self.frame)),
                Read::End => return Ok(None),
                Read::Timeout | Read::Damaged if clock::monotonic_ms() >= until_ms => {
                    return Err(missing(format!("the {} camera sent nothing in {} ms", self.role, self.wait_ms_max)));
                }
                Read::Timeout | Read::Damaged => {}
            }
        }
    }
}
