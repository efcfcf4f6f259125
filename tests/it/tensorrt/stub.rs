//! The whole of backend `tensorrt` against the stub in `stub/`: NVIDIA's classes by NVIDIA's headers, ONNX Runtime
//! behind enqueue. It says nothing about TensorRT's own results; it says that build, load, bind, enqueue, errors, lost
//! devices and leaks are handled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use till::engine::tensorrt::backend::{self, TensorRt};
use till::engine::tensorrt::builder::{Builder, Plan};
use till::engine::tensorrt::library::{Code, Device, Failure, Library, Paths, header};
use till::engine::tensorrt::plans::{Check, Precision, Store, Want};
use till::engine::tensorrt::run::Transfer;
use till::engine::{Engine, EngineErrorKind, Manifest};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The stub, compiled once in this process against the headers that the shim was compiled against.
static COMPILED: LazyLock<Result<(tempfile::TempDir, PathBuf), String>> = LazyLock::new(|| {
    let include = std::env::var("TENSORRT_INCLUDE").map_err(|_| "TENSORRT_INCLUDE isn't set")?;
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        return Err("ORT_DYLIB_PATH isn't set".into());
    }
    // NVIDIA's classes hide their tables; our own declarations can be derived from.
    let ours = Path::new(&include).with_file_name("NvInfer.h").exists();
    let source = root().join("tests/it/tensorrt/stub").join(if ours { "declared.cpp" } else { "stub.cpp" });
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let library = dir.path().join("stub.so");
    let cuda = root().join("src/engine/tensorrt/cuda");
    let done = Command::new("g++")
        .args(["-std=c++14", "-O1", "-g", "-fPIC", "-shared", "-Wno-deprecated-declarations"])
        .args(["-isystem", &include, "-I"])
        .args([&cuda, Path::new("-o"), &library, &source])
        .arg("-ldl")
        .output()
        .map_err(|e| format!("no g++: {e}"))?;
    assert!(done.status.success(), "the stub against {include}: {}", String::from_utf8_lossy(&done.stderr));
    Ok((dir, library))
});

/// A stub of its own: a copy, so that its faults and counts are nobody else's.
pub struct Stub {
    dir: tempfile::TempDir,
}

impl Stub {
    pub fn new() -> Option<Self> {
        match &*COMPILED {
            Ok((_, library)) => {
                let dir = tempfile::tempdir().unwrap();
                std::fs::copy(library, dir.path().join("stub.so")).unwrap();
                Some(Self { dir })
            }
            Err(reason) => {
                println!("skipped: {reason}");
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn paths(&self) -> Paths {
        let library = Some(self.dir.path().join("stub.so"));
        Paths { infer: library.clone(), parser: library.clone(), cudart: library }
    }

    fn open(&self) -> Arc<Library> {
        Library::open(&self.paths()).unwrap()
    }

    /// Plants `faults`, one a line, in place of what was planted.
    pub fn plant(&self, faults: &str) {
        std::fs::write(self.dir.path().join("faults"), faults).unwrap();
    }

    /// What is still alive: nothing, after everything was dropped.
    fn alive(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("live")).unwrap_or_default();
        text.lines().filter(|l| !l.ends_with(" 0")).collect::<Vec<_>>().join(", ")
    }

    fn store(&self) -> Store {
        Store::new(self.dir.path().join("plans"))
    }
}

fn blobs() -> Manifest {
    Manifest::load(&root().join("tests/data/blobs")).unwrap()
}

fn build(library: &Arc<Library>) -> Result<Plan, Failure> {
    Builder::new(library, 64 << 20).build(&blobs().model_bytes().unwrap()).map(|(plan, _)| plan)
}

fn load(library: &Arc<Library>, plan: Plan) -> TensorRt {
    let device = library.probe().unwrap();
    TensorRt::from_plan("blobs", Arc::clone(library), &device, plan, Precision::Model, None).unwrap()
}

/// Red everywhere, then the output that says so: as the test of the other backends does.
fn sees_red(engine: &mut TensorRt) -> bool {
    let input = engine.input_mut();
    input.fill(0.0);
    input[..64 * 64].fill(1.0);
    engine.run().unwrap();
    (4..9).all(|class| (engine.output(0)[class * 49 + 24] > 0.5) == (class == 4)) && engine.output(0)[24] == 32.0
}

#[test]
fn a_model_is_built_loaded_and_run_on_each_kind_of_memory() {
    let Some(stub) = Stub::new() else { return };
    for (device, transfer) in [
        ("device 8 7 0", Transfer::Copy),
        ("device 8 7 1", Transfer::Mapped),
        ("device 5 3 1", Transfer::MappedUncached),
    ] {
        stub.plant(device);
        let library = stub.open();
        let mut engine = load(&library, build(&library).unwrap());
        assert_eq!((engine.backend(), engine.transfer()), ("tensorrt", transfer));
        assert_eq!((engine.input().name.as_str(), &engine.input().shape[..]), ("images", &[1, 3, 64, 64][..]));
        assert!(engine.output(0).is_empty() && engine.output(9).is_empty(), "before the first run");
        assert!(sees_red(&mut engine), "{device}");
        // The input keeps its contents; blue beside red changes the answer.
        engine.input_mut()[2 * 64 * 64..].fill(1.0);
        engine.run().unwrap();
        assert_eq!(engine.output(0).len(), 9 * 49);
        drop((engine, library));
        assert_eq!(stub.alive(), "", "{device}");
    }
}

#[test]
fn a_failure_at_each_call_is_told_apart_and_leaves_nothing_behind() {
    let Some(stub) = Stub::new() else { return };
    stub.plant("version");
    let e = Library::open(&stub.paths()).err().unwrap();
    assert!(e.code == Code::Version && e.message.contains("5.1.5"), "{e}");
    let e = Library::open(&Paths { infer: Some("/nowhere/lib.so".into()), ..stub.paths() }).err().unwrap();
    assert_eq!(e.code, Code::Library);
    stub.plant("");
    let library = stub.open();
    let plan = build(&library).unwrap();
    for (fault, code) in [
        ("builder", Code::Create),
        ("network", Code::Create),
        ("parser", Code::Create),
        ("parse", Code::Parse),
        ("config", Code::Create),
        ("build", Code::Build),
    ] {
        stub.plant(fault);
        let e = build(&library).unwrap_err();
        assert_eq!(e.code, code, "{fault}: {e}");
        if fault == "build" {
            assert!(e.message.contains("Could not find any implementation"), "TensorRT's own words: {e}");
        }
        assert_eq!(stub.alive(), "", "{fault}");
    }
    stub.plant("");
    let device = library.probe().unwrap();
    for (fault, kind) in [
        ("runtime", EngineErrorKind::Backend),
        ("load", EngineErrorKind::Model),
        ("context", EngineErrorKind::Backend),
        ("bind", EngineErrorKind::Run),
        ("cudaStreamCreate 2", EngineErrorKind::Backend),
        ("cudaMalloc 2", EngineErrorKind::Backend),
        ("cudaHostAlloc 2", EngineErrorKind::Backend),
        ("cudaMemcpyAsync 1", EngineErrorKind::Backend),
        ("enqueue", EngineErrorKind::Run),
        ("cudaStreamSynchronize 1", EngineErrorKind::Backend),
    ] {
        stub.plant(fault);
        let loaded = TensorRt::from_plan("blobs", Arc::clone(&library), &device, plan.clone(), Precision::Model, None);
        let e = loaded.err().unwrap_or_else(|| panic!("{fault}"));
        assert_eq!(e.kind, kind, "{fault}: {e}");
        assert_eq!(stub.alive(), "", "{fault}");
    }
    for (fault, cuda) in [("nogpu", 100), ("cudaGetDeviceCount 35", 35), ("cudaMemGetInfo 2", 2)] {
        stub.plant(fault);
        let e = library.probe().unwrap_err();
        assert_eq!((e.code, e.cuda), (Code::Cuda, cuda), "{fault}: {e}");
    }
}

#[test]
fn a_model_that_the_parser_refuses_is_refused_in_its_words() {
    let Some(stub) = Stub::new() else { return };
    let library = stub.open();
    let e = Builder::new(&library, 1 << 20).build(b"no model").unwrap_err();
    assert!(e.code == Code::Parse && e.message.contains("Runtime"), "{e}");
}

#[test]
fn a_lost_device_is_reset_once_and_the_same_input_is_answered() {
    let Some(stub) = Stub::new() else { return };
    let library = stub.open();
    let mut engine = load(&library, build(&library).unwrap());
    assert!(sees_red(&mut engine));
    // Illegal address: every later call of CUDA's fails until the device is reset.
    stub.plant("enqueue 700 1");
    assert!(sees_red(&mut engine), "the input was kept through the reset");
    stub.plant("cudaStreamSynchronize 719 1");
    assert!(sees_red(&mut engine));
    // A device that stays lost is an error of the run, and outputs of an earlier run are not passed off as this one's.
    stub.plant("enqueue 700");
    let e = engine.run().unwrap_err();
    assert_eq!(e.kind, EngineErrorKind::Run, "{e}");
    assert!(engine.output(0).is_empty());
    assert_eq!(engine.input_mut().len(), 3 * 64 * 64, "the caller can go on writing");
    // And when it is back, so are we.
    stub.plant("");
    assert!(sees_red(&mut engine));
    // An error that isn't sticky resets nothing.
    stub.plant("enqueue\ncudaDeviceReset");
    assert_eq!(engine.run().unwrap_err().kind, EngineErrorKind::Run);
    stub.plant("");
    assert!(sees_red(&mut engine));
    drop((engine, library));
    assert_eq!(stub.alive(), "");
}

#[test]
fn only_a_checked_plan_of_this_machine_serves() {
    let Some(stub) = Stub::new() else { return };
    let (manifest, store) = (blobs(), stub.store());
    let e = TensorRt::load(&manifest, std::slice::from_ref(&store), Want::default(), &stub.paths()).err().unwrap();
    assert!(e.kind == EngineErrorKind::Backend && e.message.contains("till engine build"), "{e}");
    let library = stub.open();
    let device = library.probe().unwrap();
    let key = backend::key(&manifest, &library, &device, Precision::Model, None).unwrap();
    let plan = build(&library).unwrap();
    store.write(&key, None, &plan.0).unwrap();
    assert!(
        TensorRt::load(&manifest, std::slice::from_ref(&store), Want::default(), &stub.paths()).is_err(),
        "never compared"
    );
    let check = Some(Check { reference: "rten".into(), inputs: 1, difference: 0.0, carts: None });
    store.write(&key, check, &plan.0).unwrap();
    let mut engine = TensorRt::load(&manifest, std::slice::from_ref(&store), Want::default(), &stub.paths()).unwrap();
    assert!(sees_red(&mut engine));
    // Another GPU, as after a swapped board: the plan stays on disk and out of use.
    stub.plant("device 8 7 1");
    let other = Device { capability: (5, 3), ..device };
    assert_ne!(backend::key(&manifest, &library, &other, Precision::Model, None).unwrap(), key);
    stub.plant("device 5 3 1");
    let e = TensorRt::load(&manifest, std::slice::from_ref(&store), Want::default(), &stub.paths()).err().unwrap();
    assert!(e.message.contains("sm53"), "{e}");
}

#[test]
fn progress_is_reported_and_may_end_the_build_and_timings_come_back() {
    let Some(stub) = Stub::new() else { return };
    let (major, minor, rtx) = header();
    if !rtx && (major, minor) < (8, 6) {
        return println!("skipped: TensorRT {major}.{minor} reports no progress");
    }
    let library = stub.open();
    let onnx = blobs().model_bytes().unwrap();
    let mut seen = Vec::new();
    let mut progress = |phase: &str, step: i32, steps: i32| {
        seen.push((phase.to_owned(), step, steps));
        true
    };
    let built =
        Builder::new(&library, 1 << 20).progress(&mut progress).timing_cache(b"of another GPU".to_vec()).build(&onnx);
    let (_, timings) = built.unwrap();
    // A cache that is refused is replaced by an empty one.
    assert_eq!(timings, b"timings");
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[3], ("Building".into(), 3, 3));
    let mut stop = |_: &str, step: i32, _: i32| step < 2;
    assert_eq!(Builder::new(&library, 1 << 20).progress(&mut stop).build(&onnx).unwrap_err().code, Code::Build);
    assert_eq!(stub.alive(), "");
}

#[test]
fn nothing_leaks_over_ten_thousand_inferences_and_a_hundred_loads() {
    let Some(stub) = Stub::new() else { return };
    let library = stub.open();
    let plan = build(&library).unwrap();
    for _ in 0..100 {
        let mut engine = load(&library, plan.clone());
        assert!(sees_red(&mut engine));
    }
    assert_eq!(stub.alive(), "");
    let mut engine = load(&library, plan);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    for _ in 0..1000 {
        engine.run().unwrap();
    }
    let before = resident();
    for _ in 0..9000 {
        engine.run().unwrap();
    }
    let grown = resident().saturating_sub(before);
    // A tensor of the smaller kind, forgotten each time, would be 16 MB.
    assert!(grown < 4096, "{grown} KiB more after 9000 inferences");
    drop((engine, library));
    assert_eq!(stub.alive(), "");
}
