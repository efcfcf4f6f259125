//! How near is near enough. The false match rate of a network is measured once, over millions of pairs of strangers,
//! and shipped beside it; from it, the wanted false-positive identification rate and *today's* number of templates
//! follows today's threshold: FPIR = 1 - (1 - FMR)^N (ISO/IEC 19795-1, for a search that compares with all N). A
//! fixed threshold would let strangers in as the gallery grows.
//!
//! Beyond the rarest measured false match the rate is continued as a straight line in its logarithm. Scores of
//! strangers fall off faster than that, so the line errs to the safe side.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::metrics::Random;

/// The curve's file in an embedder's folder.
pub const CURVE_FILE: &str = "fmr.json";
/// Format of the file.
const SCHEMA: &str = "till.fmr/1";
/// False matches below which a point says too little to be kept.
const MATCHES_MIN: usize = 10;
/// The tail's slope is fitted below this rate.
const TAIL: f64 = 1e-3;
/// Draws for the interval.
const DRAWS: usize = 200;

/// The rate at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FmrPoint {
    /// Cosine from which on two pictures match.
    pub score: f32,
    /// Share of the strangers' pairs that match.
    pub fmr: f64,
    /// Its 95 % interval, by drawing people with repetition.
    pub low: f64,
    /// As above.
    pub high: f64,
}

/// The measured curve of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FmrCurve {
    /// Of this format.
    schema: String,
    /// sha256 of the network that was measured.
    pub network: String,
    /// Pictures that were compared.
    pub data: String,
    /// People in them.
    pub people: usize,
    /// Pairs of pictures of two people.
    pub pairs: usize,
    /// By rising score, falling rate.
    pub points: Vec<FmrPoint>,
}

/// A curve that can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurveError(pub String);

impl fmt::Display for CurveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CurveError {}

/// One comparison of two strangers.
#[derive(Clone, Copy, Debug)]
pub struct Impostor {
    /// One person.
    pub a: u32,
    /// The other.
    pub b: u32,
    /// Cosine.
    pub score: f32,
}

impl FmrPoint {
    /// The rate at `score` over `pairs` comparisons of strangers, of which `top` holds at least all that reach it. Where
    /// none does the interval ends at 3 of `pairs` (the rule of three).
    pub fn measure(people: usize, pairs: usize, top: &[Impostor], score: f32) -> Self {
        let hits: Vec<Impostor> = top.iter().filter(|t| t.score >= score).copied().collect();
        let of = pairs.max(1) as f64;
        if hits.is_empty() {
            return Self { score, fmr: 0.0, low: 0.0, high: (3.0 / of).min(1.0) };
        }
        let draws = draws(people, pairs, &hits, &[hits.len()]);
        let at = |q: f64| draws[0].get((draws[0].len().saturating_sub(1) as f64 * q).round() as usize).copied();
        let (low, high) = (at(0.025).unwrap_or(0.0), at(0.975).unwrap_or(1.0));
        Self { score, fmr: hits.len() as f64 / of, low, high }
    }
}

impl FmrCurve {
    /// Measures the curve over `pairs` comparisons of strangers, of which `top` holds at least all that reach the
    /// lowest score of interest.
    ///
    /// # Errors
    /// Too few comparisons to say anything.
    pub fn measure(
        network: &str,
        data: &str,
        people: usize,
        pairs: usize,
        mut top: Vec<Impostor>,
    ) -> Result<Self, CurveError> {
        top.sort_by(|x, y| y.score.total_cmp(&x.score));
        // Steps of a fifth of a decade, from the rarest point that is sure enough.
        let mut counts = Vec::new();
        let mut count = MATCHES_MIN as f64;
        while (count.round() as usize) <= top.len() {
            counts.push(count.round() as usize);
            count *= 10f64.powf(0.2);
        }
        let draws = draws(people, pairs, &top, &counts);
        let mut points: Vec<FmrPoint> = counts
            .iter()
            .enumerate()
            .map(|(i, &n)| {
                let at = |q: f64| draws[i][((draws[i].len() - 1) as f64 * q).round() as usize];
                FmrPoint { score: top[n - 1].score, fmr: n as f64 / pairs as f64, low: at(0.025), high: at(0.975) }
            })
            .collect();
        points.reverse();
        let (schema, network, data) = (SCHEMA.to_owned(), network.to_owned(), data.to_owned());
        let curve = Self { schema, network, data, people, pairs, points };
        curve.check()?;
        Ok(curve)
    }

    /// Reads the curve beside the network in `dir`, which has the hash `network`.
    ///
    /// # Errors
    /// No file, no curve, or the curve of another network.
    pub fn load(dir: &Path, network: &str) -> Result<Self, CurveError> {
        let path = dir.join(CURVE_FILE);
        let error = |m: String| CurveError(format!("{}: {m}", path.display()));
        let text =
            std::fs::read_to_string(&path).map_err(|e| error(format!("{e}; measure it with till people tune")))?;
        let curve = Self::parse(&text).map_err(|e| error(e.0))?;
        if curve.network != network {
            return Err(error("measured with another network; measure it anew with till people tune".into()));
        }
        Ok(curve)
    }

    /// Reads the curve from its file's text.
    ///
    /// # Errors
    /// Text that is no curve.
    pub fn parse(text: &str) -> Result<Self, CurveError> {
        let curve: Self = serde_json::from_str(text).map_err(|e| CurveError(e.to_string()))?;
        curve.check()?;
        Ok(curve)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        // Plain numbers and strings can't fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    fn check(&self) -> Result<(), CurveError> {
        let error = |m: &str| Err(CurveError(m.into()));
        if self.schema != SCHEMA {
            return Err(CurveError(format!("schema {:?}, {SCHEMA:?} is read", self.schema)));
        }
        let sane = |p: &FmrPoint| p.score.abs() <= 1.0 && p.fmr > 0.0 && p.fmr <= 1.0 && p.low <= p.high;
        if !self.points.iter().all(sane) {
            return error("a point's score is beyond 1, or its rate not above 0 and at most 1");
        }
        if !self.points.windows(2).all(|w| w[0].score <= w[1].score && w[0].fmr > w[1].fmr) {
            return error("the points are not in the order of rising scores and falling rates");
        }
        match self.tail() {
            Some((slope, _)) if slope < 0.0 => Ok(()),
            _ => error("too few comparisons: two points below a rate of 0.001, with different scores, are needed"),
        }
    }

    /// Slope of ln(FMR) over the score, and the last measured point.
    fn tail(&self) -> Option<(f64, FmrPoint)> {
        let last = *self.points.last()?;
        let tail = self.points.iter().filter(|p| p.fmr <= TAIL);
        let (n, x, y) =
            tail.clone().fold((0.0, 0.0, 0.0), |s, p| (s.0 + 1.0, s.1 + f64::from(p.score), s.2 + p.fmr.ln()));
        let (mx, my) = (x / n, y / n);
        let (top, bottom) = tail.fold((0.0, 0.0), |s, p| {
            let dx = f64::from(p.score) - mx;
            (s.0 + dx * (p.fmr.ln() - my), s.1 + dx * dx)
        });
        let slope: f64 = top / bottom;
        slope.is_finite().then_some((slope, last))
    }

    /// The least score at which at most `fmr` of the strangers' pairs match; never below the lowest measured one.
    pub fn threshold(&self, fmr: f64) -> f32 {
        let (Some(first), Some((slope, last))) = (self.points.first(), self.tail()) else { return 1.0 };
        // A rate that is no number asks for the most.
        if fmr.is_nan() || fmr <= 0.0 {
            return 1.0;
        }
        if fmr >= first.fmr {
            return first.score;
        }
        let score = match self.points.windows(2).find(|w| w[1].fmr <= fmr) {
            Some(w) => {
                let share = (fmr.ln() - w[0].fmr.ln()) / (w[1].fmr.ln() - w[0].fmr.ln());
                f64::from(w[0].score) + share * f64::from(w[1].score - w[0].score)
            }
            None => f64::from(last.score) + (fmr.ln() - last.fmr.ln()) / slope,
        };
        score.min(1.0) as f32
    }

    /// Share of the strangers' pairs that match at `score`, and its 95 % interval.
    pub fn fmr(&self, score: f32) -> FmrPoint {
        let (Some(first), Some((slope, last))) = (self.points.first(), self.tail()) else {
            return FmrPoint { score, fmr: 1.0, low: 0.0, high: 1.0 };
        };
        if score <= first.score {
            return FmrPoint { score, ..*first };
        }
        let between = |a: f64, b: f64, share: f64| match a > 0.0 && b > 0.0 {
            true => (a.ln() + share * (b.ln() - a.ln())).exp(),
            false => a + share * (b - a),
        };
        match self.points.windows(2).find(|w| w[1].score >= score) {
            Some(w) => {
                let share = f64::from(score - w[0].score) / f64::from(w[1].score - w[0].score).max(1e-9);
                let (a, b) = (w[0], w[1]);
                let (fmr, low) = (between(a.fmr, b.fmr, share), between(a.low, b.low, share));
                FmrPoint { score, fmr, low, high: between(a.high, b.high, share) }
            }
            None => {
                let fall = (slope * f64::from(score - last.score)).exp();
                FmrPoint { score, fmr: last.fmr * fall, low: 0.0, high: last.high }
            }
        }
    }
}

/// For each count of `counts`, the sorted rates of that many top comparisons when people are drawn with repetition.
fn draws(people: usize, pairs: usize, top: &[Impostor], counts: &[usize]) -> Vec<Vec<f64>> {
    let mut rates = vec![Vec::with_capacity(DRAWS); counts.len()];
    if people == 0 || pairs == 0 {
        return rates;
    }
    let mut random = Random::new(pairs as u64);
    for _ in 0..DRAWS {
        let mut drawn = vec![0.0; people];
        for _ in 0..people {
            drawn[random.below(people)] += 1.0;
        }
        let weight = |id: u32| drawn.get(id as usize).copied().unwrap_or(0.0);
        let (mut sum, mut next) = (0.0, 0);
        for (i, t) in top.iter().enumerate() {
            sum += weight(t.a) * weight(t.b);
            if counts.get(next) == Some(&(i + 1)) {
                // The expected weight of a pair of two people is (1 - 1/n), all but 1.
                rates[next].push(sum / pairs as f64);
                next += 1;
            }
        }
    }
    rates.iter_mut().for_each(|r| r.sort_by(f64::total_cmp));
    rates
}

/// What is asked of an identification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Share of the strangers who may be taken for a member, above 0, below 1.
    pub target_fpir: f64,
    /// How much nearer than the next person the nearest one must be.
    pub margin: f32,
}

impl Default for Policy {
    /// Three strangers of a thousand, before the margin turns some of them away.
    fn default() -> Self {
        Self { target_fpir: 0.003, margin: 0.03 }
    }
}

impl Policy {
    /// The false match rate that a search through `templates` may have. Every template counts, also of one person:
    /// their errors go together, so this is the safe side.
    pub fn fmr(&self, templates: usize) -> f64 {
        // 1 - (1 - p)^(1/n), without losing a tiny p.
        -((-self.target_fpir).ln_1p() / templates.max(1) as f64).exp_m1()
    }

    /// Today's threshold.
    pub fn threshold(&self, curve: &FmrCurve, templates: usize) -> f32 {
        curve.threshold(self.fmr(templates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strangers whose scores fall off as exp(-20 s), 300 people.
    fn impostors(n: usize, seed: u64) -> Vec<Impostor> {
        let mut random = Random::new(seed);
        (0..n)
            .map(|_| {
                let u = (random.bits() >> 11) as f64 / (1u64 << 53) as f64;
                let (a, b) = (random.below(300) as u32, random.below(300) as u32);
                Impostor { a, b, score: (-(1.0 - u).ln() / 20.0).min(0.99) as f32 }
            })
            .collect()
    }

    fn curve() -> FmrCurve {
        FmrCurve::measure("net", "made", 300, 200_000, impostors(200_000, 1)).unwrap()
    }

    #[test]
    fn a_known_law_is_found_and_continued() {
        let c = curve();
        for fmr in [1e-2f64, 1e-3, 1e-4, 1e-6] {
            let (found, truth) = (c.threshold(fmr), -fmr.ln() / 20.0);
            // Beyond the 10th of 200,000 pairs it is a line through few points.
            let tolerance = if fmr >= 1e-4 { 0.05 } else { 0.12 };
            assert!((f64::from(found) - truth).abs() < tolerance * truth, "{fmr}: {found} {truth}");
            assert!((c.fmr(found).fmr / fmr).ln().abs() < 0.01, "{fmr}: there and back");
        }
        let p = c.fmr(c.threshold(1e-3));
        assert!(p.low < 1e-3 && p.high > 1e-3 && p.high < 2e-3, "{p:?}");
    }

    #[test]
    fn the_false_positive_rate_stays_when_the_gallery_grows_tenfold() {
        let (c, policy) = (curve(), Policy { target_fpir: 0.05, margin: 0.0 });
        let fresh = impostors(2_000_000, 2);
        for templates in [50, 500] {
            let threshold = policy.threshold(&c, templates);
            let searches: Vec<_> = fresh.chunks_exact(templates).collect();
            let hits = searches.iter().filter(|s| s.iter().any(|i| i.score >= threshold)).count();
            let rate = hits as f64 / searches.len() as f64;
            assert!((0.03..0.075).contains(&rate), "{templates} templates: {rate}");
        }
        let n = |n| policy.fmr(n);
        assert!((n(1) - 0.05).abs() < 1e-12 && (1.0 - (1.0 - n(500)).powi(500) - 0.05).abs() < 1e-9);
        assert!(Policy::default().threshold(&c, 10_000) > Policy::default().threshold(&c, 100));
    }

    #[test]
    fn a_curve_that_is_none_is_refused() {
        let text = curve().to_text();
        assert_eq!(FmrCurve::parse(&text).unwrap(), curve());
        let mut v: serde_json::Value = serde_json::from_str(&text).unwrap();
        v["points"][0]["fmr"] = 1e-9.into();
        assert!(FmrCurve::parse(&v.to_string()).unwrap_err().0.contains("order"));
        v["points"] = serde_json::json!([]);
        assert!(FmrCurve::parse(&v.to_string()).unwrap_err().0.contains("too few"));
        assert!(FmrCurve::parse(&text.replace(SCHEMA, "till.fmr/9")).unwrap_err().0.contains("till.fmr/1"));
        assert!(FmrCurve::measure("net", "made", 3, 5, impostors(5, 1)).is_err());
        let dir = tempfile::tempdir().unwrap();
        assert!(FmrCurve::load(dir.path(), "net").unwrap_err().0.contains("till people tune"));
        std::fs::write(dir.path().join(CURVE_FILE), &text).unwrap();
        assert!(FmrCurve::load(dir.path(), "net").is_ok());
        assert!(FmrCurve::load(dir.path(), "other").unwrap_err().0.contains("another network"));
    }

    #[test]
    fn a_rate_that_is_no_number_asks_for_the_most() {
        assert_eq!((curve().threshold(f64::NAN), curve().threshold(0.0)), (1.0, 1.0));
    }
}
