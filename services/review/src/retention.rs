//! Erases texts whose time is over, as the policy of each account says (`[retention]`). What is counted, labelled and signed stays: the
//! items, their audit trail, and each decision without the words it was about.
//!
//! What nobody has decided on is never touched, nor what a consumer has not been told of yet. Dossiers are the archive's, which keeps them to
//! the end of their limitation period.

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

/// Kept by the last decision, taken before `$3`.
const KEPT: &str = "EXISTS (SELECT 1 FROM review_decisions d
    WHERE d.revision = i.revision AND d.sequence = i.sequence - 1 AND d.outcome = 'keep' AND d.decided_at < $3)";
/// Hidden, deleted or escalated by it.
const REMOVED: &str = "EXISTS (SELECT 1 FROM review_decisions d
    WHERE d.revision = i.revision AND d.sequence = i.sequence - 1 AND d.outcome <> 'keep' AND d.decided_at < $3)";
/// Entered before `$3`.
const ENTERED: &str = "i.queued_at < $3";

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
            (KEPT, State::Decided, retention.reviewed_days),
            (REMOVED, State::Decided, retention.removed_days),
            (ENTERED, State::Withdrawn, retention.unflagged_days),
        ];
        for (condition, state, days) in due {
            let sql = format!(
                "SELECT i.revision AS revision FROM review_items i
                 WHERE i.account = $1 AND i.state = $2 AND i.erased = 0 AND {condition} AND NOT EXISTS
                    (SELECT 1 FROM review_outbox o JOIN review_decisions u ON u.id = o.decision WHERE u.revision = i.revision AND o.sent_at = 0)
                 LIMIT $4"
            );
            // A day at least: nothing that can still be taken back.
            let before = now - i64::from(days.max(1)) * DAY_MS;
            for _ in 0..ROUNDS_MAX {
                let revisions: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone()))
                    .bind(account.clone())
                    .bind(state.as_str())
                    .bind(before)
                    .bind(AT_ONCE)
                    .fetch_all(queue.database.pool())
                    .await?;
                let count = revisions.len() as u64;
                let mut tx = queue.database.begin().await?;
                for revision in revisions {
                    erase_one(&queue.database, &mut tx, revision, now).await?;
                }
                tx.commit().await?;
                erased += count;
                queue.metrics.erased.inc_by(count);
                if count < AT_ONCE.unsigned_abs() {
                    break;
                }
            }
        }
    }
    queue.database.forget_erased().await?;
    queue.metrics.erasing.set(now / 1000);
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
