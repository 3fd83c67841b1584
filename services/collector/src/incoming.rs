//! What a source gives, in one form, and how it becomes a [`Comment`]: the author behind a pseudonym, the native id and the raw
//! record sealed, the rest as it was.

use jiff::{SignedDuration, Timestamp};
use vigie_domain::comment::TEXT_BYTES_MAX;
use vigie_domain::{Comment, Context, Evidence, NativeCommentId, NewComment, Platform, PostId, Tombstone, sha256_hex};
use vigie_platforms::RawComment;
use vigie_runtime::{Account, Keys};

use crate::import::Row;

/// Raw records over this are kept as their hash only, so that a record with a text of 1 MiB stays below the limit of the bus.
const RAW_BYTES_MAX: usize = 256 << 10;
/// Texts around a comment are cut here: they explain, they are not judged.
const CONTEXT_BYTES_MAX: usize = 16 << 10;
/// Clocks may differ by this much.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);
/// 1995: nothing that is collected here is older than the web.
const OLDEST_SECOND: i64 = 788_918_400;

/// How a comment came in; named in tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Asked for.
    Poll,
    /// Sent to us.
    Webhook,
    /// A file.
    Import,
    /// A file, played as if it came in now.
    Replay,
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Webhook => "webhook",
            Self::Import | Self::Replay => "import",
        }
    }
}

/// A comment before its identifiers are derived. Personal data.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub platform: Platform,
    pub native_id: String,
    pub post: String,
    pub parent: Option<String>,
    pub author_native: Option<String>,
    pub text: String,
    pub context: Context,
    pub created_at: Timestamp,
    pub edited_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub permalink: Option<String>,
    pub language: Option<String>,
    /// None where there is no record, as in a deletion that was noticed.
    pub raw: Option<Vec<u8>>,
}

impl Incoming {
    /// From a connector.
    #[must_use]
    pub fn from_platform(platform: Platform, raw: RawComment, now: Timestamp) -> Self {
        Self {
            platform,
            native_id: raw.native_id,
            post: raw.post,
            parent: raw.parent,
            author_native: raw.author_native,
            text: raw.text,
            context: Context {
                parent_text: raw.parent_text,
                post_text: raw.post_text,
            },
            created_at: raw.created_at,
            edited_at: raw.edited_at,
            deleted_at: raw.deleted.then_some(now),
            permalink: raw.permalink,
            language: raw.language,
            raw: Some(raw.raw),
        }
    }

    /// From a file or a webhook.
    ///
    /// # Errors
    /// A platform that is not the account's, or a time that cannot be.
    pub fn from_row(account: &Account, row: Row, now: Timestamp) -> Result<Self, String> {
        if row.platform != account.platform && account.platform != Platform::Generic {
            return Err(format!(
                "`platform` is {}, but the account is on {}",
                row.platform, account.platform
            ));
        }
        check_time("created_at", Some(row.created_at), now)?;
        check_time("edited_at", row.edited_at, now)?;
        check_time("deleted_at", row.deleted_at, now)?;
        Ok(Self {
            platform: row.platform,
            native_id: row.comment_id,
            post: row.post_id,
            parent: row.parent_id,
            author_native: row.author_id,
            text: row.text,
            context: Context {
                parent_text: row.parent_text,
                post_text: row.post_text,
            },
            created_at: row.created_at,
            edited_at: row.edited_at,
            deleted_at: row.deleted_at,
            permalink: row.permalink,
            language: row.language,
            raw: Some(row.raw.into_bytes()),
        })
    }

    /// The comment.
    ///
    /// # Errors
    /// An id that is none.
    pub fn build(self, account: &Account, keys: &Keys, origin: Origin, now: Timestamp) -> Result<Comment, vigie_domain::IdError> {
        let native_id = NativeCommentId::new(self.native_id)?;
        let post = PostId::new(self.post)?;
        // What cannot name a comment answers nothing that is known.
        let parent = self.parent.and_then(|parent| NativeCommentId::new(parent).ok());
        let is_deleted = self.deleted_at.is_some();
        let author = self.author_native.filter(|author| !author.is_empty() && !is_deleted);
        let raw = self.raw.filter(|_| !is_deleted);
        let evidence = raw.map(|raw| Evidence {
            raw_sha256: sha256_hex(&raw),
            raw_sealed: (raw.len() <= RAW_BYTES_MAX).then(|| keys.seal(&raw)),
        });
        Ok(NewComment {
            platform: self.platform,
            account: account.id.clone(),
            institution: account.institution.clone(),
            post,
            native_id,
            parent,
            author: author.as_ref().map(|author| keys.pseudonym(self.platform, author)),
            author_sealed: author.as_ref().map(|author| keys.seal(author.as_bytes())),
            text: self.text,
            context: Context {
                parent_text: cut(self.context.parent_text),
                post_text: cut(self.context.post_text),
            },
            created_at: self.created_at,
            // A deletion is one revision, whoever saw it and when.
            edited_at: self.edited_at.filter(|_| !is_deleted),
            collected_at: now,
            deleted: self.deleted_at.map(|at| Tombstone {
                at,
                source: origin.name().to_owned(),
            }),
            permalink: self.permalink,
            language: self.language,
            evidence,
        }
        .build())
    }
}

fn check_time(name: &str, at: Option<Timestamp>, now: Timestamp) -> Result<(), String> {
    let Some(at) = at else { return Ok(()) };
    if at.as_second() < OLDEST_SECOND {
        return Err(format!("`{name}` lies before 1995"));
    }
    if at.duration_since(now) > AHEAD_MAX {
        return Err(format!("`{name}` lies in the future"));
    }
    Ok(())
}

fn cut(text: Option<String>) -> Option<String> {
    const _: () = assert!(CONTEXT_BYTES_MAX < TEXT_BYTES_MAX);
    text.map(|mut text| {
        text.truncate(text.floor_char_boundary(CONTEXT_BYTES_MAX));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{account, now, row};

    fn built(change: impl FnOnce(&mut Row)) -> Comment {
        let mut row = row("1", "Bonjour");
        change(&mut row);
        Incoming::from_row(&account(), row, now())
            .expect("a row")
            .build(&account(), &keys(), Origin::Import, now())
            .expect("a comment")
    }

    fn keys() -> Keys {
        Keys::from_bytes([1; 32], [2; 32], [3; 32])
    }

    #[test]
    fn the_author_and_the_raw_record_are_sealed() -> anyhow::Result<()> {
        let comment = built(|row| row.author_id = Some("jeanne-1".to_owned()));
        let bytes = String::from_utf8(vigie_domain::encode(&comment))?;
        assert!(!bytes.contains("jeanne-1"), "{bytes}");
        assert_eq!(comment.author, Some(keys().pseudonym(Platform::Generic, "jeanne-1")));
        assert_eq!(keys().open_sealed(&comment.author_sealed.unwrap_or_default())?, b"jeanne-1");
        let evidence = comment.evidence.expect("evidence");
        let raw = keys().open_sealed(&evidence.raw_sealed.unwrap_or_default())?;
        assert_eq!(evidence.raw_sha256, sha256_hex(&raw));
        Ok(())
    }

    #[test]
    fn a_deletion_is_the_same_revision_whoever_saw_it() {
        let first = built(|row| row.deleted_at = Some(now()));
        let second = built(|row| {
            row.deleted_at = now().checked_sub(SignedDuration::from_hours(1)).ok();
            row.edited_at = Some(now());
            row.author_id = Some("jeanne-1".to_owned());
        });
        assert_eq!(first.revision, second.revision);
        assert_eq!((second.text.as_str(), second.author, second.evidence), ("", None, None));
    }

    #[test]
    fn the_largest_comment_fits_the_bus() {
        let comment = built(|row| {
            row.text = "\u{1}".repeat(TEXT_BYTES_MAX + 1);
            row.parent_text = Some("\u{1}".repeat(TEXT_BYTES_MAX));
            row.post_text = Some("\u{1}".repeat(TEXT_BYTES_MAX));
            row.raw = "x".repeat(RAW_BYTES_MAX);
        });
        assert!(comment.truncated);
        assert_eq!(comment.text.len(), TEXT_BYTES_MAX);
        let bytes = vigie_domain::encode(&comment).len();
        assert!(bytes < vigie_bus::PAYLOAD_BYTES_MAX, "{bytes}");
    }

    #[test]
    fn times_that_cannot_be_and_other_platforms_are_refused() {
        let check = |platform: Platform, created_at: &str, expected: Option<&str>| {
            let row = Row {
                platform,
                created_at: created_at.parse().expect("a time"),
                ..row("1", "Bonjour")
            };
            let mut account = account();
            account.platform = Platform::Mastodon;
            let error = Incoming::from_row(&account, row, now()).err();
            assert_eq!(error.as_deref(), expected, "{platform} {created_at}");
        };
        check(Platform::Mastodon, "2026-11-24T10:00:00Z", None);
        check(Platform::Mastodon, "1970-01-01T00:00:00Z", Some("`created_at` lies before 1995"));
        check(Platform::Mastodon, "0001-01-01T00:00:00Z", Some("`created_at` lies before 1995"));
        check(Platform::Mastodon, "2999-01-01T00:00:00Z", Some("`created_at` lies in the future"));
        check(
            Platform::Facebook,
            "2026-11-24T10:00:00Z",
            Some("`platform` is facebook, but the account is on mastodon"),
        );
    }
}
