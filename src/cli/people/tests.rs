//! The commands on a vault in a folder, through the command line's own parser.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::Parser;
use serde_json::Value;

use crate::cli::{Cli, CliError, Exit, dispatch};
use crate::people::members::day;
use crate::people::vault::{Consent, Facing, KeySource, Method, Record, Template, Vault};
use crate::runtime::clock::wall_s;

/// Runs `till people ...` on the state folder.
fn till(state: &Path, words: &[&str]) -> (Result<Exit, CliError>, String) {
    let place = ["--state", state.to_str().unwrap(), "--config", "/nowhere/till.toml"];
    let all = ["till", "people"].iter().chain(words).chain(&place);
    let mut out = Vec::new();
    let end = dispatch(Cli::try_parse_from(all).unwrap(), &mut out);
    (end, String::from_utf8(out).unwrap())
}

fn json(state: &Path, words: &[&str]) -> Value {
    let (end, out) = till(state, &[words, &["--json"]].concat());
    assert_eq!(end, Ok(Exit::Ok), "{words:?}");
    let v: Value = serde_json::from_str(&out).unwrap();
    assert!(v["schema"].as_str().unwrap().starts_with("till.people-"), "{v}");
    v
}

fn record(id: &str, network: &str, created_s: Option<u64>) -> Record {
    let vector = |x: f32| vec![x, (1.0 - x * x).sqrt()];
    let template = |facing, x| Template { network: network.repeat(32), facing, vector: vector(x) };
    Record {
        id: id.to_owned(),
        name: Some("Anna K.".into()),
        created_s,
        consent: Consent { version: "7".into(), text_sha256: None, at_s: created_s, method: Method::Paper },
        templates: vec![template(Facing::Front, 0.123_456), template(Facing::Left, 0.654_321)],
    }
}

fn filled(state: &Path) {
    let mut vault = Vault::open_at(&state.join("people"), &KeySource::Own).unwrap();
    let now = wall_s().unwrap();
    vault.put(&record("4711", "ab", Some(now)), false).unwrap();
    vault.put(&record("4712", "ab", Some(now - 400 * 86_400)), false).unwrap();
    vault.put(&record("4713", "ab", None), false).unwrap();
}

#[test]
fn a_vault_is_made_filled_looked_at_and_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let (end, _) = till(state, &["list"]);
    let error = end.unwrap_err();
    assert!(error.exit == Exit::Missing && error.message.contains("till people init"), "{error}");
    assert_eq!(json(state, &["init"])["own_key"], true);
    assert_eq!(till(state, &["init"]).0.unwrap_err().exit, Exit::Failed);
    filled(state);

    let people = json(state, &["list", "--embedder", "/nowhere"]);
    assert_eq!(people["people"].as_array().unwrap().len(), 3);
    assert_eq!(people["people"][0]["enrol_again"], false, "which network is in use is not known");
    let embedder = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/face-mobilefacenet");
    let embedder = embedder.to_str().unwrap();
    let (_, text) = till(state, &["list", "--embedder", embedder]);
    assert_eq!(text.matches("enrol again: the network is another one now").count(), 3, "{text}");
    assert_eq!(json(state, &["verify", "--embedder", embedder])["enrol_again"].as_array().unwrap().len(), 3);

    let shown = json(state, &["show", "--id", "4713"]);
    assert_eq!((&shown["created"], &shown["consent"]["time"]), (&Value::Null, &Value::Null));
    let (_, text) = till(state, &["show", "--number", "1"]);
    assert!(text.contains("Anna K.") && text.contains("version 7, by paper"), "{text}");
    assert_eq!(till(state, &["show", "--id", "47"]).0.unwrap_err().exit, Exit::Failed);
    assert!(Cli::try_parse_from(["till", "people", "show"]).is_err(), "nobody is named");

    assert_eq!(json(state, &["delete", "--id", "4711"])["left"], 2);
    let due = json(state, &["expire", "--dry-run"]);
    assert_eq!((&due["due"][0], &due["undated"][0], &due["months"]), (&"4712".into(), &"4713".into(), &12.into()));
    assert_eq!(json(state, &["list"])["people"].as_array().unwrap().len(), 2);
    assert_eq!(json(state, &["expire", "--months", "14"])["due"].as_array().unwrap().len(), 0);
    assert_eq!(json(state, &["expire"])["deleted"], true);
    let before = json(state, &["verify"])["generation"].as_u64().unwrap();
    assert_eq!(json(state, &["rotate-key"])["people"], 1);
    let after = json(state, &["verify"]);
    assert_eq!((after["generation"].as_u64().unwrap(), &after["people"]), (before + 1, &1.into()));
    assert_eq!(till(state, &["rotate-key", "--new-key", "/nowhere"]).0.unwrap_err().exit, Exit::Usage);
}

#[test]
fn an_export_is_the_persons_own_and_holds_vectors_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    json(state, &["init"]);
    filled(state);
    let file = |name: &str| folder.path().join(name);
    let export = |name: &str, more: &[&str]| {
        let to = file(name);
        till(state, &[&["export", "--id", "4711", "--output", to.to_str().unwrap()], more].concat())
    };
    let (end, said) = export("a.json", &[]);
    assert_eq!(end, Ok(Exit::Ok));
    let text = std::fs::read_to_string(file("a.json")).unwrap();
    assert!(text.contains("Anna K.") && !text.contains("0.1234") && !text.contains("vector"), "{text}");
    assert_eq!(std::fs::metadata(file("a.json")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(export("a.json", &[]).0.is_err(), "a file that is there stays");
    assert_eq!(export("b.json", &["--with-embeddings"]).0, Ok(Exit::Ok));
    let v: Value = serde_json::from_str(&std::fs::read_to_string(file("b.json")).unwrap()).unwrap();
    assert!((v["templates"][0]["vector"][0].as_f64().unwrap() - 0.123_456).abs() < 1e-6);
    assert!(v["about_embeddings"].as_str().unwrap().contains("password") && !said.contains("0.1234"));
}

#[test]
fn damage_ends_with_findings_and_the_others_are_still_shown() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    json(state, &["init"]);
    filled(state);
    let people = state.join("people");
    let file = std::fs::read_dir(&people).unwrap().map(|e| e.unwrap().path());
    let file = file.into_iter().find(|p| p.file_name().unwrap().to_str().unwrap().starts_with("00000002-")).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (end, out) = till(state, &["verify", "--json"]);
    let v: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((end, &v["damaged"][0], &v["people"]), (Ok(Exit::Findings), &2.into(), &3.into()));
    assert_eq!(till(state, &["list"]).0, Ok(Exit::Findings));
    assert_eq!(till(state, &["show", "--number", "2"]).0.unwrap_err().exit, Exit::Findings);
    assert_eq!(json(state, &["delete", "--number", "2"])["left"], 2, "who can't be read can be ended");
    assert_eq!(till(state, &["verify"]).0, Ok(Exit::Ok));
}

#[test]
fn todays_threshold_follows_from_todays_templates() {
    let folder = tempfile::tempdir().unwrap();
    let engines = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/face-mobilefacenet");
    let tune = ["tune", "--embedder", engines.to_str().unwrap()];
    assert_eq!(json(folder.path(), &tune)["today"], Value::Null, "no vault");
    json(folder.path(), &["init"]);
    let network = crate::engine::Manifest::load(&engines).unwrap().sha256;
    let mut r = record("1", "ab", Some(u64::from(day(0))));
    r.templates[0].network = network;
    Vault::open_at(&folder.path().join("people"), &KeySource::Own).unwrap().put(&r, false).unwrap();
    let today = json(folder.path(), &tune)["today"].clone();
    assert_eq!(today["templates"], 1, "the other template is another network's");
    assert!(today["threshold"].as_f64().unwrap() > 0.3, "{today}");
}
