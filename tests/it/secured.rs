//! `till run` with a key: a POS without one, and one with another, get nowhere; the POS with the key sells.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use till::port::pty::NullModem;
use till::runtime::{Status, control};

use crate::common::Running;

const PATIENCE: Duration = Duration::from_secs(60);

fn key_file(folder: &Path, name: &str, byte: &str, mode: u32) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, format!("1:{}\n", byte.repeat(32))).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    file
}

fn config(folder: &Path, port: &Path, key: &Path) -> PathBuf {
    let here = env!("CARGO_MANIFEST_DIR");
    let text = format!(
        "[counter]\nstate_dir = \"{folder}/till\"\ncontrol = \"{folder}/ctl.sock\"\n\
         catalogue = \"{here}/demo/catalogue.csv\"\n[tray.camera]\ntest = true\n\
         [tray.engine]\ndir = \"{here}/engines/demo\"\n[port]\npath = \"{port}\"\n\
         [link]\nsecure = true\nkey_file = \"{key}\"\n",
        folder = folder.display(),
        port = port.display(),
        key = key.display(),
    );
    let file = folder.join("till.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// The link's status once it is so.
fn wait_for(folder: &Path, what: &str, so: impl Fn(&Status) -> bool) {
    let begin = Instant::now();
    let mut last = None;
    while begin.elapsed() < PATIENCE {
        let answer = control::ask(&folder.join("ctl.sock"), "status").ok();
        if let Some(status) = answer.and_then(|text| serde_json::from_str::<Status>(&text).ok()) {
            if so(&status) {
                return;
            }
            last = Some(status.link);
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    panic!("never {what}: {last:?}");
}

#[test]
fn only_the_pos_with_the_key_is_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let cable = NullModem::open(None).unwrap();
    let [till_end, pos_end] = cable.ends();
    let key = key_file(folder, "link.key", "4b", 0o600);
    let wrong = key_file(folder, "wrong.key", "4c", 0o600);
    let config = config(folder, till_end, &key);
    let _till = Running::start(&["run", "--config", config.to_str().unwrap()]);
    let pos = |state: &str, key: Option<&Path>| {
        let state = folder.join(state);
        let mut arguments = vec!["pos", "--port", pos_end.to_str().unwrap(), "--state", state.to_str().unwrap()];
        if let Some(key) = key {
            arguments.extend(["--key-file", key.to_str().unwrap()]);
        }
        Running::start(&arguments)
    };
    let stranger = pos("none", None);
    wait_for(folder, "refused for its missing key", |s| s.link.refused.as_deref() == Some("Security") && !s.link.up);
    drop(stranger);
    let stranger = pos("wrong", Some(&wrong));
    wait_for(folder, "refused for its wrong key", |s| s.link.refused.as_deref() == Some("Key") && !s.link.up);
    drop(stranger);
    let _pos = pos("right", Some(&key));
    wait_for(folder, "up with the right key", |s| s.link.up && s.link.secured && s.link.refused.is_none());
    // Where there is no cable there is no link, though nobody listens for the POS's silence any more. No error is asked
    // for: the next test's pty may have taken this one's number.
    drop(cable);
    wait_for(folder, "down without a cable", |s| !s.link.up);
}

#[test]
fn ping_speaks_under_the_key_and_says_whose_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let cable = NullModem::open(None).unwrap();
    let [ours, theirs] = cable.ends().map(|end| end.to_str().unwrap().to_owned());
    let key = key_file(folder, "link.key", "4b", 0o600).display().to_string();
    let wrong = key_file(folder, "wrong.key", "4c", 0o600).display().to_string();
    let pinged = |key: Option<&str>| -> serde_json::Value {
        let mut arguments = vec!["link", "ping", "--port", &ours, "--count", "2", "--json"];
        arguments.extend(key.iter().flat_map(|key| ["--key-file", *key]));
        let output = Command::new(env!("CARGO_BIN_EXE_till")).args(&arguments).output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stdout).contains("4b4b"));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let state = folder.join("books").display().to_string();
    let start = ["pos", "--port", &theirs, "--state", &state];
    let pos = Running::start(&[&start[..], &["--key-file", &key]].concat());
    // The POS needs a moment to start.
    let ready = (0..20).any(|_| pinged(Some(&key))["diagnosis"] == "well");
    assert!(ready, "{}", pinged(Some(&key)));
    for (key, diagnosis, words) in [(None, "needs_key", "say --key-file"), (Some(&*wrong), "wrong_key", "another key")]
    {
        let object = pinged(key);
        assert_eq!((&object["diagnosis"], &object["counts"]["answered"]), (&diagnosis.into(), &0.into()), "{object}");
        assert!(object["words"].as_str().is_some_and(|said| said.contains(words)), "{object}");
    }
    drop(pos);
    let _pos = Running::start(&start);
    let ready = (0..20).any(|_| pinged(None)["diagnosis"] == "well");
    assert!(ready, "{}", pinged(None));
    assert_eq!(pinged(Some(&key))["diagnosis"], "no_key");
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_mending() {
    let folder = tempfile::tempdir().unwrap();
    let key = key_file(folder.path(), "link.key", "4b", 0o644);
    let config = config(folder.path(), Path::new("/dev/null"), &key);
    let [key, config, state] = [key, config, folder.path().join("pos")].map(|path| path.display().to_string());
    for arguments in [
        vec!["run", "--config", config.as_str()],
        vec!["pos", "--port", "/dev/null", "--state", state.as_str(), "--key-file", key.as_str()],
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_till")).args(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains(&format!("mode 0644); run: chmod 600 {key}")), "{said}");
        assert!(!said.contains("4b4b"), "{said}");
    }
}
