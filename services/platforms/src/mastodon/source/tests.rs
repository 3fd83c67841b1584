//! A small server of the Mastodon API, in the shapes that real ones were seen to answer with.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::*;

const OWN: &str = "100";

#[derive(Default)]
struct Fake {
    statuses: Vec<Value>,
    notifications: Vec<Value>,
    /// Threads that answer 500.
    broken: Vec<String>,
    /// How many descendants a context gives at most.
    cut_at: Option<usize>,
    lost_everything: bool,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Fake>>);

impl Server {
    fn lock(&self) -> MutexGuard<'_, Fake> {
        self.0.lock().expect("no test panics while it holds this")
    }

    fn add(&self, id: u64, parent: Option<u64>, author: &str, text: &str) {
        let status = status(id, parent, author, text);
        self.lock().statuses.push(status);
    }

    fn mention(&self, id: u64, status: Value) {
        self.lock()
            .notifications
            .push(json!({ "id": id.to_string(), "type": "mention", "created_at": Timestamp::now().to_string(), "status": status }));
    }

    async fn start(&self, token: bool) -> anyhow::Result<Reader> {
        let router = Router::new()
            .route("/api/v1/accounts/lookup", get(lookup))
            .route("/api/v1/accounts/{id}/statuses", get(posts))
            .route("/api/v1/statuses", get(many))
            .route("/api/v1/statuses/{id}", get(one))
            .route("/api/v1/statuses/{id}/context", get(context))
            .route("/api/v1/notifications", get(notifications))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?).parse()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        let account = ConnectorAccount {
            platform: vigie_domain::Platform::Mastodon,
            base_url: Some(base_url),
            handle: Some("@musee".to_owned()),
            token: token.then(|| "t".to_owned()),
            login: None,
            labeler_did: None,
        };
        let mut reader = Reader::new(&account, Limits::default())?;
        reader.recheck_after = Duration::from_millis(10);
        reader.set_pace(Pace::every(Duration::from_millis(300)));
        Ok(reader)
    }
}

fn status(id: u64, parent: Option<u64>, author: &str, text: &str) -> Value {
    json!({
        "id": id.to_string(), "created_at": Timestamp::now().to_string(), "edited_at": null, "in_reply_to_id": parent.map(|id| id.to_string()),
        "in_reply_to_account_id": parent.map(|_| OWN), "sensitive": false, "spoiler_text": "", "visibility": "public", "language": "fr",
        "url": format!("https://social.example/@{author}/{id}"), "content": format!("<p>{text}</p>"), "reblog": null, "replies_count": 0,
        "account": { "id": author, "username": author, "acct": author }, "media_attachments": [], "mentions": [], "tags": [], "poll": null
    })
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({ "error": "Record not found" }))).into_response()
}

fn number(value: &Value) -> u64 {
    value["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0)
}

type Parameters = Query<Vec<(String, String)>>;

fn parameter(parameters: &[(String, String)], name: &str) -> Option<u64> {
    parameters
        .iter()
        .find(|(key, _)| key == name)
        .and_then(|(_, value)| value.parse().ok())
}

/// Newest first; with `min_id` the page just above it, as Mastodon does.
fn page(all: &[Value], parameters: &[(String, String)], most: usize) -> Response {
    let limit = parameter(parameters, "limit")
        .map_or(20, |limit| usize::try_from(limit).unwrap_or(20))
        .min(most);
    let mut items: Vec<&Value> = all.iter().collect();
    items.sort_by_key(|item| number(item));
    if let Some(min) = parameter(parameters, "min_id") {
        items.retain(|item| number(item) > min);
        items.truncate(limit);
        items.reverse();
    } else {
        items.retain(|item| parameter(parameters, "max_id").is_none_or(|max| number(item) < max));
        items.reverse();
        items.truncate(limit);
    }
    axum::Json(items).into_response()
}

async fn lookup(State(server): State<Server>, Query(parameters): Parameters) -> Response {
    let is_known = parameters.iter().any(|(key, value)| key == "acct" && value == "musee") && !server.lock().lost_everything;
    if is_known {
        axum::Json(json!({ "id": OWN })).into_response()
    } else {
        not_found()
    }
}

async fn posts(State(server): State<Server>, Query(parameters): Parameters) -> Response {
    let fake = server.lock();
    let own: Vec<Value> = fake
        .statuses
        .iter()
        .filter(|status| status["account"]["id"] == OWN && status["in_reply_to_id"].is_null())
        .cloned()
        .collect();
    page(&own, &parameters, 40)
}

async fn many(State(server): State<Server>, Query(parameters): Parameters) -> Response {
    let fake = server.lock();
    if fake.lost_everything {
        return axum::Json(json!([])).into_response();
    }
    let found: Vec<&Value> = fake
        .statuses
        .iter()
        .filter(|status| parameters.iter().any(|(key, id)| key == "id[]" && status["id"] == *id))
        .collect();
    axum::Json(found).into_response()
}

async fn one(State(server): State<Server>, Path(id): Path<String>) -> Response {
    let fake = server.lock();
    let found = fake.statuses.iter().find(|status| status["id"] == id && !fake.lost_everything);
    found.map_or_else(not_found, |status| axum::Json(status).into_response())
}

async fn context(State(server): State<Server>, Path(id): Path<String>) -> Response {
    let fake = server.lock();
    if fake.broken.contains(&id) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if !fake.statuses.iter().any(|status| status["id"] == id) {
        return not_found();
    }
    let mut ancestors = Vec::new();
    let mut at = id.clone();
    while let Some(parent) = fake
        .statuses
        .iter()
        .find(|status| status["id"] == at)
        .and_then(|status| status["in_reply_to_id"].as_str())
    {
        at = parent.to_owned();
        ancestors.extend(fake.statuses.iter().find(|status| status["id"] == at));
    }
    ancestors.reverse();
    let mut descendants: Vec<&Value> = Vec::new();
    let mut waiting = vec![id];
    while let Some(parent) = waiting.pop() {
        for child in fake.statuses.iter().filter(|status| status["in_reply_to_id"] == parent) {
            descendants.push(child);
            waiting.push(child["id"].as_str().unwrap_or_default().to_owned());
        }
    }
    descendants.truncate(fake.cut_at.unwrap_or(usize::MAX));
    axum::Json(json!({ "ancestors": ancestors, "descendants": descendants })).into_response()
}

async fn notifications(State(server): State<Server>, Query(parameters): Parameters) -> Response {
    page(&server.lock().notifications, &parameters, 80)
}

/// Polls until nothing more is due, as the collector does; gives everything read and the cursor.
async fn drain(reader: &mut Reader, mut cursor: Option<String>) -> anyhow::Result<(Vec<RawComment>, Option<String>)> {
    let mut all = Vec::new();
    for _ in 0..200 {
        let page = reader.poll(cursor.as_deref()).await?;
        all.extend(page.comments);
        cursor = page.cursor;
        if !page.more {
            return Ok((all, cursor));
        }
    }
    anyhow::bail!("the source never comes to an end")
}

fn texts(comments: &[RawComment]) -> Vec<&str> {
    comments.iter().map(|comment| comment.text.as_str()).collect()
}

async fn until_due() {
    tokio::time::sleep(Duration::from_millis(350)).await;
}

#[tokio::test]
async fn a_thread_is_read_whole_and_again_when_it_changes() -> anyhow::Result<()> {
    let server = Server::default();
    server.add(1, None, OWN, "Journées du patrimoine");
    server.add(2, Some(1), "citoyen", "Bravo<br>merci");
    server.add(3, Some(2), OWN, "Merci à vous");
    server.add(4, Some(2), "troll", "Nul");
    server.add(5, Some(1), "ami", "privé");
    server.lock().statuses[4]["visibility"] = json!("direct");
    let mut reader = server.start(false).await?;
    let (read, cursor) = drain(&mut reader, None).await?;
    assert_eq!(texts(&read), ["Bravo\nmerci", "Nul"]);
    let nul = &read[1];
    assert_eq!(
        (
            nul.post.as_str(),
            nul.parent.as_deref(),
            nul.parent_text.as_deref(),
            nul.post_text.as_deref()
        ),
        ("1", Some("2"), Some("Bravo\nmerci"), Some("Journées du patrimoine"))
    );
    assert_eq!(
        (nul.author_native.as_deref(), nul.permalink.as_deref()),
        (Some("troll"), Some("https://social.example/@troll/4"))
    );
    assert_eq!(read[0].parent_text, None, "the post is not a comment");
    assert_eq!(serde_json::from_slice::<Value>(&nul.raw)?["id"], "4");

    until_due().await;
    let (again, cursor) = drain(&mut reader, cursor).await?;
    assert_eq!(texts(&again), Vec::<&str>::new(), "an unchanged thread gives nothing");

    server.lock().statuses[3]["content"] = json!("<p>Nul !</p>");
    server.lock().statuses[3]["edited_at"] = json!("2026-11-23T23:19:03.436Z");
    until_due().await;
    let (edited, cursor) = drain(&mut reader, cursor).await?;
    assert!(edited.iter().any(|comment| comment.text == "Nul !" && comment.edited_at.is_some()));

    // After a crash before the page was stored: the same again, from the older cursor, by another process.
    let mut other = server.start(false).await?;
    assert_eq!(drain(&mut other, None).await?.0, edited);
    drop(cursor);
    Ok(())
}

#[tokio::test]
async fn a_thread_that_fails_does_not_hold_up_the_others() -> anyhow::Result<()> {
    let server = Server::default();
    server.add(1, None, OWN, "un");
    server.add(2, None, OWN, "deux");
    server.add(3, Some(1), "citoyen", "sous un");
    server.lock().broken.push("2".to_owned());
    let mut reader = server.start(false).await?;
    assert!(matches!(reader.poll(None).await, Err(PlatformError::Transient(_))));
    let (read, cursor) = drain(&mut reader, None).await?;
    assert_eq!(texts(&read), ["sous un"]);
    // A post that is deleted is let go.
    server.lock().statuses.retain(|status| status["id"] != "1");
    server.lock().broken.clear();
    until_due().await;
    let page = reader.poll(cursor.as_deref()).await?;
    assert!(page.comments.is_empty());
    Ok(())
}

#[tokio::test]
async fn entries_that_make_no_sense_are_left_out() -> anyhow::Result<()> {
    let server = Server::default();
    server.add(1, None, OWN, "un");
    server.add(2, Some(1), "citoyen", "bon");
    server
        .lock()
        .statuses
        .push(json!({ "id": "7", "in_reply_to_id": "1", "created_at": "hier" }));
    server
        .lock()
        .statuses
        .push(json!({ "id": "../../admin", "in_reply_to_id": "1", "created_at": "2026-11-23T23:19:03Z", "account": { "id": "9" } }));
    let mut reader = server.start(false).await?;
    assert_eq!(texts(&drain(&mut reader, None).await?.0), ["bon"]);
    Ok(())
}

#[tokio::test]
async fn a_cut_thread_is_read_branch_by_branch() -> anyhow::Result<()> {
    let server = Server::default();
    server.add(1, None, OWN, "un");
    for id in 2..62 {
        server.add(id, Some(1), "citoyen", &id.to_string());
    }
    for id in 100..110 {
        server.add(id, Some(61), "citoyen", &id.to_string());
    }
    server.lock().statuses[60]["replies_count"] = json!(10);
    server.lock().cut_at = Some(60);
    let mut reader = server.start(false).await?;
    assert_eq!(drain(&mut reader, None).await?.0.len(), 70);
    Ok(())
}

#[tokio::test]
async fn mentions_walk_forward_without_gaps() -> anyhow::Result<()> {
    let server = Server::default();
    server.add(1, None, OWN, "un");
    server.lock().broken.push("1".to_owned());
    let add = |from: u64, to: u64| {
        for id in from..to {
            server.add(id, Some(1), "citoyen", &id.to_string());
            server.mention(id, status(id, Some(1), "citoyen", &id.to_string()));
        }
    };
    let mut reader = server.start(true).await?;
    // The thread is broken on purpose: what is read comes from the mentions alone.
    let poll = async |reader: &mut Reader, cursor: Option<String>| -> (Vec<String>, Option<String>) {
        let (mut read, mut cursor) = (Vec::new(), cursor);
        while let Ok(page) = reader.poll(cursor.as_deref()).await {
            read.extend(page.comments.into_iter().map(|comment| comment.text));
            cursor = page.cursor;
            if !page.more {
                break;
            }
        }
        (read, cursor)
    };
    add(1000, 1200);
    let (read, cursor) = poll(&mut reader, None).await;
    assert_eq!(read.iter().collect::<HashSet<_>>().len(), 200);
    add(1200, 1500);
    until_due().await;
    let (read, cursor) = poll(&mut reader, cursor).await;
    assert_eq!(
        read,
        (1200..1500).map(|id| id.to_string()).collect::<Vec<_>>(),
        "in order, each once"
    );
    until_due().await;
    assert_eq!(poll(&mut reader, cursor).await.0, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_mention_brings_its_thread_and_private_ones_stay_private() -> anyhow::Result<()> {
    let server = Server::default();
    server.add(1, None, OWN, "Le post");
    server.add(2, Some(1), "citoyen", "Question");
    server.add(3, Some(2), OWN, "Réponse");
    server.add(4, Some(3), "troll", "Insulte");
    let mut private = status(5, Some(3), "ami", "secret");
    private["visibility"] = json!("direct");
    let mut elsewhere = status(6, None, "ami", "ailleurs");
    elsewhere["in_reply_to_account_id"] = Value::Null;
    let insult = server.lock().statuses[3].clone();
    server.mention(10, private);
    server.mention(11, elsewhere);
    server.mention(12, insult);
    server
        .lock()
        .notifications
        .push(json!({ "id": "13", "type": "mention", "status": null }));
    let mut reader = server.start(true).await?;
    let page = reader.poll(None).await?;
    assert_eq!(texts(&page.comments), ["Insulte"]);
    let comment = &page.comments[0];
    assert_eq!(
        (comment.post.as_str(), comment.post_text.as_deref(), comment.parent_text.as_deref()),
        ("1", Some("Le post"), Some("Réponse"))
    );
    Ok(())
}

#[tokio::test]
async fn gone_means_asked_twice_while_the_account_is_there() -> anyhow::Result<()> {
    let server = Server::default();
    server.add(1, None, OWN, "un");
    server.add(2, Some(1), "citoyen", "avant");
    let mut reader = server.start(false).await?;
    let ids = ["2".to_owned(), "404".to_owned(), "pas un id".to_owned()];
    let answers = reader.presence(&ids).await?;
    assert!(matches!(&answers[0], Presence::Present(comment) if comment.text == "avant" && comment.edited_at.is_none()));
    assert_eq!(answers[1..], [Presence::Gone, Presence::Unknown]);

    server.lock().statuses[1]["content"] = json!("<p>après</p>");
    server.lock().statuses[1]["edited_at"] = json!("2026-11-24T00:00:00Z");
    assert!(
        matches!(&reader.presence(&ids[..1]).await?[0], Presence::Present(comment) if comment.text == "après" && comment.post == "1" && comment.edited_at.is_some())
    );

    server.lock().lost_everything = true;
    assert_eq!(
        reader.presence(&ids[..2]).await?,
        [Presence::Unknown, Presence::Unknown],
        "a server that answers 404 to everything proves nothing"
    );
    Ok(())
}

#[tokio::test]
async fn a_stored_position_that_makes_no_sense_begins_again() -> anyhow::Result<()> {
    let server = Server::default();
    server.add(1, None, OWN, "un");
    server.add(2, Some(1), "citoyen", "bon");
    let mut reader = server.start(false).await?;
    for cursor in ["", "{}", "null", "{\"version\":99}", "\u{0}"] {
        assert_eq!(texts(&reader.poll(Some(cursor)).await?.comments), ["bon"], "{cursor:?}");
    }
    Ok(())
}
