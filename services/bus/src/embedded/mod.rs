//! The embedded bus: a durable log in SQLite (WAL), in this process. Not a broker, speaks no protocol: for one machine.
//!
//! Delivery: at least once, in order per key (indeed per topic). [`Bus::publish`] returns after the fsync of the transaction that
//! holds the batch, so that an acknowledged record survives kill -9 and a power cut. Publishes and commits that come at the same
//! time share one transaction and one fsync (group commit).
//!
//! Members of a group: one is active per topic and gets all its records; the others stand by, and one of them takes over, at the
//! committed offset, as soon as the active one is dropped. Hence the order per key needs no partitions.
//!
//! Retention drops the oldest records, by age and by size, but never one that a known group has not committed. A group is known
//! while it has a member, and from its first commit until it has been without members for `group_expiry`. Records of a topic
//! without any group are dropped by age only.
//!
//! Back-pressure: a publish waits while a group with members is `backlog_records_max` behind on its topic, and fails transiently
//! after `backlog_wait_max`. It does not wait for a group that has not committed anything for `backlog_stall`: otherwise a service
//! that publishes to a topic before it commits another could wait for itself, directly or in a circle. So a stuck group slows its
//! publishers to a batch per `backlog_stall`, and cannot stop them.
//!
//! One process at a time: a lock file beside the log is held while it is open. Only [`past`] reads without it, beside that process.

mod consumer;
mod log;
mod past;
mod state;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use vigie_domain::Topic;

use self::consumer::EmbeddedConsumer;
use self::log::{Log, Reader};
pub use self::past::past;
use self::state::State;
use self::writer::{Command, Writer};
use crate::{Bus, BusError, Consumer, Lag, Record, check_sizes};

/// Commands that wait for the writer; a full queue makes publishers wait.
const COMMANDS_MAX: usize = 256;
/// How long opening waits for a former holder of the log to finish.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How the log behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Records older than this are dropped once every group has committed them.
    pub retention: Duration,
    /// The oldest records are dropped over this size, once every group has committed them.
    pub size_bytes_max: u64,
    /// How often the retention is applied.
    pub retention_interval: Duration,
    /// Publishing waits while any group is this many records behind.
    pub backlog_records_max: u64,
    /// A group that commits nothing for this long is not waited for.
    pub backlog_stall: Duration,
    /// The longest that a publish waits for a group that does advance; then it fails transiently.
    pub backlog_wait_max: Duration,
    /// A group without members for this long, counted while the log is open, is forgotten.
    pub group_expiry: Duration,
    /// The file never grows beyond this: publishing then fails transiently, as on a full disk. `None`: as the disk allows.
    pub file_bytes_max: Option<u64>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(30 * 86_400),
            size_bytes_max: 4 << 30,
            retention_interval: Duration::from_secs(60),
            backlog_records_max: 1_000_000,
            backlog_stall: Duration::from_secs(10),
            backlog_wait_max: Duration::from_secs(30),
            group_expiry: Duration::from_secs(30 * 86_400),
            file_bytes_max: None,
        }
    }
}

/// The embedded bus.
pub struct EmbeddedBus {
    shared: Arc<Shared>,
    options: EmbeddedOptions,
}

/// What the bus and its consumers share.
struct Shared {
    state: State,
    reader: Reader,
    commands: mpsc::Sender<Command>,
    _lock: Arc<LogLock>,
}

impl Shared {
    async fn send(&self, command: impl FnOnce(oneshot::Sender<Result<(), BusError>>) -> Command) -> Result<(), BusError> {
        let closed = || BusError::Permanent("the embedded log is closed".to_owned());
        let (done, outcome) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }
}

impl EmbeddedBus {
    /// Opens the log at `path`, or makes it.
    ///
    /// # Errors
    /// Permanent: another process holds it, the folder cannot be written, the file is damaged or of a newer version. Transient: the
    /// disk is full.
    pub async fn open(path: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, BusError> {
        let lock = Arc::new(LogLock::take(path).await?);
        let (log, loaded) = Log::open(path, options.file_bytes_max).await?;
        let reader = Reader::open(path).await?;
        let state = State::new(loaded);
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let writer = Writer::new(log, state.clone(), inbox, options.clone(), Arc::clone(&lock));
        tokio::spawn(writer.run());
        let shared = Arc::new(Shared {
            state,
            reader,
            commands,
            _lock: lock,
        });
        Ok(Arc::new(Self { shared, options }))
    }

    /// Waits while a group that advances is too far behind on `topic`; see the module's text.
    async fn await_room(&self, topic: Topic) -> Result<(), BusError> {
        let started = Instant::now();
        let deadline = started + self.options.backlog_wait_max;
        let mut changes = self.shared.state.changes();
        loop {
            changes.borrow_and_update();
            let behind = self.shared.state.behind(topic, self.options.backlog_records_max);
            if behind.is_empty() {
                return Ok(());
            }
            let stalled = |advanced: Instant| advanced.max(started) + self.options.backlog_stall;
            let now = Instant::now();
            let Some(group) = behind.iter().find(|group| stalled(group.advanced) > now) else {
                tracing::warn!(
                    topic = topic.name(),
                    group = behind[0].name,
                    records = behind[0].records,
                    "publishing although group `{}` is behind and commits nothing; is its service stuck?",
                    behind[0].name
                );
                return Ok(());
            };
            if now >= deadline {
                return Err(BusError::Transient(format!(
                    "group `{}` is {} records behind on `{topic}`; publishing waits for it",
                    group.name, group.records
                )));
            }
            let until = stalled(group.advanced).min(deadline);
            // Either outcome is a reason to look again; the state lives as long as this bus.
            let _ = tokio::time::timeout_at(until, changes.changed()).await;
        }
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    async fn publish(&self, topic: Topic, batch: Vec<Record>) -> Result<(), BusError> {
        if batch.is_empty() {
            return Ok(());
        }
        check_sizes(&batch)?;
        self.await_room(topic).await?;
        self.shared.send(|done| Command::Append { topic, batch, done }).await
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Consumer>, BusError> {
        if group.is_empty() || topics.is_empty() {
            return Err(BusError::Permanent(
                "a subscription needs a group and at least one topic".to_owned(),
            ));
        }
        if self.shared.commands.is_closed() {
            return Err(BusError::Permanent("the embedded log is closed".to_owned()));
        }
        Ok(Box::new(EmbeddedConsumer::join(Arc::clone(&self.shared), group, topics)))
    }

    async fn lag(&self, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError> {
        let lag = |topic: &Topic| Lag {
            group: group.to_owned(),
            topic: *topic,
            records: self.shared.state.lag(group, *topic),
        };
        Ok(topics.iter().map(lag).collect())
    }

    async fn ping(&self) -> Result<(), BusError> {
        if self.shared.commands.is_closed() {
            return Err(BusError::Permanent("the embedded log is closed".to_owned()));
        }
        self.shared.reader.ping().await
    }

    async fn close(&self) -> Result<(), BusError> {
        if self.shared.commands.is_closed() {
            return Ok(());
        }
        let closed = self.shared.send(|done| Command::Close { done }).await;
        self.shared.reader.close().await;
        closed
    }
}

/// The exclusive use of a log by one process; released by the kernel, also after kill -9.
pub(crate) struct LogLock {
    _file: std::fs::File,
}

impl LogLock {
    async fn take(path: &Path) -> Result<Self, BusError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock_path = PathBuf::from(name);
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|error| {
                BusError::Permanent(format!(
                    "could not write {}: {error}; choose a folder that exists and is writable",
                    lock_path.display()
                ))
            })?;
        let deadline = Instant::now() + LOCK_WAIT;
        while file.try_lock().is_err() {
            if Instant::now() >= deadline {
                return Err(BusError::Permanent(format!(
                    "the log {} is in use by another process; stop it, or choose another data directory",
                    path.display()
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { _file: file })
    }
}
