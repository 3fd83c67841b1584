//! The service on the embedded bus, with the default model and packs of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use vigie_bus::{Consumer, Delivery, Record};
use vigie_classifier::drift::COMMENTS_MIN;
use vigie_classifier::{Config, start};
use vigie_domain::{Comment, DeadLetter, NewComment, Reason, Route, Tombstone, Topic, Verdict, decode};
use vigie_runtime::testing::{runtime, sample_comment};
use vigie_runtime::{Runtime, record};
use vigie_scorer::testing;

const PACK: &str = r#"description = "essai"

[[rule]]
id = "rascal"
act = "insult"
severity = 3
action = "hide"
terms = ["connard"]
[rule.cases]
match = ["Quel connard"]
no_match = ["Bonjour"]

[[rule]]
id = "bomb"
act = "threat"
severity = 5
action = "review"
terms = ["poser une bombe"]
[rule.cases]
match = ["je vais poser une bombe"]
no_match = ["Bonjour"]
"#;

fn config(dir: &Path) -> std::io::Result<Config> {
    let rules = dir.join("rules");
    std::fs::create_dir_all(&rules)?;
    std::fs::write(rules.join("essai.toml"), PACK)?;
    Ok(Config {
        rules,
        model: testing::model("abuse-fr-acts"),
        onnxruntime: testing::library(),
        threads: 1,
        ..Config::default()
    })
}

/// Receives until `count` records came, at most a minute.
async fn receive(consumer: &mut Box<dyn Consumer>, count: usize) -> anyhow::Result<Vec<Delivery>> {
    let mut all = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), async {
        while all.len() < count {
            all.extend(consumer.receive(count, Duration::from_secs(1)).await?);
        }
        anyhow::Ok(())
    })
    .await??;
    Ok(all)
}

fn verdicts(deliveries: &[Delivery]) -> anyhow::Result<Vec<Verdict>> {
    Ok(deliveries
        .iter()
        .map(|delivery| decode(&delivery.record.payload))
        .collect::<Result<_, _>>()?)
}

fn tombstone(of: &Comment) -> Comment {
    let deleted = Some(Tombstone {
        at: of.created_at,
        source: "poll".to_owned(),
    });
    NewComment {
        platform: of.platform,
        account: of.account.clone(),
        institution: of.institution.clone(),
        post: of.post.clone(),
        native_id: of.native_id.clone(),
        parent: None,
        author: None,
        author_sealed: None,
        text: String::new(),
        context: vigie_domain::Context::default(),
        created_at: of.created_at,
        edited_at: None,
        collected_at: of.collected_at,
        deleted,
        permalink: None,
        language: None,
        evidence: None,
    }
    .build()
}

async fn stop(runtime: &Runtime, started: vigie_runtime::Started) -> anyhow::Result<()> {
    runtime.stop.cancel();
    for task in started.tasks {
        tokio::time::timeout(Duration::from_secs(30), task).await???;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_become_verdicts_and_poison_becomes_dead_letters() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = runtime(&dir.path().join("data")).await?;
    let mut out = runtime.bus.subscribe("test", &[Topic::Verdicts]).await?;
    let mut dead = runtime.bus.subscribe("test-dead", &[Topic::DeadLetters]).await?;

    let insult = sample_comment("Sale connard de vigile");
    let threat = sample_comment("Demain je vais poser une bombe");
    let kind = sample_comment("Merci pour cette belle visite !");
    let poison = |payload: &[u8]| Record {
        key: kind.id.to_string(),
        id: "poison".to_owned(),
        headers: Vec::new(),
        payload: payload.to_vec(),
    };
    let batch = vec![
        record(&insult),
        poison(b"{\"schema\":\"comment/1\",\"text\":"),
        record(&threat),
        poison(b"{\"schema\":\"comment/2\"}"),
        poison(b"\xff\xfe"),
        record(&tombstone(&insult)),
        record(&kind),
        record(&insult),
    ];
    runtime.bus.publish(Topic::Comments, batch).await?;
    let started = start(config(dir.path())?, runtime.clone()).await?;

    let found = verdicts(&receive(&mut out, 5).await?)?;
    let routes: Vec<(&str, Route, bool)> = found
        .iter()
        .map(|verdict| (verdict.comment.text.as_str(), verdict.route, verdict.escalate))
        .collect();
    assert_eq!(
        routes,
        [
            (insult.text.as_str(), Route::Hide, false),
            (threat.text.as_str(), Route::Review, true),
            ("", Route::Keep, false),
            (kind.text.as_str(), Route::Keep, false),
            (insult.text.as_str(), Route::Hide, false),
        ]
    );
    assert_eq!(found[2].reasons, [Reason::DeletedUpstream]);
    assert_eq!(found[0], found[4], "a comment delivered twice has one and the same verdict");
    let drawn = runtime.keys.audit_draw(&insult.id) < found[0].audit.probability;
    assert_eq!(found[0].audit.selected, drawn);

    let letters: Vec<DeadLetter> = receive(&mut dead, 3)
        .await?
        .iter()
        .map(|delivery| decode(&delivery.record.payload))
        .collect::<Result<_, _>>()?;
    assert!(
        letters
            .iter()
            .all(|letter| letter.service == "classifier" && letter.topic == "comments")
    );
    assert!(letters[1].error.contains("comment/2"), "{}", letters[1].error);

    stop(&runtime, started).await?;
    let lag = runtime.bus.lag("classifier", &[Topic::Comments]).await?;
    assert!(lag.iter().all(|lag| lag.records == 0), "everything is committed: {lag:?}");
    let metrics = prometheus::TextEncoder::new().encode_to_string(&runtime.registry.gather())?;
    for line in [
        "vigie_classifier_verdicts_total{route=\"hide\"} 2",
        "vigie_classifier_verdicts_total{route=\"review\"} 1",
        "vigie_classifier_verdicts_total{route=\"keep\"} 2",
        "vigie_classifier_latency_seconds_count 5",
        "vigie_dead_letters_total{service=\"classifier\"} 3",
    ] {
        assert!(metrics.contains(line), "`{line}` is not in:\n{metrics}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn borderline_comments_are_explained_and_the_scores_watched() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let small = Config {
        model: testing::model("abuse-fr-use"),
        ..config(dir.path())?
    };
    let text = "C'est une honte, cette ministre est une salope";
    for explain in [true, false] {
        let runtime = runtime(&dir.path().join(explain.to_string())).await?;
        let mut out = runtime.bus.subscribe("test", &[Topic::Verdicts]).await?;
        let mut comments = vec![record(&sample_comment(text)), record(&sample_comment("Merci !"))];
        comments.extend((0..COMMENTS_MIN).map(|number| record(&sample_comment(&format!("Merci {number}")))));
        runtime.bus.publish(Topic::Comments, comments).await?;
        let started = start(Config { explain, ..small.clone() }, runtime.clone()).await?;
        let found = verdicts(&receive(&mut out, COMMENTS_MIN + 2).await?)?;
        assert_eq!((found[0].route, found[1].route), (Route::Review, Route::Keep));
        let words = found[0].explanation.iter().flat_map(|explanation| &explanation.words);
        let words: Vec<&str> = words.map(|word| &text[word.span[0]..word.span[1]]).collect();
        assert_eq!(words.contains(&"salope"), explain, "{words:?}");
        assert_eq!(found[1].explanation, None);
        stop(&runtime, started).await?;
        let metrics = prometheus::TextEncoder::new().encode_to_string(&runtime.registry.gather())?;
        let drift = metrics
            .lines()
            .find_map(|line| line.strip_prefix("vigie_classifier_score_drift{label=\"abusive\"} "));
        let drift: f64 = drift.ok_or_else(|| anyhow::anyhow!("no drift in:\n{metrics}"))?.parse()?;
        assert!(drift > 0.25, "nothing but thanks is no ordinary audience: {drift}");
        let rates = std::fs::read_to_string(runtime.data_dir.join("rule-rates.json"))?;
        assert!(rates.contains("essai/rascal"), "the first window of the rules is kept: {rates}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_on_what_cannot_be_used() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let good = config(dir.path())?;
    let broken = dir.path().join("broken");
    std::fs::create_dir_all(&broken)?;
    std::fs::write(broken.join("x.toml"), "[[rule]]")?;
    let cases: [(Config, &str); 5] = [
        (
            Config {
                rules: dir.path().join("none"),
                ..good.clone()
            },
            "[classifier] rules",
        ),
        (
            Config {
                rules: broken,
                ..good.clone()
            },
            "rules check",
        ),
        (
            Config {
                model: dir.path().join("none"),
                ..good.clone()
            },
            "manifest.toml is missing",
        ),
        (
            Config {
                onnxruntime: PathBuf::from("/nonexistent.so"),
                ..good.clone()
            },
            "deploy/onnxruntime",
        ),
        (
            Config {
                batch_records_max: 0,
                ..good
            },
            "batch_records_max",
        ),
    ];
    for (index, (config, expected)) in cases.into_iter().enumerate() {
        let runtime = runtime(&dir.path().join(format!("data{index}"))).await?;
        let Err(error) = start(config, runtime.clone()).await else {
            anyhow::bail!("started, expected: {expected}")
        };
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
    Ok(())
}
