//! How far the reading of one Mastodon account got. Opaque to the caller.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schedule::Posts;

const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    version: u32,
    /// The account's own id; found by its name at first.
    #[serde(default)]
    pub account: Option<String>,
    #[serde(default)]
    pub posts: Posts,
    #[serde(default)]
    pub posts_read_at: Option<Timestamp>,
    #[serde(default)]
    pub mentions: Mentions,
    #[serde(default)]
    pub mentions_read_at: Option<Timestamp>,
}

/// How far the mentions were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mentions {
    /// None was ever seen.
    #[default]
    Start,
    /// Walking back through those that were there at the beginning; `high` was the newest of them.
    Backfill { high: String, max_id: String, pages: u32 },
    /// Walking forward, without gaps, from this one.
    Forward { min_id: String },
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            version: VERSION,
            account: None,
            posts: Posts::default(),
            posts_read_at: None,
            mentions: Mentions::Start,
            mentions_read_at: None,
        }
    }
}

impl Cursor {
    /// What a page left; the beginning where there is none, or one that this build cannot read: reading again does no harm.
    pub fn read(text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::default() };
        match serde_json::from_str::<Self>(text) {
            Ok(cursor) if cursor.version == VERSION => cursor,
            _ => {
                tracing::warn!("the stored position of a Mastodon account cannot be read: its threads are read from the beginning");
                Self::default()
            }
        }
    }

    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("a cursor has string keys and times")
    }
}
