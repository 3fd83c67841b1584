//! Reads one watched account, for ever: page by page, and between the pages a look at known comments for edits and deletions.
//!
//! Delivery: at least once. The position of the source is stored in the transaction that records its comments as known, after the
//! bus has them (see [`crate::accept`]); a crash anywhere reads the same page again.
//!
//! Every account has a task of its own: one that fails, waits or is paused holds up no other. Stopping lets go of a request to a
//! platform that is under way, which only reads; what is being passed on is finished.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vigie_domain::Context;
use vigie_platforms::{PlatformError, Presence, Source};
use vigie_runtime::Account;

use crate::accept::{AcceptError, Acceptor, Manner, Patience};
use crate::back_off::BackOff;
use crate::config::Config;
use crate::incoming::{Incoming, Origin};
use crate::store::{Mark, Watched};

/// Names the position of the polling in the tables.
pub const SOURCE: &str = "poll";
/// A look that failed is tried again after this.
const LOOK_AGAIN_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);
/// Every so many failures in a row one is logged.
const FAILURES_LOGGED_EVERY: u32 = 10;

/// Reads one account.
pub struct Poller {
    pub acceptor: Acceptor,
    pub account: Account,
    pub source: Box<dyn Source>,
    pub config: Arc<Config>,
    pub stop: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// Not an error: the process stops.
    #[error("stopping")]
    Stopped,
}

impl From<sqlx::Error> for TurnError {
    fn from(error: sqlx::Error) -> Self {
        Self::Accept(error.into())
    }
}

impl Poller {
    /// Reads until the process stops.
    ///
    /// # Errors
    /// None: whatever goes wrong is waited out.
    pub async fn run(mut self) -> anyhow::Result<()> {
        self.source.set_pace(self.config.pace.pace());
        self.acceptor.metrics().watch(&self.account.id, self.account.platform);
        let mut back_off = BackOff::new(self.config.back_off_max.0);
        let mut look_at = Instant::now() + self.config.presence.every.0;
        let mut paused = false;
        while !self.stop.is_cancelled() {
            let wait = match self.turn(&mut look_at).await {
                Ok(more) => {
                    if paused {
                        tracing::info!(account = %self.account.id, "account `{}` can be read again", self.account.id);
                        paused = false;
                        self.acceptor.metrics().pause(&self.account.id, false);
                    }
                    back_off.reset();
                    if more { Duration::ZERO } else { self.config.rest.0 }
                }
                Err(TurnError::Stopped) => break,
                Err(error) => self.wait_after(&error, &mut back_off, &mut paused),
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(())
    }

    /// Reads one page and passes it on; whether more can be read at once.
    async fn turn(&mut self, look_at: &mut Instant) -> Result<bool, TurnError> {
        let position = self.acceptor.store().position(&self.account.id, SOURCE).await?;
        let page = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(TurnError::Stopped),
            page = self.source.poll(position.as_deref()) => page?,
        };
        let now = Timestamp::now();
        let comments = page
            .comments
            .into_iter()
            .map(|raw| Incoming::from_platform(self.account.platform, raw, now))
            .collect();
        let mark = page.cursor.map(|position| Mark::Position { source: SOURCE, position });
        self.accept(comments, mark).await?;
        self.acceptor.metrics().read(&self.account.id);
        if !page.more && self.config.presence.batch_comments_max > 0 && Instant::now() >= *look_at {
            *look_at = Instant::now() + self.config.presence.every.0;
            self.look().await?;
        }
        Ok(page.more)
    }

    async fn accept(&mut self, comments: Vec<Incoming>, mark: Option<Mark>) -> Result<(), TurnError> {
        let look_after = Some(self.config.presence.day.0);
        let manner = Manner {
            origin: Origin::Poll,
            patience: Patience::UntilStopped,
            mark,
            look_after,
        };
        match self.acceptor.accept(&self.account, comments, manner).await {
            Ok(_) => Ok(()),
            Err(_) if self.stop.is_cancelled() => Err(TurnError::Stopped),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at known comments that are due: what was edited is a new revision, what is gone a deletion.
    async fn look(&mut self) -> Result<(), TurnError> {
        let due = self
            .acceptor
            .store()
            .due(&self.account.id, Timestamp::now(), self.config.presence.batch_comments_max)
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = due.iter().map(|watched| watched.native_id.clone()).collect();
        let looked = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(TurnError::Stopped),
            looked = self.source.presence(&ids) => looked,
        };
        let now = Timestamp::now();
        let answers = match looked {
            Ok(answers) => answers,
            Err(error) => {
                // One comment that cannot be looked at must not be the first of every look.
                let again = now.checked_add(LOOK_AGAIN_AFTER).ok();
                let next: Vec<_> = due.into_iter().map(|watched| (watched.comment_id, again)).collect();
                self.acceptor.store().looked_at(&next).await?;
                return Err(error.into());
            }
        };
        let mut next = Vec::with_capacity(due.len());
        let mut changes = Vec::new();
        for (watched, answer) in due.into_iter().zip(answers) {
            let every = self.config.presence.next_in(now.duration_since(watched.created_at));
            next.push((watched.comment_id.clone(), every.and_then(|every| now.checked_add(every).ok())));
            changes.extend(self.change(watched, answer, now));
        }
        self.accept(changes, None).await?;
        self.acceptor.store().looked_at(&next).await?;
        Ok(())
    }

    fn change(&self, watched: Watched, answer: Presence, now: Timestamp) -> Option<Incoming> {
        let metrics = self.acceptor.metrics();
        match answer {
            Presence::Unknown => {
                metrics.looked("unknown");
                None
            }
            Presence::Present(raw) if raw.native_id == watched.native_id => {
                metrics.looked("present");
                let parent = raw.parent.clone().or(watched.parent);
                Some(Incoming {
                    post: watched.post,
                    parent,
                    ..Incoming::from_platform(watched.platform, *raw, now)
                })
            }
            Presence::Present(_) => {
                metrics.looked("unknown");
                None
            }
            Presence::Gone => {
                metrics.looked("gone");
                Some(Incoming {
                    platform: watched.platform,
                    native_id: watched.native_id,
                    post: watched.post,
                    parent: watched.parent,
                    author_native: None,
                    text: String::new(),
                    context: Context::default(),
                    created_at: watched.created_at,
                    edited_at: None,
                    deleted_at: Some(now),
                    permalink: None,
                    language: None,
                    raw: None,
                })
            }
        }
    }

    /// Counts and logs a failure; how long to wait after it.
    fn wait_after(&self, error: &TurnError, back_off: &mut BackOff, paused: &mut bool) -> Duration {
        let (metrics, account) = (self.acceptor.metrics(), &self.account);
        let attempts = back_off.attempts();
        let wait = match error {
            TurnError::Platform(error) => {
                metrics.platform_error(account.platform, error);
                match error {
                    PlatformError::Throttled { until } => back_off.until(*until, Timestamp::now()),
                    error if error.is_transient() => back_off.next(),
                    error => {
                        if !std::mem::replace(paused, true) {
                            tracing::error!(account = %account.id, %error, "account `{}` is paused; it is tried again every {}", account.id, String::from(self.config.paused_retry));
                            metrics.pause(&account.id, true);
                        }
                        return self.config.paused_retry.0;
                    }
                }
            }
            TurnError::Accept(error) => {
                metrics.accept_error(account.platform, error);
                back_off.next()
            }
            TurnError::Stopped => back_off.next(),
        };
        if attempts.is_multiple_of(FAILURES_LOGGED_EVERY) {
            tracing::warn!(account = %account.id, %error, attempts, "reading account `{}` failed; trying again", account.id);
        }
        wait
    }
}

#[cfg(test)]
mod tests;
