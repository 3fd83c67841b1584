//! A small `AppView` with a PDS before it, in the shapes that real ones were seen to answer with.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::json;

use super::*;

const OWN: &str = "did:plc:musee";

#[derive(Default)]
struct Fake {
    posts: Vec<Value>,
    notifications: Vec<Value>,
    blocked: Vec<String>,
    lost_everything: bool,
    sign_ins: u32,
    refreshes: u32,
    /// The access token that is good now.
    access: u32,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Fake>>);

impl Server {
    fn lock(&self) -> MutexGuard<'_, Fake> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// How often somebody signed in, and refreshed.
    fn sessions(&self) -> (u32, u32) {
        let fake = self.lock();
        (fake.sign_ins, fake.refreshes)
    }

    fn add(&self, author: &str, key: &str, parent: Option<&str>, text: &str) -> String {
        let uri = uri(author, key);
        self.lock().posts.push(post(&uri, author, parent, text, Timestamp::now()));
        uri
    }

    async fn start(&self, password: bool) -> anyhow::Result<Reader> {
        let router = Router::new()
            .route("/xrpc/com.atproto.server.{method}", any(session))
            .route("/xrpc/{method}", get(query))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?).parse()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        let account = ConnectorAccount {
            platform: vigie_domain::Platform::Bluesky,
            base_url: Some(base_url),
            handle: Some("@Musee.test".to_owned()),
            token: password.then(|| "hunter2".to_owned()),
            login: None,
            labeler_did: None,
        };
        let mut reader = Reader::new(&account, Limits::default())?;
        reader.recheck_after = Duration::from_millis(10);
        reader.set_pace(Pace::every(Duration::from_millis(300)));
        Ok(reader)
    }
}

fn uri(author: &str, key: &str) -> String {
    format!("at://{author}/app.bsky.feed.post/{key}")
}

fn post(uri: &str, author: &str, parent: Option<&str>, text: &str, at: Timestamp) -> Value {
    let mut record = json!({ "$type": "app.bsky.feed.post", "text": text, "langs": ["fr"], "createdAt": at.to_string() });
    if let Some(parent) = parent {
        record["reply"] = json!({ "root": { "uri": self::uri(OWN, "p"), "cid": "c" }, "parent": { "uri": parent, "cid": "c" } });
    }
    json!({ "uri": uri, "cid": "bafy", "author": { "did": author, "handle": "x.test", "labels": [] }, "record": record, "replyCount": 0, "indexedAt": at.to_string(), "labels": [] })
}

async fn session(State(server): State<Server>, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    let mut fake = server.lock();
    if uri.path().ends_with("refreshSession") {
        fake.refreshes += 1;
        let is_refresh = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("Bearer refresh"));
        if !is_refresh || fake.lost_everything {
            return (
                StatusCode::BAD_REQUEST,
                axum::Json(json!({ "error": "ExpiredToken", "message": "x" })),
            )
                .into_response();
        }
    } else {
        fake.sign_ins += 1;
    }
    fake.access += 1;
    let access = fake.access;
    axum::Json(
        json!({ "accessJwt": format!("access{access}"), "refreshJwt": format!("refresh{access}"), "did": OWN, "handle": "musee.test" }),
    )
    .into_response()
}

fn refuse(status: StatusCode, name: &str) -> Response {
    (status, axum::Json(json!({ "error": name, "message": "x" }))).into_response()
}

async fn query(
    State(server): State<Server>,
    Path(method): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let fake = server.lock();
    let bearer = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned));
    if bearer.is_some_and(|token| token != format!("access{}", fake.access)) {
        return refuse(StatusCode::BAD_REQUEST, "ExpiredToken");
    }
    let of = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    };
    match method.as_str() {
        _ if fake.lost_everything => refuse(StatusCode::BAD_REQUEST, "NotFound"),
        "app.bsky.actor.getProfile" => axum::Json(json!({ "did": OWN })).into_response(),
        "app.bsky.feed.getAuthorFeed" => {
            let own: Vec<Value> = fake
                .posts
                .iter()
                .filter(|post| post["author"]["did"] == OWN && post["record"]["reply"].is_null())
                .map(|post| json!({ "post": post }))
                .collect();
            axum::Json(json!({ "feed": own })).into_response()
        }
        "app.bsky.feed.getPosts" => {
            let found: Vec<&Value> = fake
                .posts
                .iter()
                .filter(|post| {
                    parameters
                        .iter()
                        .any(|(key, uri)| key == "uris" && post["uri"] == *uri && !fake.blocked.contains(uri))
                })
                .collect();
            axum::Json(json!({ "posts": found })).into_response()
        }
        "app.bsky.feed.getPostThread" => thread(&fake, of("uri"), of("depth").parse().unwrap_or(6)),
        "app.bsky.notification.listNotifications" => notifications(&fake, of("cursor")),
        _ => refuse(StatusCode::NOT_IMPLEMENTED, "MethodNotImplemented"),
    }
}

fn thread(fake: &Fake, uri: &str, depth: usize) -> Response {
    fn node(fake: &Fake, post: &Value, depth: usize) -> Value {
        let replies: Vec<Value> = fake
            .posts
            .iter()
            .filter(|reply| reply["record"]["reply"]["parent"]["uri"] == post["uri"])
            .map(|reply| if depth == 0 { Value::Null } else { node(fake, reply, depth - 1) })
            .collect();
        let mut post = post.clone();
        post["replyCount"] = json!(replies.len());
        let mut view = json!({ "$type": "app.bsky.feed.defs#threadViewPost", "post": post, "threadContext": {} });
        if depth > 0 {
            view["replies"] = json!(replies);
        }
        view
    }
    if fake.blocked.contains(&uri.to_owned()) {
        return axum::Json(json!({ "thread": { "$type": "app.bsky.feed.defs#blockedPost", "uri": uri, "blocked": true } })).into_response();
    }
    match fake.posts.iter().find(|post| post["uri"] == uri) {
        Some(post) => axum::Json(json!({ "thread": node(fake, post, depth) })).into_response(),
        None => refuse(StatusCode::BAD_REQUEST, "NotFound"),
    }
}

/// Newest first, ten a page; the cursor is how many were given.
fn notifications(fake: &Fake, cursor: &str) -> Response {
    let from: usize = cursor.parse().unwrap_or(0);
    let page: Vec<&Value> = fake.notifications.iter().rev().skip(from).take(10).collect();
    let next = (from + page.len() < fake.notifications.len()).then(|| (from + page.len()).to_string());
    axum::Json(json!({ "notifications": page, "cursor": next, "seenAt": "2026-11-23T23:19:36.209Z" })).into_response()
}

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
async fn a_thread_is_read_without_an_account() -> anyhow::Result<()> {
    let server = Server::default();
    let root = server.add(OWN, "p", None, "Journées du patrimoine");
    let bravo = server.add("did:plc:citoyen", "1", Some(&root), "Bravo");
    server.add(OWN, "2", Some(&bravo), "Merci");
    server.add("did:plc:troll", "3", Some(&bravo), "C’est honteux");
    let mut reader = server.start(false).await?;
    let (read, cursor) = drain(&mut reader, None).await?;
    assert_eq!(texts(&read), ["Bravo", "C’est honteux"]);
    assert_eq!(
        (read[1].parent_text.as_deref(), read[1].post_text.as_deref()),
        (Some("Bravo"), Some("Journées du patrimoine"))
    );
    assert_eq!((read[0].parent_text.as_deref(), read[0].post.as_str()), (None, root.as_str()));
    until_due().await;
    let (again, cursor) = drain(&mut reader, cursor).await?;
    assert!(again.is_empty());
    server.add("did:plc:troll", "4", Some(&bravo), "Démission");
    until_due().await;
    assert_eq!(texts(&drain(&mut reader, cursor).await?.0), ["Bravo", "C’est honteux", "Démission"]);
    Ok(())
}

#[tokio::test]
async fn a_thread_deeper_than_json_may_be_is_read_to_its_end() -> anyhow::Result<()> {
    let server = Server::default();
    let mut parent = server.add(OWN, "p", None, "racine");
    for level in 0..150 {
        parent = server.add("did:plc:citoyen", &format!("{level:03}"), Some(&parent), &level.to_string());
    }
    let mut reader = server.start(false).await?;
    let (read, _) = drain(&mut reader, None).await?;
    assert_eq!(read.len(), 150);
    let last = read.iter().find(|comment| comment.text == "149").expect("the deepest");
    assert_eq!(last.parent_text.as_deref(), Some("148"));
    let across = read.iter().find(|comment| comment.text == "40").expect("the first after a cut");
    assert_eq!(across.parent_text.as_deref(), Some("39"));
    Ok(())
}

#[tokio::test]
async fn a_session_that_expires_is_refreshed_and_made_anew_when_that_fails() -> anyhow::Result<()> {
    let server = Server::default();
    let root = server.add(OWN, "p", None, "racine");
    server.add("did:plc:citoyen", "1", Some(&root), "Bravo");
    let mut reader = server.start(true).await?;
    assert_eq!(texts(&drain(&mut reader, None).await?.0), ["Bravo"]);
    assert_eq!(server.sessions(), (1, 0));
    server.lock().access += 1;
    assert_eq!(reader.presence(std::slice::from_ref(&root)).await?.len(), 1);
    assert_eq!(server.sessions(), (1, 1));
    server.lock().access += 1;
    server.lock().lost_everything = true;
    let _ = reader.presence(&[root]).await;
    assert_eq!(server.sessions(), (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_sweep_of_notifications_goes_on_after_a_crash_and_leaves_no_gap() -> anyhow::Result<()> {
    let server = Server::default();
    let root = uri(OWN, "p");
    let add = |from: u32, to: u32| {
        for index in from..to {
            let author = "did:plc:citoyen";
            let at = Timestamp::now()
                .saturating_add(SignedDuration::from_secs(i64::from(index) * 60))
                .expect("in range");
            let mut notification = post(&uri(author, &index.to_string()), author, Some(&root), &index.to_string(), at);
            notification["reason"] = json!("reply");
            server.lock().notifications.push(notification);
        }
    };
    add(0, 35);
    // No posts: what is read comes from the notifications alone. A new reader for each page: nothing but the cursor survives.
    let mut cursor = None;
    let mut seen = HashSet::new();
    loop {
        let page = server.start(true).await?.poll(cursor.as_deref()).await?;
        cursor = page.cursor;
        seen.extend(page.comments.into_iter().map(|comment| comment.text));
        if seen.len() == 20 {
            add(35, 40); // in mid-sweep: they belong to the next one
        }
        if !page.more {
            break;
        }
    }
    until_due().await;
    let (rest, _) = drain(&mut server.start(true).await?, cursor).await?;
    seen.extend(rest.into_iter().map(|comment| comment.text));
    assert_eq!(seen.len(), 40);
    Ok(())
}

#[tokio::test]
async fn gone_and_blocked_are_told_apart() -> anyhow::Result<()> {
    let server = Server::default();
    let root = server.add(OWN, "p", None, "racine");
    let there = server.add("did:plc:citoyen", "1", Some(&root), "Bravo");
    let blocked = server.add("did:plc:troll", "2", Some(&root), "Nul");
    server.lock().blocked.push(blocked.clone());
    let mut reader = server.start(false).await?;
    let ids = [there.clone(), blocked, uri("did:plc:troll", "gone"), "not an address".to_owned()];
    let answers = reader.presence(&ids).await?;
    assert!(matches!(&answers[0], Presence::Present(comment) if comment.text == "Bravo" && comment.post == root));
    assert_eq!(answers[1..], [Presence::Unknown, Presence::Gone, Presence::Unknown]);
    server.lock().lost_everything = true;
    assert!(
        !matches!(reader.presence(&[there]).await, Ok(answers) if answers == [Presence::Gone]),
        "a server that finds nothing proves nothing"
    );
    Ok(())
}
