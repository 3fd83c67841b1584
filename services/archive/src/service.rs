//! The consumer: facts from three topics into the tables, then from the tables into the index.
//!
//! Delivery: at least once in, exactly once in tables and index. The tables commit before the index does and the bus after both; a
//! crash anywhere between is made good by [`Archivist::catch_up`], which runs at the start, after every batch and between batches.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::IntCounter;
use vigie_bus::{Bus, Delivery};
use vigie_domain::{Topic, WireError, decode};
use vigie_runtime::{Handler, Rejected, Runtime};

use crate::index::{ReportIndex, Searcher};
use crate::store::{Fact, Store};

/// Records of one batch.
pub const BATCH_RECORDS_MAX: usize = 256;
const INDEX_BATCH: i64 = 500;
const REPLAY_WAIT: Duration = Duration::from_secs(5);
/// After so many waits in vain a replay gives up.
const REPLAY_SILENCES_MAX: u32 = 12;

/// What the archive reads.
pub const TOPICS: [Topic; 3] = [Topic::Verdicts, Topic::Decisions, Topic::Enforcements];

/// The archive without its pages.
pub struct Archivist {
    store: Store,
    index: ReportIndex,
    reports: IntCounter,
}

impl Archivist {
    /// Opens tables and index, and brings the index up to date.
    ///
    /// # Errors
    /// The database or the directory of the index cannot be used.
    pub async fn open(runtime: &Runtime, dir: &Path) -> anyhow::Result<Self> {
        let store = Store::open(runtime).await?;
        let (changed, origin) = store.position().await?;
        let index = ReportIndex::open(dir, &origin, changed)?;
        let reports = IntCounter::new("vigie_archive_reports_total", "Threat reports opened since the archive exists.")?;
        runtime.registry.register(Box::new(reports.clone()))?;
        reports.inc_by(store.count().await?);
        let mut archivist = Self { store, index, reports };
        archivist.catch_up().await?;
        Ok(archivist)
    }

    /// The tables.
    #[must_use]
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// Reads the index.
    #[must_use]
    pub fn searcher(&self) -> Searcher {
        self.index.searcher()
    }

    /// Writes to the index what the tables have and it lacks. Returns how many reports were written.
    ///
    /// # Errors
    /// The database or the disk failed; calling again goes on where it stopped.
    pub async fn catch_up(&mut self) -> anyhow::Result<usize> {
        let mut written = 0;
        loop {
            let reports = self.store.changed_after(self.index.changed(), INDEX_BATCH).await?;
            if reports.is_empty() {
                return Ok(written);
            }
            off_the_event_loop(|| self.index.write(&reports))?;
            written += reports.len();
        }
    }

    /// Throws the index away and makes it again from the tables.
    ///
    /// # Errors
    /// The database or the disk failed.
    pub async fn reindex(&mut self) -> anyhow::Result<usize> {
        self.index.clear()?;
        self.catch_up().await
    }

    /// Reads the topics again from their beginning into the tables, and then what is new into the index. What the tables know already
    /// changes nothing. Nothing is committed: the place of the running archive stays, and the bus forgets the reader. Returns how many
    /// records were read; `progress` is told after each batch, with how many there were at the start.
    ///
    /// # Errors
    /// The bus or the database failed, or the topics ended before their end; calling again is safe.
    pub async fn replay(&mut self, bus: &dyn Bus, mut progress: impl FnMut(u64, u64)) -> anyhow::Result<u64> {
        let group = format!("archive-rebuild-{}", jiff::Timestamp::now().as_microsecond());
        let mut left: BTreeMap<Topic, u64> = bus
            .lag(&group, &TOPICS)
            .await?
            .into_iter()
            .map(|lag| (lag.topic, lag.records))
            .collect();
        let total: u64 = left.values().sum();
        let mut read = 0;
        let mut consumer = bus.subscribe(&group, &TOPICS).await?;
        let mut silent = 0;
        while left.values().any(|records| *records > 0) {
            let batch = consumer.receive(BATCH_RECORDS_MAX, REPLAY_WAIT).await?;
            silent = if batch.is_empty() { silent + 1 } else { 0 };
            anyhow::ensure!(
                silent < REPLAY_SILENCES_MAX,
                "the bus gave {read} of {total} records and no more; see that it is healthy and start again"
            );
            for rejected in self.apply(&batch).await? {
                tracing::warn!(
                    error = rejected.error,
                    "a record that cannot be read is passed over; it was sent to the dead letters when it was new"
                );
            }
            self.catch_up().await?;
            for delivery in &batch {
                if let Some(records) = left.get_mut(&delivery.topic) {
                    *records = records.saturating_sub(1);
                }
            }
            read += batch.len() as u64;
            progress(read, total);
        }
        Ok(read)
    }

    /// Applies deliveries to the tables only.
    ///
    /// # Errors
    /// The database failed: nothing was applied.
    pub async fn apply(&self, batch: &[Delivery]) -> anyhow::Result<Vec<Rejected>> {
        let mut facts = Vec::with_capacity(batch.len());
        let mut rejected = Vec::new();
        for (index, delivery) in batch.iter().enumerate() {
            match fact(delivery) {
                Ok(fact) => facts.extend(fact),
                Err(error) => rejected.push(Rejected {
                    index,
                    error: error.to_string(),
                }),
            }
        }
        let applied = self.store.apply(&facts).await?;
        self.reports.inc_by(applied.opened);
        Ok(rejected)
    }
}

/// Writing an index waits for the disk: other tasks go on meanwhile, where the runtime has other threads.
fn off_the_event_loop<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn fact(delivery: &Delivery) -> Result<Option<Fact>, WireError> {
    let payload = &delivery.record.payload;
    Ok(match delivery.topic {
        Topic::Verdicts => Some(Fact::Verdict(Box::new(decode(payload)?))),
        Topic::Decisions => Some(Fact::Decision(Box::new(decode(payload)?))),
        Topic::Enforcements => Some(Fact::Enforcement(Box::new(decode(payload)?))),
        Topic::Comments | Topic::DeadLetters => None,
    })
}

#[async_trait]
impl Handler for Archivist {
    async fn handle(&mut self, batch: &[Delivery]) -> anyhow::Result<Vec<Rejected>> {
        let rejected = self.apply(batch).await?;
        self.catch_up().await?;
        Ok(rejected)
    }

    /// Another process may have written to the tables.
    async fn idle(&mut self) -> anyhow::Result<()> {
        self.catch_up().await.map(drop)
    }
}
