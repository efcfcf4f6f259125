//! The player against the reference POS over a wire in memory; and against the same POS with a fault planted
//! between it and the line, which must fail the right ids.

mod bench;
mod secured_pos;

use std::collections::BTreeSet;

use super::*;
use bench::{Bench, Plant};
use player::keyed::Key;
use secured_pos::{Fault, KEYS, SecuredPos};

fn plan(level: Level) -> Plan {
    Plan { level, secrets: None, only: Vec::new(), counter: 1, seed: 7, draw: 0x5000, port: "memory".into() }
}

fn played(bench: &mut Bench) -> Report {
    let report = run(&plan(Level::Payment), bench, &mut |_| {}).unwrap();
    for check in report.checks.iter().filter(|check| check.verdict != Verdict::Pass) {
        println!("{:?}: {} {} {}: {}", bench.plant, check.id, check.name, check.verdict.as_str(), check.detail);
    }
    report
}

#[test]
fn the_reference_pos_conforms_and_takes_less_than_a_minute() {
    let mut bench = Bench::new(Plant::Nothing);
    let report = played(&mut bench);
    assert_eq!((report.verdict(), report.failed, report.not_run), ("conforms", 0, 0));
    assert!(report.passed > 55, "{}", report.passed);
    assert!(report.took_ms < 60_000, "{} ms", report.took_ms);
    println!("{} checks in {} ms of the line's time", report.passed, report.took_ms);
}

#[test]
fn each_planted_fault_fails_the_ids_that_it_breaks_and_no_other() {
    let plants: [(Plant, &[&str]); 27] = [
        (Plant::NeverThere, &["L-001"]),
        (Plant::CrcNotChecked, &["L-010"]),
        (Plant::NoHeartbeat, &["L-070"]),
        (Plant::NoGap, &["L-064"]),
        (Plant::GapForEach, &["L-064"]),
        (Plant::NoAckForDuplicates, &["L-064"]),
        (Plant::AckOfNeverSent, &["L-060"]),
        (Plant::AckBeforeStoring, &["L-060"]),
        (Plant::PaidForUnknown, &["L-087", "L-090"]),
        (Plant::PaysTwice, &["L-083"]),
        (Plant::WindowIgnored, &["L-051"]),
        (Plant::RefusesMinor, &["L-033"]),
        (Plant::WrongReason, &["L-033"]),
        (Plant::ExtraHelloRefused, &["L-030"]),
        (Plant::NothingRepeated, &["L-052", "L-053", "L-054"]),
        (Plant::BelievesFalseAcks, &["L-054"]),
        (Plant::AnswersErrors, &["L-014"]),
        (Plant::BlockOf254, &["L-012"]),
        (Plant::TalksWhileDown, &["L-041"]),
        (Plant::NoAnswerAboutPrices, &["L-094"]),
        (Plant::PartForWhole, &["L-094"]),
        (Plant::ShortPart, &["L-094"]),
        (Plant::ListOfVersion0, &["L-095"]),
        (Plant::OtherListSameVersion, &["L-095"]),
        (Plant::OtherVersionObeyed, &["L-095"]),
        (Plant::PriceTwice, &["L-096"]),
        (Plant::PriceBelow0, &["L-096"]),
    ];
    let mut wrong = Vec::new();
    for (plant, expected) in plants {
        let report = played(&mut Bench::new(plant));
        if report.failed_ids() != expected {
            wrong.push(format!("{plant:?}: {:?} failed, {expected:?} should", report.failed_ids()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn secrets() -> Secrets {
    Secrets { keys: KEYS.map(|(id, secret)| Key::new(id, secret)).to_vec(), seed: [0x5e; 32] }
}

#[test]
fn the_reference_pos_conforms_secured() {
    let plan = Plan { secrets: Some(secrets()), ..plan(Level::Payment) };
    let report = run(&plan, &mut Bench::secured(), &mut |_| {}).unwrap();
    let wrong: Vec<_> = report.checks.iter().filter(|check| check.verdict != Verdict::Pass).collect();
    assert!(wrong.is_empty() && report.verdict() == "conforms", "{wrong:#?}");
    assert!(report.passed > 90 && report.took_ms < 110_000, "{} in {} ms", report.passed, report.took_ms);
    println!("{} checks in {} ms of the line's time", report.passed, report.took_ms);
    assert!(report.markdown(checks::NOT_PLAYED).contains("level payment, secured"));
}

/// What a POS with this fault gets of the secured checks.
fn played_secured(fault: Fault) -> Report {
    let mut only: Vec<String> =
        checks::all().filter(|check| check.link == Link::Secured).map(|check| check.id.to_owned()).collect();
    only.push("L-042".to_owned());
    let plan = Plan { secrets: Some(secrets()), only, ..plan(Level::Display) };
    let report = run(&plan, &mut SecuredPos::new(fault), &mut |_| {}).unwrap();
    for check in report.checks.iter().filter(|check| check.verdict != Verdict::Pass) {
        println!("{fault:?}: {} {} {}: {}", check.id, check.name, check.verdict.as_str(), check.detail);
    }
    report
}

#[test]
fn each_fault_of_a_secured_pos_fails_the_ids_that_it_breaks_and_no_other() {
    let faults: [(Fault, &[&str]); 32] = [
        (Fault::Nothing, &[]),
        (Fault::NoSecurity, &["L-200"]),
        (Fault::UnsecuredIgnored, &["L-200"]),
        (Fault::AckUnsealedToo, &["L-200"]),
        (Fault::NonceStays, &["L-203", "L-205", "L-206"]),
        (Fault::NonceCounts, &["L-203"]),
        (Fault::NonceOfBoots, &["L-203"]),
        (Fault::CountStays, &["L-204"]),
        (Fault::CountFrom5, &["L-204"]),
        (Fault::CountNotCompared, &["L-204"]),
        (Fault::EarlyFrames, &["L-205"]),
        (Fault::SessionAgain, &["L-203", "L-205"]),
        (Fault::NonceNotCompared, &["L-206"]),
        (Fault::WrongKeyIgnored, &["L-206"]),
        (Fault::ProofNotChecked, &["L-206", "L-207"]),
        (Fault::ProofLate, &["L-206"]),
        (Fault::ProofAtOffset74, &["L-030"]),
        (Fault::RefusesWhileUp, &["L-207", "L-211"]),
        (Fault::BelievesRefuse, &["L-207"]),
        (Fault::TakesUnsealed, &["L-207"]),
        (Fault::EachHelloAnswered, &["L-207"]),
        (Fault::EverythingHeard, &["L-042", "L-207", "L-211"]),
        (Fault::MacNotChecked, &["L-207", "L-208"]),
        (Fault::MacCutShort, &["L-208"]),
        (Fault::CounterBeforeMac, &["L-208"]),
        (Fault::OwnFramesTaken, &["L-208"]),
        (Fault::ReplaysTaken, &["L-207", "L-208", "L-210"]),
        (Fault::HolesRefused, &["L-208", "L-209", "L-210"]),
        (Fault::AckTwice, &["L-209"]),
        (Fault::CounterFrom1000, &["L-210"]),
        (Fault::OtherKeyWhileUp, &["L-211"]),
        (Fault::OneKey, &["L-211"]),
    ];
    let mut wrong = Vec::new();
    for (fault, expected) in faults {
        let report = played_secured(fault);
        if report.failed_ids() != expected {
            wrong.push(format!("{fault:?}: {:?} failed, {expected:?} should", report.failed_ids()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_run_of_some_checks_is_incomplete_and_says_so() {
    let plan = Plan { only: vec!["L-083".to_owned()], ..plan(Level::Payment) };
    let report = run(&plan, &mut Bench::new(Plant::Nothing), &mut |_| {}).unwrap();
    assert_eq!((report.verdict(), report.failed), ("incomplete", 0));
    assert!(report.checks.iter().any(|check| check.id == "L-083") && report.left_out > 50, "{report:?}");
}

#[test]
fn without_a_payer_and_a_way_to_restart_the_rest_is_played_and_the_report_says_what_was_not() {
    let mut bench = Bench::new(Plant::NobodyPays);
    bench.may_restart = false;
    let report = played(&mut bench);
    assert_eq!((report.verdict(), report.failed), ("incomplete", 0));
    let why: BTreeSet<&str> = report
        .checks
        .iter()
        .filter(|check| check.verdict == Verdict::NotRun)
        .map(|check| check.detail.as_str())
        .collect();
    assert_eq!(
        why.into_iter().collect::<Vec<_>>(),
        ["needs --restart", "the POS must pay every offer under test, and did not"]
    );
    let without: Vec<_> = report.checks.iter().filter(|check| check.verdict == Verdict::NotApplicable).collect();
    assert_eq!(without.len(), 4, "who gives no price list says so once, and no more is asked");
    assert!(without.iter().all(|check| check.detail.contains("gives no price list")), "{without:?}");
    let text = report.markdown(checks::NOT_PLAYED);
    assert!(text.contains("**incomplete**") && text.contains("| L-061 |"), "{text}");
}

#[test]
fn any_seed_of_the_noise_is_survived() {
    for seed in 0..40 {
        let mut bench = Bench::new(Plant::Nothing);
        let noisy = || checks::all().filter(|check| check.name.contains("loss"));
        assert_eq!(noisy().count(), 2);
        let mut player = Player::new(&mut bench, 1, 0x5000, None);
        player.seed = seed;
        for check in noisy() {
            let ended = (check.run)(&mut player);
            assert!(ended.is_ok(), "seed {seed}, {}: {ended:?}", check.name);
        }
    }
}

#[test]
fn every_requirement_of_the_specification_is_checked_or_said_not_to_be_played() {
    let spec = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/link/SPEC.md")).unwrap();
    let in_spec: BTreeSet<&str> =
        spec.lines().filter_map(|line| line.strip_prefix("- **")?.split_once("**")).map(|(id, _)| id).collect();
    let mut known: BTreeSet<&str> = checks::all().map(|check| check.id).collect();
    known.extend(["L-012", "L-085"]);
    for (id, _) in checks::NOT_PLAYED {
        assert!(known.insert(id), "{id} is checked, and said not to be played");
    }
    let unknown: Vec<_> = known.difference(&in_spec).collect();
    assert!(unknown.is_empty(), "the specification has no {unknown:?}");
    let forgotten: Vec<_> = in_spec.difference(&known).collect();
    assert!(forgotten.is_empty(), "nothing is said of {forgotten:?}");
}
