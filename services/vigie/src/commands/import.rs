//! `vigie import`: a file into [comments], through the process that runs on the data directory, or by opening it where none runs.
//!
//! Delivery: at least once, in order, batch by batch; what was accepted is recognised in a rerun, so that a run that broke off is simply
//! started again. A bad row is reported with its line and reason, never with its content, and does not stop the rest.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use vigie_collector::import::{Format, Outcome, Row, RowError, rows};
use vigie_domain::AccountId;

use super::terminal;
use crate::cli::Place;
use crate::client::{Absent, Vigie};
use crate::control::Call;
use crate::imports::Batch;

const BATCH_ROWS_MAX: usize = 200;
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Bad rows that are listed in the JSON report; all are counted.
const LISTED_MAX: usize = 10_000;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// JSON Lines or CSV, in UTF-8.
    file: PathBuf,
    /// The account that the comments belong to, as the configuration names it.
    #[arg(long, value_name = "ID")]
    account: String,
    /// Form of the file, where its name does not tell.
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FileFormat {
    Jsonl,
    Csv,
}

/// What became of the file.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Published.
    imported: u64,
    /// Nothing new in them.
    known: u64,
    /// Bad rows.
    rejected_rows: u64,
    /// The first of them.
    rejected: Vec<RowError>,
}

impl Report {
    fn reject(&mut self, error: RowError, file: &Path, bar: &ProgressBar) {
        let text = terminal::escape(&format!("{}: {error}", file.display()));
        bar.suspend(|| terminal::complain(&text));
        self.rejected_rows += 1;
        if self.rejected.len() < LISTED_MAX {
            self.rejected.push(error);
        }
    }
}

pub(crate) async fn import(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let config = args.place.read_for_command()?;
    let account = AccountId::new(&args.account)?;
    let format = match args.format {
        Some(FileFormat::Jsonl) => Format::Jsonl,
        Some(FileFormat::Csv) => Format::Csv,
        None => Format::of_path(&args.file).with_context(|| {
            format!(
                "the name of {} does not tell its form: add --format jsonl or --format csv",
                args.file.display()
            )
        })?,
    };
    let file = File::open(&args.file).with_context(|| format!("could not open {}", args.file.display()))?;
    let vigie = Vigie::find(&config, Absent::Create).await?;
    let bar = progress_bar(&file)?;
    let reader = BufReader::new(bar.wrap_read(file));
    let mut report = Report::default();
    let result = feed(&vigie, &account, rows(reader, format), &mut report, &args.file, &bar).await;
    bar.finish_and_clear();
    vigie.close().await?;
    result.with_context(|| format!("{} comments are in; import the file again to go on", report.imported + report.known))?;
    if args.json {
        terminal::json(&report)?;
    } else {
        let Report {
            imported,
            known,
            rejected_rows,
            ..
        } = report;
        terminal::line(&format!("{imported} imported, {known} already known, {rejected_rows} rejected"))?;
    }
    Ok(if report.rejected_rows == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn feed(
    vigie: &Vigie,
    account: &AccountId,
    rows: impl Iterator<Item = Result<(u64, Row), RowError>>,
    report: &mut Report,
    file: &Path,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut unreadable = 0;
    for row in rows {
        match row {
            Ok((line, row)) => {
                bytes += row.raw.len() + row.text.len();
                batch.push((line, row));
            }
            Err(error) => {
                unreadable += 1;
                report.reject(error, file, bar);
            }
        }
        if batch.len() >= BATCH_ROWS_MAX || bytes >= BATCH_BYTES_MAX {
            send(
                vigie,
                account,
                std::mem::take(&mut batch),
                std::mem::take(&mut unreadable),
                report,
                file,
                bar,
            )
            .await?;
            bytes = 0;
        }
    }
    send(vigie, account, batch, unreadable, report, file, bar).await
}

async fn send(
    vigie: &Vigie,
    account: &AccountId,
    rows: Vec<(u64, Row)>,
    unreadable: u64,
    report: &mut Report,
    file: &Path,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let batch = Batch {
        account: account.clone(),
        rows,
        unreadable,
    };
    let outcome: Outcome = vigie.ask(Call::Import(batch)).await?;
    report.imported += outcome.new;
    report.known += outcome.known;
    for error in outcome.rejected {
        report.reject(error, file, bar);
    }
    bar.set_message(format!(
        "{} imported, {} known, {} rejected",
        report.imported, report.known, report.rejected_rows
    ));
    Ok(())
}

/// By the bytes read; hidden where nobody looks.
fn progress_bar(file: &File) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(file.metadata().context("the size of the file cannot be read")?.len());
    let template = "{bar:30} {bytes}/{total_bytes}, {eta} left, {msg}";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is constant"));
    Ok(bar)
}
