//! Commands that need neither bus nor database, on the real binary: what they print and how they end.

use crate::support::{Place, root, vigie};
use anyhow::Context as _;
use serde_json::Value;

#[test]
fn a_wrong_command_line_ends_with_2() -> anyhow::Result<()> {
    for arguments in [vec!["fly"], vec![], vec!["import"], vec!["up", "--lisen", "x"], vec!["run"]] {
        let stderr = vigie(&arguments, "")?.failure(2)?;
        assert!(stderr.contains("Usage"), "{arguments:?}: {stderr}");
    }
    Ok(())
}

#[test]
fn the_manual_can_be_printed_and_used() -> anyhow::Result<()> {
    let manual = vigie(&["manual"], "")?.success()?;
    assert_eq!(manual, std::fs::read_to_string(root().join("deploy/vigie.toml"))?);
    Ok(())
}

#[test]
fn configuration_errors_name_file_line_and_way_out() -> anyhow::Result<()> {
    let place = Place::new()?;
    let cases = [
        ("[server]\nlisen = \"x\"", "did you mean `listen`?"),
        ("[sever]\n", "did you mean `server`?"),
        ("[server]\ndrain = \"soon\"", "5 min"),
        (
            "[[accounts]]\nid = \"a\"\nplatform = \"minitel\"\ninstitution = \"i\"",
            "unknown platform `minitel`",
        ),
        (
            "[[accounts]]\nid = \"a\"\nplatform = \"generic\"\ninstitution = \"i\"\npolicy = \"p\"",
            "there is no policy `p`",
        ),
        ("[database]\nurl = { env = \"VIGIE_TEST_NOWHERE\" }", "VIGIE_TEST_NOWHERE"),
        ("[bus.kafka]\npassword = { file = \"/nowhere\" }", "/nowhere"),
        ("[review.keys]\nkeep = \"m\"", "another action"),
        ("[classifier]\nbatch_records_max = 0", "batch_records_max"),
        ("[log]\nfilter = \"=\"", "[log] filter"),
    ];
    for (content, expected) in cases {
        let config = place.file("wrong.toml", content)?;
        let data = place.path().join("wrong-data");
        let arguments = [
            "up",
            "--listen",
            "127.0.0.1:0",
            "--config",
            &config.display().to_string(),
            "--data",
            &data.display().to_string(),
        ];
        let stderr = vigie(&arguments, "")?.failure(1)?;
        assert!(stderr.contains(expected), "{content}: {stderr}");
        assert_eq!(stderr.matches("error:").count(), 1, "{content}: {stderr}");
    }
    let stderr = vigie(&["up", "--config", "/nowhere/vigie.toml"], "")?.failure(1)?;
    assert!(stderr.contains("/nowhere/vigie.toml"), "{stderr}");
    Ok(())
}

#[test]
fn classifies_in_order_and_goes_on_after_a_bad_line() -> anyhow::Result<()> {
    let place = Place::new()?;
    let mut input = b"{\"text\": \"Merci pour cette belle exposition\"}\n\n{\"text\": 3}\n".to_vec();
    input.extend(b"{\"text\": \"caf\xe9\"}\n{\"texte\": \"x\"}\nnot json \x1b[31m\n{\"text\": \"\xf0\x9f\x98\x80 Horaires ?\", \"comment_id\": \"c7\"}");
    let finished = place.run_with(&["classify"], input)?;
    let verdicts: Vec<Value> = finished.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let ids: Vec<&str> = verdicts
        .iter()
        .filter_map(|verdict| verdict["comment"]["native_id"].as_str())
        .collect();
    assert_eq!(ids, ["line-1", "c7"]);
    for verdict in &verdicts {
        assert_eq!(verdict["schema"], "verdict/1");
        assert!(["keep", "review", "hide"].contains(&verdict["route"].as_str().context("route")?));
        for field in [
            "comment", "escalate", "priority", "reasons", "rules", "scores", "language", "model", "rulebook", "policy", "audit",
        ] {
            assert!(verdict.get(field).is_some(), "{field} is missing: {verdict}");
        }
        let scores = verdict["scores"].as_object().context("scores")?;
        assert!(
            scores
                .values()
                .all(|score| score.as_f64().is_some_and(|score| (0.0..=1.0).contains(&score))),
            "{scores:?}"
        );
    }
    let stderr = finished.failure(1)?;
    for expected in ["line 3: ", "line 4: not UTF-8", "line 5: ", "line 6: not JSON", "4 of 7 lines"] {
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
    assert!(
        !stderr.contains('\u{1b}') && !stderr.contains("caf"),
        "a report quotes the input: {stderr}"
    );
    Ok(())
}

#[test]
fn classify_stops_at_the_first_bad_line_when_asked() -> anyhow::Result<()> {
    let place = Place::new()?;
    let finished = place.run_with(&["classify", "--stop"], "{\"text\":\"a\"}\nx\n{\"text\":\"b\"}\n")?;
    assert_eq!(finished.stdout.lines().count(), 1);
    assert!(finished.failure(1)?.contains("line 2"));
    let finished = place.run_with(&["classify"], "")?;
    assert_eq!(finished.success()?, "");
    Ok(())
}

#[test]
fn classify_refuses_what_it_cannot_use_before_it_reads() -> anyhow::Result<()> {
    let place = Place::new()?;
    let stderr = place
        .run_with(&["classify", "--policy", "gentle"], "{\"text\":\"a\"}")?
        .failure(1)?;
    assert!(stderr.contains("there is no policy `gentle`; known: default"), "{stderr}");
    for (key, expected) in [
        ("model = \"models/none\"", "manifest.toml is missing"),
        ("rules = \"/nowhere\"", "/nowhere"),
        ("onnxruntime = \"/nowhere.so\"", "there is no such file"),
    ] {
        let config = place.file("wrong.toml", format!("[classifier]\n{key}\n"))?;
        let stderr = vigie(&["classify", "--config", &config.display().to_string()], "{\"text\":\"a\"}")?.failure(1)?;
        assert!(stderr.contains(expected), "{key}: {stderr}");
    }
    Ok(())
}

#[test]
fn rule_packs_are_checked_and_tested() -> anyhow::Result<()> {
    let shipped = vigie(&["rules", "check", "rules", "--json"], "")?.json()?;
    assert_eq!(shipped["errors"], 0, "{shipped}");

    let place = Place::new()?;
    let dir = place.path().display().to_string();
    std::fs::remove_file(place.config())?;
    let stderr = vigie(&["rules", "check", &dir], "")?.failure(1)?;
    assert!(stderr.contains("holds no rule pack"), "{stderr}");

    place.file("sound.toml", pack("term", "[\"bande de guignols\"]"))?;
    assert!(vigie(&["rules", "check", &dir], "")?.failure(1).is_ok(), "`term` is no key");
    let finished = vigie(&["rules", "check", &dir], "")?;
    assert!(
        finished.stdout.contains("sound.toml:") && finished.stdout.contains("did you mean `terms`?"),
        "{finished:?}"
    );
    place.file("sound.toml", pack("terms", "[\"bande de guignols\"]"))?;
    assert!(vigie(&["rules", "check", &dir], "")?.success()?.contains("1 packs, 0 errors"));
    assert!(vigie(&["rules", "test", &dir], "")?.success()?.contains("2 cases, 0 failed"));

    place.file("sound.toml", pack("terms", "[\"bande de clowns\"]"))?;
    let finished = vigie(&["rules", "test", &dir], "")?;
    assert!(
        finished.stdout.contains("must match « Bande de guignols ! »") && finished.stdout.contains("2 cases, 1 failed"),
        "{finished:?}"
    );
    finished.failure(1)?;
    let tested = vigie(&["rules", "test", &dir, "--json"], "")?.json()?;
    assert_eq!(
        (&tested["cases"], &tested["failures"][0]["must"]),
        (&2.into(), &"must match".into()),
        "{tested}"
    );

    place.file("broken.toml", "[pack\n")?;
    let finished = vigie(&["rules", "check", &dir], "")?;
    assert!(finished.stdout.contains("broken.toml:1: error:"), "{finished:?}");
    finished.failure(1)?;
    assert!(vigie(&["rules", "test", &dir], "")?.failure(1)?.contains("broken.toml:1"));
    Ok(())
}

fn pack(key: &str, terms: &str) -> String {
    format!(
        "description = \"Essai.\"\n[[rule]]\nid = \"guignols\"\n{key} = {terms}\nact = \"insult\"\nseverity = 2\naction = \"review\"\n\
         [rule.cases]\nmatch = [\"Bande de guignols !\"]\nno_match = [\"Le théâtre de Guignol\"]\n"
    )
}

#[test]
fn an_edition_that_is_none_cannot_be_verified() -> anyhow::Result<()> {
    let place = Place::new()?;
    let stderr = vigie(&["barometer", "verify", &place.path().display().to_string()], "")?.failure(1)?;
    assert!(stderr.contains("edition.json"), "{stderr}");
    let stderr = place
        .run(&["barometer", "build", "--from", "2026-11-31", "--to", "2026-12-01", "--out", "x"])?
        .failure(1)?;
    assert!(stderr.contains("`2026-11-31` is not a day"), "{stderr}");
    let stderr = place
        .run(&["barometer", "build", "--from", "2026-11-01", "--to", "2026-11-02", "--out", "x"])?
        .failure(1)?;
    assert!(stderr.contains("there is no data directory"), "{stderr}");
    Ok(())
}

#[test]
fn run_on_the_embedded_bus_needs_every_service() -> anyhow::Result<()> {
    let place = Place::new()?;
    let stderr = place.run(&["run", "classifier"])?.failure(1)?;
    assert!(stderr.contains("[bus.kafka]"), "{stderr}");
    Ok(())
}
