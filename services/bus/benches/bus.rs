//! Publish and receive, in records per second.
//!
//! What: batches of records of 1 KiB are published by one publisher and received and committed by one consumer; for `one` each
//! record is a batch of its own, for `concurrent` 64 publishers send single records at once. On the embedded bus, and on Kafka
//! where `KAFKA_BROKERS` names one (`tests/peers/kafka/run start` prints it).
//!
//! How: `cargo bench -p vigie-bus`, or `KAFKA_BROKERS=127.0.0.1:9092 cargo bench -p vigie-bus -- kafka`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use vigie_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use vigie_bus::kafka::{KafkaBus, KafkaConfig};
use vigie_bus::{Bus, Record};
use vigie_domain::Topic;

const PAYLOAD_BYTES: usize = 1024;

fn batch(records: usize) -> Vec<Record> {
    let record = |index: usize| Record {
        key: format!("comment-{}", index % 97),
        id: format!("{index}"),
        headers: Vec::new(),
        payload: (0..PAYLOAD_BYTES).map(|byte| b'a' + ((byte * 7 + index) % 26) as u8).collect(),
    };
    (0..records).map(record).collect()
}

async fn publish_and_receive(bus: &dyn Bus, consumer: &mut dyn vigie_bus::Consumer, records: Vec<Record>) {
    let mut left = records.len();
    bus.publish(Topic::Comments, records).await.expect("publish");
    while left > 0 {
        let received = consumer.receive(left, Duration::from_secs(10)).await.expect("receive");
        left -= black_box(received).len();
    }
    consumer.commit().await.expect("commit");
}

async fn publish_concurrently(bus: &Arc<dyn Bus>, publishers: usize) {
    let publishes = batch(publishers).into_iter().map(|record| {
        let bus = Arc::clone(bus);
        tokio::spawn(async move { bus.publish(Topic::Verdicts, vec![record]).await.expect("publish") })
    });
    for publish in publishes.collect::<Vec<_>>() {
        publish.await.expect("published");
    }
}

fn measure(criterion: &mut Criterion, runtime: &Runtime, name: &str, bus: &Arc<dyn Bus>) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    let mut consumer = runtime.block_on(bus.subscribe("bench", &[Topic::Comments])).expect("subscribe");
    for records in [1, 100, 1000] {
        group.throughput(Throughput::Elements(records as u64));
        group.bench_function(BenchmarkId::new("batch", records), |bencher| {
            bencher.iter_batched(
                || batch(records),
                |batch| runtime.block_on(publish_and_receive(bus.as_ref(), consumer.as_mut(), batch)),
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.throughput(Throughput::Elements(64));
    group.bench_function(BenchmarkId::new("concurrent", 64), |bencher| {
        bencher.iter(|| runtime.block_on(publish_concurrently(bus, 64)));
    });
    group.finish();
}

fn benchmark(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("bus.db");
    let embedded = runtime
        .block_on(EmbeddedBus::open(&path, EmbeddedOptions::default()))
        .expect("open");
    let embedded: Arc<dyn Bus> = embedded;
    measure(criterion, &runtime, "embedded", &embedded);
    if let Some(brokers) = std::env::var("KAFKA_BROKERS").ok().filter(|brokers| !brokers.is_empty()) {
        let config = KafkaConfig {
            brokers,
            prefix: format!("bench-{}.", hex::encode(rand::random::<[u8; 6]>())),
            ..KafkaConfig::default()
        };
        let kafka = runtime.block_on(KafkaBus::connect(config)).expect("connect");
        let kafka: Arc<dyn Bus> = kafka;
        measure(criterion, &runtime, "kafka", &kafka);
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
