//! `till status`: how the running daemon is.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::{CliError, Exit};
use crate::runtime::{Status, control};

/// Asks the running daemon how it is. Exits with 5 when it works degraded and 7 when it does not answer.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The daemon's control socket
    #[arg(long, value_name = "SOCKET", default_value = "/run/till/ctl.sock")]
    pub control: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the daemon does not answer.
pub fn run(args: &StatusArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (status, line) = control::ask_status(&args.control)?;
    if args.json {
        out.write_all(line.as_bytes())?;
    } else {
        write!(out, "{}", text(&status))?;
    }
    Ok(if faults(&status).is_empty() { Exit::Ok } else { Exit::Degraded })
}

/// What is not as it should be, each in a few words.
fn faults(status: &Status) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(error) = &status.outbox.error {
        faults.push(error.clone());
    }
    if let Some(error) = &status.link.error {
        faults.push(error.clone());
    } else if !status.link.up {
        faults.push(format!("the POS does not answer on {}", status.link.port));
    }
    for camera in status.cameras.iter().filter(|camera| !camera.delivers()) {
        faults.push(format!("camera {} is {}", camera.role, camera.state));
    }
    if let Some(reason) = &status.load.reason {
        faults.push(format!("{reason}: {}", status.load.rung));
    }
    faults.extend(status.outputs.iter().filter_map(|output| output.error.clone()));
    for error in status.trigger.iter().flat_map(|trigger| [&trigger.line_error, &trigger.scale_error]) {
        faults.extend(error.clone());
    }
    if status.engine.backend == "none" {
        faults.push("no engine works: staff mode".into());
    }
    for thread in status.threads.iter().filter(|thread| !thread.beats) {
        faults.push(format!("thread {} has been silent for {} ms", thread.name, thread.silence_ms));
    }
    if status.outbox.renewed > 0 {
        faults.push(format!("the disk lost records of the outbox, begun anew {} times", status.outbox.renewed));
    }
    faults
}

fn text(status: &Status) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("till", format!("{}, up {} s, {} MB", status.version, status.uptime_s, status.rss_bytes / 1_000_000));
    let session = &status.session;
    let sale = session.sale.as_deref().unwrap_or("-");
    let attention = session.attention.as_deref().map(|reason| format!(", attention: {reason}")).unwrap_or_default();
    line(
        "session",
        format!("{} ({sale}), {} lines, {} minor{attention}", session.phase, session.lines, session.total_minor),
    );
    let engine = &status.engine;
    let latency = engine
        .latency_ms_p50
        .zip(engine.latency_ms_p99)
        .map(|(p50, p99)| format!(", p50 {p50:.0} ms, p99 {p99:.0} ms"));
    line(
        "engine",
        format!(
            "{} on {} ({}), {} frames{}",
            engine.name,
            engine.backend,
            engine.precision,
            engine.frames,
            latency.unwrap_or_default()
        ),
    );
    if let Some(reason) = &engine.reason {
        line("", format!("no better backend, because {reason}"));
    }
    for plan in &engine.quarantined {
        line("", format!("set aside: plan {plan}"));
    }
    for camera in &status.cameras {
        line(
            "camera",
            format!(
                "{}: {}, {} frames, {} gaps, {} damaged, reopened {} times",
                camera.role, camera.state, camera.frames, camera.gaps, camera.damaged, camera.reopened
            ),
        );
    }
    if let Some(trigger) = &status.trigger {
        if let Some(place) = &trigger.line {
            line("presence", format!("{place}: {}", if trigger.presence { "somebody is there" } else { "nobody" }));
        }
        if let Some(place) = &trigger.scale {
            let load = trigger.grams.map_or_else(|| "no reading".to_owned(), |grams| format!("{grams} g"));
            line("scale", format!("{place}: {load}"));
        }
    }
    for output in &status.outputs {
        let level = match output.on {
            Some(true) => "on",
            Some(false) => "off",
            None => "not driven",
        };
        line(&output.name, format!("{}: {level}", output.line));
    }
    if let Some(face) = &status.face {
        let mut known = format!("{} known", face.members);
        for (n, what) in [(face.enrol_again, "must enrol again"), (face.damaged, "damaged")] {
            if n > 0 {
                known += &format!(", {n} {what}");
            }
        }
        line("members", format!("{known}; shown alive {}, not {}", face.live, face.not_live));
    }
    let link = &status.link;
    let up = if link.up { "up" } else { "down" };
    line(
        "link",
        format!(
            "{}: {up}, round trip {} ms, {} sent again, {} damaged",
            link.port, link.rtt_ms, link.retransmits, link.bad_frames
        ),
    );
    let outbox = &status.outbox;
    line("outbox", format!("{} unacknowledged, {} of {} bytes", outbox.unacknowledged, outbox.bytes, outbox.bytes_max));
    for fault in faults(status) {
        line("FAULT", fault);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ladder::Load;
    use crate::runtime::status::{LoadStatus, OutputStatus, TriggerStatus};

    #[test]
    fn each_fault_is_named_and_a_healthy_counter_has_none() {
        let mut status = Status::default();
        status.link.up = true;
        assert_eq!(faults(&status), Vec::<String>::new());
        status.link.up = false;
        status.outbox.error = Some("books: no room".into());
        status.engine.backend = "none".into();
        status.outbox.renewed = 1;
        let scale_error = Some("iio hx711: the load cell is not connected".into());
        status.load = LoadStatus { rung: Load::Half, reason: Some("CPU-therm has 80 degrees".into()), steps: 1 };
        let error = Some("line GATE: another program holds the line".into());
        status.outputs = vec![OutputStatus { name: "lock".into(), line: "line GATE".into(), on: None, error }];
        status.trigger = Some(TriggerStatus { scale: Some("iio hx711".into()), scale_error, ..Default::default() });
        let text = text(&status);
        for word in [
            "FAULT      iio hx711: the load cell",
            "iio hx711: no reading",
            "FAULT      books: no room",
            "FAULT      CPU-therm has 80 degrees: every 2nd frame",
            "lock       line GATE: not driven",
            "FAULT      line GATE: another program",
            "FAULT      the POS does not answer",
            "staff mode",
            "begun anew 1 times",
        ] {
            assert!(text.contains(word), "{text}");
        }
    }
}
