//! The parts of the API's JSON that are read. Everything that a server may leave out is optional.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::RawComment;
use crate::error::PlatformError;
use crate::html::to_text;

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Account {
    pub id: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Status {
    pub id: String,
    pub created_at: Timestamp,
    #[serde(default)]
    pub edited_at: Option<Timestamp>,
    #[serde(default)]
    pub in_reply_to_id: Option<String>,
    #[serde(default)]
    pub in_reply_to_account_id: Option<String>,
    #[serde(default)]
    pub visibility: Option<String>,
    #[serde(default)]
    pub spoiler_text: Option<String>,
    #[serde(default)]
    pub content: Option<String>,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub language: Option<String>,
    pub account: Account,
    #[serde(default)]
    pub poll: Option<Poll>,
    #[serde(default)]
    pub media_attachments: Vec<Media>,
    #[serde(default)]
    pub replies_count: u64,
    #[serde(default)]
    pub reblog: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Poll {
    #[serde(default)]
    pub options: Vec<PollOption>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct PollOption {
    #[serde(default)]
    pub title: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Media {
    #[serde(default)]
    pub description: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Context {
    #[serde(default)]
    pub ancestors: Vec<Box<RawValue>>,
    #[serde(default)]
    pub descendants: Vec<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Notification {
    pub id: String,
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// Null where the status is gone since.
    #[serde(default)]
    pub status: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub id: String,
    /// Null on some servers where there is none.
    #[serde(default)]
    status_ids: Option<Vec<String>>,
    #[serde(default)]
    statuses: Option<Vec<Account>>,
}

impl Status {
    /// One status; none (and a line in the log) where this one makes no sense: it must not hold up the others.
    pub fn read(raw: &RawValue) -> Option<Self> {
        match serde_json::from_str::<Self>(raw.get()) {
            Ok(status) if is_id(&status.id) => Some(status),
            Ok(_) => {
                tracing::warn!("a status has an id that no server gives; it is left out");
                None
            }
            Err(error) => {
                tracing::warn!(
                    line = error.line(),
                    column = error.column(),
                    "a status is not of the form expected; it is left out"
                );
                None
            }
        }
    }

    /// Whether anybody may read it. Private messages and posts for followers are none of our business.
    pub fn is_public(&self) -> bool {
        matches!(self.visibility.as_deref(), None | Some("public" | "unlisted"))
    }

    /// All that a reader may see: the warning, the text, the answers of a poll, the descriptions of pictures.
    pub fn text(&self) -> String {
        let warning = self.spoiler_text.as_deref().unwrap_or_default().trim().to_owned();
        let content = to_text(self.content.as_deref().unwrap_or_default());
        let answers = self
            .poll
            .iter()
            .flat_map(|poll| &poll.options)
            .map(|option| option.title.trim().to_owned());
        let pictures = self
            .media_attachments
            .iter()
            .filter_map(|media| media.description.as_deref())
            .map(|text| text.trim().to_owned());
        let parts: Vec<String> = [warning, content]
            .into_iter()
            .chain(answers)
            .chain(pictures)
            .filter(|part| !part.is_empty())
            .collect();
        parts.join("\n")
    }

    pub fn into_comment(self, raw: &RawValue, post: &str, post_text: Option<String>, parent_text: Option<String>) -> RawComment {
        RawComment {
            text: self.text(),
            native_id: self.id,
            post: post.to_owned(),
            parent: self.in_reply_to_id,
            author_native: Some(self.account.id),
            parent_text,
            post_text,
            created_at: self.created_at,
            edited_at: self.edited_at,
            deleted: false,
            permalink: self.url.filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            language: self.language,
            raw: raw.get().as_bytes().to_vec(),
        }
    }
}

impl Report {
    /// Whether it is about this status.
    pub fn names(&self, status: &str) -> bool {
        self.status_ids.iter().flatten().any(|id| id == status) || self.statuses.iter().flatten().any(|reported| reported.id == status)
    }
}

/// Ids are numbers on Mastodon, ULIDs on GoToSocial, other words elsewhere.
fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Orders ids by age where they are numbers or ULIDs: the longer the number, the newer.
pub(super) fn newest<'a>(ids: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    ids.max_by(|a, b| (a.len(), *a).cmp(&(b.len(), *b)))
}

/// The oldest id, see [`newest`].
pub(super) fn oldest<'a>(ids: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    ids.min_by(|a, b| (a.len(), *a).cmp(&(b.len(), *b)))
}

/// Refuses an id that is none before it goes into a request.
pub(super) fn checked(id: &str) -> Result<&str, PlatformError> {
    if is_id(id) {
        Ok(id)
    } else {
        Err(PlatformError::Permanent("not an id of this platform".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_a_reader_may_see_is_text() -> anyhow::Result<()> {
        let raw: Box<RawValue> = serde_json::from_str(
            r#"{"id":"01M85B9C0B9MPH0CPQYJ7QKBTW","created_at":"2026-11-23T23:19:03.436Z","edited_at":null,"in_reply_to_id":"01M85B9BKER406M06BEDBDWY1W",
            "visibility":"unlisted","spoiler_text":" Attention ","content":"<p>un<br>deux</p>","url":"javascript:alert(1)","language":"fr",
            "account":{"id":"01W0T28H84KXB7XHMZ8T02BVJZ","username":"citoyen"},"poll":{"options":[{"title":"oui"},{"title":"non"}]},
            "media_attachments":[{"description":"une photo"},{"description":null}]}"#,
        )?;
        let status = Status::read(&raw).expect("a status");
        let comment = status.into_comment(&raw, "p", None, None);
        assert_eq!(comment.text, "Attention\nun\ndeux\noui\nnon\nune photo");
        assert_eq!(comment.permalink, None);
        assert_eq!(comment.created_at.to_string(), "2026-11-23T23:19:03.436Z");
        Ok(())
    }

    #[test]
    fn the_newest_id_is_found_among_numbers_and_ulids() {
        assert_eq!(newest(["9", "10", "8"].into_iter()), Some("10"));
        assert_eq!(oldest(["9", "10", "8"].into_iter()), Some("8"));
        assert_eq!(
            newest(["01M85B9BZPPP90CWM4QSW3MTED", "01M85B9C0FERW0R85EQMJRP7FN"].into_iter()),
            Some("01M85B9C0FERW0R85EQMJRP7FN")
        );
    }
}
