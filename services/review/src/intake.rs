//! From `verdicts` to the queue. Idempotent by verdict and revision: a redelivered verdict changes nothing.
//!
//! Delivery: at least once; a batch is one transaction, committed before the offsets are. The newest revision of a comment is the
//! one in effect: it withdraws what waits for an older one; an older one that arrives late is passed over. A deletion withdraws.
//! What was decided or escalated stays: it is evidence.
//!
//! A comment drawn for the blind audit always reaches a person: also one that the classifier keeps, and one that the policy hides.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use tokio::sync::Notify;
use vigie_bus::Delivery;
use vigie_domain::{Comment, Decision, DecisionAuthor, DecisionId, Outcome, Route, ScoreLabel, Verdict, decode};
use vigie_runtime::{Database, Handler, Policies, Rejected};

use crate::item::{self, BY_INTAKE, BY_POLICY, Item, Origin, Tx};
use crate::metrics::Metrics;
use crate::outbox;
use crate::state::{Event, State};

/// Rules of at least this severity make a text severe.
const SEVERE_RULE: u8 = 4;
/// Scores of at least this on a grave label make a text severe.
const SEVERE_SCORE: f32 = 0.8;

/// The consumer.
pub(crate) struct Intake {
    pub(crate) database: Database,
    pub(crate) policies: Policies,
    pub(crate) metrics: Metrics,
    pub(crate) entered: Arc<Notify>,
    pub(crate) audit_priority: u8,
}

/// Where a verdict puts a revision that is not in the queue yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Nowhere.
    Pass,
    /// To a person.
    Queue(Origin),
    /// Hidden by policy, if the quota allows; then to a person where drawn.
    Hide,
}

/// Pure. Escalation goes before everything: nothing that a person must see at once is handled automatically.
pub(crate) const fn place(route: Route, escalate: bool, drawn: bool) -> Placement {
    match (route, escalate, drawn) {
        (_, true, _) => Placement::Queue(Origin::Urgent),
        (Route::Review, ..) => Placement::Queue(Origin::Review),
        (Route::Hide, ..) => Placement::Hide,
        (Route::Keep, _, true) => Placement::Queue(Origin::Audit),
        (Route::Keep, _, false) => Placement::Pass,
    }
}

/// Whether a text may distress who reads it: it is folded until asked for.
pub(crate) fn is_severe(verdict: &Verdict) -> bool {
    const GRAVE: [ScoreLabel; 8] = [
        ScoreLabel::Hate,
        ScoreLabel::Threat,
        ScoreLabel::Incitement,
        ScoreLabel::TerrorApology,
        ScoreLabel::Denial,
        ScoreLabel::Doxxing,
        ScoreLabel::Sexual,
        ScoreLabel::Distress,
    ];
    verdict.escalate
        || verdict.rules.iter().any(|hit| hit.severity >= SEVERE_RULE)
        || GRAVE
            .iter()
            .any(|label| verdict.scores.get(*label).is_some_and(|score| score >= SEVERE_SCORE))
}

/// Orders the revisions of one comment, whatever the order of their arrival: by the platform's clock, then by ours; a deletion goes
/// after what it deletes; where nothing tells, the ids do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    revised_us: i64,
    collected_us: i64,
    deleted: i64,
    revision: String,
}

impl Position {
    fn of(comment: &Comment) -> Self {
        Self {
            revised_us: comment.revised_at().as_microsecond(),
            collected_us: comment.collected_at.as_microsecond(),
            deleted: i64::from(comment.deleted.is_some()),
            revision: comment.revision.to_string(),
        }
    }

    fn read(row: &AnyRow) -> anyhow::Result<Self> {
        Ok(Self {
            revised_us: row.try_get("revised_us")?,
            collected_us: row.try_get("collected_us")?,
            deleted: row.try_get("deleted")?,
            revision: row.try_get("revision")?,
        })
    }
}

/// What a batch did, counted only once it is committed.
#[derive(Default)]
struct Done {
    automatic: u64,
    over_quota: u64,
    withdrawn: u64,
}

#[async_trait]
impl Handler for Intake {
    async fn handle(&mut self, batch: &[Delivery]) -> anyhow::Result<Vec<Rejected>> {
        let mut rejected = Vec::new();
        let mut done = Done::default();
        let mut tx = self.database.begin().await?;
        for (index, delivery) in batch.iter().enumerate() {
            match decode::<Verdict>(&delivery.record.payload) {
                Ok(verdict) => self.take(&mut tx, verdict, &mut done).await?,
                Err(error) => rejected.push(Rejected {
                    index,
                    error: error.to_string(),
                }),
            }
        }
        tx.commit().await?;
        self.metrics.over_quota.inc_by(done.over_quota);
        self.metrics.withdrawn.inc_by(done.withdrawn);
        if done.automatic > 0 {
            self.metrics.automatic.inc_by(done.automatic);
            self.metrics
                .decisions
                .with_label_values(&[Outcome::Hide.as_str()])
                .inc_by(done.automatic);
            self.entered.notify_one();
        }
        Ok(rejected)
    }
}

impl Intake {
    async fn take(&self, tx: &mut Tx, verdict: Verdict, done: &mut Done) -> anyhow::Result<()> {
        let now = Timestamp::now().as_millisecond();
        if !self.becomes_head(tx, &verdict, now, done).await? || verdict.comment.deleted.is_some() {
            return Ok(());
        }
        match item::lock(&self.database, tx, verdict.comment.revision.as_str()).await? {
            None => self.add(tx, verdict, now, done).await,
            Some(known) => self.refresh(tx, known, &verdict, now).await,
        }
    }

    /// Makes the verdict's revision the one in effect and withdraws what waits for another. False where a newer one is known.
    async fn becomes_head(&self, tx: &mut Tx, verdict: &Verdict, now: i64, done: &mut Done) -> anyhow::Result<bool> {
        let comment = &verdict.comment;
        let position = Position::of(comment);
        let sql = format!(
            "SELECT revision, revised_us, collected_us, deleted FROM review_heads WHERE comment = $1{}",
            item::for_update(&self.database)
        );
        let head = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(comment.id.as_str().to_owned())
            .fetch_optional(&mut **tx)
            .await?;
        if let Some(head) = head {
            let known = Position::read(&head)?;
            if position < known {
                return Ok(position.revision == known.revision);
            }
            if position == known {
                return Ok(true);
            }
        }
        sqlx::query(
            "INSERT INTO review_heads (comment, revision, revised_us, collected_us, deleted) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (comment) DO UPDATE SET revision = excluded.revision, revised_us = excluded.revised_us,
                collected_us = excluded.collected_us, deleted = excluded.deleted",
        )
        .bind(comment.id.as_str().to_owned())
        .bind(position.revision)
        .bind(position.revised_us)
        .bind(position.collected_us)
        .bind(position.deleted)
        .execute(&mut **tx)
        .await?;
        self.withdraw_others(tx, verdict, now, done).await?;
        Ok(true)
    }

    async fn withdraw_others(&self, tx: &mut Tx, verdict: &Verdict, now: i64, done: &mut Done) -> anyhow::Result<()> {
        let comment = &verdict.comment;
        let open: Vec<String> =
            sqlx::query_scalar("SELECT revision FROM review_items WHERE comment = $1 AND revision <> $2 AND state IN ('queued', 'leased')")
                .bind(comment.id.as_str().to_owned())
                .bind(comment.revision.as_str().to_owned())
                .fetch_all(&mut **tx)
                .await?;
        let why = if comment.deleted.is_some() {
            "deleted upstream"
        } else {
            "edited upstream"
        };
        for revision in open {
            let Some(mut other) = item::lock(&self.database, tx, &revision).await? else {
                continue;
            };
            if matches!(other.state, State::Queued | State::Leased) {
                item::advance(tx, &mut other, Event::Withdraw, BY_INTAKE, now, why).await?;
                done.withdrawn += 1;
            }
        }
        Ok(())
    }

    async fn add(&self, tx: &mut Tx, verdict: Verdict, now: i64, done: &mut Done) -> anyhow::Result<()> {
        let drawn = verdict.audit.selected;
        match place(verdict.route, verdict.escalate, drawn) {
            Placement::Pass => Ok(()),
            Placement::Queue(origin) => item::insert(tx, &mut self.fresh(verdict, origin), Event::Arrive, BY_INTAKE, now).await,
            Placement::Hide if !self.quota_allows(tx, &verdict, now).await? => {
                done.over_quota += 1;
                item::insert(tx, &mut self.fresh(verdict, Origin::Quota), Event::Arrive, BY_INTAKE, now).await
            }
            Placement::Hide => {
                let mut item = self.fresh(verdict, Origin::Check);
                item::insert(tx, &mut item, Event::Automatic, BY_POLICY, now).await?;
                let severe = item.severe;
                anyhow::ensure!(
                    outbox::enter(tx, &automatic(&item.verdict, now)?, 0, severe, now).await?,
                    "a new revision already has a decision"
                );
                done.automatic += 1;
                if drawn {
                    item::advance(tx, &mut item, Event::Check, BY_POLICY, now, "drawn for the blind audit").await?;
                }
                Ok(())
            }
        }
    }

    fn fresh(&self, verdict: Verdict, origin: Origin) -> Item {
        Item {
            revision: verdict.comment.revision.clone(),
            state: State::Queued,
            origin,
            urgent: verdict.escalate,
            priority: self.priority(&verdict, verdict.audit.selected),
            severe: is_severe(&verdict),
            queued_at: 0,
            comment: verdict.comment.id.to_string(),
            selected: verdict.audit.selected,
            exposed: false,
            verdict_id: verdict.id.to_string(),
            fence: 0,
            lease_user: 0,
            lease_until: 0,
            lease_blind: false,
            sequence: 0,
            steps: 0,
            verdict,
        }
    }

    /// Place in the queue. What the blind audit drew must not wait for ever behind what the classifier ranks.
    fn priority(&self, verdict: &Verdict, drawn: bool) -> u8 {
        let given = verdict.priority.min(100);
        if drawn { given.max(self.audit_priority) } else { given }
    }

    /// A verdict on a revision that is here already: by other versions of model or rules, or because the author went back to it.
    async fn refresh(&self, tx: &mut Tx, mut known: Item, verdict: &Verdict, now: i64) -> anyhow::Result<()> {
        let returned = known.state == State::Withdrawn;
        if returned {
            item::advance(
                tx,
                &mut known,
                Event::Return,
                BY_INTAKE,
                now,
                "the author went back to this revision",
            )
            .await?;
        }
        // Of what was withdrawn long ago the text is erased: it is read anew.
        if known.verdict_id == verdict.id.as_str() && !returned {
            return Ok(());
        }
        let hidden_by_policy_only = known.state == State::Decided && known.origin == Origin::Check && known.sequence == 1;
        if hidden_by_policy_only && verdict.escalate {
            item::advance(tx, &mut known, Event::Check, BY_INTAKE, now, "a newer verdict asks for a person").await?;
        }
        if known.state != State::Queued {
            return Ok(());
        }
        let selected = known.selected || verdict.audit.selected;
        sqlx::query(
            "UPDATE review_items SET verdict = $2, verdict_id = $3, urgent = $4, priority = $5, severe = $6, selected = $7, erased = 0
             WHERE revision = $1",
        )
        .bind(known.revision.as_str().to_owned())
        .bind(item::json(verdict)?)
        .bind(verdict.id.as_str().to_owned())
        .bind(i64::from(verdict.escalate))
        .bind(i64::from(self.priority(verdict, selected)))
        .bind(i64::from(is_severe(verdict)))
        .bind(i64::from(selected))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Takes one from today's quota of the institution; false when none is left.
    async fn quota_allows(&self, tx: &mut Tx, verdict: &Verdict, now: i64) -> anyhow::Result<bool> {
        let most = self.policies.for_account(&verdict.comment.account).automatic.hide_per_day;
        if most == 0 {
            return Ok(false);
        }
        let used: Option<i64> = sqlx::query_scalar(
            "INSERT INTO review_quotas (institution, day, used) VALUES ($1, $2, 1)
             ON CONFLICT (institution, day) DO UPDATE SET used = review_quotas.used + 1 WHERE review_quotas.used < $3 RETURNING used",
        )
        .bind(verdict.comment.institution.as_str().to_owned())
        .bind(day_in_paris(now))
        .bind(i64::from(most))
        .fetch_optional(&mut **tx)
        .await?;
        Ok(used.is_some())
    }
}

fn automatic(verdict: &Verdict, now: i64) -> anyhow::Result<Decision> {
    Ok(Decision {
        id: DecisionId::derive(&verdict.comment.revision, 0),
        sequence: 0,
        outcome: Outcome::Hide,
        acts: Vec::new(),
        targets: Vec::new(),
        legal_basis: None,
        note: None,
        author: DecisionAuthor::Policy {
            policy: verdict.policy.clone(),
        },
        decided_at: Timestamp::from_millisecond(now)?,
        blind: false,
        undoes: None,
        verdict: verdict.clone(),
    })
}

/// The day of the quota, as `2026-11-24`.
fn day_in_paris(now_ms: i64) -> String {
    Timestamp::from_millisecond(now_ms)
        .unwrap_or_default()
        .to_zoned(vigie_web::words::paris())
        .date()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_by_route_escalation_and_draw() {
        let cases = [
            (Route::Keep, false, false, Placement::Pass),
            (Route::Keep, false, true, Placement::Queue(Origin::Audit)),
            (Route::Keep, true, false, Placement::Queue(Origin::Urgent)),
            (Route::Review, false, false, Placement::Queue(Origin::Review)),
            (Route::Review, true, true, Placement::Queue(Origin::Urgent)),
            (Route::Hide, false, false, Placement::Hide),
            (Route::Hide, false, true, Placement::Hide),
            (Route::Hide, true, false, Placement::Queue(Origin::Urgent)),
        ];
        for (route, escalate, drawn, expected) in cases {
            assert_eq!(place(route, escalate, drawn), expected, "{route:?} {escalate} {drawn}");
        }
    }

    #[test]
    fn a_day_ends_at_midnight_in_paris() -> Result<(), jiff::Error> {
        for (at, expected) in [
            ("2026-07-14T21:59:59Z", "2026-07-14"),
            ("2026-07-14T22:00:00Z", "2026-07-15"),
            ("2026-12-31T23:00:00Z", "2027-01-01"),
        ] {
            assert_eq!(day_in_paris(at.parse::<Timestamp>()?.as_millisecond()), expected);
        }
        Ok(())
    }
}
