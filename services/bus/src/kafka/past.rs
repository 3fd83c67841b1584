//! The past of a topic on Kafka: its partitions are assigned by hand, from the offset of a time to the end as it was when opened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;
use vigie_domain::Topic;

use super::client::{Client, Complaint};
use super::consumer::{delivery, survive};
use super::errors::{classified_response, refused};
use super::{KafkaConfig, blocking};
use crate::{BusError, Delivery, Past, RECEIVE_BYTES_MAX};

const TIMEOUT: Duration = Duration::from_secs(15);
/// How long nothing may come although there is more.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

type Reader = Arc<BaseConsumer<Complaint>>;

struct KafkaPast {
    client: Client,
    reader: Reader,
    topic: Topic,
    /// The end of each partition that is not read to its end.
    ends: BTreeMap<i32, i64>,
    records: u64,
}

/// The records of `topic` that were published from `since_ms` (milliseconds since the epoch) on.
///
/// # Errors
/// Permanent: the configuration, the credentials or the rights are wrong. Transient: the brokers do not answer, or the topic is not
/// there.
pub async fn past(config: KafkaConfig, topic: Topic, since_ms: i64) -> Result<Box<dyn Past>, BusError> {
    let client = Client::new(config)?;
    // The name is for the brokers' logs and rights: nothing joins it.
    let group = client.group("past");
    let reader: BaseConsumer<Complaint> = client
        .settings()
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("queued.max.messages.kbytes", "16384")
        .create_with_context(client.complaint())
        .map_err(|error| refused(&error, "could not make a Kafka client"))?;
    let reader = Arc::new(reader);
    let (asked, name) = (Arc::clone(&reader), client.topic(topic));
    let assigned = blocking(move || assign(&asked, &name, since_ms)).await?;
    let spans = assigned.map_err(|error| client.complaint().explain(error))?;
    Ok(Box::new(KafkaPast {
        reader,
        topic,
        records: spans.values().map(|(from, end)| u64::try_from(end - from).unwrap_or(0)).sum(),
        ends: spans.into_iter().map(|(partition, (_, end))| (partition, end)).collect(),
        client,
    }))
}

/// Assigns the partitions that have records since then, and gives the first and the end of each. Waits for brokers.
fn assign(reader: &BaseConsumer<Complaint>, topic: &str, since_ms: i64) -> Result<BTreeMap<i32, (i64, i64)>, BusError> {
    let doing = format!("could not read the past of `{topic}`");
    let failed = |error: KafkaError| refused(&error, &doing);
    let metadata = reader.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
    let mut times = TopicPartitionList::new();
    for found in metadata.topics() {
        if let Some(error) = found.error() {
            return Err(classified_response(error, &doing));
        }
        for partition in found.partitions() {
            times
                .add_partition_offset(topic, partition.id(), Offset::Offset(since_ms.max(0)))
                .map_err(failed)?;
        }
    }
    let firsts = reader.offsets_for_times(times, TIMEOUT).map_err(failed)?;
    let mut spans = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for first in firsts.elements() {
        // Without a record since then the answer is the end.
        let Offset::Offset(from) = first.offset() else { continue };
        let (_, end) = reader.fetch_watermarks(topic, first.partition(), TIMEOUT).map_err(failed)?;
        if from < end {
            assignment
                .add_partition_offset(topic, first.partition(), Offset::Offset(from))
                .map_err(failed)?;
            spans.insert(first.partition(), (from, end));
        }
    }
    reader.assign(&assignment).map_err(failed)?;
    Ok(spans)
}

#[async_trait]
impl Past for KafkaPast {
    fn records(&self) -> u64 {
        self.records
    }

    async fn read(&mut self, records_max: usize) -> Result<Vec<Delivery>, BusError> {
        if self.ends.is_empty() {
            return Ok(Vec::new());
        }
        let (client, reader, topic, ends) = (self.client.clone(), Arc::clone(&self.reader), self.topic, self.ends.clone());
        let (batch, ends) = blocking(move || receive(&client, &reader, topic, ends, records_max)).await??;
        self.ends = ends;
        Ok(batch)
    }
}

impl Drop for KafkaPast {
    fn drop(&mut self) {
        let reader = Arc::clone(&self.reader);
        // Dropping a client waits for its threads.
        std::thread::spawn(move || drop(reader));
    }
}

/// A batch, and the ends that are still ahead. Waits for brokers.
fn receive(
    client: &Client,
    reader: &BaseConsumer<Complaint>,
    topic: Topic,
    mut ends: BTreeMap<i32, i64>,
    records_max: usize,
) -> Result<(Vec<Delivery>, BTreeMap<i32, i64>), BusError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let silence = Instant::now() + SILENCE_MAX;
    while !ends.is_empty() && batch.len() < records_max && bytes < RECEIVE_BYTES_MAX {
        if batch.is_empty() && Instant::now() >= silence {
            let text = format!(
                "the brokers hold more of `{topic}` and did not deliver it in {} s",
                SILENCE_MAX.as_secs()
            );
            return Err(client.complaint().explain(BusError::Transient(text)));
        }
        match reader.poll(POLL) {
            None if !batch.is_empty() => break,
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ends.remove(&partition);
            }
            Some(Err(error)) => survive(&error)?,
            Some(Ok(message)) => {
                let Some(end) = ends.get(&message.partition()).copied() else {
                    continue;
                };
                if message.offset() + 1 >= end {
                    ends.remove(&message.partition());
                }
                if message.offset() < end
                    && let Some(delivery) = delivery(client, &message)
                {
                    bytes += delivery.record.bytes();
                    batch.push(delivery);
                }
            }
        }
    }
    Ok((batch, ends))
}
