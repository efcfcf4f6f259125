//! Counter and reference POS over a wire in memory: prices and acknowledgements.

use till_link::{Currency, Phase, Price, Sku};

use super::*;
use crate::outbox::fault::FaultDisk;
use crate::port::memory::{self, MemoryWire};
use crate::pos::{Keys, Pos, PosEvent, PriceList};

const RULES: Rules = Rules {
    core: Settings {
        settle_ms: 500,
        votes_min: 3,
        clear_ms: 500,
        attention_ms: 500,
        load_present_g: 5,
        hold_g: 10,
        scale: false,
        members: false,
    },
    debounce_ms: 30,
    quiet_g: 3,
    quiet_ms: 300,
};

fn catalogue() -> Catalogue {
    let csv = "sku,name,price_minor,currency,mass_g,mass_tolerance_g\nA,Apple,100,KRW,150,20\nB,Bun,200,KRW,80,9\n";
    Catalogue::parse(csv.as_bytes(), Currency(*b"KRW")).unwrap()
}

fn list(version: u32, prices: &[(&str, i64)]) -> PriceList {
    let price = |&(sku, unit_minor): &(&str, i64)| Price { sku: Sku::try_from(sku).unwrap(), unit_minor };
    PriceList { version, currency: Currency(*b"KRW"), prices: prices.iter().map(price).collect() }
}

struct Shop {
    counter: Counter,
    pos: Pos,
    wires: (MemoryWire, MemoryWire),
    events: Vec<PosEvent>,
    now_ms: u64,
}

impl Shop {
    fn new() -> Self {
        let log = |epoch| Log::open(FaultDisk::default().fs(), Limits::default(), epoch).unwrap();
        Self {
            counter: Counter::new(RULES, catalogue(), ["A", "B"], 1, 7, log(7), log(7), 0, None),
            pos: Pos::new(log(8), log(8), 1, 8, Keys::default(), 0),
            wires: memory::pair(),
            events: Vec::new(),
            now_ms: 0,
        }
    }

    fn run(&mut self, for_ms: u64) {
        for _ in 0..for_ms / 10 {
            self.now_ms += 10;
            self.counter.turn(self.now_ms, Some(&mut self.wires.0)).unwrap();
            let events = &mut self.events;
            self.pos.turn(self.now_ms, &mut self.wires.1, &mut |event| events.push(event)).unwrap();
        }
    }

    fn sold(&self) -> (u32, Vec<(&str, i64)>) {
        let catalogue = self.counter.core.catalogue();
        let prices = catalogue.products().iter().map(|product| (product.sku.as_str(), product.price_minor));
        (catalogue.version(), prices.collect())
    }
}

#[test]
fn prices_are_the_stores_until_the_pos_gives_its_own_and_change_between_sessions_only() {
    let mut shop = Shop::new();
    shop.run(500);
    assert_eq!(shop.sold(), (catalogue().version(), vec![("A", 100), ("B", 200)]));
    shop.pos.set_prices(list(77, &[("A", 130), ("B", 250)]));
    shop.run(100);
    assert_eq!(shop.sold(), (77, vec![("A", 130), ("B", 250)]));
    // Somebody stands there: their prices stay what they are.
    shop.counter.raw(shop.now_ms, RawEvent::Presence(true));
    shop.run(200);
    assert_ne!(shop.counter.view().phase, Phase::Idle);
    shop.pos.set_prices(list(78, &[("B", 260)]));
    shop.run(200);
    assert_eq!(shop.sold().0, 77);
    shop.counter.raw(shop.now_ms, RawEvent::Presence(false));
    shop.run(3_000);
    assert_eq!(shop.counter.view().phase, Phase::Idle);
    assert_eq!(shop.sold(), (78, vec![("B", 260)]));
    // The store's own catalogue is read again: the POS's prices stay.
    assert!(shop.counter.set_catalogue(catalogue(), ["A", "B"]));
    assert_eq!(shop.sold(), (78, vec![("B", 260)]));
}

#[test]
fn a_list_of_many_parts_comes_whole_at_each_connection() {
    let mut shop = Shop::new();
    let names: Vec<String> = (0..100).map(|i| format!("SKU-{i}")).collect();
    let mut prices: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 5)).collect();
    prices.push(("A", 111));
    shop.pos.set_prices(list(90, &prices));
    shop.run(1_000);
    assert_eq!(shop.sold(), (90, vec![("A", 111)]));
}

#[test]
fn a_list_that_can_not_be_right_is_not_taken() {
    let mut shop = Shop::new();
    shop.run(100);
    let own = shop.sold().0;
    for wrong in [
        list(5, &[("A", -1)]),
        list(6, &[("A", 1), ("A", 1)]),
        PriceList { currency: Currency(*b"EUR"), ..list(7, &[("A", 1)]) },
    ] {
        shop.pos.set_prices(wrong);
        shop.run(200);
        assert_eq!(shop.sold().0, own);
    }
}

#[test]
fn the_counter_says_what_it_charges() {
    let mut shop = Shop::new();
    shop.run(100);
    for (sku, expected) in [("B", Some(200)), ("X", None)] {
        shop.pos.ask_price(Sku::try_from(sku).unwrap());
        shop.run(100);
        let answer = shop.events.iter().rev().find_map(|event| match event {
            PosEvent::Said(ToPos::Price { sku, unit_minor, .. }) => Some((sku.as_str(), *unit_minor)),
            _ => None,
        });
        assert_eq!(answer, Some((sku, expected)));
    }
}

#[test]
fn an_acknowledgement_is_for_the_attention_that_stands() {
    let mut shop = Shop::new();
    shop.run(100);
    assert!(!shop.pos.acknowledge().unwrap(), "nothing calls");
    shop.counter.raw(shop.now_ms, RawEvent::Presence(true));
    shop.run(100);
    shop.counter.health(shop.now_ms, Health::CameraLost(true));
    shop.run(100);
    assert_eq!(shop.counter.view().attention, Some(Attention::CameraLost));
    assert!(!shop.counter.view().acknowledged);
    assert!(shop.pos.acknowledge().unwrap());
    shop.run(100);
    assert!(shop.counter.view().acknowledged);
    assert_eq!(shop.counter.view().attention, Some(Attention::CameraLost), "it stands until its cause goes");
    // Another reason has not been seen by anybody.
    shop.counter.health(shop.now_ms, Health::EngineFailed(true));
    shop.run(200);
    assert_eq!(shop.counter.view().attention, Some(Attention::EngineFailed));
    assert!(!shop.counter.view().acknowledged);
}

#[test]
fn what_was_answered_in_lost_records_is_not_answered_otherwise_the_pos_is_asked() {
    let disks = [FaultDisk::default(), FaultDisk::default()];
    let log = |i: usize| Log::open(disks[i].fs(), Limits::default(), 7).unwrap();
    let mut till = Books::new(Role::Till, 1, 7, log(0), log(1), 0);
    let mut shop = Shop::new();
    let run = |till: &mut Books, shop: &mut Shop| {
        for _ in 0..200 {
            shop.now_ms += 10;
            till.turn(shop.now_ms, &mut shop.wires.0, &mut |_| {}).unwrap();
            shop.pos.turn(shop.now_ms, &mut shop.wires.1, &mut |_| {}).unwrap();
        }
    };
    let sale = SaleId { counter: 1, epoch: 7, session: 1 };
    let line = till_link::Line {
        sku: Sku::try_from("A").unwrap(),
        name: heapless::String::new(),
        unit_minor: 100,
        quantity: 1,
        evidence: till_link::Evidence::default(),
    };
    let lines = [line].into_iter().collect();
    let cart =
        till_link::Cart { lines, total_minor: 100, currency: Currency(*b"KRW"), catalogue_version: 1, mass_g: 0 };
    till.submit(&ToPos::Offer { sale, revision: 1, cart: cart.clone() }).unwrap();
    run(&mut till, &mut shop);
    assert!(shop.pos.key(crate::pos::Press::Pay).unwrap());
    run(&mut till, &mut shop);
    let bytes = disks[0].fs().read("0000000001.log").unwrap().len();
    // Paid for an earlier revision is given back (L-082); then the disk loses that it was.
    till.submit(&ToPos::Offer { sale, revision: 2, cart: cart.clone() }).unwrap();
    till.submit(&ToPos::Closed { sale, revision: 2, outcome: till_link::Outcome::Cancelled, cart }).unwrap();
    run(&mut till, &mut shop);
    assert_eq!(shop.pos.ledger().refunds().len(), 1);
    drop(till);
    disks[0].damage("0000000001.log", |log| log.truncate(bytes));
    shop.counter = Counter::new(RULES, catalogue(), ["A", "B"], 1, 9, log(0), log(1), shop.now_ms, None);
    shop.run(3_000);
    assert_eq!(shop.counter.books().out().epoch(), 9);
    let heard = shop.pos.books().inbox().records();
    let ends = heard.filter_map(|(_, record)| {
        match till_link::message::decode(crate::port::Journalled::read(record)?.message)? {
            ToPos::Closed { outcome, .. } => Some(outcome),
            _ => None,
        }
    });
    assert_eq!(ends.collect::<Vec<_>>(), [till_link::Outcome::Cancelled; 2]);
    assert_eq!((shop.pos.ledger().refunds().len(), shop.pos.ledger().receipts().count()), (1, 0));
}

#[test]
fn the_end_of_a_sale_that_the_books_do_not_know_does_not_hide_that_the_goods_on_the_tray_were_paid() {
    let disk = FaultDisk::default();
    let mut out = Log::open(disk.fs(), Limits::default(), 7).unwrap();
    let line = till_link::Line {
        sku: Sku::try_from("A").unwrap(),
        name: heapless::String::new(),
        unit_minor: 100,
        quantity: 1,
        evidence: till_link::Evidence::default(),
    };
    let paid = till_link::Cart {
        lines: [line].into_iter().collect(),
        total_minor: 100,
        currency: Currency(*b"KRW"),
        catalogue_version: 1,
        mass_g: 0,
    };
    let unknown = till_link::Cart { lines: Default::default(), total_minor: 0, ..paid.clone() };
    let ends = [(7, till_link::Outcome::Paid, paid.clone()), (3, till_link::Outcome::Cancelled, unknown)];
    for (epoch, outcome, cart) in ends {
        let closed = ToPos::Closed { sale: SaleId { counter: 1, epoch, session: 1 }, revision: 1, outcome, cart };
        out.append(till_link::message::encode(&closed, &mut [0; till_link::PAYLOAD_BYTES_MAX]).unwrap()).unwrap();
    }
    assert_eq!(recovery::last_paid(&out), Some(paid));
}
