//! Reading the past: beside whoever uses the bus, from a time on, to the end as it was.

use vigie_bus::embedded::{EmbeddedBus, EmbeddedOptions, past};
use vigie_bus::{Bus as _, Delivery, Past};
use vigie_domain::Topic;

use crate::conformance::{Fixture, collect_in, eventually, lag_of, number, record, records};

/// All of it, in small batches.
async fn read(past: &mut dyn Past) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        let batch = past.read(64).await.expect("read");
        assert!(batch.len() <= 64);
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

/// A case of the conformance suite.
pub async fn the_past_is_read_from_a_time_to_the_end_and_disturbs_nobody(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    let sent = records(5, 300);
    let now_ms = || jiff::Timestamp::now().as_millisecond();
    bus.publish(Topic::Comments, sent[..100].to_vec()).await.expect("publish");
    let published_ms = now_ms();
    eventually("the clock goes on", || async { now_ms() > published_ms + 1 }).await;
    let since_ms = now_ms();
    bus.publish(Topic::Comments, sent[100..].to_vec()).await.expect("publish");
    let mut consumer = bus.subscribe("readers", &[Topic::Comments]).await.expect("subscribe");
    collect_in(consumer.as_mut(), 50, 50).await;
    consumer.commit().await.expect("commit");

    for (since_ms, expected) in [(0, 300), (since_ms, 200), (now_ms() + 600_000, 0)] {
        let mut past = fixture.past(Topic::Comments, since_ms).await;
        assert_eq!(past.records(), expected, "since {since_ms}");
        let found = read(past.as_mut()).await;
        assert_eq!(found.len() as u64, expected, "since {since_ms}");
        for key in ["key0", "key4"] {
            let numbers: Vec<usize> = found.iter().filter(|delivery| delivery.record.key == key).map(number).collect();
            assert!(numbers.is_sorted() && numbers.len() as u64 == expected / 5, "{key}: {numbers:?}");
        }
        assert!(read(past.as_mut()).await.is_empty(), "the end stays the end");
    }
    let mut past = fixture.past(Topic::Comments, 0).await;
    bus.publish(Topic::Comments, vec![record("later", 0)]).await.expect("publish");
    assert_eq!(read(past.as_mut()).await.len(), 300, "what comes later is not the past");

    assert_eq!(lag_of(bus.as_ref(), "readers", Topic::Comments).await, 251);
    assert_eq!(collect_in(consumer.as_mut(), 251, 251).await.len(), 251);
    assert!(read(fixture.past(Topic::Verdicts, 0).await.as_mut()).await.is_empty());
}

#[tokio::test]
async fn the_past_of_a_log_that_nobody_has_open_is_read_without_a_change() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("bus.db");
    let error = past(&path, Topic::Comments, 0).await.err().expect("there is no log");
    assert!(!error.is_transient(), "{error}");
    assert!(!path.exists(), "reading made a log");

    let bus = EmbeddedBus::open(&path, EmbeddedOptions::default()).await.expect("open");
    bus.publish(Topic::Comments, records(3, 30)).await.expect("publish");
    bus.close().await.expect("close");
    drop(bus);
    let before = std::fs::read(&path).expect("the log");
    assert_eq!(read(past(&path, Topic::Comments, 0).await.expect("past").as_mut()).await.len(), 30);
    assert_eq!(std::fs::read(&path).expect("the log"), before);
}
