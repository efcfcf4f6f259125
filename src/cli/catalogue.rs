//! `till catalogue check` and `import`: nothing gets into the counter's catalogue that the counter would refuse.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use till_link::Currency;

use super::{CliError, Exit};
use crate::checkout::catalogue::{Catalogue, CatalogueError};
use crate::config::Config;

/// Arguments of `till catalogue`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What `till catalogue` does.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Read a catalogue as the counter would, and name the first mistake with its line
    ///
    /// Ends with 0 when the catalogue is right and with 6 when it is not.
    Check(CheckArgs),
    /// Check a catalogue and put it in the place of the counter's own in one step
    ///
    /// A catalogue with a mistake changes nothing. The running daemon takes the new one on SIGHUP.
    Import(ImportArgs),
}

/// Arguments of `till catalogue check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The CSV file [default: the one that the configuration names]
    #[arg(value_name = "CSV")]
    pub file: Option<PathBuf>,
    /// What is common to both.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `till catalogue import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The CSV file
    #[arg(value_name = "CSV")]
    pub file: PathBuf,
    /// What is common to both.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of both.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// The configuration, which says the currency and where the counter's catalogue lies
    #[arg(long, value_name = "FILE", default_value = "/etc/till/till.toml")]
    pub config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A larger file is no catalogue.
const BYTES_MAX: u64 = 64 << 20;

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (common, file) = match &args.action {
        Action::Check(a) => (&a.common, a.file.as_ref()),
        Action::Import(a) => (&a.common, Some(&a.file)),
    };
    let config = Config::load(&common.config).map_err(|e| CliError::new(Exit::Config, e.to_string()))?;
    let home = &config.counter.catalogue;
    let file = file.unwrap_or(home);
    let bytes =
        read(file).map_err(|e| CliError::new(Exit::Failed, format!("{}: can't be read: {e}", file.display())))?;
    let catalogue = match Catalogue::parse(&bytes, Currency(config.counter.currency)) {
        Ok(catalogue) => catalogue,
        Err((line, message)) => {
            if common.json {
                let error = json!({ "line": line, "text": message });
                writeln!(
                    out,
                    "{}",
                    json!({ "schema": "till.catalogue/1", "ok": false, "file": file, "error": error })
                )?;
            }
            let error = CatalogueError { file: file.clone(), line, message };
            return Err(CliError::new(Exit::Findings, error.to_string()));
        }
    };
    let imported = matches!(args.action, Action::Import(_));
    if imported {
        // The bytes that were checked, not the file once more: it may have changed since.
        replace(home, &bytes)
            .map_err(|e| CliError::new(Exit::Failed, format!("{}: can't be replaced: {e}", home.display())))?;
    }
    let (products, version) = (catalogue.products().len(), catalogue.version());
    if common.json {
        let report = json!({
            "schema": "till.catalogue/1",
            "ok": true,
            "file": file,
            "products": products,
            "version": version,
            "currency": catalogue.currency().code(),
            "imported": imported.then_some(home),
            "error": null,
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "right: {}: {products} products, version {version:08x}", file.display())?;
        if imported {
            writeln!(out, "now in {}", home.display())?;
        }
    }
    Ok(Exit::Ok)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
    }
    Ok(bytes)
}

/// Puts `bytes` in the place of `file`: a power cut leaves the old file or the new one, never a part.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let fresh = folder.join(name);
    let mut written = File::create(&fresh)?;
    if let Ok(old) = fs::metadata(file) {
        written.set_permissions(old.permissions())?;
    }
    written.write_all(bytes)?;
    written.sync_all()?;
    fs::rename(&fresh, file)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "sku,name,price_minor,currency,mass_g,mass_tolerance_g\n";

    /// A folder with a configuration, and `csv` beside it as `new.csv`.
    fn counter(csv: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = "counter.catalogue = \"shop.csv\"\ntray.camera.test = true\ntray.engine.dir = \"e\"\n";
        fs::write(folder.path().join("till.toml"), text).unwrap();
        fs::write(folder.path().join("new.csv"), csv).unwrap();
        folder
    }

    fn import(folder: &tempfile::TempDir, json: bool) -> (Result<Exit, CliError>, String) {
        let common = Common { config: folder.path().join("till.toml"), json };
        let mut out = Vec::new();
        let action = Action::Import(ImportArgs { file: folder.path().join("new.csv"), common });
        let outcome = run(&Args { action }, &mut out);
        (outcome, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_right_catalogue_takes_the_place_of_the_old_one_byte_by_byte() {
        let csv = format!("\u{feff}{HEADER}milk,\"우유, 1 L\",2500,KRW,1032,20\r\n");
        let folder = counter(&csv);
        let home = folder.path().join("shop.csv");
        fs::write(&home, "old").unwrap();
        let (outcome, out) = import(&folder, true);
        assert_eq!(outcome, Ok(Exit::Ok));
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&report["products"], &report["currency"]), (&json!(1), &json!("KRW")));
        assert_eq!(fs::read(&home).unwrap(), csv.as_bytes());
        assert!(!folder.path().join("shop.csv.new").exists());
    }

    #[test]
    fn a_wrong_catalogue_changes_nothing_and_is_a_finding() {
        let folder = counter(&format!("{HEADER}milk,Milk,2500,KRW,1032,20\nmilk,Milk,2600,KRW,1032,20\n"));
        let home = folder.path().join("shop.csv");
        fs::write(&home, "old").unwrap();
        let (outcome, _) = import(&folder, false);
        let error = outcome.unwrap_err();
        assert_eq!(error.exit, Exit::Findings);
        assert!(error.message.contains("new.csv line 3: sku \"milk\" stands in line 2 already"), "{error}");
        assert_eq!(fs::read_to_string(&home).unwrap(), "old");
    }

    #[test]
    fn check_without_a_file_reads_the_counters_own() {
        let folder = counter("");
        let common = Common { config: folder.path().join("till.toml"), json: false };
        let args = Args { action: Action::Check(CheckArgs { file: None, common }) };
        let error = run(&args, &mut Vec::new()).unwrap_err();
        assert_eq!(error.exit, Exit::Failed);
        assert!(error.message.ends_with("shop.csv: can't be read: No such file or directory (os error 2)"), "{error}");
    }
}
