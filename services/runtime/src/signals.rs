//! SIGTERM and SIGINT: the first asks every service to finish the batch in hand, the second ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status after a second signal.
pub const ABORTED: i32 = 130;

/// Cancels `stop` at the first signal; exits at the second.
///
/// # Errors
/// Signal handlers cannot be installed.
pub fn watch(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for already_stopping in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if already_stopping {
                std::process::exit(ABORTED);
            }
            tracing::info!("stopping: finishing what is in hand; a second signal stops at once");
            stop.cancel();
        }
    });
    Ok(())
}
