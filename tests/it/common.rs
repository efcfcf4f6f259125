//! What several tests need: a process that does not outlive its test, and the research data where it lies.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process that does not outlive the test.
pub struct Running(pub Child);

impl Running {
    /// `till` with `arguments`, unheard.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(arguments, Stdio::null())
    }

    /// As [`Running::start`], with its stdout to be read.
    pub fn heard(arguments: &[&str]) -> Self {
        Self::spawn(arguments, Stdio::piped())
    }

    /// SIGKILL: no destructor, no flush.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn spawn(arguments: &[&str], stdout: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
        Self(command.spawn().expect("till starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder `name` of the research data, where there is any.
pub fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TILL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = root.join(name);
    if !folder.is_dir() {
        println!("skipped: no data at {}", folder.display());
        return None;
    }
    Some(folder)
}
