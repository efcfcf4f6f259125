//! `till bench search`: a gallery of made-up people is searched, as many bytes are read plainly, in turns. Each sweep goes
//! over more than the caches keep from the one before, as it is at a counter, where a frame lies between two searches.

use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::cli::exit::{CliError, Exit};
use crate::gallery::{DIMENSIONS_MAX, Found, Gallery, Precision};
use crate::people::metrics::Random;
use crate::vision::face::embed::normalise;

use super::tenth;

/// Vectors of one person.
pub(super) const TEMPLATES: usize = 4;
/// How much a picture adds to a person's own vector: two of one person have a cosine of about 0.6.
const SPREAD: f32 = 0.8;

/// What is searched.
#[derive(Args, Clone, Debug)]
pub struct SearchArgs {
    /// Vectors of the gallery, four a person
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub templates: usize,
    /// Values of a vector
    #[arg(long, value_name = "N", default_value_t = 192)]
    pub dimensions: usize,
    /// Searches, every second one for a stranger
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub searches: usize,
    /// Write the vectors to templates.f32 and probes.f32 there, for other programs to search
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What one precision did, in seconds.
#[derive(Default)]
struct Times {
    read: Vec<f64>,
    search: Vec<f64>,
}

/// Runs the command and prints to `out`.
///
/// # Errors
/// Sizes that make no gallery (exit code 2), a folder that can't be written (1).
pub fn run(args: &SearchArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let SearchArgs { templates, dimensions, searches, .. } = *args;
    if templates == 0 || searches == 0 || !(2..=DIMENSIONS_MAX).contains(&dimensions) {
        let message = format!("a template and a search at least, and 2 to {DIMENSIONS_MAX} values");
        return Err(CliError::new(Exit::Usage, message));
    }
    let (vectors, probes) = made_up(templates, dimensions, searches);
    if let Some(folder) = &args.output {
        save(folder, "templates.f32", &vectors)?;
        save(folder, "probes.f32", &probes)?;
    }
    let names = ["f32", "f16"];
    let galleries = [Precision::F32, Precision::F16].map(|precision| {
        let mut gallery = Gallery::new("made up", dimensions, precision);
        for (i, vector) in vectors.chunks_exact(dimensions).enumerate() {
            let pushed = gallery.push("made up", (i / TEMPLATES) as u32, vector);
            pushed.map_err(|e| CliError::new(Exit::Failed, e.to_string()))?;
        }
        Ok::<_, CliError>(gallery)
    });
    let [whole, halves] = galleries;
    let galleries = [whole?, halves?];
    let mut times = [Times::default(), Times::default()];
    let mut equal = 0;
    for probe in probes.chunks_exact(dimensions) {
        for (gallery, times) in galleries.iter().zip(&mut times) {
            times.read.push(time(|| black_box(black_box(gallery).read())).1);
        }
        let mut found = [Found::default(); 2];
        for ((gallery, times), found) in galleries.iter().zip(&mut times).zip(&mut found) {
            let (answer, seconds) = time(|| gallery.search(black_box(probe)));
            *found = answer.map_err(|e| CliError::new(Exit::Failed, e.to_string()))?;
            times.search.push(seconds);
        }
        equal += usize::from(found[0] == found[1]);
    }
    let mut rows = Vec::new();
    for ((name, gallery), times) in names.into_iter().zip(&galleries).zip(&mut times) {
        let (read, search, bytes) = (tenth(&mut times.read), tenth(&mut times.search), gallery.swept_bytes());
        rows.push((name, bytes, read, search, read / search));
    }
    report(args, &rows, equal, out)?;
    Ok(if equal == searches { Exit::Ok } else { Exit::Findings })
}

/// Name, bytes, seconds of a read and of a search, share of the read's rate.
type Row = (&'static str, usize, f64, f64, f64);

fn report(args: &SearchArgs, rows: &[Row], equal: usize, out: &mut dyn Write) -> Result<(), CliError> {
    let SearchArgs { templates, dimensions, searches, .. } = args;
    let rate = |bytes: usize, seconds: f64| bytes as f64 / seconds / 1e9;
    if args.json {
        let row = |(name, bytes, read, search, share): &Row| {
            json!({
                "precision": name, "bytes": bytes, "read_ms": read * 1e3, "read_gb_per_s": rate(*bytes, *read),
                "search_ms": search * 1e3, "search_gb_per_s": rate(*bytes, *search), "ratio": share,
            })
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        let v = json!({
            "schema": "till.bench-search/1", "templates": templates, "dimensions": dimensions, "searches": searches,
            "equal": equal, "rows": rows,
        });
        writeln!(out, "{v}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{templates} vectors of {dimensions} values, {searches} searches in turns with plain reads; a tenth was quicker"
    )?;
    for (name, bytes, read, search, share) in rows {
        writeln!(
            out,
            "{name}  {:6.1} MB  read {:7.3} ms, {:5.1} GB/s  search {:7.3} ms, {:5.1} GB/s  ratio {share:.2}",
            *bytes as f64 / 1e6,
            read * 1e3,
            rate(*bytes, *read),
            search * 1e3,
            rate(*bytes, *search),
        )?;
    }
    writeln!(out, "{equal} of {searches} answers of the halves are those of the values, to the bit")?;
    Ok(())
}

fn time<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed().as_secs_f64())
}

/// Unit vectors of people, four each, and of `probes` who are looked for: in turns one of them and a stranger.
pub(super) fn made_up(templates: usize, dimensions: usize, probes: usize) -> (Vec<f32>, Vec<f32>) {
    let mut random = Random::new(192);
    let mut draw = move || {
        let mut v: Vec<f32> = (0..dimensions)
            // The sum of four even numbers is round enough.
            .map(|_| {
                let bits = random.bits();
                (0..4).map(|i| (bits >> (16 * i)) as u16 as f32 / 65535.0 - 0.5).sum()
            })
            .collect();
        normalise(&mut v);
        v
    };
    let mut vectors = Vec::with_capacity(templates * dimensions);
    let mut looked_for = Vec::with_capacity(probes * dimensions);
    let mut person = Vec::new();
    let every = (templates / probes).max(1);
    for i in 0..templates {
        if i % TEMPLATES == 0 {
            person = draw();
        }
        let mut near = |v: &mut Vec<f32>| {
            let mut picture: Vec<f32> = person.iter().zip(draw()).map(|(p, d)| p + SPREAD * d).collect();
            normalise(&mut picture);
            v.append(&mut picture);
        };
        near(&mut vectors);
        if i % every == 0 && looked_for.len() < probes * dimensions {
            if (i / every).is_multiple_of(2) {
                near(&mut looked_for);
            } else {
                looked_for.append(&mut draw());
            }
        }
    }
    while looked_for.len() < probes * dimensions {
        looked_for.append(&mut draw());
    }
    (vectors, looked_for)
}

fn save(folder: &Path, name: &str, values: &[f32]) -> Result<(), CliError> {
    let path = folder.join(name);
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&path, bytes).map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_precisions_are_measured_and_agree() {
        let folder = tempfile::tempdir().unwrap();
        let output = Some(folder.path().to_owned());
        let args = SearchArgs { templates: 403, dimensions: 192, searches: 7, output, json: true };
        let mut out = Vec::new();
        assert_eq!(run(&args, &mut out).unwrap(), Exit::Ok);
        let v: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((v["schema"].as_str(), v["equal"].as_u64()), (Some("till.bench-search/1"), Some(7)));
        let row = |i: usize, key: &str| v["rows"][i][key].as_f64().unwrap();
        assert_eq!((row(0, "bytes"), row(1, "bytes")), (403.0 * 768.0, 403.0 * 384.0));
        assert!((row(1, "ratio") - row(1, "read_ms") / row(1, "search_ms")).abs() < 1e-9);
        let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert_eq!((size("templates.f32"), size("probes.f32")), (403 * 768, 7 * 768));
        let mut out = Vec::new();
        assert!(run(&SearchArgs { templates: 0, ..args }, &mut out).is_err());
    }

    #[test]
    fn members_are_near_their_templates_and_strangers_are_not() {
        let (vectors, probes) = made_up(400, 192, 20);
        let best = |probe: &[f32]| {
            vectors.chunks_exact(192).map(|v| crate::gallery::search::dot(v, probe)).fold(-1.0, f32::max)
        };
        for (i, probe) in probes.chunks_exact(192).enumerate() {
            assert_eq!(best(probe) > 0.45, i % 2 == 0, "{i}: {}", best(probe));
        }
    }
}
