use proptest::prelude::*;

use super::*;
use crate::outbox::fault::{Fault, FaultDisk};
use crate::outbox::fs::Look;
use crate::outbox::log::{Limits, Log};

const SMALL: Limits = Limits { bytes_max: 1 << 20, segment_bytes: 100 };

fn disk() -> FaultDisk {
    let disk = FaultDisk::default();
    let mut log = Log::open(disk.fs(), SMALL, 7).unwrap();
    for i in 0..9u8 {
        log.append(&[i + 1; 30]).unwrap();
    }
    disk
}

fn contents(disk: &FaultDisk) -> Vec<(u32, Vec<u8>)> {
    let log = Log::open(disk.fs(), SMALL, 8).unwrap();
    log.records().map(|(sequence, record)| (sequence, record.to_vec())).collect()
}

#[test]
fn each_damaged_byte_is_skipped_with_its_number_and_kept_aside() {
    let names = disk().list().unwrap();
    for name in &names[..2] {
        let length = disk().fs().read(name).unwrap().len();
        for at in 0..length {
            let disk = disk();
            let whole = contents(&disk);
            disk.damage(name, |bytes| bytes[at] ^= 0x40);
            let damaged = disk.fs().read(name).unwrap();
            assert!(Log::open(disk.fs(), SMALL, 7).is_err());
            let repaired = repair(&mut *disk.fs(), 99).unwrap();
            assert!(!repaired.new_epoch && repaired.skipped.len() <= 1, "{name} {at}");
            assert_eq!(disk.fs().read(&repaired.kept[0]).unwrap(), damaged);
            disk.reboot(0);
            for ((sequence, record), (_, before)) in contents(&disk).into_iter().zip(whole) {
                let skipped = repaired.skipped.contains(&sequence);
                assert_eq!(record, if skipped { Vec::new() } else { before }, "{name} {at}");
            }
            let mut log = Log::open(disk.fs(), SMALL, 8).unwrap();
            assert_eq!((log.append(b"goes on").unwrap(), log.epoch()), (10, 7));
            assert_eq!(repair(&mut *disk.fs(), 99).unwrap(), Repaired::default(), "there is nothing left to do");
        }
    }
}

#[test]
fn a_power_cut_at_each_operation_leaves_the_old_log_or_the_new_one() {
    let damaged = || {
        let disk = disk();
        let names = disk.list().unwrap();
        disk.damage(&names[0], |bytes| bytes[70] ^= 1);
        disk.damage(&names[1], |bytes| bytes[30] ^= 1);
        disk
    };
    let (before, total) = {
        let disk = damaged();
        let before = disk.operations();
        repair(&mut *disk.fs(), 99).unwrap();
        (before, disk.operations())
    };
    for at in before..total {
        for fault in [Fault::PowerCut, Fault::Eio, Fault::NoSpace, Fault::ReadOnly] {
            let disk = damaged();
            let original = disk.fs().read("0000000001.log").unwrap();
            disk.plan(at, fault);
            let _ = repair(&mut *disk.fs(), 99);
            disk.reboot(500);
            // Cut short or not, the next attempt comes to the same end.
            repair(&mut *disk.fs(), 99).unwrap();
            disk.reboot(0);
            let records = contents(&disk);
            assert_eq!(records.len(), 9, "operation {at} {fault:?}");
            assert_eq!(records.iter().filter(|(_, record)| record.is_empty()).count(), 2, "operation {at} {fault:?}");
            assert_eq!(disk.fs().read("0000000001.damaged").unwrap(), original, "operation {at} {fault:?}");
        }
    }
}

#[test]
fn a_segment_that_is_gone_becomes_empty_records_and_a_lost_epoch_a_new_one() {
    let disk = disk();
    let names = disk.list().unwrap();
    disk.fs().remove(&names[1]).unwrap();
    assert_eq!(repair(&mut *disk.fs(), 99).unwrap().skipped, [3, 4]);
    assert_eq!(contents(&disk).len(), 9);

    let disk = FaultDisk::default();
    let mut log = Log::open(disk.fs(), Limits::default(), 7).unwrap();
    log.append(b"one").unwrap();
    drop(log);
    disk.damage("0000000001.log", |bytes| bytes[3] = 0);
    let repaired = repair(&mut *disk.fs(), 99).unwrap();
    assert!(repaired.new_epoch && repaired.skipped.is_empty());
    let log = Log::open(disk.fs(), Limits::default(), 8).unwrap();
    assert_eq!((log.epoch(), log.get(1)), (99, Some(&b"one"[..])));
}

#[test]
fn what_skipping_can_not_mend_is_refused_and_left_as_it_was() {
    let disk = disk();
    let names = disk.list().unwrap();
    disk.damage(&names[1], |bytes| {
        let other = record::header(8, 3);
        bytes[..other.len()].copy_from_slice(&other);
    });
    let before = disk.operations();
    assert_eq!(repair(&mut *disk.fs(), 99).unwrap_err().kind, LogErrorKind::Corrupt);
    let unreadable = self::disk();
    unreadable.unreadable(&names[0]);
    assert_eq!(repair(&mut *unreadable.fs(), 99).unwrap_err().kind, LogErrorKind::Corrupt);
    assert_eq!((disk.operations(), unreadable.operations()), (before, before));
}

#[test]
fn a_byte_too_many_behind_a_segment_that_is_not_the_last_is_no_torn_tail() {
    let disk = disk();
    let names = disk.list().unwrap();
    disk.damage(&names[0], |bytes| bytes.push(205));
    let repaired = repair(&mut *disk.fs(), 99).unwrap();
    assert_eq!(repaired.kept.len(), 1);
    Log::open(disk.fs(), SMALL, 8).unwrap();
    assert_eq!(scan(&disk, &mut |_| {}).unwrap().findings, 0);
}

proptest! {
    #[test]
    fn after_a_repair_a_log_opens_whatever_happened_to_its_bytes(hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..4, any::<u8>()), 1..6)) {
        let disk = disk();
        let names = disk.list().unwrap();
        for (name, at, what, byte) in hits {
            let name = &names[name.index(names.len())];
            disk.damage(name, |bytes| {
                let at = at.index(bytes.len().max(1));
                match what {
                    0 if at < bytes.len() => bytes[at] ^= byte | 1,
                    1 => bytes.truncate(at),
                    2 if at < bytes.len() => { bytes.remove(at); }
                    _ => bytes.insert(at.min(bytes.len()), byte),
                }
            });
        }
        let before = scan(&disk, &mut |_| {}).unwrap();
        repair(&mut *disk.fs(), 99).unwrap();
        let log = Log::open(disk.fs(), SMALL, 8).unwrap();
        // A header's damage may name a lower first record; no number above the last whole one is lost.
        prop_assert_eq!(log.last().max(before.last), log.last());
        prop_assert_eq!(scan(&disk, &mut |_| {}).unwrap().findings, 0);
    }
}
