//! A Kafka cluster that one test starts for itself, through the script that starts those of all tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A cluster in a folder; ends with the test.
pub struct Cluster {
    dir: tempfile::TempDir,
    offered: String,
}

impl Cluster {
    /// Waits for it: to be called on a blocking thread.
    pub fn start(arguments: &[&str]) -> Self {
        let mut cluster = Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
            offered: String::new(),
        };
        cluster.offered = cluster.run(&[&["start"], arguments].concat());
        cluster
    }

    /// The value of a `NAME=value` line that `start` printed.
    pub fn offered(&self, name: &str) -> String {
        let value = self.offered.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("`start` prints no {name}")).to_owned()
    }

    /// Runs the script and returns what it prints.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the script runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tests/peers/kafka/run {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/kafka/run");
        let mut command = Command::new(script);
        command.args(arguments).arg("--dir").arg(self.dir.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A second panic would hide the first.
        self.command(&["stop"]).output().ok();
    }
}
