//! The harness of the system tests: real processes on real data directories, a moderator who works over HTTP, a browser, and what
//! is left on the topics at the end.
//!
//! It knows Vigie only from outside: the command line, the pages, /metrics, and the records on the bus.

pub mod browser;
pub mod comments;
pub mod consistency;
pub mod metrics;
pub mod moderator;
pub mod peers;
pub mod people;
pub mod process;
pub mod records;
pub mod shift;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The ONNX Runtime library that `deploy/onnxruntime` fetches.
///
/// # Errors
/// The script fails; it says why.
pub fn onnxruntime() -> anyhow::Result<PathBuf> {
    let script = root().join("deploy/onnxruntime");
    let output = std::process::Command::new(script).output()?;
    anyhow::ensure!(
        output.status.success(),
        "deploy/onnxruntime failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// Waits until `condition` gives something, looking often.
///
/// # Errors
/// It did not within `limit`; `what` names the condition.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let began = Instant::now();
    let mut last = String::from("never looked");
    while began.elapsed() < limit {
        match condition().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "not yet".clone_into(&mut last),
            Err(error) => last = format!("{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("{what}: not within {} s ({last})", limit.as_secs())
}
