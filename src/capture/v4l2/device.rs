//! What capture asks of a camera's node: one method an ioctl, plain types in and out, the kernel's own
//! error numbers. Nothing here judges an answer; a device may say anything.

use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

/// A node's answer.
pub type Answer<T> = Result<T, Errno>;

/// A pixel format's four letters, as the kernel keeps them in a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub u32);

impl FourCc {
    /// From its letters.
    pub const fn new(letters: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(letters))
    }
}

impl std::fmt::Display for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The highest bit marks the big-endian twin of a format.
        let letters = (self.0 & 0x7fff_ffff).to_le_bytes();
        letters.iter().try_for_each(|b| write!(f, "{}", char::from(*b).escape_default()))?;
        f.write_str(if self.0 >> 31 == 0 { "" } else { "-BE" })
    }
}

impl std::fmt::Debug for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Who the device says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The kernel's driver.
    pub driver: String,
    /// The product.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// Whether this node gives pictures, through the single-planar interface.
    pub captures: bool,
    /// Whether it gives them through the multi-planar one only, which is not spoken here.
    pub multiplanar: bool,
    /// Whether its buffers can be mapped.
    pub streams: bool,
}

/// One answer of the list of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// This size, pixels.
    Exactly(u32, u32),
    /// Every size from the first to the second in these steps; the only entry of its list.
    Range {
        /// Width and height, pixels.
        min: (u32, u32),
        /// Width and height, pixels.
        max: (u32, u32),
        /// Pixels.
        step: (u32, u32),
    },
}

/// Time from frame to frame: a fraction of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Seconds above the line.
    pub numerator: u32,
    /// Below the line.
    pub denominator: u32,
}

impl Interval {
    /// Frames a second; 0 where the fraction says nothing.
    pub fn fps(self) -> f64 {
        if self.numerator == 0 { 0.0 } else { f64::from(self.denominator) / f64::from(self.numerator) }
    }
}

/// One answer of the list of rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// This one.
    Exactly(Interval),
    /// Anything between the shortest and the longest interval; the only entry of its list.
    Range(Interval, Interval),
}

/// What the device made of the format that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The format.
    pub fourcc: FourCc,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes from row to row of the first plane; 0 where it doesn't say.
    pub stride: u32,
    /// V4L2_COLORSPACE_*.
    pub colorspace: u32,
    /// V4L2_YCBCR_ENC_*.
    pub encoding: u32,
    /// V4L2_QUANTIZATION_*.
    pub quantization: u32,
}

/// A buffer that the device has filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Which one.
    pub index: u32,
    /// So many bytes of it, as the driver says.
    pub bytes: usize,
    /// The driver knows that it is damaged.
    pub damaged: bool,
    /// The driver's count, of frames it lost too. Wraps.
    pub sequence: u32,
    /// Monotonic nanoseconds of the capture, where the driver's clock is that one.
    pub stamp_ns: Option<u64>,
}

/// A control's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// V4L2_CID_*.
    pub id: u32,
    /// As the driver calls it.
    pub name: String,
    /// Least value.
    pub min: i32,
    /// Greatest value.
    pub max: i32,
    /// From value to value.
    pub step: i32,
    /// What it begins with.
    pub default: i32,
    /// It takes a number: an integer, a switch or a menu.
    pub is_number: bool,
}

/// An open node.
pub trait Device: Send {
    /// VIDIOC_QUERYCAP.
    fn identity(&mut self) -> Answer<Identity>;
    /// VIDIOC_ENUM_FMT: the format of this number; EINVAL after the last.
    fn format(&mut self, index: u32) -> Answer<FourCc>;
    /// VIDIOC_ENUM_FRAMESIZES; EINVAL after the last.
    fn size(&mut self, fourcc: FourCc, index: u32) -> Answer<Size>;
    /// VIDIOC_ENUM_FRAMEINTERVALS; EINVAL after the last.
    fn rate(&mut self, fourcc: FourCc, size: (u32, u32), index: u32) -> Answer<Rate>;
    /// VIDIOC_S_FMT.
    fn set_layout(&mut self, fourcc: FourCc, size: (u32, u32)) -> Answer<Layout>;
    /// VIDIOC_S_PARM: the interval that the device took.
    fn set_interval(&mut self, interval: Interval) -> Answer<Interval>;
    /// VIDIOC_QUERYCTRL; with V4L2_CTRL_FLAG_NEXT_CTRL the one after it.
    fn control(&mut self, id: u32) -> Answer<Control>;
    /// VIDIOC_G_CTRL.
    fn get(&mut self, id: u32) -> Answer<i32>;
    /// VIDIOC_S_CTRL.
    fn set(&mut self, id: u32, value: i32) -> Answer<()>;
    /// Asks for so many buffers, maps and queues what it gets and starts the stream. After a failure
    /// nothing is left of it.
    fn start(&mut self, buffers: u32) -> Answer<()>;
    /// Waits at most `timeout` for a filled buffer. True when there is one.
    fn wait(&mut self, timeout: Duration) -> Answer<bool>;
    /// VIDIOC_DQBUF without waiting.
    fn dequeue(&mut self) -> Answer<Option<Filled>>;
    /// The whole of a buffer that was dequeued; empty for any other.
    fn bytes(&self, index: u32) -> &[u8];
    /// VIDIOC_QBUF: gives a buffer back.
    fn queue(&mut self, index: u32) -> Answer<()>;
}

/// Where nodes are opened.
pub trait Nodes: Send {
    /// Opens what lies at `path` now.
    fn open(&mut self, path: &Path) -> Answer<Box<dyn Device>>;
}
