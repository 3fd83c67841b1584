//! How far the reading of one Bluesky account got. Opaque to the caller.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schedule::Posts;

const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    version: u32,
    #[serde(default)]
    pub did: Option<String>,
    #[serde(default)]
    pub posts: Posts,
    #[serde(default)]
    pub posts_read_at: Option<Timestamp>,
    #[serde(default)]
    pub notifications: Sweep,
    #[serde(default)]
    pub notifications_read_at: Option<Timestamp>,
}

/// How far the notifications were read. They come newest first: a sweep goes down from `high` to `low`, page by page, and only when it
/// has arrived does `high` become the new `low`. A crash in mid-sweep goes on with the page it was at, and leaves no gap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sweep {
    /// Everything up to here is read.
    #[serde(default)]
    pub low: Option<Timestamp>,
    /// Where the sweep in progress began.
    #[serde(default)]
    pub high: Option<Timestamp>,
    /// The next page of the sweep in progress.
    #[serde(default)]
    pub page: Option<String>,
    #[serde(default)]
    pub pages: u32,
    /// Of the first page as it was: where it is unchanged, there is nothing new.
    #[serde(default)]
    pub digest: Option<String>,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            version: VERSION,
            did: None,
            posts: Posts::default(),
            posts_read_at: None,
            notifications: Sweep::default(),
            notifications_read_at: None,
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
                tracing::warn!("the stored position of a Bluesky account cannot be read: its threads are read from the beginning");
                Self::default()
            }
        }
    }

    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("a cursor has string keys and times")
    }
}
