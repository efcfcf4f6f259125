//! `till people tune`: thresholds from the measured false matches, and measuring these.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::exit::{CliError, Exit};
use crate::cli::faces::{FaceEngines, person, pictures};
use crate::gallery::search::dot;
use crate::people::threshold::{CURVE_FILE, Impostor};
use crate::people::vault::{Person, Vault, VaultErrorKind};
use crate::people::{FmrCurve, Policy};

use super::manage::Place;

/// Scores of strangers from here on are kept; the curve begins at about one of a hundred.
const FLOOR: f32 = 0.15;
/// Most pictures: their pairs are compared one by one.
const PICTURES_MAX: usize = 20_000;
/// Sizes of galleries that thresholds are printed for.
const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// Arguments of `till people tune`.
#[derive(Args, Clone, Debug)]
pub struct TuneArgs {
    /// Share of the strangers who may be taken for a member
    #[arg(long, value_name = "SHARE", default_value_t = Policy::default().target_fpir)]
    pub target_fpir: f64,
    /// Folders with NAME/*.jpg to measure on; may be given several times
    #[arg(long, value_name = "DIR")]
    pub images: Vec<PathBuf>,
    /// What the pictures are, for the curve's file
    #[arg(long, value_name = "TEXT", default_value = "own pictures")]
    pub data: String,
    /// Where the measured curve is written [default: fmr.json beside the embedder]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the members are, for today's threshold
    #[command(flatten)]
    pub place: Place,
    /// Which engines
    #[command(flatten)]
    pub engines: FaceEngines,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// The command's own.
pub fn run(args: &TuneArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let TuneArgs { target_fpir, images, data, output, place, engines, json } = args;
    if !(*target_fpir > 0.0 && *target_fpir < 1.0) {
        return Err(CliError::new(Exit::Usage, format!("--target-fpir {target_fpir}: above 0, below 1")));
    }
    let curve = match images.is_empty() {
        true => {
            let manifest = crate::engine::Manifest::load(&engines.embedder_dir())?;
            FmrCurve::load(&manifest.dir, &manifest.sha256).map_err(|e| CliError::new(Exit::Config, e.0))?
        }
        false => {
            let curve = measure(images, data, engines)?;
            let path = output.clone().unwrap_or_else(|| engines.embedder_dir().join(CURVE_FILE));
            std::fs::write(&path, curve.to_text())
                .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))?;
            eprintln!("written: {}", path.display());
            curve
        }
    };
    let policy = Policy { target_fpir: *target_fpir, ..Policy::default() };
    let today = templates(place, &curve.network)?.map(|n| (n, policy.fmr(n), policy.threshold(&curve, n)));
    let rows: Vec<_> = SIZES.iter().map(|n| (*n, policy.fmr(*n), policy.threshold(&curve, *n))).collect();
    if *json {
        let row = |r: &(usize, f64, f32)| json!({ "templates": r.0, "fmr": r.1, "threshold": r.2 });
        let rows: Vec<_> = rows.iter().map(row).collect();
        let v = json!({
            "schema": "till.people-tune/1",
            "network": curve.network,
            "data": curve.data,
            "people": curve.people,
            "pairs": curve.pairs,
            "target_fpir": target_fpir,
            "thresholds": rows,
            "today": today.as_ref().map(row),
        });
        writeln!(out, "{v}")?;
    } else {
        writeln!(out, "measured on {} people, {} pairs of strangers: {}", curve.people, curve.pairs, curve.data)?;
        writeln!(out, "{:>10} {:>10} {:>10}", "templates", "FMR", "threshold")?;
        for (n, fmr, threshold) in rows {
            writeln!(out, "{n:>10} {fmr:>10.1e} {threshold:>10.3}")?;
        }
        if let Some((n, fmr, threshold)) = today {
            writeln!(out, "today's members: {n} templates, FMR {fmr:.1e}, threshold {threshold:.3}")?;
        }
    }
    Ok(Exit::Ok)
}

/// Templates of the vault that this network made; none without a vault.
fn templates(place: &Place, network: &str) -> Result<Option<usize>, CliError> {
    let settings = place.settings()?;
    match Vault::open_at(&settings.folder, &settings.key) {
        Ok(vault) => {
            let mine = |p: Person| p.record.map_or(0, |r| r.templates.iter().filter(|t| t.network == network).count());
            Ok(Some(vault.people().map(mine).sum()))
        }
        Err(e) if e.kind == VaultErrorKind::Missing => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn measure(images: &[PathBuf], data: &str, engines: &FaceEngines) -> Result<FmrCurve, CliError> {
    let mut faces = engines.load()?;
    let mut files = BTreeMap::new();
    for root in images {
        for file in pictures(root)? {
            // One photograph lies in several folders of a data set: by its name it is taken once.
            let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let who = person(root, &file);
            files.entry((who, name)).or_insert(file);
        }
    }
    if files.len() > PICTURES_MAX {
        let message = format!("{} pictures, at most {PICTURES_MAX} are compared", files.len());
        return Err(CliError::new(Exit::Failed, message));
    }
    faces.look_at_all(&files.values().cloned().collect::<Vec<_>>())?;
    let mut ids = BTreeMap::<String, u32>::new();
    let mut vectors = Vec::new();
    for ((who, _), file) in files {
        let next = ids.len() as u32;
        let id = *ids.entry(who).or_insert(next);
        vectors.extend(faces.vector(&file)?.map(|v| (id, v)));
    }
    let (mut pairs, mut top) = (0, Vec::new());
    for (i, (a, v)) in vectors.iter().enumerate() {
        for (b, w) in vectors[..i].iter().filter(|x| x.0 != *a) {
            pairs += 1;
            let score = dot(v, w);
            if score >= FLOOR {
                top.push(Impostor { a: *a, b: *b, score });
            }
        }
    }
    let network = faces.embedder.sha256.clone();
    FmrCurve::measure(&network, data, ids.len(), pairs, top).map_err(|e| CliError::new(Exit::Failed, e.0))
}
