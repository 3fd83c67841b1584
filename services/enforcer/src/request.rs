//! Rows of the outbox of actions: reading one under a lock, changing it, and writing down each change of state for the topic.

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};
use vigie_domain::{
    AccountId, Act, Action, CommentId, DecisionId, Enforcement, EnforcementId, EnforcementState, InstitutionId, LegalBasis, Platform,
    RevisionId, encode,
};
use vigie_runtime::{Database, Engine};

use crate::ledger::Endpoint;
use crate::state::{Event, next};
use crate::why::Why;

/// A database transaction.
pub(crate) type Tx = Transaction<'static, Any>;

/// What the next step of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Carry the action out.
    Act,
    /// Read back whether it holds.
    Look,
}

impl Work {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Look => "look",
        }
    }
}

/// On what it is done; everything that acting needs, and nothing of the comment's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct On {
    pub(crate) post: String,
    pub(crate) native_id: String,
    /// Opened only to act; erased once the request is over.
    pub(crate) author_sealed: Option<String>,
    pub(crate) permalink: Option<String>,
    pub(crate) acts: Vec<Act>,
    pub(crate) legal_basis: Option<LegalBasis>,
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: EnforcementId,
    pub(crate) decision: DecisionId,
    pub(crate) comment: CommentId,
    pub(crate) revision: RevisionId,
    pub(crate) institution: InstitutionId,
    pub(crate) account: AccountId,
    pub(crate) platform: Platform,
    pub(crate) action: Action,
    pub(crate) state: EnforcementState,
    pub(crate) dry_run: bool,
    pub(crate) on: On,
    /// The greater goes first.
    pub(crate) severity: i64,
    /// Its number among the requests of its comment.
    pub(crate) place: i64,
    /// Since when it is tried; a retry by a person begins anew.
    pub(crate) requested_at: i64,
    pub(crate) work: Work,
    pub(crate) due_at: i64,
    /// Somebody is at work on it until then.
    pub(crate) claimed_until: i64,
    /// Grows with every claim: what an old claim learnt is not written.
    pub(crate) fence: i64,
    /// Grows with every change of state.
    pub(crate) step: i64,
    pub(crate) changed_at: i64,
    pub(crate) attempts: i64,
    /// How often it was read back in vain since the last attempt.
    pub(crate) looks: i64,
    /// Failures in a row.
    pub(crate) failures: i64,
    pub(crate) receipt: String,
    /// How it was confirmed: `read`, `receipt` or `dry-run`.
    pub(crate) proof: String,
    pub(crate) why: Option<Why>,
    pub(crate) detail: String,
    pub(crate) retried_by: String,
}

const COLUMNS: &str = "id, decision, comment, revision, institution, account, platform, action, state, dry_run, subject, severity, place, \
     requested_at, next, due_at, claimed_until, fence, step, changed_at, attempts, looks, failures, receipt, proof, why, detail, retried_by";

impl Request {
    pub(crate) fn read(row: &AnyRow) -> anyhow::Result<Self> {
        let text = |column: &str| row.try_get::<String, _>(column);
        let number = |column: &str| row.try_get::<i64, _>(column);
        let (action, state, work, why) = (text("action")?, text("state")?, text("next")?, text("why")?);
        Ok(Self {
            id: EnforcementId::new(text("id")?)?,
            decision: DecisionId::new(text("decision")?)?,
            comment: CommentId::new(text("comment")?)?,
            revision: RevisionId::new(text("revision")?)?,
            institution: InstitutionId::new(text("institution")?)?,
            account: AccountId::new(text("account")?)?,
            platform: text("platform")?.parse()?,
            action: Action::ALL
                .into_iter()
                .find(|known| known.as_str() == action)
                .with_context(|| format!("unknown action `{action}` of a request"))?,
            state: EnforcementState::ALL
                .into_iter()
                .find(|known| known.as_str() == state)
                .with_context(|| format!("unknown state `{state}` of a request"))?,
            dry_run: number("dry_run")? != 0,
            on: serde_json::from_str(&text("subject")?).context("the subject of a request cannot be read")?,
            severity: number("severity")?,
            place: number("place")?,
            requested_at: number("requested_at")?,
            work: if work == Work::Act.as_str() { Work::Act } else { Work::Look },
            due_at: number("due_at")?,
            claimed_until: number("claimed_until")?,
            fence: number("fence")?,
            step: number("step")?,
            changed_at: number("changed_at")?,
            attempts: number("attempts")?,
            looks: number("looks")?,
            failures: number("failures")?,
            receipt: text("receipt")?,
            proof: text("proof")?,
            why: if why.is_empty() { None } else { Some(why.parse()?) },
            detail: text("detail")?,
            retried_by: text("retried_by")?,
        })
    }

    /// The endpoint that the next step uses.
    pub(crate) const fn endpoint(&self) -> Endpoint {
        match (self.work, self.action) {
            (Work::Look, _) => Endpoint::Read,
            (Work::Act, Action::Hide | Action::Unhide) => Endpoint::Hide,
            (Work::Act, Action::Delete) => Endpoint::Delete,
            (Work::Act, Action::Report) => Endpoint::Report,
        }
    }

    /// The record of its present state.
    pub(crate) fn record(&self) -> anyhow::Result<Enforcement> {
        Ok(Enforcement {
            id: self.id.clone(),
            decision: self.decision.clone(),
            comment: self.comment.clone(),
            revision: self.revision.clone(),
            platform: self.platform,
            account: self.account.clone(),
            action: self.action,
            state: self.state,
            dry_run: self.dry_run,
            attempts: u32::try_from(self.attempts)?,
            at: Timestamp::from_millisecond(self.changed_at)?,
            error: self
                .why
                .filter(|_| self.state == EnforcementState::Failed)
                .map(|why| why.record(&self.detail)),
        })
    }
}

/// To be put at the end of a SELECT whose row is changed next.
pub(crate) const fn for_update(database: &Database) -> &'static str {
    match database.engine() {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE",
    }
}

/// `SELECT … FROM enforcer_requests` with `rest`.
pub(crate) fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM enforcer_requests {rest}"))
}

/// The request, locked until the transaction ends.
pub(crate) async fn lock(database: &Database, tx: &mut Tx, id: &str) -> anyhow::Result<Option<Request>> {
    let row = sqlx::query(select(&format!("WHERE id = $1{}", for_update(database))))
        .bind(id.to_owned())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(Request::read).transpose()
}

/// Writes a new row, in state `requested`. False where it exists: the same decision asked for it before.
pub(crate) async fn insert(tx: &mut Tx, request: &Request) -> anyhow::Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO enforcer_requests (id, decision, comment, revision, institution, account, platform, action, state, dry_run, subject, \
         severity, place, requested_at, next, endpoint, due_at, claimed_until, fence, step, changed_at, attempts, looks, failures, receipt, \
         proof, why, detail, retried_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'requested', $9, $10, $11, $12, $13, $14, $15, $16, 0, 0, 1, \
         $13, 0, 0, 0, '', '', '', '', '') ON CONFLICT (id) DO NOTHING",
    )
    .bind(request.id.to_string())
    .bind(request.decision.to_string())
    .bind(request.comment.to_string())
    .bind(request.revision.to_string())
    .bind(request.institution.to_string())
    .bind(request.account.to_string())
    .bind(request.platform.as_str())
    .bind(request.action.as_str())
    .bind(i64::from(request.dry_run))
    .bind(subject(request)?)
    .bind(request.severity)
    .bind(request.place)
    .bind(request.requested_at)
    .bind(request.work.as_str())
    .bind(request.endpoint().as_str())
    .bind(request.due_at)
    .execute(&mut **tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    write_down(tx, request).await?;
    Ok(true)
}

/// Writes what may change in a row.
pub(crate) async fn save(tx: &mut Tx, request: &Request) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE enforcer_requests SET state = $2, dry_run = $3, subject = $4, requested_at = $5, next = $6, endpoint = $7, due_at = $8, \
         claimed_until = $9, fence = $10, step = $11, changed_at = $12, attempts = $13, looks = $14, failures = $15, receipt = $16, \
         proof = $17, why = $18, detail = $19, retried_by = $20 WHERE id = $1",
    )
    .bind(request.id.to_string())
    .bind(request.state.as_str())
    .bind(i64::from(request.dry_run))
    .bind(subject(request)?)
    .bind(request.requested_at)
    .bind(request.work.as_str())
    .bind(request.endpoint().as_str())
    .bind(request.due_at)
    .bind(request.claimed_until)
    .bind(request.fence)
    .bind(request.step)
    .bind(request.changed_at)
    .bind(request.attempts)
    .bind(request.looks)
    .bind(request.failures)
    .bind(request.receipt.clone())
    .bind(request.proof.clone())
    .bind(request.why.map_or("", Why::as_str))
    .bind(request.detail.clone())
    .bind(request.retried_by.clone())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Moves `request` by `event`, saves it, and writes the change down for the topic. Once it is over, the sealed author goes.
pub(crate) async fn advance(tx: &mut Tx, request: &mut Request, event: Event, now: i64) -> anyhow::Result<()> {
    let to = next(Some(request.state), event)
        .with_context(|| format!("a request that is {} cannot {}", request.state.as_str(), event.as_str()))?;
    let changes = to != request.state;
    request.state = to;
    if matches!(to, EnforcementState::Confirmed | EnforcementState::Superseded) {
        request.on.author_sealed = None;
    }
    if changes {
        request.step += 1;
        // Steps of one request never go back in time, whatever the clock does.
        request.changed_at = now.max(request.changed_at);
    }
    save(tx, request).await?;
    if changes {
        write_down(tx, request).await?;
    }
    Ok(())
}

async fn write_down(tx: &mut Tx, request: &Request) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO enforcer_outbox (request, step, created_at, sent_at, record) VALUES ($1, $2, $3, 0, $4)")
        .bind(request.id.to_string())
        .bind(request.step)
        .bind(request.changed_at)
        .bind(String::from_utf8(encode(&request.record()?)).context("records are UTF-8")?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn subject(request: &Request) -> anyhow::Result<String> {
    serde_json::to_string(&request.on).context("the subject of a request is JSON")
}
