//! `till devices`: what is plugged in, and who plays which role. The rules are made in `machine::roles`; here they
//! are asked for, written and tried.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::devices_look::{Look, look};
use super::exit::{CliError, Exit};
use crate::machine::Tree;
use crate::machine::devices::{Candidate, Kind, candidates};
use crate::machine::roles::{self, Given, Refusal, Role, Rule, Wish};

/// Arguments of `till devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What `till devices` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List cameras, serial ports and bridge converters with what tells one from another
    List(ListArgs),
    /// Say which device is the tray's camera, the face's, the POS's port and the scale
    ///
    /// Asks for each role that --role does not name; an empty answer leaves a role as it is. Then it writes udev's
    /// rules, has udev read them, and looks whether each name below /dev/till leads to its device. Run it as root.
    Assign(AssignArgs),
}

/// How devices are looked at.
#[derive(Debug, Args)]
pub struct LookArgs {
    /// Take the files of kernel and udev below DIR, recorded from another box, instead of this one's
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Write what each camera sees into DIR as a PNG of 64 x 48 squares: too coarse to know a face by
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `till devices list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How they are looked at
    #[command(flatten)]
    pub from: LookArgs,
    /// Open each device, too: show what the camera sees and what the port hears. What the daemon holds is busy
    #[arg(long)]
    pub look: bool,
}

/// Arguments of `till devices assign`.
#[derive(Debug, Args)]
pub struct AssignArgs {
    /// How they are looked at
    #[command(flatten)]
    pub from: LookArgs,
    /// tray, face, pos or scale = a device's name, serial or path as `till devices list` has them; `auto`, the only one
    /// that suits; or `none`
    #[arg(long = "role", value_name = "ROLE=DEVICE", value_parser = wish)]
    pub roles: Vec<(Role, Wish)>,
    /// Ask nothing; roles that --role does not name stay as they are
    #[arg(long, requires = "roles")]
    pub yes: bool,
}

fn wish(text: &str) -> Result<(Role, Wish), String> {
    let (role, device) = text.split_once('=').ok_or("write ROLE=DEVICE")?;
    let wish = match device {
        "" => return Err("write ROLE=DEVICE".into()),
        "auto" => Wish::Only,
        "none" => Wish::Nobody,
        device => Wish::Device(device.to_owned()),
    };
    Ok((role.parse()?, wish))
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal {
            Refusal::Missing(_) => Exit::Missing,
            Refusal::Ambiguous(_) => Exit::Failed,
        };
        Self::new(exit, refusal.to_string())
    }
}

/// Runs the command.
///
/// # Errors
/// A role that nothing or more than one device fits, rules that can't be written, a name that does not come.
pub fn run(args: &DevicesArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    match &args.action {
        Action::List(args) => list(args, out),
        Action::Assign(args) => assign(args, &mut io::stdin().lock(), out),
    }
}

fn tree(from: &LookArgs) -> Result<Tree, CliError> {
    if !from.root.is_dir() {
        return Err(CliError::new(Exit::Missing, format!("{}: no such folder", from.root.display())));
    }
    Ok(Tree::new(&from.root))
}

/// Devices are opened on this machine only.
fn is_here(from: &LookArgs) -> bool {
    from.root == Path::new("/")
}

fn list(args: &ListArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let tree = tree(&args.from)?;
    let all = candidates(&tree);
    if args.look && !is_here(&args.from) {
        return Err(CliError::new(Exit::Usage, "--look opens devices: not over a recorded tree"));
    }
    let seen: Vec<Option<Look>> =
        all.iter().map(|candidate| args.look.then(|| look(candidate, args.from.pictures.as_deref()))).collect();
    if args.from.json {
        let rows: Vec<Value> = all.iter().zip(&seen).map(|(candidate, look)| row(candidate, look.as_ref())).collect();
        writeln!(out, "{}", json!({ "schema": "till.devices.list/1", "candidates": rows }))?;
    } else {
        for (candidate, look) in all.iter().zip(&seen) {
            write!(out, "{}", words(candidate))?;
            look.iter().flat_map(|look| &look.lines).try_for_each(|line| writeln!(out, "    {line}"))?;
        }
        if all.is_empty() {
            writeln!(out, "no camera, no serial port, no bridge converter")?;
        }
    }
    Ok(Exit::Ok)
}

fn row(candidate: &Candidate, look: Option<&Look>) -> Value {
    let mut row = json!(candidate);
    row["node"] = json!(candidate.node());
    row["roles"] = candidate.roles().collect();
    if let Some(look) = look {
        row["heard"] = json!(look.heard);
        row["picture"] = json!(look.picture);
        row["fault"] = json!(look.fault);
    }
    row
}

fn words(candidate: &Candidate) -> String {
    let kind = match candidate.kind {
        Kind::Camera => "camera",
        Kind::Serial => "serial port",
        Kind::Converter => "converter",
    };
    let roles: Vec<&str> = candidate.roles().collect();
    let roles = if roles.is_empty() { String::new() } else { format!("  = {}", roles.join(", ")) };
    let mut text = format!("{}  {kind}, {}{roles}\n", candidate.node(), candidate.label);
    for (name, value) in [("serial", &candidate.serial), ("path", &candidate.path)] {
        if let Some(value) = value {
            text += &format!("    {name:<7}{value}\n");
        }
    }
    text
}

fn assign(args: &AssignArgs, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<Exit, CliError> {
    let tree = tree(&args.from)?;
    let all = candidates(&tree);
    let old = roles::read(&tree.text(roles::RULES).unwrap_or_default());
    let mut wishes = args.roles.clone();
    if !args.yes {
        ask(&all, &old, &mut wishes, args, input)?;
    }
    let given = roles::assign(&all, &old, &wishes)?;
    let text = roles::text(&given);
    if !args.yes {
        eprint!("\n{text}write this to {}? [y/N] ", roles::RULES);
        if !answer(input)?.eq_ignore_ascii_case("y") {
            return Err(CliError::new(Exit::Failed, "nothing was written"));
        }
    }
    let file = tree.below(roles::RULES);
    write_rules(&file, &text)?;
    if is_here(&args.from) {
        apply(Path::new("/"), &given, &mut udevadm)?;
    }
    if args.from.json {
        let rows: Vec<Value> = given.iter().map(|Given { role, node, rule }| {
            json!({ "role": role, "node": node, "known_by": rule.known_by, "rule": rule.to_string() })
        }).collect();
        writeln!(out, "{}", json!({ "schema": "till.devices.assign/1", "file": file, "roles": rows }))?;
    } else {
        for Given { role, node, rule } in &given {
            let node = node.as_deref().unwrap_or("unplugged");
            writeln!(out, "{:<16} {node}: {}", role.link().display(), rule.known_by)?;
        }
        writeln!(out, "written to {}", file.display())?;
    }
    Ok(Exit::Ok)
}

/// One line, trimmed; the end of the input is an empty one.
fn answer(input: &mut dyn BufRead) -> Result<String, CliError> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Shows what suits a role and asks which one it is, for each role that has no wish yet.
fn ask(
    all: &[Candidate],
    old: &[Rule],
    wishes: &mut Vec<(Role, Wish)>,
    args: &AssignArgs,
    input: &mut dyn BufRead,
) -> Result<(), CliError> {
    let looks: Vec<Look> = match is_here(&args.from) {
        true => all.iter().map(|candidate| look(candidate, args.from.pictures.as_deref())).collect(),
        false => Vec::new(),
    };
    let named: Vec<Role> = wishes.iter().map(|(role, _)| *role).collect();
    for role in Role::ALL.into_iter().filter(|role| !named.contains(role)) {
        let taken = |c: &Candidate| wishes.iter().any(|(_, wish)| *wish == Wish::Device(c.name.clone()));
        let suit: Vec<(usize, &Candidate)> =
            all.iter().enumerate().filter(|(_, c)| role.suits(c.kind) && !taken(c)).collect();
        if suit.is_empty() {
            eprintln!("\n{role}: nothing that is plugged in suits");
            continue;
        }
        eprintln!("\nWhich one is {role}?");
        for (n, (at, candidate)) in suit.iter().enumerate() {
            eprint!("{} {}", n + 1, words(candidate));
            looks.get(*at).iter().flat_map(|look| &look.lines).for_each(|line| eprintln!("    {line}"));
        }
        let now = if old.iter().any(|rule| rule.role == role) { "as it is" } else { "nobody" };
        loop {
            eprint!("number, or empty for {now}: ");
            let word = answer(input)?;
            if word.is_empty() {
                break;
            }
            match word.parse::<usize>().ok().and_then(|n| suit.get(n.checked_sub(1)?)) {
                Some((_, candidate)) => {
                    wishes.push((role, Wish::Device(candidate.name.clone())));
                    break;
                }
                None => eprintln!("{word:?}: 1 to {}", suit.len()),
            }
        }
    }
    Ok(())
}

fn write_rules(file: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error: io::Error| {
        let hint = if error.kind() == io::ErrorKind::PermissionDenied { "; run it with sudo" } else { "" };
        CliError::new(Exit::Failed, format!("{}: {error}{hint}", file.display()))
    };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    crate::whole::replace(file, &[text.as_bytes()]).map_err(failed)
}

fn udevadm(words: &[&str]) -> io::Result<bool> {
    Ok(Command::new("udevadm").args(words).status()?.success())
}

/// Has udev read the rules and look at the devices again, then checks each name.
fn apply(root: &Path, given: &[Given], udevadm: &mut dyn FnMut(&[&str]) -> io::Result<bool>) -> Result<(), CliError> {
    let subsystems =
        [Kind::Camera, Kind::Serial, Kind::Converter].map(|kind| format!("--subsystem-match={}", kind.subsystem()));
    let mut trigger = vec!["trigger", "--action=change"];
    trigger.extend(subsystems.iter().map(String::as_str));
    for words in [&["control", "--reload"][..], &trigger, &["settle", "--timeout=10"]] {
        let failed = |why: String| {
            let text = format!("the rules are written, but udevadm {} {why}", words.join(" "));
            Err(CliError::new(Exit::Failed, text))
        };
        match udevadm(words) {
            Ok(true) => {}
            Ok(false) => return failed("failed; reboot, and they count".into()),
            Err(error) => return failed(format!("can't be run: {error}")),
        }
    }
    let tree = Tree::new(root);
    for Given { role, node, .. } in given {
        let (Some(node), link) = (node, role.link()) else { continue };
        let leads = tree.link(&link);
        if leads.as_deref() != Some(Path::new(node)) {
            let leads = leads.map_or("is not there".into(), |other| format!("leads to {}", other.display()));
            let text = format!(
                "{} {leads} and not to {node}; see: udevadm test $(udevadm info -q path {node})",
                link.display()
            );
            return Err(CliError::new(Exit::Failed, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> Vec<Given> {
        let text = "SUBSYSTEM==\"tty\", KERNEL==\"ttyTHS1\", SYMLINK+=\"till/pos\", TAG+=\"systemd\"\n";
        let node = Some("/dev/ttyTHS1".into());
        vec![Given { role: Role::Pos, node, rule: roles::read(text).remove(0) }]
    }

    #[test]
    fn udev_reads_the_rules_and_the_name_is_checked() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("dev/till/pos");
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        let mut asked = Vec::new();
        let mut udev = |words: &[&str]| {
            asked.push(words.join(" "));
            if words[0] == "trigger" {
                std::os::unix::fs::symlink("../ttyTHS1", &link)?;
            }
            Ok(true)
        };
        apply(root.path(), &given(), &mut udev).unwrap();
        assert_eq!((asked.len(), asked[0].as_str()), (3, "control --reload"));
        // Another device has the name.
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("../ttyS0", &link).unwrap();
        let error = apply(root.path(), &given(), &mut |_| Ok(true)).unwrap_err();
        assert!(error.message.contains("leads to /dev/ttyS0"), "{error}");
        std::fs::remove_file(&link).unwrap();
        let error = apply(root.path(), &given(), &mut |_| Ok(true)).unwrap_err();
        assert!(error.message.contains("is not there"), "{error}");
        let error = apply(root.path(), &given(), &mut |words| Ok(words[0] != "settle")).unwrap_err();
        assert!(error.message.contains("settle"), "{error}");
    }
}
