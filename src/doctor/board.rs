//! The board: its system, power, clocks and heat. File layouts of the Jetson Nano are those of NVIDIA's L4T 32
//! documentation (clock, thermal and power chapters) and of its kernel sources.

use super::{Seen, Site, fail, ok, skipped, warn};
use crate::machine::sensors;

/// L4T release -> JetPack, newest first. Source: NVIDIA's JetPack archive.
const JETPACKS: &[(&str, &str)] =
    &[("36.", "6"), ("35.", "5"), ("32.7.", "4.6.1 or newer"), ("32.6.", "4.6"), ("32.5.", "4.5"), ("32.4.", "4.4")];
/// Degrees at which the Nano's own governor begins to throttle lie above 90; a box in a counter should stay far below.
const WARM_C: u64 = 75;
const HOT_C: u64 = 88;
/// The Nano's converter needs 4.75 V.
const SUPPLY_MV_MIN: u64 = 4_750;

pub(super) fn model(site: &Site) -> Seen {
    let dmi = || site.tree.text("/sys/class/dmi/id/product_name");
    match site.tree.text("/proc/device-tree/model").or_else(dmi).filter(|text| !text.is_empty()) {
        Some(model) => ok(model),
        None => skipped("the kernel does not name the board"),
    }
}

/// `# R32 (release), REVISION: 7.1, ...` -> `32.7.1`
fn l4t(site: &Site) -> Option<String> {
    let text = site.tree.text("/etc/nv_tegra_release")?;
    let major = text.split('R').nth(1)?.split_whitespace().next()?.to_owned();
    let minor = text.split("REVISION: ").nth(1)?.split(',').next()?.trim().to_owned();
    Some(format!("{major}.{minor}"))
}

pub(super) fn jetpack(site: &Site) -> Seen {
    let Some(release) = l4t(site) else { return skipped("this is no Jetson") };
    match JETPACKS.iter().find(|(prefix, _)| release.starts_with(prefix)) {
        Some((_, jetpack)) => ok(format!("L4T {release}, JetPack {jetpack}")),
        None => warn(format!("L4T {release} was never tried"), "use JetPack 4.6.x on a Nano, 5 or 6 on an Orin"),
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn kernel(site: &Site) -> Seen {
    let Some(release) = site.tree.text("/proc/sys/kernel/osrelease") else {
        return skipped("the kernel's release can't be read");
    };
    match version(&release) {
        Some(v) if v < (4, 8) => {
            fail(format!("{release} has no GPIO character device"), "use a kernel of 4.9 or newer (JetPack 4.6)")
        }
        Some(v) if v < (5, 10) => ok(format!("{release}: GPIO through version 1 of its interface")),
        Some(_) => ok(format!("{release}: GPIO through version 2 of its interface")),
        None => skipped(format!("{release:?} is no version")),
    }
}

pub(super) fn gpu(site: &Site) -> Seen {
    let nodes = ["/dev/nvhost-ctrl-gpu", "/dev/nvgpu/igpu0/ctrl", "/dev/nvidia0"];
    match nodes.iter().find(|node| site.tree.exists(node)) {
        Some(node) => ok((*node).to_owned()),
        None if l4t(site).is_some() => {
            fail("the GPU's device node is missing", "reboot; if it stays away, flash the board anew")
        }
        None => skipped("no GPU: the CPU runs the engines"),
    }
}

pub(super) fn tensorrt(site: &Site) -> Seen {
    let folders = ["/usr/lib/aarch64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/local/lib"];
    let found = folders.iter().flat_map(|folder| site.tree.list(folder)).find(|n| n.starts_with("libnvinfer.so."));
    match found {
        Some(library) => ok(library),
        None if l4t(site).is_some() => warn(
            "TensorRT's library is missing: the CPU runs the engines",
            "sudo apt-get install libnvinfer8 libnvonnxparsers8 (nvidia-l4t-apt-source)",
        ),
        None => skipped("no TensorRT: the CPU runs the engines"),
    }
}

pub(super) fn power_mode(site: &Site) -> Seen {
    let Some(status) = site.tree.text("/var/lib/nvpmodel/status") else { return skipped("this board has no nvpmodel") };
    match status.strip_prefix("pmode:").and_then(|mode| mode.parse::<u32>().ok()) {
        Some(0) => ok("mode 0, the full one"),
        Some(mode) => warn(format!("mode {mode} caps cores and clocks"), "sudo nvpmodel -m 0 (needs a 5 V 4 A supply)"),
        None => skipped(format!("{status:?} is not understood")),
    }
}

pub(super) fn supply(site: &Site) -> Seen {
    if let Some(mv) = sensors::supply_mv(&site.tree) {
        let text = format!("{}.{:03} V at the input", mv / 1000, mv % 1000);
        return if mv < SUPPLY_MV_MIN {
            fail(text, "use a 5 V 4 A supply at the barrel jack with jumper J48 set, and a short cable")
        } else {
            ok(text)
        };
    }
    skipped("this board does not measure its supply")
}

pub(super) fn cores(site: &Site) -> Seen {
    let read = |name: &str| site.tree.text(format!("/sys/devices/system/cpu/{name}"));
    match (read("online"), read("possible")) {
        (Some(online), Some(possible)) if online == possible => ok(format!("cores {online}")),
        (Some(online), Some(possible)) => {
            // A virtual machine counts sockets that it may get one day.
            let present = read("present").unwrap_or_else(|| possible.clone());
            if online == present {
                ok(format!("cores {online}"))
            } else {
                warn(format!("only cores {online} of {present} are on"), "sudo nvpmodel -m 0 && sudo jetson_clocks")
            }
        }
        _ => skipped("the kernel does not list its cores"),
    }
}

pub(super) fn clock_cap(site: &Site) -> Seen {
    let read = |name: &str| site.tree.number(format!("/sys/devices/system/cpu/cpu0/cpufreq/{name}"));
    match (read("scaling_max_freq"), read("cpuinfo_max_freq")) {
        (Some(cap), Some(most)) if cap < most => {
            let text = format!("the cores are held at {} of {} MHz", cap / 1000, most / 1000);
            warn(text, "find what throttles: power.supply, thermal.temperature, power.mode")
        }
        (Some(cap), Some(_)) => ok(format!("up to {} MHz", cap / 1000)),
        _ => skipped("the clock can't be read"),
    }
}

pub(super) fn governor(site: &Site) -> Seen {
    match site.tree.text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").as_deref() {
        Some("powersave") => {
            warn("governor powersave holds the lowest clock", "sudo jetson_clocks, or governor schedutil")
        }
        Some(governor) => ok(governor.to_owned()),
        None => skipped("there is no governor"),
    }
}

pub(super) fn temperature(site: &Site) -> Seen {
    let Some((milli, kind)) = sensors::hottest(&site.tree) else { return skipped("no thermal zone") };
    let text = format!("{kind} has {} degrees", milli / 1000);
    match milli / 1000 {
        HOT_C.. => fail(text, "the board throttles: clear its air, mount the fan, take it out of the sun"),
        WARM_C.. => warn(text, "give the case more air, or mount the fan"),
        _ => ok(text),
    }
}

pub(super) fn fan(site: &Site) -> Seen {
    let Some(target) = site.tree.number("/sys/devices/pwm-fan/target_pwm") else { return skipped("there is no fan") };
    let turns = site.tree.number("/sys/devices/pwm-fan/rpm_measured");
    match (target, turns) {
        (1.., Some(0)) => {
            fail(format!("the fan is driven with {target} of 255 and does not turn"), "plug it in, or replace it")
        }
        (target, _) => ok(format!("driven with {target} of 255")),
    }
}
