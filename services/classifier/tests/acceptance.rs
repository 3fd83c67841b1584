//! What moderators rely on, on a corpus written for this project (`tests/corpora/acceptance.tsv`): the routes that the rule packs, the
//! default model and the default policy give together.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use vigie_classifier::offline::{OnInvalid, classify};
use vigie_classifier::{Config, audit};
use vigie_domain::{Policy, Route, Verdict, decode};
use vigie_scorer::testing;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const CORPUS: &str = include_str!("../../../tests/corpora/acceptance.tsv");

/// Categories that a person must see at once.
const URGENT: [&str; 5] = ["threat", "doxxing", "harassment", "terror-apology", "distress"];
/// Categories that are never hidden by the machine.
const PROTECTED: [&str; 5] = ["criticism", "vulgar", "trap", "ambiguous", "ordinary"];

fn comments() -> Vec<(&'static str, &'static str)> {
    CORPUS.lines().skip(1).filter_map(|line| line.split_once('\t')).collect()
}

fn verdicts(texts: &[&str]) -> Result<Vec<Verdict>, Box<dyn std::error::Error>> {
    let config = Config {
        rules: concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules").into(),
        model: testing::model("abuse-fr-acts"),
        onnxruntime: testing::library(),
        threads: 2,
        ..Config::default()
    };
    let engine = config.open_engine(audit::keyless_draw)?;
    let files = BTreeMap::from([(
        "default".to_owned(),
        include_str!("../../../deploy/policies/default.toml").to_owned(),
    )]);
    let policy = Policy::read_all(&files)?
        .remove("default")
        .map(Arc::new)
        .ok_or("no default policy")?;
    let input: String = texts.iter().map(|text| format!("{}\n", json!({ "text": text }))).collect();
    let mut output = Vec::new();
    classify(input.as_bytes(), &mut output, &engine, &policy, OnInvalid::Stop, |_| {}, |_| {})?;
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(decode).collect::<Result<_, _>>()?)
}

#[test]
fn the_corpus_goes_where_moderators_expect_it() -> Outcome {
    let comments = comments();
    assert!(comments.len() >= 400, "{} comments", comments.len());
    let texts: Vec<&str> = comments.iter().map(|(_, text)| *text).collect();
    let verdicts = verdicts(&texts)?;
    assert_eq!(verdicts.len(), comments.len());

    let mut wrong = Vec::new();
    // Per category: comments, and those that reach a person or are hidden.
    let mut seen: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for ((category, text), verdict) in comments.iter().zip(&verdicts) {
        let [all, acted] = seen.entry(category).or_default();
        *all += 1;
        *acted += usize::from(verdict.route != Route::Keep);
        if URGENT.contains(category) && !(verdict.escalate && verdict.route != Route::Keep) {
            wrong.push(format!("{category} does not reach a person at once: {text}"));
        }
        if PROTECTED.contains(category) && verdict.route == Route::Hide {
            wrong.push(format!("{category} is hidden: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for category in ["hate", "insult", "sexual", "spam"] {
        let [all, acted] = seen[category];
        assert!(acted * 10 >= all * 9, "{category}: {acted} of {all} reach a person or are hidden");
    }
    let [all, acted] = seen["ordinary"];
    assert!(acted * 10 <= all, "{acted} of {all} ordinary comments are taken for something else");
    Ok(())
}
