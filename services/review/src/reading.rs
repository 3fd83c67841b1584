//! What people read of the queue: how much waits, their own decisions, the neighbours of a comment.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::any::AnyRow;
use vigie_domain::{Comment, Decision, Verdict, decode};

use crate::item::Item;
use crate::queue::{Person, Queue, QueueError, now};

const HOUR_MS: i64 = 3_600_000;

/// How much waits for a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Queued items.
    pub waiting: i64,
    /// Those of them that go first.
    pub urgent: i64,
    /// Those of them that this person has skipped lately.
    pub skipped: i64,
}

impl Waiting {
    /// What this person can have.
    #[must_use]
    pub const fn for_me(self) -> i64 {
        self.waiting - self.skipped
    }
}

/// A decision in the list of one's own.
#[derive(Debug, Clone)]
pub struct Past {
    /// The decision.
    pub decision: Decision,
    /// Whether it was taken back.
    pub undone: bool,
    /// Whether it can be taken back now.
    pub can_undo: bool,
    /// Whether it is published.
    pub sent: bool,
    /// Whether its text may distress who reads it.
    pub severe: bool,
}

/// Another comment under the same post.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// The comment. Nothing of its verdict, nor what was decided: the person judges by themself.
    pub comment: Comment,
    /// Whether its text may distress who reads it.
    pub severe: bool,
}

impl Queue {
    /// How much waits for this person.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting(&self, person: &Person) -> Result<Waiting, QueueError> {
        let (scope, institutions) = person.institutions.clause(1);
        let sql = format!(
            "SELECT COUNT(*) AS waiting, CAST(COALESCE(SUM(urgent), 0) AS BIGINT) AS urgent FROM review_items WHERE state = 'queued'{scope}"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for institution in institutions {
            query = query.bind(institution);
        }
        let row = query.fetch_one(self.database.pool()).await?;
        let (scope, institutions) = person.institutions.clause(3);
        let sql = format!(
            "SELECT COUNT(*) FROM review_skips s JOIN review_items i ON i.revision = s.revision
             WHERE s.user_id = $1 AND s.skipped_at > $2 AND i.state = 'queued'{scope}"
        );
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(person.id)
            .bind(now() - self.config.skip_rest_ms());
        for institution in institutions {
            query = query.bind(institution);
        }
        let skipped: i64 = query.fetch_one(self.database.pool()).await?;
        Ok(Waiting {
            waiting: row.try_get("waiting")?,
            urgent: row.try_get("urgent")?,
            skipped,
        })
    }

    /// This person's last decisions, newest first; what undid others is not listed, nor those whose text is erased.
    ///
    /// # Errors
    /// The database failed.
    pub async fn decisions(&self, person: &Person, most: i64) -> Result<Vec<Past>, QueueError> {
        let rows = sqlx::query(
            "SELECT d.record AS record, d.undone_by AS undone_by, d.decided_at AS decided_at, d.severe AS severe, d.sequence AS sequence,
                i.sequence AS next, o.sent_at AS sent_at
             FROM review_decisions d JOIN review_items i ON i.revision = d.revision LEFT JOIN review_outbox o ON o.decision = d.id
             WHERE d.user_id = $1 AND d.undoes = '' AND i.erased = 0 ORDER BY d.decided_at DESC, d.sequence DESC LIMIT $2",
        )
        .bind(person.id)
        .bind(most)
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(|row| self.past(row).map_err(QueueError::from)).collect()
    }

    fn past(&self, row: &AnyRow) -> anyhow::Result<Past> {
        let undone = !row.try_get::<String, _>("undone_by")?.is_empty();
        let is_last = row.try_get::<i64, _>("sequence")? + 1 == row.try_get::<i64, _>("next")?;
        let in_time = row.try_get::<i64, _>("decided_at")? + self.config.undo_ms() > now();
        Ok(Past {
            decision: decode(row.try_get::<String, _>("record")?.as_bytes())?,
            undone,
            can_undo: !undone && is_last && in_time,
            // An outbox row that is gone was sent long ago.
            sent: row.try_get::<Option<i64>, _>("sent_at")?.is_none_or(|at| at > 0),
            severe: row.try_get::<i64, _>("severe")? != 0,
        })
    }

    /// How many severe texts this person decided on within the last hour.
    ///
    /// # Errors
    /// The database failed.
    pub async fn severe_lately(&self, person: &Person) -> Result<i64, QueueError> {
        let count = sqlx::query_scalar(
            "SELECT COUNT(*) FROM review_decisions WHERE user_id = $1 AND severe = 1 AND undoes = '' AND decided_at > $2",
        )
        .bind(person.id)
        .bind(now() - HOUR_MS)
        .fetch_one(self.database.pool())
        .await?;
        Ok(count)
    }

    /// Comments under the same post that came through this queue, in the order they were written: at most `each` from before and
    /// `each` from after. Those gone upstream are left out, decided ones too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn neighbours(&self, item: &Item, each: i64) -> Result<Vec<Neighbour>, QueueError> {
        let mut before = self.beside(item, "created_ms <= $4 ORDER BY created_ms DESC", each).await?;
        let after = self.beside(item, "created_ms > $4 ORDER BY created_ms", each).await?;
        before.reverse();
        before.extend(after);
        // Of a comment that was edited, the latest revision is enough.
        let mut seen = BTreeSet::new();
        before.reverse();
        before.retain(|neighbour| seen.insert(neighbour.comment.id.clone()));
        before.reverse();
        Ok(before)
    }

    async fn beside(&self, item: &Item, side: &str, most: i64) -> Result<Vec<Neighbour>, QueueError> {
        let comment = &item.verdict.comment;
        let sql = format!(
            "SELECT verdict, severe FROM review_items WHERE account = $1 AND post = $2 AND comment <> $3 AND state <> 'withdrawn' AND erased = 0
                AND NOT EXISTS (SELECT 1 FROM review_heads h WHERE h.comment = review_items.comment AND h.deleted = 1)
                AND {side} LIMIT $5"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(comment.account.as_str().to_owned())
            .bind(comment.post.as_str().to_owned())
            .bind(comment.id.as_str().to_owned())
            .bind(comment.created_at.as_millisecond())
            .bind(most)
            .fetch_all(self.database.pool())
            .await?;
        rows.iter().map(|row| neighbour(row).map_err(QueueError::from)).collect()
    }
}

fn neighbour(row: &AnyRow) -> anyhow::Result<Neighbour> {
    let verdict: Verdict = decode(row.try_get::<String, _>("verdict")?.as_bytes())?;
    Ok(Neighbour {
        comment: verdict.comment,
        severe: row.try_get::<i64, _>("severe")? != 0,
    })
}
