//! The embedded bus: the conformance suite, and what only it promises.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::conformance::{CASES, Fixture, PATIENCE, assert_in_order, collect, collect_in, eventually, number, record, records};
use async_trait::async_trait;
use tokio::time::Instant;
use vigie_bus::embedded::{EmbeddedBus, EmbeddedOptions, past};
use vigie_bus::{Bus, BusError, Past, Record};
use vigie_domain::Topic;

struct Embedded {
    dir: tempfile::TempDir,
    options: EmbeddedOptions,
}

impl Embedded {
    fn new(options: EmbeddedOptions) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self { dir, options }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("bus.db")
    }

    async fn bus(&self) -> Arc<EmbeddedBus> {
        EmbeddedBus::open(&self.path(), self.options.clone())
            .await
            .expect("opening the log")
    }
}

#[async_trait]
impl Fixture for Embedded {
    async fn open(&self) -> Arc<dyn Bus> {
        self.bus().await
    }

    async fn past(&self, topic: Topic, since_ms: i64) -> Box<dyn Past> {
        past(&self.path(), topic, since_ms).await.expect("reading the log")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    for (name, case) in CASES {
        // The cases borrow their fixture for ever, so that they can spawn tasks; its folder is removed by hand.
        let fixture: &'static Embedded = Box::leak(Box::new(Embedded::new(EmbeddedOptions::default())));
        let outcome = tokio::spawn(case(fixture)).await;
        std::fs::remove_dir_all(fixture.dir.path()).ok();
        assert!(outcome.is_ok(), "case `{name}` failed");
    }
}

/// Applies the retention often.
fn eager(options: EmbeddedOptions) -> EmbeddedOptions {
    EmbeddedOptions {
        retention_interval: Duration::from_millis(20),
        ..options
    }
}

/// How many records a new group finds.
async fn found(bus: &EmbeddedBus, topic: Topic) -> u64 {
    bus.lag("nobody", &[topic]).await.expect("lag")[0].records
}

#[tokio::test]
async fn old_records_are_dropped_once_every_group_has_committed_them() {
    let embedded = Embedded::new(eager(EmbeddedOptions {
        retention: Duration::from_millis(1),
        ..EmbeddedOptions::default()
    }));
    let bus = embedded.bus().await;
    let mut quick = bus.subscribe("quick", &[Topic::Comments]).await.expect("subscribe");
    let mut slow = bus.subscribe("slow", &[Topic::Comments]).await.expect("subscribe");
    bus.publish(Topic::Comments, records(1, 100)).await.expect("publish");
    collect(quick.as_mut(), 100).await;
    quick.commit().await.expect("commit");
    collect_in(slow.as_mut(), 60, 60).await;
    slow.commit().await.expect("commit");
    eventually("what both committed is dropped", || async {
        found(&bus, Topic::Comments).await == 40
    })
    .await;
    drop(slow);
    // Several rounds of the retention later the rest is still there, though its reader is away.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(found(&bus, Topic::Comments).await, 40);
    let mut slow = bus.subscribe("slow", &[Topic::Comments]).await.expect("subscribe");
    assert_eq!(number(&collect(slow.as_mut(), 40).await[0]), 60);
    slow.commit().await.expect("commit");
    eventually("all is dropped", || async { found(&bus, Topic::Comments).await == 0 }).await;
    drop((slow, quick));
    bus.close().await.expect("close");
    drop(bus);

    let bus = embedded.bus().await;
    let mut slow = bus.subscribe("slow", &[Topic::Comments]).await.expect("subscribe");
    bus.publish(Topic::Comments, vec![record("k", 0)]).await.expect("publish");
    assert_eq!(
        collect(slow.as_mut(), 1).await[0].offset,
        100,
        "offsets go on after the log was empty"
    );
}

#[tokio::test]
async fn a_log_above_its_size_drops_the_oldest_committed_records() {
    let embedded = Embedded::new(eager(EmbeddedOptions {
        size_bytes_max: 100_000,
        ..EmbeddedOptions::default()
    }));
    let bus = embedded.bus().await;
    let large = |number| Record {
        payload: vec![b'x'; 10_000],
        ..record("k", number)
    };
    bus.publish(Topic::DeadLetters, (0..20).map(large).collect())
        .await
        .expect("publish");
    bus.publish(Topic::Comments, (0..20).map(large).collect()).await.expect("publish");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(found(&bus, Topic::Comments).await, 20, "nothing is committed yet");
    collect_in(consumer.as_mut(), 15, 15).await;
    consumer.commit().await.expect("commit");
    eventually("what is committed is dropped", || async { found(&bus, Topic::Comments).await == 5 }).await;
    assert_eq!(found(&bus, Topic::DeadLetters).await, 20, "without a group, size drops nothing");
}

#[tokio::test]
async fn a_topic_without_groups_is_dropped_by_age() {
    let embedded = Embedded::new(eager(EmbeddedOptions {
        retention: Duration::from_millis(1),
        ..EmbeddedOptions::default()
    }));
    let bus = embedded.bus().await;
    bus.publish(Topic::DeadLetters, records(1, 2500)).await.expect("publish");
    eventually("all is dropped", || async { found(&bus, Topic::DeadLetters).await == 0 }).await;
}

#[tokio::test]
async fn a_group_that_stays_away_is_forgotten() {
    let embedded = Embedded::new(eager(EmbeddedOptions {
        retention: Duration::from_millis(1),
        group_expiry: Duration::from_millis(300),
        ..EmbeddedOptions::default()
    }));
    let bus = embedded.bus().await;
    let mut member = bus.subscribe("gone", &[Topic::Comments]).await.expect("subscribe");
    bus.publish(Topic::Comments, records(1, 10)).await.expect("publish");
    collect_in(member.as_mut(), 4, 4).await;
    member.commit().await.expect("commit");
    eventually("what it committed is dropped", || async { found(&bus, Topic::Comments).await == 6 }).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(found(&bus, Topic::Comments).await, 6, "a group with a member is never forgotten");
    drop(member);
    eventually("it is forgotten, and what it held back goes", || async {
        found(&bus, Topic::Comments).await == 0
    })
    .await;
}

#[tokio::test]
async fn publishing_waits_for_a_group_that_is_behind() {
    let embedded = Embedded::new(EmbeddedOptions {
        backlog_records_max: 10,
        backlog_stall: PATIENCE,
        backlog_wait_max: Duration::from_millis(300),
        ..EmbeddedOptions::default()
    });
    let bus = embedded.bus().await;
    bus.publish(Topic::Comments, records(1, 10)).await.expect("nobody to wait for yet");
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let error = bus
        .publish(Topic::Comments, vec![record("k", 10)])
        .await
        .expect_err("it waited in vain");
    assert!(
        error.is_transient() && error.to_string().contains("`workers` is 10 records behind"),
        "{error}"
    );
    bus.publish(Topic::Verdicts, vec![record("k", 0)])
        .await
        .expect("another topic is free");

    let waiting = {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move {
            while let Err(error) = bus.publish(Topic::Comments, vec![record("k", 10)]).await {
                assert!(error.is_transient(), "{error}");
            }
        })
    };
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    collect_in(consumer.as_mut(), 1, 1).await;
    consumer.commit().await.expect("commit");
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("a commit makes room")
        .expect("published");
}

/// Two services, each publishing to the other's topic before it commits: with waiting for ever, this would stand still.
#[tokio::test]
async fn services_in_a_circle_do_not_wait_for_each_other_for_ever() {
    let embedded = Embedded::new(EmbeddedOptions {
        backlog_records_max: 5,
        backlog_stall: Duration::from_millis(50),
        backlog_wait_max: Duration::from_secs(5),
        ..EmbeddedOptions::default()
    });
    let bus = embedded.bus().await;
    bus.publish(Topic::Verdicts, records(1, 20)).await.expect("publish");
    bus.publish(Topic::Decisions, records(1, 20)).await.expect("publish");
    let service = |group: &'static str, from: Topic, to: Topic| {
        let bus = Arc::clone(&bus);
        async move {
            let mut consumer = bus.subscribe(group, &[from]).await.expect("subscribe");
            for _ in 0..20 {
                let batch = collect_in(consumer.as_mut(), 1, 1).await;
                bus.publish(to, vec![record("other", number(&batch[0]))]).await.expect("publish");
                consumer.commit().await.expect("commit");
            }
        }
    };
    let both = futures::future::join(
        service("a", Topic::Verdicts, Topic::Decisions),
        service("b", Topic::Decisions, Topic::Verdicts),
    );
    tokio::time::timeout(PATIENCE, both).await.expect("the circle moves");
}

#[tokio::test]
async fn a_member_takes_over_at_the_committed_offset() {
    let embedded = Embedded::new(EmbeddedOptions::default());
    let bus = embedded.bus().await;
    let mut active = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let mut standby = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    bus.publish(Topic::Comments, records(1, 10)).await.expect("publish");
    collect_in(active.as_mut(), 3, 3).await;
    active.commit().await.expect("commit");
    collect_in(active.as_mut(), 3, 3).await;
    assert!(standby.receive(10, Duration::from_millis(50)).await.expect("receive").is_empty());
    let takeover = tokio::spawn(async move { standby.receive(10, PATIENCE).await });
    tokio::task::yield_now().await;
    drop(active);
    let received = takeover.await.expect("the task ends").expect("receive");
    assert_eq!(received.iter().map(number).collect::<Vec<_>>(), (3..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_disk_is_transient_and_heals() {
    let embedded = Embedded::new(eager(EmbeddedOptions {
        retention: Duration::from_millis(1),
        file_bytes_max: Some(2 << 20),
        ..EmbeddedOptions::default()
    }));
    let bus = embedded.bus().await;
    let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect("subscribe");
    let large = |number| Record {
        payload: vec![b'x'; 100_000],
        ..record("key0", number)
    };
    let mut accepted = 0;
    let error = loop {
        assert!(accepted < 100, "the limit of the file does not hold");
        match bus.publish(Topic::Comments, vec![large(accepted)]).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_transient() && error.to_string().contains("full"), "{error}");
    assert!(accepted > 10);
    bus.ping().await.expect("reading goes on");
    let received = collect(consumer.as_mut(), accepted).await;
    assert!(
        assert_in_order(&received).values().all(|count| *count == accepted),
        "what was accepted is there"
    );
    consumer.commit().await.expect("commit");
    eventually("there is room again", || async {
        bus.publish(Topic::Comments, vec![large(accepted)]).await.is_ok()
    })
    .await;
    assert_eq!(collect(consumer.as_mut(), 1).await.len(), 1, "what failed left nothing behind");
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let refusal = async |path: PathBuf| match EmbeddedBus::open(&path, EmbeddedOptions::default()).await {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    };
    let assert_says = |error: BusError, part: &str| {
        assert!(!error.is_transient() && error.to_string().contains(part), "{error}");
    };

    assert_says(refusal(dir.path().join("missing/bus.db")).await, "writable");
    // Not even root writes here.
    assert_says(refusal(PathBuf::from("/proc/bus.db")).await, "writable");

    let noise = dir.path().join("noise.db");
    std::fs::write(&noise, vec![0xa5; 8192]).expect("write");
    assert_says(refusal(noise).await, "damaged");

    let newer = dir.path().join("newer.db");
    let bus = EmbeddedBus::open(&newer, EmbeddedOptions::default()).await.expect("open");
    assert_says(refusal(newer.clone()).await, "in use");
    bus.close().await.expect("close");
    drop(bus);
    use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&newer)
        .connect()
        .await
        .expect("connect");
    connection.execute("PRAGMA user_version = 2").await.expect("pragma");
    connection.close().await.expect("close");
    assert_says(refusal(newer).await, "newer version");
}

/// Many small publishes at once share fsyncs: a thousand of them take far fewer transactions than a thousand one by one.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishes_are_quick() {
    let embedded = Embedded::new(EmbeddedOptions::default());
    let bus = embedded.bus().await;
    let started = Instant::now();
    let publishes = (0..2000).map(|index| {
        let bus = Arc::clone(&bus);
        async move { bus.publish(Topic::Comments, vec![record(&format!("key{index}"), 0)]).await }
    });
    let outcomes = futures::future::join_all(publishes).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?} for 2000 publishes",
        started.elapsed()
    );
    assert_eq!(found(&bus, Topic::Comments).await, 2000);
}
