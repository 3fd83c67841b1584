//! Bluesky, and the AT Protocol networks built like it.
//!
//! Reads the threads under an account's posts through a public `AppView`, or, with an app password, through the account's own server
//! (PDS), which passes the questions on; then also the notifications. Hides replies by the post's threadgate and reports them.
//! Posts never change: there are no edits, only deletions.

mod actor;
mod cursor;
mod session;
mod source;
mod wire;

pub(crate) use actor::Moderator;
pub(crate) use source::Reader;

use serde_json::Value;
use url::Url;

use crate::ConnectorAccount;
use crate::error::PlatformError;
use crate::http::{Ask, Http, Limits, Reply};
use session::Sessions;

const PUBLIC_APPVIEW: &str = "https://public.api.bsky.app";
const PUBLIC_PDS: &str = "https://bsky.social";

/// The server of one account, and its session where it has a password.
struct Network {
    http: Http,
    sessions: Option<Sessions>,
    handle: Option<String>,
}

impl Network {
    fn new(account: &ConnectorAccount, limits: Limits) -> Result<Self, PlatformError> {
        let handle = account
            .handle
            .as_deref()
            .map(|handle| handle.trim().trim_start_matches('@').to_lowercase());
        let sessions = match &account.token {
            None => None,
            Some(password) => {
                let login = account.login.clone().or_else(|| handle.clone());
                let login = login.ok_or_else(|| {
                    PlatformError::Permanent("a Bluesky account with an app password needs `login` or `handle`".to_owned())
                })?;
                Some(Sessions::new(login, password.clone()))
            }
        };
        let default: Url = if sessions.is_some() { PUBLIC_PDS } else { PUBLIC_APPVIEW }
            .parse()
            .expect("a constant address");
        let base = account.base_url.as_ref().unwrap_or(&default);
        Ok(Self {
            http: Http::new(base, sessions.is_some(), limits)?,
            sessions,
            handle,
        })
    }

    /// Calls a query. Errors are told apart by their name, not by their status: a bad token answers 400 here.
    async fn query(&self, method: &str, parameters: &[(&str, &str)]) -> Result<Reply, PlatformError> {
        self.send(|| Ask::get(&[], parameters), method).await
    }

    /// Calls a procedure.
    async fn call(&self, method: &str, body: &Value, headers: &[(&'static str, &str)]) -> Result<Reply, PlatformError> {
        self.send(
            || Ask {
                headers,
                ..Ask::post(&[], body)
            },
            method,
        )
        .await
    }

    /// Sends with the session, and once more with a new one where that has expired.
    async fn send<'a>(&self, ask: impl Fn() -> Ask<'a>, method: &str) -> Result<Reply, PlatformError> {
        let path = ["xrpc", method];
        let Some(sessions) = &self.sessions else {
            return self.http.send(Ask { path: &path, ..ask() }).await;
        };
        let session = sessions.current(&self.http).await?;
        let reply = self
            .http
            .send(Ask {
                path: &path,
                bearer: Some(&session.access),
                ..ask()
            })
            .await?;
        if !is_refused_token(&reply) {
            return Ok(reply);
        }
        let session = sessions.renew(&self.http, &session).await?;
        self.http
            .send(Ask {
                path: &path,
                bearer: Some(&session.access),
                ..ask()
            })
            .await
    }

    /// The DID of the account.
    async fn did(&self) -> Result<String, PlatformError> {
        if let Some(sessions) = &self.sessions {
            return Ok(sessions.current(&self.http).await?.did);
        }
        let handle = self
            .handle
            .as_deref()
            .ok_or_else(|| PlatformError::Permanent("a Bluesky account that is watched needs `handle`, or a login".to_owned()))?;
        if handle.starts_with("did:") {
            return Ok(handle.to_owned());
        }
        let reply = self.query("app.bsky.actor.getProfile", &[("actor", handle)]).await?;
        match read::<wire::Profile>(reply) {
            Ok(profile) => Ok(profile.did),
            Err(PlatformError::Permanent(_) | PlatformError::Gone) => Err(PlatformError::Permanent(format!(
                "{} knows no account of the name in `handle`: correct it",
                self.http.host()
            ))),
            Err(error) => Err(error),
        }
    }

    /// At most 25 posts; those that are missing are left out by the server.
    async fn posts(&self, uris: &[&str]) -> Result<Vec<wire::Post>, PlatformError> {
        if uris.is_empty() {
            return Ok(Vec::new());
        }
        let parameters: Vec<(&str, &str)> = uris.iter().map(|uri| ("uris", *uri)).collect();
        let posts: wire::Posts = read(self.query("app.bsky.feed.getPosts", &parameters).await?)?;
        Ok(posts.posts.iter().filter_map(wire::Post::read).collect())
    }
}

/// The JSON of a successful answer, or what its error means.
fn read<T: serde::de::DeserializeOwned>(reply: Reply) -> Result<T, PlatformError> {
    if reply.status.is_success() {
        reply.json()
    } else {
        Err(refusal(&reply))
    }
}

/// The `error` of an answer that is no success, if it is a name at all.
fn error_name(reply: &Reply) -> Option<String> {
    let body: wire::ErrorBody = serde_json::from_slice(&reply.body).ok()?;
    let is_name = (1..=40).contains(&body.error.len()) && body.error.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some(body.error)
}

fn is_refused_token(reply: &Reply) -> bool {
    let by_name = matches!(
        error_name(reply).as_deref(),
        Some("ExpiredToken" | "InvalidToken" | "AuthMissing" | "AuthenticationRequired")
    );
    reply.status.as_u16() == 401 || (reply.status.as_u16() == 400 && by_name)
}

fn refusal(reply: &Reply) -> PlatformError {
    if is_refused_token(reply) {
        return PlatformError::Unauthorized("the session is refused: make a new app password and set it for this account".to_owned());
    }
    match error_name(reply).as_deref() {
        Some("NotFound" | "RecordNotFound") => PlatformError::Gone,
        Some(name) if reply.status.as_u16() == 400 => PlatformError::Permanent(format!("the server refused the request: {name}")),
        _ => reply.refusal(),
    }
}
