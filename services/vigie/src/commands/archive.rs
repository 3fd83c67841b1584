//! `vigie archive rebuild`: the search index again from the tables.

use std::process::ExitCode;

use clap::Subcommand;
use vigie_runtime::Runtime;

use super::terminal;
use crate::cli::Place;

#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Throw the search index away and make it again. No vigie may run on the data directory.
    Rebuild(Place),
}

pub(crate) async fn archive(command: ArchiveCommand) -> anyhow::Result<ExitCode> {
    let ArchiveCommand::Rebuild(place) = command;
    let config = place.read_for_command()?;
    let runtime = Runtime::open(&config.runtime()).await?;
    let rebuilt = vigie_archive::rebuild(&config.archive, &runtime).await?;
    runtime.bus.close().await?;
    terminal::line(&format!("{} threat reports are in the new index", rebuilt.reports))?;
    Ok(ExitCode::SUCCESS)
}
