//! The face camera's way on real photographs: against a reference in Python over the same weights, and by the promises
//! that acceptance checks. Needs the research data; says `skipped` without.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde_json::Value;
use sha2::{Digest, Sha256};
use till::cli::{Cli, dispatch, picture};
use till::engine::Choice;
use till::gallery::search::dot;
use till::vision::face::{Face, FaceVision, choose};

use crate::common::data;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An engine's folder over the reference weights of YuNet.
fn yunet(weights: &Path, dir: &Path) {
    let model = std::fs::read(weights.join("yunet_n_320_320.onnx")).unwrap();
    let sha256: String = Sha256::digest(&model).iter().map(|b| format!("{b:02x}")).collect();
    std::fs::write(dir.join("model.onnx"), model).unwrap();
    let text = format!(
        "name = \"yunet\"\ntask = \"face-detect\"\nfile = \"model.onnx\"\nsha256 = \"{sha256}\"\nlicence = \"Apache-2.0\"\n\
         source = \"reference\"\nprecision = \"fp32\"\n[input]\nname = \"input\"\nwidth = 320\nheight = 320\n\
         layout = \"nchw\"\ncolour = \"bgr\"\nfit = \"letterbox_top_left\"\n[head]\nkind = \"yunet\"\noutput = \"cls_8\"\n\
         [thresholds]\nscore = 0.5\nnms_iou = 0.4\nsure = 0.9\n"
    );
    std::fs::write(dir.join("manifest.toml"), text).unwrap();
}

/// The pictures of the folder that is `nth` by name.
pub fn pictures_of(images: &Path, nth: usize) -> Vec<PathBuf> {
    let listed = |folder: &Path| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        found.sort();
        found
    };
    listed(&listed(images)[nth])
}

fn central(vision: &mut FaceVision, file: &Path) -> (Face, Vec<f32>) {
    let frame = picture::load(file).unwrap();
    let faces = vision.find(&frame).unwrap();
    let face = *choose::central(faces, frame.width as usize, frame.height as usize).unwrap();
    let mut vector = Vec::new();
    vision.embed(&face, &mut vector).unwrap();
    (face, vector)
}

#[test]
fn landmarks_and_vectors_are_those_of_the_reference_in_python() {
    let (Some(weights), Some(lfw)) = (data("weights"), data("lfw-dev")) else { return };
    let dir = tempfile::tempdir().unwrap();
    yunet(&weights, dir.path());
    let mut vision =
        FaceVision::load(dir.path(), &root().join("engines/face-mobilefacenet"), &Choice::default()).unwrap();
    let golden: Value =
        serde_json::from_str(&std::fs::read_to_string(root().join("tests/data/faces.json")).unwrap()).unwrap();
    for pair in golden["pairs"].as_array().unwrap() {
        let vectors = ["a", "b"].map(|side| {
            let file = pair[side]["file"].as_str().unwrap();
            let (face, vector) = central(&mut vision, &lfw.join(file));
            let eyes = face.eyes_px();
            for (found, truth) in face.landmarks.iter().zip(pair[side]["landmarks"].as_array().unwrap()) {
                let [x, y] = [0, 1].map(|i| truth[i].as_f64().unwrap() as f32);
                // Another resize (OpenCV's) feeds the reference: a few hundredths of the eyes' distance.
                let off = (found[0] - x).hypot(found[1] - y) / eyes;
                assert!(off < 0.05, "{file}: {found:?} {x} {y}");
            }
            vector
        });
        let (found, truth) = (dot(&vectors[0], &vectors[1]), pair["cosine"].as_f64().unwrap() as f32);
        assert!((found - truth).abs() < 0.05, "{pair}: {found}");
    }
}

/// Every shipped detector finds the same face as the others, with landmarks that agree.
#[test]
fn both_shipped_detectors_agree() {
    let Some(lfw) = data("lfw-dev/images") else { return };
    let load = |detector: &str| {
        let engines = root().join("engines");
        FaceVision::load(&engines.join(detector), &engines.join("face-mobilefacenet"), &Choice::default()).unwrap()
    };
    let (mut cascade, mut single) = (load("face-mtcnn"), load("face-blazeface"));
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&lfw).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let mut cosines = Vec::new();
    for folder in folders.iter().step_by(60) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let (a, b) = (central(&mut cascade, &files[0]), central(&mut single, &files[0]));
        let off = |i: usize| {
            let (p, q) = (a.0.landmarks[i], b.0.landmarks[i]);
            (p[0] - q[0]).hypot(p[1] - q[1]) / a.0.eyes_px()
        };
        let mean = (0..5).map(off).sum::<f32>() / 5.0;
        assert!(mean < 0.1, "{name}: landmarks {mean} eye distances apart");
        cosines.push(dot(&a.1, &b.1));
    }
    let least = cosines.iter().copied().fold(1.0, f32::min);
    assert!(least > 0.8, "the same picture by two detectors: {least}");
}

fn command(words: &[&str]) -> Value {
    let mut out = Vec::new();
    let cli = Cli::try_parse_from([&["till"], words].concat()).unwrap();
    dispatch(cli, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// The first 100 pairs of each kind, and everybody of the identification set: what is promised, on a part of the data.
#[test]
fn verification_keeps_its_promise_on_a_part_of_the_pairs() {
    let Some(lfw) = data("lfw-dev") else { return };
    let text = std::fs::read_to_string(lfw.join("pairs.txt")).unwrap();
    let part = |same: bool| {
        let words = move |l: &&str| l.split_whitespace().count() == if same { 3 } else { 4 };
        text.lines().skip(1).filter(words).take(100).collect::<Vec<_>>().join("\n")
    };
    let dir = tempfile::tempdir().unwrap();
    let pairs = dir.path().join("pairs.txt");
    std::fs::write(&pairs, format!("100\n{}\n{}\n", part(true), part(false))).unwrap();
    let engines = root().join("engines");
    let (images, pairs) = (lfw.join("images"), pairs.display().to_string());
    let [images, detector, embedder] =
        [images, engines.join("face-mtcnn"), engines.join("face-mobilefacenet")].map(|p| p.display().to_string());
    let v = command(&[
        "eval",
        "verify",
        "--json",
        "--pairs",
        &pairs,
        "--images",
        &images,
        "--detector",
        &detector,
        "--embedder",
        &embedder,
    ]);
    assert_eq!((v["pairs"].as_u64(), v["no_face"].as_u64()), (Some(200), Some(0)), "{v}");
    assert!(v["accuracy"].as_f64().unwrap() >= 0.98 && v["tar_at_fmr_1e-3"].as_f64().unwrap() >= 0.95, "{v}");
}
