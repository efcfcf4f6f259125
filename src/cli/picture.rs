//! A picture file as a [`Frame`]: upright, RGB, eight bits a channel, whatever the file holds.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

use crate::capture::{Frame, PixelFormat, Plane};

/// Reads a JPEG or PNG: grey, 16 bits, transparency, CMYK and EXIF rotation are brought to upright RGB.
///
/// # Errors
/// A sentence that names the file.
pub fn load(path: &Path) -> Result<Frame, String> {
    let error = |e: &dyn std::fmt::Display| format!("picture {}: {e}", path.display());
    let bytes = std::fs::read(path).map_err(|e| error(&e))?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(|e| error(&e))?;
    if reader.format() == Some(ImageFormat::Jpeg) && is_cut_short(&bytes) {
        return Err(error(&"the JPEG is cut short"));
    }
    let mut decoder = reader.into_decoder().map_err(|e| error(&e))?;
    let orientation = decoder.orientation().map_err(|e| error(&e))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| error(&e))?;
    picture.apply_orientation(orientation);
    Ok(frame(picture.into_rgb8()))
}

/// A picture in memory as a frame.
pub fn frame(rgb: RgbImage) -> Frame {
    let (width, height) = rgb.dimensions();
    let mut planes = [Plane::default(); 3];
    planes[0].stride = width as usize * 3;
    Frame { format: PixelFormat::Rgb, width, height, planes, data: rgb.into_raw(), ..Frame::with_capacity(0, 0) }
}

/// True for a JPEG whose last scan has no end: the decoder would fill up with grey and say nothing. Within a
/// scan the marker of the end can't occur; a thumbnail before it has one of its own.
fn is_cut_short(jpeg: &[u8]) -> bool {
    let last = |marker: [u8; 2]| jpeg.windows(2).rposition(|w| w == marker);
    last([0xff, 0xd9]) < last([0xff, 0xda])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures").join(name)
    }

    /// Each file holds the same picture, 48x32: left half red, right half blue, its lower half green.
    #[test]
    fn every_kind_of_file_is_the_same_picture() {
        for name in ["rgb.png", "rgba.png", "rgb16.png", "palette.png", "rgb.jpg", "cmyk.jpg", "rotated.jpg"] {
            let frame = load(&data(name)).unwrap();
            assert_eq!((frame.width, frame.height), (48, 32), "{name}");
            for (x, y, colour) in [(12, 8, [255, 0, 0]), (36, 8, [0, 0, 255]), (36, 24, [0, 255, 0])] {
                let at = (y * 48 + x) * 3;
                let close = frame.data[at..at + 3].iter().zip(colour).all(|(a, b): (&u8, u8)| a.abs_diff(b) < 40);
                assert!(close, "{name} at {x}, {y}: {:?}", &frame.data[at..at + 3]);
            }
        }
        let grey = load(&data("grey.png")).unwrap();
        assert_eq!((grey.width, &grey.data[..3]), (48, &[76, 76, 76][..]));
        assert_eq!(load(&data("one.png")).unwrap().data, [9, 8, 7]);
    }

    #[test]
    fn broken_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jpg");
        assert!(load(&path).unwrap_err().contains("x.jpg"));
        let (whole, jpeg) = (std::fs::read(data("rgb.png")).unwrap(), std::fs::read(data("rgb.jpg")).unwrap());
        for bytes in [&b""[..], b"not a picture", &whole[..whole.len() / 2], &jpeg[..jpeg.len() - 40], &jpeg[..60]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(load(&path).unwrap_err().contains("x.jpg"));
        }
    }
}
