//! A picture file as a [`Frame`]: upright, RGB, eight bits a channel, whatever the file holds.

use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader};

use crate::capture::{Frame, PixelFormat, Plane};

/// Reads a JPEG or PNG: grey, 16 bits, transparency, CMYK and EXIF rotation are brought to upright RGB.
///
/// # Errors
/// A sentence that names the file.
pub fn load(path: &Path) -> Result<Frame, String> {
    let error = |e: &dyn std::fmt::Display| format!("picture {}: {e}", path.display());
    let mut decoder = ImageReader::open(path)
        .map_err(|e| error(&e))?
        .with_guessed_format()
        .map_err(|e| error(&e))?
        .into_decoder()
        .map_err(|e| error(&e))?;
    let orientation = decoder.orientation().map_err(|e| error(&e))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| error(&e))?;
    picture.apply_orientation(orientation);
    let rgb = picture.into_rgb8();
    let (width, height) = rgb.dimensions();
    let mut planes = [Plane::default(); 3];
    planes[0].stride = width as usize * 3;
    Ok(Frame { format: PixelFormat::Rgb, width, height, planes, data: rgb.into_raw(), ..Frame::with_capacity(0, 0) })
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
        let whole = std::fs::read(data("rgb.png")).unwrap();
        for bytes in [&b""[..], b"not a picture", &whole[..whole.len() / 2]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(load(&path).unwrap_err().contains("x.jpg"));
        }
    }
}
