//! Reports comments to the moderators of the server.
//!
//! The API takes a report as often as it is sent: before sending, the reports that can be read are searched for one of ours on the same
//! comment. Moderators of a server can read all (`admin/reports`), GoToSocial shows everybody their own (`reports`); on other servers
//! nothing can be read back and the id in the answer is the only receipt.

use async_trait::async_trait;
use serde_json::json;
use vigie_domain::{Action, Platform};

use super::wire::{Report, checked};
use super::{ConnectorAccount, Limits, PlatformError, Server};
use crate::{Actor, Confirmation, Subject};

const COMMENT_CHARACTERS_MAX: usize = 1_000;

/// Acts with the token of one account.
pub(crate) struct Moderator {
    server: Server,
    handle: Option<String>,
}

/// The reports that can be read.
enum Readable {
    /// They can, and one of ours names the comment.
    Found(String),
    /// They can, and none does.
    Absent,
    /// They cannot.
    No,
}

impl Moderator {
    pub fn new(account: &ConnectorAccount, limits: Limits) -> Result<Self, PlatformError> {
        Ok(Self {
            server: Server::new(account, limits)?,
            handle: account.handle.clone(),
        })
    }

    async fn find(&self, on: &Subject) -> Result<Readable, PlatformError> {
        let Some(author) = on.author_native.as_deref() else {
            return Ok(Readable::No);
        };
        let own = match self
            .list(&["api", "v1", "reports"], &[("target_account_id", author), ("limit", "100")])
            .await?
        {
            Some(reports) => Some(reports),
            None => {
                let reporter = self.server.account_id(self.handle.as_deref()).await?;
                let mut all = Vec::new();
                let mut readable = false;
                // Open and closed ones are two lists.
                for resolved in [None, Some(("resolved", "true"))] {
                    let mut query = vec![("account_id", reporter.as_str()), ("target_account_id", author), ("limit", "100")];
                    query.extend(resolved);
                    if let Some(reports) = self.list(&["api", "v1", "admin", "reports"], &query).await? {
                        readable = true;
                        all.extend(reports);
                    }
                }
                readable.then_some(all)
            }
        };
        Ok(match own {
            None => Readable::No,
            Some(reports) => reports
                .into_iter()
                .find(|report| report.names(&on.native_id))
                .map_or(Readable::Absent, |report| Readable::Found(report.id)),
        })
    }

    /// A list of reports; none where the server does not show it to us.
    async fn list(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<Vec<Report>>, PlatformError> {
        match self.server.get(path, query).await?.json() {
            Ok(reports) => Ok(Some(reports)),
            Err(error @ (PlatformError::Throttled { .. } | PlatformError::Transient(_) | PlatformError::Unauthorized(_))) => Err(error),
            Err(_) => Ok(None),
        }
    }

    async fn send(&self, on: &Subject) -> Result<String, PlatformError> {
        let author = on
            .author_native
            .as_deref()
            .ok_or_else(|| PlatformError::Permanent("the author of the comment is not known, and a report must name them".to_owned()))?;
        let comment: String = on.comment.chars().take(COMMENT_CHARACTERS_MAX).collect();
        let body = json!({ "account_id": checked(author)?, "status_ids": [checked(&on.native_id)?], "comment": comment, "category": "other", "forward": false });
        let report: Report = self.server.post(&["api", "v1", "reports"], &body).await?.json()?;
        Ok(report.id)
    }
}

#[async_trait]
impl Actor for Moderator {
    fn supports(&self, action: Action) -> bool {
        crate::supports(Platform::Mastodon, action)
    }

    async fn act(&self, action: Action, on: &Subject) -> Result<Option<String>, PlatformError> {
        if action != Action::Report {
            return Err(PlatformError::Permanent(format!(
                "Mastodon offers no way to {} somebody else's reply",
                action.as_str()
            )));
        }
        match self.find(on).await? {
            Readable::Found(id) => Ok(Some(id)),
            Readable::Absent | Readable::No => Ok(Some(self.send(on).await?)),
        }
    }

    async fn confirm(&self, action: Action, on: &Subject) -> Result<Confirmation, PlatformError> {
        if action != Action::Report {
            return Ok(Confirmation::Absent);
        }
        Ok(match self.find(on).await? {
            Readable::Found(_) => Confirmation::Holds,
            Readable::Absent => Confirmation::Absent,
            Readable::No => Confirmation::Unreadable,
        })
    }
}
