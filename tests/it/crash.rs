//! The exhaustive crash test. A scripted day of shoppers runs through the real core, books, endpoints and
//! reference POS, in lock-step over a wire in memory. Then it runs again for every operation of each of the
//! four logs, with the power cut there, and for every moment, with either end or both killed. Whatever
//! happens: each shopper who paid has one receipt, and nobody else has any.

mod shop;

use std::collections::BTreeMap;

use till::outbox::fault::{Fault, FaultDisk};
use till_link::{Outcome, ToPos};

use shop::{DAY, Trouble, World, heard};

/// Runs the day and holds both books to it.
fn day(trouble: Trouble) -> Result<World, String> {
    let mut world = World::new(trouble);
    DAY.iter().try_for_each(|&visit| world.visit(visit))?;
    world.settle()?;
    world.judge()?;
    Ok(world)
}

/// Runs every trouble and prints how many there were; the first few that end badly are told.
fn all(name: &str, troubles: impl Iterator<Item = Trouble>) {
    let (mut runs, mut crashes, mut failures) = (0u32, 0u32, Vec::new());
    for trouble in troubles {
        runs += 1;
        match day(trouble) {
            Ok(world) => crashes += world.crashes,
            Err(finding) => failures.push(format!("{trouble:?}: {finding}")),
        }
    }
    println!("{name}: {runs} cut points, {crashes} restarts, {} failures", failures.len());
    failures.truncate(3);
    assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n\n"));
}

/// How long an end is away: back at once, a moment, long enough for the other to notice.
fn down_ms(n: u64) -> u64 {
    [0, 400, 5_000][(n % 3) as usize]
}

#[test]
fn an_undisturbed_day_is_booked() {
    let world = day(Trouble::default()).unwrap();
    let heard = heard(world.pos.as_ref().unwrap());
    let closed = |how| {
        heard.iter().filter(|message| matches!(message, ToPos::Closed { outcome, .. } if *outcome == how)).count()
    };
    assert_eq!([Outcome::Paid, Outcome::Cancelled, Outcome::Abandoned].map(closed), [4, 1, 0]);
    assert_eq!(world.crashes, 0);
}

#[test]
fn the_power_cut_at_every_operation_of_every_log_loses_and_doubles_nothing() {
    let undisturbed = day(Trouble::default()).unwrap();
    let operations = undisturbed.disks.each_ref().map(FaultDisk::operations);
    let cuts = (0..4).flat_map(|disk| (0..operations[disk]).map(move |at| (disk, at)));
    let troubles = cuts.flat_map(|(disk, at)| {
        [0, 500, 999, 1_000].map(|kept_permille| Trouble {
            fault: Some((disk, at, Fault::PowerCut)),
            kept_permille,
            down_ms: down_ms(at),
            noise: at.is_multiple_of(2),
            ..Trouble::default()
        })
    });
    println!("operations of the till's outbox and inbox, and of the POS's: {operations:?}");
    let mut kinds = BTreeMap::new();
    for (kind, n) in undisturbed.disks.iter().flat_map(FaultDisk::tally) {
        *kinds.entry(kind).or_insert(0) += n;
    }
    println!("of them {kinds:?}; a log renames nothing");
    assert_eq!((operations.iter().sum::<u64>(), kinds.get("rename")), (kinds.values().sum(), None));
    all("power cuts", troubles);
}

#[test]
fn the_power_cut_at_every_byte_of_every_record_loses_and_doubles_nothing() {
    let writes = day(Trouble::default()).unwrap().disks.map(|disk| disk.writes());
    let last = writes.each_ref().map(|writes| writes.last().copied().unwrap());
    println!("last records of the till's outbox and inbox, and of the POS's: {:?} bytes", last.map(|(_, bytes)| bytes));
    let cuts = writes.into_iter().enumerate().flat_map(|(disk, writes)| {
        writes.into_iter().flat_map(move |(at, bytes)| {
            // The whole record, too: written, but its sync never said so.
            (0..=bytes as u32).flat_map(move |done| [false, true].map(|zeros| (disk, at, Fault::Torn { done, zeros })))
        })
    });
    let troubles = cuts.map(|(disk, at, fault)| Trouble {
        fault: Some((disk, at, fault)),
        kept_permille: 1_000,
        down_ms: down_ms(at),
        ..Trouble::default()
    });
    all("bytes of records", troubles);
}

#[test]
fn the_power_cut_again_while_the_books_are_mended_loses_and_doubles_nothing() {
    let operations = day(Trouble::default()).unwrap().disks.map(|disk| disk.operations());
    let cuts = (0..4).flat_map(|disk| (0..operations[disk]).map(move |at| (disk, at)));
    let troubles = cuts.flat_map(|(disk, at)| {
        (0..4).map(move |again| Trouble {
            fault: Some((disk, at, Fault::PowerCut)),
            kept_permille: 999,
            again: Some(again),
            ..Trouble::default()
        })
    });
    all("power cuts, and again", troubles);
}

#[test]
fn a_failed_operation_of_any_log_loses_and_doubles_nothing() {
    let operations = day(Trouble::default()).unwrap().disks.map(|disk| disk.operations());
    let cuts = (0..4).flat_map(|disk| (0..operations[disk]).map(move |at| (disk, at)));
    let troubles = cuts.flat_map(|(disk, at)| {
        [Fault::Eio, Fault::NoSpace, Fault::ReadOnly]
            .map(|fault| Trouble { fault: Some((disk, at, fault)), ..Trouble::default() })
    });
    all("failed operations", troubles);
}

#[test]
fn either_end_killed_at_every_moment_loses_and_doubles_nothing() {
    let steps = day(Trouble::default()).unwrap().steps;
    let troubles = (1..steps).flat_map(|at| {
        [1, 2, 3].map(|ends| Trouble {
            kill: Some((at, ends)),
            down_ms: down_ms(at),
            noise: at.is_multiple_of(2),
            ..Trouble::default()
        })
    });
    all("kills", troubles);
}
