//! MJPEG from a camera's buffer into a frame's planes, ours beside libjpeg-turbo's own benchmark (`tjbench`)
//! and the pure Rust decoder, in turns of one run: ratios are what stays comparable from machine to machine.
//! Needs `tjbench` (libjpeg-turbo-progs). Run with `cargo bench --bench jpeg [-- FILE.jpg]`.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use image::ImageDecoder;
use image::codecs::jpeg::JpegDecoder;
use till::capture::Frame;
use till::capture::v4l2::mjpeg::Mjpeg;

const TURNS: usize = 5;
const DECODES: u32 = 150;

fn main() {
    let file = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).map(PathBuf::from);
    let file = file.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/trays/images/many-items-1.jpg"));
    let jpeg = std::fs::read(&file).expect("the picture is there");
    let mut decoder = Mjpeg::new().expect("libturbojpeg.so.0 is there");
    let mut frame = Frame::with_capacity(1920, 1080);
    decoder.decode(&jpeg, None, &mut frame).expect("a whole picture");
    let pixels = f64::from(frame.width) * f64::from(frame.height) / 1e6;
    println!("{}: {}x{}, {} bytes", file.display(), frame.width, frame.height, jpeg.len());

    let (mut ours, mut rust, mut rgb, mut planes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(rate(pixels, || decoder.decode(black_box(&jpeg), None, &mut frame).expect("a whole picture")));
        rust.push(rate(pixels, || {
            let decoder = JpegDecoder::new(std::io::Cursor::new(black_box(&jpeg))).expect("a whole picture");
            let mut pixels = vec![0; decoder.total_bytes() as usize];
            decoder.read_image(&mut pixels).expect("a whole picture");
            black_box(pixels);
        }));
        rgb.push(tjbench(&file, &[]));
        planes.push(tjbench(&file, &["-yuv"]));
    }
    let [ours, rust, rgb, planes] = [ours, rust, rgb, planes].map(median);
    println!("ours, buffer to planes         {ours:7.1} Mpixel/s");
    println!("tjbench, to planes             {planes:7.1} Mpixel/s   ours is {:.2} of it", ours / planes);
    println!("tjbench, to RGB                {rgb:7.1} Mpixel/s   ours is {:.2} of it", ours / rgb);
    println!("zune-jpeg by image, to RGB     {rust:7.1} Mpixel/s   ours is {:.2} of it", ours / rust);
}

/// Million pixels a second.
fn rate(pixels: f64, mut once: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..DECODES).for_each(|_| once());
    pixels * f64::from(DECODES) / start.elapsed().as_secs_f64()
}

/// What libjpeg-turbo says of itself: the decompression's rate, without its own warm-up.
fn tjbench(file: &Path, more: &[&str]) -> f64 {
    let copy = std::env::temp_dir().join("till-bench.jpg");
    std::fs::copy(file, &copy).expect("a place for a copy");
    let mut command = Command::new("tjbench");
    command.arg(&copy).args(["-nowrite", "-benchtime", "1", "-warmup", "0.2"]).args(more);
    let out = command.output().expect("tjbench is installed (libjpeg-turbo-progs)");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("Throughput:")).unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().rev().nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}
