//! The one way in: what every source gives goes through [`Acceptor::accept`].
//!
//! Delivery: at least once. What is new is published to `[comments]` first; only when the bus has it is it recorded as known, together
//! with the position of the source, in one transaction. A crash before the publishing loses nothing, because the position is the
//! old one; a crash after it publishes again, with the same record ids, by which consumers are idempotent.
//!
//! Order: the batches of one account go one after the other, so that an older revision never overtakes a newer one within this
//! process. An older revision that arrives late is passed over. A deletion is final until the platform shows a later edit.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as AsyncMutex;
use vigie_bus::BusError;
use vigie_domain::{AccountId, Comment, CommentId, RevisionId, Topic};
use vigie_runtime::{Account, Runtime, publish, record};

use crate::incoming::{Incoming, Origin};
use crate::metrics::Metrics;
use crate::store::{Known, Mark, Store};

/// Comments published at once.
const BATCH_COMMENTS_MAX: usize = 256;
/// Bytes of text published at once, about.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Whether to wait for a bus that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until the process stops.
    UntilStopped,
    /// So long: somebody waits for the answer, and can ask again.
    For(Duration),
    /// Fail at the first error: the caller tells whoever asked.
    Once,
}

/// How comments are taken in.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Where from.
    pub origin: Origin,
    /// What to do while the bus is away.
    pub patience: Patience,
    /// Recorded with the last of the comments.
    pub mark: Option<Mark>,
    /// How long after, what is new is looked at again for edits and deletions; none: never.
    pub look_after: Option<Duration>,
}

/// What became of a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Published.
    New,
    /// Nothing new: known, or older than what is known.
    Known,
    /// Cannot be a comment; why, without its text.
    Rejected(String),
}

/// Why nothing, or not all, was accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The bus did not take it.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The database did not.
    #[error("the collector's database does not answer: {0}")]
    Store(#[from] sqlx::Error),
}

/// Shared by everything in a process that takes comments in. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor(Arc<Shared>);

struct Shared {
    runtime: Runtime,
    store: Store,
    metrics: Metrics,
    lanes: Mutex<HashMap<AccountId, Arc<AsyncMutex<()>>>>,
}

/// The acceptors of this process by data directory, which one process holds alone. Sources of one account must share theirs, and the
/// commands of the process know nothing of the collector but the [`Runtime`]. Nothing is configured here, and nothing kept alive.
static SHARED: LazyLock<AsyncMutex<HashMap<PathBuf, Weak<Shared>>>> = LazyLock::new(AsyncMutex::default);

impl Drop for Shared {
    /// So that the next one can be opened on the same registry.
    fn drop(&mut self) {
        self.metrics.unregister(&self.runtime.registry);
    }
}

impl Acceptor {
    /// The acceptor of this process.
    ///
    /// # Errors
    /// The tables cannot be opened.
    pub async fn open(runtime: &Runtime) -> anyhow::Result<Self> {
        let mut all = SHARED.lock().await;
        if let Some(shared) = all.get(&runtime.data_dir).and_then(Weak::upgrade) {
            return Ok(Self(shared));
        }
        let shared = Arc::new(Shared {
            runtime: runtime.clone(),
            store: Store::open(runtime).await.context("could not open the collector's tables")?,
            metrics: Metrics::register(&runtime.registry)?,
            lanes: Mutex::default(),
        });
        all.retain(|_, shared| shared.strong_count() > 0);
        all.insert(runtime.data_dir.clone(), Arc::downgrade(&shared));
        Ok(Self(shared))
    }

    /// The tables.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Takes comments of `account` in, in order; says what became of each.
    ///
    /// # Errors
    /// The bus or the database; what was accepted before stays accepted, the mark is not recorded.
    pub async fn accept(&self, account: &Account, comments: Vec<Incoming>, manner: Manner) -> Result<Vec<Fate>, AcceptError> {
        let lane = self.lane(&account.id);
        let _turn = lane.lock().await;
        let mut fates = Vec::with_capacity(comments.len());
        let mut batch = Batch::default();
        for incoming in comments {
            let fate = match incoming.build(account, &self.0.runtime.keys, manner.origin, Timestamp::now()) {
                Ok(comment) => self.sort(comment, &mut batch).await?,
                Err(error) => Fate::Rejected(error.to_string()),
            };
            fates.push(fate);
            if batch.is_full() {
                self.flush(account, std::mem::take(&mut batch), &manner, None).await?;
            }
        }
        self.flush(account, batch, &manner, manner.mark.as_ref()).await?;
        for fate in &fates {
            self.0.metrics.fate(account.platform, fate);
        }
        Ok(fates)
    }

    /// Puts a comment into the batch, unless it brings nothing new.
    async fn sort(&self, mut comment: Comment, batch: &mut Batch) -> Result<Fate, AcceptError> {
        let known = match batch.latest.get(&comment.id) {
            Some(known) => Some(*known),
            None => self.0.store.known(&comment.id).await?,
        };
        let is_seen = batch.revisions.contains(&comment.revision) || (known.is_some() && self.0.store.was_published(&comment).await?);
        if is_seen || known.is_some_and(|known| !brings_news(&comment, known)) {
            return Ok(Fate::Known);
        }
        if let Some(known) = known {
            put_after(&mut comment, known);
        }
        batch.push(comment);
        Ok(Fate::New)
    }

    /// Publishes, then records.
    async fn flush(&self, account: &Account, batch: Batch, manner: &Manner, mark: Option<&Mark>) -> Result<(), AcceptError> {
        let runtime = &self.0.runtime;
        let records: Vec<_> = batch.comments.iter().map(record).collect();
        if !records.is_empty() {
            match manner.patience {
                Patience::UntilStopped => publish(runtime, Topic::Comments, records).await?,
                Patience::For(limit) => tokio::time::timeout(limit, publish(runtime, Topic::Comments, records))
                    .await
                    .map_err(|_| BusError::Transient(format!("it took no comments for {} s", limit.as_secs())))??,
                Patience::Once => runtime.bus.publish(Topic::Comments, records).await?,
            }
        }
        let look_after = manner.look_after.and_then(|after| SignedDuration::try_from(after).ok());
        let first_look = |comment: &Comment| comment.collected_at.checked_add(look_after?).ok();
        self.0.store.record(&account.id, &batch.comments, first_look, mark).await?;
        for comment in &batch.comments {
            self.0.metrics.published(comment);
        }
        Ok(())
    }

    fn lane(&self, account: &AccountId) -> Arc<AsyncMutex<()>> {
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(account.clone()).or_default())
    }
}

/// What is to be published next.
#[derive(Default)]
struct Batch {
    comments: Vec<Comment>,
    latest: HashMap<CommentId, Known>,
    revisions: HashSet<RevisionId>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, comment: Comment) {
        self.bytes += comment.text.len();
        self.latest.insert(
            comment.id.clone(),
            Known {
                revised_us: comment.revised_at().as_microsecond(),
                deleted: comment.deleted.is_some(),
            },
        );
        self.revisions.insert(comment.revision.clone());
        self.comments.push(comment);
    }

    const fn is_full(&self) -> bool {
        self.comments.len() >= BATCH_COMMENTS_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

/// Whether a revision that was never published goes after the one that is known. Pure.
fn brings_news(comment: &Comment, known: Known) -> bool {
    if comment.deleted.is_some() {
        return !known.deleted;
    }
    let revised_us = comment.revised_at().as_microsecond();
    // A source that gives no time of edits shows them by the text alone.
    if known.deleted {
        revised_us > known.revised_us
    } else {
        revised_us >= known.revised_us
    }
}

/// A deletion goes after what it deletes, also where two clocks say otherwise.
fn put_after(comment: &mut Comment, known: Known) {
    let Some(tombstone) = &mut comment.deleted else { return };
    if tombstone.at.as_microsecond() <= known.revised_us
        && let Ok(after) = Timestamp::from_microsecond(known.revised_us.saturating_add(1))
    {
        tombstone.at = after;
    }
}

#[cfg(test)]
mod tests;
