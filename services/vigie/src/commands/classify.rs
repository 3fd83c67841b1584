//! `vigie classify`: comments on standard input, verdicts on standard output, nothing else touched: no bus, no database, no data
//! directory. In constant memory, in order, one verdict a line.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use vigie_classifier::offline::{self, OnInvalid, Summary};
use vigie_domain::Policy;
use vigie_runtime::{Keys, Policies};

use super::terminal;
use crate::cli::Place;
use crate::config::Config;

const BUFFER_BYTES: usize = 256 << 10;

/// Reads standard input: a `comment/1` record or an object with at least `text` on each line.
#[derive(Debug, Args)]
pub(crate) struct ClassifyArgs {
    /// Policy, by name.
    #[arg(long, default_value = "default", value_name = "POLICY")]
    policy: String,
    /// Configuration file; the defaults where absent.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop at the first line that cannot be judged, instead of reporting it and going on.
    #[arg(long)]
    stop: bool,
}

pub(crate) fn classify(args: &ClassifyArgs) -> anyhow::Result<ExitCode> {
    let place = Place {
        config: args.config.clone(),
        data: None,
    };
    let config = place.read_for_command()?;
    let policy = named_policy(&config, &args.policy)?;
    let engine = match &config.keys.audit {
        // With the key of the deployment the audit draw is that of the service; nothing but the key is read.
        Some(source) => {
            let keys = Keys::audit_only(source)?;
            config.classifier.open_engine(move |id| keys.audit_draw(id))?
        }
        None => config.classifier.open_engine(vigie_classifier::audit::keyless_draw)?,
    };
    let bar = progress_bar();
    let on_invalid = if args.stop { OnInvalid::Stop } else { OnInvalid::Continue };
    let summary = offline::classify(
        BufReader::with_capacity(BUFFER_BYTES, std::io::stdin().lock()),
        // Ends every line at once: who reads along waits for no buffer.
        std::io::stdout().lock(),
        &engine,
        &policy,
        on_invalid,
        |invalid| bar.suspend(|| terminal::complain(&invalid.to_string())),
        |summary| show(&bar, summary),
    );
    bar.finish_and_clear();
    let summary = summary?;
    if summary.invalid == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    terminal::complain(&format!(
        "error: {} of {} lines could not be judged; the verdicts of the others are complete",
        summary.invalid, summary.lines
    ));
    Ok(ExitCode::FAILURE)
}

pub(super) fn named_policy(config: &Config, name: &str) -> anyhow::Result<Arc<Policy>> {
    let policies = Policies::open(config.policies.dir.as_deref())?;
    policies.named(name).with_context(|| {
        let known: Vec<&str> = policies.names().collect();
        format!(
            "there is no policy `{}`; known: {}; others come from the folder [policies] dir",
            terminal::escape(name),
            known.join(", ")
        )
    })
}

/// Hidden where nobody looks: indicatif draws on standard error only if it is a terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {pos} comments, {per_sec}, {elapsed} {msg}").expect("the template is constant"));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn show(bar: &ProgressBar, summary: &Summary) {
    bar.set_position(summary.verdicts);
    bar.set_message(format!(
        "(keep {}, review {}, hide {}, invalid {})",
        summary.keep, summary.review, summary.hide, summary.invalid
    ));
}
