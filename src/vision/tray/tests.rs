//! The whole way over the test engine `blobs`: painted frames in, observations out.

use std::path::Path;

use crate::capture::{Frame, PixelFormat, Plane};
use crate::engine::{self, Backend, Choice, Manifest};

use super::super::{Class, VisionErrorKind};
use super::*;

fn blobs() -> TrayVision {
    let manifest = Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs")).unwrap();
    let engine = engine::load(&manifest, &Choice { backend: Backend::Rten, ..Choice::default() }).unwrap();
    TrayVision::new(&manifest, engine, Rules::for_manifest(&manifest)).unwrap()
}

/// A black 128x96 frame, which the engine sees at half its size, with 32x32 squares.
fn frame(squares: &[(usize, usize, [u8; 3])]) -> Frame {
    let (width, height) = (128usize, 96usize);
    let mut data = vec![0; width * height * 3];
    for &(x0, y0, colour) in squares {
        for y in y0..y0 + 32 {
            for x in x0..x0 + 32 {
                data[(y * width + x) * 3..][..3].copy_from_slice(&colour);
            }
        }
    }
    let mut planes = [Plane::default(); 3];
    planes[0].stride = width * 3;
    let (width, height) = (width as u32, height as u32);
    Frame { format: PixelFormat::Rgb, width, height, planes, data, ..Frame::with_capacity(0, 0) }
}

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const WHITE: [u8; 3] = [255; 3];
const YELLOW: [u8; 3] = [255, 255, 0];

#[test]
fn one_picture_gives_boxes_in_its_own_pixels() {
    let mut vision = blobs();
    let found = vision.detect(&frame(&[(16, 16, RED), (80, 48, GREEN)])).unwrap();
    let mut boxes: Vec<_> = found.iter().map(|d| (d.label, d.bbox)).collect();
    boxes.sort_by_key(|(label, _)| *label);
    assert_eq!(boxes, [(0, [16.0, 16.0, 48.0, 48.0]), (1, [80.0, 48.0, 112.0, 80.0])]);
    assert!(vision.detect(&frame(&[])).unwrap().is_empty());
    let more = vision.detect_above(&frame(&[(16, 16, RED)]), 1e-9).unwrap().len();
    assert!(more > 1, "a lower floor shows more");
}

#[test]
fn frames_become_a_settled_tray_and_a_hand_forbids_it() {
    let mut vision = blobs();
    let goods = [(16, 16, RED), (80, 48, RED), (80, 0, WHITE)];
    for i in 0..20 {
        let o = vision.observe(&Frame { sequence: i, ..frame(&goods) }, i * 66).unwrap();
        assert_eq!((o.frame, o.at_ms), (i, i * 66));
    }
    let o = vision.last().clone();
    let mut classes: Vec<_> = o.items.iter().map(|i| i.class).collect();
    classes.sort_by_key(|c| *c == Class::Unknown);
    assert_eq!(classes, [Class::Product(0), Class::Product(0), Class::Unknown]);
    assert!(o.settled && !o.hand, "{o:?}");
    let o = vision.observe(&frame(&[(16, 16, YELLOW), goods[1], goods[2]]), 9_000).unwrap();
    assert!(o.hand && !o.settled && o.items.len() == 3);
    vision.reset();
    assert!(vision.last().items.is_empty());
}

#[test]
fn a_frame_that_contradicts_itself_leaves_the_tray_as_it_was() {
    let mut vision = blobs();
    (0..20).for_each(|i| drop(vision.observe(&frame(&[(16, 16, RED)]), i).unwrap().clone()));
    let before = vision.last().clone();
    let short = Frame { data: vec![0; 10], ..frame(&[]) };
    assert_eq!(vision.observe(&short, 99).unwrap_err().kind, VisionErrorKind::Frame);
    assert_eq!(*vision.last(), before);
}

#[test]
fn labels_that_do_not_fit_the_model_are_an_error() {
    let mut manifest = Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs")).unwrap();
    let engine = engine::load(&manifest, &Choice { backend: Backend::Rten, ..Choice::default() }).unwrap();
    manifest.labels.names.pop();
    let e = TrayVision::new(&manifest, engine, Rules::default()).err().unwrap();
    assert_eq!(e.kind, VisionErrorKind::Head);
    assert!(e.message.contains("with 4 labels it must be [1, 8, boxes]"), "{e}");
}
