//! A recorded or invented counter: the presence line and the scale over the time of a piece of footage,
//! and what should come of it. The demo's clips and `till replay` are made of these.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::trigger::RawEvent;

/// What a script says will be the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedOutcome {
    /// A receipt.
    Paid,
    /// No receipt, and a reason.
    Refused,
}

/// Why a script says there will be no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Reason {
    UnknownItem,
    MassMismatch,
    Overlap,
    Unsure,
}

/// One line of the expected receipt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedLine {
    /// Which product.
    pub sku: String,
    /// How many.
    pub quantity: u16,
}

/// What should come of a script.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Receipt or refusal.
    pub outcome: ExpectedOutcome,
    /// Why it is refused.
    pub reason: Option<Reason>,
    /// The receipt's total, minor units.
    pub total_minor: Option<i64>,
    /// The receipt's lines, in any order.
    #[serde(default)]
    pub line: Vec<ExpectedLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine {
    at_ms: u64,
    presence: Option<bool>,
    load_g: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    title: String,
    footage: String,
    #[serde(default)]
    event: Vec<RawLine>,
    expect: Expect,
}

/// A script that was read and found sound.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file it was read from.
    pub file: PathBuf,
    /// For the person who watches.
    pub title: String,
    /// The footage, resolved against the script's folder.
    pub footage: PathBuf,
    /// Sorted by milliseconds after the footage's first frame.
    pub events: Vec<(u64, RawEvent)>,
    /// What should come of it.
    pub expect: Expect,
}

/// A script that can't be used: which file and why (with the line where the text is wrong).
#[derive(Clone, Debug)]
pub struct ScriptError {
    /// The file.
    pub file: PathBuf,
    /// What was found and what is allowed.
    pub message: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "script {}: {}", self.file.display(), self.message)
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Reads the script at `file`.
    pub fn load(file: &Path) -> Result<Self, ScriptError> {
        let failed = |message: String| ScriptError { file: file.to_owned(), message };
        let text = std::fs::read_to_string(file).map_err(|error| failed(format!("can't be read: {error}")))?;
        let script = Self::parse(&text, file.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        Ok(Self { file: file.to_owned(), ..script })
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let raw: RawScript = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut events = Vec::with_capacity(raw.event.len());
        for (i, event) in raw.event.iter().enumerate() {
            events.push(match (event.presence, event.load_g) {
                (Some(level), None) => (event.at_ms, RawEvent::Presence(level)),
                (None, Some(grams)) => (event.at_ms, RawEvent::LoadGrams(grams)),
                _ => return Err(format!("event {} must have either presence or load_g", i + 1)),
            });
        }
        if let Some(i) = events.windows(2).position(|pair| pair[0].0 > pair[1].0) {
            return Err(format!("event {} is earlier than the one before it; sort them by at_ms", i + 2));
        }
        match (raw.expect.outcome, &raw.expect) {
            (ExpectedOutcome::Paid, Expect { reason: None, total_minor: Some(_), line, .. }) if !line.is_empty() => {}
            (ExpectedOutcome::Refused, Expect { reason: Some(_), total_minor: None, line, .. }) if line.is_empty() => {}
            _ => return Err("expect must have total_minor and lines when paid, and a reason when refused".into()),
        }
        Ok(Self {
            file: PathBuf::new(),
            title: raw.title,
            footage: folder.join(raw.footage),
            events,
            expect: raw.expect,
        })
    }
}

/// Gives out the events of a script as their time comes.
#[derive(Clone, Debug)]
pub struct Player {
    events: Vec<(u64, RawEvent)>,
    at: usize,
}

impl Player {
    /// A player at the beginning of `script`.
    pub fn new(script: &Script) -> Self {
        Self { events: script.events.clone(), at: 0 }
    }

    /// Hands out everything due at `at_ms` after the first frame.
    pub fn due(&mut self, at_ms: u64, sink: &mut dyn FnMut(RawEvent)) {
        while let Some(&(due_ms, event)) = self.events.get(self.at)
            && due_ms <= at_ms
        {
            sink(event);
            self.at += 1;
        }
    }

    /// Whether everything was handed out.
    pub fn is_done(&self) -> bool {
        self.at >= self.events.len()
    }

    /// When the next event is due; `None` after the last.
    pub fn next_ms(&self) -> Option<u64> {
        self.events.get(self.at).map(|&(due_ms, _)| due_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAID: &str = "title = \"One\"\nfootage = \"one.mp4\"\n[[event]]\nat_ms = 300\npresence = true\n\
        [[event]]\nat_ms = 900\nload_g = 250\n[expect]\noutcome = \"paid\"\ntotal_minor = 2400\n\
        [[expect.line]]\nsku = \"a\"\nquantity = 1\n";

    #[test]
    fn events_come_when_they_are_due() {
        let script = Script::parse(PAID, Path::new("clips")).unwrap();
        assert_eq!(script.footage, Path::new("clips/one.mp4"));
        let mut player = Player::new(&script);
        let mut seen = Vec::new();
        player.due(299, &mut |event| seen.push(event));
        assert!(seen.is_empty());
        player.due(900, &mut |event| seen.push(event));
        assert_eq!(seen, [RawEvent::Presence(true), RawEvent::LoadGrams(250)]);
        assert!(player.is_done());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |from: &str, to: &str| Script::parse(&PAID.replace(from, to), Path::new(".")).unwrap_err();
        assert!(wrong("at_ms = 900", "at_ms = 100").contains("event 2 is earlier"));
        assert!(wrong("load_g = 250", "load_g = 250\npresence = true").contains("event 2 must have either"));
        assert!(wrong("total_minor = 2400\n", "").contains("total_minor and lines when paid"));
        assert!(wrong("title", "titel").contains("unknown field `titel`"));
    }
}
