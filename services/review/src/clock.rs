//! What happens by itself: leases that ran out go back to the queue, gauges are kept true, old rows and texts are dropped.

use std::time::Duration;

use sqlx::Row as _;
use vigie_domain::AccountId;
use vigie_runtime::{Policies, Runtime};

use crate::item::{self, BY_CLOCK, Band};
use crate::outbox;
use crate::queue::{Queue, now};
use crate::retention;
use crate::state::{Event, State};

const TICK: Duration = Duration::from_secs(2);
const TICKS_PER_COUNT: u32 = 3;
/// What is decided only grows: it is counted more rarely.
const TICKS_PER_WHOLE_COUNT: u32 = 15;
const TICKS_PER_HOUR: u32 = 1800;
const EXPIRED_AT_ONCE_MAX: i64 = 200;

pub(crate) async fn run(runtime: Runtime, queue: Queue) -> anyhow::Result<()> {
    let mut ticks: u32 = 0;
    while !runtime.stop.is_cancelled() {
        if let Err(error) = tick(&queue, &runtime.policies, ticks).await {
            tracing::warn!(error = format!("{error:#}"), "the upkeep of the queue failed; trying again");
        }
        ticks = ticks.wrapping_add(1);
        tokio::select! {
            () = runtime.stop.cancelled() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    Ok(())
}

async fn tick(queue: &Queue, policies: &Policies, ticks: u32) -> anyhow::Result<()> {
    expire(queue).await?;
    if ticks.is_multiple_of(TICKS_PER_COUNT) {
        count(queue, &[State::Queued, State::Leased]).await?;
        age(queue).await?;
    }
    if ticks.is_multiple_of(TICKS_PER_WHOLE_COUNT) {
        count(queue, &State::ALL).await?;
        late(queue, policies).await?;
    }
    if ticks.is_multiple_of(TICKS_PER_HOUR) {
        outbox::forget_sent(&queue.database).await?;
        forget_skips(queue).await?;
        retention::erase(queue, policies, now()).await?;
    }
    Ok(())
}

/// Puts items whose lease ran out back into the queue.
pub(crate) async fn expire(queue: &Queue) -> anyhow::Result<()> {
    let overdue: Vec<String> =
        sqlx::query_scalar("SELECT revision FROM review_items WHERE state = 'leased' AND lease_until <= $1 LIMIT $2")
            .bind(now())
            .bind(EXPIRED_AT_ONCE_MAX)
            .fetch_all(queue.database.pool())
            .await?;
    for revision in overdue {
        let mut tx = queue.database.begin().await?;
        let Some(mut item) = item::lock(&queue.database, &mut tx, &revision).await? else {
            continue;
        };
        // Renewed or decided since the list was read.
        if item.state != State::Leased || item.lease_until > now() {
            continue;
        }
        item::advance(&mut tx, &mut item, Event::Expire, BY_CLOCK, now(), "").await?;
        tx.commit().await?;
        queue.metrics.expired.inc();
    }
    Ok(())
}

/// Reads the gauges of these states from the table.
pub(crate) async fn count(queue: &Queue, states: &[State]) -> anyhow::Result<()> {
    for state in states {
        let items: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM review_items WHERE state = $1")
            .bind(state.as_str())
            .fetch_one(queue.database.pool())
            .await?;
        queue.metrics.items.with_label_values(&[state.as_str()]).set(items);
    }
    Ok(())
}

/// Reads what waits, and for how long, from the tables.
#[expect(clippy::cast_precision_loss, reason = "ages in milliseconds and counts of rows are far below 2^53")]
pub(crate) async fn age(queue: &Queue) -> anyhow::Result<()> {
    for band in Band::ALL {
        let (urgent, lowest, highest) = band.columns();
        let row = sqlx::query(
            "SELECT COUNT(*) AS items, CAST(COALESCE(MIN(queued_at), 0) AS BIGINT) AS oldest FROM review_items
             WHERE state = 'queued' AND urgent = $1 AND priority >= $2 AND priority <= $3",
        )
        .bind(urgent)
        .bind(lowest)
        .bind(highest)
        .fetch_one(queue.database.pool())
        .await?;
        let oldest: i64 = row.try_get("oldest")?;
        let age = if oldest == 0 {
            0.0
        } else {
            (now() - oldest).max(0) as f64 / 1000.0
        };
        queue.metrics.waiting.with_label_values(&[band.as_str()]).set(row.try_get("items")?);
        queue.metrics.oldest.with_label_values(&[band.as_str()]).set(age);
    }
    let unsent: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM review_outbox WHERE sent_at = 0")
        .fetch_one(queue.database.pool())
        .await?;
    queue.metrics.unsent.set(unsent as f64);
    Ok(())
}

/// Counts what waits longer than the policy of its account allows.
pub(crate) async fn late(queue: &Queue, policies: &Policies) -> anyhow::Result<()> {
    let accounts: Vec<String> = sqlx::query_scalar("SELECT DISTINCT account FROM review_items WHERE state = 'queued'")
        .fetch_all(queue.database.pool())
        .await?;
    let (mut urgent, mut normal) = (0, 0);
    for account in accounts {
        let levels = policies.for_account(&AccountId::new(account.as_str())?).service_levels.clone();
        let before = |minutes: u32| now() - i64::from(minutes) * 60_000;
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(CASE WHEN urgent = 1 AND queued_at < $2 THEN 1 ELSE 0 END), 0) AS BIGINT) AS urgent,
                CAST(COALESCE(SUM(CASE WHEN urgent = 0 AND queued_at < $3 THEN 1 ELSE 0 END), 0) AS BIGINT) AS normal
             FROM review_items WHERE state = 'queued' AND account = $1",
        )
        .bind(account)
        .bind(before(levels.urgent_minutes))
        .bind(before(levels.normal_minutes))
        .fetch_one(queue.database.pool())
        .await?;
        urgent += row.try_get::<i64, _>("urgent")?;
        normal += row.try_get::<i64, _>("normal")?;
    }
    queue.metrics.late.with_label_values(&["urgent"]).set(urgent);
    queue.metrics.late.with_label_values(&["normal"]).set(normal);
    Ok(())
}

/// Deletes skips whose rest is over: their trace is in the audit trail.
async fn forget_skips(queue: &Queue) -> anyhow::Result<()> {
    sqlx::query("DELETE FROM review_skips WHERE skipped_at <= $1")
        .bind(now() - queue.config.skip_rest_ms())
        .execute(queue.database.pool())
        .await?;
    Ok(())
}
