//! The session of an app password: made once, refreshed by one caller at a time, the new pair stored before it is used.
//!
//! It lives in memory: after a restart the app password makes a new one (30 sign-ins in 5 minutes are allowed).

use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::{error_name, read};
use crate::error::PlatformError;
use crate::http::{Ask, Http};

/// A pair of tokens. Not printable, on purpose.
#[derive(Clone, Deserialize)]
pub(super) struct Session {
    #[serde(rename = "accessJwt")]
    pub access: String,
    #[serde(rename = "refreshJwt")]
    refresh: String,
    pub did: String,
}

pub(super) struct Sessions {
    login: String,
    password: String,
    current: Mutex<Option<Session>>,
}

impl Sessions {
    pub const fn new(login: String, password: String) -> Self {
        Self {
            login,
            password,
            current: Mutex::const_new(None),
        }
    }

    /// The session in use; signs in where there is none.
    pub async fn current(&self, http: &Http) -> Result<Session, PlatformError> {
        let mut current = self.current.lock().await;
        if let Some(session) = &*current {
            return Ok(session.clone());
        }
        let session = self.create(http).await?;
        *current = Some(session.clone());
        Ok(session)
    }

    /// A session newer than `stale`. Where somebody else has renewed it meanwhile, theirs.
    pub async fn renew(&self, http: &Http, stale: &Session) -> Result<Session, PlatformError> {
        let mut current = self.current.lock().await;
        if let Some(session) = &*current
            && session.access != stale.access
        {
            return Ok(session.clone());
        }
        *current = None;
        let path = ["xrpc", "com.atproto.server.refreshSession"];
        let ask = Ask {
            method: reqwest::Method::POST,
            json: None,
            ..Ask::get(&path, &[])
        }
        .bearer(Some(&stale.refresh));
        let reply = http.send(ask).await?;
        let session = match reply.status.as_u16() {
            200..=299 => read(reply)?,
            // The refresh token is used up or revoked: the password still holds, or the sign-in says that it does not.
            400 | 401 => self.create(http).await?,
            _ => return Err(reply.refusal()),
        };
        *current = Some(Session::clone(&session));
        Ok(session)
    }

    async fn create(&self, http: &Http) -> Result<Session, PlatformError> {
        let body = json!({ "identifier": self.login, "password": self.password });
        let reply = http.send(Ask::post(&["xrpc", "com.atproto.server.createSession"], &body)).await?;
        match (reply.status.as_u16(), error_name(&reply).as_deref()) {
            (200..=299, _) => read(reply),
            (400 | 401, Some("AccountTakedown")) => Err(PlatformError::Unauthorized("the account is taken down by its server".to_owned())),
            (400 | 401, _) => Err(PlatformError::Unauthorized(
                "the login or its app password is refused: make a new app password and set it for this account".to_owned(),
            )),
            _ => Err(reply.refusal()),
        }
    }
}
