//! One camera's Motion JPEG: each buffer is looked at (`jpeg`), completed where its tables are missing, and
//! decoded into a frame's planes (`turbo`). Every way of not being a whole picture is an error.

use zeroize::Zeroize;

use super::jpeg;
use super::turbo::Decoder;
use crate::capture::Frame;

/// Why a buffer holds no picture that could be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is whole, as far as its markers tell, but of this size instead of the usual one.
    Size(u32, u32),
    /// In words.
    Broken(String),
}

/// Decodes one camera's pictures.
pub struct Mjpeg {
    decoder: Decoder,
    /// A picture with the tables that it came without; its capacity stays.
    completed: Vec<u8>,
}

impl Drop for Mjpeg {
    /// It may have been a face.
    fn drop(&mut self) {
        self.completed.zeroize();
    }
}

impl Mjpeg {
    /// `None` where libjpeg-turbo's library is not installed.
    pub fn new() -> Option<Self> {
        Some(Self { decoder: Decoder::new()?, completed: Vec::new() })
    }

    /// The picture in `bytes` into `frame`, of `usual` pixels if that is given. After an error the frame's
    /// contents are unspecified.
    pub fn decode(&mut self, bytes: &[u8], usual: Option<(u32, u32)>, frame: &mut Frame) -> Result<(), Damage> {
        let outline = jpeg::outline(bytes).map_err(|flaw| Damage::Broken(flaw.as_str().to_owned()))?;
        let (width, height) = (outline.width, outline.height);
        if usual.is_some_and(|usual| usual != (width, height)) {
            return Err(Damage::Size(width, height));
        }
        let mut picture = bytes.get(outline.whole).unwrap_or_default();
        if let Some(at) = outline.tables_missing_at {
            jpeg::with_tables(picture, at, &mut self.completed);
            picture = &self.completed;
        }
        self.decoder.decode(picture, (width, height), frame).map_err(Damage::Broken)
    }
}
