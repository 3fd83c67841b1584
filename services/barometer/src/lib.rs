//! The barometer: hourly roll-ups of what was received, labels of the blind audit, estimators, editions.
//!
//! [`estimate`], [`figures`] and everything that makes the files of an edition from its inputs are pure. The service consumes
//! verdicts and decisions, at least once, and counts each comment once. It keeps no text.

pub mod edition;
pub mod estimate;
pub mod figures;
pub mod french;
pub mod inputs;
pub mod labels;
mod pages;
pub mod period;
pub mod service;
pub mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vigie_runtime::{Runtime, Started};
use vigie_web::Web;

use service::{BATCH_RECORDS_MAX, Counter, TOPICS};
use store::Store;

/// The section `[barometer]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the editions built from the page; `editions` in the data directory where absent.
    pub editions_dir: Option<PathBuf>,
}

impl Config {
    fn editions_dir(&self, runtime: &Runtime) -> PathBuf {
        self.editions_dir.clone().unwrap_or_else(|| runtime.data_dir.join("editions"))
    }
}

/// Starts the barometer: the consumer and the pages.
///
/// # Errors
/// The database cannot be opened.
pub async fn start(config: Config, runtime: Runtime, _web: Web) -> anyhow::Result<Started> {
    let store = Store::open(&runtime).await?;
    let routes = pages::routes(pages::Pages {
        store: store.clone(),
        editions_dir: config.editions_dir(&runtime),
    });
    let counter = Counter::new(store);
    let task = tokio::spawn(async move { vigie_runtime::consume(&runtime, "barometer", &TOPICS, BATCH_RECORDS_MAX, counter).await });
    Ok(Started {
        name: "barometer",
        routes,
        tasks: vec![task],
    })
}
