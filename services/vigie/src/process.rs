//! One process with any subset of the services.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use vigie_runtime::{Runtime, Started};
use vigie_web::Web;

use crate::config::Config;
use crate::control::{self, Operations};
use crate::instance::{self, Instance};

/// A service, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[expect(missing_docs, reason = "the names of the crates")]
pub enum Service {
    Classifier,
    Review,
    Archive,
    Barometer,
    Enforcer,
    Collector,
}

impl Service {
    /// Every service, in the order in which they start: what needs a model first, what speaks to the outside last.
    pub const ALL: [Self; 6] = [
        Self::Classifier,
        Self::Review,
        Self::Archive,
        Self::Barometer,
        Self::Enforcer,
        Self::Collector,
    ];

    /// The name on the command line and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classifier => "classifier",
            Self::Review => "review",
            Self::Archive => "archive",
            Self::Barometer => "barometer",
            Self::Enforcer => "enforcer",
            Self::Collector => "collector",
        }
    }
}

/// A running process.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// What its services share.
    pub runtime: Runtime,
    tasks: Vec<(&'static str, JoinHandle<anyhow::Result<()>>)>,
    drain: Duration,
}

/// Opens what the services of `config` share, with the metrics of the process.
///
/// # Errors
/// As [`Runtime::open`].
pub async fn open(config: &Config) -> anyhow::Result<Runtime> {
    let runtime = Runtime::open(&config.runtime()).await?;
    runtime.hold();
    Ok(runtime)
}

/// Starts `services` on `listener`. No record is read before every one of them is ready.
///
/// # Errors
/// Whatever a service needs is missing; nothing runs then.
pub async fn start(config: &Config, services: &[Service], listener: TcpListener, runtime: Runtime) -> anyhow::Result<Running> {
    let address = listener.local_addr().context("the listener has no address")?;
    let drain = config.server.drain.0;
    let mut running = Running {
        address,
        runtime,
        tasks: Vec::new(),
        drain,
    };
    match assemble(config, services, &mut running).await {
        Ok(routes) => {
            let server = tokio::spawn(vigie_runtime::server::serve(listener, routes, running.runtime.clone(), drain));
            running.tasks.push(("http", server));
            running.runtime.release();
            let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
            tracing::info!(%address, services = names.join(" "), "started: http://{address}");
            Ok(running)
        }
        Err(error) => {
            let told = running.runtime.stop.is_cancelled();
            if let Err(second) = running.stop().await {
                tracing::warn!(error = format!("{second:#}"), "what had started did not stop cleanly");
            }
            Err(if told { StoppedWhileStarting.into() } else { error })
        }
    }
}

/// Told to stop before every service had started; they were stopped, and nothing is wrong.
#[derive(Debug, thiserror::Error)]
#[error("stopped while starting")]
pub struct StoppedWhileStarting;

/// Starts the services in the order of their declaration and joins their routes.
async fn assemble(config: &Config, services: &[Service], running: &mut Running) -> anyhow::Result<Router> {
    let runtime = &running.runtime;
    let web = Web::open(config.web.clone(), runtime).await?;
    let operations = Operations::new(runtime, &web).await?;
    let token = instance::token(&config.data.dir)?;
    Instance::announce(&config.data.dir, running.address)?;
    let mut services = services.to_vec();
    services.sort_unstable();
    services.dedup();
    let mut pages = Router::new();
    for service in &services {
        if runtime.stop.is_cancelled() {
            return Err(StoppedWhileStarting.into());
        }
        let started = start_service(*service, config, runtime, &web)
            .await
            .with_context(|| format!("could not start the {}", service.name()))?;
        pages = pages.merge(started.routes);
        running.tasks.extend(started.tasks.into_iter().map(|task| (started.name, task)));
    }
    if services.contains(&Service::Review) {
        pages = pages.route("/", get(|| async { Redirect::to("/queue") }));
        if web.users().is_empty().await? {
            tracing::warn!(
                "nobody can sign in yet; add somebody with `vigie user add NAME --role admin --data {}`",
                config.data.dir.display()
            );
        }
    }
    Ok(web
        .wrap(pages)
        .merge(vigie_runtime::server::operations(runtime))
        .merge(control::routes(operations, token)))
}

async fn start_service(service: Service, config: &Config, runtime: &Runtime, web: &Web) -> anyhow::Result<Started> {
    let runtime = runtime.clone();
    let web = web.clone();
    match service {
        Service::Collector => vigie_collector::start(config.collector.clone(), runtime).await,
        Service::Classifier => vigie_classifier::start(config.classifier.clone(), runtime).await,
        Service::Review => vigie_review::start(config.review.clone(), runtime, web).await,
        Service::Enforcer => vigie_enforcer::start(config.enforcer.clone(), runtime, web).await,
        Service::Archive => vigie_archive::start(config.archive.clone(), runtime, web).await,
        Service::Barometer => vigie_barometer::start(config.barometer.clone(), runtime, web).await,
    }
}

impl Running {
    /// Waits until the process is told to stop or a task fails, then drains.
    ///
    /// # Errors
    /// A task failed; the others were stopped.
    pub async fn wait(mut self) -> anyhow::Result<()> {
        let mut failure = None;
        let mut check = tokio::time::interval(Duration::from_secs(1));
        while failure.is_none() && !self.runtime.stop.is_cancelled() {
            tokio::select! {
                () = self.runtime.stop.cancelled() => {}
                _ = check.tick() => failure = self.failed().await,
            }
        }
        if let Some(error) = &failure {
            tracing::error!(error = format!("{error:#}"), "stopping, because a service failed");
        }
        self.stop().await?;
        failure.map_or(Ok(()), Err)
    }

    /// Stops every service: the batch in hand is finished, within the drain limit.
    ///
    /// # Errors
    /// A service failed while it stopped.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.runtime.stop.cancel();
        let deadline = tokio::time::Instant::now() + self.drain;
        let mut failure = None;
        for (name, mut task) in self.tasks {
            match tokio::time::timeout_at(deadline, &mut task).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => failure = Some(error.context(format!("{name} failed"))),
                Ok(Err(error)) => failure = Some(anyhow::anyhow!("{name} ended abnormally: {error}")),
                Err(_) => {
                    tracing::warn!(
                        service = name,
                        "not finished within the drain limit; what it had in hand will be delivered again"
                    );
                    task.abort();
                }
            }
        }
        if let Err(error) = self.runtime.bus.close().await {
            tracing::warn!(%error, "the bus did not close cleanly; nothing acknowledged is lost");
        }
        failure.map_or(Ok(()), Err)
    }

    /// The error of a task that ended although nobody asked it to.
    async fn failed(&mut self) -> Option<anyhow::Error> {
        let index = self.tasks.iter().position(|(_, task)| task.is_finished())?;
        let (name, task) = self.tasks.remove(index);
        if self.runtime.stop.is_cancelled() {
            return None;
        }
        match task.await {
            // Some tasks have nothing left to do, such as a replay that reached its end.
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.context(format!("{name} failed"))),
            Err(error) => Some(anyhow::anyhow!("{name} ended abnormally: {error}")),
        }
    }
}
