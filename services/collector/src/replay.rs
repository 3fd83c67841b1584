//! Plays a JSON Lines file as if its comments arrived now: for demonstrations and for trying rules and policies.
//!
//! Delivery: as for every source (see [`crate::accept`]): the place in the file is stored with the comment. After a restart it goes on
//! where it was, and repeats nothing. Each comment gets the time at which it is played; an edit and a deletion in the file become one.
//! A file that was changed is played from its beginning, and what is known of it is passed over without waiting.

use std::io::{BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use vigie_domain::{AccountId, CommentId, NativeCommentId, sha256_hex};
use vigie_runtime::{Account, Runtime};

use crate::accept::{Acceptor, Fate, Manner, Patience};
use crate::back_off::BackOff;
use crate::config::ReplayConfig;
use crate::import::{Format, Row, rows};
use crate::incoming::{Incoming, Origin};
use crate::store::Mark;

const SOURCE: &str = "replay";
const FILE_BYTES_MAX: u64 = 64 << 20;
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// A file that is played.
pub struct Replay {
    acceptor: Acceptor,
    runtime: Runtime,
    account: Account,
    rows: Arc<Vec<Row>>,
    digest: String,
    interval: Duration,
    loops: bool,
}

/// How far the file was played.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Position {
    /// Of the file.
    digest: String,
    /// How often it was played to its end.
    round: u64,
    /// Rows played in this round.
    rows: usize,
    /// The time given to the next row, where it was begun.
    at: Option<Timestamp>,
}

impl Replay {
    /// Reads the file; none where no replay is configured.
    ///
    /// # Errors
    /// The file cannot be read or holds no comment, or the account is not configured.
    pub async fn open(config: &ReplayConfig, acceptor: &Acceptor, runtime: &Runtime) -> anyhow::Result<Option<Self>> {
        let Some(file) = config.file.clone() else { return Ok(None) };
        let account = AccountId::new(&config.account)
            .ok()
            .and_then(|id| runtime.accounts.get(&id))
            .cloned();
        let account = account.with_context(|| format!("[collector.replay] account `{}` is not in [[accounts]]", config.account))?;
        let platform = account.platform;
        let (rows, rejected, digest) = tokio::task::spawn_blocking(move || read(&file))
            .await
            .context("reading the replayed file panicked")??;
        acceptor.metrics().rejected(platform, rejected);
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX).max(1);
        Ok(Some(Self {
            acceptor: acceptor.clone(),
            runtime: runtime.clone(),
            account,
            rows: Arc::new(rows),
            digest,
            interval: config.spread.map_or(config.interval.0, |spread| spread.0 / count),
            loops: config.loops,
        }))
    }

    /// Plays until the end of the file, or until the process stops.
    ///
    /// # Errors
    /// None: whatever goes wrong is waited out.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut back_off = BackOff::new(BACK_OFF_MAX);
        let mut next_at = Instant::now();
        while !self.runtime.stop.is_cancelled() {
            let until = match self.step().await {
                Ok(None) => {
                    tracing::info!(account = %self.account.id, "the replayed file is at its end");
                    return Ok(());
                }
                Ok(Some(Fate::New)) => {
                    back_off.reset();
                    self.acceptor.metrics().replayed();
                    next_at = (next_at + self.interval).max(Instant::now() - self.interval);
                    next_at
                }
                // What brings nothing new takes no time, and still lets others run.
                Ok(Some(_)) => Instant::now(),
                Err(_) if self.runtime.stop.is_cancelled() => return Ok(()),
                Err(error) => {
                    tracing::warn!(account = %self.account.id, error = format!("{error:#}"), "replaying a comment failed; trying again");
                    Instant::now() + back_off.next()
                }
            };
            tokio::select! {
                () = self.runtime.stop.cancelled() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
        Ok(())
    }

    /// Plays the next comment; none at the end.
    async fn step(&self) -> anyhow::Result<Option<Fate>> {
        let Some((mut position, row)) = self.next().await? else {
            return Ok(None);
        };
        let mut row = if position.round == 0 { row } else { renamed(row, position.round) };
        let at = position.at.unwrap_or_else(Timestamp::now);
        if row.edited_at.is_some() && position.at.is_none() {
            // The time is part of what names an edit: after a crash it must be the same.
            position.at = Some(at);
            self.acceptor
                .store()
                .record(&self.account.id, &[], |_| None, Some(&position.mark()))
                .await?;
        }
        row.created_at = match self.first_seen(&row).await? {
            Some(created_at) => created_at,
            None => at,
        };
        row.edited_at = row.edited_at.map(|_| at);
        row.deleted_at = row.deleted_at.map(|_| at);
        position.rows += 1;
        position.at = None;
        let incoming = match Incoming::from_row(&self.account, row, Timestamp::now()) {
            Ok(incoming) => vec![incoming],
            Err(reason) => {
                tracing::warn!(account = %self.account.id, reason, "a comment of the replayed file cannot be used");
                self.acceptor.metrics().rejected(self.account.platform, 1);
                Vec::new()
            }
        };
        let manner = Manner {
            origin: Origin::Replay,
            patience: Patience::UntilStopped,
            mark: Some(position.mark()),
            look_after: None,
        };
        let fates = self.acceptor.accept(&self.account, incoming, manner).await?;
        Ok(Some(fates.into_iter().next().unwrap_or(Fate::Known)))
    }

    /// The next row and the place before it.
    async fn next(&self) -> anyhow::Result<Option<(Position, Row)>> {
        let stored = self.acceptor.store().position(&self.account.id, SOURCE).await?;
        let stored: Position = stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let mut position = if stored.digest == self.digest {
            stored
        } else {
            Position {
                digest: self.digest.clone(),
                ..Position::default()
            }
        };
        if position.rows >= self.rows.len() {
            if !self.loops {
                return Ok(None);
            }
            position = Position {
                digest: position.digest,
                round: position.round + 1,
                ..Position::default()
            };
        }
        let row = self.rows[position.rows].clone();
        Ok(Some((position, row)))
    }

    async fn first_seen(&self, row: &Row) -> anyhow::Result<Option<Timestamp>> {
        let Ok(native) = NativeCommentId::new(row.comment_id.as_str()) else {
            return Ok(None);
        };
        let id = CommentId::derive(row.platform, &self.account.id, &native);
        Ok(self.acceptor.store().created_at(&id).await?)
    }
}

impl Position {
    fn mark(&self) -> Mark {
        Mark::Position {
            source: SOURCE,
            position: serde_json::to_string(self).expect("a position has string keys and times"),
        }
    }
}

/// The same comment in a later round: another one.
fn renamed(row: Row, round: u64) -> Row {
    let rename = |id: String| format!("{id}~{round}");
    Row {
        comment_id: rename(row.comment_id),
        parent_id: row.parent_id.map(rename),
        ..row
    }
}

/// The rows that can be used, the number of those that cannot, and the digest of the file.
fn read(path: &Path) -> anyhow::Result<(Vec<Row>, u64, String)> {
    let context = || format!("could not read [collector.replay] file {}", path.display());
    let mut content = Vec::new();
    std::fs::File::open(path)
        .with_context(context)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .with_context(context)?;
    anyhow::ensure!(
        content.len() as u64 <= FILE_BYTES_MAX,
        "{}: it has more than {} MiB; use `vigie import`",
        context(),
        FILE_BYTES_MAX >> 20
    );
    let digest = sha256_hex(&content);
    let mut good = Vec::new();
    let mut rejected = 0;
    for row in rows(BufReader::new(std::io::Cursor::new(content)), Format::Jsonl) {
        match row {
            Ok((_, row)) => good.push(row),
            Err(error) => {
                rejected += 1;
                tracing::warn!(
                    line = error.line,
                    reason = error.reason,
                    "a row of the replayed file {} cannot be used",
                    path.display()
                );
            }
        }
    }
    anyhow::ensure!(
        !good.is_empty(),
        "[collector.replay] file {} holds no comment; each line must be one as `vigie import` takes them",
        path.display()
    );
    Ok((good, rejected, digest))
}
