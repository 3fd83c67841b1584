//! Clusters that fail: one of three nodes is killed while records are published, and the only node goes away for a while. Each test
//! starts a cluster of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vigie_bus::Bus;
use vigie_domain::Topic;

use crate::cluster::Cluster;
use crate::conformance::{assert_in_order, collect, drain, eventually, lag_of, peer, record};
use crate::kafka::Kafka;

const KEYS: usize = 6;
const RECORDS_PER_KEY: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_node_loses_nothing() {
    // The cluster is this test's own, but whoever has no Kafka at hand can start none either.
    if peer("KAFKA_BROKERS").is_none() {
        return;
    }
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(&["--nodes", "3"]))
        .await
        .expect("the cluster starts");
    let brokers = cluster.offered("KAFKA_BROKERS");
    let cluster = Arc::new(cluster);
    let mut kafka = Kafka::new(&brokers);
    kafka.config.replication = 3;
    let bus = kafka.bus().await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let publishers: Vec<_> = (0..KEYS)
        .map(|key| {
            let (bus, acknowledged) = (Arc::clone(&bus), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for batch in (0..RECORDS_PER_KEY).collect::<Vec<_>>().chunks(5) {
                    let batch: Vec<_> = batch.iter().map(|number| record(&format!("key{key}"), *number)).collect();
                    while let Err(error) = bus.publish(Topic::Comments, batch.clone()).await {
                        assert!(error.is_transient(), "{error}");
                    }
                    acknowledged.fetch_add(batch.len(), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        })
        .collect();

    eventually("a third is published", || async {
        acknowledged.load(Ordering::Relaxed) > KEYS * RECORDS_PER_KEY / 3
    })
    .await;
    let killer = Arc::clone(&cluster);
    tokio::task::spawn_blocking(move || killer.run(&["kill-node", "2"]))
        .await
        .expect("killed");
    let at_the_kill = acknowledged.load(Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.expect("a publisher ends");
    }
    assert!(at_the_kill < KEYS * RECORDS_PER_KEY, "the node was killed after all was published");

    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let there = lag_of(bus.as_ref(), "workers", Topic::Comments).await;
    let received = collect(consumer.as_mut(), usize::try_from(there).expect("a count")).await;
    let counts = assert_in_order(&received);
    assert!(
        counts.len() == KEYS && counts.values().all(|count| *count == RECORDS_PER_KEY),
        "{counts:?}"
    );
    drop(consumer);
    // The group goes on with two nodes.
    drain(bus.as_ref(), "workers").await;
    bus.close().await.expect("close");
}

/// Nothing is lost or reordered by an outage, the consumer needs not join again, and every call says that it may work later.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_survived() {
    if peer("KAFKA_BROKERS").is_none() {
        return;
    }
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(&[]))
        .await
        .expect("the cluster starts");
    let brokers = cluster.offered("KAFKA_BROKERS");
    let cluster = Arc::new(cluster);
    let node = async |command: &'static str| {
        let cluster = Arc::clone(&cluster);
        tokio::task::spawn_blocking(move || cluster.run(&[command, "1"]))
            .await
            .expect("the script ran");
    };
    let mut kafka = Kafka::new(&brokers);
    kafka.config.publish_timeout = Duration::from_secs(1);
    let bus = kafka.bus().await;
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let batch = |from: usize| (from..from + 50).map(|number| record("key0", number)).collect::<Vec<_>>();
    bus.publish(Topic::Comments, batch(0)).await.expect("publish");
    let mut received = collect(consumer.as_mut(), 50).await;
    consumer.commit().await.expect("commit");

    node("kill-node").await;
    for _ in 0..2 {
        let error = bus.publish(Topic::Comments, batch(50)).await.expect_err("nobody is there");
        assert!(error.is_transient(), "{error}");
    }
    let error = bus.ping().await.expect_err("nobody is there");
    assert!(error.is_transient(), "{error}");
    let error = bus.lag("workers", &[Topic::Comments]).await.expect_err("nobody is there");
    assert!(error.is_transient(), "{error}");
    assert!(
        consumer
            .receive(10, Duration::from_millis(500))
            .await
            .expect("it goes on")
            .is_empty()
    );

    node("start-node").await;
    for from in [50, 100] {
        eventually("publishing works again", || async {
            bus.publish(Topic::Comments, batch(from)).await.is_ok()
        })
        .await;
    }
    while assert_in_order(&received)["key0"] < 150 {
        received.extend(collect(consumer.as_mut(), 1).await);
    }
    assert!(received.len() > 150, "what was published in vain came too, before its repetition");
    eventually("commits work again", || async { bus.ping().await.is_ok() }).await;
    consumer.commit().await.expect("commit");
    drop(consumer);
    bus.close().await.expect("close");
}
