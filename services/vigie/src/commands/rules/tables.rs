//! A preview as text for a terminal: first what is dangerous, then where comments would go, then rule by rule. Names and texts are
//! escaped.

use vigie_classifier::preview::{Example, Finding, Lane, Report};

use super::preview::{Compared, Output, Packs};
use crate::commands::terminal::{self, section};

/// All of it.
pub(super) fn text(output: &Output) -> String {
    let report = &output.report;
    let mut text = head(output);
    if report.rules.is_empty() {
        text.push_str("\nNothing would change: every rule hits the same comments, and asks for the same.\n");
        if matches!(output.baseline, Compared::Recorded) {
            text.push_str("These packs judged them already; name changed ones with --rules DIR.\n");
        }
        return text;
    }
    dangers(&mut text, report);
    routes(&mut text, report);
    rules(&mut text, report);
    text
}

fn head(output: &Output) -> String {
    let report = &output.report;
    let packs = |packs: &Packs| terminal::escape(&format!("{} ({})", packs.dir.display(), packs.version));
    let since = output.since.map(|since| format!(" judged since {since:.0}")).unwrap_or_default();
    let against = match &output.baseline {
        Compared::Packs(other) => packs(other),
        Compared::Recorded => {
            let versions: Vec<&str> = report.rulebooks.keys().map(String::as_str).collect();
            format!("what was recorded ({})", terminal::escape(&versions.join(", ")))
        }
    };
    let mut text = format!(
        "{}{since}: {} instead of {against}\n",
        comments(report.comments),
        packs(&output.candidate)
    );
    let others = report.models.iter().filter(|(model, _)| **model != output.model);
    for (model, count) in others {
        text.push_str(&format!(
            "{} scored by {}, the thresholds are those of {}: routes may be other ones\n",
            comments(*count),
            terminal::escape(model),
            terminal::escape(&output.model)
        ));
    }
    if report.repeated > 0 {
        text.push_str(&format!("{} judged again, counted once\n", report.repeated));
    }
    if output.unreadable > 0 {
        text.push_str(&format!(
            "{} records could not be read: were they written by a newer vigie?\n",
            output.unreadable
        ));
    }
    text
}

fn dangers(text: &mut String, report: &Report) {
    text.push_str("\nLook at these first\n");
    let acts: Vec<String> = report
        .no_longer_escalated_acts
        .iter()
        .map(|(act, count)| format!("{} {count}", act.as_str()))
        .collect();
    let acts = if acts.is_empty() {
        String::new()
    } else {
        format!(" ({})", acts.join(", "))
    };
    for (found, which, what) in [
        (&report.newly_hidden, "", "would newly be hidden by the machine".to_owned()),
        (
            &report.no_longer_escalated,
            "urgent ",
            format!("would no longer be escalated{acts}"),
        ),
        (&report.no_longer_seen, "", "would be kept without anybody looking".to_owned()),
    ] {
        let (mark, part) = match found.comments {
            0 => (' ', String::new()),
            count => ('!', format!(" ({})", share(count, report.comments))),
        };
        let plural = if found.comments == 1 { "" } else { "s" };
        text.push_str(&format!("{mark} {} {which}comment{plural}{part} {what}\n", found.comments));
        examples(text, found, Shown::Rule);
    }
}

fn routes(text: &mut String, report: &Report) {
    let mut lanes: Vec<Lane> = report.routes.iter().flat_map(|change| [change.from, change.to]).collect();
    lanes.sort_unstable();
    lanes.dedup();
    let mut rows = vec![vec!["from \\ to".to_owned()]];
    rows[0].extend(lanes.iter().map(|lane| named(*lane)));
    for from in &lanes {
        let mut row = vec![named(*from)];
        row.extend(lanes.iter().map(|to| {
            let found = report.routes.iter().find(|change| change.from == *from && change.to == *to);
            found.map_or_else(|| "·".to_owned(), |change| change.found.comments.to_string())
        }));
        rows.push(row);
    }
    let title = format!(
        "Routes: {} would go elsewhere ({})",
        comments(report.rerouted),
        share(report.rerouted, report.comments)
    );
    section(text, &title, &rows);
    for change in report.routes.iter().filter(|change| change.from != change.to) {
        text.push_str(&format!(
            "\n{} -> {}: {}\n",
            named(change.from),
            named(change.to),
            counted(&change.found, report)
        ));
        examples(text, &change.found, Shown::Rule);
    }
}

fn rules(text: &mut String, report: &Report) {
    let mut rows = vec![["rule", "before", "after", "new", "lost", "altered"].map(str::to_owned).to_vec()];
    for rule in &report.rules {
        let counts = [
            rule.before,
            rule.after,
            rule.new.comments,
            rule.lost.comments,
            rule.altered.comments,
        ];
        let mut row = vec![terminal::escape(&rule.rule)];
        row.extend(counts.map(|count| count.to_string()));
        rows.push(row);
    }
    section(
        text,
        "Rules whose hits change (altered: hits as before and asks for something else)",
        &rows,
    );
    for rule in &report.rules {
        for (kind, found) in [("new", &rule.new), ("lost", &rule.lost), ("altered", &rule.altered)] {
            if !found.examples.is_empty() {
                text.push_str(&format!("\n{}, {kind}\n", terminal::escape(&rule.rule)));
                examples(text, found, Shown::Routes);
            }
        }
    }
}

/// What stands before the text of an example.
#[derive(Clone, Copy)]
enum Shown {
    Rule,
    Routes,
}

fn examples(text: &mut String, found: &Finding, shown: Shown) {
    for example in &found.examples {
        let Example { rule, from, to, .. } = example;
        let before = match shown {
            Shown::Rule => terminal::escape(rule),
            Shown::Routes if from == to => named(*from),
            Shown::Routes => format!("{} -> {}", named(*from), named(*to)),
        };
        text.push_str(&format!(
            "    {before}: « {} » in « {} »\n",
            terminal::escape(&example.found),
            terminal::escape(&example.text)
        ));
    }
}

fn named(lane: Lane) -> String {
    let route = lane.route.as_str();
    if lane.escalate {
        format!("{route}, escalated")
    } else {
        route.to_owned()
    }
}

fn comments(count: u64) -> String {
    format!("{count} comment{}", if count == 1 { "" } else { "s" })
}

fn counted(found: &Finding, report: &Report) -> String {
    format!("{} ({})", comments(found.comments), share(found.comments, report.comments))
}

fn share(part: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    format!("{percent:.2} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_said_with_their_share() {
        assert_eq!((comments(1), comments(0)), ("1 comment".to_owned(), "0 comments".to_owned()));
        assert_eq!(share(1, 300), "0.33 %");
        assert_eq!(share(0, 0), "0.00 %");
    }
}
