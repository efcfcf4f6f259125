//! The wall clock. Nothing inside depends on it, but receipts and journals are read by people.

use super::{Seen, Site, fail, ok, skipped, warn};
use crate::runtime::clock::TRUSTED_FROM_S;

pub(super) fn sane(site: &Site) -> Seen {
    match site.unix_s {
        None => skipped("nobody wrote down when this tree was recorded"),
        Some(s) if s < TRUSTED_FROM_S => fail(
            format!("the clock says year {}", 1970 + s / 31_556_952),
            "connect the network once, or: sudo date -s '...' && sudo hwclock -w",
        ),
        Some(s) => ok(format!("year {}", 1970 + s / 31_556_952)),
    }
}

pub(super) fn synchronised(site: &Site) -> Seen {
    let by = [
        ("/run/systemd/timesync/synchronized", "systemd-timesyncd"),
        ("/var/lib/chrony/drift", "chrony"),
        ("/run/chrony/chronyd.pid", "chrony"),
        ("/var/lib/ntp/ntp.drift", "ntpd"),
    ];
    match by.iter().find(|(path, _)| site.tree.exists(path)) {
        Some((_, who)) => ok(format!("set by {who}")),
        None => warn("nobody sets the clock", "sudo timedatectl set-ntp true, or a real-time clock with a battery"),
    }
}

pub(super) fn rtc(site: &Site) -> Seen {
    let clocks = site.tree.list("/sys/class/rtc");
    let boots = |name: &&String| site.tree.number(format!("/sys/class/rtc/{name}/hctosys")) == Some(1);
    match (clocks.iter().find(boots), clocks.first()) {
        (Some(name), _) => ok(format!("{name} sets the clock at the start")),
        (None, Some(name)) => {
            warn(format!("{name} is not read at the start"), "put a battery into the holder and run: sudo hwclock -w")
        }
        (None, None) => warn(
            "no clock runs while the power is off",
            "without a network the time after a power cut is wrong: add a real-time clock",
        ),
    }
}

pub(super) fn zone(site: &Site) -> Seen {
    let link = site.tree.link("/etc/localtime").map(|path| path.display().to_string());
    let named = link.as_deref().and_then(|path| path.split("zoneinfo/").nth(1)).map(str::to_owned);
    match named.or_else(|| site.tree.text("/etc/timezone")) {
        Some(zone) if zone.ends_with("UTC") => ok(format!("{zone}: receipts show universal time")),
        Some(zone) => ok(zone),
        None => ok("universal time"),
    }
}
