//! What can be wrong with a box, found out before the shop opens: each check reads files below a root (`/`, or the
//! recorded tree of another box) and answers with what it saw and the one line that mends it.
//!
//! A check never changes anything, never opens a camera or a serial port (the daemon owns them; it is asked through
//! its control socket instead) and never fails itself: what can't be read is `skipped`, with the reason. What needs
//! the machine itself (free space, time of an fsync, the running daemon) is skipped over a recorded tree.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{Config, ConfigError};
use crate::machine::Tree;
use crate::runtime::Status;

mod board;
mod books;
mod cameras;
mod clock;
mod lines;
mod members;
mod memory;
mod network;
mod roles;
mod serial;
mod service;
mod settings;
mod storage;

#[cfg(test)]
mod tests;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but will bring trouble.
    Warn,
    /// The counter can't be trusted like this.
    Fail,
    /// Nothing to look at; says why.
    Skipped,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the check, `area.thing`; it stays.
    pub id: &'static str,
    /// How it ended.
    pub status: Verdict,
    /// What was seen.
    pub detail: String,
    /// The command or deed that mends it; empty when there is nothing to mend.
    pub fix: String,
}

/// A check's answer, before it has its name.
#[derive(Clone, Debug)]
struct Answer {
    status: Verdict,
    detail: String,
    fix: String,
}

/// What a check returns. An answer is an answer either way: `Err` is one that was reached before the check came to its
/// own question, so that what it needs can be had with `?`.
type Seen = Result<Answer, Answer>;

impl Answer {
    fn new(status: Verdict, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), fix: fix.into() }
    }

    fn fail(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, detail, fix)
    }

    fn skipped(why: impl Into<String>) -> Self {
        Self::new(Verdict::Skipped, why, "")
    }
}

fn ok(detail: impl Into<String>) -> Seen {
    Ok(Answer::new(Verdict::Ok, detail, ""))
}

fn warn(detail: impl Into<String>, fix: impl Into<String>) -> Seen {
    Ok(Answer::new(Verdict::Warn, detail, fix))
}

fn fail(detail: impl Into<String>, fix: impl Into<String>) -> Seen {
    Ok(Answer::fail(detail, fix))
}

fn skipped(why: impl Into<String>) -> Seen {
    Ok(Answer::skipped(why))
}

/// The box under examination.
#[derive(Debug)]
pub struct Site {
    /// Its files.
    pub tree: Tree,
    /// The machine that this process runs on, not a recorded tree.
    pub live: bool,
    /// Where the configuration lies on that box.
    pub config_file: PathBuf,
    /// The configuration.
    pub config: Result<Config, ConfigError>,
    /// Seconds since 1970: now, or when the tree was recorded; `None` if nobody wrote it down.
    pub unix_s: Option<u64>,
    /// What the running daemon says, or why it does not.
    pub daemon: Result<Status, String>,
}

/// File of a recorded tree with the seconds since 1970 at which it was recorded.
const RECORDED_AT: &str = "recorded-at";

impl Site {
    /// The machine this runs on; `daemon` is the answer of the running daemon to a question for its status.
    pub fn here(config_file: &Path, unix_s: u64, daemon: Result<Status, String>) -> Self {
        Self {
            tree: Tree::new("/"),
            live: true,
            config_file: config_file.to_owned(),
            config: Config::load(config_file),
            unix_s: Some(unix_s),
            daemon,
        }
    }

    /// The tree below `root`, recorded from another box.
    pub fn recorded(root: &Path, config_file: &Path) -> Self {
        let tree = Tree::new(root);
        let config = Config::load(&tree.below(config_file));
        let unix_s = tree.number(RECORDED_AT);
        let daemon = Err("this is a recorded tree".into());
        Self { tree, live: false, config_file: config_file.to_owned(), config, unix_s, daemon }
    }

    /// A path of the configuration as a place in the tree: a relative one starts at the configuration's folder, which
    /// for a recorded tree lies below its root.
    fn place(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(self.tree.root()) {
            Ok(inside) => Path::new("/").join(inside),
            Err(_) => path.to_owned(),
        }
    }

    /// What the daemon says, or the answer of a check that needs it.
    fn status(&self) -> Result<&Status, Answer> {
        self.daemon.as_ref().map_err(Answer::skipped)
    }

    /// The valid configuration, or the answer of a check that needs it.
    fn settings(&self) -> Result<&Config, Answer> {
        self.config.as_ref().map_err(|_| Answer::skipped("the configuration can't be read"))
    }
}

type Check = fn(&Site) -> Seen;

/// Every check, in the order in which a technician would look.
const CHECKS: &[(&str, Check)] = &[
    ("config.valid", settings::valid),
    ("config.writable", settings::writable),
    ("config.counter", settings::counter),
    ("catalogue.valid", settings::catalogue),
    ("catalogue.labels", settings::labels),
    ("catalogue.mass", settings::mass),
    ("engine.tray", settings::engine),
    ("engine.backend", settings::backend),
    ("engine.tensorrt", board::tensorrt),
    ("board.model", board::model),
    ("board.jetpack", board::jetpack),
    ("board.kernel", board::kernel),
    ("board.gpu", board::gpu),
    ("power.mode", board::power_mode),
    ("power.supply", board::supply),
    ("power.cores", board::cores),
    ("power.clock", board::clock_cap),
    ("power.governor", board::governor),
    ("thermal.temperature", board::temperature),
    ("thermal.fan", board::fan),
    ("memory.available", memory::available),
    ("memory.swap", memory::swap),
    ("memory.killed", memory::killed),
    ("memory.daemon", memory::daemon),
    ("storage.state_dir", storage::state_dir),
    ("storage.medium", storage::medium),
    ("storage.mount", storage::mount),
    ("storage.free", storage::free),
    ("storage.inodes", storage::inodes),
    ("storage.errors", storage::errors),
    ("storage.wear", storage::wear),
    ("storage.fsync", storage::fsync),
    ("clock.sane", clock::sane),
    ("clock.synchronised", clock::synchronised),
    ("clock.rtc", clock::rtc),
    ("clock.zone", clock::zone),
    ("camera.tray", cameras::tray),
    ("camera.access", cameras::access),
    ("camera.usb_speed", cameras::usb_speed),
    ("camera.usb_bandwidth", cameras::usb_bandwidth),
    ("camera.usb_sleep", cameras::usb_sleep),
    ("camera.argus", cameras::argus),
    ("camera.jpeg", cameras::jpeg),
    ("camera.streams", cameras::streams),
    ("roles.links", roles::links),
    ("roles.unambiguous", roles::unambiguous),
    ("line.chip", lines::chip),
    ("line.access", lines::access),
    ("line.outputs", lines::outputs),
    ("scale.sensor", lines::scale),
    ("serial.port", serial::port),
    ("serial.access", serial::access),
    ("serial.getty", serial::getty),
    ("serial.console", serial::console),
    ("serial.modem_manager", serial::modem_manager),
    ("serial.brltty", serial::brltty),
    ("serial.latency", serial::latency),
    ("service.unit", service::unit),
    ("service.enabled", service::enabled),
    ("service.groups", service::groups),
    ("service.udev", service::udev),
    ("service.upgrade", service::upgrade),
    ("service.watchdog", service::watchdog),
    ("service.hardware_watchdog", service::hardware_watchdog),
    ("service.journal", service::journal),
    ("network.not_needed", network::not_needed),
    ("books.size", books::size),
    ("books.other_files", books::other_files),
    ("daemon.running", books::running),
    ("daemon.threads", books::threads),
    ("daemon.rung", books::rung),
    ("daemon.load", books::load),
    ("people.enrol_again", members::again),
    ("people.damaged", members::damaged),
    ("books.waiting", books::waiting),
    ("pos.answers", books::pos),
    ("pos.cable", books::cable),
];

/// Runs every check.
pub fn examine(site: &Site) -> Vec<Finding> {
    let run = |(id, check): &(&'static str, Check)| {
        let Answer { status, detail, fix } = check(site).unwrap_or_else(|early| early);
        Finding { id, status, detail, fix }
    };
    CHECKS.iter().map(run).collect()
}
