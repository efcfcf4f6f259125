//! The folder of plans. A plan is one file: a hash of all that follows, a line that says what it is, then TensorRT's
//! bytes. It is written beside, synced and renamed, so that a reader sees the old one or the new one; it serves only when its bytes are the ones
//! that were written, its key is asked for, and its numbers were checked. What fails is set aside with the reason.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::{EngineError, EngineErrorKind, Manifest};

/// First word of a plan's file.
const MAGIC: &str = "till-plan/1 ";
/// A header line is never longer.
const HEADER_MAX: usize = 4096;

/// How a plan computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// FP16 where the builder finds it faster; the default on the Nano.
    Fp16,
    /// FP32.
    Fp32,
    /// INT8.
    Int8,
    /// What the model says: strongly typed versions.
    Model,
}

impl Precision {
    /// In the order in which a counter looks for a plan.
    pub const ALL: [Self; 4] = [Self::Fp16, Self::Int8, Self::Fp32, Self::Model];

    /// As written on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp16 => "fp16",
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
            Self::Model => "model",
        }
    }

    /// Largest difference from the CPU's outputs that a plan may have, relative where a value is above 1. FP32 differs
    /// by the order of sums; FP16 has 11 bits; INT8's own loss is measured by `till eval tray`, this only finds nonsense.
    pub fn tolerance(self) -> f32 {
        match self {
            Self::Fp32 | Self::Model => 1e-3,
            Self::Fp16 => 2e-2,
            Self::Int8 => 0.25,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|p| p.as_str() == s).ok_or_else(|| format!("{s:?}: fp16, fp32, int8 or model"))
    }
}

/// What a plan belongs to; a plan of another key is never loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The model's sha256, hex.
    pub model: String,
    /// Library and version, as `TensorRT 8.2.1`.
    pub library: String,
    /// The GPU, as `sm53-1sm-3964mib`.
    pub device: String,
    /// How it computes.
    pub precision: Precision,
    /// The DLA core it is for; `None` is the GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dla: Option<u8>,
}

/// Which of a model's plans a counter wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Looked for first; the others in the order of [`Precision::ALL`].
    pub precision: Option<Precision>,
    /// A plan for this DLA core goes before one for the GPU.
    pub dla: Option<u8>,
}

impl Want {
    /// What may serve, best first.
    pub fn candidates(self) -> impl Iterator<Item = (Precision, Option<u8>)> {
        let places = self.dla.map(Some).into_iter().chain([None]);
        let first = move |p: &Precision| Some(*p) == self.precision;
        let all = || Precision::ALL.into_iter();
        let order = move || all().filter(move |p| first(p)).chain(all().filter(move |p| !first(p)));
        places.flat_map(move |place| order().map(move |p| (p, place)))
    }
}

impl Key {
    /// The file's name without its ending.
    pub fn stem(&self) -> String {
        let mut text = [&self.model, &self.library, &self.device, self.precision.as_str()].join("\n");
        let place = self.dla.map(|core| format!("dla{core}-")).unwrap_or_default();
        text.push_str(&place);
        format!("{}-{place}{}", self.precision, &hex(&[text.as_bytes()])[..32])
    }
}

/// What the numeric check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Backend that the plan was compared with.
    pub reference: String,
    /// Inputs compared.
    pub inputs: usize,
    /// Largest difference, relative where a value is above 1.
    pub difference: f32,
    /// Pictures on which both saw the same cart; `None` where there was nothing to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carts: Option<usize>,
}

/// The line before the bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What the plan belongs to.
    pub key: Key,
    /// `None`: built, but never compared; it doesn't serve.
    pub check: Option<Check>,
}

/// A folder of plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The plans in `dir`, which is made when the first one is written.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The plans of an engine: in `dir`, else in `plans` beside its model.
    pub fn of(manifest: &Manifest, dir: Option<&Path>) -> Self {
        Self::new(dir.map_or_else(|| manifest.dir.join("plans"), Path::to_path_buf))
    }

    /// Every place where an engine's plans may lie: `dir` where one is named, then `plans` beside its model.
    pub fn all_of(manifest: &Manifest, dir: Option<&Path>) -> Vec<Self> {
        let named = dir.map(|dir| Self::of(manifest, Some(dir)));
        named.into_iter().chain([Self::of(manifest, None)]).collect()
    }

    /// Name, time of change and length of each plan that lies here: another list means another plan.
    pub fn listing(&self) -> Vec<(String, Option<std::time::SystemTime>, u64)> {
        let mut list: Vec<_> = self
            .entries(".plan")
            .filter_map(|(name, path)| {
                let meta = std::fs::metadata(path).ok()?;
                Some((name, meta.modified().ok(), meta.len()))
            })
            .collect();
        list.sort();
        list
    }

    /// What was set aside, each with its reason.
    pub fn quarantined(&self) -> Vec<String> {
        let reason = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let mut list: Vec<String> =
            self.entries(".bad.txt").map(|(name, path)| format!("{name}: {}", reason(&path))).collect();
        list.sort();
        list
    }

    /// Files with this ending: name without it, and path.
    fn entries(&self, ending: &'static str) -> impl Iterator<Item = (String, PathBuf)> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten();
        entries.filter_map(move |entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.strip_suffix(ending)?.to_owned();
            Some((name, path))
        })
    }

    /// Where what a calibration found lies. It belongs to a model, a kind and a list of pictures.
    pub fn calibration_path(&self, key: &Key, kind: &str, pictures: &str) -> PathBuf {
        let text = [key.model.as_str(), &key.library, kind, pictures].join("\n");
        self.dir.join(format!("{kind}-{}.calibration", &hex(&[text.as_bytes()])[..32]))
    }

    /// Where the plan of `key` lies or would lie.
    pub fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(format!("{}.plan", key.stem()))
    }

    /// Where the timings for `key`'s library and GPU lie; they serve every model.
    pub fn timing_path(&self, key: &Key) -> PathBuf {
        let text = [key.library.as_str(), key.device.as_str()].join("\n");
        self.dir.join(format!("{}.timing", &hex(&[text.as_bytes()])[..32]))
    }

    /// The plan of `key`: its header and TensorRT's bytes. A damaged one is set aside and not there.
    pub fn read(&self, key: &Key) -> Result<Option<(Header, Vec<u8>)>, EngineError> {
        let path = self.path(key);
        let file = match std::fs::read(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(error(&path, format!("can't be read: {e}"))),
        };
        let reason = match open(&file) {
            Ok((header, _)) if header.key != *key => format!("belongs to {:?}", header.key),
            Ok((header, plan)) => return Ok(Some((header, plan.to_vec()))),
            Err(reason) => reason,
        };
        self.set_aside(key, &reason)?;
        Ok(None)
    }

    /// The plan of `key` when it was checked and found good.
    pub fn serving(&self, key: &Key) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.read(key)?.filter(|(header, _)| header.check.is_some()).map(|(_, plan)| plan))
    }

    /// Writes the plan of `key` in place of an older one, all or nothing.
    pub fn write(&self, key: &Key, check: Option<Check>, plan: &[u8]) -> Result<(), EngineError> {
        let checked = check.is_some();
        let header = Header { key: key.clone(), check };
        let line = serde_json::to_string(&header).map_err(|e| error(&self.dir, e.to_string()))? + "\n";
        let hash = hex(&[line.as_bytes(), plan]);
        self.replace(&self.path(key), &[MAGIC.as_bytes(), hash.as_bytes(), b" ", line.as_bytes(), plan])?;
        if checked {
            // What was wrong with the one before is told no more.
            let aside = self.path(key).with_extension("bad");
            let _ = std::fs::remove_file(aside.with_extension("bad.txt"));
            let _ = std::fs::remove_file(aside);
        }
        Ok(())
    }

    /// Writes what is no plan, such as timings, in the same way.
    pub fn replace(&self, path: &Path, parts: &[&[u8]]) -> Result<(), EngineError> {
        let written = std::fs::create_dir_all(&self.dir).and_then(|()| crate::whole::replace(path, parts));
        written.map_err(|e| error(path, format!("can't be written: {e}")))
    }

    /// Makes the folder.
    pub fn make(&self) -> Result<(), EngineError> {
        std::fs::create_dir_all(&self.dir).map_err(|e| error(&self.dir, format!("can't be made: {e}")))
    }

    /// Keeps a fresh plan that must not serve, beside a file with the reason. An older plan of the same key serves on.
    pub fn quarantine(&self, key: &Key, plan: &[u8], reason: &str) -> Result<(), EngineError> {
        let aside = self.path(key).with_extension("bad");
        log::warn!("plan {}: {reason}; kept for inspection, out of use", aside.display());
        self.replace(&aside.with_extension("bad.txt"), &[reason.as_bytes(), b"\n"])?;
        self.replace(&aside, &[plan])
    }

    /// Moves the plan of `key` out of the way, beside a file with the reason.
    pub fn set_aside(&self, key: &Key, reason: &str) -> Result<(), EngineError> {
        let path = self.path(key);
        let aside = path.with_extension("bad");
        log::warn!("plan {}: {reason}; set aside as {}", path.display(), aside.display());
        match std::fs::rename(&path, &aside) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(error(&path, format!("can't be set aside: {e}"))),
            _ => {}
        }
        // The reason is in the log already; a disk too full for it must not fail the counter.
        let _ = std::fs::write(aside.with_extension("bad.txt"), format!("{reason}\n"));
        Ok(())
    }
}

/// Splits a plan's file; says what is wrong with it.
fn open(file: &[u8]) -> Result<(Header, &[u8]), String> {
    let rest = file.strip_prefix(MAGIC.as_bytes()).ok_or("has no header")?;
    let (hash, rest) = rest.split_at_checked(64).ok_or("has no header")?;
    let rest = rest.strip_prefix(b" ").ok_or("has no header")?;
    let end = rest.iter().take(HEADER_MAX).position(|b| *b == b'\n').ok_or("has no header")?;
    if hex(&[rest]).as_bytes() != hash {
        return Err(format!("is damaged: {} bytes of another hash", file.len()));
    }
    let header = serde_json::from_slice(&rest[..end]).map_err(|e| format!("has a header of another kind: {e}"))?;
    match &rest[end + 1..] {
        [] => Err("is empty".into()),
        plan => Ok((header, plan)),
    }
}

fn hex(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn error(path: &Path, message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Backend, path.display().to_string(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            model: "ab".repeat(32),
            library: "TensorRT 8.2.1".into(),
            device: "sm53-1sm-3964mib".into(),
            precision: Precision::Fp16,
            dla: None,
        }
    }

    fn check() -> Option<Check> {
        Some(Check { reference: "rten".into(), inputs: 3, difference: 0.001, carts: Some(3) })
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("plans"));
        (dir, store)
    }

    #[test]
    fn a_plan_serves_after_its_check_and_for_its_key_only() {
        let (_dir, store) = store();
        assert_eq!(store.serving(&key()).unwrap(), None);
        store.write(&key(), None, b"plan").unwrap();
        assert_eq!(store.serving(&key()).unwrap(), None, "never compared");
        assert_eq!(store.read(&key()).unwrap().unwrap().1, b"plan");
        store.write(&key(), check(), b"plan 2").unwrap();
        assert_eq!(store.serving(&key()).unwrap().unwrap(), b"plan 2");
        // Another JetPack, another GPU, another model, another precision: another plan.
        for change in [
            |k: &mut Key| k.library = "TensorRT 8.5.2".into(),
            |k: &mut Key| k.device = "sm72-6sm-7773mib".into(),
            |k: &mut Key| k.model = "cd".repeat(32),
            |k: &mut Key| k.precision = Precision::Fp32,
            |k: &mut Key| k.dla = Some(0),
        ] {
            let mut other = key();
            change(&mut other);
            assert_eq!(store.serving(&other).unwrap(), None);
            // A file that was copied under another key's name is set aside.
            std::fs::copy(store.path(&key()), store.path(&other)).unwrap();
            assert_eq!(store.serving(&other).unwrap(), None);
            assert!(store.path(&other).with_extension("bad").exists());
        }
        assert_eq!(store.serving(&key()).unwrap().unwrap(), b"plan 2");
    }

    #[test]
    fn a_plan_that_is_damaged_anywhere_is_set_aside_with_the_reason() {
        let (_dir, store) = store();
        store.write(&key(), check(), b"bytes of a plan").unwrap();
        let path = store.path(&key());
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            for cut in [false, true] {
                let mut bad = good.clone();
                if cut {
                    bad.truncate(at);
                } else {
                    bad[at] ^= 0x04;
                }
                std::fs::write(&path, &bad).unwrap();
                assert_eq!(store.serving(&key()).unwrap(), None, "byte {at}, cut {cut}");
                assert!(!path.exists() && path.with_extension("bad").exists());
                assert!(!std::fs::read_to_string(path.with_extension("bad.txt")).unwrap().trim().is_empty());
            }
        }
        // A new build is not hindered by what was set aside.
        store.write(&key(), check(), b"new").unwrap();
        assert_eq!(store.serving(&key()).unwrap().unwrap(), b"new");
    }

    #[test]
    fn a_plan_in_quarantine_leaves_the_old_one_in_place() {
        let (_dir, store) = store();
        store.write(&key(), check(), b"old").unwrap();
        store.quarantine(&key(), b"wrong numbers", "outputs differ").unwrap();
        assert_eq!(store.serving(&key()).unwrap().unwrap(), b"old");
        let aside = store.path(&key()).with_extension("bad");
        assert_eq!(std::fs::read(&aside).unwrap(), b"wrong numbers");
        assert_eq!(std::fs::read_to_string(aside.with_extension("bad.txt")).unwrap(), "outputs differ\n");
        assert_eq!(store.quarantined(), [format!("{}: outputs differ", key().stem())]);
        // A good plan of the same key ends it, and is another plan to whoever watches.
        let before = store.listing();
        store.write(&key(), check(), b"newer").unwrap();
        assert_eq!(store.quarantined(), [""; 0]);
        assert_ne!(store.listing(), before);
    }

    #[test]
    fn what_is_wanted_goes_first_and_nothing_is_left_out() {
        let all: Vec<_> = Want::default().candidates().collect();
        assert_eq!(all, Precision::ALL.map(|p| (p, None)));
        let want = Want { precision: Some(Precision::Int8), dla: Some(1) };
        let all: Vec<_> = want.candidates().collect();
        assert_eq!((all.len(), all[0], all[4]), (8, (Precision::Int8, Some(1)), (Precision::Int8, None)));
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_plan_and_nothing_else() {
        let (_dir, store) = store();
        store.write(&key(), check(), b"old").unwrap();
        // What a full disk does, without one: the file beside can't be made because a folder has its name.
        let fresh = store.path(&key()).with_added_extension("new");
        std::fs::create_dir(&fresh).unwrap();
        let e = store.write(&key(), check(), b"new").unwrap_err();
        assert!(e.kind == EngineErrorKind::Backend && e.message.contains("can't be written"), "{e}");
        assert_eq!(store.serving(&key()).unwrap().unwrap(), b"old");
        std::fs::remove_dir(&fresh).unwrap();
        // /dev/full really is a full disk, for the one write that can be led there.
        std::os::unix::fs::symlink("/dev/full", &fresh).unwrap();
        let e = store.write(&key(), check(), &vec![7; 1 << 16]).unwrap_err();
        assert!(e.message.contains("can't be written"), "{e}");
        assert_eq!(store.serving(&key()).unwrap().unwrap(), b"old");
        assert!(!fresh.is_symlink(), "the half-written file was taken away");
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read_or_refused_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = open(&bytes);
            let _ = open(&[MAGIC.as_bytes(), &bytes].concat());
        }
    }
}
