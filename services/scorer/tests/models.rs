//! Both models of the repository, opened and asked for real.

use std::time::{Duration, Instant};

use vigie_domain::policy::Caution;
use vigie_domain::{ScoreLabel, Scores};
use vigie_scorer::{Input, Scorer, ScorerError, testing};

const MODELS: [&str; 3] = ["abuse-fr-acts", "abuse-fr-e5", "abuse-fr-use"];

fn open(name: &str) -> Result<Scorer, ScorerError> {
    Scorer::open(&testing::library(), &testing::model(name), 2)
}

fn score(scorer: &Scorer, text: &str) -> Result<Scores, ScorerError> {
    Ok(scorer.score(&[Input { text, parent: None }])?.remove(0))
}

fn abusive(scores: &Scores) -> f32 {
    scores.get(ScoreLabel::Abusive).expect("every model scores `abusive`")
}

#[test]
fn scores_are_those_that_the_training_code_computed() -> Result<(), ScorerError> {
    for name in MODELS {
        let scorer = open(name)?;
        let examples = scorer.manifest().examples.clone();
        assert!(examples.len() >= 4, "{name} has no examples");
        for example in examples {
            let scores = score(&scorer, &example.text)?;
            for (label, expected) in example.scores {
                let found = scores.get(label).expect("a label of the manifest");
                // int8 kernels differ a little between processors.
                assert!(
                    (found - expected).abs() < 0.03,
                    "{name}, {}: {found}, expected {expected}",
                    label.as_str()
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_score_does_not_depend_on_what_is_scored_beside_it() -> Result<(), ScorerError> {
    let long = "Une visite qui ne finit pas, salle après salle. ".repeat(20);
    let texts = [
        "Bravo !",
        "Sale con, crève.",
        &long,
        "",
        "Quel bel accueil au musée, merci à toute l'équipe.",
    ];
    for name in MODELS {
        let scorer = open(name)?;
        let inputs: Vec<Input<'_>> = texts.iter().map(|text| Input { text, parent: None }).collect();
        let together = scorer.score(&inputs)?;
        let mut reversed: Vec<Input<'_>> = inputs.clone();
        reversed.reverse();
        let mut backwards = scorer.score(&reversed)?;
        backwards.reverse();
        assert_eq!(together, backwards, "{name}");
        for (text, expected) in texts.iter().zip(&together) {
            assert_eq!(score(&scorer, text)?, *expected, "{name}");
        }
    }
    Ok(())
}

#[test]
fn tells_an_insult_from_praise_and_finds_it_at_the_end_of_a_long_text() -> Result<(), ScorerError> {
    for name in MODELS {
        let scorer = open(name)?;
        let threshold = scorer.thresholds(Caution::Balanced)[&ScoreLabel::Abusive].review;
        let insult = "Ferme ta gueule sale pute, retourne dans ton pays.";
        let praise = "Merci au musée pour cette visite passionnante, les médiateurs sont formidables. ";
        assert!(abusive(&score(&scorer, praise)?) < threshold, "{name}");
        assert!(abusive(&score(&scorer, insult)?) >= threshold, "{name}");
        assert!(
            abusive(&score(&scorer, &format!("{}{}", praise.repeat(30), insult.repeat(4)))?) >= threshold,
            "{name}"
        );
    }
    Ok(())
}

#[test]
fn hostile_texts_get_scores_within_bounds_of_time() -> Result<(), ScorerError> {
    let mebibyte = 1 << 20;
    let texts = [
        String::new(),
        " \u{200b}\u{202e}\u{0}\u{7}\n".to_owned(),
        "a".repeat(mebibyte),
        "é ".repeat(mebibyte / 3),
        "🤡".repeat(mebibyte / 4),
        "Z̸̧͑a̷l̵g̶o̴ ".repeat(mebibyte / 40),
        "\u{202e}".repeat(mebibyte / 3),
        "漢字かな交じり文".repeat(mebibyte / 24),
    ];
    let scorer = open("abuse-fr-e5")?;
    for text in &texts {
        let before = Instant::now();
        let scored = scorer.score_covered(&[Input { text, parent: None }])?.remove(0);
        assert!(
            before.elapsed() < Duration::from_secs(20),
            "{} bytes took {:?}",
            text.len(),
            before.elapsed()
        );
        assert_eq!(scored.complete, text.len() < 1000, "{} bytes", text.len());
        assert!(scored.scores.0.values().all(|score| (0.0..=1.0).contains(score)));
    }
    Ok(())
}

#[test]
fn a_network_that_does_not_fit_its_manifest_is_refused() -> Result<(), Box<dyn std::error::Error>> {
    let changes = [
        ("ids = \"ids\"", "ids = \"tokens\"", "no input `tokens`; it has: ids, mask"),
        ("name = \"probs\"", "name = \"logits\"", "no output `logits`; it has: probs"),
        (
            "\"doxx\", \"spam\"]",
            "\"doxx\", \"spam\", \"extra\"]",
            "12 columns, the manifest names 13 heads",
        ),
        ("context = false", "context = true", "context = true"),
    ];
    for (from, to, words) in changes {
        let dir = tempfile::tempdir()?;
        let model = dir.path().join("abuse-fr-use");
        std::fs::create_dir(&model)?;
        for file in ["model.onnx", "tokenizer.json"] {
            std::fs::copy(testing::model("abuse-fr-use").join(file), model.join(file))?;
        }
        let manifest = std::fs::read_to_string(testing::model("abuse-fr-use").join("manifest.toml"))?;
        assert!(manifest.contains(from), "{from}");
        std::fs::write(model.join("manifest.toml"), manifest.replacen(from, to, 1))?;
        let Err(error) = Scorer::open(&testing::library(), &model, 1) else {
            panic!("opened with {to}")
        };
        assert!(error.to_string().contains(words), "{error}");
    }
    Ok(())
}

#[test]
fn a_process_loads_one_library() -> Result<(), Box<dyn std::error::Error>> {
    open("abuse-fr-use")?;
    let dir = tempfile::tempdir()?;
    let other = dir.path().join("libonnxruntime.so");
    std::fs::copy(testing::library(), &other)?;
    let Err(error) = Scorer::open(&other, &testing::model("abuse-fr-use"), 1) else {
        panic!("loaded twice")
    };
    assert!(error.to_string().contains("loaded already"), "{error}");
    Ok(())
}
