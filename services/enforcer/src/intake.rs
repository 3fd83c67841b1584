//! From `decisions` to the outbox of actions. Idempotent by decision: a redelivered one changes nothing.
//!
//! Delivery: at least once; a batch is one transaction, committed before the offsets are. Decisions on one comment arrive in the
//! order in which they were taken. A newer one supersedes what older ones asked for and is not over yet, and asks for what is
//! missing: an undo thus shows again what was hidden.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use vigie_bus::Delivery;
use vigie_domain::{Decision, EnforcementId, EnforcementState, Outcome, Platform, decode};
use vigie_runtime::{Account, Handler, Rejected};

use crate::Enforcer;
use crate::plan::{Effects, Past, Planned, plan};
use crate::request::{self, On, Request, Tx, Work};
use crate::state::Event;
use crate::why::Why;

/// The consumer.
pub struct Intake(pub(crate) Enforcer);

/// Changes of state of a batch, counted only once it is committed.
type Changes = Vec<(Platform, EnforcementState)>;

/// The decision last taken on a comment.
struct Head {
    /// How many requests there were for the comment.
    requests: i64,
}

#[async_trait]
impl Handler for Intake {
    async fn handle(&mut self, batch: &[Delivery]) -> anyhow::Result<Vec<Rejected>> {
        let mut rejected = Vec::new();
        let mut changes = Changes::new();
        let mut tx = self.0.database.begin().await?;
        for (index, delivery) in batch.iter().enumerate() {
            match decode::<Decision>(&delivery.record.payload) {
                Ok(decision) => self.0.take(&mut tx, &decision, &mut changes).await?,
                Err(error) => rejected.push(Rejected {
                    index,
                    error: error.to_string(),
                }),
            }
        }
        tx.commit().await?;
        self.0.metrics.count(&changes);
        if !changes.is_empty() {
            self.0.wake();
        }
        Ok(rejected)
    }
}

impl Enforcer {
    async fn take(&self, tx: &mut Tx, decision: &Decision, changes: &mut Changes) -> anyhow::Result<()> {
        let now = Timestamp::now().as_millisecond();
        let first = sqlx::query("INSERT INTO enforcer_decisions (id, seen_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
            .bind(decision.id.to_string())
            .bind(now)
            .execute(&mut **tx)
            .await?;
        if first.rows_affected() == 0 {
            return Ok(());
        }
        let Some(head) = self.become_head(tx, decision).await? else {
            return Ok(());
        };
        let past = self.supersede(tx, decision, now, changes).await?;
        let account = self.accounts.get(&decision.verdict.comment.account);
        self.ask(tx, decision, account, &head, &past, now, changes).await
    }

    /// Makes `decision` the one in effect on its comment; none where one of a later sequence on the same revision is.
    async fn become_head(&self, tx: &mut Tx, decision: &Decision) -> anyhow::Result<Option<Head>> {
        let comment = &decision.verdict.comment;
        sqlx::query(
            "INSERT INTO enforcer_heads (comment, decision, revision, sequence, requests) VALUES ($1, '', '', -1, 0) ON CONFLICT (comment) DO NOTHING",
        )
        .bind(comment.id.to_string())
        .execute(&mut **tx)
        .await?;
        let sql = format!(
            "SELECT revision, sequence, requests FROM enforcer_heads WHERE comment = $1{}",
            request::for_update(&self.database)
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(comment.id.to_string())
            .fetch_one(&mut **tx)
            .await?;
        let same_revision = row.try_get::<String, _>("revision")? == comment.revision.as_str();
        if same_revision && row.try_get::<i64, _>("sequence")? >= i64::from(decision.sequence) {
            return Ok(None);
        }
        sqlx::query("UPDATE enforcer_heads SET decision = $2, revision = $3, sequence = $4 WHERE comment = $1")
            .bind(comment.id.to_string())
            .bind(decision.id.to_string())
            .bind(comment.revision.to_string())
            .bind(i64::from(decision.sequence))
            .execute(&mut **tx)
            .await?;
        Ok(Some(Head {
            requests: row.try_get("requests")?,
        }))
    }

    /// Supersedes what is not over yet, and tells what was asked for so far, oldest first.
    async fn supersede(&self, tx: &mut Tx, decision: &Decision, now: i64, changes: &mut Changes) -> anyhow::Result<Vec<(bool, Past)>> {
        let rows = sqlx::query(request::select(&format!(
            "WHERE comment = $1 ORDER BY place{}",
            request::for_update(&self.database)
        )))
        .bind(decision.verdict.comment.id.to_string())
        .fetch_all(&mut **tx)
        .await?;
        let mut past = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut older = Request::read(row)?;
            past.push((older.dry_run, outcome_of(&older)));
            if matches!(older.state, EnforcementState::Confirmed | EnforcementState::Superseded) {
                continue;
            }
            // Whoever is at work on it keeps the claim until the platform has answered: nothing else is sent for the comment meanwhile.
            request::advance(tx, &mut older, Event::Supersede, now).await?;
            changes.push((older.platform, older.state));
        }
        Ok(past)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one transaction")]
    async fn ask(
        &self,
        tx: &mut Tx,
        decision: &Decision,
        account: Option<&Account>,
        head: &Head,
        past: &[(bool, Past)],
        now: i64,
        changes: &mut Changes,
    ) -> anyhow::Result<()> {
        let comment = &decision.verdict.comment;
        // Nothing can be sent for an account that is not configured.
        let dry_run = account.is_none_or(|account| account.dry_run);
        // What was only rehearsed has changed nothing for an account that acts.
        let counted: Vec<Past> = past
            .iter()
            .filter(|(rehearsed, _)| dry_run || !rehearsed)
            .map(|(_, past)| *past)
            .collect();
        // An account acts on its own platform only, whatever else was imported under its name.
        let at_home = account.is_none_or(|account| account.platform == comment.platform);
        let actor = self.actors.get(&comment.account).filter(|_| at_home);
        let can = |action| match &actor {
            Some(actor) => actor.supports(action),
            None => vigie_platforms::supports(comment.platform, action),
        };
        let planned = plan(decision, Effects::of(&counted), can);
        let mut place = head.requests;
        for one in planned {
            place += 1;
            let mut request = new_request(decision, one, dry_run, place, now);
            if !request::insert(tx, &request).await? {
                continue;
            }
            changes.push((request.platform, request.state));
            let event = if dry_run {
                request.proof = "dry-run".to_owned();
                Event::Rehearse
            } else if actor.is_none() {
                let lacks_token = at_home && vigie_platforms::supports(comment.platform, one.action);
                request.why = Some(if lacks_token { Why::NoToken } else { Why::Unsupported });
                Event::Fail
            } else if can(one.action) {
                continue;
            } else {
                request.why = Some(Why::Unsupported);
                Event::Fail
            };
            request::advance(tx, &mut request, event, now).await?;
            changes.push((request.platform, request.state));
        }
        sqlx::query("UPDATE enforcer_heads SET requests = $2 WHERE comment = $1")
            .bind(comment.id.to_string())
            .bind(place)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

fn outcome_of(request: &Request) -> Past {
    let given_up = matches!(request.state, EnforcementState::Failed | EnforcementState::Superseded);
    let certainly_not = given_up && request.why.is_some_and(Why::changed_nothing);
    Past {
        action: request.action,
        begun: (request.attempts > 0 && !certainly_not) || request.state == EnforcementState::Confirmed,
        confirmed: request.state == EnforcementState::Confirmed,
    }
}

fn new_request(decision: &Decision, planned: Planned, dry_run: bool, place: i64, now: i64) -> Request {
    let comment = &decision.verdict.comment;
    Request {
        id: EnforcementId::derive(&decision.id, planned.action.as_str()),
        decision: decision.id.clone(),
        comment: comment.id.clone(),
        revision: comment.revision.clone(),
        institution: comment.institution.clone(),
        account: comment.account.clone(),
        platform: comment.platform,
        action: planned.action,
        state: EnforcementState::Requested,
        dry_run,
        on: On {
            post: comment.post.to_string(),
            native_id: comment.native_id.to_string(),
            author_sealed: comment.author_sealed.clone(),
            permalink: comment.permalink.clone(),
            acts: decision.stated_acts(),
            legal_basis: decision.legal_basis,
        },
        severity: severity(decision.outcome, decision.verdict.priority),
        place,
        requested_at: now,
        work: if planned.look_first { Work::Look } else { Work::Act },
        due_at: now,
        claimed_until: 0,
        fence: 0,
        step: 1,
        changed_at: now,
        attempts: 0,
        looks: 0,
        failures: 0,
        receipt: String::new(),
        proof: String::new(),
        why: None,
        detail: String::new(),
        retried_by: String::new(),
    }
}

/// Threats first, then what was hidden by mistake, then the rest by its place in the queue of the moderators.
const fn severity(outcome: Outcome, priority: u8) -> i64 {
    let base = match outcome {
        Outcome::Escalate => 3_000,
        Outcome::Keep => 2_000,
        Outcome::Delete => 1_000,
        Outcome::Hide => 0,
    };
    base + priority as i64
}
