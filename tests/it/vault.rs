//! The members' vault on a real ext4, of which every byte is read afterwards: what was deleted is gone from the raw
//! disk, and nothing was ever on it in the clear.

use std::path::Path;
use std::process::Command;

use till::people::vault::{Consent, Facing, KeySource, Method, Record, Template, Vault, VaultErrorKind};

/// A mounted image, unmounted at the end whatever happens.
struct Disk<'a> {
    image: &'a Path,
    mount: &'a Path,
}

fn ran(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|out| out.status.success())
}

impl<'a> Disk<'a> {
    /// `None` where this user can make or mount no file system.
    fn mounted(image: &'a Path, mount: &'a Path) -> Option<Self> {
        let disk = Self { image, mount };
        let (image, mount) = (image.to_str()?, mount.to_str()?);
        ran("mount", &["-o", "loop", image, mount]).then_some(disk)
    }

    fn raw(&self) -> Vec<u8> {
        assert!(ran("sync", &["-f", self.mount.to_str().unwrap()]));
        std::fs::read(self.image).unwrap()
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        ran("umount", &[self.mount.to_str().unwrap()]);
    }
}

fn record(id: &str, first: f32) -> Record {
    let template = |facing, turn: f32| {
        let (x, y) = ((first + turn).cos(), (first + turn).sin());
        Template { network: "ab".repeat(32), facing, vector: vec![x * 0.6, y * 0.6, x * 0.8, y * 0.8] }
    };
    Record {
        id: id.to_owned(),
        name: Some(format!("Somebody called {id}")),
        created_s: None,
        consent: Consent { version: "1".into(), text_sha256: None, at_s: None, method: Method::Staff },
        templates: Facing::ALL.into_iter().zip([0.1, 0.2, 0.3, 0.4]).map(|(f, t)| template(f, t)).collect(),
    }
}

fn found(raw: &[u8], piece: &[u8]) -> bool {
    raw.windows(piece.len()).any(|window| window == piece)
}

/// The bytes of a file in pieces that can't be there by chance.
fn pieces(file: &[u8]) -> Vec<&[u8]> {
    let used = file.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    file[20..used].chunks_exact(24).step_by(16).collect()
}

#[test]
fn a_raw_ext4_holds_nobody_in_the_clear_and_nothing_of_who_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mount) = (folder.path().join("disk.img"), folder.path().join("mount"));
    std::fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    std::fs::create_dir(&mount).unwrap();
    if !ran("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]) {
        eprintln!("skipped: no mkfs.ext4");
        return;
    }
    let Some(disk) = Disk::mounted(&image, &mount) else {
        eprintln!("skipped: this user can't mount an image");
        return;
    };
    let state = mount.join("people");
    let mut vault = Vault::init_at(&state, &KeySource::Own).unwrap();
    let (anna, ben) = (record("anna-kowalska-4711", 0.3), record("ben-li-4712", 1.1));
    vault.put(&anna, false).unwrap();
    vault.put(&ben, false).unwrap();
    let read = |name: &str| std::fs::read(state.join(name)).unwrap();
    let name = |number: u32| {
        let mut names = std::fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.find(|n| n.starts_with(&format!("{number:08x}-"))).unwrap()
    };
    let (index, key, hers, his) = (read("index.a"), read("device.key"), read(&name(1)), read(&name(2)));
    let raw = disk.raw();
    for piece in [pieces(&index), pieces(&hers), vec![&key]].concat() {
        assert!(found(&raw, piece), "the search finds what is there");
    }

    assert_eq!(vault.delete(&[1]).unwrap(), 1);
    let raw = disk.raw();
    let gone = [pieces(&index), pieces(&hers)].concat();
    println!("{} bytes of a raw ext4 searched for {} pieces of a deleted person", raw.len(), gone.len());
    for piece in gone {
        assert!(!found(&raw, piece), "a piece of the deleted person's key or record");
    }
    assert!(pieces(&his).iter().all(|piece| found(&raw, piece)));

    vault.rotate().unwrap();
    drop(vault);
    let raw = disk.raw();
    assert!(!found(&raw, &key), "the old device key");
    for person in [&anna, &ben] {
        assert!(!found(&raw, person.id.as_bytes()) && !found(&raw, person.name.as_ref().unwrap().as_bytes()));
        for template in &person.templates {
            let bytes: Vec<u8> = template.vector.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert!(!found(&raw, &bytes[..8]) && !found(&raw, &bytes[8..]), "{}", template.facing);
        }
    }
    let vault = Vault::open_at(&state, &KeySource::Own).unwrap();
    assert_eq!(vault.people().map(|p| p.record.unwrap()).collect::<Vec<_>>(), [ben]);
}

/// A file system that is really full, not one that says so.
#[test]
fn on_a_full_file_system_nobody_is_enrolled_in_half() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    if !ran("mount", &["-t", "tmpfs", "-o", "size=96k", "none", mount.to_str().unwrap()]) {
        eprintln!("skipped: this user can't mount a file system");
        return;
    }
    let _disk = Disk { image: &mount, mount: &mount };
    let state = mount.join("people");
    let mut vault = Vault::init_at(&state, &KeySource::Own).unwrap();
    let mut ids = Vec::new();
    let error = loop {
        let id = format!("member-{}", ids.len());
        match vault.put(&record(&id, ids.len() as f32), false) {
            Ok(_) => ids.push(id),
            Err(error) => break error,
        }
        assert!(ids.len() < 1000, "it never gets full");
    };
    assert_eq!(error.kind, VaultErrorKind::NoSpace, "{error}");
    assert!(ids.len() > 3);
    let known = |vault: &Vault| vault.people().map(|p| p.record.unwrap().id.clone()).collect::<Vec<_>>();
    assert_eq!(known(&vault), ids, "in memory");
    drop(vault);
    let mut vault = Vault::open_at(&state, &KeySource::Own).unwrap();
    assert_eq!(known(&vault), ids, "on the disk");
    // Whoever wants to go can go, and then there is room.
    assert_eq!(vault.delete(&[1, 2]).unwrap(), 2);
    vault.put(&record("another", 0.5), false).unwrap();
    println!("{} people until the file system was full, nobody in half", ids.len());
}
