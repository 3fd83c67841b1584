//! `vigie rules check` and `vigie rules test`: the packs as files, before anything runs on them. `vigie rules preview`: what they would
//! have done to the comments of the past.

mod preview;
mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use vigie_rulebook::{CaseKind, Level, Problem, Rulebook, check, run_cases};

use super::terminal;
use crate::cli::Place;

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Syntax and sense: each problem with its file, line and, where there is one, a suggestion.
    Check(RulesArgs),
    /// Run the packs' own cases: what each entry must find, and must not.
    Test(RulesArgs),
    /// Show what changed packs would have done to past comments: new and lost hits, changed routes, with examples. Changes nothing.
    ///
    /// Copy the folder of the packs, change the copy, then `vigie rules preview --rules COPY --since 7d`: the copy is compared with the
    /// packs in force, on the comments of the last seven days, by the scores that the model gave them then. It begins with what is
    /// dangerous: comments that the machine would newly hide, urgent ones that would no longer be escalated, and those that would be
    /// kept without anybody looking. Also while vigie runs on the data directory.
    Preview(preview::PreviewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// Folder of the packs; that of the configuration where absent.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Configuration file; the defaults where absent.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Warnings fail as well.
    #[arg(long)]
    strict: bool,
}

pub(crate) async fn rules(command: RulesCommand) -> anyhow::Result<ExitCode> {
    match command {
        RulesCommand::Check(args) => check_packs(&args),
        RulesCommand::Test(args) => test_packs(&args),
        RulesCommand::Preview(args) => preview::preview(args).await,
    }
}

impl RulesArgs {
    fn packs(&self) -> anyhow::Result<(PathBuf, BTreeMap<String, String>)> {
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => {
                Place {
                    config: self.config.clone(),
                    data: None,
                }
                .read_for_command()?
                .classifier
                .rules
            }
        };
        let files = Rulebook::read(&dir)?;
        Ok((dir, files))
    }
}

fn check_packs(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let (dir, files) = args.packs()?;
    let problems = check(&files);
    let errors = problems.iter().filter(|problem| problem.level == Level::Error).count();
    let warnings = problems.len() - errors;
    if args.json {
        let listed: Vec<serde_json::Value> = problems.iter().map(problem_json).collect();
        terminal::json(&serde_json::json!({ "packs": files.len(), "errors": errors, "warnings": warnings, "problems": listed }))?;
    } else {
        for problem in &problems {
            terminal::line(&terminal::escape(&dir.join(problem.to_string()).display().to_string()))?;
        }
        terminal::line(&format!("{} packs, {errors} errors, {warnings} warnings", files.len()))?;
    }
    let failed = errors > 0 || (args.strict && warnings > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn problem_json(problem: &Problem) -> serde_json::Value {
    serde_json::json!({
        "level": if problem.level == Level::Error { "error" } else { "warning" },
        "file": problem.file,
        "line": problem.line,
        "message": problem.message,
        "suggestion": problem.suggestion,
    })
}

/// The packs of a folder, ready to match; where they are broken, the error says what `vigie rules check` says.
fn compile(dir: &Path) -> anyhow::Result<Rulebook> {
    parse(dir, &Rulebook::read(dir)?)
}

fn parse(dir: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<Rulebook> {
    Rulebook::parse(files).map_err(|problems| {
        let listed: Vec<String> = problems
            .iter()
            .map(|problem| dir.join(problem.to_string()).display().to_string())
            .collect();
        anyhow::anyhow!("the packs cannot be used:\n{}", listed.join("\n"))
    })
}

fn test_packs(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let (dir, files) = args.packs()?;
    let rulebook = parse(&dir, &files)?;
    let results = run_cases(&rulebook);
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    if args.json {
        let listed: Vec<serde_json::Value> = failed
            .iter()
            .map(|case| serde_json::json!({ "entry": case.entry, "file": case.file, "line": case.line, "must": must(case.kind), "text": case.text }))
            .collect();
        terminal::json(&serde_json::json!({ "cases": results.len(), "failed": listed.len(), "failures": listed }))?;
    } else {
        for case in &failed {
            let place = dir.join(format!("{}:{}", case.file, case.line));
            let text = terminal::escape(&case.text);
            terminal::line(&format!("{}: `{}` {} « {text} »", place.display(), case.entry, must(case.kind)))?;
        }
        terminal::line(&format!("{} cases, {} failed", results.len(), failed.len()))?;
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const fn must(kind: CaseKind) -> &'static str {
    match kind {
        CaseKind::Match => "must match",
        CaseKind::NoMatch => "must not match",
    }
}
