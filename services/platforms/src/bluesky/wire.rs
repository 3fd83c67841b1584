//! The parts of the lexicons' JSON that are read.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::RawComment;

#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub error: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub did: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Posts {
    #[serde(default)]
    pub posts: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Feed {
    #[serde(default)]
    pub feed: Vec<FeedItem>,
    #[serde(default)]
    pub cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FeedItem {
    pub post: Value,
    /// Set on reposts and pinned posts.
    #[serde(default)]
    pub reason: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Thread {
    pub thread: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Notifications {
    #[serde(default)]
    pub notifications: Vec<Value>,
    /// May be absent at the end.
    #[serde(default)]
    pub cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Record {
    #[serde(default)]
    pub cid: Option<String>,
    pub value: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Report {
    /// A number today; nothing depends on it.
    pub id: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct PostView {
    uri: String,
    cid: String,
    author: Author,
    record: PostRecord,
    #[serde(default, rename = "replyCount")]
    reply_count: u64,
    #[serde(rename = "indexedAt")]
    indexed_at: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
struct Author {
    did: String,
}

#[derive(Debug, Clone, Deserialize)]
struct PostRecord {
    #[serde(default)]
    text: String,
    #[serde(default)]
    langs: Vec<String>,
    #[serde(default, rename = "createdAt")]
    created_at: Option<String>,
    #[serde(default)]
    reply: Option<ReplyTo>,
    #[serde(default)]
    embed: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct ReplyTo {
    root: Reference,
    parent: Reference,
}

#[derive(Debug, Clone, Deserialize)]
struct Reference {
    uri: String,
}

/// A post as the `AppView` or a notification gives it: both have the same fields.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub uri: AtUri,
    pub cid: String,
    pub author: String,
    pub text: String,
    pub created_at: Timestamp,
    pub indexed_at: Timestamp,
    pub reply_count: u64,
    pub root: Option<AtUri>,
    pub parent: Option<AtUri>,
    language: Option<String>,
    raw: Vec<u8>,
}

impl Post {
    /// One post; none (and a line in the log) where it makes no sense: it must not hold up the others.
    pub fn read(value: &Value) -> Option<Self> {
        let view = match PostView::deserialize(value) {
            Ok(view) => view,
            Err(_) => {
                tracing::warn!("a post is not of the form expected; it is left out");
                return None;
            }
        };
        // The author writes createdAt and may write anything; the network saw it at indexedAt.
        let claimed = view.record.created_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let pictures = descriptions(view.record.embed.as_ref());
        let text = std::iter::once(view.record.text.trim_end().to_owned())
            .chain(pictures)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        let (root, parent) = view
            .record
            .reply
            .map(|reply| (AtUri::parse(&reply.root.uri), AtUri::parse(&reply.parent.uri)))
            .unwrap_or_default();
        Some(Self {
            uri: AtUri::parse(&view.uri)?,
            cid: view.cid,
            author: view.author.did,
            text,
            created_at: claimed.map_or(view.indexed_at, |claimed| claimed.min(view.indexed_at)),
            indexed_at: view.indexed_at,
            reply_count: view.reply_count,
            root,
            parent,
            language: view.record.langs.into_iter().next(),
            raw: serde_json::to_vec(value).unwrap_or_default(),
        })
    }

    pub fn into_comment(self, post: &AtUri, post_text: Option<String>, parent_text: Option<String>) -> RawComment {
        RawComment {
            permalink: Some(format!("https://bsky.app/profile/{}/post/{}", self.uri.authority, self.uri.key)),
            native_id: self.uri.to_string(),
            post: post.to_string(),
            parent: self.parent.map(|parent| parent.to_string()),
            author_native: Some(self.author),
            text: self.text,
            parent_text,
            post_text,
            created_at: self.created_at,
            edited_at: None,
            deleted: false,
            language: self.language,
            raw: self.raw,
        }
    }
}

/// The descriptions of the pictures in an embed: what is written there is part of the post.
fn descriptions(embed: Option<&Value>) -> Vec<String> {
    let Some(embed) = embed else { return Vec::new() };
    let images = embed
        .get("images")
        .or_else(|| embed.get("media")?.get("images"))
        .and_then(Value::as_array);
    images
        .into_iter()
        .flatten()
        .filter_map(|image| image.get("alt")?.as_str())
        .map(|alt| alt.trim().to_owned())
        .collect()
}

/// `at://did/collection/key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct AtUri {
    pub authority: String,
    pub collection: String,
    pub key: String,
}

impl AtUri {
    pub fn parse(text: &str) -> Option<Self> {
        let is_clean = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:_-~%".contains(&byte));
        let mut parts = text.strip_prefix("at://").filter(|_| text.len() <= 512)?.split('/');
        let (authority, collection, key) = (parts.next()?, parts.next()?, parts.next()?);
        let is_whole = parts.next().is_none() && authority.starts_with("did:");
        (is_whole && [authority, collection, key].into_iter().all(is_clean)).then(|| Self {
            authority: authority.to_owned(),
            collection: collection.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl std::fmt::Display for AtUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at://{}/{}/{}", self.authority, self.collection, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_are_checked() {
        let check = |text: &str, expected: bool| {
            assert_eq!(
                AtUri::parse(text).map(|uri| uri.to_string()).is_some_and(|back| back == text),
                expected,
                "{text}"
            )
        };
        check("at://did:plc:uncnhz437gaegtlaecw6jywe/app.bsky.feed.post/3n2zbdv4wrc2p", true);
        check("at://did:web:example.org/app.bsky.feed.post/3n2zbdv4wrc2p", true);
        check("at://ministere.test/app.bsky.feed.post/3n2", false);
        check("at://did:plc:x/app.bsky.feed.post", false);
        check("at://did:plc:x/app.bsky.feed.post/3n2/x", false);
        check("at://did:plc:x/app.bsky.feed.post/3n2?x=y", false);
        check("https://did:plc:x/a/b", false);
    }

    #[test]
    fn a_false_date_is_not_believed_and_descriptions_are_text() {
        let post = |created_at: &str| {
            Post::read(&json!({
                "uri": "at://did:plc:a/app.bsky.feed.post/1", "cid": "c", "author": { "did": "did:plc:a" }, "indexedAt": "2026-11-23T23:19:36.209Z",
                "record": { "text": "C’est honteux ", "langs": ["fr", "en"], "createdAt": created_at,
                    "reply": { "root": { "uri": "at://did:plc:m/app.bsky.feed.post/r" }, "parent": { "uri": "at://did:plc:m/app.bsky.feed.post/p" } },
                    "embed": { "$type": "app.bsky.embed.images", "images": [{ "alt": "une affiche" }, { "alt": "" }] } }
            }))
            .expect("a post")
        };
        assert_eq!(post("2999-01-01T00:00:00Z").created_at.to_string(), "2026-11-23T23:19:36.209Z");
        assert_eq!(post("never").created_at.to_string(), "2026-11-23T23:19:36.209Z");
        let comment = post("2026-11-23T23:19:00Z").into_comment(
            &AtUri::parse("at://did:plc:m/app.bsky.feed.post/r").expect("an address"),
            None,
            None,
        );
        assert_eq!(
            (comment.text.as_str(), comment.language.as_deref()),
            ("C’est honteux\nune affiche", Some("fr"))
        );
        assert_eq!(comment.created_at.to_string(), "2026-11-23T23:19:00Z");
        assert_eq!(comment.parent.as_deref(), Some("at://did:plc:m/app.bsky.feed.post/p"));
        assert_eq!(comment.permalink.as_deref(), Some("https://bsky.app/profile/did:plc:a/post/1"));
        assert!(Post::read(&json!({ "uri": "at://x" })).is_none());
    }
}
