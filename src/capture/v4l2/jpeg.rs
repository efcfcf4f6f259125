//! What a camera calls a JPEG, looked at before a decoder sees it: whole from its first marker to its last,
//! of a kind that is decoded here, and with Huffman tables, which many UVC cameras leave out because
//! Motion JPEG says which they are. Never panics, whatever the bytes; reads them once at most, and the
//! compressed picture itself only backwards from its end.

use std::ops::Range;

/// Why a picture is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It does not begin with a JPEG's marker.
    Start,
    /// A part's length leads past the end, or what should be a marker is none.
    Parts,
    /// There is no frame header, or none that is decoded here: baseline with one or three components.
    Kind,
    /// It has no end marker: cut short.
    Cut,
}

impl Flaw {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "it does not begin as a JPEG",
            Self::Parts => "its parts lead nowhere",
            Self::Kind => "it is no baseline JPEG in colour or grey",
            Self::Cut => "it is cut short",
        }
    }
}

/// What the markers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Where Huffman tables belong if there are none.
    pub tables_missing_at: Option<usize>,
    /// From the first marker behind the last.
    pub whole: Range<usize>,
}

/// Looks at the markers of one picture.
pub fn outline(bytes: &[u8]) -> Result<Outline, Flaw> {
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return Err(Flaw::Start);
    }
    let (mut at, mut size, mut tables) = (2, None, false);
    loop {
        let [marker, kind] = bytes.get(at..at + 2).and_then(|b| <[u8; 2]>::try_from(b).ok()).ok_or(Flaw::Parts)?;
        if marker != 0xff {
            return Err(Flaw::Parts);
        }
        // Any number of 0xff may stand before a marker.
        if kind == 0xff {
            at += 1;
            continue;
        }
        let length = bytes.get(at + 2..at + 4).and_then(|b| <[u8; 2]>::try_from(b).ok()).ok_or(Flaw::Parts)?;
        let length = usize::from(u16::from_be_bytes(length));
        let part = bytes.get(at + 4..at + 2 + length).ok_or(Flaw::Parts)?;
        match kind {
            // Frame headers of the sequential Huffman kinds.
            0xc0 | 0xc1 => match *part {
                [8, h1, h0, w1, w0, 1 | 3, ..] if size.is_none() => {
                    let (w, h) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
                    if w == 0 || h == 0 {
                        return Err(Flaw::Kind);
                    }
                    size = Some((u32::from(w), u32::from(h)));
                }
                _ => return Err(Flaw::Kind),
            },
            0xc4 => tables = true,
            0xc2..=0xcf => return Err(Flaw::Kind),
            0xda => break,
            // Markers without a length, which do not belong here, and reserved ones.
            0x00..=0xbf | 0xd0..=0xd9 => return Err(Flaw::Parts),
            _ => {}
        }
        at += 2 + length;
    }
    let (width, height) = size.ok_or(Flaw::Kind)?;
    // Cameras pad behind the end; the search is over at once where they don't.
    let data = bytes.get(at..).unwrap_or_default();
    let end = data.windows(2).rposition(|pair| pair == [0xff, 0xd9]).ok_or(Flaw::Cut)?;
    Ok(Outline { width, height, tables_missing_at: (!tables).then_some(at), whole: 0..at + end + 2 })
}

/// Writes the picture with the standard tables into `out`, whose capacity is kept.
pub fn with_tables(bytes: &[u8], at: usize, out: &mut Vec<u8>) {
    let (head, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
    out.clear();
    out.extend_from_slice(head);
    out.extend_from_slice(&[0xff, 0xc4]);
    // The length counts itself.
    out.extend_from_slice(&(TABLES.len() as u16 + 2).to_be_bytes());
    out.extend_from_slice(&TABLES);
    out.extend_from_slice(rest);
}

/// ITU-T T.81, tables K.3 to K.6, as the body of one DHT part.
#[rustfmt::skip]
const TABLES: [u8; 416] = [
    0, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 0, 2, 1, 3, 3, 2, 4,
    3, 5, 5, 4, 4, 0, 0, 1, 125, 1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6, 19, 81, 97, 7, 34, 113, 20, 50, 129, 145,
    161, 8, 35, 66, 177, 193, 21, 82, 209, 240, 36, 51, 98, 114, 130, 9, 10, 22, 23, 24, 25, 26, 37, 38, 39, 40, 41,
    42, 52, 53, 54, 55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102,
    103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148,
    149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185,
    186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 225, 226, 227, 228,
    229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 1, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119, 0,
    1, 2, 3, 17, 4, 5, 33, 49, 6, 18, 65, 81, 7, 97, 113, 19, 34, 50, 129, 8, 20, 66, 145, 161, 177, 193, 9, 35, 51,
    82, 240, 21, 98, 114, 209, 10, 22, 36, 52, 225, 37, 241, 23, 24, 25, 26, 38, 39, 40, 41, 42, 53, 54, 55, 56, 57,
    58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102, 103, 104, 105, 106, 115,
    116, 117, 118, 119, 120, 121, 122, 130, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151, 152,
    153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196,
    197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229, 230, 231, 232, 233,
    234, 242, 243, 244, 245, 246, 247, 248, 249, 250,
];

#[cfg(test)]
#[path = "jpeg_tests.rs"]
pub(crate) mod tests;
