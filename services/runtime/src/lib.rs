//! What every service stands on: configuration, secrets, logs, metrics, health, database handles, the consumer loop, signals and drain.
//!
//! The only crate that reads the environment. Nothing here knows what a service does.

pub mod accounts;
pub mod config;
pub mod consume;
pub mod database;
pub mod health;
pub mod keys;
pub mod logs;
pub mod policies;
pub mod secret;
pub mod server;
pub mod signals;
pub mod testing;
pub mod units;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vigie_bus::Bus;
pub use vigie_bus::Record;

pub use accounts::{Account, Accounts};
pub use config::RuntimeConfig;
pub use consume::{Handler, Rejected, consume, publish, record};
pub use database::{Database, Databases, Engine, Migration};
pub use health::{Component, Health};
pub use keys::Keys;
pub use policies::Policies;
pub use secret::Secret;

/// What a service is given. Cheap to clone; there are no globals.
#[derive(Clone)]
pub struct Runtime {
    /// The bus, embedded or Kafka.
    pub bus: Arc<dyn Bus>,
    /// Where metrics are registered.
    pub registry: prometheus::Registry,
    /// Cancelled when the process must stop: finish the batch in hand, then return.
    pub stop: CancellationToken,
    /// What /readyz says.
    pub health: Health,
    /// Opens a service's database.
    pub databases: Databases,
    /// Pseudonyms, sealing and the audit draw.
    pub keys: Keys,
    /// The accounts watched.
    pub accounts: Accounts,
    /// The policies of the institutions.
    pub policies: Policies,
    /// Where this process keeps its files.
    pub data_dir: PathBuf,
    /// Lag and dead letters, shared by every consumer loop.
    pub(crate) consumers: consume::Consumers,
    /// Closed while the process starts, see [`Runtime::hold`].
    gate: Arc<watch::Sender<bool>>,
    /// Held as long as the process uses the data directory.
    _lock: Arc<DataLock>,
}

/// A service that runs: its routes and its tasks.
pub struct Started {
    /// Name of the service.
    pub name: &'static str,
    /// Its pages and endpoints, to be merged with those of the others.
    pub routes: axum::Router,
    /// Its tasks; each returns once `stop` is cancelled and its batch in hand is finished.
    pub tasks: Vec<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

impl Runtime {
    /// Opens everything that the services share.
    ///
    /// # Errors
    /// A data directory that is in use, read-only or on a full disk; an unreachable bus or database; a policy, key or account that
    /// cannot be used. Each says what to do.
    pub async fn open(config: &RuntimeConfig) -> anyhow::Result<Self> {
        let data_dir = config.data.dir.clone();
        let lock = DataLock::take(&data_dir).await?;
        let registry = prometheus::Registry::new();
        let policies = Policies::open(config.policies.dir.as_deref())?;
        let accounts = Accounts::read(&config.accounts, &policies)?;
        let policies = policies.with_accounts(accounts.iter());
        let keys = Keys::open(&config.keys, &data_dir)?;
        let databases = Databases::new(&config.database, &data_dir)?;
        let bus = open_bus(config).await?;
        let consumers = consume::Consumers::register(&registry)?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            bus,
            registry,
            stop: CancellationToken::new(),
            health: Health::default(),
            databases,
            keys,
            accounts,
            policies,
            data_dir,
            consumers,
            gate: Arc::new(watch::Sender::new(true)),
            _lock: Arc::new(lock),
        })
    }

    /// Makes every consumer loop wait before its first record, until [`Runtime::release`]: where one service of a process cannot
    /// start, the others have done nothing.
    pub fn hold(&self) {
        self.gate.send_replace(false);
    }

    /// Lets the consumer loops begin.
    pub fn release(&self) {
        self.gate.send_replace(true);
    }

    /// False where the process stops before it was released.
    pub(crate) async fn released(&self) -> bool {
        let mut gate = self.gate.subscribe();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            open = gate.wait_for(|open| *open) => open.is_ok(),
        }
    }
}

async fn open_bus(config: &RuntimeConfig) -> anyhow::Result<Arc<dyn Bus>> {
    match &config.bus.kafka {
        Some(kafka) => {
            let kafka = kafka.resolve()?;
            let brokers = kafka.brokers.clone();
            let bus = vigie_bus::kafka::KafkaBus::connect(kafka)
                .await
                .with_context(|| format!("could not reach Kafka at {brokers}; check [bus.kafka] brokers and security"))?;
            Ok(bus)
        }
        None => {
            let path = config.data.dir.join("bus.db");
            let bus = vigie_bus::embedded::EmbeddedBus::open(&path, config.bus.embedded.options())
                .await
                .with_context(|| format!("could not open the embedded bus {}", path.display()))?;
            Ok(bus)
        }
    }
}

/// The exclusive use of a data directory by one process; released by the kernel, also after kill -9.
struct DataLock {
    _file: std::fs::File,
}

const LOCK_ATTEMPTS: u32 = 20;
const LOCK_DELAY: Duration = Duration::from_millis(50);

impl DataLock {
    /// Waits a moment for a command that is about to finish.
    async fn take(dir: &std::path::Path) -> anyhow::Result<Self> {
        use std::io::{Read as _, Seek as _, Write as _};
        std::fs::create_dir_all(dir).with_context(|| {
            format!(
                "could not create the data directory {}; choose a writable one with --data DIR",
                dir.display()
            )
        })?;
        let path = dir.join("vigie.lock");
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| {
                format!(
                    "could not write to the data directory {}; choose a writable one with --data DIR",
                    dir.display()
                )
            })?;
        let mut patience = LOCK_ATTEMPTS;
        while file.try_lock().is_err() {
            if patience > 0 {
                patience -= 1;
                tokio::time::sleep(LOCK_DELAY).await;
                continue;
            }
            let mut holder = String::new();
            file.read_to_string(&mut holder).ok();
            anyhow::bail!(
                "the data directory {} is in use by another vigie (process {}); stop it, or choose another with --data DIR",
                dir.display(),
                holder.trim()
            );
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .and_then(|()| file.sync_all())
            .with_context(|| format!("could not write {}; is the disk full?", path.display()))?;
        Ok(Self { _file: file })
    }
}
