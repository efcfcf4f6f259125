//! Real ttys without hardware: a pty whose other end we hold, and a null-modem cable made of two, which
//! passes bytes at the pace of a serial line and can be pulled.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::tty::Wire;
use crate::tty::wire::or_nothing;

/// Bytes a second at 115200 8N1.
pub const BYTES_PER_S_115200: u32 = 11_520;

/// The holding end of a pty: what is written here comes out of the tty at [`Pty::path`].
#[derive(Debug)]
pub struct Pty {
    master: File,
    /// Held open so that the tty lives while nobody else has it open.
    _slave: File,
    path: PathBuf,
}

impl Pty {
    /// A new pty in raw mode.
    pub fn open() -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        let slave = File::options().read(true).write(true).open(&path)?;
        let mut termios = tcgetattr(&slave)?;
        termios.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &termios)?;
        rustix::fs::fcntl_setfl(&master, rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self { master: File::from(master), _slave: slave, path })
    }

    /// The tty's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Wire for Pty {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        or_nothing(self.master.read(bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_nothing(self.master.write(bytes))
    }
}

/// Two ttys joined as a null-modem cable joins two serial ports.
#[derive(Debug)]
pub struct NullModem {
    ends: [PathBuf; 2],
    pulled: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    pump: Option<JoinHandle<()>>,
}

impl NullModem {
    /// A cable that passes `bytes_per_s` in each direction, or as fast as it can.
    pub fn open(bytes_per_s: Option<u32>) -> io::Result<Self> {
        let (a, b) = (Pty::open()?, Pty::open()?);
        let ends = [a.path.clone(), b.path.clone()];
        let (pulled, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let pump = std::thread::Builder::new().name("null-modem".into()).spawn({
            let (pulled, stop) = (Arc::clone(&pulled), Arc::clone(&stop));
            move || pump(a, b, bytes_per_s, &pulled, &stop)
        })?;
        Ok(Self { ends, pulled, stop, pump: Some(pump) })
    }

    /// The two ttys.
    pub fn ends(&self) -> [&Path; 2] {
        self.ends.each_ref().map(PathBuf::as_path)
    }

    /// Pulls the cable (what is sent is lost) or plugs it in again.
    pub fn pull(&self, pulled: bool) {
        self.pulled.store(pulled, Ordering::Relaxed);
    }
}

impl Drop for NullModem {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(pump) = self.pump.take() {
            let _ = pump.join();
        }
    }
}

/// One direction of the cable and when it may pass the next bytes.
struct Direction {
    free_at: Instant,
    waiting: Vec<u8>,
}

impl Direction {
    fn pass(&mut self, from: &mut Pty, to: &mut Pty, bytes_per_s: Option<u32>, pulled: bool) {
        let now = Instant::now();
        if now < self.free_at {
            return;
        }
        if self.waiting.is_empty() {
            // A small portion keeps the pace even: 32 bytes are 2.8 ms at 115200.
            let mut bytes = [0; 32];
            let n = from.read(&mut bytes).unwrap_or(0);
            self.waiting.extend_from_slice(&bytes[..n]);
            if let Some(bytes_per_s) = bytes_per_s {
                // Counting from the later of the two keeps the pace over a late turn, but saves up nothing.
                let begin = self.free_at.max(now.checked_sub(Duration::from_millis(5)).unwrap_or(now));
                self.free_at = begin + Duration::from_secs(n as u64) / bytes_per_s.max(1);
            }
        }
        if pulled {
            self.waiting.clear();
        } else if let Ok(n) = to.write(&self.waiting) {
            self.waiting.drain(..n);
        }
    }
}

fn pump(mut a: Pty, mut b: Pty, bytes_per_s: Option<u32>, pulled: &AtomicBool, stop: &AtomicBool) {
    let mut directions = [0, 1].map(|_| Direction { free_at: Instant::now(), waiting: Vec::with_capacity(64) });
    while !stop.load(Ordering::Relaxed) {
        let pulled = pulled.load(Ordering::Relaxed);
        let [there, back] = &mut directions;
        there.pass(&mut a, &mut b, bytes_per_s, pulled);
        back.pass(&mut b, &mut a, bytes_per_s, pulled);
        let now = Instant::now();
        let busy =
            directions.iter().filter(|direction| direction.free_at > now).map(|direction| direction.free_at).min();
        let nap = busy.map_or(Duration::from_millis(50), |at| at - now);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(nap.subsec_nanos().max(100_000)) };
        if busy.is_some() {
            std::thread::sleep(nap);
        } else {
            let _ = poll(
                &mut [PollFd::new(&a.master, PollFlags::IN), PollFd::new(&b.master, PollFlags::IN)],
                Some(&timeout),
            );
        }
    }
}
