//! `till eval liveness`: does the challenge, and the passive score, tell a living head from a picture of one? Reported as
//! ISO/IEC 30107-3 has it: APCER a species of attack, BPCER, each with its trials. The presentations are renderings of
//! photographs (`render`, `actor`), run through the counter's own detector, embedder and challenge; they show that geometry
//! and order are checked, not how paper and screens look. Data on `out`, progress on stderr.

pub mod actor;
pub mod render;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use serde_json::{Value, json};

use crate::people::liveness::{Challenge, Failure, Progress, Rules};
use crate::people::metrics::{Random, wilson};
use crate::people::{Evidence, decision, enrol};
use crate::vision::face::{Face, FaceVision, Gates, Looked, Passive, Rule, choose};

use super::exit::{CliError, Exit};
use super::faces::{FaceEngines, person, pictures};
use super::picture;
use actor::{Actor, Kind};
use render::Camera;

/// Time between two frames.
const FRAME_MS: u64 = 100;
/// Who is not seen well enough to be recognised until then did not answer.
const RECOGNISED_MS_MAX: u64 = 6_000;
/// Half a metre, where an eye's distance of 42 pixels is 63 mm.
const DISTANCE: f32 = 333.0;
/// A photograph that is turned further is left out: its rendering would begin turned.
const YAW_MAX: f32 = 15.0;
const PITCH_MAX: f32 = 25.0;

/// Measure how living heads are told from pictures of them
#[derive(Args, Clone, Debug)]
pub struct EvalLivenessArgs {
    /// Folder with photographs, NAME/NAME_0001.jpg; one of each person is rendered
    #[arg(long, value_name = "DIR")]
    pub images: PathBuf,
    /// People, each once as themselves and once in each attack
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub people: u32,
    /// The engine that tells how alive a face looks; without it only the challenge is measured
    #[arg(long, value_name = "DIR")]
    pub passive: Option<PathBuf>,
    /// Real photographs for the passive score: *_T*.jpg of living faces, *_F*.jpg of pictures of faces
    #[arg(long, value_name = "DIR", requires = "passive")]
    pub samples: Option<PathBuf>,
    /// Of the turns, the people's pace and the camera's noise
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Which engines
    #[command(flatten)]
    pub engines: FaceEngines,
    /// Print one JSON object; shares are 0 to 1
    #[arg(long)]
    pub json: bool,
}

/// How one presentation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Passed,
    Failed(Failure),
    /// No face was seen well enough to be recognised.
    NoResponse,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(failure) => failure.as_str(),
            Self::NoResponse => "no-response",
        }
    }
}

/// All presentations of one kind.
struct Trials {
    kind: Kind,
    ends: Vec<End>,
    /// Mean passive scores of the frames that were recognised.
    alive: Vec<f32>,
    /// Length of those that passed.
    passed_ms: Vec<u64>,
}

impl Trials {
    fn count(&self, end: End) -> usize {
        self.ends.iter().filter(|e| **e == end).count()
    }

    fn passed(&self) -> usize {
        self.count(End::Passed)
    }

    /// Errors: an attack that passes, a living face that does not. Who did not answer is no error of the check.
    fn errors(&self) -> usize {
        let failed = self.ends.len() - self.passed() - self.count(End::NoResponse);
        if self.kind == Kind::Live { failed } else { self.passed() }
    }

    /// Presentations that the check saw, or for an attack all: not to answer does not help it.
    fn of(&self) -> usize {
        if self.kind == Kind::Live { self.ends.len() - self.count(End::NoResponse) } else { self.ends.len() }
    }
}

/// A real photograph and its passive score.
struct Sample {
    file: String,
    living: bool,
    score: Option<f32>,
}

/// Everything that was measured.
struct Outcome {
    people: usize,
    left_out: usize,
    trials: Vec<Trials>,
    least: Option<f32>,
    samples: Vec<Sample>,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// An engine (exit code 3), a folder or picture that can't be read, too few people (1).
pub fn run(args: &EvalLivenessArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let passive = match &args.passive {
        Some(dir) => Some(Passive::load(dir, &args.engines.choice())?),
        None => None,
    };
    let least = passive.as_ref().map(Passive::least);
    let (vision, _) = args.engines.vision()?;
    let mut vision = vision.with_passive(passive);
    let (photographs, left_out) = photographs(&args.images, args.people as usize, &mut vision)?;
    let trials = std::iter::once(Kind::Live)
        .chain(Kind::ATTACKS)
        .map(|kind| trials(kind, &photographs, args.seed, &mut vision))
        .collect::<Result<Vec<_>, CliError>>()?;
    let samples = match &args.samples {
        Some(dir) => samples(dir, &mut vision)?,
        None => Vec::new(),
    };
    let outcome = Outcome { people: photographs.len(), left_out, trials, least, samples };
    write!(out, "{}", if args.json { format!("{}\n", as_json(&outcome)) } else { as_text(&outcome) })?;
    Ok(Exit::Ok)
}

/// One photograph a person, of those who look ahead by and large, and how many people had none.
fn photographs(images: &Path, people: usize, vision: &mut FaceVision) -> Result<(Vec<RgbImage>, usize), CliError> {
    let mut by_person = BTreeMap::<String, Vec<PathBuf>>::new();
    for file in pictures(images)? {
        by_person.entry(person(images, &file)).or_default().push(file);
    }
    let step = (by_person.len() / people.max(1)).max(1);
    let (mut found, mut left_out) = (Vec::new(), 0);
    // From all over the alphabet first, then whoever is left.
    let (first, rest): (Vec<_>, Vec<_>) = by_person.into_values().enumerate().partition(|(i, _)| i % step == 0);
    for (_, files) in first.into_iter().chain(rest) {
        if found.len() >= people {
            break;
        }
        let mut ahead = None;
        for file in files {
            let frame = picture::load(&file).map_err(|m| CliError::new(Exit::Failed, m))?;
            let faces = vision.find(&frame)?;
            let face = choose::central(faces, frame.width as usize, frame.height as usize).copied();
            let pose = face.map(|face| vision.quality(&face).pose);
            if pose.is_some_and(|p| p.yaw.abs() <= YAW_MAX && p.pitch.abs() <= PITCH_MAX) {
                ahead = RgbImage::from_raw(frame.width, frame.height, frame.data);
                break;
            }
        }
        match ahead {
            Some(photograph) => found.push(photograph),
            None => left_out += 1,
        }
    }
    if found.len() < 2 {
        let message = format!("{}: {} people who look ahead; two are needed", images.display(), found.len());
        return Err(CliError::new(Exit::Failed, message));
    }
    Ok((found, left_out))
}

fn trials(kind: Kind, people: &[RgbImage], seed: u64, vision: &mut FaceVision) -> Result<Trials, CliError> {
    let mut trials = Trials { kind, ends: Vec::new(), alive: Vec::new(), passed_ms: Vec::new() };
    for (i, member) in people.iter().enumerate() {
        let other = &people[(i + 1) % people.len()];
        let seed = Random::new(seed ^ (i as u64) << 8 ^ (kind as u64) << 40).bits();
        let (end, alive, ms) = present(kind, [member, other], seed, vision)?;
        trials.ends.push(end);
        trials.alive.extend(alive);
        if end == End::Passed {
            trials.passed_ms.push(ms);
        }
    }
    eprintln!("{}: {} of {} passed", kind.as_str(), trials.passed(), trials.ends.len());
    Ok(trials)
}

/// One presentation, as the counter takes it: five good frames say who it is, then the challenge. The passive score is
/// that of those frames.
fn present(
    kind: Kind,
    [member, other]: [&RgbImage; 2],
    seed: u64,
    vision: &mut FaceVision,
) -> Result<(End, Option<f32>, u64), CliError> {
    let mut noise = Random::new(seed);
    let mut actor = Actor::new(kind, noise.bits());
    let mut challenge: Option<Challenge> = None;
    let recognition = decision::Rules::default();
    let mut evidence = Evidence::new(recognition, vision.embedder().dimensions());
    let (mut vector, mut alive, mut scored) = (Vec::new(), 0.0, 0u32);
    vision.forget();
    vision.set_rules(Rule::default(), Gates::default());
    let mut now_ms = 0;
    loop {
        now_ms += FRAME_MS;
        let shown = actor.show(challenge.as_ref().and_then(Challenge::asked), now_ms);
        let camera = Camera { distance: DISTANCE, zoom: 1.5, off: shown.off };
        let photograph = if shown.member { member } else { other };
        let mut picture = render::turned(photograph, shown.body, camera, shown.yaw, shown.pitch);
        // A camera's noise.
        for values in picture.chunks_exact_mut(8) {
            let bits = noise.bits();
            values.iter_mut().zip(bits.to_le_bytes()).for_each(|(v, b)| *v = v.saturating_add(b % 7).saturating_sub(3));
        }
        let looked = vision.look(&picture::frame(picture))?;
        let Some(challenge) = &mut challenge else {
            if let Looked::Fit(face, _) = looked {
                vision.embed(&face, &mut vector)?;
                evidence.add(&vector);
                if let Some((score, _)) = vision.alive(&face)? {
                    (alive, scored) = (alive + score, scored + 1);
                }
            }
            if evidence.frames() >= recognition.frames_min {
                vision.set_gates(enrol::gates());
                challenge = Some(Challenge::new(Rules::default(), noise.bits(), evidence.mean(), now_ms));
            } else if now_ms >= RECOGNISED_MS_MAX {
                return Ok((End::NoResponse, None, now_ms));
            }
            continue;
        };
        let end = match challenge.look(&looked, &mut vector, now_ms, |face, vector| vision.embed(face, vector))? {
            Progress::Asking(_) => continue,
            Progress::Passed => End::Passed,
            Progress::Failed(failure) => End::Failed(failure),
        };
        return Ok((end, (scored > 0).then(|| alive / scored as f32), now_ms));
    }
}

/// The passive score of real photographs.
fn samples(dir: &Path, vision: &mut FaceVision) -> Result<Vec<Sample>, CliError> {
    let mut samples = Vec::new();
    for path in pictures(dir)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let living = file.contains("_T");
        if file.contains("_result") || !(living || file.contains("_F")) {
            continue;
        }
        let frame = picture::load(&path).map_err(|m| CliError::new(Exit::Failed, m))?;
        let face: Option<Face> = vision.find(&frame)?.first().copied();
        let score = match face {
            Some(face) => vision.alive(&face)?.map(|(score, _)| score),
            None => None,
        };
        samples.push(Sample { file, living, score });
    }
    Ok(samples)
}

/// A row of a report: errors of trials.
fn rate(name: &str, errors: usize, of: usize, error: &str) -> Value {
    let (low, high) = wilson(errors, of);
    json!({ "name": name, "trials": of, "errors": errors, error: errors as f64 / of.max(1) as f64, "interval_95": [low, high] })
}

/// Errors of the passive score, of presentations of one kind.
fn passive_errors(trials: &Trials, least: f32) -> (usize, usize) {
    let wrong = |score: &&f32| (**score >= least) != (trials.kind == Kind::Live);
    (trials.alive.iter().filter(wrong).count(), trials.alive.len())
}

/// Kinds whose first frames differ: a replay and pictures begin as the same rendering as the member.
fn has_own_look(trials: &&Trials) -> bool {
    trials.kind == Kind::Live || (trials.kind.print().is_some() && trials.kind != Kind::PrintTurned)
}

fn word(kind: Kind) -> &'static str {
    if kind == Kind::Live { "bpcer" } else { "apcer" }
}

fn as_json(o: &Outcome) -> Value {
    let challenge = |t: &Trials| {
        let mut row = rate(t.kind.as_str(), t.errors(), t.of(), word(t.kind));
        let mut ends = BTreeMap::<&str, usize>::new();
        t.ends.iter().for_each(|end| *ends.entry(end.as_str()).or_default() += 1);
        row["ends"] = json!(ends);
        row["presentations"] = t.ends.len().into();
        if t.kind == Kind::Live {
            row["ms_to_pass_p50"] = json!(median(&t.passed_ms));
        }
        row
    };
    let (live, attacks): (Vec<_>, Vec<_>) = o.trials.iter().partition(|t| t.kind == Kind::Live);
    let passive = o.least.map(|least| {
        let rows = o.trials.iter().filter(has_own_look).map(|t| {
            let (errors, of) = passive_errors(t, least);
            rate(t.kind.as_str(), errors, of, word(t.kind))
        });
        let samples: Vec<_> = o
            .samples
            .iter()
            .map(|s| {
                let right = s.score.is_some_and(|score| (score >= least) == s.living);
                json!({ "file": s.file, "living": s.living, "score": s.score, "right": right })
            })
            .collect();
        json!({ "least": least, "rendered": rows.collect::<Vec<_>>(), "samples": samples })
    });
    let worst = attacks.iter().map(|t| t.errors() as f64 / t.of().max(1) as f64).fold(0.0, f64::max);
    json!({
        "schema": "till.eval-liveness/1",
        "people": o.people,
        "left_out": o.left_out,
        "challenge": {
            "bona_fide": live.into_iter().map(challenge).collect::<Vec<_>>(),
            "species": attacks.into_iter().map(challenge).collect::<Vec<_>>(),
            "apcer_max": worst,
        },
        "passive": passive,
    })
}

fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

fn as_text(o: &Outcome) -> String {
    use std::fmt::Write;
    let mut text = format!("{} people ({} left out: no photograph that looks ahead), rendered\n", o.people, o.left_out);
    let mut row = |kind: &str, word: &str, errors: usize, of: usize, note: String| {
        let (low, high) = wilson(errors, of);
        let share = errors as f64 / of.max(1) as f64;
        let word = word.to_uppercase();
        let [share, low, high] = [share, low, high].map(|v| v * 100.0);
        let _ = writeln!(text, "{kind:<24} {word} {share:5.1} % ({errors} of {of}; 95 %: {low:.1} to {high:.1}){note}");
    };
    for t in &o.trials {
        let mut ends = BTreeMap::<End, usize>::new();
        t.ends.iter().for_each(|end| *ends.entry(*end).or_default() += 1);
        let ends: Vec<_> = ends.iter().map(|(end, n)| format!("{n} {}", end.as_str())).collect();
        row(t.kind.as_str(), word(t.kind), t.errors(), t.of(), format!("  {}", ends.join(", ")));
    }
    if let Some(least) = o.least {
        for t in o.trials.iter().filter(has_own_look) {
            let (errors, of) = passive_errors(t, least);
            row(&format!("passive {}", t.kind.as_str()), word(t.kind), errors, of, String::new());
        }
        for s in &o.samples {
            let score = s.score.map_or("no face".to_owned(), |score| format!("{score:.3}"));
            let _ = writeln!(text, "passive {} {score} (a living face has at least {least})", s.file);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(kind: Kind, ends: &[End], alive: &[f32]) -> Trials {
        Trials { kind, ends: ends.to_vec(), alive: alive.to_vec(), passed_ms: vec![5000] }
    }

    #[test]
    fn errors_are_counted_as_the_standard_has_them() {
        use End::{Failed, NoResponse, Passed};
        let live = trials(Kind::Live, &[Passed, Passed, Failed(Failure::Time), NoResponse], &[0.9, 0.4]);
        assert_eq!((live.errors(), live.of()), (1, 3), "who was not seen is told apart");
        let print = trials(Kind::Print, &[Passed, Failed(Failure::Flat), NoResponse], &[0.9, 0.4]);
        assert_eq!((print.errors(), print.of()), (1, 3));
        assert_eq!((passive_errors(&live, 0.5), passive_errors(&print, 0.5)), ((1, 2), (1, 2)));
        let samples = vec![Sample { file: "x_F1.jpg".into(), living: false, score: Some(0.2) }];
        let o = Outcome { people: 4, left_out: 1, trials: vec![live, print], least: Some(0.5), samples };
        let v = as_json(&o);
        assert_eq!(v["challenge"]["bona_fide"][0]["bpcer"], 1.0 / 3.0);
        assert_eq!(v["challenge"]["species"][0]["ends"]["flat"], 1);
        assert_eq!(
            (&v["challenge"]["apcer_max"], &v["passive"]["samples"][0]["right"]),
            (&json!(1.0 / 3.0), &json!(true))
        );
        let text = as_text(&o);
        assert!(text.contains("APCER  33.3 % (1 of 3;") && text.contains("passive x_F1.jpg 0.200"), "{text}");
    }
}
