//! A day at the counter with a POS in another language at the far end of a pty. The POS is killed once at each
//! point of a sale, and starts again from its journal: nothing may be lost, booked twice, or paid after the promise
//! not to. Everything waits for its condition; a deadline ends what never comes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use till_link::message::{Currency, Evidence, Line, decode, encode};
use till_link::{
    Cart, Config, Endpoint, Event, Key, Outcome, Resume, Role, SaleId, Security, Source, ToPos, ToTill, WIRE_BYTES_MAX,
};

/// Far more than a day takes on a loaded machine; only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(100);

/// Where the POS is killed in a sale.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Cut {
    Nowhere,
    /// The offer is on the line.
    Offered,
    /// The POS has acknowledged the offer: it may have paid, and then said so or not.
    OfferStored,
    /// The till has the payment, and has not acknowledged it.
    Paid,
    /// The receipt is on the line.
    Closed,
    /// The question and the offer are on the line together.
    Asked,
    /// The POS has acknowledged offer and question: it may have answered, either way.
    AskedStored,
}

impl Cut {
    /// Whether the till asks for the outcome of this sale.
    fn asks(self) -> bool {
        matches!(self, Self::Asked | Self::AskedStored)
    }
}

const CUTS: [Cut; 7] =
    [Cut::Nowhere, Cut::Offered, Cut::OfferStored, Cut::Paid, Cut::Closed, Cut::Asked, Cut::AskedStored];

fn cut_of(session: u32) -> Cut {
    CUTS[session as usize % CUTS.len()]
}

#[derive(Default)]
struct Log {
    records: Vec<Vec<u8>>,
    /// The last sequence that went on the line.
    sent: u32,
}

impl Source for Log {
    fn first(&self) -> u32 {
        1
    }
    fn last(&self) -> u32 {
        self.records.len() as u32
    }
    fn durable(&mut self, sequence: u32, buffer: &mut [u8]) -> Option<usize> {
        let record = self.records.get(sequence.checked_sub(1)? as usize)?;
        buffer.get_mut(..record.len())?.copy_from_slice(record);
        self.sent = self.sent.max(sequence);
        Some(record.len())
    }
    fn volatile(&mut self, _: &mut [u8]) -> Option<usize> {
        None
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

/// A running POS; what it prints is read until its end.
struct Pos {
    child: Child,
    printed: Option<JoinHandle<Vec<String>>>,
}

impl Pos {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let printed = std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).collect());
        Self { child, printed: Some(printed) }
    }

    /// SIGKILL; returns all that it printed.
    fn kill(&mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.printed.take().unwrap().join().unwrap()
    }
}

impl Drop for Pos {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The till with its end of the line.
struct Till {
    endpoint: Endpoint,
    log: Log,
    master: File,
    port: PathBuf,
    /// Keeps the pty alive while no POS has it open.
    _slave: File,
    unsent: Vec<u8>,
    started: Instant,
    ups: u32,
}

/// What both ends hold on a secured day.
const SECRET: [u8; 32] = [0x5a; 32];

impl Till {
    fn new(secured: bool) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let port = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let slave = File::options().read(true).write(true).open(&port).unwrap();
        let mut raw = rustix::termios::tcgetattr(&slave).unwrap();
        raw.make_raw();
        rustix::termios::tcsetattr(&slave, rustix::termios::OptionalActions::Now, &raw).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let config = Config { role: Role::Till, counter: 1, epoch: 7, boot: 1, window: 4 };
        let resume = Resume::default();
        let security = Security::new(Key::new(3, SECRET), None, [1; 32]);
        Self {
            endpoint: if secured {
                Endpoint::secured(config, security, resume, 0, 0, 0)
            } else {
                Endpoint::new(config, resume, 0, 0, 0)
            },
            log: Log::default(),
            master: File::from(master),
            port,
            _slave: slave,
            unsent: Vec::new(),
            started: Instant::now(),
            ups: 0,
        }
    }

    fn say(&mut self, message: &ToPos) {
        let mut buffer = [0; till_link::PAYLOAD_BYTES_MAX];
        self.log.records.push(encode(message, &mut buffer).unwrap().to_vec());
    }

    fn offer(&mut self, session: u32) {
        self.say(&ToPos::Offer { sale: sale(session), revision: 1, cart: cart(session) });
        if cut_of(session).asks() {
            self.say(&ToPos::QueryOutcome { sale: sale(session), revision: 1 });
        }
    }

    /// Waits a moment for bytes and returns the messages that they brought, stored but not yet acknowledged.
    fn hear(&mut self) -> Vec<ToTill> {
        let fd = self.master.as_fd();
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
        let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let _ = rustix::event::poll(&mut fds, Some(&wait));
        let mut bytes = [0; 4096];
        let n = self.master.read(&mut bytes).unwrap_or(0);
        let (mut heard, mut stored, mut ups) = (Vec::new(), None, 0);
        self.endpoint.receive(self.started.elapsed().as_millis() as u64, &bytes[..n], |event| match event {
            Event::Durable { epoch, sequence, payload } => {
                stored = Some((epoch, sequence));
                heard.push(decode::<ToTill>(payload).unwrap());
            }
            Event::Up { lost, .. } => {
                assert_eq!(lost, 0);
                ups += 1;
            }
            _ => {}
        });
        self.ups += ups;
        if let Some((epoch, sequence)) = stored {
            self.endpoint.stored(epoch, sequence);
        }
        heard
    }

    /// Writes what is to be said, as far as the line takes it.
    fn speak(&mut self) {
        let now_ms = self.started.elapsed().as_millis() as u64;
        let mut wire = [0; WIRE_BYTES_MAX];
        loop {
            if self.unsent.is_empty() {
                match self.endpoint.poll_transmit(now_ms, &mut self.log, &mut wire, |_| {}) {
                    Some(n) => self.unsent.extend(&wire[..n]),
                    None => return,
                }
            }
            match self.master.write(&self.unsent) {
                Ok(n) if n > 0 => drop(self.unsent.drain(..n)),
                _ => return,
            }
        }
    }

    fn alive(&self, what: &str) {
        assert!(self.started.elapsed() < DEADLINE, "{what}: {:?}", self.endpoint.stats());
    }

    /// One sale from its offer to its receipt, with the POS killed on the way. Returns how it ended.
    fn sell(&mut self, session: u32, pos: &mut Pos, start: &dyn Fn(&Path) -> Command) -> Outcome {
        let cut = cut_of(session);
        let (mut ended, mut killed) = (None, cut == Cut::Nowhere);
        self.offer(session);
        let offered = self.log.last();
        // Every question is answered once, whatever happened meanwhile.
        let mut unanswered = cut.asks();
        while ended.is_none() || unanswered || !killed || self.endpoint.acknowledged() < self.log.last() {
            self.alive(&format!("sale {session}, {cut:?}"));
            let mut first = None;
            for message in self.hear() {
                match message {
                    ToTill::Paid { sale: paid, amount_minor, .. } if paid == sale(session) && ended.is_none() => {
                        assert_eq!(amount_minor, cart(session).total_minor);
                        first = Some(Outcome::Paid);
                    }
                    // Also when the payment itself closed the sale already. None is a promise never to take money:
                    // a Paid after it ends in the arm below.
                    ToTill::OutcomeIs { sale: known, outcome } if known == sale(session) && unanswered => {
                        unanswered = false;
                        let outcome = outcome.unwrap_or(Outcome::Abandoned);
                        assert_eq!(ended.or(first).unwrap_or(outcome), outcome);
                        first = Some(outcome);
                    }
                    other => panic!("{other:?} in sale {session}, {cut:?}"),
                }
                ended = ended.or(first);
            }
            let closed = self.log.last() > offered;
            let reached = match cut {
                Cut::Nowhere => false,
                Cut::Offered | Cut::Asked => self.log.sent >= offered,
                Cut::OfferStored | Cut::AskedStored => self.endpoint.acknowledged() >= offered,
                Cut::Paid => ended.is_some(),
                Cut::Closed => closed && self.log.sent > offered,
            };
            if reached && !killed {
                killed = true;
                pos.kill();
                *pos = Pos::start(start(&self.port));
            }
            if let (Some(outcome), false) = (ended, closed) {
                self.say(&ToPos::Closed { sale: sale(session), revision: 1, outcome, cart: cart(session) });
            }
            self.speak();
        }
        ended.unwrap()
    }

    /// What the books say in the end, from the journal alone: all that a last POS prints before it talks.
    fn books(&mut self, start: &dyn Fn(&Path) -> Command) -> Vec<String> {
        let before = self.ups;
        let mut pos = Pos::start(start(&self.port));
        while self.ups == before {
            self.alive("the last start");
            assert!(self.hear().is_empty(), "something was said after the end of the day");
            self.speak();
        }
        pos.kill().into_iter().filter(|line| line.starts_with("BOOKED") || line.starts_with("GIVE BACK")).collect()
    }
}

/// So many rounds through all cuts, then the books.
fn a_day(rounds: u32, secured: bool, start: &dyn Fn(&Path) -> Command) {
    let sales = rounds * CUTS.len() as u32;
    let mut till = Till::new(secured);
    let mut pos = Pos::start(start(&till.port));
    let outcomes: Vec<Outcome> = (1..=sales).map(|session| till.sell(session, &mut pos, start)).collect();
    pos.kill();
    let paid: Vec<String> = (1..=sales)
        .zip(&outcomes)
        .filter(|(_, outcome)| **outcome == Outcome::Paid)
        .map(|(session, _)| format!("BOOKED {} {} KRW", sale(session), cart(session).total_minor))
        .collect();
    assert_eq!(till.books(start), paid);
    // Only a question may end a sale otherwise.
    for (session, outcome) in (1..=sales).zip(&outcomes) {
        assert!(cut_of(session).asks() || *outcome == Outcome::Paid, "sale {session}");
    }
    println!("{} of {sales} sales paid; {:?}", paid.len(), till.endpoint.stats());
}

fn folder(language: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(language)
}

fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: no {program} here");
    }
    found
}

/// The POS of a secured day holds the till's key as its second one and follows.
fn key_file(place: &Path) -> PathBuf {
    let path = place.join("keys");
    let line = |id: u8, secret: [u8; 32]| -> String {
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{id}:{digits}\n")
    };
    std::fs::write(&path, format!("# new, old\n{}{}", line(4, [0x77; 32]), line(3, SECRET))).unwrap();
    path
}

fn c_day(rounds: u32, secured: bool) {
    if !there("cc") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("example_pos");
    let mut compile = Command::new("cc");
    compile.args(["-std=c99", "-O1", "till_link.c", "example_pos.c", "-o"]).arg(&program).current_dir(folder("c"));
    assert!(compile.status().unwrap().success());
    let keys = key_file(place.path());
    a_day(rounds, secured, &|port| {
        let mut command = Command::new(&program);
        command.arg(port).arg(place.path().join("journal")).arg("1");
        if secured {
            command.arg(&keys);
        }
        command
    });
}

fn python_day(rounds: u32, secured: bool) {
    if !there("python3") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let keys = key_file(place.path());
    a_day(rounds, secured, &|port| {
        let mut command = Command::new("python3");
        command
            .args(["example_pos.py", "--auto", "--port"])
            .arg(port)
            .arg("--journal")
            .arg(place.path().join("journal"));
        if secured {
            command.arg("--key-file").arg(&keys);
        }
        command.current_dir(folder("python"));
        command
    });
}

#[test]
fn a_day_with_the_c_example_as_pos() {
    c_day(2, false);
}

#[test]
fn a_secured_day_with_the_c_example_as_pos() {
    c_day(1, true);
}

#[test]
fn a_day_with_the_python_example_as_pos() {
    python_day(1, false);
}

#[test]
fn a_secured_day_with_the_python_example_as_pos() {
    python_day(1, true);
}
