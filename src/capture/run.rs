//! The loop of a camera's thread: does what its [`Camera`] says until told to stop. Never blocks longer
//! than [`BEAT_MS`] in a wait of its own, stamps a heartbeat each turn and allocates nothing while
//! frames come.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::CaptureError;
use super::camera::{Act, Camera, Deadlines, State};
use super::clock::Clock;
use super::peek::Peek;
use super::slot::Writer;
use super::source::{Opener, Read, Stream};

/// The heartbeat is stamped at least this often, unless the driver itself hangs.
pub const BEAT_MS: u64 = 100;

/// What to do when a recording is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// Play it again: a camera for trials.
    Reopen,
    /// Leave the loop.
    Finish,
}

/// How the loop behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The camera's deadlines.
    pub deadlines: Deadlines,
    /// What the end of a recording means.
    pub at_end: AtEnd,
}

/// What `till status` shows of a camera; written by its thread, read by anybody.
#[derive(Debug, Default)]
pub struct Stats {
    state: AtomicU8,
    /// Frames that arrived.
    pub frames: AtomicU64,
    /// Frames that were replaced in the slot before vision took them.
    pub overwritten: AtomicU64,
    /// Frames that the camera or its driver lost, by the numbers it gave, and such as came too fast to be taken.
    pub gaps: AtomicU64,
    /// Frames that came damaged and were left out.
    pub damaged: AtomicU64,
    /// Openings after the first.
    pub reopened: AtomicU64,
    /// Monotonic milliseconds of the last arrival; 0 before the first.
    pub last_frame_ms: AtomicU64,
    /// Copies of a frame for who asks.
    pub peek: Peek,
}

impl Stats {
    /// What the camera is up to.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Opening,
            1 => State::Streaming,
            2 => State::Stalled,
            4 => State::Ended,
            _ => State::Lost,
        }
    }
}

/// Keeps the camera called `name` alive and publishes its frames until `stop` is set, or until the end of
/// a recording that is played once. `beat` gets the clock's milliseconds each turn. Every failure is
/// logged once, counted and answered by opening again; the last one before the return is given back.
#[expect(clippy::too_many_arguments, reason = "each is one end of something that another thread holds")]
pub fn run(
    name: &str,
    opener: &mut dyn Opener,
    writer: &mut Writer,
    settings: &Settings,
    clock: &dyn Clock,
    stats: &Stats,
    beat: &AtomicU64,
    stop: &AtomicBool,
) -> Result<(), CaptureError> {
    let mut camera = Camera::new(settings.deadlines, clock.now_ms());
    let mut stream: Option<Box<dyn Stream>> = None;
    let mut openings = 0u64;
    let mut last_error: Option<CaptureError> = None;
    let mut next_sequence = 0u64;
    while !stop.load(Ordering::Relaxed) {
        let now_ms = clock.now_ms();
        beat.store(now_ms, Ordering::Relaxed);
        let act = camera.next(now_ms);
        show(name, stats, camera.state());
        match (act, &mut stream) {
            (Act::Open, slot) => {
                // The device must be closed before it can be opened again.
                *slot = None;
                openings += 1;
                stats.reopened.store(openings - 1, Ordering::Relaxed);
                next_sequence = 0;
                match opener.open() {
                    Ok(opened) => {
                        *slot = Some(opened);
                        camera.opened(clock.now_ms());
                    }
                    Err(e) => {
                        camera.failed(clock.now_ms());
                        tell(&mut last_error, e);
                    }
                }
            }
            (Act::Read(ms), Some(open)) => {
                match open.read(writer.frame_mut(), Duration::from_millis(ms.min(BEAT_MS))) {
                    Ok(read @ (Read::Frame | Read::Damaged)) => {
                        let sequence = writer.frame_mut().sequence;
                        stats.gaps.fetch_add(sequence.saturating_sub(next_sequence), Ordering::Relaxed);
                        next_sequence = sequence.saturating_add(1);
                        // To the deadlines a camera that sends nothing whole is a silent one.
                        if read == Read::Damaged {
                            stats.damaged.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        let now_ms = clock.now_ms();
                        stats.peek.offer(writer.frame_mut());
                        if writer.publish() {
                            stats.overwritten.fetch_add(1, Ordering::Relaxed);
                        }
                        stats.frames.fetch_add(1, Ordering::Relaxed);
                        stats.last_frame_ms.store(now_ms, Ordering::Relaxed);
                        camera.frame(now_ms);
                        last_error = None;
                    }
                    Ok(Read::Timeout) => {}
                    Ok(Read::End) if settings.at_end == AtEnd::Finish => {
                        camera.ended();
                        last_error = None;
                    }
                    Ok(Read::End) => camera.over(clock.now_ms()),
                    Err(e) => {
                        camera.failed(clock.now_ms());
                        tell(&mut last_error, e);
                    }
                }
            }
            (Act::Read(_), None) => camera.failed(now_ms),
            (Act::Wait(ms), slot) => {
                *slot = None;
                clock.wait(Duration::from_millis(ms.min(BEAT_MS)));
            }
            (Act::Finish, _) => break,
        }
    }
    last_error.map_or(Ok(()), Err)
}

fn show(name: &str, stats: &Stats, state: State) {
    let was = stats.state();
    if was != state {
        stats.state.store(state as u8, Ordering::Relaxed);
        match state {
            State::Stalled | State::Lost => log::warn!("camera {name}: {} (was {})", state.as_str(), was.as_str()),
            _ => log::info!("camera {name}: {} (was {})", state.as_str(), was.as_str()),
        }
    }
}

/// A camera that is away for the night must not fill the log: the same failure is told once.
fn tell(last: &mut Option<CaptureError>, e: CaptureError) {
    if last.as_ref() == Some(&e) {
        log::debug!("{e} (again)");
    } else {
        log::warn!("{e}");
        *last = Some(e);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::clock::Simulated;
    use crate::capture::test::{Step, TestOpener};
    use crate::capture::{CaptureErrorKind, PixelFormat, slot};
    use std::sync::Arc;

    const SETTINGS: Settings = Settings {
        deadlines: Deadlines { first_frame_ms_max: 3_000, stall_ms_max: 500, reopen_ms_min: 100, reopen_ms_max: 1_000 },
        at_end: AtEnd::Finish,
    };

    /// A day at a camera, as fast as the machine runs it.
    fn play(script: Vec<Step>) -> (Result<(), CaptureError>, Stats, u64) {
        let clock = Arc::new(Simulated::new(1_000));
        let mut opener = TestOpener::new("tray", 16, 12, PixelFormat::Yuyv, 50, script, clock.clone());
        let (mut writer, _reader) = slot::slot(16, 12);
        let (stats, beat, stop) = (Stats::default(), AtomicU64::new(0), AtomicBool::new(false));
        let out = run("tray", &mut opener, &mut writer, &SETTINGS, &*clock, &stats, &beat, &stop);
        assert!(clock.now_ms() - beat.load(Ordering::Relaxed) <= BEAT_MS, "the heart beat to the end");
        (out, stats, clock.now_ms() - 1_000)
    }

    fn count(n: &AtomicU64) -> u64 {
        n.load(Ordering::Relaxed)
    }

    #[test]
    fn plays_to_the_end() {
        let (out, stats, took) = play(vec![Step::Frames(20), Step::End]);
        assert_eq!((out, count(&stats.frames), count(&stats.reopened)), (Ok(()), 20, 0));
        assert_eq!((stats.state(), count(&stats.overwritten)), (State::Ended, 19));
        assert_eq!(took, 20 * 50);
    }

    #[test]
    fn survives_unplugging_for_a_while() {
        let (out, stats, _) = play(vec![Step::Frames(5), Step::Unplug(4_000), Step::Frames(7), Step::End]);
        assert_eq!((out, count(&stats.frames)), (Ok(()), 12));
        assert!((3..=9).contains(&count(&stats.reopened)), "{stats:?}");
    }

    #[test]
    fn survives_a_short_stall_without_opening_again() {
        let (out, stats, _) = play(vec![Step::Frames(5), Step::Stall(800), Step::Frames(7), Step::End]);
        assert_eq!((out, count(&stats.frames), count(&stats.reopened)), (Ok(()), 12, 0));
    }

    #[test]
    fn opens_again_after_a_long_stall() {
        let (out, stats, _) = play(vec![Step::Frames(5), Step::Stall(60_000), Step::Frames(7), Step::End]);
        assert_eq!((out, count(&stats.frames)), (Ok(()), 12));
        assert!(count(&stats.reopened) >= 1);
    }

    #[test]
    fn counts_what_the_driver_lost() {
        let (_, stats, _) = play(vec![Step::Frames(5), Step::Skip(3), Step::Frames(2), Step::End]);
        assert_eq!((count(&stats.frames), count(&stats.gaps)), (7, 3));
    }

    #[test]
    fn a_camera_that_is_never_there_is_lost_until_stopped_and_says_so() {
        let clock = Arc::new(Simulated::new(0));
        let script = vec![Step::Unplug(u64::MAX)];
        let mut opener = TestOpener::new("tray", 16, 12, PixelFormat::Grey, 50, script, clock.clone());
        let (mut writer, _reader) = slot::slot(16, 12);
        let (stats, beat) = (Stats::default(), AtomicU64::new(0));
        // Stops by its own clock after a simulated minute.
        struct Until(Arc<Simulated>, AtomicBool);
        impl Clock for Until {
            fn now_ms(&self) -> u64 {
                self.1.fetch_or(self.0.now_ms() > 60_000, Ordering::Relaxed);
                self.0.now_ms()
            }
            fn wait(&self, time: Duration) {
                self.0.wait(time);
            }
        }
        let until = Until(clock, AtomicBool::new(false));
        let out = run("tray", &mut opener, &mut writer, &SETTINGS, &until, &stats, &beat, &until.1);
        assert_eq!(out.map_err(|e| (e.kind, e.camera)), Err((CaptureErrorKind::Missing, "tray".into())));
        assert_eq!((stats.state(), count(&stats.frames)), (State::Lost, 0));
        // 100, 200, 400, 800, then once a second.
        assert!((58..=64).contains(&count(&stats.reopened)), "{stats:?}");
    }

    #[test]
    fn a_thread_feeds_the_slot_from_a_live_pipeline_until_it_is_stopped() {
        use crate::capture::clock::Monotonic;
        use crate::capture::gst::{GstOpener, Pace, Source};
        let text = "videotestsrc is-live=true ! video/x-raw,format=NV12,width=32,height=24,framerate=50/1";
        let mut opener = GstOpener::new("tray", Source::Pipeline(text.into()), Pace::Live);
        let (mut writer, mut reader) = slot::slot(32, 24);
        let (stats, beat, stop) = (Stats::default(), AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let thread =
                scope.spawn(|| run("tray", &mut opener, &mut writer, &SETTINGS, &Monotonic, &stats, &beat, &stop));
            let mut last = None;
            for _ in 0..5 {
                assert!(reader.wait(Duration::from_secs(20)), "{stats:?}");
                let frame = reader.newest().unwrap();
                assert_eq!((frame.width, frame.height, frame.format), (32, 24, PixelFormat::Nv12));
                assert!(last.is_none_or(|l| l < frame.captured_ns));
                last = Some(frame.captured_ns);
            }
            stop.store(true, Ordering::Relaxed);
            assert_eq!(thread.join().unwrap(), Ok(()));
        });
        assert!(count(&stats.frames) >= 5 && count(&beat) > 0);
        assert_eq!(stats.state(), State::Streaming);
    }
}
