//! Every family by hand on small outputs, the shapes that are refused, and any number at all.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::engine::TensorSpec;
use crate::engine::null::Null;

/// A manifest for a 32x32 input and the labels `a` and `b` with the `[head]` given.
fn manifest(head: &str, nms: &str) -> Manifest {
    let text = format!(
        "name = 'x'\ntask = 'detect'\nfile = 'm'\nsha256 = '{:064}'\nlicence = ''\nsource = ''\nprecision = 'fp32'\n\
         [input]\nname = 'in'\nwidth = 32\nheight = 32\nlayout = 'nchw'\ncolour = 'rgb'\nfit = 'stretch'\n\
         [head]\n{head}\n[nms]\n{nms}\n[thresholds]\nscore = 0.25\nnms_iou = 0.5\nsure = 0.5\n\
         [labels]\nnames = ['a', 'b']\n",
        0
    );
    Manifest::parse(Path::new("x"), &text).unwrap()
}

/// An engine with zeros of the shapes given.
fn engine(outputs: &[(&str, &[usize])]) -> Null {
    let spec = |name: &str, shape: &[usize]| TensorSpec { name: name.into(), shape: shape.to_vec() };
    Null::new(spec("in", &[1, 3, 32, 32]), outputs.iter().map(|(n, s)| spec(n, s)).collect())
}

/// A family: its table and the outputs it reads.
type Family = (&'static str, &'static [(&'static str, &'static [usize])]);

const YOLO_V8: Family = ("kind = 'yolo-v8'\noutput = 'o'", &[("o", &[1, 6, 3])]);
const YOLO_V8_MAPS: Family = (
    "kind = 'yolo-v8-maps'\noutputs = ['p', 'q']\nstrides = [8, 16]\nbins = 4",
    &[("p", &[1, 18, 4, 4]), ("q", &[1, 18, 2, 2])],
);
const YOLO_V5: Family = ("kind = 'yolo-v5'\noutput = 'o'", &[("o", &[1, 3, 7])]);
const YOLO_V5_MAPS: Family =
    ("kind = 'yolo-v5-maps'\noutputs = ['p']\nstrides = [16]\nanchors = [[[4, 6], [10, 8]]]", &[("p", &[1, 14, 2, 2])]);
const SSD: Family = (
    "kind = 'ssd'\nboxes = ['b']\nscores = ['s']\ngrids = [[2, 2], [1, 1]]\nscales = [0.25, 0.5, 1.0]\n\
     aspect_ratios = [[4], []]",
    &[("b", &[1, 18, 4]), ("s", &[1, 18, 3])],
);
const RETINANET: Family = (
    "kind = 'retinanet'\nboxes = ['b', 'c']\nscores = ['s', 't']\nstrides = [16, 32]\noffset = 0.5\n\
     sizes = [[8], [16]]\naspect_ratios = [1, 4]",
    &[("b", &[1, 8, 2, 2]), ("c", &[1, 8, 1, 1]), ("s", &[1, 4, 2, 2]), ("t", &[1, 4, 1, 1])],
);
const FCOS: Family = (
    "kind = 'fcos'\nboxes = ['b']\nscores = ['s']\ncenterness = ['c']\nstrides = [16]\noffset = 0.5\nunits = [8]",
    &[("b", &[1, 4, 4]), ("s", &[1, 4, 2]), ("c", &[1, 4, 1])],
);
const BOXES: Family = (
    "kind = 'boxes'\nboxes = 'b'\nscores = 's'\nlabels = 'l'\nlabel_base = 1",
    &[("b", &[1, 3, 4]), ("s", &[1, 3]), ("l", &[1, 3])],
);
const FAMILIES: [Family; 8] = [YOLO_V8, YOLO_V8_MAPS, YOLO_V5, YOLO_V5_MAPS, SSD, RETINANET, FCOS, BOXES];

/// What is found in the outputs that `fill` wrote; NaN stands where it wrote nothing, so that every number
/// that is read was meant.
fn found(family: Family, fill: impl FnOnce(&mut Null)) -> Vec<Detection> {
    let mut engine = engine(family.1);
    (0..family.1.len()).for_each(|i| engine.output_mut(i).fill(f32::NAN));
    fill(&mut engine);
    let mut head = Head::new(&manifest(family.0, ""), &engine).unwrap();
    let mut found = Vec::new();
    head.decode(&engine, 0.3, &mut found);
    found
}

fn put(engine: &mut Null, output: usize, numbers: &[(usize, f32)]) {
    numbers.iter().for_each(|(i, v)| engine.output_mut(output)[*i] = *v);
}

#[track_caller]
fn near(found: &[Detection], want: &[([f32; 4], u16, f32)]) {
    assert_eq!(found.len(), want.len(), "{found:?}");
    for (d, (bbox, label, score)) in found.iter().zip(want) {
        let close = d.bbox.iter().zip(bbox).all(|(a, b)| (a - b).abs() < 1e-4) && (d.score - score).abs() < 1e-5;
        assert!(close && d.label == *label, "{d:?} is not {bbox:?} {label} {score}");
    }
}

#[test]
fn yolo_v8_by_hand() {
    // A sure one, one with a close second, one that is background; then a NaN in the first's centre.
    let output = [
        [10.0, 30.0, 50.0], // cx
        [20.0, 40.0, 60.0], // cy
        [4.0, 8.0, 8.0],    // w
        [6.0, 8.0, 8.0],    // h
        [0.9, 0.5, 0.1],    // label 0
        [0.1, 0.6, 0.2],    // label 1
    ]
    .concat();
    let found_in = |output: &[f32]| found(YOLO_V8, |e| e.output_mut(0).copy_from_slice(output));
    let all = found_in(&output);
    near(&all, &[([8.0, 17.0, 12.0, 23.0], 0, 0.9), ([26.0, 36.0, 34.0, 44.0], 1, 0.6)]);
    assert_eq!((all[0].runner_up, all[1].runner_up), (None, Some((0, 0.5))));
    let mut broken = output;
    broken[0] = f32::NAN;
    broken[13] = f32::NAN;
    let rest = found_in(&broken);
    assert_eq!((rest.len(), rest[0].label, rest[0].runner_up), (1, 1, None));
}

#[test]
fn yolo_v8_maps_by_hand() {
    // Level q, cell 3 (column 1, row 1) of stride 16: middle (24, 24). Sides: all weight on one bin.
    let all = found(YOLO_V8_MAPS, |e| {
        for (side, bin) in [(0, 1), (1, 0), (2, 1), (3, 2)] {
            (0..4).for_each(|b| put(e, 1, &[((side * 4 + b) * 4 + 3, if b == bin { 50.0 } else { 0.0 })]));
        }
        put(e, 1, &[(16 * 4 + 3, 0.0), (17 * 4 + 3, -9.0)]);
    });
    near(&all, &[([8.0, 24.0, 40.0, 56.0], 0, 0.5)]);
    // Even weights are the mean of 0..=3.
    let all = found(YOLO_V8_MAPS, |e| {
        (0..16).for_each(|c| put(e, 0, &[(c * 16, 0.0)]));
        put(e, 0, &[(16 * 16, -9.0), (17 * 16, 0.0)]);
    });
    near(&all, &[([-8.0, -8.0, 16.0, 16.0], 1, 0.5)]);
    // One bin is the distance itself.
    let plain: Family = ("kind = 'yolo-v8-maps'\noutputs = ['p']\nstrides = [32]\nbins = 1", &[("p", &[1, 6, 1, 1])]);
    let all = found(plain, |e| e.output_mut(0).copy_from_slice(&[0.25, 0.5, 0.125, 0.0, -9.0, 0.0]));
    near(&all, &[([8.0, 0.0, 20.0, 16.0], 1, 0.5)]);
}

#[test]
fn yolo_v5_by_hand() {
    let all = found(YOLO_V5, |e| {
        e.output_mut(0)[..14]
            .copy_from_slice(&[10.0, 20.0, 4.0, 6.0, 0.8, 0.5, 0.9, 9.0, 9.0, 4.0, 4.0, 0.2, 1.0, 1.0]);
    });
    near(&all, &[([8.0, 17.0, 12.0, 23.0], 1, 0.72)]);
    assert_eq!(all[0].runner_up, Some((0, 0.4)));
}

#[test]
fn yolo_v5_maps_by_hand() {
    // Anchor 1 (10x8) in cell 2 (column 0, row 1). Sigmoid of 0 is 0.5: middle (0.5, 1.5) cells, the anchor's size.
    let all = found(YOLO_V5_MAPS, |e| {
        (0..7).for_each(|c| put(e, 0, &[((7 + c) * 4 + 2, 0.0)]));
        put(e, 0, &[((7 + 4) * 4 + 2, 30.0), ((7 + 6) * 4 + 2, -30.0)]);
    });
    near(&all, &[([3.0, 20.0, 13.0, 28.0], 0, 0.5)]);
}

#[test]
fn ssd_by_hand() {
    // Level 0, cell 1 (column 1, row 0), middle (24, 8), prior 2: ratio 4, 0.25 * 32 = 8 times 2 and 1/2.
    // Box number 1 * 4 + 2 = 6. The softmax of (0, ln 2, ln 5) is (1, 2, 5) / 8.
    let all = found(SSD, |e| {
        put(e, 0, &[(24, 0.0), (25, 5.0), (26, 0.0), (27, 5.0 * 2f32.ln())]);
        put(e, 1, &[(18, 0.0), (19, 2f32.ln()), (20, 5f32.ln())]);
    });
    // Middle y 8 + 0.1 * 5 * 4 = 10, height 4 * 2.
    near(&all, &[([16.0, 6.0, 32.0, 14.0], 1, 0.625)]);
    // The background last; level 1's larger square, sqrt(0.5 * 1) * 32 wide, is box 17.
    let last: Family = (
        "kind = 'ssd'\nboxes = ['b']\nscores = ['s']\ngrids = [[2, 2], [1, 1]]\nscales = [0.25, 0.5, 1.0]\n\
         aspect_ratios = [[4], []]\nbackground = 'last'\nsteps = [16, 40]",
        SSD.1,
    );
    let all = found(last, |e| {
        put(e, 0, &[(68, 0.0), (69, 0.0), (70, 0.0), (71, 0.0)]);
        put(e, 1, &[(51, 5f32.ln()), (52, 2f32.ln()), (53, 0.0)]);
    });
    let half = 16.0 * 0.5f32.sqrt();
    near(&all, &[([20.0 - half, 20.0 - half, 20.0 + half, 20.0 + half].map(|v| v.min(32.0)), 0, 0.625)]);
}

#[test]
fn retinanet_by_hand() {
    // Level 0, anchor 1 (ratio 4: 4 wide, 16 high) in cell 2 (column 0, row 1), middle (8, 24): the map's
    // channels 4..8 and 2..4.
    let fill = |e: &mut Null| {
        [1.0, 0.0, 0.0, 0.0].iter().enumerate().for_each(|(c, v)| put(e, 0, &[((4 + c) * 4 + 2, *v)]));
        put(e, 2, &[(2 * 4 + 2, 0.0), (3 * 4 + 2, -0.5)]);
    };
    let all = found(RETINANET, fill);
    near(&all, &[([10.0, 16.0, 14.0, 32.0], 0, 0.5)]);
    assert!(all[0].runner_up.is_some_and(|(label, score)| label == 1 && (score - 0.377_540_7).abs() < 1e-6));
    // The first number moves y where EfficientDet's order is read.
    let yxhw = "kind = 'retinanet'\nboxes = ['b', 'c']\nscores = ['s', 't']\nstrides = [16, 32]\noffset = 0.0\n\
         anchors = [[[1, 1], [5.2, 15.1]], [[1, 1], [1, 1]]]\nround_anchors = true\nbox_order = 'yxhw'";
    // Halves 2.6 and 7.55 become 3 and 8.
    near(&found((yxhw, RETINANET.1), fill), &[([0.0, 24.0, 3.0, 32.0], 0, 0.5)]);
}

#[test]
fn fcos_by_hand() {
    // Cell 1 (column 1, row 0), middle (24, 8), a distance of 1 is 8 pixels. Scores 0.5 and 0.5: root of 0.25.
    let fill = |e: &mut Null| {
        e.output_mut(0)[4..8].copy_from_slice(&[1.0, 0.5, 0.25, 2.0]);
        e.output_mut(1)[2..4].copy_from_slice(&[0.0, -9.0]);
        put(e, 2, &[(1, 0.0)]);
    };
    near(&found(FCOS, fill), &[([16.0, 4.0, 26.0, 24.0], 0, 0.5)]);
    let product: Family = (
        "kind = 'fcos'\nboxes = ['b']\nscores = ['s']\ncenterness = ['c']\nstrides = [16]\noffset = 0.5\n\
         centering = 'product'",
        FCOS.1,
    );
    assert!(found(product, fill).is_empty(), "0.25 is below the floor");
    // FoveaBox: no centerness, exponentials.
    let fovea: Family = (
        "kind = 'fcos'\nboxes = ['b']\nscores = ['s']\nstrides = [16]\noffset = 0.5\nunits = [8]\ndistance = 'exp'",
        FCOS.1,
    );
    let e = [1.0f32, 0.5, 0.25, -1.0].map(f32::exp).map(|d| d * 8.0);
    let all = found(fovea, |engine| {
        fill(engine);
        put(engine, 0, &[(7, -1.0)]);
    });
    near(&all, &[([24.0 - e[0], 8.0 - e[1], 32f32.min(24.0 + e[2]), 8.0 + e[3]].map(|v| v.max(0.0)), 0, 0.5)]);
}

#[test]
fn final_boxes_by_hand() {
    let all = found(BOXES, |e| {
        e.output_mut(0).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 99.0, 8.0, 1.0, 1.0, 9.0, 9.0]);
        e.output_mut(1).copy_from_slice(&[0.9, 0.8, 0.7]);
        e.output_mut(2).copy_from_slice(&[2.0, 1.0, 0.0]);
    });
    near(&all, &[([1.0, 2.0, 3.0, 4.0], 1, 0.9), ([5.0, 6.0, 32.0, 8.0], 0, 0.8)]);
    let dets: Family = ("kind = 'boxes'\nboxes = 'dets'\nlabels = 'l'", &[("dets", &[1, 2, 5]), ("l", &[1, 2])]);
    let all = found(dets, |e| {
        e.output_mut(0).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0]);
        e.output_mut(1).copy_from_slice(&[0.0, 0.0]);
    });
    near(&all, &[([1.0, 2.0, 3.0, 4.0], 0, 0.9)]);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    for (family, output, shape, words) in [
        (YOLO_V8, 0, &[1, 7, 3][..], "output \"o\" is [1, 7, 3]; with 2 labels it must be [1, 6, boxes]"),
        (YOLO_V8, 0, &[6, 3], "[1, 6, boxes]"),
        (YOLO_V8, 0, &[], "[1, 6, boxes]"),
        (YOLO_V5, 0, &[1, 7, 3], "output \"o\" is [1, 7, 3]; with 2 labels it must be [1, boxes, 7]"),
        (YOLO_V8_MAPS, 1, &[1, 18, 2, 3], "output \"q\" is [1, 18, 2, 3]; it must be [1, 18, 2, 2]"),
        (YOLO_V5_MAPS, 0, &[1, 21, 2, 2], "it must be [1, 14, 2, 2]"),
        (SSD, 0, &[1, 16, 4], "output \"b\" is [1, 16, 4]; for all 2 levels in one it must be [1, 18, 4]"),
        (SSD, 1, &[1, 18, 2], "it must be [1, 18, 3]"),
        (RETINANET, 3, &[1, 2, 1, 1], "output \"t\" is [1, 2, 1, 1]; it must be [1, 4, 1, 1]"),
        (FCOS, 2, &[1, 4, 2], "output \"c\" is [1, 4, 2]"),
        (BOXES, 0, &[1, 3, 5], "output \"b\" is [1, 3, 5]; it must be [1, rows, 4]"),
        (BOXES, 2, &[1, 4], "output \"l\" is [1, 4]; with 3 boxes it must be [1, 3]"),
    ] {
        let mut outputs = family.1.to_vec();
        outputs[output].1 = shape;
        let e = Head::new(&manifest(family.0, ""), &engine(&outputs)).unwrap_err();
        assert_eq!((e.kind, e.place.as_str()), (VisionErrorKind::Head, "x"));
        assert!(e.message.contains(words), "{}", e.message);
        outputs[output] = ("other", shape);
        let e = Head::new(&manifest(family.0, ""), &engine(&outputs)).unwrap_err();
        assert!(e.message.contains("the model has no output"), "{}", e.message);
    }
}

#[test]
fn every_label_of_a_box_is_found_where_the_manifest_asks_for_it() {
    let mut engine = engine(YOLO_V5.1);
    engine.output_mut(0)[..7].copy_from_slice(&[10.0, 20.0, 4.0, 6.0, 0.8, 0.5, 0.9]);
    let mut head = Head::new(&manifest(YOLO_V5.0, "multi_label = true"), &engine).unwrap();
    assert_eq!(head.boxes_max(), 6);
    let mut found = Vec::new();
    head.decode(&engine, 0.3, &mut found);
    assert_eq!(found.iter().map(|d| (d.label, d.runner_up)).collect::<Vec<_>>(), [(0, None), (1, None)]);
}

proptest! {
    #[test]
    fn no_number_makes_a_head_panic_or_find_what_is_no_box(
        numbers in prop::collection::vec(
            prop_oneof![
                any::<f32>(),
                -8.0f32..8.0,
                Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(0.0)
            ],
            1..64,
        ),
        floor in prop_oneof![any::<f32>(), 0.0f32..1.0],
        family in 0..FAMILIES.len(),
        multi_label in any::<bool>(),
    ) {
        let family = FAMILIES[family];
        let mut engine = engine(family.1);
        let mut stream = numbers.iter().cycle();
        for i in 0..family.1.len() {
            engine.output_mut(i).iter_mut().zip(&mut stream).for_each(|(to, from)| *to = *from);
        }
        let mut head = Head::new(&manifest(family.0, &format!("multi_label = {multi_label}")), &engine).unwrap();
        let mut found = Vec::with_capacity(head.boxes_max());
        let room = found.capacity();
        head.decode(&engine, floor, &mut found);
        prop_assert!(found.len() <= head.boxes_max() && found.capacity() == room);
        prop_assert!(found.iter().all(|d| d.is_sound() && d.label < 2 && d.score > 0.0 && (floor.is_nan() || d.score >= floor)));
        // An engine that has not run yet has nothing.
        head.decode(&Null::new(TensorSpec { name: "in".into(), shape: vec![1] }, vec![]), floor, &mut found);
        prop_assert!(found.is_empty());
    }
}
