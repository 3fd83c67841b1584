//! The rates of rules in the running service: which rules are in force, the file that the counts survive in, the metrics.
//!
//! The file is written after every look and, where comments are few, when nothing is left to do, at most once a minute: what is lost when
//! the process is killed is that minute, or the comments since the last look. Nothing here fails a batch. Where several processes share
//! the comments, each counts its own: a comment's key decides whose it is, so that each has a sample of all.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use vigie_domain::RuleHit;
use vigie_rulebook::Rulebook;

use crate::metrics::Metrics;
use crate::rates::{self, RuleRates};

/// The file, in the data directory.
pub const FILE: &str = "rule-rates.json";

const SAVE_INTERVAL: Duration = Duration::from_mins(1);

/// Counts the hits of every rule.
pub struct RateWatch {
    rates: RuleRates,
    path: PathBuf,
    metrics: Metrics,
    /// When the counts and the file began to differ.
    unsaved_since: Option<Instant>,
}

impl RateWatch {
    /// Goes on with the counts of `path`, or begins anew where they cannot be used.
    pub fn open(path: PathBuf, rulebook: &Rulebook, metrics: Metrics) -> Self {
        let rates = rates::open(&path).unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "the history of the rules begins anew");
            RuleRates::default()
        });
        let mut watch = Self {
            rates,
            path,
            metrics,
            unsaved_since: None,
        };
        watch.follow(rulebook);
        watch
    }

    /// Other rules are in force.
    pub fn follow(&mut self, rulebook: &Rulebook) {
        self.rates.follow(rulebook.rules());
        self.metrics.forget_rates();
        self.metrics.rates(self.rates.findings());
    }

    /// Counts comments in: what was found in each.
    pub fn observe<'a>(&mut self, comments: impl Iterator<Item = &'a [RuleHit]>) {
        let mut looked = false;
        for hits in comments {
            looked |= self.rates.observe(hits);
            self.unsaved_since.get_or_insert_with(Instant::now);
        }
        if looked {
            self.metrics.rates(self.rates.findings());
            self.save();
        }
    }

    /// Nothing is left to do.
    pub fn idle(&mut self) {
        if self.unsaved_since.is_some_and(|since| since.elapsed() >= SAVE_INTERVAL) {
            self.save();
        }
    }

    fn save(&mut self) {
        self.unsaved_since = None;
        if let Err(error) = rates::save(&self.rates, &self.path) {
            tracing::warn!(
                error = format!("{error:#}"),
                "the history of the rules will be lost with the next restart; is the disk full?"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prometheus::{Registry, TextEncoder};
    use vigie_rulebook::Scope;

    use super::*;

    const PACK: &str =
        "description = \"x\"\n[[rule]]\nid = \"a\"\nact = \"insult\"\nseverity = 1\naction = \"signal\"\nterms = [\"sot\"]\n";

    fn rulebook(content: &str) -> Rulebook {
        Rulebook::parse(&BTreeMap::from([("x.toml".to_owned(), content.to_owned())])).expect("a pack")
    }

    fn departure(registry: &Registry) -> anyhow::Result<Option<String>> {
        let text = TextEncoder::new().encode_to_string(&registry.gather())?;
        let line = |line: &str| {
            line.strip_prefix("vigie_classifier_rule_departure{rule=\"x/a\"} ")
                .map(str::to_owned)
        };
        Ok(text.lines().find_map(line))
    }

    #[test]
    fn departures_are_exported_survive_a_restart_and_go_with_their_rule() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join(FILE);
        let rules = rulebook(PACK);
        let (found, nothing) = (rules.matches("un sot", &Scope::default()), Vec::new());
        let registry = Registry::new();
        let mut watch = RateWatch::open(path.clone(), &rules, Metrics::register(&registry)?);
        let mut pass = |hits: &[RuleHit]| watch.observe(std::iter::repeat_n(hits, 500));
        pass(&nothing);
        assert_eq!(departure(&registry)?, None, "there is no history yet");
        pass(&nothing);
        assert_eq!(departure(&registry)?.as_deref(), Some("0"));
        pass(&found);
        assert_eq!(departure(&registry)?.as_deref(), Some("1"));

        let registry = Registry::new();
        let mut watch = RateWatch::open(path.clone(), &rules, Metrics::register(&registry)?);
        assert_eq!(departure(&registry)?.as_deref(), Some("1"), "a restart forgets nothing");
        watch.follow(&rulebook(&PACK.replace("sot", "nigaud")));
        assert_eq!(departure(&registry)?, None, "another rule has another history");

        std::fs::write(&path, "broken")?;
        let registry = Registry::new();
        RateWatch::open(path, &rules, Metrics::register(&registry)?);
        assert_eq!(departure(&registry)?, None, "what cannot be read begins anew");
        Ok(())
    }

    #[test]
    fn few_comments_are_saved_when_there_is_nothing_to_do() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join(FILE);
        let mut watch = RateWatch::open(path.clone(), &rulebook(PACK), Metrics::register(&Registry::new())?);
        watch.observe([[].as_slice()].into_iter());
        watch.idle();
        assert!(!path.exists(), "a minute has not passed");
        watch.unsaved_since = Instant::now().checked_sub(SAVE_INTERVAL);
        watch.idle();
        assert!(path.exists() && watch.unsaved_since.is_none());
        Ok(())
    }
}
