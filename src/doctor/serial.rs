//! The serial port to the POS, and who else might want it.

use std::path::{Path, PathBuf};

use super::{Answer, Seen, Site, fail, ok, skipped, warn};

/// The port as configured, and the device that it leads to.
fn port_of(site: &Site) -> Result<(PathBuf, String), Answer> {
    let config = site.settings()?;
    let path = site.place(&config.port.path);
    let node = site.tree.link(&path).unwrap_or_else(|| path.clone());
    let name = node.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((path, name))
}

pub(super) fn port(site: &Site) -> Seen {
    let (path, name) = port_of(site)?;
    if site.tree.exists(Path::new("/dev").join(&name)) || site.tree.exists(&path) && site.tree.link(&path).is_none() {
        return ok(format!("{} ({name})", path.display()));
    }
    let others: Vec<String> = site.tree.list("/dev/serial/by-id");
    let hint =
        if others.is_empty() { "plug the adapter in".to_owned() } else { format!("here are: {}", others.join(", ")) };
    fail(format!("{} is missing", path.display()), format!("{hint}; then write it as port.path"))
}

pub(super) fn access(site: &Site) -> Seen {
    let (path, _) = port_of(site)?;
    if !site.live {
        return skipped("a recorded tree does not keep modes");
    }
    match rustix::fs::access(&path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK) {
        Ok(()) => ok("it can be opened"),
        Err(rustix::io::Errno::NOENT) => skipped("it is missing"),
        Err(error) => fail(format!("{}: {error}", path.display()), "sudo usermod -aG dialout till, and start anew"),
    }
}

fn enabled(site: &Site, unit: &str) -> bool {
    let wants = ["/etc/systemd/system/multi-user.target.wants", "/etc/systemd/system/getty.target.wants"];
    wants.iter().any(|folder| site.tree.exists(Path::new(folder).join(unit)))
}

/// The Nano gives its 40-pin UART to a login prompt.
pub(super) fn getty(site: &Site) -> Seen {
    let (_, name) = port_of(site)?;
    if name == "ttyTHS1" && enabled(site, "nvgetty.service") {
        return fail("nvgetty answers on ttyTHS1", "sudo systemctl disable --now nvgetty, and reboot");
    }
    let unit = format!("serial-getty@{name}.service");
    if enabled(site, &unit) {
        return fail(format!("a login prompt answers on {name}"), format!("sudo systemctl disable --now {unit}"));
    }
    ok("no login prompt on it")
}

pub(super) fn console(site: &Site) -> Seen {
    let (_, name) = port_of(site)?;
    let Some(line) = site.tree.text("/proc/cmdline") else { return skipped("/proc/cmdline can't be read") };
    let consoles = line.split_whitespace().filter_map(|word| word.strip_prefix("console="));
    match consoles.map(|console| console.split(',').next().unwrap_or_default()).find(|console| *console == name) {
        Some(console) => fail(
            format!("the kernel writes its messages to {console}"),
            "take console= out of /boot/extlinux/extlinux.conf (or the boot loader's settings) and reboot",
        ),
        None => ok("the kernel does not write to it"),
    }
}

pub(super) fn modem_manager(site: &Site) -> Seen {
    let (_, name) = port_of(site)?;
    if !(name.starts_with("ttyUSB") || name.starts_with("ttyACM")) {
        return skipped("the port is not on USB");
    }
    if enabled(site, "ModemManager.service") {
        warn(
            "ModemManager probes each new serial adapter with modem commands",
            "sudo systemctl disable --now ModemManager",
        )
    } else {
        ok("no ModemManager")
    }
}

/// Ubuntu's braille driver takes adapters of the same maker id as many converters.
pub(super) fn brltty(site: &Site) -> Seen {
    let rules = ["/lib/udev/rules.d", "/usr/lib/udev/rules.d"];
    if rules.iter().any(|folder| site.tree.list(folder).iter().any(|name| name.ends_with("-brltty.rules"))) {
        warn("brltty takes CH340 and CP210x adapters away", "sudo apt-get remove brltty")
    } else {
        ok("no brltty")
    }
}

/// FTDI adapters hold bytes back, by default for 16 ms.
pub(super) fn latency(site: &Site) -> Seen {
    let (_, name) = port_of(site)?;
    let path = format!("/sys/bus/usb-serial/devices/{name}/latency_timer");
    match site.tree.number(&path) {
        None => skipped("the adapter has no latency timer"),
        Some(ms @ 0..=2) => ok(format!("{ms} ms")),
        Some(ms) => warn(
            format!("the adapter holds bytes back for {ms} ms"),
            format!("echo 1 | sudo tee {path} (till's udev rules do it)"),
        ),
    }
}
