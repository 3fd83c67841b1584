//! Creates the topics that are missing, and warns where one that exists is too narrow.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;
use tokio::time::Instant;
use vigie_domain::Topic;

use super::blocking;
use super::client::{Client, Complaint};
use super::errors::{classified, refused};
use super::producer::{MESSAGE_BYTES_MAX, Publisher};
use crate::BusError;

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Creates what is missing of the five topics and waits until each has a leader.
pub(super) async fn ensure_topics(client: &Client, publisher: &Publisher) -> Result<(), BusError> {
    let deadline = Instant::now() + client.config.connect_timeout;
    let present = topics_with_leaders(client, publisher).await?;
    let names: Vec<String> = Topic::ALL.iter().map(|topic| client.topic(*topic)).collect();
    let (existing, missing): (Vec<String>, Vec<String>) = names.iter().cloned().partition(|name| present.contains_key(name));
    let admin: AdminClient<Complaint> = client
        .settings()
        .create_with_context(client.complaint())
        .map_err(|error| refused(&error, "could not make an administrative client"))?;
    let outcome = async {
        create(client, &admin, &missing).await?;
        warn_of_narrow(&admin, &existing).await;
        Ok(())
    }
    .await;
    // Dropping it waits for its thread.
    blocking(move || drop(admin)).await?;
    outcome?;
    loop {
        let present = topics_with_leaders(client, publisher).await?;
        if names.iter().all(|name| present.get(name).copied().unwrap_or(false)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(BusError::Transient(
                "new topics have no leader yet; are enough brokers alive?".to_owned(),
            ));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The topics of the cluster, and whether every partition of each has a leader. Asks for all: asking for one by name may create it.
async fn topics_with_leaders(client: &Client, publisher: &Publisher) -> Result<BTreeMap<String, bool>, BusError> {
    let producer = publisher.producer(client)?;
    let timeout = client.config.connect_timeout;
    let answer = blocking(move || producer.client().fetch_metadata(None, timeout)).await?;
    let metadata = answer.map_err(|error| client.explain(&error, "the brokers do not answer"))?;
    let topic = |topic: &rdkafka::metadata::MetadataTopic| {
        let led = topic.partitions().iter().all(|partition| partition.leader() >= 0);
        (topic.name().to_owned(), topic.error().is_none() && led)
    };
    Ok(metadata.topics().iter().map(topic).collect())
}

async fn create(client: &Client, admin: &AdminClient<Complaint>, missing: &[String]) -> Result<(), BusError> {
    if missing.is_empty() {
        return Ok(());
    }
    let config = &client.config;
    let retention_ms = config.retention.as_millis().to_string();
    let message_bytes_max = MESSAGE_BYTES_MAX.to_string();
    let in_sync = if config.replication >= 3 { "2" } else { "1" };
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|name| {
            NewTopic::new(name, config.partitions, TopicReplication::Fixed(config.replication))
                .set("cleanup.policy", "delete")
                .set("retention.ms", &retention_ms)
                .set("max.message.bytes", &message_bytes_max)
                .set("min.insync.replicas", in_sync)
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(config.connect_timeout))
        .operation_timeout(Some(config.connect_timeout));
    let results = admin
        .create_topics(&topics, &options)
        .await
        .map_err(|error| client.explain(&error, "could not create topics"))?;
    for result in results {
        match result {
            Ok(name) => tracing::info!(topic = name, "created topic `{name}`"),
            // Another process was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                let doing = format!(
                    "could not create topic `{name}` with {} partitions and {} replicas",
                    config.partitions, config.replication
                );
                return Err(classified(code, &doing));
            }
        }
    }
    Ok(())
}

/// A topic made by others may be too narrow for the largest records. Not being allowed to look is no error.
async fn warn_of_narrow(admin: &AdminClient<Complaint>, existing: &[String]) {
    if existing.is_empty() {
        return;
    }
    let resources: Vec<ResourceSpecifier<'_>> = existing.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let Ok(described) = admin.describe_configs(&resources, &AdminOptions::new()).await else {
        return;
    };
    for (name, resource) in existing.iter().zip(described) {
        let Ok(resource) = resource else { continue };
        let value = resource.get("max.message.bytes").and_then(|entry| entry.value.clone());
        let Some(bytes) = value.and_then(|value| value.parse::<usize>().ok()) else {
            continue;
        };
        if bytes < MESSAGE_BYTES_MAX {
            tracing::warn!(
                topic = name,
                "topic `{name}` accepts records of {bytes} bytes only; set its max.message.bytes to {MESSAGE_BYTES_MAX}"
            );
        }
    }
}
