//! Erases texts whose time is over, as the policy of each account says (`[retention]`). What is counted, labelled and signed stays: the
//! items, their audit trail, and each decision without the words it was about.
//!
//! What nobody has decided on is never touched, nor what a consumer has not been told of yet. Dossiers are the archive's.

use sqlx::Row as _;
use vigie_domain::{AccountId, Decision, decode};
use vigie_runtime::{Database, Policies};

use crate::item::{self, Tx, json};
use crate::queue::Queue;
use crate::state::State;

/// Texts erased in one transaction: people who decide meanwhile wait no longer than that takes.
const AT_ONCE: i64 = 200;
/// Transactions in one round; what is left waits for the next.
const ROUNDS_MAX: usize = 500;
const DAY_MS: i64 = 24 * 3_600_000;

/// Decided as `$4` asks (1: kept), the last time before `$3`.
const DECIDED: &str = "SELECT i.revision AS revision FROM review_items i
    JOIN review_decisions d ON d.revision = i.revision AND d.sequence = i.sequence - 1
    WHERE i.account = $1 AND i.state = $2 AND i.erased = 0 AND d.decided_at < $3
    AND (CASE WHEN d.outcome = 'keep' THEN 1 ELSE 0 END) = $4
    AND NOT EXISTS (SELECT 1 FROM review_outbox o JOIN review_decisions u ON u.id = o.decision WHERE u.revision = i.revision AND o.sent_at = 0)
    LIMIT $5";
/// Withdrawn, entered before `$3`. `$4` is not used: the two have the same arguments.
const WITHDRAWN: &str = "SELECT i.revision AS revision FROM review_items i
    WHERE i.account = $1 AND i.state = $2 AND i.erased = 0 AND i.queued_at < $3 AND $4 = 0
    AND NOT EXISTS (SELECT 1 FROM review_outbox o JOIN review_decisions u ON u.id = o.decision WHERE u.revision = i.revision AND o.sent_at = 0)
    LIMIT $5";

/// Erases what is due at `now` (milliseconds since the epoch). Returns how many texts.
///
/// # Errors
/// The database failed; what was erased before stays erased.
pub(crate) async fn erase(queue: &Queue, policies: &Policies, now: i64) -> anyhow::Result<u64> {
    let accounts: Vec<String> = sqlx::query_scalar("SELECT DISTINCT account FROM review_items WHERE erased = 0 AND state IN ($1, $2)")
        .bind(State::Decided.as_str())
        .bind(State::Withdrawn.as_str())
        .fetch_all(queue.database.pool())
        .await?;
    let mut erased = 0;
    for account in accounts {
        let retention = &policies.for_account(&AccountId::new(account.as_str())?).retention;
        let due = [
            (DECIDED, State::Decided, retention.reviewed_days, 1),
            (DECIDED, State::Decided, retention.removed_days, 0),
            (WITHDRAWN, State::Withdrawn, retention.unflagged_days, 0),
        ];
        for (sql, state, days, kept) in due {
            // A day at least: nothing that can still be taken back.
            let before = now - i64::from(days.max(1)) * DAY_MS;
            for _ in 0..ROUNDS_MAX {
                let rows = sqlx::query(sql)
                    .bind(account.clone())
                    .bind(state.as_str())
                    .bind(before)
                    .bind(kept)
                    .bind(AT_ONCE)
                    .fetch_all(queue.database.pool())
                    .await?;
                let mut tx = queue.database.begin().await?;
                for row in &rows {
                    erase_one(&queue.database, &mut tx, row.try_get("revision")?, now).await?;
                }
                tx.commit().await?;
                erased += rows.len() as u64;
                queue.metrics.erased.inc_by(rows.len() as u64);
                if rows.len() < usize::try_from(AT_ONCE)? {
                    break;
                }
            }
        }
    }
    Ok(erased)
}

async fn erase_one(database: &Database, tx: &mut Tx, revision: String, now: i64) -> anyhow::Result<()> {
    let Some(item) = item::lock(database, tx, &revision).await? else {
        return Ok(());
    };
    let mut verdict = item.verdict;
    verdict.erase();
    sqlx::query("UPDATE review_items SET verdict = $2, erased = $3 WHERE revision = $1")
        .bind(revision.clone())
        .bind(json(&verdict)?)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    let records: Vec<(String, String)> = sqlx::query_as("SELECT id, record FROM review_decisions WHERE revision = $1")
        .bind(revision)
        .fetch_all(&mut **tx)
        .await?;
    for (id, record) in records {
        let mut decision: Decision = decode(record.as_bytes())?;
        decision.verdict.erase();
        decision.note = None;
        sqlx::query("UPDATE review_decisions SET record = $2 WHERE id = $1")
            .bind(id)
            .bind(json(&decision)?)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
