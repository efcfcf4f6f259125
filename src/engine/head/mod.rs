//! How a model's outputs are read: the `[head]` table of an engine's manifest, as plain data. Each kind is a
//! family of detectors with its own parameters, in the terms of its papers; vision's heads decode from exactly
//! this. Shapes are stated for C labels (background not counted), A anchors a cell and N boxes in all, which
//! run level by level, row by row, cell by cell, anchor by anchor.

mod check;

use serde::Deserialize;

/// The head of a model, by family.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind")]
pub enum HeadSpec {
    /// One output `[1, 4 + C, N]`, decoded in the graph.
    #[serde(rename = "yolo-v8")]
    YoloV8(OneOutput),
    /// A map a level `[1, 4 * bins + C, H, W]`, before DFL and sigmoid.
    #[serde(rename = "yolo-v8-maps")]
    YoloV8Maps(YoloV8MapsSpec),
    /// One output `[1, N, 5 + C]`, decoded in the graph.
    #[serde(rename = "yolo-v5")]
    YoloV5(OneOutput),
    /// A map a level `[1, A * (5 + C), H, W]`, before the sigmoid.
    #[serde(rename = "yolo-v5-maps")]
    YoloV5Maps(YoloV5MapsSpec),
    /// Offsets to priors, softmax over the labels and a background.
    #[serde(rename = "ssd")]
    Ssd(SsdSpec),
    /// Offsets to anchors, a sigmoid a label: RetinaNet and EfficientDet.
    #[serde(rename = "retinanet")]
    RetinaNet(RetinaNetSpec),
    /// Distances to four sides, with a centerness (FCOS) or without (FoveaBox).
    #[serde(rename = "fcos")]
    Fcos(FcosSpec),
    /// Boxes, scores and labels, finished in the graph: Faster, Cascade and Dynamic R-CNN, DetectoRS.
    #[serde(rename = "boxes")]
    Boxes(BoxesSpec),
    /// One of the three nets of MTCNN's cascade; the first one has the other two as its stages.
    #[serde(rename = "mtcnn")]
    Mtcnn(OneOutput),
    /// BlazeFace of 128x128 pixels: 896 anchors, six key points; landmarks by its stage, MTCNN's third net.
    #[serde(rename = "blazeface")]
    BlazeFace(OneOutput),
    /// YuNet: strides 8, 16 and 32, five landmarks.
    #[serde(rename = "yunet")]
    YuNet(OneOutput),
    /// A vector of a face aligned to the template of 112x112 pixels: MobileFaceNet, ArcFace, FaceNet.
    #[serde(rename = "face-vector")]
    FaceVector(FaceVectorSpec),
    /// A score a label for the whole input, `[1, C]`: the second look.
    #[serde(rename = "classes")]
    Classes(ClassesSpec),
    /// Shares of classes, one of which is a living face: MiniFASNet. Further nets, with other crops, are its stages.
    #[serde(rename = "face-liveness")]
    FaceLiveness(FaceLivenessSpec),
}

/// `classes`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassesSpec {
    /// The output's name in the model.
    pub output: String,
    /// The output has logits, which a softmax turns into shares. Default true.
    #[serde(default = "yes")]
    pub softmax: bool,
}

/// `face-liveness`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceLivenessSpec {
    /// The output's name in the model: `[1, classes]`, shares that add up to 1.
    pub output: String,
    /// The class that is a living face, counted from 0.
    pub live: usize,
    /// Sides of what the net sees over those of the face's box.
    pub crop: f32,
}

/// `face-vector`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceVectorSpec {
    /// The output's name in the model.
    pub output: String,
    /// The vector is the sum over the face and its mirror image. Default false.
    #[serde(default)]
    pub flip: bool,
    /// The input is brought to mean 0 and deviation 1 first, as FaceNet's. Default false.
    #[serde(default)]
    pub prewhiten: bool,
}

/// A head that reads one output.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOutput {
    /// The output's name in the model.
    pub output: String,
}

/// `yolo-v8-maps`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YoloV8MapsSpec {
    /// One output a level.
    pub outputs: Vec<String>,
    /// Pixels of the input between two cells, a level each.
    pub strides: Vec<u32>,
    /// Values of the distribution of a side's distance (DFL's reg_max); 1 means the distance itself. Default 16.
    #[serde(default = "sixteen")]
    pub bins: u32,
}

/// `yolo-v5-maps`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YoloV5MapsSpec {
    /// One output a level.
    pub outputs: Vec<String>,
    /// Pixels of the input between two cells, a level each.
    pub strides: Vec<u32>,
    /// Width and height of each anchor in pixels of the input, a list a level.
    pub anchors: Vec<Vec<[f32; 2]>>,
}

/// Where the class of things that are none stands among the scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// Before the labels, as in Caffe and torchvision.
    #[default]
    First,
    /// After the labels, as in MMDetection.
    Last,
}

/// `ssd`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SsdSpec {
    /// Offsets: one output `[1, N, 4]`, or a map a level `[1, A * 4, H, W]`.
    pub boxes: Vec<String>,
    /// Logits: one output `[1, N, C + 1]`, or a map a level `[1, A * (C + 1), H, W]`.
    pub scores: Vec<String>,
    /// Where the background stands. Default first.
    #[serde(default)]
    pub background: Background,
    /// Columns and rows of cells, a level each.
    pub grids: Vec<[u32; 2]>,
    /// Pixels of the input between two cells, a level each. Default the input's sides over the grid's.
    #[serde(default)]
    pub steps: Option<Vec<f32>>,
    /// Side of a square prior as a share of the input's sides, a level each, and one more for the last
    /// level's larger square.
    pub scales: Vec<f32>,
    /// Aspect ratios besides 1, a list a level; each gives a prior and its transpose.
    pub aspect_ratios: Vec<Vec<f32>>,
    /// A prior is never larger than the input. Default true.
    #[serde(default = "yes")]
    pub clip: bool,
    /// Of the offsets of x, y, width, height. Default 0.1, 0.1, 0.2, 0.2.
    #[serde(default = "ssd_variances")]
    pub variances: [f32; 4],
}

/// Order of a box's four offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoxOrder {
    /// x, y, width, height.
    #[default]
    Xywh,
    /// y, x, height, width, as in EfficientDet's own code.
    Yxhw,
}

/// `retinanet`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetinaNetSpec {
    /// Offsets: one output `[1, N, 4]`, or a map a level `[1, A * 4, H, W]`.
    pub boxes: Vec<String>,
    /// Logits: one output `[1, N, C]`, or a map a level `[1, A * C, H, W]`.
    pub scores: Vec<String>,
    /// Pixels of the input between two cells, a level each.
    pub strides: Vec<u32>,
    /// Square roots of the anchors' areas in pixels of the input, a list a level.
    #[serde(default)]
    pub sizes: Option<Vec<Vec<f32>>>,
    /// Height over width of the anchors; each is paired with every size, ratio by ratio.
    #[serde(default)]
    pub aspect_ratios: Option<Vec<f32>>,
    /// Width and height of each anchor in pixels, a list a level, instead of `sizes` and `aspect_ratios`.
    #[serde(default)]
    pub anchors: Option<Vec<Vec<[f32; 2]>>>,
    /// Half the sides of an anchor are rounded to whole pixels, as torchvision does. Default false.
    #[serde(default)]
    pub round_anchors: bool,
    /// Where in its cell an anchor's middle lies, 0 to 1: 0 in torchvision and MMDetection, 0.5 in EfficientDet.
    pub offset: f32,
    /// Order of the offsets. Default xywh.
    #[serde(default)]
    pub box_order: BoxOrder,
    /// Of the offsets of x, y, width, height. Default 1.
    #[serde(default = "ones")]
    pub variances: [f32; 4],
}

/// How a distance is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// As it is.
    #[default]
    Linear,
    /// Its exponential, as in FoveaBox and the first FCOS.
    Exp,
}

/// How score and centerness become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Centering {
    /// The square root of the product, as in torchvision and the second FCOS.
    #[default]
    Sqrt,
    /// The product, as in the paper and MMDetection.
    Product,
}

/// `fcos`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FcosSpec {
    /// Distances to the left, upper, right and lower side: one output `[1, N, 4]`, or a map a level
    /// `[1, 4, H, W]`.
    pub boxes: Vec<String>,
    /// Logits: one output `[1, N, C]`, or a map a level `[1, C, H, W]`.
    pub scores: Vec<String>,
    /// Logits: one output `[1, N, 1]`, or a map a level `[1, 1, H, W]`. Default none.
    #[serde(default)]
    pub centerness: Vec<String>,
    /// Pixels of the input between two cells, a level each.
    pub strides: Vec<u32>,
    /// Pixels that a distance of 1 is, a level each. Default the strides.
    #[serde(default)]
    pub units: Option<Vec<f32>>,
    /// How a distance is read. Default linear.
    #[serde(default)]
    pub distance: Distance,
    /// How score and centerness become one. Default sqrt.
    #[serde(default)]
    pub centering: Centering,
    /// Where in its cell a point lies, 0 to 1: 0 in torchvision, 0.5 in the papers and MMDetection.
    pub offset: f32,
}

/// `boxes`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxesSpec {
    /// `[1, N, 4]` or `[N, 4]`: x0, y0, x1, y1 in pixels of the input; without `scores` a fifth number is it.
    pub boxes: String,
    /// `[1, N]` or `[N]`, 0 to 1; rows that are padding have 0.
    #[serde(default)]
    pub scores: Option<String>,
    /// `[1, N]` or `[N]`: the label's number as f32.
    pub labels: String,
    /// Number of the first label: 1 where 0 is the background. Default 0.
    #[serde(default)]
    pub label_base: u16,
}

impl HeadSpec {
    /// Names of the outputs that are read.
    pub fn outputs(&self) -> Vec<&str> {
        let lists: [&[String]; 3] = match self {
            Self::YoloV8(s) | Self::YoloV5(s) | Self::Mtcnn(s) | Self::BlazeFace(s) | Self::YuNet(s) => {
                [std::slice::from_ref(&s.output), &[], &[]]
            }
            Self::FaceVector(s) => [std::slice::from_ref(&s.output), &[], &[]],
            Self::Classes(s) => [std::slice::from_ref(&s.output), &[], &[]],
            Self::FaceLiveness(s) => [std::slice::from_ref(&s.output), &[], &[]],
            Self::YoloV8Maps(s) => [&s.outputs, &[], &[]],
            Self::YoloV5Maps(s) => [&s.outputs, &[], &[]],
            Self::Ssd(s) => [&s.boxes, &s.scores, &[]],
            Self::RetinaNet(s) => [&s.boxes, &s.scores, &[]],
            Self::Fcos(s) => [&s.boxes, &s.scores, &s.centerness],
            Self::Boxes(s) => {
                let scores = s.scores.as_slice();
                [std::slice::from_ref(&s.boxes), scores, std::slice::from_ref(&s.labels)]
            }
        };
        lists.into_iter().flatten().map(String::as_str).collect()
    }
}

fn sixteen() -> u32 {
    16
}

fn yes() -> bool {
    true
}

fn ssd_variances() -> [f32; 4] {
    [0.1, 0.1, 0.2, 0.2]
}

fn ones() -> [f32; 4] {
    [1.0; 4]
}
