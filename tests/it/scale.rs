//! `till scale` as a technician has it: a converter below a folder that looks like the kernel's, calibrated while a
//! hand of the test puts the mass on it; and a scale on a real tty.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use till::tty::Wire;
use till::tty::pty::Pty;

fn config(folder: &Path, scale: &str) -> String {
    let file = folder.join("till.toml");
    let text = format!(
        "[counter]\nstate_dir = {:?}\n[tray.camera]\ntest = true\n[tray.engine]\ndir = \"none\"\n\
         [trigger]\nsource = \"devices\"\n[trigger.scale]\n{scale}\n",
        folder.display().to_string()
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn till(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
    command.arg("scale").args(words).stdin(Stdio::null());
    command
}

#[test]
fn a_bridge_is_calibrated_by_a_mass_and_tared() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("sys/bus/iio/devices/iio:device0");
    std::fs::create_dir_all(&device).unwrap();
    std::fs::write(device.join("name"), "hx711\n").unwrap();
    // A file that is written anew is read half by nobody: the next one takes its place whole.
    let lay = |counts: i64| {
        std::fs::write(device.join("fresh"), format!("{counts}\n")).unwrap();
        std::fs::rename(device.join("fresh"), device.join("in_voltage0_raw")).unwrap();
    };
    lay(84_000);
    let config = config(folder.path(), "kind = \"iio\"");
    let root = folder.path().display().to_string();
    let from = ["--config", &config, "--root", &root, "--json"];

    let watched = till(&["watch", "--seconds", "1"]).args(from).output().unwrap();
    assert_eq!(watched.status.code(), Some(1), "never calibrated");
    assert!(String::from_utf8_lossy(&watched.stderr).contains("till scale calibrate"), "{watched:?}");

    let mut child =
        till(&["calibrate", "--mass", "500"]).args(from).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let asked = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    for line in asked {
        if line.starts_with("put 500 g") {
            lay(284_000);
        }
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["zero_counts"].as_i64(), report["counts_a_gram"].as_f64()), (Some(84_000), Some(400.0)));

    let grams = || {
        let output = till(&["watch", "--seconds", "1"]).args(from).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["readings"].as_u64() > Some(5), "{report}");
        report["high_g"].as_i64()
    };
    assert_eq!(grams(), Some(500));
    assert!(till(&["tare"]).args(from).output().unwrap().status.success());
    assert_eq!(grams(), Some(0));
    lay(8_388_607);
    let output = till(&["tare"]).args(from).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("four wires"), "{output:?}");
}

#[test]
fn a_serial_scale_is_watched_and_calibrated_at_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut pty = Pty::open().unwrap();
    let config = config(folder.path(), &format!("kind = \"and\"\npath = {:?}", pty.path().display().to_string()));
    let child = till(&["watch", "--seconds", "2", "--json", "--config", &config])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let speaking = std::thread::spawn(move || {
        for n in 0..40 {
            pty.write(format!("ST,+{:05}.0  g\r\n", 250 + n % 3).as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let output = child.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["low_g"].as_i64(), report["spread_g"].as_i64()), (Some(250), Some(2)), "{output:?}");
    speaking.join().unwrap();
    let output = till(&["tare", "--config", &config]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("at itself"), "{output:?}");
}
