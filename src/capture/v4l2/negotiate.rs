//! Which of a camera's formats to take: pure but for the questions. Size goes before rate, colour before
//! both, and of what is left the raw format that costs least; MJPEG only where no raw one delivers. Lists
//! are cut at stated lengths, for a device may count without end.

use rustix::io::Errno;

use super::device::{Answer, Device, FourCc, Interval, Rate, Size};

/// More formats, sizes and rates than any camera has.
const FORMATS_MAX: u32 = 64;
const SIZES_MAX: u32 = 256;
const RATES_MAX: u32 = 128;
/// Larger pictures than the configuration may ask for are not taken either.
pub const SIDE_MAX: u32 = 4096;

/// How a picture lies in a buffer, of the ways that we read. In the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// 4:2:0 in two planes, 12 bits a pixel.
    Nv12,
    /// 4:2:2 packed, 16 bits a pixel.
    Yuyv,
    /// A JPEG a frame.
    Mjpeg,
    /// Luma alone: goods are told apart by colour, so this is the last resort.
    Grey,
}

impl Encoding {
    /// Of a pixel format, if it is one of ours.
    pub fn of(fourcc: FourCc) -> Option<Self> {
        match &fourcc.0.to_le_bytes() {
            b"NV12" => Some(Self::Nv12),
            b"YUYV" => Some(Self::Yuyv),
            b"MJPG" | b"JPEG" => Some(Self::Mjpeg),
            b"GREY" => Some(Self::Grey),
            _ => None,
        }
    }
}

/// A format that could be taken, and what it would deliver as far as the device says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The device's name for it.
    pub fourcc: FourCc,
    /// How to read it.
    pub encoding: Encoding,
    /// To ask for, pixels.
    pub size: (u32, u32),
    /// To ask for; `None` where the device lists no rates.
    pub interval: Option<Interval>,
}

/// Every format that the device lists.
pub fn formats(device: &mut dyn Device) -> Answer<Vec<FourCc>> {
    list(FORMATS_MAX, |index| device.format(index))
}

/// Every size of a format; none where the device can't list them.
pub fn sizes(device: &mut dyn Device, fourcc: FourCc) -> Answer<Vec<Size>> {
    list(SIZES_MAX, |index| device.size(fourcc, index))
}

/// Every rate of a format and size; none where the device can't list them.
pub fn rates(device: &mut dyn Device, fourcc: FourCc, size: (u32, u32)) -> Answer<Vec<Rate>> {
    list(RATES_MAX, |index| device.rate(fourcc, size, index))
}

/// EINVAL ends a list and ENOTTY means that there is none; anything else is a failure.
fn list<T>(max: u32, mut ask: impl FnMut(u32) -> Answer<T>) -> Answer<Vec<T>> {
    let mut found = Vec::new();
    for index in 0..max {
        match ask(index) {
            Ok(entry) => found.push(entry),
            Err(Errno::INVAL | Errno::NOTTY) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// What can be taken of `formats` for `size` at `fps`, best first. `mjpeg`: whether it can be decoded here.
pub fn candidates(
    device: &mut dyn Device,
    formats: &[FourCc],
    size: (u32, u32),
    fps: u32,
    mjpeg: bool,
) -> Answer<Vec<Candidate>> {
    let mut found: Vec<Candidate> = Vec::new();
    for &fourcc in formats {
        let Some(encoding) = Encoding::of(fourcc).filter(|e| mjpeg || *e != Encoding::Mjpeg) else { continue };
        if found.iter().any(|c| c.fourcc == fourcc) {
            continue;
        }
        let size = nearest_size(&sizes(device, fourcc)?, size);
        let interval = nearest_rate(&rates(device, fourcc, size)?, fps);
        found.push(Candidate { fourcc, encoding, size, interval });
    }
    found.sort_by_key(|c| {
        let distance = c.size.0.abs_diff(size.0).saturating_add(c.size.1.abs_diff(size.1));
        (c.encoding == Encoding::Grey, distance, missing(c.interval, fps), c.encoding)
    });
    Ok(found)
}

/// Whole frames a second that are missing from the wanted rate; 29.97 of 30 is none.
fn missing(interval: Option<Interval>, fps: u32) -> u32 {
    interval.map_or(0, |interval| (f64::from(fps) - interval.fps()).max(0.0) as u32)
}

/// The size itself, else the smallest that covers it, else the largest there is.
fn nearest_size(sizes: &[Size], want: (u32, u32)) -> (u32, u32) {
    if let Some(&Size::Range { min, max, step }) = sizes.iter().find(|size| matches!(size, Size::Range { .. })) {
        return (snap(want.0, min.0, max.0, step.0), snap(want.1, min.1, max.1, step.1));
    }
    let pixels = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
    let fits = |(w, h): (u32, u32)| (1..=SIDE_MAX).contains(&w) && (1..=SIDE_MAX).contains(&h);
    let exact = sizes.iter().filter_map(|size| match *size {
        Size::Exactly(w, h) => Some((w, h)),
        Size::Range { .. } => None,
    });
    let exact: Vec<_> = exact.filter(|size| fits(*size)).collect();
    let covering = exact.iter().filter(|(w, h)| *w >= want.0 && *h >= want.1).min_by_key(|size| pixels(**size));
    covering.or_else(|| exact.iter().max_by_key(|size| pixels(**size))).copied().unwrap_or(want)
}

fn snap(want: u32, min: u32, max: u32, step: u32) -> u32 {
    let want = want.clamp(min.min(max), max.max(min));
    let step = step.max(1);
    want - (want - min.min(want)) % step
}

/// The slowest rate that is not below the wanted one, else the fastest; `None` where none is listed.
fn nearest_rate(rates: &[Rate], fps: u32) -> Option<Interval> {
    let want = Interval { numerator: 1, denominator: fps };
    let offered = rates.iter().map(|rate| match *rate {
        Rate::Exactly(interval) => interval,
        // A range may be written either way round.
        Rate::Range(a, b) => {
            let (slow, fast) = if a.fps() < b.fps() { (a, b) } else { (b, a) };
            if fast.fps() < want.fps() {
                fast
            } else if slow.fps() > want.fps() {
                slow
            } else {
                want
            }
        }
    });
    let offered: Vec<Interval> = offered.filter(|interval| interval.fps() > 0.0).collect();
    let by_rate = |a: &&Interval, b: &&Interval| a.fps().total_cmp(&b.fps());
    let enough = offered.iter().filter(|interval| missing(Some(**interval), fps) == 0).min_by(by_rate);
    enough.or_else(|| offered.iter().max_by(by_rate)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fps(n: u32) -> Rate {
        Rate::Exactly(Interval { numerator: 1, denominator: n })
    }

    #[test]
    fn the_size_itself_then_the_next_larger_then_the_largest() {
        let sizes = [Size::Exactly(1280, 720), Size::Exactly(640, 480), Size::Exactly(320, 240)];
        assert_eq!(nearest_size(&sizes, (640, 480)), (640, 480));
        assert_eq!(nearest_size(&sizes, (640, 360)), (640, 480));
        assert_eq!(nearest_size(&sizes, (800, 600)), (1280, 720));
        assert_eq!(nearest_size(&sizes, (1920, 1080)), (1280, 720));
        assert_eq!(nearest_size(&[], (640, 480)), (640, 480), "what lists nothing is asked");
        let range = [Size::Range { min: (48, 32), max: (1920, 1080), step: (16, 2) }];
        assert_eq!(nearest_size(&range, (650, 483)), (640, 482));
        assert_eq!(nearest_size(&range, (4000, 8)), (1920, 32));
    }

    #[test]
    fn no_more_frames_than_wanted_unless_there_is_no_such_rate() {
        let of = |rates: &[Rate], want| nearest_rate(rates, want).map(Interval::fps);
        assert_eq!(of(&[fps(60), fps(30), fps(10)], 15), Some(30.0));
        assert_eq!(of(&[fps(5), fps(10)], 15), Some(10.0));
        let ntsc = Rate::Exactly(Interval { numerator: 1001, denominator: 30_000 });
        assert_eq!(of(&[fps(60), ntsc], 30).map(f64::round), Some(30.0), "29.97 is 30");
        let range = |a, b| {
            let interval = |d| Interval { numerator: 1, denominator: d };
            [Rate::Range(interval(a), interval(b))]
        };
        assert_eq!((of(&range(60, 1), 15), of(&range(1, 60), 15)), (Some(15.0), Some(15.0)));
        assert_eq!((of(&range(10, 5), 15), of(&range(60, 20), 15)), (Some(10.0), Some(20.0)));
        assert_eq!(of(&[Rate::Exactly(Interval { numerator: 0, denominator: 0 })], 15), None);
    }

    proptest! {
        #[test]
        fn no_answer_of_a_device_breaks_the_arithmetic(
            numbers in proptest::array::uniform6(any::<u32>()), want in (1u32..5000, 1u32..5000), rate in 0u32..500
        ) {
            let [a, b, c, d, e, f] = numbers;
            nearest_size(&[Size::Range { min: (a, b), max: (c, d), step: (e, f) }], want);
            nearest_size(&[Size::Exactly(a, b), Size::Exactly(c, d)], want);
            let interval = |numerator, denominator| Interval { numerator, denominator };
            nearest_rate(&[Rate::Range(interval(a, b), interval(c, d)), Rate::Exactly(interval(e, f))], rate);
        }
    }
}
