//! The metrics of the queue, registered once. The doc comment of each is its help text.

use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use vigie_domain::Outcome;

use crate::item::Band;
use crate::pages::SKIP_REASONS;
use crate::queue::now;
use crate::state::State;

/// From half a minute to two days.
const WAIT_SECONDS: [f64; 11] = [
    30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0, 172_800.0,
];

#[derive(Clone)]
pub(crate) struct Metrics {
    /// Items per state.
    pub(crate) items: IntGaugeVec,
    /// Waiting items per band of priority.
    pub(crate) waiting: IntGaugeVec,
    /// Age in seconds of the oldest waiting item, per band of priority; 0 where none waits.
    pub(crate) oldest: GaugeVec,
    /// Time in seconds from the queue to the first decision of a person, per band of priority.
    pub(crate) wait: HistogramVec,
    /// Decisions entered, by people and by policy, per outcome; `undo` counts those taken back.
    pub(crate) decisions: IntCounterVec,
    /// Decisions made by policy without a person.
    pub(crate) automatic: IntCounter,
    /// Comments that policy would have hidden, sent to people because the daily quota was used up.
    pub(crate) over_quota: IntCounter,
    /// Blind labels given to comments drawn for the audit.
    pub(crate) blind: IntCounter,
    /// Items given back, per reason.
    pub(crate) skips: IntCounterVec,
    /// Items withdrawn because the comment was edited or deleted upstream.
    pub(crate) withdrawn: IntCounter,
    /// Leases that ran out.
    pub(crate) expired: IntCounter,
    /// Waiting items over the time that the policy of their account gives, per level.
    pub(crate) late: IntGaugeVec,
    /// Texts erased because their time was over.
    pub(crate) erased: IntCounter,
    /// When texts whose time was over were last erased without an error, in seconds since the epoch; the start of the process until then.
    pub(crate) erasing: IntGauge,
    /// Decisions not published yet.
    pub(crate) unsent: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> anyhow::Result<Self> {
        let wait = "Time in seconds from the queue to the first decision of a person, per band of priority.";
        let metrics = Self {
            items: IntGaugeVec::new(Opts::new("vigie_review_queue_items", "Queue items, per state."), &["state"])?,
            waiting: IntGaugeVec::new(
                Opts::new("vigie_review_waiting_items", "Waiting items, per band of priority."),
                &["band"],
            )?,
            oldest: GaugeVec::new(
                Opts::new(
                    "vigie_review_oldest_seconds",
                    "Age of the oldest waiting item, per band of priority; 0 where none waits.",
                ),
                &["band"],
            )?,
            wait: HistogramVec::new(
                HistogramOpts::new("vigie_review_wait_seconds", wait).buckets(WAIT_SECONDS.to_vec()),
                &["band"],
            )?,
            decisions: IntCounterVec::new(
                Opts::new(
                    "vigie_review_decisions_total",
                    "Decisions entered, by people and by policy, per outcome; undo counts those taken back.",
                ),
                &["outcome"],
            )?,
            automatic: IntCounter::new(
                "vigie_review_automatic_decisions_total",
                "Decisions made by policy without a person.",
            )?,
            over_quota: IntCounter::new(
                "vigie_review_over_quota_total",
                "Comments that policy would have hidden, sent to people because the daily quota was used up.",
            )?,
            blind: IntCounter::new(
                "vigie_review_blind_labels_total",
                "Blind labels given to comments drawn for the audit.",
            )?,
            skips: IntCounterVec::new(Opts::new("vigie_review_skips_total", "Items given back, per reason."), &["reason"])?,
            withdrawn: IntCounter::new(
                "vigie_review_withdrawn_total",
                "Items withdrawn because the comment was edited or deleted upstream.",
            )?,
            expired: IntCounter::new("vigie_review_leases_expired_total", "Leases that ran out.")?,
            late: IntGaugeVec::new(
                Opts::new(
                    "vigie_review_late_items",
                    "Waiting items over the time that the policy of their account gives, per level.",
                ),
                &["level"],
            )?,
            erased: IntCounter::new("vigie_review_texts_erased_total", "Texts erased because their time was over.")?,
            erasing: IntGauge::new(
                "vigie_review_erasing_timestamp_seconds",
                "When texts whose time was over were last erased without an error, in seconds since the epoch; the start of the process until then.",
            )?,
            unsent: Gauge::new("vigie_review_outbox_unsent", "Decisions not published yet.")?,
        };
        registry.register(Box::new(metrics.items.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.oldest.clone()))?;
        registry.register(Box::new(metrics.wait.clone()))?;
        registry.register(Box::new(metrics.decisions.clone()))?;
        registry.register(Box::new(metrics.automatic.clone()))?;
        registry.register(Box::new(metrics.over_quota.clone()))?;
        registry.register(Box::new(metrics.blind.clone()))?;
        registry.register(Box::new(metrics.skips.clone()))?;
        registry.register(Box::new(metrics.withdrawn.clone()))?;
        registry.register(Box::new(metrics.expired.clone()))?;
        registry.register(Box::new(metrics.late.clone()))?;
        registry.register(Box::new(metrics.erased.clone()))?;
        registry.register(Box::new(metrics.erasing.clone()))?;
        registry.register(Box::new(metrics.unsent.clone()))?;
        metrics.show_zeros();
        metrics.erasing.set(now() / 1000);
        Ok(metrics)
    }

    /// A series that is not there yet cannot be told from a service that is not there.
    fn show_zeros(&self) {
        for state in State::ALL {
            self.items.with_label_values(&[state.as_str()]);
        }
        for band in Band::ALL {
            self.waiting.with_label_values(&[band.as_str()]);
            self.oldest.with_label_values(&[band.as_str()]);
            self.wait.with_label_values(&[band.as_str()]);
        }
        for level in ["urgent", "normal"] {
            self.late.with_label_values(&[level]);
        }
        for outcome in Outcome::ALL {
            self.decisions.with_label_values(&[outcome.as_str()]);
        }
        self.decisions.with_label_values(&["undo"]);
        for (reason, _, _) in SKIP_REASONS {
            self.skips.with_label_values(&[reason]);
        }
    }
}
