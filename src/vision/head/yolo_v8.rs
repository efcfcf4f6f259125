//! The anchor-free YOLO head whose graph ends in `[1, 4 + C, N]`: for each of N boxes its centre x, centre y,
//! width and height in pixels of the input, then C probabilities, sigmoid applied. So export Ultralytics'
//! YOLOv8 and YOLO11 (`nn/modules/head.py`, `Detect.forward` with `export=True`), DFL inside the graph.
//! A box has the label with the highest probability.

use super::super::Detection;

const BOX_ROWS: usize = 4;

/// Decoder for one output shape.
#[derive(Debug)]
pub struct YoloV8 {
    boxes: usize,
    /// Highest probability of each box in the last output.
    best: Vec<f32>,
}

impl YoloV8 {
    /// A decoder for an output of `shape` with `labels` labels.
    pub fn new(shape: &[usize], labels: usize) -> Result<Self, String> {
        match *shape {
            [1, rows, boxes] if rows == BOX_ROWS + labels && labels > 0 => Ok(Self { boxes, best: vec![0.0; boxes] }),
            _ => Err(format!("is {shape:?}; with {labels} labels it must be [1, {}, boxes]", BOX_ROWS + labels)),
        }
    }

    /// N of the output's shape.
    pub fn boxes(&self) -> usize {
        self.boxes
    }

    /// Adds to `found` what scores at least `floor`. An output of another length than the shape's gives
    /// nothing, nor does a box with a number that isn't finite.
    pub fn decode(&mut self, output: &[f32], floor: f32, found: &mut Vec<Detection>) {
        let mut rows = output.chunks_exact(self.boxes.max(1));
        let (Some(x), Some(y), Some(w), Some(h)) = (rows.next(), rows.next(), rows.next(), rows.next()) else { return };
        let scores = rows;
        // Most boxes are background. One vectorised pass a label finds the few that are not; `max` ignores NaN.
        self.best.fill(0.0);
        for row in scores.clone() {
            self.best.iter_mut().zip(row).for_each(|(best, p)| *best = best.max(*p));
        }
        let corners = x.iter().zip(y).zip(w.iter().zip(h));
        for (i, (&score, ((x, y), (w, h)))) in self.best.iter().zip(corners).enumerate() {
            if score < floor || score <= 0.0 {
                continue;
            }
            let bbox = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
            let mut detection = Detection { bbox, score, label: u16::MAX, runner_up: None };
            for (label, p) in (0..u16::MAX).zip(scores.clone().filter_map(|row| row.get(i).copied())) {
                if p == score && detection.label == u16::MAX {
                    detection.label = label;
                } else if p >= floor {
                    detection.offer_runner_up(label, p);
                }
            }
            if detection.is_sound() && found.len() < found.capacity() {
                found.push(detection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[1, 4 + 2, 3]` by hand: a sure one, one with a close second, one that is background.
    fn output() -> Vec<f32> {
        [
            [10.0, 30.0, 50.0], // cx
            [20.0, 40.0, 60.0], // cy
            [4.0, 8.0, 8.0],    // w
            [6.0, 8.0, 8.0],    // h
            [0.9, 0.5, 0.1],    // label 0
            [0.1, 0.6, 0.2],    // label 1
        ]
        .concat()
    }

    #[test]
    fn decodes_by_hand() {
        let mut head = YoloV8::new(&[1, 6, 3], 2).unwrap();
        let mut found = Vec::with_capacity(3);
        head.decode(&output(), 0.3, &mut found);
        let first = Detection { bbox: [8.0, 17.0, 12.0, 23.0], score: 0.9, label: 0, runner_up: None };
        let second = Detection { bbox: [26.0, 36.0, 34.0, 44.0], score: 0.6, label: 1, runner_up: Some((0, 0.5)) };
        assert_eq!(found, [first, second]);
    }

    #[test]
    fn nan_and_foreign_lengths_give_nothing() {
        let mut head = YoloV8::new(&[1, 6, 3], 2).unwrap();
        let mut found = Vec::with_capacity(3);
        let mut out = output();
        out[0] = f32::NAN; // a corner of the first
        out[13] = f32::NAN; // label 0 of the second: label 1 remains
        head.decode(&out, 0.3, &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].label, found[0].runner_up), (1, None));
        found.clear();
        head.decode(&[], 0.3, &mut found);
        head.decode(&out[..7], 0.3, &mut found);
        assert!(found.is_empty());
    }

    #[test]
    fn a_shape_that_does_not_fit_the_labels_is_named() {
        for shape in [&[1, 7, 3][..], &[2, 6, 3], &[6, 3], &[]] {
            assert!(YoloV8::new(shape, 2).unwrap_err().contains("[1, 6, boxes]"));
        }
    }
}
