//! The page that `till eval tray --report` writes: figures, what was taken for what, every wrong cart with
//! its boxes drawn over the picture. One file, pictures and all, so that it can be mailed.

use std::fmt::Write as _;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, Rgb, imageops};

use crate::capture::Frame;

use super::eval_tray::{Outcome, percent, rows, short};

const STYLE: &str = "body{font:15px sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse;margin:1em 0}\
td,th{border:1px solid #bbb;padding:.2em .6em;text-align:right}th{background:#eee}td:first-child{text-align:left}\
.n{background:#fdd}.y{background:#dfd}figure{display:inline-block;margin:.5em;vertical-align:top}svg{width:32em;height:auto}";

/// Pixels that a picture in the page has at most in a row.
pub const WIDTH_MAX: u32 = 960;
const JPEG_QUALITY: u8 = 85;

/// An RGB frame as [`super::picture::load`] gives it, as JPEG for the page.
///
/// # Errors
/// A sentence, when the frame's size is not its data's or the encoder refuses.
pub fn jpeg(frame: &Frame) -> Result<Vec<u8>, String> {
    // A view: a large picture is not copied.
    let picture: ImageBuffer<Rgb<u8>, &[u8]> = ImageBuffer::from_raw(frame.width, frame.height, frame.data.as_slice())
        .ok_or_else(|| format!("report: a picture of {}x{} has other data", frame.width, frame.height))?;
    let height = (u64::from(frame.height) * u64::from(WIDTH_MAX) / u64::from(frame.width.max(1))).max(1);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    let done = match u32::try_from(height) {
        Ok(height) if frame.width > WIDTH_MAX => {
            encoder.encode_image(&imageops::thumbnail(&picture, WIDTH_MAX, height))
        }
        _ => encoder.encode_image(&picture),
    };
    done.map_err(|e| format!("report: {e}"))?;
    Ok(bytes)
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().chain(&[0, 0]).take(3).fold(0u32, |v, b| v << 8 | u32::from(*b));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The whole page.
pub fn html(o: &Outcome) -> String {
    let title = format!("{} on {} pictures", escape(&o.manifest.name), o.carts.score(None).images);
    let mut page =
        format!("<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>");
    // Writing to a String can't fail.
    let _ = write!(
        page,
        "<p>Backend {}, {}, {:.1} ms a picture; mAP50 {} %, mmAP {} %, calibration error {} %.</p>",
        o.backend,
        escape(&o.computes),
        o.ms_per_image,
        percent(o.precision.map50()),
        percent(o.precision.mmap()),
        percent(o.confusion.calibration_error())
    );
    page += "<table><tr><th>level<th>images<th>cAcc %<th>ACD<th>mCCD %<th>mCIoU %";
    for (name, s) in rows(o) {
        let acd = s.acd.unwrap_or(f64::NAN);
        let (c_acc, mccd, mciou) = (percent(s.c_acc), percent(s.mccd), percent(s.mciou));
        let _ = write!(page, "<tr><td>{name}<td>{}<td>{c_acc}<td>{acd:.3}<td>{mccd}<td>{mciou}", s.images);
    }
    page += "</table>";
    confusion(o, &mut page);
    page += "<h2>What a score is worth</h2><table><tr><th>score<th>boxes<th>right %";
    for (i, b) in o.confusion.bins.iter().enumerate().filter(|(_, b)| b.boxes > 0) {
        let right = percent(Some(b.right as f64 / b.boxes as f64));
        let _ =
            write!(page, "<tr><td>{:.1} to {:.1}<td>{}<td>{right}", i as f64 / 10.0, (i + 1) as f64 / 10.0, b.boxes);
    }
    page += "</table>";
    wrong(o, &mut page);
    page
}

fn confusion(o: &Outcome, page: &mut String) {
    let n = o.manifest.labels.products();
    let name = |i: usize| o.manifest.labels.names.get(i).filter(|_| i < n).map_or("nothing", String::as_str);
    *page += "<h2>What was taken for what</h2><table><tr><th>true \\ found";
    (0..=n).for_each(|f| *page += &format!("<th>{}", escape(name(f))));
    for t in 0..=n {
        let _ = write!(page, "<tr><td>{}", escape(name(t)));
        for f in 0..=n {
            let count = o.confusion.count_of(t, f);
            let class = if count == 0 {
                ""
            } else if t == f {
                " class=y"
            } else {
                " class=n"
            };
            let _ = write!(page, "<td{class}>{count}");
        }
    }
    *page += "</table>";
}

fn wrong(o: &Outcome, page: &mut String) {
    let label = |i: usize| escape(o.manifest.labels.names.get(i).map_or("?", String::as_str));
    let _ = write!(page, "<h2>{} wrong carts</h2><p>Green: what lies there. Red: what was counted.</p>", o.wrong.len());
    for w in &o.wrong {
        let (width, height) = w.size;
        let font = (height / 24).max(8);
        let _ = write!(
            page,
            "<figure><svg viewBox=\"0 0 {width} {height}\"><image href=\"data:image/jpeg;base64,{}\" width={width} height={height} />",
            base64(&w.jpeg)
        );
        let mut draw = |[x, y, w, h]: [f64; 4], colour: &str, below: f64, text: String| {
            let _ = write!(
                page,
                "<rect x={x:.0} y={y:.0} width={w:.0} height={h:.0} fill=none stroke={colour} stroke-width=2 />\
                 <text x={x:.0} y={:.0} fill={colour} font-size={font}>{text}</text>",
                y + below
            );
        };
        for t in &w.truth {
            draw(t.bbox, "lime", f64::from(font), label(t.class));
        }
        for d in &w.found {
            let [x0, y0, x1, y1] = d.bbox.map(f64::from);
            draw([x0, y0, x1 - x0, y1 - y0], "red", y1 - y0, format!("{} {:.2}", label(usize::from(d.label)), d.score));
        }
        let _ = write!(page, "</svg><figcaption>{}</figcaption></figure>", escape(&short(&w.file)));
    }
}

/// For text and attributes.
pub fn escape(s: &str) -> String {
    s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_rfc_has_it() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn a_large_picture_is_made_smaller_and_one_that_contradicts_itself_refused() {
        let frame = |width, height, bytes| Frame { width, height, data: vec![7; bytes], ..Frame::with_capacity(0, 0) };
        let size = |bytes: Vec<u8>| image::load_from_memory(&bytes).map(|i| (i.width(), i.height())).unwrap();
        assert_eq!(size(jpeg(&frame(2000, 1500, 2000 * 1500 * 3)).unwrap()), (960, 720));
        assert_eq!(size(jpeg(&frame(1, 1, 3)).unwrap()), (1, 1));
        assert_eq!(size(jpeg(&frame(8000, 1, 24000)).unwrap()), (960, 1));
        assert!(jpeg(&frame(2, 2, 11)).is_err());
    }
}
