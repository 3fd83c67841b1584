//! What the collector remembers: the revision in effect of each comment, every revision published, how far each source was read.
//!
//! It holds ids and times, no text and no author. It is written after the bus has accepted, never before.

use jiff::Timestamp;
use sqlx::{Any, Row as _, Transaction};
use vigie_domain::{AccountId, Comment, CommentId, Platform};
use vigie_runtime::{Database, Migration, Runtime};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "known comments, revisions, positions, requests",
    sql: "CREATE TABLE collector_comments (
    comment_id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    platform TEXT NOT NULL,
    native_id TEXT NOT NULL,
    post TEXT NOT NULL,
    parent TEXT,
    created_us BIGINT NOT NULL,
    revised_us BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    check_ms BIGINT NOT NULL
);
CREATE INDEX collector_comments_check ON collector_comments (account, check_ms);
CREATE INDEX collector_comments_recorded ON collector_comments (recorded_ms);
CREATE TABLE collector_revisions (
    revision TEXT NOT NULL PRIMARY KEY,
    comment_id TEXT NOT NULL
);
CREATE INDEX collector_revisions_comment ON collector_revisions (comment_id);
CREATE TABLE collector_positions (
    account TEXT NOT NULL,
    source TEXT NOT NULL,
    position TEXT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (account, source)
);
CREATE TABLE collector_requests (
    account TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    PRIMARY KEY (account, idempotency_key)
);
CREATE INDEX collector_requests_recorded ON collector_requests (recorded_ms);
",
}];

/// Of a comment that is never looked at again.
const NEVER_MS: i64 = i64::MAX;
/// Rows deleted at once by [`Store::forget`].
const FORGET_ROWS_MAX: i64 = 500;

/// The tables.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

/// The revision in effect, as far as order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub revised_us: i64,
    pub deleted: bool,
}

/// A comment to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub comment_id: CommentId,
    pub platform: Platform,
    pub native_id: String,
    pub post: String,
    pub parent: Option<String>,
    pub created_at: Timestamp,
}

/// What is written together with the comments of a batch.
#[derive(Debug, Clone)]
pub enum Mark {
    /// How far a source was read.
    Position { source: &'static str, position: String },
    /// A request that was answered.
    Request { key: String, body_sha256: String },
}

impl Store {
    /// Opens the tables.
    pub async fn open(runtime: &Runtime) -> anyhow::Result<Self> {
        Ok(Self {
            database: runtime.databases.open("collector", MIGRATIONS).await?,
        })
    }

    /// The revision in effect of a comment.
    pub async fn known(&self, comment: &CommentId) -> Result<Option<Known>, sqlx::Error> {
        let row = sqlx::query("SELECT revised_us, deleted FROM collector_comments WHERE comment_id = $1")
            .bind(comment.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| {
            Ok(Known {
                revised_us: row.try_get(0)?,
                deleted: row.try_get::<i64, _>(1)? != 0,
            })
        })
        .transpose()
    }

    /// When a known comment was published on its platform.
    pub async fn created_at(&self, comment: &CommentId) -> Result<Option<Timestamp>, sqlx::Error> {
        let row = sqlx::query("SELECT created_us FROM collector_comments WHERE comment_id = $1")
            .bind(comment.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| Timestamp::from_microsecond(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into())))
            .transpose()
    }

    /// Whether a revision was published before.
    pub async fn was_published(&self, comment: &Comment) -> Result<bool, sqlx::Error> {
        let row = sqlx::query("SELECT 1 FROM collector_revisions WHERE revision = $1")
            .bind(comment.revision.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        Ok(row.is_some())
    }

    /// Records what was published, in order, and the mark, in one transaction. `check_at` says when a comment is looked at again.
    pub async fn record(
        &self,
        account: &AccountId,
        published: &[Comment],
        check_at: impl Fn(&Comment) -> Option<Timestamp>,
        mark: Option<&Mark>,
    ) -> Result<(), sqlx::Error> {
        if published.is_empty() && mark.is_none() {
            return Ok(());
        }
        let mut transaction = self.database.begin().await?;
        for comment in published {
            record_comment(&mut transaction, comment, check_at(comment)).await?;
        }
        if let Some(mark) = mark {
            record_mark(&mut transaction, account, mark).await?;
        }
        transaction.commit().await
    }

    /// How far `source` was read under `account`.
    pub async fn position(&self, account: &AccountId, source: &str) -> Result<Option<String>, sqlx::Error> {
        let row = sqlx::query("SELECT position FROM collector_positions WHERE account = $1 AND source = $2")
            .bind(account.as_str())
            .bind(source)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// The digest of the body that came with this key before.
    pub async fn request(&self, account: &AccountId, key: &str) -> Result<Option<String>, sqlx::Error> {
        let row = sqlx::query("SELECT body_sha256 FROM collector_requests WHERE account = $1 AND idempotency_key = $2")
            .bind(account.as_str())
            .bind(key)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// Comments of an account that are due for a look, longest overdue first.
    pub async fn due(&self, account: &AccountId, now: Timestamp, comments_max: u32) -> Result<Vec<Watched>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT comment_id, platform, native_id, post, parent, created_us FROM collector_comments \
             WHERE account = $1 AND check_ms <= $2 ORDER BY check_ms LIMIT $3",
        )
        .bind(account.as_str())
        .bind(now.as_millisecond())
        .bind(i64::from(comments_max))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Watched {
                    comment_id: CommentId::new(row.try_get::<String, _>(0)?).map_err(|error| sqlx::Error::Decode(error.into()))?,
                    platform: row
                        .try_get::<String, _>(1)?
                        .parse()
                        .map_err(|error: vigie_domain::platform::UnknownPlatform| sqlx::Error::Decode(error.into()))?,
                    native_id: row.try_get(2)?,
                    post: row.try_get(3)?,
                    parent: row.try_get(4)?,
                    created_at: Timestamp::from_microsecond(row.try_get(5)?).map_err(|error| sqlx::Error::Decode(error.into()))?,
                })
            })
            .collect()
    }

    /// When these comments are looked at next; a deleted one stays alone.
    pub async fn looked_at(&self, comments: &[(CommentId, Option<Timestamp>)]) -> Result<(), sqlx::Error> {
        let mut transaction = self.database.begin().await?;
        for (id, next) in comments {
            sqlx::query("UPDATE collector_comments SET check_ms = $1 WHERE comment_id = $2 AND deleted = 0")
                .bind(next.map_or(NEVER_MS, Timestamp::as_millisecond))
                .bind(id.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Forgets comments recorded before `comments_before` and requests before `requests_before`: a bounded number; whether more remain.
    pub async fn forget(&self, comments_before: Timestamp, requests_before: Timestamp) -> Result<bool, sqlx::Error> {
        let mut transaction = self.database.begin().await?;
        let old: Vec<String> = sqlx::query("SELECT comment_id FROM collector_comments WHERE recorded_ms < $1 LIMIT $2")
            .bind(comments_before.as_millisecond())
            .bind(FORGET_ROWS_MAX)
            .fetch_all(&mut *transaction)
            .await?
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        for id in &old {
            sqlx::query("DELETE FROM collector_revisions WHERE comment_id = $1")
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("DELETE FROM collector_comments WHERE comment_id = $1")
                .bind(id)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("DELETE FROM collector_requests WHERE recorded_ms < $1")
            .bind(requests_before.as_millisecond())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(i64::try_from(old.len()).is_ok_and(|count| count == FORGET_ROWS_MAX))
    }
}

async fn record_comment(
    transaction: &mut Transaction<'static, Any>,
    comment: &Comment,
    check_at: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    let check_ms = if comment.deleted.is_some() { None } else { check_at };
    // The condition guards against another process that recorded something newer meanwhile.
    sqlx::query(
        "INSERT INTO collector_comments (comment_id, account, platform, native_id, post, parent, created_us, revised_us, deleted, recorded_ms, check_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (comment_id) DO UPDATE SET revised_us = excluded.revised_us, deleted = excluded.deleted, recorded_ms = excluded.recorded_ms, \
         check_ms = excluded.check_ms WHERE excluded.revised_us >= collector_comments.revised_us",
    )
    .bind(comment.id.as_str())
    .bind(comment.account.as_str())
    .bind(comment.platform.as_str())
    .bind(comment.native_id.as_str())
    .bind(comment.post.as_str())
    .bind(comment.parent.as_ref().map(vigie_domain::NativeCommentId::as_str))
    .bind(comment.created_at.as_microsecond())
    .bind(comment.revised_at().as_microsecond())
    .bind(i64::from(comment.deleted.is_some()))
    .bind(comment.collected_at.as_millisecond())
    .bind(check_ms.map_or(NEVER_MS, Timestamp::as_millisecond))
    .execute(&mut **transaction)
    .await?;
    sqlx::query("INSERT INTO collector_revisions (revision, comment_id) VALUES ($1, $2) ON CONFLICT (revision) DO NOTHING")
        .bind(comment.revision.as_str())
        .bind(comment.id.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn record_mark(transaction: &mut Transaction<'static, Any>, account: &AccountId, mark: &Mark) -> Result<(), sqlx::Error> {
    let now_ms = Timestamp::now().as_millisecond();
    let query = match mark {
        Mark::Position { source, position } => sqlx::query(
            "INSERT INTO collector_positions (account, source, position, updated_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account, source) DO UPDATE SET position = excluded.position, updated_ms = excluded.updated_ms",
        )
        .bind(account.as_str())
        .bind(*source)
        .bind(position.as_str()),
        Mark::Request { key, body_sha256 } => sqlx::query(
            "INSERT INTO collector_requests (account, idempotency_key, body_sha256, recorded_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account, idempotency_key) DO NOTHING",
        )
        .bind(account.as_str())
        .bind(key.as_str())
        .bind(body_sha256.as_str()),
    };
    query.bind(now_ms).execute(&mut **transaction).await?;
    Ok(())
}
