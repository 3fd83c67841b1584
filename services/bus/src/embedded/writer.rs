//! The task that owns the writing connection: group commit and retention.
//!
//! Delivery: a command is answered only after the COMMIT, and with it the fsync, of the transaction that holds it. The commands
//! that wait when a transaction begins go into it together; if it fails, all of them fail and none of them is half done.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use vigie_domain::Topic;

use super::log::{Log, Oldest, refused};
use super::state::State;
use super::{EmbeddedOptions, LogLock};
use crate::{BusError, Record};

/// What goes into one transaction at most.
const GROUP_COMMANDS_MAX: usize = 256;
const GROUP_BYTES_MAX: usize = 16 << 20;
/// Records that the retention drops in one transaction, so that publishers wait little.
const DROPPED_RECORDS_MAX: i64 = 1000;

type Done = oneshot::Sender<Result<(), BusError>>;

/// What the writer is asked to do.
pub(super) enum Command {
    Append {
        topic: Topic,
        batch: Vec<Record>,
        done: Done,
    },
    Commit {
        group: String,
        offsets: Vec<(Topic, i64)>,
        done: Done,
    },
    Close {
        done: Done,
    },
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { batch, .. } => batch.iter().map(Record::bytes).sum(),
            Self::Commit { .. } | Self::Close { .. } => 0,
        }
    }
}

pub(super) struct Writer {
    log: Log,
    state: State,
    inbox: mpsc::Receiver<Command>,
    options: EmbeddedOptions,
    _lock: Arc<LogLock>,
}

/// What a transaction changed.
#[derive(Default)]
struct Written {
    nexts: Vec<(Topic, i64)>,
    commits: Vec<(String, Topic, i64)>,
}

impl Writer {
    pub(super) fn new(log: Log, state: State, inbox: mpsc::Receiver<Command>, options: EmbeddedOptions, lock: Arc<LogLock>) -> Self {
        Self {
            log,
            state,
            inbox,
            options,
            _lock: lock,
        }
    }

    /// Until the bus is closed, or it and all its consumers are dropped; what was accepted before is written.
    pub(super) async fn run(mut self) {
        let mut timer = tokio::time::interval(self.options.retention_interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut counted = Instant::now();
        let mut more_to_drop = false;
        let mut closing = Vec::new();
        loop {
            let due = async {
                if !more_to_drop {
                    timer.tick().await;
                }
            };
            tokio::select! {
                command = self.inbox.recv() => {
                    let Some(first) = command else { break };
                    self.write(first, &mut closing).await;
                    if !closing.is_empty() {
                        // Those who sent before the door closed are still served; `recv` then ends.
                        self.inbox.close();
                    }
                }
                () = due => {
                    if !more_to_drop {
                        self.forget_groups(counted.elapsed()).await;
                        counted = Instant::now();
                    }
                    more_to_drop = self.retain().await;
                }
            }
        }
        let closed = self.log.close().await.map_err(|error| refused(&error, "could not close the log"));
        for done in closing {
            // Whoever asked may have stopped waiting.
            let _ = done.send(closed.clone());
        }
    }

    /// One transaction with `first` and all that waits behind it.
    async fn write(&mut self, first: Command, closing: &mut Vec<Done>) {
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while group.len() < GROUP_COMMANDS_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(next) = self.inbox.try_recv() else { break };
            bytes += next.bytes();
            group.push(next);
        }
        let outcome = match self.transact(&group).await {
            Ok(written) => {
                self.state.written(&written.nexts, &written.commits);
                Ok(())
            }
            Err(error) => {
                self.log.rollback().await;
                Err(refused(&error, "could not write to the log"))
            }
        };
        for command in group {
            match command {
                Command::Append { done, .. } | Command::Commit { done, .. } => {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(outcome.clone());
                }
                Command::Close { done } => closing.push(done),
            }
        }
    }

    async fn transact(&mut self, group: &[Command]) -> Result<Written, sqlx::Error> {
        let mut written = Written::default();
        let at_ms = jiff::Timestamp::now().as_millisecond();
        if group.iter().all(|command| matches!(command, Command::Close { .. })) {
            return Ok(written);
        }
        self.log.begin().await?;
        for command in group {
            match command {
                Command::Append { topic, batch, .. } => {
                    let next = self.log.append(*topic, batch, at_ms).await?;
                    written.nexts.push((*topic, next));
                }
                Command::Commit { group, offsets, .. } => {
                    for (topic, offset) in offsets {
                        self.log.commit_offset(group, *topic, *offset).await?;
                        written.commits.push((group.clone(), *topic, *offset));
                    }
                }
                Command::Close { .. } => {}
            }
        }
        self.log.commit().await?;
        Ok(written)
    }

    /// Drops one portion of what has expired; true when there may be more.
    async fn retain(&mut self) -> bool {
        let dropped = match self.drop_portion().await {
            Ok(dropped) => dropped,
            Err(error) => {
                self.log.rollback().await;
                tracing::warn!(%error, "the retention of the embedded bus failed; it is tried again later");
                return false;
            }
        };
        if dropped == 0
            && let Err(error) = self.log.shrink().await
        {
            tracing::debug!(%error, "the log could not be made smaller");
        }
        dropped > 0
    }

    async fn drop_portion(&mut self) -> Result<usize, sqlx::Error> {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let retention_ms = i64::try_from(self.options.retention.as_millis()).unwrap_or(i64::MAX);
        let expired_ms = now_ms.saturating_sub(retention_ms);
        let mut dropped = 0;
        for topic in Topic::ALL {
            // Without a group nobody can be robbed of a record, so its age decides alone.
            let floor = self.state.floor(topic).unwrap_or(i64::MAX);
            let oldest = self.log.oldest(topic, floor, DROPPED_RECORDS_MAX).await?;
            // The clock may have been set back, so the times need not ascend.
            let expired = oldest.iter().take_while(|record| record.at_ms < expired_ms).count();
            dropped += self.drop_oldest(topic, &oldest[..expired]).await?;
        }
        if dropped > 0 {
            return Ok(dropped);
        }
        self.drop_excess().await
    }

    /// Drops from the topic with the oldest record, as many as are above the size.
    async fn drop_excess(&mut self) -> Result<usize, sqlx::Error> {
        let bytes_max = i64::try_from(self.options.size_bytes_max).unwrap_or(i64::MAX);
        let excess = self.log.bytes().await?.saturating_sub(bytes_max);
        if excess <= 0 {
            return Ok(0);
        }
        let mut found: Option<(Topic, Vec<Oldest>)> = None;
        for topic in Topic::ALL {
            let Some(floor) = self.state.floor(topic) else { continue };
            let oldest = self.log.oldest(topic, floor, DROPPED_RECORDS_MAX).await?;
            let older = |record: &Oldest| found.as_ref().is_none_or(|(_, known)| record.at_ms < known[0].at_ms);
            if oldest.first().is_some_and(older) {
                found = Some((topic, oldest));
            }
        }
        let Some((topic, oldest)) = found else { return Ok(0) };
        let mut bytes = 0;
        let needed = oldest.iter().take_while(|record| {
            let wanted = bytes < excess;
            bytes += record.bytes;
            wanted
        });
        let count = needed.count();
        self.drop_oldest(topic, &oldest[..count]).await
    }

    async fn drop_oldest(&mut self, topic: Topic, records: &[Oldest]) -> Result<usize, sqlx::Error> {
        let Some(last) = records.last() else { return Ok(0) };
        let bytes = records.iter().map(|record| record.bytes).sum();
        self.log.drop_below(topic, last.offset + 1, bytes).await?;
        self.state.dropped(topic, last.offset + 1);
        Ok(records.len())
    }

    /// Forgets the groups that have had no members for too long.
    async fn forget_groups(&mut self, elapsed: Duration) {
        for (group, topic, unattended) in self.state.count_unattended(elapsed) {
            let outcome = if unattended >= self.options.group_expiry && self.state.forget(&group, topic) {
                tracing::warn!(
                    group,
                    topic = topic.name(),
                    "group `{group}` has had no members for too long and is forgotten"
                );
                self.log.forget_group(&group, topic).await
            } else {
                self.log.note_unattended(&group, topic, unattended).await
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, group, "the time of group `{group}` without members could not be noted");
            }
        }
    }
}
