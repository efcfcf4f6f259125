//! What the counter is told: `till.toml` and `conf.d/*.toml`, read as written (`raw`), then validated into
//! [`Config`], which alone travels on. Nothing here opens a device or looks whether a named file exists.
//! Every key stands in [`keys`], and `docs/configuration.md` is printed from there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use log::LevelFilter;

mod error;
pub mod keys;
mod load;
mod raw;
mod source;
mod validate;

pub use error::{ConfigError, ConfigErrorKind};
pub use source::redacted;

/// A valid configuration; paths are whole, limits kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who this counter is.
    pub counter: Counter,
    /// What sees the goods.
    pub tray: Tray,
    /// What sees members; `None` without a second camera.
    pub face: Option<Face>,
    /// The presence line and the load cell.
    pub trigger: Trigger,
    /// Lamp, buzzer and lock, as far as there are any.
    pub outputs: Vec<Output>,
    /// When a cart is charged.
    pub checkout: Checkout,
    /// The serial port to the POS.
    pub port: Port,
    /// What is said over it.
    pub link: Link,
    /// The log on disk.
    pub outbox: Outbox,
    /// Members.
    pub people: People,
    /// What is left out in heat.
    pub ladder: Ladder,
    /// What happens at an upgrade.
    pub upgrade: Upgrade,
    /// What is logged.
    pub log: Log,
    /// The files it was read from, in order.
    pub files: Vec<PathBuf>,
}

/// Who this counter is and where its files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Part of each sale's id, at least 1.
    pub id: u32,
    /// Folder of all that must survive a power cut.
    pub state_dir: PathBuf,
    /// The control socket.
    pub control: PathBuf,
    /// The catalogue as CSV.
    pub catalogue: PathBuf,
    /// ISO 4217, three capital letters.
    pub currency: [u8; 3],
}

/// What sees the goods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tray {
    /// The camera above the tray.
    pub camera: Camera,
    /// The engine that finds goods.
    pub engine: Engine,
}

/// What sees members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    /// The camera.
    pub camera: Camera,
    /// Folder of the engine that finds faces.
    pub detector: PathBuf,
    /// Folder of the engine that tells them apart.
    pub embedder: PathBuf,
    /// Folder of the engine that tells how alive a face looks.
    pub liveness: Option<PathBuf>,
}

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameraSource {
    /// A camera of the kernel.
    V4l2 {
        /// Its node or a link to it.
        path: PathBuf,
        /// Buffers of the driver.
        buffers: u32,
        /// What is set at each opening.
        controls: CameraControls,
    },
    /// The text of a GStreamer pipeline without its sink.
    Pipeline(String),
    /// Footage.
    File {
        /// The file.
        path: PathBuf,
        /// Whether it begins again when it ends.
        repeat: bool,
    },
    /// Address of a network camera; it may hold a password, so print it through [`redacted`].
    Rtsp(String),
    /// Sensor number of a CSI camera.
    Csi(u32),
    /// The test picture.
    Test,
}

/// A camera's controls; `None` leaves one as it is, -1 lets the camera choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraControls {
    /// Microseconds.
    pub exposure_us: Option<i32>,
    /// Kelvin.
    pub white_balance_k: Option<i32>,
    /// In the camera's own steps.
    pub focus: Option<i32>,
    /// In the camera's own steps.
    pub gain: Option<i32>,
    /// 50 or 60.
    pub power_line_hz: Option<i32>,
}

/// A camera and its deadlines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// Where pictures come from.
    pub source: CameraSource,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// Deadline of the first frame after opening.
    pub first_frame_ms_max: u64,
    /// Deadline of each further frame.
    pub stall_ms_max: u64,
    /// First wait before it is opened again.
    pub reopen_ms_min: u64,
    /// Longest wait before it is opened again.
    pub reopen_ms_max: u64,
}

/// Which library runs an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// TensorRT where it is built in and has a plan, else ONNX Runtime where its library is found, else rten.
    #[default]
    Auto,
    /// rten, always there.
    Rten,
    /// ONNX Runtime or nothing.
    OnnxRuntime,
    /// TensorRT or nothing.
    TensorRt,
}

impl Backend {
    /// As written in the configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rten => "rten",
            Self::OnnxRuntime => "onnxruntime",
            Self::TensorRt => "tensorrt",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        [Self::Auto, Self::Rten, Self::OnnxRuntime, Self::TensorRt]
            .into_iter()
            .find(|b| b.as_str() == s)
            .ok_or_else(|| format!("{s:?}: auto, rten, onnxruntime or tensorrt"))
    }
}

/// An engine and how it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Folder of model and manifest.
    pub dir: PathBuf,
    /// Which library runs it.
    pub backend: Backend,
    /// Whether to refuse to start without that library.
    pub require: bool,
    /// ONNX Runtime's library.
    pub ort_dylib: Option<PathBuf>,
    /// TensorRT's plans; `None` is `plans` in the counter's state folder.
    pub plans: Option<PathBuf>,
    /// Whether TensorRT's plan is FP32 rather than FP16.
    pub fp32: bool,
    /// Whether it is INT8.
    pub int8: Int8,
    /// The DLA core it is for.
    pub dla: Option<u8>,
    /// The store's own pictures.
    pub pictures: Option<PathBuf>,
    /// Threads of one inference, 1 to 8.
    pub threads: usize,
}

/// Whether TensorRT's plan computes in INT8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Int8 {
    /// It doesn't.
    #[default]
    No,
    /// Where the board is fast at it.
    IfFast,
    /// Always; a board that isn't fast at it refuses.
    Always,
}

/// Where lines and weight come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerSource {
    /// Nowhere.
    None,
    /// A script.
    Script(PathBuf),
    /// The box's own.
    Devices {
        /// The presence line, if there is one.
        presence: Option<Presence>,
        /// The load cell, if there is one.
        scale: Option<Scale>,
    },
}

impl TriggerSource {
    /// Whether the load on the tray is known.
    pub fn has_scale(&self) -> bool {
        matches!(self, Self::Script(_) | Self::Devices { scale: Some(_), .. })
    }
}

/// The presence line and how it is wired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Where it is.
    pub place: LinePlace,
    /// Low means that somebody is there.
    pub active_low: bool,
    /// What holds the line while nobody drives it, up or down; `None` leaves it as the board has it.
    pub pull_up: Option<bool>,
}

/// Where a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinePlace {
    /// The name that the device tree gives it; it must be there once.
    Named(String),
    /// A chip's device and the line's number on it.
    At(PathBuf, u32),
}

impl fmt::Display for LinePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "line {name}"),
            Self::At(chip, offset) => write!(f, "{} line {offset}", chip.display()),
        }
    }
}

/// Which load cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Where it is.
    pub source: ScaleSource,
    /// More than this it can't weigh, grams.
    pub max_g: i32,
}

/// Where a load cell is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScaleSource {
    /// A converter on IIO, by its name; `auto` is the only one.
    Iio(String),
    /// A scale on a serial line.
    Serial {
        /// The tty.
        path: PathBuf,
        /// Its speed.
        baud: u32,
        /// What it speaks.
        protocol: ScaleProtocol,
    },
}

impl fmt::Display for ScaleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iio(name) => write!(f, "iio {name}"),
            Self::Serial { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

/// What a scale says over its line without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleProtocol {
    /// Mettler Toledo's continuous output, which many other makers offer.
    Toledo,
    /// A&D's standard output.
    And,
}

/// Lines and load cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Where they come from.
    pub source: TriggerSource,
    /// How long a line must keep its level.
    pub debounce_ms: u64,
    /// Range within which the scale is quiet, in grams.
    pub quiet_g: i32,
    /// For how long.
    pub quiet_ms: u64,
    /// More than this on the tray is presence, in grams.
    pub load_present_g: i32,
}

/// A line that the counter drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `lamp`, `buzzer` or `lock`.
    pub name: &'static str,
    /// Where it is.
    pub place: LinePlace,
    /// Low is on.
    pub active_low: bool,
    /// What switches it on.
    pub on: Vec<Sign>,
    /// For how long after that came; 0 is as long as it lasts.
    pub pulse_ms: u64,
    /// How it is left when the daemon ends.
    pub safe: bool,
}

/// What an output may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A session.
    Live,
    /// A sale that was just paid.
    Paid,
    /// Something is in the way of a sale.
    Attention,
    /// The counter can't sell.
    Staff,
}

/// When a cart is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// How long a cart must not have changed.
    pub settle_ms: u64,
    /// Frames that must agree on a line.
    pub votes_min: u32,
    /// How long the tray must be empty.
    pub clear_ms: u64,
    /// How long doubt lasts before the shopper is told.
    pub attention_ms: u64,
}

/// The serial port to the POS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The device.
    pub path: PathBuf,
    /// Its speed.
    pub baud: u32,
}

/// What is said over the serial port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The key that the POS must have, too; `None` believes whoever holds the cable.
    pub key_file: Option<PathBuf>,
    /// Whether each offer goes with a picture.
    pub thumbnails: bool,
}

/// The log on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// Most that may wait.
    pub bytes_max: u64,
    /// Size at which a new file is begun.
    pub segment_bytes: u64,
}

/// Members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct People {
    /// The device key from elsewhere; `None` leaves it to the vault.
    pub key_file: Option<PathBuf>,
    /// Members who were not here for so many months are deleted.
    pub retention_months: u32,
    /// Share of the strangers who may be taken for a member, of a million.
    pub target_fpir_ppm: u32,
    /// Poses of an enrolment, in their order.
    pub poses: Vec<Facing>,
    /// Whether a member must show that they are alive.
    pub liveness: Liveness,
}

impl Default for People {
    /// As without a configuration.
    fn default() -> Self {
        validate::people_default()
    }
}

impl People {
    /// The target as a share.
    pub fn target_fpir(&self) -> f64 {
        f64::from(self.target_fpir_ppm) / 1e6
    }
}

/// A pose of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facing {
    /// At the camera.
    Front,
    /// To the person's right.
    Right,
    /// Down.
    Down,
    /// To the person's left.
    Left,
}

/// Whether a member must turn the head as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is asked, and counted how it went.
    Advisory,
    /// Nobody is named without it.
    Required,
    /// It is not asked.
    Off,
}

/// What is left out in heat, and with a weak supply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Load is shed from here on, degrees Celsius.
    pub warm_c: u64,
    /// Nothing is sold from here on, degrees Celsius.
    pub hot_c: u64,
    /// A weaker supply sheds load, too.
    pub supply_mv_min: u64,
    /// Between two steps down.
    pub down_s: u64,
    /// Of wellness before a step up.
    pub up_s: u64,
}

/// What happens when another version is installed. The package's script `rollback` reads it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// A version that does not get ready is left for the one before it.
    pub rollback: bool,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important thing.
    pub level: LevelFilter,
}
