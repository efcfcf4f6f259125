//! `till eval identify`: who is it, or nobody? Members are enrolled from `gallery/`, then looked for (`probes-mated/`),
//! and so are strangers (`probes-nonmated/`), with the threshold that today's gallery asks for. Data on `out`, progress
//! on stderr.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::gallery::{Found, Gallery, Precision};
use crate::people::metrics;
use crate::people::{Decision, Policy, decision};

use super::curve_svg::{Curve, svg};
use super::exit::{CliError, Exit};
use super::faces::{FaceEngines, Faces, person, pictures};

/// Draws of the intervals.
const DRAWS: usize = 2000;
/// Points of the curve.
const POINTS: usize = 101;

/// Measure 1:N identification among strangers
#[derive(Args, Clone, Debug)]
pub struct EvalIdentifyArgs {
    /// Folder with gallery/NAME/, probes-mated/NAME/ and probes-nonmated/
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Share of the strangers who may be taken for a member
    #[arg(long, value_name = "SHARE", default_value_t = Policy::default().target_fpir)]
    pub target_fpir: f64,
    /// How much nearer than the next person the nearest one must be
    #[arg(long, value_name = "COSINE", default_value_t = Policy::default().margin)]
    pub margin: f32,
    /// Which engines
    #[command(flatten)]
    pub engines: FaceEngines,
    /// Print one JSON object; shares are 0 to 1
    #[arg(long)]
    pub json: bool,
    /// Write FNIR against FPIR as SVG
    #[arg(long, value_name = "FILE")]
    pub curve: Option<PathBuf>,
}

/// One search.
struct Probe {
    /// For the intervals: pictures of one person fail together.
    person: u32,
    /// Who it is in the gallery; a stranger is nobody.
    id: Option<u32>,
    /// What was found; nothing where there was no face.
    found: Found,
}

struct Outcome {
    people: usize,
    templates: usize,
    probes: Vec<Probe>,
    policy: Policy,
    threshold: f32,
    fmr: crate::people::threshold::FmrPoint,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// An engine or its curve (exit code 3), a folder or picture that can't be read (1), a target that is no share (2).
pub fn run(args: &EvalIdentifyArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let policy = Policy { target_fpir: args.target_fpir, margin: args.margin };
    if !(policy.target_fpir > 0.0 && policy.target_fpir < 1.0) {
        return Err(CliError::new(Exit::Usage, format!("--target-fpir {}: above 0, below 1", policy.target_fpir)));
    }
    let mut faces = args.engines.load()?;
    let outcome = measure(&args.data, &mut faces, policy)?;
    if let Some(path) = &args.curve {
        let points: Vec<(f64, f64)> = rates(&outcome).iter().map(|p| (p.1, p.2)).collect();
        let (title, across, up) = ("Identification", "FPIR: strangers taken for a member", "FNIR: members not known");
        let marked = Some((share(&outcome, false), share(&outcome, true)));
        std::fs::write(path, svg(&Curve { title, across, up, points: &points, marked }))
            .map_err(|e| CliError::new(Exit::Failed, format!("curve {}: {e}", path.display())))?;
    }
    write!(out, "{}", report(&outcome, &faces, args.json))?;
    Ok(Exit::Ok)
}

fn measure(data: &Path, faces: &mut Faces, policy: Policy) -> Result<Outcome, CliError> {
    let curve = faces.curve()?;
    let [enrolled, mated, strangers] = ["gallery", "probes-mated", "probes-nonmated"].map(|f| data.join(f));
    let (gallery_files, mated_files, stranger_files) = (pictures(&enrolled)?, pictures(&mated)?, pictures(&strangers)?);
    let all: Vec<PathBuf> = [&gallery_files, &mated_files, &stranger_files].into_iter().flatten().cloned().collect();
    faces.look_at_all(&all)?;
    let mut ids = BTreeMap::<String, u32>::new();
    let network = faces.embedder.sha256.clone();
    let mut gallery = Gallery::new(network.as_str(), faces.dimensions(), Precision::F32);
    for file in &gallery_files {
        let next = ids.len() as u32;
        let id = *ids.entry(person(&enrolled, file)).or_insert(next);
        if let Some(vector) = faces.vector(file)? {
            gallery.push(&network, id, &vector).map_err(|e| CliError::new(Exit::Failed, e.to_string()))?;
        }
    }
    if gallery.is_empty() {
        return Err(CliError::new(Exit::Failed, format!("{}: no picture with a face", enrolled.display())));
    }
    let people = ids.len();
    let mut others = BTreeMap::<String, u32>::new();
    let mut probes = Vec::new();
    for (root, files) in [(&mated, &mated_files), (&strangers, &stranger_files)] {
        for file in files {
            let name = person(root, file);
            let next = (people + others.len()) as u32;
            let member = if root == &mated { ids.get(&name).copied() } else { None };
            if root == &mated && member.is_none() {
                let message = format!("{}: {name} is not in the gallery", file.display());
                return Err(CliError::new(Exit::Failed, message));
            }
            let person = member.unwrap_or_else(|| *others.entry(name).or_insert(next));
            let found = match faces.vector(file)? {
                Some(v) => gallery.search(&v).map_err(|e| CliError::new(Exit::Failed, e.to_string()))?,
                None => Found::default(),
            };
            probes.push(Probe { person, id: member, found });
        }
    }
    let threshold = policy.threshold(&curve, gallery.len());
    let fmr = curve.fmr(threshold);
    Ok(Outcome { people, templates: gallery.len(), probes, policy, threshold, fmr })
}

/// Trials of members or of strangers: whose, and whether it went wrong at `threshold`.
fn trials(o: &Outcome, members: bool, threshold: f32) -> Vec<(u32, bool)> {
    let wrong = |p: &Probe| match (decision::judge(&p.found, threshold, o.policy.margin), p.id) {
        (Decision::Known { id, .. }, Some(truth)) => id != truth,
        (Decision::Known { .. }, None) => true,
        (_, truth) => truth.is_some(),
    };
    o.probes.iter().filter(|p| p.id.is_some() == members).map(|p| (p.person, wrong(p))).collect()
}

fn wrong_share(trials: &[(u32, bool)]) -> f64 {
    trials.iter().filter(|t| t.1).count() as f64 / trials.len().max(1) as f64
}

/// FNIR of members, or FPIR of strangers, at the threshold in use.
fn share(o: &Outcome, members: bool) -> f64 {
    wrong_share(&trials(o, members, o.threshold))
}

/// Threshold, FPIR, FNIR.
fn rates(o: &Outcome) -> Vec<(f32, f64, f64)> {
    let at = |i: usize| i as f32 / (POINTS - 1) as f32;
    (0..POINTS).map(at).map(|t| (t, wrong_share(&trials(o, false, t)), wrong_share(&trials(o, true, t)))).collect()
}

fn report(o: &Outcome, faces: &Faces, as_json: bool) -> String {
    let (members, strangers) = (trials(o, true, o.threshold), trials(o, false, o.threshold));
    let (fnir, fpir) = (wrong_share(&members), wrong_share(&strangers));
    let (fnir_95, fpir_95) = (metrics::bootstrap(&members, DRAWS), metrics::bootstrap(&strangers, DRAWS));
    let first = |p: &&Probe| p.id.is_some() && p.found.best.map(|b| b.id) == p.id;
    let rank_1 = o.probes.iter().filter(first).count() as f64 / members.len().max(1) as f64;
    let expected = |fmr: f64| -(o.templates as f64 * (-fmr.min(1.0)).ln_1p()).exp_m1();
    if as_json {
        let curve: Vec<_> = rates(o).iter().map(|p| json!({ "threshold": p.0, "fpir": p.1, "fnir": p.2 })).collect();
        let v = json!({
            "schema": "till.eval-identify/1",
            "detector": faces.detector.name,
            "embedder": faces.embedder.name,
            "sha256": faces.embedder.sha256,
            "backend": faces.backend(),
            "precision": faces.precision(),
            "gallery": o.people,
            "templates": o.templates,
            "probes_mated": members.len(),
            "probes_nonmated": strangers.len(),
            "target_fpir": o.policy.target_fpir,
            "margin": o.policy.margin,
            "threshold": o.threshold,
            "expected_fpir": expected(o.fmr.fmr),
            "expected_fpir_interval_95": [expected(o.fmr.low), expected(o.fmr.high)],
            "fpir": fpir,
            "fpir_interval_95": [fpir_95.0, fpir_95.1],
            "fnir": fnir,
            "fnir_interval_95": [fnir_95.0, fnir_95.1],
            "rank_1": rank_1,
            "without_face": faces.without_face(),
            "ms_per_picture": faces.ms_per_picture(),
            "curve": curve,
        });
        return format!("{v}\n");
    }
    let percent = |v: f64| v * 100.0;
    format!(
        "{} and {} ({}), {:.1} ms a picture\n{} people with {} templates; {} probes of members, {} of strangers\n\
         threshold {:.3} for a target FPIR of {:.2} %, margin {}\nFPIR {:.2} % (95 %: {:.2} to {:.2})\nFNIR {:.2} % \
         (95 %: {:.2} to {:.2}); nearest one right in {:.2} %\n",
        faces.detector.name,
        faces.embedder.name,
        faces.backend(),
        faces.ms_per_picture(),
        o.people,
        o.templates,
        members.len(),
        strangers.len(),
        o.threshold,
        percent(o.policy.target_fpir),
        o.policy.margin,
        percent(fpir),
        percent(fpir_95.0),
        percent(fpir_95.1),
        percent(fnir),
        percent(fnir_95.0),
        percent(fnir_95.1),
        percent(rank_1),
    )
}
