//! Suppression of doubles as the cascade does it, with or without the box that contains another.

/// How overlap is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Intersection over union.
    Union,
    /// Intersection over the smaller of the two.
    Smaller,
}

/// Something with a box and a score.
pub trait Scored {
    /// x0, y0, x1, y1.
    fn bbox(&self) -> [f32; 4];
    /// The higher the surer.
    fn score(&self) -> f32;
}

/// Share of `a` and `b` that they have in common.
pub fn overlap(a: [f32; 4], b: [f32; 4], by: Overlap) -> f32 {
    let w = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let h = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let area = |r: [f32; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let (common, a, b) = (w * h, area(a), area(b));
    let whole = match by {
        Overlap::Union => a + b - common,
        Overlap::Smaller => a.min(b),
    };
    if whole > 0.0 { common / whole } else { 0.0 }
}

/// Sorts `items` from `from` on by falling score and removes what overlaps a surer one by more than `limit`.
/// Allocates nothing.
pub fn suppress<T: Scored + Copy>(items: &mut Vec<T>, from: usize, limit: f32, by: Overlap) {
    let Some(part) = items.get_mut(from..) else { return };
    part.sort_unstable_by(|a, b| b.score().total_cmp(&a.score()));
    let mut kept = from;
    for i in from..items.len() {
        let item = items[i];
        if items[from..kept].iter().all(|k| overlap(k.bbox(), item.bbox(), by) <= limit) {
            items[kept] = item;
            kept += 1;
        }
    }
    items.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Item([f32; 4], f32);

    impl Scored for Item {
        fn bbox(&self) -> [f32; 4] {
            self.0
        }
        fn score(&self) -> f32 {
            self.1
        }
    }

    #[test]
    fn the_surer_of_two_stays_and_what_came_before_is_untouched() {
        let outer = Item([0.0, 0.0, 10.0, 10.0], 0.5);
        let shifted = Item([1.0, 0.0, 11.0, 10.0], 0.9);
        let inner = Item([2.0, 2.0, 6.0, 6.0], 0.4);
        let mut items = vec![outer, outer, shifted, inner];
        suppress(&mut items, 1, 0.7, Overlap::Union);
        assert_eq!(items, [outer, shifted, inner]);
        suppress(&mut items, 1, 0.7, Overlap::Smaller);
        assert_eq!(items, [outer, shifted]);
        suppress(&mut items, 9, 0.7, Overlap::Union);
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn overlap_by_hand() {
        let (a, b) = ([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 2.0, 1.0]);
        assert_eq!((overlap(a, b, Overlap::Union), overlap(a, b, Overlap::Smaller)), (0.25, 1.0));
        assert_eq!(overlap([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], Overlap::Union), 0.0);
    }
}
