//! The checks over recorded trees. They were composed from the documented layout of a Nano's sysfs (L4T 32), not taken
//! from a board; `nano-sick` has nearly everything wrong that a check knows.

use std::path::{Path, PathBuf};

use super::*;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/doctor").join(name)
}

fn findings(name: &str) -> Vec<Finding> {
    examine(&Site::recorded(&root(name), Path::new("/etc/till/till.toml")))
}

/// The findings as text, without the place of this checkout.
fn text(name: &str) -> String {
    let line = |f: &Finding| format!("{:?} {}: {}\n    {}\n", f.status, f.id, f.detail, f.fix);
    let text: String = findings(name).iter().map(line).collect();
    text.replace(root(name).to_str().unwrap(), "ROOT")
}

#[test]
fn what_each_tree_is_said_to_have_is_golden() {
    for name in ["nano-healthy", "nano-sick", "empty"] {
        let golden = root(&format!("{name}.txt"));
        let found = text(name);
        if std::env::var_os("TILL_BLESS").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(found, expected, "{name}: if the change is meant, run this test with TILL_BLESS=1");
    }
}

#[test]
fn a_healthy_box_raises_no_alarm() {
    let alarms: Vec<Finding> = findings("nano-healthy")
        .into_iter()
        .filter(|finding| matches!(finding.status, Verdict::Warn | Verdict::Fail))
        .collect();
    assert_eq!(alarms, Vec::new());
}

#[test]
fn every_check_has_a_name_of_its_own_and_each_alarm_a_fix() {
    assert!(CHECKS.len() >= 40);
    for (i, (id, _)) in CHECKS.iter().enumerate() {
        assert!(CHECKS.iter().skip(i + 1).all(|(other, _)| other != id), "{id}");
    }
    for finding in findings("nano-sick").iter().chain(&findings("empty")) {
        let alarm = matches!(finding.status, Verdict::Warn | Verdict::Fail);
        assert_eq!(alarm, !finding.fix.is_empty(), "{finding:?}");
        assert!(!finding.fix.contains('\n') && !finding.detail.is_empty(), "{finding:?}");
    }
}

#[test]
fn a_running_daemon_is_asked() {
    let mut site = Site::recorded(&root("nano-healthy"), Path::new("/etc/till/till.toml"));
    let mut status = Status::default();
    status.engine.backend = "rten".into();
    status.link.port = "/dev/till/pos".into();
    status.link.bytes_in = 100_000;
    status.link.bad_frames = 400;
    status.outbox.unacknowledged = 3;
    status.cameras = vec![crate::runtime::status::CameraStatus {
        role: "tray".into(),
        state: "streaming".into(),
        frames: 5_000,
        damaged: 61,
        ..Default::default()
    }];
    status.face = Some(crate::runtime::status::FaceStatus { members: 4, enrol_again: 3, ..Default::default() });
    status.load.reason = Some("CPU-therm has 80 degrees".into());
    site.daemon = Ok(status);
    let found = examine(&site);
    let of = |id: &str| found.iter().find(|finding| finding.id == id).unwrap();
    assert_eq!(of("daemon.running").status, Verdict::Ok);
    assert_eq!(of("pos.answers").status, Verdict::Fail);
    assert_eq!(of("camera.streams").status, Verdict::Warn);
    assert_eq!(of("books.waiting").status, Verdict::Warn);
    assert_eq!((of("pos.cable").status, of("daemon.load").status), (Verdict::Warn, Verdict::Warn));
    assert_eq!((of("people.enrol_again").status, of("people.damaged").status), (Verdict::Warn, Verdict::Ok));
    assert!(of("people.enrol_again").detail.starts_with("3 people"), "{:?}", of("people.enrol_again"));
}
