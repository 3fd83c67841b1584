//! The Kafka bus.
//!
//! Delivery: at least once, in order per key. The producer is idempotent and waits for all in-sync replicas (acks=all); the key, a
//! comment id, chooses the partition. A record stays in the producer's queue until the brokers have it, so nothing overtakes it:
//! when they do not answer within `publish_timeout`, [`Bus::publish`] fails transiently, and the retry may duplicate the batch but
//! not reorder it. That queue is bounded in records and bytes; publishing waits while it is full.
//!
//! Groups are cooperative-sticky, so that a member that joins or leaves does not stop the others. A commit covers what `receive`
//! returned and no more. When a partition is revoked, what was to be committed of it is committed once more, and its records
//! that were fetched but not returned are dropped: they belong to another member now.
//!
//! Relies on no transactions, no automatic creation of topics, no offsets from delivery reports, and no compaction. Missing topics
//! are created when connecting, with the configured partitions and replicas; topics that exist are left as they are.
//!
//! Nothing here blocks the async runtime: calls of the client library that wait for a broker run on blocking threads.

mod admin;
mod client;
mod consumer;
mod errors;
mod lag;
mod past;
mod producer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::producer::Producer as _;
use tokio_util::task::TaskTracker;
use vigie_domain::Topic;

use self::client::Client;
use self::consumer::KafkaConsumer;
use self::errors::classified_response;
use self::lag::Lags;
pub use self::past::past;
use self::producer::Publisher;
use crate::{Bus, BusError, Consumer, Lag, Record, check_sizes};

const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long closing waits for members to leave their groups.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach Kafka, and how topics are made.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port,host:port`
    pub brokers: String,
    /// Put before every topic and group name.
    pub prefix: String,
    /// Partitions of a topic created here.
    pub partitions: i32,
    /// Replicas of a topic created here; from three on, a write needs two of them.
    pub replication: i32,
    /// How long a topic created here keeps its records.
    pub retention: Duration,
    /// Whether to use TLS.
    pub tls: bool,
    /// Certificates of the authority (PEM); absent: those of the system.
    pub ca_file: Option<PathBuf>,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub sasl_mechanism: Option<String>,
    /// SASL user.
    pub username: Option<String>,
    /// SASL password.
    pub password: Option<String>,
    /// How long connecting waits for the brokers and for new topics.
    pub connect_timeout: Duration,
    /// How long a publish waits for the brokers before it fails transiently.
    pub publish_timeout: Duration,
    /// A member that is silent for this long loses its partitions. After an outage that lasted longer, it takes as long again until
    /// the group goes on.
    pub session_timeout: Duration,
    /// Bytes that may wait in the producer.
    pub queue_bytes_max: usize,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            prefix: "vigie.".to_owned(),
            partitions: 6,
            replication: 1,
            retention: Duration::from_secs(30 * 86_400),
            tls: false,
            ca_file: None,
            sasl_mechanism: None,
            username: None,
            password: None,
            connect_timeout: Duration::from_secs(15),
            publish_timeout: Duration::from_secs(30),
            session_timeout: Duration::from_secs(20),
            queue_bytes_max: 64 << 20,
        }
    }
}

impl std::fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("tls", &self.tls)
            .field("sasl_mechanism", &self.sasl_mechanism)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

/// The Kafka bus.
pub struct KafkaBus {
    client: Client,
    publisher: Publisher,
    lags: Lags,
    /// Members that are leaving their groups.
    leaving: TaskTracker,
}

impl KafkaBus {
    /// Connects and creates the topics that are missing.
    ///
    /// # Errors
    /// Permanent: the configuration, the credentials or the rights are wrong. Transient: the brokers cannot be reached.
    pub async fn connect(config: KafkaConfig) -> Result<Arc<Self>, BusError> {
        let client = Client::new(config)?;
        let publisher = Publisher::new(&client)?;
        admin::ensure_topics(&client, &publisher).await?;
        Ok(Arc::new(Self {
            lags: Lags::default(),
            leaving: TaskTracker::new(),
            client,
            publisher,
        }))
    }
}

#[async_trait]
impl Bus for KafkaBus {
    async fn publish(&self, topic: Topic, batch: Vec<Record>) -> Result<(), BusError> {
        if batch.is_empty() {
            return Ok(());
        }
        check_sizes(&batch)?;
        self.publisher.publish(&self.client, topic, &batch).await
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Consumer>, BusError> {
        if group.is_empty() || topics.is_empty() {
            return Err(BusError::Permanent(
                "a subscription needs a group and at least one topic".to_owned(),
            ));
        }
        let consumer = KafkaConsumer::join(&self.client, group, topics, self.leaving.clone())?;
        Ok(Box::new(consumer))
    }

    async fn lag(&self, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError> {
        self.lags.of(&self.client, group, topics).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        let producer = self.publisher.producer(&self.client)?;
        let topic = self.client.topic(Topic::Comments);
        let answer = blocking(move || producer.client().fetch_metadata(Some(&topic), PING_TIMEOUT)).await?;
        let metadata = answer.map_err(|error| self.client.explain(&error, "the brokers do not answer"))?;
        match metadata.topics().first().and_then(rdkafka::metadata::MetadataTopic::error) {
            None => {
                self.client.complaint().clear();
                Ok(())
            }
            Some(error) => Err(classified_response(error, "a topic cannot be used")),
        }
    }

    async fn close(&self) -> Result<(), BusError> {
        self.leaving.close();
        if tokio::time::timeout(LEAVE_TIMEOUT, self.leaving.wait()).await.is_err() {
            tracing::warn!("a member did not leave its group in time; its partitions move when its session ends");
        }
        self.lags.close().await?;
        self.publisher.close(&self.client).await
    }
}

/// Runs what waits for a broker on a blocking thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BusError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| BusError::Transient(format!("a call to Kafka was cut short: {error}")))
}
