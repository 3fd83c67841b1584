//! A record that could not be processed, kept with its origin so that it can be replayed.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CommentId, RecordId};
use crate::wire::WireRecord;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Key of the original record: a comment id, or a digest where the key was unreadable.
    pub key: CommentId,
    /// Full name of the topic it came from.
    pub topic: String,
    /// Partition it came from.
    pub partition: i32,
    /// Offset it came from.
    pub offset: i64,
    /// Which service gave up on it.
    pub service: String,
    /// Why; never holds the comment's text.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub at: Timestamp,
    /// The original payload, base64: it may not be UTF-8.
    pub payload: String,
}

impl WireRecord for DeadLetter {
    const NAME: &'static str = "dead-letter";
    const MAJOR: u32 = 1;

    fn record_id(&self) -> RecordId {
        RecordId::derive(&[
            "dead-letter",
            &self.service,
            &self.topic,
            &self.partition.to_string(),
            &self.offset.to_string(),
        ])
    }

    fn key(&self) -> &CommentId {
        &self.key
    }
}
