//! The engine and the offline run, on the repository's rules and small model.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use serde_json::{Value, json};
use vigie_classifier::offline::{InvalidLine, OnInvalid, Summary, classify};
use vigie_classifier::{Config, Engine, audit};
use vigie_domain::{Policy, Reason, Route, Verdict, decode};
use vigie_scorer::testing;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn engine() -> anyhow::Result<Engine> {
    engine_of("abuse-fr-use", true)
}

fn engine_of(model: &str, cascade: bool) -> anyhow::Result<Engine> {
    let config = Config {
        rules: concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules").into(),
        model: testing::model(model),
        onnxruntime: testing::library(),
        threads: 2,
        cascade,
        ..Config::default()
    };
    config.open_engine(audit::keyless_draw)
}

fn policy() -> anyhow::Result<Arc<Policy>> {
    let files = BTreeMap::from([(
        "default".to_owned(),
        include_str!("../../../deploy/policies/default.toml").to_owned(),
    )]);
    let policy = Policy::read_all(&files)?.remove("default");
    policy.map(Arc::new).ok_or_else(|| anyhow::anyhow!("no default policy"))
}

struct Run {
    verdicts: Vec<Verdict>,
    reports: Vec<InvalidLine>,
    result: anyhow::Result<Summary>,
}

fn run(engine: &Engine, input: impl BufRead, on_invalid: OnInvalid) -> anyhow::Result<Run> {
    let (mut output, mut reports) = (Vec::new(), Vec::new());
    let result = classify(
        input,
        &mut output,
        engine,
        &policy()?,
        on_invalid,
        |report| reports.push(report.clone()),
        |_| {},
    );
    let verdicts = output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(decode)
        .collect::<Result<_, _>>()?;
    Ok(Run { verdicts, reports, result })
}

#[test]
fn one_verdict_a_line_in_order_however_long_the_input() -> Outcome {
    let engine = engine()?;
    let mut input = String::from("\u{feff}");
    for number in 0..300 {
        let text = if number % 7 == 0 {
            "Sale connard, dégage"
        } else {
            "Merci pour la visite"
        };
        input.push_str(&format!(
            "{}\n",
            json!({"text": format!("{text} {number}"), "comment_id": number.to_string()})
        ));
    }
    let first = run(&engine, input.as_bytes(), OnInvalid::Stop)?;
    let ids: Vec<String> = first.verdicts.iter().map(|verdict| verdict.comment.native_id.to_string()).collect();
    assert_eq!(ids, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
    let summary = first.result?;
    assert_eq!((summary.lines, summary.verdicts, summary.invalid), (300, 300, 0));
    assert_eq!(summary.keep + summary.review + summary.hide, 300);
    // The same input again, read in other portions, gives the same verdicts.
    let second = run(&engine, BufReader::with_capacity(7, input.as_bytes()), OnInvalid::Stop)?;
    assert_eq!(first.verdicts, second.verdicts);
    Ok(())
}

#[test]
fn what_the_first_stage_lets_go_is_kept_and_drawn_for_the_audit() -> Outcome {
    let engine = |cascade| engine_of("abuse-fr-acts", cascade);
    let texts = [
        "Magnifique exposition, merci au musée !",
        "Le guide est un connard",
        "Merci, on va tous vous buter",
    ];
    let input: String = texts.iter().map(|text| format!("{}\n", json!({ "text": text }))).collect();
    let with = run(&engine(true)?, input.as_bytes(), OnInvalid::Stop)?.verdicts;
    let without = run(&engine(false)?, input.as_bytes(), OnInvalid::Stop)?.verdicts;
    assert_eq!((with[0].scores.0.len(), with[0].route), (1, Route::Keep));
    assert_eq!(without[0].route, Route::Keep);
    assert!(with[0].audit.probability > 0.0);
    assert_eq!(with[0].audit, without[0].audit);
    assert_eq!(with[1..], without[1..], "what goes on is judged as without a first stage");
    assert!(with[1..].iter().all(|verdict| verdict.route != Route::Keep));
    let under = [
        "Visite guidée gratuite samedi à 15 h, sans réservation.",
        "L'auteur de l'attentat qui avait tué cinq passants est jugé à partir de lundi.",
    ];
    let input: String = under
        .iter()
        .flat_map(|post| [("Merci à lui", post), (texts[0], post)])
        .map(|(text, post)| format!("{}\n", json!({ "text": text, "post_text": post })))
        .collect();
    let verdicts = run(&engine(true)?, input.as_bytes(), OnInvalid::Stop)?.verdicts;
    let read = verdicts.iter().map(|verdict| verdict.scores.0.len() > 1).collect::<Vec<_>>();
    assert_eq!(
        read,
        [false, false, true, false],
        "a few words under a grave post are read beside it"
    );
    Ok(())
}

#[test]
fn disguised_words_are_scored_as_they_are_meant() -> Outcome {
    let engine = engine_of("abuse-fr-acts", true)?;
    let pairs = [
        ("gr3nad3 sous le bur3au du préfet", "grenade sous le bureau du préfet"),
        ("M3rci, tr3s bell3 visit3", "Merci, tres belle visite"),
        ("Le guide est un c o n n a r d", "Le guide est un connard"),
        ("Le guide est un соnnаrd", "Le guide est un connard"),
    ];
    let input: String = pairs
        .iter()
        .flat_map(|(disguised, plain)| [disguised, plain])
        .map(|text| format!("{}\n", json!({ "text": text })))
        .collect();
    let verdicts = run(&engine, input.as_bytes(), OnInvalid::Stop)?.verdicts;
    for pair in verdicts.chunks(2) {
        let (disguised, plain) = (&pair[0], &pair[1]);
        assert!(disguised.scores.0.len() > 1, "never let go: {}", disguised.comment.text);
        for (label, score) in &plain.scores.0 {
            assert!(
                disguised.scores.get(*label) >= Some(*score),
                "{label:?} of {}",
                disguised.comment.text
            );
        }
    }
    let explanation = engine
        .explain(&verdicts[6], policy()?)?
        .ok_or("an insult has words that make it one")?;
    let word = explanation
        .words
        .first()
        .and_then(|word| verdicts[6].comment.text.get(word.span[0]..word.span[1]));
    assert_eq!(word, Some("соnnаrd"), "the words of the text as it is written");
    Ok(())
}

#[test]
fn words_to_note_have_a_comment_read_and_say_nothing_of_it() -> Outcome {
    let engine = engine_of("abuse-fr-acts", true)?;
    let input = format!("{}\n", json!({"text": "Merci, le couteau suisse de la boutique est très beau"}));
    let verdicts = run(&engine, input.as_bytes(), OnInvalid::Stop)?.verdicts;
    let rules: Vec<&str> = verdicts[0].rules.iter().map(|hit| hit.rule.as_str()).collect();
    assert_eq!(rules, ["watch/weapons-and-killing"]);
    assert!(verdicts[0].scores.0.len() > 1, "never let go");
    assert_eq!(
        (verdicts[0].route, verdicts[0].acts()),
        (Route::Keep, Vec::new()),
        "no act, so no figure counts one"
    );
    Ok(())
}

#[test]
fn explanations_name_the_words_and_cost_little() -> Outcome {
    let engine = engine()?;
    let mut texts = vec![
        "Votre guide est un vrai connard".to_owned(),
        "Merci !".to_owned(),
        "connard ".repeat(1 << 17),
        "🤡".repeat(1 << 18),
        format!(
            "{} Votre guide est un vrai connard. {}",
            "La visite dure une heure. ".repeat(15),
            "La visite dure une heure. ".repeat(15)
        ),
    ];
    texts.push(texts[0].replace(' ', "  \u{200b} "));
    let input: String = texts.iter().map(|text| format!("{}\n", json!({ "text": text }))).collect();
    let Run { verdicts, result, .. } = run(&engine, input.as_bytes(), OnInvalid::Stop)?;
    result?;
    let mut named = Vec::new();
    for verdict in &verdicts {
        assert_eq!(verdict.explanation, None, "only asked for");
        let explanation = engine.explain(verdict, policy()?)?;
        let words = explanation.iter().flat_map(|explanation| &explanation.words);
        let words: Option<Vec<&str>> = words.map(|word| verdict.comment.text.get(word.span[0]..word.span[1])).collect();
        named.push(words.ok_or("a span that is not on character boundaries")?);
    }
    assert_eq!(named[0].first(), Some(&"connard"), "{named:?}");
    assert_eq!(named[2], Vec::<&str>::new(), "too long to be explained");
    let first_two = named[4].get(..2).unwrap_or_default();
    assert!(first_two.contains(&"connard"), "the stretch that counts is found: {named:?}");
    Ok(())
}

#[test]
fn hostile_texts_have_a_verdict_with_spans_on_character_boundaries() -> Outcome {
    let engine = engine()?;
    let texts = [
        String::new(),
        " \n\t".to_owned(),
        "\u{0}\u{7}\u{200b}\u{202e}".to_owned(),
        "\u{202e}drannoc elas".to_owned(),
        "=cmd|' /C calc'!A0 <script>alert(1)</script> sale c\u{200b}onnard".to_owned(),
        "🤡".repeat(1 << 18),
        "connard ".repeat(1 << 17),
        "c".repeat(1 << 20),
        format!("{}é", "a".repeat(1 << 20)),
    ];
    let input: String = texts.iter().map(|text| format!("{}\n", json!({ "text": text }))).collect();
    let Run { verdicts, result, .. } = run(&engine, input.as_bytes(), OnInvalid::Stop)?;
    result?;
    assert_eq!(verdicts.len(), texts.len());
    for (verdict, text) in verdicts.iter().zip(&texts) {
        assert!(text.starts_with(verdict.comment.text.as_str()), "the text is kept as it is, or cut");
        for hit in &verdict.rules {
            assert!(
                verdict
                    .comment
                    .text
                    .get(hit.span[0]..hit.span[1])
                    .is_some_and(|found| !found.is_empty()),
                "{}",
                hit.rule
            );
        }
        assert!(verdict.rules.len() <= 1000 && vigie_domain::encode(verdict).len() < vigie_bus::PAYLOAD_BYTES_MAX);
    }
    assert_eq!(
        (verdicts[0].route, verdicts[0].reasons.as_slice()),
        (Route::Keep, [Reason::Unreadable].as_slice())
    );
    assert_eq!(
        (verdicts[2].route, verdicts[2].reasons.contains(&Reason::Unreadable)),
        (Route::Review, true)
    );
    assert_eq!(verdicts[6].route, Route::Review.max(verdicts[6].route));
    assert!(verdicts[7].reasons.contains(&Reason::Unreadable), "only parts of it were read");
    assert!(verdicts[8].comment.truncated);
    Ok(())
}

#[test]
fn an_invalid_line_stops_the_run_or_is_skipped_and_named() -> Outcome {
    let engine = engine()?;
    let input = b"{\"text\":\"un\"}\n\n{\"text\":\"deux\n{\"text\":\"tr\xffois\"}\n{\"text\":\"merci\"}";
    let stopped = run(&engine, input.as_slice(), OnInvalid::Stop)?;
    let error = stopped.result.err().ok_or("the run went on")?;
    assert_eq!(error.to_string(), "line 3: not JSON at column 13");
    assert_eq!(stopped.verdicts.len(), 1, "what came before is written");
    let skipped = run(&engine, input.as_slice(), OnInvalid::Continue)?;
    let texts: Vec<&str> = skipped.verdicts.iter().map(|verdict| verdict.comment.text.as_str()).collect();
    assert_eq!(texts, ["un", "merci"]);
    assert_eq!(skipped.reports.iter().map(|report| report.line).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(
        skipped.result?,
        Summary {
            lines: 5,
            verdicts: 2,
            invalid: 2,
            keep: 2,
            ..Summary::default()
        }
    );
    Ok(())
}

#[test]
fn a_verdict_has_every_field_of_the_contract() -> Outcome {
    let engine = engine()?;
    let mut output = Vec::new();
    classify(
        b"{\"text\":\"Quel connard ce type\"}\n".as_slice(),
        &mut output,
        &engine,
        &policy()?,
        OnInvalid::Stop,
        |_| {},
        |_| {},
    )?;
    let verdict: Value = serde_json::from_slice(&output)?;
    assert_eq!(verdict["schema"], "verdict/1");
    let fields = [
        "comment", "route", "escalate", "priority", "reasons", "rules", "scores", "language", "model", "rulebook", "policy", "audit",
    ];
    for field in fields {
        assert!(verdict.get(field).is_some(), "{field} is missing");
    }
    for field in ["rule", "act", "target", "severity", "span"] {
        assert!(
            verdict["rules"][0].get(field).is_some(),
            "rules[0].{field} is missing: {}",
            verdict["rules"]
        );
    }
    for label in ["abusive", "hate", "threat", "insult"] {
        assert!(
            verdict["scores"][label].as_f64().is_some_and(|score| (0.0..=1.0).contains(&score)),
            "{label}"
        );
    }
    assert!(
        verdict["audit"]["probability"]
            .as_f64()
            .is_some_and(|probability| probability > 0.0)
    );
    assert!(verdict["model"].as_str().is_some_and(|model| model.starts_with("abuse-fr-use@7+")));
    Ok(())
}

#[test]
fn a_deleted_comment_is_kept_without_scores() -> Outcome {
    let engine = engine()?;
    let input = br#"{"comment_id":"7","text":"Sale connard","deleted_at":"2026-11-24T08:00:00Z"}"#;
    let Run { verdicts, .. } = run(&engine, input.as_slice(), OnInvalid::Stop)?;
    let verdict = &verdicts[0];
    assert_eq!(
        (verdict.route, verdict.reasons.as_slice()),
        (Route::Keep, [Reason::DeletedUpstream].as_slice())
    );
    assert!(verdict.scores.0.is_empty() && verdict.rules.is_empty() && verdict.comment.text.is_empty() && !verdict.audit.selected);
    Ok(())
}
