//! The consumer: facts from three topics into the tables, then from the tables into the index.
//!
//! Delivery: at least once in, exactly once in tables and index. The tables commit before the index does and the bus after both; a
//! crash anywhere between is made good by [`Archivist::catch_up`], which runs at the start, after every batch and between batches.

use std::path::Path;

use async_trait::async_trait;
use prometheus::IntCounter;
use vigie_bus::Delivery;
use vigie_domain::{Topic, WireError, decode};
use vigie_runtime::{Handler, Rejected, Runtime};

use crate::index::{ReportIndex, Searcher};
use crate::store::{Fact, Store};

/// Records of one batch.
pub const BATCH_RECORDS_MAX: usize = 256;
const INDEX_BATCH: i64 = 500;

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
