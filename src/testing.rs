//! For tests only: golden texts with an overwrite mode (`TILL_BLESS=1`).

use std::path::Path;

/// Holds the part of `file` (relative to the project) between two lines `marker` to `text`.
pub fn golden(file: &str, text: &str, marker: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parts: Vec<&str> = page.split(marker).collect();
    let [before, now, after] = parts[..] else { panic!("{file} must hold {marker} twice") };
    if std::env::var_os("TILL_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{marker}\n{text}{marker}{after}")).unwrap();
        return;
    }
    assert_eq!(now.trim(), text.trim(), "{file} is out of date; run the tests once with TILL_BLESS=1");
}
