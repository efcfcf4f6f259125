//! The configuration as written: optional everywhere, each value with the place it stands at. Unknown keys
//! are refused. Nothing but [`super::validate`] reads these structs.

use serde::Deserialize;
use toml::Spanned;

/// A value that may be absent, with its place in the files.
pub type Field<T> = Option<Spanned<T>>;

/// All files, merged.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Till {
    /// `[counter]`
    pub counter: Counter,
    /// `[tray.*]`
    pub tray: Tray,
    /// `[face.*]`
    pub face: Face,
    /// `[trigger]`
    pub trigger: Trigger,
    /// `[output.*]`
    pub output: Outputs,
    /// `[checkout]`
    pub checkout: Checkout,
    /// `[port]`
    pub port: Port,
    /// `[link]`
    pub link: Link,
    /// `[outbox]`
    pub outbox: Outbox,
    /// `[people]`
    pub people: People,
    /// `[ladder]`
    pub ladder: Ladder,
    /// `[upgrade]`
    pub upgrade: Upgrade,
    /// `[log]`
    pub log: Log,
}

/// `[tray.*]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tray {
    /// `[tray.camera]`
    pub camera: Camera,
    /// `[tray.engine]`
    pub engine: Engine,
}

/// `[face.*]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Face {
    /// `[face.camera]`
    pub camera: Option<Spanned<Camera>>,
    /// `[face.engine]`
    pub engine: FaceEngine,
}

/// `[counter]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counter {
    /// Number of this counter; it is part of each sale's id, so no two counters of a shop may share it.
    /// Default: 1.
    pub id: Field<i64>,
    /// Folder of the outbox and all that must survive a power cut.
    /// Default: "/var/lib/till".
    pub state_dir: Field<String>,
    /// Socket that `till status` asks.
    /// Default: "/run/till/ctl.sock".
    pub control: Field<String>,
    /// Products, prices and masses as CSV.
    /// Default: "/etc/till/catalogue.csv".
    pub catalogue: Field<String>,
    /// Currency of every price; a catalogue in another one is refused.
    /// Default: "KRW".
    pub currency: Field<String>,
}

/// `[tray.camera]` and `[face.camera]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Camera {
    /// A camera of the kernel, USB ones among them: its node or any link to it, looked up at each opening; the best of its formats for width, height and fps is taken.
    /// Default: none.
    pub v4l2: Field<String>,
    /// Any GStreamer pipeline, as for gst-launch-1.0 but without its sink.
    /// Default: none.
    pub pipeline: Field<String>,
    /// Footage instead of a camera.
    /// Default: none.
    pub file: Field<String>,
    /// Address of a network camera.
    /// Default: none.
    pub rtsp: Field<String>,
    /// Sensor number of a Jetson's CSI camera.
    /// Default: none.
    pub csi: Field<i64>,
    /// A moving test picture instead of a camera.
    /// Default: none.
    pub test: Field<bool>,
    /// Begin the footage of `file` again when it ends.
    /// Default: false.
    pub repeat: Field<bool>,
    /// Width asked of the camera.
    /// Unit: pixels. Default: 640.
    pub width: Field<i64>,
    /// Height asked of the camera.
    /// Unit: pixels. Default: 480.
    pub height: Field<i64>,
    /// Rate asked of the camera.
    /// Unit: frames a second. Default: 15.
    pub fps: Field<i64>,
    /// Buffers of the driver, beside v4l2.
    /// Unit: buffers. Default: 4.
    pub buffers: Field<i64>,
    /// Time of exposure, beside v4l2; -1 lets the camera choose, without it nothing is set. So with the next three. What the camera lacks or takes otherwise is a warning in the log.
    /// Unit: µs. Default: none.
    pub exposure_us: Field<i64>,
    /// Colour temperature of the light, beside v4l2; -1 lets the camera choose.
    /// Unit: K. Default: none.
    pub white_balance_k: Field<i64>,
    /// Focus, beside v4l2, in the camera's own steps as `till camera list` shows them; -1 lets the camera choose.
    /// Default: none.
    pub focus: Field<i64>,
    /// Gain, beside v4l2, in the camera's own steps; -1 lets the camera choose.
    /// Default: none.
    pub gain: Field<i64>,
    /// Frequency of the mains, against lamps that flicker, beside v4l2.
    /// Unit: Hz. Default: none.
    pub power_line_hz: Field<i64>,
    /// A camera that shows nothing for this long after opening is opened again.
    /// Unit: ms. Default: 5000.
    pub first_frame_ms_max: Field<i64>,
    /// A camera that shows nothing new for this long is opened again.
    /// Unit: ms. Default: 2000.
    pub stall_ms_max: Field<i64>,
    /// Wait before the first attempt to open again; it doubles with each failure.
    /// Unit: ms. Default: 200.
    pub reopen_ms_min: Field<i64>,
    /// Longest wait between two attempts.
    /// Unit: ms. Default: 5000.
    pub reopen_ms_max: Field<i64>,
}

/// `[tray.engine]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Folder of the engine: model.onnx and manifest.toml.
    /// Default: none, it must be written.
    pub dir: Field<String>,
    /// Library that runs it; auto takes TensorRT where it is built in and has a plan, else ONNX Runtime where it is found, else rten.
    /// Default: "auto".
    pub backend: Field<String>,
    /// Refuse to start without the named backend instead of taking another.
    /// Default: false.
    pub require: Field<bool>,
    /// Library of ONNX Runtime; without it ORT_DYLIB_PATH and the usual places are searched.
    /// Default: none.
    pub ort_dylib: Field<String>,
    /// Folder of TensorRT's plans; without it plans in counter.state_dir. A plan that appears there while the counter runs serves from the next idle moment on.
    /// Default: none.
    pub plans: Field<String>,
    /// How TensorRT's plan computes; int8 goes before it.
    /// Default: "fp16".
    pub precision: Field<String>,
    /// Whether the plan computes in INT8: where the board is fast at it, or always, which a board that isn't fast refuses.
    /// Default: "no".
    pub int8: Field<String>,
    /// DLA core that the plan is built for; -1 is the GPU.
    /// Default: -1.
    pub dla: Field<i64>,
    /// Folder of the store's own pictures: a fresh plan is compared with the CPU on them, and INT8 calibrated.
    /// Default: none.
    pub pictures: Field<String>,
    /// Threads of one inference.
    /// Unit: threads. Default: 2.
    pub threads: Field<i64>,
}

/// `[face.engine]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaceEngine {
    /// Folder of the engine that finds faces.
    /// Default: "/usr/share/till/engines/face-mtcnn".
    pub detector: Field<String>,
    /// Folder of the engine that tells faces apart, with the error rates measured for it (fmr.json).
    /// Default: "/usr/share/till/engines/face-mobilefacenet".
    pub embedder: Field<String>,
    /// Folder of the engine that tells how alive a face looks; without it people.liveness rests on the challenge alone.
    /// Default: none.
    pub liveness: Field<String>,
}

/// `[trigger]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trigger {
    /// Where lines and weight come from.
    /// Default: "none".
    pub source: Field<String>,
    /// Script that is played when source is "script".
    /// Default: none.
    pub script: Field<String>,
    /// A line counts as changed after it has kept its level for this long.
    /// Unit: ms. Default: 30.
    pub debounce_ms: Field<i64>,
    /// The scale is quiet while its readings stay within this range.
    /// Unit: g. Default: 3.
    pub quiet_g: Field<i64>,
    /// And for this long.
    /// Unit: ms. Default: 300.
    pub quiet_ms: Field<i64>,
    /// More than this on the tray counts as somebody being there.
    /// Unit: g. Default: 5.
    pub load_present_g: Field<i64>,
    /// `[trigger.presence]`
    pub presence: Option<Presence>,
    /// `[trigger.scale]`
    pub scale: Option<Scale>,
}

/// `[trigger.presence]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// Name of the GPIO line, as gpioinfo shows it; or chip and offset.
    /// Default: none.
    pub line: Field<String>,
    /// Device of the GPIO chip.
    /// Default: none.
    pub chip: Field<String>,
    /// Number of the line on chip.
    /// Default: none.
    pub offset: Field<i64>,
    /// A low level means that somebody is there.
    /// Default: false.
    pub active_low: Field<bool>,
    /// What holds the line while nothing drives it; kernels before 5.5 know none but as-is.
    /// Default: "as-is".
    pub pull: Field<String>,
}

/// `[trigger.scale]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scale {
    /// A bridge converter on the kernel's IIO, or a scale with Mettler Toledo's continuous or A&D's standard output on a serial line.
    /// Default: none, it must be written.
    pub kind: Field<String>,
    /// Name of the converter, such as hx711; auto takes the only one.
    /// Default: "auto".
    pub device: Field<String>,
    /// The serial device of the scale.
    /// Default: "/dev/till/scale".
    pub path: Field<String>,
    /// Its speed.
    /// Unit: baud. Default: 9600.
    pub baud: Field<i64>,
    /// More than this it can't weigh: the shopper is told, and nothing is sold.
    /// Unit: g. Default: 15000.
    pub max_g: Field<i64>,
}

/// `[output.*]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outputs {
    /// `[output.lamp]`
    pub lamp: Option<Output>,
    /// `[output.buzzer]`
    pub buzzer: Option<Output>,
    /// `[output.lock]`
    pub lock: Option<Output>,
}

/// `[output.lamp]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Name of the GPIO line, as gpioinfo shows it; or chip and offset.
    /// Default: none.
    pub line: Field<String>,
    /// Device of the GPIO chip.
    /// Default: none.
    pub chip: Field<String>,
    /// Number of the line on chip.
    /// Default: none.
    pub offset: Field<i64>,
    /// A low level switches it on.
    /// Default: false.
    pub active_low: Field<bool>,
    /// What switches it on: live is a session, paid a sale that was just paid, attention something in the way of a sale, staff a counter that can't sell.
    /// Default: none, it must be written.
    pub on: Field<String>,
    /// It stays on for so long after that came, and no longer; 0 is as long as that lasts.
    /// Unit: ms. Default: 0.
    pub pulse_ms: Field<i64>,
    /// How it is left when the daemon ends.
    /// Default: "off".
    pub safe: Field<String>,
}

/// `[checkout]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checkout {
    /// A cart is offered after it has not changed for this long.
    /// Unit: ms. Default: 800.
    pub settle_ms: Field<i64>,
    /// Frames that must agree on a line before it counts.
    /// Unit: frames. Default: 5.
    pub votes_min: Field<i64>,
    /// The tray must be empty for this long before the next sale.
    /// Unit: ms. Default: 1000.
    pub clear_ms: Field<i64>,
    /// Doubt that lasts this long is shown to the shopper.
    /// Unit: ms. Default: 1500.
    pub attention_ms: Field<i64>,
}

/// `[port]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Port {
    /// The serial device.
    /// Default: "/dev/till/pos".
    pub path: Field<String>,
    /// Its speed.
    /// Unit: baud. Default: 115200.
    pub baud: Field<i64>,
}

/// `[link]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// Talk only to a POS that proves that it has the key.
    /// Default: false.
    pub secure: Field<bool>,
    /// The key, shared with the POS; only its owner may be able to read it.
    /// Default: none.
    pub key_file: Field<String>,
    /// Send the POS a small picture of the tray with each offer.
    /// Default: false.
    pub thumbnails: Field<bool>,
}

/// `[outbox]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbox {
    /// Most that may wait on disk; when it is reached, selling stops.
    /// Unit: bytes. Default: 16777216.
    pub bytes_max: Field<i64>,
    /// Size at which a new file is begun; at most half of bytes_max.
    /// Unit: bytes. Default: 1048576.
    pub segment_bytes: Field<i64>,
}

/// `[people]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct People {
    /// The device key of the members' vault, 32 bytes that only the daemon's user can read, such as a credential of systemd; without it the vault makes its own.
    /// Default: none.
    pub key_file: Field<String>,
    /// `till people expire` deletes members who were not here for so many months of 30 days.
    /// Unit: months. Default: 12.
    pub retention_months: Field<i64>,
    /// Share of the strangers who may be taken for a member; each day's threshold follows from it, from the measured error rates and from the number of members.
    /// Unit: per million. Default: 3000.
    pub target_fpir_ppm: Field<i64>,
    /// Poses of an enrolment in their order, of front, right, down and left; front comes first.
    /// Default: "front, right, down, left".
    pub poses: Field<String>,
    /// Whether a member must turn the head as asked: advisory asks and counts how it went, required names nobody who did not do it, off does not ask.
    /// Default: "advisory".
    pub liveness: Field<String>,
}

/// `[ladder]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ladder {
    /// From this heat of the hottest zone on, load is shed step by step; five degrees below it comes back.
    /// Unit: degrees C. Default: 75.
    pub warm_c: Field<i64>,
    /// From this heat on nothing is sold, and staff is called; more than warm_c.
    /// Unit: degrees C. Default: 88.
    pub hot_c: Field<i64>,
    /// Below this at the board's input, where it is measured, load is shed, too, but sales go on.
    /// Unit: mV. Default: 4750.
    pub supply_mv_min: Field<i64>,
    /// Time between two steps down.
    /// Unit: s. Default: 10.
    pub down_s: Field<i64>,
    /// All must have been well for so long before a step up.
    /// Unit: s. Default: 60.
    pub up_s: Field<i64>,
}

/// `[upgrade]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upgrade {
    /// A new version that does not get ready is left for the one before it.
    /// Default: true.
    pub rollback: Field<bool>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least important thing that is logged.
    /// Default: "info".
    pub level: Field<String>,
}
