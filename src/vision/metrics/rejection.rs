//! Wrong charges against carts sent to attention: what the threshold `sure` buys (C. K. Chow, "On optimum
//! recognition error and reject tradeoff", IEEE Trans. Inf. Theory 1970). Of one picture: a cart goes to
//! attention when one of its boxes scores less than the threshold, when goods without a label lie there, or when
//! nothing was found; the others are charged, and a charge is wrong when the number of any product is. Neither
//! the vote over frames nor the scale is in it, so the counter itself does better.

/// Steps of the curve from 0 to 1.
const STEPS: u32 = 100;

#[derive(Clone, Copy, Debug)]
struct Cart {
    /// Lowest score of the boxes counted.
    weakest: f64,
    /// Goes to attention whatever the threshold.
    asks: bool,
    right: bool,
}

/// What one threshold does to a thousand carts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The threshold, 0..=1.
    pub sure: f64,
    /// Carts charged wrongly, of 1,000.
    pub wrong: f64,
    /// Carts sent to attention, of 1,000.
    pub attention: f64,
}

/// Gathers carts.
#[derive(Clone, Debug, Default)]
pub struct Rejection {
    carts: Vec<Cart>,
}

impl Rejection {
    /// Another cart: the scores of the boxes counted, whether goods without a label were seen, and whether the
    /// counts are right.
    pub fn add(&mut self, scores: impl Iterator<Item = f64>, unknown: bool, right: bool) {
        let weakest = scores.fold(f64::INFINITY, f64::min);
        self.carts.push(Cart { weakest, asks: unknown || weakest.is_infinite(), right });
    }

    /// The point of one threshold; `None` without carts.
    pub fn at(&self, sure: f64) -> Option<Point> {
        let charged: Vec<&Cart> = self.carts.iter().filter(|c| !c.asks && c.weakest >= sure).collect();
        let all = self.carts.len();
        let per_1000 = |n: usize| 1000.0 * n as f64 / all as f64;
        let wrong = charged.iter().filter(|c| !c.right).count();
        let point = Point { sure, wrong: per_1000(wrong), attention: per_1000(all - charged.len()) };
        (all > 0).then_some(point)
    }

    /// Thresholds 0, 0.01 to 1; empty without carts.
    pub fn curve(&self) -> Vec<Point> {
        (0..=STEPS).filter_map(|i| self.at(f64::from(i) / f64::from(STEPS))).collect()
    }

    /// The point of the least threshold of the curve with at most `wrong` wrong charges in 1,000 carts.
    pub fn fit(&self, wrong: f64) -> Option<Point> {
        self.curve().into_iter().find(|p| p.wrong <= wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_by_hand() {
        let mut r = Rejection::default();
        assert_eq!((r.at(0.5), r.curve().len(), r.fit(1.0)), (None, 0, None));
        r.add([0.9, 0.8].into_iter(), false, true);
        r.add([0.95, 0.4].into_iter(), false, false);
        r.add([0.85].into_iter(), false, false);
        r.add([0.99].into_iter(), true, true); // a stranger among them
        r.add([].into_iter(), false, false); // nothing found
        let point = |sure, wrong, attention| Some(Point { sure, wrong, attention });
        assert_eq!(r.at(0.0), point(0.0, 400.0, 400.0));
        assert_eq!(r.at(0.4), point(0.4, 400.0, 400.0), "a score on the threshold is sure");
        assert_eq!(r.at(0.5), point(0.5, 200.0, 600.0));
        assert_eq!(r.at(0.9), point(0.9, 0.0, 1000.0));
        assert_eq!(r.fit(200.0), r.at(0.41));
        assert_eq!(r.fit(0.0), r.at(0.86));
        // The stricter the threshold, the fewer wrong charges and the more attention.
        let curve = r.curve();
        assert!(curve.windows(2).all(|w| w[1].wrong <= w[0].wrong && w[1].attention >= w[0].attention));
        assert_eq!((curve.len(), curve[100].sure), (101, 1.0));
    }
}
