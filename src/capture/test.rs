//! A camera that isn't there: patterns by script, with every fault that a real one has. Its time is the
//! clock it is given, so an hour of stalls costs nothing in a test. The replugged camera goes on in its
//! script where it was.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use super::{CaptureError, CaptureErrorKind, Frame, Opener, PixelFormat, Plane, Read, Stream};

/// One piece of a test camera's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many frames, one an interval.
    Frames(u64),
    /// So many frames are numbered but never delivered.
    Skip(u64),
    /// Silence for so many milliseconds; also before the first frame, and across openings.
    Stall(u64),
    /// Gone for so many milliseconds: the stream fails, then so does every opening.
    Unplug(u64),
    /// The end of the recording.
    End,
}

struct Script {
    steps: std::vec::IntoIter<Step>,
    current: Option<Step>,
    /// When the current stall or absence is over; none while it hasn't begun.
    until_ms: Option<u64>,
    drawn: u64,
}

impl Script {
    fn next(&mut self) {
        self.current = self.steps.next();
        self.until_ms = None;
    }

    /// True once `ms` have passed since the first call for this step.
    fn over(&mut self, now_ms: u64, ms: u64) -> bool {
        now_ms >= *self.until_ms.get_or_insert(now_ms.saturating_add(ms))
    }
}

/// Opens a scripted camera. After its last step the camera is silent.
pub struct TestOpener {
    camera: String,
    size: (u32, u32),
    format: PixelFormat,
    interval_ms: u64,
    script: Arc<Mutex<Script>>,
    clock: Arc<dyn Clock>,
}

impl TestOpener {
    /// A camera called `camera` of `width` x `height` pixels that gives a frame every `interval_ms`.
    pub fn new(
        camera: &str,
        width: u32,
        height: u32,
        format: PixelFormat,
        interval_ms: u64,
        script: Vec<Step>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut script = Script { steps: script.into_iter(), current: None, until_ms: None, drawn: 0 };
        script.next();
        let script = Arc::new(Mutex::new(script));
        Self { camera: camera.into(), size: (width, height), format, interval_ms, script, clock }
    }

    fn error(&self, kind: CaptureErrorKind, message: &str) -> CaptureError {
        CaptureError::new(kind, &self.camera, message)
    }
}

impl Opener for TestOpener {
    fn open(&mut self) -> Result<Box<dyn Stream>, CaptureError> {
        let now_ms = self.clock.now_ms();
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Step::Unplug(ms)) = script.current {
            if !script.over(now_ms, ms) {
                return Err(self.error(CaptureErrorKind::Missing, "the test camera is unplugged: plug it in"));
            }
            script.next();
        }
        Ok(Box::new(TestStream {
            lost: self.error(CaptureErrorKind::Lost, "the test camera was unplugged"),
            size: self.size,
            format: self.format,
            interval_ms: self.interval_ms,
            due_ms: now_ms.saturating_add(self.interval_ms),
            sequence: 0,
            script: self.script.clone(),
            clock: self.clock.clone(),
        }))
    }
}

struct TestStream {
    lost: CaptureError,
    size: (u32, u32),
    format: PixelFormat,
    interval_ms: u64,
    due_ms: u64,
    sequence: u64,
    script: Arc<Mutex<Script>>,
    clock: Arc<dyn Clock>,
}

impl Stream for TestStream {
    fn read(&mut self, frame: &mut Frame, timeout: Duration) -> Result<Read, CaptureError> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now_ms = self.clock.now_ms();
            match script.current {
                Some(Step::Frames(0) | Step::Skip(0)) => script.next(),
                Some(Step::Skip(n)) => {
                    self.sequence = self.sequence.saturating_add(n);
                    script.next();
                }
                Some(Step::Frames(n)) => {
                    let wait = Duration::from_millis(self.due_ms.saturating_sub(now_ms));
                    if wait > timeout {
                        break;
                    }
                    self.clock.wait(wait);
                    script.current = Some(Step::Frames(n - 1));
                    draw(frame, self.size, self.format, script.drawn);
                    script.drawn = script.drawn.wrapping_add(1);
                    frame.sequence = self.sequence;
                    frame.captured_ns = self.due_ms.max(now_ms).saturating_mul(1_000_000);
                    self.sequence += 1;
                    self.due_ms = self.due_ms.max(now_ms).saturating_add(self.interval_ms);
                    return Ok(Read::Frame);
                }
                Some(Step::Stall(ms)) => {
                    if !script.over(now_ms, ms) {
                        break;
                    }
                    script.next();
                }
                Some(Step::Unplug(ms)) => {
                    script.over(now_ms, ms);
                    return Err(self.lost.clone());
                }
                Some(Step::End) => return Ok(Read::End),
                None => break,
            }
        }
        drop(script);
        self.clock.wait(timeout);
        Ok(Read::Timeout)
    }
}

/// Lays out `frame` for a picture of this size and format without row padding and returns the bytes it
/// needs. Shared by every source that makes its own pictures.
pub fn lay_out(frame: &mut Frame, (width, height): (u32, u32), format: PixelFormat) -> usize {
    let (w, h) = (width as usize, height as usize);
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let planes = match format {
        PixelFormat::Yuyv => [(cw * 4, h), (0, 0), (0, 0)],
        PixelFormat::Nv12 => [(w, h), (cw * 2, ch), (0, 0)],
        PixelFormat::I420 => [(w, h), (cw, ch), (cw, ch)],
        PixelFormat::Rgb | PixelFormat::Bgr => [(w * 3, h), (0, 0), (0, 0)],
        PixelFormat::Bgrx => [(w * 4, h), (0, 0), (0, 0)],
        PixelFormat::Grey => [(w, h), (0, 0), (0, 0)],
    };
    (frame.width, frame.height, frame.format) = (width, height, format);
    let mut offset = 0;
    for (plane, (stride, rows)) in frame.planes.iter_mut().zip(planes) {
        *plane = if rows == 0 { Plane::default() } else { Plane { offset, stride } };
        offset += stride * rows;
    }
    offset
}

/// A pattern that moves with `n`; the same for the same arguments.
fn draw(frame: &mut Frame, size: (u32, u32), format: PixelFormat, n: u64) {
    let bytes = lay_out(frame, size, format);
    frame.data.clear();
    frame.data.extend((0..bytes).map(|i| (i as u64).wrapping_mul(7).wrapping_add(n.wrapping_mul(13)) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::clock::Simulated;

    const TICK: Duration = Duration::from_millis(100);

    fn camera(script: Vec<Step>) -> (TestOpener, Arc<Simulated>, Frame) {
        let clock = Arc::new(Simulated::new(0));
        let opener = TestOpener::new("face", 5, 3, PixelFormat::I420, 40, script, clock.clone());
        (opener, clock, Frame::with_capacity(5, 3))
    }

    #[test]
    fn frames_differ_and_come_at_their_interval_in_their_layout() {
        let (mut opener, clock, mut frame) = camera(vec![Step::Frames(2)]);
        let mut stream = opener.open().unwrap();
        assert_eq!(stream.read(&mut frame, TICK), Ok(Read::Frame));
        let first = frame.clone();
        assert_eq!(stream.read(&mut frame, TICK), Ok(Read::Frame));
        assert_ne!(first.data, frame.data);
        assert_eq!((first.sequence, frame.sequence, clock.now_ms()), (0, 1, 80));
        assert_eq!((first.captured_ns, frame.captured_ns), (40_000_000, 80_000_000));
        assert_eq!(frame.planes.map(|p| (p.offset, p.stride)), [(0, 5), (15, 3), (21, 3)]);
        assert_eq!(frame.data.len(), 27);
        assert_eq!(stream.read(&mut frame, TICK), Ok(Read::Timeout));
    }

    #[test]
    fn a_stall_before_the_first_frame_spans_openings() {
        let (mut opener, clock, mut frame) = camera(vec![Step::Stall(250), Step::Frames(1), Step::End]);
        let mut stream = opener.open().unwrap();
        assert_eq!(stream.read(&mut frame, TICK), Ok(Read::Timeout));
        stream = opener.open().unwrap();
        assert_eq!(stream.read(&mut frame, TICK), Ok(Read::Timeout));
        assert_eq!(stream.read(&mut frame, TICK), Ok(Read::Timeout));
        assert_eq!((stream.read(&mut frame, TICK), clock.now_ms()), (Ok(Read::Frame), 300));
        assert_eq!(stream.read(&mut frame, TICK), Ok(Read::End));
    }

    #[test]
    fn unplugged_means_neither_reads_nor_openings() {
        let (mut opener, clock, mut frame) = camera(vec![Step::Unplug(500), Step::Frames(1)]);
        assert_eq!(opener.open().err().map(|e| e.kind), Some(CaptureErrorKind::Missing));
        clock.advance(500);
        let mut stream = opener.open().unwrap();
        assert_eq!(stream.read(&mut frame, TICK), Ok(Read::Frame));
    }
}
