//! Hides replies by the post's threadgate, shows them again, and reports them.
//!
//! One threadgate record holds all hidden replies of a post, at most 300. It is read, changed and written back only if nobody changed it
//! meanwhile (`swapRecord`); else it is read again. What else stands in it, such as who may answer, stays as it is.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use vigie_domain::{Action, Platform};

use super::wire::{AtUri, Record, Report};
use super::{ConnectorAccount, Limits, Network, PlatformError, error_name, read, refusal};
use crate::{Actor, Confirmation, Subject};

const GATE: &str = "app.bsky.feed.threadgate";
const HIDDEN_REPLIES_MAX: usize = 300;
const SWAPS_MAX: u32 = 8;
const REASON_CHARACTERS_MAX: usize = 1_000;

/// Acts with the session of one account.
pub(crate) struct Moderator {
    network: Network,
    labeler: Option<String>,
}

impl Moderator {
    pub fn new(account: &ConnectorAccount, limits: Limits) -> Result<Self, PlatformError> {
        let labeler = account.labeler_did.as_ref().map(|did| format!("{did}#atproto_labeler"));
        if account
            .labeler_did
            .as_ref()
            .is_some_and(|did| !did.starts_with("did:") || !did.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(PlatformError::Permanent("labeler_did must begin with did:".to_owned()));
        }
        Ok(Self {
            network: Network::new(account, limits)?,
            labeler,
        })
    }

    /// The post of ours that `on` stands under, and the reply itself.
    async fn place(&self, on: &Subject) -> Result<(AtUri, AtUri), PlatformError> {
        let own = self.network.did().await?;
        let malformed = || PlatformError::Permanent("the comment or its post has no address of the AT Protocol".to_owned());
        let (post, reply) = (
            AtUri::parse(&on.post).ok_or_else(malformed)?,
            AtUri::parse(&on.native_id).ok_or_else(malformed)?,
        );
        if post.authority != own {
            return Err(PlatformError::Permanent(
                "the thread belongs to somebody else, and only its owner can hide replies".to_owned(),
            ));
        }
        Ok((post, reply))
    }

    async fn gate(&self, post: &AtUri) -> Result<Option<Record>, PlatformError> {
        let parameters = [("repo", post.authority.as_str()), ("collection", GATE), ("rkey", post.key.as_str())];
        match read(self.network.query("com.atproto.repo.getRecord", &parameters).await?) {
            Ok(record) => Ok(Some(record)),
            Err(PlatformError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn set_hidden(&self, on: &Subject, hidden: bool) -> Result<(), PlatformError> {
        let (post, reply) = self.place(on).await?;
        for attempt in 0..SWAPS_MAX {
            let gate = self.gate(&post).await?;
            let cid = gate.as_ref().and_then(|record| record.cid.clone());
            let Some(value) = changed(gate.map(|record| record.value), &post, &reply, hidden)? else {
                return Ok(());
            };
            let body = json!({ "repo": post.authority, "collection": GATE, "rkey": post.key, "record": value, "swapRecord": cid });
            let answer = self.network.call("com.atproto.repo.putRecord", &body, &[]).await?;
            if answer.status.is_success() {
                return Ok(());
            }
            if error_name(&answer).as_deref() != Some("InvalidSwap") {
                return Err(refusal(&answer));
            }
            let wait_ms = rand::random_range(20..100 * (u64::from(attempt) + 1));
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        Err(PlatformError::Transient(
            "the hidden replies of this post are changed by others all the time".to_owned(),
        ))
    }

    async fn report(&self, on: &Subject) -> Result<Option<String>, PlatformError> {
        let uri = AtUri::parse(&on.native_id)
            .ok_or_else(|| PlatformError::Permanent("the comment has no address of the AT Protocol".to_owned()))?;
        let post = self
            .network
            .posts(&[on.native_id.as_str()])
            .await?
            .into_iter()
            .find(|post| post.uri == uri)
            .ok_or(PlatformError::Gone)?;
        let reason: String = on.comment.chars().take(REASON_CHARACTERS_MAX).collect();
        let body = json!({
            "reasonType": "com.atproto.moderation.defs#reasonRude",
            "reason": reason,
            "subject": { "$type": "com.atproto.repo.strongRef", "uri": on.native_id, "cid": post.cid },
        });
        let proxy: Vec<(&'static str, &str)> = self.labeler.iter().map(|labeler| ("atproto-proxy", labeler.as_str())).collect();
        let report: Report = read(self.network.call("com.atproto.moderation.createReport", &body, &proxy).await?)?;
        Ok(Some(match report.id {
            Value::String(id) => id,
            other => other.to_string(),
        }))
    }
}

#[async_trait]
impl Actor for Moderator {
    fn supports(&self, action: Action) -> bool {
        crate::supports(Platform::Bluesky, action)
    }

    async fn act(&self, action: Action, on: &Subject) -> Result<Option<String>, PlatformError> {
        match action {
            Action::Hide => self.set_hidden(on, true).await.map(|()| None),
            Action::Unhide => self.set_hidden(on, false).await.map(|()| None),
            Action::Report => self.report(on).await,
            Action::Delete => Err(PlatformError::Permanent(
                "Bluesky offers no way to delete somebody else's post".to_owned(),
            )),
        }
    }

    async fn confirm(&self, action: Action, on: &Subject) -> Result<Confirmation, PlatformError> {
        if !matches!(action, Action::Hide | Action::Unhide) {
            return Ok(Confirmation::Unreadable);
        }
        let (post, reply) = self.place(on).await?;
        let gate = self.gate(&post).await?;
        let is_hidden = gate.is_some_and(|record| hidden_replies(&record.value).any(|uri| uri == reply.to_string()));
        Ok(if is_hidden == (action == Action::Hide) {
            Confirmation::Holds
        } else {
            Confirmation::Absent
        })
    }
}

fn hidden_replies(gate: &Value) -> impl Iterator<Item = &str> {
    gate.get("hiddenReplies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The threadgate with `reply` hidden or shown; none where it is so already.
fn changed(gate: Option<Value>, post: &AtUri, reply: &AtUri, hidden: bool) -> Result<Option<Value>, PlatformError> {
    let reply = reply.to_string();
    let mut gate = match gate {
        Some(gate @ Value::Object(_)) => gate,
        Some(_) => {
            return Err(PlatformError::Malformed(
                "the threadgate of the post is not of the form expected".to_owned(),
            ));
        }
        None => json!({ "$type": GATE, "post": post.to_string(), "createdAt": Timestamp::now().to_string() }),
    };
    let mut replies: Vec<String> = hidden_replies(&gate).map(str::to_owned).collect();
    if replies.contains(&reply) == hidden {
        return Ok(None);
    }
    if hidden {
        if replies.len() >= HIDDEN_REPLIES_MAX {
            return Err(PlatformError::Permanent(format!(
                "{HIDDEN_REPLIES_MAX} replies to this post are hidden already, which is the most that Bluesky allows"
            )));
        }
        replies.push(reply);
    } else {
        replies.retain(|uri| *uri != reply);
    }
    gate["hiddenReplies"] = json!(replies);
    Ok(Some(gate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(key: &str) -> AtUri {
        AtUri::parse(&format!("at://did:plc:m/app.bsky.feed.post/{key}")).expect("an address")
    }

    #[test]
    fn the_rest_of_the_gate_stays() -> Result<(), PlatformError> {
        let gate = json!({ "$type": GATE, "post": "x", "createdAt": "y", "allow": [], "unknown": 1, "hiddenReplies": ["a"] });
        let hidden = changed(Some(gate.clone()), &uri("p"), &uri("r"), true)?.expect("a change");
        assert_eq!(hidden["hiddenReplies"], json!(["a", uri("r").to_string()]));
        assert_eq!(changed(Some(hidden.clone()), &uri("p"), &uri("r"), true)?, None);
        assert_eq!(changed(Some(hidden), &uri("p"), &uri("r"), false)?, Some(gate));
        Ok(())
    }

    #[test]
    fn a_new_gate_lets_everybody_answer() -> Result<(), PlatformError> {
        let gate = changed(None, &uri("p"), &uri("r"), true)?.expect("a change");
        assert_eq!(
            (gate["post"].as_str(), gate.get("allow")),
            (Some("at://did:plc:m/app.bsky.feed.post/p"), None)
        );
        assert_eq!(changed(None, &uri("p"), &uri("r"), false)?, None);
        Ok(())
    }

    #[test]
    fn three_hundred_and_no_more() {
        let full: Vec<String> = (0..HIDDEN_REPLIES_MAX).map(|index| uri(&index.to_string()).to_string()).collect();
        let gate = json!({ "hiddenReplies": full });
        assert!(matches!(
            changed(Some(gate.clone()), &uri("p"), &uri("r"), true),
            Err(PlatformError::Permanent(_))
        ));
        assert!(matches!(changed(Some(gate), &uri("p"), &uri("7"), false), Ok(Some(_))));
    }
}
