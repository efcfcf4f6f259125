use super::*;
use faults::Fault;

/// Enough worlds for every kind of weather several times over.
const SEEDS: Range<u64> = 0..200;

#[test]
fn in_every_world_nothing_is_lost_doubled_or_invented() {
    let report = run(SEEDS, None);
    if let Some((seed, findings)) = &report.first_failure {
        panic!("seed {seed}:\n{}", findings.join("\n"));
    }
    for fault in Fault::ALL {
        assert!(report.faults.get(*fault) > 0, "{} never happened", fault.name());
    }
    assert!(report.verdict.sessions > 30 * report.seeds, "{:?}", report.verdict);
    assert!(report.verdict.paid > 5 * report.seeds, "{:?}", report.verdict);
    assert!(report.verdict.by_mass > report.seeds, "{:?}", report.verdict);
}

#[test]
fn a_seed_is_one_story() {
    assert_eq!(tell(9, None).trace, tell(9, None).trace);
}

#[test]
fn each_planted_bug_is_found() {
    for plant in Plant::ALL {
        let found = (0..400).find(|seed| run(*seed..seed + 1, Some(*plant)).first_failure.is_some());
        println!("{}: found in seed {found:?}", plant.name());
        assert!(found.is_some(), "{}", plant.name());
    }
}
