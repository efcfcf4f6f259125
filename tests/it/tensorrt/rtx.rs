//! NVIDIA's own TensorRT-RTX 1.7: a real parser and builder that run without a GPU. The package is installed by the
//! test into `target/`, under NVIDIA's licence, and never passed on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use till::engine::Manifest;
use till::engine::tensorrt::builder::Builder;
use till::engine::tensorrt::library::{Code, Library, Paths, header};
use till::engine::tensorrt::run::Engine;

/// A package of PyPI, the folder in `target/` that it is unpacked in, and the folder of its libraries in there.
struct Package(&'static str, &'static str, &'static str);

const RTX: Package = Package("tensorrt-rtx-cu12-libs==1.7.1.116", "tensorrt-rtx", "tensorrt_rtx_libs");
const CUDART: Package = Package("nvidia-cuda-runtime-cu12==12.9.79", "cuda-runtime", "nvidia/cuda_runtime/lib");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The libraries, installed when they aren't there yet; `None`, with a word, where they can't be had.
fn library() -> Option<Arc<Library>> {
    let (major, minor, rtx) = header();
    if !rtx || (major, minor) != (1, 7) {
        println!("skipped: built with headers of {major}.{minor}, RTX {rtx}; this test wants TensorRT-RTX 1.7");
        return None;
    }
    let lib = RTX.libraries()?;
    let path = |name: &str| Some(lib.join(name));
    let paths = Paths {
        infer: path("libtensorrt_rtx.so.1"),
        parser: path("libtensorrt_onnxparser_rtx.so.1"),
        cudart: Some("/nowhere/libcudart.so".into()),
    };
    Some(Library::open(&paths).unwrap())
}

impl Package {
    /// The folder of its libraries, installed when it isn't there yet; `None`, with a word, where it can't be had.
    fn libraries(&self) -> Option<PathBuf> {
        let Self(name, home, folder) = *self;
        let home = root().join("target").join(home);
        let libraries = home.join(folder);
        if libraries.exists() {
            return Some(libraries);
        }
        // Into a folder of this process's own, then renamed: other tests' processes see all of it or nothing.
        let own = home.with_added_extension(std::process::id().to_string());
        std::fs::create_dir_all(&own).unwrap();
        let run = |program: &str, args: &[&str]| {
            let done = Command::new(program).args(args).current_dir(&own).output();
            done.is_ok_and(|o| o.status.success()).then_some(())
        };
        let downloaded = run("python3", &["-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", name]);
        let files = || std::fs::read_dir(&own).unwrap().filter_map(|e| Some(e.ok()?.path()));
        let wheel = downloaded.and_then(|()| files().find(|p| p.extension().is_some_and(|e| e == "whl")));
        let unpacked = wheel.and_then(|wheel| run("python3", &["-m", "zipfile", "-e", wheel.to_str()?, "."]));
        if unpacked.is_none() {
            println!("skipped: {name} can't be had here");
        } else if let Err(e) = std::fs::rename(&own, &home) {
            // Another process was first.
            assert!(libraries.exists(), "{e}");
        }
        let _ = std::fs::remove_dir_all(&own);
        unpacked.map(|()| libraries)
    }
}

/// Every engine of the project, the later stages of cascades too.
fn manifests() -> Vec<Manifest> {
    let folders = till::cli::engine::folders(&[root().join("engines")]).unwrap();
    assert!(folders.len() >= 8, "{folders:?}");
    folders.iter().map(|f| Manifest::load(f).unwrap()).collect()
}

#[test]
fn every_engine_of_the_project_becomes_a_plan_without_a_gpu_and_loading_it_fails_cleanly() {
    let Some(library) = library() else { return };
    let info = library.info().unwrap();
    assert!(info.rtx && !info.weak_typing && info.has_parser && !info.has_cudart);
    assert_eq!(info.header, (info.library.0, info.library.1));
    // Nothing of CUDA is there: the probe, which comes first at the counter, says so.
    assert_eq!(library.probe().unwrap_err().code, Code::Library);
    for manifest in manifests() {
        let mut steps = 0;
        let mut progress = |_: &str, _: i32, _: i32| {
            steps += 1;
            true
        };
        let onnx = manifest.model_bytes().unwrap();
        let (plan, _timing) = Builder::new(&library, 256 << 20).progress(&mut progress).build(&onnx).unwrap();
        println!("{}: {info}, plan of {} bytes, {steps} steps", manifest.name, plan.0.len());
        assert!(plan.0.len() > 100_000, "{}: {} bytes", manifest.name, plan.0.len());
        assert!(steps > 0);
        match Engine::load(&library, &plan, None) {
            // A machine with a GPU may run this test too.
            Ok(engine) => assert!(engine.tensors().unwrap().len() >= 2),
            Err(e) => {
                println!("{}: {e}", manifest.name);
                assert!(matches!(e.code, Code::Load | Code::Create), "{e:?}");
                assert!(e.message.contains("35") || e.message.to_lowercase().contains("cuda"), "{e}");
            }
        }
    }
}

/// NVIDIA's library and CUDA's own runtime on a machine without a GPU, as a counter would find them: plans are built,
/// none can be tried, and the next rung runs every engine and sells.
#[test]
fn without_a_gpu_cuda_says_so_and_the_next_rung_runs_every_engine_and_sells() {
    let Some(library) = library() else { return };
    let (Some(rtx), Some(cudart)) = (RTX.libraries(), CUDART.libraries()) else { return };
    let paths = Paths {
        infer: Some(rtx.join("libtensorrt_rtx.so.1")),
        cudart: Some(cudart.join("libcudart.so.12")),
        ..Paths::default()
    };
    drop(library);
    let Err(e) = Library::open(&paths).unwrap().probe() else { return println!("skipped: there is a GPU here") };
    println!("{e}");
    assert_eq!((e.code, e.cuda), (Code::Cuda, 35), "{e}");
    let plans = tempfile::tempdir().unwrap();
    let search = format!("{}:{}", rtx.display(), cudart.display());
    let till = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
        let done = command.args(args).env("LD_LIBRARY_PATH", &search).current_dir(root()).output().unwrap();
        let talk = String::from_utf8_lossy(&done.stderr).into_owned();
        let json: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {talk}"));
        (json, talk)
    };
    let place = plans.path().to_str().unwrap();
    // The smallest ones: the test above builds all, and the child that builds has the lowest priority.
    let (built, talk) = till(&["engine", "build", "engines/face-mtcnn", "--plans", place, "--json"]);
    let rows = built["engines"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{talk}");
    for row in rows {
        let outcome = row["outcome"].as_str().unwrap_or_default();
        println!("{}: {outcome}", row["name"]);
        assert!(outcome.starts_with("built, not checked, doesn't serve") && outcome.contains("35"), "{row}: {talk}");
        assert!(std::fs::metadata(row["plan"].as_str().unwrap()).unwrap().len() > 10_000, "{row}");
    }
    let (checked, talk) = till(&["engine", "check", "engines", "--plans", place, "--json"]);
    assert_eq!(checked["engines"].as_array().map(Vec::len), Some(manifests().len()));
    for row in checked["engines"].as_array().unwrap() {
        assert_eq!((&row["backends"][0], &row["ok"]), (&"onnxruntime".into(), &true.into()), "{row}: {talk}");
    }
    let (sold, talk) = till(&["demo", "--json", "--fast", "--clip", "one-item"]);
    assert_eq!((&sold["backend"], &sold["matched"]), (&"onnxruntime".into(), &1.into()), "{sold}: {talk}");
    assert_eq!(sold["receipts"].as_array().map(Vec::len), Some(1), "{sold}");
    let said: Vec<&str> = talk.lines().filter(|l| l.contains("the CPU takes over")).collect();
    assert!(said.len() == 1 && said[0].contains("35"), "{talk}");
    println!("{}", said[0]);
}

#[test]
fn what_is_no_model_is_refused_by_parser_or_builder_and_no_precision_is_promised() {
    let Some(library) = library() else { return };
    for onnx in [&b""[..], &[0xff; 4000]] {
        let e = Builder::new(&library, 64 << 20).build(onnx).unwrap_err();
        assert!(matches!(e.code, Code::Argument | Code::Parse | Code::Build), "{e:?}");
    }
    let blobs = Manifest::load(&root().join("tests/data/blobs")).unwrap().model_bytes().unwrap();
    let e = Builder::new(&library, 64 << 20).fp16(true).build(&blobs).unwrap_err();
    assert!(e.code == Code::Unsupported && e.message.contains("strongly typed"), "{e:?}");
    let e = Builder::new(&library, 64 << 20).int8(None).build(&blobs).unwrap_err();
    assert_eq!(e.code, Code::Unsupported);
}

#[test]
fn a_build_that_is_told_to_stop_gives_no_plan() {
    let Some(library) = library() else { return };
    let blobs = Manifest::load(&root().join("tests/data/blobs")).unwrap().model_bytes().unwrap();
    let mut progress = |_: &str, _: i32, _: i32| false;
    let e = Builder::new(&library, 64 << 20).progress(&mut progress).build(&blobs).unwrap_err();
    assert_eq!(e.code, Code::Build, "{e:?}");
}

#[test]
fn bytes_that_are_no_plan_are_refused() {
    let Some(library) = library() else { return };
    let e = Engine::load(&library, &till::engine::tensorrt::builder::Plan(vec![7; 1000]), None).err().unwrap();
    assert!(matches!(e.code, Code::Load | Code::Create), "{e:?}");
}
