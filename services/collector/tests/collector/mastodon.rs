//! Against a real server of the Mastodon API (`tests/peers/mastodon/run`): threads without a token, mentions with one, edits,
//! deletions, faults of the server, crashes, a dead token, a report.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::support::{Running, account, config, histories, metric, published, runtime, secret, until};
use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use vigie_domain::{Action, Platform};
use vigie_platforms::{ConnectorAccount, Subject};
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::testing::peer;

/// The faults of the server are everybody's: one test at a time.
static TURN: Mutex<()> = Mutex::const_new(());

struct Server {
    url: String,
    http: reqwest::Client,
}

impl Server {
    async fn open() -> anyhow::Result<Option<Self>> {
        let Some(url) = peer("MASTODON_URL") else { return Ok(None) };
        let server = Self {
            url,
            http: reqwest::Client::builder().no_proxy().build()?,
        };
        server.clear_faults().await?;
        Ok(Some(server))
    }

    async fn send(&self, method: reqwest::Method, path: &str, token: &str, body: Value) -> anyhow::Result<Value> {
        let token = peer(token).context("the tokens come with the URL")?;
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(token)
            .json(&body);
        let response = request.send().await?;
        anyhow::ensure!(response.status().is_success(), "{path}: {}", response.status());
        Ok(response.json().await?)
    }

    /// Gives the id.
    async fn post(&self, token: &str, text: &str, parent: Option<&str>) -> anyhow::Result<String> {
        let mut body = json!({ "status": text, "visibility": "public", "language": "fr" });
        if let Some(parent) = parent {
            body["in_reply_to_id"] = json!(parent);
        }
        let status = self.send(reqwest::Method::POST, "/api/v1/statuses", token, body).await?;
        Ok(status["id"].as_str().context("a status has an id")?.to_owned())
    }

    async fn fault(&self, path: &str, effect: Value, count: u32) -> anyhow::Result<()> {
        let rule = json!({ "match": { "path_regex": path }, "effect": effect, "count": count });
        self.http
            .post(format!("{}/api/v1/_mock/faults", self.url))
            .json(&rule)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    async fn clear_faults(&self) -> anyhow::Result<()> {
        self.http
            .delete(format!("{}/api/v1/_mock/faults", self.url))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    async fn faults_left(&self) -> anyhow::Result<usize> {
        let rules: Vec<Value> = self
            .http
            .get(format!("{}/api/v1/_mock/faults", self.url))
            .send()
            .await?
            .json()
            .await?;
        Ok(rules.len())
    }

    fn account(&self, id: &str) -> AccountConfig {
        let mut account = account(id, "mastodon");
        account.base_url = self.url.parse().ok();
        account.handle = Some("@ministere_culture".to_owned());
        account.watch = true;
        account
    }

    fn with_token(&self, id: &str, dir: &Path, token: &str) -> anyhow::Result<AccountConfig> {
        let mut account = self.account(id);
        account.token = Some(secret(dir, id, token)?);
        Ok(account)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_thread_is_followed_through_edits_and_deletions() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let Some(server) = Server::open().await? else { return Ok(()) };
    let post = server.post("MASTODON_TOKEN_MINISTERE", "Le musée rouvre", None).await?;
    let bravo = server
        .post(
            "MASTODON_TOKEN_CITOYEN",
            "@ministere_culture Bravo <script>alert(1)</script> & merci",
            Some(&post),
        )
        .await?;
    let nul = server.post("MASTODON_TOKEN_TROLL", "@citoyen Nul", Some(&bravo)).await?;
    let dir = tempfile::tempdir()?;
    let runtime = runtime(dir.path(), &[server.account("public")]).await?;
    let running = Running::start(config(), runtime.clone()).await?;
    let bus = runtime.bus.as_ref();
    let both = || async {
        let all = histories(bus, "public").await?;
        Ok(all.contains_key(&bravo) && all.contains_key(&nul))
    };
    until("both replies are there", both).await?;
    let comments = published(bus).await?;
    let of = |id: &str| {
        comments
            .iter()
            .find(|comment| comment.native_id.as_str() == id)
            .context("published")
    };
    assert!(
        of(&bravo)?.text.contains("<script>alert(1)</script> & merci"),
        "{}",
        of(&bravo)?.text
    );
    assert_eq!(
        (of(&nul)?.post.as_str(), of(&nul)?.parent.as_ref().map(ToString::to_string)),
        (post.as_str(), Some(bravo.clone()))
    );
    assert_eq!(of(&nul)?.context.post_text.as_deref(), Some("Le musée rouvre"));
    assert!(of(&nul)?.author.is_some() && of(&nul)?.permalink.is_some());

    server
        .send(
            reqwest::Method::PUT,
            &format!("/api/v1/statuses/{nul}"),
            "MASTODON_TOKEN_TROLL",
            json!({ "status": "@citoyen Nul, et pire" }),
        )
        .await?;
    until("the edit is there", || async {
        Ok(histories(bus, "public").await?[&nul].len() == 2)
    })
    .await?;
    server
        .send(
            reqwest::Method::DELETE,
            &format!("/api/v1/statuses/{bravo}"),
            "MASTODON_TOKEN_CITOYEN",
            Value::Null,
        )
        .await?;
    until("the deletion is there", || async {
        Ok(histories(bus, "public").await?[&bravo].last().is_some_and(|last| last == "†"))
    })
    .await?;
    running.stop().await?;
    let all = histories(bus, "public").await?;
    assert_eq!(all[&nul].len(), 2, "{:?}", all[&nul]);
    assert_eq!(all[&bravo].len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mentions_arrive_whatever_the_server_does_and_whenever_the_process_dies() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let Some(server) = Server::open().await? else { return Ok(()) };
    let token = peer("MASTODON_TOKEN_MINISTERE").context("the tokens come with the URL")?;
    let post = server.post("MASTODON_TOKEN_MINISTERE", "Les journées du patrimoine", None).await?;
    let dir = tempfile::tempdir()?;
    let accounts = [
        server.with_token("watched", dir.path(), &token)?,
        server.with_token("dead", dir.path(), "tok_of_nobody")?,
    ];
    let runtime = runtime(dir.path(), &accounts).await?;
    let running = Running::start(config(), runtime.clone()).await?;
    let bus = runtime.bus.as_ref();
    let mut expected = Vec::new();
    for text in ["un", "deux"] {
        expected.push(
            server
                .post("MASTODON_TOKEN_CITOYEN", &format!("@ministere_culture {text}"), Some(&post))
                .await?,
        );
    }
    let arrived = || async {
        let all = histories(bus, "watched").await?;
        Ok(expected.iter().all(|id| all.contains_key(id)))
    };
    until("the first mentions are there", arrived).await?;
    assert!(
        (metric(&running.runtime, "vigie_collector_paused", "dead") - 1.0).abs() < 0.1,
        "a token of nobody's is dead"
    );
    assert!(metric(&running.runtime, "vigie_collector_paused", "watched").abs() < 0.1);
    running.crash().await;

    // While nobody reads: more mentions than a page, and a server in trouble.
    for index in 0..90 {
        let author = if index % 2 == 0 {
            "MASTODON_TOKEN_CITOYEN"
        } else {
            "MASTODON_TOKEN_TROLL"
        };
        expected.push(
            server
                .post(author, &format!("@ministere_culture numéro {index}"), Some(&post))
                .await?,
        );
    }
    let api = "^/api/v1/(notifications|statuses|accounts)";
    let reset = jiff::Timestamp::now().as_second() + 2;
    server
        .fault(
            api,
            json!({ "type": "ratelimit", "headers": { "Retry-After": "2", "X-RateLimit-Reset": reset.to_string() } }),
            1,
        )
        .await?;
    server.fault(api, json!({ "type": "status", "status": 500 }), 2).await?;
    server
        .fault(
            api,
            json!({ "type": "status", "status": 503, "headers": { "Retry-After": "1" } }),
            1,
        )
        .await?;
    server.fault(api, json!({ "type": "malformed" }), 1).await?;
    server.fault(api, json!({ "type": "malformed", "truncate": false }), 1).await?;
    server.fault(api, json!({ "type": "latency", "delay_ms": 700 }), 3).await?;
    server.fault(api, json!({ "type": "timeout", "delay_ms": 30_000 }), 1).await?;
    // Dies a few times in the middle of it.
    let mut seen = BTreeMap::new();
    let mut see = |running: &Running| {
        for kind in ["throttled", "transient", "malformed"] {
            *seen.entry(kind).or_insert(0.0) += metric(&running.runtime, "vigie_collector_errors_total", kind);
        }
    };
    for life in 0..6_u64 {
        let running = Running::start(config(), runtime.clone()).await?;
        tokio::time::sleep(Duration::from_millis(500 + 370 * life)).await;
        see(&running);
        running.crash().await;
    }
    let running = Running::start(config(), runtime.clone()).await?;
    let arrived = || async {
        let all = histories(bus, "watched").await?;
        Ok(expected.iter().all(|id| all.contains_key(id)))
    };
    until("every mention is there", arrived).await?;
    until("the server has had all its faults", || async {
        Ok(server.faults_left().await? == 0)
    })
    .await?;
    see(&running);
    running.stop().await?;
    let all = histories(bus, "watched").await?;
    assert!(expected.iter().all(|id| all[id].len() == 1), "one revision each, whatever happened");
    assert!(seen.values().all(|count| *count >= 1.0), "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn a_reply_is_reported_once_and_read_back() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let Some(server) = Server::open().await? else { return Ok(()) };
    let post = server.post("MASTODON_TOKEN_MINISTERE", "Un post", None).await?;
    let reply = server
        .post("MASTODON_TOKEN_TROLL", "@ministere_culture Une insulte", Some(&post))
        .await?;
    let author = server
        .send(
            reqwest::Method::GET,
            "/api/v1/accounts/lookup?acct=troll",
            "MASTODON_TOKEN_MINISTERE",
            Value::Null,
        )
        .await?;
    let connector = ConnectorAccount {
        platform: Platform::Mastodon,
        base_url: server.url.parse().ok(),
        handle: Some("ministere_culture".to_owned()),
        token: peer("MASTODON_TOKEN_MINISTERE"),
        login: None,
        labeler_did: None,
    };
    let actor = vigie_platforms::actor(&connector)?.context("an account with a token can act")?;
    let subject = Subject {
        post,
        native_id: reply,
        author_native: author["id"].as_str().map(str::to_owned),
        comment: "Injure (essai)".to_owned(),
        idempotency_key: "k".to_owned(),
    };
    assert_eq!(
        actor.confirm(Action::Report, &subject).await?,
        vigie_platforms::Confirmation::Absent
    );
    let first = actor.act(Action::Report, &subject).await?;
    assert_eq!(actor.act(Action::Report, &subject).await?, first, "not twice");
    assert_eq!(actor.confirm(Action::Report, &subject).await?, vigie_platforms::Confirmation::Holds);
    assert!(actor.act(Action::Hide, &subject).await.is_err_and(|error| !error.is_transient()));
    Ok(())
}
