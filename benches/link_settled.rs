//! From the decision that a cart is settled to the offer's bytes on the wire: the core's step, the record in
//! the outbox with its fsync, the frame. Beside it the bare cost of the same write and fsync on the same
//! disk, in turns with it, because a disk's mood changes. Run with `cargo bench --bench link_settled`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use till::checkout::{Catalogue, Settings};
use till::counter::{Counter, Rules, open_log};
use till::outbox::fault::FaultDisk;
use till::outbox::{Limits, Log};
use till::port::Wire;
use till::port::memory::{self, MemoryWire};
use till::pos::{Keys, Pos, Press};
use till::trigger::RawEvent;
use till::vision::{Class, TrayItem, TrayObservation};
use till_link::{Currency, Phase};

const SALES: usize = 300;
const STEP_MS: u64 = 50;
/// More steps than any sale takes.
const STEPS_MAX: usize = 2_000;
const MASS_G: i32 = 100;
const RULES: Rules = Rules { core: Settings::SCRIPTED, debounce_ms: 30, quiet_g: 3, quiet_ms: 200 };

/// Notes when bytes were last given to the line.
struct Probe {
    wire: MemoryWire,
    wrote: Instant,
}

impl Wire for Probe {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.wire.read(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.wire.write(bytes)?;
        self.wrote = Instant::now();
        Ok(n)
    }
}

struct Shop {
    till: Counter,
    pos: Pos,
    near: Probe,
    far: MemoryWire,
    now_ms: u64,
}

impl Shop {
    /// One step of time. When an offer was decided in it: from there to the wire, and the record's bytes.
    fn step(&mut self, goods: usize) -> Option<(Duration, usize)> {
        self.now_ms += STEP_MS;
        self.till.raw(self.now_ms, RawEvent::Presence(goods > 0));
        self.till.raw(self.now_ms, RawEvent::LoadGrams(goods as i32 * MASS_G));
        let before = (self.till.view().phase, self.till.books().out().last());
        let begun = Instant::now();
        if self.till.look() {
            self.till.tray(self.now_ms, &seen(goods));
        }
        let mut found = None;
        for _ in 0..50 {
            let moved = self.till.turn(self.now_ms, Some(&mut self.near)).expect("a wire in memory");
            let out = self.till.books().out();
            let offered = before.0 != Phase::Offered && self.till.view().phase == Phase::Offered;
            if offered && out.last() > before.1 && self.near.wrote > begun && found.is_none() {
                let bytes = out.get(out.last()).map_or(0, <[u8]>::len);
                found = Some((self.near.wrote - begun, bytes));
            }
            let heard = self.pos.turn(self.now_ms, &mut self.far, &mut |_| {}).expect("a disk in memory");
            if !moved && !heard {
                break;
            }
        }
        found
    }

    /// A shopper who cancels in the end.
    fn sale(&mut self) -> (Duration, usize) {
        let mut measured = None;
        for _ in 0..STEPS_MAX {
            measured = measured.or(self.step(3));
            if self.pos.key(Press::Cancel).expect("a disk in memory") {
                break;
            }
        }
        for _ in 0..STEPS_MAX {
            self.step(0);
            if self.till.is_idle() {
                break;
            }
        }
        measured.expect("every sale has an offer")
    }
}

fn seen(goods: usize) -> TrayObservation {
    let mut tray = TrayObservation { settled: true, ..TrayObservation::default() };
    for track in 0..goods as u32 {
        let item = TrayItem {
            track,
            class: Class::Product(0),
            candidates: Default::default(),
            votes: 9,
            frames: 10,
            score_permille: 900,
            bbox: [0.0; 4],
            clipped: false,
            overlapped: false,
            stable: true,
        };
        tray.items.push(item).expect("a small tray");
    }
    tray
}

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk of the build");
    let log = |name: &str| open_log(&folder.path().join(name), Limits::default(), 7).expect("a fresh log");
    let memory = || Log::open(FaultDisk::default().fs(), Limits::default(), 7).expect("a fresh log");
    let csv = "sku,name,price_minor,currency,mass_g,mass_tolerance_g\ntea,Green tea,900,KRW,100,4\n";
    let catalogue = Catalogue::parse(csv.as_bytes(), Currency(*b"KRW")).expect("a sound catalogue");
    let (near, far) = memory::pair();
    let mut shop = Shop {
        till: Counter::new(RULES, catalogue, ["tea"], 1, 1, log("out"), log("in"), 0, None),
        pos: Pos::new(memory(), memory(), 1, 2, Keys::default(), 0),
        near: Probe { wire: near, wrote: Instant::now() },
        far,
        now_ms: 0,
    };
    let bare = File::create(folder.path().join("bare")).expect("a file on the same disk");
    let (mut offset, mut ours, mut theirs, mut rest) = (0, Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SALES {
        let (wire, bytes) = shop.sale();
        let begun = Instant::now();
        bare.write_all_at(&vec![1; bytes + 12], offset).and_then(|()| bare.sync_all()).expect("a disk with room");
        let fsync = begun.elapsed();
        offset += bytes as u64 + 12;
        ours.push(wire);
        theirs.push(fsync);
        rest.push(wire.saturating_sub(fsync));
    }
    println!("{SALES} offers, ms\n| | p50 | p99 | longest |\n|---|---|---|---|");
    for (name, times) in [
        ("settled to wire, fsync included", &mut ours),
        ("the same bytes written and synced by hand", &mut theirs),
        ("the difference, pair by pair", &mut rest),
    ] {
        times.sort_unstable();
        let of = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
        println!("| {name} | {:.2} | {:.2} | {:.2} |", of(50), of(99), of(100));
    }
}
