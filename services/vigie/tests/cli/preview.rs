//! `vigie rules preview` on the real binary: on a data directory, with and without a process that runs on it, and on a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::{Place, eventually, root};

const RULE: &str = "description = \"Essai.\"\n[[rule]]\nid = \"saperlipopette\"\nterms = [\"saperlipopette\"]\nact = \"insult\"\nseverity = 2\n\
    action = \"review\"\n[rule.cases]\nmatch = [\"saperlipopette !\"]\nno_match = [\"bonjour\"]\n";

/// A copy of the packs of the repository, with one more and without the threats.
fn changed(place: &Place) -> anyhow::Result<String> {
    let dir = place.path().join("changed");
    std::fs::create_dir(&dir)?;
    for entry in std::fs::read_dir(root().join("rules"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && !path.ends_with("threats.toml") {
            std::fs::copy(&path, dir.join(path.file_name().context("a name")?))?;
        }
    }
    std::fs::write(dir.join("essai.toml"), RULE)?;
    Ok(dir.display().to_string())
}

/// Every file of a folder and below, but for the shared memory of SQLite, which is no content.
fn content(dir: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(content(&path)?);
        } else if !path.to_string_lossy().ends_with("-shm") {
            let bytes = std::fs::read(&path)?;
            // An empty WAL is none.
            if !(bytes.is_empty() && path.to_string_lossy().ends_with("-wal")) {
                files.insert(path, bytes);
            }
        }
    }
    Ok(files)
}

fn rule<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rules = report["rules"].as_array().into_iter().flatten();
    rules.clone().find(|rule| rule["rule"] == name).unwrap_or(&Value::Null)
}

#[test]
fn a_change_of_the_packs_is_shown_on_what_was_judged_and_changes_nothing() -> anyhow::Result<()> {
    let place = Place::new()?;
    let packs = changed(&place)?;
    let process = place.up()?;
    let texts = [
        "Saperlipopette, quelle belle exposition",
        "Saperlipopette \u{1b}[31m\u{202e} encore une file",
        "Je vais te retrouver et te tuer",
        "Merci au musée",
    ];
    let row = |(n, text): (usize, &str)| {
        let row = json!({ "platform": "generic", "account_id": "musee", "post_id": "p", "comment_id": format!("c{n}"), "text": text,
            "created_at": "2020-01-01T00:00:00Z" });
        format!("{row}\n")
    };
    let rows: String = (0..).zip(texts).map(row).collect();
    let file = place.file("comments.jsonl", rows)?.display().to_string();
    place.run(&["import", &file, "--account", "musee"])?.success()?;
    eventually(|| {
        process
            .metric("vigie_classifier_verdicts_total")
            .is_ok_and(|verdicts| verdicts >= 4.0)
    })?;

    let arguments = ["rules", "preview", "--rules", &packs, "--since", "1h", "--json"];
    let running = place.run(&arguments)?.json()?;
    assert_eq!(
        (&running["schema"], &running["comments"]),
        (&json!("rules-preview/1"), &json!(4)),
        "{running}"
    );
    let added = rule(&running, "essai/saperlipopette");
    assert_eq!(
        (&added["new"]["comments"], &added["lost"]["comments"], &added["after"]),
        (&json!(2), &json!(0), &json!(2))
    );
    let lost = running["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|rule| rule["lost"]["comments"] != 0);
    assert!(lost.clone().count() > 0, "{running}");
    assert!(
        lost.clone()
            .all(|rule| rule["rule"].as_str().is_some_and(|name| name.starts_with("threats/")))
    );
    assert!(running["routes"].as_array().is_some_and(|routes| !routes.is_empty()));
    process.stop()?;

    let before = content(&place.data())?;
    let stopped = place.run(&arguments)?.json()?;
    for figure in [
        "comments",
        "rules",
        "routes",
        "newly_hidden",
        "no_longer_escalated",
        "baseline",
        "candidate",
        "model",
    ] {
        assert_eq!(stopped[figure], running[figure], "{figure}");
    }
    let text = place.run(&arguments[..6])?.success()?;
    for expected in [
        "4 comments judged since",
        "Look at these first",
        "essai/saperlipopette",
        "\\u{1b}[31m\\u{202e}",
        "Routes: ",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    let first = text.find("Look at these first").context("the dangers")?;
    assert!(first < text.find("Routes: ").context("the routes")?, "{text}");
    let quiet = place.run(&[&arguments[..6], &["--examples", "0"]].concat())?.success()?;
    assert!(!quiet.contains("exposition") && !quiet.contains("file"), "{quiet}");

    // The packs in force, against what they recorded.
    let same = place.run(&["rules", "preview"])?.success()?;
    assert!(same.contains("Nothing would change") && same.contains("--rules DIR"), "{same}");
    assert_eq!(
        content(&place.data())?.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    assert!(content(&place.data())? == before, "a preview changed the data directory");
    Ok(())
}

#[test]
fn a_file_of_comments_or_of_verdicts_does_as_well() -> anyhow::Result<()> {
    let place = Place::new()?;
    let packs = changed(&place)?;
    let lines = "{\"text\": \"Saperlipopette !\"}\n\n{\"text\": \"Merci\"}\n";
    let comments = place.file("comments.jsonl", lines)?.display().to_string();
    let verdicts = place.run_with(&["classify"], lines)?.success()?;
    let verdicts = place.file("verdicts.jsonl", verdicts)?.display().to_string();
    let preview = |file: &str| {
        place
            .run(&["rules", "preview", "--rules", &packs, "--json", "--comments", file])?
            .json()
    };
    let (scored, recorded) = (preview(&comments)?, preview(&verdicts)?);
    assert_eq!((&scored["comments"], &scored["since"]), (&json!(2), &Value::Null));
    assert_eq!(rule(&scored, "essai/saperlipopette")["new"]["comments"], 1, "{scored}");
    assert_eq!(scored["routes"], recorded["routes"]);
    assert_eq!(scored["rules"], recorded["rules"]);
    assert!(!place.data().exists(), "a file needs no data directory");

    let stderr = place.run(&["rules", "preview", "--comments", &comments])?.failure(1)?;
    assert!(
        stderr.contains("line 1: it has no verdict") && stderr.contains("--rules DIR"),
        "{stderr}"
    );
    let wrong = place.file("wrong.jsonl", "{\"text\": \"a\"}\nsecret")?.display().to_string();
    let stderr = place
        .run(&["rules", "preview", "--rules", &packs, "--comments", &wrong])?
        .failure(1)?;
    assert!(
        stderr.contains("wrong.jsonl: line 2: not JSON") && !stderr.contains("secret"),
        "{stderr}"
    );
    let empty = place.file("empty.jsonl", "\n")?.display().to_string();
    let stderr = place
        .run(&["rules", "preview", "--rules", &packs, "--comments", &empty])?
        .failure(1)?;
    assert!(stderr.contains("holds no comment"), "{stderr}");
    Ok(())
}

#[test]
fn what_cannot_be_previewed_says_what_to_do() -> anyhow::Result<()> {
    let place = Place::new()?;
    let stderr = place.run(&["rules", "preview", "--rules", "rules"])?.failure(1)?;
    assert!(
        stderr.contains("there is no data directory") && stderr.contains("--data DIR"),
        "{stderr}"
    );
    assert!(!place.data().exists(), "a preview made the data directory");
    std::fs::create_dir(place.data())?;
    let stderr = place.run(&["rules", "preview"])?.failure(1)?;
    assert!(stderr.contains("bus.db") && stderr.contains("--comments FILE"), "{stderr}");
    place.up()?.stop()?;
    let stderr = place.run(&["rules", "preview", "--since", "3 d"])?.failure(1)?;
    assert!(
        stderr.contains("no comment was judged in the last 3 d") && stderr.contains("--since"),
        "{stderr}"
    );

    let broken = place.path().join("broken");
    std::fs::create_dir(&broken)?;
    std::fs::write(broken.join("essai.toml"), RULE.replace("terms", "term"))?;
    let broken = broken.display().to_string();
    for folder in ["--rules", "--against"] {
        let stderr = place.run(&["rules", "preview", folder, &broken])?.failure(1)?;
        assert!(
            stderr.contains("essai.toml:") && stderr.contains("did you mean `terms`?"),
            "{stderr}"
        );
    }
    for arguments in [["--since", "soon"], ["--examples", "1000"], ["--policy", "gentle"]] {
        let finished = place.run(&[&["rules", "preview"], arguments.as_slice()].concat())?;
        assert!(finished.code != Some(0) && finished.stderr.contains(arguments[1]), "{finished:?}");
    }
    let both = place
        .run(&["rules", "preview", "--since", "1d", "--comments", "x.jsonl"])?
        .failure(2)?;
    assert!(both.contains("cannot be used with"), "{both}");
    Ok(())
}
