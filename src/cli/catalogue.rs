//! `till catalogue check` and `import`: nothing gets into the counter's catalogue that the counter would refuse.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use till_link::Currency;

use super::{CliError, Exit};
use crate::checkout::catalogue::{Catalogue, CatalogueError};
use crate::config::Config;
use crate::engine::{EngineError, Manifest};
use crate::whole;

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
    /// Read a catalogue as the counter would, name the first mistake with its line, and hold it against the
    /// engine's labels
    ///
    /// Ends with 0 when the catalogue is right and with 6 when it is not, or when a product that the engine
    /// names has no price: the counter would call it unknown. Products that the engine doesn't name are listed
    /// and are no mistake.
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
    /// The engine's folder [default: the one that the configuration names]
    #[arg(long, value_name = "DIR")]
    pub engine: Option<PathBuf>,
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
    let (common, file, engine) = match &args.action {
        Action::Check(a) => (&a.common, a.file.as_ref(), a.engine.as_ref()),
        Action::Import(a) => (&a.common, Some(&a.file), None),
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
        whole::replace(home, &[&bytes])
            .map_err(|e| CliError::new(Exit::Failed, format!("{}: can't be replaced: {e}", home.display())))?;
    }
    let labels = labels(engine.unwrap_or(&config.tray.engine.dir), &catalogue);
    let labels = match labels {
        Ok(labels) => Some(labels),
        // Of an engine that was asked for by name nothing is assumed; the configured one may be on another machine.
        Err(e) if engine.is_some() => return Err(e.into()),
        Err(e) => {
            eprintln!("the engine's labels were not looked at: {e}");
            None
        }
    };
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
            "labels": labels.as_ref().map(|l| json!({
                "engine": l.engine, "without_price": l.without_price, "without_label": l.without_label,
            })),
            "error": null,
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "right: {}: {products} products, version {version:08x}", file.display())?;
        if let Some(l) = &labels {
            l.print(out)?;
        }
        if imported {
            writeln!(out, "now in {}", home.display())?;
        }
    }
    // An import was asked for and done; what the engine lacks is then for another day.
    let finding = !imported && labels.is_some_and(|l| !l.without_price.is_empty());
    Ok(if finding { Exit::Findings } else { Exit::Ok })
}

/// A catalogue against an engine's labels.
struct Labels {
    engine: String,
    without_price: Vec<String>,
    without_label: Vec<String>,
}

fn labels(dir: &Path, catalogue: &Catalogue) -> Result<Labels, EngineError> {
    let manifest = Manifest::load(dir)?;
    let names = manifest.labels.product_names();
    let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
    Ok(Labels {
        without_price: owned(catalogue.without_price(names)),
        without_label: owned(catalogue.without_label(names)),
        engine: manifest.name,
    })
}

impl Labels {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let engine = &self.engine;
        for sku in &self.without_price {
            writeln!(out, "no price: {sku}: engine {engine} sees it, and the counter would call it unknown")?;
        }
        let unseen = &self.without_label;
        if let Some(first) = unseen.first() {
            writeln!(out, "not seen: {} products that engine {engine} does not know, such as {first}", unseen.len())?;
        }
        if self.without_price.is_empty() {
            writeln!(out, "every product of engine {engine} has its price")?;
        }
        Ok(())
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let args = Args { action: Action::Check(CheckArgs { file: None, engine: None, common }) };
        let error = run(&args, &mut Vec::new()).unwrap_err();
        assert_eq!(error.exit, Exit::Failed);
        assert!(error.message.ends_with("shop.csv: can't be read: No such file or directory (os error 2)"), "{error}");
    }

    #[test]
    fn the_engines_labels_are_held_against_the_prices() {
        // The test engine knows red, green and blue.
        let engine = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/blobs"));
        let check = |lines: &str, json| {
            let folder = counter(&format!("{HEADER}{lines}"));
            let common = Common { config: folder.path().join("till.toml"), json };
            let file = Some(folder.path().join("new.csv"));
            let mut out = Vec::new();
            let action = Action::Check(CheckArgs { file, engine: engine.clone(), common });
            let outcome = run(&Args { action }, &mut out);
            (outcome, String::from_utf8(out).unwrap())
        };
        let red_blue = "red,Red,100,KRW,50,2\nblue,Blue,100,KRW,50,2\n";
        let (outcome, out) = check(red_blue, false);
        assert_eq!(outcome, Ok(Exit::Findings));
        assert!(out.contains("no price: green: engine blobs sees it"), "{out}");
        let (outcome, out) = check(&format!("{red_blue}green,Green,100,KRW,50,2\nmilk,Milk,100,KRW,50,2\n"), false);
        assert_eq!(outcome, Ok(Exit::Ok));
        assert!(out.contains("not seen: 1 products") && out.contains("such as milk"), "{out}");
        assert!(out.contains("every product of engine blobs has its price"), "{out}");
        let (_, out) = check(&format!("{red_blue}milk,Milk,100,KRW,50,2\n"), true);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        let labels = &report["labels"];
        assert_eq!((&labels["without_price"], &labels["without_label"]), (&json!(["green"]), &json!(["milk"])));
        // An engine that was named and isn't there is an error, not a catalogue that is right.
        let folder = counter(&format!("{HEADER}{red_blue}"));
        let common = Common { config: folder.path().join("till.toml"), json: false };
        let (file, engine) = (Some(folder.path().join("new.csv")), Some(folder.path().join("nowhere")));
        let action = Action::Check(CheckArgs { file, engine, common });
        assert_eq!(run(&Args { action }, &mut Vec::new()).unwrap_err().exit, Exit::Config);
    }
}
