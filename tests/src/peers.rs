//! Peers that a test starts for itself, through the scripts in `tests/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// A Kafka of the test's own, which it may stop and start. Stopped when dropped.
pub struct Kafka {
    /// `host:port`
    pub brokers: String,
    dir: PathBuf,
}

impl Kafka {
    /// Starts one node in `dir`.
    ///
    /// # Errors
    /// It does not start; the script says why.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let output = script("kafka", &["start", "--nodes", "1", "--dir", path(dir)?])?;
        let brokers = value(&output, "KAFKA_BROKERS").context("the Kafka peer printed no KAFKA_BROKERS")?;
        Ok(Self {
            brokers,
            dir: dir.to_owned(),
        })
    }

    /// A clean stop of the node; its data stays.
    ///
    /// # Errors
    /// The script fails.
    pub fn pause(&self) -> anyhow::Result<()> {
        script("kafka", &["stop-node", "1", "--dir", path(&self.dir)?]).map(drop)
    }

    /// The same node again, on the same port.
    ///
    /// # Errors
    /// The script fails.
    pub fn resume(&self) -> anyhow::Result<()> {
        script("kafka", &["start-node", "1", "--dir", path(&self.dir)?]).map(drop)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Ok(dir) = path(&self.dir) {
            script("kafka", &["stop", "--dir", dir]).ok();
        }
    }
}

fn path(dir: &Path) -> anyhow::Result<&str> {
    dir.to_str().context("the folder of a peer has a name that is not UTF-8")
}

/// Runs `tests/peers/NAME/run ARGUMENTS` and gives its standard output.
///
/// # Errors
/// It fails; its standard error is in the error.
pub fn script(name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let program = crate::root().join("tests/peers").join(name).join("run");
    let output = Command::new(&program)
        .args(arguments)
        .output()
        .with_context(|| format!("could not run {}", program.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "{} {} failed: {}",
        program.display(),
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The value of a `NAME=value` line.
#[must_use]
pub fn value(lines: &str, name: &str) -> Option<String> {
    lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}
