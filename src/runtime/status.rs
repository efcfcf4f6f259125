//! What `till status` tells, gathered from the atomics of the threads and the counter's last word.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use till_link::message::Text;
use till_link::{Precision, Rung};

use crate::capture::run::Stats;
use crate::checkout::RunsOn;
use crate::machine::ladder::Load;
use crate::vision::TrayVision;

/// The whole answer; one JSON object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// `till.status/1`.
    pub schema: String,
    /// Of the program.
    pub version: String,
    /// Since the daemon started, seconds.
    pub uptime_s: u64,
    /// Resident memory of the process, bytes.
    pub rss_bytes: u64,
    /// Where the session stands.
    pub session: SessionStatus,
    /// What runs the detector.
    pub engine: EngineStatus,
    /// The cameras.
    pub cameras: Vec<CameraStatus>,
    /// Presence line and scale; absent where a script plays them, or there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerStatus>,
    /// What recognises members; absent without a face camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face: Option<FaceStatus>,
    /// What is left out in heat.
    #[serde(default)]
    pub load: LoadStatus,
    /// Lamp, buzzer and lock, as far as there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputStatus>,
    /// The link to the POS.
    pub link: LinkStatus,
    /// The books.
    pub outbox: OutboxStatus,
    /// Each thread and how long it has been silent.
    pub threads: Vec<ThreadStatus>,
}

/// Where the session stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SessionStatus {
    /// A state of the session table.
    pub phase: String,
    /// The sale's id, unless idle.
    pub sale: Option<String>,
    /// What is in the way.
    pub attention: Option<String>,
    /// A person at the POS has seen it and comes.
    #[serde(default)]
    pub acknowledged: bool,
    /// Lines in the cart.
    pub lines: usize,
    /// Their sum, minor units.
    pub total_minor: i64,
}

/// What runs the detector.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Of the engine.
    pub name: String,
    /// `onnxruntime`, `rten`, `tensorrt`, or `none` in staff mode.
    pub backend: String,
    /// How it computes: TensorRT's plan's word, else the manifest's; `none` in staff mode.
    pub precision: String,
    /// Why no better backend runs it, where one was tried.
    #[serde(default)]
    pub reason: Option<String>,
    /// TensorRT's plans that were set aside, each with its reason.
    #[serde(default)]
    pub quarantined: Vec<String>,
    /// Frames that went through it.
    pub frames: u64,
    /// Failed inferences.
    pub failures: u64,
    /// Observations that a full channel refused.
    pub overloads: u64,
    /// Capture to observation, median, milliseconds.
    pub latency_ms_p50: Option<f64>,
    /// Capture to observation, 99th percentile, milliseconds.
    pub latency_ms_p99: Option<f64>,
}

/// What runs the detector from now on.
#[derive(Clone, Debug)]
pub struct Running {
    /// As in [`EngineStatus`].
    pub backend: &'static str,
    /// As in [`EngineStatus`].
    pub precision: String,
    /// As in [`EngineStatus`].
    pub reason: Option<String>,
}

impl Running {
    /// What `vision` runs on, and why on no better one.
    pub fn of(vision: &TrayVision, reason: Option<String>) -> Self {
        Self { backend: vision.backend(), precision: vision.precision().to_owned(), reason }
    }

    /// As the POS hears it, its reason cut to what fits.
    pub fn runs_on(&self) -> RunsOn {
        let rung = match self.backend {
            "tensorrt" => Rung::TensorRt,
            "onnxruntime" => Rung::OnnxRuntime,
            _ => Rung::Rten,
        };
        let precision = match self.precision.as_str() {
            "fp16" => Precision::Fp16,
            "int8" => Precision::Int8,
            _ => Precision::Fp32,
        };
        let mut reason = Text::new();
        // The first that doesn't fit ends it.
        let _ = self.reason.iter().flat_map(|reason| reason.chars()).try_for_each(|c| reason.push(c));
        RunsOn { rung, precision, reason }
    }
}

impl EngineStatus {
    /// Another engine took over.
    pub fn run_on(&mut self, running: Running) {
        self.backend = running.backend.to_owned();
        self.precision = running.precision;
        self.reason = running.reason;
    }
}

/// A camera.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CameraStatus {
    /// `tray` or `face`.
    pub role: String,
    /// opening, streaming, stalled, lost, ended, or asleep: the face camera while nobody asks.
    pub state: String,
    /// Frames that arrived.
    pub frames: u64,
    /// Frames that a newer one replaced before vision took them: usual while it sleeps.
    pub overwritten: u64,
    /// Frames that camera or driver lost.
    pub gaps: u64,
    /// Frames that came damaged and were left out.
    #[serde(default)]
    pub damaged: u64,
    /// Openings after the first.
    pub reopened: u64,
}

/// Presence line and scale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerStatus {
    /// Which line, if there is one.
    pub line: Option<String>,
    /// Its level: somebody is there.
    pub presence: bool,
    /// Why it can't be read.
    pub line_error: Option<String>,
    /// Which scale, if there is one.
    pub scale: Option<String>,
    /// Its last reading, grams.
    pub grams: Option<i32>,
    /// Why it can't be read.
    pub scale_error: Option<String>,
}

/// What is left out in heat and with a weak supply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadStatus {
    /// The rung.
    pub rung: Load,
    /// Why it is not `full`.
    pub reason: Option<String>,
    /// Steps since the start.
    pub steps: u64,
}

/// A line that is driven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputStatus {
    /// `lamp`, `buzzer` or `lock`.
    pub name: String,
    /// Which line.
    pub line: String,
    /// Whether it is on; `None` while it can't be driven.
    pub on: Option<bool>,
    /// Why it can't.
    pub error: Option<String>,
}

/// What recognises members.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FaceStatus {
    /// People who can be recognised, as read at the start and at the last question.
    pub members: u64,
    /// People who can't, because they were enrolled with another network.
    #[serde(default)]
    pub enrol_again: u64,
    /// People whose records do not open.
    #[serde(default)]
    pub damaged: u64,
    /// Frames that were looked at.
    pub frames: u64,
    /// Failed inferences, and members that could not be read.
    pub failures: u64,
    /// Recognised people who turned as asked.
    #[serde(default)]
    pub live: u64,
    /// And who did not, or looked like a picture.
    #[serde(default)]
    pub not_live: u64,
}

impl CameraStatus {
    /// Of the camera called `role`.
    pub fn of(role: &str, stats: &Stats) -> Self {
        Self {
            role: role.into(),
            state: stats.state().as_str().to_owned(),
            frames: stats.frames.load(Ordering::Relaxed),
            overwritten: stats.overwritten.load(Ordering::Relaxed),
            gaps: stats.gaps.load(Ordering::Relaxed),
            damaged: stats.damaged.load(Ordering::Relaxed),
            reopened: stats.reopened.load(Ordering::Relaxed),
        }
    }

    /// Whether it is as it should be: pictures come, footage has come to its end, or nobody asks for any.
    pub fn delivers(&self) -> bool {
        matches!(self.state.as_str(), "streaming" | "ended" | "asleep")
    }
}

/// The link to the POS.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The device.
    pub port: String,
    /// Whether the ends talk.
    pub up: bool,
    /// Why the port can't be opened.
    pub error: Option<String>,
    /// Round trip with the POS's disk in it, milliseconds.
    pub rtt_ms: u32,
    /// Whether the POS must prove that it has the key.
    #[serde(default)]
    pub secured: bool,
    /// Why the ends do not talk, since the link was last up: Version, Schema, Counter, Role, Security or Key.
    #[serde(default)]
    pub refused: Option<String>,
    /// Whole frames that were not proved to be the POS's.
    #[serde(default)]
    pub bad_macs: u64,
    /// Frames of the POS that were played again.
    #[serde(default)]
    pub replays: u64,
    /// How often it came up.
    pub ups: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Durable messages sent again.
    pub retransmits: u64,
    /// Durable messages that came again.
    pub duplicates: u64,
    /// Damaged frames, of any kind.
    pub bad_frames: u64,
    /// Acknowledgements of what was never sent.
    pub false_acks: u64,
}

/// The books.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OutboxStatus {
    /// Chosen when the outbox was begun.
    pub epoch: u32,
    /// Number of the last record.
    pub last: u32,
    /// Durable messages that the POS has not stored.
    pub unacknowledged: u32,
    /// On the disk.
    pub bytes: u64,
    /// The bound.
    pub bytes_max: u64,
    /// How often since the start it began anew because the disk had lost records that the POS has.
    #[serde(default)]
    pub renewed: u32,
    /// Why the disk takes nothing.
    pub error: Option<String>,
}

/// A thread.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ThreadStatus {
    /// Its name.
    pub name: String,
    /// Milliseconds since its last heartbeat.
    pub silence_ms: u64,
    /// Whether that is allowed.
    pub beats: bool,
}

/// Resident memory of this process, bytes; 0 where `/proc` does not tell.
pub fn rss_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pos_hears_backend_and_precision_and_as_much_of_the_reason_as_fits() {
        // 63 bytes, then a letter of two: it is left out whole.
        let long = format!("{}é and more", "x".repeat(63));
        for (backend, precision, reason, rung, computes, told) in [
            ("tensorrt", "fp16", None, Rung::TensorRt, Precision::Fp16, ""),
            ("onnxruntime", "int8", Some("no plan"), Rung::OnnxRuntime, Precision::Int8, "no plan"),
            ("rten", "fp32", Some(long.as_str()), Rung::Rten, Precision::Fp32, &long[..63]),
        ] {
            let running = Running { backend, precision: precision.into(), reason: reason.map(str::to_owned) };
            let found = running.runs_on();
            assert_eq!((found.rung, found.precision, found.reason.as_str()), (rung, computes, told));
        }
    }
}
