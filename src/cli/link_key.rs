//! `till link key new`: a key that a counter and its POS share.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};
use till_link::secure::KEY_BYTES;

use crate::cli::{CliError, Exit};

/// The key that a counter and its POS share.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What `till link key` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Draw a key and write it to a file that only its owner can read; never overwrites one
    New(NewArgs),
}

/// Arguments of `till link key new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The file
    #[arg(long, value_name = "FILE", default_value = "/etc/till/link.key")]
    pub out: PathBuf,
    /// The key's number; a new key of a rotation needs another one than the old
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub id: u8,
}

/// Runs the command.
///
/// # Errors
/// When the file is there already or can't be written.
pub fn run(args: &KeyArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let Action::New(args) = &args.action;
    let shown = args.out.display();
    let mut key = [0; KEY_BYTES];
    match getrandom(&mut key, GetRandomFlags::empty()) {
        Ok(n) if n == key.len() => {}
        _ => return Err(CliError::new(Exit::Failed, "the system has no random numbers")),
    }
    write(&args.out, args.id, &key).map_err(|error| {
        let message = match error.kind() {
            ErrorKind::AlreadyExists => {
                format!(
                    "{shown} is there already and is not overwritten: the POS may hold that key; name another --out"
                )
            }
            _ => format!("{shown}: can't be written: {error}"),
        };
        CliError::new(Exit::Failed, message)
    })?;
    writeln!(out, "key {} of fingerprint {} is in {shown}", args.id, fingerprint(&key))?;
    writeln!(
        out,
        "1. copy the file to the POS over a way that you trust (not over the serial line), mode 0600 there, too"
    )?;
    writeln!(out, "2. here: [link] secure = true, key_file = \"{shown}\"; the daemon's user must own the file")?;
    writeln!(out, "3. compare the fingerprint at both ends: sha256 of the key's 32 bytes, its first 8 digits")?;
    Ok(Exit::Ok)
}

/// Tells two keys apart and gives nothing of them away.
fn fingerprint(key: &[u8]) -> String {
    Sha256::digest(key).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn write(path: &Path, id: u8, key: &[u8]) -> std::io::Result<()> {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let fingerprint = fingerprint(key);
    let text = format!(
        "# Key of the till link, number {id}, fingerprint {fingerprint}. Whoever reads it can say \"paid\".\n{id}:{hex}\n"
    );
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::port::key_file;

    #[test]
    fn a_new_key_is_read_back_is_nobody_elses_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link.key");
        let new = |id| {
            let mut out = Vec::new();
            let args = KeyArgs { action: Action::New(NewArgs { out: path.clone(), id }) };
            (run(&args, &mut out), String::from_utf8(out).unwrap())
        };
        let (exit, said) = new(7);
        assert_eq!(exit, Ok(Exit::Ok));
        assert!(said.starts_with("key 7 of fingerprint "), "{said}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        key_file::load(&path).unwrap();
        let before = std::fs::read_to_string(&path).unwrap();
        let hex = before.lines().last().unwrap().strip_prefix("7:").unwrap();
        assert!(!said.contains(hex) && hex.bytes().any(|digit| digit != b'0'));
        let error = new(8).0.unwrap_err();
        assert!(error.message.contains("is there already and is not overwritten"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    }
}
