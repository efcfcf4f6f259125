//! An engine's folder: `manifest.toml` beside its model. The manifest is the only word on how a model is
//! fed and read; a model whose bytes differ from the manifest's hash must never be loaded. Read next:
//! `input`, then `load`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::head::HeadSpec;
use super::input::InputSpec;
use super::second::SecondSpec;
use super::suppression::NmsSpec;
use super::{EngineError, EngineErrorKind};

/// Label of a detector's class for goods that the assortment lacks.
pub const UNKNOWN_LABEL: &str = "__unknown__";
/// Label of a detector's class for hands and arms.
pub const HAND_LABEL: &str = "__hand__";
/// The manifest's name in an engine's folder.
pub const MANIFEST_FILE: &str = "manifest.toml";

const INPUT_SIDE_MAX: u32 = 4096;
const LABELS_MAX: usize = 512;
const MODEL_BYTES_MAX: u64 = 1 << 30;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Boxes with a label and a score.
    Detect,
    /// Faces with five landmarks.
    #[serde(rename = "face-detect")]
    FaceDetect,
    /// A vector for an aligned face.
    #[serde(rename = "face-embed")]
    FaceEmbed,
    /// Which label a whole picture has: the second look of a detector.
    Classify,
    /// Whether a face is alive or a picture of one.
    #[serde(rename = "face-liveness")]
    FaceLiveness,
}

/// The limits that were chosen on validation data.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Least score of a detection, above 0, at most 1.
    pub score: f32,
    /// Two boxes of one label with more overlap than this are one, 0..=1.
    pub nms_iou: f32,
    /// Least share of the votes, and least mean score, of a label that may be charged, 0..=1.
    pub sure: f32,
}

/// The labels in the order of the model's classes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// SKUs; the last ones may be [`UNKNOWN_LABEL`] and [`HAND_LABEL`].
    pub names: Vec<String>,
}

impl Labels {
    /// How many labels are products: all but the reserved ones, which come last.
    pub fn products(&self) -> usize {
        self.names.iter().take_while(|n| !is_reserved(n)).count()
    }

    /// The SKUs alone.
    pub fn product_names(&self) -> &[String] {
        self.names.get(..self.products()).unwrap_or_default()
    }

    /// Index of the label `name`.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }
}

/// True for the labels that stand for no product.
pub fn is_reserved(label: &str) -> bool {
    label == UNKNOWN_LABEL || label == HAND_LABEL
}

/// One measured figure.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// What was measured, such as `cAcc`.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// The data it was measured on.
    pub data: String,
}

/// The file as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    task: Task,
    file: String,
    sha256: String,
    licence: String,
    source: String,
    precision: String,
    input: InputSpec,
    head: HeadSpec,
    #[serde(default)]
    nms: NmsSpec,
    thresholds: Option<Thresholds>,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    stages: Vec<String>,
    second: Option<SecondSpec>,
    #[serde(default)]
    metrics: Vec<Metric>,
}

/// A manifest that passed every check that needs no backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The engine's folder.
    pub dir: PathBuf,
    /// Name of the engine, lower case, digits, `-`, `_`, `.`.
    pub name: String,
    /// What the model is for.
    pub task: Task,
    /// The model's file name in `dir`.
    pub file: String,
    /// Of the model's bytes, lower case hex.
    pub sha256: String,
    /// SPDX expression or a sentence.
    pub licence: String,
    /// Where the model came from.
    pub source: String,
    /// `fp32`, `fp16` or `int8`.
    pub precision: String,
    /// How the model wants its picture.
    pub input: InputSpec,
    /// How its outputs are read.
    pub head: HeadSpec,
    /// How doubles are taken out.
    pub nms: NmsSpec,
    /// Limits chosen on validation data; of an engine without a score, ones that nothing passes.
    pub thresholds: Thresholds,
    /// Names of the classes; none for faces.
    pub labels: Labels,
    /// Folders in `dir` with the further nets of a cascade, in their order, each with a manifest of its own.
    pub stages: Vec<String>,
    /// When a detector's one stage looks at a box again, and what its word is worth.
    pub second: Option<SecondSpec>,
    /// What was measured, and on which data.
    pub metrics: Vec<Metric>,
}

impl Manifest {
    /// Reads and checks `dir/manifest.toml`. Doesn't touch the model: see [`Manifest::model_bytes`].
    pub fn load(dir: &Path) -> Result<Self, EngineError> {
        let path = dir.join(MANIFEST_FILE);
        let text = std::fs::read_to_string(&path).map_err(|e| {
            let (kind, hint) = match e.kind() {
                std::io::ErrorKind::NotFound => {
                    (EngineErrorKind::Missing, "; an engine is a folder with manifest.toml and its model")
                }
                _ => (EngineErrorKind::Manifest, ""),
            };
            EngineError::new(kind, path.display().to_string(), format!("can't be read: {e}{hint}"))
        })?;
        Self::parse(dir, &text)
    }

    /// As [`Manifest::load`], from the file's text.
    pub fn parse(dir: &Path, text: &str) -> Result<Self, EngineError> {
        let place = dir.join(MANIFEST_FILE).display().to_string();
        let raw: Raw = toml::from_str(text)
            .map_err(|e| EngineError::new(EngineErrorKind::Manifest, place.as_str(), e.to_string().trim_end()))?;
        raw.check().map_err(|m| EngineError::new(EngineErrorKind::Manifest, place, m))?;
        Ok(Self {
            dir: dir.to_path_buf(),
            name: raw.name,
            task: raw.task,
            file: raw.file,
            sha256: raw.sha256.to_ascii_lowercase(),
            licence: raw.licence,
            source: raw.source,
            precision: raw.precision,
            input: raw.input,
            head: raw.head,
            nms: raw.nms,
            thresholds: raw.thresholds.unwrap_or(Thresholds { score: 1.0, nms_iou: 0.0, sure: 1.0 }),
            labels: raw.labels,
            stages: raw.stages,
            second: raw.second,
            metrics: raw.metrics,
        })
    }

    /// Where the model lies.
    pub fn model_path(&self) -> PathBuf {
        self.dir.join(&self.file)
    }

    /// The model's bytes, read once and held against the manifest's hash, so that what is checked is what
    /// is loaded.
    pub fn model_bytes(&self) -> Result<Vec<u8>, EngineError> {
        let path = self.model_path();
        let place = path.display().to_string();
        let missing = |e: std::io::Error| {
            let kind = match e.kind() {
                std::io::ErrorKind::NotFound => EngineErrorKind::Missing,
                _ => EngineErrorKind::Model,
            };
            EngineError::new(kind, place.as_str(), format!("the model can't be read: {e}"))
        };
        let file = std::fs::File::open(&path).map_err(missing)?;
        let mut bytes = Vec::new();
        file.take(MODEL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(missing)?;
        if bytes.len() as u64 > MODEL_BYTES_MAX {
            let message = format!("the model is larger than {MODEL_BYTES_MAX} bytes");
            return Err(EngineError::new(EngineErrorKind::Model, place, message));
        }
        let found = hex(&Sha256::digest(&bytes));
        if found != self.sha256 {
            let message = format!(
                "the model's sha256 is {found} ({} bytes), the manifest says {}: the file is truncated or another one; \
                 copy the engine's folder anew",
                bytes.len(),
                self.sha256
            );
            return Err(EngineError::new(EngineErrorKind::Hash, place, message));
        }
        Ok(bytes)
    }
}

impl Raw {
    /// The first thing that is wrong, as a sentence that names the key.
    fn check(&self) -> Result<(), String> {
        let name_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(name_ok) {
            return Err(format!("name = {:?}: 1 to 64 of a-z, 0-9, '-', '_', '.'", self.name));
        }
        if !is_plain(&self.file) {
            return Err(format!("file = {:?}: the name of a file in the engine's own folder", self.file));
        }
        if let Some(stage) = self.stages.iter().find(|s| !is_plain(s)) {
            return Err(format!("stages: {stage:?}: the name of a folder in the engine's own folder"));
        }
        if self.sha256.len() != 64 || !self.sha256.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(format!("sha256 = {:?}: 64 hex digits, as sha256sum prints", self.sha256));
        }
        if !matches!(self.precision.as_str(), "fp32" | "fp16" | "int8") {
            return Err(format!("precision = {:?}: \"fp32\", \"fp16\" or \"int8\"", self.precision));
        }
        let i = &self.input;
        if i.name.is_empty() {
            return Err("[input] name: the name of the model's tensor, not empty".into());
        }
        for (key, side) in [("width", i.width), ("height", i.height)] {
            if side == 0 || side > INPUT_SIDE_MAX {
                return Err(format!("[input] {key} = {side}: 1 to {INPUT_SIDE_MAX} pixels"));
            }
        }
        if !i.mean.iter().all(|v| v.is_finite()) || !i.scale.iter().all(|v| v.is_finite() && *v != 0.0) {
            return Err("[input] mean and scale: finite numbers, no scale of 0".into());
        }
        match (&self.second, self.task, self.stages.len()) {
            (Some(second), Task::Detect, 1) => second.check()?,
            (None, Task::Detect, 0) => {}
            (None, Task::FaceDetect | Task::FaceEmbed | Task::FaceLiveness | Task::Classify, _) => {}
            _ => return Err("[second] and stages: a detector has both, with one stage, or neither".into()),
        }
        if (self.task == Task::Classify) != matches!(self.head, HeadSpec::Classes(_)) {
            return Err("task = \"classify\" and [head] kind = \"classes\" go together".into());
        }
        self.head.check()?;
        self.nms.check(self.thresholds.map_or(0.0, |t| t.nms_iou))?;
        let Some(t) = &self.thresholds else {
            return match self.task {
                Task::FaceEmbed | Task::Classify => self.check_labels(),
                Task::Detect | Task::FaceDetect | Task::FaceLiveness => Err("[thresholds] is missing".into()),
            };
        };
        // Written so that NaN fails too.
        if !(t.score > 0.0 && t.score <= 1.0) {
            return Err(format!("[thresholds] score = {}: above 0, at most 1", t.score));
        }
        for (key, value) in [("nms_iou", t.nms_iou), ("sure", t.sure)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("[thresholds] {key} = {value}: 0 to 1"));
            }
        }
        self.check_labels()
    }

    fn check_labels(&self) -> Result<(), String> {
        let names = &self.labels.names;
        if names.len() > LABELS_MAX {
            return Err(format!("[labels] names: {} labels, at most {LABELS_MAX}", names.len()));
        }
        let products = self.labels.products();
        if !matches!(self.task, Task::Detect | Task::Classify) {
            return match names.is_empty() {
                true => Ok(()),
                false => Err("[labels]: a face engine has none".into()),
            };
        }
        if products == 0 {
            return Err("[labels] names: no product; reserved labels come last".into());
        }
        let mut seen = HashSet::new();
        for (i, name) in names.iter().enumerate() {
            if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
                return Err(format!("[labels] names: label {i} is {name:?}: not empty, no space around it"));
            }
            if !seen.insert(name.as_str()) {
                return Err(format!("[labels] names: {name:?} stands there twice"));
            }
            if name.starts_with("__") && !is_reserved(name) {
                return Err(format!("[labels] names: {name:?}: only {UNKNOWN_LABEL} and {HAND_LABEL} begin with __"));
            }
            if i >= products && !is_reserved(name) {
                return Err(format!("[labels] names: {name:?} stands after a reserved label; those come last"));
            }
        }
        Ok(())
    }
}

/// True for the name of something in a folder: no path, no `..`.
fn is_plain(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|f| f == name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        // Writing to a String can't fail.
        let _ = write!(s, "{b:02x}");
        s
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "test-blobs"
task = "detect"
file = "model.onnx"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
licence = "Apache-2.0 OR MIT"
source = "made by hand"
precision = "fp32"
[input]
name = "images"
width = 64
height = 64
layout = "nchw"
colour = "rgb"
scale = [0.003921569, 0.003921569, 0.003921569]
fit = "letterbox"
[head]
kind = "yolo-v8"
output = "output0"
[thresholds]
score = 0.25
nms_iou = 0.5
sure = 0.6
[labels]
names = ["red", "green", "__unknown__", "__hand__"]
[[metrics]]
name = "cAcc"
value = 0.99
data = "test split"
"#;

    fn parse(text: &str) -> Result<Manifest, EngineError> {
        Manifest::parse(Path::new("engines/x"), text)
    }

    #[test]
    fn reads_the_schema() {
        let m = parse(GOOD).unwrap();
        assert_eq!((m.labels.products(), m.labels.index("__hand__")), (2, Some(3)));
        assert_eq!((m.input.pad, m.input.mean, m.metrics.len()), (114, [0.0; 3], 1));
        assert_eq!(m.model_path(), Path::new("engines/x/model.onnx"));
    }

    #[test]
    fn each_mistake_is_named() {
        for (from, to, word) in [
            ("name = \"test-blobs\"", "name = \"Test Blobs\"", "name = \"Test Blobs\""),
            ("task = \"detect\"", "task = \"embed\"", "embed"),
            ("file = \"model.onnx\"", "file = \"../model.onnx\"", "own folder"),
            ("9f86d081", "9f86", "64 hex digits"),
            ("precision = \"fp32\"", "precision = \"fp64\"", "fp64"),
            ("width = 64", "width = 0", "width = 0"),
            ("width = 64", "width = -1", "width"),
            ("width = 64", "widht = 64", "widht"),
            ("layout = \"nchw\"", "layout = \"hwc\"", "hwc"),
            ("scale = [0.003921569,", "scale = [0.0,", "scale of 0"),
            ("kind = \"yolo-v8\"", "kind = \"yolo-v9\"", "yolo-v8"),
            ("kind = \"yolo-v8\"", "kind = \"ssd\"", "output"),
            ("output = \"output0\"", "output = \"\"", "[head] output"),
            ("[thresholds]", "[nms]\nmethod = \"hard\"\n[thresholds]", "soft-gaussian"),
            ("[thresholds]", "[nms]\nsigma = 0.0\n[thresholds]", "[nms] sigma = 0"),
            ("[thresholds]", "[nms]\nacross_iou = nan\n[thresholds]", "[nms] across_iou = NaN"),
            ("[thresholds]", "[nms]\nvote = 0.4\n[thresholds]", "[nms] vote = 0.4: nms_iou (0.5) to 1"),
            ("[thresholds]", "[nms]\nvote = nan\n[thresholds]", "[nms] vote = NaN"),
            ("[thresholds]", "[nms]\nvote = 0.6\nmethod = \"soft-linear\"\n[thresholds]", "only with method greedy"),
            ("score = 0.25", "score = 0.0", "score = 0"),
            ("score = 0.25", "score = nan", "score = NaN"),
            ("nms_iou = 0.5", "nms_iou = 1.5", "nms_iou = 1.5"),
            ("sure = 0.6", "sure = nan", "sure = NaN"),
            ("\"green\"", "\"red\"", "\"red\" stands there twice"),
            ("\"green\"", "\"__green__\"", "__green__"),
            ("\"green\"", "\"\"", "label 1"),
            ("\"red\", \"green\", ", "", "no product"),
            ("\"green\", \"__unknown__\"", "\"__unknown__\", \"green\"", "come last"),
            ("value = 0.99", "value = \"high\"", "value"),
            ("[input]", "stages = [\"../rnet\"]\n[input]", "own folder"),
            ("task = \"detect\"", "task = \"classify\"", "go together"),
            ("[input]", "stages = [\"second\"]\n[input]", "a detector has both"),
            ("[input]", "[second]\nsure = 0.9\n[input]", "a detector has both"),
            ("[input]", "stages = [\"second\"]\n[second]\nsure = 0.4\n[input]", "[second] sure = 0.4"),
            ("[input]", "stages = [\"second\"]\n[second]\nsure = 0.9\nbelow = nan\n[input]", "[second] below = NaN"),
            ("[input]", "stages = [\"second\"]\n[second]\nsure = 0.9\naround = 9.0\n[input]", "[second] around = 9"),
            (
                "[input]",
                "stages = [\"second\"]\n[second]\nsure = 0.9\nboxes_max = 0\n[input]",
                "[second] boxes_max = 0",
            ),
            ("task = \"detect\"", "task = \"face-detect\"", "a face engine has none"),
            ("[thresholds]\nscore = 0.25\nnms_iou = 0.5\nsure = 0.6\n", "", "[thresholds] is missing"),
            ("source = \"made by hand\"", "", "source"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let e = parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert_eq!(e.kind, EngineErrorKind::Manifest);
            assert!(e.message.contains(word), "{to}: {}", e.message);
            assert!(e.place.ends_with("manifest.toml"));
        }
    }

    #[test]
    fn missing_truncated_and_changed_models_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::load(dir.path()).unwrap_err().kind, EngineErrorKind::Missing);
        std::fs::write(dir.path().join(MANIFEST_FILE), GOOD).unwrap();
        let m = Manifest::load(dir.path()).unwrap();
        let e = m.model_bytes().unwrap_err();
        assert_eq!(e.kind, EngineErrorKind::Missing);
        assert!(e.place.ends_with("model.onnx"));
        // The hash in GOOD is that of "test".
        std::fs::write(dir.path().join("model.onnx"), "test").unwrap();
        assert_eq!(m.model_bytes().unwrap(), b"test");
        std::fs::write(dir.path().join("model.onnx"), "tes").unwrap();
        let e = m.model_bytes().unwrap_err();
        assert_eq!(e.kind, EngineErrorKind::Hash);
        assert!(e.message.contains("3 bytes"), "{}", e.message);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_or_read_without_a_panic(text in "\\PC{0,300}") {
            let _ = parse(&text);
        }
    }
}
