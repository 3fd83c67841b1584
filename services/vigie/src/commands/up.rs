//! `vigie up` and `vigie run`: services until a signal.

use std::process::ExitCode;

use clap::Args;
use tokio_util::sync::CancellationToken;
use vigie_runtime::{logs, server, signals};

use crate::cli::Place;
use crate::config::Config;
use crate::process::{self, Service, StoppedWhileStarting};
use crate::watch;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    place: Place,
    /// Address of pages, webhooks, metrics and health, instead of that of the configuration.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Also watch this public account, in dry-run: https://mastodon.social/@name or bsky:name.bsky.social. May be repeated.
    #[arg(long, value_name = "URL-OR-HANDLE")]
    watch: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Which services.
    #[arg(required = true, value_enum)]
    services: Vec<Service>,
    #[command(flatten)]
    place: Place,
    /// Address of pages, webhooks, metrics and health, instead of that of the configuration.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

pub(crate) async fn up(args: UpArgs) -> anyhow::Result<ExitCode> {
    let mut config = configured(&args.place, args.listen)?;
    for text in &args.watch {
        let account = watch::account(text)?;
        if config.accounts.iter().all(|configured| configured.id != account.id) {
            config.accounts.push(account);
        }
    }
    serve(&config, &Service::ALL).await
}

pub(crate) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let config = configured(&args.place, args.listen)?;
    let mut services = args.services;
    services.sort_unstable();
    services.dedup();
    // On the embedded bus the services that are missing here could not run elsewhere: the bus lives in one process.
    anyhow::ensure!(
        config.bus.kafka.is_some() || services.len() == Service::ALL.len(),
        "`vigie run` needs Kafka, because the embedded bus lives in one process: add [bus.kafka] to the configuration, or use `vigie up`"
    );
    serve(&config, &services).await
}

fn configured(place: &Place, listen: Option<String>) -> anyhow::Result<Config> {
    let mut config = place.read()?;
    if let Some(listen) = listen {
        config.server.listen = listen;
    }
    logs::start(&config.log)?;
    Ok(config)
}

/// First the port and the data directory, which say that another vigie runs; then the services.
async fn serve(config: &Config, services: &[Service]) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    signals::watch(stop.clone())?;
    let mut runtime = process::open(config).await?;
    runtime.stop = stop;
    let listener = server::bind(&config.server.listen).await?;
    match process::start(config, services, listener, runtime).await {
        Ok(running) => running.wait().await?,
        Err(error) if error.is::<StoppedWhileStarting>() => {}
        Err(error) => return Err(error),
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
