//! The conformance suite: what every adapter of the bus must do. Each adapter's test file runs all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use vigie_bus::{Bus, BusError, Consumer, Delivery, ENVELOPE_BYTES_MAX, PAYLOAD_BYTES_MAX, Past, RECEIVE_BYTES_MAX, Record};
use vigie_domain::Topic;

use crate::past::the_past_is_read_from_a_time_to_the_end_and_disturbs_nobody;

/// Nothing here takes longer than this, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

/// Opens the same log again and again; one at a time.
#[async_trait]
pub trait Fixture: Send + Sync {
    async fn open(&self) -> Arc<dyn Bus>;

    async fn past(&self, topic: Topic, since_ms: i64) -> Box<dyn Past>;
}

pub type Case = (&'static str, fn(&'static dyn Fixture) -> futures::future::BoxFuture<'static, ()>);

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Every case, by name.
        pub const CASES: &[Case] = &[$((stringify!($name), |fixture| Box::pin($name(fixture)))),*];
    };
}

cases![
    records_come_back_as_they_were_published,
    order_holds_per_key,
    what_was_not_committed_comes_again,
    what_was_committed_does_not,
    a_commit_covers_only_what_was_received,
    groups_are_independent,
    members_share_a_group,
    several_topics_by_one_consumer,
    a_waiting_consumer_is_woken,
    dropping_a_receive_loses_nothing,
    large_records_pass,
    records_above_the_limit_are_refused,
    lag_counts_what_is_not_committed,
    concurrent_publishers_keep_their_order,
    the_past_is_read_from_a_time_to_the_end_and_disturbs_nobody,
    a_closed_bus_refuses,
];

/// The value of a variable that points to a peer; the same rule as in the tests of the services.
pub fn peer(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let required = std::env::var("VIGIE_TEST_REQUIRE_PEERS").is_ok_and(|required| required == "1");
        assert!(!required, "{variable} is not set, and this run requires every peer");
        // Not `eprintln!`, which the test harness keeps to itself when a test passes: a skipped test must be seen.
        writeln!(std::io::stderr(), "SKIPPED: {variable} is not set; `tests/run` starts this peer").ok();
    }
    value
}

pub fn record(key: &str, number: usize) -> Record {
    Record {
        key: key.to_owned(),
        id: format!("{key}-{number}"),
        headers: Vec::new(),
        payload: format!("{{\"schema\":\"test/1\",\"number\":{number}}}").into_bytes(),
    }
}

pub fn number(delivery: &Delivery) -> usize {
    let id = &delivery.record.id;
    id.rsplit('-')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("an id of these tests")
}

/// `count` records over `keys` keys, numbered per key.
pub fn records(keys: usize, count: usize) -> Vec<Record> {
    (0..count)
        .map(|index| record(&format!("key{}", index % keys), index / keys))
        .collect()
}

/// Receives until `count` records are there, in batches of at most `batch`.
pub async fn collect_in(consumer: &mut dyn Consumer, count: usize, batch: usize) -> Vec<Delivery> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while all.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} records came", all.len());
        let wanted = batch.min(count - all.len());
        let received = consumer.receive(wanted, Duration::from_secs(1)).await.expect("receiving");
        assert!(received.len() <= wanted, "more records than asked for");
        all.extend(received);
    }
    all
}

pub async fn collect(consumer: &mut dyn Consumer, count: usize) -> Vec<Delivery> {
    collect_in(consumer, count, usize::MAX).await
}

pub async fn assert_nothing_comes(consumer: &mut dyn Consumer) {
    let received = consumer.receive(10, SHORT).await.expect("receiving");
    let ids: Vec<_> = received.iter().map(|delivery| &delivery.record.id).collect();
    assert!(received.is_empty(), "unexpected: {ids:?}");
}

/// Asks again and again until `holds`.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// At-least-once in order: per key no number is passed over, though earlier ones may come again. Returns how far each key came.
pub fn assert_in_order<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> BTreeMap<String, usize> {
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for delivery in deliveries {
        let expected = next.entry(delivery.record.key.clone()).or_default();
        let number = number(delivery);
        assert!(
            number <= *expected,
            "{} came before number {expected} of its key",
            delivery.record.id
        );
        *expected = (*expected).max(number + 1);
    }
    next
}

/// The lag, once the brokers can tell: right after a topic was made or a node was lost they refuse for a moment.
pub async fn lag_of(bus: &dyn Bus, group: &str, topic: Topic) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    let lags = loop {
        match bus.lag(group, &[topic]).await {
            Err(error) if error.is_transient() && Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(50)).await,
            lags => break lags.expect("lag"),
        }
    };
    assert_eq!((lags.len(), lags[0].topic, lags[0].group.as_str()), (1, topic, group));
    lags[0].records
}

async fn records_come_back_as_they_were_published(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    let sent = vec![
        Record {
            key: "clé".to_owned(),
            id: "a".repeat(64),
            headers: vec![
                ("traceparent".to_owned(), b"00-11".to_vec()),
                ("bytes".to_owned(), vec![0, 255, 10, 128]),
                ("id".to_owned(), b"another".to_vec()),
                ("empty".to_owned(), Vec::new()),
                ("traceparent".to_owned(), b"again".to_vec()),
            ],
            payload: "{\"text\":\"\\u0000 \u{202e} é 🦀\"}".as_bytes().to_vec(),
        },
        Record {
            key: "clé".to_owned(),
            id: "b".to_owned(),
            headers: Vec::new(),
            payload: vec![0, 159, 146, 150, b'\n'],
        },
    ];
    bus.publish(Topic::Comments, Vec::new()).await.expect("an empty batch");
    let before_ms = jiff::Timestamp::now().as_millisecond() - 60_000;
    bus.publish(Topic::Comments, sent.clone()).await.expect("publish");
    let mut consumer = bus.subscribe("readers", &[Topic::Comments]).await.expect("subscribe");
    let received = collect(consumer.as_mut(), 2).await;
    assert!(received.iter().all(|delivery| delivery.topic == Topic::Comments));
    assert!(
        received
            .iter()
            .all(|delivery| (before_ms..before_ms + 600_000).contains(&delivery.timestamp_ms))
    );
    assert!(received[0].offset < received[1].offset && received[0].partition == received[1].partition);
    let received: Vec<Record> = received.into_iter().map(|delivery| delivery.record).collect();
    assert_eq!(received, sent);
}

async fn order_holds_per_key(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    for batch in records(7, 2100).chunks(100) {
        bus.publish(Topic::Comments, batch.to_vec()).await.expect("publish");
    }
    let mut consumer = bus.subscribe("readers", &[Topic::Comments]).await.expect("subscribe");
    let received = collect_in(consumer.as_mut(), 2100, 64).await;
    let counts = assert_in_order(&received);
    assert!(counts.len() == 7 && counts.values().all(|count| *count == 300), "{counts:?}");
    let ids: BTreeSet<_> = received.iter().map(|delivery| &delivery.record.id).collect();
    assert_eq!(ids.len(), 2100, "nothing came twice");
}

async fn what_was_not_committed_comes_again(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    bus.publish(Topic::Comments, records(5, 50)).await.expect("publish");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let first = collect(consumer.as_mut(), 50).await;
    // Its result is published, and the crash comes before the commit.
    let results: Vec<Record> = first.iter().map(|delivery| delivery.record.clone()).collect();
    bus.publish(Topic::Verdicts, results).await.expect("publish");
    drop(consumer);
    bus.close().await.expect("close");
    drop(bus);

    let bus = fixture.open().await;
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let again = collect(consumer.as_mut(), 50).await;
    assert!(assert_in_order(&again).values().all(|count| *count == 10));
    consumer.commit().await.expect("commit");
    let mut results = bus.subscribe("readers", &[Topic::Verdicts]).await.expect("subscribe");
    assert_eq!(collect(results.as_mut(), 50).await.len(), 50);
}

async fn what_was_committed_does_not(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    bus.publish(Topic::Comments, records(3, 90)).await.expect("publish");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let mut seen = collect_in(consumer.as_mut(), 30, 10).await;
    consumer.commit().await.expect("commit");
    consumer.commit().await.expect("a commit of nothing new");
    drop(consumer);
    bus.close().await.expect("close");
    drop(bus);

    let bus = fixture.open().await;
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    seen.extend(collect(consumer.as_mut(), 60).await);
    let ids: BTreeSet<_> = seen.iter().map(|delivery| &delivery.record.id).collect();
    assert_eq!(ids.len(), 90, "the two halves do not overlap");
    consumer.commit().await.expect("commit");
    assert_nothing_comes(consumer.as_mut()).await;
}

async fn a_commit_covers_only_what_was_received(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    bus.publish(Topic::Comments, records(9, 100)).await.expect("publish");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    collect_in(consumer.as_mut(), 10, 10).await;
    consumer.commit().await.expect("commit");
    // More is received, and the member ends without a commit.
    collect_in(consumer.as_mut(), 25, 25).await;
    drop(consumer);
    assert_eq!(lag_of(bus.as_ref(), "workers", Topic::Comments).await, 90);
}

async fn groups_are_independent(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    bus.publish(Topic::Verdicts, records(4, 40)).await.expect("publish");
    let mut archive = bus.subscribe("archive", &[Topic::Verdicts]).await.expect("subscribe");
    let mut review = bus.subscribe("review", &[Topic::Verdicts]).await.expect("subscribe");
    assert_eq!(collect(archive.as_mut(), 40).await.len(), 40);
    archive.commit().await.expect("commit");
    assert_eq!(lag_of(bus.as_ref(), "archive", Topic::Verdicts).await, 0);
    assert_eq!(lag_of(bus.as_ref(), "review", Topic::Verdicts).await, 40);
    assert_eq!(collect(review.as_mut(), 40).await.len(), 40);
    let mut late = bus.subscribe("late", &[Topic::Verdicts]).await.expect("subscribe");
    assert_eq!(collect(late.as_mut(), 40).await.len(), 40, "a new group starts at the beginning");
}

async fn members_share_a_group(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    let mut handled = Vec::new();
    let mut first = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let mut second = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    for (round, batch) in records(8, 400).chunks(40).enumerate() {
        bus.publish(Topic::Comments, batch.to_vec()).await.expect("publish");
        let deadline = Instant::now() + PATIENCE;
        let ids = |handled: &[Delivery]| handled.iter().map(|d| d.record.id.clone()).collect::<BTreeSet<_>>().len();
        while ids(&handled) < (round + 1) * 40 {
            assert!(
                Instant::now() < deadline,
                "round {round}: {} of {} records",
                ids(&handled),
                (round + 1) * 40
            );
            for member in [&mut first, &mut second] {
                handled.extend(member.receive(20, Duration::from_millis(50)).await.expect("receive"));
                // Refused while members come and go: the records then come again.
                let outcome = member.commit().await;
                assert!(outcome.as_ref().err().is_none_or(BusError::is_transient), "{outcome:?}");
            }
        }
        if round == 4 {
            // One leaves, another comes.
            first = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
        }
    }
    assert!(assert_in_order(&handled).values().all(|count| *count == 50));
    // A rebalance may repeat some; two members that both get everything repeat all.
    assert!(handled.len() < 600, "{} deliveries of 400 records", handled.len());
    drop((first, second));
    drain(bus.as_ref(), "workers").await;
}

/// Commits what is left to a group after commits were refused.
pub async fn drain(bus: &dyn Bus, group: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut consumer = bus.subscribe(group, &[Topic::Comments]).await.expect("subscribe");
    while lag_of(bus, group, Topic::Comments).await > 0 {
        assert!(Instant::now() < deadline, "the lag stays");
        consumer.receive(100, Duration::from_secs(1)).await.expect("receive");
        let outcome = consumer.commit().await;
        assert!(outcome.as_ref().err().is_none_or(BusError::is_transient), "{outcome:?}");
    }
}

async fn several_topics_by_one_consumer(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    let topics = [Topic::Verdicts, Topic::Decisions, Topic::Enforcements];
    for topic in topics {
        bus.publish(topic, records(2, 30)).await.expect("publish");
    }
    bus.publish(Topic::DeadLetters, records(2, 30)).await.expect("publish");
    let mut consumer = bus.subscribe("archive", &topics).await.expect("subscribe");
    let received = collect_in(consumer.as_mut(), 90, 7).await;
    for topic in topics {
        let of_topic: Vec<_> = received.iter().filter(|delivery| delivery.topic == topic).collect();
        assert_eq!(of_topic.len(), 30, "{topic}");
        assert_in_order(of_topic);
    }
    consumer.commit().await.expect("commit");
    let lags = bus.lag("archive", &topics).await.expect("lag");
    assert_eq!(lags.iter().map(|lag| lag.records).collect::<Vec<_>>(), [0, 0, 0]);
}

async fn a_waiting_consumer_is_woken(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    bus.publish(Topic::Comments, vec![record("k", 0)]).await.expect("publish");
    collect(consumer.as_mut(), 1).await;
    let started = Instant::now();
    assert_nothing_comes(consumer.as_mut()).await;
    assert!(
        started.elapsed() >= SHORT - Duration::from_millis(20),
        "it waits as long as it was told"
    );
    let waiting = tokio::spawn(async move { (consumer.receive(10, PATIENCE).await.expect("receive"), Instant::now()) });
    tokio::task::yield_now().await;
    bus.publish(Topic::Comments, vec![record("k", 1)]).await.expect("publish");
    let published = Instant::now();
    let (received, woken) = waiting.await.expect("the task ends");
    assert_eq!(received.len(), 1);
    assert!(
        woken.saturating_duration_since(published) < Duration::from_secs(2),
        "woken, not polled"
    );
}

async fn dropping_a_receive_loses_nothing(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    bus.publish(Topic::Comments, vec![record("key0", 0)]).await.expect("publish");
    let mut received = collect(consumer.as_mut(), 1).await;
    let publisher = {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move {
            for number in 1..300 {
                bus.publish(Topic::Comments, vec![record("key0", number)]).await.expect("publish");
            }
        })
    };
    let deadline = Instant::now() + PATIENCE;
    let mut dropped = 0;
    while received.len() < 300 {
        assert!(Instant::now() < deadline, "{} of 300 records", received.len());
        let patience = Duration::from_micros(rand::random_range(0..1500));
        match tokio::time::timeout(patience, consumer.receive(3, PATIENCE)).await {
            Ok(batch) => received.extend(batch.expect("receive")),
            Err(_) => dropped += 1,
        }
    }
    publisher.await.expect("the publisher ends");
    assert!(dropped > 0, "no receive was dropped, so nothing was tested");
    assert_eq!(received.iter().map(number).collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
}

async fn large_records_pass(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    // 1 MiB of text in which JSON escapes every byte, and the largest payload, which no compression makes smaller.
    let escaped = serde_json::to_vec(&"\u{1}".repeat(1 << 20)).expect("text is JSON");
    assert!(escaped.len() > 6 << 20 && escaped.len() < PAYLOAD_BYTES_MAX);
    let noise: Vec<u8> = (0..PAYLOAD_BYTES_MAX).map(|_| rand::random()).collect();
    let large = |number, payload: &Vec<u8>| Record {
        payload: payload.clone(),
        headers: vec![("trace".to_owned(), vec![7; ENVELOPE_BYTES_MAX - 100])],
        ..record("large", number)
    };
    let sent = [large(0, &escaped), large(1, &noise), large(2, &escaped), large(3, &noise)];
    bus.publish(Topic::Comments, sent.to_vec()).await.expect("publish");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let mut received = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while received.len() < sent.len() {
        assert!(Instant::now() < deadline, "{} of {} records", received.len(), sent.len());
        let batch = consumer.receive(100, Duration::from_secs(1)).await.expect("receive");
        let bytes: usize = batch.iter().map(|delivery| delivery.record.bytes()).sum();
        assert!(
            bytes < RECEIVE_BYTES_MAX + PAYLOAD_BYTES_MAX + ENVELOPE_BYTES_MAX,
            "a batch is bounded in bytes"
        );
        received.extend(batch);
    }
    for (delivery, sent) in received.iter().zip(&sent) {
        assert!(delivery.record == *sent, "{} came back different", sent.id);
    }
}

async fn records_above_the_limit_are_refused(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    let too_long = Record {
        payload: vec![b'a'; PAYLOAD_BYTES_MAX + 1],
        ..record("k", 1)
    };
    let too_much_around = Record {
        headers: vec![("h".to_owned(), vec![0; ENVELOPE_BYTES_MAX])],
        ..record("k", 1)
    };
    for refused in [too_long, too_much_around] {
        let batch = vec![record("k", 0), refused];
        let error = bus.publish(Topic::Comments, batch).await.expect_err("above the limit");
        assert!(matches!(&error, BusError::Permanent(text) if text.contains("limit")), "{error}");
    }
    bus.publish(Topic::Comments, vec![record("k", 2)]).await.expect("publish");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let received = collect(consumer.as_mut(), 1).await;
    assert_eq!(number(&received[0]), 2, "nothing of the refused batches is there");
}

async fn lag_counts_what_is_not_committed(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    assert_eq!(lag_of(bus.as_ref(), "workers", Topic::Comments).await, 0);
    bus.publish(Topic::Comments, records(6, 60)).await.expect("publish");
    assert_eq!(
        lag_of(bus.as_ref(), "workers", Topic::Comments).await,
        60,
        "also before the group exists"
    );
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    collect_in(consumer.as_mut(), 20, 20).await;
    assert_eq!(lag_of(bus.as_ref(), "workers", Topic::Comments).await, 60);
    consumer.commit().await.expect("commit");
    assert_eq!(lag_of(bus.as_ref(), "workers", Topic::Comments).await, 40);
    bus.ping().await.expect("ping");
}

async fn concurrent_publishers_keep_their_order(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    let publishers: Vec<_> = (0..8)
        .map(|key| {
            let bus = Arc::clone(&bus);
            tokio::spawn(async move {
                for batch in (0..120).collect::<Vec<_>>().chunks(6) {
                    let batch = batch.iter().map(|number| record(&format!("key{key}"), *number)).collect();
                    bus.publish(Topic::Comments, batch).await.expect("publish");
                }
            })
        })
        .collect();
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let received = collect(consumer.as_mut(), 960).await;
    for publisher in publishers {
        publisher.await.expect("a publisher ends");
    }
    assert!(assert_in_order(&received).values().all(|count| *count == 120));
}

async fn a_closed_bus_refuses(fixture: &dyn Fixture) {
    let bus = fixture.open().await;
    bus.publish(Topic::Comments, vec![record("k", 0)]).await.expect("publish");
    bus.close().await.expect("close");
    bus.close().await.expect("closing twice");
    let error = bus.publish(Topic::Comments, vec![record("k", 1)]).await.expect_err("closed");
    assert!(!error.is_transient(), "{error}");
    assert!(bus.ping().await.is_err());
}
