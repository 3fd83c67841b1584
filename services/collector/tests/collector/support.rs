//! What the tests of the service share: a process with its collector, what it published, its metrics.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use vigie_bus::Bus;
use vigie_collector::{Config, PaceConfig, PresenceConfig};
use vigie_domain::{AccountId, Comment, Topic, decode};
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::config::{DataConfig, RuntimeConfig};
use vigie_runtime::secret::SecretSource;
use vigie_runtime::units::Interval;
use vigie_runtime::{Runtime, Started};

/// The entry of an account without anything particular.
pub fn account(id: &str, platform: &str) -> AccountConfig {
    AccountConfig {
        id: id.to_owned(),
        platform: platform.to_owned(),
        institution: "musee-test".to_owned(),
        name: None,
        policy: "default".to_owned(),
        base_url: None,
        handle: None,
        watch: false,
        dry_run: true,
        token: None,
        login: None,
        labeler_did: None,
        webhook_secrets: Vec::new(),
    }
}

/// A secret in a file.
pub fn secret(dir: &Path, name: &str, value: &str) -> anyhow::Result<SecretSource> {
    let path = dir.join(name);
    std::fs::write(&path, value)?;
    Ok(SecretSource::File(path))
}

/// A runtime on the embedded bus and SQLite in `dir`.
pub async fn runtime(dir: &Path, accounts: &[AccountConfig]) -> anyhow::Result<Runtime> {
    let config = RuntimeConfig {
        data: DataConfig { dir: dir.join("data") },
        accounts: accounts.to_vec(),
        ..RuntimeConfig::default()
    };
    Runtime::open(&config).await
}

/// Asks often enough for a test, and seldom enough for the limits of a server.
pub fn config() -> Config {
    let often = Interval::milliseconds(1500);
    Config {
        rest: Interval::milliseconds(100),
        back_off_max: Interval::seconds(2),
        paused_retry: Interval::seconds(2),
        pace: PaceConfig {
            day: often,
            week: often,
            month: often,
            older: often,
            posts: often,
            notifications: often,
        },
        presence: PresenceConfig {
            every: Interval::seconds(1),
            day: Interval::seconds(3),
            ..PresenceConfig::default()
        },
        ..Config::default()
    }
}

/// A running collector; dropping it without [`Running::stop`] is a crash.
pub struct Running {
    pub runtime: Runtime,
    pub routes: axum::Router,
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

impl Running {
    /// With metrics of its own, as a new process has them.
    pub async fn start(config: Config, mut runtime: Runtime) -> anyhow::Result<Self> {
        runtime.registry = prometheus::Registry::new();
        let Started { routes, tasks, .. } = vigie_collector::start(config, runtime.clone()).await?;
        Ok(Self { runtime, routes, tasks })
    }

    /// Ends every task where it stands.
    pub async fn crash(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }

    /// Stops as SIGTERM does.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.runtime.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(20), task).await???;
        }
        Ok(())
    }
}

/// Everything on [comments], in order of each key.
pub async fn published(bus: &dyn Bus) -> anyhow::Result<Vec<Comment>> {
    let group = format!("test-{}", rand::random::<u32>());
    let mut consumer = bus.subscribe(&group, &[Topic::Comments]).await?;
    let mut comments = Vec::new();
    loop {
        let batch = consumer.receive(500, Duration::from_millis(200)).await?;
        if batch.is_empty() {
            return Ok(comments);
        }
        for delivery in batch {
            comments.push(decode(&delivery.record.payload)?);
        }
    }
}

/// The revisions of each comment of `account` in order, each once; `†` is a deletion.
pub async fn histories(bus: &dyn Bus, account: &str) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let account = AccountId::new(account)?;
    let mut histories: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for comment in published(bus).await?.into_iter().filter(|comment| comment.account == account) {
        let shown = if comment.deleted.is_some() {
            "†".to_owned()
        } else {
            comment.text
        };
        let history = histories.entry(comment.native_id.to_string()).or_default();
        if !history.contains(&shown) {
            history.push(shown);
        }
    }
    Ok(histories)
}

/// Awaits a condition.
pub async fn until<F: Future<Output = anyhow::Result<bool>>>(what: &str, mut holds: impl FnMut() -> F) -> anyhow::Result<()> {
    let deadline = std::time::Instant::now() + Duration::from_secs(90);
    while std::time::Instant::now() < deadline {
        if holds().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    anyhow::bail!("waited 90 s in vain until {what}")
}

/// The sum of the series of `name` that carry `label`.
pub fn metric(runtime: &Runtime, name: &str, label: &str) -> f64 {
    let families = runtime.registry.gather();
    let Some(family) = families.iter().find(|family| family.name() == name) else {
        return f64::NAN;
    };
    family
        .get_metric()
        .iter()
        .filter(|metric| label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label))
        .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
        .sum()
}
