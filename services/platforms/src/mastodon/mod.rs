//! Mastodon and the servers that speak its API (GoToSocial, Pleroma, …).
//!
//! Reads the threads under an account's posts, without a token where the server allows it, and the account's mentions with one.
//! Acts by reporting to the server's moderators, which is all that the API offers to an ordinary account: no reply can be hidden.

mod actor;
mod cursor;
mod source;
mod wire;

pub(crate) use actor::Moderator;
pub(crate) use source::Reader;

use crate::error::PlatformError;
use crate::http::{Ask, Http, Limits, Reply};
use crate::{ConnectorAccount, RawComment};

/// The server of one account.
struct Server {
    http: Http,
    token: Option<String>,
}

impl Server {
    fn new(account: &ConnectorAccount, limits: Limits) -> Result<Self, PlatformError> {
        let base = account.base_url.as_ref().ok_or_else(|| {
            PlatformError::Permanent(
                "a Mastodon account needs base_url, the address of its server, such as https://mastodon.social".to_owned(),
            )
        })?;
        Ok(Self {
            http: Http::new(base, account.token.is_some(), limits)?,
            token: account.token.clone(),
        })
    }

    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Reply, PlatformError> {
        self.http.send(Ask::get(path, query).bearer(self.token.as_deref())).await
    }

    async fn post(&self, path: &[&str], json: &serde_json::Value) -> Result<Reply, PlatformError> {
        self.http.send(Ask::post(path, json).bearer(self.token.as_deref())).await
    }

    /// The id of the account named `handle`, or of the token's owner.
    async fn account_id(&self, handle: Option<&str>) -> Result<String, PlatformError> {
        let account: wire::Account = match handle {
            Some(handle) => self
                .get(&["api", "v1", "accounts", "lookup"], &[("acct", &self.local_name(handle))])
                .await?
                .json()
                .map_err(|error| match error {
                    PlatformError::Gone => {
                        PlatformError::Permanent(format!("{} knows no account of the name in `handle`: correct it", self.http.host()))
                    }
                    other => other,
                })?,
            None => self.get(&["api", "v1", "accounts", "verify_credentials"], &[]).await?.json()?,
        };
        Ok(account.id)
    }

    /// `@name@server` without the sign, and without the server where it is this one.
    fn local_name(&self, handle: &str) -> String {
        let handle = handle.trim().trim_start_matches('@');
        match handle.split_once('@') {
            Some((name, server)) if server.eq_ignore_ascii_case(self.http.host()) => name.to_owned(),
            _ => handle.to_owned(),
        }
    }
}
