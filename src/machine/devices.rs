//! Cameras, serial ports and bridge converters that could play a role, with what tells one from another: udev's own
//! words for them (`/run/udev/data`), since a rule matches those and nothing else.

use std::fmt;

use serde::Serialize;

use super::Tree;

/// What a device can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A V4L2 node that captures.
    Camera,
    /// A tty with a real port behind it.
    Serial,
    /// A bridge converter on IIO.
    Converter,
}

impl Kind {
    /// The kernel's subsystem, as a rule names it.
    pub fn subsystem(self) -> &'static str {
        match self {
            Self::Camera => "video4linux",
            Self::Serial => "tty",
            Self::Converter => "iio",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Camera => "/sys/class/video4linux",
            Self::Serial => "/sys/class/tty",
            Self::Converter => "/sys/bus/iio/devices",
        }
    }
}

/// A device that could play a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// What it can be used for.
    pub kind: Kind,
    /// The kernel's name of the moment, `video0`; another one after the next plug.
    pub name: String,
    /// What its maker or driver calls it.
    pub label: String,
    /// `ID_SERIAL`: maker, model and, where it has one, its number.
    pub serial: Option<String>,
    /// Whether that has a number of its own (`ID_SERIAL_SHORT`).
    pub numbered: bool,
    /// `ID_PATH`: the socket that it is plugged into.
    pub path: Option<String>,
    /// `ID_USB_INTERFACE_NUM`: which of an adapter's ports.
    pub interface: Option<String>,
    /// V4L2's number among the nodes of one camera.
    pub index: Option<String>,
    /// The kernel's name of what it is part of, `6-002a`; of converters.
    pub parent: Option<String>,
    /// Part of the board, so that its name never changes.
    pub onboard: bool,
    /// Names below `/dev` that udev gave it.
    pub links: Vec<String>,
}

impl Candidate {
    /// The node of the moment.
    pub fn node(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// The roles that it plays now.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.links.iter().filter_map(|link| link.strip_prefix("till/"))
    }

    /// Whether `word` means this device: its name, node, serial, path, any name that udev gave it,
    /// or a converter's driver.
    pub fn is_called(&self, word: &str) -> bool {
        let bare = word.strip_prefix("/dev/").unwrap_or(word);
        bare == self.name
            || self.serial.as_deref() == Some(word)
            || self.path.as_deref() == Some(word)
            || self.links.iter().any(|link| link == bare)
            || self.kind == Kind::Converter && self.label == word
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.node(), self.label)?;
        if let Some(path) = &self.path {
            write!(f, ", {path}")?;
        }
        f.write_str(")")
    }
}

/// What udev noted of a device: its names and its properties.
#[derive(Debug, Default)]
struct Noted {
    links: Vec<String>,
    properties: Vec<(String, String)>,
}

impl Noted {
    fn of(tree: &Tree, folder: &str) -> Self {
        let mut noted = Self::default();
        let number = tree.text(format!("{folder}/dev")).unwrap_or_default();
        for line in tree.text(format!("/run/udev/data/c{number}")).unwrap_or_default().lines() {
            match line.split_once(':') {
                Some(("S", link)) => noted.links.push(link.to_owned()),
                Some(("E", property)) => {
                    if let Some((key, value)) = property.split_once('=') {
                        noted.properties.push((key.to_owned(), value.to_owned()));
                    }
                }
                _ => {}
            }
        }
        noted.links.sort_unstable();
        noted
    }

    fn get(&self, key: &str) -> Option<String> {
        self.properties.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, value)| value.clone())
    }
}

/// A converter of a bridge, by its driver's name; other IIO devices measure light or the board's own supply.
pub fn is_converter(name: &str) -> bool {
    ["hx711", "ads1", "nau7802"].iter().any(|start| name.starts_with(start))
}

/// Every candidate: cameras, then serial ports, then converters, each by its number.
pub fn candidates(tree: &Tree) -> Vec<Candidate> {
    let mut found = Vec::new();
    for kind in [Kind::Camera, Kind::Serial, Kind::Converter] {
        let mut names = tree.list(kind.folder());
        names.sort_by_key(|name| (name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned(), number(name)));
        found.extend(names.into_iter().filter_map(|name| candidate(tree, kind, name)));
    }
    found
}

fn number(name: &str) -> u32 {
    name.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn candidate(tree: &Tree, kind: Kind, name: String) -> Option<Candidate> {
    let folder = format!("{}/{name}", kind.folder());
    let noted = Noted::of(tree, &folder);
    let read = |file: &str| tree.text(format!("{folder}/{file}")).filter(|text| !text.is_empty());
    let mut found = Candidate {
        kind,
        label: noted.get("ID_MODEL").unwrap_or_else(|| name.clone()),
        serial: noted.get("ID_SERIAL"),
        numbered: noted.get("ID_SERIAL_SHORT").is_some(),
        path: noted.get("ID_PATH"),
        interface: None,
        index: None,
        parent: None,
        onboard: false,
        links: noted.links.clone(),
        name,
    };
    match kind {
        Kind::Camera => {
            // A camera has a second node for metadata, which captures nothing.
            if !found.name.starts_with("video") || !noted.get("ID_V4L_CAPABILITIES")?.contains(":capture:") {
                return None;
            }
            found.label = read("name").unwrap_or(found.label);
            found.index = read("index");
        }
        Kind::Serial => {
            // Only a port that hangs on something real has this link; a virtual terminal has none.
            if !tree.exists(format!("{folder}/device")) || is_phantom(tree, &folder) || is_console(tree, &found.name) {
                return None;
            }
            found.interface = noted.get("ID_USB_INTERFACE_NUM");
            found.onboard =
                found.path.is_none() && !found.name.starts_with("ttyUSB") && !found.name.starts_with("ttyACM");
            if found.onboard {
                "on the board".clone_into(&mut found.label);
            }
        }
        Kind::Converter => {
            found.label = read("name").filter(|name| is_converter(name))?;
            let real = tree.canonical(&folder)?;
            found.parent = real.parent().and_then(|parent| Some(parent.file_name()?.to_str()?.to_owned()));
        }
    }
    Some(found)
}

/// The kernel of a PC makes four of these whether there are ports or not; a type of 0 is none (`PORT_UNKNOWN`).
fn is_phantom(tree: &Tree, folder: &str) -> bool {
    tree.number(format!("{folder}/type")) == Some(0)
}

/// The kernel's own console is nobody else's.
fn is_console(tree: &Tree, name: &str) -> bool {
    tree.text("/sys/class/tty/console/active").is_some_and(|active| active.split_whitespace().any(|tty| tty == name))
}
