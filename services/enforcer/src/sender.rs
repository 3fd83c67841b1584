//! Carries requests out, one step at a time: claim and enter into the ledger, one call to the platform, write down what it told.
//!
//! Delivery: at least once, and never blindly twice. Before an action is sent it is written down that the next step is to look, so
//! that whatever happens meanwhile (a crash, a lost answer) the platform is read before anything is repeated. Only where it offers no
//! way to look is the action repeated blindly; a report then names its key. One step at a time is at work on a comment.
//!
//! A claim ends by itself after [`Pace::claim_ms`], far beyond the limits of a call; what an expired claim learns is not written.

use std::sync::Arc;

use jiff::Timestamp;
use rand::Rng as _;
use sqlx::Row as _;
use vigie_domain::{AccountId, EnforcementState, Platform};
use vigie_platforms::{Actor, Confirmation, PlatformError, Subject};
use vigie_runtime::Account;
use vigie_web::{Language, words};

use crate::Enforcer;
use crate::ledger::{self, Endpoint, Lesson, Most};
use crate::request::{self, Request, Work};
use crate::state::Event;
use crate::why::Why;

/// How fast things are sent and repeated; times in milliseconds.
#[derive(Debug, Clone)]
pub struct Pace {
    /// A claim holds for this long.
    pub claim_ms: i64,
    /// The first wait after a failure; doubled with each.
    pub retry_first_ms: i64,
    /// The longest wait after a failure.
    pub retry_longest_ms: i64,
    /// A credential that is refused rests for this long.
    pub refused_ms: i64,
    /// After so many failures in a row a credential pauses.
    pub failures_max: i64,
    /// How often what was accepted is read back before it is sent again.
    pub looks_max: i64,
    /// How often an action that is never seen is sent.
    pub attempts_unseen_max: i64,
    /// Requests of another process, or due again, are found after this at the latest.
    pub poll_ms: u64,
    /// How many requests of a kind a platform bears in five minutes.
    pub bearable: fn(Platform, Endpoint) -> i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            claim_ms: 15 * 60_000,
            retry_first_ms: 1_000,
            retry_longest_ms: 5 * 60_000,
            refused_ms: 5 * 60_000,
            failures_max: 5,
            looks_max: 6,
            attempts_unseen_max: 3,
            poll_ms: 5_000,
            bearable: ledger::bearable,
        }
    }
}

/// What a call to the platform told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The action was accepted; with its receipt, where there is one.
    Accepted(Option<String>),
    /// Read back.
    Seen(Confirmation),
    /// The call failed.
    Failed(PlatformError),
    /// There was no call: the author's id cannot be opened.
    Sealed,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something was done; there may be more.
    Done,
    /// Nothing can be done before this instant, in milliseconds since the epoch; none where nothing waits.
    Wait(Option<i64>),
}

enum Claim {
    Nothing(Option<i64>),
    Settled,
    Call(Box<Request>, Arc<dyn Actor>),
}

impl Enforcer {
    /// Does one step for `account`.
    ///
    /// # Errors
    /// The database failed; calling again goes on where it stopped.
    pub async fn step(&self, account: &AccountId) -> anyhow::Result<Step> {
        let Some(account) = self.accounts.get(account) else {
            return Ok(Step::Wait(None));
        };
        match self.claim(account).await? {
            Claim::Nothing(until) => Ok(Step::Wait(until)),
            Claim::Settled => Ok(Step::Done),
            Claim::Call(request, actor) => {
                let told = self.call(account, &request, actor.as_ref()).await;
                self.settle(account, &request, told).await?;
                Ok(Step::Done)
            }
        }
    }

    /// Takes the gravest request that is due and may be sent, and enters it into the ledger, all in one transaction.
    async fn claim(&self, account: &Account) -> anyhow::Result<Claim> {
        let now = Timestamp::now().as_millisecond();
        let Some(due) = self.next_due(account).await? else {
            return Ok(Claim::Nothing(None));
        };
        if due > now {
            return Ok(Claim::Nothing(Some(due)));
        }
        let mut tx = self.database.begin().await?;
        let ledger = ledger::open(&self.database, &mut tx, account, self.most()).await?;
        let open = match ledger.open_now(now) {
            Ok(open) => open,
            Err(until) => {
                tx.commit().await?;
                return Ok(Claim::Nothing(Some(until)));
            }
        };
        let kinds: Vec<String> = open.iter().map(|endpoint| format!("'{}'", endpoint.as_str())).collect();
        let sql = format!(
            "WHERE account = $1 AND state IN ('requested', 'sent') AND due_at <= $2 AND claimed_until <= $2 AND endpoint IN ({}) AND NOT EXISTS \
             (SELECT 1 FROM enforcer_requests other WHERE other.comment = enforcer_requests.comment AND other.claimed_until > $2) \
             ORDER BY severity DESC, requested_at, id LIMIT 1{}",
            kinds.join(", "),
            self.database.skip_locked()
        );
        let row = sqlx::query(request::select(&sql))
            .bind(account.id.to_string())
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else {
            tx.commit().await?;
            // Of a kind that is used up, or others are at work on the comment.
            let poll = now + i64::try_from(self.pace.poll_ms).unwrap_or(i64::MAX);
            return Ok(Claim::Nothing(Some(ledger.next_opening(now).map_or(poll, |at| at.min(poll)))));
        };
        let mut request = Request::read(&row)?;
        let actor = self.actors.get(&account.id).filter(|_| account.platform == request.platform);
        if let Some(event) = without_call(&mut request, account, actor.as_deref()) {
            request::advance(&mut tx, &mut request, event, now).await?;
            tx.commit().await?;
            self.metrics.count(&[(request.platform, request.state)]);
            self.changed();
            return Ok(Claim::Settled);
        }
        let Some(actor) = actor else { return Ok(Claim::Nothing(None)) };
        ledger.spend(&mut tx, request.endpoint(), now).await?;
        let mut claimed = request.clone();
        claimed.fence += 1;
        claimed.claimed_until = now + self.pace.claim_ms;
        if request.work == Work::Act {
            claimed.attempts += 1;
            claimed.work = Work::Look;
        }
        request::save(&mut tx, &claimed).await?;
        tx.commit().await?;
        request.fence = claimed.fence;
        Ok(Claim::Call(Box::new(request), actor))
    }

    /// When the next request of the account is due; none where none waits.
    async fn next_due(&self, account: &Account) -> anyhow::Result<Option<i64>> {
        let due = sqlx::query(
            "SELECT CAST(COALESCE(MIN(CASE WHEN claimed_until > due_at THEN claimed_until ELSE due_at END), -1) AS BIGINT) AS due \
             FROM enforcer_requests WHERE account = $1 AND state IN ('requested', 'sent')",
        )
        .bind(account.id.to_string())
        .fetch_one(self.database.pool())
        .await?;
        Ok(Some(due.try_get::<i64, _>("due")?).filter(|due| *due >= 0))
    }

    async fn call(&self, account: &Account, request: &Request, actor: &dyn Actor) -> Told {
        let subject = match self.subject(account, request) {
            Ok(subject) => subject,
            Err(error) => {
                tracing::error!(request = %request.id, account = %account.id, error = format!("{error:#}"), "the author of a comment cannot be named to its platform");
                return Told::Sealed;
            }
        };
        let told = match request.work {
            Work::Act => actor.act(request.action, &subject).await.map(Told::Accepted),
            Work::Look => actor.confirm(request.action, &subject).await.map(Told::Seen),
        };
        told.unwrap_or_else(Told::Failed)
    }

    /// The native id of the author leaves its seal here and nowhere else.
    fn subject(&self, account: &Account, request: &Request) -> anyhow::Result<Subject> {
        let author = request
            .on
            .author_sealed
            .as_deref()
            .map(|sealed| self.keys.open_sealed(sealed))
            .transpose()?;
        Ok(Subject {
            post: request.on.post.clone(),
            native_id: request.on.native_id.clone(),
            author_native: author.map(String::from_utf8).transpose()?,
            comment: report_text(account, request),
            idempotency_key: request.id.to_string(),
        })
    }

    /// Writes down what the platform told.
    async fn settle(&self, account: &Account, claimed: &Request, told: Told) -> anyhow::Result<()> {
        let now = Timestamp::now().as_millisecond();
        let draw = rand::rng().random_range(0.0..1.0);
        let mut tx = self.database.begin().await?;
        let Some(mut request) = request::lock(&self.database, &mut tx, claimed.id.as_str()).await? else {
            return Ok(());
        };
        if request.fence != claimed.fence {
            return Ok(());
        }
        ledger::learn(&mut tx, account, lesson(&told, request.failures, &self.pace, now, draw), now).await?;
        request.claimed_until = 0;
        let before = request.state;
        if before == EnforcementState::Superseded {
            request::save(&mut tx, &request).await?;
        } else {
            match react(&mut request, &told, now, &self.limits(), draw) {
                Some(event) => request::advance(&mut tx, &mut request, event, now).await?,
                None => request::save(&mut tx, &request).await?,
            }
        }
        tx.commit().await?;
        if let Told::Failed(error) = &told {
            tracing::warn!(request = %request.id, account = %account.id, platform = %request.platform, action = request.action.as_str(), state = request.state.as_str(), %error, "a platform could not be acted on");
        }
        if request.state != before {
            self.metrics.count(&[(request.platform, request.state)]);
            self.changed();
        }
        Ok(())
    }

    pub(crate) fn most(&self) -> Most {
        Most {
            bearable: self.pace.bearable,
            configured: self.config.actions_per_5_min,
        }
    }

    fn limits(&self) -> Limits<'_> {
        Limits {
            pace: &self.pace,
            give_up_after_ms: i64::try_from(self.config.give_up_after.0.as_millis()).unwrap_or(i64::MAX / 4),
        }
    }
}

pub(crate) struct Limits<'a> {
    pub(crate) pace: &'a Pace,
    pub(crate) give_up_after_ms: i64,
}

/// What ends a request without any call: the configuration has changed since it was asked for.
fn without_call(request: &mut Request, account: &Account, actor: Option<&dyn Actor>) -> Option<Event> {
    if account.dry_run && request.work == Work::Act {
        if request.state == EnforcementState::Sent {
            request.why = Some(Why::DryRunSince);
            return Some(Event::Fail);
        }
        request.dry_run = true;
        request.proof = "dry-run".to_owned();
        return Some(Event::Rehearse);
    }
    let why = match actor {
        None if account.dry_run => Why::DryRunSince,
        None if account.platform != request.platform => Why::Unsupported,
        None => Why::NoToken,
        Some(actor) if !actor.supports(request.action) => Why::Unsupported,
        Some(_) => return None,
    };
    request.why = Some(why);
    Some(Event::Fail)
}

/// Changes `request` by what the platform told, and says which event that is. Pure; `draw` in [0, 1) is the jitter.
pub(crate) fn react(request: &mut Request, told: &Told, now: i64, limits: &Limits<'_>, draw: f64) -> Option<Event> {
    match told {
        Told::Accepted(receipt) => {
            request.receipt = receipt.clone().unwrap_or_default();
            forget_trouble(request);
            request.looks = 0;
            request.work = Work::Look;
            request.due_at = now;
            Some(Event::Accept)
        }
        Told::Seen(Confirmation::Holds) => {
            forget_trouble(request);
            "read".clone_into(&mut request.proof);
            Some(Event::Confirm)
        }
        Told::Seen(Confirmation::Unreadable) if request.state == EnforcementState::Sent => {
            forget_trouble(request);
            "receipt".clone_into(&mut request.proof);
            Some(Event::Confirm)
        }
        Told::Seen(Confirmation::Absent) if request.state == EnforcementState::Sent => absent(request, now, limits, draw),
        // It is not there, or cannot be seen, and nobody knows whether it was ever sent: it is sent.
        Told::Seen(Confirmation::Absent | Confirmation::Unreadable) => {
            request.work = Work::Act;
            request.due_at = now;
            None
        }
        Told::Sealed => fail(request, Why::Sealed, ""),
        Told::Failed(error) => failed(request, error, now, limits, draw),
    }
}

/// Accepted, but not to be seen: platforms show a change late. Looked for again for a while, then sent again.
fn absent(request: &mut Request, now: i64, limits: &Limits<'_>, draw: f64) -> Option<Event> {
    request.looks += 1;
    if request.looks < limits.pace.looks_max {
        request.due_at = now + delay_ms(request.looks - 1, limits.pace, draw);
        return None;
    }
    if request.attempts >= limits.pace.attempts_unseen_max {
        return fail(request, Why::NeverSeen, "");
    }
    request.looks = 0;
    request.work = Work::Act;
    request.due_at = now;
    None
}

fn failed(request: &mut Request, error: &PlatformError, now: i64, limits: &Limits<'_>, draw: f64) -> Option<Event> {
    let detail = error.to_string();
    let (why, due_at) = match error {
        PlatformError::Gone => return fail(request, Why::Gone, &detail),
        PlatformError::Permanent(_) => return fail(request, Why::Refused, &detail),
        PlatformError::Unauthorized(_) => (Why::TokenRefused, now + limits.pace.refused_ms),
        PlatformError::Throttled { until } => {
            let back_off = now + delay_ms(request.failures, limits.pace, draw);
            (Why::Throttled, until.map_or(back_off, |until| until.as_millisecond().max(now + 1)))
        }
        PlatformError::Transient(_) | PlatformError::Malformed(_) => {
            (Why::Unavailable, now + delay_ms(request.failures, limits.pace, draw))
        }
    };
    request.failures += 1;
    if now - request.requested_at >= limits.give_up_after_ms {
        return fail(request, Why::GaveUp, &detail);
    }
    request.why = Some(why);
    request.detail = detail;
    request.due_at = due_at;
    None
}

fn fail(request: &mut Request, why: Why, detail: &str) -> Option<Event> {
    request.why = Some(why);
    detail.clone_into(&mut request.detail);
    Some(Event::Fail)
}

fn forget_trouble(request: &mut Request) {
    request.why = None;
    request.detail.clear();
    request.failures = 0;
}

/// Exponential with full jitter.
fn delay_ms(failures: i64, pace: &Pace, draw: f64) -> i64 {
    let doublings = u32::try_from(failures.clamp(0, 30)).unwrap_or(30);
    let ceiling = pace
        .retry_first_ms
        .saturating_mul(2_i64.saturating_pow(doublings))
        .min(pace.retry_longest_ms);
    let spread = ceiling - pace.retry_first_ms.min(ceiling);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "minutes in milliseconds fit"
    )]
    let jitter = (spread as f64 * draw) as i64;
    pace.retry_first_ms.min(ceiling) + jitter
}

fn lesson(told: &Told, failures: i64, pace: &Pace, now: i64, draw: f64) -> Lesson {
    match told {
        Told::Failed(PlatformError::Throttled { until }) => {
            Lesson::Pause(until.map_or_else(|| now + delay_ms(failures, pace, draw), Timestamp::as_millisecond))
        }
        Told::Failed(PlatformError::Unauthorized(_)) => Lesson::Pause(now + pace.refused_ms),
        Told::Failed(PlatformError::Transient(_) | PlatformError::Malformed(_)) => Lesson::Failed {
            failures_max: pace.failures_max,
            pause_ms: delay_ms(failures + 1, pace, draw),
        },
        _ => Lesson::Works,
    }
}

/// What the platform's moderators read: who reports, why, and the key by which a repeated report is recognised. Nothing of the text.
fn report_text(account: &Account, request: &Request) -> String {
    let list = |language: Language| {
        let acts: Vec<&str> = request.on.acts.iter().map(|act| words::act(language, *act)).collect();
        if acts.is_empty() {
            language.pick("contraire à nos règles", "against our rules").to_owned()
        } else {
            acts.join(", ")
        }
    };
    let basis = request
        .on
        .legal_basis
        .map(|basis| format!(" ({})", basis.text()))
        .unwrap_or_default();
    format!(
        "Signalement de {name} : {fr}{basis}. Report by {name}: {en}. [vigie {key}]",
        name = account.name,
        fr = list(Language::Fr),
        en = list(Language::En),
        key = request.id
    )
}
