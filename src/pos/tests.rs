use std::io;

use till_link::Currency;

use super::*;
use crate::outbox::fault::FaultDisk;
use crate::port::memory::{self, MemoryWire};

/// A wire that may be read to the end of what came but takes no byte more: a plug pulled in mid-turn.
struct Pulled<'w>(&'w mut MemoryWire);

impl Wire for Pulled<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }

    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

struct Table {
    disks: [FaultDisk; 2],
    keys: Keys,
    counter: Books,
    pos: Pos,
    wires: (MemoryWire, MemoryWire),
    now_ms: u64,
    heard: Vec<ToTill>,
    events: Vec<PosEvent>,
}

fn log(disk: &FaultDisk, epoch: u32) -> Log {
    Log::open(disk.fs(), Limits::default(), epoch).unwrap()
}

fn start(disks: &[FaultDisk; 2], boot: u32, keys: &Keys, now_ms: u64) -> Pos {
    Pos::new(log(&disks[0], boot), log(&disks[1], boot), 1, boot, keys.clone(), now_ms)
}

impl Table {
    fn new(keys: Keys) -> Self {
        let disks = [FaultDisk::default(), FaultDisk::default()];
        let counter = Books::new(Role::Till, 1, 7, log(&FaultDisk::default(), 7), log(&FaultDisk::default(), 7), 0);
        let pos = start(&disks, 8, &keys, 0);
        Self { disks, keys, counter, pos, wires: memory::pair(), now_ms: 0, heard: Vec::new(), events: Vec::new() }
    }

    fn counter_turn(&mut self) -> bool {
        let heard = &mut self.heard;
        self.counter
            .turn(self.now_ms, &mut self.wires.0, &mut |incoming| {
                if let Incoming::Durable(bytes) = incoming {
                    heard.push(till_link::message::decode(bytes).unwrap());
                }
            })
            .unwrap()
    }

    fn pos_turn(&mut self) -> bool {
        let events = &mut self.events;
        self.pos.turn(self.now_ms, &mut self.wires.1, &mut |event| events.push(event)).unwrap()
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            while self.counter_turn() | self.pos_turn() {}
            if self.counter.is_up() && self.counter.is_quiet() && self.pos.books().is_quiet() {
                return;
            }
            self.now_ms += 20;
        }
        panic!("the ends do not come to rest");
    }

    fn restart_pos(&mut self) {
        self.disks.iter().for_each(|disk| disk.reboot(0));
        self.pos = start(&self.disks, 9, &self.keys, self.now_ms);
    }
}

fn sale(session: u32) -> SaleId {
    SaleId { counter: 1, epoch: 7, session }
}

fn cart() -> Cart {
    let mut lines = heapless::Vec::new();
    let evidence = till_link::Evidence::default();
    let (sku, name) = (heapless::String::new(), heapless::String::new());
    lines.push(till_link::Line { sku, name, unit_minor: 900, quantity: 1, evidence }).unwrap();
    Cart { lines, total_minor: 900, currency: Currency(*b"KRW"), catalogue_version: 1, mass_g: 0 }
}

fn offer(session: u32) -> ToPos {
    ToPos::Offer { sale: sale(session), revision: 1, cart: cart() }
}

fn closed(session: u32, outcome: Outcome) -> ToPos {
    ToPos::Closed { sale: sale(session), revision: 1, outcome, cart: cart() }
}

#[test]
fn what_came_before_the_plug_was_pulled_is_booked_at_once() {
    let mut table = Table::new(Keys::default());
    table.settle();
    table.counter.submit(&closed(1, Outcome::Paid)).unwrap();
    table.counter_turn();
    let now_ms = table.now_ms;
    let mut receipts = 0;
    let mut sink = |event| receipts += u32::from(matches!(event, PosEvent::Receipt(_)));
    let end = table.pos.turn(now_ms, &mut Pulled(&mut table.wires.1), &mut sink);
    assert!(end.is_err(), "the acknowledgement could not be written");
    assert_eq!((receipts, table.pos.ledger().receipts().count()), (1, 1));
    table.pos.reconnected(now_ms);
    table.settle();
    assert_eq!(table.pos.ledger().receipts().count(), 1);
    assert!(!table.events.iter().any(|event| matches!(event, PosEvent::Receipt(_))), "not a second time");
}

#[test]
fn a_restart_pays_an_open_offer_once_and_keeps_the_numbers_of_the_script() {
    let keys: Keys = toml::from_str(
        "default = \"pay\"\n[[offer]]\nnumber = 2\npress = \"cancel\"\n[[offer]]\nnumber = 1\npress = \"wait\"",
    )
    .unwrap();
    let mut table = Table::new(keys);
    table.counter.submit(&offer(1)).unwrap();
    table.settle();
    table.restart_pos();
    table.counter.submit(&closed(1, Outcome::Abandoned)).unwrap();
    table.counter.submit(&offer(2)).unwrap();
    table.settle();
    assert_eq!(table.heard, [ToTill::Cancel { sale: sale(2) }], "offer 1 waits, also after a restart; 2 is cancelled");
    table.counter.submit(&offer(3)).unwrap();
    table.settle();
    table.restart_pos();
    table.settle();
    let payments = table.heard.iter().filter(|message| matches!(message, ToTill::Paid { .. })).count();
    assert_eq!((table.heard.len(), payments), (2, 1), "{:?}", table.heard);
}

#[test]
fn a_refund_outlives_a_restart() {
    let mut table = Table::new(Keys::pay_all());
    table.counter.submit(&offer(1)).unwrap();
    table.settle();
    table.counter.submit(&closed(1, Outcome::Cancelled)).unwrap();
    table.settle();
    let refund = [Refund { sale: sale(1), amount_minor: 900 }];
    assert_eq!(table.pos.ledger().refunds(), refund);
    table.restart_pos();
    assert_eq!(table.pos.ledger().refunds(), refund);
}

#[test]
fn events_keep_the_order_in_which_they_were_said() {
    let mut table = Table::new(Keys::default());
    table.settle();
    table.events.clear();
    table.counter.submit(&closed(1, Outcome::Paid)).unwrap();
    table.counter_turn();
    table.counter.send(0, &ToPos::SessionOpened { sale: sale(2) });
    table.counter_turn();
    table.settle();
    assert!(
        matches!(&table.events[..], [PosEvent::Receipt(_), PosEvent::Said(ToPos::SessionOpened { .. })]),
        "{:?}",
        table.events
    );
}

#[test]
fn money_is_not_taken_again_where_the_disk_lost_the_payment_after_the_counter_had_it() {
    let mut table = Table::new(Keys::default());
    table.counter.submit(&offer(1)).unwrap();
    table.settle();
    assert!(table.pos.key(Press::Pay).unwrap());
    table.settle();
    let epoch = table.pos.books().out().epoch();
    table.disks[0].damage("0000000001.log", |bytes| {
        bytes.pop();
    });
    table.restart_pos();
    assert!(!table.pos.key(Press::Pay).unwrap(), "the counter was not heard yet");
    table.settle();
    assert_eq!(table.pos.books().renewed(), 1);
    assert_ne!(table.pos.books().out().epoch(), epoch);
    for _ in 0..2 {
        assert!(!table.pos.key(Press::Pay).unwrap(), "it was paid");
        table.restart_pos();
        table.settle();
    }
    let payments = table.heard.iter().filter(|message| matches!(message, ToTill::Paid { .. })).count();
    assert_eq!(payments, 1);
    table.counter.submit(&closed(1, Outcome::Paid)).unwrap();
    table.settle();
    assert_eq!(table.pos.ledger().receipts().count(), 1);
}
