//! Identifiers as newtypes. Native identifiers are opaque strings on every platform; our own are SHA-256 digests of what they
//! identify, so that the same thing read twice (by webhook and by poll, before and after a crash) has the same identifier.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::platform::Platform;

/// Why a string is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty, or only white space.
    #[error("{kind} is empty")]
    Empty {
        /// Which identifier.
        kind: &'static str,
    },
    /// Over [`ID_BYTES_MAX`] bytes.
    #[error("{kind} has {bytes} bytes, {max} is the most", max = ID_BYTES_MAX)]
    TooLong {
        /// Which identifier.
        kind: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// Holds a control character.
    #[error("{kind} holds a control character")]
    Control {
        /// Which identifier.
        kind: &'static str,
    },
}

/// The longest identifier accepted, in bytes. AT URIs, the longest known, stay below 300.
pub const ID_BYTES_MAX: usize = 512;

fn check(kind: &'static str, text: &str) -> Result<(), IdError> {
    if text.trim().is_empty() {
        return Err(IdError::Empty { kind });
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong { kind, bytes: text.len() });
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::Control { kind });
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses an identifier.
            ///
            /// # Errors
            /// Empty, over [`ID_BYTES_MAX`] bytes, or holding a control character.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check($kind, &text)?;
                Ok(Self(text))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// An institution that moderates: a ministry, a museum.
    InstitutionId, "institution id");
id!(
    /// An account of an institution on a platform, as configured (`musee-orne`, `ministere-culture`).
    AccountId, "account id");
id!(
    /// A post, as the platform names it.
    PostId, "post id");
id!(
    /// A comment, as the platform names it.
    NativeCommentId, "comment id");
id!(
    /// HMAC-SHA-256 of an author's native id under a rotating key, in hexadecimal. Never the native id itself.
    AuthorPseudonym, "author pseudonym");
id!(
    /// A comment: digest of platform, account and native id. The key of every record.
    CommentId, "comment id");
id!(
    /// A revision of a comment: digest of the comment id, the SHA-256 of the text and the edit time.
    RevisionId, "revision id");
id!(
    /// A verdict: digest of the revision and of the versions of model, rulebook and policy.
    VerdictId, "verdict id");
id!(
    /// A decision, by a person or by policy.
    DecisionId, "decision id");
id!(
    /// One action asked of a platform because of one decision; its states share the id.
    EnforcementId, "enforcement id");
id!(
    /// A threat report: digest of the revision.
    ReportId, "report id");
id!(
    /// Names a record on a topic; consumers are idempotent by it.
    RecordId, "record id");
id!(
    /// The name under which a moderator appears to others.
    Pseudonym, "pseudonym");

impl CommentId {
    /// The id of the comment that a platform names `native` under `account`.
    #[must_use]
    pub fn derive(platform: Platform, account: &AccountId, native: &NativeCommentId) -> Self {
        Self(digest(&["comment", platform.as_str(), account.as_str(), native.as_str()]))
    }
}

impl RevisionId {
    /// The id of the revision of `comment` with this text and edit time. A tombstone is a revision of its own.
    #[must_use]
    pub fn derive(comment: &CommentId, text: &str, edited_at: Option<Timestamp>, deleted: bool) -> Self {
        let edited = edited_at.map(|at| at.as_microsecond().to_string()).unwrap_or_default();
        let kind = if deleted { "tombstone" } else { "revision" };
        Self(digest(&[kind, comment.as_str(), &sha256_hex(text.as_bytes()), &edited]))
    }
}

impl VerdictId {
    /// The id of the verdict on `revision` under these versions.
    #[must_use]
    pub fn derive(revision: &RevisionId, model: &str, rulebook: &str, policy: &str) -> Self {
        Self(digest(&["verdict", revision.as_str(), model, rulebook, policy]))
    }
}

impl DecisionId {
    /// The id of the `sequence`-th decision on `revision` (0 for the first; an undo or a change of mind is the next).
    #[must_use]
    pub fn derive(revision: &RevisionId, sequence: u32) -> Self {
        Self(digest(&["decision", revision.as_str(), &sequence.to_string()]))
    }
}

impl EnforcementId {
    /// The id of the `action` (a short name) that follows from `decision`: the idempotency key of the outbox.
    #[must_use]
    pub fn derive(decision: &DecisionId, action: &str) -> Self {
        Self(digest(&["enforcement", decision.as_str(), action]))
    }
}

impl ReportId {
    /// The id of the threat report on `revision`.
    #[must_use]
    pub fn derive(revision: &RevisionId) -> Self {
        Self(digest(&["report", revision.as_str()]))
    }
}

impl RecordId {
    /// A record id from parts, unambiguous whatever the parts hold.
    #[must_use]
    pub fn derive(parts: &[&str]) -> Self {
        Self(digest(parts))
    }
}

/// SHA-256 of `bytes` in lower-case hexadecimal (64 characters).
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The first 128 bits of SHA-256 over the length-prefixed parts, in hexadecimal: 32 characters.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(RecordId::derive(&["ab", "c"]), RecordId::derive(&["a", "bc"]));
    }

    #[test]
    fn refuses_empty_long_and_control() {
        assert!(PostId::new(" ").is_err());
        assert!(PostId::new("a\nb").is_err());
        assert!(PostId::new("x".repeat(ID_BYTES_MAX + 1)).is_err());
        assert_eq!(
            PostId::new("at://did:plc:x/app.bsky.feed.post/3k").map(String::from).as_deref(),
            Ok("at://did:plc:x/app.bsky.feed.post/3k")
        );
    }

    #[test]
    fn an_edit_is_another_revision_of_the_same_comment() -> Result<(), IdError> {
        let comment = CommentId::derive(Platform::Mastodon, &AccountId::new("a")?, &NativeCommentId::new("1")?);
        let edited = Timestamp::from_second(1_795_470_000).ok();
        let ids = [
            RevisionId::derive(&comment, "bonjour", None, false),
            RevisionId::derive(&comment, "bonsoir", None, false),
            RevisionId::derive(&comment, "bonjour", edited, false),
            RevisionId::derive(&comment, "", None, true),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), 4);
        Ok(())
    }
}
