//! Memory: what is left, and whether the kernel ever had to kill.

use super::{Seen, Site, fail, ok, skipped, warn};

/// A session with both engines takes less than this, kB.
const AVAILABLE_KB_MIN: u64 = 256 << 10;
/// What the daemon may hold, bytes.
const RSS_BYTES_MAX: u64 = 400 << 20;

fn field(site: &Site, name: &str) -> Option<u64> {
    let text = site.tree.text("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

pub(super) fn available(site: &Site) -> Seen {
    match field(site, "MemAvailable") {
        Some(kb) if kb < AVAILABLE_KB_MIN => warn(
            format!("only {} MB are left", kb >> 10),
            "stop the desktop: sudo systemctl set-default multi-user.target",
        ),
        Some(kb) => ok(format!("{} MB are left", kb >> 10)),
        None => skipped("/proc/meminfo can't be read"),
    }
}

pub(super) fn swap(site: &Site) -> Seen {
    let text = site.tree.text("/proc/swaps").unwrap_or_default();
    let on_flash = |line: &&str| {
        let name = line.split_whitespace().next().unwrap_or_default();
        !name.contains("zram") && (name.starts_with("/dev/mmcblk") || !name.starts_with("/dev/"))
    };
    match text.lines().skip(1).find(on_flash) {
        Some(line) => warn(
            format!("{} swaps to the card, which wears it out", line.split_whitespace().next().unwrap_or_default()),
            "sudo swapoff -a, take it out of /etc/fstab; zram serves",
        ),
        None => ok("no swap on a card"),
    }
}

pub(super) fn killed(site: &Site) -> Seen {
    let events = [
        "/sys/fs/cgroup/system.slice/till.service/memory.events",
        "/sys/fs/cgroup/memory/system.slice/till.service/memory.oom_control",
    ];
    let Some(text) = events.iter().find_map(|path| site.tree.text(path)) else {
        return skipped("the service has no memory group");
    };
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse::<u64>().ok());
    match count {
        Some(0) => ok("never killed for want of memory"),
        Some(n) => fail(
            format!("killed {n} times for want of memory"),
            "raise MemoryMax= in a drop-in of till.service, and report how long it ran",
        ),
        None => skipped("this kernel does not count it"),
    }
}

pub(super) fn daemon(site: &Site) -> Seen {
    let rss_bytes = site.status()?.rss_bytes;
    let text = format!("the daemon holds {} MB", rss_bytes >> 20);
    if rss_bytes > RSS_BYTES_MAX {
        warn(text, "restart it, and report how long it ran: it should not grow")
    } else {
        ok(text)
    }
}
