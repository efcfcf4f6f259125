//! What an endpoint takes, printed as the table of README.md and held to it.

use std::mem::size_of;
use std::path::PathBuf;

use till_link::endpoint::{Stats, WINDOW_MAX};
use till_link::frame::{Accumulator, SEAL_BYTES};
use till_link::{Endpoint, PAYLOAD_BYTES_MAX, Security, WIRE_BYTES_MAX};

/// On a 64-bit machine; a microcontroller's words are half as wide.
fn table() -> String {
    let endpoint = size_of::<Endpoint>();
    let parts = [
        ("the frame that arrives".to_owned(), size_of::<Accumulator>()),
        ("the message that is read from the log".to_owned(), PAYLOAD_BYTES_MAX),
        (format!("send times, 8 bytes for each of a window of {WINDOW_MAX}"), 8 * WINDOW_MAX as usize),
        ("counts for `stats`".to_owned(), size_of::<Stats>()),
        ("keys as they were given".to_owned(), size_of::<Security>()),
    ];
    let rest = endpoint - parts.iter().map(|(_, bytes)| bytes).sum::<usize>();
    let mut text = format!("| RAM, x86-64 | bytes |\n|---|---|\n| an endpoint | {endpoint} |\n");
    for (name, bytes) in parts {
        text += &format!("| - {name} | {bytes} |\n");
    }
    text += &format!("| - state, and the session's keys and nonces | {rest} |\n");
    text += &format!("| the frame that leaves, the caller's | {WIRE_BYTES_MAX} |\n");
    text
}

#[test]
fn readme_says_what_an_endpoint_takes() {
    let table = table();
    println!("{table}");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let begin = readme.find("| RAM, x86-64 |").expect("the table stands in README.md");
    let end = begin + readme[begin..].find("\n\n").map_or(readme.len() - begin, |at| at + 1);
    if std::env::var_os("TILL_BLESS").is_some() {
        std::fs::write(&path, format!("{}{table}{}", &readme[..begin], &readme[end..])).unwrap();
    } else if cfg!(target_pointer_width = "64") {
        assert_eq!(&readme[begin..end], table, "run this test with TILL_BLESS=1");
    }
    assert_eq!(SEAL_BYTES, 12);
}
