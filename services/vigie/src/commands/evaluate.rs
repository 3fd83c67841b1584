//! `vigie evaluate`: labelled comments through the whole classifier, and how good it is on them. Nothing else touched: no bus, no
//! database, no data directory. Of each comment only its labels, scores and route stay in memory.

mod tables;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use vigie_classifier::evaluation::{Evaluation, Report, picture};
use vigie_classifier::{audit, labelled};

use super::{classify, terminal};
use crate::cli::Place;

const BUFFER_BYTES: usize = 256 << 10;

/// What a line holds stands with the command in `cli.rs`, where `--help` takes it from.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Labelled comments; may be given several times.
    #[arg(long, required = true, value_name = "FILE")]
    data: Vec<PathBuf>,
    /// One object of JSON instead of tables; it holds more: every label by group, functionality and file, the reliability bins.
    #[arg(long)]
    json: bool,
    /// Write the curves (ROC, precision and recall, reliability) as SVG.
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
    /// Policy, by name: its thresholds are the operating point.
    #[arg(long, default_value = "default", value_name = "POLICY")]
    policy: String,
    /// Let the first stage of the model answer too, as the service does; what it lets go counts as 0 for all labels but `abusive`.
    #[arg(long)]
    cascade: bool,
    /// Configuration file; the defaults where absent.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What was evaluated, and the figures.
#[derive(Debug, Serialize)]
struct Output {
    schema: &'static str,
    model: String,
    rulebook: String,
    policy: String,
    caution: &'static str,
    /// Of every interval.
    confidence: f64,
    #[serde(flatten)]
    report: Report,
}

pub(crate) fn evaluate(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let place = Place {
        config: args.config.clone(),
        data: None,
    };
    let mut config = place.read_for_command()?;
    config.classifier.cascade = args.cascade;
    let policy = classify::named_policy(&config, &args.policy)?;
    let files = open(&args.data)?;
    if let Some(path) = &args.picture {
        check_picture(path)?;
    }
    // The draw of the audit decides nothing here.
    let engine = config.classifier.open_engine(audit::keyless_draw)?;
    let mut evaluation = Evaluation::new(engine.thresholds(&policy));
    let bar = progress_bar(files.iter().map(|data| data.bytes).sum());
    for data in files {
        let (done, before) = (bar.position(), evaluation.comments());
        let reader = BufReader::with_capacity(BUFFER_BYTES, data.file);
        labelled::evaluate(reader, &data.name, &engine, &policy, &mut evaluation, |bytes, comments| {
            bar.set_position(done + bytes);
            bar.set_message(format!("{} comments", before as u64 + comments));
        })
        .with_context(|| data.name.clone())?;
        bar.set_position(done + data.bytes);
    }
    bar.finish_and_clear();
    let report = evaluation.report();
    anyhow::ensure!(
        !report.labels.is_empty(),
        "no comment of the data states a label; expected {{\"text\": \"…\", \"labels\": {{\"abusive\": 1}}}} on each line"
    );
    let output = Output {
        schema: "evaluation/1",
        model: engine.scorer().version().to_owned(),
        rulebook: engine.rulebook().version().to_owned(),
        policy: policy.version(),
        caution: policy.caution.as_str(),
        confidence: 0.95,
        report,
    };
    if let Some(path) = &args.picture {
        std::fs::write(path, picture(&evaluation, &subtitle(&output)))
            .with_context(|| format!("could not write the picture {}", path.display()))?;
    }
    if args.json {
        terminal::json(&output)?;
    } else {
        terminal::print(&tables::tables(&output))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn subtitle(output: &Output) -> String {
    format!(
        "{}, {} ({}), {} commentaires · comments",
        output.model, output.policy, output.caution, output.report.comments
    )
}

struct Data {
    name: String,
    file: File,
    bytes: u64,
}

/// Opens every file before anything is judged.
fn open(paths: &[PathBuf]) -> anyhow::Result<Vec<Data>> {
    let mut seen = BTreeSet::new();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        anyhow::ensure!(
            seen.insert(path),
            "{} is given twice: its comments would count twice",
            path.display()
        );
        let file = File::open(path).with_context(|| format!("could not open the data {}", path.display()))?;
        let about = file
            .metadata()
            .with_context(|| format!("could not open the data {}", path.display()))?;
        anyhow::ensure!(!about.is_dir(), "{} is a folder: give its files, each with --data", path.display());
        files.push(Data {
            name: path.display().to_string(),
            file,
            bytes: about.len(),
        });
    }
    Ok(files)
}

/// Said before the work, not after it.
fn check_picture(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")),
        "the picture is an SVG: name it {}",
        path.with_extension("svg").display()
    );
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    anyhow::ensure!(
        folder.is_none_or(Path::is_dir),
        "there is no folder for the picture {}; create it first",
        path.display()
    );
    Ok(())
}

/// Hidden where nobody looks: indicatif draws on standard error only if it is a terminal.
fn progress_bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "{spinner} {bar:30} {percent} %, {msg}, {elapsed}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is constant"));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
