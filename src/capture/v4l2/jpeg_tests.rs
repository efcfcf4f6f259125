use super::*;
use proptest::prelude::*;

const JPEG: &[u8] = include_bytes!("../../../tests/golden/jpeg/422.jpg");

/// The picture without its Huffman tables, as many UVC cameras send it.
pub(crate) fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut out = jpeg[..2].to_vec();
    let mut at = 2;
    while jpeg[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xc4 {
            out.extend_from_slice(&jpeg[at..end]);
        }
        at = end;
    }
    out.extend_from_slice(&jpeg[at..]);
    out
}

#[test]
fn a_whole_picture_has_a_size_tables_and_an_end() {
    let seen = outline(JPEG).unwrap();
    let whole = 0..JPEG.len();
    assert_eq!(seen, Outline { width: 64, height: 48, tables_missing_at: None, whole: whole.clone() });
    let padded = [JPEG, &[0; 700]].concat();
    assert_eq!(outline(&padded).unwrap().whole, whole, "padding is not part of it");
}

#[test]
fn missing_tables_are_put_back_where_they_were_left_out() {
    let bare = without_tables(JPEG);
    assert!(bare.len() + 400 < JPEG.len());
    let at = outline(&bare).unwrap().tables_missing_at.expect("they are missed");
    let mut out = Vec::new();
    with_tables(&bare, at, &mut out);
    assert_eq!(outline(&out).unwrap().tables_missing_at, None);
    assert_eq!(without_tables(&out), bare);
    // cjpeg writes the same standard tables, in four parts instead of one.
    let parts: Vec<u8> = tables_of(JPEG);
    assert_eq!(parts, TABLES);
}

fn tables_of(jpeg: &[u8]) -> Vec<u8> {
    let (mut at, mut out) = (2, Vec::new());
    while jpeg[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] == 0xc4 {
            out.extend_from_slice(&jpeg[at + 4..end]);
        }
        at = end;
    }
    out
}

#[test]
fn each_way_of_being_none_is_told() {
    assert_eq!(outline(b""), Err(Flaw::Start));
    assert_eq!(outline(b"not a picture"), Err(Flaw::Start));
    assert_eq!(outline(&JPEG[..JPEG.len() - 2]), Err(Flaw::Cut));
    assert_eq!(outline(&JPEG[..JPEG.len() / 2]), Err(Flaw::Parts), "cut in the tables");
    assert_eq!(outline(&[0xff, 0xd8, 0xff, 0xd9]), Err(Flaw::Parts));
    assert_eq!(outline(&[0xff, 0xd8, 0xff, 0xe0, 0, 0]), Err(Flaw::Parts));
    assert_eq!(outline(include_bytes!("../../../tests/golden/jpeg/progressive.jpg")), Err(Flaw::Kind));
    let at = JPEG.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let mut odd = JPEG.to_vec();
    odd[at + 4] = 12;
    assert_eq!(outline(&odd), Err(Flaw::Kind), "twelve bits");
    odd[at + 4] = 8;
    odd[at + 5..at + 9].fill(0);
    assert_eq!(outline(&odd), Err(Flaw::Kind), "no size");
}

proptest! {
    #[test]
    fn any_bytes_have_an_outline_inside_them_or_none(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        hits in proptest::collection::vec((0usize..JPEG.len(), any::<u8>()), 0..12), cut in 0usize..JPEG.len(),
    ) {
        let mut jpeg = JPEG.to_vec();
        for (at, value) in hits {
            jpeg[at] = value;
        }
        for bytes in [&bytes[..], &[&[0xff, 0xd8], &bytes[..]].concat(), &jpeg, &jpeg[cut..], &jpeg[..cut]] {
            if let Ok(seen) = outline(bytes) {
                prop_assert!(seen.whole.end <= bytes.len() && seen.width > 0 && seen.height > 0);
                let mut out = Vec::new();
                with_tables(bytes, seen.tables_missing_at.unwrap_or(0), &mut out);
                prop_assert_eq!(out.len(), bytes.len() + TABLES.len() + 4);
            }
        }
    }
}
