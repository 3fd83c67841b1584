//! A member of a group on the embedded bus.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use vigie_domain::Topic;

use super::Shared;
use super::writer::Command;
use crate::{BusError, Consumer, Delivery, RECEIVE_BYTES_MAX};

/// Reads the topics on which it is the active member, and stands by on the others.
pub(super) struct EmbeddedConsumer {
    shared: Arc<Shared>,
    group: String,
    topics: Vec<Topic>,
    member: u64,
    cursors: Vec<Cursor>,
    /// Which cursor is read first, so that a busy topic does not starve the others.
    turn: usize,
}

struct Cursor {
    topic: Topic,
    position: i64,
    committed: i64,
}

impl EmbeddedConsumer {
    pub(super) fn join(shared: Arc<Shared>, group: &str, topics: &[Topic]) -> Self {
        let mut topics = topics.to_vec();
        topics.sort_unstable();
        topics.dedup();
        let member = shared.state.join(group, &topics);
        let mut consumer = Self {
            shared,
            group: group.to_owned(),
            topics,
            member,
            cursors: Vec::new(),
            turn: 0,
        };
        consumer.activate();
        consumer
    }

    fn activate(&mut self) {
        for topic in &self.topics {
            if self.cursors.iter().any(|cursor| cursor.topic == *topic) {
                continue;
            }
            if let Some(committed) = self.shared.state.activate(&self.group, *topic, self.member) {
                self.cursors.push(Cursor {
                    topic: *topic,
                    position: committed,
                    committed,
                });
            }
        }
    }

    /// What there is now. The positions move only after the last await, so that dropping the future loses nothing.
    async fn read(&mut self, records_max: usize) -> Result<Vec<Delivery>, BusError> {
        let mut batch: Vec<Delivery> = Vec::new();
        let mut bytes_left = RECEIVE_BYTES_MAX;
        for turn in 0..self.cursors.len() {
            let cursor = &self.cursors[(self.turn + turn) % self.cursors.len()];
            let span = self.shared.state.span(cursor.topic);
            let from = cursor.position.max(span.first);
            let records_left = records_max.saturating_sub(batch.len());
            if from >= span.next || records_left == 0 || bytes_left == 0 {
                continue;
            }
            let records = self
                .shared
                .reader
                .read(cursor.topic, from, span.next, records_left, bytes_left)
                .await?;
            let bytes: usize = records.iter().map(|delivery| delivery.record.bytes()).sum();
            bytes_left = bytes_left.saturating_sub(bytes);
            batch.extend(records);
        }
        for cursor in &mut self.cursors {
            let last = batch.iter().rev().find(|delivery| delivery.topic == cursor.topic);
            if let Some(last) = last {
                cursor.position = last.offset + 1;
            }
        }
        self.turn = self.turn.wrapping_add(1);
        Ok(batch)
    }
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn receive(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Delivery>, BusError> {
        let deadline = Instant::now() + wait;
        let mut changes = self.shared.state.changes();
        loop {
            changes.borrow_and_update();
            if self.shared.commands.is_closed() {
                return Err(BusError::Permanent("the embedded log is closed".to_owned()));
            }
            self.activate();
            let batch = self.read(records_max).await?;
            if !batch.is_empty() || tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                return Ok(batch);
            }
        }
    }

    async fn commit(&mut self) -> Result<(), BusError> {
        let moved = self.cursors.iter().filter(|cursor| cursor.position > cursor.committed);
        let offsets: Vec<(Topic, i64)> = moved.map(|cursor| (cursor.topic, cursor.position)).collect();
        if offsets.is_empty() {
            return Ok(());
        }
        let group = self.group.clone();
        self.shared.send(|done| Command::Commit { group, offsets, done }).await?;
        for cursor in &mut self.cursors {
            cursor.committed = cursor.position;
        }
        Ok(())
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        self.shared.state.leave(&self.group, &self.topics, self.member);
    }
}
