//! The past of a topic, read from the file itself: also while another process has the log open, which does not notice.
//!
//! Each call reads what it returns in a transaction of its own, so that the writer can clear its WAL in between.

use std::path::Path;

use async_trait::async_trait;
use vigie_domain::Topic;

use super::log::Reader;
use crate::{BusError, Delivery, Past, RECEIVE_BYTES_MAX};

struct EmbeddedPast {
    reader: Reader,
    topic: Topic,
    since_ms: i64,
    next: i64,
    end: i64,
    records: u64,
}

/// The records of `topic` in the log at `path` that were published from `since_ms` (milliseconds since the epoch) on.
///
/// # Errors
/// Permanent: there is no log, it is damaged, or this user may not read it.
pub async fn past(path: &Path, topic: Topic, since_ms: i64) -> Result<Box<dyn Past>, BusError> {
    let reader = Reader::open(path).await?;
    let span = reader.span(topic).await?;
    let next = first_since(&reader, topic, (span.first, span.next), since_ms).await?;
    Ok(Box::new(EmbeddedPast {
        reader,
        topic,
        since_ms,
        next,
        end: span.next,
        records: u64::try_from(span.next - next).unwrap_or(0),
    }))
}

/// The offset from which records are not older than `since_ms`, by halving: times rise with the offsets, unless the clock was set back.
async fn first_since(reader: &Reader, topic: Topic, (mut low, mut high): (i64, i64), since_ms: i64) -> Result<i64, BusError> {
    while low < high {
        let middle = low + (high - low) / 2;
        match reader.first_from(topic, middle).await? {
            Some((offset, at_ms)) if offset < high && at_ms < since_ms => low = offset + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

#[async_trait]
impl Past for EmbeddedPast {
    fn records(&self) -> u64 {
        self.records
    }

    async fn read(&mut self, records_max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            let mut batch = self
                .reader
                .read(self.topic, self.next, self.end, records_max, RECEIVE_BYTES_MAX)
                .await?;
            let Some(last) = batch.last() else { return Ok(batch) };
            self.next = last.offset + 1;
            batch.retain(|delivery| delivery.timestamp_ms >= self.since_ms);
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }
}
