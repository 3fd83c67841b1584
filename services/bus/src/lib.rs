//! The port `Bus` and its adapters: Kafka and embedded.
//!
//! Delivery: at least once, in order per key. A record is acknowledged by [`Bus::publish`] only when it is durable (fsync of the
//! embedded log, acks=all on Kafka). Every record has a deterministic id, and every consumer is idempotent by it.
//!
//! [`embedded`] is the default, for one machine; [`kafka`] is for many. Both pass the same conformance suite (`tests/`), and
//! [`faults`] wraps either to prove that the retries of a consumer lose nothing.

pub mod embedded;
pub mod faults;
pub mod kafka;

use std::time::Duration;

use async_trait::async_trait;
use vigie_domain::Topic;

/// The largest payload accepted, in bytes: a record of 1 MiB of text with room for its JSON escapes and envelope.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// The largest key, id and headers accepted together, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 << 10;

/// Where a batch from [`Consumer::receive`] ends early, in bytes; it always holds at least one record.
pub const RECEIVE_BYTES_MAX: usize = 16 << 20;

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

impl Record {
    /// Bytes of the key, the id and the headers.
    #[must_use]
    pub fn envelope_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.id.len() + headers
    }

    /// Bytes of all of it, as the adapters count them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.envelope_bytes() + self.payload.len()
    }
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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

/// Refuses a batch with a record above the limits, before any of it is sent.
fn check_sizes(batch: &[Record]) -> Result<(), BusError> {
    for record in batch {
        if record.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(BusError::Permanent(format!(
                "record `{}` has {} bytes of payload, above the limit of {PAYLOAD_BYTES_MAX}",
                record.id,
                record.payload.len()
            )));
        }
        if record.envelope_bytes() > ENVELOPE_BYTES_MAX {
            return Err(BusError::Permanent(format!(
                "a record has {} bytes of key, id and headers, above the limit of {ENVELOPE_BYTES_MAX}",
                record.envelope_bytes()
            )));
        }
    }
    Ok(())
}

/// The port.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes a batch, in order; on success every record is durable. On an error any prefix may be durable: publish again,
    /// consumers are idempotent. A record above [`PAYLOAD_BYTES_MAX`] is refused permanently, with its whole batch.
    async fn publish(&self, topic: Topic, batch: Vec<Record>) -> Result<(), BusError>;

    /// Joins `group` on `topics`, at the committed offsets, or at the beginning. The members of a group share the records; a
    /// member leaves when it is dropped.
    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Consumer>, BusError>;

    /// How far `group` is behind on each of `topics`.
    async fn lag(&self, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError>;

    /// Whether the bus answers; for /readyz.
    async fn ping(&self) -> Result<(), BusError>;

    /// Waits until what was accepted is flushed and closes.
    async fn close(&self) -> Result<(), BusError>;
}

/// The past of one topic, for a person who asks: what was published from a time on, up to the end as it was when opened, in order per
/// key. It joins no group and commits nothing, so that nobody waits for it and nothing is kept back for it: what the retention drops
/// meanwhile is not seen. Opened by [`embedded::past`] and [`kafka::past`].
#[async_trait]
pub trait Past: Send {
    /// How many records there were to read, at most.
    fn records(&self) -> u64;

    /// Up to `records_max` records, and no more once [`RECEIVE_BYTES_MAX`] is reached; empty at the end only.
    async fn read(&mut self, records_max: usize) -> Result<Vec<Delivery>, BusError>;
}

/// A member of a group.
#[async_trait]
pub trait Consumer: Send {
    /// Up to `records_max` records, waiting at most `wait` for the first; empty when there are none. Dropping the future loses
    /// nothing. After an error, drop the consumer and subscribe again.
    async fn receive(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Delivery>, BusError>;

    /// Commits everything received so far and still assigned to this member.
    async fn commit(&mut self) -> Result<(), BusError>;
}
