//! SPEC.md says what the code does: its examples are vectors, its numbers the constants, its ids unique and
//! the only ones that the sources quote.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use till_link::endpoint::{HEARTBEAT_MS, HELLO_MS, LOST_MS, WINDOW_MAX};
use till_link::message::{JPEG_BYTES_MAX, LINES_MAX, PRICES_MAX, SCHEMA, SCHEMA_TEXT};
use till_link::{FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX, WIRE_BYTES_MAX};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn spec() -> String {
    std::fs::read_to_string(folder().join("SPEC.md")).unwrap()
}

/// The fenced blocks of a language: the rest of the opening line, and the text.
fn blocks<'s>(spec: &'s str, language: &str) -> Vec<(&'s str, &'s str)> {
    spec.split("\n```")
        .filter_map(|part| {
            let (head, text) = part.split_once('\n')?;
            Some((head.strip_prefix(language)?.trim(), text))
        })
        .collect()
}

#[test]
fn the_examples_are_vectors() {
    let spec = spec();
    let examples = blocks(&spec, "vector");
    assert!(examples.len() >= 4);
    for (head, text) in examples {
        let (file, name) = head.split_once(' ').unwrap();
        let vectors = std::fs::read_to_string(folder().join("vectors").join(file)).unwrap();
        let vectors: Vec<serde_json::Value> = serde_json::from_str(&vectors).unwrap();
        let vector =
            vectors.iter().find(|vector| vector["name"] == name).unwrap_or_else(|| panic!("no vector {name:?}"));
        let found: String = text.split_whitespace().collect();
        assert_eq!(found, vector["hex"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn the_schema_is_printed_as_it_is() {
    let spec = spec();
    let [(_, text)] = blocks(&spec, "schema")[..] else { panic!("one schema") };
    assert_eq!(text.lines().collect::<Vec<_>>().join(" ").trim(), SCHEMA_TEXT);
    assert!(spec.contains(&format!("`{SCHEMA:08X}`")));
}

#[test]
fn the_limits_are_the_constants() {
    let limits = spec();
    for (name, value) in [
        ("PAYLOAD_BYTES_MAX (a message)", PAYLOAD_BYTES_MAX),
        ("FRAME_BYTES_MAX (a body)", FRAME_BYTES_MAX),
        ("WIRE_BYTES_MAX (with COBS and `00`)", WIRE_BYTES_MAX),
        ("LINES_MAX (of a cart)", LINES_MAX),
        ("PRICES_MAX (of a message)", PRICES_MAX),
        ("JPEG_BYTES_MAX (of a message)", JPEG_BYTES_MAX),
        ("WINDOW_MAX", WINDOW_MAX as usize),
        ("HEARTBEAT_MS", HEARTBEAT_MS as usize),
        ("LOST_MS", LOST_MS as usize),
        ("HELLO_MS", HELLO_MS as usize),
    ] {
        assert!(limits.contains(&format!("\n| {name} | {value} |")), "{name} is {value}");
    }
}

fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("L-")
        .filter_map(|(at, _)| text.get(at..at + 5))
        .filter(|id| id[2..].bytes().all(|b| b.is_ascii_digit()))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| ["rs", "py", "c", "h"].iter().any(|known| e == *known)) {
            found.push(path);
        }
    }
}

#[test]
fn ids_are_unique_ascend_and_the_sources_quote_no_others() {
    let spec = spec();
    let defined: Vec<&str> =
        spec.lines().filter_map(|line| line.strip_prefix("- **")?.get(..5)).filter(|id| id.starts_with("L-")).collect();
    assert!(defined.len() > 40);
    // Sections 7.2 and 8 have hundreds of their own, so that the others could stay what they were.
    for hundred in [&["L-0", "L-1"][..], &["L-2"], &["L-3"]] {
        let group: Vec<&&str> = defined.iter().filter(|id| hundred.iter().any(|h| id.starts_with(h))).collect();
        assert!(group.is_sorted_by(|a, b| a < b), "{group:?}");
    }
    let defined: BTreeSet<&str> = defined.into_iter().collect();
    let mut files = Vec::new();
    for place in ["src", "tests", "python", "c"] {
        if folder().join(place).is_dir() {
            sources(&folder().join(place), &mut files);
        }
    }
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for id in ids(&text).chain(ids(&spec)) {
            assert!(defined.contains(id), "{id} in {}", path.display());
        }
    }
}
