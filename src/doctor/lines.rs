//! GPIO lines and the load cell.

use super::{Seen, Site, fail, ok, skipped, warn};
use crate::trigger::cell::{IIO_DEVICES, iio};

fn chips(site: &Site) -> Vec<String> {
    site.tree.list("/dev").into_iter().filter(|name| name.starts_with("gpiochip")).collect()
}

pub(super) fn chip(site: &Site) -> Seen {
    match chips(site).len() {
        0 => skipped("no GPIO character device: lines can't be read on this board"),
        n => ok(format!("{n} GPIO chips")),
    }
}

pub(super) fn access(site: &Site) -> Seen {
    if !site.live {
        return skipped("a recorded tree does not keep modes");
    }
    let Some(chip) = chips(site).into_iter().next() else { return skipped("no GPIO character device") };
    match rustix::fs::access(format!("/dev/{chip}"), rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK) {
        Ok(()) => ok(format!("/dev/{chip} can be opened")),
        Err(error) => {
            fail(format!("/dev/{chip}: {error}"), "sudo usermod -aG gpio till, and install till's udev rules")
        }
    }
}

pub(super) fn outputs(site: &Site) -> Seen {
    if site.settings()?.outputs.is_empty() {
        return skipped("neither lamp nor buzzer nor lock is configured");
    }
    let status = site.status()?;
    match status.outputs.iter().find_map(|output| output.error.as_ref()) {
        Some(error) => fail(error.clone(), "gpioinfo shows who holds it; is the name right?"),
        None => ok(format!("{} lines are driven", status.outputs.len())),
    }
}

pub(super) fn scale(site: &Site) -> Seen {
    let base = IIO_DEVICES;
    for device in site.tree.list(base).into_iter().filter(|name| name.starts_with("iio:device")) {
        let name = site.tree.text(format!("{base}/{device}/name")).unwrap_or_default();
        let channel = site
            .tree
            .list(format!("{base}/{device}"))
            .into_iter()
            .find(|n| n.starts_with("in_voltage") && n.ends_with("_raw"));
        let Some(channel) =
            channel.filter(|_| name.starts_with("hx711") || name.starts_with("ads1") || name.starts_with("nau7802"))
        else {
            continue;
        };
        let Some(text) = site.tree.text(format!("{base}/{device}/{channel}")) else {
            return fail(format!("{name} can't be read"), "look at its power and its two data lines");
        };
        return match text.parse::<i64>() {
            Ok(raw) if iio::is_disconnected(raw) => fail(
                format!("{name} reads {text}: the load cell is not connected"),
                "look at the four wires: red E+, black E-, white A-, green A+",
            ),
            Ok(raw) => ok(format!("{name} reads {raw}")),
            Err(_) => warn(
                format!("{name} reads {text:?}"),
                "load the driver anew: sudo modprobe -r hx711 && sudo modprobe hx711",
            ),
        };
    }
    skipped("no load cell on IIO")
}
