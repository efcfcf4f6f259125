//! Enrolment and recognition from clips through the real detector and embedder, and what they leave on the disk. The
//! clips are photographs of the research data laid over a head of Gaussian depth and turned: no such data, no test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::RgbImage;
use serde_json::Value;
use till::cli::eval_liveness::render::{self, Body, Camera};
use till::people::vault::{KeySource, Vault};

/// The photographs, if they are there.
pub fn images() -> Option<PathBuf> {
    crate::common::data("lfw-dev/images")
}

/// The `number`th photograph of somebody, counted from 0.
pub fn photograph(images: &Path, name: &str, number: usize) -> RgbImage {
    let mut all = files(&images.join(name));
    all.sort();
    image::open(&all[number]).unwrap().into_rgb8()
}

/// The head in the middle of the photograph turned by so many degrees, seen from afar, at one and a half times the size.
pub fn turned(photograph: &RgbImage, yaw: f32, pitch: f32) -> RgbImage {
    let camera = Camera { distance: f32::INFINITY, zoom: 1.5, off: [0.0, 0.0] };
    render::turned(photograph, Body::Head(1.0), camera, yaw, pitch)
}

/// A clip as a folder of pictures, ten a second: the angles one after the other.
fn clip(folder: &Path, photograph: &RgbImage, angles: impl IntoIterator<Item = (f32, f32)>) {
    std::fs::create_dir_all(folder).unwrap();
    for (i, (yaw, pitch)) in angles.into_iter().enumerate() {
        turned(photograph, yaw, pitch).save(folder.join(format!("{i:04}.png"))).unwrap();
    }
}

/// Ahead, to the person's right, down, to the left, each slowly.
pub fn four_poses() -> Vec<(f32, f32)> {
    let sweep = |to: f32| (1..=18).map(move |i| to * i as f32 / 18.0);
    let ahead = (0..10).map(|i| (i as f32 / 4.0 - 1.0, 0.0));
    let right = sweep(-36.0).map(|yaw| (yaw, 0.0));
    let down = sweep(34.0).map(|pitch| (0.0, pitch));
    let left = sweep(36.0).map(|yaw| (yaw, 0.0));
    ahead.chain(right).chain(down).chain(left).collect()
}

/// Looking about a little.
pub fn glance() -> Vec<(f32, f32)> {
    (0..12).map(|i| ((i as f32 * 0.9).sin() * 7.0, (i as f32 * 0.7).cos() * 4.0)).collect()
}

/// The program in a folder of its own, where its temporary files would lie, too.
fn till(home: &Path, words: &[&str]) -> Output {
    std::fs::create_dir_all(home.join("tmp")).unwrap();
    let engines = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines");
    let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
    command.current_dir(home).env("TMPDIR", home.join("tmp")).env("HOME", home).arg("people").args(words);
    command.args(["--state", "state", "--config", "/nowhere/till.toml"]);
    if ["enrol", "recognise"].contains(&words[0]) {
        command.arg("--detector").arg(engines.join("face-mtcnn"));
        command.arg("--embedder").arg(engines.join("face-mobilefacenet"));
    }
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    let (out, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{talk}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{talk}"))
}

fn enrol(home: &Path, id: &str, footage: &Path, more: &[&str]) -> Output {
    let footage = footage.to_str().unwrap();
    let words = ["enrol", "--id", id, "--consent-version", "1", "--agreed", "--footage", footage, "--json"];
    till(home, &[&words, more].concat())
}

fn recognise(home: &Path, footage: &Path) -> Value {
    json(&till(home, &["recognise", "--footage", footage.to_str().unwrap(), "--json"]))
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn found(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}

/// Who, and which photographs: one that is enrolled and another one. Each looks ahead by and large.
const MEMBERS: [(&str, [usize; 2]); 2] = [("Jennifer_Garner", [0, 4]), ("Tony_Blair", [1, 3])];
const STRANGERS: [(&str, usize); 3] = [("Hugo_Chavez", 1), ("Andre_Agassi", 0), ("Lindsay_Davenport", 4)];

#[test]
fn four_poses_of_a_clip_enrol_and_another_clip_is_recognised_and_a_strangers_is_not() {
    let Some(images) = images() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (home, clips) = (folder.path().join("home"), folder.path().join("clips"));
    std::fs::create_dir_all(&home).unwrap();
    for (i, (name, [first, _])) in MEMBERS.into_iter().enumerate() {
        let footage = clips.join(name);
        clip(&footage, &photograph(&images, name, first), four_poses());
        let output = enrol(&home, name, &footage, &["--name", "Somebody"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let v = json(&output);
        assert_eq!(v["templates"], serde_json::json!(["front", "right", "down", "left"]), "{said}");
        assert_eq!(v["number"], i + 1);
        for word in ["turn a little more to the right", "look down", "turn your head to the left", "thank you"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    for (name, [_, second]) in MEMBERS {
        let footage = clips.join(format!("{name} again"));
        clip(&footage, &photograph(&images, name, second), glance());
        let v = recognise(&home, &footage);
        println!("{name}: {v}");
        assert_eq!(v["id"], name, "{v}");
    }
    // Enrolled once more under another id: the face is known.
    let output = enrol(&home, "another-id", &clips.join(MEMBERS[0].0), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("this face is enrolled already, as number 1"), "{said}");
    for (name, number) in STRANGERS {
        let footage = clips.join(name);
        clip(&footage, &photograph(&images, name, number), glance());
        let v = recognise(&home, &footage);
        println!("{name}: {v}");
        assert!(v["id"].is_null() && v["enough"] == true, "{v}");
    }
    // A clip that ends too early leaves nobody.
    let short = clips.join("short");
    clip(&short, &photograph(&images, STRANGERS[0].0, STRANGERS[0].1), four_poses().into_iter().take(30));
    let output = enrol(&home, "short", &short, &[]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("not every pose was taken"));
    assert_eq!(json(&till(&home, &["list", "--json"]))["people"].as_array().unwrap().len(), 2);

    nothing_is_written_in_the_clear(&home, &clips);
}

/// No file that was written holds a picture, a row of a frame, a name or a value of a face.
fn nothing_is_written_in_the_clear(home: &Path, clips: &Path) {
    let export = clips.join("export.json");
    let words = ["export", "--id", MEMBERS[0].0, "--output", export.to_str().unwrap(), "--with-embeddings"];
    assert!(till(home, &words).status.success());
    let v: Value = serde_json::from_str(&std::fs::read_to_string(&export).unwrap()).unwrap();
    let mut pieces: Vec<Vec<u8>> =
        vec![b"\x89PNG".into(), b"\xff\xd8\xff".into(), MEMBERS[0].0.into(), b"Somebody".into()];
    for template in v["templates"].as_array().unwrap() {
        let vector: Vec<f32> =
            template["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        assert_eq!(vector.len(), 192);
        pieces.extend(vector.windows(2).map(|w| w.iter().flat_map(|x| x.to_le_bytes()).collect()));
        pieces.extend(vector.iter().filter(|x| x.abs() > 0.01).map(|x| x.to_string().into_bytes()));
    }
    for picture in files(&clips.join(MEMBERS[0].0)) {
        let raw = image::open(picture).unwrap().into_rgb8();
        let middle = (raw.height() / 2 * raw.width() + raw.width() / 2) as usize * 3;
        pieces.push(raw.as_raw()[middle..middle + 24].to_vec());
        pieces.push(raw.as_raw()[middle..].iter().step_by(3).take(16).copied().collect());
    }
    assert!(pieces.len() > 1000);
    let written = files(home);
    assert!(written.len() >= 5, "the vault: {written:?}");
    for file in &written {
        let bytes = std::fs::read(file).unwrap();
        let at = pieces.iter().position(|piece| found(&bytes, piece));
        assert!(
            at.is_none(),
            "{}: {:?}",
            file.display(),
            at.map(|at| String::from_utf8_lossy(&pieces[at]).into_owned())
        );
    }
    // The search finds what is there.
    let bytes = std::fs::read(&export).unwrap();
    assert!(pieces.iter().filter(|piece| found(&bytes, piece)).count() > 100);
}

/// Whoever enrols has the vault for as long as it takes: a second enrolment at the same time is told so, and leaves nothing.
#[test]
fn of_two_enrolments_at_once_the_second_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let (home, footage) = (folder.path().join("home"), folder.path().join("footage"));
    std::fs::create_dir_all(&footage).unwrap();
    RgbImage::new(320, 240).save(footage.join("0.png")).unwrap();
    let state = home.join("state/people");
    let first = Vault::init_at(&state, &KeySource::Own).unwrap();
    let output = enrol(&home, "second", &footage, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("another till works on the members"), "{said}");
    drop(first);
    // Alone it gets as far as the footage, in which nobody is.
    let output = enrol(&home, "second", &footage, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("not every pose was taken"), "{said}");
    assert!(Vault::open_at(&state, &KeySource::Own).unwrap().is_empty());
}
