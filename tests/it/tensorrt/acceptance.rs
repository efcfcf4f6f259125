//! The acceptance script on the stub: the steps that want TensorRT, well and badly.

use std::os::unix::fs::PermissionsExt as _;

use super::lifecycle::Bench;
use crate::acceptance::{Trial, each_is};

/// In the place of NVIDIA's `trtexec`: its words, as its documentation shows them, at this rate.
fn trtexec(bench: &Bench, rate: &str) {
    let file = bench.stub.path().join("trtexec");
    let text = format!("#!/bin/sh\necho \"[11/24/2026-21:00:00] [I] Throughput: {rate} qps\"\necho \"$@\"\n");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_step_runs_on_tensorrt_and_a_plan_with_wrong_numbers_fails_what_hangs_on_it() {
    let Some(bench) = Bench::new("tests/data/blobs") else { return };
    let trial = Trial::new(Some(bench.stub.path()));
    let faces = trial.faces();
    trtexec(&bench, "0.5");
    let (ok, report) = trial.run(&["demo", "face-mtcnn", "face-mobilefacenet"], &["--rate-min", "0.2"]);
    assert!(ok && report.contains(" 0 failed"), "a step failed");
    let steps = [
        "preflight for nano",
        "plan built",
        "parity with TensorRT",
        "TensorRT took part",
        "latency, rate",
        "trtexec on the same ONNX",
        "as fast as trtexec",
        "eval tray, demo on tensorrt",
        "eval tray, demo on onnxruntime",
        "eval tray, demo: TensorRT as good as the CPU",
        "the demo store",
        "it sold on",
        "soak",
    ];
    each_is(&report, "ok", &steps);
    each_is(&report, if faces { "ok" } else { "skipped" }, &["eval verify"]);
    assert!(report.contains("- **it sold on**: ok, tensorrt") && report.contains("\"backend\":\"tensorrt\""));
    // And none of it passes by itself: wrong numbers, and a trtexec that is faster.
    bench.stub.plant("numbers");
    trtexec(&bench, "1000000");
    let trial = Trial::new(Some(bench.stub.path()));
    let (ok, report) = trial.run(&["demo"], &[]);
    assert!(!ok);
    let steps = ["plan built", "TensorRT took part", "as fast as trtexec", "eval tray, demo on tensorrt", "it sold on"];
    each_is(&report, "FAILED", &steps);
}
