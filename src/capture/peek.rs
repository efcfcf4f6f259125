//! A look at what a camera sees now, for a person with a command: the newest frame is copied when somebody
//! asks, and only then. Vision's slot is not touched, and capture waits for nobody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Frame;

/// Between a camera's thread and who asks.
#[derive(Debug, Default)]
pub struct Peek {
    wanted: AtomicBool,
    copy: Mutex<Option<Frame>>,
    came: Condvar,
}

impl Peek {
    /// The camera's thread, with each whole frame: copies it if somebody waits.
    pub fn offer(&self, frame: &Frame) {
        if self.wanted.swap(false, Ordering::Relaxed)
            // Held for the time of a move; a frame later is soon enough.
            && let Ok(mut copy) = self.copy.try_lock()
        {
            *copy = Some(frame.clone());
            self.came.notify_all();
        }
    }

    /// A frame that came after this call; `None` when none does within `timeout`.
    pub fn take(&self, timeout: Duration) -> Option<Frame> {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        *copy = None;
        self.wanted.store(true, Ordering::Relaxed);
        let waited = self.came.wait_timeout_while(copy, timeout, |copy| copy.is_none());
        self.wanted.store(false, Ordering::Relaxed);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_copied_when_asked_for_and_only_then() {
        let peek = Peek::default();
        let mut frame = Frame::with_capacity(4, 4);
        peek.offer(&frame);
        assert!(peek.copy.lock().unwrap().is_none(), "nobody asked");
        assert!(peek.take(Duration::from_millis(1)).is_none(), "an older frame is no answer");
        *peek.copy.lock().unwrap() = Some(frame.clone());
        assert!(peek.take(Duration::from_millis(1)).is_none(), "nor is one that came too late for the last who asked");
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| peek.take(Duration::from_secs(60)));
            while !asking.is_finished() {
                frame.sequence += 1;
                peek.offer(&frame);
                std::thread::yield_now();
            }
            assert!(asking.join().unwrap().is_some_and(|seen| seen.sequence > 0));
        });
        assert!(peek.copy.lock().unwrap().is_none(), "nothing is kept");
    }
}
