//! A member of a Kafka group.
//!
//! Delivery: at least once. `commit` sends the offsets of what `receive` returned, waits for the answer, and a revoked partition
//! is forgotten at once, so that a record is never committed by one who no longer owns it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::Offset;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use vigie_domain::Topic;

use super::blocking;
use super::client::{Client, log};
use super::errors::{code, is_permanent, refused};
use super::producer::ID_HEADER;
use crate::{BusError, Consumer, Delivery, RECEIVE_BYTES_MAX, Record};

/// A service that handles one batch for longer than this is taken for dead.
const HANDLE_TIMEOUT_MS: &str = "900000";
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

type Place = (Topic, i32);

/// A member of a group; it leaves when it is dropped.
pub(super) struct KafkaConsumer {
    client: Client,
    consumer: Option<Arc<StreamConsumer<Membership>>>,
    positions: Positions,
    leaving: TaskTracker,
}

/// Shared with the callback of rebalances.
#[derive(Clone, Default)]
struct Positions(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Fetched, not returned yet.
    pending: VecDeque<Delivery>,
    pending_bytes: usize,
    places: BTreeMap<Place, Offsets>,
}

/// Each is the offset of the next record.
#[derive(Debug, Clone, Copy, Default)]
struct Offsets {
    /// After what `receive` returned.
    received: i64,
    /// After what `commit` was asked to commit.
    asked: i64,
    /// After what the brokers acknowledged.
    committed: i64,
}

struct Membership {
    client: Client,
    positions: Positions,
}

impl KafkaConsumer {
    pub(super) fn join(client: &Client, group: &str, topics: &[Topic], leaving: TaskTracker) -> Result<Self, BusError> {
        let positions = Positions::default();
        let membership = Membership {
            client: client.clone(),
            positions: positions.clone(),
        };
        let consumer: StreamConsumer<Membership> = client
            .settings()
            .set("group.id", client.group(group))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", client.config.session_timeout.as_millis().to_string())
            .set("max.poll.interval.ms", HANDLE_TIMEOUT_MS)
            .set("check.crcs", "true")
            // What is fetched ahead counts against the memory of the process.
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.queue.backoff.ms", "50")
            .set("fetch.error.backoff.ms", "100")
            .create_with_context(membership)
            .map_err(|error| refused(&error, "could not make a Kafka consumer"))?;
        let names: Vec<String> = topics.iter().map(|topic| client.topic(*topic)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        consumer
            .subscribe(&names)
            .map_err(|error| refused(&error, &format!("could not join group `{group}`")))?;
        Ok(Self {
            client: client.clone(),
            consumer: Some(Arc::new(consumer)),
            positions,
            leaving,
        })
    }

    /// Moves what the library has into `pending`; waits for the first until `deadline`.
    async fn fetch(&self, consumer: &StreamConsumer<Membership>, records_max: usize, deadline: Instant) -> Result<(), BusError> {
        loop {
            let (records, bytes) = self.positions.pending();
            let message = if records == 0 {
                match tokio::time::timeout_at(deadline, consumer.recv()).await {
                    Ok(message) => message,
                    Err(_) => return Ok(()),
                }
            } else if records < records_max && bytes < RECEIVE_BYTES_MAX {
                match consumer.recv().now_or_never() {
                    Some(message) => message,
                    None => return Ok(()),
                }
            } else {
                return Ok(());
            };
            match message {
                Ok(message) => {
                    if let Some(delivery) = delivery(&self.client, &message) {
                        self.positions.push(delivery);
                    }
                }
                Err(error) => {
                    survive(&error)?;
                    if Instant::now() >= deadline {
                        return Ok(());
                    }
                }
            }
        }
    }
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn receive(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Delivery>, BusError> {
        let Some(consumer) = self.consumer.clone() else {
            return Ok(Vec::new());
        };
        self.fetch(&consumer, records_max, Instant::now() + wait).await?;
        Ok(self.positions.take(records_max))
    }

    async fn commit(&mut self) -> Result<(), BusError> {
        let Some(consumer) = self.consumer.clone() else { return Ok(()) };
        let asked = self.positions.ask();
        if asked.is_empty() {
            return Ok(());
        }
        let list = list(&self.client, &asked)?;
        let commit = blocking(move || consumer.commit(&list, CommitMode::Sync));
        let outcome = tokio::time::timeout(COMMIT_TIMEOUT, commit)
            .await
            .map_err(|_| BusError::Transient("the brokers did not answer a commit in time".to_owned()))??;
        match outcome {
            Ok(()) => {
                self.positions.acknowledge(&asked);
                Ok(())
            }
            Err(error) => Err(refused(&error, "could not commit")),
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        let consumer = self.consumer.take();
        let token = self.leaving.token();
        // Leaving a group waits for its coordinator.
        std::thread::spawn(move || {
            drop(consumer);
            drop(token);
        });
    }
}

impl Positions {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records and bytes wait.
    fn pending(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.pending.len(), inner.pending_bytes)
    }

    fn push(&self, delivery: Delivery) {
        let mut inner = self.lock();
        inner.pending_bytes += delivery.record.bytes();
        inner.pending.push_back(delivery);
    }

    /// Hands records out, and notes that they were.
    fn take(&self, records_max: usize) -> Vec<Delivery> {
        let mut inner = self.lock();
        let count = inner.pending.len().min(records_max);
        let batch: Vec<Delivery> = inner.pending.drain(..count).collect();
        inner.recount();
        for delivery in &batch {
            let place = (delivery.topic, delivery.partition);
            inner.places.entry(place).or_default().received = delivery.offset + 1;
        }
        batch
    }

    /// What is to be committed now.
    fn ask(&self) -> Vec<(Place, i64)> {
        let mut asked = Vec::new();
        for (place, offsets) in &mut self.lock().places {
            offsets.asked = offsets.received;
            if offsets.asked != offsets.committed {
                asked.push((*place, offsets.asked));
            }
        }
        asked
    }

    fn acknowledge(&self, committed: &[(Place, i64)]) {
        let mut inner = self.lock();
        for (place, offset) in committed {
            if let Some(offsets) = inner.places.get_mut(place) {
                offsets.committed = *offset;
            }
        }
    }

    /// Forgets places that belong to another member now; returns what was asked for and not acknowledged.
    fn revoke(&self, places: &[Place]) -> Vec<(Place, i64)> {
        let mut inner = self.lock();
        inner
            .pending
            .retain(|delivery| !places.contains(&(delivery.topic, delivery.partition)));
        inner.recount();
        let mut open = Vec::new();
        for place in places {
            if let Some(offsets) = inner.places.remove(place)
                && offsets.asked > offsets.committed
            {
                open.push((*place, offsets.asked));
            }
        }
        open
    }
}

impl Inner {
    fn recount(&mut self) {
        self.pending_bytes = self.pending.iter().map(|delivery| delivery.record.bytes()).sum();
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.complaint().error(error, reason);
    }
}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(partitions) = rebalance else { return };
        let place = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            Some((self.client.topic_of(element.topic())?, element.partition()))
        };
        let places: Vec<Place> = partitions.elements().iter().filter_map(place).collect();
        let open = self.positions.revoke(&places);
        if open.is_empty() || consumer.assignment_lost() {
            return;
        }
        // Not waited for, since this runs inside `receive`; it leaves before the answer to the rebalance does.
        let sent = list(&self.client, &open).map(|list| consumer.commit(&list, CommitMode::Async));
        if let Err(error) | Ok(Err(error)) = sent.map(|sent| sent.map_err(|error| refused(&error, "could not commit"))) {
            tracing::debug!(%error, "a revoked partition will be read again by its next owner");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "a commit was refused; its records will be delivered again");
        }
    }
}

/// None for a topic that is not of this prefix.
pub(super) fn delivery(client: &Client, message: &BorrowedMessage<'_>) -> Option<Delivery> {
    let topic = client.topic_of(message.topic())?;
    let mut id = None;
    let mut headers = Vec::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        let value = header.value.unwrap_or_default();
        if id.is_none() && header.key == ID_HEADER {
            id = Some(String::from_utf8_lossy(value).into_owned());
        } else {
            headers.push((header.key.to_owned(), value.to_vec()));
        }
    }
    Some(Delivery {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
        record: Record {
            key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
            id: id.unwrap_or_default(),
            headers,
            payload: message.payload().unwrap_or_default().to_vec(),
        },
    })
}

fn list(client: &Client, offsets: &[(Place, i64)]) -> Result<TopicPartitionList, BusError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(&client.topic(*topic), *partition, Offset::Offset(*offset))
            .map_err(|error| refused(&error, "could not commit"))?;
    }
    Ok(list)
}

/// Most of what the library reports while it receives it also repairs: it reconnects, finds the new coordinator, joins again.
pub(super) fn survive(error: &KafkaError) -> Result<(), BusError> {
    let doing = "could not receive";
    match (error, code(error)) {
        (KafkaError::MessageConsumptionFatal(code), _) => {
            Err(BusError::Transient(format!("{doing}: {code}; the member has to join again")))
        }
        (_, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition)) => {
            Err(BusError::Transient(format!("{doing}: {error}; was a topic deleted?")))
        }
        (_, Some(code)) if is_permanent(code) => Err(refused(error, doing)),
        _ => {
            tracing::debug!(%error, "receiving goes on after an error");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(partition: i32, offset: i64) -> Delivery {
        Delivery {
            topic: Topic::Comments,
            partition,
            offset,
            timestamp_ms: 0,
            record: Record {
                key: "k".to_owned(),
                id: "i".to_owned(),
                headers: Vec::new(),
                payload: vec![0; 10],
            },
        }
    }

    /// Partitions 0 and 1 with records 0 to 3 each; the first six of the eight are returned.
    fn positions() -> Positions {
        let positions = Positions::default();
        for offset in 0..4 {
            for partition in 0..2 {
                positions.push(delivery(partition, offset));
            }
        }
        assert_eq!(positions.take(6).len(), 6);
        positions
    }

    const FIRST: Place = (Topic::Comments, 0);
    const SECOND: Place = (Topic::Comments, 1);

    #[test]
    fn only_what_was_returned_is_committed() {
        let positions = positions();
        let asked = positions.ask();
        assert_eq!(asked, [(FIRST, 3), (SECOND, 3)]);
        positions.acknowledge(&asked);
        assert_eq!(positions.ask(), []);
        assert_eq!(positions.take(1)[0].offset, 3);
        assert_eq!(positions.ask(), [(FIRST, 4)]);
    }

    #[test]
    fn a_revoked_partition_is_forgotten() {
        let positions = positions();
        assert_eq!(positions.pending(), (2, 24));
        assert_eq!(positions.revoke(&[FIRST]), [], "nobody asked for a commit");
        assert_eq!(positions.pending(), (1, 12));
        let rest = positions.take(10);
        assert!(rest.len() == 1 && rest[0].partition == 1);
        assert_eq!(positions.ask(), [(SECOND, 4)], "what belongs to another is not committed");
    }

    #[test]
    fn a_commit_without_answer_is_repeated_when_its_partition_goes() {
        let positions = positions();
        let asked = positions.ask();
        positions.acknowledge(&asked[..1]);
        assert_eq!(positions.revoke(&[FIRST, SECOND]), [(SECOND, 3)]);
    }
}
