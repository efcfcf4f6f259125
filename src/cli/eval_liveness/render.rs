//! A photograph of a face as something that turns before a camera: as a head, over a hill of depth with a nose on it, or as
//! the print that it is, flat or bent. A rendering, with what a rendering lacks: no far cheek comes into view, no light
//! changes, and the head's depth is everybody's alike but for its height.

use image::{Rgb, RgbImage};

/// What the photograph is laid over. Lengths are pixels of the photograph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body {
    /// A head in the picture's middle; 1 is the height of an average one.
    Head(f32),
    /// A flat print.
    Flat,
    /// A print bent about an upright axis, its middle nearest, by this radius.
    Upright(f32),
    /// A print bent about a lying axis.
    Lying(f32),
}

/// Where the camera stands and how large a picture it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// From the middle of what is filmed, pixels of the photograph; infinity sees everything from the front alike.
    pub distance: f32,
    /// Pixels of the camera a pixel of the photograph.
    pub zoom: f32,
    /// How far what is filmed lies off the middle of the camera's picture, its pixels.
    pub off: [f32; 2],
}

/// Beyond a print's edge, and beyond a photograph's.
const BACKGROUND: [u8; 3] = [118, 116, 112];
/// A head turns about a point this far behind its nose's root.
const PIVOT: f32 = 45.0;

impl Body {
    /// Height above the plane through the pivot, at a point of the photograph about its middle.
    fn depth(self, x: f32, y: f32) -> f32 {
        let hill =
            |x: f32, y: f32, width: f32, height: f32| (-(x / width).powi(2) / 2.0 - (y / height).powi(2) / 2.0).exp();
        let arc = |x: f32, radius: f32| -(x * x) / (2.0 * radius);
        match self {
            Self::Head(tall) => tall * (45.0 * hill(x, y, 45.0, 55.0) + 14.0 * hill(x, y - 10.0, 11.0, 13.0)) - PIVOT,
            Self::Flat => 0.0,
            Self::Upright(radius) => arc(x, radius),
            Self::Lying(radius) => arc(y, radius),
        }
    }

    /// Rounds in which the point that is seen is found.
    fn rounds(self) -> usize {
        if self == Self::Flat { 4 } else { 12 }
    }
}

/// The photograph turned by so many degrees, `yaw` above 0 to the picture's right, `pitch` above 0 down; a head's
/// photograph goes on beyond its edge, a print ends there.
pub fn turned(photograph: &RgbImage, body: Body, camera: Camera, yaw: f32, pitch: f32) -> RgbImage {
    let (w, h) = (photograph.width() as f32, photograph.height() as f32);
    let ([sin_x, cos_x], [sin_y, cos_y]) =
        ([yaw.to_radians().sin(), yaw.to_radians().cos()], [pitch.to_radians().sin(), pitch.to_radians().cos()]);
    let head = matches!(body, Body::Head(_));
    RgbImage::from_fn((w * camera.zoom) as u32, (h * camera.zoom) as u32, |u, v| {
        let (u, v) =
            ((u as f32 - camera.off[0]) / camera.zoom - w / 2.0, (v as f32 - camera.off[1]) / camera.zoom - h / 2.0);
        let (mut x, mut y) = (u, v);
        for _ in 0..body.rounds() {
            let z = body.depth(x, y);
            let aside = z * cos_x - x * sin_x;
            let near = 1.0 - (aside * cos_y - y * sin_y) / camera.distance;
            (x, y) = ((u * near - z * sin_x) / cos_x, (v * near - aside * sin_y) / cos_y);
        }
        let (x, y) = (x + w / 2.0, y + h / 2.0);
        let within = x >= 0.0 && y >= 0.0 && x <= w - 1.0 && y <= h - 1.0;
        if !(head || within) {
            return Rgb(BACKGROUND);
        }
        // What is no number is the first pixel.
        let (x, y) = (x.max(0.0).min(w - 1.01), y.max(0.0).min(h - 1.01));
        let (fx, fy) = (x.fract(), y.fract());
        let at = |dx: u32, dy: u32, c: usize| f32::from(photograph.get_pixel(x as u32 + dx, y as u32 + dy)[c]);
        Rgb([0, 1, 2].map(|c| {
            let (top, bottom) =
                (at(0, 0, c) * (1.0 - fx) + at(1, 0, c) * fx, at(0, 1, c) * (1.0 - fx) + at(1, 1, c) * fx);
            (top * (1.0 - fy) + bottom * fy) as u8
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: Camera = Camera { distance: f32::INFINITY, zoom: 1.0, off: [0.0, 0.0] };

    /// Columns of light and dark, the column number in red.
    fn photograph() -> RgbImage {
        RgbImage::from_fn(200, 200, |x, y| Rgb([x as u8, y as u8, 0]))
    }

    #[test]
    fn what_is_not_turned_is_the_photograph_and_a_turned_plane_gets_narrow() {
        let p = photograph();
        for body in [Body::Flat, Body::Head(1.0), Body::Upright(80.0)] {
            let same = turned(&p, body, FRONT, 0.0, 0.0);
            let at = |x, y| same.get_pixel(x, y);
            assert!(at(50, 60)[0].abs_diff(50) <= 1 && at(50, 60)[1].abs_diff(60) <= 1, "{body:?}");
        }
        let narrow = turned(&p, Body::Flat, FRONT, 60.0, 0.0);
        assert!(narrow.get_pixel(125, 100)[0].abs_diff(150) <= 1, "25 pixels off the middle are 50");
        assert_eq!(narrow.get_pixel(40, 100).0, BACKGROUND);
    }

    #[test]
    fn a_turned_heads_nose_goes_where_it_points_and_a_near_camera_sees_the_near_side_larger() {
        let p = photograph();
        let head = turned(&p, Body::Head(1.0), FRONT, 25.0, 0.0);
        // The nose's root moves by sin 25 of what stands before the pivot: what is seen there came from the left.
        let (nose, edge) =
            (head.get_pixel(100, 110)[0], turned(&p, Body::Flat, FRONT, 25.0, 0.0).get_pixel(100, 110)[0]);
        assert!(nose < 95 && edge.abs_diff(100) <= 1, "{nose} {edge}");
        let near = Camera { distance: 200.0, ..FRONT };
        let print = turned(&p, Body::Flat, near, 40.0, 0.0);
        let left = (0..100).filter(|x| print.get_pixel(*x, 100).0 != BACKGROUND).count();
        let right = (100..200).filter(|x| print.get_pixel(*x, 100).0 != BACKGROUND).count();
        assert!(left > right + 10, "its left edge comes nearer: {left} {right}");
    }

    #[test]
    fn angles_that_no_camera_can_see_are_no_panic() {
        let p = photograph();
        for (yaw, pitch) in [(90.0, 0.0), (f32::NAN, 0.0), (180.0, -270.0), (0.0, f32::INFINITY)] {
            assert_eq!(turned(&p, Body::Upright(5.0), FRONT, yaw, pitch).dimensions(), (200, 200));
        }
    }
}
