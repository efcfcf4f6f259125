use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::outbox::fault::FaultDisk;
use crate::outbox::log::{Limits, Log};
use crate::outbox::{StdFs, StdLook};

const SMALL: Limits = Limits { bytes_max: 1 << 20, segment_bytes: 100 };

/// Twelve records in segments of two.
fn disk() -> FaultDisk {
    let disk = FaultDisk::default();
    let mut log = Log::open(disk.fs(), SMALL, 7).unwrap();
    for i in 0..12u8 {
        log.append(&[i + 1; 30]).unwrap();
    }
    disk
}

fn seen(look: &dyn Look) -> (Summary, Vec<u32>, Vec<Finding>) {
    let (mut sequences, mut findings) = (Vec::new(), Vec::new());
    let summary = scan(look, &mut |seen| match seen {
        Seen::Record(record) => sequences.push(record.sequence),
        Seen::Finding(finding) => findings.push(finding.clone()),
        Seen::Segment { .. } => {}
    })
    .unwrap();
    assert_eq!(summary.records as usize, sequences.len());
    assert_eq!((summary.findings + summary.torn_tails) as usize, findings.len());
    (summary, sequences, findings)
}

#[test]
fn a_whole_log_has_no_findings() {
    let (summary, sequences, findings) = seen(&disk());
    assert_eq!((sequences, findings), ((1..=12).collect(), Vec::new()));
    assert_eq!((summary.epoch, summary.first, summary.last), (Some(7), 1, 12));
    assert!(summary.segments > 2);
}

#[test]
fn each_damaged_byte_is_found_in_its_place_and_costs_its_own_record_alone() {
    let disk = disk();
    let names = disk.list().unwrap();
    let mut bytes_tried = 0;
    for name in &names {
        let length = disk.fs().read(name).unwrap().len();
        for at in 0..length {
            disk.damage(name, |bytes| bytes[at] ^= 0x40);
            let (summary, sequences, findings) = seen(&disk);
            // The last record alone can't be told from a torn tail.
            let tail = Some(name) == names.last() && at >= length - 42;
            assert_eq!((summary.findings, summary.torn_tails), if tail { (0, 1) } else { (1, 0) }, "{name} {at}");
            let found = &findings[0];
            assert!(&found.file == name && found.offset <= at as u64, "{name} {at}: {found}");
            let header = found.kind == FindingKind::Header;
            assert_eq!(sequences.len(), if header { 12 } else { 11 }, "{name} {at}: {found}");
            // What a daemon refuses to start with, and only that, is a finding.
            assert_eq!(Log::open(disk.fs(), SMALL, 7).is_err(), !tail, "{name} {at}");
            if tail {
                return;
            }
            disk.damage(name, |bytes| bytes[at] ^= 0x40);
            bytes_tried += 1;
        }
    }
    assert!(bytes_tried > 500);
}

#[test]
fn a_torn_tail_is_told_apart_at_every_byte() {
    let disk = disk();
    let name = disk.list().unwrap().pop().unwrap();
    let whole = disk.fs().read(&name).unwrap();
    for cut in 0..whole.len() {
        disk.damage(&name, |bytes| bytes.truncate(cut));
        let (summary, sequences, findings) = seen(&disk);
        assert!(findings.iter().all(Finding::harmless), "cut at {cut}: {findings:?}");
        assert!(sequences.len() >= 9 && sequences == (1..=summary.last).collect::<Vec<_>>());
        disk.damage(&name, |bytes| *bytes = whole.clone());
    }
}

#[test]
fn what_the_disk_does_not_give_or_what_is_gone_hides_nothing_else() {
    let disk = disk();
    let names = disk.list().unwrap();
    disk.unreadable(&names[1]);
    let (_, sequences, findings) = seen(&disk);
    assert_eq!(sequences, [1, 2, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(
        findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(),
        [FindingKind::Unreadable, FindingKind::Hole]
    );

    let disk = self::disk();
    disk.fs().remove(&names[1]).unwrap();
    let (_, sequences, findings) = seen(&disk);
    assert_eq!(sequences, [1, 2, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(findings[0].message, "records 3 to 4 are missing");
    // Acknowledged segments went from the front: that is no hole.
    disk.fs().remove(&names[0]).unwrap();
    assert_eq!(seen(&disk).2, []);
}

#[test]
fn a_record_cut_out_to_the_byte_is_a_hole_for_the_scan_and_for_the_daemon() {
    let disk = disk();
    let name = disk.list().unwrap().pop().unwrap();
    let header = HEADER_BYTES;
    disk.damage(&name, |bytes| {
        bytes.drain(header..header + 42);
    });
    let (summary, sequences, findings) = seen(&disk);
    assert_eq!((sequences.len(), summary.last), (11, 12));
    assert_eq!(findings[0].kind, FindingKind::Hole);
    let error = Log::open(disk.fs(), SMALL, 7).unwrap_err();
    assert!(error.message.contains("till outbox repair --skip-damaged"), "{error}");
}

/// Sees how much is asked for at once.
struct Meter<'l>(&'l dyn Look, Cell<usize>);

impl Look for Meter<'_> {
    fn place(&self) -> String {
        self.0.place()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.1.set(self.1.get().max(bytes.len()));
        self.0.read_at(name, offset, bytes)
    }
}

#[test]
fn the_window_does_not_grow_with_the_log_and_records_across_its_edge_are_whole() {
    let disk = FaultDisk::default();
    let mut log = Log::open(disk.fs(), Limits { bytes_max: 64 << 20, segment_bytes: 4 << 20 }, 7).unwrap();
    for i in 0..200u32 {
        log.append(&vec![i as u8; 1 + (i as usize * 7_919) % PAYLOAD_BYTES_MAX]).unwrap();
    }
    // Half a megabyte of rubbish in the middle is passed over as well.
    disk.damage("0000000001.log", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..middle + 500_000].fill(0xa5);
    });
    let meter = Meter(&disk, Cell::new(0));
    let (summary, _, findings) = seen(&meter);
    assert_eq!((findings.len(), findings[0].kind, summary.last), (1, FindingKind::Damaged, 200));
    assert!(summary.records > 170, "{summary:?}");
    assert!(meter.1.get() <= CHUNK_BYTES);
}

#[test]
fn a_log_that_another_process_writes_is_read_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(Box::new(StdFs::open(folder.path()).unwrap()), SMALL, 7).unwrap();
    log.append(b"one").unwrap();
    let look = StdLook::new(folder.path());
    assert_eq!(seen(&look).1, [1]);
    log.append(b"two").unwrap();
    let before = std::fs::read(folder.path().join("0000000001.log")).unwrap();
    assert_eq!(seen(&look).1, [1, 2]);
    assert_eq!(std::fs::read(folder.path().join("0000000001.log")).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(files in proptest::collection::vec((0u32..9, proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..4)) {
        let disk = FaultDisk::default();
        for (first, bytes, header) in files {
            let name = record::segment_name(first);
            let mut all = if header { record::header(7, first).to_vec() } else { Vec::new() };
            all.extend(bytes);
            let mut fs = disk.fs();
            fs.create(&name).unwrap();
            fs.write_at(&name, 0, &all).unwrap();
        }
        let summary = scan(&disk, &mut |_| {}).unwrap();
        prop_assert!(summary.segments <= 4);
    }
}
