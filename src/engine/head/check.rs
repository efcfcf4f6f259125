//! What a `[head]` table may say. Every message names the key, what was found and what is allowed.

use std::fmt::Debug;

use super::{FcosSpec, HeadSpec, RetinaNetSpec, SsdSpec};

/// More levels than any detector has.
const LEVELS_MAX: usize = 8;
/// More anchors a cell than any detector has.
const ANCHORS_MAX: usize = 32;
/// No picture is that large, pixels.
const PIXELS_MAX: f32 = 65_536.0;
/// Most values of a distance's distribution.
const BINS_MAX: u32 = 64;
/// A stride above the largest input leaves one cell.
const STRIDE_MAX: u32 = 4096;

impl HeadSpec {
    /// The first thing that is wrong, as a sentence that names the key.
    pub(in crate::engine) fn check(&self) -> Result<(), String> {
        if self.outputs().iter().any(|name| name.is_empty()) {
            return Err("[head] output: the names of the model's tensors, not empty".into());
        }
        match self {
            Self::YoloV8(_) | Self::YoloV5(_) | Self::Boxes(_) => Ok(()),
            Self::Mtcnn(_) | Self::BlazeFace(_) | Self::YuNet(_) | Self::FaceVector(_) | Self::Classes(_) => Ok(()),
            Self::FaceLiveness(s) => within("crop", s.crop, 1.0..=8.0),
            Self::YoloV8Maps(s) => {
                strides(&s.strides)?;
                levels("outputs", &s.outputs, s.strides.len())?;
                within("bins", s.bins, 1..=BINS_MAX)
            }
            Self::YoloV5Maps(s) => {
                strides(&s.strides)?;
                levels("outputs", &s.outputs, s.strides.len())?;
                anchors(&s.anchors, s.strides.len())
            }
            Self::Ssd(s) => ssd(s),
            Self::RetinaNet(s) => retinanet(s),
            Self::Fcos(s) => fcos(s),
        }
    }
}

fn ssd(s: &SsdSpec) -> Result<(), String> {
    let n = s.grids.len();
    within("grids: levels", n, 1..=LEVELS_MAX)?;
    for side in s.grids.iter().flatten() {
        within("grids", *side, 1..=STRIDE_MAX)?;
    }
    tensors("boxes", &s.boxes, n)?;
    tensors("scores", &s.scores, n)?;
    if let Some(steps) = &s.steps {
        levels("steps", steps, n)?;
        pixels("steps", steps)?;
    }
    if s.scales.len() != n + 1 {
        return Err(format!("[head] scales: {} of them; with {n} grids it must be {}", s.scales.len(), n + 1));
    }
    for scale in &s.scales {
        within("scales", *scale, f32::MIN_POSITIVE..=2.0)?;
    }
    levels("aspect_ratios", &s.aspect_ratios, n)?;
    for ratios in &s.aspect_ratios {
        within("aspect_ratios: of one level", ratios.len(), 0..=ANCHORS_MAX / 2 - 1)?;
        aspect_ratios(ratios)?;
    }
    variances(&s.variances)
}

fn retinanet(s: &RetinaNetSpec) -> Result<(), String> {
    strides(&s.strides)?;
    let n = s.strides.len();
    tensors("boxes", &s.boxes, n)?;
    tensors("scores", &s.scores, n)?;
    match (&s.anchors, &s.sizes, &s.aspect_ratios) {
        (Some(list), None, None) => anchors(list, n)?,
        (None, Some(sizes), Some(ratios)) => {
            levels("sizes", sizes, n)?;
            within("aspect_ratios: of them", ratios.len(), 1..=ANCHORS_MAX)?;
            aspect_ratios(ratios)?;
            for sizes in sizes {
                within("sizes: of one level", sizes.len(), 1..=ANCHORS_MAX / ratios.len())?;
                pixels("sizes", sizes)?;
            }
        }
        _ => return Err("[head] anchors, or sizes and aspect_ratios: one of both, not neither and not both".into()),
    }
    within("offset", s.offset, 0.0..=1.0)?;
    variances(&s.variances)
}

fn fcos(s: &FcosSpec) -> Result<(), String> {
    strides(&s.strides)?;
    let n = s.strides.len();
    tensors("boxes", &s.boxes, n)?;
    tensors("scores", &s.scores, n)?;
    if !s.centerness.is_empty() {
        tensors("centerness", &s.centerness, n)?;
    }
    if let Some(units) = &s.units {
        levels("units", units, n)?;
        pixels("units", units)?;
    }
    within("offset", s.offset, 0.0..=1.0)
}

/// Written so that NaN fails too.
fn within<T: PartialOrd + Debug>(key: &str, value: T, range: std::ops::RangeInclusive<T>) -> Result<(), String> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(format!("[head] {key} = {value:?}: {:?} to {:?}", range.start(), range.end())),
    }
}

fn levels<T>(key: &str, list: &[T], n: usize) -> Result<(), String> {
    match list.len() == n {
        true => Ok(()),
        false => Err(format!("[head] {key}: {} of them; with {n} levels it must be {n}", list.len())),
    }
}

/// One output for all levels, or one a level.
fn tensors(key: &str, list: &[String], n: usize) -> Result<(), String> {
    match list.len() == n || list.len() == 1 {
        true => Ok(()),
        false => Err(format!("[head] {key}: {} of them; with {n} levels it must be 1 or {n}", list.len())),
    }
}

fn strides(list: &[u32]) -> Result<(), String> {
    within("strides: levels", list.len(), 1..=LEVELS_MAX)?;
    list.iter().try_for_each(|stride| within("strides", *stride, 1..=STRIDE_MAX))
}

fn pixels(key: &str, list: &[f32]) -> Result<(), String> {
    list.iter().try_for_each(|v| within(key, *v, 0.01..=PIXELS_MAX))
}

fn anchors(list: &[Vec<[f32; 2]>], n: usize) -> Result<(), String> {
    levels("anchors", list, n)?;
    for anchors in list {
        within("anchors: of one level", anchors.len(), 1..=ANCHORS_MAX)?;
        anchors.iter().try_for_each(|anchor| pixels("anchors", anchor))?;
    }
    Ok(())
}

fn aspect_ratios(list: &[f32]) -> Result<(), String> {
    list.iter().try_for_each(|v| within("aspect_ratios", *v, 0.01..=100.0))
}

fn variances(list: &[f32; 4]) -> Result<(), String> {
    list.iter().try_for_each(|v| within("variances", *v, 1e-4..=100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        toml::from_str::<HeadSpec>(text).map_err(|e| e.to_string())?.check()
    }

    const YOLO_V8: &str = "kind = 'yolo-v8-maps'\noutputs = ['a', 'b']\nstrides = [8, 16]\nbins = 16";
    const YOLO_V5: &str =
        "kind = 'yolo-v5-maps'\noutputs = ['a', 'b']\nstrides = [8, 16]\nanchors = [[[10, 13]], [[30, 61], [62, 45]]]";
    const SSD: &str = "kind = 'ssd'\nboxes = ['b']\nscores = ['s']\ngrids = [[20, 20], [10, 10]]\nsteps = [16, 32]\n\
        scales = [0.2, 0.4, 0.9]\naspect_ratios = [[2], [2, 3]]\nvariances = [0.1, 0.1, 0.2, 0.2]";
    const RETINANET: &str = "kind = 'retinanet'\nboxes = ['b']\nscores = ['s']\nstrides = [8, 16]\noffset = 0.0\n\
        sizes = [[32, 40], [64, 80]]\naspect_ratios = [0.5, 1, 2]\nbox_order = 'xywh'";
    const FCOS: &str = "kind = 'fcos'\nboxes = ['b']\nscores = ['s']\ncenterness = ['c']\nstrides = [8, 16]\n\
        offset = 0.5\nunits = [8, 16]\ndistance = 'linear'\ncentering = 'sqrt'";
    const BOXES: &str = "kind = 'boxes'\nboxes = 'b'\nscores = 's'\nlabels = 'l'\nlabel_base = 1";

    #[test]
    fn each_mistake_names_key_found_and_allowed() {
        for (good, from, to, words) in [
            (YOLO_V8, "'yolo-v8-maps'", "'yolo-v9'", "yolo-v9"),
            (YOLO_V8, "'yolo-v8-maps'", "'yolo-v9'", "`yolo-v5-maps`, `ssd`, `retinanet`, `fcos`, `boxes`"),
            (YOLO_V8, "bins", "bin", "unknown field `bin`"),
            (YOLO_V8, "bins = 16", "bins = 0", "[head] bins = 0: 1 to 64"),
            (YOLO_V8, "strides = [8, 16]", "strides = [8, 0]", "[head] strides = 0: 1 to 4096"),
            (YOLO_V8, "strides = [8, 16]", "strides = []", "[head] strides: levels = 0: 1 to 8"),
            (YOLO_V8, "strides = [8, 16]", "strides = [8]", "[head] outputs: 2 of them; with 1 levels it must be 1"),
            (YOLO_V8, "'b'", "''", "not empty"),
            (YOLO_V5, "[[[10, 13]], [[30, 61], [62, 45]]]", "[[[10, 13]]]", "[head] anchors: 1 of them"),
            (YOLO_V5, "[[10, 13]]", "[]", "[head] anchors: of one level = 0: 1 to 32"),
            (YOLO_V5, "[10, 13]", "[10, -13]", "[head] anchors = -13.0: 0.01 to 65536.0"),
            (YOLO_V5, "[10, 13]", "[10]", "invalid length 1"),
            (SSD, "grids = [[20, 20], [10, 10]]", "grids = [[20, 0], [10, 10]]", "[head] grids = 0: 1 to 4096"),
            (SSD, "steps = [16, 32]", "steps = [16]", "[head] steps: 1 of them; with 2 levels it must be 2"),
            (
                SSD,
                "scales = [0.2, 0.4, 0.9]",
                "scales = [0.2, 0.4]",
                "[head] scales: 2 of them; with 2 grids it must be 3",
            ),
            (SSD, "0.4, 0.9", "nan, 0.9", "[head] scales = NaN"),
            (SSD, "[[2], [2, 3]]", "[[2], [2, 0]]", "[head] aspect_ratios = 0.0: 0.01 to 100.0"),
            (SSD, "variances = [0.1,", "variances = [0.0,", "[head] variances = 0.0: 0.0001 to 100.0"),
            (SSD, "['s']", "['s', 't', 'u']", "[head] scores: 3 of them; with 2 levels it must be 1 or 2"),
            (RETINANET, "offset = 0.0\n", "", "missing field `offset`"),
            (RETINANET, "offset = 0.0", "offset = 8.0", "[head] offset = 8.0: 0.0 to 1.0"),
            (RETINANET, "aspect_ratios = [0.5, 1, 2]", "", "[head] anchors, or sizes and aspect_ratios"),
            (RETINANET, "[32, 40]", "[32, inf]", "[head] sizes = inf"),
            (RETINANET, "box_order = 'xywh'", "box_order = 'whxy'", "`xywh` or `yxhw`"),
            (FCOS, "centerness = ['c']", "centerness = ['c', 'd', 'e']", "[head] centerness: 3 of them"),
            (FCOS, "units = [8, 16]", "units = [8, 0]", "[head] units = 0.0: 0.01 to 65536.0"),
            (FCOS, "'linear'", "'log'", "`linear` or `exp`"),
            (BOXES, "labels = 'l'\n", "", "missing field `labels`"),
            (BOXES, "label_base = 1", "label_base = -1", "invalid value: integer `-1`"),
        ] {
            check(good).unwrap();
            assert!(good.contains(from), "{from}");
            let message = check(&good.replacen(from, to, 1)).unwrap_err();
            assert!(message.contains(words), "{to}: {message}");
        }
    }

    #[test]
    fn the_examples_of_the_docs_are_right_and_every_kind_and_key_stands_there() {
        let page = include_str!("../../../docs/engines.md");
        let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|b| b.split("```").next()).collect();
        assert!(blocks.len() >= 2);
        for block in blocks {
            check(block.strip_prefix("[head]").expect("an example of [head]")).unwrap();
        }
        for good in [YOLO_V8, YOLO_V5, SSD, RETINANET, FCOS, BOXES, "kind = 'yolo-v8'\nbackground\nclip"] {
            for key in good.lines().filter_map(|line| line.split(' ').next()) {
                assert!(page.contains(&format!("`{key}`")), "docs/engines.md lacks {key}");
            }
        }
    }

    #[test]
    fn the_outputs_that_are_read_are_all_named() {
        let outputs = |text: &str| toml::from_str::<HeadSpec>(text).unwrap().outputs().join(" ");
        assert_eq!(outputs("kind = 'yolo-v5'\noutput = 'x'"), "x");
        assert_eq!([YOLO_V8, SSD, FCOS, BOXES].map(outputs), ["a b", "b s", "b s c", "b s l"]);
        assert_eq!(outputs("kind = 'boxes'\nboxes = 'dets'\nlabels = 'l'"), "dets l");
    }
}
