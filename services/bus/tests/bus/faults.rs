//! The fault-injecting decorator: a small service with the retries that every service has loses nothing under it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::conformance::{PATIENCE, assert_in_order, collect, records};
use tokio::time::Instant;
use vigie_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use vigie_bus::faults::{Faults, FaultyBus};
use vigie_bus::{Bus, BusError, Record};
use vigie_domain::Topic;

const RECORDS: usize = 600;

/// Publishes until it succeeds.
async fn publish(bus: &dyn Bus, topic: Topic, batch: &[Record]) {
    while let Err(error) = bus.publish(topic, batch.to_vec()).await {
        assert!(error.is_transient(), "{error}");
    }
}

/// Reads, decides, publishes, commits; after an error it joins again. Ends when it has seen every record.
async fn relay(bus: &dyn Bus, records_expected: usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = BTreeMap::new();
    'joined: while seen.len() < records_expected {
        let Ok(mut consumer) = bus.subscribe("relay", &[Topic::Comments]).await else {
            continue;
        };
        while seen.len() < records_expected {
            assert!(Instant::now() < deadline, "{} of {records_expected} records", seen.len());
            let batch = match consumer.receive(7, Duration::from_millis(50)).await {
                Ok(batch) => batch,
                Err(error) if error.is_transient() => continue 'joined,
                Err(error) => panic!("{error}"),
            };
            let results: Vec<Record> = batch.iter().map(|delivery| delivery.record.clone()).collect();
            publish(bus, Topic::Verdicts, &results).await;
            for delivery in batch {
                *seen.entry(delivery.record.id).or_insert(0) += 1;
            }
            let outcome = consumer.commit().await;
            assert!(outcome.as_ref().err().is_none_or(BusError::is_transient), "{outcome:?}");
        }
    }
    assert!(
        seen.values().any(|times| *times > 1),
        "no record came twice, so redelivery was not tested"
    );
}

#[tokio::test]
async fn retries_lose_nothing() {
    for seed in 1..=5 {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("bus.db");
        let inner = EmbeddedBus::open(&path, EmbeddedOptions::default()).await.expect("open");
        let faulty = FaultyBus::new(inner.clone(), Faults { seed, ..Faults::default() });
        for batch in records(6, RECORDS).chunks(20) {
            publish(faulty.as_ref(), Topic::Comments, batch).await;
        }
        relay(faulty.as_ref(), RECORDS).await;

        let injected = faulty.injected();
        let counts = [
            injected.failed_before,
            injected.failed_after,
            injected.commits_lost,
            injected.duplicated,
            injected.delayed,
        ];
        assert!(counts.iter().all(|count| *count > 0), "some fault never happened: {injected:?}");

        let published = inner.lag("reader", &[Topic::Verdicts]).await.expect("lag")[0].records;
        let mut reader = inner.subscribe("reader", &[Topic::Verdicts]).await.expect("subscribe");
        let results = collect(reader.as_mut(), usize::try_from(published).expect("a count")).await;
        let counts = assert_in_order(&results);
        assert!(
            counts.len() == 6 && counts.values().all(|count| *count == RECORDS / 6),
            "seed {seed}: {counts:?}"
        );
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults() {
    let mut histories = Vec::new();
    for seed in [7, 7, 8] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let inner = EmbeddedBus::open(&dir.path().join("bus.db"), EmbeddedOptions::default())
            .await
            .expect("open");
        let faulty: Arc<dyn Bus> = FaultyBus::new(inner, Faults { seed, ..Faults::default() });
        let mut history = Vec::new();
        for batch in records(1, 100).chunks(1) {
            history.push(
                faulty
                    .publish(Topic::Comments, batch.to_vec())
                    .await
                    .map_err(|error| error.to_string()),
            );
        }
        histories.push(history);
    }
    assert_eq!(histories[0], histories[1]);
    assert_ne!(histories[0], histories[2]);
}

/// The decorator must catch a consumer that goes on after an error instead of joining again.
#[tokio::test]
async fn a_consumer_that_ignores_errors_is_caught() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let inner = EmbeddedBus::open(&dir.path().join("bus.db"), EmbeddedOptions::default())
        .await
        .expect("open");
    inner.publish(Topic::Comments, records(1, 200)).await.expect("publish");
    let faulty = FaultyBus::new(
        inner.clone(),
        Faults {
            seed: 3,
            fail_before: 0.0,
            fail_after: 0.3,
            duplicate: 0.0,
            ..Faults::default()
        },
    );
    let mut consumer = faulty.subscribe("careless", &[Topic::Comments]).await.expect("subscribe");
    let mut seen = 0;
    for _ in 0..200 {
        seen += consumer.receive(1, Duration::from_millis(1)).await.map_or(0, |batch| batch.len());
        consumer.commit().await.ok();
    }
    assert!(seen < 200, "what it lost must show");
}
