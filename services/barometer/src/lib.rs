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
pub mod period;
pub mod service;
pub mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vigie_runtime::Runtime;

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
