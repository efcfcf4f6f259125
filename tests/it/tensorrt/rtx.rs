//! NVIDIA's own TensorRT-RTX 1.7: a real parser and builder that run without a GPU. The package is installed by the
//! test into `target/`, under NVIDIA's licence, and never passed on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use till::engine::Manifest;
use till::engine::tensorrt::builder::Builder;
use till::engine::tensorrt::library::{Code, Library, Paths, header};
use till::engine::tensorrt::run::Engine;

const PACKAGE: &str = "tensorrt-rtx-cu12-libs==1.7.1.116";
const FOLDER: &str = "tensorrt_rtx_libs";

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
    let home = root().join("target/tensorrt-rtx");
    let lib = home.join(FOLDER);
    if !lib.join("libtensorrt_rtx.so.1").exists() {
        install(&home)?;
    }
    let path = |name: &str| Some(lib.join(name));
    let paths = Paths {
        infer: path("libtensorrt_rtx.so.1"),
        parser: path("libtensorrt_onnxparser_rtx.so.1"),
        cudart: Some("/nowhere/libcudart.so".into()),
    };
    Some(Library::open(&paths).unwrap())
}

/// Into a folder of this process's own, then renamed: other tests' processes see all of it or nothing.
fn install(home: &Path) -> Option<()> {
    let own = home.with_added_extension(std::process::id().to_string());
    std::fs::create_dir_all(&own).unwrap();
    let run = |program: &str, args: &[&str]| {
        let done = Command::new(program).args(args).current_dir(&own).output();
        done.is_ok_and(|o| o.status.success()).then_some(())
    };
    let downloaded = run("python3", &["-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", PACKAGE]);
    let files = || std::fs::read_dir(&own).unwrap().filter_map(|e| Some(e.ok()?.path()));
    let wheel = downloaded.and_then(|()| files().find(|p| p.extension().is_some_and(|e| e == "whl")));
    let unpacked = wheel.and_then(|wheel| run("python3", &["-m", "zipfile", "-e", wheel.to_str()?, "."]));
    if unpacked.is_none() {
        println!("skipped: {PACKAGE} can't be had here");
    } else if let Err(e) = std::fs::rename(&own, home) {
        // Another process was first.
        assert!(home.join(FOLDER).exists(), "{e}");
    }
    let _ = std::fs::remove_dir_all(&own);
    unpacked
}

fn manifests() -> Vec<Manifest> {
    let engines = std::fs::read_dir(root().join("engines")).into_iter().flatten().filter_map(|e| Some(e.ok()?.path()));
    let mut folders: Vec<PathBuf> = engines.filter(|p| p.join("manifest.toml").exists()).collect();
    folders.sort();
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
