//! The loop of every consumer: receive, handle, publish the dead letters, commit.
//!
//! Delivery: at least once. A record is committed only after its handler succeeded or its dead letter is durable; a crash in
//! between delivers it again, and handlers are idempotent by record id.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use rand::Rng as _;
use vigie_bus::{BusError, Consumer, Delivery, Record};
use vigie_domain::{CommentId, DeadLetter, Topic, WireRecord, encode, sha256_hex};

use crate::Runtime;

const RECEIVE_WAIT: Duration = Duration::from_secs(5);
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);
const LAG_INTERVAL: Duration = Duration::from_secs(5);
const ATTEMPTS_LOGGED_EVERY: u32 = 10;

/// What a service does with a batch.
#[async_trait]
pub trait Handler: Send {
    /// Handles a batch in order. Records that can never be handled are returned; they go to the dead letters.
    ///
    /// # Errors
    /// Something that may work later: the whole batch is handled again after a while, so handling is idempotent.
    async fn handle(&mut self, batch: &[Delivery]) -> anyhow::Result<Vec<Rejected>>;

    /// Called when a receive returned nothing.
    ///
    /// # Errors
    /// Logged; the loop goes on.
    async fn idle(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// A record that can never be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the batch.
    pub index: usize,
    /// Why, without the comment's text.
    pub error: String,
}

/// Metrics of all consumer loops.
#[derive(Clone)]
pub(crate) struct Consumers {
    lag: IntGaugeVec,
    dead_letters: IntCounterVec,
    groups: Arc<Mutex<BTreeSet<(&'static str, Topic)>>>,
}

impl Consumers {
    pub(crate) fn register(registry: &Registry) -> anyhow::Result<Self> {
        let lag = IntGaugeVec::new(
            Opts::new("vigie_bus_lag", "Records not committed yet, per consumer group and topic."),
            &["group", "topic"],
        )?;
        let dead_letters = IntCounterVec::new(
            Opts::new("vigie_dead_letters_total", "Records given up, per service."),
            &["service"],
        )?;
        registry.register(Box::new(lag.clone()))?;
        registry.register(Box::new(dead_letters.clone()))?;
        Ok(Self {
            lag,
            dead_letters,
            groups: Arc::default(),
        })
    }
}

/// The bus record of a domain record.
#[must_use]
pub fn record<T: WireRecord>(record: &T) -> Record {
    Record {
        key: record.key().to_string(),
        id: record.record_id().to_string(),
        headers: Vec::new(),
        payload: encode(record),
    }
}

/// Publishes a batch; transient errors are retried with back-off until the process stops.
///
/// # Errors
/// A permanent error, or the process stops before the bus accepted the batch.
pub async fn publish(runtime: &Runtime, topic: Topic, batch: Vec<Record>) -> Result<(), BusError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut delays = Delays::default();
    loop {
        match runtime.bus.publish(topic, batch.clone()).await {
            Err(error) if error.is_transient() && !runtime.stop.is_cancelled() => {
                delays.log(&error, "publishing", topic.name());
                delays.wait(runtime).await;
            }
            result => return result,
        }
    }
}

/// Consumes `topics` as the group `service` until the process stops; the batch in hand is finished first.
///
/// # Errors
/// The bus refused permanently.
pub async fn consume(
    runtime: &Runtime,
    service: &'static str,
    topics: &[Topic],
    batch_records_max: usize,
    mut handler: impl Handler,
) -> anyhow::Result<()> {
    let component = runtime.health.register(service);
    runtime.consumers.dead_letters.with_label_values(&[service]);
    if !runtime.released().await {
        return Ok(());
    }
    watch_lag(runtime, service, topics);
    let mut delays = Delays::default();
    'joined: while !runtime.stop.is_cancelled() {
        let mut consumer = match runtime.bus.subscribe(service, topics).await {
            Ok(consumer) => consumer,
            Err(error) if error.is_transient() => {
                component.waiting("waiting for the bus");
                delays.log(&error, "subscribing", service);
                delays.wait(runtime).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        component.ready();
        while !runtime.stop.is_cancelled() {
            let received = tokio::select! {
                biased;
                () = runtime.stop.cancelled() => break 'joined,
                received = consumer.receive(batch_records_max, RECEIVE_WAIT) => received,
            };
            match received {
                Ok(batch) if batch.is_empty() => {
                    if let Err(error) = handler.idle().await {
                        tracing::warn!(service, error = format!("{error:#}"), "work between batches failed");
                    }
                }
                Ok(batch) => {
                    if !finish_batch(runtime, service, &mut handler, consumer.as_mut(), &batch).await? {
                        break 'joined;
                    }
                    delays = Delays::default();
                    component.ready();
                }
                Err(error) if error.is_transient() => {
                    component.waiting("waiting for the bus");
                    delays.log(&error, "receiving", service);
                    delays.wait(runtime).await;
                    continue 'joined;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Handles, publishes dead letters, commits. False when the process stops before the batch could be handled: it is not committed
/// and will be delivered again.
async fn finish_batch(
    runtime: &Runtime,
    service: &'static str,
    handler: &mut impl Handler,
    consumer: &mut dyn Consumer,
    batch: &[Delivery],
) -> anyhow::Result<bool> {
    let mut delays = Delays::default();
    let rejected = loop {
        match handler.handle(batch).await {
            Ok(rejected) => break rejected,
            Err(error) if runtime.stop.is_cancelled() => {
                tracing::warn!(
                    service,
                    error = format!("{error:#}"),
                    "stopping with a batch unfinished; it will be delivered again"
                );
                return Ok(false);
            }
            Err(error) => {
                delays.log(&format!("{error:#}"), "handling a batch", service);
                delays.wait(runtime).await;
            }
        }
    };
    let letters: Vec<Record> = rejected
        .iter()
        .filter_map(|rejected| Some(dead_letter(service, batch.get(rejected.index)?, rejected, delays.attempts + 1)))
        .collect();
    let count = letters.len();
    for rejected in &rejected {
        tracing::error!(
            service,
            error = rejected.error,
            "a record went to the dead letters; see `vigie dead-letters list`"
        );
    }
    match publish(runtime, Topic::DeadLetters, letters).await {
        Ok(()) => {}
        Err(error) if error.is_transient() => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    runtime.consumers.dead_letters.with_label_values(&[service]).inc_by(count as u64);
    let mut delays = Delays::default();
    loop {
        match consumer.commit().await {
            Ok(()) => return Ok(true),
            Err(error) if error.is_transient() && !runtime.stop.is_cancelled() && delays.attempts < 5 => {
                delays.log(&error, "committing", service);
                delays.wait(runtime).await;
            }
            // Handled but not committed: it will be delivered again, which handlers allow.
            Err(error) if error.is_transient() => return Ok(!runtime.stop.is_cancelled()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn dead_letter(service: &'static str, delivery: &Delivery, rejected: &Rejected, attempts: u32) -> Record {
    let key = CommentId::new(delivery.record.key.clone())
        .or_else(|_| CommentId::new(sha256_hex(delivery.record.key.as_bytes())))
        .expect("a digest is an identifier");
    record(&DeadLetter {
        key,
        topic: delivery.topic.name().to_owned(),
        partition: delivery.partition,
        offset: delivery.offset,
        service: service.to_owned(),
        error: rejected.error.clone(),
        attempts,
        at: jiff::Timestamp::now(),
        payload: base64::engine::general_purpose::STANDARD.encode(&delivery.record.payload),
    })
}

/// Keeps `vigie_bus_lag` true for this group; the first loop of a process starts the task.
fn watch_lag(runtime: &Runtime, service: &'static str, topics: &[Topic]) {
    let first = {
        let mut groups = runtime.consumers.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let first = groups.is_empty();
        groups.extend(topics.iter().map(|topic| (service, *topic)));
        first
    };
    if !first {
        return;
    }
    let runtime = runtime.clone();
    tokio::spawn(async move {
        while !runtime.stop.is_cancelled() {
            let groups: Vec<_> = runtime
                .consumers
                .groups
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .copied()
                .collect();
            for (group, topic) in groups {
                if let Ok(lags) = runtime.bus.lag(group, &[topic]).await {
                    for lag in lags {
                        let value = i64::try_from(lag.records).unwrap_or(i64::MAX);
                        runtime.consumers.lag.with_label_values(&[group, topic.name()]).set(value);
                    }
                }
            }
            tokio::select! {
                () = runtime.stop.cancelled() => {}
                () = tokio::time::sleep(LAG_INTERVAL) => {}
            }
        }
    });
}

/// Exponential back-off with full jitter.
#[derive(Default)]
struct Delays {
    attempts: u32,
}

impl Delays {
    async fn wait(&mut self, runtime: &Runtime) {
        let ceiling = RETRY_DELAY_MIN
            .saturating_mul(2_u32.saturating_pow(self.attempts.min(10)))
            .min(RETRY_DELAY_MAX);
        let delay = rand::rng().random_range(RETRY_DELAY_MIN..=ceiling.max(RETRY_DELAY_MIN));
        self.attempts = self.attempts.saturating_add(1);
        tokio::select! {
            () = runtime.stop.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }

    fn log(&self, error: &impl std::fmt::Display, doing: &str, name: &str) {
        if self.attempts.is_multiple_of(ATTEMPTS_LOGGED_EVERY) {
            tracing::warn!(%error, attempts = self.attempts, "{doing} `{name}` failed; trying again");
        }
    }
}
