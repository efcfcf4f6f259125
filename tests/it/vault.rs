//! The members' vault on a real ext4, of which every byte is read afterwards: what was deleted is gone from the raw
//! disk, and nothing was ever on it in the clear.

use std::path::Path;
use std::process::Command;

use till::people::vault::{Consent, Facing, KeySource, Method, Record, Template, Vault};

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
    for piece in [pieces(&index), pieces(&hers)].concat() {
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
