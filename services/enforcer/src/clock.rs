//! What happens by itself: gauges are kept true, old rows of the outbox are dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use vigie_domain::Platform;
use vigie_runtime::Runtime;

use crate::Enforcer;
use crate::ledger::{self, Endpoint};

const TICK: Duration = Duration::from_secs(6);
const TICKS_PER_HOUR: u32 = 600;
/// The states of a request that is not over, and of one that a person must look at.
const SHOWN: [&str; 3] = ["requested", "sent", "failed"];

pub(crate) async fn run(runtime: Runtime, enforcer: Enforcer) -> anyhow::Result<()> {
    let mut ticks: u32 = 0;
    while !runtime.stop.is_cancelled() {
        if let Err(error) = tick(&enforcer, ticks).await {
            tracing::warn!(error = format!("{error:#}"), "the upkeep of enforcements failed; trying again");
        }
        ticks = ticks.wrapping_add(1);
        tokio::select! {
            () = runtime.stop.cancelled() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    Ok(())
}

async fn tick(enforcer: &Enforcer, ticks: u32) -> anyhow::Result<()> {
    count(enforcer).await?;
    if ticks.is_multiple_of(TICKS_PER_HOUR) {
        enforcer.forget_sent().await?;
    }
    Ok(())
}

/// Reads the gauges from the tables.
pub(crate) async fn count(enforcer: &Enforcer) -> anyhow::Result<()> {
    let now = Timestamp::now().as_millisecond();
    let metrics = &enforcer.metrics;
    let rows = sqlx::query(
        "SELECT state, COUNT(*) AS items, CAST(COALESCE(MIN(requested_at), 0) AS BIGINT) AS oldest FROM enforcer_requests \
         WHERE state IN ('requested', 'sent', 'failed') GROUP BY state",
    )
    .fetch_all(enforcer.database.pool())
    .await?;
    let mut items: BTreeMap<&str, i64> = SHOWN.map(|state| (state, 0)).into();
    let mut oldest = now;
    for row in rows {
        let state: String = row.try_get("state")?;
        if state != "failed" {
            oldest = oldest.min(row.try_get("oldest")?);
        }
        if let Some(number) = items.get_mut(state.as_str()) {
            *number = row.try_get("items")?;
        }
    }
    for (state, number) in items {
        metrics.items.with_label_values(&[state]).set(number);
    }
    #[expect(clippy::cast_precision_loss, reason = "ages in milliseconds are far below 2^53")]
    metrics.oldest.set((now - oldest) as f64 / 1000.0);
    let unsent: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM enforcer_outbox WHERE sent_at = 0")
        .fetch_one(enforcer.database.pool())
        .await?;
    metrics.unsent.set(unsent);
    quotas(enforcer, now).await
}

async fn quotas(enforcer: &Enforcer, now: i64) -> anyhow::Result<()> {
    let mut least: BTreeMap<(Platform, Endpoint), i64> = BTreeMap::new();
    let mut paused = 0;
    for account in enforcer
        .accounts
        .iter()
        .filter(|account| enforcer.actors.get(&account.id).is_some())
    {
        let mut tx = enforcer.database.begin().await?;
        let ledger = ledger::open(&enforcer.database, &mut tx, account, enforcer.most()).await?;
        tx.commit().await?;
        paused += i64::from(ledger.is_paused(now));
        for (endpoint, left) in ledger.left(now) {
            let entry = least.entry((account.platform, endpoint)).or_insert(left);
            *entry = left.min(*entry);
        }
    }
    enforcer.metrics.paused.set(paused);
    for ((platform, endpoint), left) in least {
        enforcer
            .metrics
            .quota
            .with_label_values(&[platform.as_str(), endpoint.as_str()])
            .set(left);
    }
    Ok(())
}
