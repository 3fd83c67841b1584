//! The whole way of a comment: in by import and by webhook, judged, decided by a person, acted on in dry-run, archived, counted in an
//! edition, visible in /metrics. And what an edit and a deletion upstream do to it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::Sha256;
use vigie_domain::Outcome;
use vigie_runtime::secret::SecretSource;
use vigie_tests::moderator::{Answer, Moderator};
use vigie_tests::process::{self, Process};
use vigie_tests::{comments, eventually, metrics, people};

use crate::VIGIE;

const WEBHOOK_SECRET: &str = "un secret de webhook pour les essais";
const PATIENCE: Duration = Duration::from_secs(60);

/// Names that dashboards and alerts are written against.
const CONTRACT: [&str; 9] = [
    "vigie_collector_comments_total",
    "vigie_classifier_verdicts_total",
    "vigie_classifier_latency_seconds",
    "vigie_review_queue_items",
    "vigie_review_decisions_total",
    "vigie_enforcer_actions_total",
    "vigie_archive_reports_total",
    "vigie_bus_lag",
    "vigie_dead_letters_total",
];

fn row(id: &str, text: &str, age: SignedDuration, more: Value) -> Value {
    let mut row = json!({
        "platform": "generic", "account_id": comments::ACCOUNT, "post_id": "p1", "comment_id": id,
        "created_at": Timestamp::now() - age, "text": text, "author_id": format!("author of {id}"),
    });
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row
}

fn jsonl(rows: &[Value]) -> String {
    rows.iter().fold(String::new(), |mut lines, row| {
        writeln!(lines, "{row}").expect("a String takes everything");
        lines
    })
}

async fn send_by_webhook(address: SocketAddr, row: &Value) -> anyhow::Result<reqwest::StatusCode> {
    let body = row.to_string();
    let at = Timestamp::now().as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes())?;
    mac.update(format!("{at}.{body}").as_bytes());
    let signature = format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()));
    let answer = reqwest::Client::new()
        .post(format!("http://{address}/webhooks/generic/{}", comments::ACCOUNT))
        .header("X-Signature-256", signature)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await?;
    Ok(answer.status())
}

/// Decides on everything that waits; escalates what the page calls urgent.
async fn work_off(person: &Moderator) -> anyhow::Result<usize> {
    let mut decided = 0;
    while let Some(hand) = person.next().await? {
        let urgent = person.page("/queue").await?.contains("badge danger");
        let outcome = if urgent { Outcome::Escalate } else { Outcome::Hide };
        let answer = person.decide(&hand, outcome).await?;
        ensure!(matches!(answer, Answer::Done(_)), "the decision was refused: {answer:?}");
        decided += 1;
        ensure!(decided < 1_000, "the queue does not end");
    }
    Ok(decided)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_goes_the_whole_way() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, config_file, log) = (dir.path().join("data"), dir.path().join("vigie.toml"), dir.path().join("vigie.log"));
    let mut config = process::config(&data)?;
    config.accounts[0].webhook_secrets.push(secret(dir.path())?);
    process::write_config(&config, &config_file)?;
    let config_path = config_file.to_str().context("a UTF-8 path")?;
    people::add(VIGIE, config_path, "camille", "lead")?;
    let mut running = Process::start(VIGIE, &["up", "--config", config_path], &data, &log).await?;
    let person = Moderator::sign_in(running.address, "camille", people::PASSWORD).await?;

    // In: 400 by import, twice; one by webhook.
    let file = dir.path().join("comments.jsonl");
    comments::write_jsonl(&file, 400)?;
    let import = || {
        process::command(
            VIGIE,
            &[
                "import",
                file.to_str().unwrap_or_default(),
                "--account",
                comments::ACCOUNT,
                "--config",
                config_path,
                "--json",
            ],
            b"",
        )
    };
    let said = import()?;
    ensure!(said.status.success(), "import: {}", said.err);
    let again = import()?;
    ensure!(again.status.success(), "the same import again: {}", again.err);
    let threat = row(
        "by-webhook",
        "Je vais te retrouver et te tuer, rendez-vous à la sortie du musée",
        SignedDuration::from_secs(60),
        json!({}),
    );
    ensure!(send_by_webhook(running.address, &threat).await? == 202);
    ensure!(
        send_by_webhook(running.address, &threat).await? == 202,
        "the same again is accepted, and known"
    );

    // Judged, once each.
    eventually("every comment has a verdict", PATIENCE, || async {
        let text = running.metrics().await?;
        Ok((metrics::sum(&text, "vigie_classifier_verdicts_total", &[]) >= 401.0).then_some(()))
    })
    .await?;
    metrics::settled(&[&running]).await?;
    let text = running.metrics().await?;
    let collected = metrics::sum(&text, "vigie_collector_comments_total", &["platform=\"generic\""]);
    ensure!((collected - 401.0).abs() < 0.5, "{collected} comments collected, 401 sent");
    ensure!(
        metrics::sum(&text, "vigie_review_queue_items", &["state=\"queued\""]) >= 10.0,
        "insults and threats wait in the queue"
    );

    // Decided, acted on in dry-run, archived.
    let decided = work_off(&person).await?;
    ensure!(decided >= 10, "{decided} decisions");
    metrics::settled(&[&running]).await?;
    let text = running.metrics().await?;
    ensure!(metrics::sum(&text, "vigie_review_queue_items", &["state=\"queued\""]) < 0.5);
    let confirmed = metrics::sum(&text, "vigie_enforcer_actions_total", &["state=\"confirmed\""]);
    ensure!(confirmed >= 5.0, "{confirmed} actions confirmed in dry-run");
    ensure!(metrics::sum(&text, "vigie_archive_reports_total", &[]) >= 1.0);
    let found = person.page("/archive?q=retrouve+sortie+musees").await?;
    ensure!(found.contains("rendez-vous"), "the archive finds other forms of the words");

    // An edit is judged anew and replaces its earlier revision in the queue; a deletion withdraws it.
    let insult = "Quel connard ce directeur, vraiment";
    for (id, state) in [("edited", "first"), ("deleted", "first")] {
        ensure!(
            send_by_webhook(
                running.address,
                &row(id, &format!("{insult} ({state} {id})"), SignedDuration::from_secs(600), json!({}))
            )
            .await?
                == 202
        );
    }
    metrics::settled(&[&running]).await?;
    let now = Timestamp::now();
    let edit = row(
        "edited",
        "Je retire ce que j'ai dit, pardon à toute l'équipe",
        SignedDuration::from_secs(600),
        json!({ "edited_at": now }),
    );
    let deletion = row("deleted", "", SignedDuration::from_secs(600), json!({ "deleted_at": now }));
    ensure!(send_by_webhook(running.address, &edit).await? == 202);
    ensure!(send_by_webhook(running.address, &deletion).await? == 202);
    metrics::settled(&[&running]).await?;
    let page = person.page("/queue").await?;
    ensure!(
        !page.contains("(first edited)") && !page.contains("(first deleted)"),
        "an earlier revision still waits"
    );

    // Counted: the edition says how many were received, with an interval, and recomputes to the same bytes.
    edition_is_right(config_path, dir.path(), now)?;
    let text = running.metrics().await?;
    for name in CONTRACT {
        ensure!(metrics::has(&text, name), "/metrics lacks {name}");
    }
    let status = running.stop(Duration::from_secs(30)).await?;
    ensure!(status.success(), "SIGTERM ended it with {status}");
    let log = std::fs::read_to_string(&log)?;
    for private in ["rendez-vous", "connard", WEBHOOK_SECRET, people::PASSWORD, "author of"] {
        ensure!(!log.contains(private), "the log holds what nobody may read there: {private}");
    }
    Ok(())
}

fn secret(dir: &Path) -> anyhow::Result<SecretSource> {
    let path = dir.join("webhook-secret");
    std::fs::write(&path, WEBHOOK_SECRET)?;
    Ok(SecretSource::File(path))
}

fn edition_is_right(config: &str, dir: &Path, now: Timestamp) -> anyhow::Result<()> {
    let day = now.to_zoned(jiff::tz::TimeZone::get("Europe/Paris")?).date();
    let (from, to) = (day.yesterday()?.to_string(), day.tomorrow()?.to_string());
    let out = dir.join("edition");
    let out = out.to_str().context("a UTF-8 path")?;
    let built = process::command(
        VIGIE,
        &["barometer", "build", "--from", &from, "--to", &to, "--out", out, "--config", config],
        b"",
    )?;
    ensure!(built.status.success(), "barometer build: {}", built.err);
    let figures = std::fs::read_to_string(Path::new(out).join("figures.csv"))?;
    ensure!(figures.lines().count() > 3, "the edition has figures: {figures}");
    let page = std::fs::read_to_string(Path::new(out).join("index.html"))?;
    ensure!(
        page.contains("<html lang=\"fr\"") && page.contains("95"),
        "the report is in French and gives 95 % intervals"
    );
    let verified = process::command(VIGIE, &["barometer", "verify", out], b"")?;
    ensure!(verified.status.success(), "barometer verify: {}", verified.err);
    let altered = figures.replacen('4', "5", 1);
    ensure!(altered != figures);
    std::fs::write(Path::new(out).join("figures.csv"), altered)?;
    let refused = process::command(VIGIE, &["barometer", "verify", out], b"")?;
    ensure!(!refused.status.success(), "an altered figure passes the verification");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_import_reports_bad_rows_and_takes_the_rest() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, config_file) = (dir.path().join("data"), dir.path().join("vigie.toml"));
    process::write_config(&process::config(&data)?, &config_file)?;
    let config_path = config_file.to_str().context("a UTF-8 path")?;
    let mut bytes = jsonl(&[row("good-1", "Bonjour", SignedDuration::from_secs(5), json!({}))]).into_bytes();
    bytes.extend(b"{\"platform\":\"generic\",\"account_id\":\n");
    bytes.extend(b"{\"platform\":\"generic\",\"text\":\"\xff\xfe\"}\n");
    bytes.extend(jsonl(&[row("far", "Bonjour", SignedDuration::from_hours(24 * 365 * 300), json!({}))]).into_bytes());
    bytes.extend(jsonl(&[row("good-2", "Merci", SignedDuration::from_secs(5), json!({}))]).into_bytes());
    let file = dir.path().join("mixed.jsonl");
    std::fs::write(&file, bytes)?;
    // Nothing runs on this data directory: the command opens it itself.
    let said = process::command(
        VIGIE,
        &[
            "import",
            file.to_str().unwrap_or_default(),
            "--account",
            comments::ACCOUNT,
            "--config",
            config_path,
            "--json",
        ],
        b"",
    )?;
    let report = format!("{}{}", said.out, said.err);
    for line in ["2", "3", "4"] {
        ensure!(
            report.contains(&format!("\"line\":{line}")) || report.contains(&format!("line {line}")),
            "no word on line {line}: {report}"
        );
    }
    let summary: Value = said
        .out
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|value| value.get("imported").is_some())
        .context("no summary in JSON")?;
    ensure!(summary["imported"] == 2, "{summary}");
    Ok(())
}
