//! `vigie rules preview`: what other packs would have done to the comments of the past. It reads and prints, and changes nothing: the
//! embedded log is read beside the process that runs on it, a topic of Kafka without joining a group, and the recorded scores stand in
//! for the model.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use vigie_bus::{Past, embedded, kafka};
use vigie_classifier::preview::{Baseline, Judged, Preview, Report, Row, Rows, score};
use vigie_domain::{AccountId, Comment, Policy, Topic, Verdict, decode};
use vigie_runtime::units::Interval;
use vigie_scorer::{Bundle, Scorer};

use super::{compile, tables};
use crate::cli::Place;
use crate::commands::{classify, terminal};
use crate::config::Config;

const BATCH_RECORDS_MAX: usize = 500;
/// Comments without a verdict are scored together up to so many, or so much text.
const SCORED_MAX: usize = 64;
const SCORED_BYTES_MAX: usize = 4 << 20;
const BUFFER_BYTES: usize = 256 << 10;

/// What the command is for stands with it in `rules.rs`, where `--help` takes it from.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// Folder of the changed packs; that of the configuration where absent.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Folder of the packs to compare with. Where absent: with --rules those of the configuration, else what the verdicts recorded.
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// How far back, by the time of the verdict: a whole number and a unit (d, h, min).
    #[arg(long, value_name = "PERIOD", default_value = "7d", value_parser = interval, conflicts_with = "comments")]
    since: Interval,
    /// Comments of a file instead: JSON lines as `vigie classify` reads them, or writes them. Those without a verdict are scored.
    #[arg(long, value_name = "FILE")]
    comments: Option<PathBuf>,
    /// Texts shown of each kind of change; 0 shows none.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=50))]
    examples: u8,
    /// Under this policy, instead of that of each account.
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// One object of JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

fn interval(text: &str) -> Result<Interval, String> {
    Interval::try_from(text.to_owned()).map_err(|error| error.to_string())
}

/// What was compared, and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Output {
    schema: &'static str,
    /// None for a file.
    pub(super) since: Option<Timestamp>,
    pub(super) candidate: Packs,
    pub(super) baseline: Compared,
    /// The model in force: its thresholds apply.
    pub(super) model: String,
    /// Records of the bus that this version cannot read.
    pub(super) unreadable: u64,
    #[serde(flatten)]
    pub(super) report: Report,
}

/// A folder of packs.
#[derive(Debug, Serialize)]
pub(super) struct Packs {
    pub(super) dir: PathBuf,
    pub(super) version: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Compared {
    Packs(Packs),
    Recorded,
}

pub(crate) async fn preview(args: PreviewArgs) -> anyhow::Result<ExitCode> {
    let config = args.place.read_for_command()?;
    let policies = Policies::read(&config, args.policy.as_deref())?;
    let configured = config.classifier.rules.clone();
    let (candidate, candidate_packs) = open(args.rules.as_ref().unwrap_or(&configured))?;
    let (baseline, compared) = if args.against.is_none() && args.rules.is_none() {
        (Baseline::Recorded, Compared::Recorded)
    } else {
        let (packs, named) = open(args.against.as_ref().unwrap_or(&configured))?;
        (Baseline::Packs(Box::new(packs)), Compared::Packs(named))
    };
    let Bundle { manifest, version, .. } = Bundle::read(&config.classifier.model)?;
    let mut preview = Preview::new(manifest, candidate, baseline, usize::from(args.examples));
    let bar = progress_bar();
    let (since, unreadable) = match &args.comments {
        Some(path) => {
            read_file(path, &config, &policies, &mut preview, &bar)?;
            (None, 0)
        }
        None => {
            let back = SignedDuration::try_from(args.since.0).unwrap_or(SignedDuration::MAX);
            let since = Timestamp::now()
                .checked_sub(back)
                .unwrap_or(Timestamp::UNIX_EPOCH)
                .max(Timestamp::UNIX_EPOCH);
            let past = open_past(&config, since).await?;
            (Some(since), read_past(past, &policies, &mut preview, &bar).await?)
        }
    };
    bar.finish_and_clear();
    let report = preview.report();
    anyhow::ensure!(report.comments > 0, "{}", nothing(args.comments.as_deref(), args.since));
    let output = Output {
        schema: "rules-preview/1",
        since,
        candidate: candidate_packs,
        baseline: compared,
        model: version,
        unreadable,
        report,
    };
    if args.json {
        terminal::json(&output)?;
    } else {
        terminal::print(&tables::text(&output))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(file: Option<&Path>, since: Interval) -> String {
    match file {
        Some(file) => format!(
            "{} holds no comment; each line is one as `vigie classify` reads or writes them",
            file.display()
        ),
        None => format!(
            "no comment was judged in the last {}; go further back with --since (the bus keeps them as long as its retention says), or give comments with --comments FILE",
            String::from(since)
        ),
    }
}

fn open(dir: &Path) -> anyhow::Result<(vigie_rulebook::Rulebook, Packs)> {
    let packs = compile(dir)?;
    let named = Packs {
        dir: dir.to_owned(),
        version: packs.version().to_owned(),
    };
    Ok((packs, named))
}

/// The policy of each account, without the secrets of the accounts.
struct Policies {
    by_account: BTreeMap<String, Arc<Policy>>,
    other: Arc<Policy>,
}

impl Policies {
    fn read(config: &Config, chosen: Option<&str>) -> anyhow::Result<Self> {
        let mut by_account = BTreeMap::new();
        if chosen.is_none() {
            for account in &config.accounts {
                let policy = classify::named_policy(config, &account.policy)
                    .with_context(|| format!("[[accounts]] `{}` cannot be used", account.id))?;
                by_account.insert(account.id.clone(), policy);
            }
        }
        Ok(Self {
            by_account,
            other: classify::named_policy(config, chosen.unwrap_or("default"))?,
        })
    }

    fn of(&self, account: &AccountId) -> &Policy {
        self.by_account.get(account.as_str()).unwrap_or(&self.other)
    }
}

/// Opens [verdicts] for reading.
async fn open_past(config: &Config, since: Timestamp) -> anyhow::Result<Box<dyn Past>> {
    let since_ms = since.as_millisecond();
    if let Some(kafka) = &config.bus.kafka {
        return kafka::past(kafka.resolve()?, Topic::Verdicts, since_ms)
            .await
            .with_context(|| format!("could not read the verdicts from Kafka at {}; check [bus.kafka]", kafka.brokers));
    }
    let dir = &config.data.dir;
    let way_out = "name it with --data DIR, or its configuration with --config FILE, or give comments with --comments FILE";
    anyhow::ensure!(dir.is_dir(), "there is no data directory {}; {way_out}", dir.display());
    let log = dir.join("bus.db");
    anyhow::ensure!(
        log.is_file(),
        "the data directory {} holds no log of comments (bus.db): vigie never ran on it; {way_out}",
        dir.display()
    );
    embedded::past(&log, Topic::Verdicts, since_ms)
        .await
        .with_context(|| format!("could not read {}; run the command as the user that vigie runs as", log.display()))
}

/// Compares on every verdict, and gives the number of records that are none.
async fn read_past(mut past: Box<dyn Past>, policies: &Policies, preview: &mut Preview, bar: &ProgressBar) -> anyhow::Result<u64> {
    let mut unreadable = 0;
    bar.set_length(past.records());
    loop {
        let batch = past.read(BATCH_RECORDS_MAX).await?;
        if batch.is_empty() {
            return Ok(unreadable);
        }
        for delivery in &batch {
            match decode::<Verdict>(&delivery.record.payload) {
                Ok(verdict) => observe(preview, &Judged::from(verdict), policies)?,
                Err(_) => unreadable += 1,
            }
        }
        bar.inc(batch.len() as u64);
    }
}

fn read_file(path: &Path, config: &Config, policies: &Policies, preview: &mut Preview, bar: &ProgressBar) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("could not open the comments {}", path.display()))?;
    let about = file
        .metadata()
        .with_context(|| format!("could not open the comments {}", path.display()))?;
    anyhow::ensure!(!about.is_dir(), "{} is a folder: give one of its files", path.display());
    bar.set_length(about.len());
    let mut rows = Rows::new(BufReader::with_capacity(BUFFER_BYTES, file));
    let mut unscored = Unscored::default();
    while let Some((line, row)) = rows.read().with_context(|| path.display().to_string())? {
        match row {
            Row::Verdict(verdict) => observe(preview, &Judged::from(*verdict), policies)?,
            Row::Comment(comment) => {
                // Said at once, not after the model has worked.
                anyhow::ensure!(
                    matches!(preview.baseline(), Baseline::Packs(_)),
                    "{}: line {line}: {}",
                    path.display(),
                    vigie_classifier::preview::PreviewError::NoVerdict
                );
                unscored.push(*comment);
            }
        }
        if unscored.is_full() {
            unscored.observe(config, policies, preview)?;
        }
        bar.set_position(rows.bytes());
    }
    unscored.observe(config, policies, preview)
}

/// Comments that wait for the model, which is opened for the first of them.
#[derive(Default)]
struct Unscored {
    comments: Vec<Comment>,
    bytes: usize,
    scorer: Option<Scorer>,
}

impl Unscored {
    fn push(&mut self, comment: Comment) {
        self.bytes += comment.text.len();
        self.comments.push(comment);
    }

    const fn is_full(&self) -> bool {
        self.comments.len() >= SCORED_MAX || self.bytes >= SCORED_BYTES_MAX
    }

    fn observe(&mut self, config: &Config, policies: &Policies, preview: &mut Preview) -> anyhow::Result<()> {
        if self.comments.is_empty() {
            return Ok(());
        }
        let scorer = match self.scorer.take() {
            Some(scorer) => scorer,
            None => config.classifier.open_scorer()?,
        };
        self.bytes = 0;
        for judged in score(&scorer, preview.candidate(), std::mem::take(&mut self.comments))? {
            observe(preview, &judged, policies)?;
        }
        self.scorer = Some(scorer);
        Ok(())
    }
}

fn observe(preview: &mut Preview, judged: &Judged, policies: &Policies) -> anyhow::Result<()> {
    Ok(preview.observe(judged, policies.of(&judged.comment.account))?)
}

/// Hidden where nobody looks: indicatif draws on standard error only if it is a terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{spinner} {bar:30} {percent} %, {elapsed}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is constant"));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
