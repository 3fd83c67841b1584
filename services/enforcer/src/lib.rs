//! Carries decisions out on the platforms.
//!
//! Consumes `decisions`, those of people and those that review takes by policy; publishes every change of state to `enforcements`.
//! Delivery: at least once on both sides; a redelivered decision asks for nothing, and a change of state has a deterministic id. The
//! tables of this service are the outbox of actions: an action is asked for under an idempotency key derived from its decision, is
//! entered into the ledger before it is sent, and is confirmed by reading it back (see [`sender`]). A newer decision on a comment
//! supersedes what older ones asked for; an undo shows again what was hidden.
//!
//! Dry-run is the default of an account: its actions are written down as confirmed, and nothing is sent. What a platform cannot do is
//! replaced by what it can (see [`plan`]), or fails and says what to do. What this service does not do: it decides nothing, and
//! keeps nothing of the text of a comment.

mod actors;
mod clock;
mod intake;
mod ledger;
mod metrics;
mod outbox;
mod pages;
pub mod plan;
mod request;
mod retry;
mod schema;
pub mod sender;
pub mod state;
mod why;

use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use vigie_domain::{AccountId, Topic};
use vigie_runtime::units::Interval;
use vigie_runtime::{Accounts, Database, Engine, Keys, Runtime, Started, consume};
use vigie_web::Web;

pub use actors::Actors;
pub use intake::Intake;
pub use ledger::{Endpoint, Most, Rate};
pub use retry::Retried;
pub use sender::{Pace, Step};
pub use why::Why;

const BATCH_RECORDS_MAX: usize = 200;

/// Section `[enforcer]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long an action is tried before a person must look.
    pub give_up_after: Interval,
    /// At most this many requests of each kind (hide, report, read back) in five minutes and per credential; a platform that bears
    /// less is asked for less.
    pub actions_per_5_min: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            give_up_after: Interval::seconds(48 * 3600),
            actions_per_5_min: 60,
        }
    }
}

impl Config {
    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.actions_per_5_min > 0,
            "[enforcer] actions_per_5_min is 0: to send nothing, set dry_run = true on the accounts"
        );
        Ok(())
    }
}

/// The enforcer without its tasks. Cheap to clone.
#[derive(Clone)]
pub struct Enforcer {
    pub(crate) database: Database,
    pub(crate) config: Arc<Config>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) accounts: Accounts,
    pub(crate) actors: Actors,
    pub(crate) keys: Keys,
    pub(crate) metrics: metrics::Metrics,
    /// Tells the senders that something was asked for.
    asked: watch::Sender<()>,
    /// Tells the relay that something changed.
    pub(crate) published: Arc<Notify>,
}

impl Enforcer {
    /// Opens the tables and registers the metrics.
    ///
    /// # Errors
    /// A value of the configuration that cannot be right, or a database that cannot be opened.
    pub async fn open(config: Config, runtime: &Runtime, actors: Actors, pace: Pace) -> anyhow::Result<Self> {
        config.check()?;
        let database = runtime
            .databases
            .open("enforcer", schema::MIGRATIONS)
            .await
            .context("could not open the database of the enforcer")?;
        if database.engine() == Engine::Sqlite {
            // The data directory is this process's alone: claims are of one that is gone.
            sqlx::query("UPDATE enforcer_requests SET claimed_until = 0 WHERE claimed_until > 0")
                .execute(database.pool())
                .await?;
        }
        Ok(Self {
            database,
            config: Arc::new(config),
            pace: Arc::new(pace),
            accounts: runtime.accounts.clone(),
            actors,
            keys: runtime.keys.clone(),
            metrics: metrics::Metrics::register(&runtime.registry, &runtime.accounts)?,
            asked: watch::Sender::new(()),
            published: Arc::default(),
        })
    }

    /// The consumer of decisions.
    #[must_use]
    pub fn intake(&self) -> Intake {
        Intake(self.clone())
    }

    /// Something was asked for.
    pub(crate) fn wake(&self) {
        self.asked.send_replace(());
        self.changed();
    }

    /// Something must be published.
    pub(crate) fn changed(&self) {
        self.published.notify_one();
    }
}

/// Starts the consumer, the senders, the relay of the outbox, the clock and the page.
///
/// # Errors
/// As [`Enforcer::open`]; also an account that acts and whose configuration cannot be used.
pub async fn start(config: Config, runtime: Runtime, _web: Web) -> anyhow::Result<Started> {
    let actors = Actors::of(&runtime.accounts)?;
    start_with(config, runtime, actors, Pace::default()).await
}

/// As [`start`], with these actors.
///
/// # Errors
/// As [`Enforcer::open`].
pub async fn start_with(config: Config, runtime: Runtime, actors: Actors, pace: Pace) -> anyhow::Result<Started> {
    let enforcer = Enforcer::open(config, &runtime, actors, pace).await?;
    clock::count(&enforcer).await?;
    let mut tasks = Vec::new();
    for account in enforcer.accounts.iter() {
        // An account without an actor still has an end to bring its old requests to.
        tasks.push(tokio::spawn(send(runtime.clone(), enforcer.clone(), account.id.clone())));
    }
    tasks.push(tokio::spawn(outbox::relay(runtime.clone(), enforcer.clone())));
    tasks.push(tokio::spawn(clock::run(runtime.clone(), enforcer.clone())));
    let routes = pages::routes(enforcer.clone());
    tasks.push(tokio::spawn(async move {
        consume(&runtime, "enforcer", &[Topic::Decisions], BATCH_RECORDS_MAX, enforcer.intake()).await
    }));
    Ok(Started {
        name: "enforcer",
        routes,
        tasks,
    })
}

/// Sends for one account until the process stops; the step in hand is finished first.
async fn send(runtime: Runtime, enforcer: Enforcer, account: AccountId) -> anyhow::Result<()> {
    let mut asked = enforcer.asked.subscribe();
    while !runtime.stop.is_cancelled() {
        asked.mark_unchanged();
        let until = match enforcer.step(&account).await {
            Ok(Step::Done) => continue,
            Ok(Step::Wait(until)) => until,
            Err(error) => {
                tracing::error!(account = %account, error = format!("{error:#}"), "an action could not be taken up or written down; trying again");
                None
            }
        };
        let now = jiff::Timestamp::now().as_millisecond();
        let poll = enforcer.pace.poll_ms;
        let wait_ms = until.map_or(poll, |until| u64::try_from(until - now).unwrap_or(0).clamp(1, poll));
        tokio::select! {
            () = runtime.stop.cancelled() => {}
            changed = asked.changed() => changed.context("the enforcer is gone")?,
            () = tokio::time::sleep(std::time::Duration::from_millis(wait_ms)) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_limit_that_sends_nothing() {
        assert!(Config::default().check().is_ok());
        let error = Config {
            actions_per_5_min: 0,
            ..Config::default()
        }
        .check()
        .expect_err("nothing is sent")
        .to_string();
        assert!(error.contains("dry_run"), "{error}");
    }
}
