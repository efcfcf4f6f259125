//! Who is the tray's camera, who the POS: names below `/dev/till` that udev gives by what a device *is*, since numbers
//! change at each plug. Pure: candidates and wishes come in, the text of the rules goes out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use super::devices::{Candidate, Kind};

/// Where the rules stand. After udev's own, which find out what a device is.
pub const RULES: &str = "/etc/udev/rules.d/71-till-roles.rules";

/// A part that a device plays at the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The camera above the tray.
    Tray,
    /// The camera that sees members.
    Face,
    /// The serial port to the POS.
    Pos,
    /// A serial scale, or a bridge converter.
    Scale,
}

impl Role {
    /// Every role, in the order in which they are asked for.
    pub const ALL: [Self; 4] = [Self::Tray, Self::Face, Self::Pos, Self::Scale];

    /// As written on the command line and below `/dev/till`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tray => "tray",
            Self::Face => "face",
            Self::Pos => "pos",
            Self::Scale => "scale",
        }
    }

    /// `/dev/till/tray`.
    pub fn link(self) -> PathBuf {
        Path::new("/dev/till").join(self.as_str())
    }

    /// Whether a device of that kind can play it.
    pub fn suits(self, kind: Kind) -> bool {
        match self {
            Self::Tray | Self::Face => kind == Kind::Camera,
            Self::Pos => kind == Kind::Serial,
            Self::Scale => kind != Kind::Camera,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.as_str() == s).ok_or_else(|| format!("{s:?}: tray, face, pos or scale"))
    }
}

/// What is wished for a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The device of that name, serial or path.
    Device(String),
    /// The only one there is.
    Only,
    /// Nobody plays it.
    Nobody,
}

/// Why no rule was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing plugged in suits.
    Missing(String),
    /// More than one suits, or another role has it: a person must choose.
    Ambiguous(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Missing(text) | Self::Ambiguous(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Refusal {}

/// One line of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The role that it gives.
    pub role: Role,
    /// What a device is known by and why, for people.
    pub known_by: String,
    /// Keys and values that a device must have, all of them.
    matches: Vec<(String, String)>,
}

/// What stands behind the matches: the name, and systemd's word that a unit may wait for it.
fn given(role: Role) -> String {
    format!("SYMLINK+=\"till/{role}\", TAG+=\"systemd\"")
}

impl Rule {
    /// Whether udev would give the role to `candidate`. A key that no rule of ours has matches nothing.
    pub fn matches(&self, candidate: &Candidate) -> bool {
        self.matches.iter().all(|(key, value)| value_of(candidate, key).is_some_and(|has| has == value))
    }

    /// A line, and the comment above it.
    fn read(line: &str, above: &str) -> Option<Self> {
        let (matches, name) = line.split_once(", SYMLINK+=\"till/")?;
        let role = name.split_once('"')?.0.parse().ok()?;
        let pair = |part: &str| {
            let (key, value) = part.split_once("==")?;
            Some((key.to_owned(), value.strip_prefix('"')?.strip_suffix('"')?.to_owned()))
        };
        let known_by = above.strip_prefix(&format!("# {role}: ")).unwrap_or("by a rule without a word").to_owned();
        Some(Self { role, known_by, matches: matches.split(", ").map(pair).collect::<Option<_>>()? })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.matches {
            write!(f, "{key}==\"{value}\", ")?;
        }
        f.write_str(&given(self.role))
    }
}

/// What udev would compare `key` with.
fn value_of<'c>(candidate: &'c Candidate, key: &str) -> Option<&'c str> {
    match key {
        "SUBSYSTEM" => Some(candidate.kind.subsystem()),
        "KERNEL" => Some(&candidate.name),
        "KERNELS" => candidate.parent.as_deref(),
        "ATTR{index}" => candidate.index.as_deref(),
        "ATTR{name}" => Some(&candidate.label),
        "ENV{ID_SERIAL}" => candidate.serial.as_deref(),
        "ENV{ID_USB_INTERFACE_NUM}" => candidate.interface.as_deref(),
        "ENV{ID_PATH}" => candidate.path.as_deref(),
        _ => None,
    }
}

/// A role with its device and how udev will know it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The role.
    pub role: Role,
    /// The device's node now; `None` while it is unplugged.
    pub node: Option<String>,
    /// How it is known again.
    pub rule: Rule,
}

/// The rules that `text`, a file of ours, has.
pub fn read(text: &str) -> Vec<Rule> {
    let above = std::iter::once("").chain(text.lines());
    text.lines().zip(above).filter_map(|(line, above)| Rule::read(line, above)).collect()
}

/// The file.
pub fn text(given: &[Given]) -> String {
    let mut text =
        "# Who plays which role at the counter. Written by `till devices assign`: run it again rather than edit.\n"
            .to_owned();
    for Given { rule, .. } in given {
        text += &format!("# {}: {}\n{rule}\n", rule.role, rule.known_by);
    }
    text
}

/// The rule that tells `chosen` from every other candidate, the least bound to a socket that does.
fn rule(role: Role, chosen: &Candidate, all: &[Candidate]) -> Result<Rule, Refusal> {
    let mut base = vec![("SUBSYSTEM", chosen.kind.subsystem())];
    if let Some(index) = &chosen.index {
        base.push(("ATTR{index}", index));
    }
    let serial = chosen.serial.as_deref();
    let mut tries: Vec<(Vec<(&str, &str)>, String)> = Vec::new();
    if let Some(serial) = serial {
        let mut by = vec![("ENV{ID_SERIAL}", serial)];
        if let Some(interface) = &chosen.interface {
            by.push(("ENV{ID_USB_INTERFACE_NUM}", interface));
        }
        let word = if chosen.numbered {
            format!("by its serial number, in any socket ({serial})")
        } else {
            format!("by its model ({serial}), in any socket: it has no number, so never plug in a second of its kind")
        };
        tries.push((by, word));
    }
    if let Some(path) = &chosen.path {
        let word = match serial {
            Some(serial) => {
                let twins: Vec<String> = all
                    .iter()
                    .filter(|other| other.kind == chosen.kind && other.serial.as_deref() == Some(serial))
                    .filter(|other| other.name != chosen.name)
                    .map(Candidate::node)
                    .collect();
                let why = match twins.len() {
                    0 => "its serial can't stand in a rule".into(),
                    _ => format!("{} has the serial {serial}, too", twins.join(" and ")),
                };
                format!("by its socket ({path}), since {why}: leave it plugged in there")
            }
            None => format!("by its socket ({path}), since it has no serial: leave it plugged in there"),
        };
        tries.push((vec![("ENV{ID_PATH}", path)], word));
    }
    if chosen.onboard {
        tries.push((vec![("KERNEL", &chosen.name)], "by its name: it is part of the board".into()));
    }
    if let (Kind::Converter, Some(parent)) = (chosen.kind, &chosen.parent) {
        tries.push((vec![("ATTR{name}", &chosen.label)], format!("by its driver's name, {}", chosen.label)));
        let by = vec![("ATTR{name}", chosen.label.as_str()), ("KERNELS", parent)];
        tries.push((by, format!("by its place on the board ({parent}), since there are several {}", chosen.label)));
    }
    let mut rivals = Vec::new();
    for (by, word) in tries {
        let matches = base.iter().chain(&by).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        // A wildcard or a quote would match something else than what was seen.
        if by.iter().any(|(_, value)| value.contains(['"', '*', '?', '[', '|', '\\', '\n', ','])) {
            continue;
        }
        let rule = Rule { role, known_by: word, matches };
        rivals = all.iter().filter(|other| other.name != chosen.name && rule.matches(other)).collect();
        if rivals.is_empty() {
            return Ok(rule);
        }
    }
    let rivals: Vec<String> = rivals.into_iter().map(ToString::to_string).collect();
    Err(Refusal::Ambiguous(match rivals.len() {
        0 => format!("{chosen} has neither serial nor path: udev could not know it again"),
        _ => format!("{chosen} and {} can't be told apart: plug them into different sockets", rivals.join(" and ")),
    }))
}

fn list(candidates: &[&Candidate]) -> String {
    candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn choose<'c>(role: Role, wish: &Wish, all: &'c [Candidate]) -> Result<Option<&'c Candidate>, Refusal> {
    let suits = |candidate: &&Candidate| role.suits(candidate.kind);
    let (found, what): (Vec<&Candidate>, String) = match wish {
        Wish::Nobody => return Ok(None),
        Wish::Only => (all.iter().filter(suits).collect(), "a device that suits".into()),
        Wish::Device(word) => (all.iter().filter(suits).filter(|c| c.is_called(word)).collect(), word.clone()),
    };
    match found[..] {
        [one] => Ok(Some(one)),
        [] => {
            let others: Vec<&Candidate> = all.iter().filter(suits).collect();
            let here = if others.is_empty() { "nothing".into() } else { list(&others) };
            Err(Refusal::Missing(format!("{role}: {what} is not there; plugged in: {here}")))
        }
        _ => Err(Refusal::Ambiguous(format!(
            "{role}: {} both fit; name one: --role {role}={}",
            list(&found),
            found[0].name
        ))),
    }
}

/// The rules after `wishes`; a role without a wish keeps its rule of `old`.
///
/// # Errors
/// A wish that nothing or more than one device fits, a device with two roles, devices that can't be told apart.
pub fn assign(all: &[Candidate], old: &[Rule], wishes: &[(Role, Wish)]) -> Result<Vec<Given>, Refusal> {
    let mut given: Vec<Given> = Vec::new();
    for role in Role::ALL {
        let new = match wishes.iter().find(|(wished, _)| *wished == role) {
            Some((_, wish)) => match choose(role, wish, all)? {
                Some(chosen) => Given { role, node: Some(chosen.node()), rule: rule(role, chosen, all)? },
                None => continue,
            },
            None => {
                let Some(rule) = old.iter().find(|rule| rule.role == role) else { continue };
                let here: Vec<&Candidate> = all.iter().filter(|candidate| rule.matches(candidate)).collect();
                if here.len() > 1 {
                    let text = format!("{role}: {} fit its rule; name one: --role {role}=...", list(&here));
                    return Err(Refusal::Ambiguous(text));
                }
                let node = here.first().map(|candidate| candidate.node());
                Given { role, node, rule: rule.clone() }
            }
        };
        if let Some(other) = given.iter().find(|other| new.node.is_some() && other.node == new.node) {
            let node = new.node.unwrap_or_default();
            let text = format!(
                "{node} is to be {} and {role}: a device plays one role; --role {role}=none frees it",
                other.role
            );
            return Err(Refusal::Ambiguous(text));
        }
        given.push(new);
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn camera(n: usize, serial: Option<&str>, socket: &str) -> Candidate {
        Candidate {
            kind: Kind::Camera,
            name: format!("video{n}"),
            label: "UVC Camera".into(),
            serial: serial.map(str::to_owned),
            numbered: false,
            path: Some(format!("platform-70090000.xusb-usb-0:{socket}:1.0")),
            interface: None,
            index: Some("0".into()),
            parent: None,
            onboard: false,
            links: Vec::new(),
        }
    }

    fn wish(role: Role, word: &str) -> (Role, Wish) {
        (role, Wish::Device(word.into()))
    }

    #[test]
    fn a_rule_comes_back_as_it_was_written() {
        let all = [camera(0, Some("A"), "2.1"), camera(2, Some("A"), "2.2")];
        let wishes = [wish(Role::Tray, "video2"), wish(Role::Face, "/dev/video0")];
        let given = assign(&all, &[], &wishes).unwrap();
        let rules = read(&text(&given));
        assert_eq!(rules, given.iter().map(|given| given.rule.clone()).collect::<Vec<_>>());
        // Without a wish everything stays.
        let again = assign(&all, &rules, &[]).unwrap();
        assert_eq!(
            again.iter().map(|g| g.node.as_deref()).collect::<Vec<_>>(),
            [Some("/dev/video2"), Some("/dev/video0")]
        );
    }

    #[test]
    fn two_for_one_role_and_one_for_two_are_refused_with_their_names() {
        let all = [camera(0, Some("A"), "2.1"), camera(2, Some("B"), "2.2")];
        let refused = |wishes: &[(Role, Wish)]| assign(&all, &[], wishes).unwrap_err().to_string();
        let both = refused(&[(Role::Tray, Wish::Only)]);
        assert!(both.contains("/dev/video0") && both.contains("/dev/video2"), "{both}");
        let twice = refused(&[wish(Role::Tray, "A"), wish(Role::Face, "video0")]);
        assert!(twice.contains("tray and face"), "{twice}");
        let none = refused(&[(Role::Pos, Wish::Only)]);
        assert!(none.contains("nothing"), "{none}");
        // One socket and one serial: nothing is left to know them by.
        let same = [camera(0, Some("A"), "2.1"), camera(2, Some("A"), "2.1")];
        let both = assign(&same, &[], &[wish(Role::Tray, "video0")]).unwrap_err().to_string();
        assert!(both.contains("/dev/video2") && both.contains("told apart"), "{both}");
    }

    #[test]
    fn a_second_one_of_a_kept_rule_is_refused() {
        let one = [camera(0, Some("A"), "2.1")];
        let rules = read(&text(&assign(&one, &[], &[(Role::Tray, Wish::Only)]).unwrap()));
        let two = [camera(0, Some("A"), "2.1"), camera(2, Some("A"), "2.2")];
        let both = assign(&two, &rules, &[]).unwrap_err().to_string();
        assert!(both.contains("/dev/video0") && both.contains("/dev/video2"), "{both}");
        let gone = assign(&[], &rules, &[]).unwrap();
        assert_eq!(gone.iter().map(|given| given.node.clone()).collect::<Vec<_>>(), [None], "unplugged, but kept");
    }

    #[test]
    fn what_is_no_plain_word_stands_in_no_rule() {
        let mut odd = camera(0, Some("A*\", RUN+=\"x"), "2.1");
        let given = assign(&[odd.clone()], &[], &[(Role::Tray, Wish::Only)]).unwrap();
        assert!(!text(&given).lines().any(|line| !line.starts_with('#') && line.contains("RUN")), "{}", text(&given));
        odd.path = None;
        assert!(assign(&[odd], &[], &[(Role::Tray, Wish::Only)]).is_err());
    }

    proptest! {
        /// Whatever is plugged in: a rule matches the chosen device and no other one.
        #[test]
        fn a_rule_matches_its_device_alone(
            devices in proptest::collection::vec((proptest::option::of(0..3_u8), 0..4_u8, 0..2_u8), 1..8),
            pick in any::<proptest::sample::Index>(),
        ) {
            let all: Vec<Candidate> = devices.iter().enumerate().map(|(n, (serial, socket, index))| {
                let serial = serial.map(|serial| format!("maker_{serial}"));
                let mut camera = camera(n, serial.as_deref(), &socket.to_string());
                camera.index = Some(index.to_string());
                camera
            }).collect();
            let chosen = &all[pick.index(all.len())];
            match assign(&all, &[], &[wish(Role::Tray, &chosen.name)]) {
                Ok(given) => {
                    let hit: Vec<&str> =
                        all.iter().filter(|c| given[0].rule.matches(c)).map(|c| c.name.as_str()).collect();
                    prop_assert_eq!(hit, [chosen.name.as_str()]);
                }
                Err(Refusal::Ambiguous(text)) => {
                    let twin = all.iter().any(|other| {
                        other.name != chosen.name && other.path == chosen.path && other.index == chosen.index
                    });
                    prop_assert!(twin && text.contains(&chosen.node()), "{}", text);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
