//! The command line: what can be asked, how an error is shown, and which status the process ends with.
//!
//! Exit status: 0 done, 1 not done (one error on standard error says why and what to do), 2 the command itself is wrong, 130 ended by a
//! second signal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::commands::{archive, barometer, classify, dead_letters, doctor, evaluate, import, load, rules, schemas, terminal, up, user};
use crate::config::Config;

/// Vigie watches the comments under official accounts: collects, classifies, queues, acts, archives, counts.
#[derive(Debug, Parser)]
#[command(name = "vigie", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every service in one process, with the embedded bus and SQLite unless the configuration says otherwise.
    Up(up::UpArgs),
    /// Run chosen services, for deployments on Kafka.
    Run(up::RunArgs),
    /// Judge comments offline: JSON lines in, one verdict a line out, in order.
    Classify(classify::ClassifyArgs),
    /// Measure the classifier on labelled comments: figures with intervals per label, group and functionality.
    ///
    /// Reads JSON lines: `text`; `labels`, an object of 1 and 0 by name (abusive or toxic, hate, threat, insult, …; one that is absent
    /// is unknown); and where there are any `parent` (what the comment answers), `targets` or `target` (whom it is about),
    /// `functionality` (which functional test it is) and `twin` (its contrast set).
    Evaluate(evaluate::EvaluateArgs),
    /// Bring a JSONL or CSV file of comments in; running it again changes nothing.
    Import(import::ImportArgs),
    /// Check the rule packs, run their own cases, or see what a change would have done.
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Build an edition of the barometer, or check one.
    #[command(subcommand)]
    Barometer(barometer::BarometerCommand),
    /// Look at the records that could not be processed, and give them back.
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersCommand),
    /// Add and change the people who may sign in.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Look after the archive.
    #[command(subcommand)]
    Archive(archive::ArchiveCommand),
    /// Check configuration, files, library, model, bus, database and ports, and say what to do.
    Doctor(doctor::DoctorArgs),
    /// Put the whole under closed-loop load and measure it.
    Load(load::LoadArgs),
    /// Write the JSON Schemas of every record, or check that they are current.
    Schemas(schemas::SchemasArgs),
    /// Print the configuration manual: every key, its default, a comment.
    Manual,
}

/// Which configuration and which data directory.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Place {
    /// Configuration file; the defaults where absent, see `vigie manual`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory, instead of that of the configuration.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

impl Place {
    pub(crate) fn read(&self) -> anyhow::Result<Config> {
        let mut config = Config::read(self.config.as_deref())?;
        if let Some(dir) = &self.data {
            config.data.dir.clone_from(dir);
        }
        Ok(config)
    }

    /// As [`Place::read`], with the logs of a command: only what goes wrong.
    pub(crate) fn read_for_command(&self) -> anyhow::Result<Config> {
        let mut config = self.read()?;
        "error".clone_into(&mut config.log.filter);
        vigie_runtime::logs::start(&config.log)?;
        Ok(config)
    }
}

/// Parses the command line, does what it asks for, and shows an error in one place.
#[must_use]
pub fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&format!("error: {}", terminal::escape_lines(&format!("{error:#}"))));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => block_on(up::up(args)),
        Command::Run(args) => block_on(up::run(args)),
        Command::Classify(args) => classify::classify(&args),
        Command::Evaluate(args) => evaluate::evaluate(&args),
        Command::Import(args) => block_on(import::import(args)),
        Command::Rules(command) => block_on(rules::rules(command)),
        Command::Barometer(command) => block_on(barometer::barometer(command)),
        Command::DeadLetters(command) => block_on(dead_letters::dead_letters(command)),
        Command::User(command) => block_on(user::user(command)),
        Command::Archive(command) => block_on(archive::archive(command)),
        Command::Doctor(args) => block_on(doctor::doctor(args)),
        Command::Load(args) => block_on(load::load(args)),
        Command::Schemas(args) => schemas::schemas(&args),
        Command::Manual => {
            terminal::print(crate::config::MANUAL)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the event loop")?;
    let result = runtime.block_on(work);
    // What is still blocking has had its time in the drain.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    result
}

/// `vigie classify | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The absolute form of a path given on the command line.
pub(crate) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("the path {} cannot be used", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
