//! What people do with the queue: take the next item, keep it, skip it, decide, take back.
//!
//! A lease carries a fencing number that grows with every lease of the item. A decision is accepted only from the holder of the
//! present lease, with its number, before it ends; so somebody whose browser slept cannot overwrite another's decision. A decision,
//! its audit row and its outbox row are one transaction; a unique index allows one decision per revision and sequence.
//!
//! Blind labels: an item drawn for the audit is shown without scores, rule hits or reasons, unless somebody has already seen them.
//! What was shown is kept with the lease, and only a blind lease gives a blind decision.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row as _;
use tokio::sync::Notify;
use vigie_domain::{Act, Decision, DecisionAuthor, DecisionId, LegalBasis, Outcome, Pseudonym, Target};
use vigie_runtime::Database;
use vigie_web::{Scope, User};

use crate::Config;
use crate::item::{self, Band, COLUMNS, Item, Origin, Tx};
use crate::metrics::Metrics;
use crate::outbox;
use crate::state::{Event, State};

/// The longest note, in characters.
pub const NOTE_CHARACTERS_MAX: usize = 2_000;
const CLAIM_ATTEMPTS_MAX: u32 = 20;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Person {
    /// Row in the table of users.
    pub id: i64,
    /// The name under which they decide.
    pub pseudonym: Pseudonym,
    /// Whose comments they may see.
    pub institutions: Scope,
}

impl From<&User> for Person {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            pseudonym: user.pseudonym.clone(),
            institutions: user.institutions.clone(),
        }
    }
}

/// An item in somebody's hands.
#[derive(Debug, Clone)]
pub struct Lease {
    /// What to decide on.
    pub item: Item,
    /// To be given back with the decision.
    pub fence: i64,
    /// When it ends, in milliseconds since the epoch, unless kept alive.
    pub until: i64,
    /// Whether scores, rule hits and reasons must not be shown.
    pub blind: bool,
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Decision`")]
pub struct Ruling {
    pub outcome: Outcome,
    pub acts: Vec<Act>,
    pub targets: Vec<Target>,
    pub legal_basis: Option<LegalBasis>,
    pub note: Option<String>,
}

/// Why the queue refused.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The lease ended, or somebody else has the item.
    #[error("the lease has ended")]
    LeaseLost,
    /// The comment was edited or deleted upstream.
    #[error("the comment was edited or deleted upstream")]
    Withdrawn,
    /// It is decided.
    #[error("there is a decision already")]
    AlreadyDecided,
    /// There is no such item or decision for this person.
    #[error("there is no such item")]
    Unknown,
    /// A blind decision that acts on the comment must say what the comment does: without that it is no label.
    #[error("a blind decision that acts on the comment needs a label")]
    LabelMissing,
    /// The time for taking back is over, or there is a newer decision.
    #[error("the decision can no longer be taken back")]
    UndoClosed,
    /// The database failed.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

/// The queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    pub(crate) database: Database,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Metrics,
    pub(crate) entered: Arc<Notify>,
}

impl Queue {
    /// The item in this person's hands, or the next one that waits for them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next(&self, person: &Person) -> Result<Option<Lease>, QueueError> {
        if let Some(lease) = self.held(person).await? {
            return Ok(Some(lease));
        }
        for _ in 0..CLAIM_ATTEMPTS_MAX {
            if let Some(lease) = self.claim(person).await? {
                return Ok(Some(lease));
            }
            // On PostgreSQL a claimer can come away with nothing because another took the very row it waited for.
            if self.waiting(person).await?.for_me() == 0 {
                return Ok(None);
            }
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    async fn held(&self, person: &Person) -> Result<Option<Lease>, QueueError> {
        let (scope, institutions) = person.institutions.clause(3);
        let sql = format!(
            "SELECT {COLUMNS} FROM review_items WHERE state = 'leased' AND lease_user = $1 AND lease_until > $2{scope}
             ORDER BY leased_at DESC LIMIT 1"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(person.id).bind(now());
        for institution in institutions {
            query = query.bind(institution);
        }
        let row = query.fetch_optional(self.database.pool()).await?;
        let Some(item) = row.as_ref().map(Item::read).transpose()? else {
            return Ok(None);
        };
        Ok(Some(Lease {
            fence: item.fence,
            until: item.lease_until,
            blind: item.lease_blind,
            item,
        }))
    }

    async fn claim(&self, person: &Person) -> Result<Option<Lease>, QueueError> {
        let now = now();
        let (scope, institutions) = person.institutions.clause(3);
        let sql = format!(
            "SELECT {COLUMNS} FROM review_items WHERE state = 'queued' AND NOT EXISTS
                (SELECT 1 FROM review_skips s WHERE s.revision = review_items.revision AND s.user_id = $1 AND s.skipped_at > $2){scope}
             ORDER BY urgent DESC, priority DESC, queued_at LIMIT 1{}",
            self.database.skip_locked()
        );
        let mut tx = self.database.begin().await?;
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(person.id)
            .bind(now - self.config.skip_rest_ms());
        for institution in institutions {
            query = query.bind(institution);
        }
        let Some(row) = query.fetch_optional(&mut *tx).await? else {
            return Ok(None);
        };
        let item = Item::read(&row)?;
        let lease = self.lease(&mut tx, item, person, now).await?;
        tx.commit().await?;
        Ok(Some(lease))
    }

    /// Hands a locked, queued item to `person`, under the next fencing number.
    async fn lease(&self, tx: &mut Tx, mut item: Item, person: &Person, now: i64) -> Result<Lease, QueueError> {
        item.fence += 1;
        let blind = item.selected && !item.exposed;
        item::advance(
            tx,
            &mut item,
            Event::Lease,
            person.pseudonym.as_str(),
            now,
            if blind { "blind" } else { "" },
        )
        .await?;
        let until = now + self.config.lease_ms();
        sqlx::query(
            "UPDATE review_items SET fence = $2, lease_user = $3, lease_until = $4, leased_at = $5, lease_blind = $6, exposed = CASE WHEN $6 = 1 THEN exposed ELSE 1 END
             WHERE revision = $1",
        )
        .bind(item.revision.as_str().to_owned())
        .bind(item.fence)
        .bind(person.id)
        .bind(until)
        .bind(now)
        .bind(i64::from(blind))
        .execute(&mut **tx)
        .await?;
        Ok(Lease {
            fence: item.fence,
            until,
            blind,
            item,
        })
    }

    /// Keeps a lease alive, up to the longest time that one may last.
    ///
    /// # Errors
    /// The lease is lost, or the database failed.
    pub async fn heartbeat(&self, person: &Person, revision: &str, fence: i64) -> Result<(), QueueError> {
        let now = now();
        let kept = sqlx::query(
            "UPDATE review_items SET lease_until = CASE WHEN leased_at + $5 < $4 THEN leased_at + $5 ELSE $4 END
             WHERE revision = $1 AND state = 'leased' AND lease_user = $2 AND fence = $3 AND lease_until > $6",
        )
        .bind(revision.to_owned())
        .bind(person.id)
        .bind(fence)
        .bind(now + self.config.lease_ms())
        .bind(self.config.lease_longest_ms())
        .bind(now)
        .execute(self.database.pool())
        .await?;
        if kept.rows_affected() == 1 {
            Ok(())
        } else {
            Err(QueueError::LeaseLost)
        }
    }

    /// Gives an item back at once, for somebody else.
    ///
    /// # Errors
    /// The lease is lost, or the database failed.
    pub async fn skip(&self, person: &Person, revision: &str, fence: i64, reason: &'static str) -> Result<(), QueueError> {
        let now = now();
        let mut tx = self.database.begin().await?;
        let mut item = self.leased(&mut tx, person, revision, fence, now).await?;
        item::advance(&mut tx, &mut item, Event::Skip, person.pseudonym.as_str(), now, reason).await?;
        sqlx::query(
            "INSERT INTO review_skips (revision, user_id, skipped_at, reason) VALUES ($1, $2, $3, $4)
             ON CONFLICT (revision, user_id) DO UPDATE SET skipped_at = excluded.skipped_at, reason = excluded.reason",
        )
        .bind(revision.to_owned())
        .bind(person.id)
        .bind(now)
        .bind(reason.to_owned())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.metrics.skips.with_label_values(&[reason]).inc();
        Ok(())
    }

    /// Lets a person have again what they skipped.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resume(&self, person: &Person) -> Result<(), QueueError> {
        sqlx::query("DELETE FROM review_skips WHERE user_id = $1")
            .bind(person.id)
            .execute(self.database.pool())
            .await?;
        Ok(())
    }

    /// Decides. Returns the id of the decision, which is on its way to the topic.
    ///
    /// # Errors
    /// The lease is lost, the comment was changed upstream, there is a decision already, or the database failed.
    pub async fn decide(&self, person: &Person, revision: &str, fence: i64, ruling: Ruling) -> Result<DecisionId, QueueError> {
        let now = now();
        let mut tx = self.database.begin().await?;
        let mut item = self.leased(&mut tx, person, revision, fence, now).await?;
        if item.lease_blind && ruling.outcome != Outcome::Keep && ruling.acts.is_empty() {
            return Err(QueueError::LabelMissing);
        }
        let decision = Decision {
            blind: item.lease_blind,
            acts: ruling.acts,
            targets: ruling.targets,
            legal_basis: ruling.legal_basis,
            note: ruling.note.map(|note| note.chars().take(NOTE_CHARACTERS_MAX).collect()),
            ..bare(&item, person, ruling.outcome, now)?
        };
        if !outbox::enter(&mut tx, &decision, person.id, item.severe, now).await? {
            return Err(QueueError::AlreadyDecided);
        }
        let event = if ruling.outcome == Outcome::Escalate {
            Event::Escalate
        } else {
            Event::Decide
        };
        item::advance(&mut tx, &mut item, event, person.pseudonym.as_str(), now, ruling.outcome.as_str()).await?;
        tx.commit().await?;
        self.entered.notify_one();
        self.metrics.decisions.with_label_values(&[ruling.outcome.as_str()]).inc();
        self.metrics.blind.inc_by(u64::from(decision.blind));
        self.observe_wait(&item, now);
        Ok(decision.id)
    }

    /// Takes one's own last decision on a revision back: publishes the outcome to return to, and hands the item to the same person
    /// again, unless the comment was changed upstream meanwhile.
    ///
    /// # Errors
    /// It is not theirs, too old, not the last one, or the database failed.
    pub async fn undo(&self, person: &Person, decision: &str) -> Result<(), QueueError> {
        let now = now();
        let mut tx = self.database.begin().await?;
        let row =
            sqlx::query("SELECT revision, sequence, decided_at, undone_by, undoes FROM review_decisions WHERE id = $1 AND user_id = $2")
                .bind(decision.to_owned())
                .bind(person.id)
                .fetch_optional(&mut *tx)
                .await?
                .ok_or(QueueError::Unknown)?;
        let revision: String = row.try_get("revision")?;
        let mut item = item::lock(&self.database, &mut tx, &revision).await?.ok_or(QueueError::Unknown)?;
        if !person.institutions.contains(&item.verdict.comment.institution) {
            return Err(QueueError::Unknown);
        }
        let is_last = row.try_get::<i64, _>("sequence")? + 1 == item.sequence;
        let in_time = row.try_get::<i64, _>("decided_at")? + self.config.undo_ms() > now;
        let is_plain = row.try_get::<String, _>("undone_by")?.is_empty() && row.try_get::<String, _>("undoes")?.is_empty();
        if !(is_last && in_time && is_plain && matches!(item.state, State::Decided | State::Escalated)) {
            return Err(QueueError::UndoClosed);
        }
        let back_to = before(&mut tx, &revision, item.sequence - 1).await?;
        let undoing = Decision {
            undoes: Some(DecisionId::new(decision).map_err(anyhow::Error::from)?),
            ..bare(&item, person, back_to, now)?
        };
        if !outbox::enter(&mut tx, &undoing, person.id, false, now).await? {
            return Err(QueueError::UndoClosed);
        }
        sqlx::query("UPDATE review_decisions SET undone_by = $2 WHERE id = $1")
            .bind(decision.to_owned())
            .bind(undoing.id.as_str().to_owned())
            .execute(&mut *tx)
            .await?;
        item::advance(&mut tx, &mut item, Event::Undo, person.pseudonym.as_str(), now, "").await?;
        let head: Option<String> = sqlx::query_scalar("SELECT revision FROM review_heads WHERE comment = $1")
            .bind(item.comment.clone())
            .fetch_optional(&mut *tx)
            .await?;
        if head.as_deref() == Some(revision.as_str()) {
            self.lease(&mut tx, item, person, now).await?;
        } else {
            item::advance(
                &mut tx,
                &mut item,
                Event::Withdraw,
                item::BY_INTAKE,
                now,
                "changed upstream since the decision",
            )
            .await?;
        }
        tx.commit().await?;
        self.entered.notify_one();
        self.metrics.decisions.with_label_values(&["undo"]).inc();
        Ok(())
    }

    /// How long the item waited; a change of mind is no wait.
    #[expect(clippy::cast_precision_loss, reason = "ages in milliseconds are far below 2^53")]
    fn observe_wait(&self, item: &Item, now: i64) {
        let by_person_before = item.sequence > i64::from(item.origin == Origin::Check);
        if !by_person_before {
            let band = Band::of(item.urgent, item.priority).as_str();
            self.metrics
                .wait
                .with_label_values(&[band])
                .observe((now - item.queued_at).max(0) as f64 / 1000.0);
        }
    }

    /// The item, if this person holds its present lease.
    async fn leased(&self, tx: &mut Tx, person: &Person, revision: &str, fence: i64, now: i64) -> Result<Item, QueueError> {
        let item = item::lock(&self.database, tx, revision).await?.ok_or(QueueError::Unknown)?;
        if !person.institutions.contains(&item.verdict.comment.institution) {
            return Err(QueueError::Unknown);
        }
        match item.state {
            State::Leased if item.lease_user == person.id && item.fence == fence && item.lease_until > now => Ok(item),
            State::Withdrawn => Err(QueueError::Withdrawn),
            State::Decided | State::Escalated => Err(QueueError::AlreadyDecided),
            State::Leased | State::Queued => Err(QueueError::LeaseLost),
        }
    }
}

/// The next decision on `item` by `person`, without labels.
fn bare(item: &Item, person: &Person, outcome: Outcome, now: i64) -> anyhow::Result<Decision> {
    let sequence = u32::try_from(item.sequence)?;
    Ok(Decision {
        id: DecisionId::derive(&item.revision, sequence),
        sequence,
        verdict: item.verdict.clone(),
        outcome,
        acts: Vec::new(),
        targets: Vec::new(),
        legal_basis: None,
        note: None,
        author: DecisionAuthor::Moderator {
            pseudonym: person.pseudonym.clone(),
        },
        decided_at: Timestamp::from_millisecond(now)?,
        blind: false,
        undoes: None,
    })
}

/// The outcome in effect before the decision of `sequence`: that of the last one that still stood, else the comment was untouched.
async fn before(tx: &mut Tx, revision: &str, sequence: i64) -> anyhow::Result<Outcome> {
    let name: Option<String> = sqlx::query_scalar(
        "SELECT outcome FROM review_decisions WHERE revision = $1 AND sequence < $2 AND undone_by = '' AND undoes = '' ORDER BY sequence DESC LIMIT 1",
    )
    .bind(revision.to_owned())
    .bind(sequence)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(name
        .and_then(|name| Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == name))
        .unwrap_or(Outcome::Keep))
}

pub(crate) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
