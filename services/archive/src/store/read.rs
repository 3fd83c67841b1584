//! Reading reports back, and the record of who read them.

use jiff::Timestamp;
use sqlx::{Any, Executor, Row as _};
use vigie_domain::{ChainLink, CommentId, Enforcement, ReportId, ReportState, RevisionId, ThreatReport, Verdict};

use super::{Store, succession_of};
use crate::chain::Succession;
use crate::state::DecisionFact;

pub(super) const REPORT: &str = "id, state, opened_us, changed, verdict, decision, erased_us";

/// A report without its chain and follow-up: what the index and the lists need.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its id.
    pub id: ReportId,
    /// How far it got.
    pub state: ReportState,
    /// Time of knowledge.
    pub opened_at: Timestamp,
    /// Number of its last change.
    pub changed: i64,
    /// With the comment.
    pub verdict: Verdict,
    /// The decision in effect.
    pub decision: Option<DecisionFact>,
    /// When its text was erased, because its time was over.
    pub erased_at: Option<Timestamp>,
}

/// Somebody looked at a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// When.
    pub at: Timestamp,
    /// Under which pseudonym.
    pub pseudonym: String,
    /// `list`, `report`, `export`, `hold` or `lift`.
    pub kind: String,
}

impl Store {
    /// The reports changed after number `after`, oldest change first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn changed_after(&self, after: i64, limit: i64) -> anyhow::Result<Vec<Stored>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {REPORT} FROM archive_reports WHERE changed > $1 ORDER BY changed LIMIT $2"
        )))
        .bind(after)
        .bind(limit)
        .fetch_all(self.database().pool())
        .await?;
        rows.iter().map(stored).collect()
    }

    /// One report.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stored(&self, id: &str) -> anyhow::Result<Option<Stored>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {REPORT} FROM archive_reports WHERE id = $1")))
            .bind(id)
            .fetch_optional(self.database().pool())
            .await?;
        row.as_ref().map(stored).transpose()
    }

    /// One report with its follow-up and its evidence chain.
    ///
    /// # Errors
    /// The database failed.
    pub async fn report(&self, id: &str) -> anyhow::Result<Option<ThreatReport>> {
        match self.stored(id).await? {
            Some(stored) => self.whole(stored).await.map(Some),
            None => Ok(None),
        }
    }

    /// A report with its follow-up and its evidence chain.
    ///
    /// # Errors
    /// The database failed.
    pub async fn whole(&self, stored: Stored) -> anyhow::Result<ThreatReport> {
        let pool = self.database().pool();
        let mut enforcements = enforcements(pool, &stored.verdict.comment.revision).await?;
        enforcements.sort_by_key(|enforcement| enforcement.at);
        let rows = sqlx::query("SELECT entry, hash FROM archive_links WHERE report_id = $1 ORDER BY sequence")
            .bind(stored.id.as_str().to_owned())
            .fetch_all(pool)
            .await?;
        let chain: Result<Vec<ChainLink>, sqlx::Error> = rows
            .iter()
            .map(|row| {
                Ok(ChainLink {
                    entry: row.try_get(0)?,
                    hash: row.try_get(1)?,
                })
            })
            .collect();
        Ok(ThreatReport {
            id: stored.id,
            state: stored.state,
            opened_at: stored.opened_at,
            decision: stored.decision.map(|decision| decision.with(&stored.verdict)),
            verdict: stored.verdict,
            enforcements,
            chain: chain?,
        })
    }

    /// How many reports there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count(&self) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query("SELECT COUNT(*) FROM archive_reports")
            .fetch_one(self.database().pool())
            .await?
            .try_get(0)?;
        Ok(u64::try_from(count)?)
    }

    /// The number of the last change, and the name of this database: an index of another one is of no use.
    ///
    /// # Errors
    /// The database failed.
    pub async fn position(&self) -> anyhow::Result<(i64, String)> {
        let row = sqlx::query("SELECT value, origin FROM archive_changes WHERE id = 1")
            .fetch_one(self.database().pool())
            .await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Writes down who reads which reports. To be called before they are shown: what cannot be written down is not shown.
    ///
    /// # Errors
    /// The database failed.
    pub async fn record_access(&self, person: i64, pseudonym: &str, kind: &'static str, reports: &[ReportId]) -> anyhow::Result<()> {
        let mut transaction = self.database().begin().await?;
        let now = Timestamp::now().as_microsecond();
        for report in reports {
            sqlx::query("INSERT INTO archive_accesses (at_us, person, pseudonym, kind, report_id) VALUES ($1, $2, $3, $4, $5)")
                .bind(now)
                .bind(person)
                .bind(pseudonym)
                .bind(kind)
                .bind(report.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Who read a report, latest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn accesses(&self, report: &str, limit: i64) -> anyhow::Result<Vec<Access>> {
        let rows = sqlx::query("SELECT at_us, pseudonym, kind FROM archive_accesses WHERE report_id = $1 ORDER BY at_us DESC LIMIT $2")
            .bind(report)
            .bind(limit)
            .fetch_all(self.database().pool())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Access {
                    at: Timestamp::from_microsecond(row.try_get(0)?)?,
                    pseudonym: row.try_get(1)?,
                    kind: row.try_get(2)?,
                })
            })
            .collect()
    }
}

/// A moment in microseconds; 0 is none.
pub(super) fn moment(us: i64) -> Result<Option<Timestamp>, jiff::Error> {
    (us != 0).then(|| Timestamp::from_microsecond(us)).transpose()
}

pub(super) fn stored(row: &sqlx::any::AnyRow) -> anyhow::Result<Stored> {
    let state: String = row.try_get(1)?;
    let decision: Option<String> = row.try_get(5)?;
    Ok(Stored {
        id: ReportId::new(row.try_get::<String, _>(0)?)?,
        state: ReportState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| anyhow::anyhow!("unknown state of a report: {state}"))?,
        opened_at: Timestamp::from_microsecond(row.try_get(2)?)?,
        changed: row.try_get(3)?,
        verdict: serde_json::from_str(&row.try_get::<String, _>(4)?)?,
        decision: decision.map(|body| serde_json::from_str(&body)).transpose()?,
        erased_at: moment(row.try_get(6)?)?,
    })
}

pub(super) async fn decisions<'e>(executor: impl Executor<'e, Database = Any>, revision: &RevisionId) -> anyhow::Result<Vec<DecisionFact>> {
    let rows = sqlx::query("SELECT body FROM archive_decisions WHERE revision = $1")
        .bind(revision.as_str().to_owned())
        .fetch_all(executor)
        .await?;
    rows.iter()
        .map(|row| Ok(serde_json::from_str(&row.try_get::<String, _>(0)?)?))
        .collect()
}

pub(super) async fn enforcements<'e>(
    executor: impl Executor<'e, Database = Any>,
    revision: &RevisionId,
) -> anyhow::Result<Vec<Enforcement>> {
    let rows = sqlx::query("SELECT body FROM archive_enforcements WHERE revision = $1")
        .bind(revision.as_str().to_owned())
        .fetch_all(executor)
        .await?;
    rows.iter()
        .map(|row| Ok(serde_json::from_str(&row.try_get::<String, _>(0)?)?))
        .collect()
}

pub(super) async fn succession<'e>(
    executor: impl Executor<'e, Database = Any>,
    comment: &CommentId,
    revision: &RevisionId,
    revised_us: i64,
) -> anyhow::Result<Option<Succession>> {
    let row = sqlx::query("SELECT revised_us, revision, deleted FROM archive_successions WHERE comment_id = $1")
        .bind(comment.as_str().to_owned())
        .fetch_optional(executor)
        .await?;
    row.map_or(Ok(None), |row| {
        succession_of(revision, revised_us, (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    })
}
