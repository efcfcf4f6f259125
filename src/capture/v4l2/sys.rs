//! The kernel's side: ioctls by hand on `rustix`, the structs of `linux/videodev2.h` as they have been
//! since Linux 2.6.39. The unsafe code of V4L2 stands here and in `turbo`; each piece says what makes it
//! sound. 64-bit only, checked below.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::device::{Answer, Control, Device, Filled, FourCc, Identity, Interval, Layout, Nodes, Rate, Size};

const CAPTURE: u32 = 1; // V4L2_BUF_TYPE_VIDEO_CAPTURE
const MMAP: u32 = 1; // V4L2_MEMORY_MMAP
/// More than this no driver gives (VIDEO_MAX_FRAME).
const BUFFERS_MAX: u32 = 32;

#[repr(C)]
#[derive(Clone, Copy)]
struct Capability {
    driver: [u8; 16],
    card: [u8; 32],
    bus_info: [u8; 32],
    version: u32,
    capabilities: u32,
    device_caps: u32,
    reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct FmtDesc {
    index: u32,
    kind: u32,
    flags: u32,
    description: [u8; 32],
    pixelformat: u32,
    reserved: [u32; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Format {
    kind: u32,
    /// The union behind it holds pointers, so it begins at eight.
    padding: u32,
    width: u32,
    height: u32,
    pixelformat: u32,
    field: u32,
    bytesperline: u32,
    sizeimage: u32,
    colorspace: u32,
    private: u32,
    flags: u32,
    encoding: u32,
    quantization: u32,
    transfer: u32,
    rest: [u32; 38],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct FrmSize {
    index: u32,
    pixel_format: u32,
    kind: u32,
    /// Discrete: width, height. Stepwise: min, max, step of the width, then of the height.
    numbers: [u32; 6],
    reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct FrmInterval {
    index: u32,
    pixel_format: u32,
    width: u32,
    height: u32,
    kind: u32,
    /// Discrete: one fraction. Stepwise: min, max, step.
    numbers: [u32; 6],
    reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct StreamParm {
    kind: u32,
    capability: u32,
    mode: u32,
    numerator: u32,
    denominator: u32,
    rest: [u32; 46],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RequestBuffers {
    count: u32,
    kind: u32,
    memory: u32,
    reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Buffer {
    index: u32,
    kind: u32,
    bytesused: u32,
    flags: u32,
    field: u32,
    seconds: i64,
    microseconds: i64,
    timecode: [u32; 4],
    sequence: u32,
    memory: u32,
    /// A union; with V4L2_MEMORY_MMAP its first half.
    offset: u32,
    offset_rest: u32,
    length: u32,
    reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CtrlValue {
    id: u32,
    value: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct QueryCtrl {
    id: u32,
    kind: u32,
    name: [u8; 32],
    minimum: i32,
    maximum: i32,
    step: i32,
    default_value: i32,
    flags: u32,
    reserved: [u32; 2],
}

// An opcode holds its struct's size: with a wrong one the kernel would answer ENOTTY, or write past the end.
const _: () = {
    assert!(size_of::<Capability>() == 104);
    assert!(size_of::<FmtDesc>() == 64);
    assert!(size_of::<Format>() == 208);
    assert!(size_of::<FrmSize>() == 44);
    assert!(size_of::<FrmInterval>() == 52);
    assert!(size_of::<StreamParm>() == 204);
    assert!(size_of::<RequestBuffers>() == 20);
    assert!(size_of::<Buffer>() == 88);
    assert!(size_of::<CtrlValue>() == 8);
    assert!(size_of::<QueryCtrl>() == 68);
};

/// Structs of integers: whatever the kernel writes into one is a value of it.
///
/// # Safety
/// `OPCODE` must be an ioctl that takes a pointer to exactly this struct.
unsafe trait Request<const KEY: u8>: Copy {
    const OPCODE: Opcode;
}

macro_rules! request {
    ($key:literal, $type:ty, $direction:ident) => {
        // SAFETY: number and struct as in linux/videodev2.h; the size was checked above.
        unsafe impl Request<$key> for $type {
            const OPCODE: Opcode = opcode::$direction::<$type>(b'V', $key);
        }
    };
}
request!(0, Capability, read);
request!(2, FmtDesc, read_write);
request!(5, Format, read_write);
request!(8, RequestBuffers, read_write);
request!(9, Buffer, read_write);
request!(15, Buffer, read_write);
request!(17, Buffer, read_write);
request!(18, u32, write);
request!(19, u32, write);
request!(22, StreamParm, read_write);
request!(27, CtrlValue, read_write);
request!(28, CtrlValue, read_write);
request!(36, QueryCtrl, read_write);
request!(74, FrmSize, read_write);
request!(75, FrmInterval, read_write);

fn zeroed<T: ZeroIsValid>() -> T {
    // SAFETY: see the trait.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// Nothing but integers and arrays of them.
unsafe trait ZeroIsValid {}
macro_rules! zero_is_valid {
    ($($type:ty),*) => { $(
        // SAFETY: integers only, see its definition.
        unsafe impl ZeroIsValid for $type {}
    )* };
}
zero_is_valid!(Capability, FmtDesc, Format, FrmSize, FrmInterval, StreamParm, RequestBuffers, Buffer, QueryCtrl);

/// The machine's own nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Nodes for Kernel {
    fn open(&mut self, path: &Path) -> Answer<Box<dyn Device>> {
        let fd = rustix::fs::open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Box::new(Node { fd, buffers: Vec::new() }))
    }
}

/// One mapped buffer.
struct Mapping {
    start: *mut std::ffi::c_void,
    len: usize,
    /// It is ours to read: dequeued and not queued again.
    ours: bool,
}

// SAFETY: the pointer is to a mapping of the whole process, owned by this value alone.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `Node::map` with this length, and unmapped only here.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}

struct Node {
    fd: OwnedFd,
    buffers: Vec<Mapping>,
}

impl Node {
    fn call<const KEY: u8, T: Request<KEY>>(&self, value: &mut T) -> Answer<()> {
        loop {
            // SAFETY: `Request` ties the opcode to the struct, and the kernel keeps no pointer to it.
            match unsafe { ioctl(&self.fd, AnyUpdater::<KEY, T>(value)) } {
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn map(&mut self, count: u32) -> Answer<()> {
        for index in 0..count {
            let mut buffer = Buffer { index, kind: CAPTURE, memory: MMAP, ..zeroed() };
            self.call::<9, _>(&mut buffer)?;
            let len = buffer.length as usize;
            // SAFETY: a fresh mapping at an address of the kernel's choice; nothing of ours lies there.
            let start = unsafe {
                mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, &self.fd, u64::from(buffer.offset))?
            };
            self.buffers.push(Mapping { start, len, ours: true });
            self.queue(index)?;
        }
        let mut kind = CAPTURE;
        self.call::<18, _>(&mut kind)
    }

    fn stop(&mut self) {
        let mut kind = CAPTURE;
        let _ = self.call::<19, _>(&mut kind);
        self.buffers.clear();
        let _ = self.call::<8, _>(&mut RequestBuffers { kind: CAPTURE, memory: MMAP, ..zeroed() });
    }
}

/// As `rustix::ioctl::Updater`, but with the opcode out of the trait.
struct AnyUpdater<'a, const KEY: u8, T: Request<KEY>>(&'a mut T);

// SAFETY: forwards to the struct that `Request` promises; the kernel may write into it.
unsafe impl<const KEY: u8, T: Request<KEY>> rustix::ioctl::Ioctl for AnyUpdater<'_, KEY, T> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        T::OPCODE
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(_: rustix::ioctl::IoctlOutput, _: *mut std::ffi::c_void) -> Answer<()> {
        Ok(())
    }
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).trim().to_owned()
}

impl Device for Node {
    fn identity(&mut self) -> Answer<Identity> {
        let mut it: Capability = zeroed();
        self.call::<0, _>(&mut it)?;
        // The device's own flags where it has them, else those of all its nodes together.
        let flags = if it.capabilities & 0x8000_0000 == 0 { it.capabilities } else { it.device_caps };
        Ok(Identity {
            driver: words(&it.driver),
            card: words(&it.card),
            bus: words(&it.bus_info),
            captures: flags & 0x1 != 0,
            multiplanar: flags & 0x1000 != 0,
            streams: flags & 0x0400_0000 != 0,
        })
    }

    fn format(&mut self, index: u32) -> Answer<FourCc> {
        let mut it = FmtDesc { index, kind: CAPTURE, ..zeroed() };
        self.call::<2, _>(&mut it)?;
        Ok(FourCc(it.pixelformat))
    }

    fn size(&mut self, fourcc: FourCc, index: u32) -> Answer<Size> {
        let mut it = FrmSize { index, pixel_format: fourcc.0, ..zeroed() };
        self.call::<74, _>(&mut it)?;
        let [a, b, c, d, e, f] = it.numbers;
        Ok(if it.kind == 1 { Size::Exactly(a, b) } else { Size::Range { min: (a, d), max: (b, e), step: (c, f) } })
    }

    fn rate(&mut self, fourcc: FourCc, (width, height): (u32, u32), index: u32) -> Answer<Rate> {
        let mut it = FrmInterval { index, pixel_format: fourcc.0, width, height, ..zeroed() };
        self.call::<75, _>(&mut it)?;
        let [a, b, c, d, ..] = it.numbers;
        let interval = |numerator, denominator| Interval { numerator, denominator };
        Ok(if it.kind == 1 { Rate::Exactly(interval(a, b)) } else { Rate::Range(interval(a, b), interval(c, d)) })
    }

    fn set_layout(&mut self, fourcc: FourCc, (width, height): (u32, u32)) -> Answer<Layout> {
        // Without the magic number a driver may not fill in what lies behind `private`.
        const PRIV_MAGIC: u32 = 0xfeed_cafe;
        let mut it = Format { kind: CAPTURE, width, height, pixelformat: fourcc.0, private: PRIV_MAGIC, ..zeroed() };
        self.call::<5, _>(&mut it)?;
        let known = it.private == PRIV_MAGIC;
        Ok(Layout {
            fourcc: FourCc(it.pixelformat),
            width: it.width,
            height: it.height,
            stride: it.bytesperline,
            colorspace: it.colorspace,
            encoding: if known { it.encoding } else { 0 },
            quantization: if known { it.quantization } else { 0 },
        })
    }

    fn set_interval(&mut self, interval: Interval) -> Answer<Interval> {
        let mut it =
            StreamParm { kind: CAPTURE, numerator: interval.numerator, denominator: interval.denominator, ..zeroed() };
        self.call::<22, _>(&mut it)?;
        Ok(Interval { numerator: it.numerator, denominator: it.denominator })
    }

    fn control(&mut self, id: u32) -> Answer<Control> {
        let mut it = QueryCtrl { id, ..zeroed() };
        self.call::<36, _>(&mut it)?;
        // Integer, switch and menu; disabled and read-only ones are not for us.
        let is_number = matches!(it.kind, 1..=3) && it.flags & 0x5 == 0;
        Ok(Control {
            id: it.id,
            name: words(&it.name),
            min: it.minimum,
            max: it.maximum,
            step: it.step,
            default: it.default_value,
            is_number,
        })
    }

    fn get(&mut self, id: u32) -> Answer<i32> {
        let mut it = CtrlValue { id, value: 0 };
        self.call::<27, _>(&mut it)?;
        Ok(it.value)
    }

    fn set(&mut self, id: u32, value: i32) -> Answer<()> {
        self.call::<28, _>(&mut CtrlValue { id, value })
    }

    fn start(&mut self, buffers: u32) -> Answer<()> {
        let mut it = RequestBuffers { count: buffers, kind: CAPTURE, memory: MMAP, ..zeroed() };
        self.call::<8, _>(&mut it)?;
        let started = match it.count {
            0 => Err(Errno::NOMEM),
            count => self.map(count.min(BUFFERS_MAX)),
        };
        started.inspect_err(|_| self.stop())
    }

    fn wait(&mut self, timeout: Duration) -> Answer<bool> {
        let timeout = Timespec::try_from(timeout).map_err(|_| Errno::INVAL)?;
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        let [fd] = &fds;
        match fd.revents() {
            seen if seen.contains(PollFlags::IN) && !seen.contains(PollFlags::HUP) => Ok(true),
            seen if seen.contains(PollFlags::HUP) => Err(Errno::NODEV),
            _ => Err(Errno::IO),
        }
    }

    fn dequeue(&mut self) -> Answer<Option<Filled>> {
        let mut it = Buffer { kind: CAPTURE, memory: MMAP, ..zeroed() };
        match self.call::<17, _>(&mut it) {
            Err(Errno::AGAIN) => return Ok(None),
            other => other?,
        }
        let buffer = self.buffers.get_mut(it.index as usize).ok_or(Errno::IO)?;
        buffer.ours = true;
        let monotonic = it.flags & 0xe000 == 0x2000;
        let stamp_ns = u64::try_from(it.seconds)
            .ok()
            .zip(u64::try_from(it.microseconds).ok())
            .map(|(s, us)| s.saturating_mul(1_000_000_000).saturating_add(us.saturating_mul(1_000)));
        Ok(Some(Filled {
            index: it.index,
            bytes: it.bytesused as usize,
            damaged: it.flags & 0x40 != 0,
            sequence: it.sequence,
            stamp_ns: stamp_ns.filter(|_| monotonic),
        }))
    }

    fn bytes(&self, index: u32) -> &[u8] {
        match self.buffers.get(index as usize) {
            // SAFETY: mapped for reading with this length until `self` is changed, and while the buffer is
            // dequeued the driver does not write into it; queueing it needs `&mut self`, which ends this borrow.
            Some(buffer) if buffer.ours => unsafe {
                std::slice::from_raw_parts(buffer.start.cast_const().cast(), buffer.len)
            },
            _ => &[],
        }
    }

    fn queue(&mut self, index: u32) -> Answer<()> {
        let buffer = self.buffers.get_mut(index as usize).ok_or(Errno::INVAL)?;
        buffer.ours = false;
        self.call::<15, _>(&mut Buffer { index, kind: CAPTURE, memory: MMAP, ..zeroed() })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !self.buffers.is_empty() {
            self.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_the_header() {
        // Printed by a C program that includes linux/videodev2.h.
        assert_eq!(<Capability as Request<0>>::OPCODE, 0x8068_5600);
        assert_eq!(<Format as Request<5>>::OPCODE, 0xc0d0_5605);
        assert_eq!(<Buffer as Request<17>>::OPCODE, 0xc058_5611);
        assert_eq!(<u32 as Request<18>>::OPCODE, 0x4004_5612);
        assert_eq!(<StreamParm as Request<22>>::OPCODE, 0xc0cc_5616);
        assert_eq!(<QueryCtrl as Request<36>>::OPCODE, 0xc044_5624);
        assert_eq!(<FrmSize as Request<74>>::OPCODE, 0xc02c_564a);
        assert_eq!(<FrmInterval as Request<75>>::OPCODE, 0xc034_564b);
    }

    #[test]
    fn what_is_no_camera_says_so() {
        let mut null = Kernel.open(Path::new("/dev/null")).unwrap();
        assert_eq!(null.identity(), Err(Errno::NOTTY));
        assert_eq!(null.start(4), Err(Errno::NOTTY));
        assert_eq!(null.bytes(0), &[] as &[u8]);
        assert_eq!(Kernel.open(Path::new("/dev/video-not-there")).err(), Some(Errno::NOENT));
    }
}
