//! `till camera`: which cameras this machine has, and what they offer.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::capture::v4l2::Kernel;
use crate::capture::v4l2::inventory::{self, Node, Offered};
use crate::cli::{CliError, Exit};

/// Arguments of `till camera`.
#[derive(Debug, Args)]
pub struct CameraArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What `till camera` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List the kernel's cameras: names, formats, sizes, rates and controls
    ///
    /// Any of a camera's names may stand behind `v4l2 =` in the configuration; those of /dev/till and by-id stay when
    /// it is plugged in elsewhere. Works beside the running daemon.
    List(ListArgs),
}

/// Arguments of `till camera list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only this node, by any of its names
    pub node: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// Nothing there that could be listed.
pub fn run(args: &CameraArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let Action::List(args) = &args.action;
    let nodes = match &args.node {
        Some(path) => vec![inventory::describe(&mut Kernel, &path.canonicalize().unwrap_or_else(|_| path.clone()))],
        None => inventory::list(&mut Kernel),
    };
    if args.json {
        writeln!(out, "{}", json!({ "schema": "till.camera.list/1", "cameras": nodes }))?;
    } else {
        for node in &nodes {
            write!(out, "{}", text(node))?;
        }
    }
    // Nodes that could not be asked, or that give no pictures, are no cameras.
    if nodes.iter().any(|node| node.captures) {
        return Ok(Exit::Ok);
    }
    Err(CliError::new(Exit::Missing, "no camera of the kernel is here; lsusb shows whether one is plugged in"))
}

fn text(node: &Node) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let _ = writeln!(text, "{}  {} ({}, {})", node.node.display(), node.card, node.driver, node.bus);
    for link in &node.links {
        let _ = writeln!(text, "    = {}", link.display());
    }
    match &node.error {
        Some(error) => {
            let _ = writeln!(text, "    can't be asked: {error}");
        }
        None if !node.captures => {
            let _ = writeln!(text, "    gives no pictures");
        }
        None => {}
    }
    for format in node.formats.iter().filter(|format| format.read) {
        let sizes: Vec<String> = format.sizes.iter().map(size).collect();
        let _ = writeln!(text, "    {}  {}", format.fourcc, sizes.join(", "));
    }
    let unread: Vec<&str> = node.formats.iter().filter(|format| !format.read).map(|f| f.fourcc.as_str()).collect();
    if !unread.is_empty() {
        let _ = writeln!(text, "    not read here: {}", unread.join(", "));
    }
    for control in &node.controls {
        let value = control.value.map_or_else(|| "?".to_owned(), |value| value.to_string());
        let (name, min, max) = (&control.name, control.min, control.max);
        let _ = writeln!(text, "    {name}: {value} of {min} to {max}, at first {}", control.default);
    }
    text
}

fn size(offered: &Offered) -> String {
    let up_to = offered.up_to.map(|(w, h)| format!(" to {w}x{h}")).unwrap_or_default();
    let fps: Vec<String> = offered.fps.iter().map(ToString::to_string).collect();
    let rate = if fps.is_empty() { String::new() } else { format!(" at {}", fps.join("/")) };
    format!("{}x{}{up_to}{rate}", offered.width, offered.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::v4l2::inventory::{Format, Setting};

    #[test]
    fn a_camera_is_told_with_its_names_and_what_it_offers() {
        let at = |width, height, fps: &[f64]| Offered { width, height, up_to: None, fps: fps.into() };
        let node = Node {
            node: "/dev/video0".into(),
            links: vec!["/dev/till/tray".into()],
            driver: "uvcvideo".into(),
            card: "Camera".into(),
            bus: "usb-1".into(),
            captures: true,
            formats: vec![
                Format { fourcc: "MJPG".into(), read: true, sizes: vec![at(640, 480, &[15.0, 29.97])] },
                Format { fourcc: "H264".into(), read: false, sizes: vec![at(1280, 720, &[])] },
            ],
            controls: vec![Setting { name: "Gain".into(), min: 0, max: 9, step: 1, default: 2, value: Some(3) }],
            error: None,
        };
        let expected = "\
/dev/video0  Camera (uvcvideo, usb-1)
    = /dev/till/tray
    MJPG  640x480 at 15/29.97
    not read here: H264
    Gain: 3 of 0 to 9, at first 2
";
        assert_eq!(text(&node), expected);
    }

    #[test]
    fn a_node_that_is_not_there_is_an_error_of_its_own() {
        let action = Action::List(ListArgs { node: Some("/dev/video-none".into()), json: true });
        let mut out = Vec::new();
        let end = run(&CameraArgs { action }, &mut out).unwrap_err();
        assert_eq!(end.exit, Exit::Missing);
        assert!(String::from_utf8(out).unwrap().contains("No such file"));
    }
}
