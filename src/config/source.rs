//! The files of a configuration and what stands where. All files share one line of positions, so that a
//! value keeps its place when files are merged.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigErrorKind};

/// Characters of a value that an error repeats.
const SHOWN_MAX: usize = 64;

/// One file.
#[derive(Debug)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
    /// Position of its first byte.
    base: usize,
}

/// All files, in the order they are merged.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a file behind the others.
    pub fn add(&mut self, path: PathBuf, text: String) {
        let base = self.files.last().map_or(0, |last| last.base + last.text.len() + 1);
        self.files.push(Source { path, text, base });
    }

    /// The files with the position of their first byte.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, usize)> {
        self.files.iter().map(|s| (s, s.base))
    }

    /// The file that holds `position`.
    fn holding(&self, position: usize) -> Option<&Source> {
        self.files.iter().rfind(|s| s.base <= position)
    }

    /// The file that holds `position`; the first one for want of any.
    pub fn file(&self, position: usize) -> &Path {
        self.holding(position).map_or(Path::new(""), |s| &s.path)
    }

    /// The line of `position`, from 1.
    fn line(&self, position: usize) -> Option<u32> {
        let source = self.holding(position)?;
        let before = source.text.as_bytes().get(..position - source.base)?;
        u32::try_from(before.iter().filter(|b| **b == b'\n').count() + 1).ok()
    }

    /// What stands at `span`, shortened, without passwords.
    pub fn shown(&self, span: &Range<usize>) -> String {
        let text = self
            .holding(span.start)
            .and_then(|s| s.text.get(span.start - s.base..span.end.saturating_sub(s.base)))
            .unwrap_or_default();
        let text = redacted(text);
        let mut shown: String = text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if text.chars().nth(SHOWN_MAX).is_some() {
            shown.push_str("...");
        }
        shown
    }

    /// An error about `key`, at `at` if it stands anywhere.
    pub fn error(
        &self,
        kind: ConfigErrorKind,
        at: Option<usize>,
        key: impl Into<String>,
        found: impl Into<Box<str>>,
        allowed: impl Into<Box<str>>,
    ) -> ConfigError {
        ConfigError {
            kind,
            file: self.file(at.unwrap_or(0)).to_owned(),
            line: at.and_then(|p| self.line(p)),
            key: key.into(),
            found: found.into(),
            allowed: allowed.into(),
            nearest: None,
        }
    }
}

/// `text` with the user and password of an address in it left out.
pub fn redacted(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme + 2 => {
            format!("{}...{}", &text[..scheme + 3], &text[at..])
        }
        _ => text.to_owned(),
    }
}
