//! `till eval identify`: who is it, or nobody? Members are enrolled from `gallery/`, then looked for (`probes-mated/`),
//! and so are strangers (`probes-nonmated/`), with the threshold that today's gallery asks for, or with one that other
//! strangers of the data ask for. Data on `out`, progress on stderr.

mod grown;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::gallery::projection::SECRET_BYTES;
use crate::gallery::{Found, Gallery, Precision, Projection};
use crate::people::rivals::{self, Sample, Svm};
use crate::people::{Decision, Policy, decision, metrics};

use super::curve_svg::{Curve, svg};
use super::exit::{CliError, Exit};
use super::faces::{FaceEngines, Faces, person, pictures};
use grown::{Grown, grown};

/// Draws of the intervals.
const DRAWS: usize = 2000;
/// Points of the curve.
const POINTS: usize = 101;

/// Penalty of the support vector machines.
const PENALTY: f64 = 1.0;

/// How vectors become a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Matcher {
    /// The nearest template, as the counter does
    Cosine,
    /// The vote of the nearest templates
    Knn,
    /// A linear support vector machine a person
    Svm,
}

/// Where the threshold comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ThresholdFrom {
    /// The measured false matches and the gallery's size, as at the counter
    Rule,
    /// One half of the strangers, for the other half
    Strangers,
}

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
    /// How vectors become a person
    #[arg(long, value_name = "NAME", value_enum, default_value = "cosine")]
    pub matcher: Matcher,
    /// Where the threshold comes from [default: rule for cosine, else strangers, the only one they have]
    #[arg(long, value_name = "NAME", value_enum)]
    pub threshold: Option<ThresholdFrom>,
    /// Templates that vote, of --matcher knn
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub neighbours: usize,
    /// Search also in galleries of every N-th person each, to see the rule while a gallery grows N times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub grow: Option<u32>,
    /// Turn all vectors by a secret first, as `till people protect` does
    #[arg(long)]
    pub protect: bool,
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
    /// One for those with an even number, one for those with an odd one; members count with both.
    thresholds: [f32; 2],
    /// Of the nearest template by the rule; a rival has none.
    fmr: Option<crate::people::threshold::FmrPoint>,
    grown: Vec<Grown>,
    foreign_rank_1: Option<f64>,
}

/// Vectors of everybody.
struct Vectors {
    enrolled: Vec<(u32, Vec<f32>)>,
    people: usize,
    /// Whose it is, who that is in the gallery, and the vector where there was a face.
    probes: Vec<(u32, Option<u32>, Option<Vec<f32>>)>,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// An engine or its curve (exit code 3), a folder or picture that can't be read (1), a target that is no share or a rule
/// that a matcher doesn't have (2).
pub fn run(args: &EvalIdentifyArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let policy = Policy { target_fpir: args.target_fpir, margin: args.margin };
    if !(policy.target_fpir > 0.0 && policy.target_fpir < 1.0) {
        return Err(CliError::new(Exit::Usage, format!("--target-fpir {}: above 0, below 1", policy.target_fpir)));
    }
    let by_rule = args.threshold.unwrap_or(match args.matcher {
        Matcher::Cosine => ThresholdFrom::Rule,
        Matcher::Knn | Matcher::Svm => ThresholdFrom::Strangers,
    }) == ThresholdFrom::Rule;
    if (by_rule || args.grow.is_some()) && args.matcher != Matcher::Cosine {
        let message = "the rule, and --grow, are the nearest template's: the other matchers have no measured curve";
        return Err(CliError::new(Exit::Usage, message));
    }
    // A margin of cosines means nothing between votes or planes.
    let margin = if args.matcher == Matcher::Cosine { policy.margin } else { 0.0 };
    let policy = Policy { margin, ..policy };
    let mut faces = args.engines.load()?;
    let outcome = measure(args, &mut faces, policy, by_rule)?;
    if let Some(path) = &args.curve {
        let points: Vec<(f64, f64)> = rates(&outcome).iter().map(|p| (p.1, p.2)).collect();
        let (title, across, up) = ("Identification", "FPIR: strangers taken for a member", "FNIR: members not known");
        let marked = Some((share(&outcome, false), share(&outcome, true)));
        std::fs::write(path, svg(&Curve { title, across, up, points: &points, marked }))
            .map_err(|e| CliError::new(Exit::Failed, format!("curve {}: {e}", path.display())))?;
    }
    write!(out, "{}", report(&outcome, &faces, args))?;
    Ok(Exit::Ok)
}

fn measure(args: &EvalIdentifyArgs, faces: &mut Faces, policy: Policy, by_rule: bool) -> Result<Outcome, CliError> {
    let curve = if by_rule || args.grow.is_some() { Some(faces.curve()?) } else { None };
    let mut vectors = look(&args.data, faces)?;
    let foreign_rank_1 = if args.protect { Some(protect(&mut vectors, faces.dimensions())?) } else { None };
    let found = search(args, &vectors)?;
    let of = vectors.probes.iter().zip(found);
    let probes = of.map(|(p, found)| Probe { person: p.0, id: p.1, found }).collect();
    let (people, templates) = (vectors.people, vectors.enrolled.len());
    let mut outcome = Outcome {
        people,
        templates,
        probes,
        policy,
        thresholds: [0.0; 2],
        fmr: None,
        grown: Vec::new(),
        foreign_rank_1,
    };
    match &curve {
        Some(curve) if by_rule => {
            outcome.thresholds = [policy.threshold(curve, templates); 2];
            outcome.fmr = Some(curve.fmr(outcome.thresholds[0]));
        }
        _ => outcome.thresholds = [1, 0].map(|other| of_strangers(&outcome.probes, policy, other)),
    }
    if let (Some(parts), Some(curve)) = (args.grow, &curve) {
        outcome.grown = [parts, 1].into_iter().map(|n| grown(&vectors, n, policy, curve)).collect::<Result<_, _>>()?;
    }
    Ok(outcome)
}

/// A vector of every picture.
fn look(data: &Path, faces: &mut Faces) -> Result<Vectors, CliError> {
    let [enrolled, mated, strangers] = ["gallery", "probes-mated", "probes-nonmated"].map(|f| data.join(f));
    let (gallery_files, mated_files, stranger_files) = (pictures(&enrolled)?, pictures(&mated)?, pictures(&strangers)?);
    let all: Vec<PathBuf> = [&gallery_files, &mated_files, &stranger_files].into_iter().flatten().cloned().collect();
    faces.look_at_all(&all)?;
    let mut ids = BTreeMap::<String, u32>::new();
    let mut vectors = Vec::new();
    for file in &gallery_files {
        let next = ids.len() as u32;
        let id = *ids.entry(person(&enrolled, file)).or_insert(next);
        vectors.extend(faces.vector(file)?.map(|vector| (id, vector)));
    }
    if vectors.is_empty() {
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
            probes.push((person, member, faces.vector(file)?));
        }
    }
    Ok(Vectors { enrolled: vectors, people, probes })
}

/// Turns all vectors by one secret; gives the share of members that would be found first in a gallery of another.
fn protect(vectors: &mut Vectors, dimensions: usize) -> Result<f64, CliError> {
    let [own, other] = [1, 2].map(|secret| Projection::of(&[secret; SECRET_BYTES], dimensions));
    let mut foreign = vectors.probes.clone();
    vectors.enrolled.iter_mut().for_each(|(_, v)| own.turn(v));
    vectors.probes.iter_mut().filter_map(|p| p.2.as_mut()).for_each(|v| own.turn(v));
    foreign.iter_mut().filter_map(|p| p.2.as_mut()).for_each(|v| other.turn(v));
    let gallery = gallery(vectors.enrolled.iter())?;
    let (mut first, mut of) = (0, 0);
    for (_, id, vector) in &foreign {
        if let (Some(id), Some(vector)) = (id, vector) {
            of += 1;
            first += usize::from(find(&gallery, vector)?.best.is_some_and(|b| b.id == *id));
        }
    }
    Ok(f64::from(first as u32) / f64::from(of.max(1) as u32))
}

/// What each probe finds.
fn search(args: &EvalIdentifyArgs, vectors: &Vectors) -> Result<Vec<Found>, CliError> {
    let samples: Vec<Sample<'_>> = vectors.enrolled.iter().map(|(id, v)| (*id, v.as_slice())).collect();
    let gallery = gallery(vectors.enrolled.iter())?;
    let svm = (args.matcher == Matcher::Svm).then(|| Svm::train(&samples, PENALTY));
    let find = |vector: &[f32]| match (&args.matcher, &svm) {
        (Matcher::Knn, _) => Ok(rivals::nearest(&samples, args.neighbours, vector)),
        (Matcher::Svm, Some(svm)) => Ok(svm.decide(vector)),
        _ => find(&gallery, vector),
    };
    vectors.probes.iter().map(|p| p.2.as_ref().map_or(Ok(Found::default()), |v| find(v))).collect()
}

fn gallery<'a>(vectors: impl Iterator<Item = &'a (u32, Vec<f32>)>) -> Result<Gallery, CliError> {
    let mut vectors = vectors.peekable();
    let dimensions = vectors.peek().map_or(1, |v| v.1.len());
    let mut gallery = Gallery::new("", dimensions, Precision::F32);
    for (id, vector) in vectors {
        gallery.push("", *id, vector).map_err(|e| CliError::new(Exit::Failed, e.to_string()))?;
    }
    Ok(gallery)
}

fn find(gallery: &Gallery, vector: &[f32]) -> Result<Found, CliError> {
    gallery.search(vector).map_err(|e| CliError::new(Exit::Failed, e.to_string()))
}

/// The least threshold that lets no more than the target's share of the strangers with that parity pass.
fn of_strangers(probes: &[Probe], policy: Policy, parity: u32) -> f32 {
    let of = probes.iter().filter(|p| p.id.is_none() && p.person % 2 == parity);
    let mut scores: Vec<f32> = of
        .map(|p| match decision::judge(&p.found, f32::NEG_INFINITY, policy.margin) {
            Decision::Known { score, .. } => score,
            _ => f32::NEG_INFINITY,
        })
        .collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let allowed = (scores.len() as f64 * policy.target_fpir + 1e-9).floor() as usize;
    scores.get(allowed).map_or(f32::NEG_INFINITY, |score| score.next_up())
}

fn is_wrong(found: &Found, truth: Option<u32>, threshold: f32, margin: f32) -> bool {
    match (decision::judge(found, threshold, margin), truth) {
        (Decision::Known { id, .. }, Some(truth)) => id != truth,
        (Decision::Known { .. }, None) => true,
        (_, truth) => truth.is_some(),
    }
}

/// Trials of members or of strangers: whose, and whether it went wrong.
fn trials(o: &Outcome, members: bool, thresholds: [f32; 2]) -> Vec<(u32, bool)> {
    let wrong = |p: &Probe, threshold| (p.person, is_wrong(&p.found, p.id, threshold, o.policy.margin));
    let of = o.probes.iter().filter(|p| p.id.is_some() == members);
    if members && thresholds[0] != thresholds[1] {
        return of.flat_map(|p| thresholds.map(|threshold| wrong(p, threshold))).collect();
    }
    of.map(|p| wrong(p, thresholds[p.person as usize % 2])).collect()
}

fn wrong_share(trials: &[(u32, bool)]) -> f64 {
    trials.iter().filter(|t| t.1).count() as f64 / trials.len().max(1) as f64
}

/// FNIR of members, or FPIR of strangers, at the thresholds in use.
fn share(o: &Outcome, members: bool) -> f64 {
    wrong_share(&trials(o, members, o.thresholds))
}

/// Threshold, FPIR, FNIR.
fn rates(o: &Outcome) -> Vec<(f32, f64, f64)> {
    // Cosines from 0 to 1; what a machine says of its plane may lie beyond.
    let scores = || o.probes.iter().filter_map(|p| p.found.best).map(|b| b.score);
    let (low, high) = (scores().fold(0.0, f32::min), scores().fold(1.0, f32::max));
    let at = |i: usize| low + (high - low) * i as f32 / (POINTS - 1) as f32;
    let rates = |t: f32| (t, wrong_share(&trials(o, false, [t; 2])), wrong_share(&trials(o, true, [t; 2])));
    (0..POINTS).map(at).map(rates).collect()
}

fn report(o: &Outcome, faces: &Faces, args: &EvalIdentifyArgs) -> String {
    let (members, strangers) = (trials(o, true, o.thresholds), trials(o, false, o.thresholds));
    let (fnir, fpir) = (wrong_share(&members), wrong_share(&strangers));
    let (fnir_95, fpir_95) = (metrics::bootstrap(&members, DRAWS), metrics::bootstrap(&strangers, DRAWS));
    let first = |p: &&Probe| p.id.is_some() && p.found.best.map(|b| b.id) == p.id;
    let mated = o.probes.iter().filter(|p| p.id.is_some()).count();
    let rank_1 = o.probes.iter().filter(first).count() as f64 / mated.max(1) as f64;
    let threshold = (o.thresholds[0] + o.thresholds[1]) / 2.0;
    let matcher = args.matcher.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
    let expected = |fmr: f64| -(o.templates as f64 * (-fmr.min(1.0)).ln_1p()).exp_m1();
    if args.json {
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
            "matcher": matcher,
            "threshold_from": if o.fmr.is_some() { "rule" } else { "strangers" },
            "protected": args.protect,
            "foreign_rank_1": o.foreign_rank_1,
            "probes_mated": mated,
            "probes_nonmated": strangers.len(),
            "target_fpir": o.policy.target_fpir,
            "margin": o.policy.margin,
            "threshold": threshold,
            "thresholds": o.thresholds,
            "expected_fpir": o.fmr.map(|f| expected(f.fmr)),
            "expected_fpir_interval_95": o.fmr.map(|f| [expected(f.low), expected(f.high)]),
            "fpir": fpir,
            "fpir_interval_95": [fpir_95.0, fpir_95.1],
            "fnir": fnir,
            "fnir_interval_95": [fnir_95.0, fnir_95.1],
            "rank_1": rank_1,
            "without_face": faces.without_face(),
            "ms_per_picture": faces.ms_per_picture(),
            "curve": curve,
            "grown": o.grown.iter().map(Grown::json).collect::<Vec<_>>(),
        });
        return format!("{v}\n");
    }
    let percent = |v: f64| v * 100.0;
    format!(
        "{} and {} ({}, {}), {matcher}, {:.1} ms a picture\n{} people with {} templates; {} probes of members, {} of strangers\n\
         threshold {:.3} for a target FPIR of {:.2} %, margin {}\nFPIR {:.2} % (95 %: {:.2} to {:.2})\nFNIR {:.2} % \
         (95 %: {:.2} to {:.2}); nearest one right in {:.2} %\n{}{}",
        faces.detector.name,
        faces.embedder.name,
        faces.backend(),
        faces.precision(),
        faces.ms_per_picture(),
        o.people,
        o.templates,
        mated,
        strangers.len(),
        threshold,
        percent(o.policy.target_fpir),
        o.policy.margin,
        percent(fpir),
        percent(fpir_95.0),
        percent(fpir_95.1),
        percent(fnir),
        percent(fnir_95.0),
        percent(fnir_95.1),
        percent(rank_1),
        o.foreign_rank_1.map_or_else(String::new, |share| {
            format!(
                "turned by a secret; in a gallery of another secret the nearest is right in {:.2} %\n",
                percent(share)
            )
        }),
        o.grown.iter().map(Grown::line).collect::<String>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::Match;

    fn probe(person: u32, id: Option<u32>, best: (u32, f32), second: f32) -> Probe {
        let m = |id, score| Some(Match { id, score });
        Probe { person, id, found: Found { best: m(best.0, best.1), second: m(99, second) } }
    }

    #[test]
    fn one_half_of_the_strangers_sets_the_threshold_of_the_other() {
        let policy = Policy { target_fpir: 0.3, margin: 0.1 };
        let stranger = |person, score| probe(person, None, (0, score), 0.0);
        // Even ones: of four, one may pass; one has no margin and never does.
        let mut probes: Vec<Probe> = [(10, 0.9), (12, 0.6), (14, 0.3)].map(|(p, s)| stranger(p, s)).into();
        probes.push(probe(16, None, (0, 0.95), 0.94));
        probes.extend([(11, 0.2), (13, 0.7)].map(|(p, s)| stranger(p, s)));
        probes.push(probe(0, Some(0), (0, 0.65), 0.1));
        let of = |parity| of_strangers(&probes, policy, parity);
        assert_eq!((of(0), of(1)), (0.6f32.next_up(), 0.7f32.next_up()));
        let o = Outcome {
            people: 1,
            templates: 1,
            thresholds: [of(1), of(0)],
            probes,
            policy,
            fmr: None,
            grown: Vec::new(),
            foreign_rank_1: None,
        };
        // 0.9 of the even ones passes the odd ones' 0.7, 0.7 of the odd ones the even ones' 0.6.
        assert_eq!(share(&o, false), 2.0 / 6.0);
        // The member counts with both: 0.65 is above the one and below the other.
        assert_eq!((trials(&o, true, o.thresholds).len(), share(&o, true)), (2, 0.5));
    }
}
