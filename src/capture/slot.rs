//! The newest-frame slot between a camera's thread and vision: three frames, swapped without a lock, so
//! the writer never waits and the reader never sees half a picture. A frame nobody looked at is
//! overwritten and counted. Waiting for a frame is a futex on the count of frames: no spinning, and a
//! reader may move from thread to thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::futex;

use super::Frame;

#[derive(Default)]
struct Shared {
    // Wraps; only its changing matters.
    bell: AtomicU32,
    published: AtomicU64,
    overwritten: AtomicU64,
}

/// The camera's end.
pub struct Writer {
    frames: triple_buffer::Input<Frame>,
    shared: Arc<Shared>,
}

/// Vision's end.
pub struct Reader {
    frames: triple_buffer::Output<Frame>,
    shared: Arc<Shared>,
}

/// A slot whose three frames have room for `width` x `height` pixels of any format. A larger picture
/// makes each frame grow once.
pub fn slot(width: u32, height: u32) -> (Writer, Reader) {
    let mut first = Frame::with_capacity(width, height);
    // A clone of a vector has room for its length only, so the three copies are made full.
    first.data.resize(first.data.capacity(), 0);
    let (input, output) = triple_buffer::triple_buffer(&first);
    let shared = Arc::new(Shared::default());
    (Writer { frames: input, shared: shared.clone() }, Reader { frames: output, shared })
}

impl Writer {
    /// The frame to write the next picture into. Holds some older picture.
    pub fn frame_mut(&mut self) -> &mut Frame {
        self.frames.input_buffer_mut()
    }

    /// Overwrites the pictures at this end with zeros, without ringing the reader. The one at the reader's end is its own.
    pub fn wipe(&mut self) {
        for _ in 0..2 {
            self.frames.input_buffer_mut().data.fill(0);
            self.frames.publish();
        }
    }

    /// Makes the frame last written the newest and rings the reader. True when it replaced one nobody read.
    pub fn publish(&mut self) -> bool {
        let overwrote = self.frames.publish();
        self.shared.published.fetch_add(1, Ordering::Relaxed);
        if overwrote {
            self.shared.overwritten.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.bell.fetch_add(1, Ordering::Release);
        // Fails only for a bad address, which a live atomic is not.
        let _ = futex::wake(&self.shared.bell, futex::Flags::PRIVATE, 1);
        overwrote
    }

    /// Frames that were replaced before anybody read them.
    pub fn overwritten(&self) -> u64 {
        self.shared.overwritten.load(Ordering::Relaxed)
    }
}

impl Reader {
    /// The newest frame if one came since the last call. It stays in place until the next call.
    pub fn newest(&mut self) -> Option<&Frame> {
        self.frames.update().then(|| self.frames.output_buffer())
    }

    /// Overwrites the picture at this end with zeros.
    pub fn wipe(&mut self) {
        self.frames.output_buffer_mut().data.fill(0);
    }

    /// The frame that [`newest`](Self::newest) gave last; 0 x 0 pixels before the first.
    pub fn current(&self) -> &Frame {
        self.frames.output_buffer()
    }

    /// Waits until a frame is there that [`newest`](Self::newest) would give, at most `timeout`. True when it is.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let start = Instant::now();
        loop {
            let bell = self.shared.bell.load(Ordering::Acquire);
            if self.frames.updated() {
                return true;
            }
            let left = timeout.saturating_sub(start.elapsed());
            let Ok(left) = futex::Timespec::try_from(left) else { return false };
            if left.tv_sec == 0 && left.tv_nsec == 0 {
                return false;
            }
            // A ring between the load and the wait changes the word, and the wait returns at once.
            let _ = futex::wait(&self.shared.bell, futex::Flags::PRIVATE, bell, Some(&left));
        }
    }

    /// Frames published since the slot was made.
    pub fn published(&self) -> u64 {
        self.shared.published.load(Ordering::Relaxed)
    }

    /// Frames that were replaced before anybody read them.
    pub fn overwritten(&self) -> u64 {
        self.shared.overwritten.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(writer: &mut Writer, n: u64) -> bool {
        let frame = writer.frame_mut();
        frame.sequence = n;
        frame.data.clear();
        frame.data.extend(std::iter::repeat_n(n as u8, 64));
        writer.publish()
    }

    #[test]
    fn the_newest_wins_and_the_others_are_counted() {
        let (mut w, mut r) = slot(4, 4);
        assert!(r.newest().is_none());
        assert!(!put(&mut w, 1));
        assert!(put(&mut w, 2));
        assert!(put(&mut w, 3));
        assert_eq!(r.newest().map(|f| f.sequence), Some(3));
        assert!(r.newest().is_none(), "a frame is new once");
        assert_eq!(r.current().sequence, 3);
        assert!(!put(&mut w, 4), "the last one was read");
        assert_eq!((r.overwritten(), r.published()), (2, 4));
    }

    #[test]
    fn all_three_frames_are_allocated_before_the_first_picture() {
        let (mut w, mut r) = slot(8, 8);
        for n in 0..6 {
            let frame = w.frame_mut();
            assert!(frame.data.capacity() >= 8 * 8 * 4);
            put(&mut w, n);
            let _ = r.newest();
        }
    }

    #[test]
    fn waiting_ends_with_the_time_or_with_a_frame() {
        let (mut w, mut r) = slot(4, 4);
        assert!(!r.wait(Duration::ZERO));
        assert!(!r.wait(Duration::from_millis(1)));
        put(&mut w, 1);
        assert!(r.wait(Duration::ZERO));
        assert!(r.newest().is_some());
        let (done, came) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let seen = r.wait(Duration::from_secs(60));
            let _ = done.send(seen);
        });
        put(&mut w, 2);
        assert_eq!(came.recv_timeout(Duration::from_secs(50)), Ok(true));
        reader.join().unwrap();
    }

    #[test]
    fn no_picture_is_ever_torn() {
        let (mut w, mut r) = slot(4, 4);
        let writer = std::thread::spawn(move || {
            for n in 1..=20_000 {
                put(&mut w, n);
            }
        });
        let mut last = 0;
        while last < 20_000 {
            assert!(r.wait(Duration::from_secs(20)), "the writer is alive");
            let Some(frame) = r.newest() else { continue };
            assert!(frame.sequence > last, "never an older one");
            last = frame.sequence;
            assert!(frame.data.iter().all(|&b| b == last as u8) && frame.data.len() == 64);
        }
        writer.join().unwrap();
    }
}
