//! Both models of the repository, opened and asked for real.

use std::time::{Duration, Instant};

use vigie_domain::policy::Caution;
use vigie_domain::{ScoreLabel, Scores};
use vigie_scorer::{Bundle, Cascade, Input, Scorer, ScorerError, Stage, testing};

const MODELS: [&str; 3] = ["abuse-fr-acts", "abuse-fr-e5", "abuse-fr-use"];

fn open(name: &str) -> Result<Scorer, ScorerError> {
    Scorer::open(&testing::library(), &testing::model(name), 2)
}

fn score(scorer: &Scorer, text: &str) -> Result<Scores, ScorerError> {
    Ok(scorer.score(&[Input::alone(text)])?.remove(0))
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
            let input = Input {
                parent: example.parent.as_deref(),
                ..Input::alone(&example.text)
            };
            let scores = scorer.score(&[input])?.remove(0);
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
fn lexical_values_are_those_that_the_training_code_computed() -> Result<(), ScorerError> {
    let bundle = Bundle::read(&testing::model("abuse-fr-acts"))?;
    let lexical = bundle.lexical.expect("it has a lexical part");
    let part = bundle.manifest.first_stage.and_then(|stage| stage.lexical).expect("read from it");
    assert!(part.examples.len() >= 4, "there are examples");
    for example in part.examples {
        let found = lexical.value(&example.text);
        assert!(
            (found - example.value).abs() < 0.001,
            "{}: {found}, expected {}",
            example.text,
            example.value
        );
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
        let inputs: Vec<Input<'_>> = texts.iter().map(|text| Input::alone(text)).collect();
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
fn what_a_comment_answers_is_read_by_models_with_context_alone() -> Result<(), ScorerError> {
    let (text, parent) = ("Toi, tu vas voir.", "On se retrouve au musée samedi ?");
    for name in MODELS {
        let scorer = open(name)?;
        let context = scorer.manifest().context;
        let with = |parent: Option<&str>| -> Result<Scores, ScorerError> {
            Ok(scorer
                .score(&[Input {
                    parent,
                    ..Input::alone(text)
                }])?
                .remove(0))
        };
        assert_eq!(with(None)? != with(Some(parent))?, context, "{name}");
        assert_eq!(with(None)?, with(Some(" \n"))?, "{name}: an empty parent is none");
        let huge = "é ".repeat(1 << 19);
        assert_eq!(with(Some(&huge))?, with(Some(&huge[..4098]))?, "{name}: only the beginning is read");
        let long = "Une visite qui ne finit pas, salle après salle. ".repeat(20);
        let answer = |parent| {
            scorer.score(&[Input {
                parent,
                ..Input::alone(&long)
            }])
        };
        assert_eq!(
            answer(None)?,
            answer(Some(parent))?,
            "{name}: a comment that fills its windows stands alone"
        );
    }
    Ok(())
}

#[test]
fn the_post_is_read_where_the_manifest_says_so_and_a_short_comment_answers_no_other() -> Result<(), Box<dyn std::error::Error>> {
    let (short, long) = ("J'y serai, promis.", "J'y serai demain avec toute ma classe, promis.");
    let (parent, post) = (Some("Tu viens samedi ?"), Some("Une élue menacée chez elle hier soir"));
    let dir = tempfile::tempdir()?;
    for name in ["abuse-fr-acts", "abuse-fr-use"] {
        std::fs::create_dir(dir.path().join(name))?;
        for file in std::fs::read_dir(testing::model(name))? {
            let file = file?;
            std::fs::copy(file.path(), dir.path().join(name).join(file.file_name()))?;
        }
    }
    let manifest = dir.path().join("abuse-fr-acts/manifest.toml");
    let text = std::fs::read_to_string(&manifest)?;
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("post_words")).collect();
    for words in [0, 5] {
        std::fs::write(
            &manifest,
            without
                .join("\n")
                .replacen("context = true", &format!("context = true\npost_words = {words}"), 1),
        )?;
        let scorer = Scorer::open(&testing::library(), &dir.path().join("abuse-fr-acts"), 1)?;
        let beside = |text, parent, post| -> Result<Scores, ScorerError> { Ok(scorer.score(&[Input { text, parent, post }])?.remove(0)) };
        let read = beside(short, None, post)?;
        assert_eq!(read != beside(short, None, None)?, words > 0, "{words}");
        assert_eq!(read == beside(short, post, None)?, words > 0, "{words}: as if it answered the post");
        assert_eq!(
            beside(short, parent, post)?,
            beside(short, parent, None)?,
            "{words}: the comment it answers says more"
        );
        assert_eq!(beside(short, Some(" "), post)?, read, "{words}: an empty parent is none");
        assert_eq!(
            beside(long, None, post)?,
            beside(long, None, None)?,
            "{words}: a longer one stands alone"
        );
        // A post is no reason to read what the first stage finds harmless.
        let praise = Input {
            post,
            ..Input::alone("Magnifique exposition, merci !")
        };
        assert_eq!(scorer.judge(&[praise], |_| Cascade::On)?.remove(0).stage, Stage::First, "{words}");
    }
    Ok(())
}

#[test]
fn the_cascade_lets_the_harmless_go_and_nothing_that_answers() -> Result<(), ScorerError> {
    let scorer = open("abuse-fr-acts")?;
    let stage = |text: &str, parent: Option<&str>, cascade: Cascade| -> Result<Stage, ScorerError> {
        let input = Input {
            parent,
            ..Input::alone(text)
        };
        Ok(scorer.judge(&[input], |_| cascade)?.remove(0).stage)
    };
    let harmless = "Magnifique exposition, merci au musée !";
    assert_eq!(stage(harmless, None, Cascade::On)?, Stage::First);
    assert_eq!(stage(harmless, Some("Avis aux étrangers"), Cascade::On)?, Stage::Network);
    assert_eq!(stage(harmless, None, Cascade::Off)?, Stage::Network);
    for text in [
        "Sale con, crève.",
        "je vais tous vous tuer",
        "on sait où tu gares ta voiture",
        "J'ai envie d'en finir ce soir.",
    ] {
        assert_eq!(stage(text, None, Cascade::On)?, Stage::Network, "{text}");
    }
    let scored = scorer.judge(&[Input::alone(harmless)], |_| Cascade::On)?.remove(0);
    assert_eq!(scored.scores.0.len(), 1);
    assert!(abusive(&scored.scores) < 0.1);
    Ok(())
}

#[test]
fn a_text_that_comes_again_has_the_same_scores() -> Result<(), ScorerError> {
    let scorer = open("abuse-fr-e5")?;
    let input = [Input::alone("Deux heures de queue, quelle honte.")];
    let first = scorer.judge(&input, |_| Cascade::Off)?;
    assert_eq!(scorer.judge(&input, |_| Cascade::Off)?, first);
    assert_eq!(scorer.score(&input)?, [first[0].scores.clone()]);
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
        let scored = scorer.judge(&[Input::alone(text)], |_| Cascade::Off)?.remove(0);
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
        ("name = \"logits\"", "name = \"probs\"", "no output `probs`; it has: logits"),
        (
            "\"toxic\", \"flagged\"]",
            "\"toxic\", \"flagged\", \"extra\"]",
            "36 columns, the manifest names 37 heads",
        ),
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
