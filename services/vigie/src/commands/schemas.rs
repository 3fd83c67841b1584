//! `vigie schemas`: the JSON Schemas of every record that crosses a topic, and of the threat report and the policy, generated from the
//! types. They are kept in deploy/schemas, and a test holds them current.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use vigie_domain::wire::{WireRecord, json_schema};
use vigie_domain::{Comment, DeadLetter, Decision, Enforcement, Policy, ThreatReport, Verdict};

use super::terminal;

#[derive(Debug, Args)]
pub(crate) struct SchemasArgs {
    /// Folder to write to.
    #[arg(long, default_value = "deploy/schemas", value_name = "DIR")]
    out: PathBuf,
    /// Write nothing; fail where a file is not current.
    #[arg(long)]
    check: bool,
}

/// Every schema, by file name.
pub(crate) fn all() -> anyhow::Result<BTreeMap<String, String>> {
    let schemas = [
        wire::<Comment>(),
        wire::<Verdict>(),
        wire::<Decision>(),
        wire::<Enforcement>(),
        wire::<DeadLetter>(),
        ("threat-report.json".to_owned(), schemars::schema_for!(ThreatReport).to_value()),
        ("policy.json".to_owned(), schemars::schema_for!(Policy).to_value()),
    ];
    schemas
        .into_iter()
        .map(|(name, schema)| Ok((name, serde_json::to_string_pretty(&schema)? + "\n")))
        .collect()
}

fn wire<T: WireRecord>() -> (String, serde_json::Value) {
    (format!("{}-{}.json", T::NAME, T::MAJOR), json_schema::<T>())
}

pub(crate) fn schemas(args: &SchemasArgs) -> anyhow::Result<ExitCode> {
    let mut stale = Vec::new();
    for (name, content) in all()? {
        let path = args.out.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|found| found == content) {
            continue;
        }
        if !args.check {
            std::fs::create_dir_all(&args.out)
                .and_then(|()| std::fs::write(&path, content))
                .with_context(|| format!("could not write {}", path.display()))?;
            terminal::line(&format!("wrote {}", path.display()))?;
        }
        stale.push(path.display().to_string());
    }
    anyhow::ensure!(
        !args.check || stale.is_empty(),
        "not current: {}; run `vigie schemas`",
        stale.join(", ")
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_in_deploy_are_current() -> anyhow::Result<()> {
        let out = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/schemas"));
        schemas(&SchemasArgs {
            out: out.clone(),
            check: true,
        })?;
        let found = std::fs::read_dir(out)?.count();
        assert_eq!(found, all()?.len(), "deploy/schemas holds a file that no record has");
        Ok(())
    }

    #[test]
    fn a_stale_file_fails_the_check() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let args = |check| SchemasArgs {
            out: dir.path().to_owned(),
            check,
        };
        assert!(schemas(&args(true)).is_err());
        schemas(&args(false))?;
        schemas(&args(true))?;
        std::fs::write(dir.path().join("comment-1.json"), "{}")?;
        let error = schemas(&args(true)).expect_err("a stale file").to_string();
        assert!(error.contains("comment-1.json"), "{error}");
        Ok(())
    }
}
