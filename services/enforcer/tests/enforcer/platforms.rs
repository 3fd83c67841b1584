//! Real servers: a report on a server of the Mastodon API, hiding and a report on the AT Protocol network, each read back with
//! other requests than the enforcer's.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vigie_domain::{AccountId, Action, NativeCommentId, NewComment, Outcome, Platform, PostId, Verdict};
use vigie_enforcer::{Actors, Config, Enforcer, Step};
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::{Runtime, testing};

use crate::support::{ACCOUNT, account, decide, deliver, fast, finish, published, set_accounts, states, verdict};

const PATIENCE: Duration = Duration::from_secs(60);

/// The faults of the Mastodon server meet whoever comes first: its tests take turns.
static MASTODON: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// One request over plain HTTP 1.0, whose answer ends with the connection.
async fn ask(base: &str, method: &str, path: &str, headers: &[(&str, String)], body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
    let host = base.trim_start_matches("http://").trim_end_matches('/');
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = tokio::net::TcpStream::connect(host)
        .await
        .with_context(|| format!("could not reach {host}"))?;
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the headers")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

fn bearer(token: &str) -> Vec<(&'static str, String)> {
    vec![("Authorization", format!("Bearer {token}"))]
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    value[key]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("no `{key}` in {value}"))
}

/// A verdict on a comment that stands on `platform`.
fn on_platform(runtime: &Runtime, platform: Platform, post: &str, native: &str, author: &str) -> anyhow::Result<Verdict> {
    let sample = verdict(runtime, "x", 0);
    let comment = sample.comment.clone();
    let comment = NewComment {
        platform,
        account: comment.account,
        institution: comment.institution,
        post: PostId::new(post)?,
        native_id: NativeCommentId::new(native)?,
        parent: None,
        author: None,
        author_sealed: Some(runtime.keys.seal(author.as_bytes())),
        text: comment.text,
        context: comment.context,
        created_at: comment.created_at,
        edited_at: None,
        collected_at: comment.collected_at,
        deleted: None,
        permalink: None,
        language: None,
        evidence: None,
    }
    .build();
    Ok(Verdict { comment, ..sample })
}

async fn enforcer(dir: &std::path::Path, account: AccountConfig) -> anyhow::Result<(Runtime, Enforcer)> {
    let mut runtime = testing::runtime(dir).await?;
    set_accounts(&mut runtime, &[account])?;
    let enforcer = Enforcer::open(Config::default(), &runtime, Actors::of(&runtime.accounts)?, fast()).await?;
    Ok((runtime, enforcer))
}

fn secret(variable: &str) -> vigie_runtime::secret::SecretSource {
    vigie_runtime::secret::SecretSource::Env(variable.to_owned())
}

fn mastodon(url: &str) -> anyhow::Result<AccountConfig> {
    Ok(AccountConfig {
        platform: "mastodon".to_owned(),
        base_url: Some(serde_json::from_value(json!(url))?),
        handle: Some("ministere_culture".to_owned()),
        token: Some(secret("MASTODON_TOKEN_MINISTERE")),
        ..account(false)
    })
}

/// The reports of our account on the status.
async fn reports_of(url: &str, token: &str, status: &str) -> anyhow::Result<Vec<Value>> {
    let (code, reports) = ask(url, "GET", "/api/v1/admin/reports?limit=100", &bearer(token), None).await?;
    anyhow::ensure!(code == 200, "reading the reports answered {code}");
    let about = |report: &Value| report["statuses"].as_array().into_iter().flatten().any(|one| one["id"] == status);
    Ok(reports
        .as_array()
        .into_iter()
        .flatten()
        .filter(|report| about(report))
        .cloned()
        .collect())
}

#[tokio::test]
async fn a_report_on_mastodon_is_made_once_and_read_back() -> anyhow::Result<()> {
    let Some(url) = testing::peer("MASTODON_URL") else { return Ok(()) };
    let _turn = MASTODON.lock().await;
    let token = |name: &str| testing::peer(&format!("MASTODON_TOKEN_{name}")).context("a token");
    let (ours, troll) = (token("MINISTERE")?, token("TROLL")?);
    let (_, post) = ask(
        &url,
        "POST",
        "/api/v1/statuses",
        &bearer(&ours),
        Some(&json!({ "status": "Entrée libre dimanche" })),
    )
    .await?;
    let post = text(&post, "id")?;
    let reply = json!({ "status": "@ministere_culture bande de nuls", "in_reply_to_id": post });
    let (_, reply) = ask(&url, "POST", "/api/v1/statuses", &bearer(&troll), Some(&reply)).await?;
    let (status, author) = (text(&reply, "id")?, text(&reply["account"], "id")?);

    // The answer to the first report is garbage, and reading is slowed down once: neither doubles the report.
    for (methods, path, effect) in [
        ("POST", "/api/v1/reports", json!({ "type": "malformed" })),
        ("GET", "/api/v1/admin/reports", json!({ "type": "status", "status": 503 })),
    ] {
        let rule = json!({ "match": { "methods": [methods], "path": path }, "effect": effect, "count": 1 });
        let (code, _) = ask(&url, "POST", "/api/v1/_mock/faults", &[], Some(&rule)).await?;
        anyhow::ensure!(code < 300, "the fault was not taken: {code}");
    }
    let first = tempfile::tempdir()?;
    let (runtime, enforcer_once) = enforcer(first.path(), mastodon(&url)?).await?;
    let hide = decide(
        &on_platform(&runtime, Platform::Mastodon, &post, &status, &author)?,
        0,
        Outcome::Hide,
        None,
    );
    deliver(&enforcer_once, &[&hide, &hide]).await?;
    finish(&enforcer_once, PATIENCE).await?;
    enforcer_once.publish_unsent(&runtime).await?;
    let all = published(&runtime).await?;
    let told = states(&all, &hide, Action::Report);
    assert!(told.first() == Some(&"requested") && told.last() == Some(&"confirmed"), "{told:?}");
    let reports = reports_of(&url, &ours, &status).await?;
    assert_eq!(reports.len(), 1, "{reports:?}");
    let said = text(&reports[0], "comment")?;
    assert!(
        said.contains("Musée d'essai") && said.contains("injure") && said.contains("[vigie "),
        "{said}"
    );
    assert!(!said.contains(crate::support::TEXT), "{said}");

    // Tables that are lost: the same decision is carried out again, and the platform still has one report.
    let second = tempfile::tempdir()?;
    let (_, enforcer_again) = enforcer(second.path(), mastodon(&url)?).await?;
    deliver(&enforcer_again, &[&hide]).await?;
    finish(&enforcer_again, PATIENCE).await?;
    assert_eq!(reports_of(&url, &ours, &status).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn mastodon_is_left_alone_for_as_long_as_it_asks() -> anyhow::Result<()> {
    let Some(url) = testing::peer("MASTODON_URL") else { return Ok(()) };
    let _turn = MASTODON.lock().await;
    let rule = json!({ "match": { "methods": ["POST"], "path": "/api/v1/reports" }, "effect": { "type": "ratelimit" }, "count": 1 });
    let ours = testing::peer("MASTODON_TOKEN_MINISTERE").context("a token")?;
    let (_, post) = ask(
        &url,
        "POST",
        "/api/v1/statuses",
        &bearer(&ours),
        Some(&json!({ "status": "Nocturne jeudi" })),
    )
    .await?;
    let (id, author) = (text(&post, "id")?, text(&post["account"], "id")?);
    let dir = tempfile::tempdir()?;
    let (runtime, enforcer) = enforcer(dir.path(), mastodon(&url)?).await?;
    let hide = decide(
        &on_platform(&runtime, Platform::Mastodon, &id, &id, &author)?,
        0,
        Outcome::Hide,
        None,
    );
    ask(&url, "POST", "/api/v1/_mock/faults", &[], Some(&rule)).await?;
    deliver(&enforcer, &[&hide]).await?;
    let account = AccountId::new(ACCOUNT)?;
    assert_eq!(enforcer.step(&account).await?, Step::Done);
    let Step::Wait(Some(until)) = enforcer.step(&account).await? else {
        panic!("it does not wait")
    };
    let wait_s = (until - jiff::Timestamp::now().as_millisecond()) / 1000;
    assert!((280..=301).contains(&wait_s), "{wait_s} s");
    Ok(())
}

/// A session of one of the network's accounts.
struct Session {
    pds: String,
    did: String,
    token: String,
}

impl Session {
    async fn of(pds: &str, handle: &str) -> anyhow::Result<Self> {
        let password = testing::peer("ATPROTO_PASSWORD").context("a password")?;
        let body = json!({ "identifier": handle, "password": password });
        let (_, session) = ask(pds, "POST", "/xrpc/com.atproto.server.createSession", &[], Some(&body)).await?;
        Ok(Self {
            pds: pds.to_owned(),
            did: text(&session, "did")?,
            token: text(&session, "accessJwt")?,
        })
    }

    async fn write(&self, text_of_post: &str, reply: Option<(&Value, &Value)>) -> anyhow::Result<Value> {
        let mut record = json!({ "$type": "app.bsky.feed.post", "text": text_of_post, "createdAt": jiff::Timestamp::now().to_string() });
        if let Some((root, parent)) = reply {
            record["reply"] = json!({ "root": root, "parent": parent });
        }
        let body = json!({ "repo": self.did, "collection": "app.bsky.feed.post", "record": record });
        let (code, made) = ask(
            &self.pds,
            "POST",
            "/xrpc/com.atproto.repo.createRecord",
            &bearer(&self.token),
            Some(&body),
        )
        .await?;
        anyhow::ensure!(code == 200, "writing a post answered {code}: {made}");
        Ok(json!({ "uri": made["uri"], "cid": made["cid"] }))
    }

    async fn get(&self, path: &str, proxy: Option<&str>) -> anyhow::Result<Value> {
        let mut headers = bearer(&self.token);
        headers.extend(proxy.map(|proxy| ("atproto-proxy", proxy.to_owned())));
        Ok(ask(&self.pds, "GET", path, &headers, None).await?.1)
    }

    /// Waits until the network shows the post.
    async fn await_shown(&self, uri: &str) -> anyhow::Result<()> {
        let path = format!("/xrpc/app.bsky.feed.getPosts?uris={}", uri.replace(':', "%3A").replace('/', "%2F"));
        let shown = async {
            while self.get(&path, None).await?["posts"].as_array().is_none_or(Vec::is_empty) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, shown)
            .await
            .context("the network does not show the post")?
    }

    async fn hidden_replies(&self, post: &str) -> anyhow::Result<Vec<String>> {
        let key = post.rsplit('/').next().unwrap_or_default();
        let path = format!(
            "/xrpc/com.atproto.repo.getRecord?repo={}&collection=app.bsky.feed.threadgate&rkey={key}",
            self.did
        );
        let gate = self.get(&path, None).await?;
        Ok(gate["value"]["hiddenReplies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect())
    }
}

#[tokio::test]
async fn a_grave_reply_on_bluesky_is_hidden_and_reported_and_an_undo_shows_it_again() -> anyhow::Result<()> {
    let Some(pds) = testing::peer("ATPROTO_PDS_URL") else {
        return Ok(());
    };
    let Some(ozone) = testing::peer("ATPROTO_OZONE_DID") else {
        return Ok(());
    };
    let ministry = Session::of(&pds, "ministere.test").await?;
    let troll = Session::of(&pds, "troll.test").await?;
    let root = ministry.write("Exposition Vermeer, entrée libre", None).await?;
    ministry.await_shown(&text(&root, "uri")?).await?;
    let reply = troll.write("on va vous retrouver", Some((&root, &root))).await?;
    let (post, native) = (text(&root, "uri")?, text(&reply, "uri")?);
    ministry.await_shown(&native).await?;

    let dir = tempfile::tempdir()?;
    let account = AccountConfig {
        platform: "bluesky".to_owned(),
        base_url: Some(serde_json::from_value(json!(pds))?),
        handle: Some("ministere.test".to_owned()),
        token: Some(secret("ATPROTO_PASSWORD")),
        labeler_did: Some(ozone.clone()),
        ..account(false)
    };
    let (runtime, enforcer) = enforcer(dir.path(), account).await?;
    let comment = on_platform(&runtime, Platform::Bluesky, &post, &native, &troll.did)?;
    let grave = decide(&comment, 0, Outcome::Escalate, None);
    deliver(&enforcer, &[&grave, &grave]).await?;
    finish(&enforcer, PATIENCE).await?;
    assert_eq!(ministry.hidden_replies(&post).await?, std::slice::from_ref(&native));
    let moderator = Session::of(&pds, "mod.test").await?;
    let path = format!(
        "/xrpc/tools.ozone.moderation.queryEvents?types=tools.ozone.moderation.defs%23modEventReport&subject={}",
        native.replace(':', "%3A").replace('/', "%2F")
    );
    let events = moderator.get(&path, Some(&format!("{ozone}#atproto_labeler"))).await?;
    let reports: Vec<&Value> = events["events"].as_array().into_iter().flatten().collect();
    assert_eq!(reports.len(), 1, "{events}");
    let said = text(&reports[0]["event"], "comment")?;
    assert!(said.contains("Musée d'essai") && !said.contains(crate::support::TEXT), "{said}");

    let undo = decide(&comment, 1, Outcome::Keep, Some(0));
    deliver(&enforcer, &[&undo]).await?;
    finish(&enforcer, PATIENCE).await?;
    assert!(ministry.hidden_replies(&post).await?.is_empty());
    enforcer.publish_unsent(&runtime).await?;
    let all = published(&runtime).await?;
    for (decision, action) in [(&grave, Action::Hide), (&grave, Action::Report), (&undo, Action::Unhide)] {
        assert_eq!(states(&all, decision, action), ["requested", "sent", "confirmed"], "{action:?}");
    }
    Ok(())
}
