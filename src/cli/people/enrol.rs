//! `till people enrol` and `till people recognise`: a face before the camera, or in a recording, through the counter's own
//! chain. Frames and vectors are in memory only; until the last pose is taken nothing at all is written.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cli::exit::{CliError, Exit};
use crate::cli::faces::{self, FaceEngines};
use crate::cli::footage::Camera;
use crate::gallery::Precision;
use crate::people::decision;
use crate::people::enrol::{Enrolment, Guide, Progress, Rules, gates};
use crate::people::members::day;
use crate::people::vault::{Consent, Method, Record, Template, Vault, VaultErrorKind, harden};
use crate::people::{Decision, Evidence, Members};
use crate::runtime::clock::{utc_day, wall_s};
use crate::vision::face::{FaceVision, Looked, Rule};

use super::manage::{Place, Settings};

/// Longest text of a consent.
const CONSENT_BYTES_MAX: u64 = 65_536;

/// How consent was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Given {
    /// To the staff, who run this command
    Staff,
    /// On paper, kept elsewhere
    Paper,
}

/// Arguments of `till people enrol`.
#[derive(Args, Clone, Debug)]
pub struct EnrolArgs {
    /// The shop's own id of the person, up to 32 bytes
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// What to call the person; nobody needs a name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Version of the text that the person agrees to
    #[arg(long, value_name = "VERSION")]
    pub consent_version: String,
    /// The text, which is shown and whose sha256 is recorded
    #[arg(long, value_name = "FILE")]
    pub consent_file: Option<PathBuf>,
    /// The person has read the text and agreed; without this it is asked here
    #[arg(long)]
    pub agreed: bool,
    /// How consent was given
    #[arg(long, value_enum, default_value = "staff")]
    pub consent_by: Given,
    /// In the place of the record that has this id
    #[arg(long)]
    pub replace: bool,
    /// A recording or a folder of pictures instead of the face camera
    #[arg(long, value_name = "PATH")]
    pub footage: Option<PathBuf>,
    /// Where the members are
    #[command(flatten)]
    pub place: Place,
    /// Which engines
    #[command(flatten)]
    pub engines: FaceEngines,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `till people recognise`.
#[derive(Args, Clone, Debug)]
pub struct RecogniseArgs {
    /// A recording or a folder of pictures instead of the face camera
    #[arg(long, value_name = "PATH")]
    pub footage: Option<PathBuf>,
    /// Share of the strangers who may be taken for a member; by default the configuration's
    #[arg(long, value_name = "SHARE")]
    pub target_fpir: Option<f64>,
    /// Where the members are
    #[command(flatten)]
    pub place: Place,
    /// Which engines
    #[command(flatten)]
    pub engines: FaceEngines,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

fn failed(message: impl Into<String>) -> CliError {
    CliError::new(Exit::Failed, message)
}

/// The face camera, or what was recorded.
fn camera(place: &Place, footage: Option<&Path>) -> Result<Camera, CliError> {
    if let Some(path) = footage {
        return Camera::recorded("face", path);
    }
    let config = crate::cli::run::load(&place.config)?;
    if crate::runtime::control::ask(&config.counter.control, "status").is_ok() {
        return Err(failed("the running daemon has the cameras; stop it for this, or name --footage"));
    }
    match &config.face {
        Some(face) => Camera::open("face", &face.camera),
        None => Err(CliError::new(Exit::Config, "[face.camera] is not configured; name --footage")),
    }
}

/// Shows the text and takes the answer.
fn consent(args: &EnrolArgs) -> Result<Consent, CliError> {
    let mut text_sha256 = None;
    if let Some(path) = &args.consent_file {
        let error = |m: String| failed(format!("consent {}: {m}", path.display()));
        let about = std::fs::metadata(path).map_err(|e| error(e.to_string()))?;
        if about.len() > CONSENT_BYTES_MAX {
            return Err(error(format!("longer than {CONSENT_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        eprintln!("{text}");
        text_sha256 = Some(Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect());
    }
    if !args.agreed {
        if !std::io::stdin().is_terminal() {
            return Err(CliError::new(Exit::Usage, "nobody is here to agree; say --agreed if the person did"));
        }
        eprint!("does the person agree to version {}? (yes/no) ", args.consent_version);
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            return Err(failed("not agreed; nothing was kept"));
        }
    }
    let at_s = wall_s();
    if at_s.is_none() {
        eprintln!("till: the clock is not set, so no time of the consent is recorded");
    }
    let method = match args.consent_by {
        Given::Staff => Method::Staff,
        Given::Paper => Method::Paper,
    };
    Ok(Consent { version: args.consent_version.clone(), text_sha256, at_s, method })
}

/// The vault, made where there is none yet.
fn vault(settings: &Settings) -> Result<Vault, CliError> {
    harden()?;
    match Vault::open_at(&settings.folder, &settings.key) {
        Err(e) if e.kind == VaultErrorKind::Missing => Ok(Vault::init_at(&settings.folder, &settings.key)?),
        opened => Ok(opened?),
    }
}

/// Enrols one person.
///
/// # Errors
/// Whatever keeps it from being whole: then nothing was written.
pub fn enrol(args: &EnrolArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let settings = args.place.settings()?;
    let mut vault = vault(&settings)?;
    let old = vault.find(&args.id).ok().map(|person| person.number);
    if old.is_some() && !args.replace {
        return Err(failed("somebody has this id already; to enrol the same person anew say --replace"));
    }
    let consent = consent(args)?;
    let (vision, embedder) = args.engines.vision()?;
    let mut vision = vision.with_rules(Rule::default(), gates());
    let curve = faces::curve(&embedder)?;
    let members = Members::load(&vault, &embedder.sha256, vision.embedder().dimensions(), Precision::F32);
    let policy = args.place.policy(None)?;
    let threshold = policy.threshold(&curve, members.gallery.len());
    let order = settings.people.poses.iter().map(|pose| (*pose).into()).collect();
    let mut camera = camera(&args.place, args.footage.as_deref())?;
    let enrolment = poses(&mut camera, &mut vision, Rules { order, ..Rules::default() })?;
    vision.forget();
    let taken =
        enrolment.finish(&members.gallery, threshold, old).map_err(|e| failed(format!("{e}; nothing was kept")))?;
    let template = |t: &crate::people::enrol::Taken| Template {
        network: embedder.sha256.clone(),
        facing: t.facing,
        vector: t.vector.clone(),
    };
    let record = Record {
        id: args.id.clone(),
        name: args.name.clone(),
        created_s: consent.at_s,
        consent,
        templates: taken.iter().map(template).collect(),
    };
    let number = vault.put(&record, args.replace)?;
    if args.json {
        let facings: Vec<_> = record.templates.iter().map(|t| t.facing).collect();
        let v = json!({
            "schema": "till.people-enrol/1",
            "id": record.id,
            "number": number,
            "templates": facings,
            "consent_version": record.consent.version,
            "day": record.created_s.map(|s| utc_day(day(s))),
            "people": vault.len(),
        });
        writeln!(out, "{v}")?;
    } else {
        writeln!(out, "{} is enrolled with {} templates; {} people", record.id, record.templates.len(), vault.len())?;
    }
    Ok(Exit::Ok)
}

/// Goes through the poses, a word on stderr whenever it changes.
fn poses(camera: &mut Camera, vision: &mut FaceVision, rules: Rules) -> Result<Enrolment, CliError> {
    let of = rules.order.len();
    let mut enrolment: Option<Enrolment> = None;
    let mut said: Option<(Guide, usize)> = None;
    let mut vector = Vec::new();
    while let Some(frame) = camera.read()? {
        let now_ms = frame.captured_ns / 1_000_000;
        let enrolment = enrolment.get_or_insert_with(|| Enrolment::new(rules.clone(), now_ms));
        let looked = vision.look(frame)?;
        match enrolment.look(&looked, &mut vector, now_ms, |face, vector| vision.embed(face, vector))? {
            Progress::Asking { guide, taken } => {
                if said != Some((guide, taken)) {
                    eprintln!("[{taken} of {of}] {guide}");
                    said = Some((guide, taken));
                }
            }
            Progress::Done => {
                eprintln!("[{of} of {of}] {}", Guide::Done);
                break;
            }
            Progress::Failed(failure) => return Err(failed(format!("{failure}; nothing was kept"))),
        }
    }
    zeroize::Zeroize::zeroize(&mut vector);
    enrolment.ok_or_else(|| failed("there was not one frame; nothing was kept"))
}

/// Says who is before the camera.
///
/// # Errors
/// No vault, a camera or engine that fails.
pub fn recognise(args: &RecogniseArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let policy = args.place.policy(args.target_fpir)?;
    let vault = args.place.open()?;
    let (mut vision, embedder) = args.engines.vision()?;
    let (curve, dimensions) = (faces::curve(&embedder)?, vision.embedder().dimensions());
    let members = Members::load(&vault, &embedder.sha256, dimensions, Precision::F32);
    let mut camera = camera(&args.place, args.footage.as_deref())?;
    let mut evidence = Evidence::new(decision::Rules::default(), dimensions);
    let (mut frames, mut decision, mut vector) = (0u32, Decision::NotYet, Vec::new());
    while let Some(frame) = camera.read()? {
        frames += 1;
        if let Looked::Fit(face, _) = vision.look(frame)? {
            vision.embed(&face, &mut vector)?;
            evidence.add(&vector);
            let judged = evidence.decide(&members.gallery, &curve, &policy);
            decision = judged.map_err(|e| failed(e.to_string()))?;
        }
        // A live camera never ends: the first answer counts, and "nobody" only after a while.
        let enough = matches!(decision, Decision::Known { .. })
            || evidence.frames() >= 4 * decision::Rules::default().frames_min;
        if args.footage.is_none() && enough {
            break;
        }
    }
    let used = evidence.frames();
    evidence.reset();
    vision.forget();
    zeroize::Zeroize::zeroize(&mut vector);
    let (id, score, margin) = match decision {
        Decision::Known { id, score, margin } => (members.who(id).map(|m| m.id.clone()), Some(score), Some(margin)),
        Decision::NotYet | Decision::Unknown => (None, None, None),
    };
    if args.json {
        let v = json!({
            "schema": "till.people-recognise/1",
            "id": id,
            "score": score,
            "margin": margin.filter(|m| m.is_finite()),
            "threshold": policy.threshold(&curve, members.gallery.len()),
            "templates": members.gallery.len(),
            "frames": frames,
            "frames_used": used,
            "enough": decision != Decision::NotYet,
        });
        writeln!(out, "{v}")?;
    } else {
        match (&id, score) {
            (Some(id), Some(score)) => writeln!(out, "{id}, score {score:.3} over {used} frames")?,
            _ if decision == Decision::NotYet => writeln!(out, "not seen well enough: {used} good frames of {frames}")?,
            _ => writeln!(out, "nobody who is enrolled ({used} good frames of {frames})")?,
        }
    }
    Ok(Exit::Ok)
}
