//! Comments from files: JSON Lines and CSV.
//!
//! [`rows`] reads a file row by row, in constant memory, and says of each bad row where it is and why; [`Importer::accept`] brings
//! rows into `[comments]`. Reading is pure: no clock, no configuration; the same file gives the same rows everywhere.
//!
//! Delivery: at least once; what [`Importer::accept`] returned is durable. A rerun finds everything known and publishes nothing.
//! A bad row never stops the others.

mod csv;
mod fields;
mod importer;
mod jsonl;
mod lines;
#[cfg(test)]
mod tests;

use std::io::BufRead;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vigie_domain::Platform;

pub use fields::read_json;
pub use importer::{Importer, Outcome};

/// The longest row, in bytes: a text of 1 MiB with every character escaped, and room for the rest.
pub const ROW_BYTES_MAX: usize = 16 << 20;

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// A header line, then one record a row, separated by `,` or `;`.
    Csv,
}

impl Format {
    /// By the ending of the name: `.jsonl`, `.ndjson` and `.json` are JSON Lines, `.csv` is CSV.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// A comment as a file or a webhook gives it. Ids are opaque, not empty, and hold no control or direction marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Where it was written.
    pub platform: Platform,
    /// The account as the source names it; the account that the rows are accepted for counts.
    pub account_id: String,
    /// The post at the root of the thread.
    pub post_id: String,
    /// The comment.
    pub comment_id: String,
    /// Publication.
    pub created_at: Timestamp,
    /// As it stands, control characters included; may be empty.
    pub text: String,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Who wrote it. Personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_id: Option<String>,
    /// Last edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// Deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Public address; anything but http and https is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permalink: Option<String>,
    /// Language, as the source claims it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Text of the comment it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_text: Option<String>,
    /// Text of the post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_text: Option<String>,
    /// What it was read from: the line of a JSON Lines file; of CSV the record as a JSON object.
    pub raw: String,
}

/// A row that cannot be used. Never quotes the row: a report may go to a terminal or a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RowError {
    /// Where the row begins, counted from 1.
    pub line: u64,
    /// What is wrong and what is expected.
    pub reason: String,
}

/// The rows of a file, each with the line it begins at. Ends early only where the file cannot be read at all, which is its last error.
pub fn rows<R: BufRead + Send + 'static>(reader: R, format: Format) -> Box<dyn Iterator<Item = Result<(u64, Row), RowError>> + Send> {
    match format {
        Format::Jsonl => Box::new(jsonl::Rows::new(reader)),
        Format::Csv => Box::new(csv::Rows::new(reader)),
    }
}
