//! `systemd/rollback`, the script that tries a new version and goes back to the old one, over a root of its own: programs
//! are scripts that say who they are.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Box_ {
    root: tempfile::TempDir,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/rollback")
}

impl Box_ {
    /// A counter with version 1.0 installed.
    fn new() -> Self {
        let made = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["usr/bin", "usr/lib/till", "var/lib/till/upgrade", "etc/till/conf.d"] {
            std::fs::create_dir_all(made.at(folder)).unwrap();
        }
        made.config("[counter]\nid = 3\n");
        made.unpack("1.0");
        made
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn config(&self, text: &str) {
        std::fs::write(self.at("etc/till/till.toml"), text).unwrap();
    }

    /// What dpkg does.
    fn unpack(&self, version: &str) {
        let program = self.at("usr/bin/till");
        std::fs::write(&program, format!("#!/bin/sh\necho {version} \"$@\"\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(self.at("usr/lib/till/version"), format!("{version}\n")).unwrap();
    }

    fn call(&self, words: &[&str], result: &str) -> Output {
        let mut command = Command::new("sh");
        command.arg(script()).args(words).env("TILL_ROOT", self.root.path()).env("SERVICE_RESULT", result);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// One start of the service: counts it, and tells which version runs.
    fn start(&self) -> String {
        self.call(&["start"], "success");
        let said = self.call(&["run", "run", "--config", "x"], "success").stdout;
        let said = String::from_utf8(said).unwrap();
        said.strip_suffix(" run --config x\n").unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    fn upgrade(&self, version: &str) {
        self.call(&["keep", version], "success");
        self.unpack(version);
    }

    fn state(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.at("var/lib/till/upgrade").join(name)).ok().map(|text| text.trim().to_owned())
    }
}

#[test]
fn a_version_that_gets_ready_stays() {
    let till = Box_::new();
    assert_eq!(till.start(), "1.0");
    till.upgrade("2.0");
    assert_eq!((till.start(), till.state("trial")), ("2.0".into(), Some("2.0 1".into())));
    till.call(&["ready"], "success");
    assert_eq!((till.state("trial"), till.state("rolled-back")), (None, None));
    // Later failures are no upgrade's.
    till.call(&["stopped"], "timeout");
    assert_eq!((0..9).map(|_| till.start()).filter(|version| version == "2.0").count(), 9);
}

#[test]
fn one_that_does_not_get_ready_is_rolled_back() {
    for late in [true, false] {
        let till = Box_::new();
        till.upgrade("2.0");
        let mut ran = Vec::new();
        for _ in 0..6 {
            ran.push(till.start());
            // It hangs until systemd's time is over, or dies at once.
            till.call(&["stopped"], if late { "timeout" } else { "exit-code" });
        }
        let tries = if late { 1 } else { 3 };
        assert!(ran.iter().take(tries).all(|v| v == "2.0") && ran.iter().skip(tries).all(|v| v == "1.0"), "{ran:?}");
        let why = till.state("rolled-back").unwrap();
        assert!(why.starts_with("2.0 was not ready"), "{why}");
        // The old one getting ready ends nothing.
        till.call(&["ready"], "success");
        assert_eq!(till.start(), "1.0");
        // The next version is tried, and what was good is what it falls back to.
        till.upgrade("3.0");
        assert_eq!(till.start(), "3.0");
        till.call(&["stopped"], "timeout");
        assert_eq!(till.start(), "1.0");
        // By hand once more, with success.
        till.call(&["again"], "success");
        assert_eq!(till.start(), "3.0");
        till.call(&["ready"], "success");
        assert_eq!((till.start(), till.state("rolled-back")), ("3.0".into(), None));
    }
}

#[test]
fn power_cuts_in_a_trial_lose_nothing_and_a_torn_upgrade_tries_nothing() {
    let till = Box_::new();
    // The power goes between the package's first step and its unpacking: the old one runs, uncounted.
    till.call(&["keep", "2.0"], "success");
    assert_eq!((0..9).map(|_| till.start()).filter(|version| version == "1.0").count(), 9);
    assert_eq!(till.state("trial").as_deref(), Some("2.0 0"));
    till.unpack("2.0");
    // In the middle of a state file's writing: what stands beside it is not looked at.
    std::fs::write(till.at("var/lib/till/upgrade/trial.new"), "2.0").unwrap();
    assert_eq!(till.start(), "2.0");
    // Two starts are cut; the third gets ready.
    assert_eq!((till.start(), till.start()), ("2.0".into(), "2.0".into()));
    till.call(&["ready"], "success");
    assert_eq!(till.start(), "2.0");
    // A disk that lost the file's end.
    std::fs::write(till.at("var/lib/till/upgrade/trial"), "2.0 ").unwrap();
    assert_eq!((till.start(), till.state("trial")), ("2.0".into(), Some("2.0 1".into())));
    std::fs::write(till.at("var/lib/till/upgrade/trial"), "").unwrap();
    assert_eq!(till.start(), "2.0");
}

#[test]
fn the_configuration_can_say_no_and_a_first_installation_has_nothing_to_go_back_to() {
    let till = Box_::new();
    for text in ["upgrade.rollback = false\n", "[upgrade]\n rollback = false # no\n[log]\nlevel = \"info\"\n"] {
        till.config(text);
        till.upgrade("2.0");
        assert_eq!((till.state("trial"), till.at("usr/lib/till/previous").exists()), (None, false), "{text}");
    }
    // A later file has the last word, and another section's key is another key.
    std::fs::write(till.at("etc/till/conf.d/50.toml"), "[upgrade]\nrollback = true\n[x]\nrollback = false\n").unwrap();
    till.upgrade("3.0");
    assert_eq!(till.state("trial").as_deref(), Some("3.0 0"));
    let fresh = Box_::new();
    std::fs::remove_file(fresh.at("usr/bin/till")).unwrap();
    fresh.upgrade("1.0");
    assert_eq!((fresh.state("trial"), fresh.start()), (None, "1.0".into()));
}
