//! What a camera's thread does next: one small state machine a camera, pure, with the time passed in. It
//! decides when a silent camera is stalled, when it is given up and when it is opened again; it never
//! opens, reads or waits itself. Read next: `run`, which does.

/// What a camera is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Being opened, or open and not yet delivering.
    Opening = 0,
    /// Frames come.
    Streaming = 1,
    /// Frames came and have stopped; the stream is still open.
    Stalled = 2,
    /// No stream; it will be opened again.
    Lost = 3,
    /// A recording is over, and it was to be played once.
    Ended = 4,
}

impl State {
    /// As `till status` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Streaming => "streaming",
            Self::Stalled => "stalled",
            Self::Lost => "lost",
            Self::Ended => "ended",
        }
    }
}

/// How long a camera may take. All in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From a successful opening to the first frame; later than that it is closed.
    pub first_frame_ms_max: u64,
    /// From frame to frame; later than that it is stalled, and closed after as long again.
    pub stall_ms_max: u64,
    /// From losing it to opening it again, the first time. Doubles with each failure.
    pub reopen_ms_min: u64,
    /// Where the doubling ends. A camera that streamed this long has its doubling forgotten.
    pub reopen_ms_max: u64,
}

/// What to do now, and for how many milliseconds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Close what is open and open the camera.
    Open,
    /// Read from the stream.
    Read(u64),
    /// Close what is open and wait.
    Wait(u64),
    /// Close what is open; there is nothing more to do.
    Finish,
}

/// One camera.
#[derive(Clone, Debug)]
pub struct Camera {
    deadlines: Deadlines,
    state: State,
    open: bool,
    /// Opening: when it opened. Streaming and stalled: the last frame.
    since_ms: u64,
    streaming_since_ms: u64,
    reopen_at_ms: u64,
    backoff_ms: u64,
}

impl Camera {
    /// A camera that is to be opened at once.
    pub fn new(deadlines: Deadlines, now_ms: u64) -> Self {
        let backoff_ms = deadlines.reopen_ms_min;
        Self {
            deadlines,
            state: State::Opening,
            open: false,
            since_ms: now_ms,
            streaming_since_ms: now_ms,
            reopen_at_ms: now_ms,
            backoff_ms,
        }
    }

    /// What it is up to.
    pub fn state(&self) -> State {
        self.state
    }

    /// What to do at `now_ms`. Passing deadlines changes the state here.
    pub fn next(&mut self, now_ms: u64) -> Act {
        let silent = now_ms.saturating_sub(self.since_ms);
        match (self.state, self.open) {
            (State::Ended, _) => Act::Finish,
            (State::Opening, true) => match self.left(silent, self.deadlines.first_frame_ms_max) {
                Some(left) => Act::Read(left),
                None => self.lose(now_ms),
            },
            (State::Streaming, true) => {
                self.left(silent, self.deadlines.stall_ms_max).map(Act::Read).unwrap_or_else(|| {
                    self.state = State::Stalled;
                    self.next_stalled(now_ms, silent)
                })
            }
            (State::Stalled, true) => self.next_stalled(now_ms, silent),
            (_, false) | (State::Lost, true) => match self.reopen_at_ms.saturating_sub(now_ms) {
                0 => {
                    self.state = State::Opening;
                    Act::Open
                }
                left => Act::Wait(left),
            },
        }
    }

    /// The opening succeeded.
    pub fn opened(&mut self, now_ms: u64) {
        self.state = State::Opening;
        self.open = true;
        self.since_ms = now_ms;
    }

    /// A frame came.
    pub fn frame(&mut self, now_ms: u64) {
        if self.state != State::Streaming {
            self.streaming_since_ms = now_ms;
        }
        self.state = State::Streaming;
        self.since_ms = now_ms;
        if now_ms.saturating_sub(self.streaming_since_ms) >= self.deadlines.reopen_ms_max {
            self.backoff_ms = self.deadlines.reopen_ms_min;
        }
    }

    /// The opening or a read failed: it is to be closed.
    pub fn failed(&mut self, now_ms: u64) {
        self.lose(now_ms);
    }

    /// The recording is over and is not to be played again.
    pub fn ended(&mut self) {
        self.state = State::Ended;
        self.open = false;
    }

    fn next_stalled(&mut self, now_ms: u64, silent: u64) -> Act {
        match self.left(silent, self.deadlines.stall_ms_max.saturating_mul(2)) {
            Some(left) => Act::Read(left),
            None => self.lose(now_ms),
        }
    }

    fn left(&self, silent: u64, limit: u64) -> Option<u64> {
        limit.checked_sub(silent).filter(|&left| left > 0)
    }

    fn lose(&mut self, now_ms: u64) -> Act {
        self.state = State::Lost;
        self.open = false;
        let wait = self.backoff_ms.min(self.deadlines.reopen_ms_max).max(1);
        self.reopen_at_ms = now_ms.saturating_add(wait);
        self.backoff_ms = wait.saturating_mul(2);
        Act::Wait(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Deadlines =
        Deadlines { first_frame_ms_max: 5_000, stall_ms_max: 1_000, reopen_ms_min: 250, reopen_ms_max: 4_000 };

    fn streaming() -> Camera {
        let mut c = Camera::new(LIMITS, 0);
        assert_eq!(c.next(0), Act::Open);
        c.opened(10);
        c.frame(100);
        c
    }

    #[test]
    fn opens_at_once_and_streams_with_the_first_frame() {
        let mut c = Camera::new(LIMITS, 7);
        assert_eq!((c.next(7), c.state()), (Act::Open, State::Opening));
        c.opened(20);
        assert_eq!((c.next(20), c.state()), (Act::Read(5_000), State::Opening));
        c.frame(60);
        assert_eq!((c.next(160), c.state()), (Act::Read(900), State::Streaming));
    }

    #[test]
    fn a_first_frame_that_never_comes_closes_it() {
        let mut c = Camera::new(LIMITS, 0);
        c.next(0);
        c.opened(0);
        assert_eq!(c.next(4_999), Act::Read(1));
        assert_eq!((c.next(5_000), c.state()), (Act::Wait(250), State::Lost));
        assert_eq!((c.next(5_250), c.state()), (Act::Open, State::Opening));
    }

    #[test]
    fn a_stall_may_pass_by_itself() {
        let mut c = streaming();
        assert_eq!(c.next(1_099), Act::Read(1));
        assert_eq!((c.next(1_100), c.state()), (Act::Read(1_000), State::Stalled));
        c.frame(1_500);
        assert_eq!(c.state(), State::Streaming);
    }

    #[test]
    fn a_stall_that_lasts_closes_it() {
        let mut c = streaming();
        assert!(matches!(c.next(1_100), Act::Read(_)));
        assert_eq!((c.next(2_100), c.state()), (Act::Wait(250), State::Lost));
        assert_eq!(c.next(2_349), Act::Wait(1));
        assert_eq!(c.next(2_350), Act::Open);
    }

    #[test]
    fn unplugging_backs_off_to_the_limit_and_replugging_streams_again() {
        let mut c = streaming();
        let mut now = 200;
        c.failed(now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let Act::Wait(ms) = c.next(now) else { panic!("{:?}", c) };
            waits.push(ms);
            now += ms;
            assert_eq!(c.next(now), Act::Open);
            c.failed(now);
        }
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
        now += 4_000;
        assert_eq!(c.next(now), Act::Open);
        c.opened(now);
        c.frame(now + 30);
        assert_eq!(c.state(), State::Streaming);
    }

    #[test]
    fn only_lasting_frames_forget_the_back_off() {
        let mut c = streaming();
        c.failed(200);
        assert_eq!(c.next(450), Act::Open);
        c.opened(450);
        c.frame(500);
        c.failed(510);
        assert_eq!(c.next(510), Act::Wait(500), "a camera that flaps waits longer each time");
        assert_eq!(c.next(1_010), Act::Open);
        c.opened(1_010);
        (0..=50).for_each(|i| c.frame(1_100 + i * 100));
        c.failed(6_200);
        assert_eq!(c.next(6_200), Act::Wait(250));
    }

    #[test]
    fn a_recording_played_once_is_over() {
        let mut c = streaming();
        c.ended();
        assert_eq!((c.next(200), c.state()), (Act::Finish, State::Ended));
        assert_eq!(c.next(u64::MAX), Act::Finish);
    }

    proptest! {
        #[test]
        fn it_always_says_for_how_long_and_never_reads_what_is_closed(
            events in proptest::collection::vec((0u8..4, 0u64..3_000), 0..200), start in any::<u64>()
        ) {
            let mut c = Camera::new(LIMITS, start);
            let mut now = start;
            let mut open = false;
            for (event, pass) in events {
                now = now.saturating_add(pass);
                match c.next(now) {
                    Act::Open => {
                        open = event != 0;
                        if open { c.opened(now) } else { c.failed(now) }
                    }
                    Act::Read(ms) => {
                        prop_assert!(open && ms > 0 && ms <= 5_000);
                        match event {
                            0 => { c.failed(now); open = false }
                            1 => {}
                            _ => c.frame(now),
                        }
                    }
                    Act::Wait(ms) => {
                        open = false;
                        prop_assert_eq!(c.state(), State::Lost);
                        prop_assert!(ms > 0 && ms <= 4_000);
                    }
                    Act::Finish => prop_assert!(false, "nothing ended"),
                }
            }
        }
    }
}
