//! Publishing: an idempotent producer whose queue is bounded, replaced after an error that it cannot survive.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use tokio::time::Instant;
use vigie_domain::Topic;

use super::blocking;
use super::client::{Client, Complaint};
use super::errors::refused;
use crate::{BusError, ENVELOPE_BYTES_MAX, PAYLOAD_BYTES_MAX, Record};

/// A payload, its envelope and what the protocol adds.
pub(super) const MESSAGE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + ENVELOPE_BYTES_MAX + (64 << 10);
/// The header that carries the record id.
pub(super) const ID_HEADER: &str = "id";
const QUEUE_RECORDS_MAX: &str = "50000";
const QUEUE_FULL_DELAY: Duration = Duration::from_millis(20);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);

type Producer = FutureProducer<Complaint>;

/// Holds the producer in use.
pub(super) struct Publisher {
    producer: Mutex<Option<Producer>>,
}

impl Publisher {
    pub(super) fn new(client: &Client) -> Result<Self, BusError> {
        Ok(Self {
            producer: Mutex::new(Some(create(client)?)),
        })
    }

    /// The producer in use, or a new one after a fatal error.
    pub(super) fn producer(&self, client: &Client) -> Result<Producer, BusError> {
        let mut slot = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        let current = slot
            .as_ref()
            .ok_or_else(|| BusError::Permanent("the connection to Kafka is closed".to_owned()))?;
        let Some((code, reason)) = current.client().fatal_error() else {
            return Ok(current.clone());
        };
        tracing::warn!(%code, "the Kafka producer failed for good and is replaced: {reason}");
        let fresh = create(client)?;
        let old = slot.replace(fresh.clone());
        drop(slot);
        // Dropping it waits for its thread. Its unacknowledged records fail, and are published again by those who wait for them.
        std::thread::spawn(move || drop(old));
        Ok(fresh)
    }

    /// Sends the batch in order and waits until the brokers have all of it.
    pub(super) async fn publish(&self, client: &Client, topic: Topic, batch: &[Record]) -> Result<(), BusError> {
        let producer = self.producer(client)?;
        let name = client.topic(topic);
        let deadline = Instant::now() + client.config.publish_timeout;
        let late = || {
            let seconds = client.config.publish_timeout.as_secs();
            client.complaint().explain(BusError::Transient(format!(
                "the brokers did not accept a batch for `{name}` within {seconds} s"
            )))
        };
        let mut acknowledgements = Vec::with_capacity(batch.len());
        for record in batch {
            let acknowledgement = tokio::time::timeout_at(deadline, enqueue(&producer, &name, record))
                .await
                .map_err(|_| late())??;
            acknowledgements.push(acknowledgement);
        }
        for acknowledgement in acknowledgements {
            let outcome = tokio::time::timeout_at(deadline, acknowledgement).await.map_err(|_| late())?;
            match outcome {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => return Err(failed(&error, &name)),
                Err(_) => return Err(BusError::Transient("the Kafka producer was replaced; publish again".to_owned())),
            }
        }
        client.complaint().clear();
        Ok(())
    }

    /// Waits until the queue is empty. What is left afterwards was never acknowledged to anybody.
    pub(super) async fn close(&self, client: &Client) -> Result<(), BusError> {
        let producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(producer) = producer else { return Ok(()) };
        blocking(move || {
            let flushed = producer.flush(FLUSH_TIMEOUT);
            drop(producer);
            flushed
        })
        .await?
        .map_err(|error| client.explain(&error, "records were still waiting for the brokers"))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Dropping it waits for its thread.
        std::thread::spawn(move || drop(producer));
    }
}

async fn enqueue(producer: &Producer, topic: &str, record: &Record) -> Result<DeliveryFuture, BusError> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + 1).insert(Header {
        key: ID_HEADER,
        value: Some(record.id.as_bytes()),
    });
    for (name, value) in &record.headers {
        headers = headers.insert(Header {
            key: name,
            value: Some(value),
        });
    }
    let mut message = FutureRecord::to(topic).key(&record.key).payload(&record.payload).headers(headers);
    loop {
        match producer.send_result(message) {
            Ok(acknowledgement) => return Ok(acknowledgement),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                message = back;
                tokio::time::sleep(QUEUE_FULL_DELAY).await;
            }
            Err((error, _)) => return Err(failed(&error, topic)),
        }
    }
}

/// A fatal error is one of this producer: the next publish gets another.
fn failed(error: &KafkaError, topic: &str) -> BusError {
    match error {
        KafkaError::MessageProduction(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => {
            BusError::Transient(format!("the Kafka producer failed while publishing to `{topic}`; publish again"))
        }
        error => refused(error, &format!("could not publish to `{topic}`")),
    }
}

fn create(client: &Client) -> Result<Producer, BusError> {
    client
        .settings()
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "zstd")
        .set("linger.ms", "5")
        // As the Java clients: a key finds its partition whoever produces.
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
        .set("queue.buffering.max.messages", QUEUE_RECORDS_MAX)
        .set(
            "queue.buffering.max.kbytes",
            (client.config.queue_bytes_max / 1024).max(1).to_string(),
        )
        // For ever: a record that gave up alone would be overtaken by its successors.
        .set("message.timeout.ms", "0")
        .create_with_context(client.complaint())
        .map_err(|error| refused(&error, "could not make a Kafka producer"))
}
