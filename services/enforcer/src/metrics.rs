//! The metrics of the enforcer, registered once.

use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use vigie_domain::{EnforcementState, Platform};
use vigie_runtime::Accounts;

#[derive(Clone)]
pub(crate) struct Metrics {
    /// Changes of state of actions, by platform and by the state reached.
    pub(crate) actions: IntCounterVec,
    /// Actions that are not over, and those given up, by state.
    pub(crate) items: IntGaugeVec,
    /// Age in seconds of the oldest action that is neither confirmed nor given up.
    pub(crate) oldest: Gauge,
    /// Requests that may still be sent now, by platform and kind; the smallest of all credentials.
    pub(crate) quota: IntGaugeVec,
    /// Accounts whose credential pauses: refused, throttled or failing.
    pub(crate) paused: IntGauge,
    /// Changes of state not published yet.
    pub(crate) unsent: IntGauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry, accounts: &Accounts) -> anyhow::Result<Self> {
        let metrics = Self {
            actions: IntCounterVec::new(
                Opts::new(
                    "vigie_enforcer_actions_total",
                    "Changes of state of actions, by platform and by the state reached.",
                ),
                &["platform", "state"],
            )?,
            items: IntGaugeVec::new(
                Opts::new(
                    "vigie_enforcer_queue_items",
                    "Actions that are not over, and those given up, by state.",
                ),
                &["state"],
            )?,
            oldest: Gauge::new(
                "vigie_enforcer_oldest_pending_seconds",
                "Age of the oldest action that is neither confirmed nor given up.",
            )?,
            quota: IntGaugeVec::new(
                Opts::new(
                    "vigie_enforcer_quota_left",
                    "Requests that may still be sent now, by platform and kind; the smallest of all credentials.",
                ),
                &["platform", "endpoint"],
            )?,
            paused: IntGauge::new(
                "vigie_enforcer_paused_accounts",
                "Accounts whose credential pauses: refused, throttled or failing.",
            )?,
            unsent: IntGauge::new("vigie_enforcer_outbox_unsent", "Changes of state not published yet.")?,
        };
        registry.register(Box::new(metrics.actions.clone()))?;
        registry.register(Box::new(metrics.items.clone()))?;
        registry.register(Box::new(metrics.oldest.clone()))?;
        registry.register(Box::new(metrics.quota.clone()))?;
        registry.register(Box::new(metrics.paused.clone()))?;
        registry.register(Box::new(metrics.unsent.clone()))?;
        for state in EnforcementState::ALL {
            for account in accounts.iter() {
                metrics.actions.with_label_values(&[account.platform.as_str(), state.as_str()]);
            }
        }
        Ok(metrics)
    }

    /// Counts changes of state that are committed.
    pub(crate) fn count(&self, changes: &[(Platform, EnforcementState)]) {
        for (platform, state) in changes {
            self.actions.with_label_values(&[platform.as_str(), state.as_str()]).inc();
        }
    }
}
