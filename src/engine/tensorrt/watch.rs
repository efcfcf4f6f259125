//! Runs a builder in a child process under limits. A build may take most of a board's memory and half an hour, and the
//! library may crash: the child dies, we don't. The limit is on resident memory, because CUDA reserves address space
//! by the gigabyte. Time is the wall's: a child that swaps must end too.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// The last lines of a child's talk that an error carries.
const LINES: usize = 5;

/// How far a child may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Resident memory, bytes.
    pub memory_bytes: u64,
    /// Wall time.
    pub time: Duration,
}

/// How a child ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It could not be started.
    Start(String),
    /// It took more than the limit and was killed.
    Memory(u64),
    /// It took longer than the limit and was killed.
    Time,
    /// A signal ended it, the kernel's out-of-memory killer's perhaps.
    Signal(i32, String),
    /// It failed by itself.
    Failed(Option<i32>, String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(e) => write!(f, "the builder can't be started: {e}"),
            Self::Memory(bytes) => {
                write!(f, "the builder took {} MiB and was ended; lower --workspace-mib or add swap", bytes >> 20)
            }
            Self::Time => f.write_str("the builder took too long and was ended; raise --time-s"),
            Self::Signal(signal, last) => write!(f, "the builder was ended by signal {signal}: {last}"),
            Self::Failed(_, last) => write!(f, "the builder failed: {last}"),
        }
    }
}

/// Runs `command` at the lowest priority and hands each line of its standard output to `line`. Its standard error is
/// kept for the error.
pub fn run(mut command: Command, limits: Limits, mut line: impl FnMut(&str)) -> Result<(), Ending> {
    let start = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|e| Ending::Start(e.to_string()))?;
    lower(child.id());
    let (send, receive) = channel();
    let (out, talk) = (child.stdout.take(), child.stderr.take());
    let sender = send.clone();
    // The threads end with the child's pipes.
    if let Some(out) = out {
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| sender.send((true, l)))
        });
    }
    if let Some(talk) = talk {
        std::thread::spawn(move || {
            BufReader::new(talk).lines().map_while(Result::ok).try_for_each(|l| send.send((false, l)))
        });
    } else {
        drop(send);
    }
    let mut last: Vec<String> = Vec::new();
    let mut killed = None;
    loop {
        match receive.recv_timeout(LOOK) {
            Ok((true, text)) => line(&text),
            Ok((false, text)) => {
                if last.len() == LINES {
                    last.remove(0);
                }
                last.push(text);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if killed.is_some() {
            continue;
        }
        let memory = resident(child.id()).unwrap_or(0);
        if memory > limits.memory_bytes {
            killed = Some(Ending::Memory(memory));
        } else if start.elapsed() > limits.time {
            killed = Some(Ending::Time);
        }
        if killed.is_some() {
            // Fails only when it has ended by itself.
            let _ = child.kill();
        }
    }
    let status = child.wait().map_err(|e| Ending::Start(e.to_string()))?;
    match killed {
        Some(ending) => Err(ending),
        None if status.success() => Ok(()),
        None => Err(ended(status, last.join(" | "))),
    }
}

fn ended(status: ExitStatus, last: String) -> Ending {
    use std::os::unix::process::ExitStatusExt as _;
    match status.signal() {
        Some(signal) => Ending::Signal(signal, last),
        None => Ending::Failed(status.code(), last),
    }
}

/// Last to get the processor, first to go when memory runs out. Both are best effort.
fn lower(pid: u32) {
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000");
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let _ = rustix::process::setpriority_process(pid, 19);
}

/// Resident bytes of a process; `None` once it is gone.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    const WIDE: Limits = Limits { memory_bytes: 1 << 30, time: Duration::from_secs(300) };

    #[test]
    fn a_child_that_ends_well_is_heard_line_by_line() {
        let mut lines = Vec::new();
        run(shell("echo a; echo talk >&2; echo b"), WIDE, |l| lines.push(l.to_owned())).unwrap();
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn each_bad_end_is_told_apart() {
        let no = |_: &str| {};
        let e = run(shell("echo first >&2; echo why >&2; exit 3"), WIDE, no).unwrap_err();
        assert_eq!(e, Ending::Failed(Some(3), "first | why".into()));
        // As the kernel's out-of-memory killer does.
        assert!(matches!(run(shell("kill -9 $$"), WIDE, no).unwrap_err(), Ending::Signal(9, _)));
        assert!(matches!(run(shell("kill -SEGV $$"), WIDE, no).unwrap_err(), Ending::Signal(11, _)));
        assert!(matches!(run(Command::new("/nowhere/till"), WIDE, no).unwrap_err(), Ending::Start(_)));
    }

    #[test]
    fn a_child_over_its_memory_or_its_time_is_ended() {
        let tight = Limits { memory_bytes: 64 << 20, ..WIDE };
        // tail keeps an endless line in memory.
        assert!(
            matches!(run(shell("exec tail /dev/zero"), tight, |_| {}).unwrap_err(), Ending::Memory(b) if b > 64 << 20)
        );
        let short = Limits { time: Duration::from_millis(300), ..WIDE };
        assert_eq!(run(shell("exec sleep 600"), short, |_| {}).unwrap_err(), Ending::Time);
    }

    #[test]
    fn a_child_is_the_first_to_go() {
        let mut lines = Vec::new();
        run(shell("sleep 0.3; cat /proc/self/oom_score_adj; nice"), WIDE, |l| lines.push(l.to_owned())).unwrap();
        assert_eq!(lines, ["1000", "19"]);
    }
}
