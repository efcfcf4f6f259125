//! Cameras that are not there, with every fault that real ones have.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::super::device::{Answer, Control, FourCc, Identity, Rate, Size};
use super::*;
use crate::capture::camera::Deadlines;
use crate::capture::clock::{Clock, Simulated};
use crate::capture::run::{AtEnd, Settings, Stats, run};
use crate::capture::slot;

const YUYV: FourCc = FourCc::new(*b"YUYV");
const MJPG: FourCc = FourCc::new(*b"MJPG");
const NV12: FourCc = FourCc::new(*b"NV12");
const GREY: FourCc = FourCc::new(*b"GREY");
const JPEG: &[u8] = include_bytes!("../../../tests/golden/jpeg/422.jpg");
const OTHER_JPEG: &[u8] = include_bytes!("../../../tests/golden/jpeg/420-odd.jpg");

/// What a buffer brings, or does not.
#[derive(Clone)]
enum Event {
    Picture(Vec<u8>),
    /// As a picture, and the driver says that it is damaged.
    Damaged,
    /// So many numbers are left out.
    Skip(u32),
    /// Nothing for so many milliseconds.
    Silence(u64),
    /// Every call fails with this from here on.
    Fails(Errno),
    /// The scripted end: the test's loop is told to stop.
    Stop,
}

/// A camera that answers as it is told.
#[derive(Clone)]
struct Script {
    identity: Identity,
    formats: Vec<(FourCc, Vec<Size>, Vec<Rate>)>,
    /// What S_FMT answers instead of what it was asked.
    answers: Option<Layout>,
    start: Vec<(FourCc, Errno)>,
    controls: Vec<Control>,
    /// What the driver says of the time, instead of now.
    stamp_ns: Option<Option<u64>>,
    events: VecDeque<Event>,
}

struct Fake {
    script: Script,
    clock: Arc<Simulated>,
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<String>>>,
    layout: Option<Layout>,
    values: Vec<(u32, i32)>,
    buffers: Vec<Vec<u8>>,
    /// Indices that the driver holds.
    queued: VecDeque<u32>,
    sequence: u32,
    failed: Option<Errno>,
}

impl Fake {
    fn alive(&self) -> Answer<()> {
        self.failed.map_or(Ok(()), Err)
    }

    fn offered(&self, fourcc: FourCc) -> Answer<&(FourCc, Vec<Size>, Vec<Rate>)> {
        self.script.formats.iter().find(|f| f.0 == fourcc).ok_or(Errno::INVAL)
    }
}

impl Device for Fake {
    fn identity(&mut self) -> Answer<Identity> {
        self.alive()?;
        Ok(self.script.identity.clone())
    }

    fn format(&mut self, index: u32) -> Answer<FourCc> {
        self.script.formats.get(index as usize).map(|f| f.0).ok_or(Errno::INVAL)
    }

    fn size(&mut self, fourcc: FourCc, index: u32) -> Answer<Size> {
        self.offered(fourcc)?.1.get(index as usize).copied().ok_or(Errno::INVAL)
    }

    fn rate(&mut self, fourcc: FourCc, _: (u32, u32), index: u32) -> Answer<Rate> {
        self.offered(fourcc)?.2.get(index as usize).copied().ok_or(Errno::INVAL)
    }

    fn set_layout(&mut self, fourcc: FourCc, (width, height): (u32, u32)) -> Answer<Layout> {
        self.alive()?;
        let plain = Layout { fourcc, width, height, stride: 0, colorspace: 8, encoding: 0, quantization: 0 };
        let layout = self.script.answers.unwrap_or(plain);
        self.layout = Some(layout);
        Ok(layout)
    }

    fn set_interval(&mut self, interval: Interval) -> Answer<Interval> {
        Ok(interval)
    }

    fn control(&mut self, id: u32) -> Answer<Control> {
        self.script.controls.iter().find(|c| c.id == id).cloned().ok_or(Errno::INVAL)
    }

    fn get(&mut self, id: u32) -> Answer<i32> {
        self.values.iter().rev().find(|v| v.0 == id).map(|v| v.1).ok_or(Errno::INVAL)
    }

    fn set(&mut self, id: u32, value: i32) -> Answer<()> {
        self.values.push((id, value));
        self.log.lock().unwrap().push(format!("{id:x}={value}"));
        Ok(())
    }

    fn start(&mut self, buffers: u32) -> Answer<()> {
        self.alive()?;
        let fourcc = self.layout.unwrap().fourcc;
        self.log.lock().unwrap().push(format!("start {fourcc}"));
        if let Some((_, errno)) = self.script.start.iter().find(|s| s.0 == fourcc) {
            return Err(*errno);
        }
        self.buffers = vec![Vec::new(); buffers as usize];
        self.queued = (0..buffers).collect();
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) -> Answer<bool> {
        self.alive()?;
        match self.script.events.front_mut() {
            Some(Event::Silence(left)) => {
                let wait = (*left).min(timeout.as_millis() as u64);
                *left -= wait;
                if *left == 0 {
                    self.script.events.pop_front();
                }
                self.clock.advance(wait);
                Ok(false)
            }
            Some(Event::Fails(errno)) => {
                self.failed = Some(*errno);
                Err(*errno)
            }
            Some(Event::Stop) | None => {
                self.stop.store(true, Ordering::Relaxed);
                Ok(false)
            }
            Some(_) => {
                self.clock.advance(33);
                Ok(true)
            }
        }
    }

    fn dequeue(&mut self) -> Answer<Option<Filled>> {
        self.alive()?;
        // One a wait, so that each picture of the script is seen.
        if self.queued.len() < self.buffers.len() {
            return Ok(None);
        }
        while let Some(Event::Skip(n)) = self.script.events.front() {
            self.sequence = self.sequence.wrapping_add(*n);
            self.script.events.pop_front();
        }
        let (bytes, damaged) = match self.script.events.front() {
            Some(Event::Picture(bytes)) => (bytes.clone(), false),
            Some(Event::Damaged) => (JPEG.to_vec(), true),
            _ => return Ok(None),
        };
        self.script.events.pop_front();
        let index = self.queued.pop_front().unwrap();
        let stamp_ns = self.script.stamp_ns.unwrap_or_else(|| Some(monotonic_ns()));
        let filled = Filled { index, bytes: bytes.len(), damaged, sequence: self.sequence, stamp_ns };
        // The mapped buffer is longer than what lies in it.
        self.buffers[index as usize] = [&bytes[..], &[0x5a; 64]].concat();
        self.sequence = self.sequence.wrapping_add(1);
        Ok(Some(filled))
    }

    fn bytes(&self, index: u32) -> &[u8] {
        if self.queued.contains(&index) { &[] } else { self.buffers.get(index as usize).map_or(&[], Vec::as_slice) }
    }

    fn queue(&mut self, index: u32) -> Answer<()> {
        self.alive()?;
        assert!(!self.queued.contains(&index), "a buffer is given back once");
        self.queued.push_back(index);
        Ok(())
    }
}

/// A socket into which one camera after the other is plugged: one a opening, errors among them.
struct Socket {
    openings: VecDeque<Result<Script, Errno>>,
    clock: Arc<Simulated>,
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Nodes for Socket {
    fn open(&mut self, _: &Path) -> Answer<Box<dyn Device>> {
        let script = self.openings.pop_front().unwrap_or(Err(Errno::NOENT))?;
        Ok(Box::new(Fake {
            script,
            clock: Arc::clone(&self.clock),
            stop: Arc::clone(&self.stop),
            log: Arc::clone(&self.log),
            layout: None,
            values: Vec::new(),
            buffers: Vec::new(),
            queued: VecDeque::new(),
            sequence: 7,
            failed: None,
        }))
    }
}

fn fps(n: u32) -> Rate {
    Rate::Exactly(Interval { numerator: 1, denominator: n })
}

/// A camera that offers these formats in 64x48.
fn camera(formats: &[(FourCc, u32)], events: Vec<Event>) -> Script {
    Script {
        identity: Identity { card: "Fake".into(), captures: true, streams: true, ..Identity::default() },
        formats: formats.iter().map(|(f, rate)| (*f, vec![Size::Exactly(64, 48)], vec![fps(*rate)])).collect(),
        answers: None,
        start: Vec::new(),
        controls: Vec::new(),
        stamp_ns: None,
        events: events.into(),
    }
}

fn jpegs(n: usize) -> Vec<Event> {
    vec![Event::Picture(JPEG.to_vec()); n]
}

const WANT: Want = Want {
    size: (64, 48),
    fps: 30,
    buffers: 4,
    controls: Controls { exposure_us: None, white_balance_k: None, focus: None, gain: None, power_line_hz: None },
};

struct Bench {
    opener: V4l2Opener,
    clock: Arc<Simulated>,
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<String>>>,
}

fn bench(openings: Vec<Result<Script, Errno>>) -> Bench {
    let (clock, stop, log) = (Arc::new(Simulated::new(0)), Arc::new(AtomicBool::new(false)), Arc::default());
    let socket =
        Socket { openings: openings.into(), clock: Arc::clone(&clock), stop: Arc::clone(&stop), log: Arc::clone(&log) };
    let opener = V4l2Opener::with(Box::new(socket), "tray", "/dev/till/tray", WANT);
    Bench { opener, clock, stop, log }
}

/// The camera's whole thread over these openings, until the script says stop.
fn live(openings: Vec<Result<Script, Errno>>) -> (Stats, Result<(), CaptureError>) {
    let mut bench = bench(openings);
    let (mut writer, _reader) = slot::slot(64, 48);
    let (stats, beat) = (Stats::default(), AtomicU64::new(0));
    let deadlines =
        Deadlines { first_frame_ms_max: 3_000, stall_ms_max: 500, reopen_ms_min: 100, reopen_ms_max: 1_000 };
    let settings = Settings { deadlines, at_end: AtEnd::Finish };
    let clock: &dyn Clock = &*bench.clock;
    let out = run("tray", &mut bench.opener, &mut writer, &settings, clock, &stats, &beat, &bench.stop);
    (stats, out)
}

fn count(n: &AtomicU64) -> u64 {
    n.load(Ordering::Relaxed)
}

/// Which format is taken of these.
fn taken(formats: &[(FourCc, u32)]) -> Vec<String> {
    let mut bench = bench(vec![Ok(camera(formats, Vec::new()))]);
    assert!(bench.opener.open().is_ok());
    bench.log.lock().unwrap().clone()
}

#[test]
fn raw_where_it_delivers_mjpeg_where_it_does_not_and_grey_last() {
    assert_eq!(taken(&[(MJPG, 30), (YUYV, 30)]), ["start YUYV"]);
    assert_eq!(taken(&[(MJPG, 30), (YUYV, 10)]), ["start MJPG"]);
    assert_eq!(taken(&[(MJPG, 30), (YUYV, 30), (NV12, 30)]), ["start NV12"]);
    assert_eq!(taken(&[(GREY, 60), (YUYV, 5)]), ["start YUYV"]);
    assert_eq!(taken(&[(GREY, 30), (FourCc::new(*b"H264"), 30)]), ["start GREY"]);
}

#[test]
fn a_bus_without_room_gets_the_smaller_format() {
    let mut script = camera(&[(MJPG, 30), (YUYV, 30)], Vec::new());
    script.start.push((YUYV, Errno::NOSPC));
    let mut both = bench(vec![Ok(script.clone())]);
    assert!(both.opener.open().is_ok());
    assert_eq!(*both.log.lock().unwrap(), ["start YUYV", "start MJPG"]);
    script.start.push((MJPG, Errno::NOSPC));
    let error = bench(vec![Ok(script)]).opener.open().err().unwrap();
    assert_eq!(error.kind, CaptureErrorKind::Busy);
    assert!(error.message.contains("no room"), "{error}");
}

#[test]
fn each_refusal_names_camera_and_node_and_its_fix() {
    use CaptureErrorKind as Kind;
    let refused = |errno| bench(vec![Err(errno)]).opener.open().err().unwrap();
    for (errno, kind, says) in [
        (Errno::NOENT, Kind::Missing, "plug it in"),
        (Errno::NODEV, Kind::Missing, "plug it in"),
        (Errno::ACCESS, Kind::Denied, "group video"),
        (Errno::BUSY, Kind::Busy, "in use by another program; end"),
        (Errno::NOTTY, Kind::Unreadable, "no camera"),
        (Errno::IO, Kind::Lost, "cable"),
    ] {
        let error = refused(errno);
        assert_eq!(error.kind, kind, "{error}");
        let text = error.to_string();
        assert!(text.starts_with("camera tray: /dev/till/tray: ") && text.contains(says), "{text}");
    }
    let open = |change: &dyn Fn(&mut Script)| {
        let mut script = camera(&[(YUYV, 30)], Vec::new());
        change(&mut script);
        bench(vec![Ok(script)]).opener.open().err().unwrap()
    };
    assert!(open(&|s| s.identity.captures = false).message.contains("this node of Fake gives no pictures"));
    assert!(open(&|s| (s.identity.captures, s.identity.multiplanar) = (false, true)).message.contains("v4l2src"));
    let none = open(&|s| s.formats[0].0 = FourCc::new(*b"H264"));
    assert_eq!(none.kind, Kind::Format);
    assert!(none.message.contains("it offers H264, none of"), "{none}");
    assert!(open(&|s| s.formats.clear()).message.contains("no format"));
}

#[test]
fn a_camera_that_lies_about_its_formats_is_not_read_as_what_it_is_not() {
    let layout =
        Layout { fourcc: YUYV, width: 32, height: 24, stride: 64, colorspace: 8, encoding: 0, quantization: 0 };
    let opened = |layout| {
        let mut script = camera(&[(YUYV, 30)], vec![Event::Picture(vec![9; 64 * 24])]);
        script.answers = Some(layout);
        bench(vec![Ok(script)]).opener.open()
    };
    let mut frame = Frame::with_capacity(64, 48);
    let mut stream = opened(layout).unwrap();
    assert_eq!(stream.read(&mut frame, Duration::ZERO), Ok(Read::Frame));
    assert_eq!((frame.width, frame.height, frame.data.len()), (32, 24, 64 * 24), "another size is taken as it is");
    for wrong in [
        Layout { fourcc: GREY, ..layout },
        Layout { width: 0, ..layout },
        Layout { height: 1 << 20, ..layout },
        Layout { stride: 63, ..layout },
        Layout { stride: u32::MAX, ..layout },
    ] {
        assert_eq!(opened(wrong).err().map(|e| e.kind), Some(CaptureErrorKind::Format), "{wrong:?}");
    }
}

#[test]
fn damage_is_counted_and_never_shown() {
    let short = Event::Picture(JPEG[..JPEG.len() - 40].to_vec());
    let events = [
        jpegs(3),
        vec![short, Event::Damaged, Event::Picture(Vec::new()), Event::Picture(vec![0; 5_000])],
        jpegs(2),
        vec![Event::Picture(OTHER_JPEG.to_vec())],
        jpegs(1),
        vec![Event::Skip(3)],
        jpegs(1),
        vec![Event::Stop],
    ];
    let (stats, out) = live(vec![Ok(camera(&[(MJPG, 30)], events.concat()))]);
    assert_eq!(out, Ok(()));
    assert_eq!((count(&stats.frames), count(&stats.damaged), count(&stats.gaps)), (7, 5, 3));
    assert_eq!(count(&stats.reopened), 0);
    let short = Event::Picture(vec![1; 64 * 48 * 2 - 1]);
    let whole = Event::Picture(vec![1; 64 * 48 * 2]);
    let (stats, _) = live(vec![Ok(camera(&[(YUYV, 30)], vec![short, whole, Event::Stop]))]);
    assert_eq!((count(&stats.frames), count(&stats.damaged)), (1, 1));
}

#[test]
fn a_camera_that_sends_nothing_whole_is_opened_again() {
    let broken = vec![Event::Picture(JPEG[..100].to_vec()); 400];
    let next = [jpegs(5), vec![Event::Stop]].concat();
    let (stats, _) = live(vec![Ok(camera(&[(MJPG, 30)], broken)), Ok(camera(&[(MJPG, 30)], next))]);
    assert_eq!((count(&stats.frames), count(&stats.reopened)), (5, 1));
    assert!((80..=100).contains(&count(&stats.damaged)), "three seconds of them: {stats:?}");
}

#[test]
fn a_changed_resolution_is_taken_after_opening_anew() {
    let changed = vec![Event::Picture(OTHER_JPEG.to_vec()); 20];
    let first = [jpegs(4), changed.clone()].concat();
    let second = [changed, vec![Event::Stop]].concat();
    let (stats, _) = live(vec![Ok(camera(&[(MJPG, 30)], first)), Ok(camera(&[(MJPG, 30)], second))]);
    assert_eq!((count(&stats.frames), count(&stats.damaged), count(&stats.reopened)), (24, 4, 1));
}

#[test]
fn unplugged_stalled_and_back_under_another_node() {
    let gone = [jpegs(3), vec![Event::Fails(Errno::NODEV)]].concat();
    let stalls = [jpegs(3), vec![Event::Silence(60_000)]].concat();
    let back = [jpegs(4), vec![Event::Stop]].concat();
    let (stats, out) = live(vec![
        Ok(camera(&[(MJPG, 30)], gone)),
        Err(Errno::NOENT),
        Err(Errno::BUSY),
        Ok(camera(&[(MJPG, 30)], stalls)),
        Ok(camera(&[(YUYV, 30)], vec![Event::Picture(vec![7; 64 * 48 * 2]), Event::Fails(Errno::IO)])),
        Ok(camera(&[(MJPG, 30)], back)),
    ]);
    assert_eq!((out, count(&stats.frames), count(&stats.reopened)), (Ok(()), 11, 5));
    let mut bench = bench(vec![Ok(camera(&[(MJPG, 30)], vec![Event::Fails(Errno::NODEV)]))]);
    let mut stream = bench.opener.open().unwrap();
    let error = stream.read(&mut Frame::with_capacity(64, 48), Duration::ZERO).unwrap_err();
    assert_eq!(error.kind, CaptureErrorKind::Lost);
    assert!(error.message.contains("it was unplugged after 0 frames"), "{error}");
}

#[test]
fn numbers_wrap_stand_still_and_go_back_without_gaps_of_their_own() {
    let mut numbers = Numbers::default();
    let seen = [u32::MAX - 1, u32::MAX, 0, 2, 2, 1, 2].map(|n| numbers.next(n));
    assert_eq!(seen, [0, 1, 2, 4, 5, 6, 7]);
}

#[test]
fn time_stamps_are_the_drivers_where_they_can_be() {
    let captured = |stamp_ns| {
        let script = Script { stamp_ns: Some(stamp_ns), ..camera(&[(MJPG, 30)], jpegs(1)) };
        let mut stream = bench(vec![Ok(script)]).opener.open().unwrap();
        let mut frame = Frame::with_capacity(64, 48);
        assert_eq!(stream.read(&mut frame, Duration::ZERO), Ok(Read::Frame));
        frame.captured_ns
    };
    let before = monotonic_ns();
    assert_eq!(captured(Some(before - 7)), before - 7);
    // No clock of ours, one that runs ahead, one of another time: the moment of reading.
    for other in [None, Some(u64::MAX), Some(before - STAMP_AGE_NS_MAX - 1)] {
        let seen = captured(other);
        assert!(before <= seen && seen <= monotonic_ns(), "{other:?}: {seen}");
    }
}

#[test]
fn controls_are_set_read_back_and_what_is_not_so_is_said() {
    let control = |id, min, max| Control { id, name: String::new(), min, max, step: 1, default: min, is_number: true };
    let mut script = camera(&[(YUYV, 30)], Vec::new());
    // Exposure with its switch, gain without one, power line; no white balance, no focus.
    script.controls = vec![
        control(0x9a_0901, 0, 3),
        control(0x9a_0902, 3, 2_047),
        control(0x98_0913, 0, 100),
        control(0x98_0918, 0, 2),
    ];
    let set = |controls: Controls| {
        let mut bench = bench(vec![Ok(script.clone())]);
        let mut device = bench.opener.nodes.open(Path::new("/")).unwrap();
        let remarks = controls::apply(&mut *device, &controls);
        (bench.log.lock().unwrap().clone(), remarks)
    };
    let none = Controls::default();
    assert_eq!(set(none), (Vec::new(), Vec::new()));
    let all = Controls {
        exposure_us: Some(10_000),
        white_balance_k: Some(4_600),
        focus: Some(-1),
        gain: Some(500),
        power_line_hz: Some(60),
    };
    let (log, remarks) = set(all);
    assert_eq!(log, ["9a0901=1", "9a0902=100", "980913=100", "980918=2"]);
    assert_eq!(remarks, ["it has no white_balance_k", "it has no automatic focus", "gain 500 became 100"]);
    let (log, remarks) = set(Controls { exposure_us: Some(-1), power_line_hz: Some(50), ..none });
    assert_eq!((log, remarks), (vec!["9a0901=3".into(), "980918=1".into()], Vec::new()));
}

#[test]
fn colours_are_meant_as_the_kernel_means_them() {
    let of = |colorspace, encoding, quantization| {
        matrix(&Layout { fourcc: YUYV, width: 1, height: 1, stride: 1, colorspace, encoding, quantization })
    };
    assert_eq!(of(8, 0, 0), Matrix::Bt601);
    assert_eq!(of(3, 0, 0), Matrix::Bt709);
    assert_eq!(of(3, 1, 1), Matrix::Bt601Full);
    assert_eq!(of(7, 0, 0), Matrix::Bt601Full);
    assert_eq!(of(8, 2, 1), Matrix::Bt709Full);
}
