//! Takes comments in: polls the platforms, receives the signed webhook, imports files, replays a sample.
//!
//! Delivery: at least once into `[comments]`; every source goes the one way of `accept`: recognise what is known, publish the
//! rest, and only then record it and the position of the source. kill -9 between any two of these loses nothing and leaves no gap.
//!
//! It does not judge and keeps no text: what it remembers are ids and times.

mod accept;
mod back_off;
mod config;
pub mod import;
mod incoming;
mod metrics;
mod poll;
mod replay;
mod store;
#[cfg(test)]
mod tests_support;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use vigie_platforms::{ConnectorAccount, PlatformError, Source};
use vigie_runtime::{Account, Runtime, Started};

use accept::Acceptor;
pub use config::{Config, PaceConfig, PresenceConfig, ReplayConfig, WebhookConfig};
use poll::Poller;
use replay::Replay;

/// Requests are recognised by their key this long.
const REMEMBER_REQUESTS: SignedDuration = SignedDuration::from_hours(48);
const FORGET_EVERY: Duration = Duration::from_secs(3600);
const FORGET_PAUSE: Duration = Duration::from_millis(200);

/// Starts the service.
///
/// # Errors
/// A configuration that cannot be meant, a replayed file that cannot be read, tables that cannot be opened. An account that cannot be
/// read is no error: it is paused, and says so in a metric and in the log.
pub async fn start(config: Config, runtime: Runtime) -> anyhow::Result<Started> {
    config.validate()?;
    let component = runtime.health.register("collector");
    let acceptor = Acceptor::open(&runtime).await?;
    let config = Arc::new(config);
    let mut tasks = Vec::new();
    for account in runtime.accounts.iter().filter(|account| account.watch) {
        tasks.extend(watch(account, &acceptor, &config, &runtime));
    }
    if let Some(replay) = Replay::open(&config.replay, &acceptor, &runtime).await? {
        tasks.push(tokio::spawn(replay.run()));
    }
    tasks.push(tokio::spawn(forget(acceptor.clone(), Arc::clone(&config), runtime.clone())));
    component.ready();
    Ok(Started {
        name: "collector",
        routes: webhook::routes(acceptor, runtime, config.webhook.clone()),
        tasks,
    })
}

/// Starts reading an account, where it can be read.
fn watch(account: &Account, acceptor: &Acceptor, config: &Arc<Config>, runtime: &Runtime) -> Option<JoinHandle<anyhow::Result<()>>> {
    acceptor.metrics().watch(&account.id, account.platform);
    let source = match connect(account) {
        Ok(Some(source)) => source,
        Ok(None) => {
            tracing::warn!(account = %account.id, "account `{}` is on {}, which is not polled: its comments come by webhook or import; set watch = false", account.id, account.platform);
            return None;
        }
        Err(error) => {
            acceptor.metrics().platform_error(account.platform, &error);
            acceptor.metrics().pause(&account.id, true);
            tracing::error!(account = %account.id, %error, "account `{}` is not read; correct its [[accounts]] entry", account.id);
            return None;
        }
    };
    let poller = Poller {
        acceptor: acceptor.clone(),
        account: account.clone(),
        source,
        config: Arc::clone(config),
        stop: runtime.stop.clone(),
    };
    Some(tokio::spawn(poller.run()))
}

fn connect(account: &Account) -> Result<Option<Box<dyn Source>>, PlatformError> {
    vigie_platforms::source(&ConnectorAccount {
        platform: account.platform,
        base_url: account.base_url.clone(),
        handle: account.handle.clone(),
        token: account.token.as_ref().map(|token| token.expose().to_owned()),
        login: account.login.clone(),
        labeler_did: account.labeler_did.clone(),
    })
}

/// Forgets what is old, a bounded number of rows at a time.
async fn forget(acceptor: Acceptor, config: Arc<Config>, runtime: Runtime) -> anyhow::Result<()> {
    while !runtime.stop.is_cancelled() {
        let now = Timestamp::now();
        let before = |age: SignedDuration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let remember = SignedDuration::try_from(config.remember.0).unwrap_or(SignedDuration::MAX);
        let wait = match acceptor.store().forget(before(remember), before(REMEMBER_REQUESTS)).await {
            Ok(true) => FORGET_PAUSE,
            Ok(false) => FORGET_EVERY,
            Err(error) => {
                tracing::warn!(%error, "forgetting old comments failed; trying again later");
                FORGET_EVERY
            }
        };
        tokio::select! {
            () = runtime.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(())
}
