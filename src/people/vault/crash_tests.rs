//! Power cuts and failures at every operation of the file system, through a whole life of a vault: whatever was being
//! done is done or not done when the vault is opened next, for everybody, and nothing else is left in the folder.

use std::collections::BTreeMap;

use super::tests::record;
use super::*;
use crate::outbox::fault::{Fault, FaultDisk};

/// What is done in a vault's life, in this order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Init,
    Put(&'static str, u64),
    Used(u32, u32),
    Delete(u32),
    Rotate,
    Protect,
}

const LIFE: &[Step] = &[
    Step::Init,
    Step::Put("anna", 1),
    Step::Put("ben", 2),
    Step::Protect,
    Step::Rotate,
    Step::Put("anna", 3),
    Step::Used(2, 20_000),
    Step::Delete(1),
    Step::Put("carl", 4),
    Step::Protect,
    Step::Delete(2),
];

/// Who is there: the seed of the record, and the day of the last use.
type People = BTreeMap<String, (u64, Option<u32>)>;

/// The folder's contents after each step; nothing before the first.
fn history() -> Vec<Option<People>> {
    let mut all: Vec<Option<People>> = vec![None];
    for step in LIFE {
        let mut people = all.last().cloned().flatten().unwrap_or_default();
        match step {
            Step::Init | Step::Rotate | Step::Protect => {}
            Step::Put(id, seed) => {
                let used = people.get(*id).and_then(|p| p.1);
                people.insert((*id).to_owned(), (*seed, used));
            }
            Step::Used(_, day) => {
                people.insert("ben".to_owned(), (2, Some(*day)));
            }
            Step::Delete(1) => {
                people.remove("anna");
            }
            Step::Delete(_) => {
                people.remove("ben");
            }
        }
        all.push(Some(people));
    }
    all
}

fn act(disk: &FaultDisk, vault: &mut Option<Vault>, step: Step) -> Result<(), VaultError> {
    if matches!(step, Step::Init) {
        *vault = Some(Vault::init(disk.fs(), &KeySource::Own)?);
        return Ok(());
    }
    let v = vault.as_mut().unwrap();
    match step {
        Step::Init => Ok(()),
        Step::Put(id, seed) => v.put(&record(id, seed), true).map(|_| ()),
        Step::Used(number, day) => v.note_used(&[(number, day)]),
        Step::Delete(number) => v.delete(&[number]).map(|_| ()),
        Step::Rotate => v.rotate(),
        Step::Protect => v.protect().map(|_| ()),
    }
}

/// Lives until a step fails; says which one and why.
fn live(disk: &FaultDisk) -> (Option<Vault>, usize, Option<VaultError>) {
    let mut vault = None;
    for (i, step) in LIFE.iter().enumerate() {
        if let Err(error) = act(disk, &mut vault, *step) {
            return (vault, i, Some(error));
        }
    }
    (vault, LIFE.len(), None)
}

/// The same but for what turning there and back leaves.
fn alike(a: &Record, b: &Record) -> bool {
    let near = |a: &Template, b: &Template| {
        (&a.network, a.facing) == (&b.network, b.facing) && crate::gallery::search::dot(&a.vector, &b.vector) > 0.99999
    };
    (&a.id, &a.name, &a.consent) == (&b.id, &b.name, &b.consent)
        && a.templates.len() == b.templates.len()
        && a.templates.iter().zip(&b.templates).all(|(a, b)| near(a, b))
}

fn seen(vault: &Vault) -> People {
    let seed = |r: &Record| {
        let plain = vault.plain(r);
        (1..=4).find(|seed| alike(&plain, &record(&r.id, *seed))).expect("a record of this life")
    };
    vault
        .people()
        .map(|p| {
            let r = p.record.expect("every record opens");
            (r.id.clone(), (seed(&r), p.used_day))
        })
        .collect()
}

/// Opens, and holds the folder to what it may hold.
fn reopened(disk: &FaultDisk, context: &str) -> Option<People> {
    match Vault::open(disk.fs(), &KeySource::Own) {
        Ok(vault) => {
            let people = seen(&vault);
            let mut names = disk.fs().list().unwrap();
            names.retain(|n| !["device.key", "index.a", "index.b"].contains(&n.as_str()));
            assert!(names.iter().all(|n| n.ends_with(".rec")) && names.len() == people.len(), "{context}: {names:?}");
            Some(people)
        }
        Err(error) => {
            assert_eq!(error.kind, VaultErrorKind::Missing, "{context}: {error}");
            None
        }
    }
}

/// Goes on with the next life after a crash: the vault still takes and ends people.
fn goes_on(disk: &FaultDisk, context: &str) {
    let mut v = match Vault::open(disk.fs(), &KeySource::Own) {
        Ok(vault) => vault,
        Err(_) => Vault::init(disk.fs(), &KeySource::Own).unwrap(),
    };
    let before = v.len();
    let number = v.put(&record("zoe", 1), false).unwrap_or_else(|e| panic!("{context}: {e}"));
    v.rotate().unwrap();
    v.delete(&[number]).unwrap();
    assert_eq!(v.len(), before, "{context}");
}

fn operations() -> u64 {
    let disk = FaultDisk::default();
    assert!(live(&disk).2.is_none());
    disk.operations()
}

#[test]
fn a_power_cut_at_any_operation_leaves_everybody_wholly_there_or_wholly_absent() {
    let (history, operations) = (history(), operations());
    assert!(operations > 80, "{operations}");
    let torn = |done, zeros| Fault::Torn { done, zeros };
    let cuts = [Fault::PowerCut, torn(0, false), torn(9, false), torn(100, true), torn(100_000, false)];
    let mut trials = 0;
    for at in 0..operations {
        for cut in cuts {
            for (kept, names) in [(0, false), (500, false), (1000, false), (500, true), (1000, true)] {
                let context = format!("{cut:?} at {at}, {kept} kept, names {names}");
                let disk = FaultDisk::default();
                disk.keep_names(names);
                disk.plan(at, cut);
                let (vault, step, error) = live(&disk);
                drop(vault);
                disk.reboot(kept);
                let people = reopened(&disk, &context);
                let may: &[Option<People>] = match error {
                    Some(_) => &history[step..=step + 1],
                    // Cut in what comes after the promise.
                    None => &history[step..=step],
                };
                assert!(may.contains(&people), "{context}: in {:?} {people:?}", LIFE.get(step));
                goes_on(&disk, &context);
                trials += 1;
            }
        }
    }
    assert_eq!(trials, operations * 25);
    println!("{operations} operations, {trials} power cuts: everybody wholly there or wholly absent");
}

#[test]
fn a_second_power_cut_while_the_first_is_mended_changes_nothing() {
    let (history, operations) = (history(), operations());
    println!("{} pairs of power cuts", operations * 12);
    for at in 0..operations {
        for second in 0..12 {
            let context = format!("cut at {at}, again at {second} of the opening");
            let disk = FaultDisk::default();
            disk.plan(at, Fault::PowerCut);
            let (vault, step, _) = live(&disk);
            drop(vault);
            disk.reboot(500);
            disk.plan(disk.operations() + second, Fault::PowerCut);
            let _ = Vault::open(disk.fs(), &KeySource::Own);
            disk.reboot(500);
            let people = reopened(&disk, &context);
            let last = LIFE.len().min(step + 1);
            assert!(history[step..=last].contains(&people), "{context}: in {:?} {people:?}", LIFE.get(step));
        }
    }
}

#[test]
fn a_failed_operation_is_told_and_what_is_told_is_true() {
    let (history, operations) = (history(), operations());
    println!("{} failed operations", operations * 3);
    for at in 0..operations {
        for fault in [Fault::Eio, Fault::NoSpace, Fault::ReadOnly] {
            let context = format!("{fault:?} at {at}");
            let disk = FaultDisk::default();
            disk.plan(at, fault);
            let (vault, step, error) = live(&disk);
            let now = vault.as_ref().map(seen);
            let kind = error.as_ref().map(|e| e.kind);
            match kind {
                None => assert_eq!(now, history[step], "{context}"),
                Some(VaultErrorKind::Remains) => assert_eq!(now, history[step + 1], "{context}: {error:?}"),
                Some(_) if step > 0 => assert_eq!(now, history[step], "{context}: {error:?}"),
                Some(_) => {}
            }
            // The process goes on with its next life from the disk, power cut or not.
            let poisoned = vault.as_ref().is_some_and(Vault::is_poisoned);
            drop(vault);
            disk.reboot(1000);
            let people = reopened(&disk, &context);
            match kind {
                Some(_) if step > 0 && !poisoned => assert_eq!(people, now, "{context}"),
                Some(_) => assert!(history[step..=step + 1].contains(&people), "{context}"),
                None => assert_eq!(people, history[step], "{context}"),
            }
        }
    }
}
