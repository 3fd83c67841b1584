//! The figures of an evaluation as tables for a terminal. Names that come from the data are escaped.

use std::collections::BTreeMap;

use vigie_classifier::evaluation::{Alarms, Estimate, LabelReport, Operating, RouteCounts, Share, Slice};
use vigie_domain::ScoreLabel;

use super::Output;
use crate::commands::terminal::{self, section};

/// Where a figure cannot be computed.
const NONE: &str = "—";
/// Labels whose parts are shown; those of all are in the JSON.
const SLICED: [ScoreLabel; 3] = [ScoreLabel::Abusive, ScoreLabel::Hate, ScoreLabel::Threat];

/// All tables.
pub(super) fn tables(output: &Output) -> String {
    let labels = &output.report.labels;
    let mut text = format!(
        "model {}, rules {}, policy {} ({})\n{} comments. Intervals are for 95 %; {NONE} where a figure cannot be computed.\n",
        terminal::escape(&output.model),
        terminal::escape(&output.rulebook),
        terminal::escape(&output.policy),
        output.caution,
        output.report.comments,
    );
    section(&mut text, "Scores", &ranking(labels));
    section(
        &mut text,
        "At the operating point, by the score alone (from the policy's threshold on)",
        &operating(labels, |report| report.by_score.as_ref()),
    );
    section(
        &mut text,
        "At the operating point, by the score or a rule",
        &operating(labels, |report| Some(&report.with_rules)),
    );
    section(&mut text, "Routes (queue AUC: rules, score and routing together)", &routes(labels));
    if let Some(share) = output.report.hidden_acceptable {
        text.push_str(&format!(
            "of {} hidden automatically, acceptable: {}\n",
            share.whole,
            shown(Some(share))
        ));
    }
    section(
        &mut text,
        "False alarms on acceptable comments (identity: about a group; contrast: in the words of an attack on it; speech: of a protected kind)",
        &false_alarms(&output.report.false_alarms),
    );
    let sliced = |parts: fn(&LabelReport) -> &BTreeMap<String, Slice>, least: usize| {
        let chosen = SLICED.into_iter().filter_map(|label| Some((label, parts(labels.get(&label)?))));
        slices(chosen.filter(|(_, parts)| parts.len() >= least))
    };
    section(
        &mut text,
        "By group (found by the score or a rule)",
        &sliced(|report| &report.groups, 1),
    );
    section(
        &mut text,
        "By functionality (found by the score or a rule)",
        &sliced(|report| &report.functionalities, 1),
    );
    section(
        &mut text,
        "By file (found by the score or a rule)",
        &sliced(|report| &report.files, 2),
    );
    text
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn ranking(labels: &BTreeMap<ScoreLabel, LabelReport>) -> Vec<Vec<String>> {
    let mut rows = vec![head(&[
        "label",
        "n",
        "positive",
        "AUC",
        "average precision",
        "recall at 1 % false alarms",
        "at 5 %",
        "calibration error",
    ])];
    for (label, report) in labels {
        let recall = |place: usize| shown(report.recall_at.get(place).map(|at| at.recall));
        rows.push(vec![
            label.as_str().to_owned(),
            report.comments.to_string(),
            report.positives.to_string(),
            area(report.auc),
            number(report.average_precision),
            recall(0),
            recall(1),
            number(report.calibration_error),
        ]);
    }
    rows
}

fn operating<'a>(
    labels: &'a BTreeMap<ScoreLabel, LabelReport>,
    point: impl Fn(&'a LabelReport) -> Option<&'a Operating>,
) -> Vec<Vec<String>> {
    let mut rows = vec![head(&["label", "threshold", "precision", "recall", "F1", "false alarms"])];
    for (label, report) in labels {
        let Some(point) = point(report) else { continue };
        rows.push(vec![
            label.as_str().to_owned(),
            number(report.threshold.map(f64::from)),
            shown(point.precision),
            shown(point.recall),
            number(point.f1),
            shown(point.false_alarms),
        ]);
    }
    rows
}

fn routes(labels: &BTreeMap<ScoreLabel, LabelReport>) -> Vec<Vec<String>> {
    let mut rows = vec![head(&["label", "value", "n", "keep", "review", "hide", "escalated", "queue AUC"])];
    for (label, report) in labels {
        let mut add = |value: &str, counts: RouteCounts, last: String| {
            let n = counts.keep + counts.review + counts.hide;
            if n > 0 {
                let mut row = head(&[label.as_str(), value]);
                row.extend([n, counts.keep, counts.review, counts.hide, counts.escalated].map(|count| count.to_string()));
                row.push(last);
                rows.push(row);
            }
        };
        add("yes", report.routes_positive, area(report.queue_auc));
        add("no", report.routes_negative, String::new());
    }
    rows
}

fn false_alarms(alarms: &[Alarms]) -> Vec<Vec<String>> {
    let mut rows = vec![head(&["about", "n", "over `abusive`", "over `hate`", "not kept", "hidden"])];
    for alarm in alarms {
        rows.push(vec![
            format!("{}: {}", alarm.kind, terminal::escape(&alarm.name)),
            alarm.flagged.map_or(0, |share| share.whole).to_string(),
            shown(alarm.abusive),
            shown(alarm.hate),
            shown(alarm.flagged),
            shown(alarm.hidden),
        ]);
    }
    rows
}

fn slices<'a>(labels: impl Iterator<Item = (ScoreLabel, &'a BTreeMap<String, Slice>)>) -> Vec<Vec<String>> {
    let mut rows = vec![head(&[
        "label, part",
        "n",
        "positive",
        "AUC (*: against all others)",
        "recall",
        "false alarms",
    ])];
    for (label, parts) in labels {
        for (name, part) in parts {
            let auc = match (part.auc, part.auc_against_all) {
                (None, Some(against)) => format!("{}*", area(Some(against))),
                (within, _) => area(within),
            };
            rows.push(vec![
                format!("{}, {}", label.as_str(), terminal::escape(name)),
                part.comments.to_string(),
                part.positives.to_string(),
                auc,
                shown(part.with_rules.recall),
                shown(part.with_rules.false_alarms),
            ]);
        }
    }
    rows
}

fn area(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || NONE.to_owned(),
        |auc| format!("{:.3} [{:.3}–{:.3}]", auc.estimate, auc.lower, auc.upper),
    )
}

fn shown(share: Option<Share>) -> String {
    share.map_or_else(
        || NONE.to_owned(),
        |share| {
            format!(
                "{:.1} % [{:.1}–{:.1}]",
                100.0 * share.share,
                100.0 * share.lower,
                100.0 * share.upper
            )
        },
    )
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_their_interval() {
        assert_eq!(shown(Share::new(17, 10_000)), "0.2 % [0.1–0.3]");
        assert_eq!(shown(None), "—");
        assert_eq!(number(Some(0.5)), "0.500");
    }
}
