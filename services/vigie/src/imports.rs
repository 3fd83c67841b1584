//! Batches of rows into [comments], by whoever holds the bus.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use vigie_collector::import::{Importer, Outcome, Row};
use vigie_domain::AccountId;
use vigie_runtime::Runtime;

/// Some rows of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) account: AccountId,
    /// Each with its line.
    pub(crate) rows: Vec<(u64, Row)>,
    /// How many rows before these could not even be read.
    pub(crate) unreadable: u64,
}

/// The importer, opened when it is first needed. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Imports {
    runtime: Runtime,
    importer: Arc<OnceCell<Importer>>,
}

impl Imports {
    pub(crate) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            importer: Arc::default(),
        }
    }

    /// Takes a batch in; what it returns is durable.
    pub(crate) async fn accept(&self, batch: Batch) -> anyhow::Result<Outcome> {
        let importer = self.importer.get_or_try_init(|| Importer::open(&self.runtime)).await?;
        importer.count_unreadable(&batch.account, batch.unreadable);
        importer.accept(&batch.account, batch.rows).await
    }
}
