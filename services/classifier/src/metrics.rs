//! The metrics of the classifier.

use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use vigie_domain::{Route, ScoreLabel, Verdict};

use crate::rates::{Finding, Side};

/// Registered once.
#[derive(Clone)]
pub struct Metrics {
    verdicts: IntCounterVec,
    let_go: IntCounter,
    latency: Histogram,
    batch: Histogram,
    reloads: IntCounterVec,
    drift: GaugeVec,
    rule_departure: GaugeVec,
    rule_ratio: GaugeVec,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> anyhow::Result<Self> {
        let verdicts = IntCounterVec::new(
            Opts::new("vigie_classifier_verdicts_total", "Verdicts published, per route."),
            &["route"],
        )?;
        for route in Route::ALL {
            verdicts.with_label_values(&[route.as_str()]);
        }
        let let_go = IntCounter::new(
            "vigie_classifier_let_go_total",
            "Comments that the first stage of the model let go as clearly harmless, without asking the network.",
        )?;
        let latency = Histogram::with_opts(
            HistogramOpts::new(
                "vigie_classifier_latency_seconds",
                "From the collection of a comment to its published verdict.",
            )
            .buckets(vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0]),
        )?;
        let batch = Histogram::with_opts(
            HistogramOpts::new("vigie_classifier_batch_seconds", "Judging one batch: rules, model and routes.")
                .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0]),
        )?;
        let reloads = IntCounterVec::new(
            Opts::new("vigie_classifier_rule_reloads_total", "Changed rule packs, loaded or refused."),
            &["result"],
        )?;
        for result in ["loaded", "refused"] {
            reloads.with_label_values(&[result]);
        }
        let drift = GaugeVec::new(
            Opts::new(
                "vigie_classifier_score_drift",
                "Population stability index of the latest scores against the model's reference, per label.",
            ),
            &["label"],
        )?;
        let rule_departure = GaugeVec::new(
            Opts::new(
                "vigie_classifier_rule_departure",
                "1 where a rule hits significantly more comments than in its history, -1 where fewer, 0 where neither.",
            ),
            &["rule"],
        )?;
        let rule_ratio = GaugeVec::new(
            Opts::new(
                "vigie_classifier_rule_rate_ratio",
                "Comments that a rule hit in the current window over those that its history lets expect.",
            ),
            &["rule"],
        )?;
        registry.register(Box::new(verdicts.clone()))?;
        registry.register(Box::new(let_go.clone()))?;
        registry.register(Box::new(latency.clone()))?;
        registry.register(Box::new(batch.clone()))?;
        registry.register(Box::new(reloads.clone()))?;
        registry.register(Box::new(drift.clone()))?;
        registry.register(Box::new(rule_departure.clone()))?;
        registry.register(Box::new(rule_ratio.clone()))?;
        Ok(Self {
            verdicts,
            let_go,
            latency,
            batch,
            reloads,
            drift,
            rule_departure,
            rule_ratio,
        })
    }

    /// One batch was judged in `seconds`.
    pub fn judged(&self, seconds: f64) {
        self.batch.observe(seconds);
    }

    /// A verdict was published.
    pub fn published(&self, verdict: &Verdict) {
        self.verdicts.with_label_values(&[verdict.route.as_str()]).inc();
        let waited = jiff::Timestamp::now().duration_since(verdict.comment.collected_at).as_secs_f64();
        // Clocks of two machines may differ: a negative wait is none.
        self.latency.observe(waited.max(0.0));
    }

    /// The first stage let `comments` go.
    pub fn let_go(&self, comments: u64) {
        self.let_go.inc_by(comments);
    }

    /// How far the latest scores are from the reference.
    pub fn drifted(&self, indices: impl Iterator<Item = (ScoreLabel, f64)>) {
        for (label, index) in indices {
            self.drift.with_label_values(&[label.as_str()]).set(index);
        }
    }

    /// What the last look at the rates of rules found. The labels are the rules of the packs.
    pub fn rates<'a>(&self, findings: impl Iterator<Item = (&'a str, Finding)>) {
        for (rule, finding) in findings {
            let departure = match finding.departs {
                Some(Side::More) => 1.0,
                Some(Side::Fewer) => -1.0,
                None => 0.0,
            };
            self.rule_departure.with_label_values(&[rule]).set(departure);
            self.rule_ratio.with_label_values(&[rule]).set(finding.ratio);
        }
    }

    /// Other rules are in force: what was said of the earlier ones holds no more.
    pub fn forget_rates(&self) {
        self.rule_departure.reset();
        self.rule_ratio.reset();
    }

    /// Changed rule packs were loaded, or refused.
    pub fn reloaded(&self, loaded: bool) {
        self.reloads.with_label_values(&[if loaded { "loaded" } else { "refused" }]).inc();
    }
}
