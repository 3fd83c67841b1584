//! The comparison, on small packs and made-up scores.

use std::collections::BTreeMap;

use jiff::Timestamp;
use vigie_domain::policy::Threshold;
use vigie_domain::{AccountId, Act, Context, InstitutionId, NativeCommentId, NewComment, Platform, PostId, ScoreLabel, Tombstone};
use vigie_scorer::{Bundle, testing};

use super::report::excerpt;
use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Names, terms, acts, severities and actions of rules.
type Rule = (&'static str, &'static str, &'static str, u8, &'static str);

const INSULT: Rule = ("insult", "zigoto", "insult", 3, "hide");
const THREAT: Rule = ("threat", "gare à toi", "threat", 4, "review");
const MILD: Rule = ("mild", "fripouille", "insult", 2, "review");
const NEVER: f32 = 0.0;
const ABUSIVE: f32 = 0.8;

fn packs(rules: &[Rule]) -> Rulebook {
    let mut pack = "description = \"x\"\n".to_owned();
    for (id, term, act, severity, action) in rules {
        pack.push_str(&format!(
            "[[rule]]\nid = \"{id}\"\nterms = [\"{term}\"]\nact = \"{act}\"\nseverity = {severity}\naction = \"{action}\"\n"
        ));
    }
    Rulebook::parse(&BTreeMap::from([("p.toml".to_owned(), pack)])).expect("the packs of the tests are right")
}

/// Review from .5 for every label; insults may be hidden.
fn policy() -> Policy {
    let default = include_str!("../../../../deploy/policies/default.toml").to_owned();
    let mut policy = Policy::read_all(&BTreeMap::from([("default".to_owned(), default)]))
        .expect("the default policy is valid")
        .remove("default")
        .expect("it is there");
    policy.automatic.hide = vec![Act::Insult];
    let threshold = Threshold { review: 0.5, hide: None };
    policy.thresholds = ScoreLabel::ALL.into_iter().map(|label| (label, threshold)).collect();
    policy
}

fn preview(baseline: Baseline, candidate: &[Rule], examples: usize) -> Preview {
    let manifest = Bundle::read(&testing::model("abuse-fr-use"))
        .expect("the small model is there")
        .manifest;
    Preview::new(manifest, packs(candidate), baseline, examples)
}

fn against(before: &[Rule], after: &[Rule]) -> Preview {
    preview(Baseline::Packs(Box::new(packs(before))), after, 3)
}

fn judged(id: &str, text: &str, abusive: f32) -> Judged {
    let comment = NewComment {
        platform: Platform::Generic,
        account: AccountId::new("musee").expect("an id"),
        institution: InstitutionId::new("musee").expect("an id"),
        post: PostId::new("post").expect("an id"),
        native_id: NativeCommentId::new(id).expect("an id"),
        parent: None,
        author: None,
        author_sealed: None,
        text: text.to_owned(),
        context: Context::default(),
        created_at: Timestamp::UNIX_EPOCH,
        edited_at: None,
        collected_at: Timestamp::UNIX_EPOCH,
        deleted: None,
        permalink: None,
        language: None,
        evidence: None,
    };
    Judged {
        comment: comment.build(),
        scores: Scores(BTreeMap::from([(ScoreLabel::Abusive, abusive)])),
        language: Some("fr".to_owned()),
        complete: true,
        model: "model@1".to_owned(),
        recorded: None,
    }
}

const fn lane(route: Route, escalate: bool) -> Lane {
    Lane { route, escalate }
}

/// From, to, comments: of those that change.
fn moves(report: &Report) -> Vec<(Lane, Lane, u64)> {
    let moved = report.routes.iter().filter(|change| change.from != change.to);
    moved.map(|change| (change.from, change.to, change.found.comments)).collect()
}

#[test]
fn the_same_packs_change_nothing() -> Outcome {
    let mut preview = against(&[INSULT, THREAT], &[INSULT, THREAT]);
    for (id, text) in ["quel zigoto", "gare à toi", "bonjour"].into_iter().enumerate() {
        preview.observe(&judged(&id.to_string(), text, ABUSIVE), &policy())?;
    }
    let report = preview.report();
    assert_eq!((report.comments, report.rerouted, report.rules.len()), (3, 0, 0));
    let stayed: u64 = report.routes.iter().map(|change| change.found.comments).sum();
    assert_eq!(stayed, 3, "the matrix holds every comment");
    assert!(report.routes.iter().all(|change| change.found.examples.is_empty()));
    Ok(())
}

#[test]
fn new_lost_and_altered_hits_are_told_apart() -> Outcome {
    let graver = ("mild", "fripouille", "insult", 4, "review");
    let mut preview = against(&[MILD, THREAT], &[graver, INSULT]);
    for (id, text) in ["fripouille", "une fripouille", "ah zigoto", "gare à toi, fripouille", "bonjour"]
        .into_iter()
        .enumerate()
    {
        preview.observe(&judged(&id.to_string(), text, NEVER), &policy())?;
    }
    let report = preview.report();
    let counts: Vec<_> = report
        .rules
        .iter()
        .map(|rule| {
            let counts = [rule.new.comments, rule.lost.comments, rule.altered.comments];
            (rule.rule.as_str(), rule.before, rule.after, counts)
        })
        .collect();
    assert_eq!(
        counts,
        [
            ("p/mild", 3, 3, [0, 0, 3]),
            ("p/insult", 0, 1, [1, 0, 0]),
            ("p/threat", 1, 0, [0, 1, 0])
        ]
    );
    let new = &report.rules[1].new.examples[0];
    assert_eq!(
        (new.text.as_str(), new.found.as_str(), new.rule.as_str()),
        ("ah zigoto", "zigoto", "p/insult")
    );
    Ok(())
}

#[test]
fn what_the_machine_would_newly_hide_comes_first() -> Outcome {
    let mut preview = against(&[], &[INSULT]);
    // Kept, and reviewed for its score; without the score the rule stands alone, and a person decides.
    for (id, text, abusive) in [("1", "un zigoto", ABUSIVE), ("2", "ce zigoto", NEVER), ("3", "bonjour", ABUSIVE)] {
        preview.observe(&judged(id, text, abusive), &policy())?;
    }
    let report = preview.report();
    let (review, hide) = (lane(Route::Review, false), lane(Route::Hide, false));
    assert_eq!(moves(&report), [(lane(Route::Keep, false), review, 1), (review, hide, 1)]);
    assert_eq!((report.newly_hidden.comments, report.rerouted), (1, 2));
    let example = &report.newly_hidden.examples[0];
    assert_eq!((example.text.as_str(), example.from, example.to), ("un zigoto", review, hide));
    assert_eq!((report.no_longer_escalated.comments, report.no_longer_seen.comments), (0, 0));
    Ok(())
}

#[test]
fn an_urgent_comment_that_nobody_would_be_called_for_is_named_with_its_act() -> Outcome {
    let noted = ("threat", "gare à toi", "threat", 4, "signal");
    let mut preview = against(&[THREAT, INSULT], &[noted, INSULT]);
    for (id, text) in [("1", "gare à toi"), ("2", "gare à toi, zigoto")] {
        preview.observe(&judged(id, text, NEVER), &policy())?;
    }
    // The model calls for a person by itself.
    let mut scored = judged("3", "gare à toi", NEVER);
    scored.scores.0.insert(ScoreLabel::Threat, 0.9);
    preview.observe(&scored, &policy())?;
    let report = preview.report();
    assert_eq!(report.no_longer_escalated.comments, 2);
    assert_eq!(report.no_longer_escalated_acts, BTreeMap::from([(Act::Threat, 2)]));
    assert!(report.no_longer_escalated.examples.iter().all(|example| example.rule == "p/threat"));
    assert_eq!(
        (report.no_longer_seen.comments, report.newly_hidden.comments),
        (1, 0),
        "the insult is still reviewed"
    );
    Ok(())
}

#[test]
fn recorded_hits_are_compared_with_where_no_packs_are_named() -> Outcome {
    let mut preview = preview(Baseline::Recorded, &[INSULT], 3);
    let text = "un zigoto";
    let hits = packs(&[INSULT]).matches(text, &vigie_rulebook::Scope::default());
    let with = |id: &str, hits: Vec<RuleHit>| Judged {
        recorded: Some(Recorded {
            hits,
            rulebook: "rules@old".to_owned(),
        }),
        ..judged(id, text, ABUSIVE)
    };
    preview.observe(&with("1", hits), &policy())?;
    preview.observe(&with("2", Vec::new()), &policy())?;
    let report = preview.report();
    assert_eq!((report.newly_hidden.comments, report.rules[0].new.comments), (1, 1));
    assert_eq!(report.rulebooks, BTreeMap::from([("rules@old".to_owned(), 2)]));
    let error = preview
        .observe(&judged("3", text, ABUSIVE), &policy())
        .expect_err("it was never judged");
    assert!(error.to_string().contains("--rules"), "{error}");
    Ok(())
}

#[test]
fn a_revision_counts_once_and_a_deleted_comment_is_not_shown() -> Outcome {
    let mut preview = against(&[], &[MILD]);
    let first = judged("1", "fripouille !", NEVER);
    preview.observe(&first, &policy())?;
    preview.observe(&first, &policy())?;
    preview.observe(&judged("2", "vieille fripouille", NEVER), &policy())?;
    let mut gone = judged("1", "", NEVER);
    gone.comment.deleted = Some(Tombstone {
        at: Timestamp::UNIX_EPOCH,
        source: "poll".to_owned(),
    });
    preview.observe(&gone, &policy())?;
    let report = preview.report();
    assert_eq!((report.comments, report.repeated, report.rules[0].new.comments), (2, 1, 2));
    let shown = [&report.rules[0].new, &report.routes[0].found].map(|found| found.examples.len());
    assert_eq!(shown, [1, 1]);
    assert_eq!(report.rules[0].new.examples[0].text, "vieille fripouille");
    Ok(())
}

#[test]
fn examples_are_few_and_different_and_the_same_in_any_order() -> Outcome {
    let comments: Vec<Judged> = (0..40)
        .map(|n| judged(&n.to_string(), &format!("fripouille numéro {}", n / 2), NEVER))
        .collect();
    let found = |comments: &[Judged], examples: usize| -> Result<Vec<String>, PreviewError> {
        let mut preview = preview(Baseline::Packs(Box::new(packs(&[]))), &[MILD], examples);
        for comment in comments {
            preview.observe(comment, &policy())?;
        }
        let report = preview.report();
        assert_eq!(report.rules[0].new.comments, 40);
        Ok(report.rules[0].new.examples.iter().map(|example| example.text.clone()).collect())
    };
    let forward = found(&comments, 3)?;
    assert_eq!(forward.len(), 3);
    assert!(forward[0] != forward[1] && forward[1] != forward[2] && forward[0] != forward[2]);
    let backward: Vec<Judged> = comments.iter().rev().cloned().collect();
    assert_eq!(found(&backward, 3)?, forward);
    assert_eq!(found(&comments, 0)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_text_is_cut_around_what_was_found() {
    let cases = [
        ("un zigoto là", [3, 9], "un zigoto là", "zigoto"),
        ("é", [1, 9], "é", "é"),
        ("", [0, 0], "", ""),
        ("abc", [7, 2], "abc", ""),
    ];
    for (text, span, shown, found) in cases {
        assert_eq!(excerpt(text, span), (shown.to_owned(), found.to_owned()), "{text} {span:?}");
    }
    let long = format!("{}zigoto{}", "é".repeat(1000), "è".repeat(1000));
    let (shown, found) = excerpt(&long, [2000, 2006]);
    assert_eq!(found, "zigoto");
    assert_eq!(shown, format!("…{}zigoto{}…", "é".repeat(60), "è".repeat(80)));
    let (shown, found) = excerpt(&long, [0, long.len()]);
    assert_eq!((found.chars().count(), shown.chars().count()), (80, 161));
}

#[test]
fn rows_are_verdicts_or_comments_and_a_bad_line_is_named() -> anyhow::Result<()> {
    let comment = judged("1", "bonjour", NEVER).comment;
    let record = String::from_utf8(vigie_domain::encode(&comment))?;
    let input = format!("\u{feff}{{\"text\": \"a\"}}\n\n{record}\n{{\"schema\": \"verdict/9\", \"text\": \"secret\"}}\n");
    let mut rows = Rows::new(input.as_bytes());
    assert!(matches!(rows.read()?, Some((1, Row::Comment(read))) if read.text == "a"));
    assert_eq!(rows.read()?, Some((3, Row::Comment(Box::new(comment)))));
    let error = rows.read().expect_err("a newer verdict").to_string();
    assert!(
        error.contains("line 4") && error.contains("verdict/9") && !error.contains("secret"),
        "{error}"
    );
    assert_eq!(rows.read()?, None);
    assert_eq!(rows.bytes(), input.len() as u64);
    Ok(())
}
