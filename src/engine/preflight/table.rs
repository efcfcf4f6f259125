//! `rules.toml` as types: which rule holds for which version, where it comes from and what to do about it. The file is
//! part of the binary; that it parses is a test's business.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;

/// TensorRT's major and minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl TryFrom<&str> for Version {
    type Error = String;

    fn try_from(s: &str) -> Result<Self, String> {
        let parse = |n: &str| n.parse::<u32>().ok().filter(|n| *n < 1000);
        let (major, minor) = s.split_once('.').unwrap_or((s, "0"));
        match (parse(major), parse(minor)) {
            (Some(major), Some(minor)) => Ok(Self(major, minor)),
            _ => Err(format!("{s:?} is no version such as 8.2")),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(s: String) -> Result<Self, String> {
        Self::try_from(s.as_str())
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It builds, but not as it should.
    Warning,
    /// It doesn't build, or gives wrong results.
    #[default]
    Error,
}

impl Level {
    /// As printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One rule of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the code that checks it calls it.
    pub id: String,
    /// How bad it is.
    #[serde(default)]
    pub level: Level,
    /// First version it holds for.
    pub from: Option<Version>,
    /// First version it no longer holds for.
    pub until: Option<Version>,
    /// Where the rule comes from.
    pub source: String,
    /// What to do about a finding.
    pub fix: String,
}

impl Rule {
    /// Whether it holds for `version`.
    pub fn holds(&self, version: Version) -> bool {
        self.from.is_none_or(|v| version >= v) && self.until.is_none_or(|v| version < v)
    }
}

/// The opsets that a version reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opsets {
    /// TensorRT's version.
    pub name: Version,
    /// Lowest opset.
    pub opset_min: i64,
    /// Highest opset.
    pub opset_max: i64,
}

/// A board that a target may name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its short name.
    pub name: String,
    /// The TensorRT of its JetPack.
    pub version: Version,
    /// Memory of CPU and GPU together, MiB.
    pub memory_mib: u64,
    /// `platformHasFastInt8()`.
    pub fast_int8: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    since: Version,
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    versions: Vec<Opsets>,
    boards: Vec<Board>,
    operators: Vec<Since>,
    hints: HashMap<String, String>,
    rules: Vec<Rule>,
}

/// The file, indexed.
pub struct Table {
    versions: Vec<Opsets>,
    /// The boards by name.
    pub boards: Vec<Board>,
    operators: HashMap<String, Version>,
    hints: HashMap<String, String>,
    /// The rules in the file's order.
    pub rules: Vec<Rule>,
}

impl Table {
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let File { mut versions, boards, operators, hints, rules } = toml::from_str(text)?;
        versions.sort_by_key(|v| v.name);
        let operators = operators.into_iter().flat_map(|s| s.names.into_iter().map(move |n| (n, s.since))).collect();
        Ok(Self { versions, boards, operators, hints, rules })
    }

    /// The rule `id`, when it holds for `version`.
    pub fn rule(&self, id: &str, version: Version) -> Option<&Rule> {
        self.rules.iter().find(|r| r.id == id && r.holds(version))
    }

    /// Opsets of `version`: its own row, or that of the next older version.
    pub fn opsets(&self, version: Version) -> Option<&Opsets> {
        self.versions.iter().rev().find(|v| v.name <= version).or(self.versions.first())
    }

    /// First version that takes the operator; `None` for one in no list that was read.
    pub fn since(&self, op: &str) -> Option<Version> {
        self.operators.get(op).copied()
    }

    /// What to write instead of the operator.
    pub fn hint(&self, op: &str) -> Option<&str> {
        self.hints.get(op).map(String::as_str)
    }
}

/// The table of this binary.
pub fn table() -> &'static Table {
    static TABLE: LazyLock<Table> =
        LazyLock::new(|| Table::parse(include_str!("rules.toml")).expect("part of the binary, read in every test run"));
    &TABLE
}

/// What a model is checked for: a version, and the board where one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// TensorRT's version.
    pub version: Version,
    /// The board, for memory and INT8.
    pub board: Option<Board>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        if let Some(board) = table().boards.iter().find(|b| b.name == s) {
            return Ok(Self { version: board.version, board: Some(board.clone()) });
        }
        let boards = table().boards.iter().map(|b| b.name.as_str()).collect::<Vec<_>>().join(", ");
        let version =
            s.strip_prefix("tensorrt-").ok_or_else(|| format!("{s:?}: tensorrt-8.2 and the like, or {boards}"))?;
        let version = Version::try_from(version)?;
        if version < Version(8, 0) {
            return Err(format!("{s:?}: TensorRT before 8.0 is not supported"));
        }
        Ok(Self { version, board: None })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tensorrt-{}", self.version)?;
        self.board.as_ref().map_or(Ok(()), |b| write!(f, " on {}", b.name))
    }
}
