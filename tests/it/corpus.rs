//! Every input that a fuzzer ever kept, through the same targets without the fuzzer: `fuzz/corpus/TARGET`
//! is a regression test each. `scripts/fuzz` finds new ones.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[path = "../../fuzz/src/counter/mod.rs"]
mod counter;
#[path = "../../fuzz/src/link/mod.rs"]
mod link;

fn replay(name: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "{} is all but empty", folder.display());
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_ok(), "{}", file.display());
    }
    println!("{name}: {} inputs", files.len());
}

#[test]
fn frames() {
    replay("frame", link::frame);
}

#[test]
fn messages() {
    replay("message", link::message);
}

#[test]
fn two_ends_over_a_bad_line() {
    replay("endpoint", link::endpoint);
}

#[test]
fn one_end_against_a_stranger() {
    replay("stranger", link::stranger);
}

#[test]
fn ends_with_a_key_and_strangers_without() {
    replay("secured", link::secured);
}

#[test]
fn books_on_a_bad_disk() {
    replay("outbox", counter::outbox);
}

#[test]
fn files_that_people_write() {
    replay("files", counter::files);
}
