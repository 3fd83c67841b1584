//! The figures against scikit-learn 1.9.1, statsmodels 0.15.0, scipy and numpy: every number was computed there from the same data,
//! `DeLong` and Newcombe from their definitions (all pairs; root finding).

use std::collections::BTreeMap;

use serde_json::json;
use vigie_domain::policy::Threshold;
use vigie_domain::{Act, Route, RuleAction, RuleHit, ScoreLabel, Scores, Target, Verdict, VerdictId};

use super::calibration::{bins, error};
use super::{COMMENTS_MAX, Evaluation, EvaluationError, Ranking, Share, Truth, picture};

#[track_caller]
fn check(name: &str, value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{name}: {value}, expected {expected}");
}

/// A thousand different scores; the label becomes likelier with the score.
fn smooth() -> Vec<(f32, bool)> {
    let point = |i: u64| {
        let score = ((i * 7919 % 1009) as f64 / 1009.0) as f32;
        let draw = (i * i * 31 + i * 17) % 997;
        (score, (draw as f64 / 997.0) < 0.05 + 0.6 * f64::from(score) * f64::from(score))
    };
    (0..1000).map(point).collect()
}

/// Sixty comments on sixteen scores.
fn tied() -> Vec<(f32, bool)> {
    let point = |i: u32| {
        let step = i * 37 % 16;
        (step as f32 / 16.0, (i * i * 7 + 3 * i) % 19 < step)
    };
    (0..60).map(point).collect()
}

#[test]
fn areas_and_their_intervals() {
    let cases = [
        (
            "smooth",
            smooth(),
            (1000, 267),
            [0.770_779_363_449, 0.735_947_385_831, 0.802_251_168_717],
            0.531_986_201_393,
        ),
        (
            "tied",
            tied(),
            (60, 22),
            [0.787_081_339_713, 0.651_705_064_096, 0.879_563_200_993],
            0.571_715_856_785,
        ),
    ];
    for (name, points, (size, positives), [area, lower, upper], precision) in cases {
        assert_eq!(points.len(), size);
        let mut reversed = points.clone();
        reversed.reverse();
        for points in [points, reversed] {
            let ranking = Ranking::new(points);
            assert_eq!(ranking.positives(), positives);
            let auc = ranking.auc().unwrap();
            assert_eq!(auc.method, "delong-logit");
            check(name, auc.estimate, area);
            check(name, auc.lower, lower);
            check(name, auc.upper, upper);
            check(name, ranking.average_precision().unwrap(), precision);
        }
    }
}

#[test]
fn an_area_without_overlap_has_an_interval_too() {
    let classes = |positives: usize, negatives: usize, high: f32| {
        let mut points = vec![(high, true); positives];
        points.extend(vec![(0.5, false); negatives]);
        Ranking::new(points).auc().unwrap()
    };
    let cases = [
        (12, 20, 0.9, [1.0, 0.865_123_242_356, 1.0]),
        (12, 20, 0.1, [0.0, 0.0, 0.134_876_757_644]),
        (1, 5, 0.9, [1.0, 0.360_389_235_534, 1.0]),
        (1, 1, 0.5, [0.5, 0.054_620_755_529, 0.945_379_244_471]),
    ];
    for (positives, negatives, high, [area, lower, upper]) in cases {
        let auc = classes(positives, negatives, high);
        assert_eq!(auc.method, "newcombe");
        check("area", auc.estimate, area);
        check("lower", auc.lower, lower);
        check("upper", auc.upper, upper);
    }
    assert_eq!(Ranking::new(vec![(0.5, true)]).auc(), None);
    assert_eq!(Ranking::new(vec![(0.5, false)]).auc(), None);
    assert_eq!(Ranking::new(vec![(0.5, false)]).average_precision(), None);
}

#[test]
fn recall_at_fixed_false_alarms() {
    let ranking = Ranking::new(smooth());
    let at = |share| ranking.recall_at(share).unwrap();
    for (share, part, threshold, lower, upper) in [
        (0.01, 23, 0.970_267_593_861, 0.058_085_837_636, 0.125_938_643_114),
        (0.05, 61, 0.902_874_112_129, 0.182_166_724_095, 0.282_464_722_540),
    ] {
        let found = at(share);
        assert_eq!((found.recall.part, found.recall.whole), (part, 267));
        check("threshold", f64::from(found.threshold.unwrap()), threshold);
        check("lower", found.recall.lower, lower);
        check("upper", found.recall.upper, upper);
    }
    // Of the tied scores even the highest is shared by more negatives than that.
    let none = Ranking::new(tied()).recall_at(0.05).unwrap();
    assert_eq!((none.recall.part, none.threshold), (0, None));
    // Exactly as many as allowed: 7 of 700 are 1 %, whatever 0.01 × 700 is in binary.
    let mut points = vec![(0.9, false); 7];
    points.extend(vec![(0.1, false); 693]);
    points.push((0.9, true));
    assert_eq!(Ranking::new(points).recall_at(0.01).unwrap().recall.part, 1);
    assert_eq!(Ranking::new(vec![(0.5, true)]).recall_at(0.05), None);
}

#[test]
fn curves_begin_and_end_where_they_must() {
    let ranking = Ranking::new(tied());
    let roc = ranking.roc();
    assert_eq!((roc.len(), roc[0], roc[16]), (17, (0.0, 0.0), (1.0, 1.0)));
    assert!(roc.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
    let curve = ranking.precision_recall();
    let (recall, precision) = curve[15];
    check("recall", recall, 1.0);
    check("precision", precision, 22.0 / 60.0);
}

#[test]
fn reliability_by_bins_of_equal_counts() {
    let of_smooth = bins(&Ranking::new(smooth()));
    let frequencies = [0.08, 0.1, 0.05, 0.09, 0.18, 0.24, 0.39, 0.38, 0.55, 0.61];
    let scores = [
        0.049_435_084_207,
        0.149_633_300_155,
        0.250_118_929_595,
        0.350_673_934_221,
        0.450_901_882_946,
        0.550_545_093_417,
        0.650_584_737_062,
        0.750_168_483_257,
        0.849_851_338_267,
        0.949_851_337_671,
    ];
    assert_eq!(of_smooth.len(), 10);
    for (bin, (frequency, score)) in of_smooth.iter().zip(frequencies.into_iter().zip(scores)) {
        assert_eq!(bin.frequency.whole, 100);
        check("frequency", bin.frequency.share, frequency);
        check("score", bin.score, score);
    }
    check("error", error(&of_smooth).unwrap(), 0.239_289_395_239);

    // Equal scores stay together, in whatever order they come.
    let of_tied = bins(&Ranking::new(tied()));
    assert!(of_tied.len() <= 10 && of_tied.iter().map(|bin| bin.frequency.whole).sum::<u64>() == 60);
    let one = bins(&Ranking::new(vec![(0.25, true), (0.25, false), (0.25, false), (0.25, false)]));
    assert_eq!(one.len(), 1);
    check("error", error(&one).unwrap(), 0.0);
    assert_eq!(error(&[]), None);
}

#[test]
fn wilson_intervals() {
    let cases = [
        (17, 10_000, 0.001_061_707_361, 0.002_720_985_415),
        (3, 400, 0.002_553_889_195, 0.021_815_720_724),
        (1, 60, 0.002_948_159_795, 0.088_551_297_276),
        (0, 250, 0.0, 0.015_133_299_495),
        (30, 30, 0.886_486_606_826, 1.0),
    ];
    for (part, whole, lower, upper) in cases {
        let share = Share::new(part, whole).unwrap();
        check("lower", share.lower, lower);
        check("upper", share.upper, upper);
    }
    assert_eq!((Share::new(0, 0), Share::new(2, 1)), (None, None));
}

fn verdict(route: Route, scores: &[(ScoreLabel, f32)], rules: Vec<RuleHit>) -> Verdict {
    let serde_json::Value::Object(fields) = json!({"text": "x"}) else {
        panic!()
    };
    let comment = crate::offline::from_fields(&fields, 1).unwrap();
    let fields = json!({
        "id": VerdictId::derive(&comment.revision, "m", "r", "p"),
        "comment": comment,
        "route": route,
        "escalate": false,
        "priority": if route == Route::Keep { 0 } else { 50 },
        "reasons": ["harmless"],
        "rules": rules,
        "scores": Scores(scores.iter().copied().collect()),
        "language": null,
        "model": "m",
        "rulebook": "r",
        "policy": "p",
        "audit": {"stratum": "all", "probability": 1.0, "selected": false},
    });
    serde_json::from_value(fields).unwrap()
}

fn truth(fields: serde_json::Value) -> Truth {
    let serde_json::Value::Object(fields) = fields else { panic!() };
    Truth::read(&fields).unwrap()
}

fn rule(act: Act, target: Option<Target>, action: RuleAction) -> RuleHit {
    RuleHit {
        rule: "pack/entry".to_owned(),
        act,
        target,
        severity: 3,
        action,
        span: [0, 1],
    }
}

fn evaluation() -> Evaluation {
    Evaluation::new(BTreeMap::from([(ScoreLabel::Abusive, Threshold { review: 0.6, hide: None })]))
}

#[test]
fn the_operating_point_is_that_of_the_policy() {
    let mut evaluation = evaluation();
    for (score, positive) in smooth() {
        let truth = truth(json!({"labels": {"toxic": i32::from(positive)}}));
        evaluation
            .add("a", &truth, &verdict(Route::Keep, &[(ScoreLabel::Abusive, score)], Vec::new()))
            .unwrap();
    }
    let report = evaluation.report();
    let abusive = &report.labels[&ScoreLabel::Abusive];
    let point = abusive.by_score.as_ref().unwrap();
    let precision = point.precision.unwrap();
    assert_eq!((precision.part, precision.whole), (193, 400));
    check("precision", precision.share, 0.4825);
    check("recall", point.recall.unwrap().share, 0.722_846_441_948);
    check("f1", point.f1.unwrap(), 0.578_710_644_678);
    assert_eq!(&abusive.with_rules, point);
    check("area", abusive.auc.unwrap().estimate, 0.770_779_363_449);
    assert_eq!(report.labels.len(), 1);
    assert_eq!(report.hidden_acceptable, None);
}

#[test]
fn rules_groups_tests_files_and_routes_are_counted() {
    let mut evaluation = evaluation();
    let hit = |action| vec![rule(Act::Insult, Some(Target::Sex), action)];
    let rows = [
        // Found by the score, by a rule, by a note only (that is not found), and not at all.
        (
            "a",
            json!({"labels": {"toxic": 1, "hate": 1}, "target": "women", "functionality": "slur"}),
            Route::Hide,
            0.9,
            Vec::new(),
        ),
        (
            "a",
            json!({"labels": {"toxic": 1, "hate": 1}, "target": "women", "functionality": "slur"}),
            Route::Review,
            0.1,
            hit(RuleAction::Review),
        ),
        (
            "a",
            json!({"labels": {"toxic": 1, "hate": 1}}),
            Route::Keep,
            0.2,
            hit(RuleAction::Signal),
        ),
        (
            "b",
            json!({"labels": {"toxic": 0}, "target": "women", "functionality": "neutral"}),
            Route::Hide,
            0.7,
            Vec::new(),
        ),
        (
            "b",
            json!({"labels": {"toxic": 0}, "target": ["women", "elected"], "functionality": "neutral"}),
            Route::Keep,
            0.1,
            Vec::new(),
        ),
        (
            "b",
            json!({"labels": {"toxic": 0, "counter_speech": 1}}),
            Route::Review,
            0.3,
            Vec::new(),
        ),
        ("b", json!({"labels": {"hate": 0}}), Route::Keep, 0.95, Vec::new()),
    ];
    for (file, fields, route, score, rules) in rows {
        let verdict = verdict(route, &[(ScoreLabel::Abusive, score)], rules);
        evaluation.add(file, &truth(fields), &verdict).unwrap();
    }
    let report = evaluation.report();
    assert_eq!(report.comments, 7);
    let parts = |share: Option<Share>| share.map(|share| (share.part, share.whole));

    let abusive = &report.labels[&ScoreLabel::Abusive];
    assert_eq!((abusive.comments, abusive.positives), (6, 3));
    let by_score = abusive.by_score.as_ref().unwrap();
    assert_eq!(
        (parts(by_score.precision), parts(by_score.recall), parts(by_score.false_alarms)),
        (Some((1, 2)), Some((1, 3)), Some((1, 3)))
    );
    assert_eq!(parts(abusive.with_rules.recall), Some((2, 3)));
    check("f1", abusive.with_rules.f1.unwrap(), 2.0 / 3.0);
    let (with, without) = (abusive.routes_positive, abusive.routes_negative);
    assert_eq!((with.keep, with.review, with.hide), (1, 1, 1));
    assert_eq!((without.keep, without.review, without.hide), (1, 1, 1));

    // The model has no score for hate; the rules have their say all the same.
    let hate = &report.labels[&ScoreLabel::Hate];
    assert_eq!(
        (hate.auc, hate.threshold, hate.by_score.is_none(), hate.reliability.len()),
        (None, None, true, 0)
    );
    assert_eq!(parts(hate.with_rules.recall), Some((1, 3)));

    let women = &abusive.groups["women"];
    assert_eq!(
        (
            women.comments,
            women.positives,
            parts(women.by_score.as_ref().unwrap().false_alarms)
        ),
        (4, 2, Some((1, 2)))
    );
    check("women", women.auc.unwrap().estimate, 0.625);
    // All of one side: against the other side of all.
    let slur = &abusive.functionalities["slur"];
    assert_eq!((slur.comments, slur.positives, slur.auc), (2, 2, None));
    check("slur", slur.auc_against_all.unwrap().estimate, 3.5 / 6.0);
    let neutral = &abusive.functionalities["neutral"];
    check("neutral", neutral.auc_against_all.unwrap().estimate, 3.5 / 6.0);
    assert_eq!(abusive.files.keys().collect::<Vec<_>>(), ["a", "b"]);

    let alarms: Vec<_> = report
        .false_alarms
        .iter()
        .map(|alarm| {
            (
                alarm.kind,
                alarm.name.as_str(),
                parts(alarm.abusive),
                parts(alarm.flagged),
                parts(alarm.hidden),
            )
        })
        .collect();
    assert_eq!(
        alarms,
        [
            ("identity", "women", Some((1, 2)), Some((1, 2)), Some((1, 2))),
            ("identity", "any", Some((1, 2)), Some((1, 2)), Some((1, 2))),
            ("speech", "counter-speech", Some((0, 1)), Some((1, 1)), Some((0, 1))),
        ]
    );
    assert_eq!(parts(report.hidden_acceptable), Some((1, 2)));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["labels"]["abusive"]["routes_positive"]["hide"], 1);
    assert_eq!(json["labels"]["hate"]["auc"], serde_json::Value::Null);
}

#[test]
fn acceptable_comments_of_a_contrast_set_stand_beside_the_group_that_it_is_about() {
    let mut evaluation = evaluation();
    let rows = [
        (
            "a",
            json!({"labels": {"toxic": 1}, "targets": ["sex", "elected"], "twin": "one"}),
            0.9,
        ),
        ("a", json!({"labels": {"toxic": 0}, "targets": [], "twin": "one"}), 0.8),
        ("a", json!({"labels": {"toxic": 0}, "twin": "one"}), 0.1),
        // Its set attacks nobody protected; the same name in another file is another set; and no set at all.
        ("a", json!({"labels": {"toxic": 1}, "targets": ["user"], "twin": "two"}), 0.9),
        ("a", json!({"labels": {"toxic": 0}, "twin": "two"}), 0.9),
        ("b", json!({"labels": {"toxic": 0}, "twin": "one"}), 0.9),
        ("a", json!({"labels": {"toxic": 0}}), 0.9),
    ];
    for (file, fields, score) in rows {
        let verdict = verdict(Route::Keep, &[(ScoreLabel::Abusive, score)], Vec::new());
        evaluation.add(file, &truth(fields), &verdict).unwrap();
    }
    let listed: Vec<_> = evaluation
        .report()
        .false_alarms
        .iter()
        .map(|alarm| (alarm.kind, alarm.name.clone(), alarm.abusive.map(|share| (share.part, share.whole))))
        .collect();
    let expected = ["sex", "any"].map(|name| ("contrast", name.to_owned(), Some((1, 2))));
    assert_eq!(listed, expected);
}

#[test]
fn an_evaluation_is_bounded() {
    let verdict = verdict(Route::Keep, &[], Vec::new());
    let mut evaluation = evaluation();
    for number in 0..64 {
        let truth = truth(json!({"labels": {}, "group": format!("group {number}")}));
        evaluation.add("a", &truth, &verdict).unwrap();
    }
    let error = evaluation
        .add("a", &truth(json!({"labels": {}, "group": "one more"})), &verdict)
        .unwrap_err();
    assert!(
        matches!(
            error,
            EvaluationError::TooMany {
                what: "groups",
                limit: 64,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(evaluation.comments(), 64);
    assert!(
        COMMENTS_MAX * size_of::<super::Row>() <= 160 << 20,
        "a row takes {} bytes",
        size_of::<super::Row>()
    );
}

#[test]
fn the_picture_says_in_words_what_it_shows() {
    let mut evaluation = evaluation();
    let nothing = picture(&evaluation, "x");
    assert!(nothing.contains("No label has 10 comments"), "{nothing}");
    for (score, positive) in smooth() {
        let truth = truth(json!({"labels": {"toxic": i32::from(positive)}}));
        evaluation
            .add("a", &truth, &verdict(Route::Keep, &[(ScoreLabel::Abusive, score)], Vec::new()))
            .unwrap();
    }
    let svg = picture(&evaluation, "données <b> & \"c\"");
    assert!(svg.contains("role=\"img\"") && svg.contains("<title id=\"title\">") && svg.contains("<desc id=\"desc\">"));
    assert!(
        svg.contains("données &lt;b&gt; &amp; &quot;c&quot;") && !svg.contains("<b>"),
        "{svg}"
    );
    assert!(svg.contains("abusive : AUC 0.771 [0.736–0.802]"), "{svg}");
    assert_eq!(svg.matches("<polyline").count(), 3);
    assert_eq!(svg.matches("<circle").count(), 10);
    assert!(svg.len() < 40_000, "{} bytes", svg.len());
    // Every element is closed.
    for name in ["svg", "g", "text", "title", "desc", "polyline"] {
        let opened = svg.matches(&format!("<{name} ")).count() + svg.matches(&format!("<{name}>")).count();
        assert_eq!(opened, svg.matches(&format!("</{name}>")).count(), "{name}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf\""));
}
