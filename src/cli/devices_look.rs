//! What a device shows of itself, so that a person knows which one it is: what a camera sees, what a port hears, what a
//! converter reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use image::RgbImage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use till_link::frame::{Accumulator, Received};

use super::exit::CliError;
use super::footage::Camera;
use crate::config::ScaleProtocol;
use crate::engine::{Fit, InputSpec};
use crate::machine::devices::{Candidate, Kind};
use crate::runtime::clock;
use crate::trigger::cell::{IIO_DEVICES, iio};
use crate::tty::{SerialWire, Wire};
use crate::vision::preprocess::Preprocessor;
use crate::vision::thumbnail;

/// A picture this coarse tells a tray from a shop, and nobody's face.
const SQUARES: (u32, u32) = (64, 48);
/// Pixels of a square in the PNG.
const SQUARE: u32 = 5;
/// Cameras take a moment to find their exposure.
const FRAMES: u32 = 8;
/// The speeds at which a port is listened to: the link's, and that of most scales.
const SPEEDS: [u32; 2] = [115_200, 9_600];
/// A scale speaks at least twice a second, a POS that waits each second.
const LISTEN_MS: u64 = 1_200;
/// Darkest to brightest.
const GREYS: &[u8] = b" .:-=+*#%@";

/// What was seen or heard.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// For people.
    pub(super) lines: Vec<String>,
    /// What the port said.
    pub(super) heard: Option<String>,
    /// Where the picture was written.
    pub(super) picture: Option<PathBuf>,
    /// Why there is nothing.
    pub(super) fault: Option<String>,
}

/// Opens the device for a moment.
pub(super) fn look(candidate: &Candidate, pictures: Option<&Path>) -> Look {
    let mut look = Look::default();
    let done = match candidate.kind {
        Kind::Camera => see(candidate, pictures, &mut look).map_err(|error| error.to_string()),
        Kind::Serial => hear(Path::new(&candidate.node()), &mut look),
        Kind::Converter => read(candidate, &mut look),
    };
    if let Err(fault) = done {
        look.lines.push(fault.clone());
        look.fault = Some(fault);
    }
    look
}

fn see(candidate: &Candidate, pictures: Option<&Path>, look: &mut Look) -> Result<(), CliError> {
    let mut camera = Camera::device("candidate", &candidate.node())?;
    let spec = InputSpec::for_people(SQUARES.0, SQUARES.1, Fit::Stretch);
    let mut numbers = vec![0.0; spec.elements()];
    for _ in 0..FRAMES {
        let Some(frame) = camera.read()? else { break };
        Preprocessor::new(&spec).fill(frame, &mut numbers)?;
    }
    let Some(squares) = RgbImage::from_raw(SQUARES.0, SQUARES.1, thumbnail::bytes(&numbers).collect()) else {
        return Ok(());
    };
    look.lines = sketch(&squares);
    if let Some(folder) = pictures {
        std::fs::create_dir_all(folder)?;
        let file = folder.join(format!("{}.png", candidate.name));
        let (width, height) = (SQUARES.0 * SQUARE, SQUARES.1 * SQUARE);
        let picture = RgbImage::from_fn(width, height, |x, y| *squares.get_pixel(x / SQUARE, y / SQUARE));
        super::snap::save(&picture, &file)?;
        look.lines.push(file.display().to_string());
        look.picture = Some(file);
    }
    Ok(())
}

/// The picture in characters, which are twice as high as wide; brightest and darkest are stretched to what there is.
fn sketch(squares: &RgbImage) -> Vec<String> {
    let grey = |x, y| squares.get_pixel(x, y).0.iter().map(|&c| u32::from(c)).sum::<u32>();
    let rows: Vec<Vec<u32>> = (0..squares.height() / 2)
        .map(|row| (0..squares.width()).map(|x| grey(x, 2 * row) + grey(x, 2 * row + 1)).collect())
        .collect();
    let all = || rows.iter().flatten().copied();
    let (low, high) = (all().min().unwrap_or(0), all().max().unwrap_or(0));
    let step = (high - low) / GREYS.len() as u32 + 1;
    let letter = |grey: &u32| GREYS.get(((grey - low) / step) as usize).map_or(' ', |&letter| char::from(letter));
    rows.iter().map(|row| row.iter().map(letter).collect()).collect()
}

/// Listens at each speed until something makes sense.
fn hear(node: &Path, look: &mut Look) -> Result<(), String> {
    let mut best = String::new();
    for baud in SPEEDS {
        let mut wire = SerialWire::open(node, baud).map_err(|error| error.to_string())?;
        let bytes = listen(&mut wire).map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            continue;
        }
        let known = understood(&bytes);
        best = format!("at {baud} baud: {}", known.clone().unwrap_or_else(|| excerpt(&bytes)));
        if known.is_some() {
            break;
        }
    }
    if best.is_empty() {
        best = "silent (a POS speaks only when it runs)".into();
    }
    look.lines.push(format!("heard  {best}"));
    look.heard = Some(best);
    Ok(())
}

fn listen(wire: &mut SerialWire) -> std::io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    let until_ms = clock::monotonic_ms() + LISTEN_MS;
    while clock::monotonic_ms() < until_ms && heard.len() < 4_096 {
        let mut bytes = [0; 512];
        let n = wire.read(&mut bytes)?;
        heard.extend_from_slice(&bytes[..n]);
        if n == 0 {
            let wait = Timespec { tv_sec: 0, tv_nsec: Duration::from_millis(50).subsec_nanos().into() };
            poll(&mut [PollFd::new(wire, PollFlags::IN)], Some(&wait))?;
        }
    }
    Ok(heard)
}

/// What the bytes are, where they are something that the counter speaks.
fn understood(bytes: &[u8]) -> Option<String> {
    let mut accumulator = Accumulator::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (received, left) = accumulator.feed(rest);
        if let Some(Received::Frame(kind, _) | Received::Sealed(kind, _)) = received {
            return Some(format!("a POS that speaks till's link ({kind:?})"));
        }
        rest = left;
    }
    let lines = || bytes.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty());
    [(ScaleProtocol::Toledo, "toledo"), (ScaleProtocol::And, "and")].into_iter().find_map(|(protocol, name)| {
        let grams = lines().find_map(|line| protocol.read(line, "").ok())?.grams;
        Some(format!("a scale (kind = \"{name}\") with {grams} g on it"))
    })
}

/// The beginning, printable.
fn excerpt(bytes: &[u8]) -> String {
    let shown: String =
        bytes.iter().take(48).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect();
    format!("{} bytes, \"{shown}\"", bytes.len())
}

fn read(candidate: &Candidate, look: &mut Look) -> Result<(), String> {
    let file = iio::find(Path::new(IIO_DEVICES), &candidate.label).map_err(|error| error.to_string())?;
    let counts = iio::counts(&file).map_err(|error| error.to_string())?;
    let word = if iio::is_disconnected(counts) { ": no load cell is connected" } else { "" };
    look.lines.push(format!("reads  {counts} counts{word}"));
    look.heard = Some(counts.to_string());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use till_link::frame::{Kind as Frame, encode};

    use super::*;
    use crate::tty::pty::Pty;

    #[test]
    fn scales_and_a_pos_are_recognised_and_rubbish_is_shown() {
        assert_eq!(
            understood(b"12 kg\r\nST,+00500.0  g\r\n").as_deref(),
            Some("a scale (kind = \"and\") with 500 g on it")
        );
        let mut wire = [0; 64];
        let n = encode(Frame::Heartbeat, &[&[7, 0, 0, 0]], &mut wire).unwrap();
        assert!(understood(&[b"\xff\xfe\0", &wire[..n]].concat()).unwrap().contains("till's link"));
        assert_eq!(understood(b"\x81\x82 login: "), None);
        assert_eq!(excerpt(b"\x81 login: \r\n"), "11 bytes, \"\\x81 login: \\r\\n\"");
    }

    #[test]
    fn a_port_is_listened_to() {
        let mut pty = Pty::open().unwrap();
        let (path, done) = (pty.path().to_owned(), AtomicBool::new(false));
        let mut look = Look::default();
        // A scale that says its weight again and again: opening a port drops what came before.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    pty.write(b"ST,+00125.0  g\r\n").unwrap();
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let heard = hear(&path, &mut look);
            done.store(true, Ordering::Relaxed);
            heard.unwrap();
        });
        assert_eq!(look.heard.as_deref(), Some("at 115200 baud: a scale (kind = \"and\") with 125 g on it"));
        assert!(hear(Path::new("/dev/no-such-tty"), &mut look).unwrap_err().contains("no such device"));
    }

    #[test]
    fn a_sketch_shows_where_it_is_bright() {
        let picture = RgbImage::from_fn(64, 48, |x, _| image::Rgb([if x < 32 { 20 } else { 220 }; 3]));
        let lines = sketch(&picture);
        assert_eq!((lines.len(), lines[0].len()), (24, 64));
        assert!(lines.iter().all(|line| line.starts_with("    ") && line.ends_with("@@@@")), "{lines:?}");
        assert!(sketch(&RgbImage::new(64, 48)).iter().all(|line| line.trim().is_empty()), "all black");
    }
}
