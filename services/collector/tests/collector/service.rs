//! The service on the embedded bus: webhook, import, replay.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Running, account, config, histories, metric, published, runtime, secret, until};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use vigie_bus::{Bus, BusError, Consumer, Lag, Record};
use vigie_collector::import::{Format, Importer, Outcome, Row, RowError, rows};
use vigie_collector::{Config, ReplayConfig, WebhookConfig};
use vigie_domain::{AccountId, Topic};
use vigie_platforms::webhook::sign;
use vigie_runtime::Runtime;
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::units::{Interval, Size};

const SECRET: &str = "un secret";

fn accounts(dir: &Path) -> anyhow::Result<Vec<AccountConfig>> {
    let mut signed = account("signed", "generic");
    signed.webhook_secrets = vec![secret(dir, "new", "un nouveau secret")?, secret(dir, "old", SECRET)?];
    Ok(vec![signed, account("unsigned", "generic")])
}

fn row(id: &str, text: &str) -> Value {
    json!({ "platform": "mastodon", "account_id": "a", "post_id": "p", "comment_id": id, "created_at": Timestamp::now().to_string(), "text": text, "author_id": "jeanne" })
}

/// A request, signed now with [`SECRET`].
fn request(account: &str, body: impl Into<Vec<u8>>) -> Request<Body> {
    let body = body.into();
    let signature = sign(SECRET.as_bytes(), &body, Timestamp::now());
    Request::post(format!("/webhooks/generic/{account}"))
        .header("X-Signature-256", signature)
        .body(Body::from(body))
        .expect("a request")
}

async fn send(running: &Running, request: Request<Body>) -> anyhow::Result<(StatusCode, Value)> {
    let response = running.routes.clone().oneshot(request).await?;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
    Ok((status, serde_json::from_slice(&body)?))
}

#[tokio::test]
async fn a_signed_comment_is_on_the_bus_when_202_is_answered() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let running = Running::start(config(), runtime(dir.path(), &accounts(dir.path())?).await?).await?;
    let one = row("1", "Bonjour").to_string();
    assert_eq!(
        send(&running, request("signed", one.clone())).await?,
        (StatusCode::ACCEPTED, json!({ "new": 1, "known": 0, "rejected": [] }))
    );
    let comments = published(running.runtime.bus.as_ref()).await?;
    assert_eq!(
        (comments.len(), comments[0].text.as_str(), comments[0].platform.as_str()),
        (1, "Bonjour", "mastodon")
    );
    assert_eq!(
        send(&running, request("signed", one)).await?.1,
        json!({ "new": 0, "known": 1, "rejected": [] })
    );
    // Several: one after the other, in an array, over several lines; a bad one is named and stops no other.
    let body = format!(
        "{}\n[{},{}]\n{{\n\"platform\":\"x\"}}",
        row("2", "deux"),
        row("3", "trois"),
        row("4", "<script>=cmd()")
    );
    let (status, answer) = send(&running, request("signed", body)).await?;
    assert_eq!(
        (status, &answer["new"], &answer["rejected"]),
        (
            StatusCode::ACCEPTED,
            &json!(3),
            &json!([{ "line": 4, "reason": "`text` is missing" }])
        )
    );
    // An edit, then a deletion.
    let now = Timestamp::now();
    for change in [("edited_at", "après"), ("deleted_at", "")] {
        let mut changed = row("2", change.1);
        changed[change.0] = json!(now.to_string());
        assert_eq!(send(&running, request("signed", changed.to_string())).await?.1["new"], 1);
    }
    assert_eq!(
        histories(running.runtime.bus.as_ref(), "signed").await?["2"],
        ["deux", "après", "†"]
    );
    assert!((metric(&running.runtime, "vigie_collector_comments_total", "mastodon") - 6.0).abs() < 0.1);
    assert!((metric(&running.runtime, "vigie_collector_webhook_requests_total", "202") - 5.0).abs() < 0.1);
    running.stop().await
}

#[tokio::test]
async fn what_is_not_signed_now_or_makes_no_sense_is_refused() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let config = Config {
        webhook: WebhookConfig {
            body_max: Size(2048),
            comments_max: 3,
            timeout: Interval::milliseconds(500),
            ..WebhookConfig::default()
        },
        ..config()
    };
    let running = Running::start(config, runtime(dir.path(), &accounts(dir.path())?).await?).await?;
    let good = row("1", "Bonjour").to_string();
    let signed_at = |seconds: i64| {
        let at = Timestamp::now() + SignedDuration::from_secs(seconds);
        Request::post("/webhooks/generic/signed")
            .header("X-Signature-256", sign(SECRET.as_bytes(), good.as_bytes(), at))
            .body(Body::from(good.clone()))
            .expect("a request")
    };
    let mut tampered = request("signed", good.clone());
    *tampered.body_mut() = Body::from(good.replace("Bonjour", "Bonsoir"));
    let mut unsigned = request("signed", good.clone());
    unsigned.headers_mut().remove("X-Signature-256");
    let keyed = |key: &str, body: &str| {
        let mut request = request("signed", body);
        request.headers_mut().insert("Idempotency-Key", key.parse().expect("a header"));
        request
    };
    let mut endless = request("signed", "");
    *endless.body_mut() = Body::from_stream(futures::stream::repeat_with(|| Ok::<_, std::io::Error>(" ".repeat(100))));
    let mut slow = request("signed", "");
    *slow.body_mut() = Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>());
    let cases = [
        ("tampered", tampered, 401),
        ("unsigned", unsigned, 401),
        ("too old", signed_at(-310), 401),
        ("too new", signed_at(310), 401),
        ("an account without secrets", request("unsigned", good.clone()), 401),
        ("no such account", request("nobody", good.clone()), 401),
        ("an id that is none", request("%00", good.clone()), 401),
        ("not JSON", request("signed", "{"), 400),
        ("nothing", request("signed", ""), 400),
        ("an empty array", request("signed", "[]"), 400),
        ("not an object", request("signed", "17"), 400),
        ("not UTF-8", request("signed", b"{\"text\":\"\xff\"}".to_vec()), 400),
        ("no comment", request("signed", "{\"ping\":true}"), 400),
        (
            "a far future",
            request("signed", good.replace("\"created_at\":\"2", "\"created_at\":\"9")),
            400,
        ),
        ("an empty key", keyed("", &good), 400),
        ("a long key", keyed(&"k".repeat(256), &good), 400),
        ("too many comments", request("signed", "{}".repeat(4)), 413),
        ("too large", request("signed", row("1", &"x".repeat(3000)).to_string()), 413),
        ("without end", endless, 413),
        ("slow", slow, 408),
    ];
    for (name, request, expected) in cases {
        let (status, answer) = send(&running, request).await?;
        assert_eq!(status.as_u16(), expected, "{name}: {answer}");
        let error = answer["error"].as_str().unwrap_or_default();
        assert!((1..300).contains(&error.len()) && !error.contains("Bonjour"), "{name}: {answer}");
    }
    assert!(published(running.runtime.bus.as_ref()).await?.is_empty());
    // The limits of the time, and the secret that is being replaced, are good.
    assert_eq!(send(&running, signed_at(-290)).await?.0, StatusCode::ACCEPTED);
    assert_eq!(send(&running, signed_at(290)).await?.0, StatusCode::ACCEPTED);
    let new = sign("un nouveau secret".as_bytes(), good.as_bytes(), Timestamp::now());
    let request = Request::post("/webhooks/generic/signed")
        .header("x-signature-256", new)
        .body(Body::from(good.clone()))?;
    assert_eq!(send(&running, request).await?.0, StatusCode::ACCEPTED);
    running.stop().await
}

#[tokio::test]
async fn a_repeated_request_is_answered_and_does_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let running = Running::start(config(), runtime(dir.path(), &accounts(dir.path())?).await?).await?;
    let keyed = |body: &str| {
        let mut request = request("signed", body);
        request.headers_mut().insert("Idempotency-Key", "k1".parse().expect("a header"));
        request
    };
    let one = row("1", "Bonjour").to_string();
    assert_eq!(send(&running, keyed(&one)).await?.1["new"], 1);
    assert_eq!(
        send(&running, keyed(&one)).await?,
        (StatusCode::ACCEPTED, json!({ "repeated": true }))
    );
    assert_eq!(
        send(&running, keyed(&row("2", "autre").to_string())).await?.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(published(running.runtime.bus.as_ref()).await?.len(), 1);
    running.stop().await
}

/// A bus that is away.
struct Away(Arc<dyn Bus>);

#[async_trait]
impl Bus for Away {
    async fn publish(&self, _: Topic, _: Vec<Record>) -> Result<(), BusError> {
        Err(BusError::Transient("away".to_owned()))
    }
    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Consumer>, BusError> {
        self.0.subscribe(group, topics).await
    }
    async fn lag(&self, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError> {
        self.0.lag(group, topics).await
    }
    async fn ping(&self) -> Result<(), BusError> {
        self.0.ping().await
    }
    async fn close(&self) -> Result<(), BusError> {
        self.0.close().await
    }
}

#[tokio::test]
async fn without_the_bus_the_sender_is_told_to_come_again() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut runtime = runtime(dir.path(), &accounts(dir.path())?).await?;
    runtime.bus = Arc::new(Away(Arc::clone(&runtime.bus)));
    let running = Running::start(config(), runtime).await?;
    let mut keyed = request("signed", row("1", "Bonjour").to_string());
    keyed.headers_mut().insert("Idempotency-Key", "k1".parse()?);
    let response = running.routes.clone().oneshot(keyed).await?;
    assert_eq!(
        (response.status(), response.headers().contains_key("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, true)
    );
    assert!((metric(&running.runtime, "vigie_collector_errors_total", "bus") - 1.0).abs() < 0.1);
    running.stop().await?;
    // After that the same request is not known as answered.
    let running = Running::start(config(), crate::support::runtime(dir.path(), &accounts(dir.path())?).await?).await?;
    let mut keyed = request("signed", row("1", "Bonjour").to_string());
    keyed.headers_mut().insert("Idempotency-Key", "k1".parse()?);
    assert_eq!(send(&running, keyed).await?.1["new"], 1);
    running.stop().await
}

async fn import(runtime: &Runtime, content: &str, format: Format) -> anyhow::Result<(Outcome, Vec<RowError>)> {
    let importer = Importer::open(runtime).await?;
    let account = AccountId::new("unsigned")?;
    let (mut all, mut unreadable) = (Outcome::default(), Vec::new());
    let mut batch: Vec<(u64, Row)> = Vec::new();
    for row in rows(std::io::Cursor::new(content.to_owned().into_bytes()), format) {
        match row {
            Ok(row) => batch.push(row),
            Err(error) => unreadable.push(error),
        }
    }
    for chunk in batch.chunks(100) {
        let outcome = importer.accept(&account, chunk.to_vec()).await?;
        all.new += outcome.new;
        all.known += outcome.known;
        all.rejected.extend(outcome.rejected);
    }
    Ok((all, unreadable))
}

#[tokio::test]
async fn a_rerun_of_an_import_is_a_no_op_beside_a_running_collector_and_after_a_restart() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let running = Running::start(config(), runtime(dir.path(), &accounts(dir.path())?).await?).await?;
    let now = Timestamp::now();
    let mut content: String = (0..250).map(|index| format!("{}\n", row(&index.to_string(), "Bonjour"))).collect();
    content += "{\"platform\":\n";
    content += &format!("{}\n", row("far", "Bonjour")).replace("\"created_at\":\"2", "\"created_at\":\"0");
    content += &format!("{}\n{}\n", row("1", "Bonjour"), row("1", "autre texte"));
    let mut edit = row("2", "après");
    edit["edited_at"] = json!(Timestamp::now().to_string());
    let mut deletion = row("3", "");
    deletion["deleted_at"] = json!(Timestamp::now().to_string());
    content += &format!("{edit}\n{deletion}\n");
    let (first, unreadable) = import(&running.runtime, &content, Format::Jsonl).await?;
    assert_eq!((first.new, first.known, unreadable.len()), (253, 1, 1));
    assert_eq!(
        first.rejected,
        [RowError {
            line: 252,
            reason: "`created_at` lies before 1995".to_owned()
        }]
    );
    assert_eq!(unreadable[0].line, 251);
    let before = published(running.runtime.bus.as_ref()).await?.len();
    let (again, _) = import(&running.runtime, &content, Format::Jsonl).await?;
    assert_eq!((again.new, again.known, again.rejected.len()), (0, 254, 1));
    running.stop().await?;
    let runtime = runtime(dir.path(), &accounts(dir.path())?).await?;
    let (later, _) = import(&runtime, &content, Format::Jsonl).await?;
    assert_eq!((later.new, later.known), (0, 254));
    assert_eq!(published(runtime.bus.as_ref()).await?.len(), before);
    let histories = histories(runtime.bus.as_ref(), "unsigned").await?;
    assert_eq!(
        (histories["1"].join(" "), histories["2"].join(" "), histories["3"].join(" ")),
        ("Bonjour autre texte".into(), "Bonjour après".into(), "Bonjour †".into())
    );
    // The same comments as CSV are the same comments.
    let csv: String = (0..250).map(|index| format!("mastodon;a;p;{index};{now};Bonjour\n")).collect();
    let (csv, _) = import(
        &runtime,
        &format!("\u{feff}platform;account_id;post_id;comment_id;created_at;text\n{csv}"),
        Format::Csv,
    )
    .await?;
    assert_eq!((csv.new, csv.known, csv.rejected), (0, 250, vec![]));
    let importer = Importer::open(&runtime).await?;
    let error = importer
        .accept(&AccountId::new("nobody")?, Vec::new())
        .await
        .expect_err("no such account");
    assert!(error.to_string().contains("[[accounts]]"), "{error}");
    Ok(())
}

fn replay(file: &Path, interval: Interval, loops: bool) -> Config {
    let replay = ReplayConfig {
        file: Some(file.to_owned()),
        account: "unsigned".to_owned(),
        interval,
        spread: None,
        loops,
    };
    Config { replay, ..config() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_goes_on_after_crashes_and_repeats_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("comments.jsonl");
    let mut content = std::fs::File::create(&file)?;
    let old = "2020-01-01T00:00:00Z";
    for index in 0..100 {
        let mut row = row(&index.to_string(), &format!("Bonjour {index}"));
        row["created_at"] = json!(old);
        writeln!(content, "{row}")?;
        if index % 10 == 0 {
            row["edited_at"] = json!("2020-01-02T00:00:00Z");
            row["text"] = json!("après");
            writeln!(content, "{row}")?;
        }
        if index % 25 == 0 {
            row["deleted_at"] = json!("2020-01-03T00:00:00Z");
            writeln!(content, "{row}")?;
        }
    }
    writeln!(content, "{{ not a row")?;
    let config = replay(&file, Interval::milliseconds(2), false);
    let runtime = runtime(dir.path(), &accounts(dir.path())?).await?;
    let (mut lives, mut fed) = (0, 0.0);
    while fed < 60.0 {
        lives += 1;
        let running = Running::start(config.clone(), runtime.clone()).await?;
        tokio::time::sleep(Duration::from_millis(100 + lives * 7 % 50)).await;
        fed += metric(&running.runtime, "vigie_collector_replayed_total", "");
        assert!(
            (metric(&running.runtime, "vigie_collector_rejected_rows_total", "generic") - 1.0).abs() < 0.1,
            "the row that is none"
        );
        running.crash().await;
        assert!(lives < 200, "the replay does not go on");
    }
    let started = Timestamp::now();
    let running = Running::start(config, runtime.clone()).await?;
    until("all is played", || async {
        Ok(histories(runtime.bus.as_ref(), "unsigned")
            .await?
            .values()
            .map(Vec::len)
            .sum::<usize>()
            == 114)
    })
    .await?;
    running.stop().await?;
    assert!(lives > 1, "no crash: the test proves nothing");
    let comments = published(runtime.bus.as_ref()).await?;
    let mut revisions: Vec<_> = comments.iter().map(|comment| comment.revision.as_str()).collect();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 114, "each revision has one id, also across a crash");
    // As if it arrived now.
    assert!(
        comments
            .iter()
            .all(|comment| started.duration_since(comment.created_at).as_secs() < 60)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_loops_gives_other_comments_each_time() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("comments.jsonl");
    let mut answer = row("2", "deux");
    answer["parent_id"] = json!("1");
    std::fs::write(&file, format!("{}\n{answer}\n", row("1", "un")))?;
    let runtime = runtime(dir.path(), &accounts(dir.path())?).await?;
    let running = Running::start(replay(&file, Interval::milliseconds(300), true), runtime.clone()).await?;
    until("three rounds are played", || async {
        Ok(histories(runtime.bus.as_ref(), "unsigned").await?.len() >= 6)
    })
    .await?;
    running.stop().await?;
    let comments = published(runtime.bus.as_ref()).await?;
    let of = |id: &str| comments.iter().find(|comment| comment.native_id.as_str() == id).expect("played");
    assert_eq!(of("2~1").parent.as_ref().map(ToString::to_string).as_deref(), Some("1~1"));
    assert_ne!(of("1").id, of("1~1").id);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_meant_is_one_clear_error() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let empty = dir.path().join("empty.jsonl");
    std::fs::write(&empty, "\n")?;
    let nowhere = ReplayConfig {
        file: Some(empty.clone()),
        account: "nobody".to_owned(),
        ..ReplayConfig::default()
    };
    let cases = [
        (
            replay(&dir.path().join("missing.jsonl"), Interval::seconds(1), false),
            "missing.jsonl",
        ),
        (replay(&empty, Interval::seconds(1), false), "holds no comment"),
        (
            Config {
                replay: nowhere,
                ..config()
            },
            "[collector.replay] account `nobody`",
        ),
        (
            Config {
                webhook: WebhookConfig {
                    comments_max: 0,
                    ..WebhookConfig::default()
                },
                ..config()
            },
            "comments_max",
        ),
    ];
    for (config, expected) in cases {
        let runtime = runtime(dir.path(), &accounts(dir.path())?).await?;
        let error = Running::start(config, runtime)
            .await
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn an_account_that_cannot_be_read_does_not_stop_the_start() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut broken = account("broken", "mastodon");
    broken.watch = true;
    let mut unread = account("unread", "facebook");
    unread.watch = true;
    let running = Running::start(config(), runtime(dir.path(), &[broken, unread]).await?).await?;
    assert!((metric(&running.runtime, "vigie_collector_paused", "broken") - 1.0).abs() < 0.1);
    assert!((metric(&running.runtime, "vigie_collector_errors_total", "permanent") - 1.0).abs() < 0.1);
    assert!(running.runtime.health.waiting().is_empty());
    running.stop().await
}
