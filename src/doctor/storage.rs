//! The disk that the books lie on: sales are only as safe as it is.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Answer, Seen, Site, fail, ok, skipped, warn};

/// Free space that a year of books and logs should find, bytes.
const FREE_BYTES_MIN: u64 = 500 << 20;
/// Each sale waits for a few of these.
const FSYNC_MS_MAX: u128 = 200;
/// Attempts whose worst counts.
const FSYNC_TRIES: usize = 20;

fn state_dir_of(site: &Site) -> Result<PathBuf, Answer> {
    site.settings().map(|config| site.place(&config.counter.state_dir))
}

pub(super) fn state_dir(site: &Site) -> Seen {
    let dir = state_dir_of(site)?;
    let place = site.tree.below(&dir);
    match std::fs::metadata(&place) {
        Ok(meta) if !meta.is_dir() => {
            fail(format!("{} is no folder", dir.display()), format!("mv {0} {0}.old", dir.display()))
        }
        Ok(_) => ok(dir.display().to_string()),
        Err(error) => fail(
            format!("{}: {error}", dir.display()),
            format!("sudo systemd-tmpfiles --create, or: sudo install -d -o till -g till -m 0750 {}", dir.display()),
        ),
    }
}

struct Mount {
    device: String,
    point: PathBuf,
    kind: String,
    options: Vec<String>,
}

/// The mount that `dir` lies on: of those whose point is above it, the deepest; of equals the last.
fn mount_of(site: &Site, dir: &Path) -> Option<Mount> {
    let text = site.tree.text("/proc/mounts")?;
    let mut best: Option<Mount> = None;
    for line in text.lines() {
        let mut parts = line.split_whitespace();
        let (Some(device), Some(point), Some(kind), Some(options)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let point = PathBuf::from(point.replace("\\040", " "));
        let deeper = best.as_ref().is_none_or(|b| point.components().count() >= b.point.components().count());
        if dir.starts_with(&point) && deeper {
            best = Some(Mount {
                device: device.to_owned(),
                point,
                kind: kind.to_owned(),
                options: options.split(',').map(str::to_owned).collect(),
            });
        }
    }
    best
}

fn with_mount(site: &Site, check: impl Fn(&Mount) -> Seen) -> Seen {
    let dir = state_dir_of(site)?;
    match mount_of(site, &dir) {
        Some(mount) => check(&mount),
        None => skipped("/proc/mounts can't be read"),
    }
}

pub(super) fn medium(site: &Site) -> Seen {
    with_mount(site, |mount| match mount.kind.as_str() {
        "tmpfs" | "ramfs" => fail(
            format!("{} is a {}: every sale is gone after a power cut", mount.point.display(), mount.kind),
            "put counter.state_dir on the disk",
        ),
        "vfat" | "exfat" | "msdos" => fail(
            format!("{} is {}: it has no journal", mount.point.display(), mount.kind),
            "put counter.state_dir on ext4",
        ),
        "overlay" if site.tree.exists("/etc/overlayroot.conf") => fail(
            format!("{} is an overlay in memory", mount.point.display()),
            "mount a partition of its own at counter.state_dir",
        ),
        kind => ok(format!("{} on {}", kind, mount.device)),
    })
}

pub(super) fn mount(site: &Site) -> Seen {
    with_mount(site, |mount| {
        let point = mount.point.display();
        let has = |option: &str| mount.options.iter().any(|o| o == option);
        if has("ro") {
            return fail(
                format!("{point} is mounted read-only: nothing can be sold"),
                format!("dmesg | grep -i ext4, then: sudo mount -o remount,rw {point}"),
            );
        }
        for option in ["nobarrier", "barrier=0", "data=writeback"] {
            if has(option) {
                return fail(
                    format!("{point} is mounted with {option}: after a power cut the books may be torn"),
                    format!("take {option} out of /etc/fstab and remount"),
                );
            }
        }
        if !has("noatime") && !has("relatime") && mount.kind == "ext4" {
            return warn(format!("{point} writes a time stamp at each read"), "add noatime in /etc/fstab");
        }
        ok(format!("{point} with {}", mount.options.join(",")))
    })
}

fn live_stat(site: &Site) -> Result<(PathBuf, rustix::fs::StatVfs), Answer> {
    if !site.live {
        return Err(Answer::skipped("this is a recorded tree"));
    }
    let dir = state_dir_of(site)?;
    rustix::fs::statvfs(&dir)
        .map(|stat| (dir.clone(), stat))
        .map_err(|error| Answer::skipped(format!("{}: {error}", dir.display())))
}

pub(super) fn free(site: &Site) -> Seen {
    let (dir, stat) = live_stat(site)?;
    let bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    let text = format!("{} MB are free below {}", bytes >> 20, dir.display());
    if bytes < FREE_BYTES_MIN { fail(text, "sudo journalctl --vacuum-size=100M; sudo apt-get clean") } else { ok(text) }
}

pub(super) fn inodes(site: &Site) -> Seen {
    let (_, stat) = live_stat(site)?;
    match stat.f_favail {
        _ if stat.f_files == 0 => skipped("this file system has no inodes"),
        few @ ..1_000 => fail(
            format!("only {few} inodes are free"),
            "find what makes so many small files: sudo du --inodes -x / | sort -n | tail",
        ),
        many => ok(format!("{many} inodes are free")),
    }
}

pub(super) fn errors(site: &Site) -> Seen {
    let mut seen = 0;
    for disk in site.tree.list("/sys/fs/ext4") {
        let Some(count) = site.tree.number(format!("/sys/fs/ext4/{disk}/errors_count")) else { continue };
        seen += 1;
        if count > 0 {
            return fail(
                format!("{disk} has seen {count} errors"),
                format!("plan a replacement; now: sudo touch /forcefsck, reboot ({disk})"),
            );
        }
    }
    if seen == 0 { skipped("no ext4 here") } else { ok(format!("no errors on {seen} file systems")) }
}

/// eMMC tells its age in steps of ten per cent (JEDEC JESD84-B51, `DEVICE_LIFE_TIME_EST` and `PRE_EOL_INFO`).
pub(super) fn wear(site: &Site) -> Seen {
    let mut oldest: Option<(u64, String)> = None;
    for disk in site.tree.list("/sys/block").into_iter().filter(|name| name.starts_with("mmcblk")) {
        let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        let age = site.tree.text(format!("/sys/block/{disk}/device/life_time"));
        let age = age.and_then(|text| text.split_whitespace().filter_map(hex).max());
        let end = site.tree.text(format!("/sys/block/{disk}/device/pre_eol_info")).as_deref().and_then(hex);
        if end.is_some_and(|end| end >= 2) {
            return fail(format!("{disk} is near its end of life"), "replace the card or module before it fails");
        }
        if let Some(age) = age.filter(|age| oldest.as_ref().is_none_or(|(most, _)| age > most)) {
            oldest = Some((age, disk));
        }
    }
    match oldest {
        None => skipped("no medium tells its wear (SD cards never do)"),
        Some((age, disk)) if age >= 9 => {
            warn(format!("{disk} has used up {} %", age * 10), "replace it at the next visit")
        }
        Some((age, disk)) => ok(format!("{disk} has used up less than {} %", age * 10)),
    }
}

pub(super) fn fsync(site: &Site) -> Seen {
    if !site.live {
        return skipped("this is a recorded tree");
    }
    let dir = state_dir_of(site)?;
    let file = dir.join(".doctor-fsync");
    let measured = measure(&file);
    let _ = std::fs::remove_file(&file);
    match measured {
        Ok((middle, worst)) => {
            let text = format!("an fsync takes {middle} ms, at worst {worst} ms of {FSYNC_TRIES}");
            if worst > FSYNC_MS_MAX {
                warn(text, "the card is slow or worn: use an industrial one, or USB storage")
            } else {
                ok(text)
            }
        }
        Err(error) => skipped(format!("{}: {error}", file.display())),
    }
}

/// Median and worst time of a synced 200-byte append, milliseconds.
fn measure(file: &Path) -> std::io::Result<(u128, u128)> {
    let mut file = File::create(file)?;
    let mut times = Vec::with_capacity(FSYNC_TRIES);
    for _ in 0..FSYNC_TRIES {
        let begun = Instant::now();
        file.write_all(&[0x5a; 200])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_millis());
    }
    times.sort_unstable();
    Ok((times.get(FSYNC_TRIES / 2).copied().unwrap_or(0), times.last().copied().unwrap_or(0)))
}
