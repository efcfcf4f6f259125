//! A member who asks is known in the sale, a stranger is told kindly that they are not, and nothing of either face is on
//! any disk: `till run` with footage as face camera, `till pos` with a script that asks. Photographs of the research data
//! (says `skipped` without) repeated into clips, and portraits in the public domain, rendered as heads that turn.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use image::RgbImage;
use till::cli::picture;
use till::engine::{Choice, Manifest};
use till::people::vault::{Consent, Facing, KeySource, Method, Record, Template, Vault};
use till::port::pty::NullModem;
use till::vision::face::{FaceVision, choose};

use crate::common::{Running, data};

/// At 15 frames a second: long enough for any answer.
const FRAMES: usize = 300;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// A head that turns, each angle for a third of a second.
fn turning(folder: &Path, photograph: &RgbImage, angles: Vec<(f32, f32)>) -> PathBuf {
    let frames = folder.join("frames");
    let _ = std::fs::remove_dir_all(&frames);
    std::fs::create_dir_all(&frames).unwrap();
    for (i, (yaw, pitch)) in angles.into_iter().enumerate() {
        let picture = crate::enrol::turned(photograph, yaw, pitch);
        // Chroma is halved: an odd side would be cut.
        let even = image::imageops::crop_imm(&picture, 0, 0, picture.width() & !1, picture.height() & !1).to_image();
        for again in 0..5 {
            even.save(frames.join(format!("{:04}.jpg", 5 * i + again))).unwrap();
        }
    }
    let to = folder.join("face.mkv");
    crate::chain::encode(&frames, &to);
    std::fs::remove_dir_all(&frames).unwrap();
    to
}

/// One picture as the clip of a camera that looks at somebody who holds still.
fn clip(folder: &Path, portrait: &Path) -> PathBuf {
    let frames = folder.join("frames");
    let _ = std::fs::remove_dir_all(&frames);
    std::fs::create_dir_all(&frames).unwrap();
    for i in 0..FRAMES {
        std::fs::copy(portrait, frames.join(format!("{i:04}.jpg"))).unwrap();
    }
    let to = folder.join("face.mkv");
    crate::chain::encode(&frames, &to);
    std::fs::remove_dir_all(&frames).unwrap();
    to
}

/// Enrols people from their pictures; gives the vectors.
fn enrol(who: &[(String, Vec<PathBuf>)], people: &Path) -> Vec<Vec<f32>> {
    let embedder = root().join("engines/face-mobilefacenet");
    let network = Manifest::load(&embedder).unwrap().sha256;
    let mut vision = FaceVision::load(&root().join("engines/face-mtcnn"), &embedder, &Choice::default()).unwrap();
    let mut vault = Vault::init_at(people, &KeySource::Own).unwrap();
    let mut vectors = Vec::new();
    for (name, files) in who {
        let mut templates = Vec::new();
        for file in files {
            let frame = picture::load(file).unwrap();
            let faces = vision.find(&frame).unwrap();
            let face = *choose::central(faces, frame.width as usize, frame.height as usize).unwrap();
            let mut vector = Vec::new();
            vision.embed(&face, &mut vector).unwrap();
            vectors.push(vector.clone());
            templates.push(Template { network: network.clone(), facing: Facing::Front, vector });
        }
        let consent = Consent { version: "1".into(), text_sha256: None, at_s: None, method: Method::Staff };
        vault.put(&Record { id: name.clone(), name: None, created_s: None, consent, templates }, false).unwrap();
    }
    vectors
}

/// A recording as face camera.
fn recorded(clip: &Path) -> String {
    format!("file = \"{}\"\nrepeat = false", clip.display())
}

/// `comes`: whether the presence line says that somebody came, which begins a session; `more` goes to the end.
fn config(folder: &Path, port: &Path, camera: &str, comes: bool, more: &str) -> PathBuf {
    let here = root().display();
    let folder_ = folder.display();
    let text = format!(
        "[counter]\nstate_dir = \"{folder_}/till\"\ncontrol = \"{folder_}/ctl.sock\"\n\
         catalogue = \"{here}/demo/catalogue.csv\"\n[tray.camera]\ntest = true\n\
         [tray.engine]\ndir = \"{here}/engines/demo\"\n[face.camera]\n{camera}\nwidth = 250\nheight = 250\n\
         [face.engine]\ndetector = \"{here}/engines/face-mtcnn\"\nembedder = \"{here}/engines/face-mobilefacenet\"\n\
         [port]\npath = \"{}\"\n{}{more}",
        port.display(),
        if comes { "[trigger]\nsource = \"script\"\nscript = \"trigger.toml\"\n" } else { "" },
    );
    std::fs::write(
        folder.join("trigger.toml"),
        "title = \"somebody comes\"\nfootage = \"none.mkv\"\n[[event]]\nat_ms = 200\npresence = true\n\
         [expect]\noutcome = \"refused\"\nreason = \"unsure\"\n",
    )
    .unwrap();
    let file = folder.join("till.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// What the POS was told of whoever stands before the camera in that clip, one line each, to the last word. `asks` are
/// the arguments with which the POS asks.
fn told(folder: &Path, clip: &Path, asks: &[&str]) -> Vec<String> {
    told_of(folder, &recorded(clip), asks, "", &mut |_| {})
}

/// The same of any camera and with more in the configuration; `hears` hears each line as it comes.
fn told_of(folder: &Path, camera: &str, asks: &[&str], more: &str, hears: &mut dyn FnMut(&str)) -> Vec<String> {
    let cable = NullModem::open(None).unwrap();
    let [till_end, pos_end] = cable.ends();
    let config = config(folder, till_end, camera, !asks.contains(&"--enrol"), more);
    std::fs::write(folder.join("keys.toml"), "member = true\n").unwrap();
    let till = |arguments: &[&str]| {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
        command.current_dir(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        Running(command.spawn().unwrap())
    };
    let state = folder.join("pos");
    let [state, config] = [&state, &config].map(|path| path.to_str().unwrap());
    let mut pos = till(&[&["pos", "--port", pos_end.to_str().unwrap(), "--state", state], asks].concat());
    let _run = till(&["run", "--config", config]);
    let mut lines = Vec::new();
    // The last word always comes: a name, or a reason why there is none, at the latest after half a minute.
    for line in BufReader::new(pos.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("member: ") || line.starts_with("face: ") {
            let last = !["Look", "Hold", "little", "step", "further"].iter().any(|hint| line.contains(hint));
            hears(&line);
            lines.push(line);
            if last {
                break;
            }
        }
    }
    lines
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Files below `folder` that hold one of `needles`, and which.
fn holding(folder: &Path, needles: &[(&str, Vec<u8>)], found: &mut Vec<String>) {
    for path in sorted(folder) {
        if path.is_dir() {
            holding(&path, needles, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            for (what, needle) in needles {
                if bytes.windows(needle.len()).any(|window| window == needle) {
                    found.push(format!("{what} in {}", path.display()));
                }
            }
        }
    }
}

#[test]
fn a_member_is_named_a_stranger_is_not_and_no_face_is_on_the_disk() {
    let Some(data) = data("lfw-ident-dev") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let names: Vec<String> = sorted(&data.join("gallery"))
        .iter()
        .take(6)
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    std::fs::create_dir(folder.join("till")).unwrap();
    let who: Vec<_> = names.iter().map(|name| (name.clone(), sorted(&data.join("gallery").join(name)))).collect();
    let vectors = enrol(&who, &folder.join("till/people"));

    let mated = sorted(&data.join("probes-mated").join(&names[2])).remove(0);
    let asks = ["--script", "keys.toml"];
    let lines = told(folder, &clip(folder, &mated), &asks);
    assert_eq!(lines.last(), Some(&format!("member: {}?", names[2])), "{lines:?}");
    let stranger = sorted(&data.join("probes-nonmated")).remove(0);
    let lines = told(folder, &clip(folder, &stranger), &asks);
    assert_eq!(lines.last().map(String::as_str), Some("face: No member: pay as usual."), "{lines:?}");

    // What was written meanwhile: books of both ends, vault, log.
    std::fs::remove_file(folder.join("face.mkv")).unwrap();
    let mut needles = vec![("a JPEG", vec![0xff, 0xd8, 0xff]), ("a PNG", b"\x89PNG".to_vec())];
    for vector in &vectors {
        needles.push(("a vector", vector[..4].iter().flat_map(|value| value.to_le_bytes()).collect()));
        needles.push(("a vector as text", format!("{:.4}", vector[0]).into_bytes()));
    }
    let pixels = picture::load(&mated).unwrap();
    let middle = pixels.data.len() / 2;
    needles.push(("a raw frame", pixels.data[middle..middle + 24].to_vec()));
    let mut found = Vec::new();
    holding(folder, &needles, &mut found);
    assert_eq!(found, Vec::<String>::new());
}

/// A portrait in the public domain, which may lie in the project.
pub fn portrait(name: &str) -> RgbImage {
    image::open(root().join("tests/data/portraits").join(name)).unwrap().into_rgb8()
}

#[test]
fn a_person_at_the_pos_enrols_a_member_who_is_then_known_in_a_sale_and_a_stranger_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("till")).unwrap();
    let clip = turning(folder, &portrait("obama.jpg"), crate::enrol::four_poses());
    let lines = told(folder, &clip, &["--enrol", "m-9", "--consent-version", "2026-11"]);
    assert_eq!(lines.last().map(String::as_str), Some("face: Done."), "{lines:?}\n{}", log(folder));
    for hint in
        ["face: A little more to your right.", "face: A little further down.", "face: A little more to your left."]
    {
        assert!(lines.iter().any(|line| line == hint), "{hint}: {lines:?}");
    }
    let vault = Vault::open_at(&folder.join("till/people"), &KeySource::Own).unwrap();
    let record = vault.find("m-9").unwrap().record.unwrap();
    assert_eq!((record.consent.version.as_str(), record.consent.method), ("2026-11", Method::Counter));
    drop(vault);
    // Once more under another id: the face is a member's already.
    let lines = told(folder, &clip, &["--enrol", "m-10", "--consent-version", "2026-11"]);
    assert_eq!(lines.last().map(String::as_str), Some("face: Already a member."), "{lines:?}");
    let clip = turning(folder, &portrait("obama2.jpg"), crate::enrol::glance().repeat(6));
    let lines = told(folder, &clip, &["--script", "keys.toml"]);
    assert_eq!(lines.last().map(String::as_str), Some("member: m-9?"), "{lines:?}");
    let clip = turning(folder, &portrait("biden.jpg"), crate::enrol::glance().repeat(6));
    let lines = told(folder, &clip, &["--script", "keys.toml"]);
    assert_eq!(lines.last().map(String::as_str), Some("face: No member: pay as usual."), "{lines:?}");
}

/// Somebody before a camera that shows one file again and again: the file is written anew as they move.
struct Alive {
    stop: Arc<AtomicBool>,
    /// Which way to look: degrees to the picture's right, and down.
    to: Arc<Mutex<(f32, f32)>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Alive {
    fn film(file: &Path, photograph: RgbImage) -> Self {
        let (stop, to) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new((0.0f32, 0.0f32))));
        let (file, next) = (file.to_owned(), file.with_extension("next.jpg"));
        let mut at = (0.0f32, 0.0f32);
        let mut show = {
            let to = Arc::clone(&to);
            move || {
                let goal = *to.lock().unwrap();
                let step = |at: f32, goal: f32| at + (goal - at).clamp(-6.0, 6.0);
                at = (step(at.0, goal.0), step(at.1, goal.1));
                let picture = crate::enrol::turned(&photograph, at.0, at.1);
                let side = (picture.width() & !1, picture.height() & !1);
                image::imageops::crop_imm(&picture, 0, 0, side.0, side.1).to_image().save(&next).unwrap();
                std::fs::rename(&next, &file).unwrap();
            }
        };
        show();
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(Ordering::Relaxed) {
                    show();
                    // The pace of a head, not a wait for a result.
                    std::thread::sleep(std::time::Duration::from_millis(60));
                }
            }
        });
        Self { stop, to, thread: Some(thread) }
    }

    /// Does as the POS's screen says.
    fn hear(&self, line: &str) {
        let words = [
            ("Look into", (0.0, 0.0)),
            ("to your right", (-30.0, 0.0)),
            ("to your left", (30.0, 0.0)),
            ("further down", (0.0, 26.0)),
            ("further up", (0.0, -26.0)),
        ];
        if let Some((_, way)) = words.iter().find(|(word, _)| line.contains(word)) {
            *self.to.lock().unwrap() = *way;
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// A head that is rendered as the POS's words say, before a camera of GStreamer; and then its photograph, held still.
#[test]
fn where_it_is_required_who_turns_as_asked_is_named_and_a_photograph_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("till")).unwrap();
    let portraits = root().join("tests/data/portraits");
    let who = |id: &str, file: &str| (id.to_owned(), vec![portraits.join(file)]);
    enrol(&[who("m-1", "obama2.jpg"), who("m-2", "biden.jpg")], &folder.join("till/people"));
    let (asks, required) = (["--script", "keys.toml"], "[people]\nliveness = \"required\"\n");
    let now = folder.join("now.jpg");
    let alive = Alive::film(&now, portrait("obama.jpg"));
    let camera = format!(
        "pipeline = \"multifilesrc location={} loop=true caps=image/jpeg,framerate=15/1 ! jpegdec ! videoconvert ! \
         videorate\"",
        now.display()
    );
    let lines = told_of(folder, &camera, &asks, required, &mut |line| alive.hear(line));
    assert_eq!(lines.last().map(String::as_str), Some("member: m-1?"), "{lines:?}\n{}", log(folder));
    assert!(lines.iter().filter(|line| line.contains("further") || line.contains("to your")).count() >= 3, "{lines:?}");
    drop(alive);
    let lines = told_of(folder, &recorded(&clip(folder, &portraits.join("obama.jpg"))), &asks, required, &mut |_| {});
    assert_eq!(lines.last().map(String::as_str), Some("face: That took too long."), "{lines:?}");
    assert!(log(folder).contains("liveness: the turns were not made in time"), "{}", log(folder));
}

/// No face is needed to learn that members can't be read; the till goes on, and says so.
#[test]
fn a_damaged_vault_and_a_wrong_key_are_no_member_and_no_stop() {
    let vector = |x: f32| vec![x.cos(), x.sin()];
    for (what, spoil) in [("a damaged vault", ["index.a", "index.b"].as_slice()), ("a wrong key", &["device.key"])] {
        let folder = tempfile::tempdir().unwrap();
        let people = folder.path().join("till/people");
        std::fs::create_dir(folder.path().join("till")).unwrap();
        let mut vault = Vault::init_at(&people, &KeySource::Own).unwrap();
        let template = Template { network: "ab".repeat(32), facing: Facing::Front, vector: vector(0.3) };
        let consent = Consent { version: "1".into(), text_sha256: None, at_s: None, method: Method::Staff };
        let (id, templates) = ("anna".to_owned(), vec![template]);
        vault.put(&Record { id, name: None, created_s: None, consent, templates }, false).unwrap();
        drop(vault);
        for file in spoil {
            let mut bytes = std::fs::read(people.join(file)).unwrap();
            bytes[20] ^= 1;
            std::fs::write(people.join(file), bytes).unwrap();
        }
        let lines = told_of(folder.path(), "test = true", &["--script", "keys.toml"], "", &mut |_| {});
        assert_eq!(lines.last().map(String::as_str), Some("face: Not possible by face here."), "{what}: {lines:?}");
        assert!(log(folder.path()).contains("the members can't be read"), "{what}: {}", log(folder.path()));
    }
}
