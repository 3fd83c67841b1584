//! The archive: threat reports, searchable.
//!
//! A threat report opens when the classifier or a person escalates a comment. It gathers the verdict, the decisions, what was asked
//! of the platform and the evidence chain, from three topics, whatever their order. Delivery: at least once in, exactly once in the
//! tables and in the index (see [`service`]). It does not decide anything, never sends a report anywhere by itself, and keeps nothing
//! of the text of comments that were never escalated.

pub mod analysis;
pub mod chain;
pub mod index;
pub mod limitation;
pub mod search;
pub mod service;
pub mod state;
pub mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vigie_runtime::Runtime;

use service::Archivist;

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
        Self { index_dir: None, export_reports_max: 10_000 }
    }
}

impl Config {
    fn index_dir(&self, runtime: &Runtime) -> PathBuf {
        self.index_dir.clone().unwrap_or_else(|| runtime.data_dir.join("archive-index"))
    }
}
