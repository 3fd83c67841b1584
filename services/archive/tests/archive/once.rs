//! Facts in any order, twice, over crashes: every report once in the tables and in the index.

use std::path::Path;

use vigie_bus::Delivery;
use vigie_domain::Topic;
use vigie_runtime::{Handler as _, Runtime, testing};

use crate::story::{Draws, SECRET, check, comment, delivery, open, reopen, runtimes, states, story, verdict};

async fn twice_in_any_order(runtime: &Runtime, seed: u64) -> anyhow::Result<()> {
    let (story, expected) = story();
    let mut archivist = open(runtime).await?;
    let mut draws = Draws(seed);
    let mut deliveries: Vec<Delivery> = story.iter().chain(&story).cloned().collect();
    // The first seed keeps the order; the others know none.
    if seed > 0 {
        draws.shuffle(&mut deliveries);
    }
    let mut rest = deliveries.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(1 + draws.below(rest.len().min(9)));
        assert_eq!(archivist.handle(batch).await?, []);
        rest = later;
    }
    check(&archivist, &expected, seed).await?;
    let before = archivist.store().position().await?;
    archivist.handle(&story).await?;
    assert_eq!(
        archivist.store().position().await?,
        before,
        "seed {seed}: a redelivery changes nothing"
    );
    Ok(())
}

#[tokio::test]
async fn everything_twice_in_shuffled_batches() -> anyhow::Result<()> {
    for seed in 0..6 {
        let dir = tempfile::tempdir()?;
        for runtime in runtimes(dir.path()).await? {
            twice_in_any_order(&runtime, seed).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_crash_between_tables_and_index_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    for mut runtime in runtimes(dir.path()).await? {
        let mut draws = Draws(7);
        let mut rest = story.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(1 + draws.below(rest.len().min(4)));
            // The tables commit, then the process is gone; half of the time the batch is delivered again.
            reopen(&mut runtime).await?.apply(batch).await?;
            if draws.below(2) == 0 {
                reopen(&mut runtime).await?.handle(batch).await?;
            }
            rest = later;
        }
        check(&reopen(&mut runtime).await?, &expected, 7).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_crash_between_a_file_of_deletions_and_the_commit_that_names_it_stops_nothing() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    let mut runtime = testing::runtime(dir.path()).await?;
    let index = dir.path().join("archive-index");
    let (before, after): (Vec<Delivery>, Vec<Delivery>) = story.into_iter().partition(|delivery| delivery.topic == Topic::Verdicts);
    open(&runtime).await?.handle(&before).await?;
    let named = std::fs::read(index.join("meta.json"))?;
    reopen(&mut runtime).await?.handle(&after).await?;
    let deletions = std::fs::read_dir(&index)?
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|name| name == "del"));
    assert!(deletions.count() > 0, "what comes after the verdicts changes no report");
    // All files of the second batch are there; what names them is not.
    std::fs::write(index.join("meta.json"), named)?;
    check(&reopen(&mut runtime).await?, &expected, 7).await
}

#[tokio::test]
async fn a_damaged_or_foreign_index_is_made_again() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    type Damage = fn(&Path) -> std::io::Result<()>;
    let damages: [Damage; 4] = [
        |index| std::fs::write(index.join("meta.json"), b"{"),
        |index| std::fs::remove_dir_all(index),
        |index| {
            let segment = std::fs::read_dir(index)?
                .flatten()
                .find(|file| file.path().extension().is_some_and(|name| name == "idx"));
            let path = segment.ok_or(std::io::ErrorKind::NotFound)?.path();
            let mut bytes = std::fs::read(&path)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            std::fs::remove_file(&path)?;
            std::fs::write(path, bytes)
        },
        |index| {
            let meta = std::fs::read_to_string(index.join("meta.json"))?;
            std::fs::write(index.join("meta.json"), meta.replace("origin\\\":\\\"", "origin\\\":\\\"another"))
        },
    ];
    for mut runtime in runtimes(dir.path()).await? {
        let mut archivist = open(&runtime).await?;
        archivist.handle(&story).await?;
        assert_eq!(archivist.reindex().await?, expected.len());
        check(&archivist, &expected, 0).await?;
        drop(archivist);
        for damage in damages {
            damage(&runtime.data_dir.join("archive-index"))?;
            check(&reopen(&mut runtime).await?, &expected, 0).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn texts_never_escalated_are_kept_nowhere() -> anyhow::Result<()> {
    let (story, _) = story();
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    open(&runtime).await?.handle(&story).await?;
    let mut files: Vec<_> = std::fs::read_dir(dir.path())?
        .chain(std::fs::read_dir(dir.path().join("archive-index"))?)
        .flatten()
        .collect();
    files.retain(|file| file.path().is_file());
    assert!(files.iter().any(|file| file.file_name() == "archive.db"));
    for file in files {
        let bytes = std::fs::read(file.path())?;
        let held = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!held, "{} holds the text of a comment that nobody escalated", file.path().display());
    }
    Ok(())
}

#[tokio::test]
async fn a_poison_record_is_rejected_and_the_rest_flows_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        let mut archivist = open(&runtime).await?;
        let good = verdict(comment("good", "Je vous tuerai", None, None), true);
        let mut poison = delivery(Topic::Verdicts, &good);
        poison.record.payload = format!("{{\"schema\":\"verdict/1\",\"id\":\"{SECRET}\"}}").into_bytes();
        let rejected = archivist.handle(&[poison, delivery(Topic::Verdicts, &good)]).await?;
        assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [0]);
        assert!(!rejected[0].error.contains(SECRET), "{}", rejected[0].error);
        assert_eq!(states(&archivist).await?.len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn the_service_archives_what_the_bus_brings_and_stops_when_asked() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    for mut runtime in runtimes(dir.path()).await? {
        let web = vigie_web::Web::open(vigie_web::Config::default(), &runtime).await?;
        let started = vigie_archive::start(vigie_archive::Config::default(), runtime.clone(), web).await?;
        // Every topic twice, the follow-up before what it follows.
        for _ in 0..2 {
            for topic in [Topic::Enforcements, Topic::Decisions, Topic::Verdicts] {
                let records = story
                    .iter()
                    .filter(|delivery| delivery.topic == topic)
                    .map(|delivery| delivery.record.clone())
                    .collect();
                vigie_runtime::publish(&runtime, topic, records).await?;
            }
        }
        let store = vigie_archive::store::Store::open(&runtime).await?;
        let arrived = async {
            loop {
                let stored = store.changed_after(0, 1000).await?;
                if stored.len() == expected.len() && stored.iter().all(|report| expected.get(&report.id) == Some(&report.state)) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), arrived).await??;
        runtime.stop.cancel();
        for task in started.tasks {
            task.await??;
        }
        check(&reopen(&mut runtime).await?, &expected, 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_archive_that_is_lost_is_made_again_from_the_topics() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    for topic in [Topic::Verdicts, Topic::Decisions, Topic::Enforcements] {
        let records = story
            .iter()
            .filter(|delivery| delivery.topic == topic)
            .map(|delivery| delivery.record.clone())
            .collect();
        vigie_runtime::publish(&runtime, topic, records).await?;
    }
    // The archive has read and committed everything, then its files are gone.
    let mut consumer = runtime.bus.subscribe("archive", &vigie_archive::service::TOPICS).await?;
    let mut archivist = open(&runtime).await?;
    let mut read = 0;
    while read < story.len() {
        let batch = consumer.receive(100, std::time::Duration::from_secs(5)).await?;
        read += batch.len();
        archivist.handle(&batch).await?;
        consumer.commit().await?;
    }
    drop((consumer, archivist, runtime));
    for name in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        std::fs::remove_file(dir.path().join(name)).ok();
    }
    std::fs::remove_dir_all(dir.path().join("archive-index"))?;

    for _ in 0..2 {
        let mut runtime = testing::runtime(dir.path()).await?;
        let mut told = Vec::new();
        let rebuilt =
            vigie_archive::rebuild_telling(&vigie_archive::Config::default(), &runtime, |read, total| told.push((read, total))).await?;
        assert_eq!(rebuilt.records, story.len() as u64);
        assert_eq!(rebuilt.reports, expected.len());
        assert_eq!(told.last(), Some(&(rebuilt.records, rebuilt.records)));
        runtime.registry = prometheus::Registry::new();
        check(&open(&runtime).await?, &expected, 0).await?;
        // The place of the running archive is where it was.
        let lag = runtime.bus.lag("archive", &vigie_archive::service::TOPICS).await?;
        assert!(lag.iter().all(|lag| lag.records == 0), "{lag:?}");
    }
    Ok(())
}

const CRASH_DIR: &str = "VIGIE_TEST_ARCHIVE_CRASH_DIR";

/// The process that is killed: handles the story in shuffled batches, again and again. Does nothing as a test of its own.
#[tokio::test]
async fn crash_child() -> anyhow::Result<()> {
    let Some(dir) = testing::variable(CRASH_DIR) else { return Ok(()) };
    let runtime = testing::runtime(Path::new(&dir)).await?;
    let mut archivist = open(&runtime).await?;
    std::fs::write(Path::new(&dir).join("started"), b"")?;
    let (mut story, _) = story();
    let mut draws = Draws(u64::from(std::process::id()));
    loop {
        draws.shuffle(&mut story);
        for batch in story.chunks(3) {
            archivist.handle(batch).await?;
        }
    }
}

#[tokio::test]
async fn kill_9_at_random_moments_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    let mut draws = Draws(9);
    for _ in 0..12 {
        let started = dir.path().join("started");
        std::fs::remove_file(&started).ok();
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .args(["once::crash_child", "--exact", "--quiet"])
            .env(CRASH_DIR, dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()?;
        while !started.exists() {
            assert_eq!(child.try_wait()?, None, "the child stopped by itself");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        std::thread::sleep(std::time::Duration::from_micros(draws.below(60_000) as u64));
        // SIGKILL on Unix: nothing is flushed, nothing is dropped.
        child.kill()?;
        child.wait()?;
    }
    let runtime = testing::runtime(dir.path()).await?;
    let mut archivist = open(&runtime).await?;
    for id in states(&archivist).await?.keys() {
        assert_eq!(
            archivist.searcher().occurrences(id)?,
            1,
            "what the tables have, the index has once, before anything is delivered again"
        );
    }
    archivist.handle(&story).await?;
    check(&archivist, &expected, 9).await
}
