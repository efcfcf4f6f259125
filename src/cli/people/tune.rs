//! `till people tune`: thresholds from the measured false matches, and measuring these.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::exit::{CliError, Exit};
use crate::cli::faces::{FaceEngines, person, pictures};
use crate::gallery::search::dot;
use crate::people::FmrCurve;
use crate::people::threshold::{CURVE_FILE, FmrPoint, Impostor};
use crate::people::vault::{Person, Vault, VaultErrorKind};

use super::manage::Place;

/// Scores of strangers from here on are kept; the curve begins at about one of a hundred.
const FLOOR: f32 = 0.15;
/// Most pictures: their pairs are compared one by one.
const PICTURES_MAX: usize = 20_000;
/// Sizes of galleries that thresholds are printed for.
const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// Rates that one half of the people is held to.
const RATES: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];

/// Arguments of `till people tune`.
#[derive(Args, Clone, Debug)]
pub struct TuneArgs {
    /// Share of the strangers who may be taken for a member; by default the configuration's
    #[arg(long, value_name = "SHARE")]
    pub target_fpir: Option<f64>,
    /// Folders with NAME/*.jpg to measure on; may be given several times
    #[arg(long, value_name = "DIR")]
    pub images: Vec<PathBuf>,
    /// Only check: measure on every second person, and hold what follows from it to the others
    #[arg(long, requires = "images")]
    pub check: bool,
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
    let TuneArgs { target_fpir, images, check, data, output, place, engines, json } = args;
    let policy = place.policy(*target_fpir)?;
    if *check {
        let rows = held_out(&vectors(images, engines)?.1)?;
        return report_check(&rows, *json, out);
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
            "target_fpir": policy.target_fpir,
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
            let network = vault.network_name(network);
            let mine = |p: Person| p.record.map_or(0, |r| r.templates.iter().filter(|t| t.network == network).count());
            Ok(Some(vault.people().map(mine).sum()))
        }
        Err(e) if e.kind == VaultErrorKind::Missing => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// A person's number and the vector of one picture.
type Vectors = Vec<(u32, Vec<f32>)>;

/// The network's hash, and a vector of each picture below `images`.
fn vectors(images: &[PathBuf], engines: &FaceEngines) -> Result<(String, Vectors), CliError> {
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
    Ok((faces.embedder.sha256.clone(), vectors))
}

fn measure(images: &[PathBuf], data: &str, engines: &FaceEngines) -> Result<FmrCurve, CliError> {
    let (network, vectors) = vectors(images, engines)?;
    let strangers = Strangers::of(&vectors);
    curve(&network, data, &strangers)
}

fn curve(network: &str, data: &str, s: &Strangers) -> Result<FmrCurve, CliError> {
    FmrCurve::measure(network, data, s.people, s.pairs, s.top.clone()).map_err(|e| CliError::new(Exit::Failed, e.0))
}

/// All comparisons of two people.
struct Strangers {
    people: usize,
    pairs: usize,
    top: Vec<Impostor>,
}

impl Strangers {
    /// Of vectors whose people are numbered from 0 on.
    fn of(vectors: &[(u32, Vec<f32>)]) -> Self {
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
        let people = vectors.iter().map(|v| v.0 as usize + 1).max().unwrap_or(0);
        Self { people, pairs, top }
    }
}

/// What a rate that half of the people promised came to among the others.
struct Held {
    fitted_on: usize,
    people: usize,
    pairs: usize,
    target: f64,
    found: FmrPoint,
}

/// Measures on every second person and holds the thresholds to the others, both ways.
fn held_out(vectors: &[(u32, Vec<f32>)]) -> Result<Vec<Held>, CliError> {
    let half = |which: u32| -> Vectors {
        vectors.iter().filter(|v| v.0 % 2 == which).map(|(id, v)| (id / 2, v.clone())).collect()
    };
    let halves = [0, 1].map(|which| Strangers::of(&half(which)));
    let mut rows = Vec::new();
    for (fitted, other) in [(0, 1), (1, 0)] {
        let curve = curve("half", "half", &halves[fitted])?;
        let (fitted_on, s) = (halves[fitted].people, &halves[other]);
        rows.extend(RATES.map(|target| {
            let found = FmrPoint::measure(s.people, s.pairs, &s.top, curve.threshold(target));
            Held { fitted_on, people: s.people, pairs: s.pairs, target, found }
        }));
    }
    Ok(rows)
}

fn report_check(rows: &[Held], json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    if json {
        let row = |r: &Held| {
            json!({
                "fitted_on": r.fitted_on, "measured_on": r.people, "pairs": r.pairs, "target_fmr": r.target,
                "threshold": r.found.score, "fmr": r.found.fmr, "fmr_interval_95": [r.found.low, r.found.high],
            })
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        writeln!(out, "{}", json!({ "schema": "till.people-tune-check/1", "rows": rows }))?;
        return Ok(Exit::Ok);
    }
    for (i, r) in rows.iter().enumerate() {
        if i % RATES.len() == 0 {
            writeln!(
                out,
                "measured on {} people, held to {} others and their {} pairs",
                r.fitted_on, r.people, r.pairs
            )?;
            writeln!(out, "{:>10} {:>10} {:>10}  95 %", "FMR", "threshold", "came to")?;
        }
        let f = &r.found;
        writeln!(out, "{:>10.0e} {:>10.3} {:>10.1e}  {:.1e} to {:.1e}", r.target, f.score, f.fmr, f.low, f.high)?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::metrics::Random;
    use crate::vision::face::embed::normalise;

    /// People whose vectors are drawn evenly, every second one's with something in common of that weight.
    fn people(common: f32) -> Vectors {
        let mut random = Random::new(11);
        (0..1600u32)
            .map(|i| {
                let mut v: Vec<f32> =
                    (0..12).map(|_| (0..4).map(|_| random.below(1000) as f32 / 500.0 - 1.0).sum()).collect();
                v[0] += if i / 2 % 2 == 1 { common } else { 0.0 };
                normalise(&mut v);
                (i / 2, v)
            })
            .collect()
    }

    #[test]
    fn one_half_of_the_people_is_held_to_the_other() {
        let rows = held_out(&people(0.0)).unwrap();
        assert_eq!((rows.len(), rows[0].fitted_on, rows[0].people), (2 * RATES.len(), 400, 400));
        assert_eq!(rows[0].pairs, 800 * 798 / 2);
        for r in rows.iter().filter(|r| r.target >= 1e-3) {
            let share = r.found.fmr / r.target;
            let inside = r.found.low <= r.found.fmr && r.found.fmr <= r.found.high;
            assert!((0.8..1.25).contains(&share) && inside, "{share}");
        }
        // Those who are more alike break the others' promise, and theirs is too strict for the others.
        let rows = held_out(&people(2.0)).unwrap();
        assert!(rows[0].found.fmr > 2.0 * rows[0].target && rows[4].found.fmr < rows[4].target / 2.0);
        let mut out = Vec::new();
        report_check(&rows, false, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().starts_with("measured on 400 people, held to 400 others"));
    }
}
