//! The port `Bus` and its adapters: Kafka and embedded.
//!
//! Delivery: at least once, in order per key. A record is acknowledged by [`Bus::publish`] only when it is durable (fsync of the
//! embedded log, acks=all on Kafka). Every record has a deterministic id, and every consumer is idempotent by it.

use std::time::Duration;

use async_trait::async_trait;
use vigie_domain::Topic;

/// The largest payload accepted, in bytes: a record of 1 MiB of text with room for its JSON escapes and envelope.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// A record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Partition key: the comment id.
    pub key: String,
    /// Deterministic record id, carried in the header `id`.
    pub id: String,
    /// Other headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The JSON bytes.
    pub payload: Vec<u8>,
}

/// A record received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Topic, without prefix.
    pub topic: Topic,
    /// Partition (always 0 on the embedded bus).
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// Milliseconds since the epoch, by the clock of the publisher or the log.
    pub timestamp_ms: i64,
    /// The record. `id` is empty where a foreign producer sent no header `id`.
    pub record: Record,
}

/// How far a group is behind on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Consumer group.
    pub group: String,
    /// Topic.
    pub topic: Topic,
    /// Records not committed yet.
    pub records: u64,
}

/// Why the bus refused.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// May work later: retry with back-off.
    #[error("the bus is unavailable: {0}")]
    Transient(String),
    /// Will never work: dead letters, or stop.
    #[error("the bus refused: {0}")]
    Permanent(String),
}

impl BusError {
    /// Whether a retry can help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

/// The port.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes a batch, in order; on success every record is durable. On an error any prefix may be durable: publish again,
    /// consumers are idempotent.
    async fn publish(&self, topic: Topic, batch: Vec<Record>) -> Result<(), BusError>;

    /// Joins `group` on `topics`, at the committed offsets, or at the beginning.
    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Consumer>, BusError>;

    /// The lag of every group of `groups` on its topics.
    async fn lag(&self, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError>;

    /// Whether the bus answers; for /readyz.
    async fn ping(&self) -> Result<(), BusError>;

    /// Waits until what was accepted is flushed and closes.
    async fn close(&self) -> Result<(), BusError>;
}

/// A member of a group.
#[async_trait]
pub trait Consumer: Send {
    /// Up to `records_max` records, waiting at most `wait` for the first; empty when there are none.
    async fn receive(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Delivery>, BusError>;

    /// Commits everything received so far.
    async fn commit(&mut self) -> Result<(), BusError>;
}
