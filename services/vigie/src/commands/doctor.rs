//! `vigie doctor`: looks at everything that `vigie up` needs, starts nothing, and says for each problem what to do.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use axum::http::StatusCode;
use clap::Args;
use serde::Serialize;
use vigie_rulebook::Rulebook;
use vigie_runtime::secret::SecretSource;
use vigie_runtime::{Accounts, Policies, Runtime, server};
use vigie_scorer::Bundle;

use super::terminal;
use crate::cli::{Place, absolute};
use crate::client;
use crate::config::Config;
use crate::instance::Instance;

const FREE_BYTES_MIN: u64 = 1 << 30;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    sound: bool,
    /// What was found, or what is wrong and what to do.
    finding: String,
}

struct Findings(Vec<Check>);

impl Findings {
    /// Returns the value where all is well.
    fn note<T>(&mut self, name: &'static str, result: anyhow::Result<T>, say: impl FnOnce(&T) -> String) -> Option<T> {
        let (sound, finding) = match &result {
            Ok(value) => (true, say(value)),
            Err(error) => (false, format!("{error:#}")),
        };
        self.0.push(Check { name, sound, finding });
        result.ok()
    }
}

pub(crate) async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut findings = Findings(Vec::new());
    let named = args
        .place
        .config
        .as_ref()
        .map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string());
    let config = findings.note("configuration", args.place.read_for_command(), |_| named);
    if let Some(config) = config {
        examine(&config, &mut findings).await;
    }
    let problems = findings.0.iter().filter(|check| !check.sound).count();
    if args.json {
        terminal::json(&serde_json::json!({ "sound": problems == 0, "checks": findings.0 }))?;
    } else {
        for check in &findings.0 {
            let mark = if check.sound { "ok   " } else { "WRONG" };
            terminal::line(&format!("{mark} {}: {}", check.name, terminal::escape(&check.finding)))?;
        }
    }
    if problems == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    terminal::complain(&format!("error: {problems} problems; each line above says what to do"));
    Ok(ExitCode::FAILURE)
}

async fn examine(config: &Config, findings: &mut Findings) {
    findings.note("policies and accounts", accounts(config), |(policies, accounts)| {
        format!("{policies} policies, {accounts} accounts")
    });
    findings.note("secrets", secrets(config), |count| format!("{count} read"));
    if config.bus.kafka.is_some() {
        findings.note("keys", shared_keys(config), |()| {
            "author, seal and audit are configured; every process must be given the same".to_owned()
        });
    }
    findings.note("data directory", data_directory(&config.data.dir), |()| {
        format!("{} is writable", config.data.dir.display())
    });
    findings.note("free disk", free_disk(&config.data.dir), |free| format!("{} MiB free", free >> 20));
    let rules = Rulebook::load(&config.classifier.rules).context("check [classifier] rules, and the packs with `vigie rules check`");
    findings.note("rules", rules, |rulebook| {
        format!("{} in {}", rulebook.version(), config.classifier.rules.display())
    });
    let bundle = Bundle::read(&config.classifier.model).map_err(anyhow::Error::from);
    let hashed = findings.note("model", bundle, |bundle| {
        format!("{}, its hashes are those of the manifest", bundle.version)
    });
    if hashed.is_some() {
        let opened = config.classifier.open_scorer();
        findings.note("onnx runtime", opened, |_| {
            format!("{} loads and runs the model", config.classifier.onnxruntime.display())
        });
    }
    match Instance::find(&config.data.dir) {
        Ok(Some(instance)) => running(&instance, findings).await,
        Ok(None) => resting(config, findings).await,
        Err(error) => drop(findings.note::<()>("process", Err(error), |()| String::new())),
    }
}

fn accounts(config: &Config) -> anyhow::Result<(usize, usize)> {
    let policies = Policies::open(config.policies.dir.as_deref())?;
    let accounts = Accounts::read(&config.accounts, &policies)?;
    Ok((policies.names().count(), accounts.iter().count()))
}

/// Those that the configuration names; the secrets of accounts are read with the accounts.
fn secrets(config: &Config) -> anyhow::Result<usize> {
    let kafka = config.bus.kafka.as_ref().and_then(|kafka| kafka.password.as_ref());
    let named: [(&str, Option<&SecretSource>); 5] = [
        ("[bus.kafka] password", kafka),
        ("[database] url", config.database.url.as_ref()),
        ("[keys] author", config.keys.author.as_ref()),
        ("[keys] seal", config.keys.seal.as_ref()),
        ("[keys] audit", config.keys.audit.as_ref()),
    ];
    let mut count = 0;
    for (name, source) in named {
        if let Some(source) = source {
            source.read().context(name)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Processes that share a Kafka must share their keys: one that is not configured would be made by each of them anew.
fn shared_keys(config: &Config) -> anyhow::Result<()> {
    let keys = [
        ("author", &config.keys.author),
        ("seal", &config.keys.seal),
        ("audit", &config.keys.audit),
    ];
    let absent: Vec<&str> = keys.into_iter().filter(|(_, key)| key.is_none()).map(|(name, _)| name).collect();
    anyhow::ensure!(
        absent.is_empty(),
        "[keys] does not name {}: each process on Kafka makes its own, and cannot open what another sealed; give all the same, \
         those in {} where a process has made them, otherwise new ones (`openssl rand -hex 32`)",
        absent.join(", "),
        config.data.dir.join("keys").display()
    );
    Ok(())
}

/// The directory, or the nearest one above that is there.
fn existing(dir: &Path) -> anyhow::Result<std::path::PathBuf> {
    let dir = absolute(dir)?;
    dir.ancestors()
        .find(|dir| dir.exists())
        .map(Path::to_owned)
        .context("no directory above it exists")
}

fn data_directory(dir: &Path) -> anyhow::Result<()> {
    let place = existing(dir)?;
    let probe = place.join(format!(".vigie-doctor-{}", std::process::id()));
    std::fs::write(&probe, b"probe")
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| {
            format!(
                "{} is not writable; choose another with --data DIR, or give it to the user that vigie runs as",
                place.display()
            )
        })
}

fn free_disk(dir: &Path) -> anyhow::Result<u64> {
    let place = existing(dir)?;
    let disk = rustix::fs::statvfs(&place).with_context(|| format!("could not ask for the free space of {}", place.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    anyhow::ensure!(
        free >= FREE_BYTES_MIN,
        "{} MiB are free under {}, at least {} are needed; make room",
        free >> 20,
        place.display(),
        FREE_BYTES_MIN >> 20
    );
    Ok(free)
}

async fn running(instance: &Instance, findings: &mut Findings) {
    let ready = async {
        let (status, body) = client::get(instance, "/readyz").await?;
        let state: serde_json::Value = serde_json::from_slice(&body)?;
        anyhow::ensure!(status == StatusCode::OK, "it waits for {}", state["waiting"]);
        Ok(())
    };
    let ready = ready
        .await
        .with_context(|| format!("process {} at {} is not ready", instance.pid, instance.addr));
    findings.note("process", ready, |()| {
        format!(
            "process {} runs at {} and is ready: bus and database answer",
            instance.pid, instance.addr
        )
    });
}

async fn resting(config: &Config, findings: &mut Findings) {
    let bus = if config.bus.kafka.is_some() {
        "Kafka answers"
    } else {
        "the embedded log opens"
    };
    let opened = async {
        let runtime = Runtime::open(&config.runtime()).await?;
        runtime.bus.ping().await?;
        Ok(runtime)
    };
    if let Some(runtime) = findings.note("bus", opened.await, |_| bus.to_owned()) {
        let database = runtime.databases.open("operations", crate::letters::MIGRATIONS).await;
        findings.note("database", database, |database| format!("{:?} answers", database.engine()));
        if let Err(error) = runtime.bus.close().await {
            findings.note::<()>("bus", Err(error.into()), |()| String::new());
        }
    }
    let listen = &config.server.listen;
    findings.note("port", server::bind(listen).await, |_| format!("{listen} is free"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_each_process_would_make_are_named() -> anyhow::Result<()> {
        let shared = |keys: &str| shared_keys(&vigie_runtime::config::parse::<Config>(&format!("[bus.kafka]\n[keys]\n{keys}"))?);
        let error = shared("seal = { env = \"SEAL\" }").expect_err("two keys are absent").to_string();
        assert!(error.contains("does not name author, audit:"), "{error}");
        assert!(error.contains("vigie-data/keys"), "{error}");
        shared("author = { env = \"AUTHOR\" }\nseal = { env = \"SEAL\" }\naudit = { env = \"AUDIT\" }")
    }
}
