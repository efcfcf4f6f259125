//! What preflight promises: each rule finds the model that breaks it and names the node; good models pass; no bytes
//! make it panic or read for ever.

use std::collections::HashSet;
use std::path::Path;

use prost::Message;

use super::breaking::{cases, quantised_model};
use super::build::{good, graph, node};
use super::*;

fn target(name: &str) -> Target {
    name.parse().unwrap()
}

#[test]
fn each_rule_finds_the_model_that_breaks_it_and_names_the_node() {
    for (rule, on, place, model) in cases() {
        let report = check(&model.encode_to_vec(), &target(on));
        let found: Vec<&Finding> = report.findings.iter().filter(|f| f.rule == rule).collect();
        assert!(!found.is_empty(), "{rule} on {on}: {:#?}", report.findings);
        assert!(found.iter().any(|f| f.place == place), "{rule} on {on}: {found:#?}");
        let row = table().rules.iter().find(|r| r.id == rule).unwrap();
        assert!(found.iter().all(|f| !f.fix.is_empty() && f.source == row.source), "{rule}");
        assert_eq!(report.passes(), !report.findings.iter().any(|f| f.level == Level::Error));
    }
}

#[test]
fn each_rule_of_the_file_has_a_model_that_breaks_it_and_there_are_no_others() {
    let mut tested: HashSet<&str> = cases().iter().map(|c| c.0).collect();
    // Its cases are bytes, below.
    tested.insert("file");
    let listed: HashSet<&str> = table().rules.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(listed.len(), table().rules.len(), "an id stands there twice");
    assert_eq!(tested, listed);
    assert!(listed.len() >= 60, "{}", listed.len());
}

#[test]
fn a_good_model_passes_everywhere_without_a_word() {
    for on in ["tensorrt-8.0", "tensorrt-8.2", "nano", "xavier-nx", "orin-nano", "tensorrt-11.4"] {
        assert_eq!(check(&good().encode_to_vec(), &target(on)).findings, [], "{on}");
    }
    let quantised = quantised_model(|_| {}).encode_to_vec();
    assert_eq!(check(&quantised, &target("xavier-nx")).findings, []);
    // A quantised model is wrong on the Nano for that one reason.
    let rules: Vec<&str> = check(&quantised, &target("nano")).findings.iter().map(|f| f.rule).collect();
    assert_eq!(rules, ["q-board"]);
}

#[test]
fn what_a_later_version_takes_is_said_with_that_version() {
    let model = super::build::then(node("HardSwish", &["y"], &["z"]), vec![]).encode_to_vec();
    let report = check(&model, &target("nano"));
    assert!(report.findings[0].what.contains("8.5") && report.findings[0].fix.contains("HardSigmoid"), "{report:?}");
    assert!(check(&model, &target("xavier-nx")).passes());
}

#[test]
fn the_engines_of_this_project_pass_for_the_nano() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inside = |dir: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
        entries.filter(|p| p.join("manifest.toml").exists()).collect()
    };
    let mut engines = inside(&root.join("engines"));
    let stages: Vec<_> = engines.iter().flat_map(|dir| inside(dir)).collect();
    engines.extend(stages);
    engines.push(root.join("tests/data/blobs"));
    assert!(engines.len() >= 9, "engines and the stages of cascades: {engines:?}");
    for dir in engines {
        let bytes = std::fs::read(dir.join("model.onnx")).unwrap();
        let report = check(&bytes, &target("nano"));
        assert!(report.passes(), "{}: {:#?}", dir.display(), report.findings);
        let memory = report.memory.unwrap();
        assert_eq!(memory.unknown, 0, "{}: shapes are followed to the end", dir.display());
        assert!(memory.activations > 0 && memory.weights > 0);
    }
}

#[test]
fn the_estimate_by_hand() {
    // 3*8*8 in, 4*8*8 out, 4 bytes each, both alive at once; 4*3*3*3 weights.
    let memory = check(&good().encode_to_vec(), &target("nano")).memory.unwrap();
    assert_eq!((memory.activations, memory.weights), ((3 + 4) * 64 * 4, 108 * 4));
    // A chain of two more: at most two of [1, 4, 8, 8] at once.
    let chain = graph(|g| {
        g.nodes.push(node("Relu", &["y"], &["a"]));
        g.nodes.push(node("Relu", &["a"], &["z"]));
        g.outputs[0].name = "z".into();
    });
    let memory = check(&chain.encode_to_vec(), &target("nano")).memory.unwrap();
    assert_eq!(memory.activations, (4 + 4) * 64 * 4);
}

#[test]
fn files_that_are_none_are_refused_by_the_first_rule() {
    let good = good().encode_to_vec();
    let long = [&[0x08][..], &[0xff; 60], &[0x01]].concat();
    // The same number deep inside: dims of an initializer.
    let tensor = [&[0x08][..], &[0xff; 60], &[0x01]].concat();
    let nest = |tag: u8, inner: &[u8]| [&[tag, inner.len() as u8][..], inner].concat();
    let deep = nest(0x3a, &nest(0x2a, &tensor));
    for bytes in [vec![], vec![0xff; 4000], good[..good.len() - 1].to_vec(), long, deep, b"\x08\x07".to_vec()] {
        let report = check(&bytes, &target("nano"));
        assert_eq!((report.findings[0].rule, report.passes()), ("file", false), "{bytes:x?}");
    }
}

#[test]
fn targets_are_versions_and_boards() {
    assert_eq!(target("tensorrt-8.2").version, Version(8, 2));
    assert_eq!(target("tensorrt-11").version, Version(11, 0));
    assert!(target("nano").board.is_some_and(|b| !b.fast_int8 && b.version == Version(8, 2)));
    for bad in ["", "tensorrt-7.1", "tensorrt-", "tensorrt-8.x", "nanox", "8.2", "tensorrt-8.2.1"] {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = check(&bytes, &target("nano"));
    }

    #[test]
    fn no_damage_to_a_model_makes_it_panic(
        which in 0usize..1000, damage in proptest::collection::vec((0usize..10_000, proptest::num::u8::ANY), 1..20),
    ) {
        let cases = cases();
        let mut bytes = cases[which % cases.len()].3.encode_to_vec();
        for (at, byte) in damage {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        let report = check(&bytes, &target("xavier-nx"));
        proptest::prop_assert!(report.findings.len() <= FINDINGS_MAX);
    }
}
