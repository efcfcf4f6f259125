//! `till eval verify`: is it the same person? By the protocol of "Labeled Faces in the Wild" (G. Huang et al., UMass
//! 07-49): folds of pairs, each judged with the threshold that suits the others. Data on `out`, progress on stderr.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::gallery::search::dot;
use crate::people::metrics::{self, Pair, Point};

use super::curve_svg::{Curve, svg};
use super::exit::{CliError, Exit};
use super::faces::{FaceEngines, Faces};

/// Points of the curve.
const POINTS: usize = 201;
/// A pair with a picture without a face matches at no threshold.
const NO_FACE: f32 = -1.0;
/// Most pairs of a file.
const PAIRS_MAX: usize = 1_000_000;

/// Measure 1:1 verification by LFW's protocol
#[derive(Args, Clone, Debug)]
pub struct EvalVerifyArgs {
    /// LFW's pairs.txt
    #[arg(long, value_name = "FILE")]
    pub pairs: PathBuf,
    /// Folder with NAME/NAME_0001.jpg
    #[arg(long, value_name = "DIR")]
    pub images: PathBuf,
    /// Which engines
    #[command(flatten)]
    pub engines: FaceEngines,
    /// Print one JSON object; shares are 0 to 1
    #[arg(long)]
    pub json: bool,
    /// Write the DET curve as SVG
    #[arg(long, value_name = "FILE")]
    pub curve: Option<PathBuf>,
}

/// Two pictures, and whether they show one person.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pictures {
    a: (String, u32),
    b: (String, u32),
    same: bool,
}

/// Everything that was measured.
struct Outcome {
    folds: Vec<Vec<Pair>>,
    no_face: usize,
    without_face: Vec<String>,
    pictures: usize,
    curve: Vec<Point>,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// An engine (exit code 3), a list of pairs or a picture that can't be read (1).
pub fn run(args: &EvalVerifyArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let text = std::fs::read_to_string(&args.pairs)
        .map_err(|e| CliError::new(Exit::Failed, format!("pairs {}: {e}", args.pairs.display())))?;
    let folds =
        parse(&text).map_err(|m| CliError::new(Exit::Failed, format!("pairs {}: {m}", args.pairs.display())))?;
    let mut faces = args.engines.load()?;
    let outcome = measure(&folds, &args.images, &mut faces)?;
    let text = report(&outcome, &faces, args.json);
    if let Some(path) = &args.curve {
        let points: Vec<(f64, f64)> = outcome.curve.iter().map(|p| (p.1, p.2)).collect();
        let (title, across, up) = ("Detection error trade-off", "false match rate", "false non-match rate");
        std::fs::write(path, svg(&Curve { title, across, up, points: &points, marked: None }))
            .map_err(|e| CliError::new(Exit::Failed, format!("curve {}: {e}", path.display())))?;
    }
    write!(out, "{text}")?;
    Ok(Exit::Ok)
}

/// Reads LFW's list: a line with the number of folds and of pairs of each kind a fold (one number: one fold), then
/// fold by fold the pairs of one person (`name i j`) and of two (`name i name j`).
fn parse(text: &str) -> Result<Vec<Vec<Pictures>>, String> {
    let mut lines = text.lines().enumerate().map(|(n, l)| (n + 1, l.split_whitespace().collect::<Vec<_>>()));
    let head = lines.next().map(|l| l.1).unwrap_or_default();
    let number = |s: &str, line: usize| s.parse::<u32>().map_err(|_| format!("line {line}: {s:?} is no number"));
    let (folds, each) = match head[..] {
        [folds, each] => (number(folds, 1)? as usize, number(each, 1)? as usize),
        [each] => (1, number(each, 1)? as usize),
        _ => return Err("line 1: the number of folds, and of pairs of each kind a fold".into()),
    };
    if folds == 0 || each == 0 || folds.saturating_mul(each) > PAIRS_MAX / 2 {
        return Err(format!("line 1: {folds} folds of {each} pairs of each kind; 1 to {PAIRS_MAX} pairs in all"));
    }
    let mut pairs = Vec::new();
    for (line, words) in lines.filter(|(_, w)| !w.is_empty()) {
        pairs.push(match words[..] {
            [name, i, j] => {
                let (i, j) = (number(i, line)?, number(j, line)?);
                Pictures { a: (name.into(), i), b: (name.into(), j), same: true }
            }
            [a, i, b, j] => {
                let (i, j) = (number(i, line)?, number(j, line)?);
                Pictures { a: (a.into(), i), b: (b.into(), j), same: false }
            }
            _ => return Err(format!("line {line}: {} words; 3 for one person, 4 for two", words.len())),
        });
    }
    if pairs.len() != folds * each * 2 {
        return Err(format!("{} pairs; line 1 announces {folds} x {each} of each kind", pairs.len()));
    }
    Ok(pairs.chunks(each * 2).map(<[Pictures]>::to_vec).collect())
}

/// A picture's file: JPEG, or PNG where that is what lies there.
fn file(images: &Path, (name, number): &(String, u32)) -> PathBuf {
    let path = images.join(name).join(format!("{name}_{number:04}.jpg"));
    let png = path.with_extension("png");
    if !path.exists() && png.exists() { png } else { path }
}

fn measure(folds: &[Vec<Pictures>], images: &Path, faces: &mut Faces) -> Result<Outcome, CliError> {
    let mut files: Vec<PathBuf> =
        folds.iter().flatten().flat_map(|p| [file(images, &p.a), file(images, &p.b)]).collect();
    files.sort();
    files.dedup();
    faces.look_at_all(&files)?;
    let mut no_face = 0;
    let mut score = |p: &Pictures| -> Result<Pair, CliError> {
        Ok(match (faces.vector(&file(images, &p.a))?, faces.vector(&file(images, &p.b))?) {
            (Some(a), Some(b)) => (dot(&a, &b), p.same),
            _ => {
                no_face += 1;
                (NO_FACE, p.same)
            }
        })
    };
    let folds = folds.iter().map(|f| f.iter().map(&mut score).collect()).collect::<Result<Vec<Vec<Pair>>, _>>()?;
    let (genuine, impostor) = split(&folds);
    let curve = metrics::error_curve(&genuine, &impostor, POINTS);
    Ok(Outcome { folds, no_face, without_face: faces.without_face(), pictures: files.len(), curve })
}

/// Scores of one person's pairs and of two people's.
fn split(folds: &[Vec<Pair>]) -> (Vec<f32>, Vec<f32>) {
    let (genuine, impostor): (Vec<Pair>, Vec<Pair>) = folds.iter().flatten().partition(|p| p.1);
    let scores = |v: Vec<Pair>| v.into_iter().map(|p| p.0).collect();
    (scores(genuine), scores(impostor))
}

fn report(o: &Outcome, faces: &Faces, as_json: bool) -> String {
    let pairs: usize = o.folds.iter().map(Vec::len).sum();
    let accuracies = metrics::fold_accuracies(&o.folds);
    let (accuracy, deviation) = metrics::mean_deviation(&accuracies);
    let interval = metrics::wilson((accuracy * pairs as f64).round() as usize, pairs);
    let (genuine, impostor) = split(&o.folds);
    let (tar, threshold) = metrics::tar_at_fmr(&genuine, &impostor, 1e-3);
    let eer = metrics::equal_error_rate(&o.curve);
    if as_json {
        let curve: Vec<_> = o.curve.iter().map(|p| json!({ "score": p.0, "fmr": p.1, "fnmr": p.2 })).collect();
        let v = json!({
            "schema": "till.eval-verify/1",
            "detector": faces.detector.name,
            "embedder": faces.embedder.name,
            "sha256": faces.embedder.sha256,
            "backend": faces.backend(),
            "precision": faces.precision(),
            "pairs": pairs,
            "pictures": o.pictures,
            "no_face": o.no_face,
            "without_face": o.without_face,
            "accuracy": accuracy,
            "accuracy_interval_95": [interval.0, interval.1],
            "folds": accuracies,
            "tar_at_fmr_1e-3": tar,
            "threshold_at_fmr_1e-3": threshold,
            "eer": eer,
            "ms_per_picture": faces.ms_per_picture(),
            "det": curve,
        });
        return format!("{v}\n");
    }
    let percent = |v: f64| v * 100.0;
    format!(
        "{} and {} ({}, {}), {:.1} ms a picture\n{pairs} pairs of {} pictures in {} folds, {} pairs with a picture without a \
         face\naccuracy        {:.2} % +- {:.2} (95 %: {:.2} to {:.2})\nTAR at FMR 1e-3 {:.2} % (of {} pairs of \
         strangers {} may match)\nEER             {:.2} %\n",
        faces.detector.name,
        faces.embedder.name,
        faces.backend(),
        faces.precision(),
        faces.ms_per_picture(),
        o.pictures,
        o.folds.len(),
        o.no_face,
        percent(accuracy),
        percent(deviation),
        percent(interval.0),
        percent(interval.1),
        percent(tar),
        impostor.len(),
        (impostor.len() as f64 * 1e-3 + 1e-9).floor(),
        percent(eer.unwrap_or(f64::NAN)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_folds_of_both_kinds() {
        let folds = parse("2\t1\nA 1 2\nA 1 B 3\n\nB 2 3\nC 1\tA 2\n").unwrap();
        assert_eq!((folds.len(), folds[0].len()), (2, 2));
        assert_eq!(folds[0][1], Pictures { a: ("A".into(), 1), b: ("B".into(), 3), same: false });
        assert_eq!(parse("1\nA 1 2\nA 1 B 3\n").unwrap().len(), 1, "one number: one fold");
        assert_eq!(file(Path::new("d"), &("A".into(), 12)), Path::new("d/A/A_0012.jpg"));
    }

    #[test]
    fn a_list_that_is_none_is_refused_with_its_line() {
        for (text, word) in [
            ("", "line 1"),
            ("x 300", "line 1: \"x\""),
            ("0 300", "0 folds"),
            ("99999999 99999999", "in all"),
            ("1 1\nA 1 2\nA 1 B\n", "line 3"),
            ("1 1\nA 1 2\n", "1 pairs"),
            ("1 1\nA 1 2\nA 1 B 2 C\n", "line 3: 5 words"),
        ] {
            assert!(parse(text).unwrap_err().contains(word), "{text:?}: {}", parse(text).unwrap_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_or_read_without_a_panic(text in "[0-9A-C \\t\\n]{0,60}") {
            let _ = parse(&text);
        }
    }
}
