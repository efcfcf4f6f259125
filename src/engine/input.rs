//! How a model wants its picture: the `[input]` table of an engine's manifest, as plain data. Vision's
//! pre-processing fills the engine's buffer from exactly this; nothing else describes an input twice.

use serde::Deserialize;

/// Order of the dimensions of the input tensor (batch is always 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Channel, row, column: planar.
    Nchw,
    /// Row, column, channel: packed.
    Nhwc,
}

/// Order of the colour channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// How a picture of another shape comes into the input's rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Shape kept, centred, the rest filled with [`InputSpec::pad`].
    Letterbox,
    /// Shape kept, at the top left, the rest (right or below) filled with [`InputSpec::pad`].
    LetterboxTopLeft,
    /// Each axis scaled by itself.
    Stretch,
}

/// The input of an engine. A channel's value is `(v - mean[c]) * scale[c]` with `v` in 0..=255 and `c`
/// counted in the order of [`InputSpec::colour`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The tensor's name in the model.
    pub name: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Order of the dimensions.
    pub layout: Layout,
    /// Order of the channels.
    pub colour: Colour,
    /// Subtracted from a channel's value, in 0..=255. Default 0.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Multiplied afterwards; 1/255 is `0.003921569`. Default 1.
    #[serde(default = "ones")]
    pub scale: [f32; 3],
    /// How a picture of another shape is fitted.
    pub fit: Fit,
    /// Value of the pixels beside a letterboxed picture, 0..=255, before mean and scale. Default 114.
    #[serde(default = "grey")]
    pub pad: u8,
}

impl InputSpec {
    /// Not an engine's: a picture as people see it, packed red, green, blue in 0..=255, black beside.
    pub fn for_people(width: u32, height: u32, fit: Fit) -> Self {
        let (layout, colour) = (Layout::Nhwc, Colour::Rgb);
        Self { name: String::new(), width, height, layout, colour, mean: [0.0; 3], scale: ones(), fit, pad: 0 }
    }

    /// Elements of the input tensor.
    pub fn elements(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }

    /// The tensor's shape, outermost dimension first.
    pub fn shape(&self) -> [usize; 4] {
        let (w, h) = (self.width as usize, self.height as usize);
        match self.layout {
            Layout::Nchw => [1, 3, h, w],
            Layout::Nhwc => [1, h, w, 3],
        }
    }
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

fn grey() -> u8 {
    114
}
