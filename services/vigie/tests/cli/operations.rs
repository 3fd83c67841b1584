//! Commands on a data directory, with and without a process that runs on it: the answers are the same.

use crate::support::{PASSWORD, Place, eventually, exchange};
use serde_json::Value;

#[test]
fn people_are_added_shown_and_removed() -> anyhow::Result<()> {
    let place = Place::new()?;
    people(&place, "repos")?;
    let process = place.up()?;
    people(&place, "marche")?;
    assert!(!process.log().contains(PASSWORD));
    process.stop()
}

fn people(place: &Place, login: &str) -> anyhow::Result<()> {
    let password = place.file("password", PASSWORD)?.display().to_string();
    let with_password = ["--password-file", password.as_str()];
    place
        .run(
            &[
                &["user", "add", login, "--role", "lead", "--institution", "musee"],
                &with_password[..],
            ]
            .concat(),
        )?
        .success()?;
    let stderr = place.run(&[&["user", "add", login], &with_password[..]].concat())?.failure(1)?;
    assert!(stderr.contains("is taken"), "{stderr}");
    let users = place.run(&["user", "list", "--json"])?.json()?;
    let user = find(&users, login);
    assert_eq!(
        (&user["role"], &user["institutions"][0], &user["disabled"]),
        (&"lead".into(), &"musee".into(), &false.into())
    );
    assert_ne!(user["pseudonym"], login);

    let short = place.file("short", "court")?.display().to_string();
    let stderr = place.run(&["user", "password", login, "--password-file", &short])?.failure(1)?;
    assert!(stderr.contains("too short") && !stderr.contains("court "), "{stderr}");
    let stderr = place
        .run(&["user", "password", "personne", "--password-file", &password])?
        .failure(1)?;
    assert!(stderr.contains("there is no user `personne`"), "{stderr}");
    let stderr = place.run(&["user", "password", login])?.failure(1)?;
    assert!(stderr.contains("--password-file"), "{stderr}");

    place.run(&["user", "remove", login])?.success()?;
    assert_eq!(find(&place.run(&["user", "list", "--json"])?.json()?, login)["disabled"], true);
    assert!(place.run(&["user", "list"])?.success()?.contains("removed"));
    place.run(&["user", "restore", login])?.success()?;
    assert_eq!(find(&place.run(&["user", "list", "--json"])?.json()?, login)["disabled"], false);
    Ok(())
}

fn find<'a>(users: &'a Value, login: &str) -> &'a Value {
    users
        .as_array()
        .and_then(|users| users.iter().find(|user| user["login"] == login))
        .unwrap_or(&Value::Null)
}

#[test]
fn a_data_directory_that_is_not_there_is_not_made_to_show_nothing() -> anyhow::Result<()> {
    let place = Place::new()?;
    for command in [
        vec!["user", "list"],
        vec!["dead-letters", "list"],
        vec!["dead-letters", "replay", "--all"],
    ] {
        let stderr = place.run(&command)?.failure(1)?;
        assert!(stderr.contains("there is no data directory"), "{command:?}: {stderr}");
        assert!(!place.data().exists());
    }
    Ok(())
}

#[test]
fn the_endpoint_of_commands_wants_the_token() -> anyhow::Result<()> {
    let place = Place::new()?;
    let process = place.up()?;
    let address = process.address()?;
    let body = r#"{"call":"user-list"}"#;
    let ask = |authorization: &str| {
        let request = format!(
            "POST /control HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        exchange(address, &request)
    };
    assert_eq!(ask("")?.0, 401);
    assert_eq!(ask("authorization: Bearer \r\n")?.0, 401);
    assert_eq!(ask(&format!("authorization: Bearer {}\r\n", "0".repeat(64)))?.0, 401);
    let token = std::fs::read_to_string(place.data().join("instance.token"))?;
    assert_eq!(ask(&format!("authorization: Bearer {token}\r\n"))?.0, 200);
    assert!(!process.log().contains(&token));
    process.stop()
}

#[test]
fn the_doctor_finds_what_is_wrong() -> anyhow::Result<()> {
    let place = Place::new()?;
    let healthy = place.run(&["doctor", "--json"])?;
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
    let found = healthy.json()?;
    let names: Vec<&str> = found["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|check| check["name"].as_str())
        .collect();
    let expected = [
        "configuration",
        "policies and accounts",
        "secrets",
        "data directory",
        "free disk",
        "rules",
        "model",
        "onnx runtime",
        "bus",
        "database",
        "port",
    ];
    assert_eq!(names, expected);

    let process = place.up()?;
    let running = place.run(&["doctor"])?.success()?;
    assert!(running.contains("is ready"), "{running}");
    process.stop()?;

    let config = place.file("wrong.toml", "[data]\ndir = \"/proc/self/x\"\n[classifier]\nmodel = \"/nowhere\"\nrules = \"/nowhere\"\n[keys]\nseal = { file = \"/nowhere\" }\n")?;
    let ill = crate::support::vigie(&["doctor", "--config", &config.display().to_string()], "")?;
    for wrong in ["WRONG data directory", "WRONG rules", "WRONG model", "WRONG secrets", "WRONG bus"] {
        assert!(ill.stdout.contains(wrong), "{wrong}: {}", ill.stdout);
    }
    assert!(ill.failure(1)?.contains("problems"));
    Ok(())
}

#[test]
fn imports_through_the_process_and_without_it() -> anyhow::Result<()> {
    let place = Place::new()?;
    let csv = "platform;account_id;post_id;comment_id;created_at;text\n\
               generic;musee;p;c1;2026-11-01T12:00:00Z;Très belle exposition\n\
               generic;musee;p;c2;hier;Bonjour\n\
               generic;musee;p;c3;2026-11-01T12:00:00Z;\"Deux\nlignes ; et =cmd()\"\n";
    let file = place.file("comments.csv", csv)?.display().to_string();
    let finished = place.run(&["import", &file, "--account", "musee", "--json"])?;
    assert_eq!(finished.code, Some(1), "a bad row: {finished:?}");
    let first = finished.json()?;
    assert_eq!(
        (&first["imported"], &first["rejected"][0]["line"]),
        (&2.into(), &3.into()),
        "{first}"
    );

    let process = place.up()?;
    eventually(|| {
        process
            .metric("vigie_classifier_verdicts_total")
            .is_ok_and(|verdicts| verdicts >= 2.0)
    })?;
    let finished = place.run(&["import", &file, "--account", "musee"])?;
    assert!(finished.stderr.contains("line 3: "), "{finished:?}");
    assert!(!finished.stderr.contains("Bonjour"), "{finished:?}");
    let rows: String = (0..3)
        .map(|n| format!("{{\"platform\":\"generic\",\"account_id\":\"musee\",\"post_id\":\"p\",\"comment_id\":\"d{n}\",\"created_at\":\"2026-11-01T12:00:00Z\",\"text\":\"Merci {n}\"}}\n"))
        .collect();
    let file = place.file("more.jsonl", rows)?.display().to_string();
    let imported = place.run(&["import", &file, "--account", "musee", "--json"])?.json()?;
    assert_eq!(imported["imported"], 3, "{imported}");
    let stderr = place.run(&["import", &file, "--account", "louvre"])?.failure(1)?;
    assert!(stderr.contains("louvre"), "{stderr}");
    eventually(|| {
        process
            .metric("vigie_classifier_verdicts_total")
            .is_ok_and(|verdicts| verdicts >= 3.0)
    })?;

    let out = place.path().join("edition");
    place
        .run(&[
            "barometer",
            "build",
            "--from",
            "2026-11-01",
            "--to",
            "2026-11-02",
            "--out",
            &out.display().to_string(),
        ])?
        .success()?;
    assert!(out.join("index.html").exists() && out.join("figures.csv").exists());
    crate::support::vigie(&["barometer", "verify", &out.display().to_string()], "")?.success()?;
    process.stop()?;
    std::fs::write(out.join("figures.csv"), "forged")?;
    let forged = crate::support::vigie(&["barometer", "verify", &out.display().to_string()], "")?;
    assert!(forged.stdout.contains("figures.csv"), "{forged:?}");
    forged.failure(1)?;
    assert!(place.run(&["archive", "rebuild"])?.success()?.contains("threat reports"));
    Ok(())
}

#[test]
fn a_load_run_measures_and_holds_to_its_limits() -> anyhow::Result<()> {
    let place = Place::new()?;
    let measured = place.run(&["load", "--comments", "120", "--in-flight", "16", "--rate-min", "1", "--json"])?;
    assert_eq!(measured.code, Some(0), "{measured:?}");
    let measured = measured.json()?;
    assert_eq!(measured["comments"], 120);
    assert!(measured["queued"].as_u64().is_some_and(|queued| queued > 0), "{measured}");
    assert!(
        measured["queue_ms"]["p99"].as_i64() >= measured["queue_ms"]["p50"].as_i64(),
        "{measured}"
    );
    assert!(!place.data().exists(), "the run leaves nothing behind");
    let paced = place.run(&["load", "--comments", "40", "--pace", "80", "--json"])?.json()?;
    assert!(
        paced["seconds"].as_f64().is_some_and(|seconds| seconds > 0.4),
        "40 comments at 80 per second: {paced}"
    );
    let missed = place.run(&["load", "--comments", "20", "--rate-min", "1000000", "--memory-max-mib", "1"])?;
    let stderr = missed.failure(1)?;
    assert!(stderr.contains("comments/s") && stderr.contains("MiB of memory"), "{stderr}");
    let too_fast = place.run(&["load", "--comments", "200", "--in-flight", "1", "--pace", "100000"])?;
    assert!(too_fast.failure(1)?.contains("missed the pace"));
    Ok(())
}
