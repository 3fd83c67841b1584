//! Lag: the distance between what a group committed and the end of each partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use vigie_domain::Topic;

use super::blocking;
use super::client::{Client, Complaint};
use super::errors::{classified_response, refused};
use crate::{BusError, Lag};

const TIMEOUT: Duration = Duration::from_secs(10);

type Asker = Arc<BaseConsumer<Complaint>>;

/// One client per group: an offset is asked for in the name of its group. They never join it.
#[derive(Default)]
pub(super) struct Lags {
    askers: Mutex<BTreeMap<String, Asker>>,
}

impl Lags {
    pub(super) async fn of(&self, client: &Client, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError> {
        let asker = self.asker(client, group)?;
        let names: Vec<String> = topics.iter().map(|topic| client.topic(*topic)).collect();
        let counts = blocking(move || names.iter().map(|name| records_behind(&asker, name)).collect::<Vec<_>>()).await?;
        let lag = |(topic, records): (&Topic, Result<u64, BusError>)| {
            Ok(Lag {
                group: group.to_owned(),
                topic: *topic,
                records: records?,
            })
        };
        topics.iter().zip(counts).map(lag).collect()
    }

    fn asker(&self, client: &Client, group: &str) -> Result<Asker, BusError> {
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asker) = askers.get(group) {
            return Ok(Arc::clone(asker));
        }
        let asker: BaseConsumer<Complaint> = client
            .settings()
            .set("group.id", client.group(group))
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false")
            .create_with_context(client.complaint())
            .map_err(|error| refused(&error, "could not make a Kafka client for the lag"))?;
        let asker = Arc::new(asker);
        askers.insert(group.to_owned(), Arc::clone(&asker));
        Ok(asker)
    }

    pub(super) async fn close(&self) -> Result<(), BusError> {
        let askers = std::mem::take(&mut *self.askers.lock().unwrap_or_else(PoisonError::into_inner));
        blocking(move || drop(askers)).await
    }
}

impl Drop for Lags {
    fn drop(&mut self) {
        let askers = std::mem::take(&mut *self.askers.lock().unwrap_or_else(PoisonError::into_inner));
        if !askers.is_empty() {
            // Dropping a client waits for its threads.
            std::thread::spawn(move || drop(askers));
        }
    }
}

/// Waits for brokers: to be called on a blocking thread.
fn records_behind(asker: &BaseConsumer<Complaint>, topic: &str) -> Result<u64, BusError> {
    let failed = |error: KafkaError| refused(&error, &format!("could not ask for the lag on `{topic}`"));
    let metadata = asker.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
    let mut partitions = TopicPartitionList::new();
    for found in metadata.topics() {
        if let Some(error) = found.error() {
            return Err(classified_response(error, &format!("could not ask for the lag on `{topic}`")));
        }
        for partition in found.partitions() {
            partitions.add_partition(topic, partition.id());
        }
    }
    let committed = asker.committed_offsets(partitions, TIMEOUT).map_err(failed)?;
    let mut records = 0;
    for partition in committed.elements() {
        let (low, high) = asker.fetch_watermarks(topic, partition.partition(), TIMEOUT).map_err(failed)?;
        let next = match partition.offset() {
            Offset::Offset(offset) => offset.max(low),
            _ => low,
        };
        records += u64::try_from(high - next).unwrap_or(0);
    }
    Ok(records)
}
