//! The C and Python endpoints: their own tests, and a whole day at the counter in which each of them is the
//! POS at the other end of a pty and is killed again and again. Nothing may be lost or booked twice.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use till_link::message::{Currency, Evidence, Line, decode, encode};
use till_link::{Cart, Config, Endpoint, Event, Outcome, Resume, Role, SaleId, Source, ToPos, ToTill, WIRE_BYTES_MAX};

const SALES: u32 = 12;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: no {program} here");
    }
    found
}

fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{text}");
    assert!(output.status.success(), "{text}");
}

#[test]
fn the_c_endpoint_passes_its_tests() {
    if there("cc") {
        passes(Command::new("sh").arg("test.sh").current_dir(folder().join("c")));
    }
}

#[test]
fn the_python_endpoint_passes_its_tests() {
    if there("python3") {
        passes(Command::new("python3").args(["-m", "unittest", "-q"]).current_dir(folder().join("python")));
    }
}

#[derive(Default)]
struct Log(Vec<Vec<u8>>);

impl Source for Log {
    fn first(&self) -> u32 {
        1
    }
    fn last(&self) -> u32 {
        self.0.len() as u32
    }
    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
        let record = self.0.get(sequence.checked_sub(1)? as usize)?;
        buffer.get_mut(..record.len())?.copy_from_slice(record);
        Some(record.len())
    }
    fn volatile(&mut self, _: &mut [u8]) -> Option<usize> {
        None
    }
}

impl Log {
    fn say(&mut self, message: &ToPos) {
        let mut buffer = [0; till_link::PAYLOAD_BYTES_MAX];
        self.0.push(encode(message, &mut buffer).unwrap().to_vec());
    }
}

fn sale(session: u32) -> SaleId {
    SaleId { counter: 1, epoch: 7, session }
}

fn cart(session: u32) -> Cart {
    let evidence = Evidence { votes: 9, frames: 9, score_permille: 950, mass_agrees: true };
    let line = Line {
        sku: heapless::String::try_from("A").unwrap(),
        name: heapless::String::try_from("초코파이").unwrap(),
        unit_minor: 100,
        quantity: session as u16,
        evidence,
    };
    let mut lines = heapless::Vec::new();
    lines.push(line).unwrap();
    let total_minor = 100 * i64::from(session);
    Cart { lines, total_minor, currency: Currency(*b"KRW"), catalogue_version: 1, mass_g: 100 }
}

/// A POS that does not outlive its test.
struct Pos(Child);

impl Drop for Pos {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The far end of the line as the POS opens it, ours, and the counter's books.
struct Day {
    master: File,
    port: PathBuf,
    /// Keeps the pty alive while no POS has it open.
    _slave: File,
    started: Instant,
}

impl Day {
    fn new() -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let port = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let slave = File::options().read(true).write(true).open(&port).unwrap();
        let mut raw = rustix::termios::tcgetattr(&slave).unwrap();
        raw.make_raw();
        rustix::termios::tcsetattr(&slave, rustix::termios::OptionalActions::Now, &raw).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        Self { master: File::from(master), port, _slave: slave, started: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Sells until all is paid and acknowledged. `start` starts the POS; it is killed every so often.
    fn sell(&mut self, start: impl Fn(&Path) -> Child) {
        let config = Config { role: Role::Till, counter: 1, epoch: 7, boot: 1, window: 4 };
        let mut till = Endpoint::new(config, Resume::default(), 0, 0, self.now_ms());
        let mut log = Log::default();
        let (lines, booked) = mpsc::channel();
        let run = || {
            let mut pos = Pos(start(&self.port));
            let (out, lines) = (pos.0.stdout.take().unwrap(), lines.clone());
            std::thread::spawn(move || {
                BufReader::new(out).lines().map_while(Result::ok).for_each(|l| drop(lines.send(l)))
            });
            pos
        };
        let mut pos = run();
        let (mut session, mut kills, mut acts) = (1, 0, 0u32);
        log.say(&ToPos::Offer { sale: sale(1), revision: 1, cart: cart(1) });
        let (mut wire, mut bytes) = ([0; WIRE_BYTES_MAX], [0; 4096]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while session <= SALES || till.acknowledged() < log.last() {
            assert!(Instant::now() < deadline, "sale {session}, {:?}", till.stats());
            let now_ms = self.now_ms();
            let mut next = Vec::new();
            let n = self.master.read(&mut bytes).unwrap_or(0);
            let mut stored = None;
            till.receive(now_ms, &bytes[..n], |event| {
                if let Event::Durable { epoch, sequence, payload } = event {
                    stored = Some((epoch, sequence));
                    next.push(decode::<ToTill>(payload).unwrap());
                    acts += 1;
                }
                acts += u32::from(matches!(event, Event::Acknowledged { .. }));
            });
            if let Some((epoch, sequence)) = stored {
                till.stored(epoch, sequence);
            }
            for message in next {
                match message {
                    ToTill::Paid { sale: paid, amount_minor, .. } if paid == sale(session) => {
                        assert_eq!(amount_minor, cart(session).total_minor);
                    }
                    ToTill::OutcomeIs { sale: known, outcome } if known == sale(session) => {
                        assert_eq!(outcome, Some(Outcome::Paid));
                    }
                    // An answer that came after the payment itself had closed the sale.
                    ToTill::OutcomeIs { .. } => continue,
                    other => panic!("{other:?} while selling {session}"),
                }
                log.say(&ToPos::Closed {
                    sale: sale(session),
                    revision: 1,
                    outcome: Outcome::Paid,
                    cart: cart(session),
                });
                session += 1;
                if session <= SALES {
                    log.say(&ToPos::Offer { sale: sale(session), revision: 1, cart: cart(session) });
                    if session % 3 == 0 {
                        log.say(&ToPos::QueryOutcome { sale: sale(session), revision: 1 });
                    }
                }
            }
            while let Some(n) = till.poll_transmit(now_ms, &mut log, &mut wire, |_| {}) {
                let _ = self.master.write(&wire[..n]);
            }
            // Off and on again, at another point of the exchange each time.
            if acts >= 5 + kills && kills < 4 {
                kills += 1;
                acts = 0;
                drop(pos);
                pos = run();
            }
            let fd = self.master.as_fd();
            let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
            let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
            let _ = rustix::event::poll(&mut fds, Some(&wait));
        }
        assert_eq!(kills, 4);
        drop(pos);
        while booked.recv_timeout(Duration::from_millis(200)).is_ok() {}
        // Once more, from the journal alone: what the books say in the end.
        let _last = run();
        let found: Vec<String> = (1..=SALES).map_while(|_| booked.recv_timeout(Duration::from_secs(20)).ok()).collect();
        let expected: Vec<String> =
            (1..=SALES).map(|session| format!("BOOKED {} {} KRW", sale(session), cart(session).total_minor)).collect();
        assert_eq!(found, expected);
        assert!(booked.recv_timeout(Duration::from_millis(200)).is_err(), "booked more than was sold");
    }
}

#[test]
fn a_day_with_the_c_example_as_pos() {
    if !there("cc") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("example_pos");
    passes(
        Command::new("cc")
            .args(["-std=c99", "-O1", "till_link.c", "example_pos.c", "-o"])
            .arg(&program)
            .current_dir(folder().join("c")),
    );
    let journal = place.path().join("journal");
    Day::new().sell(|port| {
        Command::new(&program).arg(port).arg(&journal).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    });
}

#[test]
fn a_day_with_the_python_example_as_pos() {
    if !there("python3") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let journal = place.path().join("journal");
    Day::new().sell(|port| {
        Command::new("python3")
            .args(["example_pos.py", "--auto", "--port"])
            .arg(port)
            .arg("--journal")
            .arg(&journal)
            .current_dir(folder().join("python"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    });
}
