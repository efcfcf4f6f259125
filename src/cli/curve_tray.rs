//! The drawing that `till eval tray --curve` writes: wrong charges over carts sent to attention, by the threshold
//! `sure`. One SVG, no script, readable on paper.

use std::fmt::Write as _;

use crate::vision::metrics::Rejection;

/// Size of the drawing, and the margins left and below, for axes.
const SIZE: (f64, f64) = (640.0, 400.0);
const MARGIN: (f64, f64) = (64.0, 48.0);
/// Thresholds that get their number beside the curve.
const NAMED: [usize; 6] = [0, 50, 60, 70, 80, 90];

/// The drawing, with a mark at the engine's own threshold.
pub fn svg(title: &str, rejection: &Rejection, sure: f32) -> String {
    let points = rejection.curve();
    let most = points.iter().fold(0.0f64, |m, p| m.max(p.wrong));
    // A round number above the highest point, so that the ticks are round too.
    let top = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0].into_iter().find(|t| *t >= most).unwrap_or(1000.0);
    let ((width, height), (left, below)) = (SIZE, MARGIN);
    let x = |attention: f64| left + attention / 1000.0 * (width - left - 24.0);
    let y = |wrong: f64| height - below - wrong / top * (height - below - 40.0);
    let mut s = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/><text x=\"{left}\" y=\"22\" font-size=\"15\">{}</text>",
        super::report_tray::escape(title)
    );
    // Writing to a String can't fail.
    for i in 0..=5 {
        let (a, w) = (f64::from(i) * 200.0, f64::from(i) / 5.0 * top);
        let (at_x, at_y) = (x(a), y(w));
        let _ = write!(
            s,
            "<path d=\"M{at_x:.1} {:.1}V{:.1}M{left} {at_y:.1}H{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{a:.0}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{w}</text>",
            y(0.0),
            y(top),
            x(1000.0),
            y(0.0) + 16.0,
            left - 6.0,
            at_y + 4.0
        );
    }
    let _ = write!(
        s,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">carts sent to attention, of 1,000</text>\
         <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">wrong charges, of 1,000</text>",
        x(500.0),
        height - 10.0,
        y(top / 2.0)
    );
    let line: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.attention), y(p.wrong))).collect();
    let _ = write!(s, "<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>", line.join(" "));
    for p in NAMED.iter().filter_map(|&i| points.get(i)) {
        let (px, py) = (x(p.attention), y(p.wrong));
        let _ = write!(
            s,
            "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\" fill=\"#06c\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"#06c\">{:.2}</text>",
            px + 5.0,
            py - 5.0,
            p.sure
        );
    }
    if let Some(p) = rejection.at(f64::from(sure)) {
        let (px, py) = (x(p.attention), y(p.wrong));
        let _ = write!(
            s,
            "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"6\" fill=\"none\" stroke=\"#c00\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#c00\">sure = {sure}: {:.1} wrong, {:.1} to attention</text>",
            px + 10.0,
            py + 16.0,
            p.wrong,
            p.attention
        );
    }
    s + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_threshold_is_marked_and_names_are_escaped() {
        let mut r = Rejection::default();
        r.add([0.9].into_iter(), false, true);
        r.add([0.5].into_iter(), false, false);
        let s = svg("a<b", &r, 0.6);
        assert!(s.contains("a&lt;b") && s.contains("sure = 0.6: 0.0 wrong, 500.0 to attention"), "{s}");
        let line = s.split("<polyline points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.split(' ').count(), 101);
        // Without carts there is a frame, and no mark.
        assert!(!svg("none", &Rejection::default(), 0.6).contains("sure ="));
    }
}
