//! The formulas that several heads share. Boxes by offsets to a prior or anchor: Ren et al., "Faster R-CNN"
//! (arXiv 1506.01497), eq. 2; with variances: Liu et al., "SSD" (arXiv 1512.02325) and its Caffe code.

/// A network that is sure of a side more than 62.5 times its anchor's is wrong: ln(1000 / 16), as in
/// Detectron, torchvision and MMDetection. Keeps exp from growing without end.
const LOG_SCALE_MAX: f32 = 4.135_166_6;

/// 1 / (1 + e^-x).
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The x whose sigmoid is `p`, less a margin for rounding: what is below it can't reach `p`.
pub fn logit_floor(p: f32) -> f32 {
    let x = (p / (1.0 - p)).ln();
    // A p of 1 or more asks for everything that may round to 1.
    x.min(15.0) - 1e-3
}

/// The box at offsets `[dx, dy, dw, dh]` from a box with middle `[x, y]` and sides `[w, h]`, each offset
/// times its variance: the middle moves by shares of the sides, the sides grow by e^offset.
pub fn shifted([x, y]: [f32; 2], [w, h]: [f32; 2], [dx, dy, dw, dh]: [f32; 4], variances: [f32; 4]) -> [f32; 4] {
    let (x, y) = (x + dx * variances[0] * w, y + dy * variances[1] * h);
    // `min` takes the number of the two; a NaN must stay one.
    let grown = |side: f32, d: f32| if d > LOG_SCALE_MAX { side * LOG_SCALE_MAX.exp() } else { side * d.exp() };
    let (w, h) = (grown(w, dw * variances[2]), grown(h, dh * variances[3]));
    [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]
}

/// The part of a box that lies in an input of the size given; NaN stays.
pub fn clipped(bbox: [f32; 4], [width, height]: [f32; 2]) -> [f32; 4] {
    let [x0, y0, x1, y1] = bbox;
    [x0.clamp(0.0, width), y0.clamp(0.0, height), x1.clamp(0.0, width), y1.clamp(0.0, height)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_by_hand() {
        let (middle, sides) = ([10.0, 20.0], [4.0, 8.0]);
        assert_eq!(shifted(middle, sides, [0.0; 4], [1.0; 4]), [8.0, 16.0, 12.0, 24.0]);
        let moved = shifted(middle, sides, [5.0, -5.0, 0.0, 5.0 * 2f32.ln()], [0.1, 0.1, 0.2, 0.2]);
        let want = [10.0, 8.0, 14.0, 24.0];
        assert!(moved.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{moved:?}");
        let huge = shifted(middle, sides, [0.0, 0.0, 1e30, 0.0], [1.0; 4]);
        assert!((huge[2] - huge[0] - 250.0).abs() < 1e-3);
        assert!(shifted(middle, sides, [0.0, 0.0, f32::NAN, 0.0], [1.0; 4])[0].is_nan());
    }

    #[test]
    fn what_is_below_the_floor_never_reaches_it() {
        for p in [1e-6f32, 0.05, 0.25, 0.5, 0.9, 0.999, 1.0] {
            let x = logit_floor(p);
            assert!(sigmoid(x - 1e-4) < p && sigmoid(x + 2e-3) >= p.min(0.999_999), "{p}: {x}");
        }
        assert_eq!((sigmoid(f32::INFINITY), sigmoid(f32::NEG_INFINITY)), (1.0, 0.0));
        assert!(sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn clipping_keeps_what_is_inside() {
        assert_eq!(clipped([-5.0, 2.0, 99.0, 3.0], [10.0, 10.0]), [0.0, 2.0, 10.0, 3.0]);
        assert!(clipped([f32::NAN, 2.0, 99.0, 3.0], [10.0, 10.0])[0].is_nan());
    }
}
