//! The opener and the stream over a [`Device`]: from a node to pictures in frames, and from the kernel's
//! error numbers to errors that say what to do. Half a picture never leaves here as a whole one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::controls::{self, Controls};
use super::device::{Device, Filled, Interval, Layout, Nodes};
use super::mjpeg::{Damage, Mjpeg};
use super::negotiate::{self, Candidate, Encoding, SIDE_MAX};
use super::sys::Kernel;
use super::{inventory, turbo};
use crate::capture::clock::monotonic_ns;
use crate::capture::{CaptureError, CaptureErrorKind, Frame, Matrix, Opener, PixelFormat, Plane, Read, Stream};

/// A time stamp older than this is not believed: a driver with another clock says it is ours.
const STAMP_AGE_NS_MAX: u64 = 10_000_000_000;
/// So many pictures of one other size are no damage but a change.
const OTHER_SIZE_MAX: u32 = 5;

/// What is asked of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Pixels.
    pub size: (u32, u32),
    /// Frames a second.
    pub fps: u32,
    /// Buffers in the driver.
    pub buffers: u32,
    /// What is set.
    pub controls: Controls,
}

/// Opens a camera of the kernel by any of its names.
pub struct V4l2Opener {
    camera: String,
    path: PathBuf,
    want: Want,
    nodes: Box<dyn Nodes>,
    /// What was last said of formats and controls; a camera that flaps says it once.
    told: String,
}

impl V4l2Opener {
    /// An opener for the camera called `camera` at `path`, a node or a link to one.
    pub fn new(camera: impl Into<String>, path: impl Into<PathBuf>, want: Want) -> Self {
        Self::with(Box::new(Kernel), camera, path, want)
    }

    /// As [`new`](Self::new), with nodes of one's own.
    pub fn with(nodes: Box<dyn Nodes>, camera: impl Into<String>, path: impl Into<PathBuf>, want: Want) -> Self {
        Self { camera: camera.into(), path: path.into(), want, nodes, told: String::new() }
    }

    fn tell(&mut self, place: &Place, remarks: &[String]) {
        let text = remarks.join("; ");
        if !text.is_empty() && text != self.told {
            log::warn!("camera {}: {}: {text}", place.camera, place.node);
        }
        self.told = text;
    }

    /// Takes the first candidate that the device really gives.
    fn start(
        &mut self,
        device: &mut dyn Device,
        place: &Place,
        candidates: &[Candidate],
        remarks: &mut Vec<String>,
    ) -> Result<(Encoding, Layout), CaptureError> {
        let mut last = place.error(CaptureErrorKind::Format, "it takes none of the formats that it offers".to_owned());
        for candidate in candidates {
            let name = candidate.fourcc;
            let layout = match device.set_layout(candidate.fourcc, candidate.size) {
                Ok(layout) if Encoding::of(layout.fourcc) == Some(candidate.encoding) => layout,
                Ok(layout) => {
                    remarks.push(format!("it offers {name} and gives {}", layout.fourcc));
                    continue;
                }
                Err(errno @ (Errno::BUSY | Errno::NODEV)) => return Err(place.refused("VIDIOC_S_FMT", errno)),
                Err(errno) => {
                    last = place.refused("VIDIOC_S_FMT", errno);
                    continue;
                }
            };
            let Some(layout) = believable(layout, candidate.encoding) else {
                remarks.push(format!("it offers {name} in an impossible layout"));
                continue;
            };
            let want = Interval { numerator: 1, denominator: self.want.fps };
            let got = device.set_interval(candidate.interval.unwrap_or(want));
            match device.start(self.want.buffers) {
                Ok(()) => {}
                // Another format may need less of the bus.
                Err(errno @ (Errno::NOSPC | Errno::INVAL)) => {
                    last = place.refused("VIDIOC_STREAMON", errno);
                    continue;
                }
                Err(errno) => return Err(place.refused("VIDIOC_STREAMON", errno)),
            }
            let got = got.ok().filter(|got| got.fps() > 0.0);
            let rate = got.map_or_else(|| "a rate it does not tell".to_owned(), |got| format!("{:.0}/s", got.fps()));
            log::info!("camera {}: {}: {name} {}x{} at {rate}", place.camera, place.node, layout.width, layout.height);
            if (layout.width, layout.height) != self.want.size {
                let (w, h) = self.want.size;
                remarks.push(format!("{w}x{h} became {}x{}", layout.width, layout.height));
            }
            if let Some(got) = got.filter(|got| got.fps() + 1.0 <= f64::from(self.want.fps)) {
                remarks.push(format!("{} frames a second became {:.0}", self.want.fps, got.fps()));
            }
            return Ok((candidate.encoding, layout));
        }
        Err(last)
    }
}

impl Opener for V4l2Opener {
    fn open(&mut self) -> Result<Box<dyn Stream>, CaptureError> {
        let place = Place::of(&self.camera, &self.path);
        let mut device = self.nodes.open(&self.path).map_err(|errno| place.refused("open", errno))?;
        let identity = device.identity().map_err(|errno| place.refused("VIDIOC_QUERYCAP", errno))?;
        if !identity.captures || !identity.streams {
            let what = match (identity.multiplanar, identity.card.as_str()) {
                (true, card) => format!(
                    "{card} speaks the multi-planar interface only; take a pipeline: v4l2src device={}",
                    self.path.display()
                ),
                (false, card) => {
                    format!("this node of {card} gives no pictures; take one that till camera list shows")
                }
            };
            return Err(place.error(CaptureErrorKind::Unreadable, what));
        }
        let failed = |errno| place.refused("VIDIOC_ENUM_FMT", errno);
        let formats = negotiate::formats(&mut *device).map_err(failed)?;
        let decodes = turbo::is_there();
        let candidates =
            negotiate::candidates(&mut *device, &formats, self.want.size, self.want.fps, decodes).map_err(failed)?;
        let mut remarks = Vec::new();
        let jpeg = formats.iter().any(|f| Encoding::of(*f) == Some(Encoding::Mjpeg));
        if jpeg && !decodes {
            remarks.push("MJPEG is not taken: apt install libturbojpeg0 (libturbojpeg on Ubuntu)".into());
        }
        if candidates.is_empty() {
            let list = formats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let hint = if jpeg {
                "MJPEG needs libturbojpeg.so.0: apt install libturbojpeg0, on Ubuntu libturbojpeg"
            } else {
                "take a pipeline that converts it; a sensor of a Jetson is csi = N"
            };
            let list = if list.is_empty() { "no format".to_owned() } else { list };
            let message = format!("it offers {list}, none of NV12, YUYV, MJPG and GREY; {hint}");
            return Err(place.error(CaptureErrorKind::Format, message));
        }
        let started = self.start(&mut *device, &place, &candidates, &mut remarks);
        if started.is_ok() {
            // Not before: a camera that another program shows is not to be touched.
            remarks.extend(controls::apply(&mut *device, &self.want.controls));
        }
        self.tell(&place, &remarks);
        let (encoding, layout) = started?;
        let decoder = match encoding {
            Encoding::Mjpeg => Some(Mjpeg::new().ok_or_else(|| place.refused("tjInitDecompress", Errno::NOMEM))?),
            _ => None,
        };
        Ok(Box::new(V4l2Stream {
            device,
            place,
            encoding,
            layout,
            matrix: matrix(&layout),
            decoder,
            buffers: self.want.buffers,
            numbers: Numbers::default(),
            delivered: 0,
            size: None,
            other: None,
            told_damage: false,
        }))
    }
}

/// A camera's name and where it was found, for messages.
#[derive(Clone, Debug)]
struct Place {
    camera: String,
    path: PathBuf,
    /// The path, and the node that it leads to where it is a link.
    node: String,
}

impl Place {
    fn of(camera: &str, path: &Path) -> Self {
        let node = match std::fs::canonicalize(path) {
            Ok(real) if real != path => format!("{} ({})", path.display(), real.display()),
            _ => path.display().to_string(),
        };
        Self { camera: camera.to_owned(), path: path.to_owned(), node }
    }

    fn error(&self, kind: CaptureErrorKind, message: String) -> CaptureError {
        CaptureError::new(kind, &self.camera, format!("{}: {message}", self.node))
    }

    fn refused(&self, what: &str, errno: Errno) -> CaptureError {
        use CaptureErrorKind as Kind;
        let (kind, message) = match errno {
            Errno::NOENT | Errno::NXIO | Errno::NODEV => {
                (Kind::Missing, "no camera is there; plug it in, and see by till camera list where it is".to_owned())
            }
            Errno::ACCESS | Errno::PERM => {
                (Kind::Denied, format!("{errno}; the daemon's user must be in the group video"))
            }
            Errno::BUSY => {
                let who = inventory::holder(&self.path).unwrap_or_else(|| "another program".to_owned());
                (Kind::Busy, format!("in use by {who}; end the other program that holds it"))
            }
            Errno::NOTTY | Errno::ISDIR => {
                (Kind::Unreadable, "this is no camera; take a node that till camera list shows".to_owned())
            }
            Errno::NOSPC => (
                Kind::Busy,
                "the USB bus has no room left for it; ask for a smaller size or rate, or plug it into another \
                 root hub (lsusb -t)"
                    .to_owned(),
            ),
            errno => (Kind::Lost, format!("{what}: {errno}; check its cable and plug it in again")),
        };
        self.error(kind, message)
    }
}

/// The driver's numbers from 0 on, without their wrapping.
#[derive(Default)]
struct Numbers {
    last: Option<u32>,
    count: u64,
}

impl Numbers {
    /// A driver whose number stands still or goes back has lost none.
    fn next(&mut self, driver: u32) -> u64 {
        if let Some(last) = self.last.replace(driver) {
            let step = match driver.wrapping_sub(last) {
                step if step == 0 || step > u32::MAX / 2 => 1,
                step => step,
            };
            self.count = self.count.saturating_add(u64::from(step));
        }
        self.count
    }
}

struct V4l2Stream {
    device: Box<dyn Device>,
    place: Place,
    encoding: Encoding,
    layout: Layout,
    matrix: Matrix,
    decoder: Option<Mjpeg>,
    buffers: u32,
    numbers: Numbers,
    delivered: u64,
    /// Of the pictures, once one was whole.
    size: Option<(u32, u32)>,
    /// Another size, and how often it came in a row.
    other: Option<((u32, u32), u32)>,
    told_damage: bool,
}

impl V4l2Stream {
    fn failed(&self, what: &str, errno: Errno) -> CaptureError {
        match errno {
            Errno::NODEV | Errno::NXIO => self.place.error(
                CaptureErrorKind::Lost,
                format!("it was unplugged after {} frames; check cable and power", self.delivered),
            ),
            errno => self.place.error(
                CaptureErrorKind::Lost,
                format!("{what}: {errno} after {} frames; check cable and power", self.delivered),
            ),
        }
    }

    /// The newest of the filled buffers; older ones go back, and the driver's count tells of them.
    fn newest(&mut self) -> Result<Option<Filled>, CaptureError> {
        let failed = |this: &Self, errno| this.failed("VIDIOC_DQBUF", errno);
        let Some(mut newest) = self.device.dequeue().map_err(|e| failed(self, e))? else { return Ok(None) };
        // Bounded: a device may fill buffers faster than they can be given back.
        for _ in 0..self.buffers {
            let Some(next) = self.device.dequeue().map_err(|e| failed(self, e))? else { break };
            // A damaged picture does not take the place of a whole one.
            let back = if next.damaged { next.index } else { std::mem::replace(&mut newest, next).index };
            self.device.queue(back).map_err(|e| self.failed("VIDIOC_QBUF", e))?;
        }
        Ok(Some(newest))
    }

    /// The picture in the buffer into `frame`, or what is wrong with it.
    fn take(&mut self, filled: &Filled, frame: &mut Frame) -> Result<(), String> {
        if filled.damaged {
            return Err("the driver calls it damaged".into());
        }
        let whole = self.device.bytes(filled.index);
        let bytes = whole.get(..filled.bytes).unwrap_or(whole);
        let Some(decoder) = &mut self.decoder else {
            return copy(bytes, self.encoding, &self.layout, self.matrix, frame);
        };
        match decoder.decode(bytes, self.size, frame) {
            Ok(()) => Ok(()),
            Err(Damage::Broken(why)) => Err(why),
            Err(Damage::Size(w, h)) => {
                let before = self.other.filter(|(other, _)| *other == (w, h)).map_or(0, |(_, n)| n);
                self.other = Some(((w, h), before + 1));
                let (width, height) = self.size.unwrap_or_default();
                Err(format!("it is {w}x{h} instead of {width}x{height}"))
            }
        }
    }

    fn settle(&mut self, frame: &Frame) {
        self.other = None;
        self.delivered += 1;
        let (size, announced) = ((frame.width, frame.height), (self.layout.width, self.layout.height));
        if self.size.replace(size).is_none() && size != announced {
            log::warn!(
                "camera {}: {}: it announces {}x{} and sends {}x{}, which is taken",
                self.place.camera,
                self.place.node,
                announced.0,
                announced.1,
                size.0,
                size.1
            );
        }
    }
}

impl Stream for V4l2Stream {
    fn read(&mut self, frame: &mut Frame, timeout: Duration) -> Result<Read, CaptureError> {
        if !self.device.wait(timeout).map_err(|e| self.failed("poll", e))? {
            return Ok(Read::Timeout);
        }
        let Some(filled) = self.newest()? else { return Ok(Read::Timeout) };
        let now_ns = monotonic_ns();
        let taken = self.take(&filled, frame);
        self.device.queue(filled.index).map_err(|e| self.failed("VIDIOC_QBUF", e))?;
        frame.sequence = self.numbers.next(filled.sequence);
        let stamp = filled.stamp_ns.filter(|ns| *ns <= now_ns && now_ns - *ns <= STAMP_AGE_NS_MAX);
        frame.captured_ns = stamp.unwrap_or(now_ns);
        match taken {
            Ok(()) => {
                self.settle(frame);
                Ok(Read::Frame)
            }
            Err(why) => {
                if let Some(((w, h), n)) = self.other
                    && n >= OTHER_SIZE_MAX
                {
                    let message = format!("it sends {w}x{h} pixels now; it is opened anew");
                    return Err(self.place.error(CaptureErrorKind::Format, message));
                }
                if !std::mem::replace(&mut self.told_damage, true) {
                    let Place { camera, node, .. } = &self.place;
                    log::warn!("camera {camera}: {node}: a picture is left out: {why}; further ones are only counted");
                }
                Ok(Read::Damaged)
            }
        }
    }
}

/// A layout in which pictures can lie, its stride filled in; `None` where there is none.
fn believable(mut layout: Layout, encoding: Encoding) -> Option<Layout> {
    let side = 1..=SIDE_MAX;
    if !side.contains(&layout.width) || !side.contains(&layout.height) {
        return None;
    }
    let row = match encoding {
        Encoding::Yuyv => layout.width.next_multiple_of(2) * 2,
        Encoding::Nv12 => layout.width.next_multiple_of(2),
        Encoding::Grey => layout.width,
        Encoding::Mjpeg => return Some(layout),
    };
    if layout.stride == 0 {
        layout.stride = row;
    }
    (row..=row.saturating_mul(4).max(4096)).contains(&layout.stride).then_some(layout)
}

/// The one copy: what the layout needs of the buffer, rows with their padding.
fn copy(bytes: &[u8], encoding: Encoding, layout: &Layout, matrix: Matrix, frame: &mut Frame) -> Result<(), String> {
    let (stride, height) = (layout.stride as usize, layout.height as usize);
    let luma = stride * height;
    let (format, need) = match encoding {
        Encoding::Yuyv => (PixelFormat::Yuyv, luma),
        Encoding::Nv12 => (PixelFormat::Nv12, luma + stride * height.div_ceil(2)),
        _ => (PixelFormat::Grey, luma),
    };
    let picture = bytes.get(..need).ok_or_else(|| format!("it has {} bytes instead of {need}", bytes.len()))?;
    let chroma = if format == PixelFormat::Nv12 { Plane { offset: luma, stride } } else { Plane::default() };
    (frame.width, frame.height, frame.format, frame.matrix) = (layout.width, layout.height, format, matrix);
    frame.planes = [Plane { offset: 0, stride }, chroma, Plane::default()];
    frame.data.clear();
    frame.data.extend_from_slice(picture);
    Ok(())
}

/// By the kernel's own defaults (V4L2_MAP_YCBCR_ENC_DEFAULT, V4L2_MAP_QUANTIZATION_DEFAULT).
fn matrix(layout: &Layout) -> Matrix {
    // V4L2_COLORSPACE_REC709, BT2020 and DCI_P3; encodings 709, XV709 and BT2020.
    let bt709 = match layout.encoding {
        0 => matches!(layout.colorspace, 3 | 10 | 12),
        encoding => matches!(encoding, 2 | 4 | 6 | 7),
    };
    // V4L2_COLORSPACE_JPEG is full where nothing else is said.
    let full = layout.quantization == 1 || layout.quantization == 0 && layout.colorspace == 7;
    match (bt709, full) {
        (false, false) => Matrix::Bt601,
        (false, true) => Matrix::Bt601Full,
        (true, false) => Matrix::Bt709,
        (true, true) => Matrix::Bt709Full,
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
