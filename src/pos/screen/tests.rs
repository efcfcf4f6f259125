use till_link::message::Text;
use till_link::{Evidence, Line, Name, Outcome, Sku};

use super::*;
use crate::pos::Receipt;

const SALE: SaleId = SaleId { counter: 1, epoch: 0xab, session: 9 };

fn line(name: &str, unit_minor: i64, quantity: u16) -> Line {
    Line {
        sku: Sku::try_from("x").unwrap(),
        name: Name::try_from(name).unwrap(),
        unit_minor,
        quantity,
        evidence: Evidence::default(),
    }
}

fn cart(lines: impl IntoIterator<Item = Line>) -> Cart {
    let mut cart = Cart {
        lines: lines.into_iter().collect(),
        total_minor: 0,
        currency: Currency(*b"KRW"),
        catalogue_version: 1,
        mass_g: 0,
    };
    cart.total_minor = cart.sum_minor().unwrap();
    cart
}

fn offer() -> PosEvent {
    PosEvent::Offer(Offer {
        sale: SALE,
        revision: 1,
        cart: cart([line("녹차 Tea", 900, 2), line("Apple Juice", 2_400, 1)]),
    })
}

fn state(phase: Phase) -> PosEvent {
    PosEvent::Said(ToPos::State { phase, rung: Rung::Rten, reason: Text::new(), precision: None })
}

fn attention(reason: Attention, on: bool) -> PosEvent {
    PosEvent::Said(ToPos::Attention { sale: Some(SALE), reason, on })
}

fn screen(events: &[PosEvent]) -> Screen {
    let mut screen = Screen::new(&Ledger::default());
    events.iter().for_each(|event| screen.heard(event));
    screen
}

fn frame(screen: &Screen) -> String {
    screen.frame(48, 24).join("\n")
}

#[test]
fn an_offer_shows_items_count_price_total_and_keys() {
    let member =
        PosEvent::Said(ToPos::Member { sale: SALE, member: Sku::try_from("m-17").unwrap(), score_permille: 800 });
    let expected = "\
till POS                           online 연결됨
------------------------------------------------
녹차 Tea                   2 x     900     1,800
Apple Juice                1 x   2,400     2,400
------------------------------------------------
3 items 개                  TOTAL 합계 KRW 4,200
Member 회원: m-17?  y yes 네  n no 아니요

  결제해 주세요.
  Ready to pay.

p pay 결제   c cancel 취소   q quit       0 sold";
    let shown = frame(&screen(&[PosEvent::Up, state(Phase::Offered), member, offer()]));
    assert_eq!(shown.lines().map(width).max(), Some(48));
    assert_eq!(shown, expected);
}

#[test]
fn without_an_offer_in_the_books_no_key_pays_whatever_the_state_says() {
    let shown = frame(&screen(&[PosEvent::Up, state(Phase::Offered)]));
    assert!(!shown.contains("pay"), "{shown}");
    let withdrawn = frame(&screen(&[PosEvent::Up, offer(), PosEvent::Withdrawn(SALE)]));
    assert!(!withdrawn.contains("p pay"), "{withdrawn}");
}

#[test]
fn an_attention_says_what_to_do_until_it_clears() {
    let mut screen = screen(&[PosEvent::Up, state(Phase::Attention), attention(Attention::Overlap, true)]);
    let shown = frame(&screen);
    assert!(shown.contains("! 상품을 겹치지") && shown.contains("! Please spread the items out."), "{shown}");
    screen.heard(&attention(Attention::MassMismatch, false));
    assert!(frame(&screen).contains("spread"), "another reason's end ends nothing");
    // The message that ends it was lost with the link: the state says as much.
    screen.heard(&state(Phase::Scanning));
    assert!(!frame(&screen).contains("spread"));
}

#[test]
fn a_receipt_stays_until_the_tray_is_empty() {
    let sold = cart([line("Tea", 900, 1)]);
    let mut screen = screen(&[PosEvent::Up, offer()]);
    screen.pressed(Press::Pay);
    assert!(frame(&screen).contains("Payment sent") && !frame(&screen).contains("p pay"));
    screen.heard(&PosEvent::Receipt(Receipt { sale: SALE, cart: sold }));
    screen.heard(&PosEvent::Cart(cart([])));
    let shown = frame(&screen);
    assert!(shown.contains("KRW 900") && shown.contains("Paid. Thank you. (sale 1-000000ab-9)"), "{shown}");
    assert!(shown.ends_with("1 sold"), "{shown}");
    screen.heard(&state(Phase::Idle));
    assert!(!frame(&screen).contains("KRW"));
}

#[test]
fn money_to_give_back_is_said_with_its_amount() {
    let refund = Some(Refund { sale: SALE, amount_minor: 4_200 });
    let shown = frame(&screen(&[offer(), PosEvent::Ended { sale: SALE, outcome: Outcome::Cancelled, refund }]));
    assert!(shown.contains("Give the money back: 4,200 (sale"), "{shown}");
}

#[test]
fn a_name_from_the_wire_moves_no_cursor() {
    let evil = PosEvent::Cart(cart([line("a\x1b[2J\r\nb", 1, 1)]));
    let shown = screen(std::slice::from_ref(&evil)).frame(48, 24);
    assert!(shown.iter().all(|line| !line.chars().any(char::is_control)), "{shown:?}");
    let receipt = PosEvent::Receipt(Receipt { sale: SALE, cart: cart([line("a\x1b[2J", 1, 1)]) });
    assert!(!plain(&receipt).unwrap().contains('\x1b'));
}

#[test]
fn every_text_fits_the_smallest_window_and_long_carts_are_counted() {
    let many = cart((0..24).map(|i| line("한라봉 주스 Hallabong Juice 1000ml", 1_234_567 + i, 65_535)));
    let mut screen = screen(&[PosEvent::Up, PosEvent::Cart(many)]);
    for rows in [1, 12, 24, 50] {
        let shown = screen.frame(1, rows);
        assert!(shown.len() <= rows.max(ROWS_OTHER + 1), "{} of {rows}", shown.len());
        assert!(shown.iter().all(|line| width(line) <= COLUMNS_MIN), "{shown:#?}");
    }
    assert!(frame(&screen).contains("... 12 more lines"), "{}", frame(&screen));
    for reason in [
        Attention::UncertainItem,
        Attention::UnknownItem,
        Attention::Overlap,
        Attention::OutOfPicture,
        Attention::MassMismatch,
        Attention::CameraLost,
        Attention::TooManyItems,
        Attention::OutcomeUnknown,
        Attention::StorageFull,
        Attention::EngineFailed,
        Attention::ScaleLost,
    ] {
        screen.heard(&attention(reason, true));
        let (korean, english) = words::attention(reason);
        let shown = screen.frame(48, 24).join("\n");
        assert!(shown.contains(korean) && shown.contains(english), "cut off:\n{shown}");
    }
}
