//! `till config check`: is the configuration right, and if not, where is the mistake?

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::{CliError, Exit};
use crate::config::Config;

/// Arguments of `till config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What `till config` does.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Read the configuration as `till run` would, and name the first mistake with its file and line
    ///
    /// Ends with 0 when the configuration is right and with 3 when it is not. No device is opened, and the running
    /// daemon is not touched.
    Check(CheckArgs),
}

/// Arguments of `till config check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration; the folder conf.d beside it is read too
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, CliError> {
    let Action::Check(args) = &args.action;
    let (report, outcome) = match Config::load(&args.config) {
        Ok(config) => {
            if !args.json {
                let files: Vec<_> = config.files.iter().map(|f| f.display().to_string()).collect();
                writeln!(out, "right: {}", files.join(", "))?;
            }
            (json!({ "schema": "till.config/1", "ok": true, "files": config.files, "error": null }), Ok(Exit::Ok))
        }
        Err(error) => {
            let report = json!({
                "schema": "till.config/1",
                "ok": false,
                "files": [args.config],
                "error": {
                    "kind": error.kind.as_str(),
                    "file": error.file,
                    "line": error.line,
                    "key": error.key,
                    "found": error.found,
                    "allowed": error.allowed,
                    "nearest": error.nearest,
                    "text": error.to_string(),
                },
            });
            (report, Err(CliError::new(Exit::Config, error.to_string())))
        }
    };
    if args.json {
        writeln!(out, "{report}")?;
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, json: bool) -> (Result<Exit, CliError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("till.toml");
        std::fs::write(&config, text).unwrap();
        let mut out = Vec::new();
        let outcome = run(&Args { action: Action::Check(CheckArgs { config, json }) }, &mut out);
        (outcome, String::from_utf8(out).unwrap().replace(folder.path().to_str().unwrap(), "DIR"))
    }

    #[test]
    fn right_and_wrong_configurations_end_with_their_codes() {
        let right = "[tray.camera]\ntest = true\n[tray.engine]\ndir = \"e\"\n";
        assert_eq!(check(right, false), (Ok(Exit::Ok), "right: DIR/till.toml\n".into()));
        let (outcome, out) = check(&format!("{right}threads = 9\n"), false);
        let error = outcome.unwrap_err();
        assert_eq!((error.exit, out.as_str()), (Exit::Config, ""));
        assert!(error.message.ends_with("till.toml:5: tray.engine.threads: found 9; allowed: 1 to 8"), "{error}");
    }

    #[test]
    fn json_names_each_part_of_the_mistake() {
        let (outcome, out) = check("[prot]\n", true);
        assert_eq!(outcome.unwrap_err().exit, Exit::Config);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&report["schema"], &report["ok"]), (&json!("till.config/1"), &json!(false)));
        let error = &report["error"];
        assert_eq!((&error["kind"], &error["line"], &error["key"]), (&json!("unknown_key"), &json!(1), &json!("prot")));
        assert_eq!(error["nearest"], "port");
    }
}
