//! The queue of the moderators and its pages.
//!
//! Consumes `verdicts`, publishes `decisions`. Delivery: at least once on both sides; a redelivered verdict changes nothing, and a
//! decision has a deterministic id. The tables of this service are the only place where a comment waits for a person: one item per
//! revision, one decision per revision and sequence, one audit row per transition.
//!
//! What it does not do: it neither judges nor acts on platforms, and it never chooses a legal basis.

mod clock;
mod intake;
pub mod item;
mod metrics;
mod outbox;
mod pages;
pub mod queue;
pub mod reading;
mod retention;
mod schema;
pub mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use vigie_domain::Topic;
use vigie_runtime::units::Interval;
use vigie_runtime::{Runtime, Started, consume};
use vigie_web::Web;

pub use queue::{Person, Queue, QueueError, Ruling};

const BATCH_RECORDS_MAX: usize = 200;

/// Section `[review]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a comment stays reserved for the person who looks at it, unless their browser keeps it.
    pub lease: Interval,
    /// How long it stays reserved at most.
    pub lease_longest: Interval,
    /// How long a decision can be taken back.
    pub undo: Interval,
    /// How long a comment that somebody skipped is not offered to them again.
    pub skip_rest: Interval,
    /// Place in the queue, 0 to 100, of comments that are there only because the blind audit drew them.
    pub audit_priority: u8,
    /// After so many severe texts within an hour the page proposes a break.
    pub severe_per_hour: u32,
    /// The key of each action, one small letter each; letters are the same on AZERTY and QWERTY.
    pub keys: Keys,
}

/// Section `[review.keys]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names of the actions")]
pub struct Keys {
    pub keep: String,
    pub hide: String,
    pub delete: String,
    pub escalate: String,
    pub skip: String,
    pub reveal: String,
    pub note: String,
    pub labels: String,
    pub undo: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Interval::seconds(10 * 60),
            lease_longest: Interval::seconds(60 * 60),
            undo: Interval::seconds(15 * 60),
            skip_rest: Interval::seconds(60 * 60),
            audit_priority: 40,
            severe_per_hour: 15,
            keys: Keys::default(),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        let key = |letter: &str| letter.to_owned();
        Self {
            keep: key("g"),
            hide: key("m"),
            delete: key("s"),
            escalate: key("e"),
            skip: key("p"),
            reveal: key("v"),
            note: key("n"),
            labels: key("l"),
            undo: key("a"),
        }
    }
}

impl Config {
    fn check(&self) -> anyhow::Result<()> {
        let keys = self.keys.all();
        for (action, key) in keys {
            anyhow::ensure!(
                key.len() == 1 && key.chars().all(|c| c.is_ascii_lowercase()),
                "[review.keys] {action} is `{key}`: give one small letter"
            );
            let twice = keys.iter().find(|(other, same)| *other != action && *same == key);
            anyhow::ensure!(
                twice.is_none(),
                "[review.keys] {action} has the key `{key}` of another action: give each its own"
            );
        }
        anyhow::ensure!(self.lease.0 <= self.lease_longest.0, "[review] lease is longer than lease_longest");
        anyhow::ensure!(
            self.audit_priority <= 100,
            "[review] audit_priority is {}: 100 is the most",
            self.audit_priority
        );
        Ok(())
    }

    fn lease_ms(&self) -> i64 {
        ms(self.lease)
    }

    fn lease_longest_ms(&self) -> i64 {
        ms(self.lease_longest)
    }

    fn undo_ms(&self) -> i64 {
        ms(self.undo)
    }

    fn skip_rest_ms(&self) -> i64 {
        ms(self.skip_rest)
    }
}

impl Keys {
    const fn all(&self) -> [(&'static str, &String); 9] {
        [
            ("keep", &self.keep),
            ("hide", &self.hide),
            ("delete", &self.delete),
            ("escalate", &self.escalate),
            ("skip", &self.skip),
            ("reveal", &self.reveal),
            ("note", &self.note),
            ("labels", &self.labels),
            ("undo", &self.undo),
        ]
    }
}

fn ms(interval: Interval) -> i64 {
    i64::try_from(interval.0.as_millis()).unwrap_or(i64::MAX / 4)
}

impl Queue {
    /// Opens the tables and registers the metrics.
    ///
    /// # Errors
    /// A value of the configuration that cannot be right, or a database that cannot be opened.
    pub async fn open(config: Config, runtime: &Runtime) -> anyhow::Result<Self> {
        config.check()?;
        let database = runtime
            .databases
            .open("review", schema::MIGRATIONS)
            .await
            .context("could not open the database of the queue")?;
        Ok(Self {
            database,
            config: Arc::new(config),
            metrics: metrics::Metrics::register(&runtime.registry)?,
            entered: Arc::new(Notify::new()),
        })
    }
}

/// Starts the consumer, the relay of the outbox, the clock and the pages.
///
/// # Errors
/// As [`Queue::open`].
pub async fn start(config: Config, runtime: Runtime, _web: Web) -> anyhow::Result<Started> {
    let queue = Queue::open(config, &runtime).await?;
    clock::count(&queue, &state::State::ALL).await?;
    clock::age(&queue).await?;
    clock::late(&queue, &runtime.policies).await?;
    let intake = intake::Intake {
        database: queue.database.clone(),
        policies: runtime.policies.clone(),
        metrics: queue.metrics.clone(),
        entered: Arc::clone(&queue.entered),
        audit_priority: queue.config.audit_priority,
    };
    let consumer = {
        let runtime = runtime.clone();
        tokio::spawn(async move { consume(&runtime, "review", &[Topic::Verdicts], BATCH_RECORDS_MAX, intake).await })
    };
    let relay = tokio::spawn(outbox::relay(runtime.clone(), queue.database.clone(), Arc::clone(&queue.entered)));
    let clock = tokio::spawn(clock::run(runtime.clone(), queue.clone()));
    let routes = pages::routes(pages::Console {
        queue,
        accounts: runtime.accounts.clone(),
        policies: runtime.policies.clone(),
    });
    Ok(Started {
        name: "review",
        routes,
        tasks: vec![consumer, relay, clock],
    })
}
