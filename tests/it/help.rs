//! Golden tests over the help of every command, so that what a technician reads changes only on purpose.
//! `TILL_BLESS=1` writes the files anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The help of `command` and of all below it, by file name.
fn collect(command: &mut clap::Command, name: &str, found: &mut BTreeMap<String, String>) {
    found.insert(format!("{name}.txt"), command.render_long_help().to_string());
    let below: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for sub in below.iter().filter(|s| *s != "help") {
        if let Some(sub_command) = command.find_subcommand_mut(sub) {
            collect(sub_command, &format!("{name}-{sub}"), found);
        }
    }
}

/// The same width on every terminal.
fn command() -> clap::Command {
    let mut command = till::cli::command().term_width(100);
    command.build();
    command
}

#[test]
fn help_texts_are_those_of_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help");
    let mut found = BTreeMap::new();
    collect(&mut command(), "till", &mut found);
    if std::env::var_os("TILL_BLESS").is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in &found {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let golden: BTreeMap<String, String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    for (name, text) in &found {
        assert_eq!(golden.get(name), Some(text), "{name}: if the change is meant, run this test with TILL_BLESS=1");
    }
    let gone: Vec<_> = golden.keys().filter(|name| !found.contains_key(*name)).collect();
    assert!(gone.is_empty(), "no command has these any more: {gone:?}");
}

/// Every command and every argument says what it is for.
#[test]
fn nothing_is_without_help() {
    fn check(command: &clap::Command, name: &str) {
        assert!(command.get_about().is_some(), "{name} says nothing of itself");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name}: {} says nothing of itself", argument.get_id());
        }
        for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
            check(sub, &format!("{name} {}", sub.get_name()));
        }
    }
    check(&command(), "till");
}

#[test]
fn every_shell_gets_completions_that_name_the_commands() {
    use clap::Parser;
    for shell in ["bash", "zsh", "fish"] {
        let cli = till::cli::Cli::try_parse_from(["till", "completions", shell]).unwrap();
        let mut out = Vec::new();
        assert_eq!(till::cli::dispatch(cli, &mut out).unwrap(), till::cli::Exit::Ok);
        let text = String::from_utf8(out).unwrap();
        for command in command().get_subcommands() {
            assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
        }
    }
}
