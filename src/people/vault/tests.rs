//! What the vault promises on a whole disk, against tampering, on a full disk, and about what is left of a person.

use std::path::Path;

use proptest::prelude::*;

use super::index::{Index, Read};
use super::seal::Key;
use super::*;
use crate::gallery::Precision;
use crate::outbox::fault::{Fault, FaultDisk};
use crate::people::members::Members;
use crate::people::metrics::Random;

/// A unit vector that is nobody else's.
pub(super) fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut v: Vec<f32> = (0..dimensions).map(|_| random.below(2_000_001) as f32 / 1e6 - 1.0).collect();
    let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    v.iter_mut().for_each(|x| *x /= length);
    v
}

pub(super) fn record(id: &str, seed: u64) -> Record {
    let template = |facing, i| Template { network: "ab".repeat(32), facing, vector: vector(seed * 10 + i, 24) };
    Record {
        id: id.to_owned(),
        name: Some(format!("Name of {id}")),
        created_s: Some(1_790_000_000),
        consent: Consent {
            version: "2026-11".into(),
            text_sha256: Some("cd".repeat(32)),
            at_s: Some(1_790_000_000),
            method: Method::Staff,
        },
        templates: Facing::ALL.into_iter().zip(0..).map(|(f, i)| template(f, i)).collect(),
    }
}

fn vault(disk: &FaultDisk) -> Vault {
    Vault::init(disk.fs(), &KeySource::Own).unwrap()
}

fn open(disk: &FaultDisk) -> Result<Vault, VaultError> {
    Vault::open(disk.fs(), &KeySource::Own)
}

fn records(disk: &FaultDisk) -> Vec<String> {
    disk.fs().list().unwrap().into_iter().filter(|n| n.ends_with(".rec")).collect()
}

fn contains(haystack: &[Vec<u8>], needle: &[u8]) -> bool {
    haystack.iter().any(|bytes| bytes.windows(needle.len()).any(|w| w == needle))
}

/// Every way in which a template could stand on a disk in the clear.
fn traces(record: &Record) -> Vec<Vec<u8>> {
    let mut traces: Vec<Vec<u8>> = vec![record.id.clone().into(), record.name.clone().unwrap().into()];
    for t in &record.templates {
        // Two values in a row, from each of the vector's first places on.
        traces.extend(t.vector.windows(2).map(|w| w.iter().flat_map(|v| v.to_le_bytes()).collect()));
        traces.push(t.vector.iter().take(2).flat_map(|v| f64::from(*v).to_le_bytes()).collect());
        traces.push(t.vector[0].to_string().into_bytes());
    }
    traces
}

#[test]
fn who_was_put_is_there_until_deleted() {
    let disk = FaultDisk::default();
    let mut v = vault(&disk);
    let (anna, ben) = (record("anna", 1), record("ben", 2));
    assert_eq!((v.put(&anna, false).unwrap(), v.put(&ben, false).unwrap()), (1, 2));
    assert_eq!(v.put(&anna, false).unwrap_err().kind, VaultErrorKind::Exists);
    let newer = record("anna", 3);
    assert_eq!(v.put(&newer, true).unwrap(), 1, "the number stays");
    v.note_used(&[(1, 20_000), (2, 5), (9, 9)]).unwrap();
    v.note_used(&[(1, 19_000)]).unwrap();
    drop(v);
    let mut v = open(&disk).unwrap();
    assert_eq!((v.len(), v.notes().len(), records(&disk).len()), (2, 0, 2));
    assert_eq!(v.find("anna").unwrap().record.unwrap(), newer);
    assert_eq!(v.find("anna").unwrap().used_day, Some(20_000));
    assert_eq!(v.find("nobody").unwrap_err().kind, VaultErrorKind::Unknown);
    assert_eq!(v.delete(&[1, 7]).unwrap(), 1);
    assert_eq!(v.put(&record("carl", 4), false).unwrap(), 3, "a number is never used twice");
    let ids: Vec<String> = open(&disk).unwrap().people().map(|p| p.record.unwrap().id.clone()).collect();
    assert_eq!(ids, ["ben", "carl"]);
    assert_eq!(format!("{:?} {:?}", ben, v), "Record(4 templates) Vault(2 people)");
}

/// A protected vault knows the people it knew; what is copied out of it is known nowhere else, nor there once the secret
/// is another one.
#[test]
fn templates_are_turned_and_turned_anew_and_nobody_enrols_again() {
    let network = "ab".repeat(32);
    let nearest = |vault: &Vault, probe: &[f32]| {
        let members = Members::load(vault, &network, 24, Precision::F32);
        members.gallery.search(probe).unwrap().best.map(|b| (b.id, (b.score * 1e5).round() / 1e5))
    };
    let disk = FaultDisk::default();
    let mut v = vault(&disk);
    v.put(&record("anna", 1), false).unwrap();
    let probe = record("anna", 1).templates[0].vector.clone();
    assert!(!v.is_protected() && nearest(&v, &probe) == Some((1, 1.0)));
    let mut copies = vec![v.find("anna").unwrap().record.unwrap()];
    for _ in 0..2 {
        assert_eq!(v.protect().unwrap(), 1);
        drop(v);
        v = open(&disk).unwrap();
        assert!(v.is_protected() && nearest(&v, &probe) == Some((1, 1.0)));
        copies.push(v.find("anna").unwrap().record.unwrap());
    }
    assert_eq!(records(&disk).len(), 1, "the old records are gone");
    v.put(&record("ben", 2), false).unwrap();
    let ben = record("ben", 2).templates[3].vector.clone();
    assert_eq!((nearest(&v, &ben), nearest(&v, &probe)), (Some((2, 1.0)), Some((1, 1.0))));
    v.rotate().unwrap();
    assert_eq!(nearest(&v, &ben), Some((2, 1.0)), "the secret outlives the device key");
    // The same person's vectors, plain and under two secrets, have nothing to do with each other.
    for (i, a) in copies.iter().enumerate() {
        for b in &copies[..i] {
            assert_ne!(a.templates[0].network, b.templates[0].network);
            let cosine = crate::gallery::search::dot(&a.templates[0].vector, &b.templates[0].vector);
            assert!(cosine.abs() < 0.8, "24 values: {cosine}");
        }
    }
}

#[test]
fn a_vault_with_a_damaged_record_is_not_protected_by_halves() {
    let disk = FaultDisk::default();
    let mut v = vault(&disk);
    v.put(&record("anna", 1), false).unwrap();
    v.put(&record("ben", 2), false).unwrap();
    let before = records(&disk);
    disk.damage(&before[1], |bytes| bytes[40] ^= 1);
    assert_eq!(v.protect().unwrap_err().kind, VaultErrorKind::Tampered);
    assert!(!v.is_protected() && records(&disk) == before);
    assert_eq!(v.find("anna").unwrap().record.unwrap(), record("anna", 1));
}

#[test]
fn a_record_with_any_byte_changed_or_missing_is_found() {
    let disk = FaultDisk::default();
    vault(&disk).put(&record("anna", 1), false).unwrap();
    let name = records(&disk).remove(0);
    let whole = disk.fs().read(&name).unwrap();
    let kind = |disk: &FaultDisk| open(disk).unwrap().people().next().unwrap().record.map_err(|e| e.kind);
    assert!(kind(&disk).is_ok());
    for at in 0..whole.len() {
        disk.damage(&name, |bytes| bytes[at] ^= 0x10);
        assert_eq!(kind(&disk), Err(VaultErrorKind::Tampered), "byte {at}");
        disk.damage(&name, |bytes| bytes.clone_from(&whole));
    }
    for length in [0, 7, 8, 31, 48, whole.len() - 1] {
        disk.damage(&name, |bytes| bytes.truncate(length));
        assert_eq!(kind(&disk), Err(VaultErrorKind::Tampered), "{length} bytes");
        disk.damage(&name, |bytes| bytes.clone_from(&whole));
    }
    disk.damage(&name, |bytes| bytes.push(0));
    assert_eq!(kind(&disk), Err(VaultErrorKind::Tampered));
    println!("{} bytes of a record changed one by one, 7 other lengths: each found", whole.len());
    disk.fs().remove(&name).unwrap();
    assert!(open(&disk).unwrap().people().next().unwrap().record.unwrap_err().message.contains("gone"));
}

#[test]
fn exchanged_and_older_records_are_found() {
    let disk = FaultDisk::default();
    let mut v = vault(&disk);
    v.put(&record("anna", 1), false).unwrap();
    v.put(&record("ben", 2), false).unwrap();
    let names = records(&disk);
    let files: Vec<Vec<u8>> = names.iter().map(|n| disk.fs().read(n).unwrap()).collect();
    disk.damage(&names[0], |bytes| bytes.clone_from(&files[1]));
    disk.damage(&names[1], |bytes| bytes.clone_from(&files[0]));
    assert!(v.people().all(|p| p.record.is_err_and(|e| e.kind == VaultErrorKind::Tampered)));
    disk.damage(&names[1], |bytes| bytes.clone_from(&files[1]));
    // The record of an earlier time, in the place of today's.
    v.put(&record("ben", 3), true).unwrap();
    let newer = records(&disk).into_iter().find(|n| !names.contains(n)).unwrap();
    disk.damage(&newer, |bytes| bytes.clone_from(&files[1]));
    assert!(open(&disk).unwrap().people().all(|p| p.record.is_err()));
}

#[test]
fn an_index_with_a_changed_byte_is_mended_from_its_twin_and_two_are_refused() {
    let disk = FaultDisk::default();
    vault(&disk).put(&record("anna", 1), false).unwrap();
    let whole = disk.fs().read("index.a").unwrap();
    for at in 0..whole.len() {
        for slots in [&["index.a"][..], &["index.b"], &["index.a", "index.b"]] {
            slots.iter().for_each(|slot| disk.damage(slot, |bytes| bytes[at] ^= 1));
            let opened = open(&disk);
            if slots.len() == 1 {
                let v = opened.unwrap();
                assert!(v.people().all(|p| p.record.is_ok()) && v.notes().len() == 1, "byte {at}");
                assert!(["index.a", "index.b"].iter().all(|s| disk.fs().read(s).unwrap() == whole), "byte {at}");
            } else {
                let kind = opened.unwrap_err().kind;
                let id = (8..16).contains(&at);
                assert_eq!(kind, if id { VaultErrorKind::WrongKey } else { VaultErrorKind::Tampered }, "byte {at}");
                slots.iter().for_each(|slot| disk.damage(slot, |bytes| bytes.clone_from(&whole)));
            }
        }
    }
    println!("{} bytes of an index changed one by one, in one copy and in both", whole.len());
    // An older index beside the records of today: what it does not know of is not there.
    let mut v = open(&disk).unwrap();
    v.put(&record("anna", 2), true).unwrap();
    ["index.a", "index.b"].iter().for_each(|s| disk.damage(s, |bytes| bytes.clone_from(&whole)));
    assert_eq!(open(&disk).unwrap().people().next().unwrap().record.unwrap_err().kind, VaultErrorKind::Tampered);
}

#[test]
fn another_key_and_none_are_told_apart() {
    let disk = FaultDisk::default();
    assert_eq!(open(&disk).unwrap_err().kind, VaultErrorKind::Missing);
    vault(&disk).put(&record("anna", 1), false).unwrap();
    assert_eq!(Vault::init(disk.fs(), &KeySource::Own).unwrap_err().kind, VaultErrorKind::Exists);
    disk.damage("device.key", |bytes| bytes[3] ^= 1);
    assert_eq!(open(&disk).unwrap_err().kind, VaultErrorKind::WrongKey);
    disk.damage("device.key", |bytes| bytes.clear());
    assert_eq!(open(&disk).unwrap_err().kind, VaultErrorKind::Key);
    ["index.a", "index.b"].iter().for_each(|slot| disk.fs().remove(slot).unwrap());
    assert_eq!(Vault::init(disk.fs(), &KeySource::Own).unwrap_err().kind, VaultErrorKind::Tampered);
}

#[test]
fn what_is_no_record_is_not_stored() {
    let disk = FaultDisk::default();
    let mut v = vault(&disk);
    let with = |change: &dyn Fn(&mut Record)| {
        let mut r = record("anna", 1);
        change(&mut r);
        r
    };
    let bad = [
        with(&|r| r.templates[2].vector[5] = f32::NAN),
        with(&|r| r.templates[0].vector.fill(f32::INFINITY)),
        with(&|r| r.templates[0].vector.fill(0.0)),
        with(&|r| r.templates[0].vector.clear()),
        with(&|r| r.templates[0].network = "net".into()),
        with(&|r| r.templates.clear()),
        with(&|r| r.templates = vec![r.templates[0].clone(); 33]),
        with(&|r| r.id.clear()),
        with(&|r| r.id = "a\nb".into()),
        with(&|r| r.id = "x".repeat(33)),
        with(&|r| r.name = Some(" ".into())),
        with(&|r| r.consent.version.clear()),
    ];
    for r in bad {
        let error = v.put(&r, false).unwrap_err();
        assert_eq!(error.kind, VaultErrorKind::Invalid, "{error}");
    }
    assert!(v.is_empty() && records(&disk).is_empty());
    // A clock that was never set leaves the time open.
    let timeless = with(&|r| (r.created_s, r.consent.at_s) = (None, None));
    v.put(&timeless, false).unwrap();
    assert_eq!(open(&disk).unwrap().find("anna").unwrap().record.unwrap(), timeless);
}

#[test]
fn a_full_disk_takes_nobody_and_still_deletes() {
    let disk = FaultDisk::default();
    let mut v = vault(&disk);
    for (i, id) in ["anna", "ben", "carl"].iter().enumerate() {
        v.put(&record(id, i as u64), false).unwrap();
    }
    disk.forever(Some(Fault::NoSpace));
    assert_eq!(v.put(&record("dora", 9), false).unwrap_err().kind, VaultErrorKind::NoSpace);
    assert_eq!(v.len(), 3);
    assert_eq!(v.delete(&[1, 3]).unwrap(), 2, "deleting needs no room");
    disk.forever(None);
    let v = open(&disk).unwrap();
    assert_eq!(v.people().map(|p| p.record.unwrap().id.clone()).collect::<Vec<_>>(), ["ben"]);
    assert_eq!(records(&disk).len(), 1);
}

/// 45 people fill the index's first block: the next one needs another, in both copies, before anything is changed.
#[test]
fn an_index_that_needs_another_block_gets_it_first_or_takes_nobody() {
    let full = |disk: &FaultDisk| {
        let mut v = vault(disk);
        for i in 0..45 {
            let mut r = record(&format!("person {i}"), i);
            r.templates.truncate(1);
            v.put(&r, false).unwrap();
        }
        v
    };
    let disk = FaultDisk::default();
    let mut v = full(&disk);
    let before = disk.operations();
    v.put(&record("one more", 99), false).unwrap();
    assert_eq!(disk.fs().read("index.b").unwrap().len(), 8192);
    for at in before..disk.operations() {
        for fault in [Fault::NoSpace, Fault::Eio, Fault::PowerCut] {
            let disk = FaultDisk::default();
            let mut v = full(&disk);
            disk.plan(at, fault);
            let put = v.put(&record("one more", 99), false);
            drop(v);
            disk.reboot(500);
            let v = open(&disk).unwrap();
            let (people, notes) = (v.len(), v.notes());
            match (fault, put.is_ok()) {
                (Fault::NoSpace, ok) => assert_eq!((people, notes.len()), (45 + usize::from(ok), 0), "{at}: {notes:?}"),
                (_, true) => assert_eq!(people, 46, "{fault:?} at {at}"),
                (_, false) => assert!((45..=46).contains(&people), "{fault:?} at {at}"),
            }
            assert!(v.people().all(|p| p.record.is_ok()));
        }
    }
}

#[test]
fn of_a_deleted_person_nothing_is_on_the_disk() {
    let disk = FaultDisk::default();
    disk.remember();
    let mut v = vault(&disk);
    let (anna, ben) = (record("anna", 1), record("ben", 2));
    v.put(&anna, false).unwrap();
    v.put(&ben, false).unwrap();
    let secret = v.secret(1).unwrap();
    let name = records(&disk).remove(0);
    let (index, file) = (disk.fs().read("index.a").unwrap(), disk.fs().read(&name).unwrap());
    let pieces = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let used = bytes.iter().rposition(|b| *b != 0).unwrap();
        bytes[20..used].chunks_exact(16).map(<[u8]>::to_vec).collect()
    };
    let closed = [pieces(&index), pieces(&file)].concat();
    assert!(closed.iter().all(|piece| contains(&disk.image(), piece)), "the search finds what is there");
    v.delete(&[1]).unwrap();
    v.rotate().unwrap();
    let image = disk.image();
    assert!(!closed.iter().any(|piece| contains(&image, piece)), "the wrapped key or the record");
    // Not even a disk that never writes in place has ever seen a face, an id, a name or the key of a record.
    let written = disk.written();
    let clear = [traces(&anna), traces(&ben), vec![secret.bytes().to_vec()]].concat();
    assert!(clear.len() > 100 && written.len() > 10);
    println!("{} pieces of ciphertext and {} of a face searched for on the whole disk", closed.len(), clear.len());
    for trace in clear {
        assert!(!contains(&written, &trace) && !contains(&image, &trace), "{} bytes in the clear", trace.len());
    }
}

#[test]
fn a_rotation_writes_over_the_old_key_and_everybody_stays() {
    let disk = FaultDisk::default();
    let mut v = vault(&disk);
    v.put(&record("anna", 1), false).unwrap();
    let old = disk.fs().read("device.key").unwrap();
    assert!(contains(&disk.image(), &old));
    v.rotate().unwrap();
    assert!(!contains(&disk.image(), &old), "the old key");
    v.put(&record("ben", 2), false).unwrap();
    let v = open(&disk).unwrap();
    assert_eq!((v.len(), v.notes().len()), (2, 0));
    assert!(v.people().all(|p| p.record.is_ok()));
}

#[test]
fn a_key_from_elsewhere_is_read_exchanged_and_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let (state, file) = (folder.path().join("people"), folder.path().join("people.key"));
    let source = KeySource::File(file.clone());
    let provide = |byte: u8, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&file, [byte; 32]).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    provide(1, 0o644);
    assert!(Vault::init_at(&state, &source).unwrap_err().message.contains("chmod 600"));
    provide(1, 0o600);
    let mut v = Vault::init_at(&state, &source).unwrap();
    v.put(&record("anna", 1), false).unwrap();
    assert_eq!(v.rotate().unwrap_err().kind, VaultErrorKind::Key);
    v.rewrap(Key::of(&[2; 32]).unwrap()).unwrap();
    drop(v);
    assert_eq!(Vault::open_at(&state, &source).unwrap_err().kind, VaultErrorKind::WrongKey);
    provide(2, 0o400);
    assert!(Vault::open_at(&state, &source).unwrap().find("anna").unwrap().record.is_ok());
    assert!(!state.join("device.key").exists());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(Vault::open_at(&state, &source).unwrap_err().kind, VaultErrorKind::Key);
}

#[test]
fn the_folder_is_the_owners_and_one_process_has_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("till/people");
    assert_eq!(Vault::open_at(&state, &KeySource::Own).unwrap_err().kind, VaultErrorKind::Missing);
    let mut v = Vault::init_at(&state, &KeySource::Own).unwrap();
    v.put(&record("anna", 1), false).unwrap();
    assert_eq!(Vault::open_at(&state, &KeySource::Own).unwrap_err().kind, VaultErrorKind::Busy);
    drop(v);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for entry in std::fs::read_dir(&state).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    Vault::open_at(&state, &KeySource::Own).unwrap();
    std::fs::set_permissions(state.join("device.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(Vault::open_at(&state, &KeySource::Own).unwrap_err().kind, VaultErrorKind::Key);
}

proptest! {
    #[test]
    fn no_bytes_of_a_record_or_an_index_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Record::decode(&bytes).is_none_or(|r| r.check().is_ok()));
        let key = Key::of(&[7; 32]).unwrap();
        prop_assert!(!matches!(Index::decode(&bytes, &[&key]), Read::Index(_)));
        let mut plain = bytes.clone();
        let sealed = key.seal(b"x", &mut plain).unwrap();
        prop_assert_eq!(key.open(b"x", &sealed).unwrap().to_vec(), bytes);
    }
}
