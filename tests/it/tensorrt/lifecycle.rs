//! `till engine build` and the counter itself as processes, with the stub under the names that the program looks for.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use till::engine::tensorrt::library::header;

use super::stub::Stub;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A stub under its sonames, and an engine's folder that may be written to.
pub struct Bench {
    pub stub: Stub,
    pub engine: PathBuf,
}

impl Bench {
    pub fn new(engine: &str) -> Option<Self> {
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

    pub fn till(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
        command.args(args).env("LD_LIBRARY_PATH", self.stub.path()).current_dir(root()).output().unwrap()
    }

    /// Begins to build with more arguments.
    pub fn begin(&self, more: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
        command.args(["engine", "build", self.engine.to_str().unwrap(), "--json"]).args(more);
        command.env("LD_LIBRARY_PATH", self.stub.path()).current_dir(root());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Builds with more arguments; the exit code and the engine's row.
    pub fn build(&self, more: &[&str]) -> (i32, Value) {
        Self::ended(self.begin(more))
    }

    /// How a build ended: the exit code and the engine's row.
    pub fn ended(build: Child) -> (i32, Value) {
        let done = build.wait_with_output().unwrap();
        let talk = String::from_utf8_lossy(&done.stderr);
        let json: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {talk}"));
        assert_eq!(json["schema"], "till.engine-build/1");
        (done.status.code().unwrap(), json["engines"][0].clone())
    }

    pub fn files(&self) -> Vec<String> {
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
fn int8_is_refused_taken_or_replaced_by_what_the_board_is_fast_at_and_calibrated_on_pictures() {
    let Some(bench) = Bench::new("tests/data/blobs") else { return };
    let (major, minor, rtx) = header();
    if rtx || major >= 11 {
        return println!("skipped: TensorRT {major}.{minor} is strongly typed");
    }
    let pictures = bench.stub.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    for name in ["rgb.jpg", "rgb.png", "grey.png"] {
        std::fs::copy(root().join("tests/data/pictures").join(name), pictures.join(name)).unwrap();
    }
    let pictures = pictures.to_str().unwrap();
    let int8 = |more: &[&str]| bench.build(&[&["--precision", "int8", "--force"], more].concat());
    // A Nano.
    bench.stub.plant("device 5 3 1");
    let (exit, row) = int8(&[]);
    assert!(exit == 6 && row["problem"].as_str().unwrap().contains("no fast INT8"), "{row}");
    let (exit, row) = int8(&["--if-fast"]);
    assert_eq!((exit, &row["precision"]), (0, &Value::from("fp16")), "{row}");
    let (_, row) = bench.build(&["--dla", "0", "--force"]);
    assert!(row["problem"].as_str().unwrap().contains("this board has 0 DLA cores"), "{row}");
    // An Orin.
    bench.stub.plant("device 8 7 1");
    let (_, row) = int8(&[]);
    assert!(row["problem"].as_str().unwrap().contains("--calibrate"), "{row}");
    let caches = || -> Vec<String> {
        let names = bench.files().into_iter().filter(|f| f.ends_with(".calibration"));
        names.map(|f| std::fs::read_to_string(bench.engine.join("plans").join(f)).unwrap()).collect()
    };
    let (exit, row) = int8(&["--pictures", pictures]);
    assert_eq!((exit, &row["precision"], &row["check"]["carts"]), (0, &"int8".into(), &3.into()), "{row}");
    // Numbers that pass, but move a box so that it is counted twice: not the same cart.
    bench.stub.plant("device 8 7 1\ncoarse");
    let (exit, bad) = int8(&["--pictures", pictures]);
    assert!(exit == 6 && bad["problem"].as_str().unwrap().contains("not the same cart"), "{bad}");
    bench.stub.plant("device 8 7 1");
    let found = caches();
    assert!(found.len() == 1 && found[0].starts_with("stub entropy batches 3 of 1 from "), "{found:?}");
    // What was found is kept: the same pictures aren't read again, as the marked file shows.
    let cache = bench.files().into_iter().find(|f| f.ends_with(".calibration")).unwrap();
    std::fs::write(bench.engine.join("plans").join(cache), "marked").unwrap();
    assert_eq!(int8(&["--calibrate", pictures]).0, 0);
    assert_eq!(caches(), ["marked"]);
    assert_eq!(int8(&["--calibrate", pictures, "--calibration", "min-max"]).0, 0);
    assert!(caches().iter().any(|c| c.starts_with("stub min-max batches 3")), "{:?}", caches());
    // A DLA core has plans of its own, and only two are there.
    let (exit, row) = bench.build(&["--dla", "1"]);
    assert_eq!((exit, &row["dla"]), (0, &1.into()), "{row}");
    assert!(row["plan"].as_str().unwrap().contains("fp16-dla1-"), "{row}");
    assert!(bench.build(&["--dla", "2"]).1["problem"].as_str().unwrap().contains("this board has 2 DLA cores"));
}
