//! The archive: threat reports, searchable.
//!
//! A threat report opens when the classifier or a person escalates a comment. It gathers the verdict, the decisions, what was asked
//! of the platform and the evidence chain, from three topics, whatever their order, and is erased when its time is over
//! (see [`retention`]). Delivery: at least once in, exactly once in the
//! tables and in the index (see [`service`]). It does not decide anything, never sends a report anywhere by itself, and keeps nothing
//! of the text of comments that were never escalated.

pub mod analysis;
pub mod chain;
pub mod export;
pub mod index;
pub mod limitation;
mod pages;
pub mod retention;
pub mod search;
pub mod service;
pub mod state;
pub mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vigie_runtime::{Runtime, Started};
use vigie_web::Web;

use service::{Archivist, BATCH_RECORDS_MAX, TOPICS};

/// The section `[archive]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of the search index; `archive-index` in the data directory where absent. Each process needs one of its own.
    pub index_dir: Option<PathBuf>,
    /// The most reports that one export holds.
    pub export_reports_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            index_dir: None,
            export_reports_max: 10_000,
        }
    }
}

impl Config {
    fn index_dir(&self, runtime: &Runtime) -> PathBuf {
        self.index_dir.clone().unwrap_or_else(|| runtime.data_dir.join("archive-index"))
    }
}

/// Starts the archive: the consumer and the pages.
///
/// # Errors
/// The database or the directory of the index cannot be used.
pub async fn start(config: Config, runtime: Runtime, _web: Web) -> anyhow::Result<Started> {
    let archivist = Archivist::open(&runtime, &config.index_dir(&runtime)).await?;
    let routes = pages::routes(pages::Pages {
        store: archivist.store(),
        searcher: archivist.searcher(),
        accounts: runtime.accounts.clone(),
        policies: runtime.policies.clone(),
        export_reports_max: config.export_reports_max,
    });
    let metrics = retention::Metrics::register(&runtime.registry)?;
    let retention = tokio::spawn(retention::run(runtime.clone(), archivist.store(), metrics));
    let consumer = tokio::spawn(async move { vigie_runtime::consume(&runtime, "archive", &TOPICS, BATCH_RECORDS_MAX, archivist).await });
    Ok(Started {
        name: "archive",
        routes,
        tasks: vec![consumer, retention],
    })
}

/// What [`rebuild`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records read from the topics.
    pub records: u64,
    /// Reports in the new index.
    pub reports: usize,
}

/// Brings the tables up to what the topics hold, from their beginning, and makes the search index again from the tables. Reports that
/// are older than the retention of the topics stay. The archive must not be running on the same directory.
///
/// # Errors
/// The bus, the database or the directory of the index cannot be used, or another process writes the index.
pub async fn rebuild(config: &Config, runtime: &Runtime) -> anyhow::Result<Rebuilt> {
    rebuild_telling(config, runtime, |_, _| {}).await
}

/// As [`rebuild`]; tells after each batch how many records were read, and of how many.
///
/// # Errors
/// As [`rebuild`].
pub async fn rebuild_telling(config: &Config, runtime: &Runtime, progress: impl FnMut(u64, u64)) -> anyhow::Result<Rebuilt> {
    let mut archivist = Archivist::open(runtime, &config.index_dir(runtime)).await?;
    let records = archivist.replay(runtime.bus.as_ref(), progress).await?;
    let reports = archivist.reindex().await?;
    Ok(Rebuilt { records, reports })
}
