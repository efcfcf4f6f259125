//! Cameras, as far as the system tells without opening one.

use std::path::{Path, PathBuf};

use super::{Answer, Seen, Site, fail, ok, skipped, warn};
use crate::config::{Camera, CameraSource, Config};

/// What the isochronous transfers of one high-speed bus carry in practice, bytes a second (USB 2.0, section 5.6: at
/// most three packets of 1024 bytes in each microframe, of which hubs and drivers leave less).
const HIGH_SPEED_BYTES_S: u64 = 24_000_000;

fn cameras(config: &Config) -> Vec<(&'static str, &Camera)> {
    let face = config.face.as_ref().map(|face| ("face", &face.camera));
    std::iter::once(("tray", &config.tray.camera)).chain(face).collect()
}

/// The device node that a camera names, if it names one.
fn node(camera: &Camera) -> Option<PathBuf> {
    let text = match &camera.source {
        CameraSource::V4l2 { path, .. } => return Some(path.clone()),
        CameraSource::Pipeline(text) => text,
        _ => return None,
    };
    let word = text.split_whitespace().find_map(|word| word.strip_prefix("device="))?;
    Some(PathBuf::from(word.trim_matches('"')))
}

/// The nodes of all cameras with what they resolve to.
fn nodes(site: &Site) -> Result<Vec<(&'static str, &Camera, PathBuf)>, Answer> {
    let config = site.settings()?;
    let found: Vec<_> = cameras(config)
        .into_iter()
        .filter_map(|(role, camera)| node(camera).map(|node| (role, camera, node)))
        .collect();
    if found.is_empty() { Err(Answer::skipped("no camera is a V4L2 device")) } else { Ok(found) }
}

fn resolved(site: &Site, node: &Path) -> PathBuf {
    site.tree.link(node).unwrap_or_else(|| node.to_owned())
}

pub(super) fn tray(site: &Site) -> Seen {
    let config = site.settings()?;
    match &config.tray.camera.source {
        CameraSource::Test => warn("the tray shows the test picture", "name the camera under [tray.camera]"),
        CameraSource::File { path, .. } if super::settings::is_there(site, path) => {
            warn(format!("the tray shows footage: {}", path.display()), "name the camera under [tray.camera]")
        }
        CameraSource::File { path, .. } => fail(format!("{} is missing", path.display()), "copy the footage there"),
        CameraSource::Rtsp(url) => ok(crate::config::redacted(url)),
        CameraSource::Csi(sensor) => {
            let node = format!("/dev/video{sensor}");
            if site.tree.exists(&node) {
                ok(format!("CSI sensor {sensor}"))
            } else {
                fail(
                    format!("CSI sensor {sensor}: no {node}"),
                    "power off, seat the ribbon cable with its contacts towards the board's middle",
                )
            }
        }
        CameraSource::Pipeline(text) if node(&config.tray.camera).is_none() => ok(text.clone()),
        CameraSource::Pipeline(_) | CameraSource::V4l2 { .. } => match node(&config.tray.camera) {
            None => skipped("no camera is a V4L2 device"),
            Some(node) if site.tree.exists(resolved(site, &node)) => ok(node.display().to_string()),
            Some(node) => fail(
                format!("{} is missing: unplugged, or udev knows no such role", node.display()),
                "lsusb; till devices list; then sudo till devices assign",
            ),
        },
    }
}

pub(super) fn access(site: &Site) -> Seen {
    let nodes = nodes(site)?;
    if !site.live {
        return skipped("a recorded tree does not keep modes");
    }
    for (role, _, node) in &nodes {
        match rustix::fs::access(node, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => return skipped(format!("{} is missing", node.display())),
            Err(error) => {
                return fail(
                    format!("{role}: {}: {error}", node.display()),
                    "sudo usermod -aG video till, and start anew",
                );
            }
        }
    }
    ok(format!("{} nodes can be opened", nodes.len()))
}

/// Folder of the USB device that a video node belongs to: the nearest one above it that has a speed.
fn usb_device(site: &Site, node: &Path) -> Option<PathBuf> {
    let name = resolved(site, node).file_name()?.to_str()?.to_owned();
    let mut folder = site.tree.canonical(format!("/sys/class/video4linux/{name}/device"))?;
    loop {
        if site.tree.exists(folder.join("speed")) {
            return Some(folder);
        }
        if !folder.pop() {
            return None;
        }
    }
}

pub(super) fn usb_speed(site: &Site) -> Seen {
    let nodes = nodes(site)?;
    let mut told = Vec::new();
    for (role, _, node) in &nodes {
        let Some(device) = usb_device(site, node) else { continue };
        let Some(mbit) = site.tree.number(device.join("speed")) else { continue };
        if mbit < 480 {
            return fail(
                format!("{role} camera runs at {mbit} Mbit/s"),
                "another cable or socket: no hub of USB 1, no extension",
            );
        }
        told.push(format!("{role} {mbit} Mbit/s"));
    }
    if told.is_empty() { skipped("no camera is on USB") } else { ok(told.join(", ")) }
}

/// Bytes a second, as the format named in the pipeline needs; without a name the raw one. Our own capture takes MJPEG
/// where raw pictures find no room.
fn bytes_s(camera: &Camera) -> u64 {
    let raw = u64::from(camera.width) * u64::from(camera.height) * u64::from(camera.fps) * 2;
    // A camera asks for the worst picture that its compression may give; a sixth is usual.
    match &camera.source {
        CameraSource::V4l2 { .. } => raw / 6,
        CameraSource::Pipeline(text) if text.contains("image/jpeg") => raw / 6,
        _ => raw,
    }
}

pub(super) fn usb_bandwidth(site: &Site) -> Seen {
    let nodes = nodes(site)?;
    let mut buses: Vec<(u64, u64, Vec<&str>)> = Vec::new();
    for (role, camera, node) in &nodes {
        let Some(device) = usb_device(site, node) else { continue };
        if site.tree.number(device.join("speed")).is_none_or(|mbit| mbit > 480) {
            continue;
        }
        let Some(bus) = site.tree.number(device.join("busnum")) else { continue };
        match buses.iter_mut().find(|(number, ..)| *number == bus) {
            Some((_, sum, roles)) => {
                *sum += bytes_s(camera);
                roles.push(role);
            }
            None => buses.push((bus, bytes_s(camera), vec![role])),
        }
    }
    let mut told = Vec::new();
    for (bus, sum, roles) in &buses {
        let text = format!(
            "bus {bus} ({}): {} of {} MB/s",
            roles.join(" and "),
            sum / 1_000_000,
            HIGH_SPEED_BYTES_S / 1_000_000
        );
        if *sum > HIGH_SPEED_BYTES_S {
            let fix = if roles.len() > 1 {
                "take image/jpeg in the pipelines, or plug one camera into another root hub (lsusb -t)"
            } else {
                "take image/jpeg in the pipeline, or a smaller picture or rate"
            };
            return fail(format!("{text}: the kernel will answer ENOSPC"), fix);
        }
        told.push(text);
    }
    if told.is_empty() { skipped("no camera is on a high-speed bus") } else { ok(told.join(", ")) }
}

pub(super) fn usb_sleep(site: &Site) -> Seen {
    let nodes = nodes(site)?;
    let mut seen = 0;
    for (role, _, node) in &nodes {
        let Some(device) = usb_device(site, node) else { continue };
        seen += 1;
        if site.tree.text(device.join("power/control")).as_deref() == Some("auto") {
            let path = device.join("power/control");
            return warn(
                format!("{role} camera may fall asleep"),
                format!("echo on | sudo tee {} (till's udev rules do it)", path.display()),
            );
        }
    }
    if seen == 0 { skipped("no camera is on USB") } else { ok("cameras stay awake") }
}

pub(super) fn argus(site: &Site) -> Seen {
    let config = site.settings()?;
    if !cameras(config).iter().any(|(_, camera)| matches!(camera.source, CameraSource::Csi(_))) {
        return skipped("no CSI camera");
    }
    if site.tree.exists("/tmp/argus_socket") {
        ok("nvargus-daemon listens")
    } else {
        fail("nvargus-daemon does not listen: no CSI camera will open", "sudo systemctl restart nvargus-daemon")
    }
}

pub(super) fn jpeg(site: &Site) -> Seen {
    let config = site.settings()?;
    if !cameras(config).iter().any(|(_, camera)| matches!(camera.source, CameraSource::V4l2 { .. })) {
        return skipped("no camera is read without a pipeline");
    }
    let folders = site.tree.list("/usr/lib").into_iter().filter(|name| name.ends_with("-linux-gnu"));
    let mut places = folders.map(|name| format!("/usr/lib/{name}")).chain(["/usr/lib".into(), "/usr/local/lib".into()]);
    match places.find(|folder| site.tree.exists(format!("{folder}/libturbojpeg.so.0"))) {
        Some(folder) => ok(format!("{folder}/libturbojpeg.so.0 decodes MJPEG")),
        None => warn(
            "libturbojpeg.so.0 is missing: no camera can send MJPEG",
            "sudo apt-get install libturbojpeg0 (on Ubuntu libturbojpeg)",
        ),
    }
}

pub(super) fn streams(site: &Site) -> Seen {
    let status = site.status()?;
    // More than one in a hundred is no accident of the bus.
    if let Some(camera) = status.cameras.iter().find(|camera| camera.damaged > 10 + camera.frames / 100) {
        let (role, damaged, frames) = (&camera.role, camera.damaged, camera.frames);
        return warn(
            format!("camera {role}: {damaged} pictures came damaged beside {frames} whole ones"),
            "another cable or socket; then: dmesg | grep -i usb",
        );
    }
    let bad = status.cameras.iter().find(|camera| !camera.delivers());
    match bad {
        Some(camera) => fail(
            format!("camera {} is {}, reopened {} times", camera.role, camera.state, camera.reopened),
            "look at its cable, then: journalctl -u till | grep camera",
        ),
        None => ok(format!("{} cameras deliver", status.cameras.len())),
    }
}
