//! `vigie dead-letters`: what could not be processed. `list` never prints the text of a comment; `show` does, escaped.

use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};

use super::terminal;
use crate::cli::Place;
use crate::client::{Absent, Vigie};
use crate::control::Call;
use crate::letters::{Listed, Replayed, Selection, Shown};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Show what was given up, when, by which service and why; no text of a comment.
    List(ListArgs),
    /// Show one record with its content.
    Show(ShowArgs),
    /// Give records back to the topics they came from, after their cause was removed.
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Those of this service only.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its id, or the beginning of it.
    id: String,
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Ids, or their beginnings.
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "service"])]
    ids: Vec<String>,
    /// All that were not given back yet.
    #[arg(long)]
    all: bool,
    /// With --all: those of this service only.
    #[arg(long, value_name = "SERVICE", requires = "all")]
    service: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn dead_letters(command: DeadLettersCommand) -> anyhow::Result<ExitCode> {
    match command {
        DeadLettersCommand::List(args) => list(args).await,
        DeadLettersCommand::Show(args) => show(args).await,
        DeadLettersCommand::Replay(args) => replay(args).await,
    }
}

async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let vigie = Vigie::find(&args.place.read_for_command()?, Absent::Refuse).await?;
    let letters: Vec<Listed> = vigie.ask(Call::DeadLetters { service: args.service }).await?;
    vigie.close().await?;
    if args.json {
        terminal::json(&letters)?;
        return Ok(ExitCode::SUCCESS);
    }
    for letter in &letters {
        terminal::line(&summary(letter))?;
    }
    let given_back = letters.iter().filter(|letter| letter.replayed_at.is_some()).count();
    terminal::line(&format!("{} dead letters, {given_back} of them given back", letters.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn summary(letter: &Listed) -> String {
    let short = letter.id.get(..12).unwrap_or(&letter.id);
    let again = letter.replayed_at.map(|at| format!("  given back {at:.0}")).unwrap_or_default();
    let place = format!("{}/{}@{}", letter.topic, letter.partition, letter.offset);
    terminal::escape(&format!(
        "{short}  {:.0}  {}  {place}  {} bytes  {} attempts  {}{again}",
        letter.at, letter.service, letter.bytes, letter.attempts, letter.error
    ))
}

async fn show(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let vigie = Vigie::find(&args.place.read_for_command()?, Absent::Refuse).await?;
    let shown: Shown = vigie.ask(Call::DeadLetter { id: args.id }).await?;
    vigie.close().await?;
    if args.json {
        terminal::json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let payload = STANDARD
        .decode(&shown.payload)
        .context("the payload of the dead letter is not base64")?;
    terminal::line(&summary(&shown.listed))?;
    terminal::line(&terminal::escape(&String::from_utf8_lossy(&payload)))?;
    Ok(ExitCode::SUCCESS)
}

async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let vigie = Vigie::find(&args.place.read_for_command()?, Absent::Refuse).await?;
    let done: Replayed = vigie
        .ask(Call::Replay(Selection {
            ids: args.ids,
            service: args.service,
        }))
        .await?;
    vigie.close().await?;
    terminal::line(&format!("{} given back", done.replayed))?;
    Ok(ExitCode::SUCCESS)
}
