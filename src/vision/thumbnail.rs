//! A small picture of the tray for the POS, made from the frame that vision looked at last, not on every frame's way.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use crate::capture::Frame;
use crate::engine::{Fit, InputSpec};

use super::preprocess::Preprocessor;
use super::{VisionError, VisionErrorKind};

/// Pixels: about 4 KiB as JPEG, a third of a second at 115200.
const SIZE: (u32, u32) = (160, 120);
/// Of the JPEG, 1 to 100.
const QUALITY: u8 = 60;

/// Makes them; its buffers are made once.
pub struct Thumbnailer {
    preprocessor: Preprocessor,
    numbers: Vec<f32>,
    rgb: Vec<u8>,
}

impl Default for Thumbnailer {
    fn default() -> Self {
        let spec = InputSpec::for_people(SIZE.0, SIZE.1, Fit::Letterbox);
        Self { numbers: vec![0.0; spec.elements()], rgb: Vec::new(), preprocessor: Preprocessor::new(&spec) }
    }
}

/// What [`InputSpec::for_people`] holds, as whole numbers.
pub fn bytes(numbers: &[f32]) -> impl Iterator<Item = u8> {
    numbers.iter().map(|v| v.round().clamp(0.0, 255.0) as u8)
}

impl Thumbnailer {
    /// The frame as a JPEG file, in `jpeg`.
    ///
    /// # Errors
    /// A frame that contradicts itself.
    pub fn make(&mut self, frame: &Frame, jpeg: &mut Vec<u8>) -> Result<(), VisionError> {
        self.preprocessor.fill(frame, &mut self.numbers)?;
        self.rgb.clear();
        self.rgb.extend(bytes(&self.numbers));
        jpeg.clear();
        JpegEncoder::new_with_quality(jpeg, QUALITY)
            .encode(&self.rgb, SIZE.0, SIZE.1, ExtendedColorType::Rgb8)
            .map_err(|error| VisionError::new(VisionErrorKind::Frame, "thumbnail", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::PixelFormat;

    #[test]
    fn a_red_tray_is_a_small_red_picture_that_fits_a_few_frames_of_the_link() {
        let mut frame = Frame::with_capacity(640, 480);
        (frame.format, frame.width, frame.height) = (PixelFormat::Rgb, 640, 480);
        frame.planes[0].stride = 640 * 3;
        frame.data = [200, 20, 20].repeat(640 * 480);
        let mut jpeg = Vec::new();
        Thumbnailer::default().make(&frame, &mut jpeg).unwrap();
        assert!(jpeg.len() <= 16 * till_link::message::JPEG_BYTES_MAX, "{} bytes", jpeg.len());
        let picture = image::load_from_memory(&jpeg).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), SIZE);
        let middle = picture.get_pixel(80, 60).0;
        assert!(middle[0] > 180 && middle[1] < 50 && middle[2] < 50, "{middle:?}");
    }
}
