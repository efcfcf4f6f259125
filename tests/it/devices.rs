//! `till devices` over recorded trees: what is listed, which rules are written, what is refused. A tree is one file,
//! `path = text` or `path -> target` a line; beside it lies what each command says. `TILL_BLESS=1` writes those anew.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/devices").join(name)
}

/// The tree as files.
fn lay(name: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let place = |path: &str| {
        let place = root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        place
    };
    for line in std::fs::read_to_string(golden(&format!("{name}.tree"))).unwrap().lines() {
        if let Some((path, target)) = line.split_once(" -> ") {
            symlink(target, place(path)).unwrap();
        } else if let Some((path, text)) = line.split_once(" = ") {
            std::fs::write(place(path), text.replace("\\n", "\n")).unwrap();
        }
    }
    root
}

/// What `till devices` says, with its exit code, to `answers`; and the rules behind it.
fn said(root: &Path, words: &str, answers: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
    command.arg("devices").args(words.split_whitespace()).arg("--root").arg(root);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&root.display().to_string(), "ROOT");
    let mut said = format!("$ till devices {words}\n{}{}", text(&output.stderr), text(&output.stdout));
    said += &format!("exit {}\n", output.status.code().unwrap());
    if let Ok(rules) = std::fs::read_to_string(root.join("etc/udev/rules.d/71-till-roles.rules")) {
        said += &format!("--- rules\n{rules}---\n");
    }
    said + "\n"
}

fn holds(name: &str, steps: &[(&str, &str)]) {
    let root = lay(name);
    let found: String = steps.iter().map(|(words, answers)| said(root.path(), words, answers)).collect();
    let file = golden(&format!("{name}.txt"));
    if std::env::var_os("TILL_BLESS").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, wanted, "{name}: if the change is meant, run this test with TILL_BLESS=1");
}

#[test]
fn two_cameras_of_one_make_are_told_apart_by_their_sockets() {
    holds(
        "nano",
        &[
            ("list", ""),
            ("list --json", ""),
            ("assign --role tray=auto --yes", ""),
            ("assign --role tray=video0 --role face=video1 --role pos=ttyTHS1 --role scale=hx711 --yes", ""),
            (
                "assign --role scale=iio:device1 --yes --role tray=video1 --role face=video0 --role pos=ttyUSB0 --json",
                "",
            ),
            ("assign --role face=video1 --yes", ""),
            ("assign --role pos=ttyUSB7 --yes", ""),
            ("assign --yes", ""),
        ],
    );
}

#[test]
fn roles_are_asked_for_and_what_has_one_keeps_it() {
    holds(
        "pc",
        &[
            ("list", ""),
            // The tray as it is, no face, the POS is the second port, the scale the one without a number.
            ("assign", "\n\n9\n2\n3\ny\n"),
            ("assign --role pos=serial/by-id/usb-FTDI_Dual_RS232_FT4XK2-if00-port0 --role face=none", "\n\nn\n"),
            ("assign --role scale=none --yes", ""),
        ],
    );
    holds("bare", &[("list", ""), ("assign --role tray=auto --yes", "")]);
}
