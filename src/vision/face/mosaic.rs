//! MTCNN's first net looks at the frame in many sizes. Here all of them lie side by side in one input of fixed
//! size: one run instead of six, static shapes for every backend. A cell of the net's output sees 12x12 pixels of
//! its input and nothing else, so a cell within one size's rectangle says what a run of that size alone would say.

use super::picture::Area;
use super::{Picture, Similarity};
use crate::engine::InputSpec;

/// Pixels a side that one cell sees.
pub const CELL: usize = 12;
/// Pixels of the input from one cell to the next.
pub const STRIDE: usize = 2;
/// From one size of the pyramid to the next: half the area, as in the cascade's paper (K. Zhang et al., IEEE SPL
/// 23(10), 2016).
const FACTOR: f64 = 0.709;
/// Free pixels between two sizes.
const GAP: usize = 2;

/// One size of the frame in the mosaic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    /// Where it lies; the corner is even, so that cells count from it.
    pub area: Area,
    /// Pixels of the frame a pixel of the tile.
    pub scale: f32,
}

/// The places of all sizes of frames of `width` x `height` pixels in `spec`'s input, the largest as wide as the
/// input. Each size has a square, so that upright and lying frames find the same room; what doesn't fit is left
/// out, the smallest first.
pub fn tiles(spec: &InputSpec, width: usize, height: usize) -> Vec<Tile> {
    let (full_width, full_height) = (spec.width as usize, spec.height as usize);
    let longest = width.max(height).max(1) as f64;
    let (mut found, mut left, mut top, mut row) = (Vec::new(), 0usize, 0usize, 0usize);
    for level in 0.. {
        let side = (full_width as f64 * FACTOR.powi(level)).round() as usize;
        if side < CELL {
            break;
        }
        if left + side > full_width {
            (left, top, row) = (0, top + even(row + GAP), 0);
        }
        if top + side > full_height {
            break;
        }
        let scale = longest / side as f64;
        let fit = |v: usize| ((v as f64 / scale).round() as usize).clamp(1, side);
        found.push(Tile { area: Area { left, top, width: fit(width), height: fit(height) }, scale: scale as f32 });
        (left, row) = (left + even(side + GAP), row.max(side));
    }
    found
}

fn even(v: usize) -> usize {
    v + v % 2
}

impl Tile {
    /// Draws `picture` into the tile's place of `out`.
    pub fn draw(&self, picture: &mut Picture, spec: &InputSpec, out: &mut [f32]) {
        let half = 0.5 * self.scale - 0.5;
        let to_frame = Similarity { a: self.scale, b: 0.0, x: half, y: half };
        picture.warp(&to_frame, spec, self.area, out);
    }

    /// Columns and rows of cells that see nothing but this tile.
    pub fn cells(&self) -> (usize, usize) {
        let along = |side: usize| if side < CELL { 0 } else { (side - CELL) / STRIDE + 1 };
        (along(self.area.width), along(self.area.height))
    }

    /// What cell (column, row) sees, in the frame.
    pub fn seen(&self, column: usize, row: usize) -> [f32; 4] {
        let (x, y) = ((column * STRIDE) as f32, (row * STRIDE) as f32);
        [x, y, x + CELL as f32, y + CELL as f32].map(|v| v * self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Colour, Fit, Layout};

    fn spec(width: u32, height: u32) -> InputSpec {
        let (layout, colour, fit) = (Layout::Nchw, Colour::Rgb, Fit::Stretch);
        InputSpec { name: "x".into(), width, height, layout, colour, mean: [0.0; 3], scale: [1.0; 3], fit, pad: 0 }
    }

    #[test]
    fn tiles_lie_apart_at_even_corners_and_reach_down_to_one_cell() {
        for (w, h) in [(640, 480), (480, 640), (250, 250), (1, 1), (4000, 10)] {
            let tiles = tiles(&spec(112, 288), w, h);
            assert_eq!(tiles.len(), 7, "sides 112, 79, 56, 40, 28, 20, 14: {tiles:?}");
            for (i, t) in tiles.iter().enumerate() {
                let a = t.area;
                assert!(a.left % 2 == 0 && a.top % 2 == 0 && a.left + a.width <= 112 && a.top + a.height <= 288);
                for other in &tiles[..i] {
                    let o = other.area;
                    let apart = a.left >= o.left + o.width + GAP || o.left >= a.left + a.width + GAP;
                    assert!(apart || a.top >= o.top + o.height + GAP || o.top >= a.top + a.height + GAP, "{tiles:?}");
                }
            }
        }
    }

    #[test]
    fn a_cell_knows_what_it_sees() {
        let tile = tiles(&spec(112, 288), 640, 480)[0];
        assert_eq!((tile.area.width, tile.area.height, tile.cells()), (112, 84, (51, 37)));
        let seen = tile.seen(50, 36);
        assert!((seen[2] - 640.0).abs() < 0.01 && (seen[3] - 480.0).abs() < 0.01, "{seen:?}");
    }
}
