//! The service: installed, started at boot, watched over.

use super::{Seen, Site, fail, ok, skipped, warn};

const UNIT_FOLDERS: [&str; 3] = ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"];

fn unit_text(site: &Site) -> Option<(String, String)> {
    UNIT_FOLDERS.iter().find_map(|folder| {
        let path = format!("{folder}/till.service");
        site.tree.text(&path).map(|text| (path, text))
    })
}

pub(super) fn unit(site: &Site) -> Seen {
    match unit_text(site) {
        Some((path, text)) if text.contains("Type=notify") => ok(path),
        Some((path, _)) => {
            warn(format!("{path} is not till's own"), format!("remove {path}: the package brings its own"))
        }
        None => skipped("till is not installed as a service"),
    }
}

pub(super) fn enabled(site: &Site) -> Seen {
    if unit_text(site).is_none() {
        return skipped("till is not installed as a service");
    }
    let wants = [
        "/etc/systemd/system/multi-user.target.wants/till.service",
        "/etc/systemd/system/till.target.wants/till.service",
    ];
    if wants.iter().any(|path| site.tree.exists(path)) {
        ok("it starts at boot")
    } else {
        fail("it does not start at boot", "sudo systemctl enable --now till")
    }
}

pub(super) fn groups(site: &Site) -> Seen {
    let users = site.tree.text("/etc/passwd").unwrap_or_default();
    if !users.lines().any(|line| line.starts_with("till:")) {
        return skipped("there is no user till");
    }
    let text = site.tree.text("/etc/group").unwrap_or_default();
    let member = |group: &str| {
        let line = text.lines().find(|line| line.split(':').next() == Some(group));
        line.and_then(|line| line.rsplit(':').next()).is_some_and(|users| users.split(',').any(|user| user == "till"))
    };
    let lacking: Vec<&str> = ["video", "dialout", "gpio"].into_iter().filter(|group| !member(group)).collect();
    if lacking.is_empty() {
        ok("user till is in video, dialout and gpio")
    } else {
        let list = lacking.join(",");
        fail(
            format!("user till is not in {list}"),
            format!("sudo usermod -aG {list} till && sudo systemctl restart till"),
        )
    }
}

pub(super) fn udev(site: &Site) -> Seen {
    let folders = ["/etc/udev/rules.d", "/lib/udev/rules.d", "/usr/lib/udev/rules.d"];
    let ours = |folder: &&str| site.tree.list(folder).iter().any(|name| name == "70-till.rules");
    if folders.iter().any(ours) {
        ok("till's rules are there")
    } else if unit_text(site).is_none() {
        skipped("till is not installed as a service")
    } else {
        fail(
            "till's udev rules are missing: /dev/till stays empty",
            "reinstall the package, then: sudo udevadm trigger",
        )
    }
}

/// Whether the installed version is the one that runs; `systemd/rollback` writes these files.
pub(super) fn upgrade(site: &Site) -> Seen {
    let Some(installed) = site.tree.text("/usr/lib/till/version") else { return skipped("till came in no package") };
    let state = |name: &str| {
        let text = site.tree.text(format!("/var/lib/till/upgrade/{name}"))?;
        let (version, rest) = text.split_once(' ').unwrap_or((&text, ""));
        (version == installed).then(|| rest.to_owned())
    };
    if let Some(why) = state("rolled-back") {
        let before = site.tree.text("/usr/lib/till/previous/version").unwrap_or_else(|| "the one before".into());
        return fail(
            format!("version {installed} {why}: {before} runs instead"),
            "journalctl -u till tells why; then install another one, or: sudo /usr/lib/till/rollback again",
        );
    }
    match (state("trial"), site.settings()?.upgrade.rollback) {
        (Some(starts), _) => ok(format!("version {installed} is on trial, {starts} starts so far")),
        (None, true) => ok(format!("version {installed}; one that does not get ready is rolled back")),
        (None, false) => ok(format!("version {installed}; upgrade.rollback is off")),
    }
}

/// The process of the daemon, by its name.
fn process(site: &Site) -> Option<String> {
    let numbers = site.tree.list("/proc").into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    numbers.filter(|pid| site.tree.text(format!("/proc/{pid}/comm")).as_deref() == Some("till")).find(|pid| {
        let words = site.tree.text(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split('\0').nth(1) == Some("run")
    })
}

pub(super) fn watchdog(site: &Site) -> Seen {
    let Some(pid) = process(site) else { return skipped("the daemon does not run") };
    let Some(environment) = site.tree.text(format!("/proc/{pid}/environ")) else {
        return skipped(format!("the environment of process {pid} can't be read; run as root"));
    };
    let usec = environment.split('\0').find_map(|word| word.strip_prefix("WATCHDOG_USEC=")?.parse::<u64>().ok());
    match usec {
        Some(usec) => ok(format!("a hung daemon is restarted after {} s", usec / 1_000_000)),
        None => warn("nobody restarts a hung daemon", "start it through systemd: sudo systemctl start till"),
    }
}

pub(super) fn hardware_watchdog(site: &Site) -> Seen {
    if !site.tree.exists("/dev/watchdog") && !site.tree.exists("/dev/watchdog0") {
        return skipped("this board has no watchdog");
    }
    match manager_setting(site, "/etc/systemd/system.conf", "RuntimeWatchdogSec=") {
        Some(value) if value != "0" && value != "off" => ok(format!("a hung kernel is reset after {value}")),
        _ => warn(
            "nobody resets a hung kernel",
            "write RuntimeWatchdogSec=30 into /etc/systemd/system.conf.d/watchdog.conf",
        ),
    }
}

/// The last value of `key` in a systemd configuration and its drop-ins.
fn manager_setting(site: &Site, file: &str, key: &str) -> Option<String> {
    let drop_ins = format!("{file}.d");
    let mut files = vec![file.to_owned()];
    files.extend(site.tree.list(&drop_ins).into_iter().map(|name| format!("{drop_ins}/{name}")));
    let value = |path: String| {
        let text = site.tree.text(path)?;
        text.lines().filter_map(|line| line.trim().strip_prefix(key)).next_back().map(|v| v.trim().to_owned())
    };
    files.into_iter().filter_map(value).next_back()
}

pub(super) fn journal(site: &Site) -> Seen {
    let persistent = site.tree.exists("/var/log/journal");
    if !persistent && !site.tree.exists("/run/systemd/journal") {
        return skipped("no journal here");
    }
    match (persistent, manager_setting(site, "/etc/systemd/journald.conf", "SystemMaxUse=")) {
        (false, _) => warn(
            "the journal is lost at each restart",
            "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
        ),
        (true, None) => warn(
            "the journal may take a tenth of the disk",
            "write SystemMaxUse=200M into /etc/systemd/journald.conf.d/size.conf",
        ),
        (true, Some(most)) => ok(format!("at most {most}")),
    }
}
