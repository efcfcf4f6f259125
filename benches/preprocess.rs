//! Pre-processing of 640x480 YUYV to 416x416 planar f32, ours against the same steps through `image` and
//! `ndarray`. Both run in turns in one process; the median of each counts, and the ratio is what stays
//! comparable from machine to machine. Run with `cargo bench --bench preprocess`.

use std::hint::black_box;
use std::time::Instant;

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use ndarray::{Array3, Array4, Axis};
use till::capture::{Frame, PixelFormat, Plane};
use till::engine::{Colour, Fit, InputSpec, Layout};
use till::vision::preprocess::Preprocessor;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const SIDE: u32 = 416;
const ROUNDS: usize = 101;

fn main() {
    let spec = InputSpec {
        name: "images".into(),
        width: SIDE,
        height: SIDE,
        layout: Layout::Nchw,
        colour: Colour::Rgb,
        mean: [0.0; 3],
        scale: [1.0 / 255.0; 3],
        fit: Fit::Letterbox,
        pad: 114,
    };
    let frame = picture();
    let mut ours = Preprocessor::new(&spec);
    let mut out = vec![0f32; spec.elements()];
    ours.fill(&frame, &mut out).expect("the frame is whole");
    for (name, sampled) in [("sampled", sample as fn(&RgbImage, u32, u32) -> RgbImage), ("filtered", filter)] {
        let theirs = image_and_ndarray(&frame, sampled);
        let far = out.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).sum::<f32>() / out.len() as f32 * 255.0;
        println!("mean difference from image+ndarray ({name}): {far:.2} of 255");
        assert!(far < 2.0, "both must do the same");
    }

    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        times[0].push(time(|| ours.fill(black_box(&frame), black_box(&mut out)).is_ok()));
        times[1].push(time(|| image_and_ndarray(black_box(&frame), sample).len()));
        times[2].push(time(|| image_and_ndarray(black_box(&frame), filter).len()));
    }
    let pixels = f64::from(SIDE * SIDE);
    let [ours, sampled, filtered] = times.map(|mut t| {
        t.sort_unstable();
        t[ROUNDS / 2] as f64
    });
    let names = ["till", "image+ndarray, sampled", "image+ndarray, filtered"];
    for (name, ns) in names.into_iter().zip([ours, sampled, filtered]) {
        println!("{name:<24} {:>8.3} ms  {:>6.2} ns a pixel of the input", ns / 1e6, ns / pixels);
    }
    println!("ratio to the faster of the two: {:.1}", sampled.min(filtered) / ours);
}

fn time<T>(work: impl FnOnce() -> T) -> u128 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_nanos()
}

/// A smooth picture with edges, as a camera gives.
fn picture() -> Frame {
    let mut frame = Frame::with_capacity(WIDTH, HEIGHT);
    (frame.width, frame.height, frame.format) = (WIDTH, HEIGHT, PixelFormat::Yuyv);
    frame.planes[0] = Plane { offset: 0, stride: WIDTH as usize * 2 };
    for y in 0..HEIGHT {
        for x in (0..WIDTH).step_by(2) {
            let edge = if (x / 64 + y / 48) % 2 == 0 { 40 } else { 0 };
            let luma = (50 + x / 5 + edge) as u8;
            frame.data.extend([luma, (90 + y / 8) as u8, luma + 1, (100 + x / 10) as u8]);
        }
    }
    frame
}

/// The steps as a program would write them with these libraries.
fn image_and_ndarray(frame: &Frame, resize: fn(&RgbImage, u32, u32) -> RgbImage) -> Vec<f32> {
    let mut rgb = RgbImage::new(frame.width, frame.height);
    for (cell, pair) in frame.data.as_chunks::<4>().0.iter().zip(rgb.as_chunks_mut::<6>().0) {
        let [y0, u, y1, v] = cell.map(i32::from);
        for (y, pixel) in [y0, y1].into_iter().zip(pair.chunks_exact_mut(3)) {
            let (c, d, e) = (298 * (y - 16), u - 128, v - 128);
            let byte = |v: i32| ((v + 128) >> 8).clamp(0, 255) as u8;
            pixel.copy_from_slice(&[byte(c + 409 * e), byte(c - 100 * d - 208 * e), byte(c + 516 * d)]);
        }
    }
    let height = SIDE * frame.height / frame.width;
    let small = resize(&rgb, SIDE, height);
    let mut canvas = RgbImage::from_pixel(SIDE, SIDE, Rgb([114; 3]));
    imageops::replace(&mut canvas, &small, 0, i64::from((SIDE - height) / 2));
    let side = SIDE as usize;
    let packed = Array3::from_shape_vec((side, side, 3), canvas.into_raw()).expect("three bytes a pixel");
    let planar = packed.permuted_axes([2, 0, 1]).mapv(|v| f32::from(v) / 255.0);
    let batch: Array4<f32> = planar.as_standard_layout().into_owned().insert_axis(Axis(0));
    batch.into_raw_vec_and_offset().0
}

/// `image`'s resize: a triangle filter, which averages when it makes smaller.
fn filter(rgb: &RgbImage, width: u32, height: u32) -> RgbImage {
    imageops::resize(rgb, width, height, FilterType::Triangle)
}

/// `image`'s bilinear sampling at the very places that ours reads.
fn sample(rgb: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (sx, sy) = (rgb.width() as f32 / width as f32, rgb.height() as f32 / height as f32);
    RgbImage::from_fn(width, height, |x, y| {
        let at = |v: u32, s: f32, side: u32| ((v as f32 + 0.5) * s - 0.5).clamp(0.0, (side - 1) as f32);
        imageops::interpolate_bilinear(rgb, at(x, sx, rgb.width()), at(y, sy, rgb.height())).unwrap_or(Rgb([0; 3]))
    })
}
