//! One picture as the camera delivered it: no conversion, no copy of a copy.

use serde::{Deserialize, Serialize};

/// How the pixels of a [`Frame`] lie in memory. Byte order is memory order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PixelFormat {
    /// Packed 4:2:2, two pixels in four bytes Y0 U Y1 V. One plane.
    Yuyv,
    /// Planar luma, then interleaved U V at half size. Two planes.
    Nv12,
    /// Planar Y, U, V, chroma at half size. Three planes.
    I420,
    /// Packed R G B, three bytes. One plane.
    Rgb,
    /// Packed B G R, three bytes. One plane.
    Bgr,
    /// Packed B G R and one unused byte. One plane.
    Bgrx,
    /// One byte of luma. One plane.
    Grey,
}

/// Which sums turn Y, U, V of a frame into red, green, blue. Means nothing to RGB and grey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Matrix {
    /// ITU-R BT.601, luma 16..=235: standard definition, and what cameras that say nothing send.
    #[default]
    Bt601,
    /// BT.601, luma 0..=255: JPEG.
    Bt601Full,
    /// ITU-R BT.709, luma 16..=235: high definition.
    Bt709,
    /// BT.709, luma 0..=255.
    Bt709Full,
}

/// Where one plane of a frame lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plane {
    /// First byte in [`Frame::data`].
    pub offset: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A picture and when it was taken. `data` keeps its capacity from use to use.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Layout of `data`.
    pub format: PixelFormat,
    /// The colours' meaning.
    pub matrix: Matrix,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Up to three planes; unused ones are zero.
    pub planes: [Plane; 3],
    /// The bytes.
    pub data: Vec<u8>,
    /// Monotonic nanoseconds at capture, of the driver where it tells, else of the moment it was read.
    pub captured_ns: u64,
    /// Counts from 0 at each opening of the camera; gaps are frames the camera or driver lost.
    pub sequence: u64,
}

impl Frame {
    /// An empty frame with room for `width` x `height` pixels in any format (4 bytes a pixel at most).
    pub fn with_capacity(width: u32, height: u32) -> Self {
        let mut data = Vec::new();
        data.reserve_exact(width as usize * height as usize * 4);
        Self {
            format: PixelFormat::Grey,
            matrix: Matrix::Bt601,
            width: 0,
            height: 0,
            planes: [Plane::default(); 3],
            data,
            captured_ns: 0,
            sequence: 0,
        }
    }
}
