use till::outbox::fault::FaultDisk;
use till::outbox::{Limits, Log, LogErrorKind};

use super::super::link::Input;

/// So small that segments come and go.
const LIMITS: Limits = Limits { bytes_max: 1 << 20, segment_bytes: 400 };
const EPOCH: u32 = 5;

/// Books that were written honestly and then met a bad disk, or files of any bytes whatever: recovery
/// yields a beginning of what was written or says that it can't, and what it yields can be written on.
pub fn outbox(data: &[u8]) {
    let mut input = Input(data);
    let disk = FaultDisk::default();
    let honest = input.byte() & 1 == 0;
    let mut written = Vec::new();
    let mut released = 0;
    if honest {
        (written, released) = write(&disk, &mut input);
        damage(&disk, &mut input);
    } else {
        rubbish(&disk, &mut input);
    }
    let log = match Log::open(disk.fs(), LIMITS, EPOCH) {
        Ok(log) => log,
        Err(error) => {
            assert_eq!(error.kind, LogErrorKind::Corrupt, "{error}");
            return;
        }
    };
    let held: Vec<(u32, Vec<u8>)> = log.records().map(|(n, record)| (n, record.to_vec())).collect();
    for (i, (number, record)) in held.iter().enumerate() {
        assert_eq!(*number, log.first() + i as u32, "numbers follow each other");
        if honest {
            assert_eq!(Some(record), written.get(*number as usize - 1), "record {number} is not what was written");
        }
    }
    if honest {
        assert!(log.first() <= released + 1 && log.last() <= written.len() as u32);
    }
    go_on(&disk, log, held);
}

/// Appends and releases; returns every record and how many were given up.
fn write(disk: &FaultDisk, input: &mut Input) -> (Vec<Vec<u8>>, u32) {
    let mut log = Log::open(disk.fs(), LIMITS, EPOCH).expect("an empty disk");
    let (mut written, mut released) = (Vec::new(), 0);
    for _ in 0..input.byte() % 32 {
        let n = input.byte();
        if n >= 0xf0 {
            released = log.last().saturating_sub(u32::from(n & 7)).max(released);
            log.release(released).expect("a sound disk");
            continue;
        }
        let record = input.bytes(usize::from(n)).to_vec();
        log.append(&record).expect("a sound disk");
        written.push(record);
    }
    (written, released)
}

/// One burst of at most 32 bits, which a CRC of 32 bits always sees, and one cut, each in any file.
fn damage(disk: &FaultDisk, input: &mut Input) {
    let names = disk.fs().list().expect("a disk in memory");
    let name = |n: u8| &names[usize::from(n) % names.len()];
    let burst = name(input.byte());
    let (at, bits) = (usize::from(input.short()), u32::from(input.short()) | u32::from(input.short()) << 16);
    disk.damage(burst, |bytes| {
        for (byte, flip) in bytes.iter_mut().skip(at).zip(bits.to_le_bytes()) {
            *byte ^= flip;
        }
    });
    let cut = input.byte();
    if cut & 0x80 != 0 {
        let length = usize::from(input.short());
        disk.damage(name(cut & 0x7f), |bytes| bytes.truncate(length));
    }
}

fn rubbish(disk: &FaultDisk, input: &mut Input) {
    let mut fs = disk.fs();
    for _ in 0..1 + input.byte() % 4 {
        let name = match input.byte() {
            0 => "readme.txt".to_owned(),
            1 => "0000000001.log.old".to_owned(),
            2 => "4294967296.log".to_owned(),
            n => format!("{:010}.log", u32::from(n).saturating_sub(2)),
        };
        let n = usize::from(input.short());
        let bytes = input.bytes(n);
        fs.create(&name).and_then(|()| fs.write_at(&name, 0, bytes)).expect("a disk in memory");
        fs.sync(&name).and_then(|()| fs.sync_folder()).expect("a disk in memory");
    }
}

/// What was recovered is recovered again, with one record more behind it.
fn go_on(disk: &FaultDisk, mut log: Log, mut held: Vec<(u32, Vec<u8>)>) {
    let epoch = log.epoch();
    match log.append(b"one more") {
        Ok(number) => {
            assert_eq!(number, log.last());
            held.push((number, b"one more".to_vec()));
        }
        Err(error) => assert_eq!(error.kind, LogErrorKind::Full, "{error}"),
    }
    drop(log);
    disk.reboot(0);
    let log = Log::open(disk.fs(), LIMITS, EPOCH + 1).expect("what was opened once opens again");
    assert_eq!(log.epoch(), epoch);
    let again: Vec<(u32, Vec<u8>)> = log.records().map(|(n, record)| (n, record.to_vec())).collect();
    assert_eq!(again, held);
}
