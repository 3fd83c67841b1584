//! `vigie barometer build` and `verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use vigie_barometer::edition::{self, Verified};
use vigie_barometer::period::Period;

use super::terminal;
use crate::cli::Place;
use crate::client::{Absent, Vigie};
use crate::control::{Call, Edition};

#[derive(Debug, Subcommand)]
pub(crate) enum BarometerCommand {
    /// Build the edition of a period into a folder.
    Build(BuildArgs),
    /// Compute an edition again from its inputs, and compare every byte.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// First day, Europe/Paris.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: String,
    /// Last day, Europe/Paris.
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: String,
    /// Folder of the edition.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Folder of the edition.
    dir: PathBuf,
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn barometer(command: BarometerCommand) -> anyhow::Result<ExitCode> {
    match command {
        BarometerCommand::Build(args) => build(args).await,
        BarometerCommand::Verify(args) => verify(&args),
    }
}

async fn build(args: BuildArgs) -> anyhow::Result<ExitCode> {
    Period::parse(&args.from, &args.to)?;
    let vigie = Vigie::find(&args.place.read_for_command()?, Absent::Refuse).await?;
    let built: Edition = vigie
        .ask(Call::Edition {
            from: args.from,
            to: args.to,
        })
        .await?;
    vigie.close().await?;
    // A path that leaves the folder would be a bug of the other process, not a reason to write elsewhere.
    let inside = built.files.keys().all(|path| {
        std::path::Path::new(path)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)))
    });
    anyhow::ensure!(inside, "the edition holds a path that leaves its folder");
    edition::write(&built.files, &args.out)?;
    let manifest: serde_json::Value = serde_json::from_str(built.files.get(edition::MANIFEST).context("the edition has no manifest")?)?;
    if args.json {
        terminal::json(&serde_json::json!({ "dir": args.out, "edition": manifest }))?;
    } else {
        terminal::line(&terminal::escape(&built.summary))?;
        terminal::line(&format!("written to {}", args.out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let verified = edition::verify(&args.dir)?;
    let sound = verified.problems.is_empty();
    if args.json {
        let Verified {
            manifest,
            problems,
            figures_hold,
        } = &verified;
        terminal::json(&serde_json::json!({ "sound": sound, "figures_hold": figures_hold, "edition": manifest, "problems": problems }))?;
    } else if sound {
        terminal::line(&format!(
            "edition {} to {}: every byte follows from its inputs",
            verified.manifest.from, verified.manifest.to
        ))?;
    } else {
        for problem in &verified.problems {
            terminal::line(&terminal::escape(problem))?;
        }
    }
    if sound {
        return Ok(ExitCode::SUCCESS);
    }
    let advice = if verified.figures_hold {
        "its figures are what its inputs give, its pages are not: either they were changed, or another version of the program wrote them; \
         compare them with an edition that this version builds"
    } else {
        "it is not what its inputs give; build it again"
    };
    terminal::complain(&format!("error: the edition in {}: {advice}", args.dir.display()));
    Ok(ExitCode::FAILURE)
}
