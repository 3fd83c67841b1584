//! What the barometer counts, in SQL.
//!
//! Promises: each comment is counted once, in the hour of its publication and by its revision in effect, whatever is delivered
//! again and in whatever order; a deletion is not a receipt and does not take one back (it was received); no text is kept.

mod gather;
mod schema;

use sqlx::{Any, Row as _, Transaction};
use vigie_domain::{Decision, DecisionAuthor, ScoreLabel, Verdict};
use vigie_runtime::{Database, Runtime};

use crate::labels;

pub use gather::{EditionRow, Hour};

/// Something that a topic says.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// From the topic of verdicts.
    Verdict(Box<Verdict>),
    /// From the topic of decisions.
    Decision(Box<Decision>),
}

/// The tables.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the tables of the barometer.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub async fn open(runtime: &Runtime) -> anyhow::Result<Self> {
        Ok(Self {
            database: runtime.databases.open("barometer", schema::MIGRATIONS).await?,
        })
    }

    /// Counts facts in one transaction.
    ///
    /// # Errors
    /// The database failed, or another process counted the same comment just now; nothing was counted, trying again helps.
    pub async fn apply(&self, facts: &[Fact]) -> anyhow::Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        let mut transaction = self.database.begin().await?;
        for fact in facts {
            match fact {
                Fact::Verdict(verdict) => count_verdict(&mut transaction, verdict).await?,
                Fact::Decision(decision) => remember_decision(&mut transaction, decision).await?,
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// One cell of the roll-up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HourCell {
    hour_s: i64,
    institution: String,
    account: String,
    platform: String,
    stratum: String,
    route: String,
}

async fn count_verdict(transaction: &mut Transaction<'static, Any>, verdict: &Verdict) -> anyhow::Result<()> {
    let comment = &verdict.comment;
    if let Some(tombstone) = &comment.deleted {
        sqlx::query("INSERT INTO barometer_deletions (comment_id, deleted_us) VALUES ($1, $2) ON CONFLICT (comment_id) DO NOTHING")
            .bind(comment.id.as_str())
            .bind(tombstone.at.as_microsecond())
            .execute(&mut **transaction)
            .await?;
        return Ok(());
    }
    let known = sqlx::query(
        "SELECT revised_us, collected_us, verdict_id, at_s, institution, account, platform, stratum, route FROM barometer_comments WHERE comment_id = $1",
    )
    .bind(comment.id.as_str())
    .fetch_optional(&mut **transaction)
    .await?;
    let cell = hour_cell(verdict);
    let Some(known) = known else {
        anyhow::ensure!(
            insert_comment(transaction, verdict).await?,
            "another process counted the same comment just now"
        );
        return add(transaction, &cell, 1).await;
    };
    // The later revision is in effect; among verdicts on one revision the choice does not depend on the order of delivery.
    let before: (i64, i64, String) = (known.try_get(0)?, known.try_get(1)?, known.try_get(2)?);
    let now = (
        comment.revised_at().as_microsecond(),
        comment.collected_at.as_microsecond(),
        verdict.id.to_string(),
    );
    if now <= before {
        return Ok(());
    }
    let old = HourCell {
        hour_s: hour(known.try_get(3)?),
        institution: known.try_get(4)?,
        account: known.try_get(5)?,
        platform: known.try_get(6)?,
        stratum: known.try_get(7)?,
        route: known.try_get(8)?,
    };
    anyhow::ensure!(
        update_comment(transaction, verdict, &before.2).await?,
        "another process counted the same comment just now"
    );
    if old != cell {
        add(transaction, &old, -1).await?;
        add(transaction, &cell, 1).await?;
    }
    Ok(())
}

/// The instant by which a comment belongs to a period: its publication, but never later than when it reached us.
fn published_s(verdict: &Verdict) -> i64 {
    verdict.comment.created_at.min(verdict.comment.collected_at).as_second()
}

const fn hour(at_s: i64) -> i64 {
    at_s.div_euclid(3600) * 3600
}

fn hour_cell(verdict: &Verdict) -> HourCell {
    let comment = &verdict.comment;
    HourCell {
        hour_s: hour(published_s(verdict)),
        institution: comment.institution.to_string(),
        account: comment.account.to_string(),
        platform: comment.platform.to_string(),
        stratum: verdict.audit.stratum.clone(),
        route: verdict.route.as_str().to_owned(),
    }
}

async fn add(transaction: &mut Transaction<'static, Any>, cell: &HourCell, count: i64) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO barometer_hours (hour_s, institution, account, platform, stratum, route, received) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (hour_s, institution, account, platform, stratum, route) DO UPDATE SET received = barometer_hours.received + excluded.received",
    )
    .bind(cell.hour_s)
    .bind(cell.institution.as_str())
    .bind(cell.account.as_str())
    .bind(cell.platform.as_str())
    .bind(cell.stratum.as_str())
    .bind(cell.route.as_str())
    .bind(count)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// False where another process was faster.
async fn insert_comment(transaction: &mut Transaction<'static, Any>, verdict: &Verdict) -> anyhow::Result<bool> {
    let query = sqlx::query(
        "INSERT INTO barometer_comments (comment_id, institution, account, platform, post, revision, verdict_id, revised_us, collected_us, at_s, author, \
         stratum, probability, selected, score_millionths, route) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (comment_id) DO NOTHING",
    );
    let comment = &verdict.comment;
    let query = query
        .bind(comment.id.as_str())
        .bind(comment.institution.as_str())
        .bind(comment.account.as_str())
        .bind(comment.platform.as_str());
    let done = bind_revision(query.bind(comment.post.as_str()), verdict)
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// False where another process was faster.
async fn update_comment(transaction: &mut Transaction<'static, Any>, verdict: &Verdict, before: &str) -> anyhow::Result<bool> {
    let query = sqlx::query(
        "UPDATE barometer_comments SET revision = $3, verdict_id = $4, revised_us = $5, collected_us = $6, at_s = $7, author = $8, stratum = $9, \
         probability = $10, selected = $11, score_millionths = $12, route = $13 WHERE comment_id = $1 AND verdict_id = $2",
    );
    let done = bind_revision(query.bind(verdict.comment.id.as_str()).bind(before), verdict)
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected() == 1)
}

type Query<'q> = sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>;

fn bind_revision<'q>(query: Query<'q>, verdict: &'q Verdict) -> Query<'q> {
    let comment = &verdict.comment;
    query
        .bind(comment.revision.as_str())
        .bind(verdict.id.as_str())
        .bind(comment.revised_at().as_microsecond())
        .bind(comment.collected_at.as_microsecond())
        .bind(published_s(verdict))
        .bind(comment.author.as_ref().map(|author| author.as_str()))
        .bind(verdict.audit.stratum.as_str())
        .bind(verdict.audit.probability)
        .bind(i64::from(verdict.audit.selected))
        .bind(score_millionths(verdict))
        .bind(verdict.route.as_str())
}

/// The abusive score in millionths, so that sums do not depend on their order; 0 where the model has none.
#[expect(clippy::cast_possible_truncation, reason = "a score in [0, 1] times a million fits")]
fn score_millionths(verdict: &Verdict) -> i64 {
    let score = verdict
        .scores
        .get(ScoreLabel::Abusive)
        .filter(|score| score.is_finite())
        .unwrap_or_default();
    (f64::from(score.clamp(0.0, 1.0)) * 1e6).round() as i64
}

async fn remember_decision(transaction: &mut Transaction<'static, Any>, decision: &Decision) -> anyhow::Result<()> {
    let label = labels::label(decision).map(|label| serde_json::to_string(&label)).transpose()?;
    sqlx::query(
        "INSERT INTO barometer_decisions (id, comment_id, revision, sequence, outcome, human, undoes, decided_us, label) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING",
    )
    .bind(decision.id.as_str())
    .bind(decision.verdict.comment.id.as_str())
    .bind(decision.verdict.comment.revision.as_str())
    .bind(i64::from(decision.sequence))
    .bind(decision.outcome.as_str())
    .bind(i64::from(matches!(decision.author, DecisionAuthor::Moderator { .. })))
    .bind(decision.undoes.as_ref().map(|id| id.as_str()))
    .bind(decision.decided_at.as_microsecond())
    .bind(label)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
