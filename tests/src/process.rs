//! A running `vigie` process: started with a configuration of its own, killed or stopped, asked for its metrics.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use vigie::Config;
use vigie::instance::Instance;
use vigie_runtime::accounts::AccountConfig;

use crate::{eventually, onnxruntime, root};

const START_LIMIT: Duration = Duration::from_secs(90);

/// A configuration on the embedded defaults in `data`: the rules and a model of the repository, and one generic account.
///
/// # Errors
/// ONNX Runtime cannot be had.
pub fn config(data: &Path) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.data.dir = data.to_owned();
    "127.0.0.1:0".clone_into(&mut config.server.listen);
    config.classifier.rules = root().join("rules");
    config.classifier.model = root().join("models/abuse-fr-acts");
    config.classifier.onnxruntime = onnxruntime()?;
    config.accounts.push(generic_account(crate::comments::ACCOUNT));
    Ok(config)
}

/// An account that is fed by webhook or import.
#[must_use]
pub fn generic_account(id: &str) -> AccountConfig {
    AccountConfig {
        id: id.to_owned(),
        platform: "generic".to_owned(),
        institution: id.to_owned(),
        name: Some("Musée d’essai".to_owned()),
        policy: "default".to_owned(),
        base_url: None,
        handle: None,
        watch: false,
        dry_run: true,
        token: None,
        login: None,
        labeler_did: None,
        webhook_secrets: Vec::new(),
    }
}

/// Writes a configuration as a file.
///
/// # Errors
/// It cannot be written.
pub fn write_config(config: &Config, path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, toml::to_string(config)?).with_context(|| format!("could not write {}", path.display()))
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs a command of the executable to its end, with `input` as standard input.
///
/// # Errors
/// It cannot be started.
pub fn command(executable: &str, arguments: &[&str], input: &[u8]) -> anyhow::Result<Said> {
    use std::io::Write as _;
    let mut child = Command::new(executable)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let bytes = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output()?;
    // A command that does not read its input may close it early.
    writer.join().ok();
    Ok(Said {
        status: output.status,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A process. Killed when dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its standard error.
    pub log: PathBuf,
}

impl Process {
    /// Starts `executable arguments…`, which announces itself in `data`, and waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready in time; the end of its log is in the error.
    pub async fn start(executable: &str, arguments: &[&str], data: &Path, log: &Path) -> anyhow::Result<Self> {
        let mut process = Self::spawn(executable, arguments, data, log).await?;
        let address = process.address;
        let ready = eventually("ready", START_LIMIT, || async move {
            let answer = reqwest::get(format!("http://{address}/readyz")).await?;
            Ok(answer.status().is_success().then_some(()))
        })
        .await;
        if let Err(error) = ready {
            let state = process.child.try_wait()?;
            anyhow::bail!("{error:#}; process: {state:?}; log: {}", process.tail());
        }
        Ok(process)
    }

    /// As [`Process::start`], but returns as soon as it listens.
    ///
    /// # Errors
    /// It ends or does not listen in time.
    pub async fn spawn(executable: &str, arguments: &[&str], data: &Path, log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = Command::new(executable)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()?;
        let pid = child.id();
        let began = Instant::now();
        loop {
            if let Ok(Some(instance)) = Instance::find(data)
                && instance.pid == pid
            {
                return Ok(Self {
                    child,
                    address: instance.addr,
                    log: log.to_owned(),
                });
            }
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the process ended with {status}: {}", tail(log));
            }
            if began.elapsed() > START_LIMIT {
                child.kill().ok();
                child.wait().ok();
                anyhow::bail!("the process did not announce itself in {}: {}", data.display(), tail(log));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// It does not end within `limit`; it is killed then.
    pub async fn stop(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.kill()?;
        anyhow::bail!("not stopped within {} s: {}", limit.as_secs(), self.tail())
    }

    /// Sends a signal by name.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status()?;
        anyhow::ensure!(sent.success(), "could not send SIG{name}");
        Ok(())
    }

    /// The text of /metrics.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(reqwest::get(format!("http://{}/metrics", self.address))
            .await?
            .error_for_status()?
            .text()
            .await?)
    }

    /// The end of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
