//! The Kafka bus on a real Apache Kafka: the conformance suite, rebalances, and how topics are made.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use vigie_bus::kafka::{KafkaBus, KafkaConfig, past};
use vigie_bus::{Bus, Delivery, Past};
use vigie_domain::Topic;

use crate::conformance::{CASES, Fixture, PATIENCE, assert_in_order, collect, drain, eventually, peer, record, records};

/// A cluster, and a prefix of its own.
pub struct Kafka {
    pub config: KafkaConfig,
}

impl Kafka {
    pub fn new(brokers: &str) -> Self {
        let prefix = format!("test-{}.", hex::encode(rand::random::<[u8; 6]>()));
        Self {
            config: KafkaConfig {
                brokers: brokers.to_owned(),
                prefix,
                partitions: 6,
                ..KafkaConfig::default()
            },
        }
    }

    pub async fn bus(&self) -> Arc<KafkaBus> {
        KafkaBus::connect(self.config.clone()).await.expect("connecting to Kafka")
    }

    fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.config.prefix)
    }

    fn settings(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.config.brokers);
        settings
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.settings().create().expect("an administrative client")
    }

    pub async fn delete_topics(&self) {
        let names = Topic::ALL.map(|topic| self.topic(topic));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.admin()
            .delete_topics(&names, &AdminOptions::new())
            .await
            .expect("deleting the topics");
    }
}

#[async_trait]
impl Fixture for Kafka {
    async fn open(&self) -> Arc<dyn Bus> {
        self.bus().await
    }

    async fn past(&self, topic: Topic, since_ms: i64) -> Box<dyn Past> {
        past(self.config.clone(), topic, since_ms).await.expect("reading the topic")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let Some(brokers) = peer("KAFKA_BROKERS") else { return };
    for (name, case) in CASES {
        let fixture: &'static Kafka = Box::leak(Box::new(Kafka::new(&brokers)));
        let outcome = tokio::spawn(case(fixture)).await;
        fixture.delete_topics().await;
        assert!(outcome.is_ok(), "case `{name}` failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_as_configured_and_left_as_they_are() {
    let Some(brokers) = peer("KAFKA_BROKERS") else { return };
    let mut kafka = Kafka::new(&brokers);
    kafka.config.partitions = 4;
    kafka.config.retention = Duration::from_secs(3600);
    let narrow = kafka.topic(Topic::Decisions);
    let made = NewTopic::new(&narrow, 2, TopicReplication::Fixed(1)).set("retention.ms", "7200000");
    kafka
        .admin()
        .create_topics(&[made], &AdminOptions::new())
        .await
        .expect("creating a topic by hand");

    let bus = kafka.bus().await;
    // Connecting again finds them.
    let again = kafka.bus().await;
    let cases = [
        (Topic::Comments, 4, "3600000", "delete"),
        (Topic::Decisions, 2, "7200000", "delete"),
    ];
    for (topic, partitions, retention_ms, policy) in cases {
        let name = kafka.topic(topic);
        let admin = kafka.admin();
        let metadata = admin.inner().fetch_metadata(Some(&name), PATIENCE).expect("metadata");
        assert_eq!(metadata.topics()[0].partitions().len(), partitions, "{topic}");
        let described = admin
            .describe_configs(&[ResourceSpecifier::Topic(&name)], &AdminOptions::new())
            .await
            .expect("configuration");
        let described = described[0].as_ref().expect("configuration");
        let value = |key: &str| described.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
        assert_eq!(
            (value("retention.ms").as_str(), value("cleanup.policy").as_str()),
            (retention_ms, policy),
            "{topic}"
        );
    }
    bus.publish(Topic::Decisions, records(3, 30)).await.expect("publish");
    let mut consumer = again.subscribe("workers", &[Topic::Decisions]).await.expect("subscribe");
    assert_eq!(collect(consumer.as_mut(), 30).await.len(), 30);
    drop(consumer);
    kafka.delete_topics().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_or_made_says_why() {
    let Some(brokers) = peer("KAFKA_BROKERS") else { return };
    let mut nobody = Kafka::new("127.0.0.1:1");
    nobody.config.connect_timeout = Duration::from_secs(2);
    let error = KafkaBus::connect(nobody.config).await.err().expect("nobody listens");
    assert!(error.is_transient(), "{error}");

    let mut lonely = Kafka::new(&brokers);
    lonely.config.replication = 9;
    let error = KafkaBus::connect(lonely.config).await.err().expect("too few brokers");
    assert!(!error.is_transient() && error.to_string().contains("9 replicas"), "{error}");
}

/// Records of others have no id header, perhaps no key and no payload; they must come through, to be refused by the service.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_foreign_producers_come_through() {
    let Some(brokers) = peer("KAFKA_BROKERS") else { return };
    let kafka = Kafka::new(&brokers);
    let bus = kafka.bus().await;
    let foreign: FutureProducer = kafka.settings().create().expect("a producer");
    let name = kafka.topic(Topic::Comments);
    let plain = FutureRecord::<[u8], [u8]>::to(&name).payload(b"{}").key(&[0xff_u8, 0xfe]);
    foreign.send(plain, PATIENCE).await.expect("sent");
    foreign.send(FutureRecord::<[u8], [u8]>::to(&name), PATIENCE).await.expect("sent");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let received = collect(consumer.as_mut(), 2).await;
    assert!(received.iter().all(|delivery| delivery.record.id.is_empty()));
    let payloads: BTreeSet<_> = received.iter().map(|delivery| delivery.record.payload.as_slice()).collect();
    assert_eq!(payloads, BTreeSet::from([b"".as_slice(), b"{}".as_slice()]));
    drop(consumer);
    kafka.delete_topics().await;
}

/// What all members of a group handled, in the order in which they did.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<Vec<Delivery>>>);

impl Handled {
    fn add(&self, batch: Vec<Delivery>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
    }

    fn all(&self) -> Vec<Delivery> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn distinct(&self) -> usize {
        let ids: BTreeSet<String> = self.all().into_iter().map(|delivery| delivery.record.id).collect();
        ids.len()
    }
}

struct Member {
    stop: tokio_util::sync::CancellationToken,
    handled: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Member {
    fn start(bus: &Arc<KafkaBus>, handled: &Handled) -> Self {
        let stop = tokio_util::sync::CancellationToken::new();
        let count = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(work(Arc::clone(bus), handled.clone(), Arc::clone(&count), stop.clone()));
        Self {
            stop,
            handled: count,
            task,
        }
    }

    async fn leave(self) {
        self.stop.cancel();
        self.task.await.expect("a member ends");
    }
}

async fn work(bus: Arc<KafkaBus>, handled: Handled, count: Arc<AtomicUsize>, stop: tokio_util::sync::CancellationToken) {
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    while !stop.is_cancelled() {
        let received = tokio::select! {
            () = stop.cancelled() => break,
            received = consumer.receive(20, Duration::from_secs(1)) => received.expect("receive"),
        };
        count.fetch_add(received.len(), Ordering::Relaxed);
        handled.add(received);
        // During a rebalance a commit may be refused; the records then come again.
        if let Err(error) = consumer.commit().await {
            assert!(error.is_transient(), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_join_and_leave_while_records_flow() {
    const KEYS: usize = 40;
    let Some(brokers) = peer("KAFKA_BROKERS") else { return };
    let kafka = Kafka::new(&brokers);
    let bus = kafka.bus().await;
    let handled = Handled::default();
    let enough = tokio_util::sync::CancellationToken::new();
    // One record per key and round, until every member has had its share.
    let publisher = {
        let (bus, enough) = (Arc::clone(&bus), enough.clone());
        tokio::spawn(async move {
            let mut rounds = 0;
            while !enough.is_cancelled() {
                let batch = (0..KEYS).map(|key| record(&format!("key{key}"), rounds)).collect();
                bus.publish(Topic::Comments, batch).await.expect("publish");
                rounds += 1;
                tokio::time::sleep(Duration::from_millis(80)).await;
            }
            rounds
        })
    };
    let takes_part = async |member: &Member| {
        eventually("the member gets records", || async { member.handled.load(Ordering::Relaxed) > 0 }).await;
    };
    let first = Member::start(&bus, &handled);
    takes_part(&first).await;
    let second = Member::start(&bus, &handled);
    takes_part(&second).await;
    let third = Member::start(&bus, &handled);
    takes_part(&third).await;
    first.leave().await;
    let fourth = Member::start(&bus, &handled);
    takes_part(&fourth).await;
    second.leave().await;
    enough.cancel();
    let rounds = publisher.await.expect("the publisher ends");
    eventually("every record is handled", || async { handled.distinct() >= rounds * KEYS }).await;
    third.leave().await;
    fourth.leave().await;

    let all = handled.all();
    let counts = assert_in_order(&all);
    assert!(
        counts.len() == KEYS && counts.values().all(|count| *count == rounds),
        "{rounds} rounds: {counts:?}"
    );
    bus.close().await.expect("close");
    let bus = kafka.bus().await;
    drain(bus.as_ref(), "workers").await;
    kafka.delete_topics().await;
}

/// The producer's queue is bounded: far more than it holds goes through it, and its memory does not hold all of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_makes_publishers_wait() {
    let Some(brokers) = peer("KAFKA_BROKERS") else { return };
    let mut kafka = Kafka::new(&brokers);
    kafka.config.queue_bytes_max = 256 << 10;
    let bus = kafka.bus().await;
    let large = |number| {
        let payload: Vec<u8> = (0..50_000).map(|_| rand::random()).collect();
        vigie_bus::Record {
            payload,
            ..record("key0", number)
        }
    };
    bus.publish(Topic::Comments, (0..100).map(large).collect()).await.expect("publish");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    assert_eq!(assert_in_order(&collect(consumer.as_mut(), 100).await)["key0"], 100);
    drop(consumer);
    kafka.delete_topics().await;
}
