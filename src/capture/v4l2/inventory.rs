//! What cameras this machine has: every node with its identity, the names that lead to it, formats, sizes,
//! rates and controls, for people and for `--json`. Also who holds a node. Opens nodes, streams nothing.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::device::{Answer, Device, Identity, Interval, Nodes, Rate, Size};
use super::negotiate::{self, Encoding};

/// More controls than any camera has.
const CONTROLS_MAX: usize = 128;
/// Folders whose links name nodes: roles first.
const LINKS: [&str; 3] = ["/dev/till", "/dev/v4l/by-id", "/dev/v4l/by-path"];

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Node {
    /// `/dev/video0`
    pub node: PathBuf,
    /// Links to it: roles, then ids, then paths.
    pub links: Vec<PathBuf>,
    /// The kernel's driver.
    pub driver: String,
    /// The product.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// Whether `v4l2 = ...` can take it.
    pub captures: bool,
    /// What it offers.
    pub formats: Vec<Format>,
    /// What can be set.
    pub controls: Vec<Setting>,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A format of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Format {
    /// Its four letters.
    pub fourcc: String,
    /// Whether it is read here.
    pub read: bool,
    /// Its sizes.
    pub sizes: Vec<Offered>,
}

/// A size of a format, or a range of sizes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offered {
    /// Pixels, the least of a range.
    pub width: u32,
    /// Pixels, the least of a range.
    pub height: u32,
    /// Pixels, the end of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_to: Option<(u32, u32)>,
    /// Frames a second, of the largest picture; of a range the slowest and the fastest.
    pub fps: Vec<f64>,
}

/// A control.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// As the driver calls it.
    pub name: String,
    /// Least value.
    pub min: i32,
    /// Greatest value.
    pub max: i32,
    /// From value to value.
    pub step: i32,
    /// What it begins with.
    pub default: i32,
    /// What it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i32>,
}

/// All nodes of this machine in the order of their numbers.
pub fn list(nodes: &mut dyn Nodes) -> Vec<Node> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, path)| describe(nodes, &path)).collect()
}

/// The node at `path`.
pub fn describe(nodes: &mut dyn Nodes, path: &Path) -> Node {
    let mut node = Node { node: path.to_owned(), links: links(path), ..Node::default() };
    if let Err(errno) = nodes.open(path).and_then(|mut device| ask(&mut *device, &mut node)) {
        node.error = Some(errno.to_string());
    }
    node
}

fn ask(device: &mut dyn Device, node: &mut Node) -> Answer<()> {
    let Identity { driver, card, bus, captures, streams, .. } = device.identity()?;
    (node.driver, node.card, node.bus, node.captures) = (driver, card, bus, captures && streams);
    if !captures {
        return Ok(());
    }
    for fourcc in negotiate::formats(device)? {
        let mut sizes = Vec::new();
        for size in negotiate::sizes(device, fourcc)? {
            let (least, up_to) = match size {
                Size::Exactly(w, h) => ((w, h), None),
                Size::Range { min, max, .. } => (min, Some(max)),
            };
            let rates = negotiate::rates(device, fourcc, up_to.unwrap_or(least))?;
            let fps = |interval: Interval| (interval.fps() * 100.0).round() / 100.0;
            let mut fps: Vec<f64> = rates
                .into_iter()
                .flat_map(|rate| match rate {
                    Rate::Exactly(interval) => vec![fps(interval)],
                    Rate::Range(a, b) => vec![fps(a), fps(b)],
                })
                .collect();
            fps.sort_by(f64::total_cmp);
            sizes.push(Offered { width: least.0, height: least.1, up_to, fps });
        }
        let read = Encoding::of(fourcc).is_some();
        node.formats.push(Format { fourcc: fourcc.to_string(), read, sizes });
    }
    node.controls = settings(device);
    Ok(())
}

/// The device is asked for the one behind the last, until there is none or it goes round.
fn settings(device: &mut dyn Device) -> Vec<Setting> {
    const NEXT: u32 = 0x8000_0000;
    let (mut found, mut last) = (Vec::new(), 0);
    while let Ok(control) = device.control(last | NEXT) {
        if control.id <= last || found.len() >= CONTROLS_MAX {
            break;
        }
        last = control.id;
        if control.is_number {
            let value = device.get(control.id).ok();
            let (min, max, step, default) = (control.min, control.max, control.step, control.default);
            found.push(Setting { name: control.name, min, max, step, default, value });
        }
    }
    found
}

/// The names that lead to a node.
fn links(node: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in LINKS {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut here: Vec<PathBuf> =
            entries.filter(|path| std::fs::canonicalize(path).is_ok_and(|real| real == node)).collect();
        here.sort_unstable();
        found.append(&mut here);
    }
    found
}

/// Another process that has the node open, as far as this user may see it: its name and number.
pub(super) fn holder(path: &Path) -> Option<String> {
    let real = std::fs::canonicalize(path).ok()?;
    let own = std::process::id();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(open) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let has = open.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == real));
        if has && pid != own {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}
