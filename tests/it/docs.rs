//! The pages under docs/ against the code: a heading of troubleshooting.md that no code prints any more is a
//! fault, and so is a room that architecture.md does not know.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of every source file below `folder`, string continuations joined and quotes unescaped.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "sh") {
            for line in fs::read_to_string(&path).unwrap().lines().map(str::trim_start) {
                match line.strip_suffix('\\') {
                    Some(begun) => text.push_str(begun),
                    None => text.extend([line, "\n"]),
                }
            }
        }
    }
}

#[test]
fn every_heading_of_troubleshooting_is_printed_somewhere() {
    let mut code = String::new();
    sources(&root().join("src"), &mut code);
    sources(&root().join("scripts/lib"), &mut code);
    let code = code.replace("\\\"", "\"");
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let mut checked = 0;
    for heading in page.lines().filter_map(|l| l.strip_prefix("### `")?.strip_suffix('`')) {
        // What differs from case to case splits a heading; so do the joints where an error's parts are put together.
        let pieces = heading.split("...").flat_map(|p| p.split(": ")).flat_map(|p| p.split("; "));
        let longest = pieces.map(|p| p.trim_matches([' ', '"', '(', ')'])).max_by_key(|p| p.len()).unwrap_or_default();
        if longest.contains("os error") {
            continue;
        }
        assert!(code.contains(longest), "no code says {longest:?}, of the heading {heading:?}");
        checked += 1;
    }
    assert!(checked >= 20, "only {checked} headings were found");
}

#[test]
fn architecture_names_every_room() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            !path.is_dir() || page.contains(&format!("| `{name}` |")),
            "docs/architecture.md has no row for {name}"
        );
    }
}
