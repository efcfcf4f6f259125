use proptest::prelude::*;
use till_link::{SaleId, Tender, ToTill};

use super::*;
use crate::outbox::Limits;
use crate::outbox::fault::{Fault, FaultDisk};
use crate::port::memory;
use crate::port::pty::{NullModem, Pty};
use crate::port::{SerialWire, memory::MemoryWire};
use crate::tty::TtyErrorKind;

struct End {
    role: Role,
    boot: u32,
    disks: [FaultDisk; 2],
    books: Books,
    got: Vec<ToTill>,
    ups: u32,
}

fn open(role: Role, boot: u32, disks: &[FaultDisk; 2], now_ms: u64) -> Result<Books, LogError> {
    let out = Log::open(disks[0].fs(), Limits::default(), boot)?;
    let inbox = Log::open(disks[1].fs(), Limits::default(), boot)?;
    Ok(Books::new(role, 1, boot, out, inbox, now_ms))
}

impl End {
    fn new(role: Role) -> Self {
        let disks = [FaultDisk::default(), FaultDisk::default()];
        let boot = 100 + role as u32;
        Self { role, boot, books: open(role, boot, &disks, 0).unwrap(), disks, got: Vec::new(), ups: 0 }
    }

    fn turn(&mut self, now_ms: u64, wire: &mut dyn Wire) -> bool {
        let Self { books, got, ups, .. } = self;
        books
            .turn(now_ms, wire, &mut |incoming| match incoming {
                Incoming::Durable(bytes) => got.push(till_link::message::decode(bytes).unwrap()),
                Incoming::Up { .. } => *ups += 1,
                _ => {}
            })
            .unwrap()
    }

    /// Power off and on; what was handed out but is only in memory is gone, as in life.
    fn reboot(&mut self, now_ms: u64) {
        self.boot += 10;
        self.disks.iter().for_each(|disk| disk.reboot(500));
        self.books = open(self.role, self.boot, &self.disks, now_ms).unwrap();
        self.got = journal(&self.books);
    }
}

fn journal(books: &Books) -> Vec<ToTill> {
    books
        .inbox()
        .records()
        .map(|(_, record)| till_link::message::decode(Journalled::read(record).unwrap().message).unwrap())
        .collect()
}

fn message(n: u32) -> ToTill {
    let sale = SaleId { counter: 1, epoch: 1, session: n };
    ToTill::Paid { sale, revision: 1, tender: Tender::Card, amount_minor: i64::from(n) }
}

fn settle(a: &mut End, b: &mut End, wires: &mut (impl Wire, impl Wire), from_ms: u64) -> u64 {
    let mut now_ms = from_ms;
    for _ in 0..2_000 {
        while a.turn(now_ms, &mut wires.0) | b.turn(now_ms, &mut wires.1) {}
        if a.books.is_quiet() && b.books.is_quiet() && a.books.is_up() && b.books.is_up() {
            break;
        }
        now_ms += 20;
    }
    now_ms
}

#[test]
fn what_is_submitted_arrives_once_and_is_acknowledged_over_a_real_tty() {
    let (mut till, mut pos) = (End::new(Role::Till), End::new(Role::Pos));
    let pty = Pty::open().unwrap();
    let path = pty.path().to_owned();
    let wire = SerialWire::open(&path, 115_200).unwrap();
    assert_eq!(SerialWire::open(&path, 115_200).unwrap_err().kind, TtyErrorKind::Busy);
    for n in 0..30 {
        till.books.submit(&message(n)).unwrap();
    }
    settle(&mut till, &mut pos, &mut (wire, pty), 0);
    assert_eq!(pos.got, (0..30).map(message).collect::<Vec<_>>());
    assert_eq!((till.books.unacknowledged(), till.books.stats().retransmits), (0, 0));
}

#[test]
fn the_port_that_is_not_there_says_so() {
    let error = SerialWire::open(std::path::Path::new("/dev/till/nothing"), 115_200).unwrap_err();
    assert_eq!(error.kind, TtyErrorKind::Missing);
    assert!(error.to_string().contains("is the cable plugged in?"), "{error}");
}

#[test]
fn a_null_modem_passes_bytes_both_ways_and_nothing_while_it_is_pulled() {
    let cable = NullModem::open(None).unwrap();
    let [a, b] = cable.ends();
    let mut wires = (SerialWire::open(a, 115_200).unwrap(), SerialWire::open(b, 115_200).unwrap());
    let (mut till, mut pos) = (End::new(Role::Till), End::new(Role::Pos));
    till.books.submit(&message(1)).unwrap();
    pos.books.submit(&message(2)).unwrap();
    let begin = std::time::Instant::now();
    while (pos.got.is_empty() || till.got.is_empty()) && begin.elapsed().as_secs() < 20 {
        let now_ms = begin.elapsed().as_millis() as u64;
        if !(till.turn(now_ms, &mut wires.0) | pos.turn(now_ms, &mut wires.1)) {
            std::thread::yield_now();
        }
    }
    assert_eq!((&pos.got[..], &till.got[..]), (&[message(1)][..], &[message(2)][..]));
}

/// Two ends on a null-modem until both are up, both have a refusal, or the patience is at its end.
fn meet(till: &mut End, pos: &mut End) -> (bool, Option<Refusal>) {
    let cable = NullModem::open(None).unwrap();
    let [a, b] = cable.ends();
    let mut wires = (SerialWire::open(a, 115_200).unwrap(), SerialWire::open(b, 115_200).unwrap());
    let begin = std::time::Instant::now();
    while begin.elapsed().as_secs() < 20 {
        let now_ms = begin.elapsed().as_millis() as u64;
        if !(till.turn(now_ms, &mut wires.0) | pos.turn(now_ms, &mut wires.1)) {
            std::thread::yield_now();
        }
        let up = till.books.is_up() && pos.books.is_up() && till.books.is_quiet() && pos.books.is_quiet();
        let refused = till.books.refused().filter(|_| pos.books.refused().is_some());
        if up || refused.is_some() {
            return (up, refused);
        }
    }
    (false, None)
}

fn keyed(end: End, byte: u8) -> End {
    let key = till_link::Key::new(1, [byte; 32]);
    End { books: end.books.secured(Security::new(key, None, [end.boot as u8; 32])), ..end }
}

#[test]
fn over_a_tty_only_ends_with_the_same_key_talk() {
    let ends = || (End::new(Role::Till), End::new(Role::Pos));
    let (till, pos) = ends();
    let (mut till, mut pos) = (keyed(till, 1), keyed(pos, 1));
    till.books.submit(&message(1)).unwrap();
    pos.books.submit(&message(2)).unwrap();
    assert_eq!(meet(&mut till, &mut pos), (true, None));
    assert_eq!((&pos.got[..], &till.got[..]), (&[message(1)][..], &[message(2)][..]));

    let (till, pos) = ends();
    let (mut till, mut pos) = (keyed(till, 1), keyed(pos, 2));
    pos.books.submit(&message(2)).unwrap();
    assert_eq!(meet(&mut till, &mut pos), (false, Some(Refusal::Key)));
    assert!(till.got.is_empty());

    let (till, mut pos) = ends();
    let mut till = keyed(till, 1);
    pos.books.submit(&message(2)).unwrap();
    assert_eq!(meet(&mut till, &mut pos), (false, Some(Refusal::Security)));
    assert!(till.got.is_empty());
}

#[test]
fn the_latest_volatile_message_of_a_kind_is_the_one_that_is_sent() {
    let (mut till, mut pos) = (End::new(Role::Till), End::new(Role::Pos));
    let mut wires = memory::pair();
    let now_ms = settle(&mut till, &mut pos, &mut wires, 0);
    for n in 0..50 {
        till.books.send(1, &message(n));
    }
    let mut seen = Vec::new();
    till.turn(now_ms, &mut wires.0);
    pos.books
        .turn(now_ms, &mut wires.1, &mut |incoming| {
            if let Incoming::Volatile(bytes) = incoming {
                seen.push(till_link::message::decode::<ToTill>(bytes).unwrap());
            }
        })
        .unwrap();
    assert_eq!(seen, [message(49)]);
}

#[test]
fn a_full_disk_is_no_acknowledgement_and_the_message_comes_again() {
    let (mut till, mut pos) = (End::new(Role::Till), End::new(Role::Pos));
    let mut wires = memory::pair();
    let now_ms = settle(&mut till, &mut pos, &mut wires, 0);
    pos.disks[1].forever(Some(Fault::NoSpace));
    till.books.submit(&message(1)).unwrap();
    for ms in 0..100 {
        till.turn(now_ms + ms * 20, &mut wires.0);
        pos.turn(now_ms + ms * 20, &mut wires.1);
    }
    assert_eq!((pos.got.len(), till.books.unacknowledged()), (0, 1));
    assert_eq!(pos.books.take_storage_error().map(|error| error.kind), Some(crate::outbox::LogErrorKind::NoSpace));
    pos.disks[1].forever(None);
    settle(&mut till, &mut pos, &mut wires, now_ms + 2_000);
    assert_eq!((pos.got.len(), till.books.unacknowledged()), (1, 0));
}

fn scripted(till: &mut End, pos: &mut End, wires: &mut (MemoryWire, MemoryWire), submitted: &mut [u32; 2]) {
    let mut now_ms = 0;
    for round in 0..6 {
        now_ms += 200;
        for (end, count) in [&mut *till, &mut *pos].into_iter().zip(submitted.iter_mut()) {
            if !end.disks.iter().any(FaultDisk::is_dead) && end.books.submit(&message(*count)).is_ok() {
                *count += 1;
            }
        }
        for _ in 0..4 {
            now_ms += 10 + round;
            till.turn(now_ms, &mut wires.0);
            pos.turn(now_ms, &mut wires.1);
        }
    }
}

#[test]
fn a_power_cut_at_every_disk_operation_of_either_end_loses_and_doubles_nothing() {
    let mut cuts = 0;
    for end in 0..2usize {
        for disk in 0..2usize {
            for at in 0.. {
                let (mut till, mut pos) = (End::new(Role::Till), End::new(Role::Pos));
                let mut wires = memory::pair();
                let victim = if end == 0 { &till } else { &pos };
                let before = victim.disks[disk].operations();
                victim.disks[disk].plan(before + at, Fault::PowerCut);
                let mut submitted = [0, 0];
                scripted(&mut till, &mut pos, &mut wires, &mut submitted);
                let victim = if end == 0 { &mut till } else { &mut pos };
                if !victim.disks[disk].is_dead() {
                    break;
                }
                cuts += 1;
                victim.reboot(60_000);
                settle(&mut till, &mut pos, &mut wires, 60_000);
                for (sender, receiver, count) in [(&till, &pos, submitted[0]), (&pos, &till, submitted[1])] {
                    let held: Vec<ToTill> = journal(&receiver.books);
                    // A record whose append did not return may be there or not.
                    assert!(
                        held.len() as u32 == count || held.len() as u32 == count + 1,
                        "end {end} disk {disk} operation {at}"
                    );
                    assert_eq!(held, (0..held.len() as u32).map(message).collect::<Vec<_>>());
                    assert_eq!(sender.books.unacknowledged(), 0);
                }
            }
        }
    }
    println!("{cuts} power cuts");
    assert!(cuts > 40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_wire_that_loses_and_bends_bytes_loses_no_message(faults in proptest::collection::vec((0u8..4, any::<prop::sample::Index>()), 1..60)) {
        let (mut till, mut pos) = (End::new(Role::Till), End::new(Role::Pos));
        let mut wires = memory::pair();
        let mut now_ms = 0;
        for (n, (fault, at)) in faults.iter().enumerate() {
            now_ms += 100;
            till.books.submit(&message(n as u32)).unwrap();
            pos.books.submit(&message(n as u32)).unwrap();
            till.turn(now_ms, &mut wires.0);
            wires.1.tamper(|line| if !line.is_empty() {
                let at = at.index(line.len());
                match fault {
                    0 => { line.remove(at); }
                    1 => line[at] ^= 0x21,
                    2 => line.truncate(at),
                    _ => {}
                }
            });
            pos.turn(now_ms, &mut wires.1);
        }
        settle(&mut till, &mut pos, &mut wires, now_ms + 10_000);
        let all: Vec<ToTill> = (0..faults.len() as u32).map(message).collect();
        prop_assert_eq!(&pos.got, &all);
        prop_assert_eq!(&till.got, &all);
    }
}

/// A line that keeps what it was given until it is let go, as a driver's buffer does.
#[derive(Default)]
struct Slow {
    wire: Option<MemoryWire>,
    waiting: usize,
    frames: Vec<Vec<u8>>,
}

impl Wire for Slow {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.wire.as_mut().map_or(Ok(0), |wire| wire.read(bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.frames.push(bytes.to_vec());
        self.waiting += bytes.len();
        self.wire.as_mut().map_or(Ok(bytes.len()), |wire| wire.write(bytes))
    }

    fn waiting(&self) -> usize {
        self.waiting
    }
}

#[test]
fn an_event_waits_for_one_part_of_a_picture_at_most_though_the_driver_would_take_all_of_it() {
    let (mut till, mut pos) = (End::new(Role::Till), End::new(Role::Pos));
    let (a, b) = memory::pair();
    let mut wires = (Slow { wire: Some(a), ..Slow::default() }, b);
    let mut now_ms = 0;
    while !(till.books.is_up() && pos.books.is_up()) {
        wires.0.waiting = 0;
        till.turn(now_ms, &mut wires.0);
        pos.turn(now_ms, &mut wires.1);
        now_ms += 20;
        assert!(now_ms < 10_000);
    }
    let sale = SaleId { counter: 1, epoch: 1, session: 1 };
    let jpeg: heapless::Vec<u8, { till_link::message::JPEG_BYTES_MAX }> = (0..512).map(|i| i as u8).collect();
    till.books.send_bulk((0..8).map(|part| till_link::ToPos::Thumbnail {
        sale,
        revision: 1,
        part,
        parts: 8,
        jpeg: jpeg.clone(),
    }));
    wires.0.frames.clear();
    wires.0.waiting = 0;
    till.turn(now_ms, &mut wires.0);
    till.turn(now_ms, &mut wires.0);
    assert_eq!(wires.0.frames.len(), 1, "one part is on the line and the next one waits here");
    till.books.send(1, &till_link::ToPos::SessionOpened { sale });
    // The part is almost through: the small event goes in behind it, before any other part.
    wires.0.waiting = AHEAD_BYTES - 1;
    till.turn(now_ms, &mut wires.0);
    let last = wires.0.frames.last().unwrap();
    assert!(wires.0.frames.len() == 2 && last.len() < 40, "{} bytes", last.len());
    for _ in 0..20 {
        wires.0.waiting = 0;
        till.turn(now_ms, &mut wires.0);
    }
    assert_eq!(wires.0.frames.iter().filter(|frame| frame.len() > 500).count(), 8, "all of the picture went");
    assert!(till.books.is_quiet());
}

/// The last record of the outbox goes from the disk.
fn forget_last(disk: &FaultDisk) {
    disk.damage("0000000001.log", |bytes| {
        bytes.pop();
    });
}

#[test]
fn a_disk_that_lost_what_was_told_begins_a_new_epoch_also_where_the_numbers_were_given_anew() {
    // Records that two more lives append before they hear the other end, in the place of the lost one.
    for offline in [0, 1, 2] {
        let (mut till, mut pos) = (End::new(Role::Till), End::new(Role::Pos));
        let mut wires = memory::pair();
        for n in 0..3 {
            till.books.submit(&message(n)).unwrap();
        }
        settle(&mut till, &mut pos, &mut wires, 0);
        let epoch = till.books.out().epoch();
        forget_last(&till.disks[0]);
        till.reboot(10_000);
        for n in 0..offline {
            till.books.submit(&message(10 + n)).unwrap();
            till.reboot(10_000);
        }
        let mut now_ms = 10_000;
        let mut lost = 0;
        for _ in 0..400 {
            now_ms += 10;
            let mut records = 0;
            till.books
                .turn(now_ms, &mut wires.0, &mut |incoming| {
                    if let Incoming::BooksLost { records: n } = incoming {
                        records = n;
                    }
                })
                .unwrap();
            if records > 0 && lost == 0 {
                lost = records;
                till.disks[0].forever(Some(Fault::NoSpace));
                assert!(till.books.renew(now_ms).is_err());
                till.disks[0].forever(None);
            } else if records > 0 {
                assert!(!till.books.is_up());
                till.books.renew(now_ms).unwrap();
            }
            pos.turn(now_ms, &mut wires.1);
        }
        assert_eq!((lost, till.books.renewed()), (1, 1), "{offline}");
        assert_ne!(till.books.out().epoch(), epoch);
        assert!(till.books.is_up() && till.books.unacknowledged() == 0);
        let expected: Vec<ToTill> = (0..3).chain(10..10 + offline).map(message).collect();
        assert_eq!(pos.got, expected, "{offline}");
        // The next life finds nothing amiss.
        till.reboot(now_ms);
        till.books.submit(&message(50)).unwrap();
        settle(&mut till, &mut pos, &mut wires, now_ms);
        assert_eq!((pos.got.len(), till.books.renewed()), (expected.len() + 1, 0));
    }
}
