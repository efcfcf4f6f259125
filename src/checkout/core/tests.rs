use proptest::prelude::*;
use till_link::{Currency, Evidence, Tender};

use super::*;
use crate::checkout::FaceSaid;
use crate::vision::{Class, TrayItem};

mod restart;

const SETTINGS: Settings = Settings::SCRIPTED;
const TEA_G: i32 = 100;
const LABELS: [&str; 3] = ["tea", "jam", "not-in-the-catalogue"];

fn catalogue() -> Catalogue {
    let text = "sku,name,price_minor,currency,mass_g,mass_tolerance_g\ntea,Tea,900,KRW,100,4\njam,Jam,2400,KRW,250,6\n";
    Catalogue::parse(text.as_bytes(), Currency(*b"KRW")).unwrap()
}

/// A core, its time, and everything it ever said.
struct Bench {
    core: Core,
    now_ms: u64,
    said: Vec<Effect>,
}

impl Bench {
    fn new() -> Self {
        Self { core: Core::new(SETTINGS, catalogue(), LABELS, 1, 77, 0), now_ms: 1_000, said: Vec::new() }
    }

    fn step(&mut self, input: Input<'_>) {
        let said = &mut self.said;
        self.core.step(self.now_ms, input, &mut |effect| said.push(effect));
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 50 {
            self.now_ms += 50;
            self.step(Input::Tick);
        }
    }

    fn load(&mut self, grams: i32) {
        self.step(Input::Trigger(TriggerEvent::Load { grams, quiet: true }));
    }

    fn tray(&mut self, classes: &[Class]) {
        let tray = tray(classes, true);
        self.step(Input::Tray(&tray));
    }

    fn phase(&self) -> Phase {
        self.core.view().phase
    }

    fn durable(&self) -> Vec<&ToPos> {
        self.said
            .iter()
            .filter_map(|effect| if let Effect::Durable(message) = effect { Some(message) } else { None })
            .collect()
    }

    /// A tea lies on the tray and is offered.
    fn offered() -> Self {
        let mut bench = Self::new();
        bench.step(Input::Trigger(TriggerEvent::Presence(true)));
        bench.load(TEA_G);
        bench.tray(&[Class::Product(0)]);
        bench.pass(900);
        assert_eq!(bench.phase(), Phase::Offered);
        bench
    }

    fn pay(&mut self, revision: u16, amount_minor: i64) {
        let sale = self.core.view().sale.unwrap();
        self.step(Input::Pos(&ToTill::Paid { sale, revision, tender: Tender::Card, amount_minor }));
    }

    fn leave(&mut self) {
        self.load(0);
        self.tray(&[]);
        self.step(Input::Trigger(TriggerEvent::Presence(false)));
        self.pass(1_000);
    }
}

fn tray(classes: &[Class], settled: bool) -> TrayObservation {
    let mut tray = TrayObservation { settled, ..TrayObservation::default() };
    for (i, &class) in classes.iter().enumerate() {
        let item = TrayItem {
            track: i as u32,
            class,
            candidates: Default::default(),
            votes: 9,
            frames: 10,
            score_permille: 900,
            bbox: [0.0; 4],
            clipped: false,
            overlapped: false,
            stable: settled,
        };
        let _ = tray.items.push(item);
    }
    tray
}

#[test]
fn the_pos_hears_what_runs_the_detector_when_it_changes() {
    let mut bench = Bench::new();
    let mut heard = |input: Option<Input<'_>>| {
        bench.said.clear();
        bench.step(input.unwrap_or(Input::Tick));
        let state = bench.said.iter().find_map(|effect| match effect {
            Effect::Volatile(ToPos::State { rung, precision, reason, .. }) => Some((*rung, *precision, reason.clone())),
            _ => None,
        });
        state.map(|(rung, precision, reason)| (rung, precision, reason.to_string()))
    };
    let on = |rung, precision, reason: &str| RunsOn { rung, precision, reason: reason.try_into().unwrap() };
    let gpu = on(Rung::TensorRt, Precision::Fp16, "");
    assert_eq!(heard(Some(Input::RunsOn(&gpu))), Some((Rung::TensorRt, Some(Precision::Fp16), String::new())));
    assert_eq!(heard(Some(Input::RunsOn(&gpu))), None, "nothing new");
    // Each part of it is news by itself.
    let int8 = on(Rung::TensorRt, Precision::Int8, "");
    assert_eq!(heard(Some(Input::RunsOn(&int8))), Some((Rung::TensorRt, Some(Precision::Int8), String::new())));
    let why = on(Rung::TensorRt, Precision::Int8, "why");
    assert_eq!(heard(Some(Input::RunsOn(&why))), Some((Rung::TensorRt, Some(Precision::Int8), "why".to_owned())));
    let failed = heard(Some(Input::Health(Health::EngineFailed(true)))).unwrap();
    assert_eq!((failed.0, failed.1), (Rung::StaffMode, None));
    assert_eq!(heard(None), None);
    heard(Some(Input::Health(Health::EngineFailed(false)))).unwrap();
    let resting = heard(Some(Input::Health(Health::Resting(true))));
    assert_eq!(resting, Some((Rung::StaffMode, None, "why".to_owned())));
    let again = heard(Some(Input::Health(Health::Resting(false))));
    assert_eq!(again, Some((Rung::TensorRt, Some(Precision::Int8), "why".to_owned())));
}

#[test]
fn a_board_that_is_too_hot_sells_nothing() {
    let mut bench = Bench::offered();
    bench.step(Input::Health(Health::Resting(true)));
    assert_eq!((bench.phase(), bench.core.view().attention), (Phase::Attention, Some(Attention::EngineFailed)));
    bench.step(Input::Health(Health::Resting(false)));
    bench.pass(2_000);
    assert_eq!(bench.phase(), Phase::Offered);
}

#[test]
fn goods_are_offered_paid_and_cleared() {
    let mut bench = Bench::offered();
    bench.pay(1, 900);
    assert_eq!(bench.phase(), Phase::Clearing);
    bench.leave();
    assert_eq!(bench.phase(), Phase::Idle);
    let [
        ToPos::Offer { sale, revision: 1, cart },
        ToPos::Closed { sale: closed, outcome: Outcome::Paid, cart: sold, .. },
    ] = bench.durable()[..]
    else {
        panic!("{:?}", bench.durable())
    };
    assert_eq!((sale, cart), (closed, sold));
    assert_eq!(cart.lines[0].evidence, Evidence { votes: 9, frames: 10, score_permille: 900, mass_agrees: true });
    assert_eq!(bench.said.first(), Some(&Effect::Look(true)));
    assert!(bench.said.contains(&Effect::Look(false)));
}

#[test]
fn an_offer_waits_for_the_settle_time() {
    let mut bench = Bench::new();
    bench.load(TEA_G);
    bench.tray(&[Class::Product(0)]);
    bench.pass(750);
    assert_eq!((bench.phase(), bench.durable().len()), (Phase::Settled, 0));
    bench.pass(50);
    assert_eq!(bench.phase(), Phase::Offered);
}

#[test]
fn a_cart_that_changes_before_it_was_told_waits_and_floods_nobody() {
    let mut bench = Bench::new();
    bench.load(TEA_G);
    bench.tray(&[Class::Product(0)]);
    bench.load(250);
    bench.tray(&[Class::Product(1)]);
    bench.step(Input::Tick);
    let said = bench.said.len();
    (0..20).for_each(|_| bench.step(Input::Tick));
    assert_eq!(bench.said.len(), said, "{:?}", &bench.said[said..]);
    bench.pass(1_200);
    assert_eq!(bench.phase(), Phase::Offered);
    assert!(matches!(bench.durable()[..], [ToPos::Offer { cart, .. }] if cart.total_minor == 2_400));
}

#[test]
fn goods_added_take_the_offer_back_and_a_new_one_follows() {
    let mut bench = Bench::offered();
    bench.load(TEA_G + 250);
    assert_eq!(bench.phase(), Phase::Scanning);
    bench.tray(&[Class::Product(0), Class::Product(1)]);
    bench.pass(1_000);
    assert_eq!(bench.phase(), Phase::Offered);
    let [ToPos::Offer { .. }, ToPos::Withdrawn { revision: 1, .. }, ToPos::Offer { revision: 2, cart, .. }] =
        bench.durable()[..]
    else {
        panic!("{:?}", bench.durable())
    };
    assert_eq!(cart.total_minor, 3_300);
}

#[test]
fn a_payment_that_crossed_the_withdrawal_is_honoured() {
    let mut bench = Bench::offered();
    bench.load(TEA_G + 250);
    bench.pay(1, 900);
    assert!(matches!(bench.durable()[..], [_, _, ToPos::Closed { outcome: Outcome::Paid, .. }]));
}

#[test]
fn a_payment_of_another_amount_or_offer_closes_the_sale_unpaid() {
    for (revision, amount_minor) in [(1, 901), (2, 900)] {
        let mut bench = Bench::offered();
        bench.pay(revision, amount_minor);
        assert!(matches!(bench.durable()[..], [_, ToPos::Closed { outcome: Outcome::Cancelled, .. }]));
    }
}

#[test]
fn unsure_and_unknown_are_never_charged_and_clear_themselves() {
    for (class, reason) in [
        (Class::Unsure, Attention::UncertainItem),
        (Class::Unknown, Attention::UnknownItem),
        (Class::Product(2), Attention::UnknownItem),
    ] {
        let mut bench = Bench::new();
        bench.load(TEA_G);
        bench.tray(&[Class::Product(0), class]);
        bench.pass(1_400);
        assert_ne!(bench.phase(), Phase::Attention);
        bench.pass(100);
        assert_eq!(bench.core.view().attention, Some(reason));
        assert!(bench.durable().is_empty());
        bench.tray(&[Class::Product(0)]);
        bench.pass(1_000);
        assert_eq!((bench.phase(), bench.core.view().attention), (Phase::Offered, None));
    }
}

#[test]
fn a_mass_that_does_not_agree_is_not_sold() {
    let mut bench = Bench::new();
    bench.load(TEA_G - 5);
    bench.tray(&[Class::Product(0)]);
    bench.pass(3_000);
    assert_eq!((bench.core.view().attention, bench.durable().len()), (Some(Attention::MassMismatch), 0));
    bench.leave();
    assert_eq!(bench.phase(), Phase::Idle);
}

#[test]
fn goods_that_the_camera_does_not_see_are_noticed_by_their_mass() {
    let mut bench = Bench::new();
    bench.load(500);
    bench.tray(&[]);
    bench.pass(2_000);
    assert_eq!(bench.core.view().attention, Some(Attention::MassMismatch));
}

#[test]
fn a_full_disk_stops_selling_at_once_and_selling_goes_on_afterwards() {
    let mut bench = Bench::offered();
    bench.step(Input::Health(Health::StorageFull(true)));
    assert_eq!(bench.core.view().attention, Some(Attention::StorageFull));
    bench.step(Input::Health(Health::StorageFull(false)));
    bench.pass(1_000);
    assert_eq!(bench.phase(), Phase::Offered);
}

#[test]
fn a_pos_that_comes_back_hears_again_what_is_in_the_way() {
    let mut bench = Bench::new();
    bench.step(Input::Trigger(TriggerEvent::Presence(true)));
    bench.load(TEA_G);
    bench.tray(&[Class::Unknown]);
    bench.pass(2_000);
    assert_eq!(bench.core.view().attention, Some(Attention::UnknownItem));
    bench.said.clear();
    bench.step(Input::LinkUp);
    let told = |effect: &&Effect| {
        matches!(effect, Effect::Volatile(ToPos::Attention { reason: Attention::UnknownItem, on: true, .. }))
    };
    assert_eq!(bench.said.iter().filter(told).count(), 1);
}

#[test]
fn without_a_scale_the_next_shopper_need_not_let_the_line_fall() {
    let settings = Settings { scale: false, ..SETTINGS };
    let mut bench = Bench::new();
    bench.core = Core::new(settings, catalogue(), LABELS, 1, 77, 0);
    bench.step(Input::Trigger(TriggerEvent::Presence(true)));
    bench.tray(&[Class::Product(0)]);
    bench.pass(900);
    bench.pay(1, 900);
    bench.tray(&[]);
    bench.pass(1_000);
    assert_eq!(bench.phase(), Phase::Present);
}

#[derive(Clone, Debug)]
enum Fact {
    Pass(u16),
    Presence(bool),
    Load(i32, bool),
    LoadLost,
    Tray(Vec<u8>, bool),
    Paid(u16, bool),
    Cancel,
    Outcome(bool),
    Camera(bool),
    Engine(bool),
    Storage(bool),
}

fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        8 => (1u16..40).prop_map(Fact::Pass),
        2 => any::<bool>().prop_map(Fact::Presence),
        4 => (prop_oneof![Just(0), Just(100), Just(200), Just(250), Just(350), any::<i32>()], any::<bool>()).prop_map(|(g, q)| Fact::Load(g, q)),
        1 => Just(Fact::LoadLost),
        6 => (proptest::collection::vec(0u8..6, 0..4), any::<bool>()).prop_map(|(classes, settled)| Fact::Tray(classes, settled)),
        3 => (0u16..3, any::<bool>()).prop_map(|(revision, right)| Fact::Paid(revision, right)),
        1 => Just(Fact::Cancel),
        1 => any::<bool>().prop_map(Fact::Outcome),
        1 => any::<bool>().prop_map(Fact::Camera),
        1 => any::<bool>().prop_map(Fact::Engine),
        1 => any::<bool>().prop_map(Fact::Storage),
    ]
}

fn feed(bench: &mut Bench, fact: Fact) {
    let sale = bench.core.view().sale.unwrap_or(SaleId { counter: 1, epoch: 77, session: 1 });
    match fact {
        Fact::Pass(n) => bench.pass(u64::from(n) * 50),
        Fact::Presence(level) => bench.step(Input::Trigger(TriggerEvent::Presence(level))),
        Fact::Load(grams, quiet) => bench.step(Input::Trigger(TriggerEvent::Load { grams, quiet })),
        Fact::LoadLost => bench.step(Input::Trigger(TriggerEvent::LoadLost)),
        Fact::Tray(classes, settled) => {
            let classes: Vec<Class> = classes
                .into_iter()
                .map(|class| match class {
                    0..4 => Class::Product(u16::from(class)),
                    4 => Class::Unknown,
                    _ => Class::Unsure,
                })
                .collect();
            bench.step(Input::Tray(&tray(&classes, settled)));
        }
        Fact::Paid(revision, right) => {
            let total = bench.core.offered.as_ref().map_or(0, |cart| cart.total_minor);
            let amount_minor = if right { total } else { total + 1 };
            bench.step(Input::Pos(&ToTill::Paid { sale, revision, tender: Tender::Cash, amount_minor }));
        }
        Fact::Cancel => bench.step(Input::Pos(&ToTill::Cancel { sale })),
        Fact::Outcome(paid) => {
            bench.step(Input::Pos(&ToTill::OutcomeIs { sale, outcome: paid.then_some(Outcome::Paid) }));
        }
        Fact::Camera(lost) => bench.step(Input::Health(Health::CameraLost(lost))),
        // Both are one thing to the core: nobody looks.
        Fact::Engine(failed) => {
            bench.step(Input::Health(Health::EngineFailed(failed)));
            bench.step(Input::Health(Health::Resting(failed)));
        }
        Fact::Storage(full) => bench.step(Input::Health(Health::StorageFull(full))),
    }
}

/// A session at the counter, with members; the shopper asks.
fn asked() -> (Bench, SaleId) {
    let settings = Settings { members: true, ..SETTINGS };
    let core = Core::new(settings, catalogue(), LABELS, 1, 77, 0);
    let mut bench = Bench { core, ..Bench::new() };
    bench.step(Input::Trigger(TriggerEvent::Presence(true)));
    let sale = bench.core.view().sale.unwrap();
    bench.step(Input::Pos(&ToTill::Recognise { sale, on: true }));
    assert_eq!(bench.said.last(), Some(&Effect::Recognise(true)));
    (bench, sale)
}

fn hints(bench: &Bench) -> Vec<Hint> {
    let hint = |effect: &Effect| match effect {
        Effect::Volatile(ToPos::Guide { hint, .. }) => Some(*hint),
        _ => None,
    };
    bench.said.iter().filter_map(hint).collect()
}

fn known(name: &str) -> FaceSaid {
    FaceSaid::Known { member: till_link::Sku::try_from(name).unwrap(), score_permille: 812 }
}

#[test]
fn a_shopper_who_asks_is_guided_and_named_and_the_camera_rests() {
    let (mut bench, sale) = asked();
    for hint in [Hint::Closer, Hint::Closer, Hint::Still] {
        bench.step(Input::Face(&FaceSaid::Hint(hint)));
    }
    assert_eq!(hints(&bench), [Hint::Closer, Hint::Still], "a hint is said when it changes");
    bench.step(Input::Face(&known("m-17")));
    let told: Vec<&Effect> = bench.said.iter().rev().take(2).collect();
    let member = till_link::Sku::try_from("m-17").unwrap();
    let named = Effect::Volatile(ToPos::Member { sale, member: member.clone(), score_permille: 812 });
    assert_eq!(told, [&named, &Effect::Recognise(false)]);
    assert_eq!(bench.core.view().member, Some(&member));
    // "That is not me": forgotten. What the camera says late is not heard.
    bench.step(Input::Pos(&ToTill::Recognise { sale, on: false }));
    bench.step(Input::Face(&known("m-18")));
    assert_eq!(bench.core.view().member, None);
}

#[test]
fn nobody_known_and_nobody_there_are_answers_and_the_sale_goes_on() {
    let (mut bench, _) = asked();
    bench.step(Input::Face(&FaceSaid::Unknown));
    assert_eq!((hints(&bench), bench.said.contains(&Effect::Recognise(false))), (vec![Hint::Unknown], true));
    let (mut bench, _) = asked();
    bench.pass(40_000);
    assert_eq!(hints(&bench), [Hint::Late]);
    bench.load(TEA_G);
    bench.tray(&[Class::Product(0)]);
    bench.pass(900);
    assert_eq!(bench.phase(), Phase::Offered);
}

#[test]
fn the_camera_rests_without_a_session_without_a_link_and_for_another_sale() {
    let (mut bench, _) = asked();
    bench.leave();
    assert_eq!(bench.said.iter().filter(|effect| **effect == Effect::Recognise(false)).count(), 1);
    let (mut bench, _) = asked();
    bench.step(Input::LinkDown);
    assert_eq!(bench.said.last(), Some(&Effect::Recognise(false)));
    let (mut bench, sale) = asked();
    bench.said.clear();
    bench.step(Input::Pos(&ToTill::Recognise { sale: SaleId { session: 9, ..sale }, on: true }));
    assert_eq!((hints(&bench), bench.said.contains(&Effect::Recognise(true))), (vec![Hint::Failed], false));
    // A counter without members says so at once.
    let mut bench = Bench::offered();
    let sale = bench.core.view().sale.unwrap();
    bench.step(Input::Pos(&ToTill::Recognise { sale, on: true }));
    assert_eq!((hints(&bench), bench.said.contains(&Effect::Recognise(true))), (vec![Hint::Failed], false));
}

proptest! {
    #[test]
    fn whatever_happens_the_books_are_sound(facts in proptest::collection::vec(fact(), 1..150)) {
        let mut bench = Bench::new();
        for fact in facts {
            feed(&mut bench, fact);
        }
        let mut open: Option<(SaleId, u16, Cart)> = None;
        let mut closed = std::collections::HashSet::new();
        for message in bench.durable() {
            match message {
                ToPos::Offer { sale, revision, cart } => {
                    prop_assert!(!closed.contains(sale), "an offer after the end");
                    prop_assert_eq!(Some(cart.total_minor), cart.sum_minor());
                    prop_assert!(!cart.lines.is_empty());
                    for line in &cart.lines {
                        prop_assert!(line.evidence.votes >= SETTINGS.votes_min && line.evidence.mass_agrees);
                        prop_assert!(["tea", "jam"].contains(&line.sku.as_str()));
                    }
                    open = Some((*sale, *revision, cart.clone()));
                }
                ToPos::Withdrawn { sale, revision } => {
                    prop_assert_eq!(open.as_ref().map(|(sale, revision, _)| (*sale, *revision)), Some((*sale, *revision)));
                }
                ToPos::Closed { sale, revision, cart, .. } => {
                    prop_assert!(closed.insert(*sale), "closed twice");
                    prop_assert_eq!(open.take(), Some((*sale, *revision, cart.clone())), "not what was offered");
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        // Everybody goes home, everything is mended: the counter is ready for the next.
        for health in [
            Health::CameraLost(false),
            Health::EngineFailed(false),
            Health::Resting(false),
            Health::StorageFull(false),
        ] {
            bench.step(Input::Health(health));
        }
        bench.leave();
        bench.pass(3_000);
        prop_assert_eq!(bench.phase(), Phase::Idle);
    }
}
