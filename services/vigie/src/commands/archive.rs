//! `vigie archive rebuild`: the threat reports and their search index again from the topics.

use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use vigie_runtime::Runtime;

use super::terminal;
use crate::cli::Place;

#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Bring the reports up to what the topics hold, and make the search index again. No vigie may run on the data directory.
    Rebuild(Place),
}

pub(crate) async fn archive(command: ArchiveCommand) -> anyhow::Result<ExitCode> {
    let ArchiveCommand::Rebuild(place) = command;
    let config = place.read_for_command()?;
    let runtime = Runtime::open(&config.runtime()).await?;
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} records, {eta} left").expect("the template is constant"));
    let rebuilt = vigie_archive::rebuild_telling(&config.archive, &runtime, |read, of| {
        bar.set_length(of);
        bar.set_position(read);
    })
    .await;
    bar.finish_and_clear();
    let rebuilt = rebuilt?;
    runtime.bus.close().await?;
    terminal::line(&format!(
        "{} records read, {} threat reports in the new index",
        rebuilt.records, rebuilt.reports
    ))?;
    Ok(ExitCode::SUCCESS)
}
