//! The services as separate processes on Kafka and PostgreSQL: processes are killed at random moments, and Kafka stops for 30 s in
//! the middle.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::Rng as _;
use vigie::Config;
use vigie_runtime::config::KafkaConfig;
use vigie_runtime::secret::SecretSource;
use vigie_tests::consistency;
use vigie_tests::moderator::Moderator;
use vigie_tests::peers::Kafka;
use vigie_tests::process::{self, Process};
use vigie_tests::shift::Shift;
use vigie_tests::{comments, metrics, people};

use crate::VIGIE;

const COMMENTS: usize = 5_000;
const KILLS: usize = 20;
const OUTAGE: Duration = Duration::from_secs(30);
const SERVICES: [&str; 6] = ["collector", "classifier", "review", "enforcer", "archive", "barometer"];
const REVIEW: usize = 2;
const ARCHIVE: usize = 4;

/// One service: its configuration, and its process while it runs.
struct Member {
    service: &'static str,
    config: PathBuf,
    data: PathBuf,
    log: PathBuf,
    process: Process,
}

impl Member {
    async fn start(service: &'static str, shared: &Config, dir: &Path) -> anyhow::Result<Self> {
        let (config, data, log) = (
            dir.join(format!("{service}.toml")),
            dir.join(service),
            dir.join(format!("{service}.log")),
        );
        let mut own = shared.clone();
        own.data.dir.clone_from(&data);
        process::write_config(&own, &config)?;
        let process = Process::start(VIGIE, &["run", service, "--config", text(&config)], &data, &log).await?;
        Ok(Self {
            service,
            config,
            data,
            log,
            process,
        })
    }

    async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process = Process::spawn(VIGIE, &["run", self.service, "--config", text(&self.config)], &self.data, &self.log).await?;
        Ok(())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// What all processes share: brokers, database and keys.
fn shared(dir: &Path, kafka: &Kafka, postgres: &str) -> anyhow::Result<Config> {
    let mut config = process::config(dir)?;
    config.bus.kafka = Some(KafkaConfig {
        brokers: kafka.brokers.clone(),
        ..KafkaConfig::default()
    });
    config.database.url = Some(secret(dir, "database-url", postgres)?);
    config.database.schema = Some(format!("system_{}", hex::encode(rand::random::<[u8; 6]>())));
    for (name, key) in [
        ("author", &mut config.keys.author),
        ("seal", &mut config.keys.seal),
        ("audit", &mut config.keys.audit),
    ] {
        *key = Some(secret(dir, name, &hex::encode(rand::random::<[u8; 32]>()))?);
    }
    Ok(config)
}

fn secret(dir: &Path, name: &str, value: &str) -> anyhow::Result<SecretSource> {
    let path = dir.join(name);
    std::fs::write(&path, value)?;
    Ok(SecretSource::File(path))
}

#[tokio::test(flavor = "multi_thread")]
async fn services_on_kafka_lose_nothing_when_they_are_killed_and_kafka_stops() -> anyhow::Result<()> {
    let Some(postgres) = vigie_runtime::testing::peer("POSTGRES_URL") else {
        return Ok(());
    };
    // Kafka is this test's own, because it stops it; the shared one tells that Kafka can be had here.
    if vigie_runtime::testing::peer("KAFKA_BROKERS").is_none() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let kafka = Kafka::start(&dir.path().join("kafka"))?;
    let shared = shared(dir.path(), &kafka, &postgres)?;
    let schema = shared.database.schema.clone().unwrap_or_default();
    let review = people::open_postgres(&postgres, &schema).await?;
    let mut members = Vec::new();
    for service in SERVICES {
        members.push(Member::start(service, &shared, dir.path()).await?);
    }
    people::add(VIGIE, text(&members[REVIEW].config), "camille", "lead")?;
    let person = Moderator::sign_in(members[REVIEW].process.address, "camille", people::PASSWORD).await?;
    let shift = Shift::begin(person.clone());
    shift.move_to(Some(members[REVIEW].process.address));

    let file = dir.path().join("comments.jsonl");
    comments::write_jsonl(&file, COMMENTS)?;
    // An import of its own, straight to Kafka.
    let importer = {
        let mut own = shared.clone();
        own.data.dir = dir.path().join("import");
        let config = dir.path().join("import.toml");
        process::write_config(&own, &config)?;
        config
    };
    let import = {
        let arguments = ["import", text(&file), "--account", comments::ACCOUNT, "--config", text(&importer)].map(str::to_owned);
        move || process::command(VIGIE, &arguments.each_ref().map(String::as_str), b"")
    };
    let first = std::thread::spawn(import.clone());

    for kill in 0..KILLS {
        let moment = rand::rng().random_range(100..900);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let victim = rand::rng().random_range(0..members.len());
        if victim == REVIEW {
            shift.move_to(None);
        }
        members[victim]
            .kill_and_restart()
            .await
            .map_err(|error| error.context(format!("after kill {kill}")))?;
        shift.move_to(Some(members[REVIEW].process.address));
        if kill == KILLS / 2 {
            kafka.pause()?;
            tokio::time::sleep(OUTAGE).await;
            kafka.resume()?;
        }
    }
    if !first.join().expect("the thread of the import does not panic")?.status.success() {
        let said = import()?;
        anyhow::ensure!(said.status.success(), "the last import failed: {}", said.err);
    }
    let processes: Vec<&Process> = members.iter().map(|member| &member.process).collect();
    metrics::settled(&processes).await?;
    let acknowledged = shift.end();
    anyhow::ensure!(!acknowledged.is_empty(), "nobody decided anything: the test tests nothing");
    metrics::settled(&processes).await?;

    let bus = vigie_bus::kafka::KafkaBus::connect(shared.bus.kafka.clone().unwrap_or_default().resolve()?).await?;
    let topics = consistency::read(bus.as_ref()).await?;
    topics.every_comment_has_one_verdict(COMMENTS)?;
    topics.every_decision_is_published(&acknowledged, &review).await?;
    topics.nothing_is_queued_twice(&review).await?;
    topics.every_action_ends_once()?;
    topics
        .every_escalation_is_archived_once(&person.at(members[ARCHIVE].process.address))
        .await?;
    vigie_bus::Bus::close(bus.as_ref()).await?;
    for member in &mut members {
        let status = member.process.stop(Duration::from_secs(40)).await?;
        anyhow::ensure!(
            status.success(),
            "SIGTERM ended {} with {status}: {}",
            member.service,
            member.process.tail()
        );
    }
    Ok(())
}
