//! `till.toml` and `conf.d/*.toml` to one validated [`Config`]. A later file wins key by key. Every mistake
//! ends with its place, and no input whatever may panic.

use std::borrow::Cow;
use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrorKind as Kind};
use super::keys::{self, Allowed, SECTIONS, SOURCES};
use super::source::Sources;
use super::{Config, raw, validate};

/// A configuration is written by people: a larger file is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most files in `conf.d`.
const FILES_MAX: usize = 256;

impl Config {
    /// Reads `file`, then each `*.toml` of the folder `conf.d` beside it in the order of their names.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let mut sources = Sources::default();
        sources.add(file.to_owned(), read(file)?);
        for part in parts(file)? {
            let text = read(&part)?;
            sources.add(part, text);
        }
        from_sources(&sources)
    }

    /// The same for texts that are already there, each with the path it pretends to have.
    pub fn from_texts(texts: impl IntoIterator<Item = (PathBuf, String)>) -> Result<Self, ConfigError> {
        let mut sources = Sources::default();
        for (path, text) in texts {
            sources.add(path, text);
        }
        from_sources(&sources)
    }
}

fn unreadable(file: &Path, found: impl Into<Box<str>>, allowed: &str) -> ConfigError {
    ConfigError {
        kind: Kind::Unreadable,
        file: file.to_owned(),
        line: None,
        key: String::new(),
        found: found.into(),
        allowed: allowed.into(),
        nearest: None,
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let cannot = |e: std::io::Error| unreadable(file, format!("can't be read: {e}"), "a file that this user may read");
    let mut bytes = Vec::new();
    fs::File::open(file).and_then(|f| f.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(file, "is larger than 1 MiB", "TOML of at most 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        unreadable(file, format!("is not UTF-8 from byte {at} on"), "TOML in UTF-8")
    })
}

/// The files of `conf.d`, sorted; none when there is no such folder.
fn parts(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let folder = file.parent().unwrap_or(Path::new("")).join("conf.d");
    let cannot =
        |e: std::io::Error| unreadable(&folder, format!("can't be read: {e}"), "a folder that this user may read");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(cannot(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    if found.len() > FILES_MAX {
        return Err(unreadable(&folder, format!("{} files", found.len()), "at most 256 files"));
    }
    found.sort();
    Ok(found)
}

fn from_sources(sources: &Sources) -> Result<Config, ConfigError> {
    let mut merged = Spanned::new(0..0, DeTable::new());
    for (source, base) in sources.iter() {
        let mut table = DeTable::parse(&source.text).map_err(|e| {
            let at = e.span().map_or(0, |s| s.start).min(source.text.len());
            let what = e.message().lines().collect::<Vec<_>>().join(", ");
            sources.error(Kind::Syntax, Some(base + at), "", format!("is not TOML: {what}"), "TOML 1.0")
        })?;
        shift(table.get_mut(), base);
        let mut mistakes = Vec::new();
        check_table(sources, table.get_ref(), "", &mut mistakes);
        // The table is not in the order of the file.
        if let Some((_, first)) = mistakes.into_iter().min_by_key(|(at, _)| *at) {
            return Err(first);
        }
        merge(merged.get_mut(), table.into_inner(), "");
    }
    let raw = raw::Till::deserialize(toml::de::Deserializer::from(merged)).map_err(|e| {
        let at = e.span().map(|s| s.start);
        sources.error(Kind::WrongType, at, "", e.message(), "what docs/configuration.md lists")
    })?;
    validate::validate(sources, &raw)
}

/// Moves every place in `table` by `base`.
fn shift(table: &mut DeTable<'_>, base: usize) {
    let moved = std::mem::take(table).into_iter().map(|(key, mut value)| {
        if let DeValue::Table(inner) = value.get_mut() {
            shift(inner, base);
        }
        (by(key, base), by(value, base))
    });
    *table = moved.collect();
}

fn by<T>(value: Spanned<T>, base: usize) -> Spanned<T> {
    let span = value.span();
    Spanned::new(span.start + base..span.end + base, value.into_inner())
}

/// Puts `later` over `earlier`. The keys that say what a camera is are one choice: writing one of them
/// takes back an earlier file's.
fn merge<'a>(earlier: &mut DeTable<'a>, later: DeTable<'a>, section: &str) {
    let is_camera = section == "tray.camera" || section == "face.camera";
    if is_camera && later.iter().any(|(key, _)| SOURCES.contains(&key.get_ref().as_ref())) {
        for source in SOURCES {
            earlier.remove(*source);
        }
    }
    for (key, mut value) in later {
        let name = join(section, key.get_ref());
        let before = earlier.remove(key.get_ref().as_ref());
        if let (DeValue::Table(new), Some(old)) = (value.get_mut(), before)
            && let DeValue::Table(mut old) = old.into_inner()
        {
            merge(&mut old, std::mem::take(new), &name);
            *new = old;
        }
        earlier.insert(key, value);
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// Holds the names and types in `table` against the list of keys.
fn check_table(sources: &Sources, table: &DeTable<'_>, section: &str, mistakes: &mut Vec<(usize, ConfigError)>) {
    let inner = inner_sections(section);
    for (key, value) in table.iter() {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        let full = join(section, name);
        if inner.contains(&name) {
            match value.get_ref() {
                DeValue::Table(table) => check_table(sources, table, &full, mistakes),
                _ => {
                    let found = format!("found {}", sources.shown(&value.span()));
                    let error = sources.error(Kind::WrongType, Some(at), &full, found, format!("a section [{full}]"));
                    mistakes.push((at, error));
                }
            }
        } else if let Some(known) = keys::of(section).find(|k| k.name == name) {
            if !fits(value.get_ref(), known.allowed, name) {
                let found = format!("found {}", shown_value(sources, value.get_ref(), value.span()));
                let error = sources.error(Kind::WrongType, Some(at), &full, found, known.allowed.to_string());
                mistakes.push((at, error));
            }
        } else {
            mistakes.push((at, unknown(sources, section, name, at, &inner)));
        }
    }
}

/// The names that follow `section` and a dot.
fn inner_sections(section: &str) -> Vec<&'static str> {
    let mut found: Vec<&str> = SECTIONS
        .iter()
        .filter_map(|(name, ..)| {
            let rest = if section.is_empty() { name } else { name.strip_prefix(section)?.strip_prefix('.')? };
            rest.split('.').next()
        })
        .collect();
    found.dedup();
    found
}

fn fits(value: &DeValue<'_>, allowed: Allowed, name: &str) -> bool {
    match allowed {
        Allowed::Int(..) | Allowed::Numbers(_) => {
            value.as_integer().is_some_and(|n| i64::from_str_radix(n.as_str(), n.radix()).is_ok())
        }
        Allowed::Bool => value.is_bool(),
        Allowed::Words(_) if name == "test" => value.is_bool(),
        Allowed::Words(_) | Allowed::Path | Allowed::Text(_) => value.is_str(),
    }
}

fn shown_value(sources: &Sources, value: &DeValue<'_>, span: Range<usize>) -> Cow<'static, str> {
    match value {
        DeValue::Table(_) => "a section".into(),
        _ => sources.shown(&span).into(),
    }
}

fn unknown(sources: &Sources, section: &str, name: &str, at: usize, inner: &[&'static str]) -> ConfigError {
    let known: Vec<&'static str> = inner.iter().copied().chain(keys::of(section).map(|k| k.name)).collect();
    let allowed = if keys::of(section).next().is_some() {
        format!("in [{section}] {}", known.join(", "))
    } else {
        inner.iter().map(|s| format!("[{}]", join(section, s))).collect::<Vec<_>>().join(", ")
    };
    let what = if keys::of(section).next().is_some() { "unknown key" } else { "unknown section or key" };
    let mut key = join(section, name);
    if key.chars().count() > 64 {
        key = key.chars().take(64).chain("...".chars()).collect();
    }
    let mut error = sources.error(Kind::UnknownKey, Some(at), key, what, allowed);
    error.nearest = nearest(name, &known);
    error
}

/// The one of `known` that `name` is most likely a slip of; `None` when nothing is close.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let length = name.chars().count();
    if length > 32 {
        return None;
    }
    let (distance, best) = known.iter().map(|k| (distance(name, k), *k)).min_by_key(|(d, _)| *d)?;
    (distance <= 1 + length / 4).then_some(best)
}

/// Insertions, removals, replacements and swaps of neighbours between `a` and `b` (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
