//! Against a real AT Protocol network (`tests/peers/atproto/run`): threads without an account, notifications with one, deletions,
//! hiding by threadgate, reporting.

use crate::support::{Running, account, config, histories, metric, published, runtime, secret, until};
use anyhow::Context as _;
use serde_json::{Value, json};
use vigie_domain::{Action, Platform};
use vigie_platforms::{Confirmation, ConnectorAccount, Subject};
use vigie_runtime::testing::peer;

/// URI and CID of a record.
type Strong = (String, String);

/// Somebody who is signed in at the PDS.
struct Person {
    pds: String,
    http: reqwest::Client,
    did: String,
    access: String,
}

impl Person {
    /// None where the network does not run.
    async fn sign_in(name: &str) -> anyhow::Result<Option<Self>> {
        let Some(pds) = peer("ATPROTO_PDS_URL") else { return Ok(None) };
        let http = reqwest::Client::builder().no_proxy().build()?;
        let body = json!({ "identifier": format!("{name}.test"), "password": peer("ATPROTO_PASSWORD") });
        let response = http
            .post(format!("{pds}/xrpc/com.atproto.server.createSession"))
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
        let session: Value = response.json().await?;
        let text = |key: &str| {
            session[key]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("a session has {key}"))
        };
        Ok(Some(Self {
            did: text("did")?,
            access: text("accessJwt")?,
            pds,
            http,
        }))
    }

    async fn call(&self, method: &str, body: Value) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(format!("{}/xrpc/{method}", self.pds))
            .bearer_auth(&self.access)
            .json(&body);
        let response = request.send().await?;
        let status = response.status();
        let answer: Value = response.json().await.unwrap_or_default();
        anyhow::ensure!(status.is_success(), "{method}: {status} {answer}");
        Ok(answer)
    }

    /// A post, or an answer to the second in the thread of the first.
    async fn post(&self, text: &str, answers: Option<(&Strong, &Strong)>) -> anyhow::Result<Strong> {
        let mut record =
            json!({ "$type": "app.bsky.feed.post", "text": text, "langs": ["fr"], "createdAt": jiff::Timestamp::now().to_string() });
        if let Some((root, parent)) = answers {
            let strong = |(uri, cid): &Strong| json!({ "uri": uri, "cid": cid });
            record["reply"] = json!({ "root": strong(root), "parent": strong(parent) });
        }
        let made = self
            .call(
                "com.atproto.repo.createRecord",
                json!({ "repo": self.did, "collection": "app.bsky.feed.post", "record": record }),
            )
            .await?;
        let text = |key: &str| made[key].as_str().map(str::to_owned).with_context(|| format!("a record has {key}"));
        let post = (text("uri")?, text("cid")?);
        // An answer to a post that is not indexed yet notifies nobody.
        until("the post is indexed", || async { is_indexed(&self.http, &post.0).await }).await?;
        Ok(post)
    }

    async fn delete(&self, uri: &str) -> anyhow::Result<()> {
        let key = uri.rsplit('/').next().context("an address has a key")?;
        self.call(
            "com.atproto.repo.deleteRecord",
            json!({ "repo": self.did, "collection": "app.bsky.feed.post", "rkey": key }),
        )
        .await?;
        Ok(())
    }
}

async fn is_indexed(http: &reqwest::Client, uri: &str) -> anyhow::Result<bool> {
    let appview = peer("ATPROTO_APPVIEW_URL").context("it comes with the PDS")?;
    let found: Value = http
        .get(format!("{appview}/xrpc/app.bsky.feed.getPosts"))
        .query(&[("uris", uri)])
        .send()
        .await?
        .json()
        .await?;
    Ok(found["posts"].as_array().is_some_and(|posts| !posts.is_empty()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_is_read_without_an_account_and_with_one() -> anyhow::Result<()> {
    let (Some(ministere), Some(citoyen), Some(troll)) = (
        Person::sign_in("ministere").await?,
        Person::sign_in("citoyen").await?,
        Person::sign_in("troll").await?,
    ) else {
        return Ok(());
    };
    let root = ministere.post("Le musée rouvre", None).await?;
    let bravo = citoyen.post("Bravo, et merci", Some((&root, &root))).await?;
    let nul = troll.post("Nul <b>=cmd()</b>", Some((&root, &bravo))).await?;

    let dir = tempfile::tempdir()?;
    let mut public = account("public", "bluesky");
    public.base_url = peer("ATPROTO_APPVIEW_URL").and_then(|url| url.parse().ok());
    public.handle = Some(ministere.did.clone());
    public.watch = true;
    let mut signed_in = account("signed-in", "bluesky");
    signed_in.base_url = peer("ATPROTO_PDS_URL").and_then(|url| url.parse().ok());
    signed_in.handle = Some("@ministere.test".to_owned());
    signed_in.token = Some(secret(dir.path(), "password", "hunter2")?);
    signed_in.watch = true;
    let mut dead = signed_in.clone();
    dead.id = "dead".to_owned();
    dead.token = Some(secret(dir.path(), "wrong", "wrong")?);
    let mut config = config();
    // A sign-in with a wrong password counts against the limit of the server.
    config.paused_retry = vigie_runtime::units::Interval::seconds(600);
    let runtime = runtime(dir.path(), &[public, signed_in, dead]).await?;
    let bus = runtime.bus.as_ref();
    let running = Running::start(config.clone(), runtime.clone()).await?;
    let both_know = |ids: Vec<String>| async move {
        let (public, signed_in) = (histories(bus, "public").await?, histories(bus, "signed-in").await?);
        Ok(ids.iter().all(|id| public.contains_key(id) && signed_in.contains_key(id)))
    };
    until("both accounts have the thread", || both_know(vec![bravo.0.clone(), nul.0.clone()])).await?;
    assert!(
        (metric(&running.runtime, "vigie_collector_paused", "dead") - 1.0).abs() < 0.1,
        "a wrong password is a dead token"
    );
    for comment in published(bus).await?.iter().filter(|comment| comment.native_id.as_str() == nul.0) {
        assert_eq!(
            (comment.text.as_str(), comment.post.as_str()),
            ("Nul <b>=cmd()</b>", root.0.as_str())
        );
        assert_eq!(comment.parent.as_ref().map(ToString::to_string), Some(bravo.0.clone()));
        assert!(comment.author.is_some() && !String::from_utf8(vigie_domain::encode(comment))?.contains(&format!("\"{}\"", troll.did)));
    }
    running.crash().await;

    let late = troll.post("Pendant la panne", Some((&root, &nul))).await?;
    let running = Running::start(config, runtime.clone()).await?;
    until("both accounts have what came while nobody read", || both_know(vec![late.0.clone()])).await?;
    // Only now: what stands under a deleted reply is in no thread any more.
    citoyen.delete(&bravo.0).await?;
    until("both accounts know of the deletion", || async {
        let (public, signed_in) = (histories(bus, "public").await?, histories(bus, "signed-in").await?);
        Ok([public, signed_in].iter().all(|all| all[&bravo.0] == ["Bravo, et merci", "†"]))
    })
    .await?;
    running.stop().await?;
    for account in ["public", "signed-in"] {
        let all = histories(bus, account).await?;
        assert_eq!((all[&nul.0].len(), all[&late.0].len()), (1, 1), "{account}");
        assert!(!all.contains_key(&root.0), "our own post is no comment");
    }
    Ok(())
}

#[tokio::test]
async fn a_reply_is_hidden_shown_again_and_reported() -> anyhow::Result<()> {
    let (Some(ministere), Some(troll), Some(moderator)) = (
        Person::sign_in("ministere").await?,
        Person::sign_in("troll").await?,
        Person::sign_in("mod").await?,
    ) else {
        return Ok(());
    };
    let root = ministere.post("Un post", None).await?;
    let insult = troll.post("Une insulte", Some((&root, &root))).await?;
    let other = troll.post("Une autre", Some((&root, &root))).await?;
    let connector = ConnectorAccount {
        platform: Platform::Bluesky,
        base_url: Some(ministere.pds.parse()?),
        handle: Some("ministere.test".to_owned()),
        token: peer("ATPROTO_PASSWORD"),
        login: None,
        labeler_did: peer("ATPROTO_OZONE_DID"),
    };
    let actor = vigie_platforms::actor(&connector)?.context("an account with a password can act")?;
    let subject = |uri: &str| Subject {
        post: root.0.clone(),
        native_id: uri.to_owned(),
        author_native: Some(troll.did.clone()),
        comment: "Injure (essai)".to_owned(),
        idempotency_key: "k".to_owned(),
    };
    let (first, second) = (subject(&insult.0), subject(&other.0));
    assert_eq!(actor.confirm(Action::Hide, &first).await?, Confirmation::Absent);
    // At the same time, as two decisions may come: one record holds both.
    let (one, two) = tokio::join!(actor.act(Action::Hide, &first), actor.act(Action::Hide, &second));
    one?;
    two?;
    actor.act(Action::Hide, &first).await?;
    for on in [&first, &second] {
        assert_eq!(actor.confirm(Action::Hide, on).await?, Confirmation::Holds);
    }
    actor.act(Action::Unhide, &first).await?;
    assert_eq!(
        (
            actor.confirm(Action::Unhide, &first).await?,
            actor.confirm(Action::Hide, &second).await?
        ),
        (Confirmation::Holds, Confirmation::Holds)
    );

    // The report arrives at the moderators, whose server says so.
    assert!(actor.act(Action::Report, &first).await?.is_some());
    let ozone = format!("{}#atproto_labeler", peer("ATPROTO_OZONE_DID").context("it comes with the PDS")?);
    let arrived = || async {
        let query = [
            ("subject", insult.0.as_str()),
            ("types", "tools.ozone.moderation.defs#modEventReport"),
        ];
        let request = moderator
            .http
            .get(format!("{}/xrpc/tools.ozone.moderation.queryEvents", moderator.pds))
            .query(&query);
        let events: Value = request
            .bearer_auth(&moderator.access)
            .header("atproto-proxy", &ozone)
            .send()
            .await?
            .json()
            .await?;
        Ok(events["events"]
            .as_array()
            .is_some_and(|events| events.iter().any(|event| event["event"]["comment"] == "Injure (essai)")))
    };
    until("the moderators have the report", arrived).await?;
    assert!(actor.act(Action::Delete, &first).await.is_err_and(|error| !error.is_transient()));
    Ok(())
}
