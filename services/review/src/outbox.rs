//! The way of decisions to the topic. A decision and its outbox row are one transaction; the relay publishes unsent rows in order
//! and marks them. Delivery: at least once. A crash after the publication publishes again, under the same record id.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use tokio::sync::Notify;
use vigie_domain::{Decision, DecisionAuthor, Topic, decode};
use vigie_runtime::{Database, Runtime, publish, record};

use crate::item::{Tx, json};

const BATCH_MAX: i64 = 200;
/// Rows of another process, or of this one before a restart, are found at the latest after this.
const POLL: Duration = Duration::from_secs(3);
/// Sent rows are kept this long, for people who look into a loss.
const SENT_KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// Writes a decision and its outbox row. False when this revision already has a decision of that sequence.
pub(crate) async fn enter(tx: &mut Tx, decision: &Decision, user: i64, severe: bool, now: i64) -> anyhow::Result<bool> {
    debug_assert!(user != 0 || matches!(decision.author, DecisionAuthor::Policy { .. }));
    let inserted = sqlx::query(
        "INSERT INTO review_decisions (id, revision, sequence, user_id, outcome, severe, decided_at, undoes, undone_by, record)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', $9) ON CONFLICT DO NOTHING",
    )
    .bind(decision.id.as_str().to_owned())
    .bind(decision.verdict.comment.revision.as_str().to_owned())
    .bind(i64::from(decision.sequence))
    .bind(user)
    .bind(decision.outcome.as_str())
    .bind(i64::from(severe))
    .bind(now)
    .bind(decision.undoes.as_ref().map_or(String::new(), ToString::to_string))
    .bind(json(decision)?)
    .execute(&mut **tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("UPDATE review_items SET sequence = $2 WHERE revision = $1")
        .bind(decision.verdict.comment.revision.as_str().to_owned())
        .bind(i64::from(decision.sequence) + 1)
        .execute(&mut **tx)
        .await?;
    sqlx::query("INSERT INTO review_outbox (decision, sequence, created_at, sent_at) VALUES ($1, $2, $3, 0)")
        .bind(decision.id.as_str().to_owned())
        .bind(i64::from(decision.sequence))
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// Publishes until the process stops.
pub(crate) async fn relay(runtime: Runtime, database: Database, entered: std::sync::Arc<Notify>) -> anyhow::Result<()> {
    loop {
        match send_unsent(&runtime, &database).await {
            Ok(()) => {}
            Err(_) if runtime.stop.is_cancelled() => return Ok(()),
            Err(error) => tracing::error!(error = format!("{error:#}"), "decisions could not be published; trying again"),
        }
        tokio::select! {
            () = runtime.stop.cancelled() => {
                // What was decided while the process was asked to stop, if the bus takes it at once; else the next start does.
                let last = tokio::time::timeout(POLL, send_unsent(&runtime, &database)).await;
                if !matches!(last, Ok(Ok(()))) {
                    tracing::warn!("stopping with decisions in the outbox; the next start publishes them");
                }
                return Ok(());
            }
            () = entered.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Publishes what is unsent, oldest first, and marks it.
pub(crate) async fn send_unsent(runtime: &Runtime, database: &Database) -> anyhow::Result<()> {
    loop {
        let rows = sqlx::query(
            "SELECT o.decision AS decision, d.record AS record FROM review_outbox o JOIN review_decisions d ON d.id = o.decision
             WHERE o.sent_at = 0 ORDER BY o.created_at, o.sequence LIMIT $1",
        )
        .bind(BATCH_MAX)
        .fetch_all(database.pool())
        .await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<String> = Vec::with_capacity(rows.len());
        let mut batch = Vec::with_capacity(rows.len());
        for row in &rows {
            let decision: Decision = decode(row.try_get::<String, _>("record")?.as_bytes())?;
            batch.push(record(&decision));
            ids.push(row.try_get("decision")?);
        }
        publish(runtime, Topic::Decisions, batch).await?;
        mark_sent(database, ids).await?;
    }
}

async fn mark_sent(database: &Database, ids: Vec<String>) -> anyhow::Result<()> {
    let now = Timestamp::now().as_millisecond();
    let mut tx = database.begin().await?;
    for id in ids {
        sqlx::query("UPDATE review_outbox SET sent_at = $2 WHERE decision = $1")
            .bind(id)
            .bind(now)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Deletes rows that were sent long ago.
pub(crate) async fn forget_sent(database: &Database) -> anyhow::Result<()> {
    let before = Timestamp::now().as_millisecond() - SENT_KEPT_MS;
    sqlx::query("DELETE FROM review_outbox WHERE sent_at > 0 AND sent_at < $1")
        .bind(before)
        .execute(database.pool())
        .await?;
    Ok(())
}
