//! Where a box's numbers lie in a model's outputs: in one output of rows, or in a map a level. Heads ask by
//! level, anchor, cell and channel and need not know which it is.

use std::ops::Range;

use crate::engine::Engine;

/// Cells and anchors of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Columns of cells.
    pub columns: usize,
    /// Rows of cells.
    pub rows: usize,
    /// Anchors a cell.
    pub anchors: usize,
}

impl Grid {
    /// The grid that convolutions leave of an input of `width` x `height` pixels at `stride`.
    pub fn of_stride([width, height]: [usize; 2], stride: u32, anchors: usize) -> Self {
        let stride = (stride as usize).max(1);
        Self { columns: width.div_ceil(stride), rows: height.div_ceil(stride), anchors }
    }

    /// Boxes of the level.
    pub fn boxes(&self) -> usize {
        self.columns * self.rows * self.anchors
    }

    /// Column and row of a cell.
    pub fn place(&self, cell: usize) -> [f32; 2] {
        [(cell % self.columns) as f32, (cell / self.columns) as f32]
    }

    /// What [`Values::best`] wrote, as (anchor, cell, number), of those that reach `least`; NaN does not.
    pub fn reaching<'b>(&self, best: &'b [f32], least: f32) -> impl Iterator<Item = (usize, usize, f32)> + use<'b> {
        let anchors = best.chunks_exact((self.columns * self.rows).max(1)).enumerate();
        let of = |(anchor, best): (usize, &'b [f32])| {
            best.iter().enumerate().map(move |(cell, &number)| (anchor, cell, number))
        };
        anchors.flat_map(of).filter(move |(_, _, number)| *number >= least)
    }
}

/// Room for [`Values::best`] over any one of `grids`.
pub fn room(grids: &[Grid]) -> Vec<f32> {
    vec![0.0; grids.iter().map(Grid::boxes).max().unwrap_or(0)]
}

/// One level of an output.
#[derive(Clone, Copy, Debug)]
struct Level {
    output: usize,
    first: usize,
    cells: usize,
    anchors: usize,
    anchor_step: usize,
    cell_step: usize,
    channel_step: usize,
}

/// A tensor of `channels` numbers a box, in one output or one a level.
#[derive(Debug)]
pub struct Rows {
    levels: Vec<Level>,
    channels: usize,
}

impl Rows {
    /// Finds `names` among the engine's outputs: one `[1, N, channels]`, or a map a level
    /// `[1, A * channels, H, W]`, for the grids given.
    pub fn bind(engine: &dyn Engine, names: &[String], grids: &[Grid], channels: usize) -> Result<Self, String> {
        let total: usize = grids.iter().map(Grid::boxes).sum();
        let find = |name: &str| super::output(engine, name);
        let mut levels = Vec::with_capacity(grids.len());
        let level = |output, grid: &Grid| {
            let (cells, anchors) = (grid.columns * grid.rows, grid.anchors);
            Level { output, first: 0, cells, anchors, anchor_step: 0, cell_step: 0, channel_step: 0 }
        };
        if let [name] = names {
            let (output, shape) = find(name)?;
            if shape == [1, total, channels] {
                let mut first = 0;
                for grid in grids {
                    let cell_step = grid.anchors * channels;
                    levels.push(Level {
                        first,
                        anchor_step: channels,
                        cell_step,
                        channel_step: 1,
                        ..level(output, grid)
                    });
                    first += grid.boxes() * channels;
                }
                return Ok(Self { levels, channels });
            }
            if grids.len() != 1 {
                let n = grids.len();
                return Err(format!(
                    "output {name:?} is {shape:?}; for all {n} levels in one it must be [1, {total}, {channels}]"
                ));
            }
        }
        for (name, grid) in names.iter().zip(grids) {
            let (output, shape) = find(name)?;
            let want = [1, grid.anchors * channels, grid.rows, grid.columns];
            if shape != want {
                return Err(format!("output {name:?} is {shape:?}; it must be {want:?}"));
            }
            let cells = grid.columns * grid.rows;
            let anchor_step = channels * cells;
            levels.push(Level { anchor_step, cell_step: 1, channel_step: cells, ..level(output, grid) });
        }
        Ok(Self { levels, channels })
    }

    /// The numbers of one level of the last run.
    pub fn level<'e>(&self, engine: &'e dyn Engine, level: usize) -> Option<Values<'e>> {
        let level = *self.levels.get(level)?;
        let data = engine.output(level.output);
        let last = level.first + level.cells * level.anchors * self.channels;
        (data.len() >= last).then_some(Values { data, level })
    }
}

/// The numbers of one level's boxes.
#[derive(Clone, Copy, Debug)]
pub struct Values<'e> {
    data: &'e [f32],
    level: Level,
}

impl Values<'_> {
    fn index(&self, anchor: usize, cell: usize, channel: usize) -> usize {
        let l = &self.level;
        l.first + anchor * l.anchor_step + cell * l.cell_step + channel * l.channel_step
    }

    /// One number; NaN for a place that is not there.
    pub fn get(&self, anchor: usize, cell: usize, channel: usize) -> f32 {
        self.data.get(self.index(anchor, cell, channel)).copied().unwrap_or(f32::NAN)
    }

    /// The `N` numbers from `channel` on.
    pub fn array<const N: usize>(&self, anchor: usize, cell: usize, channel: usize) -> [f32; N] {
        std::array::from_fn(|i| self.get(anchor, cell, channel + i))
    }

    /// Writes the largest number of `channels` of each box into `best`, anchor by anchor, cell by cell; NaN
    /// counts as nothing. Passes over the output as it lies, so that finding the few boxes that are not
    /// background is cheap.
    pub fn best(&self, channels: Range<usize>, best: &mut [f32]) {
        let l = &self.level;
        best.fill(f32::NEG_INFINITY);
        for (anchor, best) in best.chunks_exact_mut(l.cells.max(1)).take(l.anchors).enumerate() {
            if l.channel_step == 1 {
                for (cell, best) in best.iter_mut().enumerate() {
                    let (from, to) = (self.index(anchor, cell, channels.start), self.index(anchor, cell, channels.end));
                    let row = self.data.get(from..to).unwrap_or_default();
                    *best = row.iter().fold(f32::NEG_INFINITY, |best, v| best.max(*v));
                }
            } else {
                for channel in channels.clone() {
                    let from = self.index(anchor, 0, channel);
                    let row = self.data.get(from..from + l.cells).unwrap_or_default();
                    best.iter_mut().zip(row).for_each(|(best, v)| *best = best.max(*v));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TensorSpec;
    use crate::engine::null::Null;

    fn engine(outputs: &[(&str, &[usize])]) -> Null {
        let spec = |name: &str, shape: &[usize]| TensorSpec { name: name.into(), shape: shape.to_vec() };
        let mut null = Null::new(spec("in", &[1]), outputs.iter().map(|(n, s)| spec(n, s)).collect());
        for i in 0..outputs.len() {
            null.output_mut(i).iter_mut().enumerate().for_each(|(k, v)| *v = (100 * i + k) as f32);
        }
        null
    }

    const GRIDS: [Grid; 2] = [Grid { columns: 2, rows: 1, anchors: 2 }, Grid { columns: 1, rows: 1, anchors: 1 }];

    #[test]
    fn rows_and_maps_are_read_by_the_same_address() {
        // 4 boxes of the first level and 1 of the second, 3 numbers each.
        let flat = engine(&[("all", &[1, 5, 3])]);
        let rows = Rows::bind(&flat, &["all".into()], &GRIDS, 3).unwrap();
        let (first, second) = (rows.level(&flat, 0).unwrap(), rows.level(&flat, 1).unwrap());
        assert_eq!(first.array::<3>(1, 0, 0), [3.0, 4.0, 5.0]);
        assert_eq!(first.array::<2>(0, 1, 1), [7.0, 8.0]);
        assert_eq!(second.get(0, 0, 2), 14.0);
        let mut best = [0.0; 4];
        first.best(1..3, &mut best);
        assert_eq!(best, [2.0, 8.0, 5.0, 11.0]);

        let maps = engine(&[("a", &[1, 6, 1, 2]), ("b", &[1, 3, 1, 1])]);
        let rows = Rows::bind(&maps, &["a".into(), "b".into()], &GRIDS, 3).unwrap();
        let (first, second) = (rows.level(&maps, 0).unwrap(), rows.level(&maps, 1).unwrap());
        assert_eq!(first.array::<3>(1, 0, 0), [6.0, 8.0, 10.0]);
        assert_eq!(second.get(0, 0, 2), 102.0);
        first.best(1..3, &mut best);
        assert_eq!(best, [4.0, 5.0, 10.0, 11.0]);
        assert!(first.get(9, 9, 9).is_nan() && rows.level(&maps, 2).is_none());
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let bind = |outputs: &[(&str, &[usize])], names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            Rows::bind(&engine(outputs), &names, &GRIDS, 3).unwrap_err()
        };
        assert!(
            bind(&[("a", &[1, 6, 3])], &["a"]).contains("is [1, 6, 3]; for all 2 levels in one it must be [1, 5, 3]")
        );
        assert!(bind(&[("a", &[1, 6, 2, 1]), ("b", &[1, 3, 1, 1])], &["a", "b"]).contains("it must be [1, 6, 1, 2]"));
        assert!(bind(&[("a", &[1, 5, 3])], &["x"]).contains("no output \"x\"; it has [\"a\"]"));
    }
}
