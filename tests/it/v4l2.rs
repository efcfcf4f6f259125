//! A camera's frame from the driver's buffer to a frame of the slot: nothing of ours is allocated, raw and MJPEG.

use std::path::Path;
use std::time::Duration;

use till::capture::v4l2::device::{Answer, Control, Filled, FourCc, Identity, Interval, Layout, Rate, Size};
use till::capture::v4l2::{Controls, Device, Nodes, V4l2Opener, Want};
use till::capture::{Frame, Opener, PixelFormat, Read};

use crate::alloc::allocations;

const ERRNO: rustix::io::Errno = rustix::io::Errno::INVAL;

/// Gives one picture for ever.
struct Camera {
    fourcc: FourCc,
    picture: Vec<u8>,
    sequence: u32,
    given: bool,
}

impl Device for Camera {
    fn identity(&mut self) -> Answer<Identity> {
        Ok(Identity { captures: true, streams: true, ..Identity::default() })
    }
    fn format(&mut self, index: u32) -> Answer<FourCc> {
        if index == 0 { Ok(self.fourcc) } else { Err(ERRNO) }
    }
    fn size(&mut self, _: FourCc, _: u32) -> Answer<Size> {
        Err(ERRNO)
    }
    fn rate(&mut self, _: FourCc, _: (u32, u32), _: u32) -> Answer<Rate> {
        Err(ERRNO)
    }
    fn set_layout(&mut self, fourcc: FourCc, (width, height): (u32, u32)) -> Answer<Layout> {
        Ok(Layout { fourcc, width, height, stride: 0, colorspace: 8, encoding: 0, quantization: 0 })
    }
    fn set_interval(&mut self, interval: Interval) -> Answer<Interval> {
        Ok(interval)
    }
    fn control(&mut self, _: u32) -> Answer<Control> {
        Err(ERRNO)
    }
    fn get(&mut self, _: u32) -> Answer<i32> {
        Err(ERRNO)
    }
    fn set(&mut self, _: u32, _: i32) -> Answer<()> {
        Err(ERRNO)
    }
    fn start(&mut self, _: u32) -> Answer<()> {
        Ok(())
    }
    fn wait(&mut self, _: Duration) -> Answer<bool> {
        Ok(true)
    }
    fn dequeue(&mut self) -> Answer<Option<Filled>> {
        if std::mem::replace(&mut self.given, true) {
            return Ok(None);
        }
        self.sequence += 1;
        Ok(Some(Filled { bytes: self.picture.len(), sequence: self.sequence, ..Filled::default() }))
    }
    fn bytes(&self, _: u32) -> &[u8] {
        &self.picture
    }
    fn queue(&mut self, _: u32) -> Answer<()> {
        self.given = false;
        Ok(())
    }
}

/// Plugged in once.
struct Socket(Option<Camera>);

impl Nodes for Socket {
    fn open(&mut self, _: &Path) -> Answer<Box<dyn Device>> {
        self.0.take().map(|camera| Box::new(camera) as Box<dyn Device>).ok_or(ERRNO)
    }
}

/// As many UVC cameras send it: no Huffman tables.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (jpeg[..2].to_vec(), 2);
    while jpeg[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xc4 {
            out.extend_from_slice(&jpeg[at..end]);
        }
        at = end;
    }
    out.extend_from_slice(&jpeg[at..]);
    out
}

#[test]
fn nothing_of_ours_is_allocated_from_buffer_to_frame() {
    let jpeg = include_bytes!("../golden/jpeg/422.jpg");
    for (letters, picture, format) in [
        (*b"YUYV", vec![90; 64 * 48 * 2], PixelFormat::Yuyv),
        (*b"MJPG", jpeg.to_vec(), PixelFormat::I420),
        (*b"MJPG", without_tables(jpeg), PixelFormat::I420),
    ] {
        let camera = Camera { fourcc: FourCc::new(letters), picture, sequence: 0, given: false };
        let want = Want { size: (64, 48), fps: 30, buffers: 4, controls: Controls::default() };
        let mut opener = V4l2Opener::with(Box::new(Socket(Some(camera))), "tray", "/dev/till/tray", want);
        let mut stream = opener.open().unwrap();
        let mut frame = Frame::with_capacity(64, 48);
        let mut read = || assert_eq!(stream.read(&mut frame, Duration::ZERO), Ok(Read::Frame));
        read();
        let ((), count) = allocations(|| (0..100).for_each(|_| read()));
        assert_eq!(count, 0, "{format:?}");
        assert_eq!((frame.format, frame.width, frame.sequence), (format, 64, 100));
    }
}
