//! Curves of two error rates as SVG, both axes logarithmic, as DET and identification curves are drawn.

use std::fmt::Write as _;

/// A point: rate across, rate up.
pub type Rates = (f64, f64);

const SIDE: f64 = 400.0;
const EDGE: f64 = 60.0;
/// Decades that are shown, from 1e-4 to 1.
const DECADES: i32 = 4;

/// One curve with the point of operation marked.
pub struct Curve<'a> {
    /// Above the picture.
    pub title: &'a str,
    /// Of the axes.
    pub across: &'a str,
    /// As above.
    pub up: &'a str,
    /// In any order.
    pub points: &'a [Rates],
    /// Where one works.
    pub marked: Option<Rates>,
}

/// The SVG's text. Rates below 1e-4, and 0, lie on the frame's edge.
pub fn svg(c: &Curve<'_>) -> String {
    let place = |v: f64| (v.max(1e-12).log10() / f64::from(DECADES) + 1.0).clamp(0.0, 1.0) * SIDE;
    let (x, y) = (|v: f64| EDGE + place(v), |v: f64| EDGE + SIDE - place(v));
    let whole = SIDE + 2.0 * EDGE;
    let mut s = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{whole}\" height=\"{whole}\" fill=\"#fff\"/>\n"
    );
    for decade in -DECADES..=0 {
        let (rate, label) = (10f64.powi(decade), if decade == 0 { "1".into() } else { format!("1e{decade}") });
        let (px, py) = (x(rate), y(rate));
        let (left, right, top, bottom) = (EDGE, EDGE + SIDE, EDGE, EDGE + SIDE);
        // Writing to a String can't fail.
        let _ = writeln!(s, "<path d=\"M{px:.1} {top}V{bottom}M{left} {py:.1}H{right}\" stroke=\"#ccc\"/>");
        let _ = writeln!(s, "<text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", bottom + 18.0);
        let _ = writeln!(s, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", left - 6.0, py + 4.0);
    }
    let mut points = c.points.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let line: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
    let _ = writeln!(s, "<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>", line.join(" "));
    if let Some(m) = c.marked {
        let _ = writeln!(s, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\" fill=\"#c30\"/>", x(m.0), y(m.1));
    }
    let middle = whole / 2.0;
    let _ = writeln!(s, "<text x=\"{middle}\" y=\"30\" text-anchor=\"middle\" font-size=\"15\">{}</text>", c.title);
    let _ = writeln!(s, "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", whole - 18.0, c.across);
    let _ = writeln!(
        s,
        "<text transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n</svg>",
        c.up
    );
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_logarithms_say() {
        let points = [(1.0, 1e-4), (1e-2, 1e-2), (0.0, 1.0)];
        let s = svg(&Curve { title: "t", across: "FMR", up: "FNMR", points: &points, marked: Some((1e-2, 1.0)) });
        assert!(s.contains("points=\"60.0,60.0 260.0,260.0 460.0,460.0\""), "{s}");
        assert!(s.contains("<circle cx=\"260.0\" cy=\"60.0\"") && s.ends_with("</svg>\n"));
    }
}
