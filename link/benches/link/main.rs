//! What the link costs: share of a 115200 line that real messages get, how long an event waits behind
//! data, encoding and decoding beside the same by hand, and memory. The line is simulated with its exact
//! timing, so the first two are the same on every machine; of times only ratios within one run count.
//! Run with `cargo bench -p till-link --bench link`.

mod codec;
mod line;

use till_link::frame::Accumulator;
use till_link::{Cart, Currency, Endpoint, Evidence, FRAME_BYTES_MAX, Line, Outcome, SaleId, ToPos, WIRE_BYTES_MAX};

fn main() {
    line::goodput();
    line::overtaking();
    codec::compare();
    memory();
}

/// A receipt with so many lines, its names as long as they are in a real store.
fn receipt(lines: usize) -> ToPos {
    let names =
        ["Sparkling water 500 ml", "Green tea", "Dark chocolate 70 %", "Instant noodles, spicy", "Rice cracker"];
    let evidence = Evidence { votes: 24, frames: 26, score_permille: 941, mass_agrees: true };
    let line = |i: usize| Line {
        sku: heapless::String::try_from("8801234567890").expect("13 bytes fit"),
        name: heapless::String::try_from(names[i % names.len()]).expect("a name fits"),
        unit_minor: 1_200 + 350 * i as i64,
        quantity: 1 + (i % 2) as u16,
        evidence,
    };
    let mut cart = Cart {
        lines: (0..lines).map(line).collect(),
        total_minor: 0,
        currency: Currency(*b"KRW"),
        catalogue_version: 0x8f3a_11c2,
        mass_g: 1_840,
    };
    cart.total_minor = cart.sum_minor().expect("small");
    let sale = SaleId { counter: 3, epoch: 0x5f3a_91c2, session: 1_042 };
    ToPos::Closed { sale, revision: 2, outcome: Outcome::Paid, cart }
}

fn memory() {
    println!("\nmemory of an endpoint, bytes (it keeps no frames: what is sent again is read from the log again)");
    println!("| part | window 1 | window 4 | window 8 | window 16 |\n|---|---|---|---|---|");
    let rows = [
        ("endpoint", size_of::<Endpoint>()),
        ("of it: frame being received", size_of::<Accumulator>()),
        ("buffer of the frame being sent, the owner's", WIRE_BYTES_MAX),
        ("endpoint and buffer", size_of::<Endpoint>() + WIRE_BYTES_MAX),
    ];
    for (name, bytes) in rows {
        println!("| {name} | {bytes} | {bytes} | {bytes} | {bytes} |");
    }
    let frames = [1, 4, 8, 16].map(|window| (window * FRAME_BYTES_MAX).to_string());
    println!("| what keeping so many of the largest frames would take | {} |", frames.join(" | "));
}
