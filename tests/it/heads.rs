//! Each head held to its own framework: raw outputs of small trained networks, and what the framework's own
//! post-processing made of them. `scripts/parity/heads.py` writes tests/data/heads.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use till::engine::null::Null;
use till::engine::{Manifest, TensorSpec};
use till::vision::Detection;
use till::vision::head::Head;
use till::vision::nms::Nms;

use crate::alloc::allocations;

/// Largest difference in pixels and in scores.
const TOLERANCE: f32 = 1e-3;
const KEEP_MAX: usize = 300;

#[derive(Deserialize)]
struct Case {
    /// Name of the file with the outputs.
    raw: String,
    outputs: Vec<Output>,
    detections: Vec<Expected>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
}

#[derive(Clone, Debug, Deserialize)]
struct Expected {
    label: u16,
    score: f32,
    bbox: [f32; 4],
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heads")
}

/// The case's manifest, an engine that ran and left the recorded outputs, and what is expected of them.
fn load(name: &str) -> (Manifest, Null, Vec<Expected>) {
    let text = |end: &str| std::fs::read_to_string(folder().join(format!("{name}.{end}"))).unwrap();
    let case: Case = serde_json::from_str(&text("json")).unwrap();
    let manifest = Manifest::parse(&folder(), &text("toml")).unwrap();
    let specs = case.outputs.into_iter().map(|o| TensorSpec { name: o.name, shape: o.shape }).collect();
    let input = TensorSpec { name: "images".into(), shape: manifest.input.shape().to_vec() };
    let mut engine = Null::new(input, specs);
    let bytes = std::fs::read(folder().join(format!("{}.f32", case.raw))).unwrap();
    let mut numbers = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    for i in 0.. {
        let output = engine.output_mut(i);
        if output.is_empty() {
            break;
        }
        output.iter_mut().for_each(|to| *to = numbers.next().unwrap());
    }
    assert_eq!(numbers.count(), 0, "{name}: numbers are left over");
    (manifest, engine, case.detections)
}

/// Largest differences of boxes and scores; every box has its counterpart, and none is left.
fn compare(name: &str, mut ours: Vec<Detection>, theirs: &[Expected]) -> (f32, f32) {
    let (mut pixels, mut scores) = (0f32, 0f32);
    for t in theirs {
        let apart = |d: &Detection| d.bbox.iter().zip(t.bbox).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let same =
            |d: &Detection| d.label == t.label && apart(d) <= TOLERANCE && (d.score - t.score).abs() <= TOLERANCE;
        let at = ours.iter().position(same).unwrap_or_else(|| panic!("{name}: {t:?} is not among {ours:#?}"));
        let d = ours.swap_remove(at);
        (pixels, scores) = (pixels.max(apart(&d)), scores.max((d.score - t.score).abs()));
    }
    assert!(ours.is_empty(), "{name}: too many: {ours:#?}");
    (pixels, scores)
}

#[test]
fn each_head_agrees_with_its_framework() {
    let names = [
        "efficientdet",
        "faster-rcnn-torchvision",
        "fcos-torchvision",
        "foveabox",
        "nms-agnostic",
        "nms-diou",
        "nms-soft-gaussian",
        "nms-soft-linear",
        "nms-vote",
        "retinanet-torchvision",
        "ssd-torchvision",
        "ssdlite-torchvision",
        "yolo-no-dfl",
        "yolo-v5",
        "yolo-v5-maps",
        "yolo-v8",
        "yolo-v8-maps",
    ];
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|e| Some(e.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    found.sort();
    assert_eq!(found, names, "a case without a test, or a test without its case");
    for name in names {
        let (manifest, engine, theirs) = load(name);
        assert!(theirs.len() >= 5 && theirs.iter().any(|t| t.label != theirs[0].label), "{name}: too easy");
        let mut head = Head::new(&manifest, &engine).unwrap();
        let nms = Nms::for_manifest(&manifest, None, KEEP_MAX);
        let (mut boxes, mut kept) = (Vec::with_capacity(head.boxes_max()), Vec::with_capacity(KEEP_MAX));
        let (_, count) = allocations(|| {
            head.decode(&engine, manifest.thresholds.score, &mut boxes);
            nms.run(&mut boxes, manifest.thresholds.score, &mut kept);
        });
        assert_eq!(count, 0, "{name} allocates for a frame");
        let candidates = boxes.len();
        let (pixels, scores) = compare(name, kept, &theirs);
        let n = theirs.len();
        println!(
            "{name}: {candidates} candidates, {n} boxes; largest difference {pixels:.1e} px, {scores:.1e} in score"
        );
    }
}
