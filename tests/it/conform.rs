//! `till link` over ptys at the pace of a 115200 line: the reference POS and the two example POS conform, without
//! and with a key, killed and started again where a check wants it; ping and loopback say what is there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use till::port::Wire;
use till::port::pty::{BYTES_PER_S_115200, NullModem, Pty};

/// A shell command that kills the POS and starts it again, and the POS's end with the test.
struct Pos {
    folder: tempfile::TempDir,
    command: String,
}

impl Pos {
    /// `command` runs the POS; `{}` in it stands for a folder of its own.
    fn start(command: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = command.replace("{}", &folder.path().display().to_string());
        let pos = Self { folder, command };
        assert!(Command::new("sh").arg("-c").arg(pos.restart()).status().unwrap().success());
        pos
    }

    fn pid(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    fn restart(&self) -> String {
        let (pid, log) = (self.pid(), self.folder.path().join("pos.log"));
        // A killed process holds its books until its last write is done; what is left of it then is state Z or nothing.
        format!(
            "[ ! -e '{pid}' ] || kill -9 $(cat '{pid}'); \
             n=0; while [ $n -lt 500 ] && grep -qs '^State:.[^ZX]' /proc/$(cat '{pid}' 2>/dev/null)/status; do n=$((n + 1)); sleep 0.02; done; {command} >>'{log}' 2>&1 </dev/null & echo $! >'{pid}'",
            pid = pid.display(),
            log = log.display(),
            command = self.command
        )
    }
}

impl Drop for Pos {
    fn drop(&mut self) {
        let _ = Command::new("sh").arg("-c").arg(format!("kill -9 $(cat '{}')", self.pid().display())).status();
    }
}

fn till(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_till")).args(words).stdin(Stdio::null()).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

/// Plays all checks against the POS that `command` starts on the port `{port}`: of level secured if there is a key.
fn conforms(name: &str, command: &str, key: Option<&Path>) {
    let cable = NullModem::open(Some(BYTES_PER_S_115200)).unwrap();
    let [ours, theirs] = cable.ends();
    let pos = Pos::start(&command.replace("{port}", &theirs.display().to_string()));
    let report = pos.folder.path().join("report");
    let restart = pos.restart();
    let mut words = vec!["link", "conform", "--port", ours.to_str().unwrap(), "--restart", &restart, "--json"];
    words.extend(["--report", report.to_str().unwrap()]);
    if let Some(key) = key {
        words.extend(["--level", "secured", "--key-file", key.to_str().unwrap()]);
    }
    let output = till(&words);
    let talk = String::from_utf8_lossy(&output.stderr);
    let wrong: Vec<&str> = talk.lines().filter(|line| line.contains("FAIL") || line.contains("not run")).collect();
    let log = std::fs::read_to_string(pos.folder.path().join("pos.log")).unwrap_or_default();
    assert!(wrong.is_empty() && output.status.code() == Some(0), "{name}: {wrong:#?}\n{talk}\nthe POS said:\n{log}");
    let object = json(&output);
    println!("{name}: {} checks in {} ms", object["passed"], object["took_ms"]);
    assert_eq!((&object["schema"], &object["secured"]), (&"till.link-conform/1".into(), &key.is_some().into()));
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(report.join("conformance.json")).unwrap()).unwrap();
    assert_eq!(written, object);
    let text = std::fs::read_to_string(report.join("conformance.md")).unwrap();
    assert!(text.contains("**conforms**") && text.contains("| L-060 | has after a restart"), "{text}");
}

fn there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

fn link() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("link")
}

/// The commands of the POS that can be run here, with a folder for what they need.
struct Vendors(tempfile::TempDir);

impl Vendors {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys.toml"), "default = \"pay\"\n").unwrap();
        let key = |id: u8, byte: &str| format!("{id}:{}\n", byte.repeat(32));
        let file = folder.path().join("link.key");
        // Two keys: a rotation is played.
        std::fs::write(&file, key(1, "4b") + &key(2, "5c")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self(folder)
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("link.key")
    }

    fn reference(&self) -> String {
        let (till, folder) = (env!("CARGO_BIN_EXE_till"), self.0.path().display());
        format!(
            "exec {till} pos --port {{port}} --state {{}}/books --script {folder}/keys.toml --currency KRW \
             --prices {}/demo/catalogue.csv",
            env!("CARGO_MANIFEST_DIR")
        )
    }

    fn c(&self) -> Option<String> {
        let program = self.0.path().join("example_pos");
        let sources = ["example_pos.c", "till_link.c"].map(|name| link().join("c").join(name));
        let mut build = there("cc").then(|| Command::new("cc"))?;
        assert!(build.args(["-std=c99", "-O1", "-o"]).arg(&program).args(sources).status().unwrap().success());
        Some(format!("exec {} {{port}} {{}}/journal 1", program.display()))
    }

    fn python(&self) -> Option<String> {
        let python = link().join("python").display().to_string();
        there("python3").then(|| {
            format!(
                "PYTHONPATH={python} exec python3 {python}/example_pos.py --port {{port}} --journal {{}}/journal --auto"
            )
        })
    }
}

#[test]
fn the_reference_pos_conforms() {
    conforms("till pos", &Vendors::new().reference(), None);
}

#[test]
fn the_pos_in_c_conforms() {
    let vendors = Vendors::new();
    if let Some(command) = vendors.c() {
        conforms("example_pos.c", &command, None);
    }
}

#[test]
fn the_pos_in_python_conforms() {
    let vendors = Vendors::new();
    if let Some(command) = vendors.python() {
        conforms("example_pos.py", &command, None);
    }
}

/// All at once: each waits for its line nearly all the time.
#[test]
fn all_three_pos_conform_secured() {
    let vendors = Vendors::new();
    let key = vendors.key();
    let shown = key.display();
    let all = [
        ("till pos", Some(format!("{} --key-file {shown}", vendors.reference()))),
        ("example_pos.c", vendors.c().map(|command| format!("{command} {shown}"))),
        ("example_pos.py", vendors.python().map(|command| format!("{command} --key-file {shown}"))),
    ];
    std::thread::scope(|scope| {
        for (name, command) in &all {
            if let Some(command) = command {
                scope.spawn(|| conforms(name, command, Some(&key)));
            }
        }
    });
}

#[test]
fn ping_finds_the_pos_says_when_it_is_gone_and_names_a_busy_port() {
    let cable = NullModem::open(Some(BYTES_PER_S_115200)).unwrap();
    let [ours, theirs] = cable.ends().map(|end| end.to_str().unwrap().to_owned());
    let pos = Pos::start(&format!("exec {} pos --port {theirs} --state {{}}/books", env!("CARGO_BIN_EXE_till")));
    // The POS needs a moment to start: the first answers may be missing.
    let ready = || json(&till(&["link", "ping", "--port", &ours, "--count", "3", "--json"]))["diagnosis"] == "well";
    assert!((0..20).any(|_| ready()), "no POS answers");
    let object = json(&till(&["link", "ping", "--port", &ours, "--json"]));
    assert_eq!((&object["schema"], &object["counts"]["answered"]), (&"till.link-ping/1".into(), &10.into()));
    assert!(object["round_trip_ms"]["median"].as_u64().is_some_and(|ms| ms < 500), "{object}");
    let other = till(&["link", "ping", "--port", &ours, "--counter", "9", "--count", "2"]);
    let text = String::from_utf8_lossy(&other.stdout).into_owned();
    assert!(
        other.status.code() == Some(6) && text.contains("the POS is set to counter 1, this is counter 9"),
        "{text}"
    );
    let busy = till(&["link", "ping", "--port", &theirs]);
    let text = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert!(busy.status.code() == Some(4) && text.contains("systemctl stop till"), "{text}");
    drop(pos);
    let gone = till(&["link", "ping", "--port", &ours, "--count", "2"]);
    let text = String::from_utf8_lossy(&gone.stdout).into_owned();
    assert!(gone.status.code() == Some(6) && text.contains("nothing at all comes back"), "{text}");
}

/// A plug that joins TX and RX, and what it does to bytes on the way.
fn looped(bend: fn(&mut Vec<u8>), act: impl FnOnce(&str)) {
    let mut pty = Pty::open().unwrap();
    let path = pty.path().to_str().unwrap().to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let plug = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut bytes = [0; 512];
            while !stop.load(Ordering::Relaxed) {
                let n = pty.read(&mut bytes).unwrap_or(0);
                if n == 0 {
                    std::thread::park_timeout(Duration::from_millis(1));
                    continue;
                }
                let mut bent = bytes[..n].to_vec();
                bend(&mut bent);
                let mut rest = &bent[..];
                while !rest.is_empty() && !stop.load(Ordering::Relaxed) {
                    rest = &rest[pty.write(rest).unwrap_or(0)..];
                }
            }
        }
    });
    act(&path);
    stop.store(true, Ordering::Relaxed);
    plug.join().unwrap();
}

#[test]
fn loopback_passes_on_a_plug_and_says_what_is_wrong_otherwise() {
    let run = |path: &str| {
        let output = till(&["link", "loopback", "--port", path, "--json"]);
        (output.status.code(), json(&output))
    };
    looped(
        |_| {},
        |path| {
            let (code, object) = run(path);
            assert!(code == Some(0) && object["ok"] == true && object["counts"]["sent"] == 16_384, "{object}");
            let ping = json(&till(&["link", "ping", "--port", path, "--count", "2", "--json"]));
            assert_eq!(ping["diagnosis"], "loop");
        },
    );
    looped(
        |bytes| bytes.retain(|byte| !matches!(byte, 0x11 | 0x13)),
        |path| {
            let (code, object) = run(path);
            assert!(code == Some(6) && object["words"].as_str().unwrap().contains("XON and XOFF"), "{object}");
        },
    );
    looped(
        |bytes| bytes.iter_mut().for_each(|byte| *byte &= 0x7f),
        |path| {
            let (code, object) = run(path);
            assert!(code == Some(6) && object["words"].as_str().unwrap().contains("7 data bits"), "{object}");
        },
    );
    looped(Vec::clear, |path| {
        let (code, object) = run(path);
        assert!(code == Some(6) && object["words"].as_str().unwrap().starts_with("nothing came back"), "{object}");
    });
}
