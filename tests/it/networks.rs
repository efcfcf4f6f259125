//! Networks of other people through our own heads, held to PyTorch: MiniFASNet's weights, and FaceNet's and ArcFace's
//! architectures with random ones. A script makes engine and truth when the test runs; nothing of it is kept.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use till::capture::{Frame, PixelFormat, Plane};
use till::engine::{self, Backend, Choice, EngineErrorKind, Manifest};
use till::vision::face::{Embedder, Face, FaceVision, Passive, Picture};

/// A Python that has what the scripts want.
fn python() -> Option<&'static str> {
    let has = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", "import numpy, onnx, torch"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has);
    if found.is_none() {
        println!("skipped: no python3 with numpy, onnx and torch");
    }
    found
}

/// Runs `scripts/faces/NAME`.
fn script(python: &str, name: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/faces").join(name);
    let output = Command::new(python).arg("-B").arg(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// How to load with each backend that is here.
fn choices(manifest: &Manifest) -> Vec<Choice> {
    let choices = [Backend::Rten, Backend::OnnxRuntime].map(|backend| Choice { backend, ..Choice::default() });
    let here = |choice: &Choice| match engine::load(manifest, choice) {
        Err(e) if e.kind == EngineErrorKind::Backend => {
            println!("skipped: {e}");
            false
        }
        other => other.map(|_| true).unwrap(),
    };
    choices.into_iter().filter(here).collect()
}

#[test]
fn minifasnet_says_what_its_weights_say_in_pytorch() {
    let (Some(weights), Some(python)) = (crate::common::data("weights"), python()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let [near, wide] = ["2.7_80x80_MiniFASNetV2.pth", "4_0_0_80x80_MiniFASNetV1SE.pth"].map(|f| weights.join(f));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let [near, wide, out] = [text(&near), text(&wide), text(dir.path())];
    script(python, "liveness.py", &["--near", &near, "--wide", &wide, "--out", &out, "--truth"]);
    for folder in [dir.path().to_path_buf(), dir.path().join("wide")] {
        let manifest = Manifest::load(&folder).unwrap();
        let truth = json(folder.join("truth.json"));
        for choice in choices(&manifest) {
            let mut engine = engine::load(&manifest, &choice).unwrap();
            let mut worst = 0.0f32;
            for row in truth.as_array().unwrap() {
                engine.input_mut().copy_from_slice(&floats(&row["input"]));
                engine.run().unwrap();
                let classes = engine.output(0).iter().zip(floats(&row["classes"]));
                worst = classes.map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
            }
            println!("{} on {}: at most {worst:.1e} from PyTorch", manifest.name, engine.backend());
            assert!(worst < 1e-4, "{} on {}: {worst}", manifest.name, engine.backend());
        }
    }
    // The authors' photographs, found by our own detector: on which side of a half they come out is published.
    let Some(samples) = crate::common::data("spoof-samples") else { return };
    let engines = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines");
    let choice = Choice { backend: Backend::Rten, ..Choice::default() };
    let vision = FaceVision::load(&engines.join("face-mtcnn"), &engines.join("face-mobilefacenet"), &choice).unwrap();
    let mut vision = vision.with_passive(Some(Passive::load(dir.path(), &choice).unwrap()));
    for (file, living) in [("image_T1.jpg", true), ("image_F1.jpg", false), ("image_F2.jpg", false)] {
        let frame = till::cli::picture::load(&samples.join(file)).unwrap();
        let face = vision.find(&frame).unwrap()[0];
        let (score, least) = vision.alive(&face).unwrap().unwrap();
        println!("{file}: {score:.3}");
        assert_eq!(score >= least, living, "{file}: {score}");
    }
}

#[test]
fn facenets_and_arcfaces_networks_say_of_a_face_what_they_say_in_pytorch() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    // A picture with detail everywhere and a tint; the landmarks lie as a turned face's a little larger than the template.
    let (width, height) = (300usize, 260usize);
    let pixel = |i: usize| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let wave = |a: f32, b: f32, c: f32| (110.0 + 90.0 * (x / a + y / b).sin() * (y / c).cos()) as u8;
        [wave(9.0, 17.0, 31.0), wave(14.0, 8.0, 23.0), wave(21.0, 12.0, 11.0)]
    };
    let data: Vec<u8> = (0..width * height).flat_map(pixel).collect();
    let landmarks = [[100.3, 110.2], [138.1, 114.0], [119.0, 136.5], [101.2, 155.8], [135.0, 158.9]];
    let raw = dir.path().join("picture.rgb");
    std::fs::write(&raw, &data).unwrap();
    let (raw, out) = (raw.to_str().unwrap(), dir.path().to_str().unwrap());
    let (wide, points) = (width.to_string(), serde_json::to_string(&landmarks).unwrap());
    script(python, "heads.py", &["--picture", raw, "--width", &wide, "--landmarks", &points, "--out", out]);

    let mut frame = Frame { format: PixelFormat::Rgb, data, ..Frame::with_capacity(0, 0) };
    (frame.width, frame.height) = (width as u32, height as u32);
    frame.planes[0] = Plane { offset: 0, stride: width * 3 };
    let mut picture = Picture::default();
    picture.fill(&frame).unwrap();
    let face = Face { landmarks: landmarks.map(|p| p.map(|v| v as f32)), ..Face::default() };
    for name in ["facenet", "arcface"] {
        let folder = dir.path().join(name);
        let manifest = Manifest::load(&folder).unwrap();
        let truth = floats(&json(folder.join("vector.json")));
        for choice in choices(&manifest) {
            let mut embedder = Embedder::new(&manifest, engine::load(&manifest, &choice).unwrap()).unwrap();
            let mut vector = Vec::new();
            embedder.embed(&mut picture, &face, &mut vector).unwrap();
            assert_eq!(vector.len(), 512);
            let off = vector.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{name} on {}: at most {off:.1e} from PyTorch", embedder.backend());
            assert!(off < 1e-4, "{name} on {}: {off}", embedder.backend());
        }
    }
}
