//! `scripts/acceptance-jetson`, which a store runs on its own box, tried out here: each of its steps on the CPU, and with
//! feature `tensorrt` on the stub, each with what it must report.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Engines in folders that may be written to, and what the script found on them.
pub struct Trial {
    folder: tempfile::TempDir,
    /// Where libraries are looked for, and programs first.
    libraries: Option<PathBuf>,
}

impl Trial {
    pub fn new(libraries: Option<&Path>) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), libraries: libraries.map(Path::to_owned) }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Copies of the project's engines, stages and all.
    fn engines(&self, names: &[&str]) -> Vec<PathBuf> {
        let to = self.path().join("engines");
        std::fs::create_dir_all(&to).unwrap();
        for name in names {
            let from = root().join("engines").join(name);
            assert!(Command::new("cp").args(["-r", "-T"]).args([&from, &to.join(name)]).status().unwrap().success());
            let _ = std::fs::remove_dir_all(to.join(name).join("plans"));
        }
        names.iter().map(|name| to.join(name)).collect()
    }

    /// Two pairs of one person, two of two, where the research data is; else a word.
    pub fn faces(&self) -> bool {
        let data = std::env::var_os("TILL_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
        let Ok(pairs) = std::fs::read_to_string(data.join("lfw-dev/pairs.txt")) else {
            println!("skipped: no data at {}; eval verify is not tried", data.display());
            return false;
        };
        let faces = self.path().join("data/faces");
        std::fs::create_dir_all(&faces).unwrap();
        let of = |words: usize| pairs.lines().skip(1).filter(move |l| l.split_whitespace().count() == words).take(2);
        let lines: Vec<&str> = of(3).chain(of(4)).collect();
        std::fs::write(faces.join("pairs.txt"), format!("1\t2\n{}\n", lines.join("\n"))).unwrap();
        symlink(data.join("lfw-dev/images").canonicalize().unwrap(), faces.join("images")).unwrap();
        true
    }

    /// Runs the script shortened; whether it ended well, and its report.
    pub fn run(&self, engines: &[&str], more: &[&str]) -> (bool, String) {
        let report = self.path().join("report.md");
        let mut command = Command::new(root().join("scripts/acceptance-jetson"));
        command.args(["--till", env!("CARGO_BIN_EXE_till"), "--runs", "3", "--alone-s", "0.1", "--soak-s", "1"]);
        command.args(["--clip", "one-item"]);
        command.args(["--data", self.path().join("data").to_str().unwrap(), "--report", report.to_str().unwrap()]);
        command.arg("--root").arg(root().join("tests/golden/doctor/nano-healthy"));
        command.args(more).args(self.engines(engines));
        if let Some(libraries) = &self.libraries {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("LD_LIBRARY_PATH", libraries).env("PATH", format!("{}:{path}", libraries.display()));
        }
        let done = command.output().unwrap();
        let report = std::fs::read_to_string(report).unwrap_or_default();
        println!("{report}{}", String::from_utf8_lossy(&done.stderr));
        (done.status.success(), report)
    }
}

/// Each of `steps` stands in the report with this verdict.
pub fn each_is(report: &str, verdict: &str, steps: &[&str]) {
    for step in steps {
        let line = report.lines().find(|line| line.starts_with(&format!("- **{step}")));
        assert!(line.is_some_and(|line| line.contains(&format!("**: {verdict}"))), "{step}: {line:?}, not {verdict}");
    }
}

#[test]
fn every_step_that_needs_no_gpu_runs_on_the_cpu_and_the_others_are_named() {
    let trial = Trial::new(None);
    let faces = trial.faces();
    let (ok, report) = trial.run(&["demo", "face-mtcnn", "face-mobilefacenet"], &["--cpu", "--rate-min", "0"]);
    assert!(ok && report.contains(" 0 failed"), "a step failed");
    assert!(report.starts_with("# Acceptance on NVIDIA Jetson Nano") && report.contains("Tried out on the CPU"));
    let steps = ["preflight for nano", "latency, rate", "eval tray, demo on ", "the demo store", "it sold on", "soak"];
    each_is(&report, "ok", &steps);
    each_is(&report, "skipped", &["plan, parity with TensorRT", "trtexec"]);
    each_is(&report, if faces { "ok" } else { "skipped" }, &["eval verify"]);
    // Power and clocks are those of the recorded board, in the benchmark and in the soak's table.
    assert!(report.contains("power POM_5V_IN 6028.0 mW (at most 6028)"));
    let row = report.lines().find(|line| line.starts_with("| ") && line.contains(" MHz")).unwrap();
    assert!(row.contains("| 44 |") && row.contains("1479.0 MHz") && row.contains("POM_5V_IN"), "{row}");
    assert!(report.contains("\"mAP50\":"));
}

#[test]
fn what_fails_is_counted_and_the_end_is_bad() {
    let trial = Trial::new(None);
    // Without --cpu on a machine that has no TensorRT: everything that wants it fails, the rest doesn't.
    let (ok, report) = trial.run(&["demo"], &["--rate-min", "0"]);
    assert!(!ok && !report.contains(" 0 failed"));
    each_is(&report, "ok", &["preflight for nano", "latency, rate", "the demo store"]);
    each_is(
        &report,
        "FAILED",
        &["plan built", "TensorRT took part", "eval tray, demo on tensorrt", "it sold on", "soak"],
    );
}
