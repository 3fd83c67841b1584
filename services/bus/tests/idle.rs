//! An idle bus costs next to nothing. A program of its own, since it measures the whole process.

use std::time::Duration;

use tokio::time::Instant;
use vigie_bus::Bus;
use vigie_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use vigie_domain::Topic;

/// Processor time of this process, in clock ticks of 10 ms.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, rest) = stat.rsplit_once(')').expect("the name is in brackets");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_consumers_cost_less_than_a_hundredth_of_a_processor() {
    const SPAN: Duration = Duration::from_secs(5);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let bus = EmbeddedBus::open(&dir.path().join("bus.db"), EmbeddedOptions::default())
        .await
        .expect("open");
    let mut waiting = Vec::new();
    for group in ["classifier", "review", "enforcer", "archive", "barometer"] {
        let mut consumer = bus.subscribe(group, &Topic::ALL).await.expect("subscribe");
        waiting.push(tokio::spawn(
            async move { consumer.receive(10, SPAN * 2).await.expect("receive").len() },
        ));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = processor_ticks();
    let started = Instant::now();
    tokio::time::sleep(SPAN).await;
    let used_ms = (processor_ticks() - before) * 10;
    let allowed_ms = u64::try_from(started.elapsed().as_millis()).expect("a short time") / 100;
    assert!(used_ms <= allowed_ms, "{used_ms} ms of processor time in {:?}", started.elapsed());
    for task in waiting {
        assert_eq!(task.await.expect("a consumer ends"), 0);
    }
}
