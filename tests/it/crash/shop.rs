//! The shop of the crash test: the day's visits, both ends over a wire in memory, their four logs, and the trouble that
//! befalls them.

use std::collections::BTreeSet;

use till::checkout::{Catalogue, Settings};
use till::counter::{Counter, Rules};
use till::outbox::fault::{Fault, FaultDisk};
use till::outbox::{Limits, Log, LogError};
use till::port::memory::{self, MemoryWire};
use till::port::{Journalled, recovery};
use till::pos::{Keys, Pos, Press};
use till::trigger::RawEvent;
use till::vision::{Class, TrayItem, TrayObservation};
use till_link::{Currency, Phase, SaleId, ToPos, ToTill};

const STEP_MS: u64 = 50;
/// A shopper who has waited this long for anything is stuck: a finding.
const PATIENCE_MS: u64 = 60_000;
/// So small that segments come and go.
const LIMITS: Limits = Limits { bytes_max: 64 << 10, segment_bytes: 300 };
const RULES: Rules = Rules { core: Settings::SCRIPTED, debounce_ms: 30, quiet_g: 3, quiet_ms: 200 };
const LABELS: [&str; 2] = ["tea", "jam"];
const MASS_G: [i32; 2] = [100, 250];
const PRICE: [i64; 2] = [900, 2_400];
pub(super) const TILL: usize = 0;
pub(super) const POS: usize = 1;

fn catalogue() -> Catalogue {
    let text = "sku,name,price_minor,currency,mass_g,mass_tolerance_g\ntea,Tea,900,KRW,100,4\njam,Jam,2400,KRW,250,6\n";
    Catalogue::parse(text.as_bytes(), Currency(*b"KRW")).unwrap()
}

/// What somebody does at the counter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Visit {
    /// Looks and goes.
    Passes,
    /// Pays for these goods and takes them away this long after the receipt, milliseconds.
    Buys(&'static [usize], u64),
    /// Cancels and takes them away.
    Cancels(&'static [usize]),
}

/// Sessions outnumber records at first, so that a session's number is not a record's by chance.
pub(super) const DAY: &[Visit] = &[
    Visit::Passes,
    Visit::Passes,
    Visit::Passes,
    Visit::Buys(&[0], 0),
    Visit::Passes,
    Visit::Buys(&[1], 2_500),
    Visit::Cancels(&[0, 1]),
    Visit::Buys(&[0, 0, 1], 1_000),
    Visit::Buys(&[0], 0),
];

/// What goes wrong in one run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    /// At operation so many of disk so many.
    pub(super) fault: Option<(usize, u64, Fault)>,
    /// After that, the power is cut again at so many operations of the same disk.
    pub(super) again: Option<u64>,
    /// Of what a power cut took, so much is there all the same.
    pub(super) kept_permille: u32,
    /// At this step these ends (bits) are killed.
    pub(super) kill: Option<(u64, u8)>,
    /// How long an end stays down, milliseconds.
    pub(super) down_ms: u64,
    /// Bytes vanish from the wire now and then.
    pub(super) noise: bool,
}

pub(super) struct World {
    trouble: Trouble,
    now_ms: u64,
    pub(super) steps: u64,
    wires: (MemoryWire, MemoryWire),
    /// Of the till, out and in; of the POS, out and in.
    pub(super) disks: [FaultDisk; 4],
    till: Option<Counter>,
    pub(super) pos: Option<Pos>,
    boot: u32,
    back_ms: [u64; 2],
    pub(super) crashes: u32,
    present: bool,
    goods: Vec<usize>,
    /// As the shopper last saw it.
    receipts: usize,
}

impl World {
    pub(super) fn new(trouble: Trouble) -> Self {
        let disks: [FaultDisk; 4] = Default::default();
        if let Some((disk, at, fault)) = trouble.fault {
            disks[disk].plan(at, fault);
        }
        Self {
            trouble,
            now_ms: 1_000,
            steps: 0,
            wires: memory::pair(),
            disks,
            till: None,
            pos: None,
            boot: 100,
            back_ms: [0; 2],
            crashes: 0,
            present: false,
            goods: Vec::new(),
            receipts: 0,
        }
    }

    fn logs(&self, end: usize) -> Result<(Log, Log), LogError> {
        let open = |disk: &FaultDisk| Log::open(disk.fs(), LIMITS, self.boot);
        Ok((open(&self.disks[2 * end])?, open(&self.disks[2 * end + 1])?))
    }

    /// The end is gone with everything that was in its memory and on the wire.
    fn kill(&mut self, end: usize) {
        if end == TILL {
            self.till = None
        } else {
            self.pos = None
        }
        for wire in [&self.wires.0, &self.wires.1] {
            wire.tamper(|bytes| bytes.clear());
        }
        self.back_ms[end] = self.now_ms + self.trouble.down_ms;
        self.crashes += 1;
    }

    /// Sees to it that an end whose power went is down, and that one that is down comes back.
    fn power(&mut self, end: usize) {
        let of_end = 2 * end..2 * end + 2;
        if self.disks[of_end.clone()].iter().any(FaultDisk::is_dead) {
            self.kill(end);
            self.disks[of_end.clone()].iter().for_each(|disk| disk.reboot(self.trouble.kept_permille));
            if let (Some((disk, ..)), Some(again)) = (self.trouble.fault, self.trouble.again.take()) {
                self.disks[disk].plan(self.disks[disk].operations() + again, Fault::PowerCut);
            }
        }
        let is_down = if end == TILL { self.till.is_none() } else { self.pos.is_none() };
        if !is_down || self.now_ms < self.back_ms[end] {
            return;
        }
        self.boot += 1;
        let (out, inbox) = match self.logs(end) {
            Ok(logs) => logs,
            // The fault met the opening: it is tried again.
            Err(_) if self.crashes == 0 || self.disks[of_end].iter().any(FaultDisk::is_dead) => return self.kill(end),
            Err(error) => panic!("the books can't be opened: {error}"),
        };
        if end == TILL {
            self.till = Some(Counter::new(RULES, catalogue(), LABELS, 1, self.boot, out, inbox, self.now_ms, None));
        } else {
            self.pos = Some(Pos::new(out, inbox, 1, self.boot, Keys::default(), self.now_ms));
        }
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        self.steps += 1;
        if let Some((at, ends)) = self.trouble.kill
            && at == self.steps
        {
            (0..2).filter(|end| ends & (1 << end) != 0).for_each(|end| self.kill(end));
        }
        (0..2).for_each(|end| self.power(end));
        if let Some(till) = &mut self.till {
            till.raw(self.now_ms, RawEvent::Presence(self.present));
            till.raw(self.now_ms, RawEvent::LoadGrams(self.goods.iter().map(|&good| MASS_G[good]).sum()));
            if till.look() {
                till.tray(self.now_ms, &seen(&self.goods));
            }
        }
        for round in 0..50 {
            if self.trouble.noise && (self.steps + round).is_multiple_of(3) {
                let wire = if self.steps.is_multiple_of(2) { &self.wires.0 } else { &self.wires.1 };
                wire.tamper(|bytes| {
                    bytes.pop_front();
                });
            }
            if !self.exchange() {
                break;
            }
        }
        if let Some(pos) = &self.pos {
            self.receipts = pos.ledger().receipts().count();
        }
    }

    fn exchange(&mut self) -> bool {
        let mut moved = false;
        if let Some(till) = &mut self.till {
            moved |= till.turn(self.now_ms, Some(&mut self.wires.0)).expect("a wire in memory does not fail");
        }
        if let Some(pos) = &mut self.pos {
            match pos.turn(self.now_ms, &mut self.wires.1, &mut |_| {}) {
                Ok(any) => moved |= any,
                // Its disk failed: the process ends and is started again.
                Err(_) => self.kill(POS),
            }
        }
        moved
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / STEP_MS {
            self.step();
        }
    }

    /// Presses a key where there is an offer to press it for.
    fn press(&mut self, press: Press) -> bool {
        match self.pos.as_mut().map(|pos| pos.key(press)) {
            Some(Ok(pressed)) => pressed,
            Some(Err(_)) => {
                self.kill(POS);
                false
            }
            None => false,
        }
    }

    pub(super) fn visit(&mut self, visit: Visit) -> Result<(), String> {
        self.present = true;
        let (goods, linger_ms) = match visit {
            Visit::Passes => (&[][..], 0),
            Visit::Buys(goods, linger_ms) => (goods, linger_ms),
            Visit::Cancels(goods) => (goods, 0),
        };
        self.pass(300);
        let (receipts, since_ms) = (self.receipts, self.now_ms);
        let mut lifted_ms = 0;
        while !goods.is_empty() {
            if self.now_ms >= since_ms + PATIENCE_MS {
                return Err(self.story(&format!("{visit:?} is stuck")));
            }
            // The screen asks for an empty tray after a sale that came to nothing: lift the goods, put them back.
            // A screen that is dark asks nothing.
            let clearing = self
                .till
                .as_ref()
                .is_some_and(|till| till.view().phase == Phase::Clearing && till.books().unacknowledged() == 0);
            if clearing && !self.goods.is_empty() {
                lifted_ms = self.now_ms + 1_000;
            }
            self.goods = if self.now_ms < lifted_ms { Vec::new() } else { goods.to_vec() };
            self.step();
            let done = match visit {
                Visit::Cancels(_) => self.press(Press::Cancel),
                // Somebody who pays whatever is asked.
                _ => {
                    self.press(Press::Pay);
                    self.receipts > receipts
                }
            };
            if done {
                break;
            }
        }
        for _ in 0..linger_ms / STEP_MS {
            self.step();
            self.press(Press::Pay);
        }
        self.goods.clear();
        self.pass(300);
        self.present = false;
        self.pass(1_200);
        Ok(())
    }

    /// Everything is said, and both ends rest.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let since_ms = self.now_ms;
        loop {
            self.step();
            let idle = self.till.as_ref().is_some_and(Counter::is_idle);
            let quiet = self.pos.as_ref().is_some_and(|pos| pos.books().is_quiet() && pos.books().is_up());
            if idle && quiet {
                return Ok(());
            }
            if self.now_ms >= since_ms + PATIENCE_MS {
                return Err(self.story("the day does not end"));
            }
        }
    }

    /// Holds both books to the day.
    pub(super) fn judge(&self) -> Result<(), String> {
        let (Some(pos), Some(till)) = (&self.pos, &self.till) else { return Err("an end is down".into()) };
        let paid = |visit: &Visit| match visit {
            Visit::Buys(goods, _) => Some(goods.iter().map(|&good| PRICE[good]).sum::<i64>()),
            _ => None,
        };
        let expected: Vec<i64> = DAY.iter().filter_map(paid).collect();
        let booked: Vec<i64> = pos.ledger().receipts().map(|receipt| receipt.cart.total_minor).collect();
        if booked != expected {
            return Err(self.story(&format!("{booked:?} was booked instead of {expected:?}")));
        }
        // A till whose disk refuses a payment takes its offer back: the POS must then give the money back, and
        // know it. Nothing else may lead there.
        let refunds = pos.ledger().refunds().len();
        let refused =
            self.trouble.fault.is_some_and(|(_, _, fault)| !matches!(fault, Fault::PowerCut | Fault::Torn { .. }));
        if refunds > 0 && !refused || pos.ledger().unsettled().count() != 0 {
            return Err(self.story("money was taken that must be given back"));
        }
        // Below the ledger, which would hide it: no sale is closed or paid twice.
        let closed = heard(pos).into_iter().filter_map(|message| match message {
            ToPos::Closed { sale, .. } => Some(sale),
            _ => None,
        });
        let taken = pos.books().out().records().filter_map(|(_, record)| match till_link::message::decode(record)? {
            ToTill::Paid { sale, .. } => Some(sale),
            _ => None,
        });
        let (closed, taken): (Vec<SaleId>, Vec<SaleId>) = (closed.collect(), taken.collect());
        let distinct = |sales: &[SaleId]| sales.iter().collect::<BTreeSet<_>>().len();
        if distinct(&closed) != closed.len()
            || distinct(&taken) != taken.len()
            || taken.len() != expected.len() + refunds
        {
            return Err(self.story("a sale was closed or paid twice"));
        }
        if recovery::recover(till.books().out(), till.books().inbox()).is_some() {
            return Err(self.story("a sale is left open in the till's books"));
        }
        Ok(())
    }

    /// What the POS was told and said, for whoever mends it.
    fn story(&self, finding: &str) -> String {
        use std::fmt::Write;
        let mut text = format!("{finding} at {} ms", self.now_ms);
        if let Some(till) = &self.till {
            let view = till.view();
            let _ = write!(text, "\n  the till is in {:?}, {:?}, {:?}", view.phase, view.sale, view.attention);
        }
        let Some(pos) = &self.pos else { return text };
        for message in heard(pos) {
            let _ = match message {
                ToPos::Offer { sale, revision, cart } => {
                    write!(text, "\n  heard offer {sale}/{revision} of {}", cart.total_minor)
                }
                ToPos::Closed { sale, outcome, .. } => write!(text, "\n  heard {sale} closed {outcome:?}"),
                other => write!(text, "\n  heard {other:?}"),
            };
        }
        for (_, record) in pos.books().out().records() {
            let _ = write!(text, "\n  said {:?}", till_link::message::decode::<ToTill>(record));
        }
        text
    }
}

/// Every durable message that the POS ever stored.
pub(super) fn heard(pos: &Pos) -> Vec<ToPos> {
    let entries = pos.books().inbox().records();
    entries.filter_map(|(_, record)| till_link::message::decode(Journalled::read(record)?.message)).collect()
}

fn seen(goods: &[usize]) -> TrayObservation {
    let mut tray = TrayObservation { settled: true, ..TrayObservation::default() };
    for (i, &good) in goods.iter().enumerate() {
        let item = TrayItem {
            track: i as u32,
            class: Class::Product(good as u16),
            candidates: Default::default(),
            votes: 9,
            frames: 10,
            score_permille: 900,
            bbox: [0.0; 4],
            clipped: false,
            overlapped: false,
            stable: true,
        };
        tray.items.push(item).unwrap();
    }
    tray
}
