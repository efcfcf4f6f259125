//! The file in which a counter's key for the link lies: a key a line, its number (1 to 255), a colon and 64
//! digits in hexadecimal; `#` begins a comment (SPEC.md 8.2). The first key is used; a POS may have a second one during a rotation.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};
use till_link::secure::KEY_BYTES;
use till_link::{Key, Security};

use crate::port::{PortError, PortErrorKind};

/// Far more than two keys and a page of comments.
const BYTES_MAX: u64 = 65_536;

/// Reads the keys of `file` and draws a seed for this start.
///
/// # Errors
/// When the file can't be read, others than its owner can read it, or it holds something else; what is
/// wrong is named by its line, a key never.
pub fn load(file: &Path) -> Result<Security, PortError> {
    with_seed(file, seed(file)?)
}

/// A seed for this start.
///
/// # Errors
/// When the system has no random numbers; named with the key file that they are for.
pub fn seed(file: &Path) -> Result<[u8; 32], PortError> {
    let mut seed = [0; 32];
    match getrandom(&mut seed, GetRandomFlags::empty()) {
        Ok(n) if n == seed.len() => Ok(seed),
        _ => Err(error(file, "the system has no random numbers")),
    }
}

/// The same with a seed that is given: for a run that must repeat byte for byte, never for a real line.
///
/// # Errors
/// As of [`load`].
pub fn with_seed(file: &Path, seed: [u8; 32]) -> Result<Security, PortError> {
    let mut keys = keys(file)?.into_iter().map(|(id, bytes)| Key::new(id, bytes));
    match keys.next() {
        Some(key) => Ok(Security::new(key, keys.next(), seed)),
        None => Err(error(file, NO_KEY)),
    }
}

/// Numbers and bytes of the file's one or two keys, for who speaks the link without its endpoint.
///
/// # Errors
/// As of [`load`].
pub fn keys(file: &Path) -> Result<Vec<(u8, [u8; KEY_BYTES])>, PortError> {
    let failed = |what: &std::io::Error| error(file, format!("the key file can't be read: {what}"));
    let opened = std::fs::File::open(file).map_err(|error| failed(&error))?;
    // Of the opened file: the name may mean another one by now.
    let about = opened.metadata().map_err(|error| failed(&error))?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let shown = file.display();
        return Err(error(file, format!("others may read the key (mode {mode:04o}); run: chmod 600 {shown}")));
    }
    let mut text = String::new();
    opened.take(BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
    parse(&text).map_err(|message| error(file, message))
}

const NO_KEY: &str = "holds no key; make one with: till link key new";

fn error(file: &Path, message: impl Into<String>) -> PortError {
    PortError::new(PortErrorKind::Key, file.display().to_string(), message)
}

/// The keys of a key file's text; the error names the line.
fn parse(text: &str) -> Result<Vec<(u8, [u8; KEY_BYTES])>, String> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let (id, bytes) = line.split_once(':').unwrap_or(("", ""));
        match (id.parse::<u8>(), digits(bytes)) {
            (Ok(id), Some(bytes)) if id > 0 => keys.push((id, bytes)),
            _ => return Err(format!("line {number} is no key: its number (1 to 255), a colon and 64 hex digits")),
        }
    }
    match keys.as_slice() {
        [(id, _), (same, _)] if id == same => Err(format!("two keys have the number {id}")),
        [_] | [_, _] => Ok(keys),
        [] => Err(NO_KEY.to_owned()),
        more => Err(format!("holds {} keys; two at most, during a rotation", more.len())),
    }
}

fn digits(word: &str) -> Option<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES];
    let digits: Vec<u8> =
        word.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("link.key");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, file)
    }

    #[test]
    fn a_key_file_holds_one_key_or_two() {
        let one = format!("# counter 1\n7:{}\n", "4b".repeat(32));
        let (_folder, file) = written(&one, 0o600);
        assert_eq!(format!("{:?}", load(&file).unwrap()), "Security { key: Key(7), other: None }");
        let (_folder, file) = written(&format!("{one}\n  8:{} # new\n", "AF".repeat(32)), 0o400);
        assert_eq!(format!("{:?}", load(&file).unwrap()), "Security { key: Key(7), other: Some(Key(8)) }");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_mending_and_without_the_key() {
        let key = "4b".repeat(32);
        for (text, mode, expected) in [
            (format!("1:{key}"), 0o644, "others may read the key (mode 0644); run: chmod 600 "),
            (format!("1:{key}"), 0o640, "others may read the key (mode 0640)"),
            (String::new(), 0o600, "holds no key; make one with: till link key new"),
            ("# 1 x".to_owned(), 0o600, "holds no key"),
            (format!("\n0:{key}"), 0o600, "line 2 is no key"),
            (format!("256:{key}"), 0o600, "line 1 is no key"),
            (format!("1:{key}4"), 0o600, "line 1 is no key"),
            (format!("1:{}", key.replace("4b", "4g")), 0o600, "line 1 is no key"),
            (format!("1:{key} {key}"), 0o600, "line 1 is no key"),
            (format!("1:{key}\n1:{key}"), 0o600, "two keys have the number 1"),
            (format!("1:{key}\n2:{key}\n3:{key}"), 0o600, "holds 3 keys"),
        ] {
            let (_folder, file) = written(&text, mode);
            let error = load(&file).unwrap_err();
            assert_eq!(error.kind, PortErrorKind::Key);
            assert!(error.message.contains(expected), "{error}");
            assert!(!error.to_string().contains("4b4b"), "{error}");
        }
        let missing = load(Path::new("/nowhere/link.key")).unwrap_err();
        assert!(missing.message.contains("can't be read"), "{missing}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_keys_or_an_error(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
