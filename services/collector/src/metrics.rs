//! The metrics of the collector.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};
use vigie_domain::{AccountId, Comment, Platform};
use vigie_platforms::PlatformError;

use crate::accept::{AcceptError, Fate};

/// Registered once.
#[derive(Clone)]
pub struct Metrics {
    comments: IntCounterVec,
    revisions: IntCounterVec,
    known: IntCounterVec,
    rejected: IntCounterVec,
    errors: IntCounterVec,
    paused: IntGaugeVec,
    ages: Ages,
    requests: IntCounterVec,
    looks: IntCounterVec,
    replayed: IntCounter,
}

const ERRORS: [&str; 8] = [
    "throttled",
    "transient",
    "malformed",
    "unauthorized",
    "gone",
    "permanent",
    "bus",
    "database",
];
const REVISIONS: [&str; 3] = ["first", "edit", "deletion"];

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> anyhow::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| -> anyhow::Result<IntCounterVec> {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let metrics = Self {
            comments: counters(
                "vigie_collector_comments_total",
                "Comment revisions published, per platform.",
                &["platform"],
            )?,
            revisions: counters(
                "vigie_collector_revisions_total",
                "Comment revisions published: without an edit time, edits, deletions.",
                &["kind"],
            )?,
            known: counters(
                "vigie_collector_known_total",
                "Comments that brought nothing new, per platform.",
                &["platform"],
            )?,
            rejected: counters(
                "vigie_collector_rejected_rows_total",
                "Rows and comments that cannot be used, per platform of the account.",
                &["platform"],
            )?,
            errors: counters(
                "vigie_collector_errors_total",
                "Failures to read an account or to pass its comments on.",
                &["platform", "kind"],
            )?,
            paused: IntGaugeVec::new(
                Opts::new(
                    "vigie_collector_paused",
                    "1 where an account is not read because its token is refused or it cannot be read at all.",
                ),
                &["account"],
            )?,
            ages: Ages::new()?,
            requests: counters(
                "vigie_collector_webhook_requests_total",
                "Requests to the webhook, per answer.",
                &["status"],
            )?,
            looks: counters(
                "vigie_collector_presence_total",
                "Looks at known comments: what was found.",
                &["found"],
            )?,
            replayed: IntCounter::new("vigie_collector_replayed_total", "Comments of the replayed file that were fed.")?,
        };
        registry.register(Box::new(metrics.paused.clone()))?;
        registry.register(Box::new(metrics.ages.clone()))?;
        registry.register(Box::new(metrics.replayed.clone()))?;
        for platform in Platform::ALL {
            for counters in [&metrics.comments, &metrics.known, &metrics.rejected] {
                counters.with_label_values(&[platform.as_str()]);
            }
        }
        for kind in REVISIONS {
            metrics.revisions.with_label_values(&[kind]);
        }
        Ok(metrics)
    }

    /// Takes them out of the registry.
    pub fn unregister(&self, registry: &Registry) {
        let collectors: [Box<dyn Collector>; 10] = [
            Box::new(self.comments.clone()),
            Box::new(self.revisions.clone()),
            Box::new(self.known.clone()),
            Box::new(self.rejected.clone()),
            Box::new(self.errors.clone()),
            Box::new(self.paused.clone()),
            Box::new(self.ages.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.looks.clone()),
            Box::new(self.replayed.clone()),
        ];
        for collector in collectors {
            if let Err(error) = registry.unregister(collector) {
                tracing::debug!(%error, "a metric was not registered");
            }
        }
    }

    /// A revision was published.
    pub fn published(&self, comment: &Comment) {
        self.comments.with_label_values(&[comment.platform.as_str()]).inc();
        let kind = match comment {
            Comment { deleted: Some(_), .. } => "deletion",
            Comment { edited_at: Some(_), .. } => "edit",
            _ => "first",
        };
        self.revisions.with_label_values(&[kind]).inc();
    }

    /// What became of a comment.
    pub fn fate(&self, platform: Platform, fate: &Fate) {
        match fate {
            Fate::New => {}
            Fate::Known => self.known.with_label_values(&[platform.as_str()]).inc(),
            Fate::Rejected(_) => self.rejected(platform, 1),
        }
    }

    /// Rows could not be used.
    pub fn rejected(&self, platform: Platform, rows: u64) {
        self.rejected.with_label_values(&[platform.as_str()]).inc_by(rows);
    }

    /// An account could not be read.
    pub fn platform_error(&self, platform: Platform, error: &PlatformError) {
        let kind = match error {
            PlatformError::Throttled { .. } => "throttled",
            PlatformError::Transient(_) => "transient",
            PlatformError::Malformed(_) => "malformed",
            PlatformError::Unauthorized(_) => "unauthorized",
            PlatformError::Gone => "gone",
            PlatformError::Permanent(_) => "permanent",
        };
        self.errors.with_label_values(&[platform.as_str(), kind]).inc();
    }

    /// Comments could not be passed on.
    pub fn accept_error(&self, platform: Platform, error: &AcceptError) {
        let kind = match error {
            AcceptError::Bus(_) => "bus",
            AcceptError::Store(_) => "database",
        };
        self.errors.with_label_values(&[platform.as_str(), kind]).inc();
    }

    /// An account is watched: its series are there from the start.
    pub fn watch(&self, account: &AccountId, platform: Platform) {
        for kind in ERRORS {
            self.errors.with_label_values(&[platform.as_str(), kind]);
        }
        self.pause(account, false);
        self.ages.restart(account);
    }

    /// Whether an account is paused.
    pub fn pause(&self, account: &AccountId, paused: bool) {
        self.paused.with_label_values(&[account.as_str()]).set(i64::from(paused));
    }

    /// An account was read, and what it gave is durable.
    pub fn read(&self, account: &AccountId) {
        self.ages.restart(account);
    }

    /// A request to the webhook was answered.
    pub fn answered(&self, status: u16) {
        self.requests.with_label_values(&[&status.to_string()]).inc();
    }

    /// A known comment was looked at: `present`, `gone` or `unknown`.
    pub fn looked(&self, found: &'static str) {
        self.looks.with_label_values(&[found]).inc();
    }

    /// A comment of the replayed file was fed.
    pub fn replayed(&self) {
        self.replayed.inc();
    }
}

/// How long ago each account was read; computed when it is asked for, so that it grows while an account hangs.
#[derive(Clone)]
struct Ages {
    gauges: GaugeVec,
    read_at: Arc<Mutex<BTreeMap<AccountId, Timestamp>>>,
}

impl Ages {
    fn new() -> anyhow::Result<Self> {
        let gauges = GaugeVec::new(
            Opts::new(
                "vigie_collector_cursor_age_seconds",
                "Since an account was last read and its position stored.",
            ),
            &["account"],
        )?;
        Ok(Self {
            gauges,
            read_at: Arc::default(),
        })
    }

    fn restart(&self, account: &AccountId) {
        self.read_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(account.clone(), Timestamp::now());
    }
}

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = Timestamp::now();
        for (account, at) in self.read_at.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.gauges
                .with_label_values(&[account.as_str()])
                .set(now.duration_since(*at).as_secs_f64().max(0.0));
        }
        self.gauges.collect()
    }
}
