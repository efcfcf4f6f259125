use super::*;
use crate::capture::{Matrix, PixelFormat, Plane};
use proptest::prelude::*;

const FORMATS: [PixelFormat; 7] = [
    PixelFormat::Yuyv,
    PixelFormat::Nv12,
    PixelFormat::I420,
    PixelFormat::Rgb,
    PixelFormat::Bgr,
    PixelFormat::Bgrx,
    PixelFormat::Grey,
];

fn spec(width: u32, height: u32, fit: Fit) -> InputSpec {
    InputSpec {
        name: "images".into(),
        width,
        height,
        layout: Layout::Nchw,
        colour: Colour::Rgb,
        mean: [0.0; 3],
        scale: [1.0; 3],
        fit,
        pad: 114,
    }
}

/// Noise, with rows `padding` bytes longer than they need be and a gap before each plane.
fn noise(format: PixelFormat, width: u32, height: u32, padding: usize, mut seed: u64) -> Frame {
    let mut frame = Frame::with_capacity(width, height);
    crate::capture::test::lay_out(&mut frame, (width, height), format);
    let mut end = 0;
    for index in 0..3 {
        if index > 0 && frame.planes[index] == Plane::default() {
            continue;
        }
        let rows = if index == 0 { height as usize } else { (height as usize).div_ceil(2) };
        frame.planes[index] = Plane { offset: end + padding, stride: frame.planes[index].stride + padding };
        end = frame.planes[index].offset + frame.planes[index].stride * rows;
    }
    frame.data = (0..end)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        })
        .collect();
    frame
}

/// One pixel as RGB, by the definition.
fn pixel(f: &Frame, x: usize, y: usize) -> [f64; 3] {
    let at = |plane: usize, offset: usize, row: usize| {
        f64::from(f.data[f.planes[plane].offset + f.planes[plane].stride * row + offset])
    };
    let yuv = |luma: f64, u: f64, v: f64| {
        let l = 1.164_383_56 * (luma - 16.0);
        let (u, v) = (u - 128.0, v - 128.0);
        [l + 1.596_026_79 * v, l - 0.391_762_29 * u - 0.812_967_65 * v, l + 2.017_232_14 * u]
            .map(|c| c.clamp(0.0, 255.0))
    };
    match f.format {
        PixelFormat::Yuyv => yuv(at(0, x * 2, y), at(0, x / 2 * 4 + 1, y), at(0, x / 2 * 4 + 3, y)),
        PixelFormat::Nv12 => yuv(at(0, x, y), at(1, x / 2 * 2, y / 2), at(1, x / 2 * 2 + 1, y / 2)),
        PixelFormat::I420 => yuv(at(0, x, y), at(1, x / 2, y / 2), at(2, x / 2, y / 2)),
        PixelFormat::Rgb => [at(0, x * 3, y), at(0, x * 3 + 1, y), at(0, x * 3 + 2, y)],
        PixelFormat::Bgr => [at(0, x * 3 + 2, y), at(0, x * 3 + 1, y), at(0, x * 3, y)],
        PixelFormat::Bgrx => [at(0, x * 4 + 2, y), at(0, x * 4 + 1, y), at(0, x * 4, y)],
        PixelFormat::Grey => [at(0, x, y); 3],
    }
}

/// The whole input by the definition, one pixel at a time.
fn reference(f: &Frame, s: &InputSpec) -> Vec<f64> {
    let (w, h, iw, ih) = (f.width as usize, f.height as usize, s.width as usize, s.height as usize);
    let (nw, nh, left, top) = match s.fit {
        Fit::Stretch => (iw, ih, 0, 0),
        fit => {
            let scale = (iw as f64 / w as f64).min(ih as f64 / h as f64);
            let nw = ((w as f64 * scale).round_ties_even() as usize).max(1);
            let nh = ((h as f64 * scale).round_ties_even() as usize).max(1);
            if fit == Fit::Letterbox { (nw, nh, (iw - nw) / 2, (ih - nh) / 2) } else { (nw, nh, 0, 0) }
        }
    };
    let mut out = vec![0.0; s.elements()];
    for y in 0..ih {
        for x in 0..iw {
            let mut rgb = [f64::from(s.pad); 3];
            if (left..left + nw).contains(&x) && (top..top + nh).contains(&y) {
                let sx = (((x - left) as f64 + 0.5) * w as f64 / nw as f64 - 0.5).clamp(0.0, (w - 1) as f64);
                let sy = (((y - top) as f64 + 0.5) * h as f64 / nh as f64 - 0.5).clamp(0.0, (h - 1) as f64);
                let (x0, y0) = (sx.floor() as usize, sy.floor() as usize);
                let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
                let (fx, fy) = (sx.fract(), sy.fract());
                let corners = [pixel(f, x0, y0), pixel(f, x1, y0), pixel(f, x0, y1), pixel(f, x1, y1)];
                rgb = std::array::from_fn(|c| {
                    let [a, b, d, e] = corners.map(|p| p[c]);
                    (a * (1.0 - fx) + b * fx) * (1.0 - fy) + (d * (1.0 - fx) + e * fx) * fy
                });
            }
            for c in 0..3 {
                let value = if s.colour == Colour::Rgb { rgb[c] } else { rgb[2 - c] };
                let at = if s.layout == Layout::Nchw { (c * ih + y) * iw + x } else { (y * iw + x) * 3 + c };
                out[at] = (value - f64::from(s.mean[c])) * f64::from(s.scale[c]);
            }
        }
    }
    out
}

fn assert_same(f: &Frame, s: &InputSpec, p: &mut Preprocessor) {
    let mut out = vec![f32::NAN; s.elements()];
    p.fill(f, &mut out).unwrap();
    let expected = reference(f, s);
    let scale = s.scale.iter().fold(0f32, |a, b| a.max(b.abs()));
    for (i, (a, b)) in out.iter().zip(&expected).enumerate() {
        // A hundredth of one level of 255.
        let what = format!("{:?} {}x{} to {s:?} at {i}: {a} for {b}", f.format, f.width, f.height);
        assert!((f64::from(*a) - b).abs() <= 0.01 * f64::from(scale), "{what}");
    }
}

#[test]
fn every_format_layout_order_and_fit_is_the_definition() {
    for format in FORMATS {
        for fit in [Fit::Letterbox, Fit::LetterboxTopLeft, Fit::Stretch] {
            for layout in [Layout::Nchw, Layout::Nhwc] {
                for colour in [Colour::Rgb, Colour::Bgr] {
                    let mut s = InputSpec { layout, colour, ..spec(33, 24, fit) };
                    s.mean = [103.5, 116.3, 123.7];
                    s.scale = [1.0 / 57.4, 1.0 / 57.1, 1.0 / 58.4];
                    assert_same(&noise(format, 64, 36, 0, 1), &s, &mut Preprocessor::new(&s));
                }
            }
        }
    }
}

#[test]
fn one_pre_processor_follows_frames_of_any_size_stride_and_format() {
    let s = spec(20, 31, Fit::Letterbox);
    let mut p = Preprocessor::new(&s);
    for (n, &(w, h)) in [(64, 48), (1, 1), (2, 1), (1, 7), (63, 47), (3, 200), (20, 31), (5, 5)].iter().enumerate() {
        for format in FORMATS {
            for padding in [0, 5] {
                assert_same(&noise(format, w, h, padding, n as u64), &s, &mut p);
            }
        }
    }
}

#[test]
fn the_counters_own_size() {
    let s = InputSpec { scale: [1.0 / 255.0; 3], ..spec(416, 416, Fit::Letterbox) };
    let mut p = Preprocessor::new(&s);
    assert_same(&noise(PixelFormat::Yuyv, 640, 480, 0, 3), &s, &mut p);
    assert_eq!(p.inner, Inner { left: 0, top: 52, width: 416, height: 312 });
}

#[test]
fn bars_of_bt601_have_their_colours() {
    let bars = [
        ([16, 128, 128], [0.0, 0.0, 0.0]),
        ([235, 128, 128], [255.0, 255.0, 255.0]),
        ([81, 90, 240], [255.0, 0.0, 0.0]),
        ([145, 54, 34], [0.0, 255.0, 0.0]),
        ([41, 240, 110], [0.0, 0.0, 255.0]),
        ([255, 128, 128], [255.0, 255.0, 255.0]),
        ([0, 128, 128], [0.0, 0.0, 0.0]),
    ];
    for ([y, u, v], rgb) in bars {
        let mut f = noise(PixelFormat::Yuyv, 2, 1, 0, 0);
        f.data = vec![y, u, y, v];
        let s = spec(1, 1, Fit::Stretch);
        let mut out = [0.0; 3];
        Preprocessor::new(&s).fill(&f, &mut out).unwrap();
        // The bars' own samples are rounded.
        assert!(out.iter().zip(rgb).all(|(a, b)| (a - b).abs() < 1.5), "{y} {u} {v}: {out:?} for {rgb:?}");
    }
}

#[test]
fn a_wall_has_its_colour_however_the_camera_codes_it() {
    use crate::capture::gst::{GstOpener, Pace, Source};
    use crate::capture::{Opener, Read};
    let codings = [
        ("YUY2,colorimetry=bt601", (PixelFormat::Yuyv, Matrix::Bt601)),
        ("I420,colorimetry=bt709", (PixelFormat::I420, Matrix::Bt709)),
        ("NV12,colorimetry=bt709", (PixelFormat::Nv12, Matrix::Bt709)),
        ("I420,colorimetry=1:4:0:0", (PixelFormat::I420, Matrix::Bt601Full)),
        ("NV12,colorimetry=1:3:5:1", (PixelFormat::Nv12, Matrix::Bt709Full)),
        ("RGB", (PixelFormat::Rgb, Matrix::Bt601Full)),
        ("BGRx", (PixelFormat::Bgrx, Matrix::Bt601Full)),
    ];
    for (coding, expected) in codings {
        let text = format!(
            "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xffc83214 ! \
             video/x-raw,format=RGB,width=320,height=240,framerate=30/1 ! videoconvert ! video/x-raw,format={coding}"
        );
        let mut frame = Frame::with_capacity(320, 240);
        let mut stream = GstOpener::new("tray", Source::Pipeline(text), Pace::LockStep).open().unwrap();
        assert_eq!(stream.read(&mut frame, std::time::Duration::from_secs(20)), Ok(Read::Frame), "{coding}");
        let s = spec(16, 16, Fit::Stretch);
        let mut out = vec![0.0; s.elements()];
        Preprocessor::new(&s).fill(&frame, &mut out).unwrap();
        let rgb = [out[0], out[256], out[512]];
        assert_eq!((frame.format, frame.matrix), expected, "{coding}");
        let far = rgb.iter().zip([200.0, 50.0, 20.0]).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(far <= 4.0, "{coding}: {rgb:?} for 200, 50, 20");
    }
}

#[test]
fn enlarging_puts_centres_at_half_pixels_as_opencv_does() {
    let mut f = noise(PixelFormat::Grey, 2, 1, 0, 0);
    f.data = vec![0, 255];
    let s = spec(4, 1, Fit::Stretch);
    let mut out = [0.0; 12];
    Preprocessor::new(&s).fill(&f, &mut out).unwrap();
    assert_eq!(out[..4], [0.0, 63.75, 191.25, 255.0]);
}

#[test]
fn boxes_come_back_to_the_frame() {
    let s = spec(416, 416, Fit::Letterbox);
    let mut p = Preprocessor::new(&s);
    let mut out = vec![0.0; s.elements()];
    p.fill(&noise(PixelFormat::Grey, 640, 480, 0, 0), &mut out).unwrap();
    assert_eq!(p.to_frame([0.0, 52.0, 416.0, 364.0]), [0.0, 0.0, 640.0, 480.0]);
    assert_eq!(p.to_frame([208.0, 208.0, 260.0, 247.0]), [320.0, 240.0, 400.0, 300.0]);
    assert_eq!(p.to_frame([-9.0, 0.0, 999.0, 416.0]), [0.0, 0.0, 640.0, 480.0], "cut at the frame's edges");
    let s = spec(100, 50, Fit::Stretch);
    let mut p = Preprocessor::new(&s);
    p.fill(&noise(PixelFormat::Grey, 200, 200, 0, 0), &mut vec![0.0; s.elements()]).unwrap();
    assert_eq!(p.to_frame([10.0, 10.0, 50.0, 25.0]), [20.0, 40.0, 100.0, 100.0]);
}

#[test]
fn contradictions_are_errors_and_leave_the_buffer_alone() {
    let s = spec(8, 8, Fit::Letterbox);
    let mut p = Preprocessor::new(&s);
    let good = noise(PixelFormat::Nv12, 6, 6, 0, 0);
    let bad = |change: fn(&mut Frame)| {
        let mut f = good.clone();
        change(&mut f);
        f
    };
    let frames = [
        bad(|f| f.data.truncate(f.data.len() - 1)),
        bad(|f| f.data.clear()),
        bad(|f| f.width = 0),
        bad(|f| f.height = u32::MAX),
        bad(|f| f.planes[0].stride = 5),
        bad(|f| f.planes[1].stride = usize::MAX),
        bad(|f| f.planes[1].offset = usize::MAX),
    ];
    let mut out = vec![7.0; s.elements()];
    for f in &frames {
        assert_eq!(p.fill(f, &mut out).map_err(|e| e.kind), Err(VisionErrorKind::Frame), "{f:?}");
    }
    assert_eq!(p.fill(&good, &mut out[1..]).map_err(|e| e.kind), Err(VisionErrorKind::Input));
    assert!(out.iter().all(|&v| v == 7.0));
    assert_eq!(p.fill(&good, &mut out), Ok(()));
}

proptest! {
    #[test]
    fn no_frame_makes_it_panic(
        format in 0usize..7, width in 0u32..40, height in 0u32..40, len in 0usize..4_000,
        planes in proptest::array::uniform3((prop_oneof![0usize..3_000, Just(usize::MAX)],
                                             prop_oneof![0usize..200, Just(usize::MAX)])),
        input in (1u32..20, 1u32..20), fit in 0usize..3,
    ) {
        let fit = [Fit::Letterbox, Fit::LetterboxTopLeft, Fit::Stretch][fit];
        let s = spec(input.0, input.1, fit);
        let frame = Frame {
            format: FORMATS[format], width, height, data: vec![200; len],
            planes: planes.map(|(offset, stride)| Plane { offset, stride }), captured_ns: 0, sequence: 0, matrix: Matrix::Bt709,
        };
        let mut p = Preprocessor::new(&s);
        let mut out = vec![f32::NAN; s.elements()];
        match p.fill(&frame, &mut out) {
            Ok(()) => prop_assert!(out.iter().all(|v| (-0.01..=255.01).contains(v)), "all of it was written"),
            Err(e) => prop_assert_eq!(e.kind, VisionErrorKind::Frame),
        }
    }

    #[test]
    fn any_size_is_the_definition(
        format in 0usize..7, size in (1u32..50, 1u32..50), input in (1u32..40, 1u32..40), fit in 0usize..3,
        padding in 0usize..9, seed in any::<u64>(),
    ) {
        let s = spec(input.0, input.1, [Fit::Letterbox, Fit::LetterboxTopLeft, Fit::Stretch][fit]);
        assert_same(&noise(FORMATS[format], size.0, size.1, padding, seed), &s, &mut Preprocessor::new(&s));
    }
}

#[test]
fn a_part_is_the_picture_that_was_cut_out_and_beyond_the_edge_is_padding() {
    let frame = noise(PixelFormat::Rgb, 64, 48, 0, 7);
    let cut = |x0: usize, y0: usize, w: usize, h: usize| {
        let mut part = Frame::with_capacity(w as u32, h as u32);
        crate::capture::test::lay_out(&mut part, (w as u32, h as u32), PixelFormat::Rgb);
        let rows = (y0..y0 + h).flat_map(|y| {
            let at = frame.planes[0].offset + frame.planes[0].stride * y + x0 * 3;
            frame.data[at..at + w * 3].to_vec()
        });
        part.data = rows.collect();
        part
    };
    let spec = spec(16, 16, Fit::Stretch);
    let (mut pre, mut ours, mut wanted) =
        (Preprocessor::new(&spec), vec![0.0; spec.elements()], vec![0.0; spec.elements()]);
    pre.fill_part(&frame, [8.0, 4.0, 40.0, 36.0], &mut ours).unwrap();
    Preprocessor::new(&spec).fill(&cut(8, 4, 32, 32), &mut wanted).unwrap();
    // At the part's own edges its neighbours in the frame are blended in; inside there is no difference.
    for y in 1..15 {
        for x in 1..15 {
            assert!((ours[y * 16 + x] - wanted[y * 16 + x]).abs() < 1e-3, "{x}, {y}");
        }
    }
    // Half of it to the left of the frame, a quarter above.
    pre.fill_part(&frame, [-16.0, -8.0, 16.0, 24.0], &mut ours).unwrap();
    Preprocessor::new(&spec).fill(&cut(0, 0, 16, 24), &mut wanted).unwrap();
    for (y, x) in (0..16).flat_map(|y| (0..16).map(move |x| (y, x))) {
        let outside = x < 8 || y < 4;
        assert_eq!(ours[y * 16 + x] == 114.0, outside, "{x}, {y}");
    }
    // Wholly outside there is only padding, and the whole frame afterwards is the whole frame.
    pre.fill_part(&frame, [100.0, 0.0, 120.0, 20.0], &mut ours).unwrap();
    assert!(ours.iter().all(|v| *v == 114.0));
    pre.fill(&frame, &mut ours).unwrap();
    Preprocessor::new(&spec).fill(&frame, &mut wanted).unwrap();
    assert_eq!(ours, wanted);
    for part in [[5.0, 5.0, 5.5, 9.0], [9.0, 0.0, 0.0, 9.0], [f32::NAN, 0.0, 9.0, 9.0], [0.0, 0.0, 1e30, 9.0]] {
        assert_eq!(pre.fill_part(&frame, part, &mut ours).unwrap_err().kind, VisionErrorKind::Frame, "{part:?}");
    }
}
