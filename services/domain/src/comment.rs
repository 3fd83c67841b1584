//! A comment as it was seen once: one revision, or the tombstone of a deleted comment.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, AuthorPseudonym, CommentId, InstitutionId, NativeCommentId, PostId, RecordId, RevisionId};
use crate::platform::Platform;
use crate::wire::WireRecord;

/// The longest text accepted, in bytes of UTF-8. Longer ones are cut by the collector at a character boundary, with `truncated` set.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// One revision of a comment. Built by [`NewComment::build`], which derives the identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Comment {
    /// Digest of platform, account and native id.
    pub id: CommentId,
    /// Digest of the comment id, the text and the edit time.
    pub revision: RevisionId,
    /// Where it was written.
    pub platform: Platform,
    /// Under which of our accounts.
    pub account: AccountId,
    /// Whose account.
    pub institution: InstitutionId,
    /// Under which post.
    pub post: PostId,
    /// The platform's id of the comment.
    pub native_id: NativeCommentId,
    /// The platform's id of the comment that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<NativeCommentId>,
    /// HMAC of the author's native id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<AuthorPseudonym>,
    /// The author's native id, sealed (base64); opened only to act on a platform or to build a dossier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_sealed: Option<String>,
    /// Plain text, at most [`TEXT_BYTES_MAX`] bytes; empty in a tombstone.
    pub text: String,
    /// Whether the text was cut at [`TEXT_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Context::is_empty")]
    pub context: Context,
    /// Publication, by the platform's clock.
    pub created_at: Timestamp,
    /// Last edit, by the platform's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When it reached us, by our clock.
    pub collected_at: Timestamp,
    /// Set when the comment is gone upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Tombstone>,
    /// Public address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permalink: Option<String>,
    /// Language claimed by the platform (BCP 47), not trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The raw record it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl Comment {
    /// Erases the text and what tells who wrote it and what it answers. Identifiers and times are left, and the texts cannot be had from them.
    pub fn erase(&mut self) {
        self.text.clear();
        self.parent = None;
        self.author = None;
        self.author_sealed = None;
        self.context = Context::default();
        self.permalink = None;
        self.evidence = None;
    }
}

/// What a comment answers, as far as the platform tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Context {
    /// Text of the comment it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_text: Option<String>,
    /// Text of the post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_text: Option<String>,
}

impl Context {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parent_text.is_none() && self.post_text.is_none()
    }
}

/// A deletion seen upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tombstone {
    /// When it was seen, or when the platform says it happened.
    pub at: Timestamp,
    /// How it was seen (`poll`, `webhook`, `import`, `stream`).
    pub source: String,
}

/// The raw record: its hash in clear, its bytes sealed because they name the author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// SHA-256 of the raw bytes, hexadecimal.
    pub raw_sha256: String,
    /// The raw bytes, sealed (base64).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_sealed: Option<String>,
}

/// What a connector knows of a comment, before the identifiers are derived.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of `Comment`")]
pub struct NewComment {
    pub platform: Platform,
    pub account: AccountId,
    pub institution: InstitutionId,
    pub post: PostId,
    pub native_id: NativeCommentId,
    pub parent: Option<NativeCommentId>,
    pub author: Option<AuthorPseudonym>,
    pub author_sealed: Option<String>,
    pub text: String,
    pub context: Context,
    pub created_at: Timestamp,
    pub edited_at: Option<Timestamp>,
    pub collected_at: Timestamp,
    pub deleted: Option<Tombstone>,
    pub permalink: Option<String>,
    pub language: Option<String>,
    pub evidence: Option<Evidence>,
}

impl NewComment {
    /// Derives the identifiers, erases the text of a tombstone, cuts an over-long text at a character boundary.
    #[must_use]
    pub fn build(mut self) -> Comment {
        if self.deleted.is_some() {
            self.text.clear();
            self.context = Context::default();
        }
        let truncated = self.text.len() > TEXT_BYTES_MAX;
        if truncated {
            let end = self.text.floor_char_boundary(TEXT_BYTES_MAX);
            self.text.truncate(end);
        }
        let id = CommentId::derive(self.platform, &self.account, &self.native_id);
        let revision = RevisionId::derive(&id, &self.text, self.edited_at, self.deleted.is_some());
        Comment {
            id,
            revision,
            platform: self.platform,
            account: self.account,
            institution: self.institution,
            post: self.post,
            native_id: self.native_id,
            parent: self.parent,
            author: self.author,
            author_sealed: self.author_sealed,
            text: self.text,
            truncated,
            context: self.context,
            created_at: self.created_at,
            edited_at: self.edited_at,
            collected_at: self.collected_at,
            deleted: self.deleted,
            permalink: self.permalink,
            language: self.language,
            evidence: self.evidence,
        }
    }
}

impl Comment {
    /// The instant that orders the revisions of one comment: the deletion, else the last edit, else the publication.
    #[must_use]
    pub fn revised_at(&self) -> Timestamp {
        self.deleted
            .as_ref()
            .map(|tombstone| tombstone.at)
            .or(self.edited_at)
            .unwrap_or(self.created_at)
    }
}

impl WireRecord for Comment {
    const NAME: &'static str = "comment";
    const MAJOR: u32 = 1;

    fn record_id(&self) -> RecordId {
        RecordId::derive(&["comment", self.revision.as_str()])
    }

    fn key(&self) -> &CommentId {
        &self.id
    }
}
