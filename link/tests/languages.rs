//! The C and Python endpoints pass their own tests: the golden vectors and transcripts, journals cut anywhere, a
//! POS asked about the past. `day.rs` beside this plays whole days with their examples.

use std::path::PathBuf;
use std::process::{Command, Stdio};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: no {program} here");
    }
    found
}

fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{text}");
    assert!(output.status.success(), "{text}");
}

#[test]
fn the_c_endpoint_passes_its_tests() {
    if there("cc") {
        passes(Command::new("sh").arg("test.sh").current_dir(folder().join("c")));
    }
}

#[test]
fn the_python_endpoint_passes_its_tests() {
    if there("python3") {
        passes(Command::new("python3").args(["-m", "unittest", "-q"]).current_dir(folder().join("python")));
    }
}
