//! Until when a report is kept, and its erasure afterwards, from the files of the tables and of the index too. What is counted and signed stays: the row with its dates and labels, and the
//! evidence chain, which holds digests alone.
//!
//! A report that nobody has decided on is never touched, nor one that a lead keeps because of proceedings. The others are kept as long as
//! the policy of the account keeps what was removed or reviewed, and what people confirmed at least to the end of its limitation period:
//! without a legal basis that is the longest one, because nobody has said that a shorter one holds.

use jiff::{Timestamp, ToSpan as _};
use prometheus::{IntCounter, IntGauge, Registry};
use vigie_domain::policy::Retention;
use vigie_domain::{Outcome, ReportState};
use vigie_runtime::{Policies, Runtime};

use crate::limitation;
use crate::store::{Store, Stored};

/// Reports read at once.
const PAGE: i64 = 200;
const EVERY: std::time::Duration = std::time::Duration::from_secs(3600);

/// From when a report may be erased; none as long as it waits for a person. Pure.
#[must_use]
pub fn due(report: &Stored, retention: &Retention) -> Option<Timestamp> {
    // A day at least: nothing that can still be taken back.
    let after = |at: Timestamp, days: u32| at.checked_add((i64::from(days.max(1)) * 24).hours()).ok();
    let decision = match (report.state, &report.decision) {
        (ReportState::Signalled, _) => return None,
        (ReportState::Withdrawn, _) | (_, None) => return after(report.opened_at, retention.removed_days),
        (ReportState::Escalated | ReportState::Dismissed, Some(decision)) => decision,
    };
    let days = match decision.outcome {
        Outcome::Keep => retention.reviewed_days,
        Outcome::Hide | Outcome::Delete | Outcome::Escalate => retention.removed_days,
    };
    let kept = after(decision.decided_at, days)?;
    if decision.outcome != Outcome::Escalate {
        return Some(kept);
    }
    let published = report.verdict.comment.created_at;
    let period = match decision.legal_basis {
        None => Some(limitation::longest(published)?),
        Some(basis) => limitation::limitation(Some(basis), &decision.targets, published).map(|period| period.until),
    };
    Some(period.map_or(kept, |until| until.max(kept)))
}

/// Erases what is due at `now`. Returns how many reports.
///
/// # Errors
/// The database failed; what was erased before stays erased.
pub async fn erase(store: &Store, policies: &Policies, now: Timestamp) -> anyhow::Result<u64> {
    let is_due = |report: &Stored| {
        let retention = &policies.for_account(&report.verdict.comment.account).retention;
        due(report, retention).is_some_and(|due| due <= now)
    };
    let (mut erased, mut last) = (0, String::new());
    loop {
        let reports = store.decided_after(&last, PAGE).await?;
        let Some(end) = reports.last() else { break };
        end.id.as_str().clone_into(&mut last);
        for report in reports.iter().filter(|report| is_due(report)) {
            erased += u64::from(store.erase(&report.id, now, is_due).await?);
        }
    }
    store.database().forget_erased().await?;
    Ok(erased)
}

#[derive(Clone)]
pub(crate) struct Metrics {
    /// Threat reports erased because their time was over.
    erased: IntCounter,
    /// When what was due was last erased without an error, in seconds since the epoch; the start of the process until then.
    erasing: IntGauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> anyhow::Result<Self> {
        let metrics = Self {
            erased: IntCounter::new(
                "vigie_archive_reports_erased_total",
                "Threat reports erased because their time was over.",
            )?,
            erasing: IntGauge::new(
                "vigie_archive_erasing_timestamp_seconds",
                "When threat reports whose time was over were last erased without an error, in seconds since the epoch; the start of the process until then.",
            )?,
        };
        registry.register(Box::new(metrics.erased.clone()))?;
        registry.register(Box::new(metrics.erasing.clone()))?;
        metrics.erasing.set(Timestamp::now().as_second());
        Ok(metrics)
    }
}

/// Erases every hour what is due.
pub(crate) async fn run(runtime: Runtime, store: Store, metrics: Metrics) -> anyhow::Result<()> {
    while !runtime.stop.is_cancelled() {
        let now = Timestamp::now();
        match erase(&store, &runtime.policies, now).await {
            Ok(erased) => {
                metrics.erased.inc_by(erased);
                metrics.erasing.set(now.as_second());
            }
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "reports whose time is over could not be erased; trying again in an hour"
            ),
        }
        tokio::select! {
            () = runtime.stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    Ok(())
}
