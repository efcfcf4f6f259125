//! A board that grows hot below a running counter, and cools again: what the POS hears, what status and log say. The
//! temperature is a file of a tree that looks like the kernel's.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use till::machine::ladder::Load;
use till::port::pty::NullModem;
use till::runtime::control;

use crate::common::Running;

fn config(folder: &Path, port: &Path) -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let text = format!(
        "[counter]\nstate_dir = \"{folder}/till\"\ncontrol = \"{folder}/ctl.sock\"\n\
         catalogue = \"{here}/demo/catalogue.csv\"\n[tray.camera]\ntest = true\n\
         [tray.engine]\ndir = \"{here}/engines/demo\"\nbackend = \"rten\"\n[port]\npath = \"{port}\"\n\
         [ladder]\ndown_s = 1\nup_s = 1\n",
        folder = folder.display(),
        port = port.display(),
    );
    let file = folder.join("till.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn a_hot_board_sheds_load_step_by_step_and_takes_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let zone = folder.join("board/sys/class/thermal/thermal_zone0");
    std::fs::create_dir_all(&zone).unwrap();
    std::fs::write(zone.join("type"), "CPU-therm\n").unwrap();
    // Whole or not at all, as the kernel's own file.
    let heat = |degrees: u32| {
        std::fs::write(zone.join("fresh"), format!("{degrees}000\n")).unwrap();
        std::fs::rename(zone.join("fresh"), zone.join("temp")).unwrap();
    };
    heat(60);
    let cable = NullModem::open(None).unwrap();
    let [till_end, pos_end] = cable.ends();
    let (config, board) = (config(folder, till_end), folder.join("board"));
    let state = folder.join("pos");
    let mut pos =
        Running::heard(&["pos", "--json", "--port", pos_end.to_str().unwrap(), "--state", state.to_str().unwrap()]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_till"));
    command.args(["run", "--config", &config, "--root", board.to_str().unwrap()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(folder.join("log")).unwrap());
    let _till = Running(command.spawn().unwrap());

    let mut lines = BufReader::new(pos.0.stdout.take().unwrap()).lines();
    // Hears the POS until it is told this; a step that is left out is waited for in vain, and the POS never ends.
    let mut until = |rung: &str, reason: &str| {
        let wanted = format!("rung: {rung}, reason: {reason:?}").replace('"', "\\\"");
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(&wanted))).expect("the POS lives").unwrap();
    };
    until("Rten", "");
    heat(80);
    until("Rten", "CPU-therm has 80 degrees: every 2nd frame");
    until("Rten", "CPU-therm has 80 degrees: every 4th frame");
    until("Rten", "CPU-therm has 80 degrees: every 4th frame, no members");
    heat(95);
    until("StaffMode", "CPU-therm has 95 degrees: staff mode");
    let (status, _) = control::ask_status(&folder.join("ctl.sock")).unwrap();
    assert_eq!((status.load.rung, status.load.steps), (Load::Staff, 4));
    assert_eq!(status.load.reason.as_deref(), Some("CPU-therm has 95 degrees"));
    heat(60);
    until("Rten", "CPU-therm has 95 degrees: every 4th frame, no members");
    until("Rten", "CPU-therm has 95 degrees: every 4th frame");
    until("Rten", "CPU-therm has 95 degrees: every 2nd frame");
    until("Rten", "");
    let (status, _) = control::ask_status(&folder.join("ctl.sock")).unwrap();
    assert_eq!((status.load.rung, status.load.steps, status.load.reason), (Load::Full, 8, None));
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("load: ")).collect();
    assert_eq!(said.len(), 8, "one line a step: {said:?}");
}
