//! kill -9 of a publishing process, twenty times at random moments: every acknowledged record is there, in order per key.
//!
//! The publisher is this test program itself, started again with a variable that names its bus. It prints a line after each
//! acknowledgement; what was printed before the kill must be in the log.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use vigie_bus::Bus;
use vigie_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use vigie_bus::kafka::{KafkaBus, KafkaConfig};
use vigie_domain::Topic;

use crate::conformance::{assert_in_order, collect_in, lag_of, peer, record};
use crate::kafka::Kafka;

const CHILD: &str = "VIGIE_BUS_TEST_PUBLISHER";
const KILLS: usize = 20;
const KEYS: usize = 4;

/// Where the publisher publishes, and the first number of each key.
#[derive(serde::Serialize, serde::Deserialize)]
struct Task {
    place: Place,
    next: BTreeMap<String, usize>,
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
enum Place {
    Embedded(PathBuf),
    Kafka { brokers: String, prefix: String },
}

impl Place {
    async fn open(&self) -> Arc<dyn Bus> {
        match self {
            Self::Embedded(path) => EmbeddedBus::open(path, EmbeddedOptions::default()).await.expect("open"),
            Self::Kafka { brokers, prefix } => {
                let config = KafkaConfig {
                    brokers: brokers.clone(),
                    prefix: prefix.clone(),
                    ..KafkaConfig::default()
                };
                KafkaBus::connect(config).await.expect("connect")
            }
        }
    }
}

/// Not a test but the process that is killed; without the variable there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn publisher_process() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let task: Task = serde_json::from_str(&task).expect("the task");
    let bus = task.place.open().await;
    let publishers = task
        .next
        .into_iter()
        .map(|(key, next)| tokio::spawn(publish_for_ever(Arc::clone(&bus), key, next)));
    futures::future::join_all(publishers).await;
}

async fn publish_for_ever(bus: Arc<dyn Bus>, key: String, mut next: usize) {
    loop {
        let count = rand::random_range(1..20);
        let batch = (next..next + count).map(|number| record(&key, number)).collect();
        bus.publish(Topic::Comments, batch).await.expect("publish");
        next += count;
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {key} {next}").expect("the parent reads");
        out.flush().expect("the parent reads");
    }
}

/// Runs a publisher, kills it some time after its first acknowledgement, and returns how far each key was acknowledged.
fn run_and_kill(task: &Task) -> BTreeMap<String, usize> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "kill::publisher_process", "--nocapture"])
        .env(CHILD, serde_json::to_string(task).expect("JSON"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the publisher starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut acknowledged = task.next.clone();
    let mut note = |line: &str| {
        // The test harness writes on the same pipe, and the last line may be cut.
        let Some((_, rest)) = line.split_once("acknowledged ") else {
            return false;
        };
        let Some((key, next)) = rest.split_once(' ') else { return false };
        let (Some(known), Ok(next)) = (acknowledged.get_mut(key), next.parse()) else {
            return false;
        };
        *known = (*known).max(next);
        true
    };
    loop {
        let line = lines.next().expect("the publisher ended before it published").expect("a line");
        if note(&line) {
            break;
        }
    }
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(rand::random_range(0..600)));
        child.kill().expect("kill -9");
        child.wait().expect("it is dead");
    });
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let (last, whole) = rest.split_last().map_or((None, &[][..]), |(last, whole)| (Some(last), whole));
    for line in whole {
        note(line);
    }
    // A cut number would be smaller than the true one, never larger.
    if let Some(last) = last {
        note(last);
    }
    killer.join().expect("killed");
    acknowledged
}

async fn check(place: Place) {
    let mut next: BTreeMap<String, usize> = (0..KEYS).map(|key| (format!("key{key}"), 0)).collect();
    for kill in 1..=KILLS {
        let task = Task {
            place: place.clone(),
            next: next.clone(),
        };
        let acknowledged = tokio::task::spawn_blocking(move || run_and_kill(&task)).await.expect("killed");
        assert_ne!(acknowledged, next, "kill {kill}: nothing was acknowledged");
        next = acknowledged;
    }
    let bus = place.open().await;
    let there = lag_of(bus.as_ref(), "reader", Topic::Comments).await;
    let mut consumer = bus.subscribe("reader", &[Topic::Comments]).await.expect("subscribe");
    let received = collect_in(consumer.as_mut(), usize::try_from(there).expect("a count"), 1000).await;
    let found = assert_in_order(&received);
    for (key, next) in &next {
        assert!(
            found[key] >= *next,
            "{key}: {next} records were acknowledged, {} are there",
            found[key]
        );
    }
    let acknowledged: usize = next.values().sum();
    assert!(acknowledged > KILLS, "{acknowledged} records prove little");
    drop(consumer);
    bus.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    check(Place::Embedded(dir.path().join("bus.db"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_keeps_what_it_acknowledged() {
    let Some(brokers) = peer("KAFKA_BROKERS") else { return };
    let kafka = Kafka::new(&brokers);
    check(Place::Kafka {
        brokers,
        prefix: kafka.config.prefix.clone(),
    })
    .await;
    kafka.delete_topics().await;
}
