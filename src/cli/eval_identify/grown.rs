//! The threshold rule while a gallery grows: every stranger is looked for in galleries of a part of the members each, and in
//! the whole one.

use serde_json::json;

use crate::cli::exit::CliError;
use crate::gallery::Found;
use crate::people::{FmrCurve, Policy, metrics};

use super::{DRAWS, Vectors, find, gallery, is_wrong, wrong_share};

/// The rule in galleries of one size.
pub struct Grown {
    galleries: usize,
    templates: f64,
    threshold: f32,
    strangers: Vec<(u32, bool)>,
    members: Vec<(u32, bool)>,
}

/// Everybody looked for in `parts` galleries of as many people each, every one with the threshold of its own size.
pub fn grown(vectors: &Vectors, parts: u32, policy: Policy, curve: &FmrCurve) -> Result<Grown, CliError> {
    let mut grown = Grown { galleries: 0, templates: 0.0, threshold: 0.0, strangers: Vec::new(), members: Vec::new() };
    for part in 0..parts {
        let gallery = gallery(vectors.enrolled.iter().filter(|(id, _)| id % parts == part))?;
        if gallery.is_empty() {
            continue;
        }
        let threshold = policy.threshold(curve, gallery.len());
        grown.galleries += 1;
        grown.templates += gallery.len() as f64;
        grown.threshold += threshold;
        for (person, id, vector) in vectors.probes.iter().filter(|p| p.1.is_none_or(|id| id % parts == part)) {
            let found = vector.as_ref().map_or(Ok(Found::default()), |v| find(&gallery, v))?;
            let wrong = (*person, is_wrong(&found, *id, threshold, policy.margin));
            if id.is_some() { grown.members.push(wrong) } else { grown.strangers.push(wrong) }
        }
    }
    let n = grown.galleries.max(1);
    (grown.templates, grown.threshold) = (grown.templates / n as f64, grown.threshold / n as f32);
    Ok(grown)
}

impl Grown {
    fn shares(&self) -> [(f64, (f64, f64)); 2] {
        [&self.strangers, &self.members].map(|trials| (wrong_share(trials), metrics::bootstrap(trials, DRAWS)))
    }

    /// As the report has it.
    pub fn json(&self) -> serde_json::Value {
        let [(fpir, fpir_95), (fnir, fnir_95)] = self.shares();
        json!({
            "galleries": self.galleries, "templates": self.templates, "threshold": self.threshold,
            "searches": self.strangers.len(), "fpir": fpir, "fpir_interval_95": [fpir_95.0, fpir_95.1],
            "fnir": fnir, "fnir_interval_95": [fnir_95.0, fnir_95.1],
        })
    }

    /// As the report prints it.
    pub fn line(&self) -> String {
        let [(fpir, fpir_95), (fnir, _)] = self.shares().map(|(share, (a, b))| (share * 1e2, (a * 1e2, b * 1e2)));
        format!(
            "galleries of {:.0} templates: threshold {:.3}, {} searches for strangers, FPIR {fpir:.2} % (95 %: {:.2} to \
             {:.2}), FNIR {fnir:.2} %\n",
            self.templates,
            self.threshold,
            self.strangers.len(),
            fpir_95.0,
            fpir_95.1,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grown_gallery_is_searched_in_parts_and_whole() {
        let unit = |i: usize| {
            let mut v = vec![0.0f32; 8];
            v[i] = 1.0;
            v
        };
        let enrolled: Vec<(u32, Vec<f32>)> = (0..4).map(|i| (i as u32, unit(i))).collect();
        let probes = vec![(1, Some(1), Some(unit(1))), (7, None, Some(unit(2))), (8, None, None)];
        let vectors = Vectors { enrolled, people: 4, probes };
        let top = (0..4000).map(|i| crate::people::threshold::Impostor {
            a: i % 50,
            b: i % 49,
            score: 0.2 + 0.5 * (i as f32 / 4000.0).powi(8),
        });
        let curve = FmrCurve::measure("n", "made", 50, 100_000, top.collect()).unwrap();
        let policy = Policy { target_fpir: 0.01, margin: 0.0 };
        let (parts, whole) = (grown(&vectors, 2, policy, &curve).unwrap(), grown(&vectors, 1, policy, &curve).unwrap());
        assert_eq!((parts.galleries, parts.templates, whole.galleries, whole.templates), (2, 2.0, 1, 4.0));
        assert!(whole.threshold > parts.threshold, "the larger gallery asks for more");
        assert_eq!(parts.strangers, [(7, true), (8, false), (7, false), (8, false)], "found in the first part only");
        assert_eq!(whole.strangers, [(7, true), (8, false)]);
        assert_eq!((parts.members, whole.members), (vec![(1, false)], vec![(1, false)]));
    }
}
