//! Every key of the configuration, once: what it is for, its unit, its default and what is allowed. The
//! validation takes its limits and defaults from here, error messages say what is allowed from here, and
//! `docs/configuration.md` is printed from here. A test holds the structs of `raw` to it.

use std::fmt;

/// What may stand behind a key.
#[derive(Clone, Copy, Debug)]
pub enum Allowed {
    /// A whole number from the first to the second, both included.
    Int(i64, i64),
    /// One of these numbers.
    Numbers(&'static [i64]),
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A file or folder; a relative one starts at the folder of the file it is written in.
    Path,
    /// Text, described by this.
    Text(&'static str),
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// This number.
    Int(i64),
    /// This switch.
    Bool(bool),
    /// This text or path.
    Text(&'static str),
    /// Nothing; the key may stay away.
    None,
    /// The key must be written.
    Required,
}

/// One key of one section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The section, without brackets. `tray.camera` also describes `face.camera`.
    pub section: &'static str,
    /// The key.
    pub name: &'static str,
    /// What it is for: one sentence.
    pub what: &'static str,
    /// Unit of its number; empty where there is none.
    pub unit: &'static str,
    /// What may stand there.
    pub allowed: Allowed,
    /// What holds without it.
    pub default: Fallback,
}

/// The sections in the order of the docs; the second is the one whose keys it has.
pub const SECTIONS: &[(&str, &str, &str)] = &[
    ("counter", "counter", "Who this counter is and where its files lie."),
    (
        "tray.camera",
        "tray.camera",
        "The camera above the tray: exactly one of `v4l2`, `pipeline`, `file`, `rtsp`, `csi`, `test`.",
    ),
    ("tray.engine", "tray.engine", "The engine that finds goods on the tray."),
    ("face.camera", "tray.camera", "The camera for members; leave the section out where there is none."),
    ("face.engine", "face.engine", "The engines that find a face and tell whose it is."),
    ("trigger", "trigger", "The presence line and the load cell."),
    (
        "trigger.presence",
        "trigger.presence",
        "The presence line, with source \"devices\"; leave the section out where there is none.",
    ),
    (
        "trigger.scale",
        "trigger.scale",
        "The load cell, with source \"devices\"; leave the section out where there is none.",
    ),
    ("output.lamp", "output.lamp", "A status lamp on a GPIO line; leave the section out where there is none."),
    ("output.buzzer", "output.lamp", "A buzzer on a GPIO line; leave the section out where there is none."),
    ("output.lock", "output.lamp", "A gate's lock on a GPIO line; leave the section out where there is none."),
    ("checkout", "checkout", "When a cart is stable enough to be charged."),
    ("port", "port", "The serial port to the POS."),
    ("link", "link", "What is said over the serial port, and to whom."),
    ("outbox", "outbox", "The log on disk that every durable message enters before it is sent."),
    ("people", "people", "Members: who agreed to be recognised."),
    (
        "ladder",
        "ladder",
        "What is left out before the board throttles or goes off: the rate first, then members, then sales.",
    ),
    ("upgrade", "upgrade", "What happens when another version of the package is installed."),
    ("log", "log", "What is logged."),
];

/// Keys of a camera of which exactly one must be written.
pub const SOURCES: &[&str] = &["v4l2", "pipeline", "file", "rtsp", "csi", "test"];

const fn key(
    section: &'static str,
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    allowed: Allowed,
    default: Fallback,
) -> Key {
    Key { section, name, what, unit, allowed, default }
}

use Allowed::{Bool, Int, Numbers, Path, Text, Words};

/// Every key.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("counter", "id", "Number of this counter; it is part of each sale's id, so no two counters of a shop may share it.", "", Int(1, 4_294_967_295), Fallback::Int(1)),
    key("counter", "state_dir", "Folder of the outbox and all that must survive a power cut.", "", Path, Fallback::Text("/var/lib/till")),
    key("counter", "control", "Socket that `till status` asks.", "", Path, Fallback::Text("/run/till/ctl.sock")),
    key("counter", "catalogue", "Products, prices and masses as CSV.", "", Path, Fallback::Text("/etc/till/catalogue.csv")),
    key("counter", "currency", "Currency of every price; a catalogue in another one is refused.", "", Text("three capital letters of ISO 4217, such as \"KRW\""), Fallback::Text("KRW")),

    key("tray.camera", "v4l2", "A camera of the kernel, USB ones among them: its node or any link to it, looked up at each opening; the best of its formats for width, height and fps is taken.", "", Path, Fallback::None),
    key("tray.camera", "pipeline", "Any GStreamer pipeline, as for gst-launch-1.0 but without its sink.", "", Text("the text of a pipeline"), Fallback::None),
    key("tray.camera", "file", "Footage instead of a camera.", "", Path, Fallback::None),
    key("tray.camera", "rtsp", "Address of a network camera.", "", Text("an address that begins with rtsp:// or rtsps://"), Fallback::None),
    key("tray.camera", "csi", "Sensor number of a Jetson's CSI camera.", "", Int(0, 7), Fallback::None),
    key("tray.camera", "test", "A moving test picture instead of a camera.", "", Words(&["true"]), Fallback::None),
    key("tray.camera", "repeat", "Begin the footage of `file` again when it ends.", "", Bool, Fallback::Bool(false)),
    key("tray.camera", "width", "Width asked of the camera.", "pixels", Int(64, 4096), Fallback::Int(640)),
    key("tray.camera", "height", "Height asked of the camera.", "pixels", Int(64, 4096), Fallback::Int(480)),
    key("tray.camera", "fps", "Rate asked of the camera.", "frames a second", Int(1, 120), Fallback::Int(15)),
    key("tray.camera", "buffers", "Buffers of the driver, beside v4l2.", "buffers", Int(2, 16), Fallback::Int(4)),
    key("tray.camera", "exposure_us", "Time of exposure, beside v4l2; -1 lets the camera choose, without it nothing is set. So with the next three. What the camera lacks or takes otherwise is a warning in the log.", "µs", Int(-1, 1_000_000), Fallback::None),
    key("tray.camera", "white_balance_k", "Colour temperature of the light, beside v4l2; -1 lets the camera choose.", "K", Int(-1, 20_000), Fallback::None),
    key("tray.camera", "focus", "Focus, beside v4l2, in the camera's own steps as `till camera list` shows them; -1 lets the camera choose.", "", Int(-1, 65_535), Fallback::None),
    key("tray.camera", "gain", "Gain, beside v4l2, in the camera's own steps; -1 lets the camera choose.", "", Int(-1, 65_535), Fallback::None),
    key("tray.camera", "power_line_hz", "Frequency of the mains, against lamps that flicker, beside v4l2.", "Hz", Numbers(&[50, 60]), Fallback::None),
    key("tray.camera", "first_frame_ms_max", "A camera that shows nothing for this long after opening is opened again.", "ms", Int(100, 120_000), Fallback::Int(5000)),
    key("tray.camera", "stall_ms_max", "A camera that shows nothing new for this long is opened again.", "ms", Int(100, 120_000), Fallback::Int(2000)),
    key("tray.camera", "reopen_ms_min", "Wait before the first attempt to open again; it doubles with each failure.", "ms", Int(10, 60_000), Fallback::Int(200)),
    key("tray.camera", "reopen_ms_max", "Longest wait between two attempts.", "ms", Int(10, 600_000), Fallback::Int(5000)),

    key("tray.engine", "dir", "Folder of the engine: model.onnx and manifest.toml.", "", Path, Fallback::Required),
    key("tray.engine", "backend", "Library that runs it; auto takes TensorRT where it is built in and has a plan, else ONNX Runtime where it is found, else rten.", "", Words(&["auto", "rten", "onnxruntime", "tensorrt"]), Fallback::Text("auto")),
    key("tray.engine", "require", "Refuse to start without the named backend instead of taking another.", "", Bool, Fallback::Bool(false)),
    key("tray.engine", "ort_dylib", "Library of ONNX Runtime; without it ORT_DYLIB_PATH and the usual places are searched.", "", Path, Fallback::None),
    key("tray.engine", "plans", "Folder of TensorRT's plans; without it plans in counter.state_dir. A plan that appears there while the counter runs serves from the next idle moment on.", "", Path, Fallback::None),
    key("tray.engine", "precision", "How TensorRT's plan computes; int8 goes before it.", "", Words(&["fp16", "fp32"]), Fallback::Text("fp16")),
    key("tray.engine", "int8", "Whether the plan computes in INT8: where the board is fast at it, or always, which a board that isn't fast refuses.", "", Words(&["no", "if-fast", "always"]), Fallback::Text("no")),
    key("tray.engine", "dla", "DLA core that the plan is built for; -1 is the GPU.", "", Int(-1, 3), Fallback::Int(-1)),
    key("tray.engine", "pictures", "Folder of the store's own pictures: a fresh plan is compared with the CPU on them, and INT8 calibrated.", "", Path, Fallback::None),
    key("tray.engine", "threads", "Threads of one inference.", "threads", Int(1, 8), Fallback::Int(2)),

    key("face.engine", "detector", "Folder of the engine that finds faces.", "", Path, Fallback::Text("/usr/share/till/engines/face-mtcnn")),
    key("face.engine", "embedder", "Folder of the engine that tells faces apart, with the error rates measured for it (fmr.json).", "", Path, Fallback::Text("/usr/share/till/engines/face-mobilefacenet")),
    key("face.engine", "liveness", "Folder of the engine that tells how alive a face looks; without it people.liveness rests on the challenge alone.", "", Path, Fallback::None),

    key("trigger", "source", "Where lines and weight come from.", "", Words(&["none", "script", "devices"]), Fallback::Text("none")),
    key("trigger", "script", "Script that is played when source is \"script\".", "", Path, Fallback::None),
    key("trigger", "debounce_ms", "A line counts as changed after it has kept its level for this long.", "ms", Int(0, 1000), Fallback::Int(30)),
    key("trigger", "quiet_g", "The scale is quiet while its readings stay within this range.", "g", Int(0, 1000), Fallback::Int(3)),
    key("trigger", "quiet_ms", "And for this long.", "ms", Int(0, 10_000), Fallback::Int(300)),
    key("trigger", "load_present_g", "More than this on the tray counts as somebody being there.", "g", Int(1, 10_000), Fallback::Int(5)),

    key("trigger.presence", "line", "Name of the GPIO line, as gpioinfo shows it; or chip and offset.", "", Text("the name of a line"), Fallback::None),
    key("trigger.presence", "chip", "Device of the GPIO chip.", "", Path, Fallback::None),
    key("trigger.presence", "offset", "Number of the line on chip.", "", Int(0, 65_535), Fallback::None),
    key("trigger.presence", "active_low", "A low level means that somebody is there.", "", Bool, Fallback::Bool(false)),
    key("trigger.presence", "pull", "What holds the line while nothing drives it; kernels before 5.5 know none but as-is.", "", Words(&["as-is", "up", "down"]), Fallback::Text("as-is")),

    key("trigger.scale", "kind", "A bridge converter on the kernel's IIO, or a scale with Mettler Toledo's continuous or A&D's standard output on a serial line.", "", Words(&["iio", "toledo", "and"]), Fallback::Required),
    key("trigger.scale", "device", "Name of the converter, such as hx711; auto takes the only one.", "", Text("the name of a converter"), Fallback::Text("auto")),
    key("trigger.scale", "path", "The serial device of the scale.", "", Path, Fallback::Text("/dev/till/scale")),
    key("trigger.scale", "baud", "Its speed.", "baud", Numbers(&[1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200]), Fallback::Int(9_600)),
    key("trigger.scale", "max_g", "More than this it can't weigh: the shopper is told, and nothing is sold.", "g", Int(100, 100_000), Fallback::Int(15_000)),

    key("output.lamp", "line", "Name of the GPIO line, as gpioinfo shows it; or chip and offset.", "", Text("the name of a line"), Fallback::None),
    key("output.lamp", "chip", "Device of the GPIO chip.", "", Path, Fallback::None),
    key("output.lamp", "offset", "Number of the line on chip.", "", Int(0, 65_535), Fallback::None),
    key("output.lamp", "active_low", "A low level switches it on.", "", Bool, Fallback::Bool(false)),
    key("output.lamp", "on", "What switches it on: live is a session, paid a sale that was just paid, attention something in the way of a sale, staff a counter that can't sell.", "", Text("any of live, paid, attention, staff, each once, with commas between them"), Fallback::Required),
    key("output.lamp", "pulse_ms", "It stays on for so long after that came, and no longer; 0 is as long as that lasts.", "ms", Int(0, 600_000), Fallback::Int(0)),
    key("output.lamp", "safe", "How it is left when the daemon ends.", "", Words(&["off", "on"]), Fallback::Text("off")),

    key("checkout", "settle_ms", "A cart is offered after it has not changed for this long.", "ms", Int(100, 30_000), Fallback::Int(800)),
    key("checkout", "votes_min", "Frames that must agree on a line before it counts.", "frames", Int(1, 100), Fallback::Int(5)),
    key("checkout", "clear_ms", "The tray must be empty for this long before the next sale.", "ms", Int(0, 60_000), Fallback::Int(1000)),
    key("checkout", "attention_ms", "Doubt that lasts this long is shown to the shopper.", "ms", Int(0, 60_000), Fallback::Int(1500)),

    key("port", "path", "The serial device.", "", Path, Fallback::Text("/dev/till/pos")),
    key("port", "baud", "Its speed.", "baud", Numbers(&[19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600]), Fallback::Int(115_200)),

    key("link", "secure", "Talk only to a POS that proves that it has the key.", "", Bool, Fallback::Bool(false)),
    key("link", "key_file", "The key, shared with the POS; only its owner may be able to read it.", "", Path, Fallback::None),

    key("link", "thumbnails", "Send the POS a small picture of the tray with each offer.", "", Bool, Fallback::Bool(false)),

    key("outbox", "bytes_max", "Most that may wait on disk; when it is reached, selling stops.", "bytes", Int(1_048_576, 1_073_741_824), Fallback::Int(16_777_216)),
    key("outbox", "segment_bytes", "Size at which a new file is begun; at most half of bytes_max.", "bytes", Int(65_536, 67_108_864), Fallback::Int(1_048_576)),

    key("people", "key_file", "The device key of the members' vault, 32 bytes that only the daemon's user can read, such as a credential of systemd; without it the vault makes its own.", "", Path, Fallback::None),
    key("people", "retention_months", "`till people expire` deletes members who were not here for so many months of 30 days.", "months", Int(1, 120), Fallback::Int(12)),
    key("people", "target_fpir_ppm", "Share of the strangers who may be taken for a member; each day's threshold follows from it, from the measured error rates and from the number of members.", "per million", Int(1, 100_000), Fallback::Int(3_000)),
    key("people", "poses", "Poses of an enrolment in their order, of front, right, down and left; front comes first.", "", Text("front, then any of right, down, left, each once, with commas between them"), Fallback::Text("front, right, down, left")),
    key("people", "liveness", "Whether a member must turn the head as asked: advisory asks and counts how it went, required names nobody who did not do it, off does not ask.", "", Words(&["advisory", "required", "off"]), Fallback::Text("advisory")),

    key("ladder", "warm_c", "From this heat of the hottest zone on, load is shed step by step; five degrees below it comes back.", "degrees C", Int(30, 110), Fallback::Int(75)),
    key("ladder", "hot_c", "From this heat on nothing is sold, and staff is called; more than warm_c.", "degrees C", Int(31, 120), Fallback::Int(88)),
    key("ladder", "supply_mv_min", "Below this at the board's input, where it is measured, load is shed, too, but sales go on.", "mV", Int(0, 60_000), Fallback::Int(4_750)),
    key("ladder", "down_s", "Time between two steps down.", "s", Int(1, 600), Fallback::Int(10)),
    key("ladder", "up_s", "All must have been well for so long before a step up.", "s", Int(1, 3_600), Fallback::Int(60)),

    key("upgrade", "rollback", "A new version that does not get ready is left for the one before it.", "", Bool, Fallback::Bool(true)),

    key("log", "level", "The least important thing that is logged.", "", Words(&["error", "warn", "info", "debug", "trace"]), Fallback::Text("info")),
];

/// The keys of `section`.
pub fn of(section: &str) -> impl Iterator<Item = &'static Key> {
    let described = SECTIONS.iter().find(|s| s.0 == section).map_or("", |s| s.1);
    KEYS.iter().filter(move |k| k.section == described)
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Int(min, max) => write!(f, "{min} to {max}"),
            Numbers(all) => f.write_str(&all.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(", ")),
            Bool => f.write_str("true, false"),
            Words(["true"]) => f.write_str("true"),
            Words(all) => f.write_str(&all.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(", ")),
            Path => f.write_str("a path"),
            Text(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Text(t) => write!(f, "{t:?}"),
            Self::None => f.write_str("none"),
            Self::Required => f.write_str("none, it must be written"),
        }
    }
}

/// `docs/configuration.md`.
pub fn page() -> String {
    let mut page = String::from(PREFACE);
    for (section, described, about) in SECTIONS {
        page.push_str(&format!("\n## `[{section}]`\n\n{about}\n"));
        if section != described {
            page.push_str(&format!("\nThe keys are those of `[{described}]`.\n"));
            continue;
        }
        page.push_str("\n| key | what | unit | default | allowed |\n|---|---|---|---|---|\n");
        for k in of(section) {
            let (default, allowed) = (k.default, k.allowed);
            page.push_str(&format!("| `{}` | {} | {} | {default} | {allowed} |\n", k.name, k.what, k.unit));
        }
    }
    page
}

const PREFACE: &str = "\
# Configuration

<!-- Printed from src/config/keys.rs; a test compares it. Change the list there and run the tests with TILL_BLESS=1. -->

`till run --config FILE` reads `FILE` (`/etc/till/till.toml` on an appliance) and then every `*.toml` of the folder
`conf.d` beside it, in the order of their names. A later file wins key by key; a camera's source in a later file takes
the place of the source in an earlier one. A relative path starts at the folder of the file it is written in. Unknown
keys and sections are refused: `till config check --config FILE` says file, line, key, what was found and what is
allowed, and exits with 3. SIGHUP reloads the catalogue and the log level; everything else holds from the next start on.
";
