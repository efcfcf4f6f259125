//! Real photographs of a real counter, as video through the whole chain to an acknowledged receipt: decoder,
//! slot, pre-processing, detector, fusion, checkout, outbox, tty, POS. Training never saw these photographs.

use std::path::{Path, PathBuf};

use gstreamer::prelude::*;
use till::config::Config;
use till::replay::{self, Player};

use crate::common::data;

const FPS: usize = 15;
/// Frames before the goods, with them, and after.
const PARTS: [usize; 3] = [15, 60, 30];
const MASS_G: i32 = 200;

/// Photographs kept from training whose boxes lie inside the picture, three products.
fn photographs(data: &Path) -> Vec<(String, PathBuf)> {
    let list = include_str!("../../scripts/training/counter8/test.txt");
    let mut chosen: Vec<(String, PathBuf)> = Vec::new();
    for name in list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let Some((sku, _)) = name.rsplit_once('-') else { continue };
        let file = data.join("images").join(format!("{name}.jpg"));
        if file.is_file() && chosen.iter().all(|(other, _)| other != sku) {
            chosen.push((sku.to_owned(), file));
        }
    }
    chosen.truncate(3);
    chosen
}

/// A clip of one photograph with an empty (grey) counter before and after it, Motion JPEG in Matroska.
fn film(folder: &Path, photograph: &Path, to: &Path) {
    let frames = folder.join("frames");
    let _ = std::fs::remove_dir_all(&frames);
    std::fs::create_dir_all(&frames).unwrap();
    let empty = folder.join("empty.jpg");
    image::RgbImage::from_pixel(640, 480, image::Rgb([128, 128, 128])).save(&empty).unwrap();
    let pictures = PARTS
        .iter()
        .zip([empty.as_path(), photograph, empty.as_path()])
        .flat_map(|(&n, file)| std::iter::repeat_n(file, n));
    for (i, picture) in pictures.enumerate() {
        std::fs::copy(picture, frames.join(format!("{i:04}.jpg"))).unwrap();
    }
    encode(&frames, to);
}

/// A clip of the pictures `0000.jpg`, `0001.jpg` and so on of a folder.
pub fn encode(frames: &Path, to: &Path) {
    gstreamer::init().unwrap();
    let text = format!(
        "multifilesrc location={}/%04d.jpg caps=image/jpeg,framerate={FPS}/1 ! jpegdec ! videoconvert ! video/x-raw,format=I420 ! jpegenc quality=95 ! matroskamux ! filesink location={}",
        frames.display(),
        to.display()
    );
    let pipeline = gstreamer::parse::launch(&text).unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    for message in bus.iter_timed(gstreamer::ClockTime::from_seconds(60)) {
        match message.view() {
            gstreamer::MessageView::Eos(_) => break,
            gstreamer::MessageView::Error(error) => panic!("{error:?}"),
            _ => {}
        }
    }
    pipeline.set_state(gstreamer::State::Null).unwrap();
}

fn script(title: &str, sku: &str, price: i64) -> String {
    format!(
        "title = \"{title}\"\nfootage = \"{sku}.mkv\"\n[[event]]\nat_ms = 200\npresence = true\n\
         [[event]]\nat_ms = 1000\nload_g = {MASS_G}\n[[event]]\nat_ms = 5000\nload_g = 0\n\
         [[event]]\nat_ms = 5300\npresence = false\n\
         [expect]\noutcome = \"paid\"\ntotal_minor = {price}\n[[expect.line]]\nsku = \"{sku}\"\nquantity = 1\n"
    )
}

#[test]
fn real_photographs_become_acknowledged_receipts() {
    let Some(data) = data("counter8") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chosen = photographs(&data);
    assert_eq!(chosen.len(), 3);
    let mut catalogue = String::from("sku,name,price_minor,currency,mass_g,mass_tolerance_g\n");
    let sessions = folder.path().join("sessions");
    std::fs::create_dir_all(&sessions).unwrap();
    for (i, (sku, photograph)) in chosen.iter().enumerate() {
        let price = 1_000 + i as i64;
        catalogue.push_str(&format!("{sku},{sku},{price},KRW,{MASS_G},5\n"));
        film(folder.path(), photograph, &sessions.join(format!("{sku}.mkv")));
        std::fs::write(sessions.join(format!("{sku}.toml")), script(sku, sku, price)).unwrap();
    }
    std::fs::write(folder.path().join("catalogue.csv"), catalogue).unwrap();
    let text = format!(
        "[counter]\ncatalogue = \"catalogue.csv\"\n[tray.camera]\ntest = true\n[tray.engine]\ndir = \"{}\"\nbackend = \"rten\"\n\
         [trigger]\nsource = \"script\"\nscript = \"none.toml\"\n[port]\npath = \"/dev/null\"\n",
        root.join("engines/counter8").display()
    );
    let config = Config::from_texts([(folder.path().join("till.toml"), text)]).unwrap();
    let mut player = Player::new(&config, &folder.path().join("books")).unwrap();
    for script in replay::scripts(&sessions).unwrap() {
        let played = player.play(&script).unwrap();
        println!("{}: {}", played.title, played.verdict.seen);
        assert!(played.verdict.matched, "{}: {}", played.title, played.verdict.seen);
        assert_eq!(played.frames as usize, PARTS.iter().sum::<usize>());
    }
    assert_eq!(player.unacknowledged(), 0);
}

#[test]
fn the_same_session_gives_the_same_bytes() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let mut config = Config::load(&demo.join("till.toml")).unwrap();
    config.tray.engine.backend = till::config::Backend::Rten;
    let script = replay::scripts(&demo.join("clips"))
        .unwrap()
        .into_iter()
        .find(|script| script.title == "Two of the same")
        .unwrap();
    let once = || {
        let folder = tempfile::tempdir().unwrap();
        let mut player = Player::new(&config, folder.path()).unwrap();
        let played = player.play(&script).unwrap();
        assert!(played.verdict.matched, "{}", played.verdict.seen);
        player.events_sha256()
    };
    assert_eq!(once(), once());
}
