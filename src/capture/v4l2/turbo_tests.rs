use super::*;
use crate::capture::v4l2::jpeg::{outline, with_tables};
use proptest::prelude::*;

const MISSING: &str = "libturbojpeg.so.0 is not here: apt install libturbojpeg0";

/// Red, green, blue and yellow quarters, by cjpeg at quality 90.
const PICTURES: [(&str, &[u8], (u32, u32)); 6] = [
    ("420", include_bytes!("../../../tests/golden/jpeg/420.jpg"), (64, 48)),
    ("420-odd", include_bytes!("../../../tests/golden/jpeg/420-odd.jpg"), (33, 19)),
    ("422", include_bytes!("../../../tests/golden/jpeg/422.jpg"), (64, 48)),
    ("422-restart", include_bytes!("../../../tests/golden/jpeg/422-restart.jpg"), (64, 48)),
    ("444", include_bytes!("../../../tests/golden/jpeg/444.jpg"), (64, 48)),
    ("grey", include_bytes!("../../../tests/golden/jpeg/grey.jpg"), (64, 48)),
];
const QUARTERS: [[f32; 3]; 4] = [[200.0, 30.0, 40.0], [30.0, 180.0, 60.0], [40.0, 60.0, 210.0], [220.0, 210.0, 50.0]];

fn sample(frame: &Frame, plane: usize, x: usize, y: usize) -> f32 {
    let Plane { offset, stride } = frame.planes[plane];
    f32::from(frame.data[offset + stride * y + x])
}

#[test]
fn every_way_of_sampling_has_its_colours_in_its_planes() {
    let mut decoder = Decoder::new().expect(MISSING);
    // One frame for all: what an older picture left must not matter.
    let mut frame = Frame::with_capacity(64, 48);
    for (name, jpeg, (w, h)) in PICTURES {
        decoder.decode(jpeg, (w, h), &mut frame).unwrap();
        assert_eq!((frame.width, frame.height, frame.matrix), (w, h, Matrix::Bt601Full), "{name}");
        let grey = name == "grey";
        assert_eq!(frame.format, if grey { PixelFormat::Grey } else { PixelFormat::I420 }, "{name}");
        for (quarter, [r, g, b]) in QUARTERS.into_iter().enumerate() {
            let at = |size: u32, second: bool| (size as usize / 2 * usize::from(second)) + size as usize / 4;
            let (x, y) = (at(w, quarter % 2 == 1), at(h, quarter > 1));
            let luma = 0.299 * r + 0.587 * g + 0.114 * b;
            let near = |found: f32, wanted: f32| assert!((found - wanted).abs() < 6.0, "{name} {quarter}: {found}");
            near(sample(&frame, 0, x, y), luma);
            if !grey {
                near(sample(&frame, 1, x / 2, y / 2), (b - luma) / 1.772 + 128.0);
                near(sample(&frame, 2, x / 2, y / 2), (r - luma) / 1.402 + 128.0);
            }
        }
    }
}

#[test]
fn a_picture_without_its_tables_is_the_same_picture() {
    let mut decoder = Decoder::new().expect(MISSING);
    let (mut with, mut without) = (Frame::with_capacity(64, 48), Frame::with_capacity(64, 48));
    let (_, jpeg, size) = PICTURES[2];
    decoder.decode(jpeg, size, &mut with).unwrap();
    let bare = super::super::jpeg::tests::without_tables(jpeg);
    let mut patched = Vec::new();
    with_tables(&bare, outline(&bare).unwrap().tables_missing_at.unwrap(), &mut patched);
    decoder.decode(&patched, size, &mut without).unwrap();
    assert_eq!((with.planes, &with.data), (without.planes, &without.data));
}

#[test]
fn what_was_only_guessed_at_is_no_picture() {
    let mut decoder = Decoder::new().expect(MISSING);
    let mut frame = Frame::with_capacity(64, 48);
    let (_, jpeg, size) = PICTURES[2];
    let start = jpeg.windows(2).position(|w| w == [0xff, 0xda]).unwrap() + 14;
    // A hole in the middle of the data, with the end in its place: the size of the file tells nothing.
    let hole = [&jpeg[..start + 20], &jpeg[jpeg.len() - 2..]].concat();
    assert!(decoder.decode(&hole, size, &mut frame).is_err_and(|e| e.contains("premature end")));
    assert!(decoder.decode(jpeg, (48, 64), &mut frame).is_err_and(|e| e.contains("64x48")));
    let other = include_bytes!("../../../tests/golden/jpeg/440.jpg");
    assert!(decoder.decode(other, (64, 48), &mut frame).is_err_and(|e| e.contains("sampled")));
    // What some cameras leave before the end is no damage.
    let extra = [&jpeg[..jpeg.len() - 2], &[0, 0, 0], &jpeg[jpeg.len() - 2..]].concat();
    assert_eq!(decoder.decode(&extra, size, &mut frame), Ok(()));
}

#[test]
fn after_the_first_picture_no_frame_grows() {
    let mut decoder = Decoder::new().expect(MISSING);
    let mut frame = Frame::with_capacity(64, 48);
    let before = frame.data.as_ptr();
    for (_, jpeg, size) in PICTURES {
        decoder.decode(jpeg, size, &mut frame).unwrap();
        assert_eq!(frame.data.as_ptr(), before);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_picture_or_an_error(
        which in 0usize..6, hits in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8), cut in any::<u16>()
    ) {
        let mut decoder = Decoder::new().expect(MISSING);
        let mut frame = Frame::with_capacity(8, 8);
        let mut bytes = PICTURES[which].1.to_vec();
        for (at, value) in hits {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        for bytes in [&bytes[..], &bytes[..usize::from(cut) % bytes.len()]] {
            let Ok(seen) = outline(bytes) else { continue };
            // A size of its own choice could ask for 4096 x 4096 in each case.
            if seen.width * seen.height > 1 << 20 { continue }
            let mut patched = Vec::new();
            let picture = match seen.tables_missing_at {
                Some(at) => { with_tables(&bytes[seen.whole], at, &mut patched); &patched }
                None => &bytes[seen.whole],
            };
            if decoder.decode(picture, (seen.width, seen.height), &mut frame).is_ok() {
                prop_assert_eq!((frame.width, frame.height), (seen.width, seen.height));
                let spec = crate::engine::InputSpec::for_people(8, 8, crate::engine::Fit::Stretch);
                let mut numbers = vec![0.0; spec.elements()];
                let mut pre = crate::vision::preprocess::Preprocessor::new(&spec);
                prop_assert!(pre.fill(&frame, &mut numbers).is_ok(), "its planes lie inside it");
            }
        }
    }
}
