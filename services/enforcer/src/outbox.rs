//! The way of the changes of state to `enforcements`. A change and its outbox row are one transaction; the relay publishes unsent
//! rows in order and marks them. Delivery: at least once. A crash after the publication publishes again, under the same record id.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use vigie_domain::{Enforcement, Topic, decode};
use vigie_runtime::{Runtime, publish, record};

use crate::Enforcer;

const BATCH_MAX: i64 = 200;
/// Rows of another process, or of this one before a restart, are found at the latest after this.
const POLL: Duration = Duration::from_secs(3);
/// Sent rows are kept this long, for people who look into a loss.
const SENT_KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// Publishes until the process stops.
pub(crate) async fn relay(runtime: Runtime, enforcer: Enforcer) -> anyhow::Result<()> {
    loop {
        match enforcer.publish_unsent(&runtime).await {
            Ok(()) => {}
            Err(_) if runtime.stop.is_cancelled() => return Ok(()),
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "changes of enforcements could not be published; trying again"
            ),
        }
        tokio::select! {
            () = runtime.stop.cancelled() => {
                let last = tokio::time::timeout(POLL, enforcer.publish_unsent(&runtime)).await;
                if !matches!(last, Ok(Ok(()))) {
                    tracing::warn!("stopping with changes of enforcements in the outbox; the next start publishes them");
                }
                return Ok(());
            }
            () = enforcer.published.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

impl Enforcer {
    /// Publishes what is unsent, oldest first, and marks it.
    ///
    /// # Errors
    /// The bus refused for good, or the process stops; what was not marked is published again.
    pub async fn publish_unsent(&self, runtime: &Runtime) -> anyhow::Result<()> {
        loop {
            let rows =
                sqlx::query("SELECT request, step, record FROM enforcer_outbox WHERE sent_at = 0 ORDER BY created_at, step LIMIT $1")
                    .bind(BATCH_MAX)
                    .fetch_all(self.database.pool())
                    .await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Vec::with_capacity(rows.len());
            let mut sent: Vec<(String, i64)> = Vec::with_capacity(rows.len());
            for row in &rows {
                let enforcement: Enforcement = decode(row.try_get::<String, _>("record")?.as_bytes())?;
                batch.push(record(&enforcement));
                sent.push((row.try_get("request")?, row.try_get("step")?));
            }
            publish(runtime, Topic::Enforcements, batch).await?;
            self.mark_sent(sent).await?;
        }
    }

    async fn mark_sent(&self, sent: Vec<(String, i64)>) -> anyhow::Result<()> {
        let now = Timestamp::now().as_millisecond();
        let mut tx = self.database.begin().await?;
        for (request, step) in sent {
            sqlx::query("UPDATE enforcer_outbox SET sent_at = $3 WHERE request = $1 AND step = $2")
                .bind(request)
                .bind(step)
                .bind(now)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Deletes rows that were sent long ago.
    pub(crate) async fn forget_sent(&self) -> anyhow::Result<()> {
        let before = Timestamp::now().as_millisecond() - SENT_KEPT_MS;
        sqlx::query("DELETE FROM enforcer_outbox WHERE sent_at > 0 AND sent_at < $1")
            .bind(before)
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}
