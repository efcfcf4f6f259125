//! The TensorRT shim's version branches against our own declarations (`shim/`) of what TensorRT 8.0 to 10.3 have, whose
//! headers are in no registry. It shows that the branches are C++ and call what those versions are known to have;
//! `scripts/tensorrt` compiles against NVIDIA's headers where they can be had.

use std::path::Path;
use std::process::Command;

#[test]
fn each_branch_of_the_shim_compiles_against_what_its_version_is_known_to_have() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    for (major, minor) in [(8, 0), (8, 2), (8, 4), (8, 5), (8, 6), (10, 3)] {
        let mut command = Command::new("g++");
        command
            .args(["-std=c++14", "-Wall", "-Wextra", "-Werror", "-fPIC", "-c"])
            .arg(format!("-DNV_TENSORRT_MAJOR={major}"))
            .arg(format!("-DNV_TENSORRT_MINOR={minor}"))
            .arg("-I")
            .arg(root.join("tests/it/shim"))
            .arg("-I")
            .arg(root.join("src/engine/tensorrt/cuda"))
            .arg(root.join("src/engine/tensorrt/shim.cpp"))
            .arg("-o")
            .arg(out.path().join("shim.o"));
        match command.output() {
            Err(e) => return println!("skipped: no g++: {e}"),
            Ok(done) => assert!(done.status.success(), "{major}.{minor}: {}", String::from_utf8_lossy(&done.stderr)),
        }
    }
}
