use proptest::prelude::*;

use super::*;
use crate::outbox::fault::{Fault, FaultDisk};
use crate::outbox::fs::StdFs;

const SMALL: Limits = Limits { bytes_max: 4_096, segment_bytes: 100 };

fn contents(log: &Log) -> Vec<(u32, Vec<u8>)> {
    log.records().map(|(sequence, record)| (sequence, record.to_vec())).collect()
}

fn opened(disk: &FaultDisk) -> Log {
    Log::open(disk.fs(), SMALL, 7).unwrap()
}

#[test]
fn records_survive_on_a_real_disk_and_a_second_opener_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox");
    let mut log = Log::open(Box::new(StdFs::open(&path).unwrap()), SMALL, 7).unwrap();
    for i in 0..20u8 {
        assert_eq!(log.append(&[i; 20]).unwrap(), u32::from(i) + 1);
    }
    let second = StdFs::open(&path).map(|_| ()).map_err(|error| LogError::io("outbox", &error).kind);
    assert_eq!(second, Err(LogErrorKind::Busy));
    let before = contents(&log);
    drop(log);
    let mut log = Log::open(Box::new(StdFs::open(&path).unwrap()), SMALL, 8).unwrap();
    assert_eq!((contents(&log), log.epoch(), log.last()), (before, 7, 20));
    log.release(18).unwrap();
    drop(log);
    let log = Log::open(Box::new(StdFs::open(&path).unwrap()), SMALL, 8).unwrap();
    assert!(log.first() > 1 && log.first() <= 19 && log.last() == 20, "{log:?}");
}

#[test]
fn a_file_cut_at_every_byte_gives_back_exactly_the_whole_records_before() {
    let disk = FaultDisk::default();
    let mut log = Log::open(disk.fs(), Limits { segment_bytes: 10_000, ..SMALL }, 7).unwrap();
    let mut ends = vec![log.bytes() as usize];
    for i in 0..6u8 {
        log.append(&vec![i; usize::from(i) * 7]).unwrap();
        ends.push(log.bytes() as usize);
    }
    let whole = contents(&log);
    let bytes = disk.fs().read("0000000001.log").unwrap();
    for cut in 0..=bytes.len() {
        let disk = FaultDisk::default();
        let mut fs = disk.fs();
        fs.create("0000000001.log").unwrap();
        fs.write_at("0000000001.log", 0, &bytes[..cut]).unwrap();
        fs.sync("0000000001.log").unwrap();
        fs.sync_folder().unwrap();
        let mut log = opened(&disk);
        let expected = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
        assert_eq!(contents(&log), whole[..expected], "cut at {cut}");
        // And it goes on from there.
        assert_eq!(log.append(b"next").unwrap() as usize, expected + 1);
        drop(log);
        disk.reboot(0);
        assert_eq!(opened(&disk).last() as usize, expected + 1);
    }
}

#[test]
fn damage_in_the_middle_is_reported_with_its_place_and_never_skipped() {
    let disk = FaultDisk::default();
    let mut log = opened(&disk);
    for i in 0..12u8 {
        log.append(&[i + 1; 30]).unwrap();
    }
    drop(log);
    let names = disk.fs().list().unwrap();
    for name in &names {
        let length = disk.fs().read(name).unwrap().len();
        // Behind the last whole record damage can't be told from a torn tail.
        let until = if Some(name) == names.last() { length - 42 } else { length };
        for at in 0..until {
            disk.damage(name, |bytes| bytes[at] ^= 0x40);
            let error = Log::open(disk.fs(), SMALL, 7).unwrap_err();
            assert_eq!(error.kind, LogErrorKind::Corrupt, "{name} {at}");
            assert!(error.place.contains(name.as_str()) && error.offset.is_some());
            disk.damage(name, |bytes| bytes[at] ^= 0x40);
        }
    }
    assert_eq!(opened(&disk).last(), 12);
}

#[test]
fn a_full_log_refuses_before_it_writes_and_goes_on_after_release() {
    let disk = FaultDisk::default();
    let mut log = opened(&disk);
    let mut written = 0;
    while log.append(&[1; 100]).is_ok() {
        written += 1;
    }
    let operations = disk.operations();
    assert_eq!(log.append(&[1; 100]).unwrap_err().kind, LogErrorKind::Full);
    assert_eq!(disk.operations(), operations);
    assert!(log.bytes() <= SMALL.bytes_max);
    log.release(written / 2).unwrap();
    log.append(&[1; 100]).unwrap();
}

/// A day of appends and releases; returns what was promised to be on the disk.
fn day(disk: &FaultDisk) -> Vec<Vec<u8>> {
    let mut promised = Vec::new();
    let Ok(mut log) = Log::open(disk.fs(), SMALL, 7) else { return promised };
    for i in 0..30u8 {
        match log.append(&[i; 25]) {
            Ok(sequence) => {
                promised.push(vec![i; 25]);
                assert_eq!(sequence as usize, promised.len());
            }
            Err(_) if disk.is_dead() => break,
            Err(_) => {}
        }
        if i % 10 == 9 {
            let _ = log.release(log.last().saturating_sub(3));
        }
    }
    promised
}

#[test]
fn a_power_cut_at_every_operation_loses_nothing_that_was_promised() {
    let total = {
        let disk = FaultDisk::default();
        day(&disk);
        disk.operations()
    };
    let mut cuts = 0;
    for at in 0..total {
        for kept_permille in [0, 500, 999, 1000] {
            let disk = FaultDisk::default();
            disk.plan(at, Fault::PowerCut);
            let promised = day(&disk);
            disk.reboot(kept_permille);
            let mut log = opened(&disk);
            // A record that was on its way may be there or not; nothing else may differ.
            assert!(log.last() as usize - promised.len() <= 1, "operation {at}, kept {kept_permille}: {log:?}");
            for (sequence, record) in log.records() {
                if let Some(promise) = promised.get(sequence as usize - 1) {
                    assert_eq!(record, promise);
                }
            }
            assert!(log.first() as usize <= promised.len().saturating_sub(3).max(1) + 1);
            log.append(b"goes on").unwrap();
            cuts += 1;
        }
    }
    println!("{cuts} power cuts over {total} operations");
}

#[test]
fn a_failed_operation_leaves_no_half_record() {
    let total = {
        let disk = FaultDisk::default();
        day(&disk);
        disk.operations()
    };
    for at in 0..total {
        for fault in [Fault::Eio, Fault::NoSpace, Fault::ReadOnly] {
            let disk = FaultDisk::default();
            disk.plan(at, fault);
            let promised = day(&disk);
            disk.reboot(1000);
            let log = opened(&disk);
            let held: Vec<Vec<u8>> = log.records().map(|(_, record)| record.to_vec()).collect();
            let tail = &promised[promised.len() - held.len().min(promised.len())..];
            assert!(held.len() >= 3.min(promised.len()), "operation {at} {fault:?}");
            assert_eq!(held, tail, "operation {at} {fault:?}");
        }
    }
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_caught_by_this_test() {
    let disk = FaultDisk::default();
    disk.lie(true, false);
    let promised = day(&disk);
    disk.reboot(0);
    assert_ne!(Log::open(disk.fs(), SMALL, 7).map_or(0, |log| log.last()) as usize, promised.len());
}

proptest! {
    #[test]
    fn any_bytes_in_a_segment_are_recovered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), keep_header in any::<bool>()) {
        let disk = FaultDisk::default();
        let mut fs = disk.fs();
        fs.create("0000000001.log").unwrap();
        let mut all = if keep_header { record::header(7, 1).to_vec() } else { Vec::new() };
        all.extend(bytes);
        fs.write_at("0000000001.log", 0, &all).unwrap();
        let _ = Log::open(disk.fs(), SMALL, 7);
    }
}

#[test]
fn what_a_killed_process_left_in_the_cache_is_secured_at_open() {
    // Killed at each operation between the making of the log and the end of its first append; then opened
    // anew without a power cut; then the power goes.
    for at in 0..6 {
        let disk = FaultDisk::default();
        disk.plan(at, Fault::ReadOnly);
        if let Ok(mut log) = Log::open(disk.fs(), SMALL, 7) {
            let _ = log.append(b"first");
        }
        let before = {
            let mut log = opened(&disk);
            log.append(b"second").unwrap();
            contents(&log)
        };
        disk.reboot(0);
        assert_eq!(contents(&opened(&disk)), before, "killed at operation {at}");
    }
}

#[test]
fn a_disk_that_refuses_for_long_takes_nothing_and_loses_nothing_until_it_takes_again() {
    for (fault, kind) in [
        (Fault::NoSpace, LogErrorKind::NoSpace),
        (Fault::Eio, LogErrorKind::Io),
        (Fault::ReadOnly, LogErrorKind::ReadOnly),
    ] {
        let disk = FaultDisk::default();
        let mut log = opened(&disk);
        for i in 0..5u8 {
            log.append(&[i; 30]).unwrap();
        }
        disk.forever(Some(fault));
        assert_eq!(log.append(b"refused").unwrap_err().kind, kind);
        let again = log.append(b"refused").unwrap_err().kind;
        assert!(again == kind || again == LogErrorKind::Poisoned, "{fault:?}: {again:?}");
        assert_eq!((log.last(), log.get(5)), (5, Some(&[4; 30][..])));
        disk.forever(None);
        assert_eq!(log.append(b"taken").unwrap(), 6);
        disk.reboot(0);
        assert_eq!(opened(&disk).get(6), Some(&b"taken"[..]), "{fault:?}");
    }
}

#[test]
fn a_power_cut_at_every_operation_of_a_renewal_leaves_the_old_log_or_the_new() {
    let (mut olds, mut news) = (0, 0);
    for at in 0.. {
        let disk = FaultDisk::default();
        let mut log = opened(&disk);
        for i in 1..=12u8 {
            log.append(&[i; 30]).unwrap();
        }
        disk.plan(disk.operations() + at, Fault::PowerCut);
        let renewed = log.renew(99, 11);
        assert!(renewed.is_ok() || log.append(b"between the logs").is_err());
        let done = !disk.is_dead();
        disk.reboot(500);
        let mut log = opened(&disk);
        let (epoch, last) = (log.epoch(), log.last());
        match epoch {
            7 => assert_eq!(last, 12, "operation {at}"),
            _ => {
                assert_eq!((epoch, contents(&log)), (99, vec![(1, vec![11; 30]), (2, vec![12; 30])]), "operation {at}")
            }
        }
        olds += u32::from(epoch == 7);
        news += u32::from(epoch == 99);
        assert_eq!(log.append(b"next").unwrap(), last + 1);
        if done {
            break;
        }
    }
    assert!(olds > 3 && news > 5, "{olds} {news}");
}

#[test]
fn what_was_not_told_stays_so_over_restarts_until_it_may_be() {
    let disk = FaultDisk::default();
    let mut log = opened(&disk);
    log.append(b"told").unwrap();
    log.hold_back().unwrap();
    log.append(b"held").unwrap();
    for _ in 0..2 {
        disk.reboot(0);
        let mut log = opened(&disk);
        assert_eq!(log.told(), 1);
        log.hold_back().unwrap();
        log.append(b"held, too").unwrap();
    }
    let mut log = opened(&disk);
    log.tell().unwrap();
    disk.reboot(0);
    assert_eq!(opened(&disk).told(), 4);
    let mut log = opened(&disk);
    log.hold_back().unwrap();
    log.renew(99, 5).unwrap();
    disk.reboot(0);
    assert_eq!((opened(&disk).epoch(), opened(&disk).last()), (99, 0));
}
