//! `till engine build` and the counter itself as processes, with the stub under the names that the program looks for.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use till::engine::tensorrt::library::header;

use super::stub::Stub;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A stub under its sonames, and an engine's folder that may be written to.
struct Bench {
    stub: Stub,
    engine: PathBuf,
}

impl Bench {
    fn new(engine: &str) -> Option<Self> {
        let stub = Stub::new()?;
        let (major, _, rtx) = header();
        let (infer, parser) = if rtx {
            (format!("libtensorrt_rtx.so.{major}"), format!("libtensorrt_onnxparser_rtx.so.{major}"))
        } else {
            (format!("libnvinfer.so.{major}"), format!("libnvonnxparser.so.{major}"))
        };
        for name in [infer.as_str(), parser.as_str(), "libcudart.so"] {
            std::os::unix::fs::symlink("stub.so", stub.path().join(name)).unwrap();
        }
        let folder = stub.path().join("engine");
        std::fs::create_dir(&folder).unwrap();
        for file in ["manifest.toml", "model.onnx"] {
            std::fs::copy(root().join(engine).join(file), folder.join(file)).unwrap();
        }
        Some(Self { stub, engine: folder })
    }

    fn till(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
        command.args(args).env("LD_LIBRARY_PATH", self.stub.path()).current_dir(root()).output().unwrap()
    }

    /// Builds with more arguments; the exit code and the engine's row.
    fn build(&self, more: &[&str]) -> (i32, Value) {
        let engine = self.engine.to_str().unwrap();
        let done = self.till(&[&["engine", "build", engine, "--json"], more].concat());
        let talk = String::from_utf8_lossy(&done.stderr);
        let json: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {talk}"));
        assert_eq!(json["schema"], "till.engine-build/1");
        (done.status.code().unwrap(), json["engines"][0].clone())
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.engine.join("plans")).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_plan_is_built_in_a_child_checked_and_kept_and_each_bad_end_leaves_it_alone() {
    let Some(bench) = Bench::new("tests/data/blobs") else { return };
    let (exit, row) = bench.build(&[]);
    assert_eq!((exit, &row["outcome"]), (0, &Value::from("built and checked")), "{row}");
    assert!(row["check"]["difference"].as_f64().unwrap() < 1e-3, "{row}");
    let plan = PathBuf::from(row["plan"].as_str().unwrap());
    let good = std::fs::read(&plan).unwrap();
    assert_eq!(bench.build(&[]).1["outcome"], "up to date");
    let full = plan.with_added_extension("new");
    for (fault, more, word) in [
        ("crash", &[][..], "signal 6"),
        ("hog", &["--memory-mib", "300"], "MiB and was ended"),
        ("hang", &["--time-s", "1"], "took too long"),
        ("parse", &[], "planted"),
        ("build", &[], "Could not find any implementation"),
        ("numbers", &[], "outputs differ"),
        ("load", &[], "the plan is refused"),
        ("full disk", &[], "can't be written"),
        ("nogpu", &[], ""),
    ] {
        bench.stub.plant(fault);
        if fault == "full disk" {
            std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        }
        let (exit, row) = bench.build(&[&["--force"], more].concat());
        if fault == "nogpu" {
            // Where the version can build without a GPU it does, and nothing of it serves.
            assert!(exit == 6 || row["outcome"].as_str().unwrap().contains("doesn't serve"), "{row}");
        } else {
            let problem = row["problem"].as_str().unwrap_or_default();
            assert!(exit == 6 && problem.contains(word), "{fault}: {row}");
        }
        assert_eq!(std::fs::read(&plan).unwrap(), good, "{fault}: the old plan serves on");
        let left: Vec<String> =
            bench.files().into_iter().filter(|f| f.ends_with("building") || f.ends_with("new")).collect();
        assert_eq!(left, [""; 0], "{fault}");
    }
    let aside = plan.with_extension("bad.txt");
    assert!(
        std::fs::read_to_string(aside).unwrap().contains("differ") || bench.files().iter().any(|f| f.ends_with("bad"))
    );
    // And with the faults gone it is built anew.
    bench.stub.plant("");
    assert_eq!(bench.build(&["--force"]).1["outcome"], "built and checked");
}

#[test]
fn check_and_bench_name_tensorrt_beside_the_others_once_it_has_a_plan() {
    let Some(bench) = Bench::new("tests/data/blobs") else { return };
    let engine = bench.engine.to_str().unwrap().to_owned();
    let backends = || {
        let done = bench.till(&["engine", "check", &engine, "--json"]);
        let json: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(json["engines"][0]["ok"], true, "{json}");
        json["engines"][0]["backends"].clone()
    };
    assert!(!backends().as_array().unwrap().contains(&Value::from("tensorrt")), "no plan yet");
    assert_eq!(bench.build(&[]).0, 0);
    assert_eq!(backends()[0], "tensorrt");
    // A plan that was damaged on the disk is set aside, and the check goes on without it.
    let plan = bench.engine.join("plans").join(bench.files().into_iter().find(|f| f.ends_with(".plan")).unwrap());
    let mut bytes = std::fs::read(&plan).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&plan, bytes).unwrap();
    assert!(!backends().as_array().unwrap().contains(&Value::from("tensorrt")));
    assert!(plan.with_extension("bad").exists());
}

#[test]
fn the_demo_store_sells_on_tensorrt_and_goes_on_when_the_gpu_is_lost() {
    let Some(bench) = Bench::new("engines/demo") else { return };
    let (exit, row) = bench.build(&[]);
    assert_eq!(exit, 0, "{row}");
    // The demo store with this engine's folder in place of its own.
    let store = bench.stub.path().join("demo");
    std::fs::create_dir(&store).unwrap();
    let text = std::fs::read_to_string(root().join("demo/till.toml")).unwrap();
    let dir = text.lines().find(|l| l.trim_start().starts_with("dir ")).expect("demo/till.toml names its engine");
    let ours = format!("dir = {:?}", bench.engine);
    std::fs::write(store.join("till.toml"), text.replace(dir, &ours)).unwrap();
    for name in ["catalogue.csv", "clips"] {
        std::os::unix::fs::symlink(root().join("demo").join(name), store.join(name)).unwrap();
    }
    let demo = || {
        let done = bench.till(&["demo", "--fast", "--json", "--store", store.to_str().unwrap(), "--clip", "one-item"]);
        let talk = String::from_utf8_lossy(&done.stderr).into_owned();
        let json: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {talk}"));
        (json, talk)
    };
    let (json, talk) = demo();
    assert_eq!(json["backend"], "tensorrt", "{talk}");
    assert_eq!(json["matched"], json["expected"], "{json}");
    // Without a GPU the same receipts come from the CPU, and the log says why, once.
    bench.stub.plant("nogpu");
    let (json, talk) = demo();
    assert_ne!(json["backend"], "tensorrt");
    assert_eq!(json["matched"], json["expected"], "{json}");
    assert_eq!(talk.matches("CUDA sees no GPU").count(), 1, "{talk}");
}
