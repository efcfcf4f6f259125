//! Boxes and words on a picture, for people: no anti-aliasing, no fonts but the one of the old terminals.

use font8x8::legacy::BASIC_LEGACY;
use image::{Rgb, RgbImage};

/// Pixels of a character's side, before scaling.
const GLYPH: u32 = 8;

/// The outline of `bbox` (x0, y0, x1, y1), `width` pixels wide, as far as it lies in the picture.
pub fn outline(picture: &mut RgbImage, bbox: [f32; 4], width: u32, colour: Rgb<u8>) {
    // No picture is that large, and sums of such numbers stay numbers.
    let [x0, y0, x1, y1] = bbox.map(|v| v.clamp(-1e6, 1e6).round() as i64);
    let w = i64::from(width);
    for (left, top, right, bottom) in
        [(x0, y0, x1, y0 + w), (x0, y1 - w, x1, y1), (x0, y0, x0 + w, y1), (x1 - w, y0, x1, y1)]
    {
        fill(picture, [left, top, right, bottom], colour);
    }
}

fn fill(picture: &mut RgbImage, [x0, y0, x1, y1]: [i64; 4], colour: Rgb<u8>) {
    let clip = |v: i64, most: u32| v.clamp(0, i64::from(most)) as u32;
    let (width, height) = picture.dimensions();
    for y in clip(y0, height)..clip(y1, height) {
        (clip(x0, width)..clip(x1, width)).for_each(|x| picture.put_pixel(x, y, colour));
    }
}

/// Pixels that `text` needs at `scale`: width and height.
pub fn size(text: &str, scale: u32) -> (u32, u32) {
    (text.chars().count() as u32 * GLYPH * scale, GLYPH * scale)
}

/// `text` with its upper left corner at `x`, `y`, black on `colour`, moved as far as needed to lie in the picture.
/// What the font lacks is a question mark.
pub fn label(picture: &mut RgbImage, (x, y): (f32, f32), text: &str, scale: u32, colour: Rgb<u8>) {
    let (width, height) = size(text, scale);
    let place = |at: f32, room: u32, need: u32| (at.round() as i64).min(i64::from(room) - i64::from(need)).max(0);
    let (x, y) = (place(x, picture.width(), width), place(y, picture.height(), height));
    fill(picture, [x, y, x + i64::from(width), y + i64::from(height)], colour);
    for (i, c) in text.chars().enumerate() {
        let glyph = BASIC_LEGACY.get(c as usize).filter(|_| c.is_ascii()).unwrap_or(&BASIC_LEGACY[usize::from(b'?')]);
        for (row, bits) in glyph.iter().enumerate() {
            for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                let s = i64::from(scale);
                let left = x + (i as i64 * i64::from(GLYPH) + column) * s;
                let top = y + row as i64 * s;
                fill(picture, [left, top, left + s, top + s], Rgb([0, 0, 0]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEN: Rgb<u8> = Rgb([0, 255, 0]);

    /// `#` for green, `.` for anything else.
    fn art(picture: &RgbImage) -> Vec<String> {
        let row = |y| (0..picture.width()).map(|x| if *picture.get_pixel(x, y) == GREEN { '#' } else { '.' }).collect();
        (0..picture.height()).map(row).collect()
    }

    #[test]
    fn an_outline_is_drawn_as_far_as_the_picture_goes() {
        let mut picture = RgbImage::new(6, 5);
        outline(&mut picture, [1.0, 1.0, 5.0, 4.0], 1, GREEN);
        assert_eq!(art(&picture), ["......", ".####.", ".#..#.", ".####.", "......"]);
        let mut picture = RgbImage::new(3, 3);
        outline(&mut picture, [-9.0, -9.0, 2.0, 2.0], 1, GREEN);
        outline(&mut picture, [f32::NAN, f32::INFINITY, 1e30, -1e30], 3, GREEN);
        assert_eq!(art(&picture), [".#.", "##.", "..."]);
    }

    #[test]
    fn words_lie_in_the_picture_and_are_those_that_were_written() {
        let mut picture = RgbImage::new(20, 10);
        label(&mut picture, (99.0, -5.0), "l-", 1, GREEN);
        // The letter l and a dash in the terminal's font, moved to the right edge.
        let drawn = art(&picture);
        assert_eq!(drawn[0], "....#...############", "{drawn:#?}");
        assert_eq!(drawn[3], "....##..####......##", "{drawn:#?}");
        assert_eq!(drawn[9], "....................");
        let (mut a, mut b) = (RgbImage::new(8, 8), RgbImage::new(8, 8));
        label(&mut a, (0.0, 0.0), "우", 1, GREEN);
        label(&mut b, (0.0, 0.0), "?", 1, GREEN);
        assert_eq!(a, b);
    }
}
