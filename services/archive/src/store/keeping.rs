//! How long reports stay: erasing them, and keeping one longer because of proceedings.

use anyhow::Context as _;
use jiff::Timestamp;
use sqlx::{Any, Row as _, Transaction};
use vigie_domain::{ReportId, RevisionId};

use super::read::{REPORT, moment, stored};
use super::{Store, Stored, be_alone, next_change, read};

/// A person keeps, or kept, a report beyond its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub held_at: Timestamp,
    /// Under which pseudonym.
    pub pseudonym: String,
    /// Why, in their words; empty once the report is erased.
    pub reason: String,
    /// When it was lifted, and by whom.
    pub lifted: Option<(Timestamp, String)>,
}

const NOT_HELD: &str = "NOT EXISTS (SELECT 1 FROM archive_holds h WHERE h.report_id = archive_reports.id AND h.lifted_us = 0)";

impl Store {
    /// Reports on which somebody decided, or which are gone upstream, that nobody keeps longer and that are not erased, by id after `id`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn decided_after(&self, id: &str, limit: i64) -> anyhow::Result<Vec<Stored>> {
        let sql = format!(
            "SELECT {REPORT} FROM archive_reports WHERE id > $1 AND erased_us = 0 AND state <> 'signalled' AND {NOT_HELD} ORDER BY id LIMIT $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id.to_owned())
            .bind(limit)
            .fetch_all(self.database().pool())
            .await?;
        rows.iter().map(stored).collect()
    }

    /// Erases the text of a report, what names its author and what people wrote about it, if `is_due` still says so and nobody keeps it. Returns
    /// whether it did. Applying the same facts again does not bring them back.
    ///
    /// # Errors
    /// The database failed; nothing was erased.
    pub async fn erase(&self, id: &ReportId, now: Timestamp, is_due: impl Fn(&Stored) -> bool) -> anyhow::Result<bool> {
        let mut transaction = self.database().begin().await?;
        let Some(mut report) = neither_held_nor_erased(&mut transaction, id).await?.filter(is_due) else {
            return Ok(false);
        };
        let revision = report.verdict.comment.revision.clone();
        report.verdict.erase();
        let decision = report.decision.map(|mut decision| {
            decision.note = None;
            decision
        });
        erase_notes(&mut transaction, &revision).await?;
        sqlx::query("UPDATE archive_holds SET reason = '' WHERE report_id = $1")
            .bind(id.as_str().to_owned())
            .execute(&mut *transaction)
            .await?;
        let changed = next_change(&mut transaction).await?;
        sqlx::query("UPDATE archive_reports SET verdict = $2, decision = $3, erased_us = $4, changed = $5 WHERE id = $1")
            .bind(id.as_str().to_owned())
            .bind(serde_json::to_string(&report.verdict).context("a verdict is JSON")?)
            .bind(decision.as_ref().map(serde_json::to_string).transpose()?)
            .bind(now.as_microsecond())
            .bind(changed)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Keeps a report beyond its time. False where it is erased, or kept already.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hold(&self, id: &ReportId, person: i64, pseudonym: &str, reason: &str) -> anyhow::Result<bool> {
        let mut transaction = self.database().begin().await?;
        if neither_held_nor_erased(&mut transaction, id).await?.is_none() {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO archive_holds (report_id, held_us, person, pseudonym, reason, lifted_us, lifted_by) VALUES ($1, $2, $3, $4, $5, 0, '')",
        )
        .bind(id.as_str().to_owned())
        .bind(Timestamp::now().as_microsecond())
        .bind(person)
        .bind(pseudonym.to_owned())
        .bind(reason.to_owned())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Lets the time of a report count again. False where nobody keeps it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lift(&self, id: &ReportId, pseudonym: &str) -> anyhow::Result<bool> {
        let done = sqlx::query("UPDATE archive_holds SET lifted_us = $2, lifted_by = $3 WHERE report_id = $1 AND lifted_us = 0")
            .bind(id.as_str().to_owned())
            .bind(Timestamp::now().as_microsecond())
            .bind(pseudonym.to_owned())
            .execute(self.database().pool())
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Who keeps or kept a report, latest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn holds(&self, id: &ReportId) -> anyhow::Result<Vec<Hold>> {
        let rows = sqlx::query(
            "SELECT held_us, pseudonym, reason, lifted_us, lifted_by FROM archive_holds WHERE report_id = $1 ORDER BY held_us DESC LIMIT 20",
        )
        .bind(id.as_str().to_owned())
        .fetch_all(self.database().pool())
        .await?;
        rows.iter()
            .map(|row| {
                let lifted_by: String = row.try_get(4)?;
                Ok(Hold {
                    held_at: Timestamp::from_microsecond(row.try_get(0)?)?,
                    pseudonym: row.try_get(1)?,
                    reason: row.try_get(2)?,
                    lifted: moment(row.try_get(3)?)?.map(|at| (at, lifted_by)),
                })
            })
            .collect()
    }
}

/// The report, where nobody keeps it and it is not erased; nobody else changes it before the end of the transaction.
async fn neither_held_nor_erased(transaction: &mut Transaction<'static, Any>, id: &ReportId) -> anyhow::Result<Option<Stored>> {
    be_alone(transaction).await?;
    let sql = format!("SELECT {REPORT} FROM archive_reports WHERE id = $1 AND erased_us = 0 AND {NOT_HELD}");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id.as_str().to_owned())
        .fetch_optional(&mut **transaction)
        .await?;
    row.as_ref().map(stored).transpose()
}

async fn erase_notes(transaction: &mut Transaction<'static, Any>, revision: &RevisionId) -> anyhow::Result<()> {
    for mut decision in read::decisions(&mut **transaction, revision).await? {
        decision.note = None;
        sqlx::query("UPDATE archive_decisions SET body = $2 WHERE id = $1")
            .bind(decision.id.as_str().to_owned())
            .bind(serde_json::to_string(&decision).context("a decision is JSON")?)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
