//! The curves as one SVG: ROC, precision and recall, reliability. It needs no script, font or other file, names every curve in words,
//! and tells curves apart by dashes as well as by colour. French first, English second, as all that is shown to people.

use std::fmt::Write as _;

use vigie_domain::ScoreLabel;

use super::calibration;
use super::{Evaluation, Ranking};

/// Curves drawn at most, and positives and negatives from which one means something.
const CURVES_MAX: usize = 6;
const COMMENTS_MIN: u64 = 10;
/// Points of a curve at most: more cannot be seen.
const POINTS_MAX: usize = 300;

const SIDE: f64 = 300.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 70.0;
const PITCH: f64 = 390.0;
const WIDTH: f64 = LEFT + 2.0 * PITCH + SIDE + 30.0;
const LEGEND: f64 = TOP + SIDE + 80.0;
const LINE: f64 = 22.0;

/// Colours that people with colour blindness tell apart (Okabe and Ito), and dashes for those who see none.
const STROKES: [(&str, &str); CURVES_MAX] = [
    ("#0072b2", ""),
    ("#d55e00", "8 3"),
    ("#009e73", "2 3"),
    ("#cc79a7", "10 3 2 3"),
    ("#000000", "5 5"),
    ("#8a6d00", "12 2 2 2 2 2"),
];

/// What a panel shows.
struct Panel {
    title: &'static str,
    horizontal: &'static str,
    vertical: &'static str,
    diagonal: bool,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Courbe ROC · ROC curve",
        horizontal: "fausses alertes · false alarms",
        vertical: "rappel · recall",
        diagonal: true,
    },
    Panel {
        title: "Précision et rappel · Precision and recall",
        horizontal: "rappel · recall",
        vertical: "précision · precision",
        diagonal: false,
    },
    Panel {
        title: "Fiabilité · Reliability",
        horizontal: "score moyen · mean score",
        vertical: "fréquence · frequency",
        diagonal: true,
    },
];

/// Draws the curves of the labels with the most positives, six at most. `subtitle` says what was evaluated.
#[must_use]
pub fn picture(evaluation: &Evaluation, subtitle: &str) -> String {
    let drawn = drawn(evaluation);
    let lines = u32::try_from(drawn.len().max(1)).expect("at most six curves");
    let height = LEGEND + LINE * f64::from(lines) + 15.0;
    let mut svg = String::new();
    let described = describe(&drawn, subtitle);
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-labelledby=\"title desc\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#111\">\n\
         <title id=\"title\">Qualité du classement · Quality of the classifier</title>\n<desc id=\"desc\">{}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"24\" font-size=\"14\">{}</text>",
        escape(&described),
        escape(&shortened(subtitle)),
    )
    .expect(INFALLIBLE);
    for (place, panel) in (0u32..).zip(&PANELS) {
        frame(&mut svg, LEFT + PITCH * f64::from(place), panel);
    }
    for ((label, ranking), stroke) in drawn.iter().zip(STROKES) {
        let reliability: Vec<_> = calibration::bins(ranking)
            .iter()
            .map(|bin| (bin.score, bin.frequency.share))
            .collect();
        let curves = [
            thinned(&ranking.roc()).copied().collect(),
            stairs(&ranking.precision_recall()),
            reliability,
        ];
        for (place, points) in (0u32..).zip(&curves) {
            curve(&mut svg, LEFT + PITCH * f64::from(place), label.as_str(), points, stroke);
        }
        dots(&mut svg, LEFT + PITCH * 2.0, &curves[2], stroke.0);
    }
    legend(&mut svg, &drawn);
    svg.push_str("</svg>\n");
    svg
}

const INFALLIBLE: &str = "writing to a string cannot fail";

fn drawn(evaluation: &Evaluation) -> Vec<(ScoreLabel, Ranking)> {
    let mut drawn: Vec<(ScoreLabel, Ranking)> = ScoreLabel::ALL
        .into_iter()
        .filter_map(|label| Some((label, evaluation.ranking(label)?)))
        .filter(|(_, ranking)| ranking.positives() >= COMMENTS_MIN && ranking.negatives() >= COMMENTS_MIN)
        .collect();
    drawn.sort_by_key(|(_, ranking)| std::cmp::Reverse(ranking.positives()));
    drawn.truncate(CURVES_MAX);
    drawn
}

/// What the picture shows, in words.
fn describe(drawn: &[(ScoreLabel, Ranking)], subtitle: &str) -> String {
    let mut text = format!("{subtitle}. Courbes ROC, précision-rappel et fiabilité · ROC, precision-recall and reliability curves.");
    for (label, ranking) in drawn {
        write!(text, " {} : {}.", label.as_str(), summary(ranking)).expect(INFALLIBLE);
    }
    text
}

fn summary(ranking: &Ranking) -> String {
    let area = ranking.auc().map_or_else(String::new, |auc| {
        format!("AUC {:.3} [{:.3}–{:.3}], ", auc.estimate, auc.lower, auc.upper)
    });
    let precision = ranking.average_precision().unwrap_or_default();
    let (positives, all) = (ranking.positives(), ranking.positives() + ranking.negatives());
    format!("{area}précision moyenne · average precision {precision:.3}, {positives} / {all}")
}

fn frame(svg: &mut String, left: f64, panel: &Panel) {
    let (right, bottom) = (left + SIDE, TOP + SIDE);
    writeln!(
        svg,
        "<g><text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>",
        TOP - 14.0,
        escape(panel.title)
    )
    .expect(INFALLIBLE);
    for step in 0..=5u32 {
        let share = f64::from(step) / 5.0;
        let (x, y) = (left + SIDE * share, bottom - SIDE * share);
        writeln!(
            svg,
            "<path d=\"M{x:.1} {TOP:.1}V{bottom:.1}M{left:.1} {y:.1}H{right:.1}\" stroke=\"#ddd\" fill=\"none\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\">{share:.1}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\">{share:.1}</text>",
            bottom + 16.0,
            left - 6.0,
            y + 4.0,
        )
        .expect(INFALLIBLE);
    }
    if panel.diagonal {
        writeln!(
            svg,
            "<path d=\"M{left:.1} {bottom:.1}L{right:.1} {TOP:.1}\" stroke=\"#888\" stroke-dasharray=\"3 3\" fill=\"none\"/>"
        )
        .expect(INFALLIBLE);
    }
    let (middle, centre, beside) = (left + SIDE / 2.0, TOP + SIDE / 2.0, left - 40.0);
    writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{TOP:.1}\" width=\"{SIDE:.1}\" height=\"{SIDE:.1}\" fill=\"none\" stroke=\"#555\"/>\n\
         <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
         <text x=\"{beside:.1}\" y=\"{centre:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {beside:.1} {centre:.1})\">{}</text></g>",
        bottom + 38.0,
        escape(panel.horizontal),
        escape(panel.vertical),
    )
    .expect(INFALLIBLE);
}

fn curve(svg: &mut String, left: f64, name: &str, points: &[(f64, f64)], (colour, dashes): (&str, &str)) {
    let place = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", left + SIDE * x, TOP + SIDE * (1.0 - y));
    let places: Vec<String> = points.iter().map(place).collect();
    writeln!(
        svg,
        "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{}\" points=\"{}\"><title>{}</title></polyline>",
        if dashes.is_empty() { "none" } else { dashes },
        places.join(" "),
        escape(name)
    )
    .expect(INFALLIBLE);
}

/// Stairs, because precision does not change evenly between two thresholds: the area under them is the average precision.
fn stairs(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut before = 0.0;
    let mut stairs = Vec::with_capacity(2 * points.len());
    for (recall, precision) in thinned(points) {
        stairs.extend([(before, *precision), (*recall, *precision)]);
        before = *recall;
    }
    stairs
}

fn dots(svg: &mut String, left: f64, points: &[(f64, f64)], colour: &str) {
    for (x, y) in points {
        let (x, y) = (left + SIDE * x, TOP + SIDE * (1.0 - y));
        writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>").expect(INFALLIBLE);
    }
}

/// At most [`POINTS_MAX`] of the points, evenly by rank, the last one among them.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = &(f64, f64)> {
    let step = points.len().div_ceil(POINTS_MAX - 1).max(1);
    let last = points.len().saturating_sub(1);
    points
        .iter()
        .enumerate()
        .filter(move |(index, _)| index % step == 0 || *index == last)
        .map(|(_, point)| point)
}

fn legend(svg: &mut String, drawn: &[(ScoreLabel, Ranking)]) {
    if drawn.is_empty() {
        writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{LEGEND}\">Aucune étiquette n’a {COMMENTS_MIN} commentaires avec et {COMMENTS_MIN} sans · \
             No label has {COMMENTS_MIN} comments with it and {COMMENTS_MIN} without</text>"
        )
        .expect(INFALLIBLE);
    }
    for (line, ((label, ranking), (colour, dashes))) in (0u32..).zip(drawn.iter().zip(STROKES)) {
        let y = LEGEND + LINE * f64::from(line);
        writeln!(
            svg,
            "<path d=\"M{LEFT} {:.1}h40\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\">{} : {}</text>",
            y - 4.0,
            if dashes.is_empty() { "none" } else { dashes },
            LEFT + 50.0,
            escape(label.as_str()),
            escape(&summary(ranking)),
        )
        .expect(INFALLIBLE);
    }
}

/// A line that fits the picture.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 150;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CHARS_MAX - 1).chain(['…']).collect()
}

/// Text for XML; characters that XML does not have are replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_xml_reads_as_markup() {
        assert_eq!(escape("a<b>&\"'\u{1b}é"), "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}é");
    }

    #[test]
    fn the_area_under_the_stairs_is_the_average_precision() {
        let points = (0..200u16).map(|i| (f32::from(i * 37 % 101), i % 3 == 0)).collect();
        let ranking = Ranking::new(points);
        let stairs = stairs(&ranking.precision_recall());
        let area: f64 = stairs.chunks(2).map(|step| (step[1].0 - step[0].0) * step[1].1).sum();
        let expected = ranking.average_precision().unwrap();
        assert!((area - expected).abs() < 1e-12, "{area}, {expected}");
    }

    #[test]
    fn a_curve_is_thinned_and_keeps_its_ends() {
        for size in [0, 1, 2, 299, 300, 301, 10_000] {
            let points: Vec<(f64, f64)> = (0..size).map(|index| (f64::from(index), 0.0)).collect();
            let thin: Vec<_> = thinned(&points).collect();
            assert!(thin.len() <= POINTS_MAX, "{size}: {}", thin.len());
            assert_eq!(thin.first().copied(), points.first());
            assert_eq!(thin.last().copied(), points.last());
        }
    }
}
