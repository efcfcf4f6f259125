use std::os::unix::fs::FileExt;

use clap::Parser;
use till_link::{Cart, Currency, Outcome, SaleId, Tender, ToPos, ToTill};

use super::*;
use crate::counter::open_log;
use crate::outbox::Limits;

const SMALL: Limits = Limits { bytes_max: 1 << 20, segment_bytes: 100 };

fn sale(session: u32) -> SaleId {
    SaleId { counter: 1, epoch: 7, session }
}

fn cart(total_minor: i64) -> Cart {
    Cart { lines: heapless::Vec::new(), total_minor, currency: Currency(*b"KRW"), catalogue_version: 1, mass_g: 0 }
}

/// A counter's books: four sales, each offered, paid and closed.
fn state() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut out = open_log(&folder.path().join("outbox"), SMALL, 7).unwrap();
    let mut inbox = open_log(&folder.path().join("inbox"), SMALL, 7).unwrap();
    let mut buffer = [0; 256];
    for n in 1..=4 {
        let total = i64::from(n) * 100;
        let paid = ToTill::Paid { sale: sale(n), revision: 1, tender: Tender::Card, amount_minor: total };
        let mut record = [9u32.to_le_bytes(), n.to_le_bytes()].concat();
        record.extend_from_slice(till_link::message::encode(&paid, &mut buffer).unwrap());
        inbox.append(&record).unwrap();
        for message in [
            ToPos::Offer { sale: sale(n), revision: 1, cart: cart(total) },
            ToPos::Closed { sale: sale(n), revision: 1, outcome: Outcome::Paid, cart: cart(total) },
        ] {
            out.append(till_link::message::encode(&message, &mut buffer).unwrap()).unwrap();
        }
    }
    folder
}

fn till(folder: &Path, words: &str) -> (Result<Exit, CliError>, String) {
    let state = folder.to_str().unwrap();
    let words = format!("till outbox {words} --state {state}");
    let cli = crate::cli::Cli::try_parse_from(words.split_whitespace()).unwrap();
    let mut out = Vec::new();
    let exit = crate::cli::dispatch(cli, &mut out);
    (exit, String::from_utf8(out).unwrap())
}

/// Damages a byte in the middle of the outbox; returns the segment's name.
fn damage(folder: &Path) -> String {
    let mut names: Vec<_> =
        std::fs::read_dir(folder.join("outbox")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let file = std::fs::File::options().write(true).open(&names[0]).unwrap();
    file.write_all_at(&[0xee], 30).unwrap();
    names[0].file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn a_list_has_a_line_for_each_record_and_the_same_as_json() {
    let folder = state();
    let (exit, text) = till(folder.path(), "list --control /nonexistent");
    assert_eq!((exit, text.lines().count()), (Ok(Exit::Ok), 9));
    assert!(text.contains("00000007         8  ?      closed     1-00000007-4                   400  paid"), "{text}");
    let (_, text) = till(folder.path(), "list --log inbox --last 1 --json --control /nonexistent");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["schema"], json["records"].as_array().unwrap().len()), (&json!("till.outbox/1"), 1));
    let record = &json["records"][0];
    assert_eq!((&record["kind"], &record["epoch"], &record["sequence"]), (&json!("paid"), &json!(9), &json!(4)));
    assert_eq!(record["acknowledged"], serde_json::Value::Null, "nobody knows while the daemon is away");
}

#[test]
fn damage_is_found_exported_around_and_skipped_on_request_only() {
    let folder = state();
    assert_eq!(till(folder.path(), "verify").0, Ok(Exit::Ok));
    let stem = damage(folder.path());
    let (exit, text) = till(folder.path(), "verify --json");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((exit, &json["ok"]), (Ok(Exit::Findings), &json!(false)));
    assert_eq!(json["logs"][0]["findings"][0]["message"], "record 1 is damaged (25 bytes)");

    let (exit, text) = till(folder.path(), "export --format csv");
    assert_eq!((exit, text.lines().count()), (Ok(Exit::Findings), 1 + 4 + 4), "no sale is lost with an offer:\n{text}");
    assert!(text.contains("outbox,00000007,8,closed,1-00000007-4,1,paid,400,KRW,\n"), "{text}");
    assert!(text.contains("inbox,00000009,4,paid,1-00000007-4,1,card,400,,\n"), "{text}");

    let refused = open_log(&folder.path().join("outbox"), SMALL, 8).unwrap_err();
    assert_eq!(refused.kind, LogErrorKind::Corrupt);
    assert_eq!(till(folder.path(), "repair").0.unwrap_err().exit, Exit::Usage);
    let (exit, text) = till(folder.path(), "repair --skip-damaged");
    assert_eq!(exit, Ok(Exit::Ok));
    assert!(text.contains("records skipped: 1\n") && text.contains(&format!("{stem}.damaged")), "{text}");
    let log = open_log(&folder.path().join("outbox"), SMALL, 8).unwrap();
    assert_eq!((log.get(1), log.last(), log.epoch()), (Some(&[][..]), 8, 7));
    // The daemon has it now: repair keeps its hands off.
    let error = till(folder.path(), "repair --skip-damaged").0.unwrap_err();
    assert!(error.message.contains("another till works on this folder"), "{error}");
    let (exit, text) = till(folder.path(), "verify");
    assert!(exit == Ok(Exit::Ok) && text.contains("1 records are empty"), "{text}");
}

#[test]
fn a_pos_folder_is_known_by_its_logs_and_a_folder_without_books_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = till(folder.path(), "verify").0.unwrap_err();
    assert!(error.exit == Exit::Missing && error.message.contains("--state"), "{error}");
    drop(open_log(&folder.path().join("in"), SMALL, 7).unwrap());
    let (exit, text) = till(folder.path(), "verify");
    assert!(exit == Ok(Exit::Ok) && text.starts_with("in      0 records"), "{text}");
}
