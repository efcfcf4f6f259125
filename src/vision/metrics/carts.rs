//! Carts: what the shopper is charged for. Definitions of the RPC benchmark (Wei et al. 2019, "RPC: A
//! Large-Scale Retail Product Checkout Dataset", section 4.1): with P counted and G true items of a class
//! in a picture,
//! cAcc = share of pictures with P = G for every class; ACD = mean over pictures of sum |P - G|;
//! mCCD = mean over classes of sum |P - G| / sum G; mCIoU = mean over classes of sum min(P, G) / sum max(P, G).

use serde::Deserialize;

/// How full a tray is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// RPC: 3 to 5 items.
    Easy,
    /// RPC: 5 to 8 items.
    Medium,
    /// RPC: 8 to 12 items.
    Hard,
}

impl Level {
    /// In the order of difficulty.
    pub const ALL: [Self; 3] = [Self::Easy, Self::Medium, Self::Hard];

    /// As written in annotations and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
        }
    }
}

/// The four figures over a set of pictures. A figure without anything to measure is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CartScore {
    /// Pictures.
    pub images: usize,
    /// Share of pictures with every count exact, 0..=1.
    pub c_acc: Option<f64>,
    /// Mean number of items too many or too few in a picture.
    pub acd: Option<f64>,
    /// Mean over the classes that occur, of the number too many or too few by the number of items.
    pub mccd: Option<f64>,
    /// Mean over the classes that occur or were found, of shared items by items of either, 0..=1.
    pub mciou: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    wrong: u64,
    truth: u64,
    min: u64,
    max: u64,
}

#[derive(Clone, Debug)]
struct Sums {
    images: usize,
    exact: usize,
    wrong: u64,
    classes: Vec<Class>,
}

impl Sums {
    fn new(classes: usize) -> Self {
        Self { images: 0, exact: 0, wrong: 0, classes: vec![Class::default(); classes] }
    }

    fn add(&mut self, truth: &[u32], found: &[u32]) {
        let mut wrong = 0;
        for ((class, &g), &p) in self.classes.iter_mut().zip(truth).zip(found) {
            let d = u64::from(g.abs_diff(p));
            wrong += d;
            class.wrong += d;
            class.truth += u64::from(g);
            class.min += u64::from(g.min(p));
            class.max += u64::from(g.max(p));
        }
        self.images += 1;
        self.exact += usize::from(wrong == 0);
        self.wrong += wrong;
    }

    fn score(&self) -> CartScore {
        let images = self.images as f64;
        let some = |v: f64| Some(v).filter(|v| v.is_finite());
        let mean = |ratios: &mut dyn Iterator<Item = f64>| {
            let (n, sum) = ratios.fold((0u32, 0.0), |(n, sum), r| (n + 1, sum + r));
            some(sum / f64::from(n))
        };
        let ratio = |a: u64, b: u64| a as f64 / b as f64;
        CartScore {
            images: self.images,
            c_acc: some(self.exact as f64 / images),
            acd: some(self.wrong as f64 / images),
            mccd: mean(&mut self.classes.iter().filter(|c| c.truth > 0).map(|c| ratio(c.wrong, c.truth))),
            mciou: mean(&mut self.classes.iter().filter(|c| c.max > 0).map(|c| ratio(c.min, c.max))),
        }
    }
}

/// Sums over pictures, by level and in all.
#[derive(Clone, Debug)]
pub struct Carts {
    levels: [Sums; 3],
    all: Sums,
}

impl Carts {
    /// Nothing measured yet, over so many classes.
    pub fn new(classes: usize) -> Self {
        Self { levels: std::array::from_fn(|_| Sums::new(classes)), all: Sums::new(classes) }
    }

    /// A picture with its true and its found number of items of each class. True when the cart is right. A
    /// picture without level counts in all only.
    pub fn add(&mut self, level: Option<Level>, truth: &[u32], found: &[u32]) -> bool {
        if let Some(sums) = level.and_then(|l| self.levels.get_mut(l as usize)) {
            sums.add(truth, found);
        }
        let before = self.all.exact;
        self.all.add(truth, found);
        self.all.exact > before
    }

    /// The figures of one level, or of all pictures.
    pub fn score(&self, level: Option<Level>) -> CartScore {
        level.and_then(|l| self.levels.get(l as usize)).unwrap_or(&self.all).score()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let mut c = Carts::new(3);
        assert!(c.add(Some(Level::Easy), &[2, 1, 0], &[2, 1, 0]));
        assert!(!c.add(Some(Level::Easy), &[1, 1, 0], &[2, 0, 0]));
        assert!(!c.add(None, &[0, 2, 0], &[0, 2, 1]));
        let easy = c.score(Some(Level::Easy));
        // Class 0: |d| 1, G 3, min 3, max 4. Class 1: |d| 1, G 2, min 1, max 2. Class 2 never occurs.
        assert_eq!((easy.images, easy.c_acc, easy.acd), (2, Some(0.5), Some(1.0)));
        assert_eq!(easy.mccd, Some((1.0 / 3.0 + 1.0 / 2.0) / 2.0));
        assert_eq!(easy.mciou, Some((3.0 / 4.0 + 1.0 / 2.0) / 2.0));
        let all = c.score(None);
        // Class 2 is found once and never there: no share in mCCD, 0 in mCIoU.
        assert_eq!((all.images, all.c_acc, all.acd), (3, Some(1.0 / 3.0), Some(1.0)));
        assert_eq!(all.mccd, Some((1.0 / 3.0 + 1.0 / 4.0) / 2.0));
        assert_eq!(all.mciou, Some((3.0 / 4.0 + 3.0 / 4.0 + 0.0) / 3.0));
        assert_eq!(c.score(Some(Level::Hard)), CartScore::default());
    }
}
